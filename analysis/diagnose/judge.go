package diagnose

import (
	"cmp"
	"context"
	"strings"

	"github.com/moncap/moncap/analysis/facts"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

// Options are what the judgement may know beside the case, by side.
type Options struct {
	Config [2]facts.Config // outputs of show commands by the names of the commands
	Debug  [2][]byte       // output of debug crypto ikev2
	// TransferHostKey is what was wrong with the host key of the connection that was to fetch the
	// capture; empty: nothing.
	TransferHostKey [2]string
	// Progress is told how many of the rules were asked; nil: nobody wants to know.
	Progress func(done, of int)
}

// judge holds the case and what is true of it: all that a rule may look at.
type judge struct {
	*talkSet
	c      *pair.Case
	o      Options
	debugs [2]*debugMatch

	traffic    *facts.Traffic
	path       *facts.Path
	rejections []facts.Rejection
	nat        []facts.Translated
	versions   *facts.VersionConflicts
	apart      bool // see facts.Apart and facts.OfOther
	fits       bool // apart: see facts.OneFits

	names   [2]string // see name; empty: not asked for yet
	dropped bySide[facts.Drops]
	traced  bySide[facts.Traces]
	counted bySide[facts.IKECounts]

	othersThatFail []facts.OtherFails
	failing        map[otherEnd]bool // those of othersThatFail; nil: not asked for yet

	atControlPlane bySide[controlPlane]
	takesWrong     bySide[bool] // see takesWrongChecksums
	skipping       bySide[bool] // see skipsESP
}

// bySide is what is found out of a side once, when it is asked for: every conversation may ask.
type bySide[T any] [2]*T

func (b *bySide[T]) of(s pair.Side, find func(pair.Side) T) *T {
	if b[s] == nil {
		found := find(s)
		b[s] = &found
	}
	return b[s]
}

func newJudge(ctx context.Context, c *pair.Case, talks []*facts.Talk, o Options) *judge {
	j := &judge{talkSet: newTalkSet(ctx, c, talks), c: c, o: o, traffic: facts.TrafficOf(c), path: facts.PathOf(c),
		rejections: facts.Rejections(c), nat: facts.Translations(c), versions: facts.Versions(c.Remotes(), talks),
		apart: facts.Apart(c) || facts.OfOther(c, pair.A) || facts.OfOther(c, pair.B)}
	j.fits = j.apart && facts.OneFits(c)
	return j
}

// Judge returns the findings of a case: root causes first, what follows from them behind, facts
// last. talks are the conversations of the case, as package facts tells them. It fails only when
// ctx ends.
func Judge(ctx context.Context, c *pair.Case, talks []*facts.Talk, o Options) ([]report.Finding, error) {
	j := newJudge(ctx, c, talks, o)
	v6 := j.betweenIPv6()
	var found []*report.Finding // where the rules laid them: there may be as many as conversations
	for i, r := range rules {
		if j.ended() {
			break
		}
		if o.Progress != nil {
			o.Progress(i, len(rules))
		}
		if !j.mayJudge(r.code) {
			continue
		}
		entry, _ := Explain(r.code)
		some := r.find(j)
		for n := range some {
			f := &some[n]
			f.Code = r.code
			if f.Severity == "" {
				f.Severity = entry.Severity
			}
			f.Title = cmp.Or(f.Title, entry.Title)
			if v6 {
				forIPv6(f.Actions)
			}
			found = append(found, f)
		}
	}
	link(found)
	told := fold(found, func(f *report.Finding) {
		if prove := proofs[f.Code]; prove != nil {
			prove(j, f)
		}
	}, j.begun)
	j.tellPeers(told)
	for i := range told {
		f := &told[i]
		if strings.HasPrefix(f.Explanation, "side ") {
			f.Explanation = "S" + f.Explanation[1:] // a side without a name begins a sentence
		}
		tellSubject(f)
	}
	rank(told)
	for i := range told {
		j.tellAnswers(&told[i])
	}
	return told, context.Cause(ctx)
}
