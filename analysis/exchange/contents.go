package exchange

import (
	"bytes"
	"hash/maphash"
	"slices"
	"sync"

	"github.com/moncap/moncap/analysis/ike"
)

// seed makes hashes of two stories comparable; it differs from process to process.
var seed = maphash.MakeSeed()

// Contents lets captures that are read at the same time share what they both hold: a message is read once, and kept once. The zero
// value is empty.
type Contents struct {
	lock   sync.Mutex
	all    []*Content
	byHash Index
}

// find returns the content of a message, or nil.
func (c *Contents) find(hash uint64, raw []byte) *Content {
	if c == nil {
		return nil
	}
	c.lock.Lock()
	defer c.lock.Unlock()
	return c.get(hash, raw)
}

func (c *Contents) get(hash uint64, raw []byte) *Content {
	i := c.byHash.Find(hash, func(i int) bool { return bytes.Equal(c.all[i].Raw, raw) })
	if i < 0 {
		return nil
	}
	return c.all[i]
}

// put lets others find x; it returns the one that was put before, if any.
func (c *Contents) put(hash uint64, x *Content) *Content {
	if c == nil {
		return x
	}
	c.lock.Lock()
	defer c.lock.Unlock()
	if before := c.get(hash, x.Raw); before != nil {
		return before
	}
	c.byHash.Add(hash, len(c.all))
	c.all = append(c.all, x)
	return x
}

// content returns what b says, which is read unless the other capture showed it already.
func (t *teller) content(h ike.Header, hash uint64, b []byte) *Content {
	if c := t.shared.find(hash, b); c != nil {
		return c
	}
	c := &t.contents.one()[0]
	*c = newContent(h, t.arena.copy(b), &t.repeats)
	return t.shared.put(hash, c)
}

// arena hands out copies cut from large blocks: IKE messages are many and small.
type arena struct{ block []byte }

const arenaBlock = 64 << 10

func (a *arena) copy(b []byte) []byte {
	if len(b) > arenaBlock/4 {
		return slices.Clone(b)
	}
	if cap(a.block)-len(a.block) < len(b) {
		a.block = make([]byte, 0, arenaBlock)
	}
	n := len(a.block)
	a.block = append(a.block, b...)
	return a.block[n:len(a.block):len(a.block)]
}

// slab hands out values cut from blocks: what a capture has many of, one allocation each would be most of the work.
type slab[T any] struct{ free []T }

const slabBlock = 128

// one returns a slice of one value and no room for more.
func (s *slab[T]) one() []T {
	if len(s.free) == 0 {
		s.free = make([]T, slabBlock)
	}
	x := s.free[:1:1]
	s.free = s.free[1:]
	return x
}
