package exchange

import (
	"bytes"
	"hash/maphash"
	"iter"
	"slices"
	"sync"

	"github.com/moncap/moncap/analysis/ike"
)

// seed makes hashes of two stories comparable; it differs from process to process.
var seed = maphash.MakeSeed()

// Contents lets the two captures of a tunnel that are read at the same time share what they both
// hold: a message is read once, and kept once. The zero value is empty.
type Contents struct {
	// Missed, unless it is nil, spares the bytes of sealed messages, of which nothing can be told
	// without keys: a hash stands for them. It is called when they are asked for none the less, as
	// for what was altered on the way. Then all that was made of the stories is to be thrown away,
	// and the captures are to be read again without it.
	Missed func()

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
	known blocks[known] // of each of them
	raws  blocks[[]byte]
	index Index
	arena arena
	next  [readersMost]int // behind what each of them had last that was known, see nearby
}

// known is what tells a content from others, and who has it. When all twins are found, nobody needs
// it any more.
type known struct {
	hash   uint64             // of the bytes, comparable within one process
	places [readersMost]int32 // in the Messages of those that read it, counted from 1
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

// content is that of a message, which is read unless it is known. A reader that had it before gets
// its place in that story; if not, next becomes its place, unless that is none.
func (t *teller) content(h ike.Header, raw []byte, next int) (x *Content, place int) {
	c, reader := t.story.contents, t.story.reader
	hash := maphash.Bytes(seed, raw)
	s := c.share(hash)
	s.lock.Lock()
	defer s.lock.Unlock()
	y := Content{Header: h, raw: &raw}
	i := s.nearby(reader, &y, hash)
	if i < 0 {
		i = s.find(&y, hash)
	}
	if i >= 0 {
		s.next[reader] = i + 1
		if place := s.known.at(i).places[reader]; place > 0 {
			return s.all.at(i), int(place - 1)
		}
	}
	if next == none {
		return nil, none
	}
	if i < 0 {
		x, i = s.all.add()
		*x = t.newContent(h, raw, s)
		k, _ := s.known.add()
		k.hash = hash
		s.index.Add(hash, i)
	}
	s.known.at(i).places[reader] = int32(next) + 1
	return s.all.at(i), next
}

// none is no place.
const none = -1

// share is the one that holds what has such a hash.
func (c *Contents) share(hash uint64) *share { return &c.shares[hash>>(64-shareBits)] }

// find is the place of the content with the bytes of y, of which this is the hash; -1 for none.
func (s *share) find(y *Content, hash uint64) int {
	return s.index.Find(hash, func(i int) bool { return s.known.at(i).hash == hash && s.all.at(i).equal(y) })
}

// apart is by how many places the orders of two captures differ, mostly.
const apart = 8

// nearby looks for the content where the order of the other capture has it, and is as find. That is
// beside what was found last, which takes a fraction of what a look into the index does.
func (s *share) nearby(reader int, y *Content, hash uint64) int {
	last := s.next[reader]
	for i := max(0, last-apart); i < min(last+apart, s.known.n); i++ {
		if s.known.at(i).hash == hash && s.all.at(i).equal(y) {
			return i
		}
	}
	return none
}

// equal says whether two messages with the same hash have the same bytes. Where these are not kept,
// the header and the hash say it.
func (c *Content) equal(y *Content) bool {
	if c.raw == nil || y.raw == nil {
		return c.Header == y.Header
	}
	return bytes.Equal(*c.raw, *y.raw)
}

// Twins yields the messages of s that o holds too, byte by byte: their places in both, in no order.
func (s *Story) Twins(o *Story) iter.Seq2[int, int] {
	return func(yield func(int, int) bool) {
		if s.part != nil && o.part != nil {
			s.partTwins(o)(yield)
			return
		}
		if s.contents == nil || o.contents == nil {
			return
		}
		for i := range s.contents.shares {
			mine := &s.contents.shares[i]
			theirs := &o.contents.shares[i]
			for at := range mine.known.n {
				k, twin := mine.known.at(at), at
				if mine != theirs {
					twin = theirs.find(mine.all.at(at), k.hash)
				}
				if twin < 0 {
					continue
				}
				place, other := k.places[s.reader], theirs.known.at(twin).places[o.reader]
				if place > 0 && other > 0 && !yield(int(place-1), int(other-1)) {
					return
				}
			}
		}
	}
}

// Linked gives up what Twins needs, when all twins are found.
func (s *Story) Linked() { s.contents, s.part = nil, nil }

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

// blocks are values that a capture has many of, in blocks: they do not move as they become more,
// and one allocation each would be most of the work.
type blocks[T any] struct {
	all [][]T
	n   int
}

// blockBits makes blocks of whole pages: of half as many messages they would be just larger than a
// size class of the allocator, and an eighth of each would lie idle.
const blockBits = 10

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

// values yields all values in order.
func (b *blocks[T]) values(yield func(*T) bool) {
	left := b.n
	for _, block := range b.all {
		if left <= 0 { // the others are room that is not used yet
			return
		}
		for i := range block[:min(left, len(block))] {
			if !yield(&block[i]) {
				return
			}
		}
		left -= len(block)
	}
}
