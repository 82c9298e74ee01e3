package diagnose

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/moncap/moncap/analysis/exchange"
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
			if j.renewed(t, m) && t.Makes(m) != facts.NewChild {
				done[m.From] = append(done[m.From], m)
			}
		}
		for _, s := range pair.Both {
			if len(done[s]) == 0 {
				continue
			}
			all = append(all, report.Finding{
				Confidence: report.Certain, Conversation: t.ID,
				Explanation: fmt.Sprintf("%s made new keys %s.", j.name(s), often(len(done[s]))),
				Evidence:    evidence("CREATE_CHILD_SA", done[s]...),
				Fields:      map[string]any{"initiator": s.String(), "count": len(done[s])},
			})
		}
	}
	return all
}

// renewed says whether the SA that m asks for was made, and not given up at once.
func (j *judge) renewed(t *talk, m *pair.Message) bool {
	return t.Renews(m) && facts.AnswerArrived(j.c, t.Concludes(m)) && t.errorAfter(m) == nil
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
		for _, x := range j.rekeysFailed(t) {
			if x.times > 1 {
				x.Explanation = fmt.Sprintf("%s So it went %d times.", x.same, x.times)
				x.Confidence = report.Certain
			}
			all = append(all, x.Finding)
		}
		if f, ok := j.rekeysGivenUp(t); ok {
			all = append(all, f)
		}
	}
	return all
}

// rekeysGivenUp is for new SAs that a side gave up right after they were agreed on, too seldom to
// be flapping. Keys would show the error; what was made later, or new SPIs that carry traffic both
// ways, show that nothing was lost by it.
func (j *judge) rekeysGivenUp(t *talk) (report.Finding, bool) {
	given := t.givenUp()
	if len(given) == 0 || len(runs(given)) > 0 {
		return report.Finding{}, false
	}
	last := given[len(given)-1]
	for _, m := range t.RequestsOf(ike.CreateChildSA) {
		if m.Transmissions()[0].Aligned > last.at() && j.renewed(t, m) {
			return report.Finding{}, false
		}
	}
	if j.newTraffic(last.at() - last.lived) {
		return report.Finding{}, false
	}
	var proof []*pair.Message
	for _, g := range given {
		proof = append(proof, g.delete)
	}
	by := last.delete.From
	return report.Finding{
		Severity: report.Warning, Confidence: report.Probable, Conversation: t.ID,
		Explanation: fmt.Sprintf("%s gave up a new SA right after it was agreed on, %s, with an error that only keys would "+
			"show. No later one is seen to be made: the tunnel ends when the old keys expire.", j.name(by), often(len(given))),
		Evidence: evidence("a bare Notify right after CREATE_CHILD_SA", proof...),
		Actions: []report.Action{
			j.exec(by, "the error in its own words", showErrors(t.Version)...),
			j.exec(by.Other(), "the same exchange, and set pfs and the transform sets of both", showErrors(t.Version)...),
		},
		Subject: onSide(by),
		Fields:  map[string]any{"side": by.String()},
	}, true
}

// newTraffic says whether protected traffic of both sides begins on an SPI of its own after a
// moment.
func (j *judge) newTraffic(after int64) bool {
	var began [2]bool
	for _, f := range j.c.Flows {
		for _, s := range pair.Both {
			if at := f.At[s]; at != nil && !f.OtherTunnel() && j.c.Aligned(at.First.Nanos, s) > after {
				began[f.From] = true
			}
		}
	}
	return began[pair.A] && began[pair.B]
}

// rekeyFailure is what is said of rekeys of one conversation that failed in the same way.
type rekeyFailure struct {
	report.Finding
	times int
	same  string // what is said of each of them, were it not the last that the captures hold
}

func (j *judge) rekeysFailed(t *talk) (all []rekeyFailure) {
	for _, m := range t.RequestsOf(ike.CreateChildSA) {
		last := t.Concludes(m)
		answer := last.AnsweredBy()
		refused := answer != nil && facts.Refuses(answer)
		switch {
		case j.retriedRekey(t, m), refused && (t.overlapping(m) != nil || t.justRenewed(m)), j.refusedChild(t, m):
			continue
		case !refused && (facts.AnswerArrived(j.c, last) || j.mayBeAnswered(t, last)):
			continue
		}
		f := j.failedRekey(t, m, last, refused, false)
		same := f.Explanation
		i := slices.IndexFunc(all, func(x rekeyFailure) bool { return x.same == same })
		if i < 0 {
			if refused && j.c.Last-answer.Transmissions()[0].Aligned < retriedWithin && forTheMoment(answer) {
				f = j.failedRekey(t, m, last, refused, true)
			}
			all = append(all, rekeyFailure{f, 1, same})
			continue
		}
		all[i].times++
		if len(all[i].Evidence) < MaxEvidence {
			all[i].Evidence = append(all[i].Evidence, f.Evidence...)
		}
	}
	return all
}

