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
	TCP        bool           // ESP in TCP (RFC 9329)
	AH         bool
	Packets    int
	Bytes      int64
	Seqs       Set // every sequence number that was seen, extended to 64 bits where it wraps
	First      Point
	Last       Point
	Samples    []Point // the packets whose sequence number is a multiple of SampleStep, at most MaxSamples, ascending
	SampleStep uint64  // a power of two
	Duplicates int     // copies: the same packet again, by its bytes, its IP identification and its time
	Copy       Point   // the first of them
	Again      int     // numbers used again by other packets
	Restart    *Restart
	Reordered  int     // packets behind a later one
	Displaced  uint64  // the farthest that a packet was behind the highest number before it
	LatePoint  Point   // the packet of Displaced
	Late       int     // packets more than 64 behind: outside the default anti-replay window
	DSCP       [64]int // packets by DSCP
	MinSize    int     // on the wire, bytes
	MaxSize    int
	Fragmented int   // packets that travelled in IP fragments
	TTL        uint8 // of the first packet
	LowTTL     uint8 // the lowest of all
	HighTTL    uint8
	Short      bool // the capture kept less of a packet than its Mark is of
	LongestGap Gap  // the longest time without a packet
	SecondGap  Gap  // the longest but one

	// those that travelled in IP fragments and are whole here, by the rule of Samples; Size is the
	// datagram's IP payload
	Split     []Point
	SplitStep uint64
	Torn      Set // numbers of packets of which this capture has the first IP fragment and not all others

	epoch uint64 // added to the 32 bits on the wire
	top   uint64 // the highest number so far
	prior moment // of the packet before the last
	back  rerun
	next  *Flow // with the same SPI
}

// Gap is a time without packets, in nanoseconds, and the frames before and behind it.
type Gap struct {
	From, Length   int64
	Before, Behind int32
}

// MaxSamples bounds the samples of a flow.
const MaxSamples = 256

// Point is one ESP packet. Flows keep many, so it is kept small.
type Point struct {
	Seq    uint64
	Nanos  int64
	Frame  int32
	Mark   uint32 // of its first bytes behind the sequence number
	Size   uint16 // of the frame on the wire, bytes; of a packet in IP fragments, of its first or last
	ID     uint16 // low bits of the IP identification, 0 where there is none
	Pieces uint16 // IP fragments that it came in; 0 for a packet in one piece
}

// Interval is a run of sequence numbers, both ends included.
type Interval struct{ Low, High uint64 }

// Len returns how many numbers are in it.
func (i Interval) Len() uint64 { return i.High - i.Low + 1 }

// Sight returns a packet of the flow as a sighting.
func (f *Flow) Sight(p Point) Sight {
	return Sight{Way: &Way{Src: f.Src, Dst: f.Dst, Pieces: onePiece, TTL: f.TTL}, Frame: p.Frame, Nanos: p.Nanos,
		Size: int32(p.Size)}
}

// add takes one packet of the flow in and says whether it is the first one with its number, or no
// copy of that one.
func (f *Flow) add(wire uint32, p Point) (fresh bool) {
	p.Seq = f.extend(wire)
	f.Packets++
	f.Bytes += int64(p.Size)
	if f.Packets == 1 {
		f.First, f.MinSize = p, int(p.Size)
	} else {
		f.pause(gapOf(&f.Last, &p))
	}
	f.prior, f.Last = moment{f.Last.Nanos, f.Last.Frame}, p
	f.MinSize, f.MaxSize = min(f.MinSize, int(p.Size)), max(f.MaxSize, int(p.Size))
	if !f.Seqs.Add(p.Seq) {
		return f.repeat(p)
	}
	if p.Seq < f.top {
		f.rerun(p, false)
	} else {
		f.back = rerun{}
	}
	f.order(p)
	f.sample(p)
	return true
}

func gapOf(before, behind *Point) Gap {
	return Gap{before.Nanos, behind.Nanos - before.Nanos, before.Frame, behind.Frame}
}

