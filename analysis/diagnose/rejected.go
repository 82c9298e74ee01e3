package diagnose

import (
	"fmt"
	"slices"

	"github.com/moncap/moncap/analysis/facts"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

func responderRejected(j *judge) []report.Finding {
	var actions [2][2][]report.Action // by who rejects and version: of thousands of negotiations all say the same
	for _, s := range pair.Both {
		const expects = "what it expects of the peer: remote key and remote identity, trust in its certificate"
		const shows, pki = "what it authenticates with", "show crypto pki certificates"
		actions[s] = [2][]report.Action{
			{j.exec(s, expects, showProfile(true), "show crypto isakmp key", pki, "show logging"),
				j.exec(s.Other(), shows, showProfile(true), "show crypto isakmp key", pki)},
			{j.exec(s, expects, showProfile(false), "show crypto ikev2 diagnose error", pki),
				j.exec(s.Other(), shows, showProfile(false), pki)},
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
			Confidence: certainIf(t.Certain), Conversation: t.ID, Actions: slices.Clip(actions[t.Initiator][t.Version-1]),
			Subject: onSide(t.Initiator),
		}
		if t.stopsInEAP() {
			j.eapStops(t, &f)
			all = append(all, f)
			continue
		}
		j.howRejected(t, &f, told)
		if t.Version == 2 {
			j.compareProfiles(&f, t.Initiator)
		}
		all = append(all, f)
	}
	return all
}

// stopsInEAP says whether the answer that the initiator turned down is a round of EAP: what proves
// the responder came with an answer before it, and the initiator went on from that (RFC 7296,
// Section 2.16).
func (t *talk) stopsInEAP() bool {
	return t.Version == 2 && !t.Doubted && len(t.Answer.Messages) > 0 && t.Answer.First == ike.PayloadEAP
}

// eapStops tells of EAP that failed, most often for a wrong password: the initiator says so.
func (j *judge) eapStops(t *talk, f *report.Finding) {
	by, other := t.Initiator, t.Responder()
	f.Title = "The initiator gave up within EAP"
	f.Explanation = fmt.Sprintf("%s got an EAP message of %s in IKE_AUTH, and then gave up. "+
		"It had gone on from the answer that proves who %s is, so that EAP failed: most likely the user "+
		"name or password of %s is wrong, or both sides want another method of EAP.",
		j.name(by), j.name(other), j.partyName(other), j.partyName(by))
	f.Actions = []report.Action{
		j.exec(by, "user name, password and method of EAP that it authenticates with", showProfile(false),
			"show crypto ikev2 diagnose error"),
		j.exec(other, "why the user was refused: its own list of users, or AAA and the server behind it",
			"show aaa servers", showProfile(false), "show logging"),
	}
}

// rejections are the sentences about rejections by who rejects and what it did: of thousands of
// negotiations they are the same.
type rejections map[rejection]string

type rejection struct {
	by  pair.Side
	how string
}

// howRejected says by what the initiator's rejection shows.
func (j *judge) howRejected(t *talk, f *report.Finding, told rejections) {
	switch {
	case t.Doubted && t.Version == 1:
		j.saidAtLast(t, f)
		return
	case t.Doubted:
		j.fellSilent(t, f)
		return
	}
	m := t.Proof[0]
	how := " and then sent one bare Notify: it rejects the answer's authentication or identity."
	switch {
	case m.Conversation != t.Conversation:
		how = ", used nothing of it and began anew at once: it rejects the answer's authentication or identity."
	case m.FirstInner == ike.PayloadD:
		how = " and deleted the SA at once, before any traffic: it rejects the answer's authentication, certificate or " +
			"identity."
	}
	what := "the whole IKE_AUTH answer of"
	if t.Version == 1 {
		what, how = "the sixth message of Main Mode, the proof of who it is, of", " and then said something encrypted "+
			"where Quick Mode is due: it rejects the identity, key or certificate in it."
	}
	k := rejection{t.Initiator, how}
	if told[k] == "" {
		told[k] = fmt.Sprintf("%s got "+what+" %s%s", j.name(t.Initiator), j.name(t.Responder()), how)
	}
	f.Explanation = told[k]
}

// doubtful is the title where the captures show no more than that.
const doubtful = "Whether the initiator accepted the responder is open"

// fellSilent is for an initiator of which nothing but its silence speaks: a healthy tunnel without
// traffic looks the same, so it is no more than a warning, and says what would decide it.
func (j *judge) fellSilent(t *talk, f *report.Finding) {
	what := "the certificate or identity"
	if !t.Certificates() {
		what = "the authentication or identity"
	}
	who, other := j.name(t.Initiator), j.name(t.Responder())
	f.Title, f.Severity, f.Confidence = doubtful, report.Warning, report.Possible
	said := "has said nothing since, neither IKE nor ESP, while the captures went on. It has nothing to " +
		"send, or it rejected " + what + " without a word, as some implementations do"
	switch m := t.lastSaid(); {
	case m == nil:
	case m.Conversation != t.Conversation:
		said = fmt.Sprintf("used nothing of it until it began anew %s later. It rejected %s without a word, or has another "+
			"tunnel with the same peer", duration(millis(m.Conversation.First-t.Completed())), what)
	default:
		said = "then said one bare Notify and nothing else. It rejected " + what +
			", or told of its addresses, which looks the same"
	}
	got := "it got the whole IKE_AUTH answer and " + said
	if at, _ := facts.FirstArrival(j.c, t.Answer.Messages[0]); at < 0 || j.c.Story(t.Initiator) == nil {
		got = "no capture shows that it got the IKE_AUTH answer; it " + said + ", or never got it"
	}
	f.Explanation = fmt.Sprintf("Whether %s accepted %s is open: %s. Traffic "+
		"through the tunnel decides it, or the state of %s: an IKE SA that is READY with the SPIs %s and %s was accepted.",
		who, other, got, j.partyName(t.Initiator), t.SPIi, t.ResponderSPI())
	state := j.exec(t.Initiator, "whether it has the SA: READY, and UP-ACTIVE", j.toward(t.Initiator,
		"show crypto ikev2 sa remote %s detailed", "show crypto session remote %s detail")...)
	f.Actions = append([]report.Action{state}, f.Actions...)
}

// saidAtLast is for an initiator of Main Mode that said something encrypted behind the sixth
// message, where the captures end, or an older SA goes on: of its size are a greeting and a
// rejection.
func (j *judge) saidAtLast(t *talk, f *report.Finding) {
	f.Title, f.Severity, f.Confidence = doubtful, report.Warning, report.Possible
	who, other := j.name(t.Initiator), j.name(t.Responder())
	then := "with which the captures end"
	if t.RenewsBefore(t.Proof[0]) {
		then = "and nothing more, while SAs from before go on, which need no Quick Mode yet"
	}
	f.Explanation = fmt.Sprintf("Whether %s accepted %s is open: it got the sixth message of Main Mode, the proof of who "+
		"that is, and said something encrypted "+then+". It rejected the identity, key or certificate, "+
		"or only greeted the other side (INITIAL-CONTACT), which can have the same size. Quick Mode would decide it, or the "+
		"state of %s: an ISAKMP SA that is QM_IDLE was accepted.", who, other, j.partyName(t.Initiator))
	state := j.exec(t.Initiator, "whether it has the SA: QM_IDLE, and UP-ACTIVE", j.toward(t.Initiator,
		"show crypto isakmp sa", "show crypto session remote %s detail")...)
	f.Actions = append([]report.Action{state}, f.Actions...)
}

// lastSaid is what the initiator of a doubted negotiation said after the answer, there or by
// beginning anew; nil for nothing that tells.
func (t *talk) lastSaid() *pair.Message {
	n := len(t.Proof)
	if n == 0 || t.Proof[n-1].Conversation == t.Conversation && t.Proof[n-1].Exchange != ike.Informational {
		return nil
	}
	return t.Proof[n-1]
}

// proveRejected shows the answer and what the initiator did with it.
func proveRejected(j *judge, f *report.Finding) {
	t := j.named(f.Conversation)
	if t.Doubted && t.Version == 2 {
		f.Evidence = evidence("the last that was said", append(slices.Clip(t.Answer.Messages), t.lastSaid())...)
		return
	}
	note, answer := "the whole answer", t.Answer.Messages
	if t.stopsInEAP() {
		note = "the answer, a message of EAP"
	}
	if t.Version == 1 {
		note, answer = "the responder's proof", t.Proof[1:]
	}
	f.Evidence = append(evidence(note, answer...),
		evidence("what the initiator did next", t.Proof[0])...)
}