// justRenewed says whether m, which is refused, asks for new keys of a child SA when those that the
// other side asked for have just been made, and the old SA is not yet deleted: it was under way
// before, or repeats what was lost (RFC 7296, Section 2.8.1).
func (t *talk) justRenewed(m *pair.Message) bool {
	if t.Makes(m) != facts.RekeyChild {
		return false
	}
	at := m.Transmissions()[0].Aligned
	before, _ := slices.BinarySearchFunc(t.Messages, at,
		func(o *pair.Message, at int64) int { return cmp.Compare(o.Transmissions()[0].Aligned, at) })
	for _, o := range slices.Backward(t.Messages[:before]) {
		switch {
		case o.Kind != exchange.Request || o.From == m.From:
		case o.Exchange == ike.CreateChildSA && t.Makes(o) == facts.RekeyChild && t.Renews(o):
			return at-o.AnsweredBy().Transmissions()[0].Aligned < facts.Soon
		case o.FirstInner == ike.PayloadD:
			return false
		}
	}
	return false
}

// mayBeAnswered says of a request without an answer that arrived that the captures may have ended
// before one, or that none of them would show it.
func (j *judge) mayBeAnswered(t *talk, m *pair.Message) bool {
	return m.AnsweredBy() != nil && !j.gaveUp(t, m) ||
		len(facts.Sendings(m)) < 2 && (j.nearEnd(m) || facts.Unheard(j.c, m.From.Other()) || !t.Complete && j.oneVoiced(m))
}

// cameTo says whether a request is seen to arrive by the receiver's own capture.
func (j *judge) cameTo(to pair.Side, m *pair.Message) bool {
	if j.c.Story(to) == nil {
		return false
	}
	at, _ := facts.FirstArrival(j.c, m)
	return at >= 0
}

// retriedWithin is how soon a rekey that was refused for the moment is tried again (RFC 7296,
// Section 2.25, leaves it to the implementation).
const retriedWithin = 30e9

// forTheMoment says whether a refusal may be one behind which another attempt follows, or nothing
// is lost: as long as nobody reads it, each may.
func forTheMoment(refusal *pair.Message) bool {
	said := innerErrors(refusal.Inner())
	return len(said) == 0 || slices.ContainsFunc(said, func(name string) bool {
		return name == ike.TemporaryFailure.String() || name == ike.ChildSANotFound.String() ||
			name == ike.InvalidKEPayload.String()
	})
}

// manySendings are as many as a side sends before it gives up, or nearly. Fewer are lost one after
// another by chance, too, where a path loses many packets.
const manySendings = 5

