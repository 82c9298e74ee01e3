package diagnose

import (
	"fmt"
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
		from, to := j.name(st.From), j.name(st.From.Other())
		all = append(all, report.Finding{
			Confidence: certainIf(certain),
			Explanation: fmt.Sprintf("UDP 500 from %s reaches %s, UDP 4500 does not: %d sent, 0 arrived. "+
				"With a NAT in between, everything after IKE_SA_INIT travels on UDP 4500.", from, to, len(lost)),
			Evidence: lossOf(lost),
			Actions: []report.Action{
				path(st.From, "a filter between the two gateways drops UDP 4500", j.permitPort(st.From, "udp", 4500)),
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

func pathBlocked(j *judge) []report.Finding {
	var all []report.Finding
	for _, st := range j.path.Stretches() {
		lost, certain, ok := st.Blocked()
		if !ok || facts.Disjoint(j.c) || j.onlyNATT(st) {
			continue
		}
		sent := len(lost) // what the receiver's capture did not cover is not spoken of
		f := report.Finding{
			Confidence:  certainIf(certain && !facts.AnyEmpty(j.c)),
			Explanation: j.explainBlocked(st, lost, sent),
			Evidence:    lossOf(lost),
			Actions: []report.Action{
				path(st.From, "a device between the two gateways drops them: access lists, firewalls, routing",
					j.permitPort(st.From, protocol(st), st.Port)),
				j.exec(st.From, "the way to the peer", j.toward(st.From, "traceroute %s", "show ip route %s")...),
			},
			Subject: sentBy(st.From),
			Fields: map[string]any{"protocol": protocol(st), "port": int(st.Port),
				"phase": phase(lost), "lost": len(lost), "sent": sent},
		}
		j.unknownTarget(&f, st)
		all = append(all, f)
	}
	return all
}

func (j *judge) explainBlocked(st *facts.Stretch, lost []facts.Sending, sent int) string {
	from, to := j.name(st.From), j.name(st.From.Other())
	text := fmt.Sprintf("%s from %s to %s is dropped between them: %d sent, 0 arrived", service(st), from, to, sent)
	if st.Delivered > 0 {
		text = fmt.Sprintf("%s from %s to %s passes at first and then no more: from %s on, %d sent, 0 arrived", service(st),
			from, to, phase(lost), sent)
		if !st.Ended(lost) {
			text = fmt.Sprintf("%s from %s to %s passes, but for %s: %d sent, 0 arrived", service(st), from, to,
				phase(lost), sent)
		}
	}
	back := j.path.Of(st.From.Other(), st.Port)
	switch {
	case st.Empty:
		return fmt.Sprintf("%s from %s to %s: %d sent, and nothing came back. The capture of %s is empty, "+
			"so whether the path drops them or that capture misses them cannot be told.",
			service(st), from, to, sent, to)
	case back.Delivered > 0:
		text += "; the other direction passes"
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
		all = append(all, report.Finding{
			Confidence: report.Certain,
			Explanation: fmt.Sprintf("%s from %s to %s: %d of %d packets %s lost between them.", service(st), j.name(st.From),
				j.name(st.From.Other()), st.Lost, len(st.Sent), was(st.Lost)),
			Evidence: lossOf(lost),
			Actions:  []report.Action{j.exec(st.From, "errors and drops on the WAN interface", j.showInterface(st.From)...)},
			Subject:  sentBy(st.From),
			Fields: map[string]any{"protocol": protocol(st), "port": int(st.Port),
				"lost": st.Lost, "sent": len(st.Sent), "loss_ratio": ratio(st.Lost, len(st.Sent))},
		})
	}
	return all
}

func ratio(n, of int) float64 {
	if of == 0 {
		return 0
	}
	return float64(int(float64(n)/float64(of)*1e4+0.5)) / 1e4
}
