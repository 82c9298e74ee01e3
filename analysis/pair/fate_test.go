package pair

import (
	"context"
	"fmt"
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
		p := packet.Packet{Kind: packet.ESP, Proto: 50, SPI: 0x77 + i%2, Seq: i/2 + 1, Src: addressB, Dst: stranger,
			Nanos: start + int64(i)*1e8, TTL: 255}
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
		Kind: packet.Fragment, Proto: 17, Src: addressA, Dst: addressB, SrcPort: 500, DstPort: 500, IPID: 4242, TTL: 250,
		Nanos:      start + 3e9 + 10e6,
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
	if got := c.Tally(A); got.Lost != 0 || got.Missing != 0 || got.Unknown != 2 {
		t.Errorf("tally %+v, want 2 unknown: they were answered, so they arrived", got)
	}
}

// TestFlood: very many identical packets are matched in reasonable time, also where some are lost.
func TestFlood(t *testing.T) {
	const sent = 50_000
	for _, lost := range []int{0, 1, sent / 2} {
		n := calm()
		n.withoutID, n.loss = true, 1
		p := n.ikePacket(5, 0, A, A, ike.IKESAInit, 0, false)
		for i := range sent {
			n.send(A, start+int64(i)*700e6, p, i >= lost)
		}
		c := mustJoin(t, n)
		if c.Counts.Matched != sent-lost {
			t.Errorf("%d matched, want %d", c.Counts.Matched, sent-lost)
		}
	}
}

// TestUnderWayAtTheEnd: what is sent while the receiver's capture ends was not lost: it would have
// arrived behind that. What was overtaken by a later packet was.
func TestUnderWayAtTheEnd(t *testing.T) {
	for _, from := range Both {
		for _, c := range []struct {
			name    string
			before  int64 // how long before the end of the receiver's capture it is sent
			overrun bool  // a later packet of the same side arrives
			copied  bool  // the sender's capture holds it twice
			want    Fate
		}{
			{"under way", 5e6, false, false, Unknown},
			{"under way, and twice in the capture", 5e6, false, true, Unknown},
			{"long before the end", 500e6, false, false, Lost},
			{"another one arrives behind it", 20e6, true, false, Lost},
		} {
			t.Run(fmt.Sprint(from, " ", c.name), func(t *testing.T) {
				n := calm()
				n.talk(3)
				to := from.Other()
				end := start + int64(5e9)
				lone := n.ikePacket(77, 78, from, A, ike.Informational, 9, false)
				lone.TTL, lone.IPID = 255, 4242
				n.capture(from, from, end-c.before, lone)
				if c.copied {
					n.capture(from, from, end-c.before+1e5, lone)
				}
				if c.overrun {
					later := n.ikePacket(77, 78, from, A, ike.Informational, 10, false)
					n.exchange(from, end-c.before+1e6, later, n.ikePacket(77, 78, to, A, ike.Informational, 10, true), true)
				}
				last := n.ikePacket(77, 78, to, A, ike.Informational, 11, false) // the receiver's capture still works
				last.TTL = 255
				n.capture(to, to, end, last)
				if got := find(mustJoin(t, n), 9, from).Transmissions()[0].Fate; got != c.want {
					t.Errorf("it is %s, want %s", got, c.want)
				}
			})
		}
	}
}