// pause keeps the two longest gaps.
func (f *Flow) pause(g Gap) {
	switch {
	case g.Length > f.LongestGap.Length:
		f.LongestGap, f.SecondGap = g, f.LongestGap
	case g.Length > f.SecondGap.Length:
		f.SecondGap = g
	}
}

// wrapRoom is how near its end a 32-bit number must be to begin again at 0 as the next of a 64-bit
// one. Far from the end a number that falls back is no wrap.
const wrapRoom = 1 << 28

// extend adds the high bits that are not on the wire: RFC 4303, Section 2.2.1, sends the low 32
// bits of a 64-bit number.
func (f *Flow) extend(wire uint32) uint64 {
	n := f.epoch + uint64(wire)
	switch {
	case f.Packets == 0:
	case n+1<<31 < f.top && f.top-f.epoch > 1<<32-wrapRoom:
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

// sample keeps the packets whose number is a multiple of SampleStep, so that both sides keep the
// same ones; the step doubles when there are too many.
func (f *Flow) sample(p Point) { f.Samples, f.SampleStep = sampled(f.Samples, f.SampleStep, p) }

func sampled(points []Point, step uint64, p Point) ([]Point, uint64) {
	step = max(step, 1)
	if p.Seq&(step-1) != 0 {
		return points, step
	}
	if len(points) == MaxSamples {
		step *= 2
		points = slices.DeleteFunc(points, func(q Point) bool { return q.Seq&(step-1) != 0 })
		if p.Seq&(step-1) != 0 {
			return points, step
		}
	}
	if n := len(points); n > 0 && p.Seq < points[n-1].Seq {
		i, _ := slices.BinarySearchFunc(points, p.Seq, bySeq)
		return slices.Insert(points, i, p), step
	}
	return append(points, p), step
}

func bySeq(p Point, n uint64) int { return cmp.Compare(p.Seq, n) }

// Merge takes the packets of o in, a flow of the same SA by another address or encapsulation. o is
// not to be used after.
func (f *Flow) Merge(o *Flow) {
	f.Packets += o.Packets
	f.Bytes += o.Bytes
	f.Duplicates += o.Duplicates
	if f.Copy.Frame == 0 {
		f.Copy = o.Copy
	}
	f.LowTTL, f.HighTTL = min(f.LowTTL, o.LowTTL), max(f.HighTTL, o.HighTTL)
	f.Again += o.Again
	f.Reordered += o.Reordered
	f.Late += o.Late
	f.Fragmented += o.Fragmented
	f.Seqs.Merge(&o.Seqs)
	f.Torn.Merge(&o.Torn)
	f.Restart = cmp.Or(f.Restart, o.Restart)
	f.Short = f.Short || o.Short
	for _, g := range [3]Gap{o.LongestGap, o.SecondGap, f.between(o)} {
		f.pause(g)
	}
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
	f.Samples, f.SampleStep = mergedSamples(f.Samples, o.Samples, max(f.SampleStep, o.SampleStep, 1))
	f.Split, f.SplitStep = mergedSamples(f.Split, o.Split, max(f.SplitStep, o.SplitStep, 1))
}

// Clone returns a flow that others can be merged into without f.
func (f *Flow) Clone() *Flow {
	x := *f
	x.Samples, x.Split = slices.Clone(f.Samples), slices.Clone(f.Split)
	return &x
}

// between is the time between two flows of which one begins when the other has ended.
func (f *Flow) between(o *Flow) Gap {
	if o.First.Nanos < f.First.Nanos {
		f, o = o, f
	}
	return gapOf(&f.Last, &o.First)
}

func mergedSamples(a, b []Point, step uint64) ([]Point, uint64) {
	all := append(a, b...)
	for {
		all = slices.DeleteFunc(all, func(q Point) bool { return q.Seq&(step-1) != 0 })
		if len(all) <= MaxSamples {
			break
		}
		step *= 2
	}
	slices.SortStableFunc(all, func(a, b Point) int { return cmp.Compare(a.Seq, b.Seq) })
	return all, step
}
