package analysis

import (
	"context"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/report"
)

// The two gateways of every scene, and how a NAT shows A.
var (
	sceneA   = netip.MustParseAddr("192.168.1.1")
	sceneB   = netip.MustParseAddr("192.168.2.1")
	sceneNAT = netip.MustParseAddr("198.51.100.1")
)

const sceneStart = int64(1_700_000_000_000_000_000)

// scene is one tunnel's traffic as both gateways capture it: every packet is built once and then put, byte by byte, into the
// capture of its sender and, as the path changes it, into that of its receiver.
type scene struct {
	t     *testing.T
	rows  [2][]record
	now   time.Duration
	id    uint16
	spi   uint32        // added to the SPIs of dialogue and monologue
	addr  [2]netip.Addr // of each side, as itself
	seen  [2]netip.Addr // as the other side sees it; invalid: no NAT
	ports [2]uint16     // source port that a NAT gives a side's packets; 0: it keeps the port
	delay time.Duration
	ahead time.Duration // B's clock
	side  [2]Side       // what is known beside the captures
	alone bool          // only A's capture is given
	keys  *ike.Keys
	twins [2]bool // the capture of a side holds every packet twice
	last  []byte  // the last frame, as it was sent
	long  *sa     // an SA that goes on
	snap  [2]int  // bytes that a side's capture keeps of a packet; 0: all
}

func newScene(t *testing.T) *scene {
	return &scene{t: t, addr: [2]netip.Addr{sceneA, sceneB}, delay: 8 * time.Millisecond,
		side: [2]Side{{Name: "site-a", Interface: "GigabitEthernet1"}, {Name: "site-b", Interface: "GigabitEthernet2"}}}
}

// fate is what happens to one packet on its way.
type fate struct {
	lost    bool          // the receiver's capture lacks it
	hidden  bool          // the sender's capture lacks it
	twice   bool          // the path delivers it twice
	late    time.Duration // more than the path's delay
	dscp    int           // what it arrives with; 0: as sent
	altered int           // the byte of the IKE message that arrives changed; 0: none
	to      netip.Addr    // another destination than the other side
	mtu     int           // it leaves in IP fragments of at most so many bytes of IP payload
	keep    int           // fragments, counted from the first, that arrive; all but so many are lost
}

var lost = fate{lost: true}

func (s *scene) wait(d time.Duration) { s.now += d }

// ends are the addresses of a packet of side from, as the capture of side at shows them.
func (s *scene) ends(from, at int, f fate) (src, dst netip.Addr) {
	view := func(of int) netip.Addr {
		if at != of && s.seen[of].IsValid() {
			return s.seen[of]
		}
		return s.addr[of]
	}
	src, dst = view(from), view(1-from)
	if f.to.IsValid() {
		dst = f.to
	}
	return src, dst
}

