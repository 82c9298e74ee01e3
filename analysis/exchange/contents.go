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

// Contents lets the two captures of a tunnel that are read at the same time share what they both hold: a message is read
// once, and kept once. The zero value is empty.
type Contents struct {
	shares  [1 << shareBits]share
	lock    sync.Mutex
	readers int
}

// readersMost is how many captures can share Contents.
const readersMost = 2

// shareBits sizes the division of the contents, so that two readers seldom wait for each other.
const shareBits = 3

// share is a part of the contents, by their hashes.
type share struct {
	lock  sync.Mutex
	all   blocks[Content]
	index Index
	arena arena
}

// join makes room for one more reader; nil is none.
func (c *Contents) join() (*Contents, int) {
	if c == nil {
		c = &Contents{}
	}
	c.lock.Lock()
	defer c.lock.Unlock()
	if c.readers == readersMost {
		return new(Contents).join()
	}
	c.readers++
	return c, c.readers - 1
}

// of is the content of a message, which is read unless it is known. A reader that had it before gets its place in that story; if not,
// next becomes its place, unless that is none.
func (t *teller) content(h ike.Header, raw []byte, next int) (x *Content, place int) {
	c, reader := t.story.contents, t.story.reader
	hash := maphash.Bytes(seed, raw)
	s := &c.shares[hash>>(64-shareBits)]
	s.lock.Lock()
	defer s.lock.Unlock()
	if x = s.find(hash, raw); x != nil && x.places[reader] > 0 {
		return x, int(x.places[reader] - 1)
	}
	if next == none {
		return nil, none
	}
	if x == nil {
		var at int
		x, at = s.all.add()
		*x = newContent(h, s.arena.copy(raw), &t.repeats)
		s.index.Add(hash, at)
	}
	x.places[reader] = int32(next) + 1
	return x, next
}

// none is no place.
const none = -1

func (s *share) find(hash uint64, raw []byte) *Content {
	i := s.index.Find(hash, func(i int) bool { return bytes.Equal(s.all.at(i).Raw, raw) })
	if i < 0 {
		return nil
	}
	return s.all.at(i)
}

// Twin is the message of s with the same bytes as m, a message of o; nil for none.
func (s *Story) Twin(m *Message, o *Story) *Message {
	if s.contents == nil {
		return nil
	}
	x := m.Content
	if s.contents != o.contents {
		hash := x.Hash()
		if x = s.contents.shares[hash>>(64-shareBits)].find(hash, x.Raw); x == nil {
			return nil
		}
	}
	if place := x.places[s.reader]; place > 0 {
		return s.Messages[place-1]
	}
	return nil
}

// Linked gives up what Twin needs, when all twins are found.
func (s *Story) Linked() { s.contents = nil }

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

// blocks are values that a capture has many of, in blocks: they do not move as they become more, and one allocation each would be most of
// the work.
type blocks[T any] struct {
	all [][]T
	n   int
}

const blockBits = 9

// at is the i-th value.
func (b *blocks[T]) at(i int) *T { return &b.all[i>>blockBits][i&(1<<blockBits-1)] }

// add makes one more, and says where it is.
func (b *blocks[T]) add() (*T, int) {
	if b.n == len(b.all)<<blockBits {
		b.all = append(b.all, make([]T, 1<<blockBits))
	}
	b.n++
	return b.at(b.n - 1), b.n - 1
}

// pointers are to all values in order.
func (b *blocks[T]) pointers() []*T {
	all := make([]*T, b.n)
	for i := range all {
		all[i] = b.at(i)
	}
	return all
}
