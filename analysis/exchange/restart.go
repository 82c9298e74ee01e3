package exchange

import (
	"encoding/binary"
	"slices"

	"github.com/moncap/moncap/analysis/packet"
)

// Restart is where the sequence number of a flow begins again although its SA is the same,
// which RFC 4303, Section 3.3.3, forbids: a receiver with anti-replay drops all until the
// old number is passed.
type Restart struct {
	Before uint64 // the highest number until then
	Prior  int64  // when the packet before it was captured, nanoseconds
	After  int32  // the frame of that one
	Point         // the first packet of the new count
}

// moment is when a packet was captured, and in which frame.
type moment struct {
	nanos int64
	frame int32
}

// rerun are numbers behind the highest one that follow one another, as those of a count that began
// again do.
type rerun struct {
	first  Point
	last   Point
	high   uint64
	before uint64 // the highest number when it began
	prior  moment
	n      int
	proven int // of these, numbers that other packets had used before
}

const (
	// provenAgain are so many numbers used twice that no damaged byte explains them.
	provenAgain = 2
	// newAgain are as many in a row that a path does not hold back together, when their numbers are
	// new: a count that began again below what the capture had seen.
	newAgain = 5
)

// rerun takes in a packet behind the highest number that is no copy.
func (f *Flow) rerun(p Point, proven bool) {
	b := &f.back
	if b.n > 0 && p.Seq == b.last.Seq && b.last.relation(p) == copied {
		return // a copy of the last one, and not a count that begins again once more
	}
	if b.n == 0 || p.Seq <= b.high || p.Seq-b.high > replayWindow {
		*b = rerun{first: p, before: f.top, prior: f.prior}
	}
	b.high, b.last = p.Seq, p
	b.n++
	if proven {
		b.proven++
	}
	if f.Restart == nil && b.proven >= provenAgain {
		f.Restart = &Restart{b.before, b.prior.nanos, b.prior.frame, b.first}
	}
}

// finish settles what only the end of the capture tells: whether new numbers far behind went on.
func (f *Flow) finish() {
	if b := &f.back; f.Restart == nil && b.n >= newAgain && b.before-b.high > replayWindow {
		f.Restart = &Restart{b.before, b.prior.nanos, b.prior.frame, b.first}
	}
}

// repeat takes in a packet whose number was seen before, and says whether it is another packet.
func (f *Flow) repeat(p Point) bool {
	switch f.relation(p) {
	case copied:
		f.copied(p)
		if f.back.n == 0 || p.Seq != f.back.last.Seq { // copies that come late; that of the last packet alone says nothing
			f.back = rerun{}
		}
		return false
	case another:
		f.Again++
		f.rerun(p, true)
		return true
	}
	f.copied(p) // most probably; it neither proves nor disproves a count that began again
	if b := &f.back; b.n > 0 && p.Seq > b.high && p.Seq-b.high <= replayWindow {
		b.high = p.Seq
	}
	return false
}

func (f *Flow) copied(p Point) {
	if f.Duplicates++; f.Duplicates == 1 {
		f.Copy = p
	}
}

// relation is what a packet is to the first one with its number.
type relation uint8

const (
	unknown relation = iota
	copied
	another
)

// A copy comes soon: as long as a path may hold it when its IP identification says so too, and at
// once when that cannot tell.
const (
	latestCopy = 10_000_000_000
	soonCopy   = 1_000_000_000
)

// relation compares p with the first packet of its number when that was sampled, else with the time
// that it must have had.
func (f *Flow) relation(p Point) relation {
	i, exact := slices.BinarySearchFunc(f.Samples, p.Seq, bySeq)
	if exact {
		return f.Samples[i].relation(p)
	}
	if i < len(f.Samples) && p.Nanos-f.Samples[i].Nanos > latestCopy { // a later number than its own is that old
		return another
	}
	return unknown
}

func (p Point) relation(again Point) relation {
	after := again.Nanos - p.Nanos
	if after < 0 { // the times of a capture may go back
		after = -after
	}
	switch {
	case p.Mark != again.Mark:
		return another
	case p.ID != 0 && p.ID == again.ID && after < latestCopy:
		return copied
	case p.ID == again.ID && after < soonCopy, after < CopyWindow && unitOf(again.Nanos) == 0:
		return copied
	}
	return another
}

// mark is a hash of what is behind the sequence number of ESP, or in the Authentication Header: the
// initialization vector and the first ciphertext, or the integrity check value.
func mark(p *packet.Packet) uint32 {
	b := p.Payload
	if p.Kind == packet.AH {
		b = b[min(4, len(b)):]
	}
	if len(b) < 24 {
		var room [24]byte
		copy(room[:], b)
		b = room[:]
	}
	x := binary.LittleEndian.Uint64(b[8:])*spread ^ binary.LittleEndian.Uint64(b[16:])
	return uint32((x * spread) >> 32)
}

// markLen is of how many bytes of a packet a Mark is at most.
const markLen = 4 + 24

// spread is 2^64 by the golden ratio.
const spread = 0x9e3779b97f4a7c15
