package pair

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/packet"
)

// TestReportedLossesAreTheLossesMade plays real retransmission over a path that loses, doubles,
// delays, reorders and translates, with clocks that disagree, and expects exactly the losses that
// were made, in both directions.
func TestReportedLossesAreTheLossesMade(t *testing.T) {
	offsets := []int64{0, 37_500_000_000, -2 * 3600e9, 365 * 24 * 3600e9}
	for i := range 60 {
		rnd := rand.New(rand.NewPCG(uint64(i), 7))
		n := &path{
			rnd: rnd, loss: []float64{0, 0.02, 0.1, 0.3}[i%4], duplicate: []float64{0, 0.05}[i/4%2],
			delay: [2]int64{1e6 + rnd.Int64N(80e6), 1e6 + rnd.Int64N(80e6)}, jitter: []int64{1e5, 30e6}[i%2],
			offset: offsets[rnd.IntN(len(offsets))], drift: []float64{0, 50e-6, -50e-6}[i%3], nat: i%2 == 1, withoutID: i%5 == 4,
		}
		if i%4 == 3 {
			n.port = 31000
		}
		t.Run(fmt.Sprintf("%d/loss=%v,dup=%v,offset=%v,drift=%v,nat=%v", i, n.loss, n.duplicate, n.offset, n.drift, n.nat),
			func(t *testing.T) {
				n.play()
				c := mustJoin(t, n)
				if c.Counts.Lost != n.lost {
					t.Errorf("lost %v, made %v", c.Counts.Lost, n.lost)
				}
				for _, s := range Both {
					if c.Parties[s].Coverage.Hidden != 0 {
						t.Errorf("%s: %d packets hidden from its own capture, want none", s, c.Parties[s].Coverage.Hidden)
					}
				}
				n.checkClock(t, c)
			})
	}
}

// TestLossesOnAnyPath does so on paths and clocks of random kind: either end or both translated, no
// router that counts, clocks years apart, and in every third case set while the captures run. The
// seed is the case's name; MONCAP_SEEDS plays more of them.
func TestLossesOnAnyPath(t *testing.T) {
	year := int64(365 * 24 * time.Hour)
	for seed := range seeds(t, 45) {
		rnd := rand.New(rand.NewPCG(seed, 11))
		n := &path{
			rnd: rnd, loss: rnd.Float64() * 0.25, duplicate: rnd.Float64() * 0.1,
			delay:  [2]int64{1e5 + rnd.Int64N(150e6), 1e5 + rnd.Int64N(150e6)},
			jitter: 1e4 + rnd.Int64N(20e6), offset: rnd.Int64N(20*year) - 10*year, drift: (rnd.Float64() - 0.5) * 200e-6,
			nat: rnd.IntN(2) == 0, natB: rnd.IntN(3) == 0, flat: rnd.IntN(4) == 0, withoutID: rnd.IntN(4) == 0,
		}
		if n.nat && rnd.IntN(2) == 0 {
			n.port = uint16(1024 + rnd.IntN(60000))
		}
		if seed%3 == 2 {
			n.stepAt, n.step = start+int64(5+rnd.IntN(15))*1e9, []int64{-7200e9, -40e9, 40e9, 3600e9}[rnd.IntN(4)]
		}
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			n.play()
			c := mustJoin(t, n)
			if !n.explains(c.Counts.Lost) {
				t.Errorf("lost %v, made %v on %+v", c.Counts.Lost, n.lost, n.describe())
			}
			if c.Clock == nil || c.Clock.Low == nil || c.Clock.High == nil {
				t.Fatalf("clock %+v, want one with bounds", c.Clock)
			}
			if want := n.stepAt != 0; n.step >= 0 && (len(c.Clock.Steps) > 0) != want {
				t.Errorf("steps %v, set while captured: %v (by %d)", c.Clock.Steps, want, n.step)
			}
			if c.Translates(A) != n.nat || c.Translates(B) != n.natB {
				t.Errorf("translates A %v, B %v; want %v, %v", c.Translates(A), c.Translates(B), n.nat, n.natB)
			}
		})
	}
}

// seeds is how many cases to play: as many as MONCAP_SEEDS says, when it is set.
func seeds(t *testing.T, usual uint64) uint64 {
	t.Helper()
	text := os.Getenv("MONCAP_SEEDS")
	if text == "" {
		return usual
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// explains says whether the losses reported are those made. A clock that was set back tells the
// same time twice, and without IP identifications a copy may stand for the sending before it that
// was lost: then a few may be left open, but none may be made up.
func (n *path) explains(lost [2]int) bool {
	if !n.withoutID && n.step >= 0 {
		return lost == n.lost
	}
	for _, s := range Both {
		if lost[s] > n.lost[s] || lost[s] < n.lost[s]*95/100 {
			return false
		}
	}
	return true
}

// describe is n without its packets.
func (n *path) describe() path {
	d := *n
	d.rnd, d.sent = nil, [2][]packet.Packet{}
	return d
}

func mustJoin(t *testing.T, n *path) *Case {
	t.Helper()
	a, b := n.stories(t)
	c, err := Join(context.Background(), a, b, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// play runs some SAs with exchanges of both sides and ESP both ways. The first and the last
// exchange are spared by the path, so that both captures span all of it.
func (n *path) play() {
	now := start
	for sa := range 4 {
		spiI, spiR := n.rnd.Uint64()|1, n.rnd.Uint64()|1
		initiator := Side(sa % 2)
		var next [2]uint32
		for i := range 6 {
			from := Side(n.rnd.IntN(2))
			id := next[from]
			next[from]++
			request := n.ikePacket(spiI, spiR, from, initiator, ike.Informational, id, false)
			response := n.ikePacket(spiI, spiR, from.Other(), initiator, ike.Informational, id, true)
			now = n.exchange(from, now, request, response, sa == 0 && i == 0)
		}
	}
	now = n.esp(now)
	request := n.ikePacket(1, 2, A, A, ike.Informational, 0, false)
	n.exchange(A, now+1e9, request, n.ikePacket(1, 2, B, A, ike.Informational, 0, true), true)
}

func (n *path) esp(now int64) int64 {
	for seq := range uint32(3000) {
		for _, s := range Both {
			p := packet.Packet{Kind: packet.ESP, Proto: 17, UDPEncap: true, SrcPort: 4500, DstPort: 4500,
				SPI: 0x1000 + uint32(s), Seq: seq + 1}
			n.send(s, now, p, seq == 0)
		}
		now += 2_000_000
	}
	return now
}

// checkClock: the true offset lies within the bounds, and the estimate within half
// of the round trip.
func (n *path) checkClock(t *testing.T, c *Case) {
	t.Helper()
	if c.Clock == nil || c.Clock.Low == nil || c.Clock.High == nil {
		t.Fatalf("clock %+v, want one with bounds", c.Clock)
	}
	if len(c.Clock.Steps) > 0 {
		t.Errorf("steps %v, want none", c.Clock.Steps)
	}
	for _, at := range []int64{start, start + 20e9} {
		trueB := at + n.offset + int64(n.drift*float64(at-start))
		if got := c.Aligned(trueB, B); distance(got, at) > (n.delay[A]+n.delay[B])/2+n.jitter+5e6 {
			t.Errorf("B's time aligned to A's is off by %d ms", (got-at)/1e6)
		}
	}
}
