package analysis

import (
	"context"
	"errors"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/ike"
)

// counting is a context that counts how often it is asked whether it has ended, which the loops over conversations do at every so many
// steps; it ends when it was asked often enough.
type counting struct {
	context.Context
	asked, end int
}

func (c *counting) Err() error {
	if c.asked++; c.end > 0 && c.asked > c.end {
		return context.Canceled
	}
	return nil
}

// crowds are many negotiations of one kind.
var crowds = map[string]func(s *scene, i int){
	"short negotiations": func(s *scene, i int) { s.sa(i % 2).up() },
	"rekeys and liveness": func(s *scene, i int) {
		a := s.sa(i % 2).up()
		for range 4 {
			a.rekeyChild(i % 2)
			a.dpd(1 - i%2)
		}
	},
	"unanswered": func(s *scene, i int) {
		m := s.sa(0).init(false, proposals(gcm(19)))
		s.ike(0, 500, m)
		s.wait(time.Second)
		s.ike(0, 500, m)
	},
	"lost": func(s *scene, i int) {
		s.ike(i%2, 500, s.sa(i%2).init(false, proposals(gcm(19))), lost)
	},
	"refused": func(s *scene, i int) {
		a := s.sa(i % 2)
		a.open()
		a.auth(ike.PayloadN, 8)
	},
	"one SA that lives on": func(s *scene, i int) {
		if i == 0 {
			s.long = s.sa(0).up()
		}
		s.long.rekeyChild(i % 2)
	},
	"tunnels of a hub": func(s *scene, i int) {
		s.addr[1] = netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)})
		s.sa(i % 2).up()
	},
	"tunnels of a hub behind NAT": func(s *scene, i int) {
		s.addr[1], s.seen[1] = netip.AddrFrom4([4]byte{10, 18, byte(i >> 8), byte(i)}), netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)})
		s.sa(i % 2).up()
	},
	"repeated": func(s *scene, i int) {
		m := s.sa(i%2).init(false, proposals(gcm(19)))
		s.repeat(3, i%2, 500, m, lost)
		s.ike(i%2, 500, m)
	},
	"ESP SAs": func(s *scene, i int) {
		for n := range uint32(4) {
			s.esp(i%2, 0xa0000000+uint32(i), n+1, 100, i%3 == 0, fate{lost: n == 2 && i%4 == 0})
		}
	},
	"IKE and ESP": func(s *scene, i int) {
		s.sa(i % 2).up()
		for n := range uint32(2) {
			s.esp(0, 0xa0000000+uint32(i), n+1, 100, true)
			s.esp(1, 0xb0000000+uint32(i), n+1, 100, true)
		}
	},
	"deleted": func(s *scene, i int) {
		s.sa(0).up().exchange(ike.Informational, i%2, ike.PayloadD, 8, ike.PayloadNone, 0)
	},
}

// Work and memory grow with the number of conversations and not with its square, whatever these are.
func TestGrowthIsLinear(t *testing.T) {
	const few, times, most = 250, 8, 12
	for name, one := range crowds {
		t.Run(name, func(t *testing.T) {
			work := func(n int) (steps, allocations int) {
				s := newScene(t)
				for i := range n {
					one(s, i)
				}
				sides := s.sides()
				ctx := &counting{Context: context.Background()}
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				if _, err := Compare(ctx, sides[0], &sides[1], Options{}); err != nil {
					t.Fatal(err)
				}
				runtime.ReadMemStats(&after)
				return ctx.asked, int(after.TotalAlloc - before.TotalAlloc)
			}
			steps, allocated := work(few)
			moreSteps, moreAllocated := work(few * times)
			if moreSteps > most*steps || moreAllocated > most*allocated {
				t.Errorf("%d times the conversations: %d instead of %d steps, %d instead of %d bytes", times, moreSteps, steps, moreAllocated, allocated)
			}
		})
	}
}

// A comparison that is to end does, at whatever moment it hears of it.
func TestJudgingHearsItsContext(t *testing.T) {
	s := newScene(t)
	for range 300 {
		s.sa(0).up()
	}
	sides := s.sides()
	whole := &counting{Context: context.Background()}
	if _, err := Compare(whole, sides[0], &sides[1], Options{}); err != nil {
		t.Fatal(err)
	}
	var moments []int
	for at := 1; at < whole.asked; at += max(1, whole.asked/40) {
		moments = append(moments, at)
	}
	for _, at := range slices.Backward(moments) {
		ctx := &counting{Context: context.Background(), end: at}
		if _, err := Compare(ctx, sides[0], &sides[1], Options{}); !errors.Is(err, context.Canceled) {
			t.Errorf("ended at %d of %d: %v", at, whole.asked, err)
		}
		if late := ctx.asked - at; late > 200 {
			t.Errorf("ended at %d, and asked %d times more", at, late)
		}
	}
}
