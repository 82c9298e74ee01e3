package facts

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// How much of a stretch is busy is the same whether it is counted moment by moment or by spans that
// were joined.
func TestBusyInCountsEachMomentOnce(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var busy []span
		for range r.IntN(8) {
			from := r.Int64N(60)
			busy = append(busy, span{from, from + r.Int64N(20)})
		}
		slices.SortFunc(busy, func(a, b span) int { return int(a.from - b.from) })
		from := r.Int64N(70)
		in := span{from, from + r.Int64N(30)}
		want := int64(0)
		for at := in.from; at < in.to; at++ {
			if slices.ContainsFunc(busy, func(b span) bool { return b.from <= at && at < b.to }) {
				want++
			}
		}
		if got := busyIn(joined(busy), in); got != want {
			t.Fatalf("%v in %v: %d, want %d", busy, in, got, want)
		}
	}
}
