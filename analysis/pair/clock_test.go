package pair

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/packet"
)

// observe makes n packets a direction, one every gap, with the delays and the clock that b gives
// for a time of A.
func observe(n int, gap int64, clock func(int64) int64) []observation {
	rnd := rand.New(rand.NewPCG(5, 6))
	var all []observation
	for i := range n {
		t := start + int64(i)*gap
		all = append(all, observation{t, clock(t + 18e6 + rnd.Int64N(3e6)), A, 0, 0, false})
		all = append(all, observation{t + 23e6 + rnd.Int64N(3e6), clock(t), B, 0, 0, false})
	}
	return all
}

func TestClock(t *testing.T) {
	const second = int64(time.Second)
	for _, c := range []struct {
		name  string
		n     int
		gap   int64
		clock func(int64) int64
		drift float64
		steps []int64
	}{
		{"same", 20, second, func(t int64) int64 { return t }, 0, nil},
		{"a year ahead", 20, second, func(t int64) int64 { return t + 365*24*3600*second }, 0, nil},
		{"drifting", 200, second, func(t int64) int64 { return t + (t-start)/20000 }, 50, nil},
		{"set back by 150 ms", 100, second, stepped(50*second, -150_000_000), 0, []int64{-150_000_000}},
		{"set ahead by 2 h", 100, second, stepped(50*second, 7200*second), 0, []int64{7200 * second}},
		{"set ahead early", 100, second, stepped(4*second, 3*second), 0, []int64{3 * second}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := fitClock(observe(c.n, c.gap, c.clock), 0)
			if len(got.Steps) != len(c.steps) {
				t.Fatalf("steps %v, want %v", got.Steps, c.steps)
			}
			for i, s := range got.Steps {
				if distance(s.By, c.steps[i]) > 10e6 {
					t.Errorf("step by %d, want %d", s.By, c.steps[i])
				}
			}
			if got.HasDrift && distance(int64(got.Drift*10), int64(c.drift*10)) > 300 && len(c.steps) == 0 {
				t.Errorf("drift %.1f ppm, want %.1f", got.Drift, c.drift)
			}
			for _, o := range observe(c.n, c.gap, c.clock) {
				if o.from == B { // B sent at o.b, which is some 23 ms before o.a
					if at := got.toA(o.b); distance(at, o.a-24e6) > 25e6 {
						t.Fatalf("B's %d is A's %d, off by %d ms", o.b, at, (at-o.a+24e6)/1e6)
					}
				}
			}
		})
	}
}

// A clock of A that is set back runs through the same seconds twice; what came first is told by the
// order of its capture.
func TestClockOfASetBack(t *testing.T) {
	const second = int64(time.Second)
	for _, by := range []int64{-5 * second, -3600 * second, 5 * second} {
		setA := stepped(50*second, by)
		all := observe(100, second, func(t int64) int64 { return t })
		slices.SortFunc(all, func(x, y observation) int { return cmp.Compare(x.a, y.a) })
		for i := range all {
			all[i].frame, all[i].a = int32(i+1), setA(all[i].a)
		}
		got := fitClock(all, 0)
		if len(got.Steps) != 1 || distance(got.Steps[0].By, -by) > 10e6 {
			t.Errorf("A set by %d: steps %v, want one of %d", by, got.Steps, -by)
		}
	}
}

func stepped(after, by int64) func(int64) int64 {
	return func(t int64) int64 {
		if t >= start+after {
			return t + by
		}
		return t
	}
}

func TestClockOfOneDirection(t *testing.T) {
	got := fitClock([]observation{{start, start + 5e9, A, 1, 1, false},
		{start + 1e9, start + 6e9 + 1e6, A, 2, 2, false}}, 0)
	if got.Low != nil || got.High == nil || *got.High != 5e9 || got.Offset != 5e9 {
		t.Errorf("clock %+v, want the upper bound 5 s alone", got)
	}
	if got := fitClock(nil, 0); got != nil {
		t.Errorf("a clock of nothing: %+v", got)
	}
}

// Where a message was sent more often than it arrived, and nothing tells the sendings apart, the
// clock must hold for either.
func TestClockOfWhatWasRepeated(t *testing.T) {
	const ms = int64(time.Millisecond)
	for _, offset := range []int64{0, 7200_000 * ms, -50 * ms} {
		n := calm()
		n.offset = offset
		pass := func(from Side, sent, arrives int64, p packet.Packet) {
			p.TTL, p.ChecksumOK = 255, true
			n.capture(from, from, start+sent*ms, p)
			if p.TTL = 250; arrives != 0 {
				n.capture(from.Other(), from, start+arrives*ms, p)
			}
		}
		for id, times := range [][4][2]int64{
			{{18, 414}, {619, 978}, {418, 730}, {978, 1308}},
			{{738, 1044}, {1338, 1714}, {1082, 1440}, {1714, 0}}, // A's capture ends before the last answer comes
		} {
			request := n.ikePacket(1, 2, A, A, ike.IKEAuth, uint32(id+1), false)
			response := n.ikePacket(1, 2, B, A, ike.IKEAuth, uint32(id+1), true)
			for i, x := range times {
				if i < 2 {
					pass(A, x[0], x[1], request)
				} else {
					pass(B, x[0], x[1], response)
				}
			}
		}
		c := mustJoin(t, n)
		if c.Clock == nil || c.Clock.Low == nil || c.Clock.High == nil {
			t.Fatalf("clock %+v, want one with bounds", c.Clock)
		}
		if low, high := *c.Clock.Low, *c.Clock.High; min(low, high) > offset || max(low, high) < offset {
			t.Errorf("B's clock is between %d and %d ms ahead, want %d between them", low/ms, high/ms, offset/ms)
		}
	}
}