// failedRekey is about m, of which the request last was not answered, or refused; late: so shortly
// before the captures end that another attempt may not be in them.
func (j *judge) failedRekey(t *talk, m, last *pair.Message, refused, late bool) report.Finding {
	making := t.Makes(m)
	attempt, after, title := "make new keys", ": the tunnel ends when the old ones expire.", ""
	switch making {
	case facts.NewChild:
		attempt, after = "make a child SA", ": it carries no traffic."
		if !refused {
			title = "A request for a further child SA is not answered"
		}
	case facts.UnsureMaking:
		after = ": either the tunnel ends when the old ones expire, or a further child SA is missing; " +
			"sizes do not tell which."
	}
	if late {
		after = ". The captures end soon after: behind a refusal for the moment (TEMPORARY_FAILURE), of the group alone " +
			"(INVALID_KE_PAYLOAD) or of a child SA that is gone (CHILD_SA_NOT_FOUND) another attempt would follow; " +
			"without one, the tunnel ends when the old keys expire."
	}
	how := "stays unanswered"
	if refused {
		how = fmt.Sprintf("is refused by %s", j.name(m.From.Other()))
	}
	f := report.Finding{
		Confidence: certainIf(!late), Conversation: t.ID, Title: title, // one bare Notify is no new SA, whichever it is
		Explanation: fmt.Sprintf("The attempt of %s to %s %s%s", j.name(m.From), attempt, how, after),
		Evidence:    evidence("CREATE_CHILD_SA", m, m.AnsweredBy()),
		Subject:     onSide(m.From.Other()),
	}
	if last != m {
		f.Explanation += " Its first exchange succeeded; what came to nothing is a further key exchange, IKE_FOLLOWUP_KE."
		f.Evidence = append(f.Evidence, evidence("a further key exchange", last, last.AnsweredBy())...)
	}
	peer, behind := last.From.Other(), ""
	if !refused {
		behind = j.behind(t, last)
	}
	if !refused && !j.c.TwoSided() && !j.gaveUp(t, last) { // of two captures, the other one tells more
		f.Confidence = report.Probable
		if len(facts.Sendings(last)) < manySendings {
			f.Severity = report.Warning
		}
		f.Explanation += fmt.Sprintf(" %s was still asking when the capture ended, so an answer may have come later.",
			capital(j.name(last.From)))
	}
	if behind != "" {
		f.Explanation += behind
		f.Actions = []report.Action{j.whyBehind(last.From)}
		return f
	}
	if !refused && last.AnsweredBy() == nil && j.cameTo(peer, last) {
		f.Explanation += fmt.Sprintf(" It arrived at %s, which its own capture shows, and nothing was sent back.",
			j.name(peer))
		f.Actions = []report.Action{j.exec(peer, "why it drops what arrives", append(showErrors(2),
			"show crypto ikev2 stats", "show crypto ikev2 sa detailed")...)}
		return f
	}
	if !refused { // nothing says that it, or the answer to it, arrived: a difference would be answered
		from := last.From
		if last.AnsweredBy() != nil {
			from = peer
			f.Explanation += fmt.Sprintf(" %s answers, and the answers do not arrive.", capital(j.name(peer)))
		}
		f.Actions = []report.Action{j.exec(from, "the way of what does not arrive, and what IKE says of it",
			j.toward(from, "traceroute %s", "show ip route %s", "show crypto ikev2 sa detailed")...)}
		return f
	}
	const why = "PFS, transform set and selectors: a difference shows first when keys are renewed"
	for _, s := range pair.Both {
		f.Actions = append(f.Actions,
			j.exec(s, why, "show crypto map", "show crypto ipsec profile", "show crypto ipsec transform-set"))
	}
	j.compareChildConfig(&f)
	return f
}

// retriedRekey says whether a later attempt succeeded, as after INVALID_KE_PAYLOAD
// or TEMPORARY_FAILURE.
func (j *judge) retriedRekey(t *talk, m *pair.Message) bool {
	if t.renewed == nil {
		t.renewed = map[pair.Side]int64{}
		for _, o := range t.RequestsOf(ike.CreateChildSA) {
			if t.Renews(o) {
				t.renewed[o.From] = max(t.renewed[o.From], o.Transmissions()[0].Aligned)
			}
		}
	}
	return t.renewed[m.From] > m.Transmissions()[0].Aligned
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
		for m := range t.Each(ike.Informational, exchange.Request) {
			n := len(facts.Sendings(m))
			late := facts.AnsweredInVain(j.c, m)
			if facts.AnswerArrived(j.c, m) && late == 0 || n < 3 || m.FirstInner == ike.PayloadD {
				continue
			}
			f := j.deadPeer(t, m.From, n, j.gaveUp(t, m), evidence("unanswered", m))
			if r := m.AnsweredBy(); late > 0 {
				f.Explanation += fmt.Sprintf(" The answer comes %s after the last time that it asked.", duration(millis(late)))
				f.Evidence = append(f.Evidence, evidence("answered, too late", r)...)
			} else if r != nil && r.Copy(r.From) != nil && j.c.Story(r.From) != nil {
				j.answersLost(&f, m.From)
				f.Evidence = append(f.Evidence, evidence("answered, and the answer does not arrive", r)...)
			}
			if why := j.behind(t, m); why != "" {
				f.Explanation += why
				f.Actions = append([]report.Action{j.whyBehind(m.From)}, f.Actions...)
			}
			all = append(all, f)
			break
		}
	}
	return all
}

// leastProbes is how many liveness checks of IKEv1, each of which is a message of its own, must
// stay unanswered to be certain. Some give up after two (RFC 3706 leaves it to them): where both
// arrived, the silence is the peer's own, and most probably for good.
const leastProbes = 3

