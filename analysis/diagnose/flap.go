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
	delete *pair.Message
	lived  int64 // nanoseconds from the SA's beginning to its Delete
}

func (f flap) at() int64 { return f.delete.Transmissions()[0].Aligned }

// flaps are the runs of SAs of one pair of addresses that were made and deleted one after the
// other.
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
		ends := [2]netip.Addr{t.Ends[pair.A].Addr(), t.Ends[pair.B].Addr()}
		if byEnds[ends] == nil {
			order = append(order, ends)
		}
		byEnds[ends] = append(byEnds[ends], flap{t, m, m.Transmissions()[0].Aligned - t.First})
	}
	var runs [][]flap
	for _, ends := range order {
		all := byEnds[ends]
		slices.SortFunc(all, func(x, y flap) int { return cmp.Compare(x.at(), y.at()) })
		start := 0
		for i := range all {
			if i+1 < len(all) && all[i+1].at()-all[i].at() <= flapWindow/(leastFlaps-1) {
				continue
			}
			if i+1-start >= leastFlaps {
				runs = append(runs, all[start:i+1])
			}
			start = i + 1
		}
	}
	return runs
}

// inFlaps are the conversations whose end is told as one flapping.
func (j *judge) inFlaps() map[*talk]bool {
	all := map[*talk]bool{}
	for _, run := range j.flaps() {
		for _, f := range run {
			all[f.t] = true
		}
	}
	return all
}

func saFlapping(j *judge) []report.Finding {
	var all []report.Finding
	for _, run := range j.flaps() {
		by := [2]int{}
		shortest := run[0].lived
		var proof []*pair.Message
		for _, f := range run {
			by[f.delete.From]++
			shortest = min(shortest, f.lived)
			proof = append(proof, f.delete)
		}
		who := pair.A
		if by[pair.B] > by[pair.A] {
			who = pair.B
		}
		f := j.flappingFinding(run[0].t, who, len(run), run[len(run)-1].at()-run[0].t.First, shortest, proof)
		f.Explanation = fmt.Sprintf("%d SAs of %s and %s were made and deleted one after the other within %s, "+
			"the shortest after %s; %s sent %d of the Deletes.", len(run), j.name(pair.A), j.name(pair.B),
			duration(f.Fields["within_s"].(float64)*1e3), duration(millis(shortest)), j.partyName(who), by[who])
		for _, x := range run[1:] {
			f.Further = append(f.Further, x.t.ID)
		}
		all = append(all, f)
	}
	for _, t := range j.talks {
		if f, ok := j.childFlapping(t); ok {
			all = append(all, f)
		}
	}
	return all
}

func (j *judge) flappingFinding(t *talk, who pair.Side, count int, within, shortest int64,
	proof []*pair.Message) report.Finding {
	return report.Finding{
		Confidence: report.Certain, Conversation: t.ID,
		Evidence: evidence("an SA ends", proof...),
		Actions: []report.Action{
			j.exec(who, "why it deletes them, in its own words", showErrors(t.Version)...),
			j.exec(who.Other(), "what it sees of the same: duplicate peers, liveness checks, lifetimes",
				append(showErrors(t.Version), showSA(t.Version))...),
		},
		Subject: onSide(who),
		Fields: map[string]any{"count": count, "within_s": millis(within) / 1e3,
			"shortest_ms": millis(shortest)},
	}
}

// childFlapping is for child SAs that are made by CREATE_CHILD_SA and given up at once, again and
// again: right after the answer a side sends one bare Notify, which is an error, or a Delete.
func (j *judge) childFlapping(t *talk) (report.Finding, bool) {
	var proof []*pair.Message
	by := [2]int{}
	var first, last, shortest int64
	for _, m := range t.RequestsOf(ike.CreateChildSA) {
		if !facts.Made(m.AnsweredBy()) {
			continue
		}
		e := t.errorAfter(m)
		if e == nil {
			continue
		}
		at := e.Transmissions()[0].Aligned
		if lived := at - m.Transmissions()[0].Aligned; shortest == 0 || lived < shortest {
			shortest = lived
		}
		if first == 0 {
			first = m.Transmissions()[0].Aligned
		}
		last = at
		by[e.From]++
		proof = append(proof, e)
	}
	if len(proof) < leastFlaps {
		return report.Finding{}, false
	}
	who := pair.A
	if by[pair.B] > by[pair.A] {
		who = pair.B
	}
	f := j.flappingFinding(t, who, len(proof), last-first, shortest, proof)
	f.Explanation = fmt.Sprintf("%s gave up %d new SAs right after they were agreed on, each with an error that only "+
		"keys would show: the tunnel is rekeyed again and again and does not hold.", j.name(who), len(proof))
	return f, true
}

// errorAfter is the bare Notify that a side sends next after m, the request of a CREATE_CHILD_SA
// exchange, was answered.
func (t *talk) errorAfter(m *pair.Message) *pair.Message {
	answered := m.AnsweredBy().Transmissions()[0].Aligned
	for _, o := range t.Messages {
		at := o.Transmissions()[0].Aligned
		if at < answered || o.Kind != exchange.Request || o == m {
			continue
		}
		if at > answered+facts.Patience || o.Exchange != ike.Informational || o.Sealed().LoneNotify() != ike.Yes {
			return nil
		}
		return o
	}
	return nil
}
