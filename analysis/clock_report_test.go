package analysis_test

import (
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/scene"
)

// The report's clock is B's minus A's: what is positive means that B is ahead.
func TestClockInReport(t *testing.T) {
	for ahead, sign := range map[time.Duration]float64{2500 * time.Millisecond: 1, -2500 * time.Millisecond: -1} {
		s := scene.New(t)
		s.Ahead = ahead
		scene.Healthy(s)
		c := s.Compare().Clock
		if c == nil || c.LowMS == nil || c.HighMS == nil {
			t.Fatalf("B ahead by %s: %+v", ahead, c)
		}
		if off := c.OffsetMS*sign - 2500; off < -s.Delay.Seconds()*1000 || off > s.Delay.Seconds()*1000 ||
			*c.LowMS > c.OffsetMS || *c.HighMS < c.OffsetMS {
			t.Errorf("B ahead by %s: offset %v ms, between %v and %v", ahead, c.OffsetMS, *c.LowMS, *c.HighMS)
		}
	}
}