func (j *judge) deadPeerV1(t *talk) []report.Finding {
	if !j.c.Related() && t.Shown(pair.A) && t.Shown(pair.B) {
		return nil // which of the other capture's messages answers which, only times tell
	}
	for _, s := range pair.Both {
		probes, answered := t.Probes(s)
		lost := func(m *pair.Message) bool { return m.Transmissions()[0].Fate != pair.Delivered }
		switch {
		case !answered || len(probes) < leastProbes-1:
		case len(probes) >= leastProbes:
			return []report.Finding{j.deadPeer(t, s, len(probes), j.probedToTheEnd(t, probes),
				evidence("unanswered", probes...))}
		case !slices.ContainsFunc(probes, lost):
			f := j.deadPeer(t, s, len(probes), true, evidence("unanswered", probes...))
			f.Confidence = report.Probable
			f.Explanation += " Both arrived, and earlier ones were answered; a side that asks so rarely may still be waiting."
			return []report.Finding{f}
		}
	}
	return nil
}

// probedToTheEnd is gaveUp for checks of IKEv1, each of which is a message of its own.
func (j *judge) probedToTheEnd(t *talk, probes []*pair.Message) bool {
	n := len(probes)
	last, before := probes[n-1].Transmissions()[0].Aligned, probes[n-2].Transmissions()[0].Aligned
	return t.Next != nil || j.c.Last-last >= last-before
}

// answersLost changes what is said of the liveness checks of s: the other side answers them.
func (j *judge) answersLost(f *report.Finding, s pair.Side) {
	peer := s.Other()
	f.Title = "The answers to liveness checks do not arrive"
	f.Explanation += fmt.Sprintf(" %s answers, which its own capture shows: the answers do not arrive.",
		capital(j.name(peer)))
	f.Actions = []report.Action{j.exec(peer, "the way of its answers",
		j.toward(peer, "traceroute %s", "show ip route %s")...)}
}

// deadPeer says that the liveness checks of s got no answer; ended: it asks no more.
func (j *judge) deadPeer(t *talk, s pair.Side, n int, ended bool, proof []report.Evidence) report.Finding {
	peer, then := s.Other(), "the SA will be deleted."
	if !ended {
		then = "it was still asking when the captures ended."
	}
	return report.Finding{
		Confidence: report.Certain, Conversation: t.ID,
		Explanation: fmt.Sprintf("%s asked %s %s whether it is still there and got no answer: %s",
			j.name(s), j.name(peer), plural(n, "time", "times"), then),
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
			all = append(all, j.childDeleted(t, t.Proof[0], ""))
			continue
		}
		if m, stays := t.LastChildEnd(); m != nil && !flapping[t] {
			f := j.childDeleted(t, m, " None was made since: the tunnel carries nothing.")
			if !stays {
				f = j.childDeleted(t, m, " It was the last one, and none is made before the captures end.")
				f.Confidence = report.Possible
			}
			all = append(all, f)
			continue
		}
		// Of two SAs of a collision, and of one that a new one took over from, the end is no loss.
		if t.Successor != nil || t.End == facts.ChildRefused || t.End == facts.Redirected || t.Next != nil || flapping[t] ||
			t.Version == 1 && !t.CameUp() || j.redundant(t) {
			continue
		}
		m, proven := t.Deletion()
		if m == nil || j.otherLives(t, m.Transmissions()[0].Aligned) {
			continue
		}
		after := millis(m.Transmissions()[0].Aligned - t.Origin())
		f := report.Finding{
			Confidence: certainIf(proven), Conversation: t.ID,
			Explanation: fmt.Sprintf("%s deleted the IKE SA %s.", j.name(m.From), j.sinceBeginning(t, after)),
			Evidence:    evidence("Delete", m),
			Actions:     []report.Action{j.exec(m.From, "why", showErrors(t.Version)...)},
			Subject:     onSide(m.From),
			Fields:      map[string]any{"after_ms": after},
		}
		if told := t.Told(m); told != nil {
			f.Explanation += fmt.Sprintf(" Right before, %s said one bare Notify, which may be a REDIRECT to another gateway: "+
				"nobody can read it, and %s says that it follows one.", j.name(told.From), j.partyName(m.From))
			f.Evidence = append(f.Evidence, evidence("said right before", told)...)
		}
		all = append(all, f)
	}
	return all
}

