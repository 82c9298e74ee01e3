package diagnose

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/facts"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

func peerNotAnswering(j *judge) []report.Finding {
	if !j.c.Beside() {
		return nil
	}
	var all []report.Finding
	for _, t := range j.talks {
		if t.Foreign || t.CameUp() || t.End == facts.ErrorReported || t.Version == 1 && t.End > facts.ErrorReported {
			continue // it said something, if no answer
		}
		if !t.Spoken() {
			continue // there is no answer but a refusal
		}
		if j.cameUpAfter(t) || j.superseded(t) {
			continue // that it was tried in vain is told, and does not matter any more
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
		if m.Truncated && t.Version == 1 && !m.Encrypted() && m.From != t.Initiator && !j.anyNATT() {
			continue // whether it finds a NAT, and the answer goes to port 4500, was cut
		}
		if (n < 2 || !j.c.Untimed()) && j.endsWith(peer, m, n < 2) || !t.Complete && j.oneVoiced(m) {
			continue
		}
		all = append(all, report.Finding{
			Confidence: report.Certain, Conversation: t.ID,
			Explanation: fmt.Sprintf("%s of %s arrived at %s, which its own capture shows, and it sent nothing back.%s%s",
				requests(m, n), j.name(m.From), j.name(peer), j.unfit(m), j.droppedBefore(peer, m, n)),
			Evidence: evidence("arrived, and not answered", m),
			Actions:  []report.Action{j.whySilent(t, peer, m, n)},
			Subject:  onSide(peer),
			Fields:   map[string]any{"phase": m.Exchange.String(), "requests": n},
		})
	}
	return all
}

// anyNATT says whether a capture holds anything of UDP 4500.
func (j *judge) anyNATT() bool {
	return slices.ContainsFunc(pair.Both[:], func(s pair.Side) bool {
		story := j.c.Story(s)
		return story != nil && holdsNATT(story)
	})
}

// whySilent is where to look for why a side answers nothing to m, which arrived there n times: what
// it answered before tells how far it takes its peer, and what is proven to have reached IKE was
// dropped by nothing before it.
func (j *judge) whySilent(t *talk, peer pair.Side, m *pair.Message, n int) report.Action {
	before := []string{"show policy-map control-plane", "show ip access-lists"}
	policing := func(of string) string { return ", control-plane policing" + of }
	if j.handedToIKE(peer, m, n) {
		before = []string{"show running-config | section crypto", "show logging"}
		policing = func(string) string { return "" }
	}
	switch {
	case j.unfit(m) != "":
		return j.whoChanges(t, m.From)
	case m.Exchange == ike.V1QuickMode:
		return j.exec(peer, "why it drops the request: no crypto map or profile for these selectors, another transform "+
			"set, an ISAKMP SA that it has lost", "show crypto isakmp sa", "show crypto map", "show crypto ipsec transform-set",
			"show logging")
	case m.Exchange == ike.IKEAuth && t.InitAnswered():
		return j.exec(peer, "why it drops the request: no profile for this identity, AAA or a certificate's server "+
			"that does not answer"+policing(" of UDP 4500 or of fragments"),
			slices.Concat(showPolicies(t.Version), []string{"show aaa servers"}, before)...)
	}
	return j.exec(peer,
		"why it drops the request: no profile or policy for this peer, VRF"+policing("")+", IKE off",
		append(showPolicies(t.Version), before...)...)
}

// whoChanges is where to look for what makes the messages of s arrive so that they never reach IKE.
func (j *judge) whoChanges(t *talk, s pair.Side) report.Action {
	return j.exec(s, "which device on the way changes what it sends, or whether it leaves so", showSA(t.Version),
		"show ip nat translations")
}

// handedToIKE says whether the router of s is proven to have handed m, which arrived there n times,
// to its control plane every time: by its packet trace, or by a capture there.
func (j *judge) handedToIKE(s pair.Side, m *pair.Message, n int) bool {
	_, traced := handedOver(j.tracesOf(m, s), n)
	came, known := j.cameOf(s, m, n)
	return traced || known && came >= n
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

// endsWith says whether the capture of s ends so soon after m that it would not show an answer:
// after its only sending, or after the first of several.
func (j *judge) endsWith(s pair.Side, m *pair.Message, only bool) bool {
	last := m.Transmissions()[0].Aligned
	if only {
		last = m.Transmissions()[len(m.Transmissions())-1].Aligned
	}
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

// wholeAt says whether s's capture holds all fragments of the message that m is or belongs to
// (RFC 7383): one that lacks a part of it can neither be answered nor taken for an answer.
func (t *talk) wholeAt(m *pair.Message, s pair.Side) bool {
	if m.Fragments == 0 {
		return true
	}
	return len(t.partsAt(m, s)) >= int(m.Fragments)
}

// partsAt are the numbers of the IKE fragments, of the message that m is one of, that the capture
// of s holds.
func (t *talk) partsAt(m *pair.Message, s pair.Side) map[int]bool {
	parts := map[int]bool{}
	for _, o := range t.Messages {
		if o.MessageID == m.MessageID && o.Exchange == m.Exchange && o.Kind == m.Kind && o.From == m.From &&
			o.Fragments == m.Fragments && o.Copy(s) != nil {
			parts[int(o.Fragment)] = true
		}
	}
	return parts
}

// partsMissing says of a message in IKE fragments, of whose receiver alone there is a capture,
// which of them that lacks (RFC 7383); empty when it has all, or m is in one piece.
func (t *talk) partsMissing(m *pair.Message) string {
	if m.Fragments == 0 {
		return ""
	}
	parts := t.partsAt(m, m.From.Other())
	var missing []string
	for n := range int(m.Fragments) {
		if !parts[n+1] {
			missing = append(missing, strconv.Itoa(n+1))
		}
	}
	if len(missing) == 0 {
		return ""
	}
	some := missing[:min(len(missing), partsShown)]
	return fmt.Sprintf(" Of its %d IKE fragments %s in this capture, however often they are sent (by number: %s).",
		m.Fragments, plural(len(missing), "is missing", "are missing"), strings.Join(some, ", "))
}

// partsShown is how many missing fragments are told by their numbers.
const partsShown = 5

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
// trust that and asks again (RFC 7296, Sections 2.4 and 2.21.1): the refusal is the news, not that
// it was asked again.
func refusesInClear(r *pair.Message) bool {
	if r.Exchange != ike.IKESAInit {
		return r.Conversation.Version == 2 && !r.Encrypted() && len(r.Errors()) > 0
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
	if !j.c.Beside() {
		return nil
	}
	var all []report.Finding
	for _, t := range j.talks {
		for _, m := range t.Messages {
			r := m.AnsweredBy()
			if r == nil || len(m.Transmissions()) < 2 {
				continue // it was sent once
			}
			if m.Kind != exchange.Request || j.c.Story(m.From) == nil || !t.wholeAt(r, m.From) || refusesInClear(r) {
				continue
			}
			if _, wanted := facts.Wanted(r); wanted && m.Truncated {
				continue // what looks like a repetition may be the retry with another group
			}
			_, responses := facts.FirstArrival(j.c, r)
			late := facts.RepeatedAfter(j.c, m)
			// Once is enough where the other capture shows that it was no chance.
			shown := late == 1 && facts.AsksOn(j.c, m) && facts.AskedUnheard(j.c, m) > 1
			if late < 2 && !shown || t.wentOn(m) || t.Version == 1 && t.End == facts.ResponderRejected {
				continue
			}
			why, handed := ": it ignores the answer.", j.handedToIKE(m.From, r, responses)
			unfit := j.unfit(r)
			if handed {
				unfit = "" // IKE has it all the same
			}
			switch {
			case unfit != "":
				why = "." + unfit
			case handed:
				why += " Its control plane was handed it every time: it is IKE itself that does not take it."
			case m.Exchange == ike.IKEAuth, m.Exchange == ike.V1MainMode && facts.EncryptedV1(m):
				why += " Either it does not get as far as IKE, or the authentication or identity in it is rejected without a word."
			}
			if shown {
				why += fmt.Sprintf(" Its own capture began later and shows that once; that of %s shows more of it from before.",
					j.partyName(r.From))
			}
			f := report.Finding{
				Confidence: certainIf(!shown), Conversation: t.ID,
				Explanation: fmt.Sprintf("The answer of %s to %s arrived at %s, and it sent the request %s more%s", j.name(r.From),
					one(m.Exchange), j.name(m.From), plural(late, "time", "times"), why),
				Evidence: append(evidence("the answer arrives", r), evidence("sent again all the same", m)...),
				Actions:  []report.Action{j.whyIgnored(t, m.From, handed)},
				Subject:  onSide(m.From),
				Fields:   map[string]any{"phase": m.Exchange.String(), "responses": responses},
			}
			switch {
			case unfit != "":
				f.Title, f.Actions = "The responses arrive, and do not reach IKE", []report.Action{j.whoChanges(t, r.From)}
			case m.Exchange == ike.IKEAuth, m.Exchange == ike.V1MainMode && facts.EncryptedV1(m):
				f.Actions = append(f.Actions,
					j.exec(m.From, "what it expects of the peer: remote key, identity, trust", showProfile(t.Version == 1)))
			}
			all = append(all, f)
			break
		}
	}
	return all
}

// whyIgnored is where to look for why s does not take an answer that arrived there; handed: it is
// proven to have reached IKE.
func (j *judge) whyIgnored(t *talk, s pair.Side, handed bool) report.Action {
	if handed {
		return j.exec(s, "why IKE does not take the answer", append(showErrors(t.Version), "show logging")...)
	}
	return j.exec(s, "why it does not take the answer: "+
		"a filter behind the capture, control-plane policing, another VRF, a broken checksum",
		append([]string{"show ip access-lists", "show policy-map control-plane"}, showErrors(t.Version)...)...)
}

func exhausted(j *judge) []report.Finding {
	var all []report.Finding
	for _, t := range j.talks {
		for _, m := range t.Messages {
			sent := facts.Sendings(m)
			if m.Kind != exchange.Request || len(sent) < leastSendings || facts.AnswerArrived(j.c, m) ||
				m.AnsweredBy() != nil && t.wentOn(m) {
				continue
			}
			how, elsewhere := "and gave up", ""
			var hints []report.Action
			if !j.gaveUp(t, m) { // no answer came to any of them all the same
				how = "until the capture ended"
			}
			if m.AnsweredBy() != nil && j.c.Story(m.From) == nil {
				how += fmt.Sprintf(", though %s answered: the answers do not arrive, or are ignored", j.name(m.From.Other()))
				elsewhere = j.misdirected(m.AnsweredBy())
			}
			if j.c.Story(m.From.Other()) == nil {
				elsewhere += j.unfit(m)
				said, do := j.likely(t, m)
				elsewhere += said
				hints = do
			} else if j.c.Story(m.From) == nil {
				if missing := t.partsMissing(m); missing != "" {
					elsewhere += missing
					hints = []report.Action{j.smallerFragments(t.Version, m.From)}
				}
			}
			severity := report.Severity("")
			if !t.CameUp() && j.superseded(t) {
				if elsewhere += " Another negotiation of the two came up."; j.rivalCameUp(t) {
					severity = report.Info // of two at once, one is enough
				}
			}
			if why := j.behind(t, m); why != "" {
				elsewhere += why
				hints = append(hints, j.whyBehind(m.From))
			}
			what := one(m.Exchange)
			if t.Version == 1 {
				what += " message"
			}
			all = append(all, report.Finding{
				Severity: severity, Confidence: report.Certain, Conversation: t.ID,
				Explanation: fmt.Sprintf("%s sent %s %d times %s.%s", j.name(m.From), what, len(sent), how, elsewhere),
				Evidence:    evidence("sent again and again", m),
				Actions:     append(hints, j.whereToAsk(t, m, len(hints) > 0)),
				Subject:     onSide(m.From),
				Fields: map[string]any{"phase": m.Exchange.String(), "transmissions": len(sent),
					"intervals_ms": j.gaps(sent)},
			})
		}
	}
	return append(all, j.triedAnew()...)
}

// mostGaps is how many intervals between requests are told: a flood of one message has no timer to
// be read.
const mostGaps = 100

// gaps are the times between sendings, in milliseconds; none where a capture has no times.
func (j *judge) gaps(sent []*pair.Transmission) []float64 {
	all := []float64{}
	for i := 1; i < min(len(sent), mostGaps) && !j.c.Untimed(); i++ {
		all = append(all, millis(sent[i].Aligned-sent[i-1].Aligned))
	}
	return all
}

// whereToAsk is where to look for why a request is not answered: on the way, or where it arrives.
// With a hint at what is else about it than about what was answered, the route is no question.
func (j *judge) whereToAsk(t *talk, m *pair.Message, hinted bool) report.Action {
	state := "show crypto ikev2 stats"
	if t.Version == 1 {
		state = "show crypto isakmp sa"
	}
	if hinted {
		return j.exec(m.From, "what IKE says of it", state)
	}
	if peer := m.From.Other(); m.AnsweredBy() == nil && j.cameTo(peer, m) {
		return j.exec(peer, "it arrives: why it is not answered", append(showErrors(t.Version), state)...)
	}
	return j.exec(m.From, "the way to the peer, and what IKE says of it",
		j.toward(m.From, "show ip route %s", "traceroute %s", state)...)
}

// likely is what tells an unanswered request from those before it that were answered, by its
// sender's capture alone: the other port, or IP fragments. Neither is proven to be why.
func (j *judge) likely(t *talk, m *pair.Message) (text string, actions []report.Action) {
	var answered *exchange.Sight
	for _, o := range t.Messages {
		if o.From == m.From.Other() && o.Copy(m.From) != nil && o.Transmissions()[0].Aligned < m.Transmissions()[0].Aligned {
			answered = &o.Copy(m.From).Sent()[0]
		}
	}
	own := m.Copy(m.From)
	if answered == nil || own == nil {
		return "", nil
	}
	x := &own.Sent()[0]
	const float = 4500 // RFC 7296, Section 2.23: IKE goes on there behind a NAT
	if x.Dst.Port() == float && answered.Src.Port() != float {
		text += fmt.Sprintf(" It goes to UDP 4500, and what was answered before went to UDP %d: a device on the way, or a "+
			"filter of %s, may drop UDP 4500.", answered.Src.Port(), j.partyName(m.From.Other()))
		actions = append(actions, path(m.From, "UDP 4500 must pass in both directions", j.permitPort(m.From, "udp", float),
			j.wayOf(m.From.Other()).permitSent("udp", float, x.Src.Port())))
	}
	if len(x.Fragments) > 1 && len(answered.Fragments) <= 1 {
		text += fmt.Sprintf(" It %s, and what was answered before did not: a device on the way may drop IP fragments.",
			inFragments(x))
		if t.Version == 2 && m.Fragment == 0 {
			actions = append(actions, j.withoutFragments(m)...)
		}
		actions = append(actions, path(m.From, "let IP fragments of UDP 500 and 4500 pass",
			j.permit(m.From, "udp", "fragments")))
	}
	return text, actions
}

// gaveUp says whether the sender of m asks no more: longer than its last interval nothing more
// came, or a new attempt began.
func (j *judge) gaveUp(t *talk, m *pair.Message) bool {
	sent := facts.Sendings(m)
	last := sent[len(sent)-1].Aligned
	return t.Next != nil || len(sent) > 1 && j.c.Last-last >= last-sent[len(sent)-2].Aligned
}
