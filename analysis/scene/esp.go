package scene

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/moncap/moncap/analysis/ike"
)

// Stream is n ESP packets of side from, each with the fate that f gives it.
func (s *Scene) Stream(from, n int, f func(i int) Fate) {
	for i := range n {
		s.ESP(from, 0xa0000001+uint32(from)<<28, uint32(i+1), 100, false, f(i))
	}
}

// ESPinTCP sends an ESP packet as a record of a TCP stream (RFC 9329).
func (s *Scene) ESPinTCP(from int, spi, seq uint32, size int) {
	s.Now += time.Millisecond
	s.ID++
	be := binary.BigEndian
	b := be.AppendUint32(be.AppendUint16(be.AppendUint16(nil, 4500), 4500), s.tcp[from])
	b = append(be.AppendUint32(b, s.tcp[1-from]), 5<<4, 0x18, 0xff, 0xff, 0, 0, 0, 0) // ACK and PSH
	b = be.AppendUint16(b, uint16(2+8+size))
	b = append(be.AppendUint32(be.AppendUint32(b, spi), seq), make([]byte, size)...)
	be.PutUint16(b[len(b)-size:], s.ID)
	s.tcp[from] += uint32(2 + 8 + size)
	for at := range 2 {
		s.datagram(from, at, 6, b, 0, Fate{})
	}
}

func Arrives(int) Fate { return Fate{} }

func Vanishes(int) Fate { return Lost }

// Dialogue is n ESP packets of each side, one pair at a time.
func (s *Scene) Dialogue(n int, each time.Duration, f func(from, i int) Fate) { s.GoOn(1, n, each, f) }

// GoOn is a dialogue on an SA that goes on with a sequence number.
func (s *Scene) GoOn(first uint32, n int, each time.Duration, f func(from, i int) Fate) {
	for i := range n {
		for from := range 2 {
			s.ESP(from, 0xa0000001+s.SPI+uint32(from)<<28, first+uint32(i), 100, s.Seen[0].IsValid(), f(from, i))
		}
		s.Wait(each)
	}
}

func Passes(int, int) Fate { return Fate{} }

// Working is a tunnel that a side began, with 20 seconds of traffic of both.
func (s *Scene) Working(from int) *SA {
	a := s.SA(from).Up()
	s.Dialogue(20, time.Second, Passes)
	return a
}

// OnNewSPIs is 20 seconds of traffic of both on the child SA that another one was replaced by.
func (s *Scene) OnNewSPIs() {
	s.SPI = 0x100
	s.Dialogue(20, time.Second, Passes)
}

// Monologue is n ESP packets of one side, from a sequence number on.
func (s *Scene) Monologue(from int, first uint32, n int, each time.Duration) {
	for i := range uint32(n) {
		s.ESP(from, 0xa0000001+s.SPI+uint32(from)<<28, first+i, 100, s.Seen[0].IsValid())
		s.Wait(each)
	}
}

// KeptSPI: A goes on with its old SPI for n seconds, B uses a new one.
func (s *Scene) KeptSPI(n int) {
	for i := range uint32(n) {
		s.ESP(0, 0xa0000001, 7100+i, 100, false)
		s.ESP(1, 0xb0000002, i+1, 100, false)
		s.Wait(time.Second)
	}
}

// Carry sends a packet of another IP protocol.
func (s *Scene) Carry(from int, proto byte) {
	s.Now += 10 * time.Millisecond
	s.ID++
	for at := range 2 {
		s.datagram(from, at, proto, make([]byte, 64), 0, Fate{})
	}
}

// Datagram sends a UDP datagram of other content than IKE and ESP.
func (s *Scene) Datagram(from int, sport, dport uint16) {
	s.Now += 10 * time.Millisecond
	s.ID++
	be := binary.BigEndian
	u := append(be.AppendUint16(be.AppendUint16(be.AppendUint16(nil, sport), dport), 8+64), make([]byte, 2+64)...)
	for at := range 2 {
		s.datagram(from, at, 17, u, 0, Fate{})
	}
}

// Spokes are tunnels of A with others than B, which work; only A's capture holds them.
func (s *Scene) Spokes() {
	b := s.Addr[1]
	own := func(from int) Fate { return Fate{Lost: from == 0, Hidden: from == 1} }
	for i, spoke := range []string{"203.0.113.21", "203.0.113.22"} {
		s.Addr[1] = netip.MustParseAddr(spoke)
		a := s.SA(0)
		for n, m := range [][]byte{a.Init(false, Proposals(GCM(19))), a.Init(true, Proposals(GCM(19))),
			a.Sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, SizeAuth),
			a.Sealed(ike.IKEAuth, 1, 1, true, ike.PayloadIDr, SizeAnswer)} {
			s.IKE(n%2, 500, m, own(n%2))
		}
		for n := range uint32(20) {
			s.ESP(0, 0xa0000100+uint32(i), n+1, 100, false, own(0))
			s.ESP(1, 0xb0000100+uint32(i), n+1, 100, false, own(1))
		}
	}
	s.Addr[1] = b
}
