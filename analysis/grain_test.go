package analysis_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis"
	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/analysis/scene"
)

// inUnits are records whose times are whole units: what is behind them is cut off.
func inUnits(unit int64) func([]scene.Record) []scene.Record {
	return func(all []scene.Record) []scene.Record {
		return scene.MapRecords(all, func(r scene.Record) []scene.Record {
			r.Nanos -= r.Nanos % unit
			return []scene.Record{r}
		})
	}
}

// Whole seconds on one side or on both make no healthy tunnel suspicious, and none that failed
// established without a warning: the order of the packets, and the other capture, tell what their
// times do not.
func TestCoarseTimes(t *testing.T) {
	const second = 1_000_000_000
	for _, x := range allIncidents(t) {
		was := x.judged(t, form{}, form{}, false)
		for _, unit := range []int64{second, second / 10, second / 1000} {
			for n := 1; n < 4; n++ {
				t.Run(fmt.Sprintf("%s/%d ms, sides %d", x.name, unit/1_000_000, n), func(t *testing.T) {
					y := x
					if n&1 != 0 {
						y.a = inUnits(unit)(x.a)
					}
					if n&2 != 0 {
						y.b = inUnits(unit)(x.b)
					}
					r := y.judged(t, form{}, form{}, n == 2)
					scene.Sound(t, r)
					before, now := was.Verdict.ExitCode, r.Verdict.ExitCode
					if before == 0 && now != 0 || before == 1 && now == 2 {
						t.Errorf("exit %d, and %d in fine times: %v", now, before, codes(r))
					}
					if before == 2 && now < 2 {
						t.Errorf("exit %d, and %d in fine times: %v, not %v", now, before, codes(r), codes(was))
					}
				})
			}
		}
	}
}

// Milliseconds on one side change nothing of what is said, however far the clocks are apart.
func TestMillisecondsOnOneSide(t *testing.T) {
	for _, x := range allIncidents(t) {
		was := troubles(x.judged(t, form{}, form{}, false))
		for side := range 2 {
			y := x
			if side == 0 {
				y.a, y.b = inUnits(1_000_000)(x.a), shifted(2*time.Hour+37*time.Millisecond, 0)(slices.Clone(x.b))
			} else {
				y.a, y.b = shifted(-3*time.Hour, 0)(slices.Clone(x.a)), inUnits(1_000_000)(x.b)
			}
			if now := troubles(y.judged(t, form{}, form{}, false)); !slices.Equal(now, was) {
				t.Errorf("%s, side %d: %v, and in fine times %v", x.name, side, now, was)
			}
		}
	}
}

// The times of which a report tells are those of the capture, whatever was taken for them; and a
// capture was at work from its first packet to its last one, of whatever kind these are.
func TestTimesOfCoarseCaptures(t *testing.T) {
	for _, unit := range []int64{1_000_000, 10_000_000, 100_000_000, 1_000_000_000} {
		for n := 1; n < 4; n++ {
			s := scene.New(t)
			s.Ahead = 1234567 * time.Microsecond
			arp := append(make([]byte, 12), append([]byte{8, 6}, make([]byte, 46)...)...)
			for side := range 2 {
				s.Put(side, s.Now, arp)
			}
			s.Wait(90 * time.Second)
			s.Working(0)
			s.Wait(90 * time.Second)
			sides := s.Sides()
			var want [2][2]time.Time
			for side := range 2 {
				s.Put(side, s.Now, arp)
				all := s.Sorted(side)
				if n&(1<<side) != 0 {
					all = inUnits(unit)(all)
				}
				sides[side].Open = scene.Opener(scene.Pcap(all))
				want[side] = [2]time.Time{at(all[0]), at(all[len(all)-1])}
			}
			r, err := analysis.Compare(t.Context(), sides[0], &sides[1], analysis.Options{})
			if err != nil {
				t.Fatal(err)
			}
			for side, x := range [2]*report.SideInfo{r.Sides.A, r.Sides.B} {
				if got := [2]time.Time{*x.First, *x.Last}; got != want[side] {
					t.Errorf("units of %d ms, sides %d: %s from %v, want %v", unit/1_000_000, n, x.Name, got, want[side])
				}
			}
		}
	}
}

// One request of a second gateway arrives in a capture that goes on long enough with the tunnel of
// the first one to show that it is not answered: in whole seconds, too.
func TestCoarseTimesOfOneOfTwoTunnels(t *testing.T) {
	for _, unit := range []int64{1, 100_000_000, 1_000_000_000} {
		s := scene.New(t)
		s.Working(0)
		s.GoOn(41, 60, 10*time.Second, scene.Passes)
		s.Addr[1] = s.Addr[1].Next().Next().Next()
		s.SPI, s.Now = 0x100, 0
		s.IKE(1, 500, s.SA(1).Init(false, scene.Proposals(scene.GCM(19))))
		sides := s.Sides()
		for i := range sides {
			sides[i].Open = scene.Opener(scene.Pcap(inUnits(unit)(s.Sorted(i))))
		}
		r, err := analysis.Compare(t.Context(), sides[0], &sides[1], analysis.Options{})
		if err != nil {
			t.Fatal(err)
		}
		scene.Sound(t, r)
		if r.Verdict.ExitCode != 2 || !slices.Contains(codes(r), "peer-not-answering") {
			t.Errorf("units of %d ns: exit %d, %v", unit, r.Verdict.ExitCode, codes(r))
		}
	}
}

// at is the time of a record, as a file of microseconds has it.
func at(r scene.Record) time.Time { return time.Unix(0, r.Nanos-r.Nanos%1000).UTC() }

// troubles are the warnings and the critical findings but those of the clocks, in order of their
// names.
func troubles(r *report.Report) (all []string) {
	for _, f := range r.Findings {
		if f.Severity != report.Info && f.Code != "clock-offset" {
			all = append(all, fmt.Sprint(f.Code, " ", f.Severity, " ", f.Confidence))
		}
	}
	slices.Sort(all)
	return all
}
