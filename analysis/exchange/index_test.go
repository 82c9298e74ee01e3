package exchange

import "testing"

// An Index finds every element by its hash, also those whose hashes agree in
// part, and nothing else.
func TestIndexFindsByHash(t *testing.T) {
	const n = 5000
	hash := func(i int) uint64 { return uint64(i)<<33 | uint64(i%7) } // many share their slot and the half that is kept
	var x Index
	for i := range n {
		at := x.Find(hash(i), func(place int) bool { return hash(place) == hash(i) })
		if at >= 0 {
			t.Fatalf("%d is found at %d before it was put in", i, at)
		}
		if x.Add(hash(i), i); i%500 != 0 {
			continue
		}
		for k := range i + 1 {
			if at := x.Find(hash(k), func(place int) bool { return hash(place) == hash(k) }); at != k {
				t.Fatalf("of %d elements, %d is found at %d", i+1, k, at)
			}
		}
	}
	if len(x.slots) > 4*n {
		t.Errorf("%d slots for %d elements", len(x.slots), n)
	}
}
