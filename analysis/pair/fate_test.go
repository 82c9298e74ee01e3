package pair

import (
	"context"
	"net/netip"
	"slices"
	"testing"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/packet"
)

func find(c *Case, id uint32, from Side) *Message {
	for m := range c.Messages() {
		if m.MessageID == id && m.From == from {
			return m
		}
	}
	return nil
}

func TestAlteredMessage(t *testing.T) {
	n := calm()
	n.talk(3)
	for i := range n.sent[B] { // a middle box changes a byte of the second request
		p := &n.sent[B][i]
		if h, err := ike.ParseHeader(p.Payload); err == nil && h.MessageID == 1 && !h.Response() {
			p.Payload = slices.Clone(p.Payload)
			p.Payload[40] ^= 1
		}
	}
	c := mustJoin(t, n)
	m := find(c, 1, A)
	if m == nil || !m.Altered || m.DifferAt() != 40 || m.Transmissions()[0].Fate != Delivered {
		t.Fatalf("message %+v, want it altered at byte 40 and delivered", m)
	}
	if c.Counts.Lost != [2]int{} || c.Counts.Only != [2]int{} {
		t.Errorf("counts %+v, want nothing lost", c.Counts)
	}
}

func TestDuplicates(t *testing.T) {
	for _, k := range []struct {
		name    string
		change  func(n *path)
		capture bool // made by the capture
	}{
		{"on the path", func(n *path) {
			n.sent[B] = append(n.sent[B], later(n.sent[B][0], 2e6))
		}, false},
		{"on the path, without identification", func(n *path) {
			n.sent[B] = append(n.sent[B], later(n.sent[B][0], 60e6))
		}, false},
		{"by a capture of two interfaces", func(n *path) {
			p := later(n.sent[B][0], 1e5)
			p.TTL--
			n.sent[B] = append(n.sent[B], p)
		}, true},
	} {
		t.Run(k.name, func(t *testing.T) {
			n := calm()
			n.withoutID = k.name == "on the path, without identification"
			n.talk(3)
			k.change(n)
			c := mustJoin(t, n)
			m := find(c, 0, A)
			if len(m.Transmissions()) != 2 {
				t.Fatalf("%d transmissions, want 2", len(m.Transmissions()))
			}
			d := m.Transmissions()[1]
			if !d.Duplicate || d.CaptureCopy != k.capture || d.CopyOf() != m.Transmissions()[0] {
				t.Errorf("second arrival %+v, want a duplicate, by the capture: %v", d, k.capture)
			}
			if got := m.Tally(); got.Sent != 1 || got.Delivered != 1 {
				t.Errorf("tally %+v, want one sent and delivered", got)
			}
		})
	}
}

func later(p packet.Packet, by int64) packet.Packet {
	p.Nanos += by
	return p
}

// TestLateCapture: what B's capture missed before it was started is not lost.
func TestLateCapture(t *testing.T) {
	n := calm()
	n.talk(4)
	n.sent[B] = slices.DeleteFunc(n.sent[B], func(p packet.Packet) bool { return p.Nanos < start+2e9 })
	c := mustJoin(t, n)
	if c.Counts.Lost != [2]int{} {
		t.Errorf("lost %v, want nothing: B was not capturing yet", c.Counts.Lost)
	}
	if v := c.Parties[B].Coverage; v.Hidden != 0 || v.Unseen != 0 {
		t.Errorf("coverage of B %+v: what was before it says nothing of its filter", v)
	}
}

// TestStranger: packets to somebody else are not lost on the way to B.
func TestStranger(t *testing.T) {
	n := calm()
	n.talk(3)
	stranger := netip.MustParseAddr("203.0.113.77")
	for i := range uint32(40) { // B has a tunnel with another peer
		p := packet.Packet{Kind: packet.ESP, Proto: 50, SPI: 0x77 + i%2, Seq: i/2 + 1, Src: addressB, Dst: stranger, Nanos: start + int64(i)*1e8, TTL: 255}
		if i%2 == 1 {
			p.Src, p.Dst, p.TTL = p.Dst, p.Src, 250
		}
		n.sent[B] = append(n.sent[B], p)
	}
	for i := range uint32(3) {
		p := n.ikePacket(999, 0, A, A, ike.IKESAInit, 0, false)
		p.Src, p.Dst, p.Nanos, p.TTL, p.IPID = addressA, stranger, start+int64(i)*1e9, 255, 9000+i
		n.sent[A] = append(n.sent[A], p)
	}
	c := mustJoin(t, n)
	if c.Counts.Lost != [2]int{} {
		t.Errorf("lost %v, want nothing", c.Counts.Lost)
	}
	if h := c.Parties[A].Coverage.Hidden + c.Parties[B].Coverage.Hidden; h != 0 {
		t.Errorf("%d packets called hidden, want none", h)
	}
	for _, f := range c.Flows {
		if !f.Foreign || f.Lost+f.Missing+f.Hidden != 0 {
			t.Errorf("flow %+v, want it foreign and nothing of it lost", f)
		}
	}
	for _, v := range c.Conversations {
		if v.Foreign != (v.SPIi == 999) {
			t.Errorf("conversation %s: foreign %v", v.SPIi, v.Foreign)
		}
	}
}

func TestPartOfAFragmentedDatagram(t *testing.T) {
	n := calm()
	n.talk(2)
	big := n.ikePacket(77, 78, A, A, ike.IKEAuth, 9, false)
	big.Src, big.Dst, big.IPID, big.TTL, big.Nanos = addressA, addressB, 4242, 255, start+3e9
	big.Fragments, big.Datagram, big.IsFragment = []int{5, 6}, 1800, true
	n.sent[A] = append(n.sent[A], big)
	part := packet.Packet{
		Kind: packet.Fragment, Proto: 17, Src: addressA, Dst: addressB, SrcPort: 500, DstPort: 500, IPID: 4242, TTL: 250, Nanos: start + 3e9 + 10e6,
		IsFragment: true, MoreFrags: true, Payload: make([]byte, 1480), WireLen: 1514, CapLen: 1514,
	}
	n.sent[B] = append(n.sent[B], part)
	c := mustJoin(t, n)
	m := find(c, 9, A)
	if got := m.Transmissions()[0]; got.Fate != Lost || len(got.Partial()) != 1 {
		t.Errorf("transmission %+v, want it lost with one fragment arrived", got)
	}
}

func TestEmptyCapture(t *testing.T) {
	n := calm()
	n.talk(2)
	a, _ := n.stories(t)
	c, err := Join(context.Background(), a, &exchange.Story{}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Tally(A, 0); got.Lost != 0 || got.Missing != 0 || got.Unknown != 2 {
		t.Errorf("tally %+v, want 2 unknown: they were answered, so they arrived", got)
	}
}

// TestFlood: very many identical packets are matched in reasonable time.
func TestFlood(t *testing.T) {
	n := calm()
	n.withoutID = true
	p := n.ikePacket(5, 0, A, A, ike.IKESAInit, 0, false)
	for i := range 50_000 {
		n.send(A, start+int64(i)*700e6, p, true)
	}
	c := mustJoin(t, n)
	if c.Counts.Matched != 50_000 {
		t.Errorf("%d matched, want 50000", c.Counts.Matched)
	}
}
