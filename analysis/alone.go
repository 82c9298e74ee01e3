package analysis

import (
	"context"
	"fmt"
	"slices"

	"github.com/moncap/moncap/analysis/diagnose"
	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

// bad orders verdicts: well, unclear, troubled, failed. A report of what is known to be troubled
// says more than one of what is unclear.
func (j *judgement) bad() int { return slices.Index([]int{0, 3, 1, failed}, j.verdict.ExitCode) }

// failed is the exit code of the worst verdict.
const failed = 2

// worst judges each of several tunnels by itself and returns the worst, with what a report of it
// has to tell: together, the life of one would hide that another one is dead, and what one lacks
// would be told of the other. They may share an address, and are told apart by those at both ends
// then. whole is all of them together, which stands when they are all well, or when something is
// wrong that is none of theirs; all says that nothing else is in the captures.
func (x *comparison) worst(ctx context.Context, whole *judgement, tunnels []pair.Tunnel, all bool,
	stories [2]*exchange.Story) (told *judgement, note string, err error) {
	worst, of, over, err := x.eachAlone(ctx, whole, tunnels, stories)
	if err != nil {
		return nil, "", err
	}
	if len(over) > 0 {
		if left := whole.without(over); left.bad() == 0 {
			whole.findings = diagnose.TellGivenUp(whole.c, left.findings, over)
			whole.verdict = diagnose.Verdict(whole.c, whole.findings)
		}
	}
	if worst == nil || len(over) > 0 && whole.bad() >= worst.bad() || whole.saysMore(worst, all) {
		return whole, "", nil
	}
	return worst, fmt.Sprintf("%s: told is that of %s and %s, and the packets of the others count as "+
		"other ones", held(whole.c, tunnels), of.Between[pair.A], of.Between[pair.B]), nil
}

// without is j without what it infers of the negotiations of tunnels that a side gave up.
func (j *judgement) without(over []diagnose.GivenUp) *judgement {
	gone := map[string]bool{}
	for _, v := range j.c.Conversations {
		gone[v.ID] = slices.ContainsFunc(over, func(x diagnose.GivenUp) bool { return x.Between == v.Between() })
	}
	left := *j
	left.findings = slices.DeleteFunc(slices.Clone(j.findings), func(f report.Finding) bool {
		return gone[f.Conversation] && f.Severity != report.Info && f.Confidence != report.Certain
	})
	left.verdict = diagnose.Verdict(j.c, left.findings)
	return &left
}

// eachAlone judges each tunnel by itself, and returns the first one of which nothing worse can be
// said than of any other. A tunnel that fails and that a side gave up for another one does not
// decide: these are told beside.
func (x *comparison) eachAlone(ctx context.Context, whole *judgement, tunnels []pair.Tunnel,
	stories [2]*exchange.Story) (worst *judgement, of *pair.Tunnel, over []diagnose.GivenUp, err error) {
	parts := divided(stories, tunnels)
	tell := x.tell(Alone, "")
	x.join.Progress, x.judged.Progress = nil, nil
	given := whole.c.GivenUp()
	x.join.Room = &pair.Room{}
	for i := range tunnels {
		t := &tunnels[i]
		tell(i, len(tunnels))
		var its [2]*exchange.Story
		for s, p := range parts {
			if p != nil {
				its[s] = p.Of(i)
			}
		}
		one, err := x.judge(ctx, its)
		if err != nil {
			return nil, nil, nil, err
		}
		if by, gone := given[t.Between]; gone && one.bad() > 0 {
			over = append(over, diagnose.GivenUp{By: by, Between: t.Between, Of: one.c, Findings: one.findings})
			x.join.Room = &pair.Room{}
			continue
		}
		if worst != nil && one.bad() <= worst.bad() {
			for s, p := range parts {
				if p != nil {
					p.Reuse(its[s])
				}
			}
			continue
		}
		worst, of, x.join.Room = one, t, &pair.Room{}
		if one.verdict.ExitCode == failed {
			break // no other one can be worse
		}
	}
	return worst, of, over, nil
}

// divided are the stories, as far as there are, by what they hold of each tunnel.
func divided(stories [2]*exchange.Story, tunnels []pair.Tunnel) (parts [2]*exchange.Parts) {
	for _, s := range pair.Both {
		if stories[s] == nil {
			continue
		}
		shares := make([]exchange.Share, 0, len(tunnels))
		for i := range tunnels {
			shares = append(shares, tunnels[i].Share(s))
		}
		parts[s] = stories[s].Divide(shares)
	}
	return parts
}

// saysMore says whether what all tunnels are together is to be told, and not the worst of them. all
// says that nothing else is in the captures.
func (j *judgement) saysMore(worst *judgement, all bool) bool {
	if !j.c.TwoSided() && worst.verdict.ExitCode != failed && !worst.open() {
		return true // it tells of all peers
	}
	// What one capture alone holds of others is told of all of them together only.
	apart := slices.ContainsFunc(j.findings, func(f report.Finding) bool { return f.Code == "other-tunnel-fails" })
	return j.bad() == 0 && worst.bad() == 0 || (!all || apart) && j.bad() > worst.bad()
}

// open says whether a negotiation was begun that led to nothing in the captures.
func (j *judgement) open() bool {
	return j.verdict.Outcome == report.Inconclusive && slices.ContainsFunc(j.c.Conversations,
		func(v *pair.Conversation) bool { return !v.Foreign && v.Complete })
}

// held says what tunnels there are.
func held(c *pair.Case, tunnels []pair.Tunnel) string {
	captures := "the captures hold"
	if !c.TwoSided() {
		captures = "the capture holds"
	}
	shares := func(t pair.Tunnel) bool { return t.With[pair.A] != nil || t.With[pair.B] != nil }
	switch {
	case slices.ContainsFunc(tunnels, shares):
		return captures + " several tunnels, of which some share an address"
	case len(tunnels) == 1:
		return captures + " a tunnel that has nothing in common with the others"
	}
	return fmt.Sprintf("%s %d tunnels that have nothing in common", captures, len(tunnels))
}
