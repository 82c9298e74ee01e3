package diagnose

import (
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

// rekeyRefused says whether an answer to CREATE_CHILD_SA is a refusal: it has no room for a new SA, or holds an error that keys made readable.
func rekeyRefused(m *pair.Message) bool {
	if len(m.Inner) > 0 {
		for _, n := range m.InnerNotifies() {
			if n.Number.IsError() {
				return true
			}
		}
		return false
	}
	return m.Sealed().Refused() == ike.Yes
}

// rekeyDone says whether an answer to CREATE_CHILD_SA brings a new SA, for all that can be seen.
func rekeyDone(m *pair.Message) bool {
	return m != nil && !rekeyRefused(m) && (len(m.Inner) > 0 || !m.Plain.Known && m.SKLen > largestShort || m.Sealed().Refused() == ike.No)
}

func rekey(j *judge) []report.Finding {
	var all []report.Finding
	for _, t := range j.talks {
		var done [2][]*pair.Message
		for _, m := range t.requestsOf(ike.CreateChildSA) {
			if rekeyDone(m.AnsweredBy) {
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

// overlapping is a CREATE_CHILD_SA request of the other side that crossed m.
func (t *talk) overlapping(m *pair.Message) *pair.Message {
	if t.crossed == nil {
		t.crossed = crossings(t.requestsOf(ike.CreateChildSA))
	}
	return t.crossed[m]
}

func rekeyCollision(j *judge) []report.Finding {
	var all []report.Finding
	for _, t := range j.talks {
		for _, m := range t.requestsOf(ike.CreateChildSA) {
			o := t.overlapping(m)
			if o == nil || m.From != pair.A {
				continue
			}
			outcome := "both answered"
			if rekeyRefused(m.AnsweredBy) || rekeyRefused(o.AnsweredBy) {
				outcome = "one refused"
			}
			all = append(all, report.Finding{
				Confidence: report.Certain, Conversation: t.ID,
				Explanation: "Both sides made new keys at the same moment; the protocol resolves it and one of the new SAs is deleted.",
				Evidence:    evidence("CREATE_CHILD_SA of both sides", m, o),
				Fields:      map[string]any{"outcome": outcome},
			})
		}
	}
	return all
}

func rekeyFailed(j *judge) []report.Finding {
	var all []report.Finding
	for _, t := range j.talks {
		for _, m := range t.requestsOf(ike.CreateChildSA) {
			refused := m.AnsweredBy != nil && rekeyRefused(m.AnsweredBy)
			if !refused && (j.answerArrived(m) || m.AnsweredBy != nil && !j.gaveUp(t, m) || len(sendings(m)) < 2 && j.nearEnd(m)) || refused && t.overlapping(m) != nil || j.retriedRekey(t, m) {
				continue
			}
			how := "stays unanswered"
			if refused {
				how = fmt.Sprintf("is refused by %s", j.name(m.From.Other()))
			}
			f := report.Finding{
				Confidence: report.Certain, Conversation: t.ID, // one bare Notify is no new SA, whichever it is
				Explanation: fmt.Sprintf("The attempt of %s to make new keys %s: the tunnel ends when the old ones expire.", j.name(m.From), how),
				Evidence:    evidence("CREATE_CHILD_SA", m, m.AnsweredBy),
				Actions: []report.Action{j.exec(pair.A, "PFS, transform set and selectors: a difference shows first when keys are renewed", "show crypto map", "show crypto ipsec profile", "show crypto ipsec transform-set"),
					j.exec(pair.B, "PFS, transform set and selectors: a difference shows first when keys are renewed", "show crypto map", "show crypto ipsec profile", "show crypto ipsec transform-set")},
				Fields: map[string]any{"side": m.From.Other().String()},
			}
			if refused {
				j.compareChildConfig(&f)
			}
			all = append(all, f)
		}
	}
	return all
}

// retriedRekey says whether a later attempt succeeded, as after INVALID_KE_PAYLOAD or TEMPORARY_FAILURE.
func (j *judge) retriedRekey(t *talk, m *pair.Message) bool {
	if t.renewed == nil {
		t.renewed = map[pair.Side]uint32{}
		for _, o := range t.requestsOf(ike.CreateChildSA) {
			if rekeyDone(o.AnsweredBy) {
				t.renewed[o.From] = max(t.renewed[o.From], o.MessageID)
			}
		}
	}
	return t.renewed[m.From] > m.MessageID
}

// sendings are the transmissions of m without duplicates; not to be changed.
func sendings(m *pair.Message) []*pair.Transmission {
	if !slices.ContainsFunc(m.Transmissions, func(t *pair.Transmission) bool { return t.Duplicate }) {
		return slices.Clip(m.Transmissions) // as nearly always
	}
	var all []*pair.Transmission
	for _, t := range m.Transmissions {
		if !t.Duplicate {
			all = append(all, t)
		}
	}
	return all
}

// nearEnd says whether m was sent so late that its answer may not have been captured any more.
func (j *judge) nearEnd(m *pair.Message) bool {
	return j.c.Last-m.Transmissions[len(m.Transmissions)-1].Aligned < patience
}

func dpdTimeout(j *judge) []report.Finding {
	var all []report.Finding
	for _, t := range j.talks {
		if t.Version != 2 || t.end != established && t.Complete {
			continue
		}
		for _, m := range t.requestsOf(ike.Informational) {
			n := len(sendings(m))
			if j.answerArrived(m) || n < 3 || m.FirstInner == ike.PayloadD {
				continue
			}
			all = append(all, report.Finding{
				Confidence: report.Certain, Conversation: t.ID,
				Explanation: fmt.Sprintf("%s asked %s %s whether it is still there and got no answer: the SA will be deleted.", j.name(m.From), j.name(m.From.Other()), plural(n, "time", "times")),
				Evidence:    evidence("unanswered", m),
				Actions: []report.Action{j.exec(m.From.Other(), "whether it lost the SA or was reloaded", "show crypto ikev2 sa detailed", "show version | include uptime"),
					j.exec(m.From, "the way to the peer", j.toward(m.From, "show crypto ikev2 sa detailed", "ping %s")...)},
				Fields: map[string]any{"side": m.From.Other().String(), "requests": n},
			})
			break
		}
	}
	return all
}

func saDeleted(j *judge) []report.Finding {
	var all []report.Finding
	for _, t := range j.talks {
		// Of two SAs of a collision, and of one that a new one took over from, the end is no loss.
		if t.Successor != nil || t.end == childDenied || t.end == responderDenied || t.Next != nil || j.otherLives(t) {
			continue
		}
		m, proven := t.deletion()
		if m == nil {
			continue
		}
		after := millis(m.Transmissions[0].Aligned - t.origin())
		all = append(all, report.Finding{
			Confidence: certainIf(proven), Conversation: t.ID,
			Explanation: fmt.Sprintf("%s deleted the IKE SA %s after its negotiation began.", j.name(m.From), duration(after)),
			Evidence:    evidence("Delete", m),
			Actions:     []report.Action{j.exec(m.From, "why", "show logging", "show crypto ikev2 diagnose error")},
			Fields:      map[string]any{"deleting_side": m.From.String(), "after_ms": after},
		})
	}
	return all
}

// origin is when the negotiation began that this IKE SA goes back to: through every rekey.
func (t *talk) origin() int64 {
	v := t.Conversation
	for v.Rekeyed != nil {
		v = v.Rekeyed
	}
	return v.First
}

// deletion is the message that ended the IKE SA: its Delete, or an INFORMATIONAL that begins with one and after which the
// SPI pair is never used again; the latter is not proven.
func (t *talk) deletion() (m *pair.Message, proven bool) {
	if !t.sought {
		t.sought = true
		t.deleted, t.deletedSure = t.findDeletion()
	}
	return t.deleted, t.deletedSure
}

func (t *talk) findDeletion() (*pair.Message, bool) {
	for i, m := range t.Messages {
		info := t.Version == 2 && m.Exchange == ike.Informational && m.Kind == exchange.Request || t.Version == 1 && m.Exchange == ike.V1Informational
		if !info {
			continue
		}
		for _, p := range append(m.Parsed.Payloads, m.Inner...) {
			switch d := p.(type) {
			case *ike.Delete:
				if d.Protocol == ike.ProtocolIKE {
					return m, true
				}
			case *ike.DeleteV1:
				if d.Protocol == ike.ProtocolIKE {
					return m, true
				}
			}
		}
		if t.Version == 2 && m.FirstInner == ike.PayloadD && len(m.Inner) == 0 && t.silentAfter(i, m) && m.Sealed().DeletesIKE() != ike.No && !t.endsReplaced(i) {
			return m, false
		}
	}
	return nil, false
}

// endsReplaced says whether the Delete at i is that of an SA which a CREATE_CHILD_SA exchange before it replaced: each of
// these is followed by one (RFC 7296, Section 2.8). One that is known to have 8 bytes is of an IKE SA and ends a replaced IKE SA only.
func (t *talk) endsReplaced(i int) bool {
	d := t.Messages[i]
	ofIKE := d.Sealed().DeletesIKE() == ike.Yes
	open := 0
	for _, m := range t.Messages[:i] {
		switch {
		case m.Kind != exchange.Request:
		case m.Exchange == ike.CreateChildSA && rekeyDone(m.AnsweredBy) && (!ofIKE || m.FirstInner == ike.PayloadSA):
			open++
		case m.Exchange == ike.Informational && m.FirstInner == ike.PayloadD:
			open--
		}
	}
	return open > 0
}

func (t *talk) silentAfter(i int, m *pair.Message) bool {
	for _, o := range t.Messages[i+1:] {
		if o != m.AnsweredBy {
			return false
		}
	}
	return true
}

func invalidSPI(j *judge) []report.Finding {
	var all []report.Finding
	for m := range j.c.Messages() {
		if m.Has(uint16(ike.InvalidIKESPI)) || m.Has(uint16(ike.InvalidSPI)) {
			n, ok := m.Notify(uint16(ike.InvalidSPI))
			spi := hex.EncodeToString(n.Data)
			if !ok {
				spi = m.SPIi.String()
			}
			all = append(all, report.Finding{
				Confidence: report.Certain, Conversation: m.Conversation.ID,
				Explanation: fmt.Sprintf("%s received the SPI %s, which it does not know: it lost the SA that %s still uses.", j.name(m.From), spi, j.name(m.From.Other())),
				Evidence:    evidence("INVALID_SPI", m),
				Actions: []report.Action{j.exec(m.From.Other(), "let the tunnel negotiate anew", j.toward(m.From.Other(), "clear crypto session remote %s")...),
					j.config(m.From, "tell the peer at once (a suggestion)", "crypto isakmp invalid-spi-recovery")},
				Fields: map[string]any{"side": m.From.String(), "spi": spi},
			})
		}
	}
	return all
}

// covered are the error notifications that have findings of their own.
var covered = map[uint16]bool{
	uint16(ike.NoProposalChosen): true, uint16(ike.InvalidKEPayload): true, uint16(ike.InvalidMajorVersion): true,
	uint16(ike.InvalidIKESPI): true, uint16(ike.InvalidSPI): true, uint16(ike.AuthenticationFailed): true,
}

func errorNotify(j *judge) []report.Finding {
	var all []report.Finding
	for m := range j.c.Messages() {
		for _, n := range m.Errors() {
			if covered[n.Number] || m.Conversation.Version == 1 && (badMessage(n.Number) && j.has(m.Conversation.ID, "psk-mismatch-v1")) {
				continue
			}
			all = append(all, report.Finding{
				Confidence: report.Certain, Conversation: m.Conversation.ID,
				Explanation: fmt.Sprintf("%s reports %s in clear. Such notifications are not authenticated: anybody on the path may have sent it.", j.name(m.From), n.Name),
				Evidence:    evidence(n.Name, m),
				Actions:     []report.Action{j.exec(m.From, "the reason, in its own words", "show logging", "show crypto ikev2 diagnose error")},
				Fields:      map[string]any{"side": m.From.String(), "notify": n.Name},
			})
		}
	}
	return all
}
