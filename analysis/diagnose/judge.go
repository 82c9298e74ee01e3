package diagnose

import (
	"cmp"
	"context"
	"slices"
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
	versions   *facts.VersionConflict // nil: none

	names   [2]string       // see name; empty: not asked for yet
	dropped [2]*facts.Drops // by each router while the captures ran; nil: not asked for yet
	traced  [2]*facts.Traces
}

func newJudge(ctx context.Context, c *pair.Case, talks []*facts.Talk, o Options) *judge {
	return &judge{talkSet: newTalkSet(ctx, talks), c: c, o: o, traffic: facts.TrafficOf(c), path: facts.PathOf(c),
		rejections: facts.Rejections(c), nat: facts.Translations(c), versions: facts.Versions(c, talks)}
}

// Judge returns the findings of a case: root causes first, what follows from them behind, facts
// last. talks are the conversations of the case, as package facts tells them. It fails only when
// ctx ends.
func Judge(ctx context.Context, c *pair.Case, talks []*facts.Talk, o Options) ([]report.Finding, error) {
	j := newJudge(ctx, c, talks, o)
	var each [][]report.Finding // by rule
	for i, r := range rules {
		if j.ended() {
			break
		}
		if o.Progress != nil {
			o.Progress(i, len(rules))
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
			if strings.HasPrefix(f.Explanation, "side ") {
				f.Explanation = "S" + f.Explanation[1:] // a side without a name begins a sentence
			}
		}
		each = append(each, some)
	}
	found := slices.Concat(each...)
	link(found)
	found = fold(found)
	for i := range found {
		tellSubject(&found[i])
	}
	rank(found)
	for i := range found {
		j.tellAnswers(&found[i])
	}
	return found, context.Cause(ctx)
}
