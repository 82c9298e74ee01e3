package render

import (
	"math"

	"github.com/moncap/moncap/analysis/report"
)

// arrowView is the geometry of an arrow: the width in percent of the space between the lines, the
// height in pixels from the top of its row.
type arrowView struct {
	X1, X2 int
	Y1, Y2 int
	Head   string // path of the head, around its own origin
	Cross  bool
	Open   bool // nobody knows where it ends
}

// The heights of a row's parts in pixels. The style sheet has the same: it keeps every line of
// words to one line, so that it is known here where each row lies.
const (
	lineHeight = 18 // a line of words
	overWords  = 4
	underWords = 6  // from the words to the arrow's tail
	underTail  = 18 // from the tail to the end of the row
	plainRow   = 30 // a row without an arrow
)

func (rv *rowView) measure(lines int) {
	switch rv.Kind {
	case "arrow":
		rv.At = overWords + rv.Gap + lines*lineHeight + underWords
		rv.Height = rv.At + underTail
	case "icmp":
		rv.Height = overWords + lines*lineHeight + overWords
		rv.At = rv.Height / 2
	default:
		rv.Height, rv.At = plainRow, plainRow/2
	}
}

// gap is the space in pixels that stands for a time: it grows with its logarithm.
func gap(ns int64) int {
	ms := float64(ns) / 1e6
	if ms <= 1 {
		return 0
	}
	return min(int(5*math.Log10(ms)), 24)
}

// drawArrows puts every arrow's ends where their times are. Time runs down the page, in a scale of
// its own between each two rows; so an arrow falls by the part of that span that it was under way,
// and one that was overtaken crosses the other.
func drawArrows(views []rowView, rows []Row) {
	top := int64(0)
	for i := range views {
		views[i].top = top
		top += int64(views[i].Height)
	}
	for i := range views {
		if views[i].Kind == "arrow" {
			views[i].Arrow = geometry(&rows[i], views[i].At, fall(views, i))
		}
	}
}

// leastFall is how much an arrow falls at least, so that its direction shows.
const leastFall = 3

// fall is how many pixels below its tail the arrow of row i ends.
func fall(views []rowView, i int) int {
	v := &views[i]
	j, next := i, -1
	for k := i + 1; k < len(views); k++ {
		if views[k].Kind == "quiet" {
			continue
		}
		if views[k].start > v.arrive {
			next = k
			break
		}
		j = k
	}
	at := &views[j]
	room, part := float64(underTail-2), 0.5
	if next >= 0 && at.start < views[next].start {
		part = float64(v.arrive-at.start) / float64(views[next].start-at.start)
		if next == j+1 {
			room += float64(views[next].Gap)
		}
	}
	down := at.top + int64(at.At) - v.top - int64(v.At)
	return max(leastFall, int(down)+int(room*math.Max(part, 0)))
}

func geometry(row *Row, tail, fall int) arrowView {
	a := arrowView{X1: 0, X2: 100, Y1: tail, Y2: tail + fall, Head: "M0 0L-11 -5V5Z"}
	half := false
	if row.Fate == report.Lost {
		a.Cross, half, a.X2 = true, true, 62
	}
	if row.Fate == report.Unknown && (row.FrameA == 0 || row.FrameB == 0) {
		a.Open, half, a.X2 = true, true, 85
	}
	if row.From == report.B {
		a.X1, a.X2, a.Head = 100, 100-a.X2, "M0 0L11 -5V5Z"
	}
	if half {
		a.Head, a.Y2 = "", tail+leastFall
	}
	return a
}
