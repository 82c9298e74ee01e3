package analysis_test

import (
	"context"
	"errors"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/scene"
)

// counting is a context that counts how often it is asked whether it has ended, which the loops
// over conversations do at every so many steps; it ends when it was asked often enough.
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
var crowds = map[string]func(s *scene.Scene, i int){
	"short negotiations": func(s *scene.Scene, i int) { s.SA(i % 2).Up() },
	"rekeys and liveness": func(s *scene.Scene, i int) {
		a := s.SA(i % 2).Up()
		for range 4 {
			a.RekeyChild(i % 2)
			a.DPD(1 - i%2)
		}
	},
	"unanswered": func(s *scene.Scene, i int) {
		m := s.SA(0).Init(false, scene.Proposals(scene.GCM(19)))
		s.IKE(0, 500, m)
		s.Wait(time.Second)
		s.IKE(0, 500, m)
	},
	"lost": func(s *scene.Scene, i int) {
		s.IKE(i%2, 500, s.SA(i%2).Init(false, scene.Proposals(scene.GCM(19))), scene.Lost)
	},
	"refused": func(s *scene.Scene, i int) {
		a := s.SA(i % 2)
		a.Open()
		a.Auth(ike.PayloadN, 8)
	},
	"one SA that lives on": func(s *scene.Scene, i int) {
		if i == 0 {
			s.Long = s.SA(0).Up()
		}
		s.Long.RekeyChild(i % 2)
	},
	"tunnels of a hub": func(s *scene.Scene, i int) {
		s.Addr[1] = netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)})
		s.SA(i % 2).Up()
	},
	"tunnels of a hub behind NAT": func(s *scene.Scene, i int) {
		s.Addr[1], s.Seen[1] = netip.AddrFrom4([4]byte{10, 18, byte(i >> 8), byte(i)}),
			netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)})
		s.SA(i % 2).Up()
	},
	"repeated": func(s *scene.Scene, i int) {
		m := s.SA(i%2).Init(false, scene.Proposals(scene.GCM(19)))
		s.Repeat(3, i%2, 500, m, scene.Lost)
		s.IKE(i%2, 500, m)
	},
	"ESP SAs": func(s *scene.Scene, i int) {
		for n := range uint32(4) {
			s.ESP(i%2, 0xa0000000+uint32(i), n+1, 100, i%3 == 0, scene.Fate{Lost: n == 2 && i%4 == 0})
		}
	},
	"IKE and ESP": func(s *scene.Scene, i int) {
		s.SA(i % 2).Up()
		for n := range uint32(2) {
			s.ESP(0, 0xa0000000+uint32(i), n+1, 100, true)
			s.ESP(1, 0xb0000000+uint32(i), n+1, 100, true)
		}
	},
	"ESP tunnels of a hub": func(s *scene.Scene, i int) {
		s.Addr[1] = netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)})
		s.SA(i % 2).Up()
		s.ESP(0, 0xa0000000+uint32(i), 1, 100, false)
		s.ESP(1, 0xb0000000+uint32(i), 1, 100, false)
	},
	"deleted": func(s *scene.Scene, i int) {
		s.SA(0).Up().Exchange(ike.Informational, i%2, ike.PayloadD, 8, ike.PayloadNone, 0)
	},
}

// ofAHub are the crowds of which the one capture of the hub is judged, too.
var ofAHub = []string{"tunnels of a hub", "ESP tunnels of a hub"}

// Work and memory grow with the number of conversations and not with its square,
// whatever these are.
func TestGrowthIsLinear(t *testing.T) {
	for name, one := range crowds {
		t.Run(name, func(t *testing.T) { growsLinearly(t, one, false) })
		if slices.Contains(ofAHub, name) {
			t.Run(name+", its capture alone", func(t *testing.T) { growsLinearly(t, one, true) })
		}
	}
}

func growsLinearly(t *testing.T, one func(*scene.Scene, int), alone bool) {
	const few, times, most = 250, 8, 12
	work := func(n int) (steps, allocations int) {
		s := scene.New(t)
		for i := range n {
			one(s, i)
		}
		sides := s.Sides()
		other := &sides[1]
		if alone {
			other = nil
		}
		ctx := &counting{Context: context.Background()}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := analysis.Compare(ctx, sides[0], other, analysis.Options{}); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		return ctx.asked, int(after.TotalAlloc - before.TotalAlloc)
	}
	steps, allocated := work(few)
	moreSteps, moreAllocated := work(few * times)
	if moreSteps > most*steps || moreAllocated > most*allocated {
		t.Errorf("%d times the conversations: %d instead of %d steps, %d instead of %d bytes", times, moreSteps, steps,
			moreAllocated, allocated)
	}
}

// Who waits is told of every part of the work, in its order.
func TestProgressIsTold(t *testing.T) {
	s := scene.New(t)
	s.SA(0).Up()
	sides := s.Sides()
	var told []string
	_, err := analysis.Compare(t.Context(), sides[0], &sides[1], analysis.Options{Progress: func(p analysis.Progress) {
		if p.Done >= p.Of {
			t.Errorf("%s: %d of %d", p.Doing, p.Done, p.Of)
		}
		if p.Part == "" || !strings.HasPrefix(p.Doing, string(p.Part)) {
			t.Errorf("%q is told as %q", p.Part, p.Doing)
		}
		told = append(told, p.Doing)
	}})
	if err != nil {
		t.Fatal(err)
	}
	if told = slices.Compact(told); !slices.Equal(told, []string{"joining", "judging"}) {
		t.Errorf("told of %q", told)
	}
}

// A comparison that is to end does, at whatever moment it hears of it.
func TestJudgingHearsItsContext(t *testing.T) {
	s := scene.New(t)
	for range 300 {
		s.SA(0).Up()
	}
	sides := s.Sides()
	whole := &counting{Context: context.Background()}
	if _, err := analysis.Compare(whole, sides[0], &sides[1], analysis.Options{}); err != nil {
		t.Fatal(err)
	}
	var moments []int
	for at := 1; at < whole.asked; at += max(1, whole.asked/40) {
		moments = append(moments, at)
	}
	for _, at := range slices.Backward(moments) {
		ctx := &counting{Context: context.Background(), end: at}
		if _, err := analysis.Compare(ctx, sides[0], &sides[1], analysis.Options{}); !errors.Is(err, context.Canceled) {
			t.Errorf("ended at %d of %d: %v", at, whole.asked, err)
		}
		if late := ctx.asked - at; late > 200 {
			t.Errorf("ended at %d, and asked %d times more", at, late)
		}
	}
}
