package exchange

import "net/netip"

// Flow is one ESP or AH SA in one direction, as one capture shows it.
type Flow struct {
	SPI        uint32
	Src, Dst   netip.AddrPort // ports are 0 for native ESP; with a changing NAT mapping, those of the first packet
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
}

// MaxSamples bounds the samples of a flow.
const MaxSamples = 1024

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
