package analysis_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis"
	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/analysis/scene"
)

// setFrom sets the clock of a capture from its n-th record on; the order of the file stays.
func setFrom(all []scene.Record, n int, by time.Duration) []scene.Record {
	set := slices.Clone(all)
	for i := n; i < len(set); i++ {
		set[i].Nanos += int64(by)
	}
	return set
}

// falselySaid is what a report of captures with altered clocks may not say, given that of the same
// captures as they were: a success, a certain critical finding, or trouble of a healthy tunnel.
func falselySaid(was, now *report.Report) string {
	before, after := was.Verdict.ExitCode, now.Verdict.ExitCode
	if before >= 2 && after < 2 || before < 2 && after == 2 {
		return fmt.Sprintf("exit %d, and %d before", after, before)
	}
	for _, f := range now.Findings {
		aboutCapture := f.Code == "clock-offset" || strings.HasPrefix(f.Code, "capture-")
		known := slices.ContainsFunc(was.Findings, func(x report.Finding) bool { return x.Code == f.Code })
		if !known && (f.Severity == report.Critical && f.Confidence == report.Certain ||
			before == 0 && f.Severity == report.Warning && !aboutCapture) {
			return fmt.Sprintf("%s, %s, is new", f.Code, f.Confidence)
		}
	}
	return ""
}

// A clock that is set while a capture runs, back or ahead, makes no failed negotiation a success,
// no healthy one a failure, and nothing certain that was not. MONCAP_SEEDS sets each one at every
// place; else every incident has its turn with a few.
func TestClockSetWhileCapturing(t *testing.T) {
	every := os.Getenv("MONCAP_SEEDS") != ""
	steps := []time.Duration{-50 * time.Millisecond, -time.Second, -time.Hour, 50 * time.Millisecond, time.Second,
		time.Hour}
	turn := 0
	for _, x := range allIncidents(t) {
		var was *report.Report
		for side, rows := range [2][]scene.Record{x.a, x.b} {
			for at := 1; at < min(len(rows), 40); at++ {
				for _, by := range steps {
					if turn++; !every && turn%29 != 0 {
						continue
					}
					y := x
					if side == 0 {
						y.a = setFrom(rows, at, by)
					} else {
						y.b = setFrom(rows, at, by)
					}
					if was == nil {
						was = x.judged(t, form{}, form{}, false)
					}
					if said := falselySaid(was, y.judged(t, form{}, form{}, false)); said != "" {
						t.Errorf("%s, side %d, set by %s at record %d: %s", x.name, side, by, at, said)
					}
				}
			}
		}
	}
}

// The parts of a file that were put together in the wrong order are no clock that was set back.
func TestPartsInTheWrongOrder(t *testing.T) {
	for _, x := range allIncidents(t) {
		n := len(x.a) / 2
		y := x
		y.a = slices.Concat(x.a[n:], x.a[:n])
		was, now := x.judged(t, form{}, form{}, false), y.judged(t, form{}, form{}, false)
		if was.Verdict.ExitCode != now.Verdict.ExitCode {
			t.Errorf("%s: exit %d, and %d before", x.name, now.Verdict.ExitCode, was.Verdict.ExitCode)
		}
	}
}

// One capture alone tells it by the numbers that count on.
func TestPartsOfOneCaptureInTheWrongOrder(t *testing.T) {
	s := scene.New(t)
	scene.Healthy(s)
	rows := s.Sorted(0)
	for at := 1; at < len(rows); at++ {
		parts := slices.Concat(rows[at:], rows[:at])
		r, err := analysis.Compare(t.Context(), analysis.Side{File: "a.pcap", Open: scene.Opener(form{}.written(parts))},
			nil, analysis.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if r.Verdict.Outcome != report.Established || scene.Flatten(t, r).Of("clock-offset") != nil {
			t.Errorf("from record %d on first: %s", at, r.Verdict.Headline)
		}
	}
}

// What only a part of a capture's times says, as those of a second reader that counts whole seconds
// do, is treated as what all of them say that are as coarse.
func TestTimesCoarseInAPart(t *testing.T) {
	parts := []func(i, n int) bool{
		func(i, n int) bool { return i < n/3 }, func(i, n int) bool { return i >= n/3 && i < 2*n/3 },
		func(i, n int) bool { return i >= 2*n/3 }, func(i, _ int) bool { return i%2 == 0 },
	}
	for k, x := range allIncidents(t) {
		was := x.judged(t, form{}, form{}, false)
		for side, rows := range [2][]scene.Record{x.a, x.b} {
			part := parts[(k+side)%len(parts)]
			cut := slices.Clone(rows)
			for i := range cut {
				if part(i, len(cut)) {
					cut[i].Nanos -= cut[i].Nanos % int64(time.Second)
				}
			}
			y := x
			if side == 0 {
				y.a = cut
			} else {
				y.b = cut
			}
			if now := y.judged(t, form{}, form{}, false); was.Verdict.ExitCode >= 2 && now.Verdict.ExitCode < 2 {
				t.Errorf("%s, side %d, part %d: exit %d, and %d before", x.name, side, (k+side)%len(parts),
					now.Verdict.ExitCode, was.Verdict.ExitCode)
			}
		}
	}
}

// The report says which clock was set, and by how much, where a capture shows it.
func TestClockSetBackIsTold(t *testing.T) {
	s := scene.New(t)
	scene.Healthy(s)
	a, b := s.Sorted(0), s.Sorted(1)
	r := two{a: setFrom(a, 5, -1200*time.Millisecond), b: b}.judged(t, form{}, form{}, false)
	scene.Sound(t, r)
	found := scene.Flatten(t, r).Of("clock-offset")
	if r.Clock == nil || r.Clock.Steps != 1 || len(found) != 1 ||
		!strings.Contains(fmt.Sprint(found[0]["explanation"]), "went back by 1.2 s at frame 6.") {
		t.Errorf("clock %+v, %v", r.Clock, found)
	}
	if r.Verdict.Outcome != report.Established {
		t.Errorf("%s", r.Verdict.Headline)
	}
	if first, last := *r.Sides.A.First, *r.Sides.A.Last; !first.Equal(at(a[0])) ||
		!last.Equal(at(a[len(a)-1]).Add(-1200*time.Millisecond)) {
		t.Errorf("the capture is from %s to %s, and not as its own clock has it", first, last)
	}
}
