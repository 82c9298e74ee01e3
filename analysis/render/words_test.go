package render

import (
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/report"
)

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0 s", 480 * time.Microsecond: "480 µs", 1520 * time.Millisecond: "1.52 s",
		10 * time.Millisecond: "10 ms", 100 * time.Millisecond: "100 ms", 125 * time.Second: "2 min 5 s", 3 * time.Hour: "3 h 0 min", -2 * time.Second: "-2 s"} {
		if got := duration(d); got != want {
			t.Errorf("%d: %q, want %q", d, got, want)
		}
	}
}

func TestMergedActions(t *testing.T) {
	a := report.Action{Side: report.A, Device: "a", Mode: "exec", Commands: []string{"show clock"}, Why: "w"}
	b := a
	b.Side, b.Device = report.B, "b"
	c := b
	c.Why = "other"
	got := merged([]report.Action{a, b, c})
	if len(got) != 2 || got[0].Side != "" || got[1].Why != "other" || a.Side != report.A {
		t.Errorf("%+v", got)
	}
}

func TestCausesComeBeforeWhatTheyCause(t *testing.T) {
	f := []report.Finding{{Code: "x", CausedBy: "y"}, {Code: "y"}, {Code: "p", CausedBy: "q"}, {Code: "q", CausedBy: "p"}}
	indices, depth := order(f)
	if len(indices) != 4 || indices[0] != 1 || indices[1] != 0 || depth[1] != 1 {
		t.Errorf("%v %v", indices, depth)
	}
}

func TestFoldAccountsForEveryMessage(t *testing.T) {
	l := &Ladder{}
	for i := range 1000 {
		row := Row{Kind: RowMessage, Number: i + 1, NS: int64(i), Fate: report.Lost}
		if i%3 == 0 {
			row.Findings = []int{0}
		}
		l.Rows = append(l.Rows, row)
	}
	for _, limit := range []int{1, 2, 10, 100, 999, 1000, 0} {
		f, n := l.Fold(limit), 0
		for _, r := range f.Rows {
			n += r.Count
			if r.Kind == RowMessage {
				n++
			}
		}
		if n != 1000 || limit > 0 && len(f.Rows) > limit+1 {
			t.Errorf("limit %d: %d messages in %d rows", limit, n, len(f.Rows))
		}
	}
}
