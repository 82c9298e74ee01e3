package scene

import (
	"context"
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/moncap/moncap/analysis"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/report"
)

// The two gateways of every scene, and how a NAT shows A.
var (
	A   = netip.MustParseAddr("192.168.1.1")
	B   = netip.MustParseAddr("192.168.2.1")
	NAT = netip.MustParseAddr("198.51.100.1")
)

// SixAddr are addresses of IPv6 for the two.
var SixAddr = [2]netip.Addr{netip.MustParseAddr("2001:db8:1::1"), netip.MustParseAddr("2001:db8:2::1")}

const sceneStart = int64(1_700_000_000_000_000_000)

// Scene is one tunnel's traffic as both gateways capture it: every packet is built once and
// then put, byte by byte, into the capture of its sender and, as the path changes it, into
// that of its receiver.
type Scene struct {
	t     T
	Rows  [2][]Record
	Now   time.Duration
	ID    uint16
	SPI   uint32        // added to the SPIs of dialogue and monologue
	Addr  [2]netip.Addr // of each side, as itself
	Seen  [2]netip.Addr // as the other side sees it; invalid: no NAT
	Ports [2]uint16     // source port that a NAT gives a side's packets; 0: it keeps the port
	Delay time.Duration
	Ahead time.Duration    // B's clock
	Side  [2]analysis.Side // what is known beside the captures
	Alone bool             // only A's capture is given
	keys  *ike.Keys
	Twins [2]bool   // the capture of a side holds every packet twice
	Last  []byte    // the last frame, as it was sent
	Long  *SA       // an SA that goes on
	tcp   [2]uint32 // bytes that a side has sent in TCP
	Snap  [2]int    // bytes that a side's capture keeps of a packet; 0: all
}

func New(t T) *Scene {
	return &Scene{t: t, Addr: [2]netip.Addr{A, B}, Delay: 8 * time.Millisecond,
		Side: [2]analysis.Side{{Name: "site-a", Interface: "GigabitEthernet1"},
			{Name: "site-b", Interface: "GigabitEthernet2"}}}
}

// Fate is what happens to one packet on its way.
type Fate struct {
	Lost    bool          // the receiver's capture lacks it
	Hidden  bool          // the sender's capture lacks it
	Twice   bool          // the path delivers it twice
	Late    time.Duration // more than the path's delay
	DSCP    int           // what it arrives with; 0: as sent
	Altered int           // the byte of the IKE message that arrives changed; 0: none
	To      netip.Addr    // another destination than the other side
	MTU     int           // it leaves in IP fragments of at most so many bytes of IP payload
	Keep    int           // fragments, counted from the first, that arrive; all but so many are lost
}

var Lost = Fate{Lost: true}

func (s *Scene) Wait(d time.Duration) { s.Now += d }

// ends are the addresses of a packet of side from, as the capture of side at shows them.
func (s *Scene) ends(from, at int, f Fate) (src, dst netip.Addr) {
	view := func(of int) netip.Addr {
		if at != of && s.Seen[of].IsValid() {
			return s.Seen[of]
		}
		return s.Addr[of]
	}
	src, dst = view(from), view(1-from)
	if f.To.IsValid() {
		dst = f.To
	}
	return src, dst
}

// IKE sends an IKE message of side from after a moment.
func (s *Scene) IKE(from int, port uint16, message []byte, fates ...Fate) {
	s.t.Helper()
	s.Now += 20 * time.Millisecond
	f := oneFate(fates)
	s.ID++
	for at := range 2 {
		sport, dport := port, port
		if at != from && s.Ports[from] != 0 {
			sport = s.Ports[from] + port/4500
		}
		if at == from && s.Ports[1-from] != 0 {
			dport = s.Ports[1-from] + port/4500
		}
		body := message
		if at != from && f.Altered > 0 {
			body = append([]byte(nil), message...)
			body[f.Altered] ^= 0xff
		}
		if port == 4500 {
			body = append(make([]byte, 4), body...)
		}
		be := binary.BigEndian
		u := be.AppendUint16(be.AppendUint16(nil, sport), dport)
		u = be.AppendUint16(u, uint16(8+len(body)))
		s.datagram(from, at, 17, append(append(u, 0, 0), body...), 0xc0, f)
	}
}

