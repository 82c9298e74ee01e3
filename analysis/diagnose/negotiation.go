package diagnose

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/facts"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

func proposalMismatch(j *judge) []report.Finding {
	var all []report.Finding
	reported := map[pair.Side]bool{}
	for _, t := range j.talks {
		m := t.NoProposal()
		if m == nil || t.InitAnswered() || j.cameUpAfter(t) || j.versionsDiffer(t) || reported[m.From] {
			continue
		}
		reported[m.From] = true
		all = append(all, j.mismatch(t, m))
	}
	return all
}

func (j *judge) mismatch(t *talk, m *pair.Message) report.Finding {
	refuser := m.From
	offered := j.offersOf(refuser.Other(), t, t.Version)
	own, source := j.knownOf(refuser, t.Version)
	f := report.Finding{
		Confidence: report.Certain, Conversation: t.ID, Evidence: evidence("NO_PROPOSAL_CHOSEN", m),
		Subject: onSide(refuser),
		Fields: map[string]any{"offered": names(offered), "accepted_by_refuser": nil,
			"mismatch": "unproven", "suggestion": nil},
	}
	f.Explanation = fmt.Sprintf("%s refused every IKE proposal of %s (NO_PROPOSAL_CHOSEN). Offered: %s.", j.name(refuser),
		j.name(refuser.Other()), strings.Join(names(offered), "; "))
	shows := []string{"show crypto ikev2 proposal", "show crypto ikev2 policy"}
	profile := "show crypto ikev2 profile"
	if t.Version == 1 {
		shows, profile = []string{"show crypto isakmp policy"}, "show crypto isakmp profile"
	}
	if len(own) == 0 {
		f.Explanation += " Which of them it would have taken does not show in the captures. " +
			"It may not be the algorithms at all: a gateway that has no connection or profile for this peer " +
			"answers in the same way."
		f.Actions = []report.Action{j.exec(refuser, "what it would accept, and whether it has a profile for this peer",
			append(shows, profile)...), j.exec(refuser.Other(), "what is offered", shows...)}
		return f
	}
	f.Fields["accepted_by_refuser"] = names(own)
	mine, theirs, differing := closest(offered, own)
	if len(differing) == 0 {
		f.Fields["mismatch"] = excluded
		f.Explanation += fmt.Sprintf(" It would accept that by %s (%s), so the algorithms are not the reason: "+
			"no policy or profile of it matches this peer, address or VRF.", source, strings.Join(names(own), "; "))
		f.Actions = []report.Action{j.exec(refuser, "what it would accept", append(shows, profile)...),
			j.exec(refuser.Other(), "what is offered", shows...)}
		return f
	}
	f.Fields["mismatch"], f.Fields["differs"] = "proven", differing
	f.Explanation += fmt.Sprintf(" By %s it wants: %s.", source, strings.Join(names(own), "; "))
	f.Explanation += j.tellDifferences(f.Fields, refuser, mine, theirs, differing)
	f.Actions = []report.Action{j.exec(refuser, "what it would accept", shows...),
		j.exec(refuser.Other(), "what is offered", shows...)}
	j.advise(&f, refuser, t.Version, mine, theirs)
	return f
}

// excluded says of a mismatch that the algorithms are not the reason.
const excluded = "excluded"

// groups are the distinct groups that answers ask for, in order.
func groups(rounds []*pair.Message) []int {
	var all []int
	for _, m := range rounds {
		if g, _ := facts.Wanted(m); !slices.Contains(all, g) {
			all = append(all, g)
		}
	}
	return all
}