// ike sends an IKE message of side from after a moment.
func (s *scene) ike(from int, port uint16, message []byte, fates ...fate) {
	s.t.Helper()
	s.now += 20 * time.Millisecond
	f := oneFate(fates)
	s.id++
	for at := range 2 {
		sport, dport := port, port
		if at != from && s.ports[from] != 0 {
			sport = s.ports[from] + port/4500
		}
		if at == from && s.ports[1-from] != 0 {
			dport = s.ports[1-from] + port/4500
		}
		body := message
		if at != from && f.altered > 0 {
			body = append([]byte(nil), message...)
			body[f.altered] ^= 0xff
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

// ikeFrom sends an IKE message of side from out of another port than that of IKE, to port 500.
func (s *scene) ikeFrom(from int, sport uint16, message []byte) {
	s.now += 20 * time.Millisecond
	s.id++
	be := binary.BigEndian
	u := be.AppendUint16(be.AppendUint16(nil, sport), 500)
	u = be.AppendUint16(u, uint16(8+len(message)))
	for at := range 2 {
		s.datagram(from, at, 17, append(append(u, 0, 0), message...), 0xc0, fate{})
	}
}

func oneFate(fates []fate) fate {
	if len(fates) > 0 {
		return fates[0]
	}
	return fate{}
}

// esp sends an ESP packet of so many bytes behind its sequence number; encapsulated in UDP when udp is set.
func (s *scene) esp(from int, spi, seq uint32, size int, udp bool, fates ...fate) {
	s.now += time.Millisecond
	f := oneFate(fates)
	s.id++
	b := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, spi), seq)
	body := make([]byte, size)
	binary.BigEndian.PutUint16(body, s.id) // what two packets carry is never the same
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

// keepalive sends a NAT keepalive.
func (s *scene) keepalive(from int) {
	s.now += time.Millisecond
	s.id++
	for at := range 2 {
		s.datagram(from, at, 17, []byte{0x11, 0x94, 0x11, 0x94, 0, 9, 0, 0, 0xff}, 0, fate{})
	}
}

// datagram puts one datagram of side from into the capture of side at.
func (s *scene) datagram(from, at int, proto byte, payload []byte, tos byte, f fate) {
	if at == from && f.hidden || at != from && f.lost {
		return
	}
	src, dst := s.ends(from, at, f)
	if at != from && f.dscp > 0 {
		tos = byte(f.dscp << 2)
	}
	when := s.now
	ttl := byte(255)
	if at != from {
		ttl, when = 252, when+s.delay+f.late
	}
	times := 1
	if at != from && f.twice {
		times = 2
	}
	for n := range times {
		for i, part := range fragmentsOf(payload, f.mtu) {
			if at != from && f.keep > 0 && i >= f.keep {
				break
			}
			s.put(at, when+time.Duration(n)*20*time.Millisecond, s.frame(src, dst, proto, tos, ttl, part))
		}
	}
	if at == from {
		s.last = s.frame(src, dst, proto, tos, 254, part{data: payload})
	}
}

// part is an IP fragment, or a whole datagram.
type part struct {
	data   []byte
	offset int
	more   bool
}

func fragmentsOf(payload []byte, mtu int) []part {
	if mtu == 0 || len(payload) <= mtu {
		return []part{{data: payload}}
	}
	var all []part
	for at := 0; at < len(payload); at += mtu {
		end := min(at+mtu, len(payload))
		all = append(all, part{payload[at:end], at, end < len(payload)})
	}
	return all
}

func (s *scene) frame(src, dst netip.Addr, proto, tos, ttl byte, p part) []byte {
	if src.Is6() {
		return s.frame6(src, dst, proto, tos, ttl, p)
	}
	be := binary.BigEndian
	b := append(make([]byte, 12), 8, 0)
	b = append(b, 0x45, tos)
	b = be.AppendUint16(b, uint16(20+len(p.data)))
	b = be.AppendUint16(b, s.id)
	flags := uint16(p.offset / 8)
	if p.more {
		flags |= 0x2000
	}
	b = be.AppendUint16(b, flags)
	b = append(b, ttl, proto, 0, 0)
	b = append(append(b, src.AsSlice()...), dst.AsSlice()...)
	return append(b, p.data...)
}

// frame6 is a frame of IPv6, with a fragment header where it needs one.
func (s *scene) frame6(src, dst netip.Addr, proto, tos, ttl byte, p part) []byte {
	be := binary.BigEndian
	var fragment []byte
	next := proto
	if p.more || p.offset > 0 {
		flags := uint16(p.offset)
		if p.more {
			flags |= 1
		}
		fragment = be.AppendUint32(be.AppendUint16([]byte{proto, 0}, flags), uint32(s.id))
		next = 44
	}
	b := append(make([]byte, 12), 0x86, 0xdd)
	b = be.AppendUint32(b, 6<<28|uint32(tos)<<20)
	b = append(be.AppendUint16(b, uint16(len(fragment)+len(p.data))), next, ttl)
	b = append(append(b, src.AsSlice()...), dst.AsSlice()...)
	return append(append(b, fragment...), p.data...)
}

func (s *scene) put(at int, when time.Duration, frame []byte) {
	nanos := sceneStart + int64(when)
	if at == 1 {
		nanos += int64(s.ahead)
	}
	r := record{nanos: nanos, wire: len(frame), data: frame}
	if n := s.snap[at]; n > 0 {
		r.data = r.data[:min(n, len(r.data))]
	}
	s.rows[at] = append(s.rows[at], r)
	if s.twins[at] {
		r.nanos += 100_000
		s.rows[at] = append(s.rows[at], r)
	}
}

// icmp puts an ICMP error of a device into the capture of side at; it quotes the last packet that was sent.
func (s *scene) icmp(at int, device string, kind, code byte, mtu uint16) {
	s.now += 3 * time.Millisecond
	s.id++
	b := append([]byte{kind, code, 0, 0, 0, 0}, byte(mtu>>8), byte(mtu))
	b = append(b, s.last[14:min(len(s.last), 14+20+8+28)]...)
	s.put(at, s.now, s.frame(netip.MustParseAddr(device), s.addr[at], 1, 0, 62, part{data: b}))
}

// noise is a packet that has nothing to do with the tunnel, in the capture of side at.
func (s *scene) noise(at int) {
	s.now += time.Millisecond
	s.id++
	u := []byte{0x30, 0x39, 0, 53, 0, 12, 0, 0, 1, 2, 3, 4}
	s.put(at, s.now, s.frame(netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("203.0.113.8"), 17, 0, 60, part{data: u}))
}

// sorted are the packets of a side in the order of its clock.
func (s *scene) sorted(at int) []record {
	return mapRecords(s.rows[at], func(r record) []record { return []record{r} })
}

// sides are both gateways with their captures.
func (s *scene) sides() [2]Side {
	a, b := s.side[0], s.side[1]
	a.File, b.File = "a.pcap", "b.pcap"
	if a.Open == nil {
		a.Open = opener(pcap(s.sorted(0)))
	}
	if b.Open == nil {
		b.Open = opener(pcap(s.sorted(1)))
	}
	return [2]Side{a, b}
}

// compare judges the scene.
func (s *scene) compare() *report.Report {
	s.t.Helper()
	sides := s.sides()
	second := &sides[1]
	if s.alone {
		second = nil
	}
	r, err := Compare(context.Background(), sides[0], second, Options{Tunnel: "hq-branch", Version: "test", Keys: s.keys})
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}
