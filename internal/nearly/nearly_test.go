package nearly

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
)

// disorders are ways in which numbers that ascend may be out of order.
var disorders = map[string]func(*rand.Rand, []int){
	"none":    func(*rand.Rand, []int) {},
	"shuffle": func(r *rand.Rand, all []int) { r.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] }) },
	"reverse": func(_ *rand.Rand, all []int) { slices.Reverse(all) },
	"late": func(r *rand.Rand, all []int) {
		for range len(all) / 50 {
			all[r.IntN(len(all))] -= r.IntN(1000)
		}
	},
	"early": func(r *rand.Rand, all []int) {
		for range len(all) / 50 {
			all[r.IntN(len(all))] += r.IntN(1000)
		}
	},
	"runs": func(r *rand.Rand, all []int) { // one after the other, as what several captures hold
		for i := range all {
			all[i] %= len(all)/3 + 1
		}
	},
}

func TestSortIsThatOfSlices(t *testing.T) {
	for name, disorder := range disorders {
		for seed := range uint64(40) {
			r := rand.New(rand.NewPCG(seed, 1))
			all := make([]int, r.IntN(3000))
			for i := range all {
				all[i] = i / (1 + int(seed%3)) // with equal ones
			}
			if len(all) > 0 {
				disorder(r, all)
			}
			want := slices.Sorted(slices.Values(all))
			if Sort(all, cmp.Compare[int]); !slices.Equal(all, want) {
				t.Fatalf("%s, seed %d: %d numbers are not in order", name, seed, len(all))
			}
		}
	}
}

// A tenth as many comparisons as a sort of all takes: this is what the package is for.
func TestFewOutOfOrderTakeOneWalk(t *testing.T) {
	for _, name := range []string{"none", "late", "early"} {
		all := make([]int, 100_000)
		for i := range all {
			all[i] = i
		}
		disorders[name](rand.New(rand.NewPCG(7, 7)), all)
		asked := 0
		Sort(all, func(a, b int) int { asked++; return cmp.Compare(a, b) })
		if asked > 4*len(all) {
			t.Errorf("%s: %d comparisons of %d numbers", name, asked, len(all))
		}
	}
}

// What is in no order costs little more than it does with slices.
func TestDisorderIsSeenSoon(t *testing.T) {
	for _, name := range []string{"shuffle", "runs"} {
		count := func(sort func([]int, func(int, int) int)) (asked int) {
			all := make([]int, 50_000)
			for i := range all {
				all[i] = i
			}
			disorders[name](rand.New(rand.NewPCG(3, 3)), all)
			sort(all, func(a, b int) int { asked++; return cmp.Compare(a, b) })
			return asked
		}
		if nearly, plain := count(Sort), count(slices.SortFunc); nearly > plain+3*50_000 {
			t.Errorf("%s: %d comparisons, and %d with slices", name, nearly, plain)
		}
	}
}

func BenchmarkSort(b *testing.B) {
	ordered := make([]int, 1_000_000)
	for i := range ordered {
		ordered[i] = i
	}
	disorders["early"](rand.New(rand.NewPCG(7, 7)), ordered)
	for name, sort := range map[string]func([]int, func(int, int) int){
		"nearly": Sort[int], "slices": slices.SortFunc[[]int, int],
	} {
		b.Run(name, func(b *testing.B) {
			all := make([]int, len(ordered))
			for b.Loop() {
				copy(all, ordered)
				sort(all, cmp.Compare[int])
			}
		})
	}
}