func groupMismatch(j *judge) []report.Finding {
	var all []report.Finding
	for _, t := range j.talks {
		rounds, offered := t.GroupRounds()
		if len(rounds) == 0 || t.InitAnswered() && len(groups(rounds)) < 2 || j.succeeded(t) || t.GroupAttempt() != nil {
			continue
		}
		m, asked := rounds[0], rounds[0].Answers()
		group, _ := facts.Wanted(m)
		if offered == 0 && t.KECut() || t.LastGroup() == group && group != offered {
			continue // it came again with the wanted group: what became of that is the news
		}
		if group != offered && j.groupPending(t, rounds, group) || offered == 0 && j.cameUpAfter(t) {
			continue
		}
		f := report.Finding{
			Confidence: report.Certain, Conversation: t.ID,
			Explanation: fmt.Sprintf("%s wants key exchange group %d, %s offered group %d, "+
				"and no attempt with a common group succeeded.", j.name(m.From), group, j.name(m.From.Other()), offered),
			Evidence: evidence(fmt.Sprintf("INVALID_KE_PAYLOAD: wants group %d", group), rounds...),
			Subject:  onSide(m.From),
			Fields: map[string]any{"offered_group": offered, "wanted_group": group,
				"unusable_at": nil},
		}
		if offered == 0 { // the request is from before the captures
			f.Fields["offered_group"] = nil
			f.Explanation = fmt.Sprintf("%s wants key exchange group %d. Which one %s offered the captures do not show; "+
				"no attempt with that group followed.", j.name(m.From), group, j.name(m.From.Other()))
		}
		look := j.exec(m.From, "which groups it accepts", "show crypto ikev2 proposal")
		if group == offered {
			f.Fields["unusable_at"] = m.From.String()
			f.Explanation = fmt.Sprintf("%s asks for key exchange group %d, which is the very group that %s used: "+
				"it is configured for that group and cannot work with it.", j.name(m.From), group, j.name(m.From.Other()))
			f.Actions = []report.Action{j.exec(m.From, "why it cannot use the group of its own proposal: the log, the software",
				"show crypto ikev2 proposal", "show logging", "show version")}
		} else if !weakGroup(uint16(group)) {
			f.Actions = []report.Action{j.config(m.From.Other(), "offer the group that the other side wants (a suggestion)",
				j.withGroup(m.From.Other(), asked, wantedFirst(group, offered))...), look}
		} else {
			f.Actions = []report.Action{j.config(m.From, "accept a group that is not deprecated (a suggestion)",
				j.withGroup(m.From, asked, " group "+strongGroups(offered))...), look}
		}
		all = append(all, f)
	}
	return all
}

// retryDue is how soon an initiator comes again with a group that it has; OpenIKED
// takes two seconds.
const retryDue = 3e9

// groupPending says whether a retry with the wanted group, which the initiator offers as well, may
// have come and not be seen: the captures end too soon, or they cut the next attempt before its key
// exchange value.
func (j *judge) groupPending(t *talk, rounds []*pair.Message, group int) bool {
	asked := rounds[0].Answers()
	if len(rounds) > 1 {
		return false
	}
	has := asked == nil || !wholeSA(asked) || offers(asked.SA(), ike.Transform{Type: ike.TransformKE, ID: uint16(group)})
	said := rounds[0].Transmissions()[0].Aligned
	if !has {
		return false
	}
	i, _ := slices.BinarySearchFunc(j.all, said+1, func(o *talk, at int64) int { return cmp.Compare(o.First, at) })
	for _, o := range j.all[i:] {
		if o.First >= said+retryDue {
			break
		}
		if o.Initiator == t.Initiator && o.Messages[0].Truncated && o.LastGroup() == 0 {
			return true
		}
	}
	return j.c.Last-said < retryDue
}

// wantedFirst is the line that offers a group before the one that was offered; a deprecated one is
// left out, and 0, which stands for none that is known.
func wantedFirst(wanted, offered int) string {
	if offered == 0 || weakGroup(uint16(offered)) {
		return fmt.Sprintf(" group %d", wanted)
	}
	return fmt.Sprintf(" group %d %d", wanted, offered)
}

// withGroup are the lines of an IKEv2 proposal with these groups in place of those of an offer: one
// that lacks algorithms, or that no policy names, is never used. Without the offer, or where it has
// nothing that is not deprecated, only the groups are known.
func (j *judge) withGroup(s pair.Side, offer *pair.Message, groups string) []string {
	var lines []string
	if offer != nil {
		if sets := setsOf(offer); len(sets) > 0 {
			lines = j.suggest(s, 2, sets[0].strong())
		}
	}
	if len(lines) == 0 {
		const name = "MONCAP-SUGGESTION"
		return append([]string{"crypto ikev2 proposal " + name, groups}, j.inPolicy(s, name)...)
	}
	lines = slices.DeleteFunc(lines, func(line string) bool { return strings.HasPrefix(line, " group ") })
	policy := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, "crypto ikev2 policy ") })
	return slices.Insert(lines, policy, groups)
}