// IKEFrom sends an IKE message of side from out of another port than that of IKE, to port 500.
func (s *Scene) IKEFrom(from int, sport uint16, message []byte) {
	s.Now += 20 * time.Millisecond
	s.ID++
	be := binary.BigEndian
	u := be.AppendUint16(be.AppendUint16(nil, sport), 500)
	u = be.AppendUint16(u, uint16(8+len(message)))
	for at := range 2 {
		s.datagram(from, at, 17, append(append(u, 0, 0), message...), 0xc0, Fate{})
	}
}

func oneFate(fates []Fate) Fate {
	if len(fates) > 0 {
		return fates[0]
	}
	return Fate{}
}

// ESP sends an ESP packet of so many bytes behind its sequence number; encapsulated in UDP when udp
// is set.
func (s *Scene) ESP(from int, spi, seq uint32, size int, udp bool, fates ...Fate) {
	s.Now += time.Millisecond
	f := oneFate(fates)
	s.ID++
	b := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, spi), seq)
	body := make([]byte, size)
	binary.BigEndian.PutUint16(body, s.ID) // what two packets carry is never the same
	b = append(b, body...)
	for at := range 2 {
		if !udp {
			s.datagram(from, at, 50, b, 0, f)
			continue
		}
		be := binary.BigEndian
		u := be.AppendUint16(be.AppendUint16(nil, 4500), 4500)
		u = be.AppendUint16(u, uint16(8+len(b)))
		s.datagram(from, at, 17, append(append(u, 0, 0), b...), 0, f)
	}
}

// Keepalive sends a NAT keepalive.
func (s *Scene) Keepalive(from int) {
	s.Now += time.Millisecond
	s.ID++
	for at := range 2 {
		s.datagram(from, at, 17, []byte{0x11, 0x94, 0x11, 0x94, 0, 9, 0, 0, 0xff}, 0, Fate{})
	}
}

// datagram puts one datagram of side from into the capture of side at.
func (s *Scene) datagram(from, at int, proto byte, payload []byte, tos byte, f Fate) {
	if at == from && f.Hidden || at != from && f.Lost {
		return
	}
	src, dst := s.ends(from, at, f)
	if at != from && f.DSCP > 0 {
		tos = byte(f.DSCP << 2)
	}
	when := s.Now
	ttl := byte(255)
	if at != from {
		ttl, when = 252, when+s.Delay+f.Late
	}
	times := 1
	if at != from && f.Twice {
		times = 2
	}
	for n := range times {
		for i, part := range fragmentsOf(payload, f.MTU) {
			if at != from && f.Keep > 0 && i >= f.Keep {
				break
			}
			s.Put(at, when+time.Duration(n)*20*time.Millisecond, s.Frame(src, dst, proto, tos, ttl, part))
		}
	}
	if at == from {
		s.Last = s.Frame(src, dst, proto, tos, 254, Part{Data: payload})
	}
}

// Part is an IP fragment, or a whole datagram.
type Part struct {
	Data   []byte
	offset int
	more   bool
}

func fragmentsOf(payload []byte, mtu int) []Part {
	if mtu == 0 || len(payload) <= mtu {
		return []Part{{Data: payload}}
	}
	var all []Part
	for at := 0; at < len(payload); at += mtu {
		end := min(at+mtu, len(payload))
		all = append(all, Part{payload[at:end], at, end < len(payload)})
	}
	return all
}

func (s *Scene) Frame(src, dst netip.Addr, proto, tos, ttl byte, p Part) []byte {
	if src.Is6() {
		return s.frame6(src, dst, proto, tos, ttl, p)
	}
	be := binary.BigEndian
	b := append(make([]byte, 12), 8, 0)
	b = append(b, 0x45, tos)
	b = be.AppendUint16(b, uint16(20+len(p.Data)))
	b = be.AppendUint16(b, s.ID)
	flags := uint16(p.offset / 8)
	if p.more {
		flags |= 0x2000
	}
	b = be.AppendUint16(b, flags)
	b = append(b, ttl, proto, 0, 0)
	b = append(append(b, src.AsSlice()...), dst.AsSlice()...)
	return append(b, p.Data...)
}

