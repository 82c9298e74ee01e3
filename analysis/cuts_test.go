package analysis_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/analysis/scene"
)

// part is which of a capture's packets are kept.
type part uint8

const (
	everything part = iota
	sent            // by the gateway itself
	received
)

// of keeps a part of a capture, by the hops that its packets have left.
func (p part) of(all []scene.Record) []scene.Record {
	return slices.DeleteFunc(slices.Clone(all), func(r scene.Record) bool {
		hops := 22 // behind Ethernet, of IPv4
		if r.Data[12] == 0x86 {
			hops = 21
		}
		return p != everything && (r.Data[hops] == 255) != (p == sent)
	})
}

// window keeps what a capture has between two moments of its clock.
func window(all []scene.Record, from, to int64) []scene.Record {
	return slices.DeleteFunc(slices.Clone(all), func(r scene.Record) bool { return r.Nanos < from || r.Nanos > to })
}

// isIKE says whether a record is a whole packet of IKE.
func isIKE(r scene.Record) bool {
	b, header, proto := r.Data[14:], 20, 9
	if r.Data[12] == 0x86 {
		header, proto = 40, 6
	}
	if b[proto] != 17 || header == 20 && (b[6]&0x3f != 0 || b[7] != 0) {
		return false
	}
	b = b[header:]
	return b[2] == 1 && b[3] == 0xf4 || len(b) > 12 && slices.Equal(b[8:12], make([]byte, 4))
}

// busy is a lively tunnel that may be a fast one, for which a moment is long.
func busy(seed uint64) *lively {
	l := newLively(seed)
	if l.rnd.IntN(2) == 0 {
		for s := range l.every {
			l.every[s] = time.Duration(2+l.rnd.IntN(30)) * time.Millisecond
		}
		if l.rnd.IntN(2) == 0 {
			l.every[l.rnd.IntN(2)] *= 10 // a download
		}
		l.duration, l.probes, l.pause = 6*time.Second, 0, [2]time.Duration{}
	}
	return l
}

// cuts are a healthy tunnel's captures, and looks at less than all of them.
type cuts struct {
	t     *testing.T
	name  string
	rnd   *rand.Rand
	rows  [2][]scene.Record
	ahead int64 // B's clock, nanoseconds
}

// within is a random moment within so many milliseconds around one.
func (c *cuts) within(ms int) int64 { return int64(c.rnd.IntN(2*ms)-ms) * int64(time.Millisecond) }

// innocent fails where anything is said that is not so, or is certain without reason: filtered says
// that the captures hold one direction alone, which is to be told.
func (c *cuts) innocent(look string, filtered bool, rows [2][]scene.Record) {
	s := scene.New(c.t)
	s.Rows = rows
	r := s.Compare()
	for _, f := range r.Findings {
		wrong := f.Severity == report.Critical && f.Code != "no-ike-traffic" && f.Confidence == report.Certain
		switch f.Code {
		case "path-loss", "esp-stale-spi":
			wrong = true
		case "esp-loss":
			wrong = !filtered || f.Confidence == report.Certain
		case "esp-one-way":
			wrong = f.Confidence != report.Possible
		case "esp-blocked":
			wrong = wrong || !filtered
		case "capture-filter-incomplete":
			wrong = !filtered
		}
		if wrong {
			c.t.Errorf("%s, %s: %s %s: %s", c.name, look, f.Code, f.Confidence, f.Explanation)
		}
	}
}

// directions keeps one direction in one capture or both.
func (c *cuts) directions() {
	for i := 1; i < 9; i++ {
		a, b := part(i/3), part(i%3)
		c.innocent(fmt.Sprint("parts ", a, b), true, [2][]scene.Record{a.of(c.rows[0]), b.of(c.rows[1])})
	}
}

// windows keeps a short time of both captures, and one direction of that.
func (c *cuts) windows() {
	for range 12 {
		at := c.rows[0][c.rnd.IntN(len(c.rows[0]))].Nanos
		length := int64([]time.Duration{50, 100, 200, 500, 1000, 3000}[c.rnd.IntN(6)] * time.Millisecond)
		shift := c.ahead + int64(c.rnd.IntN(2))*c.within(100)
		cut := [2][]scene.Record{window(c.rows[0], at-length/2, at+length/2),
			window(c.rows[1], at-length/2+shift, at+length/2+shift)}
		look := fmt.Sprintf("%v from %d, B's %v later", time.Duration(length), at-length/2, time.Duration(shift))
		c.innocent(look, false, cut)
		if a, b := part(c.rnd.IntN(3)), part(c.rnd.IntN(3)); a != everything || b != everything {
			c.innocent(fmt.Sprint(look, ", parts ", a, b), true, [2][]scene.Record{a.of(cut[0]), b.of(cut[1])})
		}
	}
}

// edges ends or begins a capture some milliseconds before or behind a packet.
func (c *cuts) edges() {
	for range 12 {
		from, side := c.rnd.IntN(2), c.rnd.IntN(2)
		n := c.rnd.IntN(len(c.rows[from]))
		if c.rnd.IntN(2) == 0 {
			n = min(n, 12) // of the negotiation
		}
		edge := c.rows[from][n].Nanos + c.within(15) + c.ahead*int64(side-from)
		cut := c.rows
		if c.rnd.IntN(2) == 0 {
			cut[side] = window(cut[side], 0, edge)
		} else {
			cut[side] = window(cut[side], edge, 1<<62)
		}
		c.innocent(fmt.Sprintf("side %d, its edge near packet %d of side %d", side, n, from), false, cut)
	}
}

// messages keeps a few messages of IKE, each capture from and to some milliseconds from one.
func (c *cuts) messages() {
	var messages [2][]int64
	for s := range messages {
		for _, r := range c.rows[s] {
			if isIKE(r) {
				messages[s] = append(messages[s], r.Nanos)
			}
		}
	}
	most := min(len(messages[0]), len(messages[1]))
	for range min(most, 1) * 40 {
		n, span := c.rnd.IntN(most), 1+c.rnd.IntN(8)
		var cut [2][]scene.Record
		for s := range cut {
			cut[s] = window(c.rows[s], messages[s][n]+c.within(30), messages[s][min(n+span, most-1)]+c.within(30))
		}
		c.innocent(fmt.Sprintf("%d messages from the %dth on", span, n), false, cut)
	}
}

// A healthy tunnel of which the captures hold one direction alone, moments, or nothing of the time
// around an edge, is accused of nothing for certain: what lies outside of a capture is unknown.
// MONCAP_SEEDS=300 cuts that many tunnels.
func TestCutsOfHealthyTunnels(t *testing.T) {
	for seed := range espSeeds(t) {
		l, s := busy(seed), scene.New(t)
		l.play(s)
		c := &cuts{t, fmt.Sprintf("seed %d (%v)", seed, l), rand.New(rand.NewPCG(seed, 31)),
			[2][]scene.Record{s.Sorted(0), s.Sorted(1)}, int64(s.Ahead)}
		c.directions()
		c.windows()
		c.edges()
		c.messages()
		// B's capture is of the same tunnel at another time.
		again, later := busy(seed), scene.New(t)
		later.ID, later.SPI = 30_000, 0x5000
		again.play(later)
		for _, away := range []time.Duration{3 * time.Minute, time.Hour, 48 * time.Hour} {
			b := later.Sorted(1)
			for i := range b {
				b[i].Nanos += int64(away)
			}
			c.innocent(fmt.Sprint(away, " later"), false, [2][]scene.Record{slices.Clone(c.rows[0]), b})
		}
	}
}
