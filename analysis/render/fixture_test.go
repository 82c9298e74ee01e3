package render_test

import (
	"fmt"
	"time"

	"github.com/moncap/moncap/analysis/report"
)

var epoch = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

// story builds a report message by message.
type story struct {
	r    *report.Report
	ns   int64
	a, b int // frames so far
}

func newStory(outcome report.Outcome, exit int, headline string) *story {
	end := epoch.Add(time.Minute)
	side := func(name, addr string) *report.SideInfo {
		return &report.SideInfo{Name: name, Addresses: []string{addr}, Interface: "GigabitEthernet1", File: name + ".pcap",
			SHA256: "00ff",
			Format: "pcap", LinkType: "Ethernet", First: &epoch, Last: &end}
	}
	low, high := 119.9, 120.3
	return &story{r: &report.Report{Schema: report.Schema, Tool: report.Tool{Name: "moncap", Version: "test"},
		Tunnel:  "hq-branch",
		Verdict: report.Verdict{Outcome: outcome, Headline: headline, ExitCode: exit},
		Sides:   report.Sides{A: side("site-a", "192.168.1.1"), B: side("site-b", "192.168.2.1")},
		Clock: &report.Clock{OffsetMS: 120.1, LowMS: &low, HighMS: &high, Pairs: 2,
			Method: "smallest delays in both directions"},
		Conversations: []report.Conversation{{ID: "c1", Version: 2, Initiator: report.A, SPIi: "0011223344556677",
			SPIr:    "8899aabbccddeeff",
			Outcome: "incomplete"}}}}
}

func (s *story) sighting(side report.Side, ns int64) *report.Sighting {
	n := &s.a
	if side == report.B {
		n = &s.b
	}
	*n++
	return &report.Sighting{Frame: *n, Time: epoch.Add(time.Duration(ns)), AlignedNS: ns, Src: "192.168.1.1:500",
		Dst: "192.168.2.1:500", Size: 506, TTL: 255, DSCP: 48}
}

// send adds one transmission for each fate, the later ones at doubled intervals.
func (s *story) send(from report.Side, exchange, kind string, id uint32, payloads []string,
	fates ...report.Fate) *report.Message {
	m := report.Message{Exchange: exchange, MessageID: id, From: from, Kind: kind, Payloads: payloads, Length: 464,
		Port: 500, Encrypted: id > 0,
		Detail: []report.Detail{{Name: payloads[0], Lines: []string{"a line of detail"}}}}
	if m.Encrypted {
		m.FirstInner = "IDi"
	}
	wait := int64(2 * time.Second)
	for i, f := range fates {
		if i > 0 {
			s.ns += wait
			wait *= 2
		}
		t := report.Transmission{Fate: f}
		mine, other := &t.A, &t.B
		if from == report.B {
			mine, other = other, mine
		}
		*mine = s.sighting(from, s.ns)
		if f == report.Delivered {
			*other = s.sighting(from.Other(), s.ns+int64(800*time.Microsecond))
			s.r.Pairs.Matched++
		} else if f == report.Lost && from == report.A {
			s.r.Pairs.LostAtoB++
		}
		m.Transmissions = append(m.Transmissions, t)
	}
	s.ns += int64(3 * time.Millisecond)
	c := &s.r.Conversations[0]
	c.Messages = append(c.Messages, m)
	s.r.Sides.A.Packets, s.r.Sides.A.IKE, s.r.Sides.B.Packets, s.r.Sides.B.IKE = s.a, s.a, s.b, s.b
	return &c.Messages[len(c.Messages)-1]
}

func initial(s *story) {
	s.send(report.A, "IKE_SA_INIT", "request", 0, []string{"SA", "KE", "Nonce", "N", "N"}, report.Delivered)
	s.send(report.B, "IKE_SA_INIT", "response", 0, []string{"SA", "KE", "Nonce", "N", "N"}, report.Delivered)
}

func transform(kind, name string, bits int) report.Transform {
	return report.Transform{Type: kind, Name: name, Bits: bits, ID: map[string]int{"MODP-2048": 14, "ECP-256": 19}[name]}
}

func blocked() *report.Report {
	s := newStory(report.Failed, 2, "UDP 4500 from site-a never arrives at site-b: a device between them drops it.")
	initial(s)
	s.send(report.A, "IKE_AUTH", "request", 1, []string{"SK"}, report.Lost, report.Lost, report.Lost, report.Lost)
	s.r.NAT = []report.Translation{{Side: report.A, Original: "192.168.1.1", OriginalPort: 500, Translated: "198.51.100.1",
		Port: 500, Packets: 2}}
	s.r.Sides.A.Translated = []string{"198.51.100.1"}
	s.r.ICMP = []report.ICMP{{Side: report.A, Type: 3, Code: 13, Meaning: "communication administratively prohibited",
		From: "203.0.113.9",
		Seen: report.Sighting{Frame: 20, AlignedNS: s.ns}}}
	s.r.Findings = []report.Finding{
		{Code: "nat-t-blocked", Severity: report.Critical, Confidence: report.Certain,
			Title: "UDP 4500 is dropped from site-a to site-b", Conversation: "c1",
			Explanation: "Port 500 passes in both directions, and none of 4 packets to port 4500 arrived.",
			Evidence: []report.Evidence{{Side: report.A, Frame: 3, Note: "first packet to port 4500"},
				{Side: report.A, Frame: 4}, {Side: report.A, Frame: 20}},
			Actions: []report.Action{{Side: report.A, Mode: "exec",
				Commands: []string{"show ip access-lists", "traceroute 192.168.2.1 port 4500"},
				Why:      "see whether an ACL of its own drops it."},
				{Side: report.B, Where: "path", Device: "the firewall", Mode: "config", Commands: []string{},
					Why: "let UDP 4500 through."}},
			Fields: map[string]any{"direction": "A->B"}},
		{Code: "ike-auth-timeout", Severity: report.Warning, Confidence: report.Probable, CausedBy: "nat-t-blocked",
			Conversation: "c1",
			Title:        "The initiator gave up", Explanation: "It sent IKE_AUTH 4 times.",
			Evidence: []report.Evidence{{Side: report.A, Frame: 6}}},
	}
	s.r.Run = &report.Run{ID: "20261123-100000", Started: epoch, DurationMS: 61500, StartGapMS: 3.5,
		Phases: []report.Phase{{Name: "check", AMS: 350, BMS: 410},
			{Name: "fetch", AMS: 1200, BMS: 0, Failed: "connection lost"}},
		Routers: []report.Router{{Side: report.A, Peer: "site-a", Hostname: "hq-gw", Version: "17.9.4",
			Commands: []string{"show clock"}, Clean: true}}}
	return s.r
}

