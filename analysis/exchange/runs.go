package exchange

import "github.com/moncap/moncap/analysis/packet"

// Run is a part of a capture in which the times do not go back. Where they do, the router's clock
// was set back, or the file is not in the order in which its packets were captured.
type Run struct {
	Frame       int   // its first
	First, Last int64 // its earliest and its latest time
	Back        int64 // nanoseconds by which it begins before the one before it had ended; 0 of the first
}

const (
	// leastBack is the least that times go back by when a clock is set back: packets that a router
	// handles at the same time are in no order.
	leastBack = 10_000_000
	// mostRuns are more than a clock is set back in a capture; the times of a file with more of them
	// are in no order.
	mostRuns = 9
	// mostInterfaces are those whose times are looked at each by its own: several readers of one
	// file need not be in order with each other.
	mostInterfaces = 64
)

// runs finds the runs of a capture.
type runs struct {
	all    []Run
	latest [mostInterfaces]int64 // of the run, by interface; 0: none yet
	many   bool
}

// take takes a packet's time in.
func (r *runs) take(p *packet.Packet) {
	latest := &r.latest[p.Interface%mostInterfaces]
	back := *latest - p.Nanos
	if n := len(r.all); n == 0 || *latest != 0 && back > leastBack && unitOf(p.Nanos) <= back {
		if r.many = r.many || n == mostRuns; r.many {
			return
		}
		if n == 0 {
			back = 0
		}
		r.all = append(r.all, Run{p.Frame, p.Nanos, p.Nanos, back})
		r.latest = [mostInterfaces]int64{}
	}
	*latest = max(*latest, p.Nanos)
	run := &r.all[len(r.all)-1]
	run.First, run.Last = min(run.First, p.Nanos), max(run.Last, p.Nanos)
}

// unitOf is the largest of the coarse units that t is a whole number of, else 0: what is cut to it
// may have been later by nearly as much.
func unitOf(t int64) int64 {
	for unit := int64(coarsest); unit >= leastBack; unit /= 10 {
		if t%unit == 0 {
			return unit
		}
	}
	return 0
}

// found are the runs where there are several.
func (r *runs) found() []Run {
	if r.many || len(r.all) < 2 {
		return nil
	}
	return r.all
}