// strongGroups are the words of a group command without deprecated ones: the group itself, else
// those of today.
func strongGroups(group int) string {
	if group == 0 || weakGroup(uint16(group)) {
		return "19 14"
	}
	return fmt.Sprint(group)
}

func groupRetry(j *judge) []report.Finding {
	var all []report.Finding
	for _, t := range j.talks {
		rounds, offered := t.GroupRounds()
		if len(groups(rounds)) != 1 {
			continue
		}
		again := t.Talk
		if !t.InitAnswered() {
			again = t.GroupAttempt()
		}
		if again == nil {
			continue
		}
		group := groups(rounds)[0]
		f := report.Finding{
			Confidence: report.Certain, Conversation: t.ID,
			Explanation: fmt.Sprintf("%s guessed key exchange group %d, %s wanted group %d, and the repetition with it "+
				"succeeded: one round trip more.", j.name(t.Initiator), offered, j.name(t.Responder()), group),
			Evidence: evidence(fmt.Sprintf("INVALID_KE_PAYLOAD: wants group %d", group), rounds...),
			Actions: []report.Action{j.config(t.Initiator, "the wanted group first",
				j.withGroup(t.Initiator, rounds[0].Answers(), wantedFirst(group, offered))...)},
			Fields: map[string]any{"offered_group": offered, "wanted_group": group},
		}
		if again != t.Talk {
			f.Explanation = fmt.Sprintf("%s guessed key exchange group %d, %s wanted group %d, "+
				"and %s began anew with it %s later, which succeeded.", j.name(t.Initiator), offered, j.name(t.Responder()), group,
				j.partyName(t.Initiator), duration(millis(again.First-t.First)))
			f.Further = []string{again.ID}
		}
		if weakGroup(uint16(group)) {
			f.Actions = nil // a deprecated group is not to be preferred
		}
		all = append(all, f)
	}
	return all
}

func cookieChallenge(j *judge) []report.Finding {
	var all []report.Finding
	for _, t := range j.talks {
		if !t.MaySay(ike.Cookie) {
			continue
		}
		var challenge, retry *pair.Message
		for _, m := range t.Messages {
			if m.Exchange != ike.IKESAInit || !m.Has(uint16(ike.Cookie)) {
				continue
			}
			if m.Kind == exchange.Response && challenge == nil {
				challenge = m
			} else if m.Kind == exchange.Request && challenge != nil {
				retry = m
			}
		}
		if challenge == nil || retry == nil {
			continue
		}
		all = append(all, report.Finding{
			Confidence: report.Certain, Conversation: t.ID,
			Explanation: fmt.Sprintf("%s asked for a cookie before it would work for %s: it has many half-open negotiations, "+
				"or is told to ask always.", j.name(challenge.From), j.name(challenge.From.Other())),
			Evidence: evidence("COOKIE", challenge, retry),
			Actions: []report.Action{j.exec(challenge.From, "how many negotiations are half open", "show crypto ikev2 stats",
				"show crypto call admission statistics")},
			Subject: onSide(challenge.From),
		})
	}
	return all
}

func redirected(j *judge) []report.Finding {
	var all []report.Finding
	speaks := func(v *pair.Conversation) bool { return v.MaySay(ike.Redirect, ike.RedirectedFrom) }
	for m := range j.c.MessagesWhere(speaks) {
		if !m.Has(uint16(ike.Redirect)) && !m.Has(uint16(ike.RedirectedFrom)) {
			continue
		}
		for _, p := range m.OfType(ike.PayloadN) {
			n, ok := p.(*ike.Notify)
			if !ok || n.Number != ike.Redirect && n.Number != ike.RedirectedFrom {
				continue
			}
			by, to := m.From, n.Gateway()
			who := j.name(by)
			if n.Number == ike.RedirectedFrom { // the peer of before sent the REDIRECT, where nobody can read it
				by, to = m.From.Other(), j.target(m).String()
				if who = j.name(by); j.c.Story(by) == nil { // one capture may show several peers
					who = cmp.Or(n.Gateway(), who)
				}
			}
			all = append(all, report.Finding{
				Confidence: report.Certain, Conversation: m.Conversation.ID,
				Explanation: fmt.Sprintf("%s sends %s to another gateway: %s.", who, j.name(by.Other()), to),
				Evidence:    evidence(n.Number.String(), m),
				Actions: []report.Action{j.exec(by, "why it redirects", "show crypto ikev2 cluster",
					"show crypto ikev2 stats")},
				Fields: map[string]any{"to": to},
			})
		}
	}
	return all
}

