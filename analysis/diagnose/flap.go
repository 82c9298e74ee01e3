package diagnose

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/facts"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

// A tunnel flaps when so many of its SAs are deleted within so long: each by itself could be an
// operator, or a lifetime.
const (
	leastFlaps = 3
	flapWindow = 300e9
)

// flap is the end of one of several SAs.
type flap struct {
	t      *talk
	delete *pair.Message // or the error with which it is given up
	lived  int64         // nanoseconds from the SA's beginning to that
}

func (f flap) at() int64 { return f.delete.Transmissions()[0].Aligned }

// flaps are the runs of SAs of one pair of addresses that were made and deleted
// one after the other.
func (j *judge) flaps() [][]flap {
	byEnds := map[[2]netip.Addr][]flap{}
	var order [][2]netip.Addr
	for _, t := range j.talks {
		if t.End != facts.Deleted || t.Successor != nil || !t.Complete || t.Foreign {
			continue
		}
		m, _ := t.Deletion()
		if m == nil {
			continue
		}
		ends := t.Between()
		if byEnds[ends] == nil {
			order = append(order, ends)
		}
		byEnds[ends] = append(byEnds[ends], flap{t, m, m.Transmissions()[0].Aligned - t.First})
	}
	var found [][]flap
	for _, ends := range order {
		all := byEnds[ends]
		slices.SortFunc(all, func(x, y flap) int { return cmp.Compare(x.at(), y.at()) })
		found = append(found, runs(all)...)
	}
	return found
}

// runs parts ends, in the order of their times, where one is long after the other; what is left are
// those of which there are enough.
func runs(all []flap) (found [][]flap) {
	start := 0
	for i := range all {
		if i+1 < len(all) && all[i+1].at()-all[i].at() <= flapWindow/(leastFlaps-1) {
			continue
		}
		if i+1-start >= leastFlaps {
			found = append(found, all[start:i+1])
		}
		start = i + 1
	}
	return found
}

// inFlaps are the conversations whose end is told as one flapping.
func (j *judge) inFlaps() map[*talk]bool {
	all := map[*talk]bool{}
	for _, run := range j.flaps() {
		for _, f := range run {
			all[f.t] = true
		}
	}
	for _, t := range j.talks {
		if len(t.childFlaps()) > 0 {
			all[t] = true
		}
	}
	return all
}

func saFlapping(j *judge) []report.Finding {
	var all []report.Finding
	for _, run := range j.flaps() {
		f, who, by := j.flappingFinding(run, run[0].t.First)
		f.Explanation = fmt.Sprintf("%d SAs of %s and %s were made and deleted one after the other within %s, "+
			"the shortest after %s; %s.", len(run), j.name(pair.A), j.name(pair.B),
			duration(f.Fields["within_s"].(float64)*1e3), duration(f.Fields["shortest_ms"].(float64)), j.share(run, who, by))
		for _, x := range run[1:] {
			f.Further = append(f.Further, x.t.ID)
		}
		all = append(all, f)
	}
	for _, t := range j.talks {
		for _, run := range runs(t.givenUp()) {
			all = append(all, j.childrenGivenUp(run))
		}
		for _, run := range t.childFlaps() {
			all = append(all, j.childrenEnd(run))
		}
	}
	return all
}

// childFlaps are the runs of ends of child SAs of one IKE SA that stays.
func (t *talk) childFlaps() [][]flap {
	if t.Successor != nil {
		return nil
	}
	var all []flap
	for _, e := range t.ChildEnds() {
		all = append(all, flap{t, e.Delete, e.Lived})
	}
	return runs(all)
}

// childrenEnd is for child SAs of an IKE SA that stays, which are deleted and made anew some time
// later, again and again.
func (j *judge) childrenEnd(run []flap) report.Finding {
	f, who, by := j.flappingFinding(run, run[0].at())
	f.Title, f.Confidence = "A child SA is made and deleted again and again", report.Probable
	f.Severity = report.Warning // where little passes, it may be meant so
	f.Explanation = fmt.Sprintf("%d times within %s the child SA ends and no traffic passes until a new one is made, "+
		"while the IKE SA stays; %s, the soonest after %s. An idle timer does that where "+
		"little passes, a difference of lifetimes or selectors where much does.", len(run),
		duration(f.Fields["within_s"].(float64)*1e3), j.share(run, who, by), duration(f.Fields["shortest_ms"].(float64)))
	f.Actions = append(f.Actions, j.exec(who, "idle timer and lifetimes of the child SA", "show crypto ipsec profile",
		"show crypto map"))
	return f
}

