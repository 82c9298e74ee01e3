package main

import (
	"container/heap"
	"encoding/binary"
	"math/rand/v2"
)

const (
	started   = int64(1_700_000_000e9) // of the first packet, nanoseconds since 1970
	gap       = int64(20e3)            // nanoseconds between two packets
	ikeShare  = 10                     // of mixed traffic, at most one packet in so many is IKE
	hops      = 3                      // routers on the path
	portIKE   = 500
	portNATT  = 4500
	protoUDP  = 17
	protoESP  = 50
	ipStart   = 14 // of an Ethernet frame
	dataStart = ipStart + 20
)

// traffic makes packets and hands them to both sides.
type traffic struct {
	settings
	rng     *rand.Rand
	now     int64
	tunnels []tunnel
	turn    int
	frame   []byte // as it leaves its sender
	made    totals
	late    [2]arrivals // on the way to side A and to side B
	free    [][]byte    // frames that arrived, to be used again
}

func newTraffic(s settings) *traffic {
	t := &traffic{settings: s, rng: rand.New(rand.NewPCG(s.seed, 0)), tunnels: make([]tunnel, s.tunnels), now: started}
	translated := int(s.nat * float64(s.tunnels))
	for i := range t.tunnels {
		t.tunnels[i] = tunnel{a: 0x0a010000 + uint32(i), b: 0x0a020000 + uint32(i), exchanges: s.exchanges}
		t.tunnels[i].seenAs = t.tunnels[i].a
		if i < translated {
			t.tunnels[i].seenAs, t.tunnels[i].port = 0xc6336400+uint32(i>>8), uint16(20000+i&0xff)
		}
	}
	return t
}

// arrival is a packet that is on its way. With a constant delay they would arrive in order by
// themselves; the jitter makes the heap necessary.
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

// write makes all packets. In the file of a side stand what it sent and what arrived, in the order
// of its clock.
func (t *traffic) write(a, b *pcapFile) error {
	files := [2]*pcapFile{a, b}
	for t.made.Sent[0]+t.made.Sent[1] < t.packets {
		if err := t.deliver(files, t.now); err != nil {
			return err
		}
		if err := t.next(files); err != nil {
			return err
		}
		t.now += gap
	}
	return t.deliver(files, t.now+2*int64(t.delay))
}

// next sends the next packet of the tunnel whose turn it is, unless it has to wait.
func (t *traffic) next(files [2]*pcapFile) error {
	n := &t.tunnels[t.turn%len(t.tunnels)]
	round := t.turn / len(t.tunnels)
	t.turn++
	isIKE := t.kind == "ike" || t.kind == "mixed" && round%ikeShare == 0
	switch {
	case isIKE && t.now >= n.due:
		from := t.ike(n)
		delivered, err := t.send(files, n, from)
		n.sent(t.now, int64(t.delay), delivered)
		return err
	case t.kind == "ike":
		return nil
	}
	_, err := t.send(files, n, t.esp(n, round&1))
	return err
}

// send writes the frame down at its sender and puts it on its way, on which it may be lost.
func (t *traffic) send(files [2]*pcapFile, n *tunnel, from int) (delivered bool, err error) {
	t.made.Sent[from]++
	if files[1] == nil {
		return true, files[0].add(t.now, t.frame)
	}
	view := t.copied()
	if from == 1 {
		n.translate(view)
	}
	if err := files[from].add(t.clock(from, t.now), view); err != nil {
		return false, err
	}
	t.free = append(t.free, view)
	if t.rng.Float64() < t.loss {
		if from == 0 {
			t.made.LostAtoB++
		} else {
			t.made.LostBtoA++
		}
		return false, nil
	}
	view = t.copied()
	if from == 0 {
		n.translate(view)
	}
	view[ipStart+8] -= hops
	checksumIP(view)
	jitter := int64(float64(t.delay) * 0.1 * t.rng.Float64())
	heap.Push(&t.late[1-from], arrival{t.now + int64(t.delay) + jitter, view})
	return true, nil
}

func (t *traffic) copied() []byte {
	var b []byte
	if n := len(t.free); n > 0 {
		b, t.free = t.free[n-1][:0], t.free[:n-1]
	}
	return append(b, t.frame...)
}

// clock is the time that a side gives to a moment.
func (t *traffic) clock(side int, at int64) int64 {
	if side == 0 {
		return at
	}
	return at + int64(t.offset) + int64(t.drift*float64(at-started)/1e6)
}

func (t *traffic) deliver(files [2]*pcapFile, until int64) error {
	for side := range t.late {
		for len(t.late[side]) > 0 && t.late[side][0].at <= until {
			p := heap.Pop(&t.late[side]).(arrival)
			if err := files[side].add(t.clock(side, p.at), p.frame); err != nil {
				return err
			}
			t.free = append(t.free, p.frame)
		}
	}
	return nil
}

// begin starts a frame as it is between side A and the translator: Ethernet and IPv4, the lengths
// still open.
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

// beginUDP starts a UDP datagram without a checksum.
func (t *traffic) beginUDP(n *tunnel, from int, dscp byte, port uint16) {
	t.begin(n, from, protoUDP, dscp)
	t.frame = binary.BigEndian.AppendUint16(t.frame, port)
	t.frame = binary.BigEndian.AppendUint16(t.frame, port)
	t.frame = append(t.frame, 0, 0, 0, 0)
}

// finish fills in the lengths and the checksum of IP.
func (t *traffic) finish() {
	ip := t.frame[ipStart:]
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
	if ip[9] == protoUDP {
		binary.BigEndian.PutUint16(ip[24:], uint16(len(ip)-20))
	}
	checksumIP(t.frame)
}

func checksumIP(frame []byte) {
	ip := frame[ipStart:]
	ip[10], ip[11] = 0, 0
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
