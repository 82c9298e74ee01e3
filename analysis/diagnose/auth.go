package diagnose

import (
	"fmt"
	"slices"
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

func childRefused(j *judge) []report.Finding {
	var all []report.Finding
	for _, t := range j.talks {
		switch {
		case t.Version != 2:
		case t.End == facts.ChildRefused:
			all = append(all, j.firstChildRefused(t))
		default:
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
	j.explainChild(&f, by, reason)
	return f
}

// refusedChild says whether m asked for a further child SA, of an IKE SA that stands, and was
// refused.
func (j *judge) refusedChild(t *talk, m *pair.Message) bool {
	return m.AnsweredBy() != nil && facts.Refuses(m.AnsweredBy()) && t.Makes(m) == facts.NewChild && t.overlapping(m) == nil &&
		!j.retriedRekey(t, m)
}

func (j *judge) furtherChildRefused(t *talk, m *pair.Message) report.Finding {
	refuser := m.AnsweredBy().From
	a := facts.Answer{Messages: []*pair.Message{m.AnsweredBy()}, Known: m.AnsweredBy().Plain().Known,
		Min: m.AnsweredBy().Plain().Min, Max: m.AnsweredBy().Plain().Max}
	reason := any(nil)
	how := fmt.Sprintf(": its CREATE_CHILD_SA response is one bare Notify (%s of plaintext). The request is no rekey: "+
		"it has no REKEY_SA, and neither its size nor its time is that of a renewal of the IKE SA.", room(a))
	if said := innerErrors(m.AnsweredBy().Inner()); len(said) > 0 {
		reason, how = said[0], ": "+said[0]+", read with keys."
	}
	f := report.Finding{
		Confidence: certainIf(reason != nil), Conversation: t.ID,
		Explanation: fmt.Sprintf("%s refused a further child SA that %s asked for%s", j.name(refuser), j.name(m.From), how),
		Evidence:    evidence("CREATE_CHILD_SA and its refusal", m, m.AnsweredBy()),
		Subject:     onSide(refuser), Fields: roomFields(a),
	}
	if t.CameUp() && !t.Childless() {
		f.Explanation += " What was made before it is untouched."
	}
	j.explainChild(&f, refuser, reason)
	return f
}

// explainChild adds to a refused child SA what may be the reason, and where to look.
func (j *judge) explainChild(f *report.Finding, refuser pair.Side, reason any) {
	if f.Fields["reason"] = reason; reason == nil {
		f.Explanation += fmt.Sprintf(" Whether transform sets, traffic selectors or PFS differ, "+
			"or %s could not install the SA, packets do not tell; its log does.", j.partyName(refuser))
	}
	f.Actions = append(f.Actions, j.exec(refuser, "the reason, in its own words: a difference, "+
		"or an SA that it could not install", "show crypto ikev2 diagnose error", "show logging"))
	for _, s := range pair.Both {
		f.Actions = append(f.Actions, j.exec(s, "transform set, crypto ACL or selectors, PFS: both sides must agree",
			"show crypto ipsec transform-set", "show crypto map", "show crypto ipsec profile"))
	}
	j.compareChildConfig(f)
}

func responderRejected(j *judge) []report.Finding {
	var actions [2][]report.Action // by who rejects: of thousands of negotiations all say the same
	for _, s := range pair.Both {
		actions[s] = []report.Action{
			j.exec(s, "what it expects of the peer: remote key and remote identity, trust in its certificate",
				"show crypto ikev2 profile", "show crypto ikev2 diagnose error", "show crypto pki certificates"),
			j.exec(s.Other(), "what it authenticates with", "show crypto ikev2 profile", "show crypto pki certificates"),
		}
	}
	rejected := func(t *talk) bool {
		return (t.End == facts.ResponderRejected || t.Doubted) && (t.Certain || !j.superseded(t))
	}
	n := 0
	for _, t := range j.talks {
		if rejected(t) {
			n++
		}
	}
	all, told := make([]report.Finding, 0, n), rejections{}
	for _, t := range j.talks {
		if !rejected(t) {
			continue
		}
		f := report.Finding{
			Confidence: certainIf(t.Certain), Conversation: t.ID, Actions: slices.Clip(actions[t.Initiator]),
			Subject: onSide(t.Initiator),
		}
		j.howRejected(t, &f, told)
		j.compareProfiles(&f, t.Initiator)
		all = append(all, f)
	}
	return all
}

// rejections are the sentences about rejections by who rejects and what it did: of thousands of negotiations they are the same.
type rejections map[rejection]string

type rejection struct {
	by  pair.Side
	how string
}

// howRejected says by what the initiator's rejection shows.
func (j *judge) howRejected(t *talk, f *report.Finding, told rejections) {
	if t.Doubted {
		j.fellSilent(t, f)
		return
	}
	m := t.Proof[0]
	f.Evidence = append(evidence("the whole answer", t.Answer.Messages...), evidence("what the initiator did next", m)...)
	how := " and then sent one bare Notify: it rejects the answer's authentication or identity."
	switch {
	case m.Conversation != t.Conversation:
		how = ", used nothing of it and began anew at once: it rejects the answer's authentication or identity."
	case m.FirstInner == ike.PayloadD:
		how = " and deleted the SA at once, before any traffic: it rejects the answer's authentication, certificate or identity."
	}
	k := rejection{t.Initiator, how}
	if told[k] == "" {
		told[k] = fmt.Sprintf("%s got the whole IKE_AUTH answer of %s%s", j.name(t.Initiator), j.name(t.Responder()), how)
	}
	f.Explanation = told[k]
}

// fellSilent is for an initiator of which nothing but its silence speaks: a healthy tunnel without
// traffic looks the same, so it is no more than a warning, and says what would decide it.
func (j *judge) fellSilent(t *talk, f *report.Finding) {
	what := "the certificate or identity"
	if !t.Certificates() {
		what = "the authentication or identity"
	}
	who, other := j.name(t.Initiator), j.name(t.Responder())
	f.Severity, f.Confidence = report.Warning, report.Possible
	said, evident := "has said nothing since, neither IKE nor ESP, while the captures went on. It has nothing to send, or it "+
		"rejected "+what+" without a word, as some implementations do", t.Answer.Messages
	switch n := len(t.Proof); {
	case n == 0:
	case t.Proof[n-1].Conversation != t.Conversation:
		said = fmt.Sprintf("used nothing of it until it began anew %s later. It rejected %s without a word, or has another tunnel with the same peer",
			duration(millis(t.Proof[n-1].Conversation.First-t.Completed())), what)
		evident = append(slices.Clip(evident), t.Proof[n-1])
	case t.Proof[n-1].Exchange == ike.Informational:
		said = "then said one bare Notify and nothing else. It rejected " + what + ", or told of its addresses, which looks the same"
		evident = append(slices.Clip(evident), t.Proof[n-1])
	}
	f.Explanation = fmt.Sprintf("Whether %s accepted %s is open: it got the whole IKE_AUTH answer and %s. Traffic through the tunnel decides it, or the state of %s: an IKE SA that is READY "+
		"with the SPIs %s and %s was accepted.", who, other, said, j.partyName(t.Initiator), t.SPIi, t.ResponderSPI())
	f.Evidence = evidence("the last that was said", evident...)
	state := j.exec(t.Initiator, "whether it has the SA: READY, and UP-ACTIVE", j.toward(t.Initiator,
		"show crypto ikev2 sa remote %s detailed", "show crypto session remote %s detail")...)
	f.Actions = append([]report.Action{state}, f.Actions...)
}

func tunnelEstablished(j *judge) []report.Finding {
	var all []report.Finding
	for _, t := range j.talks {
		if !t.CameUp() || t.Rekeyed != nil || t.Foreign { // what others do decides nothing
			continue
		}
		f := report.Finding{
			Confidence: certainIf(t.Certain), Conversation: t.ID,
			Fields: map[string]any{"initiator": t.Initiator.String(), "version": t.Version, "spi_i": t.SPIi.String(),
				"spi_r": t.ResponderSPI().String(), "port": t.lastPort(), "setup_time_ms": nil},
		}
		if t.Older() {
			j.olderSA(t, &f)
		} else {
			j.newSA(t, &f)
		}
		all = append(all, f)
	}
	return all
}

// olderSA is for an IKE SA of which the captures hold no beginning: its Initiator flag tells who
// made it, which need not be who began the tunnel, since the side that rekeys an IKE SA is the
// initiator of the new one (RFC 7296, Section 2.8).
func (j *judge) olderSA(t *talk, f *report.Finding) {
	f.Confidence = report.Probable
	f.Fields["initiator"] = nil
	f.Explanation = fmt.Sprintf("The tunnel of %s and %s is up, with an SA older than the captures: "+
		"messages of its IKEv%d SA are answered, on %s.", j.name(pair.A), j.name(pair.B), t.Version, t.lastTransport())
	if t.Version == 2 {
		f.Explanation += fmt.Sprintf(" The Initiator flag says that %s made the present IKE SA; "+
			"who began the tunnel does not show, since each rekey may turn the roles.", j.name(t.Initiator))
	}
	f.Evidence = evidence("an exchange of the SA", t.Messages[len(t.Messages)-1])
}

func (j *judge) newSA(t *talk, f *report.Finding) {
	took := ""
	if t.Complete {
		if ms, ok := j.setupTime(t); ok {
			f.Fields["setup_time_ms"] = ms
			took = " It took " + duration(ms) + "."
		}
	}
	f.Explanation = fmt.Sprintf("%s began an IKEv%d negotiation with %s and it came up, on %s.%s%s",
		j.name(t.Initiator), t.Version, j.name(t.Responder()), t.lastTransport(), took, j.moves(t))
	if t.Listed {
		f.Explanation += fmt.Sprintf(" Its own router lists the IKE SA as READY, with the SPIs %s and %s.", t.SPIi,
			t.ResponderSPI())
	}
	switch {
	case t.Certain:
	case !t.Taken:
		f.Explanation += fmt.Sprintf(" That is what %s says: nothing in the captures shows yet that %s took the answer, "+
			"neither traffic nor an exchange of the new SA.", j.partyName(t.Responder()), j.partyName(t.Initiator))
	default:
		f.Explanation += fmt.Sprintf(" The IKE_AUTH response has %s of plaintext, which is enough for a child SA; "+
			"a refusal with a long identity or a certificate could be as large.", room(t.Answer))
	}
	f.Evidence = evidence("the exchange that made the tunnel", t.Answer.Messages...)
	if m := t.lastOfNegotiation(); len(f.Evidence) == 0 && m != nil {
		f.Evidence = evidence("the last message of the negotiation", m)
	}
}

// lastOfNegotiation is the message with which the tunnel stood; without one in the captures, the
// last of all.
func (t *talk) lastOfNegotiation() *pair.Message {
	var last *pair.Message
	for _, m := range t.Messages {
		if at := m.Transmissions()[0].Aligned; facts.Negotiates(m) && at <= t.Completed() {
			last = m
		}
	}
	if n := len(t.Messages); last == nil && n > 0 {
		last = t.Messages[n-1]
	}
	return last
}

// lastPort is the IKE port that the conversation ended on.
func (t *talk) lastPort() int {
	if len(t.Messages) == 0 {
		return 0
	}
	m := t.Messages[len(t.Messages)-1]
	return int(m.Transmissions()[len(m.Transmissions())-1].Port())
}

// lastTransport is the protocol and port that the conversation ended on, for people.
func (t *talk) lastTransport() string {
	if len(t.Messages) == 0 {
		return "UDP"
	}
	return fmt.Sprintf("%s %d", transport(t.Messages[len(t.Messages)-1]), t.lastPort())
}

// untimed says whether the times of a capture are none, so that what stands for them is an order
// and no duration.
func (j *judge) untimed() bool { return j.c.Parties[pair.A].Untimed || j.c.Parties[pair.B].Untimed }

// setupTime is from the first request to the answer that made the tunnel, in milliseconds: to its
// arrival, not to one that was lost on the way. An attempt that another group was asked for belongs
// to it.
func (j *judge) setupTime(t *talk) (float64, bool) {
	if c := j.c.Clock; c != nil && len(c.Steps) > 0 {
		return 0, false // near the moment a clock was set, the two sides' times are not comparable
	}
	if j.untimed() {
		return 0, false
	}
	end := t.Completed()
	for _, m := range t.Answer.Messages {
		if at, n := facts.FirstArrival(j.c, m); n > 0 {
			end = max(end, at)
		}
	}
	start := t.Began()
	if end <= start {
		return 0, false
	}
	return millis(end - start), true
}
