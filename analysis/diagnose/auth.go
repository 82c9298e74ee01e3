package diagnose

import (
	"fmt"
	"strings"

	"github.com/moncap/moncap/analysis/facts"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

// bareErrors are the errors that an IKE_AUTH response may hold as one Notify without data and
// without anything beside it: a refused initiator, and what some responders say in the same way of
// the child SA (RFC 7296, Sections 2.21.2 and 1.2).
var bareErrors = []ike.NotifyType{ike.AuthenticationFailed, ike.NoProposalChosen, ike.TSUnacceptable, ike.InvalidSyntax,
	ike.InternalAddressFailure, ike.FailedCPRequired}

func authFailed(j *judge) []report.Finding {
	var all []report.Finding
	for _, t := range j.talks {
		if t.Version != 2 {
			continue
		}
		if m := t.InClear(ike.AuthenticationFailed); m != nil {
			clear := facts.Answer{Messages: []*pair.Message{m}}
			all = append(all, j.refusedAuth(t, m.From, clear, []string{ike.AuthenticationFailed.String()}, report.Certain,
				". It says AUTHENTICATION_FAILED in clear."))
			continue
		}
		if t.End != facts.AuthRefused {
			continue
		}
		if said := innerErrors(t.Answer.Inner); t.Certain && len(said) > 0 {
			how := fmt.Sprintf(". It says %s, read with keys.", strings.Join(said, ", "))
			all = append(all, j.refusedAuth(t, t.By, t.Answer, said, report.Certain, how))
			continue
		}
		all = append(all, j.bareRefusal(t))
	}
	return all
}

// bareRefusal is an IKE_AUTH response of one bare Notify, or of EAP-Failure, which nobody can read
// without keys.
func (j *judge) bareRefusal(t *talk) report.Finding {
	if t.Answer.First == ike.PayloadEAP {
		return j.refusedAuth(t, t.By, t.Answer, []string{}, report.Probable,
			fmt.Sprintf("%sbegins with EAP and has %s of plaintext: an EAP-Failure.", bySize, room(t.Answer)))
	}
	possible := make([]string, len(bareErrors))
	for i, n := range bareErrors {
		possible[i] = n.String()
	}
	how := fmt.Sprintf("%sbegins with a Notify and has %s of plaintext: one bare Notify and no identity. "+
		"That is what AUTHENTICATION_FAILED looks like from outside; a responder that refuses the child SA without naming "+
		"itself (NO_PROPOSAL_CHOSEN, TS_UNACCEPTABLE) looks the same.", bySize, room(t.Answer))
	if j.openIKED(t, t.By) {
		how += fmt.Sprintf(" %s is OpenIKED by its vendor ID, which refuses an ESP proposal in this way: "+
			"NO_PROPOSAL_CHOSEN is as likely.", capital(j.partyName(t.By)))
	}
	f := j.refusedAuth(t, t.By, t.Answer, possible, report.Probable, how)
	for _, s := range pair.Both {
		f.Actions = append(f.Actions, j.exec(s,
			"should its log name the proposal: transform sets and selectors must agree, too", "show crypto ipsec transform-set"))
	}
	return f
}

// openIKED says whether a side's vendor ID is OpenIKED's.
func (j *judge) openIKED(t *talk, s pair.Side) bool {
	for _, m := range t.Messages {
		for _, p := range m.InClear() {
			if v, ok := p.(*ike.VendorID); ok && m.From == s && strings.HasPrefix(string(v.Data), "OpenIKED") {
				return true
			}
		}
	}
	return false
}

// innerErrors are the errors that keys made readable.
func innerErrors(inner []ike.Payload) []string {
	var all []string
	for _, p := range inner {
		if n, ok := p.(*ike.Notify); ok && n.Number.IsError() {
			all = append(all, n.Number.String())
		}
	}
	return all
}

// bySize says in the sentence of a refusal, which is the headline too, that it is inferred; the
// next sentence says how.
const bySize = ", as the size of its answer tells. Its IKE_AUTH response "

// room is the number of bytes inside, in words.
func room(a facts.Answer) string {
	switch {
	case !a.Known:
		return "an unknown number of bytes"
	case a.Min == a.Max:
		return plural(a.Max, "byte", "bytes")
	}
	return fmt.Sprintf("%d to %d bytes", a.Min, a.Max)
}

// roomFields are the fields of a refusal that tell the plaintext of its answer.
func roomFields(a facts.Answer) map[string]any {
	f := map[string]any{"plaintext_min": nil, "plaintext_max": nil}
	if a.Known && len(a.Messages) > 0 {
		f["plaintext_min"], f["plaintext_max"] = a.Min, a.Max
	}
	return f
}

func (j *judge) refusedAuth(t *talk, refuser pair.Side, a facts.Answer, possible []string, c report.Confidence,
	how string) report.Finding {
	other := refuser.Other()
	why := "Which of pre-shared key, identity, certificate or missing profile is the reason"
	ppk := bothAnnounce(t, usePPK)
	if ppk {
		why = "Which of pre-shared key, post-quantum pre-shared key (both sides announced one: USE_PPK), identity, " +
			"certificate or missing profile is the reason"
	}
	f := report.Finding{
		Confidence: c, Conversation: t.ID,
		Explanation: fmt.Sprintf("%s refused the authentication of %s%s %s, packets do not tell; the log of %s does.",
			j.name(refuser), j.name(other), how, why, j.partyName(refuser)),
		Evidence: evidence("the refusal", a.Messages...),
		Actions: []report.Action{
			j.exec(refuser, "the reason, in its own words", "show crypto ikev2 diagnose error",
				"show monitor event-trace crypto ikev2 error all", "show logging"),
			j.exec(refuser, "profile and keyring for "+orWord(j.seenAs(other), "the peer"), "show crypto ikev2 profile",
				"show running-config | section crypto ikev2"),
			j.exec(other, "what it authenticates with", "show crypto ikev2 profile",
				"show running-config | section crypto ikev2"),
		},
		Subject: onSide(refuser), Fields: roomFields(a),
	}
	f.Fields["possible_notifies"] = possible
	if ppk {
		for _, s := range pair.Both {
			f.Actions = append(f.Actions, j.exec(s, "the post-quantum pre-shared key (ppk) and its identity: "+
				"both must be the same", "show running-config | section crypto ikev2 keyring"))
		}
	}
	j.compareProfiles(&f, refuser)
	return f
}

// The notifications with which a side says that it has a post-quantum pre-shared key (RFC 8784,
// Section 3).
const usePPK = 16435

// bothAnnounce says whether both sides sent a notification in IKE_SA_INIT.
func bothAnnounce(t *talk, n uint16) bool {
	var said [2]bool
	for _, m := range t.Messages {
		if m.Exchange == ike.IKESAInit && m.Has(n) {
			said[m.From] = true
		}
	}
	return said[pair.A] && said[pair.B]
}
