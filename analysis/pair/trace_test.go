package pair

import (
	"context"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/packet"
)

// slice is a capture in memory.
type slice struct {
	packets []packet.Packet
	next    int
}

func (s *slice) Next(p *packet.Packet) error {
	if s.next == len(s.packets) {
		return io.EOF
	}
	*p = s.packets[s.next]
	s.next++
	return nil
}

func (s *slice) Info() packet.FileInfo {
	return packet.FileInfo{Format: "memory", Packets: len(s.packets)}
}

// path is the network between the two sides, with everything that may go wrong on it.
type path struct {
	rnd       *rand.Rand
	loss      float64
	duplicate float64
	delay     [2]int64 // nanoseconds, by sender
	jitter    int64
	offset    int64   // B's clock minus A's
	drift     float64 // of B's clock
	nat       bool    // A is seen as natAddress
	port      uint16  // A's port behind the NAT, 0: kept
	withoutID bool    // no IP identification
	flat      bool    // no router on the path lowers the TTL
	natB      bool    // B is seen as natAddressB
	stepAt    int64   // when B's clock is set; 0: never
	step      int64   // by how much

	sent [2][]packet.Packet // captures of A and B
	lost [2]int
	id   uint32
}

var (
	addressA    = netip.MustParseAddr("192.168.1.1")
	addressB    = netip.MustParseAddr("192.168.2.1")
	natAddress  = netip.MustParseAddr("198.51.100.1")
	natAddressB = netip.MustParseAddr("203.0.113.9")
)

const start = int64(1_700_000_000_000_000_000)

// send sends p from a side at the true time t (on A's clock); it returns when it arrives, or false
// when it is lost.
func (n *path) send(from Side, t int64, p packet.Packet, protect bool) (int64, bool) {
	n.id++
	p.IPID, p.TTL, p.DSCP, p.ChecksumOK = n.id, 255, 48, true
	if n.withoutID {
		p.IPID = 0
	}
	p.WireLen = 42 + len(p.Payload)
	p.CapLen = p.WireLen
	n.capture(from, from, t, p)
	if !protect && n.rnd.Float64() < n.loss {
		n.lost[from]++
		return 0, false
	}
	arrival := t + n.delay[from] + n.rnd.Int64N(n.jitter+1)
	if !n.flat {
		p.TTL -= 5
	}
	n.capture(from.Other(), from, arrival, p)
	if n.rnd.Float64() < n.duplicate {
		n.capture(from.Other(), from, arrival+1_000_000+n.rnd.Int64N(20_000_000), p)
	}
	return arrival, true
}

// capture puts p into the capture of s as s sees it.
func (n *path) capture(s, from Side, t int64, p packet.Packet) {
	own, other := addressA, addressB
	port := p.SrcPort
	if s == B && n.nat {
		own = natAddress
		if n.port != 0 {
			port = n.port
		}
	}
	if s == A && n.natB {
		other = natAddressB
	}
	if from == A {
		p.Src, p.Dst, p.SrcPort = own, other, port
	} else {
		p.Src, p.Dst, p.DstPort = other, own, port
	}
	p.Nanos = t
	if s == B {
		p.Nanos = t + n.offset + int64(n.drift*float64(t-start))
		if n.stepAt != 0 && t >= n.stepAt {
			p.Nanos += n.step
		}
	}
	n.sent[s] = append(n.sent[s], p)
}

// stories reads both captures.
func (n *path) stories(t *testing.T) (a, b *exchange.Story) {
	t.Helper()
	var both [2]*exchange.Story
	for _, s := range Both {
		slices.SortStableFunc(n.sent[s], func(x, y packet.Packet) int { return int(x.Nanos - y.Nanos) })
		for i := range n.sent[s] {
			n.sent[s][i].Frame = i + 1
		}
		story, err := exchange.Read(context.Background(), &slice{packets: n.sent[s]}, nil)
		if err != nil {
			t.Fatal(err)
		}
		both[s] = story
	}
	return both[A], both[B]
}

// ikePacket makes an encrypted IKEv2 message of random content.
func (n *path) ikePacket(spiI, spiR uint64, from Side, initiator Side, x ike.ExchangeType, id uint32,
	response bool) packet.Packet {
	b := make([]byte, 80+n.rnd.IntN(200))
	for i := ike.HeaderLen; i < len(b); i++ {
		b[i] = byte(n.rnd.Uint32())
	}
	binary.BigEndian.PutUint64(b, spiI)
	binary.BigEndian.PutUint64(b[8:], spiR)
	b[16], b[17], b[18] = byte(ike.PayloadSK), 0x20, byte(x)
	if from == initiator {
		b[19] |= byte(ike.FlagInitiator)
	}
	if response {
		b[19] |= byte(ike.FlagResponse)
	}
	binary.BigEndian.PutUint32(b[20:], id)
	binary.BigEndian.PutUint32(b[24:], uint32(len(b)))
	b[28], b[29] = byte(ike.PayloadN), 0
	binary.BigEndian.PutUint16(b[30:], uint16(len(b)-ike.HeaderLen))
	return packet.Packet{Kind: packet.IKE, Proto: 17, SrcPort: 4500, DstPort: 4500, Marker: true, Payload: b}
}

// exchange plays one request with its retransmissions until it is answered or given up; it returns
// when it ended.
func (n *path) exchange(from Side, t int64, request, response packet.Packet, protect bool) int64 {
	wait := int64(2_000_000_000)
	for range 5 {
		if arrival, ok := n.send(from, t, request, protect); ok {
			if back, ok := n.send(from.Other(), arrival+3_000_000, response, protect); ok {
				return max(back, t) + 50_000_000
			}
		}
		t += wait
		wait = wait * 9 / 5
	}
	return t
}
