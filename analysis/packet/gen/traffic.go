package main

import (
	"container/heap"
	"encoding/binary"
	"math/rand/v2"
)

const (
	started = int64(1_700_000_000e9) // of the first packet, nanoseconds since 1970
	gap     = int64(20e3)            // nanoseconds between two packets
)

// tunnel is one pair of gateways and where its traffic has got to.
type tunnel struct {
	a, b       uint32 // addresses
	spiI, spiR uint64
	step       int // of the negotiation
	espSeq     [2]uint32
	ipID       [2]uint16
}

// traffic makes packets and hands them to both sides.
type traffic struct {
	settings
	rng     *rand.Rand
	tunnels []tunnel
	frame   []byte
	late    [2]arrivals // on the way to side A and to side B
	free    [][]byte    // frames that arrived, to be used again
}

func newTraffic(s settings) *traffic {
	t := &traffic{settings: s, rng: rand.New(rand.NewPCG(s.seed, 0)), tunnels: make([]tunnel, s.tunnels)}
	for i := range t.tunnels {
		t.tunnels[i] = tunnel{a: 0x0a010000 + uint32(i), b: 0x0a020000 + uint32(i)}
	}
	return t
}

// arrival is a packet that is on its way. With a constant delay they would arrive in order by themselves; the jitter
// makes the heap necessary.
type arrival struct {
	at    int64
	frame []byte
}

type arrivals []arrival

func (a arrivals) Len() int           { return len(a) }
func (a arrivals) Less(i, j int) bool { return a[i].at < a[j].at }
func (a arrivals) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *arrivals) Push(x any)        { *a = append(*a, x.(arrival)) }
func (a *arrivals) Pop() any {
	old := *a
	last := old[len(old)-1]
	*a = old[:len(old)-1]
	return last
}

// write makes all packets. In the file of a side stand what it sent and what arrived, in the order of its clock.
func (t *traffic) write(a, b *pcapFile) error {
	files := [2]*pcapFile{a, b}
	for i := range t.packets {
		now := started + int64(i)*gap
		if err := t.deliver(files, now); err != nil {
			return err
		}
		from := t.make(i)
		if b == nil {
			if err := a.add(now, t.frame); err != nil {
				return err
			}
			continue
		}
		if err := files[from].add(now+t.clock(from), t.frame); err != nil {
			return err
		}
		if t.rng.Float64() >= t.loss {
			t.send(1-from, now)
		}
	}
	return t.deliver(files, started+int64(t.packets)*gap+2*int64(t.delay))
}

func (t *traffic) clock(side int) int64 {
	if side == 1 {
		return int64(t.offset)
	}
	return 0
}

// send puts the frame on its way; the delay varies by a tenth.
func (t *traffic) send(to int, now int64) {
	var copied []byte
	if n := len(t.free); n > 0 {
		copied, t.free = t.free[n-1][:0], t.free[:n-1]
	}
	jitter := int64(float64(t.delay) * 0.1 * t.rng.Float64())
	heap.Push(&t.late[to], arrival{now + int64(t.delay) + jitter, append(copied, t.frame...)})
}

func (t *traffic) deliver(files [2]*pcapFile, until int64) error {
	for side := range t.late {
		for len(t.late[side]) > 0 && t.late[side][0].at <= until {
			p := heap.Pop(&t.late[side]).(arrival)
			if err := files[side].add(p.at+t.clock(side), p.frame); err != nil {
				return err
			}
			t.free = append(t.free, p.frame)
		}
	}
	return nil
}

// make builds the i-th packet in t.frame and returns the side that sends it: 0 for A.
func (t *traffic) make(i int) int {
	n := &t.tunnels[i%len(t.tunnels)]
	round := i / len(t.tunnels)
	if t.kind == "esp" || t.kind == "mixed" && round%10 != 0 {
		return t.esp(n, round)
	}
	return t.ike(n)
}

// begin starts a frame: Ethernet and IPv4, the lengths still open.
func (t *traffic) begin(n *tunnel, from int, proto, dscp byte) {
	src, dst := n.a, n.b
	if from == 1 {
		src, dst = dst, src
	}
	n.ipID[from]++
	f := append(t.frame[:0], 2, 0, 0, 0, 0, byte(2-from), 2, 0, 0, 0, 0, byte(1+from), 8, 0)
	f = append(f, 0x45, dscp<<2, 0, 0)
	f = binary.BigEndian.AppendUint16(f, n.ipID[from])
	f = append(f, 0, 0, 255, proto, 0, 0)
	f = binary.BigEndian.AppendUint32(f, src)
	t.frame = binary.BigEndian.AppendUint32(f, dst)
}

// finish fills in the lengths and the checksum of IP.
func (t *traffic) finish() {
	ip := t.frame[14:]
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
	binary.BigEndian.PutUint16(ip[10:], ^sum(0, ip[:20]))
}

// sum is the Internet checksum before its complement (RFC 1071).
func sum(start uint32, b []byte) uint16 {
	s := start
	for ; len(b) >= 2; b = b[2:] {
		s += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		s += uint32(b[0]) << 8
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

func (t *traffic) random(n int) {
	for ; n >= 8; n -= 8 {
		t.frame = binary.LittleEndian.AppendUint64(t.frame, t.rng.Uint64())
	}
	for range n {
		t.frame = append(t.frame, byte(t.rng.Uint32()))
	}
}
