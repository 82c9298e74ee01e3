package diagnose

import (
	"fmt"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/facts"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

func peerNotAnswering(j *judge) []report.Finding {
	var all []report.Finding
	for _, t := range j.talks {
		if t.Foreign || t.CameUp() || t.End == facts.ErrorReported || t.Version == 1 && t.End > facts.ErrorReported {
			continue // it said something, if no answer
		}
		m := j.unanswered(t)
		if m == nil || facts.Rejected(j.rejections, m.From) || t.Strayed() != nil {
			continue
		}
		peer := m.From.Other()
		if j.c.Parties[peer].Coverage.Mute {
			continue // its answers leave by another interface than the captured one
		}
		n := m.Tally().Delivered
		if !j.c.TwoSided() {
			n = len(facts.Sendings(m))
		}
		if n < 2 && j.endsWith(peer, m) {
			continue
		}
		all = append(all, report.Finding{
			Confidence: report.Certain, Conversation: t.ID,
			Explanation: fmt.Sprintf("%s of %s arrived at %s, which its own capture shows, and it sent nothing back.%s",
				plural(n, m.Exchange.String()+" request", m.Exchange.String()+" requests"), j.name(m.From), j.name(peer),
				j.droppedBefore(peer, m, n)),
			Evidence: evidence("arrived, and not answered", m),
			Actions: []report.Action{j.exec(peer,
				"why it drops the request: no profile or policy for this peer, VRF, control-plane policing, IKE off",
				append(showPolicies(t.Version), "show policy-map control-plane", "show ip access-lists")...)},
			Subject: onSide(peer),
			Fields:  map[string]any{"phase": m.Exchange.String(), "requests": n},
		})
	}
	return all
}

// showProfile is the command that shows for which peers there is a profile.
func showProfile(v1 bool) string {
	if v1 {
		return "show crypto isakmp profile"
	}
	return "show crypto ikev2 profile"
}

// showPolicies are the commands that show for which peers IKE of a version has a policy, and what
// went wrong with it.
func showPolicies(version int) []string {
	if version == 1 {
		return []string{"show crypto isakmp sa", "show crypto isakmp policy", "show crypto isakmp key",
			"show crypto isakmp profile"}
	}
	return []string{"show crypto ikev2 diagnose error", "show crypto ikev2 stats", "show crypto ikev2 profile",
		"show crypto ikev2 policy"}
}

// endsWith says whether the capture of s ends so soon after m that it would not show an answer.
func (j *judge) endsWith(s pair.Side, m *pair.Message) bool {
	last := m.Transmissions()[len(m.Transmissions())-1].Aligned
	return j.c.Aligned(j.c.Story(s).Last, s)-last < facts.Patience
}

// unanswered is the message of the negotiation that arrived and to which the other side sent
// nothing: no answer, and no message of any kind after it.
func (j *judge) unanswered(t *talk) *pair.Message {
	for _, m := range t.Messages {
		if !facts.Negotiates(m) || m.Kind != exchange.Request || m.AnsweredBy() != nil || j.c.Story(m.From.Other()) == nil {
			continue
		}
		arrived := int64(-1)
		for _, x := range m.Transmissions() {
			if x.At[m.From.Other()] != nil && !x.Duplicate {
				arrived = x.Aligned
				break
			}
		}
		if arrived < 0 || t.spokeAfter(m.From.Other(), arrived) || t.Version == 1 && !t.lastOf(m) ||
			!t.wholeAt(m, m.From.Other()) {
			continue
		}
		return m
	}
	return nil
}

// wholeAt says whether s's capture holds all fragments of the message that m is or belongs to (RFC
// 7383): one that lacks a part of it can neither be answered nor taken for an answer.
func (t *talk) wholeAt(m *pair.Message, s pair.Side) bool {
	if m.Fragments == 0 {
		return true
	}
	parts := map[uint16]bool{}
	for _, o := range t.Messages {
		if o.MessageID == m.MessageID && o.Exchange == m.Exchange && o.Kind == m.Kind && o.From == m.From &&
			o.Fragments == m.Fragments && o.Copy(s) != nil {
			parts[o.Fragment] = true
		}
	}
	return len(parts) >= int(m.Fragments)
}

// spokeAfter says whether s sent anything in the conversation after a moment.
func (t *talk) spokeAfter(s pair.Side, at int64) bool {
	for _, m := range t.Messages {
		if m.From != s {
			continue
		}
		for _, x := range m.Transmissions() {
			if x.Aligned >= at && !x.Duplicate {
				return true
			}
		}
	}
	return false
}

func (t *talk) lastOf(m *pair.Message) bool { return t.Messages[len(t.Messages)-1] == m }

// refusesInClear says whether r turns the negotiation down without protection. Who asks must not
// trust that and asks again (RFC 7296, Section 2.21.1): the refusal is the news, not that it was
// asked again.
func refusesInClear(r *pair.Message) bool {
	if r.Exchange != ike.IKESAInit {
		return false
	}
	return r.Has(uint16(ike.NoProposalChosen)) || r.Has(uint16(ike.InvalidMajorVersion)) ||
		r.Has(uint16(ike.InvalidSyntax))
}

// wentOn says whether the sender of m took its answer after all: a later request of it builds on
// one, be it another of the same exchange (with a cookie, with another group) or the next one.
func (t *talk) wentOn(m *pair.Message) bool {
	last := facts.Sendings(m)
	at := last[len(last)-1].Aligned
	for _, o := range t.Messages {
		if o != m && o.From == m.From && o.Kind == exchange.Request && o.Fragments == 0 && o.MessageID >= m.MessageID &&
			o.Transmissions()[0].Aligned >= at &&
			(o.Exchange == m.Exchange || o.MessageID > m.MessageID) {
			return true
		}
	}
	return false
}

func responseIgnored(j *judge) []report.Finding {
	var all []report.Finding
	for _, t := range j.talks {
		for _, m := range t.Messages {
			r := m.AnsweredBy()
			if m.Kind != exchange.Request || r == nil || j.c.Story(m.From) == nil || !t.wholeAt(r, m.From) || refusesInClear(r) {
				continue
			}
			_, responses := facts.FirstArrival(j.c, r)
			late := facts.RepeatedAfter(j.c, m)
			if late < 2 || t.wentOn(m) {
				continue
			}
			why := ": it ignores the answer."
			if m.Exchange == ike.IKEAuth {
				why += " Either it does not get as far as IKE, or the authentication or identity in it is rejected without a word."
			}
			f := report.Finding{
				Confidence: report.Certain, Conversation: t.ID,
				Explanation: fmt.Sprintf("The answer of %s to %s arrived at %s, and it sent the request %s more%s", j.name(r.From),
					one(m.Exchange), j.name(m.From), plural(late, "time", "times"), why),
				Evidence: append(evidence("the answer arrives", r), evidence("sent again all the same", m)...),
				Actions: []report.Action{j.exec(m.From, "why it does not take the answer: "+
					"a filter behind the capture, control-plane policing, another VRF, a broken checksum",
					append([]string{"show ip access-lists", "show policy-map control-plane"}, showErrors(t.Version)...)...)},
				Subject: onSide(m.From),
				Fields:  map[string]any{"phase": m.Exchange.String(), "responses": responses},
			}
			if m.Exchange == ike.IKEAuth {
				f.Actions = append(f.Actions,
					j.exec(m.From, "what it expects of the peer: remote key, identity, trust", "show crypto ikev2 profile"))
			}
			all = append(all, f)
			break
		}
	}
	return all
}

func exhausted(j *judge) []report.Finding {
	var all []report.Finding
	for _, t := range j.talks {
		for _, m := range t.Messages {
			sent := facts.Sendings(m)
			if m.Kind != exchange.Request || len(sent) < 3 || facts.AnswerArrived(j.c, m) ||
				m.AnsweredBy() != nil && t.wentOn(m) {
				continue
			}
			const mostGaps = 100 // a flood of one message has no timer to be read
			gaps := []float64{}
			for i := 1; i < min(len(sent), mostGaps) && !j.untimed(); i++ {
				gaps = append(gaps, millis(sent[i].Aligned-sent[i-1].Aligned))
			}
			how := "and gave up"
			if !j.gaveUp(t, m) { // no answer came to any of them all the same
				how = "until the capture ended"
			}
			if m.AnsweredBy() != nil && j.c.Story(m.From) == nil {
				how += fmt.Sprintf(", though %s answered: the answers do not arrive, or are ignored", j.name(m.From.Other()))
			}
			what, state := one(m.Exchange), "show crypto ikev2 stats"
			if t.Version == 1 {
				what, state = what+" message", "show crypto isakmp sa"
			}
			all = append(all, report.Finding{
				Confidence: report.Certain, Conversation: t.ID,
				Explanation: fmt.Sprintf("%s sent %s %d times %s.", j.name(m.From), what, len(sent), how),
				Evidence:    evidence("sent again and again", m),
				Actions: []report.Action{j.exec(m.From, "the way to the peer, and what IKE says of it",
					j.toward(m.From, "show ip route %s", "traceroute %s", state)...)},
				Subject: onSide(m.From),
				Fields: map[string]any{"phase": m.Exchange.String(), "transmissions": len(sent),
					"intervals_ms": gaps},
			})
		}
	}
	return all
}

// gaveUp says whether the sender of m asks no more: longer than its last interval nothing more
// came, or a new attempt began.
func (j *judge) gaveUp(t *talk, m *pair.Message) bool {
	sent := facts.Sendings(m)
	last := sent[len(sent)-1].Aligned
	return t.Next != nil || len(sent) > 1 && j.c.Last-last >= last-sent[len(sent)-2].Aligned
}