func established() *report.Report {
	s := newStory(report.Established, 0, "The tunnel is established.")
	initial(s)
	s.send(report.A, "IKE_AUTH", "request", 1, []string{"SK"}, report.Delivered)
	s.send(report.B, "IKE_AUTH", "response", 1, []string{"SK"}, report.Delivered).Note = "success: room for SA, " +
		"TSi and TSr"
	side := func(frame int) *report.FlowSide {
		return &report.FlowSide{Packets: 10, FirstSeq: 1, LastSeq: 10, FirstNS: s.ns + 1e6, LastNS: s.ns + 2e9, Frame: frame}
	}
	s.r.Flows = []report.Flow{{SPI: "0x0a0b0c0d", Direction: report.AtoB, Encapsulation: "udp", A: side(5), B: side(5)}}
	return s.r
}

func mismatch() *report.Report {
	s := newStory(report.Failed, 2, "site-b refuses site-a's IKE proposals: NO_PROPOSAL_CHOSEN.")
	s.send(report.A, "IKE_SA_INIT", "request", 0, []string{"SA", "KE", "Nonce"}, report.Delivered)
	m := s.send(report.B, "IKE_SA_INIT", "response", 0, []string{"N"}, report.Delivered)
	m.Notify, m.DetailB = []string{"NO_PROPOSAL_CHOSEN"}, []report.Detail{{Name: "N", Lines: []string{"as B saw it"}}}
	s.r.Conversations[0].Offers = []report.Offer{
		{Side: report.A, Kind: "offered", Frame: 1, Proposals: []report.Proposal{{Number: 1, Protocol: "IKE",
			Transforms: []report.Transform{transform("ENCR", "AES-CBC", 128), transform("PRF", "HMAC-SHA1", 0),
				transform("KE", "MODP-2048", 0)}}}},
		{Side: report.B, Kind: "offered", Frame: 3, Proposals: []report.Proposal{{Number: 1, Protocol: "IKE",
			Transforms: []report.Transform{transform("ENCR", "AES-CBC", 256), transform("PRF", "HMAC-SHA1", 0),
				transform("KE", "ECP-256", 0)}}}}}
	s.r.Findings = []report.Finding{{Code: "ike-proposal-mismatch", Severity: report.Critical, Confidence: report.Certain,
		Title:       "No IKE proposal in common",
		Explanation: "A offers AES-CBC-128, B wants AES-CBC-256.",
		Evidence:    []report.Evidence{{Side: report.B, Frame: 2, Note: "NO_PROPOSAL_CHOSEN"}}}}
	return s.r
}

// hostile is a report whose every text tries to break out.
func hostile() *report.Report {
	bad := "x\x1b[31m</script><script>alert(1)</script>\u202e|`**[a](javascript:b)\n\x00 %% ;#\""
	r := blocked()
	r.Tunnel, r.Verdict.Headline, r.Sides.A.Name, r.Sides.A.File, r.Sides.B.Damaged = bad, bad, bad, bad, bad
	r.Findings[0].Title, r.Findings[0].Explanation, r.Findings[0].Code = bad, bad, bad
	r.Findings[0].Evidence[0].Note, r.Findings[0].Actions[0].Commands[0] = bad, bad
	r.Conversations[0].Messages[0].Payloads, r.Conversations[0].Messages[0].Detail = []string{bad},
		[]report.Detail{{Name: bad, Lines: []string{bad}}}
	r.Conversations[0].Messages[0].Exchange, r.ICMP[0].Meaning = bad, bad
	return r
}

// wide is a report in which names take two columns a character, and one combines.
func wide() *report.Report {
	r := blocked()
	r.Tunnel, r.Sides.A.Name, r.Sides.B.Name = "東京本社と大阪支社", "東京本社のルーター", "Zu\u0308rich-대전"
	r.Verdict.Headline = "UDP 4500 from 東京本社のルーター never arrives at Zu\u0308rich-대전: a device between them drops it."
	r.Conversations[0].Messages[2].Note = "認証の要求と思われる、応答がないので再送された"
	r.ICMP[0].Meaning = "通信は管理上の理由で禁止されている"
	return r
}

// long is a report of n delivered messages.
func long(n int) *report.Report {
	s := newStory(report.Established, 0, fmt.Sprintf("%d messages.", n))
	for i := range n / 2 {
		s.send(report.A, "INFORMATIONAL", "request", uint32(i+1), []string{"SK"}, report.Delivered)
		s.send(report.B, "INFORMATIONAL", "response", uint32(i+1), []string{"SK"}, report.Delivered)
	}
	return s.r
}

func fixtures() map[string]*report.Report {
	return map[string]*report.Report{"blocked": blocked(), "established": established(), "mismatch": mismatch(),
		"hostile": hostile(), "wide": wide()}
}
