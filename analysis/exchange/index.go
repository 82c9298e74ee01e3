package exchange

// Index finds elements of a slice by their hashes: an open table of their places, which takes a
// fraction of a map's memory and holds no pointers. The zero value is empty.
type Index struct {
	slots []slot // a power of two, at most two thirds in use
	used  int
}

// slot is the place of an element, counted from 1, and half of its hash; the zero slot is free.
type slot struct{ place, hash uint32 }

// NewIndex returns an Index with room for n elements.
func NewIndex(n int) *Index {
	return &Index{slots: make([]slot, tableSize(n))}
}

func tableSize(n int) int {
	size := 4
	for size*2 < n*3 {
		size *= 2
	}
	return size
}

// Reset empties the index and makes room for n elements.
func (x *Index) Reset(n int) {
	size := tableSize(n)
	if cap(x.slots) < size {
		x.slots = make([]slot, size)
	}
	x.slots, x.used = x.slots[:size], 0
	clear(x.slots)
}

// Mix is a hash of two numbers, for elements that have none of their own.
func Mix(a, b uint64) uint64 {
	h := (a*spread ^ b) * spread
	return h ^ h>>32
}

// Add puts in the place of an element with a hash.
func (x *Index) Add(hash uint64, place int) {
	if (x.used+1)*3 > len(x.slots)*2 {
		larger := NewIndex(2 * (x.used + 1))
		for _, s := range x.slots {
			if s.place != 0 {
				larger.put(s)
			}
		}
		x.slots = larger.slots
	}
	x.used++
	x.put(slot{uint32(place) + 1, uint32(hash)})
}

func (x *Index) put(s slot) {
	at := int(s.hash) & (len(x.slots) - 1)
	for x.slots[at].place != 0 {
		at = (at + 1) & (len(x.slots) - 1)
	}
	x.slots[at] = s
}

// Find returns the place of an element with that hash for which is holds, or -1.
func (x *Index) Find(hash uint64, is func(place int) bool) int {
	if x.used == 0 {
		return -1
	}
	at := int(uint32(hash)) & (len(x.slots) - 1)
	for ; x.slots[at].place != 0; at = (at + 1) & (len(x.slots) - 1) {
		if s := x.slots[at]; s.hash == uint32(hash) && is(int(s.place-1)) {
			return int(s.place - 1)
		}
	}
	return -1
}
