package scene

import (
	"encoding/binary"
	"strings"
	"time"

	"github.com/moncap/moncap/analysis/ike"
)

// Renewed replaces the IKE SA and its child SA.
func (a *SA) Renewed(from int) *SA {
	a.RekeyChild(from)
	a.Exchange(ike.CreateChildSA, from, ike.PayloadSA, 180, ike.PayloadSA, 180)
	b := a.S.SA(from)
	b.Port = a.Port
	a.Exchange(ike.Informational, from, ike.PayloadD, 8, ike.PayloadNone, 0)
	return b
}

// Ah sends a packet of AH with so many bytes inside.
func (s *Scene) Ah(from int, spi, seq uint32, size int, f Fate) {
	s.Now += time.Millisecond
	s.ID++
	b := binary.BigEndian.AppendUint32([]byte{4, 4, 0, 0}, spi)
	b = binary.BigEndian.AppendUint32(b, seq)
	body := make([]byte, 12+size)
	binary.BigEndian.PutUint16(body, s.ID)
	for at := range 2 {
		s.datagram(from, at, 51, append(b[:len(b):len(b)], body...), 0, f)
	}
}

// Buffer is the output of `show monitor capture NAME buffer`.
func Buffer(used, dropped string) string {
	return Lines(" buffer size (KB) : 10240", " buffer used (KB) : "+used, " packets in buf   : 4711",
		" packets dropped  : "+dropped, " packets per sec  : 12")
}

// Busy is so many ESP packets in each of the given seconds.
func Busy(seconds, each int) func(*Scene) {
	return func(s *Scene) {
		s.Now = time.Duration(0)
		n := uint32(0)
		for i := range seconds {
			for range each {
				n++
				s.ESP(int(n%2), 0xa0000001+n%2<<28, n/2+1, 60, false)
			}
			s.Now = time.Duration(i+1) * time.Second
		}
	}
}

// CircularPoint is what a router says of a capture point with a circular buffer.
const CircularPoint = "Status Information for Capture CAP\n  Target Type: \n Interface: GigabitEthernet1, Direction: " +
	"BOTH\n   Status : Inactive\n" + "  Buffer Details: \n   Buffer Type: CIRCULAR\n   Buffer Size (in MB): 10\n"

// First is the first IKE SA of the scene, by its number.
func (s *Scene) First() *SA {
	n := ike.SPI(1)<<32 | 0x0a11
	return &SA{S: s, I: n | 1<<60, R: n | 2<<60}
}

// BothBegin: each side initiates, and both SAs come up.
func BothBegin(s *Scene) (a, b *SA) {
	a, b = s.SA(0), s.SA(1)
	s.IKE(0, 500, a.Init(false, Proposals(GCM(19))))
	s.IKE(1, 500, b.Init(false, Proposals(GCM(19))))
	s.IKE(1, 500, a.Init(true, Proposals(GCM(19))))
	s.IKE(0, 500, b.Init(true, Proposals(GCM(19))))
	a.Auth(ike.PayloadIDr, SizeAnswer)
	b.Auth(ike.PayloadIDr, SizeAnswer)
	return a, b
}

func Known(s *Scene) {
	s.Side[0].Address, s.Side[1].Address = A, B
}

// Lines joins lines of a router's output.
func Lines(all ...string) string { return strings.Join(all, "\n") + "\n" }

func Healthy(s *Scene) {
	a := s.SA(0).Up()
	s.Traffic(10, false)
	a.DPD(0)
	a.DPD(1)
}

func HealthyNAT(s *Scene) {
	s.Seen[0] = NAT
	a := s.SA(0).Up()
	s.Traffic(10, true)
	a.DPD(0)
}

func HealthyV1(s *Scene) {
	a := s.V1(0).Phase1()
	a.QuickMode(3)
	s.Traffic(10, false)
}