// share tells who sent the Deletes of a run.
func (j *judge) share(run []flap, who pair.Side, by int) string {
	if 2*by == len(run) {
		return fmt.Sprintf("each side sent %d of the Deletes", by)
	}
	return fmt.Sprintf("%s sent %d of the Deletes", j.partyName(who), by)
}

// mostOf is the side that has most; A when both have as many.
func mostOf(by [2]int) pair.Side {
	if by[pair.B] > by[pair.A] {
		return pair.B
	}
	return pair.A
}

// flappingFinding is what all kinds of it have in common, about the side that ended most of the
// SAs, and how many that are; since is from when on they are counted.
func (j *judge) flappingFinding(run []flap, since int64) (f report.Finding, who pair.Side, by int) {
	version, ended, shortest := run[0].t.Version, [2]int{}, run[0].lived
	var proof []*pair.Message
	for _, x := range run {
		ended[x.delete.From]++
		shortest = min(shortest, x.lived)
		proof = append(proof, x.delete)
	}
	who = mostOf(ended)
	return report.Finding{
		Confidence: report.Certain, Conversation: run[0].t.ID,
		Evidence: evidence("an SA ends", proof...),
		Actions: []report.Action{
			j.exec(who, "why it deletes them, in its own words", showErrors(version)...),
			j.exec(who.Other(), "what it sees of the same: duplicate peers, liveness checks, lifetimes",
				append(showErrors(version), showSA(version))...),
		},
		Subject: onSide(who),
		Fields: map[string]any{"count": len(run), "within_s": millis(run[len(run)-1].at()-since) / 1e3,
			"shortest_ms": millis(shortest)},
	}, who, ended[who]
}

// givenUp are the child SAs that are made by CREATE_CHILD_SA and given up at once: right after the
// answer a side sends one bare Notify, which is an error, or a Delete. They are in the order of
// their ends.
func (t *talk) givenUp() (all []flap) {
	for _, m := range t.RequestsOf(ike.CreateChildSA) {
		if !facts.Made(m.AnsweredBy()) {
			continue
		}
		if e := t.errorAfter(m); e != nil {
			all = append(all, flap{t, e, e.Transmissions()[0].Aligned - m.Transmissions()[0].Aligned})
		}
	}
	slices.SortFunc(all, func(x, y flap) int { return cmp.Compare(x.at(), y.at()) })
	return all
}

// childrenGivenUp is for child SAs that are given up as soon as they are made, again and again.
func (j *judge) childrenGivenUp(run []flap) report.Finding {
	f, who, by := j.flappingFinding(run, run[0].at()-run[0].lived)
	f.Title, f.Confidence = "New SAs are given up again and again", report.Probable // only keys would show the error
	f.Explanation = fmt.Sprintf("%s gave up %d new SAs right after they were agreed on, each with an error that only "+
		"keys would show: the tunnel is rekeyed again and again and does not hold.", j.name(who), by)
	if other := len(run) - by; other > 0 {
		f.Explanation += fmt.Sprintf(" %s did so with %d.", capital(j.name(who.Other())), other)
	}
	return f
}

// errorAfter is the bare Notify that a side sends next after m, the request of a CREATE_CHILD_SA
// exchange, was answered.
func (t *talk) errorAfter(m *pair.Message) *pair.Message {
	answered := m.AnsweredBy().Transmissions()[0].Aligned
	next, _ := slices.BinarySearchFunc(t.Messages, answered,
		func(o *pair.Message, at int64) int { return cmp.Compare(o.Transmissions()[0].Aligned, at) })
	for _, o := range t.Messages[next:] {
		at := o.Transmissions()[0].Aligned
		if o.Kind != exchange.Request || o == m {
			continue
		}
		if at > answered+facts.Patience || o.Exchange != ike.Informational || o.Sealed().LoneNotify() != ike.Yes {
			return nil
		}
		return o
	}
	return nil
}