// redundant says whether t is one of two IKE SAs that a collision of rekeys made, of which one is
// deleted (RFC 7296, Section 2.8.1).
func (j *judge) redundant(t *talk) bool {
	if t.Rekeyed == nil {
		return false
	}
	old := j.bySPI(t.Rekeyed.SPIi)
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

// childDeleted says that m deleted a child SA of t, and what is to be said behind that.
func (j *judge) childDeleted(t *talk, m *pair.Message, more string) report.Finding {
	after := millis(m.Transmissions()[0].Aligned - t.Origin())
	return report.Finding{
		Confidence: report.Probable, Conversation: t.ID,
		Explanation: fmt.Sprintf("%s deleted the child SA %s after the negotiation began; the IKE SA stays.%s",
			j.name(m.From), duration(after), more),
		Evidence: evidence("Delete of a child SA, and the answer that deletes its other half", m, m.AnsweredBy()),
		Actions:  []report.Action{j.exec(m.From, "why", showErrors(2)...)},
		Subject:  onSide(m.From),
		Fields:   map[string]any{"after_ms": after},
	}
}

// unknownAtOnce is for an SPI that a side does not know in the negotiation that it has just
// answered.
func (j *judge) unknownAtOnce(m *pair.Message, spi string) (report.Finding, bool) {
	t := j.of(m.Conversation)
	if t == nil || t.Version != 2 || t.CameUp() || !t.InitAnswered() || m.From == t.Initiator ||
		m.Exchange != ike.IKEAuth && m.Exchange != ike.IKEIntermediate {
		return report.Finding{}, false
	}
	return report.Finding{
		Confidence: report.Certain, Conversation: m.Conversation.ID,
		Explanation: fmt.Sprintf("%s does not know the SPI %s in %s, though it answered the same negotiation's IKE_SA_INIT: "+
			"several boxes answer behind one address, or it lost its state in between.", capital(j.name(m.From)), spi,
			one(m.Exchange)),
		Evidence: evidence("INVALID_SPI", m),
		Actions: []report.Action{j.exec(m.From, "two routers with one address, a load balancer before them, a reload",
			"show redundancy states", "show standby brief", "show version | include uptime", "show crypto ikev2 stats")},
		Subject: onSide(m.From),
		Fields:  map[string]any{"spi": spi},
	}, true
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
			if f, ok := j.unknownAtOnce(m, spi); ok {
				all = append(all, f)
				continue
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
			// IKEv1 uses the number of AUTHENTICATION_FAILED, too, of which its findings do not tell.
			spoken := spokenFor()[n.Number] && (m.Major() != 1 || n.Number != uint16(ike.AuthenticationFailed))
			if spoken || j.saysMismatch(m, n.Number) {
				continue
			}
			f := report.Finding{
				Confidence: report.Certain, Conversation: m.Conversation.ID,
				Explanation: fmt.Sprintf("%s reports %s in clear. Such notifications are not authenticated: "+
					"anybody on the path may have sent it.", j.name(m.From), n.Name),
				Evidence: evidence(n.Name, m),
				Actions:  []report.Action{j.exec(m.From, "the reason, in its own words", showErrors(m.Conversation.Version)...)},
				Subject:  onSide(m.From),
				Fields:   map[string]any{"notify": n.Name},
			}
			if survived(j.of(m.Conversation), m) {
				f.Severity, f.Title, f.Actions = report.Info, "A side reported an error on the way", nil
				f.Explanation += " The negotiation went on and came up, so that is over."
			}
			all = append(all, f)
		}
	}
	return all
}

// survived says whether the negotiation went on behind an error in clear and came up: what is not
// authenticated ends nothing (RFC 7296, Section 2.21.1).
func survived(t *talk, m *pair.Message) bool {
	return t != nil && t.CameUp() && slices.ContainsFunc(t.Messages, func(o *pair.Message) bool {
		return facts.Negotiates(o) && o.Transmissions()[0].Aligned > m.Transmissions()[0].Aligned
	})
}

// saysMismatch says of an error of IKEv1 that it is how the pre-shared keys are known to differ.
func (j *judge) saysMismatch(m *pair.Message, number uint16) bool {
	t := j.of(m.Conversation)
	return t != nil && t.Version == 1 && t.End == facts.AuthRefused && facts.BadMessage(number)
}
