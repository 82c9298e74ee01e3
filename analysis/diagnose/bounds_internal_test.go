package diagnose

import (
	"math"
	"testing"
)

// A bound that is rounded the other way is none.
func TestABoundStaysOne(t *testing.T) {
	for _, c := range []struct {
		ms       float64
		up, down string
	}{
		{0.015, "0.02 ms", "0.01 ms"},
		{0.02, "0.02 ms", "0.02 ms"},
		{0.0100001, "0.02 ms", "0.01 ms"},
		{9.991, "10 ms", "9.99 ms"},
		{10.4, "11 ms", "10 ms"},
		{1234, "1.3 s", "1.2 s"},
		{130e3, "3 min", "2 min"},
		{7.22 * 3600e3, "7.3 h", "7.2 h"},
		{100.1 * 3600e3, "4.2 days", "4.1 days"},
	} {
		if up, down := durationBy(math.Ceil, c.ms), durationBy(math.Floor, c.ms); up != c.up || down != c.down {
			t.Errorf("%v ms: %s and %s, want %s and %s", c.ms, up, down, c.up, c.down)
		}
	}
}

// A bound as it is told is one: no nanosecond of what lies between the two is left out.
func TestBoundsAreToldOutwards(t *testing.T) {
	for _, c := range []struct {
		nanos     int64
		low, high float64
	}{{0, 0, 0}, {1_500_000, 1.5, 1.5}, {1_500_001, 1.5, 1.501}, {-1_500_001, -1.501, -1.5}, {999, 0, 0.001},
		{-999, -0.001, 0}} {
		if low, high := bound(&c.nanos, -1), bound(&c.nanos, 1); low != c.low || high != c.high {
			t.Errorf("%d ns: %v and %v, want %v and %v", c.nanos, low, high, c.low, c.high)
		}
	}
	if bound(nil, 1) != nil {
		t.Error("no bound is one")
	}
}
