package exchange

import "testing"

func TestGrainOfTimes(t *testing.T) {
	const ms, second = 1_000_000, 1_000_000_000
	for _, c := range []struct {
		name  string
		times []int64
		want  int64
	}{
		{"whole seconds", []int64{5 * second, 5 * second, 6 * second, 9 * second}, second},
		{"whole seconds, all moved", []int64{5*second + 37*ms, 5*second + 37*ms, 6*second + 37*ms, 4*second + 37*ms}, second},
		{"tenths", []int64{5 * second, 5*second + 100*ms, 5*second + 700*ms, 6 * second}, 100 * ms},
		{"milliseconds", []int64{5 * second, 5*second + 101*ms, 5*second + 700*ms, 6 * second}, ms},
		{"microseconds", []int64{5 * second, 5*second + 101_001_000, 5*second + 702*ms, 6*second + 2*ms}, 0},
		{"the last one is fine", []int64{5 * second, 6 * second, 7 * second, 8 * second, 9*second + 1}, 0},
		{"whole seconds, in a part", []int64{5*second + 123_456_000, 6 * second, 6 * second,
			7*second + 8_765_000}, second},
		{"tenths, in a part", []int64{5*second + 323_456_000, 5*second + 300*ms, 6*second + 100*ms,
			7*second + 8_765_000}, 100 * ms},
		{"one whole second among fine times", []int64{5*second + 123_456_000, 6 * second, 6*second + 7_000,
			7*second + 8_765_000}, 0},
		{"too few", []int64{5 * second, 6 * second, 7 * second}, 0},
		{"one time for all", []int64{second, second, second, second, second}, 0},
	} {
		var g grains
		for _, n := range c.times {
			g.take(n)
		}
		got := g.found()
		if got.Size != c.want {
			t.Errorf("%s: a grain of %d, want %d", c.name, got.Size, c.want)
		}
		for _, n := range c.times {
			if got.Size > 0 && (n-got.Base)%got.Size != 0 {
				continue // a fine one, beside a part that is not
			}
			if got.Floor(n) != n || got.Size > 0 && (got.Floor(n+got.Size-1) != n || got.Floor(n-1) != n-got.Size) {
				t.Errorf("%s: %d is put down to %d", c.name, n, got.Floor(n))
			}
		}
	}
}
