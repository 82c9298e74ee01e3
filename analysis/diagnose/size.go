package diagnose

import (
	"fmt"
	"slices"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/facts"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

func packetTooBig(j *judge) []report.Finding {
	var all []report.Finding
	for _, e := range facts.TooBig(j.c) {
		from := e.Sight.Src.Addr().String()
		actions := j.smaller(e.Quoted, e.MTU, 0)
		if e.Message != nil && e.Message.Exchange == ike.IKESAInit {
			actions = slices.Insert(actions, 0, j.smallerInit(e.Quoted))
		}
		if !e.V6 { // which no router on the way fragments
			actions = append(actions,
				j.config(e.Quoted, "ESP that may be fragmented on the way", "crypto ipsec df-bit clear"))
		}
		all = append(all, report.Finding{
			Confidence: report.Certain,
			Explanation: fmt.Sprintf("%s says that packets of %s do not fit: the next link takes %d bytes.", from,
				j.name(e.Quoted), e.MTU),
			Evidence: []report.Evidence{{Side: sideOf(e.Side), Frame: int(e.Frame), Note: e.Meaning()}},
			Actions:  actions,
			Subject:  sentBy(e.Quoted),
			Fields:   map[string]any{"mtu": e.MTU, "reported_by": from},
		})
	}
	return all
}

// smaller are the lines for IKE and TCP that pass where IP packets of so many bytes were
// seen, or are said, to pass. A value that was not measured is not advised: then the size is
// to be found first.
func (j *judge) smaller(s pair.Side, passes, fails int) []report.Action {
	const (
		fragments    = 1200        // crypto ikev2 fragmentation mtu; it suits every common path
		segments     = 1360        // ip tcp adjust-mss
		leastSegment = 500         // that IOS XE takes
		around       = 1500 - 1360 // what ESP in UDP, IP and TCP add to a segment at most
	)
	if passes < leastSegment+around {
		return []report.Action{j.findSize(s, passes, fails)}
	}
	ike := j.config(s, "IKE messages that fit, those behind IKE_SA_INIT",
		fmt.Sprint("crypto ikev2 fragmentation mtu ", min(fragments, passes)))
	tcp := j.config(s, "on the tunnel's or the LAN's interface: TCP that fits, with the bytes of the tunnel around it",
		fmt.Sprint("ip tcp adjust-mss ", min(segments, passes-around)))
	if j.onlyV1() {
		return []report.Action{tcp}
	}
	return []report.Action{ike, tcp}
}

// findSize asks for the largest packet that passes, between a size that does and one that does not;
// 0: not known.
func (j *judge) findSize(s pair.Side, passes, fails int) report.Action {
	const ethernet, least = 1500, 576
	low, high := max(passes, least), fails
	if high <= low {
		high = ethernet
	}
	var pings []string
	for i := 1; i <= 4; i++ {
		pings = append(pings, fmt.Sprintf("ping %%s size %d df-bit", low+(high-low)*i/5))
	}
	then := "`crypto ikev2 fragmentation mtu` to it and `ip tcp adjust-mss` to 140 less"
	if j.onlyV1() {
		then = "`ip tcp adjust-mss` to 140 less"
	}
	return j.exec(s, "find the largest size that passes; only then set "+then, j.toward(s, pings...)...)
}

func ipFragmentsLost(j *judge) []report.Finding {
	if !j.c.TwoSided() {
		return j.tornAlone()
	}
	all := j.espFragmentsLost()
	for _, x := range facts.FragmentsLost(j.c) {
		s, first := x.From, x.Example
		among := "while unfragmented packets pass"
		if !x.Passes {
			among = "and nothing of it came unfragmented"
		}
		all = append(all, report.Finding{
			Confidence: certainIf(x.Passes), Conversation: x.Message.Conversation.ID,
			Explanation: fmt.Sprintf("%s of %s %s, of which %s at %s, %s: a device on the path drops IP fragments.",
				capital(one(x.Message.Exchange)), j.name(s), inFragments(first.At[s]),
				plural(len(first.Partial()), "arrives", "arrive"), j.name(s.Other()), among),
			Evidence: sights("sent in IP fragments that do not all arrive", x.Lost...),
			Actions: append(j.withoutFragments(x.Message),
				path(s, "let IP fragments of UDP 500 and 4500 pass", j.permit(s, "udp", "fragments"))),
			Subject: sentBy(s),
			Fields: map[string]any{"protocol": "IKE", "datagram_size": first.At[s].Datagram,
				"fragments_sent": len(first.At[s].Fragments), "fragments_seen": len(first.Partial())},
		})
	}
	return all
}

// withoutFragments is what makes m need no IP fragments. IKEv1 has nothing of the kind; in IKEv2
// what comes after IKE_SA_INIT is sent in pieces of IKE's own (RFC 7383, Section 2.3).
func (j *judge) withoutFragments(m *pair.Message) []report.Action {
	switch {
	case m.Conversation.Version == 1:
		return nil
	case m.Exchange == ike.IKESAInit:
		return []report.Action{j.smallerInit(m.From)}
	}
	const why, line = "IKE messages that need no IP fragments; both sides must have it",
		"crypto ikev2 fragmentation mtu 1200"
	return []report.Action{j.config(pair.A, why, line), j.config(pair.B, why, line)}
}

// smallerInit is what makes IKE_SA_INIT of s fit, which no line does.
func (j *judge) smallerInit(s pair.Side) report.Action {
	return j.exec(s, "what makes IKE_SA_INIT so large, which IKE itself never sends in pieces: "+
		"fewer proposals, a smaller key exchange first, a large one as an additional exchange (RFC 9370)",
		"show crypto ikev2 proposal", "show running-config | section crypto")
}

// inFragments tells how a datagram travels; its size and number of fragments are not known where
// the capture cut the first one short.
func inFragments(x *exchange.Sight) string {
	if len(x.Fragments) < 2 {
		return "travels in IP fragments"
	}
	return fmt.Sprintf("has %d bytes and travels in %d IP fragments", x.Datagram, len(x.Fragments))
}

func fragmentationOff(j *judge) []report.Finding {
	for _, t := range j.talks {
		if t.Version != 2 || !t.Complete || len(j.fragmented(t)) == 0 {
			continue
		}
		announced := [2]bool{}
		asked := [2]bool{}
		var silent []*pair.Message
		for _, m := range t.Messages {
			if m.Exchange == ike.IKESAInit && m.SA() != nil {
				asked[m.From] = true
				announced[m.From] = announced[m.From] || m.Has(uint16(ike.FragmentationSupported))
				if !m.Has(uint16(ike.FragmentationSupported)) {
					silent = append(silent, m)
				}
			}
		}
		var missing []pair.Side
		for _, s := range pair.Both {
			if asked[s] && !announced[s] {
				missing = append(missing, s)
			}
		}
		if len(missing) == 0 {
			continue
		}
		f := report.Finding{
			Confidence: report.Certain, Conversation: t.ID,
			Evidence: append(evidence("IKEV2_FRAGMENTATION_SUPPORTED is missing", silent...),
				evidence("too large for one packet", j.fragmented(t)...)...),
			Explanation: fmt.Sprintf("%s does not announce IKE fragmentation, and a message is too large for one packet, "+
				"so it travels in IP fragments, which devices on the way often drop.", j.name(missing[0])),
		}
		for _, s := range missing {
			f.Actions = append(f.Actions, j.config(s, "announce IKE fragmentation", "crypto ikev2 fragmentation mtu 1200"))
		}
		return []report.Finding{f}
	}
	return nil
}

// fragmented are the messages of the conversation that left in IP fragments and could go in pieces
// of IKE's own: those that are encrypted (RFC 7383, Section 2.3).
func (j *judge) fragmented(t *talk) []*pair.Message {
	var all []*pair.Message
	for _, m := range t.Messages {
		if m.Encrypted() && slices.ContainsFunc(m.Transmissions(), facts.Fragmented) {
			all = append(all, m)
		}
	}
	return all
}

// espFragmentsLost is about packets of ESP and AH that left in IP fragments.
func (j *judge) espFragmentsLost() []report.Finding {
	var all []report.Finding
	for _, x := range j.traffic.Fragments() {
		sent := x.Flow.At[x.From]
		seen := 0
		evidence := []report.Evidence{{Side: sideOf(x.From), Frame: int(x.Example.Frame),
			Note: "sent in IP fragments that do not all arrive"}}
		if x.Rest != nil {
			seen = len(x.Rest.Frames)
			evidence = append(evidence,
				report.Evidence{Side: sideOf(x.From.Other()), Frame: x.Rest.Frames[0], Note: "what arrives of one"})
		}
		pieces := max(int(x.Example.Pieces), 2)
		protocol, filter := x.Protocol, "esp"
		switch {
		case sent.UDP:
			filter = "udp"
		case sent.AH:
			filter = "ahp"
		}
		all = append(all, report.Finding{
			Confidence: report.Certain,
			Explanation: fmt.Sprintf("%s packets of %s that travel in IP fragments do not arrive whole at %s: %d of %d "+
				"were lost, of one with %s %s, while packets in one piece pass: a device on the path drops IP fragments.", protocol,
				j.name(x.From), j.name(x.From.Other()), x.Lost, x.Sent, plural(pieces, "fragment", "fragments"), arrivedOf(seen)),
			Evidence: evidence,
			Actions: []report.Action{
				path(x.From, "let IP fragments pass", j.permit(x.From, filter, "fragments")),
				j.config(x.From, "fragments before encryption, so that none is needed after it (a suggestion)",
					"crypto ipsec fragmentation before-encryption"),
				j.exec(x.From, "the largest packet that passes whole", j.toward(x.From, "ping %s size 1400 df-bit")...),
			},
			Subject: sentBy(x.From),
			Fields: map[string]any{"protocol": protocol, "datagram_size": int(x.Example.Size),
				"fragments_sent": pieces, "fragments_seen": seen},
		})
	}
	return all
}

func arrivedOf(n int) string {
	if n == 0 {
		return "none arrived"
	}
	return fmt.Sprintf("%d arrived", n)
}
