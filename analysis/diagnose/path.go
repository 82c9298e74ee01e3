package diagnose

import (
	"fmt"
	"slices"
	"strings"

	"github.com/moncap/moncap/analysis/facts"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

// protocol is what carries the stretch: UDP, or TCP (RFC 9329).
func protocol(st *facts.Stretch) string { return strings.ToLower(transport(st.Sent[0].Message)) }

// service is the protocol and port, for people.
func service(st *facts.Stretch) string {
	return fmt.Sprintf("%s %d", transport(st.Sent[0].Message), st.Port)
}

// transport is what carries a message, for people.
func transport(m *pair.Message) string {
	for _, x := range m.Copies() {
		if x != nil && x.Sent()[0].TCP {
			return "TCP"
		}
	}
	return "UDP"
}

// phases names the exchanges that the lost packets belong to, for people.
func phases(lost []facts.Sending) string {
	var names []string
	for _, x := range lost {
		if name := spoken(x.Message.Exchange.String()); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, " and ")
}

// phase names the exchange that the first of the lost packets belongs to.
func phase(lost []facts.Sending) string {
	if len(lost) == 0 {
		return ""
	}
	return lost[0].Message.Exchange.String()
}

// onlyNATT says whether only UDP 4500 of what a side sends is dropped, and no ICMP error tells
// by whom.
func (j *judge) onlyNATT(st *facts.Stretch) bool {
	return j.path.OnlyNATT(st) && !facts.Rejected(j.rejections, st.From)
}

func natTBlocked(j *judge) []report.Finding {
	var all []report.Finding
	for _, st := range j.path.Stretches() {
		if !j.onlyNATT(st) {
			continue
		}
		lost, certain, _ := st.Blocked()
		from, to, after := j.name(st.From), j.name(st.From.Other()), "IKE_SA_INIT"
		if len(lost) > 0 && lost[0].Message.Conversation.Version == 1 { // RFC 3947, Section 4
			after = "message 4 of Main Mode, or 2 of Aggressive Mode,"
		}
		all = append(all, report.Finding{
			Confidence: certainIf(certain),
			Explanation: fmt.Sprintf("UDP 500 from %s reaches %s, UDP 4500 does not: %d sent, 0 arrived. "+
				"With a NAT in between, everything after %s travels on UDP 4500.", from, to, len(lost), after),
			Evidence: lossOf(lost),
			Actions: []report.Action{
				path(st.From, "a filter between the two gateways drops UDP 4500", j.permitLost(st, lost)...),
				j.exec(st.From, "the way to the peer", j.toward(st.From, "traceroute %s", "show ip route %s")...),
			},
			Subject: sentBy(st.From),
			Fields:  map[string]any{"lost": len(lost), "sent": len(lost)},
		})
	}
	return all
}

// lossOf is the evidence of what was lost.
func lossOf(lost []facts.Sending) []report.Evidence {
	all := make([]*pair.Transmission, len(lost))
	for i, t := range lost {
		all[i] = t.Transmission
	}
	return sights("sent, and not in the other capture", all...)
}

// permitPort is the line that a filter on the path needs, for what s sends to an IKE port.
func (j *judge) permitPort(s pair.Side, protocol string, port uint16) string {
	return j.permit(s, protocol, fmt.Sprintf("eq %d", port))
}

// permitLost are the lines that a filter needs to pass what was lost of a stretch.
func (j *judge) permitLost(st *facts.Stretch, lost []facts.Sending) []string {
	var lines []string
	for _, x := range lost {
		at := x.At[st.From]
		if at == nil {
			continue
		}
		if line := j.wayOf(st.From).permitSent(protocol(st), at.Src.Port(), at.Dst.Port()); !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		lines = []string{j.permitPort(st.From, protocol(st), st.Port)}
	}
	return lines
}

func pathBlocked(j *judge) []report.Finding {
	var all []report.Finding
	for _, st := range j.path.Stretches() {
		lost, certain, ok := st.Blocked()
		if !ok || facts.Disjoint(j.c) || j.onlyNATT(st) {
			continue
		}
		sent := len(lost) // what the receiver's capture did not cover is not spoken of
		f := report.Finding{
			Confidence:  certainIf(certain && !facts.AnyEmpty(j.c) && !st.Torn && j.wouldShow(st, lost)),
			Explanation: j.explainBlocked(st, lost, sent),
			Evidence:    lossOf(lost),
			Actions: []report.Action{
				j.whatDrops(st, lost),
				j.exec(st.From, "the way to the peer", j.toward(st.From, "traceroute %s", "show ip route %s")...),
			},
			Subject: sentBy(st.From),
			Fields: map[string]any{"protocol": protocol(st), "port": int(st.Port),
				"phase": phase(lost), "lost": len(lost), "sent": sent},
		}
		j.unknownTarget(&f, st)
		j.mappingGone(&f, st, lost)
		j.unshared(&f, st)
		for _, x := range lost {
			if text := j.misdirected(x.Message); text != "" {
				f.Explanation += text
				f.Actions = append([]report.Action{j.exec(st.From, "why it answers there", "show ip nat translations",
					showErrors(x.Message.Conversation.Version)[0])}, f.Actions...)
				break
			}
		}
		all = append(all, f)
	}
	return all
}

// whatDrops is where to look for what drops the lost of a stretch. No filter of addresses and ports
// does where others pass between the same ports behind the first of them.
func (j *judge) whatDrops(st *facts.Stretch, lost []facts.Sending) report.Action {
	type ports struct{ src, dst uint16 }
	between := func(x facts.Sending) (p ports) {
		if at := x.At[st.From]; at != nil {
			p = ports{at.Src.Port(), at.Dst.Port()}
		}
		return p
	}
	pass := map[ports]bool{}
	for _, x := range st.Sent {
		if x.Fate == pair.Delivered && x.Aligned > lost[0].Aligned {
			pass[between(x)] = true
		}
	}
	if !slices.ContainsFunc(lost, func(x facts.Sending) bool { return !pass[between(x)] }) {
		return path(st.From, "a device between the two gateways drops these and passes others between the same ports: "+
			"a firewall that inspects IKE, a limit of size or of rate")
	}
	return path(st.From, "a device between the two gateways drops them: access lists, firewalls, routing",
		j.permitLost(st, lost)...)
}

// mappingGone adds to what no longer passes towards a side behind a NAT that the NAT may have
// forgotten its mapping, which looks the same and has another remedy.
func (j *judge) mappingGone(f *report.Finding, st *facts.Stretch, lost []facts.Sending) {
	v := lost[0].Message.Conversation
	s, sure := facts.BehindNAT(v)
	if !sure || s == st.From || st.Delivered == 0 || st.Resumes(lost) {
		return
	}
	f.Explanation += fmt.Sprintf(" Or the NAT before %s has forgotten its mapping.", j.partyName(s))
	f.Actions = slices.Insert(f.Actions, 1, j.config(s, "keepalives more often than the NAT forgets",
		j.natKeepalive(v.Version == 1)))
}

// wouldShow says whether the receiver's capture is known to take what comes in: it holds something
// that did, or what is lost is a beginning that is repeated. Of an SA older than the captures, each
// of which is of one direction, nothing else is lost.
func (j *judge) wouldShow(st *facts.Stretch, lost []facts.Sending) bool {
	return j.traffic.Receives(st.From.Other()) || j.c.Untimed() ||
		slices.ContainsFunc(lost, func(x facts.Sending) bool { return x.Message.Conversation.Complete })
}

// misdirected says of an answer that goes elsewhere than its request came from that it does; empty
// when it does not.
func (j *judge) misdirected(m *pair.Message) string {
	x, ok := facts.MisdirectedOf(m)
	if !ok {
		return ""
	}
	return fmt.Sprintf(" %s answers to %s what was asked from %s: an answer must go to where its request came from, and "+
		"where a NAT is on the way, nothing else gets through.", capital(j.name(m.From)), x.To, x.Asked)
}

func (j *judge) explainBlocked(st *facts.Stretch, lost []facts.Sending, sent int) (said string) {
	from, to := j.name(st.From), j.name(st.From.Other())
	text := fmt.Sprintf("%s from %s to %s is dropped between them: %d sent, 0 arrived", service(st), from, to, sent)
	if st.Delivered > 0 {
		text = fmt.Sprintf("%s from %s to %s passes at first and then no more: from %s on, %d sent, 0 arrived", service(st),
			from, to, spoken(phase(lost)), sent)
		if st.Resumes(lost) {
			text = fmt.Sprintf("%s from %s to %s passes, but for %s: %d sent, 0 arrived", service(st), from, to,
				phases(lost), sent)
		}
	}
	if st.Torn {
		defer func() { said += " All of it is in IP fragments, which some devices drop." }()
	}
	back := j.path.Of(st.From.Other(), st.Port)
	switch {
	case st.Empty:
		return fmt.Sprintf("%s from %s to %s: %d sent, and nothing came back. The capture of %s is empty, "+
			"so whether the path drops them or that capture misses them cannot be told.",
			service(st), from, to, sent, to)
	case st.Delivered == 0 && back.Delivered > 0, back.PassesAfter(lost[0]):
		text += "; the other direction passes"
	case back.Delivered > 0 && back.SendsAfter(lost[0]):
		text += "; nor does the other direction pass any more"
	case back.Delivered > 0:
		text += "; the other direction passed, too, and nothing was sent there since"
	case back.Missing > 0:
		text += "; nor does the other direction pass"
	}
	return text + "."
}

func pathLoss(j *judge) []report.Finding {
	var all []report.Finding
	for _, st := range j.path.Stretches() {
		if _, _, blocked := st.Blocked(); blocked || st.Lost == 0 || st.Delivered == 0 {
			continue
		}
		var lost []facts.Sending
		for _, t := range st.Sent {
			if t.Fate == pair.Lost {
				lost = append(lost, t)
			}
		}
		title, how := "", was(st.Lost)+" lost between them"
		if j.leavesNot(st.From, j.c.Tally(st.From).Lost) {
			title, how = "Some of the packets do not arrive", "did not arrive"
		}
		f := report.Finding{
			Confidence: report.Certain, Title: title,
			Explanation: fmt.Sprintf("%s from %s to %s: %d of %d packets %s.", service(st), j.name(st.From),
				j.name(st.From.Other()), st.Lost, len(st.Sent), how),
			Evidence: lossOf(lost),
			Actions:  []report.Action{j.exec(st.From, "errors and drops on the WAN interface", j.showInterface(st.From)...)},
			Subject:  sentBy(st.From),
			Fields: map[string]any{"protocol": protocol(st), "port": int(st.Port),
				"lost": st.Lost, "sent": len(st.Sent), "loss_ratio": ratio(st.Lost, len(st.Sent))},
		}
		j.unshared(&f, st)
		all = append(all, f)
	}
	return all
}

// unshared takes back what a finding says of a loss between captures that have nothing in common:
// what arrives is not what is sent, so that they may be of different times, or miss packets both.
// An ICMP error that refuses what was sent speaks for itself.
func (j *judge) unshared(f *report.Finding, st *facts.Stretch) {
	if !st.Unshared || facts.Rejected(j.rejections, st.From) {
		return
	}
	to := st.From.Other()
	f.Confidence = report.Possible
	f.Explanation += fmt.Sprintf(" But nothing is in both captures, and that of %s holds packets of %s which that of %s "+
		"lacks: they may be of different times, with a clock that is wrong, or each may miss packets.",
		j.partyName(to), j.partyName(st.From), j.partyName(st.From))
}

func ratio(n, of int) float64 {
	if of == 0 {
		return 0
	}
	return float64(int(float64(n)/float64(of)*1e4+0.5)) / 1e4
}