// frame6 is a frame of IPv6, with a fragment header where it needs one.
func (s *Scene) frame6(src, dst netip.Addr, proto, tos, ttl byte, p Part) []byte {
	be := binary.BigEndian
	var fragment []byte
	next := proto
	if p.more || p.offset > 0 {
		flags := uint16(p.offset)
		if p.more {
			flags |= 1
		}
		fragment = be.AppendUint32(be.AppendUint16([]byte{proto, 0}, flags), uint32(s.ID))
		next = 44
	}
	b := append(make([]byte, 12), 0x86, 0xdd)
	b = be.AppendUint32(b, 6<<28|uint32(tos)<<20)
	b = append(be.AppendUint16(b, uint16(len(fragment)+len(p.Data))), next, ttl)
	b = append(append(b, src.AsSlice()...), dst.AsSlice()...)
	return append(append(b, fragment...), p.Data...)
}

func (s *Scene) Put(at int, when time.Duration, frame []byte) {
	nanos := sceneStart + int64(when)
	if at == 1 {
		nanos += int64(s.Ahead)
	}
	r := Record{Nanos: nanos, Wire: len(frame), Data: frame}
	if n := s.Snap[at]; n > 0 {
		r.Data = r.Data[:min(n, len(r.Data))]
	}
	s.Rows[at] = append(s.Rows[at], r)
	if s.Twins[at] {
		r.Nanos += 100_000
		s.Rows[at] = append(s.Rows[at], r)
	}
}

// ICMP puts an ICMP error of a device into the capture of side at; it quotes the last packet that
// was sent.
func (s *Scene) ICMP(at int, device string, kind, code byte, mtu uint16) {
	s.Now += 3 * time.Millisecond
	s.ID++
	b, header, proto := append([]byte{kind, code, 0, 0, 0, 0}, byte(mtu>>8), byte(mtu)), 20, byte(1)
	if s.Addr[at].Is6() {
		header, proto = 40, 58
	}
	b = append(b, s.Last[14:min(len(s.Last), 14+header+8+28)]...)
	s.Put(at, s.Now, s.Frame(netip.MustParseAddr(device), s.Addr[at], proto, 0, 62, Part{Data: b}))
}

// Noise is a packet that has nothing to do with the tunnel, in the capture of side at.
func (s *Scene) Noise(at int) {
	s.Now += time.Millisecond
	s.ID++
	u := []byte{0x30, 0x39, 0, 53, 0, 12, 0, 0, 1, 2, 3, 4}
	s.Put(at, s.Now,
		s.Frame(netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("203.0.113.8"), 17, 0, 60, Part{Data: u}))
}

// Sorted are the packets of a side in the order of its clock.
func (s *Scene) Sorted(at int) []Record {
	return MapRecords(s.Rows[at], func(r Record) []Record { return []Record{r} })
}

// Sides are both gateways with their captures.
func (s *Scene) Sides() [2]analysis.Side {
	a, b := s.Side[0], s.Side[1]
	a.File, b.File = "a.pcap", "b.pcap"
	if a.Open == nil {
		a.Open = Opener(Pcap(s.Sorted(0)))
	}
	if b.Open == nil {
		b.Open = Opener(Pcap(s.Sorted(1)))
	}
	return [2]analysis.Side{a, b}
}

// OnlyB leaves B's capture as the only one; to be called when all is played.
func (s *Scene) OnlyB() {
	s.Rows[0], s.Rows[1] = s.Rows[1], s.Rows[0]
	s.Side[0], s.Side[1], s.Alone = s.Side[1], s.Side[0], true
}

// Compare judges the scene.
func (s *Scene) Compare() *report.Report {
	s.t.Helper()
	sides := s.Sides()
	second := &sides[1]
	if s.Alone {
		second = nil
	}
	r, err := analysis.Compare(context.Background(), sides[0], second,
		analysis.Options{Tunnel: "hq-branch", Version: "test", Keys: s.keys})
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

// T is what a scene needs of a test: T has it.
type T interface {
	Helper()
	Logf(format string, args ...any)
	Error(args ...any)
	Errorf(format string, args ...any)
	Fatal(args ...any)
}
