package exchange

import (
	"cmp"
	"net/netip"
	"slices"
)

// Flow is one ESP or AH SA in one direction, as one capture shows it.
type Flow struct {
	SPI        uint32
	Src, Dst   netip.AddrPort // ports are 0 for native ESP; a changing NAT mapping makes flows of their own
	UDP        bool           // ESP in UDP (RFC 3948)
	AH         bool
	Packets    int
	Bytes      int64
	Seqs       Set // every sequence number that was seen, extended to 64 bits where it wraps
	First      Point
	Last       Point
	Samples    []Point // the packets whose sequence number is a multiple of 1<<SampleShift, at most MaxSamples
	SampleStep uint64  // 1<<SampleShift
	Duplicates int     // sequence numbers seen again: copies or replays
	Reordered  int     // packets behind a later one
	Displaced  uint64  // the farthest that a packet was behind the highest number before it
	LatePoint  Point   // the packet of Displaced
	Late       int     // packets more than 64 behind: outside the default anti-replay window
	DSCP       [64]int // packets by DSCP
	MinSize    int     // on the wire, bytes
	MaxSize    int
	Fragmented int // first fragments
	TTL        uint8
	LongestGap int64 // nanoseconds between two packets

	epoch uint64 // added to the 32 bits on the wire
	top   uint64 // the highest number so far
	next  *Flow  // with the same SPI
}

// MaxSamples bounds the samples of a flow.
const MaxSamples = 256

// Point is one ESP packet.
type Point struct {
	Seq   uint64
	Nanos int64
	Frame int
	Size  int // on the wire, bytes
}

// Interval is a run of sequence numbers, both ends included.
type Interval struct{ Low, High uint64 }

// Len returns how many numbers are in it.
func (i Interval) Len() uint64 { return i.High - i.Low + 1 }

// Sight returns a packet of the flow as a sighting.
func (f *Flow) Sight(p Point) Sight {
	return Sight{Ends: &Ends{f.Src, f.Dst}, Pieces: onePiece, Frame: p.Frame, Nanos: p.Nanos, TTL: f.TTL, Size: p.Size}
}

// add takes one packet of the flow in.
func (f *Flow) add(wire uint32, p Point) (fresh bool) {
	p.Seq = f.extend(wire)
	f.Packets++
	f.Bytes += int64(p.Size)
	if f.Packets == 1 {
		f.First, f.MinSize = p, p.Size
	} else {
		f.LongestGap = max(f.LongestGap, p.Nanos-f.Last.Nanos)
	}
	f.Last = p
	f.MinSize, f.MaxSize = min(f.MinSize, p.Size), max(f.MaxSize, p.Size)
	if !f.Seqs.Add(p.Seq) {
		f.Duplicates++
		return false
	}
	f.order(p)
	f.sample(p)
	return true
}

// extend adds the high bits that are not on the wire: RFC 4303, Section 2.2.1, sends the low 32 bits of a 64-bit number.
func (f *Flow) extend(wire uint32) uint64 {
	n := f.epoch + uint64(wire)
	switch {
	case f.Packets == 0:
	case n+1<<31 < f.top:
		f.epoch += 1 << 32
		n += 1 << 32
	case n > f.top+1<<31 && f.epoch > 0:
		n -= 1 << 32 // an old one from before the wrap
	}
	return n
}

// replayWindow is the anti-replay window of IOS XE unless configured otherwise, in packets.
const replayWindow = 64

func (f *Flow) order(p Point) {
	if p.Seq >= f.top {
		f.top = p.Seq
		return
	}
	f.Reordered++
	behind := f.top - p.Seq
	if behind > f.Displaced {
		f.Displaced, f.LatePoint = behind, p
	}
	if behind >= replayWindow {
		f.Late++
	}
}

// sample keeps the packets whose number is a multiple of SampleStep, so that both sides keep the same ones; the step doubles
// when there are too many.
func (f *Flow) sample(p Point) {
	if f.SampleStep == 0 {
		f.SampleStep = 1
	}
	if p.Seq&(f.SampleStep-1) != 0 {
		return
	}
	if len(f.Samples) == MaxSamples {
		f.SampleStep *= 2
		f.Samples = slices.DeleteFunc(f.Samples, func(q Point) bool { return q.Seq&(f.SampleStep-1) != 0 })
		if p.Seq&(f.SampleStep-1) != 0 {
			return
		}
	}
	f.Samples = append(f.Samples, p)
}

// Merge takes the packets of o in, a flow of the same SA by another address or encapsulation. o is not to be used after.
func (f *Flow) Merge(o *Flow) {
	f.Packets += o.Packets
	f.Bytes += o.Bytes
	f.Duplicates += o.Duplicates
	f.Reordered += o.Reordered
	f.Late += o.Late
	f.Fragmented += o.Fragmented
	f.Seqs.Merge(&o.Seqs)
	if o.First.Nanos < f.First.Nanos {
		f.First = o.First
	}
	if o.Last.Nanos > f.Last.Nanos {
		f.Last = o.Last
	}
	if o.Displaced > f.Displaced {
		f.Displaced, f.LatePoint = o.Displaced, o.LatePoint
	}
	for i, n := range o.DSCP {
		f.DSCP[i] += n
	}
	f.MinSize, f.MaxSize = min(f.MinSize, o.MinSize), max(f.MaxSize, o.MaxSize)
	f.mergeSamples(o)
}

func (f *Flow) mergeSamples(o *Flow) {
	step := max(f.SampleStep, o.SampleStep, 1)
	all := append(f.Samples, o.Samples...)
	for {
		all = slices.DeleteFunc(all, func(q Point) bool { return q.Seq&(step-1) != 0 })
		if len(all) <= MaxSamples {
			break
		}
		step *= 2
	}
	slices.SortFunc(all, func(a, b Point) int { return cmp.Compare(a.Nanos, b.Nanos) })
	f.Samples, f.SampleStep = all, step
}
