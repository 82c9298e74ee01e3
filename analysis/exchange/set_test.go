package exchange

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestSetIsASet compares the intervals with a map, for numbers in every order.
func TestSetIsASet(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		var s, o Set
		in, out := map[uint64]bool{}, map[uint64]bool{}
		for range 120 {
			n := rnd.Uint64N(100)
			if s.Add(n) == in[n] {
				t.Fatalf("Add(%d) wrongly said whether it was new", n)
			}
			in[n] = true
			m := rnd.Uint64N(100)
			o.Add(m)
			out[m] = true
		}
		var rest []uint64
		for r := range s.Minus(&o) {
			for n := r.Low; n <= r.High; n++ {
				rest = append(rest, n)
			}
		}
		var want []uint64
		for n := range uint64(100) {
			if s.Has(n) != in[n] {
				t.Fatalf("Has(%d) is %v", n, s.Has(n))
			}
			if in[n] && !out[n] {
				want = append(want, n)
			}
		}
		if !slices.Equal(rest, want) {
			t.Fatalf("Minus gives %v, want %v", rest, want)
		}
		if int(s.Len()) != len(in) {
			t.Fatalf("Len is %d, want %d", s.Len(), len(in))
		}
		s.Merge(&o)
		for n := range out {
			in[n] = true
		}
		if int(s.Len()) != len(in) || !slices.IsSortedFunc(s.Runs(), func(a, b Interval) int {
			if a.High+1 < b.Low {
				return -1
			}
			return 1
		}) {
			t.Fatalf("merged: %d numbers in %v, want %d", s.Len(), s.Runs(), len(in))
		}
	}
}

// TestSetOfNoOrder: numbers with gaps, in no order and with repetitions, come out as from a map.
func TestSetOfNoOrder(t *testing.T) {
	const seed = 4
	rnd := rand.New(rand.NewPCG(seed, 4))
	var s Set
	in := map[uint64]bool{}
	for range 30_000 {
		n := rnd.Uint64N(20_000) * 2
		if rnd.IntN(8) == 0 {
			n++ // now and then a gap is filled
		}
		if s.Add(n) == in[n] {
			t.Fatalf("seed %d: Add(%d) wrongly said whether it was new", seed, n)
		}
		in[n] = true
	}
	want := slices.Sorted(maps.Keys(in))
	var got []uint64
	for _, r := range s.Runs() {
		for n := r.Low; n <= r.High; n++ {
			got = append(got, n)
		}
	}
	if !slices.Equal(got, want) || int(s.Len()) != len(want) || s.Min() != want[0] || s.Max() != want[len(want)-1] {
		t.Errorf("seed %d: %d numbers, want %d", seed, len(got), len(want))
	}
}

func BenchmarkSetOfNoOrder(b *testing.B) {
	order := rand.New(rand.NewPCG(4, 4)).Perm(1_000_000)
	for b.Loop() {
		var s Set
		for _, n := range order {
			s.Add(2 * uint64(n))
		}
	}
}

func TestFlow(t *testing.T) {
	var f Flow
	for i, n := range []uint32{0xfffffffe, 0xffffffff, 0, 2, 1, 1, 0xfffffffd} {
		f.add(n, Point{Nanos: int64(i), Frame: int32(i + 1), Size: 100})
	}
	if f.Packets != 7 || f.Seqs.Len() != 6 || f.Duplicates != 1 || len(f.Seqs.Runs()) != 1 {
		t.Errorf("%d packets, %d numbers in %v, %d duplicates", f.Packets, f.Seqs.Len(), f.Seqs.Runs(), f.Duplicates)
	}
	if f.Displaced != 5 || f.Reordered != 2 || f.Late != 0 {
		t.Errorf("displaced by %d, %d reordered, %d late; want 5, 2, 0", f.Displaced, f.Reordered, f.Late)
	}
}

func TestSamplesStayFew(t *testing.T) {
	var f Flow
	for i := range uint32(100_000) {
		f.add(i, Point{Nanos: int64(i), Frame: int32(i) + 1})
	}
	if n := len(f.Samples); n > MaxSamples || n < MaxSamples/4 {
		t.Errorf("%d samples, want at most %d and not much fewer", n, MaxSamples)
	}
	for _, p := range f.Samples {
		if p.Seq%f.SampleStep != 0 || p.Nanos != int64(p.Seq) {
			t.Fatalf("sample %+v with step %d", p, f.SampleStep)
		}
	}
}
