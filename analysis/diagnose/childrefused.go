package diagnose

import (
	"fmt"
	"slices"

	"github.com/moncap/moncap/analysis/facts"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

func childRefused(j *judge) []report.Finding {
	var all []report.Finding
	for _, t := range j.talks {
		switch {
		case t.Version != 2:
		case t.End == facts.ChildRefused:
			all = append(all, j.firstChildRefused(t))
		default:
			if t.FirstRefused || t.ChildOpen {
				all = append(all, j.firstChildInDoubt(t))
			}
			for _, m := range t.RequestsOf(ike.CreateChildSA) {
				if j.refusedChild(t, m) {
					all = append(all, j.furtherChildRefused(t, m))
				}
			}
		}
	}
	return all
}

func (j *judge) firstChildRefused(t *talk) report.Finding {
	a, by := t.Answer, t.By
	reason, how := any(nil), fmt.Sprintf("%sbegins with %s and has %s of plaintext: room for an identity, "+
		"an AUTH and a Notify, but not for SA, TSi and TSr.", bySize, ike.PayloadName(2, a.First), room(a))
	if said := innerErrors(a.Inner); t.Certain && len(said) > 0 {
		reason, how = said[0], ": "+said[0]+", read with keys."
	}
	proof := evidence("no room for a child SA", a.Messages...)
	if by == t.Initiator {
		how = fmt.Sprintf(" that %s had agreed to: right after the answer it sent a Delete, "+
			"which %s answered with one of its own, as the two halves of a child SA are deleted. It does not take what %s made "+
			"of its selectors or its proposal.", j.name(by.Other()), j.name(by.Other()), j.partyName(by.Other()))
		proof = append(evidence("agreed to", a.Messages...), evidence("deleted at once", t.Proof...)...)
	}
	f := report.Finding{
		Confidence: certainIf(t.Certain), Conversation: t.ID,
		Explanation: fmt.Sprintf("The IKE SA came up, and %s refused the child SA%s", j.name(by), how),
		Evidence:    proof, Subject: onSide(by), Fields: roomFields(a),
	}
	if m := t.RefusedOrRedirected(); m != nil {
		j.orRedirected(t, &f, m)
	}
	j.explainChild(&f, by, reason, true)
	return f
}

// firstChildInDoubt is for an IKE SA that stands while the child SA of its IKE_AUTH was refused,
// and another one was made later; or may have been refused.
func (j *judge) firstChildInDoubt(t *talk) report.Finding {
	by, other := t.Responder(), t.Initiator
	f := report.Finding{Severity: report.Warning, Confidence: report.Possible, Conversation: t.ID,
		Evidence: evidence("the answer", t.Answer.Messages...), Subject: onSide(by), Fields: roomFields(t.Answer)}
	if t.FirstRefused {
		f.Title, f.Confidence = "A child SA was refused, and another one made", report.Probable
		f.Explanation = fmt.Sprintf("%s refused the child SA that %s asked for in IKE_AUTH, as the size of its "+
			"answer tells (%s of plaintext), and made one that was asked for later. Where that is for other networks, "+
			"what the first one was for has no SA.", j.name(by), j.name(other), room(t.Answer))
	} else {
		f.Title = "Whether the child SA was made is open"
		f.Explanation = fmt.Sprintf("The IKE SA came up, and whether %s made the child SA with it is open: its "+
			"IKE_AUTH response has %s of plaintext, in which a certificate hides whether a child SA or a refusal of it "+
			"is there, and the captures, which went on, show no traffic since (with --ike-only they never do). "+
			"Traffic through the tunnel decides it, or the state of %s: without a child SA its session is UP-IDLE.",
			j.name(by), room(t.Answer), j.partyName(other))
		f.Actions = []report.Action{j.exec(other, "whether there is a child SA: UP-ACTIVE, with SPIs",
			j.toward(other, "show crypto session remote %s detail", "show crypto ipsec sa peer %s")...)}
	}
	j.explainChild(&f, by, nil, true)
	return f
}

// orRedirected is for a child SA that may not be refused: sizes and order tell no refusal from a
// REDIRECT, behind both of which the initiator deletes what it has with d.
func (j *judge) orRedirected(t *talk, f *report.Finding, d *pair.Message) {
	by, other := t.Responder(), t.Initiator
	said := "answered IKE_AUTH without a child SA"
	refused := fmt.Sprintf("%s refused the child SA, or sent %s", j.partyName(by), j.partyName(other))
	told := t.Told(d)
	if told != nil {
		said = "said one bare Notify right after its IKE_AUTH answer"
		refused = fmt.Sprintf("one of them refused the child SA, or %s sent %s", j.partyName(by), j.partyName(other))
	}
	f.Title, f.Severity, f.Confidence = "Whether the child SA was refused is open", report.Warning, report.Possible
	f.Explanation = fmt.Sprintf("%s %s, and %s deleted the SA at once: %s to another gateway. %s says that it follows a "+
		"REDIRECT, which sizes and order do not tell from a refusal; the response begins with %s and has %s of plaintext. "+
		"The log of %s tells, and so does a capture of where %s goes next.", j.name(by), said, j.name(other), refused,
		capital(j.partyName(other)), ike.PayloadName(2, t.Answer.First), room(t.Answer), j.partyName(by),
		j.partyName(other))
	f.Evidence = append(evidence("the answer", t.Answer.Messages...), evidence("said right after it", told)...)
	f.Evidence = append(f.Evidence, evidence("deleted at once", d)...)
	f.Actions = []report.Action{j.exec(by, "whether it redirects", "show crypto ikev2 cluster", "show crypto ikev2 stats")}
}

// refusedChild says whether m asked for a further child SA, of an IKE SA that
// stands, and was refused.
func (j *judge) refusedChild(t *talk, m *pair.Message) bool {
	return m.AnsweredBy() != nil && facts.Refuses(m.AnsweredBy()) && t.Makes(m) == facts.NewChild &&
		t.overlapping(m) == nil && !triedAgain(t, m)
}

// triedAgain says whether the side that was refused m asked again at once, as after
// INVALID_KE_PAYLOAD, and got it.
func triedAgain(t *talk, m *pair.Message) bool {
	const atOnce = 100e6
	at := m.AnsweredBy().Transmissions()[0].Aligned
	return slices.ContainsFunc(t.RequestsOf(ike.CreateChildSA), func(o *pair.Message) bool {
		asked := o.Transmissions()[0].Aligned
		return o.From == m.From && asked >= at && asked < at+atOnce && facts.Made(o.AnsweredBy())
	})
}

func (j *judge) furtherChildRefused(t *talk, m *pair.Message) report.Finding {
	refuser := m.AnsweredBy().From
	a := facts.Answer{Messages: []*pair.Message{m.AnsweredBy()}, Known: m.AnsweredBy().Plain().Known,
		Min: m.AnsweredBy().Plain().Min, Max: m.AnsweredBy().Plain().Max}
	reason, which := any(nil), "a further"
	if t.Childless() {
		which = "the" // one may have been made meanwhile
	}
	how := fmt.Sprintf(": its CREATE_CHILD_SA response is one bare Notify (%s of plaintext). The request is no rekey: "+
		"it has no REKEY_SA, and neither its size nor its time is that of a renewal of the IKE SA.", room(a))
	if said := innerErrors(m.AnsweredBy().Inner()); len(said) > 0 {
		reason, how = said[0], ": "+said[0]+", read with keys."
	}
	f := report.Finding{
		Confidence: certainIf(reason != nil), Conversation: t.ID,
		Explanation: fmt.Sprintf("%s refused %s child SA that %s asked for%s", j.name(refuser), which, j.name(m.From), how),
		Evidence:    evidence("CREATE_CHILD_SA and its refusal", m, m.AnsweredBy()),
		Subject:     onSide(refuser), Fields: roomFields(a),
	}
	if t.CameUp() && !t.Childless() {
		f.Explanation += " What was made before it is untouched."
	}
	if j.retriedRekey(t, m) {
		f.Severity, f.Confidence = report.Warning, report.Possible
		f.Explanation += fmt.Sprintf(" What %s asked for later was made: the same at another attempt, "+
			"or a child SA for other networks.", j.partyName(m.From))
	}
	j.explainChild(&f, refuser, reason, false)
	return f
}

// explainChild adds to a refused child SA what may be the reason, and where to look. The first one
// has the keys of IKE_AUTH, which does no key exchange for it (RFC 7296, Section 1.2): PFS is no
// reason there.
func (j *judge) explainChild(f *report.Finding, refuser pair.Side, reason any, first bool) {
	differ, agree := "transform sets, traffic selectors or PFS", ", PFS"
	if first {
		differ, agree = "transform sets or traffic selectors", ""
	}
	if f.Fields["reason"] = reason; reason == nil {
		f.Explanation += fmt.Sprintf(" Whether %s differ, "+
			"or %s could not install the SA, packets do not tell; its log does.", differ, j.partyName(refuser))
	}
	f.Actions = append(f.Actions, j.exec(refuser, "the reason, in its own words: a difference, "+
		"or an SA that it could not install", "show crypto ikev2 diagnose error", "show logging"))
	for _, s := range pair.Both {
		f.Actions = append(f.Actions, j.exec(s, "transform set, crypto ACL or selectors"+agree+": both sides must agree",
			"show crypto ipsec transform-set", "show crypto map", "show crypto ipsec profile"))
	}
	j.compareChildConfig(f)
}
