package analysis_test

import (
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/analysis/scene"
)

// espSeeds is how many tunnels to play: as many as MONCAP_SEEDS says, when it is set.
func espSeeds(t *testing.T) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(os.Getenv("MONCAP_SEEDS"), 10, 32)
	if err != nil {
		return 8
	}
	return n
}

// A healthy tunnel is never accused, also when a capture begins later or ends earlier than the
// other one, or is alone; and no single thing that goes wrong with its traffic passes for health.
func TestNothingWrongWithESPPassesForHealth(t *testing.T) {
	for seed := range espSeeds(t) {
		l := newLively(seed)
		play := func(c change, name string) *report.Report {
			l := newLively(seed)
			l.change = c
			s := scene.New(t)
			l.play(s)
			healthyLooks(seed)[name](s)
			return s.Compare()
		}
		for look := range healthyLooks(seed) {
			for _, f := range play(changeNone, look).Findings {
				if f.Severity != report.Info && f.Code != "clock-offset" && f.Code != "capture-filter-incomplete" {
					t.Errorf("seed %d (%v), %s: %s: %s", seed, l, look, f.Code, f.Explanation)
				}
			}
		}
		for _, name := range l.changes() {
			for side := range 2 {
				for _, look := range looksAt(seed) {
					if at, alone := aloneAt(look); alone && !l.visible(name, side, at) {
						continue
					}
					r := play(change{name, side, l.starts(name, seed)}, look)
					scene.Sound(t, r)
					if r.Verdict.ExitCode == 0 {
						t.Errorf("seed %d (%v): %s of side %d from %v, %s: %s", seed, l, name, side, l.starts(name, seed), look,
							r.Verdict.Headline)
					}
				}
			}
		}
	}
}

// looksAt are the looks in which each seed has its faults sought: the plain one and one more.
func looksAt(seed uint64) []string {
	more := []string{"ends earlier", "begins later", "swapped", "doubled", "A alone", "B alone", "B drifts 50 ppm",
		"both ends cut"}
	return []string{"as it is", more[seed%uint64(len(more))]}
}

func aloneAt(look string) (side int, alone bool) {
	return map[string]int{"A alone": 0, "B alone": 1}[look], look == "A alone" || look == "B alone"
}

// healthyLooks are ways in which captures of a healthy tunnel differ.
func healthyLooks(seed uint64) map[string]func(*scene.Scene) {
	rnd := rand.New(rand.NewPCG(seed, 29))
	side := rnd.IntN(2)
	part := 4 + rnd.IntN(8)
	cut := func(side, part int, ends bool) func(*scene.Scene) { // by time, so that a fault does not leave with it
		return func(s *scene.Scene) {
			all := s.Sorted(side)
			from, to := all[0].Nanos, all[len(all)-1].Nanos
			if away := (to - from) / int64(part); ends {
				to -= away
			} else {
				from += away
			}
			s.Rows[side] = slices.DeleteFunc(all, func(r scene.Record) bool { return r.Nanos < from || r.Nanos > to })
		}
	}
	return map[string]func(*scene.Scene){
		"as it is":        looks["as it is"],
		"ends earlier":    cut(side, part, true),
		"begins later":    cut(side, part, false),
		"both ends cut":   func(s *scene.Scene) { cut(side, part+4, false)(s); cut(1-side, part, true)(s) },
		"swapped":         looks["swapped"],
		"A alone":         looks["A alone"],
		"B alone":         looks["B alone"],
		"B drifts 50 ppm": looks["B drifts 50 ppm"],
		"noise":           looks["noise"],
		"doubled":         func(s *scene.Scene) { s.Rows[side] = doubled(s.Sorted(side)) },
	}
}
