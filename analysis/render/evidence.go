package render

import (
	"fmt"
	"slices"
	"strings"

	"github.com/moncap/moncap/analysis/report"
)

// proof is what several frames of the captures prove together: all that carry the same note.
type proof struct {
	note   string
	frames [2][]int // of A and of B, in order
}

// proofs groups evidence by its note, in the order in which the notes come first.
func proofs(list []report.Evidence) []proof {
	var out []proof
	for _, e := range list {
		note := clean(e.Note)
		i := slices.IndexFunc(out, func(p proof) bool { return p.note == note })
		if i < 0 {
			i = len(out)
			out = append(out, proof{note: note})
		}
		s := sideIndex(e.Side)
		out[i].frames[s] = append(out[i].frames[s], e.Frame)
	}
	for i := range out {
		for s := range out[i].frames {
			slices.Sort(out[i].frames[s])
			out[i].frames[s] = slices.Compact(out[i].frames[s])
		}
	}
	return out
}

func sideIndex(s report.Side) int {
	if s == report.B {
		return 1
	}
	return 0
}

// run is a run of frames without a gap.
type run struct{ low, high int }

func (r run) String() string {
	switch r.high - r.low {
	case 0:
		return fmt.Sprint(r.low)
	case 1:
		return fmt.Sprintf("%d, %d", r.low, r.high)
	}
	return fmt.Sprintf("%d-%d", r.low, r.high)
}

// runs makes runs of frames that are in order.
func runs(frames []int) []run {
	var out []run
	for _, f := range frames {
		if n := len(out); n > 0 && f == out[n-1].high+1 {
			out[n-1].high = f
			continue
		}
		out = append(out, run{f, f})
	}
	return out
}

// shownRuns bounds the runs of frames that are written out.
const shownRuns = 12

// framesText names frames of one side, long rows of them as runs.
func framesText(side report.Side, frames []int, all bool) string {
	word := "frame"
	if len(frames) > 1 {
		word = "frames"
	}
	var list []string
	shown := 0
	for i, r := range runs(frames) {
		if i == shownRuns && !all {
			list = append(list, fmt.Sprintf("and %d more", len(frames)-shown))
			break
		}
		shown += r.high - r.low + 1
		list = append(list, r.String())
	}
	return fmt.Sprintf("%s %s %s", side, word, strings.Join(list, ", "))
}

// text says which frames prove what.
func (p proof) text(all bool) string {
	var list []string
	for i, side := range []report.Side{report.A, report.B} {
		if len(p.frames[i]) > 0 {
			list = append(list, framesText(side, p.frames[i], all))
		}
	}
	s := strings.Join(list, "; ")
	if p.note != "" {
		s += ": " + p.note
	}
	return s
}
