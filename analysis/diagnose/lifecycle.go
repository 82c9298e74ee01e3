package diagnose

import (
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/moncap/moncap/analysis/facts"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

func rekey(j *judge) []report.Finding {
	var all []report.Finding
	for _, t := range j.talks {
		var done [2][]*pair.Message
		for _, m := range t.RequestsOf(ike.CreateChildSA) {
			if facts.Made(m.AnsweredBy()) && t.Makes(m) != facts.NewChild && !provenLost(m.AnsweredBy()) {
				done[m.From] = append(done[m.From], m)
			}
		}
		for _, s := range pair.Both {
			if len(done[s]) == 0 {
				continue
			}
			all = append(all, report.Finding{
				Confidence: report.Certain, Conversation: t.ID,
				Explanation: fmt.Sprintf("%s made new keys %s.", j.name(s), plural(len(done[s]), "time", "times")),
				Evidence:    evidence("CREATE_CHILD_SA", done[s]...),
				Fields:      map[string]any{"initiator": s.String(), "count": len(done[s])},
			})
		}
	}
	return all
}

// provenLost says whether no sending of m arrived, by the receiver's own capture.
func provenLost(m *pair.Message) bool {
	n := m.Tally()
	return n.Lost > 0 && n.Delivered == 0 && n.Unknown == 0
}

// overlapping is a CREATE_CHILD_SA request of the other side that crossed m.
func (t *talk) overlapping(m *pair.Message) *pair.Message {
	if t.crossed == nil {
		t.crossed = crossings(t.RequestsOf(ike.CreateChildSA))
	}
	return t.crossed[m]
}

func rekeyCollision(j *judge) []report.Finding {
	var all []report.Finding
	for _, t := range j.talks {
		for _, m := range t.RequestsOf(ike.CreateChildSA) {
			o := t.overlapping(m)
			if o == nil || m.From != pair.A {
				continue
			}
			outcome := "both answered"
			if facts.Refuses(m.AnsweredBy()) || facts.Refuses(o.AnsweredBy()) {
				outcome = "one refused"
			}
			all = append(all, report.Finding{
				Confidence: report.Certain, Conversation: t.ID,
				Explanation: "Both sides made new keys at the same moment; " +
					"the protocol resolves it and one of the new SAs is deleted.",
				Evidence: evidence("CREATE_CHILD_SA of both sides", m, o),
				Fields:   map[string]any{"outcome": outcome},
			})
		}
	}
	return all
}

func rekeyFailed(j *judge) []report.Finding {
	var all []report.Finding
	for _, t := range j.talks {
		for _, m := range t.RequestsOf(ike.CreateChildSA) {
			refused := m.AnsweredBy() != nil && facts.Refuses(m.AnsweredBy())
			switch {
			case j.retriedRekey(t, m), refused && t.overlapping(m) != nil, j.refusedChild(t, m):
			case refused, !facts.AnswerArrived(j.c, m) && !j.mayBeAnswered(t, m):
				all = append(all, j.failedRekey(t, m, refused))
			}
		}
	}
	return all
}

// mayBeAnswered says of a request without an answer that arrived that the captures may have ended
// before one.
func (j *judge) mayBeAnswered(t *talk, m *pair.Message) bool {
	return m.AnsweredBy() != nil && !j.gaveUp(t, m) || len(facts.Sendings(m)) < 2 && j.nearEnd(m)
}

func (j *judge) failedRekey(t *talk, m *pair.Message, refused bool) report.Finding {
	making := t.Makes(m)
	attempt, after := "make new keys", "the tunnel ends when the old ones expire."
	switch making {
	case facts.NewChild:
		attempt, after = "make a child SA", "it carries no traffic."
	case facts.UnsureMaking:
		after = "either the tunnel ends when the old ones expire, or a further child SA is missing; sizes do not tell which."
	}
	how := "stays unanswered"
	if refused {
		how = fmt.Sprintf("is refused by %s", j.name(m.From.Other()))
	}
	f := report.Finding{
		Confidence: report.Certain, Conversation: t.ID, // one bare Notify is no new SA, whichever it is
		Explanation: fmt.Sprintf("The attempt of %s to %s %s: %s", j.name(m.From), attempt, how, after),
		Evidence:    evidence("CREATE_CHILD_SA", m, m.AnsweredBy()),
		Subject:     onSide(m.From.Other()),
	}
	const why = "PFS, transform set and selectors: a difference shows first when keys are renewed"
	for _, s := range pair.Both {
		f.Actions = append(f.Actions,
			j.exec(s, why, "show crypto map", "show crypto ipsec profile", "show crypto ipsec transform-set"))
	}
	if refused {
		j.compareChildConfig(&f)
	}
	return f
}

// retriedRekey says whether a later attempt succeeded, as after INVALID_KE_PAYLOAD or
// TEMPORARY_FAILURE.
func (j *judge) retriedRekey(t *talk, m *pair.Message) bool {
	if t.renewed == nil {
		t.renewed = map[pair.Side]uint32{}
		for _, o := range t.RequestsOf(ike.CreateChildSA) {
			if facts.Made(o.AnsweredBy()) {
				t.renewed[o.From] = max(t.renewed[o.From], o.MessageID)
			}
		}
	}
	return t.renewed[m.From] > m.MessageID
}

// nearEnd says whether m was sent so late that its answer may not have been captured any more.
func (j *judge) nearEnd(m *pair.Message) bool {
	return j.c.Last-m.Transmissions()[len(m.Transmissions())-1].Aligned < facts.Patience
}

func dpdTimeout(j *judge) []report.Finding {
	var all []report.Finding
	for _, t := range j.talks {
		if !t.CameUp() && t.Complete {
			continue
		}
		if t.Version == 1 {
			all = append(all, j.deadPeerV1(t)...)
			continue
		}
		for _, m := range t.RequestsOf(ike.Informational) {
			n := len(facts.Sendings(m))
			if facts.AnswerArrived(j.c, m) || n < 3 || m.FirstInner == ike.PayloadD {
				continue
			}
			all = append(all, j.deadPeer(t, m.From, n, evidence("unanswered", m)))
			break
		}
	}
	return all
}

// leastProbes is how many liveness checks of IKEv1, each of which is a message of its own, must
// stay unanswered.
const leastProbes = 3

func (j *judge) deadPeerV1(t *talk) []report.Finding {
	for _, s := range pair.Both {
		probes, answered := t.Probes(s)
		if len(probes) >= leastProbes && answered {
			return []report.Finding{j.deadPeer(t, s, len(probes), evidence("unanswered", probes...))}
		}
	}
	return nil
}

// deadPeer says that the liveness checks of s got no answer.
func (j *judge) deadPeer(t *talk, s pair.Side, n int, proof []report.Evidence) report.Finding {
	peer := s.Other()
	return report.Finding{
		Confidence: report.Certain, Conversation: t.ID,
		Explanation: fmt.Sprintf("%s asked %s %s whether it is still there and got no answer: the SA will be deleted.",
			j.name(s), j.name(peer), plural(n, "time", "times")),
		Evidence: proof,
		Actions: []report.Action{j.exec(peer, "whether it lost the SA or was reloaded", showSA(t.Version),
			"show version | include uptime"), j.exec(s, "the way to the peer", j.toward(s, showSA(t.Version), "ping %s")...)},
		Subject: onSide(peer),
		Fields:  map[string]any{"requests": n},
	}
}

// showSA is the command that shows the IKE SAs of a version.
func showSA(version int) string {
	if version == 1 {
		return "show crypto isakmp sa detail"
	}
	return "show crypto ikev2 sa detailed"
}

// showErrors are the commands that show why IKE of a version did what it did.
func showErrors(version int) []string {
	if version == 1 {
		return []string{"show logging", "show crypto isakmp sa detail"}
	}
	return []string{"show logging", "show crypto ikev2 diagnose error"}
}

func saDeleted(j *judge) []report.Finding {
	var all []report.Finding
	flapping := j.inFlaps()
	for _, t := range j.talks {
		if t.End == facts.ChildRefused && t.By == t.Initiator && t.Version == 2 {
			all = append(all, j.childDeleted(t))
			continue
		}
		// Of two SAs of a collision, and of one that a new one took over from, the end is no loss.
		if t.Successor != nil || t.End == facts.ChildRefused || t.Next != nil || flapping[t] ||
			t.Version == 1 && !t.CameUp() || j.redundant(t) {
			continue
		}
		m, proven := t.Deletion()
		if m == nil || j.otherLives(t, m.Transmissions()[0].Aligned) {
			continue
		}
		after := millis(m.Transmissions()[0].Aligned - t.Origin())
		all = append(all, report.Finding{
			Confidence: certainIf(proven), Conversation: t.ID,
			Explanation: fmt.Sprintf("%s deleted the IKE SA %s.", j.name(m.From), j.sinceBeginning(t, after)),
			Evidence:    evidence("Delete", m),
			Actions:     []report.Action{j.exec(m.From, "why", showErrors(t.Version)...)},
			Subject:     onSide(m.From),
			Fields:      map[string]any{"after_ms": after},
		})
	}
	return all
}

// redundant says whether t is one of two IKE SAs that a collision of rekeys made, of which one is
// deleted (RFC 7296, Section 2.8.1).
func (j *judge) redundant(t *talk) bool {
	if t.Rekeyed == nil {
		return false
	}
	old := j.bySPI[t.Rekeyed.SPIi]
	return slices.ContainsFunc(old.RequestsOf(ike.CreateChildSA), func(m *pair.Message) bool {
		o := old.overlapping(m)
		return o != nil && m.FirstInner == ike.PayloadSA && o.FirstInner == ike.PayloadSA && !facts.Refuses(m.AnsweredBy()) &&
			!facts.Refuses(o.AnsweredBy())
	})
}

// sinceBeginning says how long after its beginning an SA was deleted.
func (j *judge) sinceBeginning(t *talk, after float64) string {
	if t.Older() {
		return fmt.Sprintf("%s into the captures, which it is older than", duration(after))
	}
	return duration(after) + " after its negotiation began"
}

// childDeleted is for a child SA that the initiator deleted as soon as it was made.
func (j *judge) childDeleted(t *talk) report.Finding {
	m := t.Proof[0]
	after := millis(m.Transmissions()[0].Aligned - t.Origin())
	return report.Finding{
		Confidence: report.Probable, Conversation: t.ID,
		Explanation: fmt.Sprintf("%s deleted the child SA %s after the negotiation began; the IKE SA stays.", j.name(m.From),
			duration(after)),
		Evidence: evidence("Delete of a child SA, and the answer that deletes its other half", m, m.AnsweredBy()),
		Actions:  []report.Action{j.exec(m.From, "why", showErrors(2)...)},
		Subject:  onSide(m.From),
		Fields:   map[string]any{"after_ms": after},
	}
}

func invalidSPI(j *judge) []report.Finding {
	var all []report.Finding
	speaks := func(v *pair.Conversation) bool { return v.MaySay(ike.InvalidIKESPI, ike.InvalidSPI) }
	for m := range j.c.MessagesWhere(speaks) {
		if m.Has(uint16(ike.InvalidIKESPI)) || m.Has(uint16(ike.InvalidSPI)) {
			n, ok := m.Notify(uint16(ike.InvalidSPI))
			spi := hex.EncodeToString(n.Data)
			switch {
			case !ok:
				spi = m.SPIi.String()
			case spi == "": // IKEv1 names it in the payload's own field (RFC 2408, Section 3.14)
				spi = hex.EncodeToString(n.SPI)
			}
			all = append(all, report.Finding{
				Confidence: report.Certain, Conversation: m.Conversation.ID,
				Explanation: fmt.Sprintf("%s received the SPI %s, which it does not know: it lost the SA that %s still uses.",
					j.name(m.From), spi, j.name(m.From.Other())),
				Evidence: evidence("INVALID_SPI", m),
				Actions: []report.Action{j.exec(m.From.Other(),
					"let the tunnel negotiate anew", j.toward(m.From.Other(), "clear crypto session remote %s")...),
					j.config(m.From, "tell the peer at once (a suggestion)", "crypto isakmp invalid-spi-recovery")},
				Subject: onSide(m.From),
				Fields:  map[string]any{"spi": spi},
			})
		}
	}
	return all
}

func errorNotify(j *judge) []report.Finding {
	var all []report.Finding
	for m := range j.c.MessagesWhere((*pair.Conversation).MaySayError) {
		for _, n := range m.Errors() {
			if spokenFor()[n.Number] || j.saysMismatch(m, n.Number) {
				continue
			}
			all = append(all, report.Finding{
				Confidence: report.Certain, Conversation: m.Conversation.ID,
				Explanation: fmt.Sprintf("%s reports %s in clear. Such notifications are not authenticated: "+
					"anybody on the path may have sent it.", j.name(m.From), n.Name),
				Evidence: evidence(n.Name, m),
				Actions:  []report.Action{j.exec(m.From, "the reason, in its own words", showErrors(m.Conversation.Version)...)},
				Subject:  onSide(m.From),
				Fields:   map[string]any{"notify": n.Name},
			})
		}
	}
	return all
}

// saysMismatch says of an error of IKEv1 that it is how the pre-shared keys are known to differ.
func (j *judge) saysMismatch(m *pair.Message, number uint16) bool {
	t := j.of[m.Conversation]
	return t != nil && t.Version == 1 && t.End == facts.AuthRefused && facts.BadMessage(number)
}