// target is where m was sent, as the capture of its sender shows it, or else the other one.
func (j *judge) target(m *pair.Message) netip.Addr {
	t := m.Transmissions()[0]
	if x := t.At[m.From]; x != nil {
		return x.Dst.Addr()
	}
	return t.Any().Dst.Addr()
}

// together is how soon after the other side's negotiation one of one's own is begun for the same
// reason: the traffic, or the configuration, that started both.
const together = 3e9

func simultaneousInitiation(j *judge) []report.Finding {
	for i, second := range j.rivals() {
		if second == nil {
			continue
		}
		first := j.all[i]
		done := first.Completed()
		if done == 0 {
			done = first.Last
		}
		if second.First > done+together || first.deletedBefore(second.First) {
			continue
		}
		text := "both began a negotiation before either was complete"
		if second.First >= done {
			text = "each began a negotiation of its own within moments"
		}
		return []report.Finding{{
			Confidence: report.Certain, Conversation: second.ID,
			Explanation: fmt.Sprintf("%s and %s %s. It is harmless unless the two SAs keep replacing each other.",
				j.name(first.Initiator), j.name(second.Initiator), text),
			Evidence: evidence("an initial request of each side", first.Messages[0], second.Messages[0]),
		}}
	}
	return nil
}

// rivals returns for every talk that opens the next one of its version that the other side opened.
// The talks are in the order of their beginnings, so that no later one is nearer.
func (j *judge) rivals() []*talk {
	rivals := make([]*talk, len(j.all))
	type opener struct {
		side    pair.Side
		version int
	}
	next := map[opener]*talk{}
	for i, t := range slices.Backward(j.all) {
		if t.opens() {
			rivals[i] = next[opener{t.Initiator.Other(), t.Version}]
			next[opener{t.Initiator, t.Version}] = t
		}
	}
	return rivals
}

// opens says whether t is a negotiation from its first message on, with the peer, and no rekey.
func (t *talk) opens() bool {
	return t.Complete && !t.Foreign && t.Rekeyed == nil && len(t.Messages) > 0
}

func (t *talk) deletedBefore(at int64) bool {
	m, _ := t.Deletion()
	return m != nil && m.Transmissions()[0].Aligned < at
}

// flood is how many attempts without an end make a flood, within a minute.
const flood = 20

func halfOpenFlood(j *judge) []report.Finding {
	var all []report.Finding
	for _, s := range pair.Both {
		open := 0
		var first []*pair.Message
		for _, t := range j.talks {
			if t.Initiator != s || !t.Complete || t.End != facts.Broken && t.End != facts.Unanswered ||
				len(t.MessagesOf(ike.IKEAuth, exchange.Request)) > 0 || t.Version != 2 {
				continue
			}
			if open++; open <= flood {
				first = append(first, t.Messages[0])
			}
		}
		if open < flood {
			continue
		}
		all = append(all, report.Finding{
			Confidence: report.Certain,
			Explanation: fmt.Sprintf("%d initial requests from %s have different SPIs and none goes on: a flood, "+
				"or an initiator that starts anew without end.", open, j.name(s)),
			Evidence: evidence("one of the initial requests", first...),
			Actions: []report.Action{j.config(s.Other(), "limit half-open negotiations (a suggestion)",
				"crypto ikev2 cookie-challenge 50", "crypto ikev2 limit max-in-negotation-sa 100")},
			Subject: onSide(s),
			Fields:  map[string]any{"half_open": open},
		})
	}
	return all
}
