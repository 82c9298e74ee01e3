package main

import (
	"slices"
	"testing"

	"github.com/moncap/moncap/analysis/report"
)

// A figure that is zero has no sign.
func TestFiguresHaveNoNegativeZero(t *testing.T) {
	for ms, want := range map[float64]string{-0.2: "clock_offset=0.000s", 0.2: "clock_offset=0.000s",
		-12.4: "clock_offset=-0.012s", 1500: "clock_offset=1.500s"} {
		p := &pastRun{}
		p.Outcome, p.OffsetMS = report.Established, &ms
		if all := p.figures(); !slices.Contains(all, want) {
			t.Errorf("%g ms: %q, want %s", ms, all, want)
		}
	}
}
