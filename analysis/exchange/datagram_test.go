package exchange

import (
	"context"
	"encoding/binary"
	"io"
	"net/netip"
	"testing"

	"github.com/moncap/moncap/analysis/packet"
)

type packets []packet.Packet

func (all *packets) Next(p *packet.Packet) error {
	if len(*all) == 0 {
		return io.EOF
	}
	*p, *all = (*all)[0], (*all)[1:]
	return nil
}

func (all *packets) Info() packet.FileInfo { return packet.FileInfo{} }

// add puts a packet behind the others, a millisecond later.
func (all *packets) add(p packet.Packet) {
	p.Frame, p.Nanos = len(*all)+1, int64(len(*all))*1e6
	p.Src, p.Dst = netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	p.Proto, p.IsFragment = protoUDP, true
	*all = append(*all, p)
}

// first is the first fragment of a datagram of UDP 4500, rest the one that completes it.
func (all *packets) first(id uint32, size int, body []byte) {
	be := binary.BigEndian
	udp := be.AppendUint16(be.AppendUint16(be.AppendUint16(nil, 4500), 4500), uint16(udpHeader+size))
	all.add(packet.Packet{Kind: packet.Fragment, IPID: id, MoreFrags: true, SrcPort: 4500, DstPort: 4500,
		Payload: append(be.AppendUint16(udp, 0), body...)})
}

func (all *packets) rest(id uint32, spi, seq uint32, body []byte) {
	all.add(packet.Packet{Kind: packet.ESP, IPID: id, FragOffset: udpHeader + len(body)/2, SrcPort: 4500, DstPort: 4500,
		UDPEncap: true, SPI: spi, Seq: seq, Payload: body, Fragments: []int{len(*all), len(*all) + 1},
		Datagram: udpHeader + len(body)})
}

func (all packets) read(t *testing.T) *Story {
	t.Helper()
	s, err := Read(context.Background(), &all, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// ESP in UDP that comes in IP fragments is one packet, and a copy of it one copy, in whatever order
// its fragments come and however many other datagrams never become whole.
func TestFragmentsOfESPInUDPAreOnePacket(t *testing.T) {
	const spi = 0xabcd0001
	body := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, spi), 1)
	body = append(body, make([]byte, 792)...)
	first := func(all *packets, id uint32) { all.first(id, len(body), body[:400]) }
	rest := func(all *packets, id uint32) { all.rest(id, spi, 1, body) }
	for _, c := range []struct {
		name   string
		play   func(*packets)
		copies int
	}{
		{"alone", func(all *packets) {
			first(all, 7)
			rest(all, 7)
		}, 0},
		{"copied as a whole", func(all *packets) {
			first(all, 7)
			rest(all, 7)
			first(all, 7)
			rest(all, 7)
		}, 1},
		{"copied on another interface", func(all *packets) {
			first(all, 7)
			first(all, 7)
			rest(all, 7)
			rest(all, 7)
		}, 1},
		{"beside more torn datagrams than are kept", func(all *packets) {
			for i := range uint32(MaxDatagrams) {
				all.add(packet.Packet{Kind: packet.Fragment, IPID: 1000 + i, FragOffset: 400, Payload: make([]byte, 8)})
			}
			first(all, 7)
			rest(all, 7)
		}, 0},
	} {
		var all packets
		c.play(&all)
		s := all.read(t)
		if len(s.Flows) != 1 {
			t.Errorf("%s: %d flows, want 1", c.name, len(s.Flows))
			continue
		}
		if f := s.Flows[0]; f.Packets != 1+c.copies || f.Duplicates != c.copies || s.Counts.ESP != f.Packets ||
			s.Counts.Duplicates != c.copies {
			t.Errorf("%s: %d packets, %d of them copies (of the capture: %d, %d), want %d copies", c.name, f.Packets,
				f.Duplicates, s.Counts.ESP, s.Counts.Duplicates, c.copies)
		}
	}
}

// The first fragment of IKE from which the non-ESP marker was left out is no ESP.
func TestFirstFragmentOfIKEWithoutMarker(t *testing.T) {
	const size = 1800
	ike := make([]byte, 400)
	ike[0], ike[17] = 0x11, 0x20
	binary.BigEndian.PutUint32(ike[24:], size)
	var all packets
	all.first(7, size, ike)
	if s := all.read(t); s.Counts.ESP != 0 || len(s.Flows) != 0 || s.Counts.Fragments != 1 {
		t.Errorf("%d packets of ESP in %d flows, %d fragments; want one fragment", s.Counts.ESP, len(s.Flows),
			s.Counts.Fragments)
	}
	binary.BigEndian.PutUint32(ike[24:], size+1)
	all = nil
	all.first(7, size, ike)
	if s := all.read(t); s.Counts.ESP != 1 {
		t.Errorf("of another length it is %d packets of ESP, want 1", s.Counts.ESP)
	}
}
