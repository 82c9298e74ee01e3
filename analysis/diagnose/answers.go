package diagnose

import (
	"bytes"
	"fmt"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/facts"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

// An answer belongs to its request: it comes from where that went, and equal requests get equal
// ones (RFC 7296, Sections 2.1 and 2.11).

// answerElsewhere finds answers that come from another address or port than was asked, in a
// negotiation that does not get through: the initiator drops the answer, or takes it and goes on to
// ask where nobody listens.
func answerElsewhere(j *judge) []report.Finding {
	var all []report.Finding
	for _, t := range j.talks {
		x := t.Strayed()
		if x == nil {
			continue
		}
		m := x.Answer
		asked, from := x.Asked.Addr().String(), x.From.Addr().String()
		title, note, listens := "", "the answer, from another address", "an address"
		why, shows := "from which address IKE answers: tunnel source, HSRP or secondary addresses, a NAT on the way back",
			[]string{"show crypto session detail", "show ip interface brief", "show standby brief", "show ip nat translations"}
		if asked == from {
			asked, from = x.Asked.String(), x.From.String()
			title, note, listens = "Answers come from another port than was asked", "the answer, from another port", "a port"
			why, shows = "from which port IKE answers: a port set for IKE there, or a NAT or PAT on the way back",
				[]string{"show crypto session detail", "show udp", "show ip nat translations"}
		}
		all = append(all, report.Finding{
			Confidence: report.Certain, Conversation: t.ID, Title: title,
			Explanation: fmt.Sprintf("%s was asked at %s and answers %s from %s. An answer must come from where the "+
				"request went: %s either drops it, or goes on with %s where nobody listens.",
				capital(j.name(m.From)), asked, one(m.Exchange), from, j.name(m.From.Other()), listens),
			Evidence: evidence(note, m),
			Actions:  []report.Action{j.exec(m.From, why, shows...)},
			Subject:  onSide(m.From),
			Fields:   map[string]any{"asked": asked, "answered_from": from},
		})
	}
	return all
}

// inconsistentAnswers finds equal requests that were answered with different messages. A later
// answer that goes on where the first one stopped (a cookie, another group) is to another request.
func inconsistentAnswers(j *judge) []report.Finding {
	var all []report.Finding
	for _, t := range j.talks {
		if t.Version != 2 {
			continue // IKEv1 answers anew, and may
		}
		if f, ok := j.ownCookies(t); ok {
			all = append(all, f)
			continue
		}
		to := map[*pair.Message]*pair.Message{} // the first answers, where the request knows another one
		comparable := func(m *pair.Message) bool { return m.Fragments == 0 && !m.Altered && !m.Truncated }
		for _, m := range t.Messages {
			q := m.Answers()
			if q == nil || q.AnsweredBy() == m || !comparable(m) {
				continue
			}
			first := q.AnsweredBy()
			if first == nil || !comparable(first) {
				first = to[q]
			}
			if first == nil {
				to[q] = m
				continue
			}
			if first == m || !differ(first, m) {
				continue
			}
			severity := report.Critical
			if t.End == facts.Established {
				severity = report.Warning
			}
			all = append(all, report.Finding{
				Confidence: report.Certain, Severity: severity, Conversation: t.ID,
				Explanation: fmt.Sprintf("%s answers equal requests, %s, with different messages. Either it lost its state "+
					"between them (a reload, a half-open SA that timed out), or several boxes answer behind one "+
					"address.", capital(j.name(m.From)), one(m.Exchange)),
				Evidence: append(evidence("an answer", first), evidence("another answer to the same request", m)...),
				Actions: []report.Action{j.exec(m.From, "a reload between the answers, or two routers with one address",
					"show version | include uptime", "show redundancy states", "show standby brief", "show crypto ikev2 stats")},
				Subject: onSide(m.From),
				Fields:  map[string]any{"exchange": m.Exchange.String(), "answers": 2},
			})
			break
		}
	}
	return all
}

// leastRefusedCookies is how many of its own cookies a responder must refuse. It may change its
// secret while one is under way (RFC 7296, Section 2.6): one proves nothing.
const leastRefusedCookies = 2

// ownCookies finds a responder that does not know the cookies which it gave: requests that carry
// them are asked for others, and nothing comes up.
func (j *judge) ownCookies(t *talk) (report.Finding, bool) {
	if !t.MaySay(ike.Cookie) || t.InitAnswered() || j.cameUpAfter(t) {
		return report.Finding{}, false
	}
	given := map[string]bool{}
	var refused []*pair.Message
	for _, m := range t.MessagesOf(ike.IKESAInit, exchange.Response) {
		asked, ok := m.Notify(uint16(ike.Cookie))
		if !ok {
			continue
		}
		if q := m.Answers(); q != nil {
			if shown, ok := q.Notify(uint16(ike.Cookie)); ok && given[string(shown.Data)] {
				refused = append(refused, m)
			}
		}
		given[string(asked.Data)] = true
	}
	if len(refused) < leastRefusedCookies {
		return report.Finding{}, false
	}
	who := refused[0].From
	return report.Finding{
		Confidence: report.Certain, Conversation: t.ID, Title: "The responder does not know its own cookies",
		Explanation: fmt.Sprintf("%s asks for a cookie again and again: %s that carried the one which it had given "+
			"were answered with another one. Either several boxes answer behind one address, each with a secret of "+
			"its own, or it forgets its secret.", capital(j.name(who)), plural(len(refused), "request", "requests")),
		Evidence: evidence("another cookie, though the request carries one", refused...),
		Actions: []report.Action{j.exec(who, "two routers with one address, a load balancer before them, a reload",
			"show redundancy states", "show standby brief", "show version | include uptime", "show crypto ikev2 stats")},
		Subject: onSide(who),
		Fields:  map[string]any{"exchange": ike.IKESAInit.String(), "answers": len(refused) + 1},
	}, true
}

// differ says whether two answers to one request contradict each other: two selections with other
// SPIs, values or nonces, or two encrypted messages with initialization vectors of their own, which
// no device on the path makes.
func differ(x, y *pair.Message) bool {
	if x.Exchange == ike.IKESAInit {
		return x.SA() != nil && y.SA() != nil && (x.SPIr != y.SPIr || !bytes.Equal(nonce(x), nonce(y)))
	}
	return x.Encrypted() && y.Encrypted() && x.SPIr == y.SPIr && !bytes.Equal(vector(x), vector(y))
}

func nonce(m *pair.Message) []byte {
	for _, p := range m.InClear() {
		if n, ok := p.(*ike.Nonce); ok {
			return n.Data
		}
	}
	return nil
}

// vector is the beginning of what is encrypted: eight bytes, the shortest vector in use.
func vector(m *pair.Message) []byte {
	const sk, shortest = ike.HeaderLen + 4, 8
	raw := m.Raw()
	return raw[min(sk, len(raw)):min(sk+shortest, len(raw))]
}
