package packet

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
)

// one decodes a single frame of raw IP.
func one(t testing.TB, ip []byte) Packet {
	t.Helper()
	all, _ := readAll(t, withLink(linkRaw).file(ip))
	if len(all) != 1 {
		t.Fatalf("%d packets", len(all))
	}
	return all[0]
}

func TestWhatUDPCarries(t *testing.T) {
	msg := ikeMessage(8)
	marker := append([]byte{0, 0, 0, 0}, msg...)
	esp := []byte{0xc0, 1, 2, 3, 0, 0, 0, 9, 1, 2, 3, 4}
	tests := map[string]struct {
		sport, dport uint16
		payload      []byte
		kind         Kind
		marker       bool
		want         []byte
	}{
		"IKE on 500":            {500, 500, msg, IKE, false, msg},
		"behind PAT":            {1027, 500, msg, IKE, false, msg},
		"IKE on 4500":           {4500, 4500, marker, IKE, true, msg},
		"4500 behind PAT":       {40000, 4500, marker, IKE, true, msg},
		"4500 and 500":          {4500, 500, msg, IKE, false, msg},
		"500 and 4500, marked":  {500, 4500, marker, IKE, true, msg},
		"4500 without a marker": {4500, 4500, msg, IKE, false, msg},
		"ESP in UDP":            {4500, 4500, esp, ESP, false, esp},
		"ESP to 500, from 4500": {4500, 500, esp, ESP, false, esp},
		"keepalive":             {4500, 4500, []byte{0xff}, Keepalive, false, []byte{0xff}},
		"keepalive on 500":      {500, 500, []byte{0xff}, Keepalive, false, []byte{0xff}},
		"marker alone":          {4500, 4500, []byte{0, 0, 0, 0}, IKE, true, nil},
		"marker and a bit":      {4500, 4500, []byte{0, 0, 0, 0, 1}, IKE, true, []byte{1}},
		"three bytes on 4500":   {4500, 4500, []byte{1, 2, 3}, Other, false, []byte{1, 2, 3}},
		"short ESP in UDP":      {4500, 4500, []byte{1, 2, 3, 4, 5}, ESP, false, []byte{1, 2, 3, 4, 5}},
		"half a header on 500":  {500, 500, msg[:10], IKE, false, msg[:10]},
		"nothing on 500":        {500, 500, nil, Other, false, nil},
		"DNS":                   {5353, 53, msg, Other, false, msg},
	}
	for name, c := range tests {
		p := one(t, ip4(17, udpDatagram(addrA4, addrB4, c.sport, c.dport, c.payload)))
		if p.Kind != c.kind || p.Marker != c.marker || !bytes.Equal(p.Payload, c.want) || !p.ChecksumOK {
			t.Errorf("%s: %v marker %v payload %x checksum %v", name, p.Kind, p.Marker, p.Payload, p.ChecksumOK)
		}
		if p.Kind == ESP && len(c.want) >= 8 && (p.SPI != 0xc0010203 || p.Seq != 9 || !p.UDPEncap) {
			t.Errorf("%s: SPI %x seq %d encapsulated %v", name, p.SPI, p.Seq, p.UDPEncap)
		}
	}
}

// What is longer or shorter than an IKE message at its beginning says is ESP, on port 4500.
func TestOnlyWholeMessagesNeedNoMarker(t *testing.T) {
	msg := ikeMessage(8)
	for _, b := range [][]byte{append(slices.Clone(msg), 0), msg[:len(msg)-1]} {
		if p := one(t, ip4(17, udpDatagram(addrA4, addrB4, 4500, 4500, b))); p.Kind != ESP {
			t.Errorf("%d bytes: %v", len(b), p.Kind)
		}
	}
}

func TestESPAndAH(t *testing.T) {
	for n := range 16 {
		body := []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}[:n]
		esp, ah := one(t, ip4(50, body)), one(t, ip6(51, body))
		if esp.Kind != ESP || esp.UDPEncap || ah.Kind != AH {
			t.Fatalf("%d bytes: %v, %v", n, esp.Kind, ah.Kind)
		}
		if got, want := esp.SPI == 0x01020304, n >= 4; got != want {
			t.Errorf("%d bytes of ESP: SPI %x", n, esp.SPI)
		}
		if got, want := esp.Seq == 0x05060708, n >= 8; got != want {
			t.Errorf("%d bytes of ESP: sequence number %x", n, esp.Seq)
		}
		if got, want := ah.Seq == 0x090a0b0c, n >= 12; got != want {
			t.Errorf("%d bytes of AH: sequence number %x", n, ah.Seq)
		}
	}
}

func TestTCPEncapsulation(t *testing.T) {
	msg := ikeMessage(8)
	framed := func(b []byte) []byte {
		return append(binary.BigEndian.AppendUint16(nil, uint16(len(b)+2)), b...)
	}
	marked := framed(append([]byte{0, 0, 0, 0}, msg...))
	tcp := func(sport, dport uint16, b []byte) []byte {
		h := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, sport), dport)
		h = append(h, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 0, 0, 0, 0, 0, 0)
		return ip4(6, append(h, b...))
	}
	for name, c := range map[string]struct {
		ip    []byte
		kind  Kind
		encap bool
	}{
		"prefix and message": {tcp(33000, 4500, append([]byte("IKETCP"), marked...)), IKE, true},
		"prefix alone":       {tcp(33000, 4500, []byte("IKETCP")), Other, true},
		"message":            {tcp(4500, 33000, marked), IKE, true},
		"ESP":                {tcp(4500, 33000, framed([]byte{1, 2, 3, 4, 0, 0, 0, 1, 9})), ESP, true},
		"part of a message":  {tcp(4500, 33000, marked[:20]), Other, false},
		"another port":       {tcp(4433, 33000, marked), Other, false},
		"no payload":         {tcp(33000, 4500, nil), Other, false},
	} {
		p := one(t, c.ip)
		if p.Kind != c.kind || p.TCPEncap != c.encap {
			t.Errorf("%s: %v, in TCP %v", name, p.Kind, p.TCPEncap)
		}
		if p.Kind == IKE && !bytes.Equal(p.Payload, msg) {
			t.Errorf("%s: %x", name, p.Payload)
		}
	}
}

// tcpSegment is one of the connection from port 33000 to 4500, with a sequence number.
func tcpSegment(seq uint32, b []byte) []byte {
	h := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, 33000), 4500)
	h = binary.BigEndian.AppendUint32(h, seq)
	h = append(h, 0, 0, 0, 1, 0x50, 0x18, 0, 0, 0, 0, 0, 0)
	return ip4(6, append(h, b...))
}

func TestTCPStreams(t *testing.T) {
	record := func(n int) []byte {
		return append(binary.BigEndian.AppendUint16(nil, uint16(6+len(ikeMessage(n)))),
			append([]byte{0, 0, 0, 0}, ikeMessage(n)...)...)
	}
	stream := slices.Concat([]byte("IKETCP"), record(8), record(40), record(300), []byte{0, 3, 0xff}, record(12))
	type piece struct{ from, to int }
	first := 6 + len(record(8))
	for name, c := range map[string]struct {
		pieces []piece
		want   []int // the messages, by the length of their nonces
		frames []int
	}{
		"one segment":      {[]piece{{0, len(stream)}}, []int{8, 40, 300, 12}, []int{1, 1, 1, 1}},
		"the prefix alone": {[]piece{{0, 6}, {6, len(stream)}}, []int{8, 40, 300, 12}, []int{2, 2, 2, 2}},
		"cut in a message": {[]piece{{0, 100}, {100, 200}, {200, len(stream)}}, []int{8, 40, 300, 12},
			[]int{1, 2, 3, 3}},
		"cut in a length": {[]piece{{0, first + 1}, {first + 1, len(stream)}}, []int{8, 40, 300, 12},
			[]int{1, 2, 2, 2}},
		"sent again": {[]piece{{0, first}, {0, first}, {first, len(stream)}}, []int{8, 40, 300, 12},
			[]int{1, 3, 3, 3}},
		"more of it sent again": {[]piece{{0, first}, {0, len(stream)}}, []int{8, 40, 300, 12}, []int{1, 2, 2, 2}},
		"one is missing": {[]piece{{0, first}, {first + len(record(40)), len(stream)}}, []int{8, 300, 12},
			[]int{1, 2, 2}},
		"one is late": {[]piece{{0, first}, {first + len(record(40)), len(stream)},
			{first, first + len(record(40))}}, []int{8, 300, 12, 40}, []int{1, 2, 2, 3}},
		"the beginning is missing": {[]piece{{first, len(stream)}}, []int{40, 300, 12}, []int{1, 1, 1}},
	} {
		var frames [][]byte
		for _, p := range c.pieces {
			frames = append(frames, tcpSegment(uint32(p.from)-100, stream[p.from:p.to]))
		}
		all, info := readAll(t, withLink(linkRaw).file(frames...))
		var found, at, records []int
		for _, p := range all {
			if p.Kind == IKE {
				found, at, records = append(found, len(p.Payload)-32), append(at, p.Frame), append(records, p.Record)
			}
		}
		if !slices.Equal(found, c.want) || !slices.Equal(at, c.frames) || info.Packets != len(c.pieces) ||
			slices.Max(records) >= len(c.want) {
			t.Errorf("%s: messages %v of frames %v, want %v of %v; records %v, %d packets", name, found, at, c.want, c.frames,
				records, info.Packets)
		}
	}
}

func TestESPBehindAH(t *testing.T) {
	ah := []byte{50, 4, 0, 0, 9, 9, 9, 9, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
	esp := []byte{0xc0, 1, 2, 3, 0, 0, 0, 7, 1, 2, 3, 4}
	for _, wrap := range []func(byte, []byte) []byte{ip4, ip6} {
		if p := one(t, wrap(51, cat(ah, esp))); p.Kind != ESP || !p.InAH || p.SPI != 0xc0010203 || p.Seq != 7 {
			t.Errorf("%v, SPI %x, sequence number %d", p.Kind, p.SPI, p.Seq)
		}
		if p := one(t, wrap(51, ah)); p.Kind != AH || p.SPI != 0x09090909 || p.InAH {
			t.Errorf("cut behind AH: %v, SPI %x", p.Kind, p.SPI)
		}
		ah[0] = 6
		if p := one(t, wrap(51, cat(ah, esp))); p.Kind != AH || p.InAH {
			t.Errorf("TCP behind AH: %v", p.Kind)
		}
		ah[0] = 50
	}
}

func TestChecksumAgainstTheDefinition(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for n := range 200 {
		payload := make([]byte, n)
		for i := range payload {
			payload[i] = byte(rng.Uint32())
		}
		for _, c := range []struct {
			wrap func(byte, []byte) []byte
			udp  []byte
		}{{ip4, udpDatagram(addrA4, addrB4, 500, 500, payload)}, {ip6, udpDatagram(addrA6, addrB6, 500, 500, payload)}} {
			if p := one(t, c.wrap(17, c.udp)); !p.ChecksumOK {
				t.Errorf("%d bytes: a right checksum is called wrong", n)
			}
			bit := rng.IntN(len(c.udp) * 8)
			if bit/8 == 4 || bit/8 == 5 { // the length field decides what is summed
				continue
			}
			c.udp[bit/8] ^= 1 << (bit % 8)
			if p := one(t, c.wrap(17, c.udp)); p.ChecksumOK && (c.udp[6] != 0 || c.udp[7] != 0) {
				t.Errorf("%d bytes: bit %d flipped, and the checksum is called right", n, bit)
			}
		}
	}
}

func TestNoChecksumIsRight(t *testing.T) {
	udp := udpDatagram(addrA4, addrB4, 500, 500, ikeMessage(8))
	udp[6], udp[7] = 0, 0
	if p := one(t, ip4(17, udp)); !p.ChecksumOK {
		t.Error("a datagram without a checksum is called wrong")
	}
}

// A capture cut by a snap length gives all that is left of the message, and says that it is cut.
func TestSnapLength(t *testing.T) {
	whole := ether4(ike4(60))
	for n := range len(whole) {
		form := plainPcap
		file := form.file(whole[:n])
		form.order.(binary.ByteOrder).PutUint32(file[24+12:], uint32(len(whole)))
		all, _ := readAll(t, file)
		p := all[0]
		if !p.Truncated || p.CapLen != n || p.WireLen != len(whole) {
			t.Fatalf("%d bytes: %+v", n, p)
		}
		if n > 42 && (p.Kind != IKE || !bytes.Equal(p.Payload, whole[42:n])) {
			t.Errorf("%d bytes: %v %x", n, p.Kind, p.Payload)
		}
	}
}

func TestSegmentationOffload(t *testing.T) {
	ip := ike4(40)
	ip[2], ip[3] = 0, 0
	if p := one(t, ip); p.Kind != IKE || p.IPLen != len(ip) || p.Truncated {
		t.Errorf("total length 0: %+v", p)
	}
}

func TestICMPErrors(t *testing.T) {
	msg := ikeMessage(60)
	natt := udpDatagram(addrA4, addrB4, 4500, 4500, append([]byte{0, 0, 0, 0}, msg...))
	icmp := func(kind, code byte, mtu uint16, quoted []byte) []byte {
		return append([]byte{kind, code, 0, 0, 0, 0, byte(mtu >> 8), byte(mtu)}, quoted...)
	}
	tests := map[string]struct {
		ip    []byte
		want  ICMPError
		quote []byte
	}{
		"prohibited": {ip4(1, icmp(3, 13, 0, ike4(60)[:28])),
			ICMPError{Type: 3, Code: 13, Src: addrA4, Dst: addrB4, SrcPort: 500, DstPort: 500, Proto: 17, IPID: 1}, nil},
		"too big, marked": {ip4(1, icmp(3, 4, 1400, ip4(17, natt))),
			ICMPError{Type: 3, Code: 4, MTU: 1400, Src: addrA4, Dst: addrB4, SrcPort: 4500, DstPort: 4500, Proto: 17, IPID: 1},
			msg},
		"about ESP": {ip4(1, icmp(11, 0, 0, ip4(50, []byte{1, 2, 3, 4, 5, 6, 7, 8}))),
			ICMPError{Type: 11, Src: addrA4, Dst: addrB4, Proto: 50, IPID: 1}, []byte{1, 2, 3, 4, 5, 6, 7, 8}},
		"about a later fragment": {ip4(1, icmp(11, 1, 0, ip4Fragment(17, 9, 800, false, natt))),
			ICMPError{Type: 11, Code: 1, Src: addrA4, Dst: addrB4, Proto: 17, IPID: 9}, nil},
		"IPv6 too big": {ip6(58, icmp(2, 0, 1280, ike6(60))),
			ICMPError{V6: true, Type: 2, MTU: 1280, Src: addrA6, Dst: addrB6, SrcPort: 500, DstPort: 500, Proto: 17}, msg},
		"quotes nothing": {ip4(1, icmp(3, 1, 0, nil)), ICMPError{Type: 3, Code: 1}, nil},
	}
	for name, c := range tests {
		p := one(t, c.ip)
		if p.Kind != ICMP || p.Error == nil {
			t.Errorf("%s: %v", name, p.Kind)
			continue
		}
		got := *p.Error
		if !bytes.Equal(got.Payload, c.quote) {
			t.Errorf("%s: quotes %x, want %x", name, got.Payload, c.quote)
		}
		got.Payload = nil
		if !sameError(got, c.want) {
			t.Errorf("%s:\n got %+v\nwant %+v", name, got, c.want)
		}
	}
	for name, ip := range map[string][]byte{"echo": ip4(1, icmp(8, 0, 1, []byte("abc"))),
		"neighbour": ip6(58, icmp(135, 0, 0, nil))} {
		if p := one(t, ip); p.Kind != Other || p.Error != nil {
			t.Errorf("%s: %v", name, p.Kind)
		}
	}
}

func sameError(a, b ICMPError) bool {
	a.Payload, b.Payload = nil, nil
	return a.V6 == b.V6 && a.Type == b.Type && a.Code == b.Code && a.MTU == b.MTU && a.Src == b.Src && a.Dst == b.Dst &&
		a.SrcPort == b.SrcPort && a.DstPort == b.DstPort && a.Proto == b.Proto && a.IPID == b.IPID
}

// Every prefix of every kind of packet must be read without a panic, whatever its lengths say.
func TestEveryPrefixOfAPacket(t *testing.T) {
	packets := [][]byte{
		ether4(ike4(20)), ether(etherIPv6, ike6(20)),
		ether(etherIPv6, ip6(0, []byte{60, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 44, 0, 1, 2, 3, 4, 5, 6, 17, 0, 0,
			1})),
		ether4(ip4(1, append([]byte{3, 3, 0, 0, 0, 0, 0, 0}, ike4(4)...))),
		ether(etherIPv6, ip6(58, append([]byte{1, 4, 0, 0, 0, 0, 0, 0}, ike6(4)...))),
		ether4(ip4(6, append([]byte{0x11, 0x94, 0x11, 0x94, 0, 0, 0, 0, 0, 0, 0, 0, 0x60, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1},
			"IKETCP\x00\x09\x00\x00\x00\x00\x01"...))),
		ether4(ip4(50, make([]byte, 10))), ether4(ip4(51, make([]byte, 14))),
		ether(etherPPPoE, []byte{0x11, 0, 0, 1, 0, 9, 0xff, 3, 0, 0x21, 0x45}),
		ether(40, []byte{0xaa, 0xaa, 3, 0, 0, 0, 8, 0, 0x45}), ether(etherMPLS, []byte{0, 0, 0, 0, 0, 0, 1, 0, 0x45}),
	}
	links := []uint32{linkEthernet, linkNull, linkLoop, linkSLL, linkSLL2, linkRaw, linkPPP, linkPPPSerial, linkPPPoE,
		linkCiscoHDLC, 147}
	var frames [][]byte
	for _, p := range packets {
		for n := range len(p) + 1 {
			frames = append(frames, p[:n], p[min(14, n):n])
		}
	}
	for _, link := range links {
		all, info := readAll(t, withLink(link).file(frames...))
		if len(all) != len(frames) || info.Damage != nil {
			t.Errorf("link type %d: %d packets of %d, %v", link, len(all), len(frames), info.Damage)
		}
	}
}

func TestFragments(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		udp := udpDatagram(addrA4, addrB4, 500, 500, ikeMessage(3000))
		if v6 {
			udp = udpDatagram(addrA6, addrB6, 500, 500, ikeMessage(3000))
		}
		var pieces [][]byte
		for at := 0; at < len(udp); at += 1480 {
			end := min(at+1480, len(udp))
			if v6 {
				pieces = append(pieces, ip6Fragment(17, 77, at, end < len(udp), udp[at:end]))
			} else {
				pieces = append(pieces, ip4Fragment(17, 77, at, end < len(udp), udp[at:end]))
			}
		}
		for name, c := range map[string]struct {
			order  []int
			frames []int // nil where the datagram stays incomplete
		}{
			"in order":      {[]int{0, 1, 2}, []int{1, 2, 3}},
			"reversed":      {[]int{2, 1, 0}, []int{1, 2, 3}},
			"one twice":     {[]int{0, 1, 0, 2}, []int{1, 2, 3, 4}},
			"last missing":  {[]int{0, 1}, nil},
			"first missing": {[]int{1, 2}, nil},
			"sent again":    {[]int{0, 1, 0, 1, 2}, []int{1, 2, 3, 4, 5}},
		} {
			var frames [][]byte
			for _, i := range c.order {
				frames = append(frames, pieces[i])
			}
			all, _ := readAll(t, withLink(linkRaw).file(frames...))
			for i, p := range all {
				last := i == len(all)-1 && c.frames != nil
				if !p.IsFragment || p.IPID != 77 || p.Overlap || last != (p.Kind == IKE) {
					t.Errorf("%s, IPv6 %v, packet %d: %+v", name, v6, i, p)
				}
				if p.FragOffset == 0 && p.SrcPort != 500 {
					t.Errorf("%s: the first fragment has no ports", name)
				}
			}
			p := all[len(all)-1]
			if c.frames != nil && (!bytes.Equal(p.Payload, ikeMessage(3000)) || !slices.Equal(p.Fragments, c.frames) ||
				p.Datagram != len(udp) || !p.ChecksumOK) {
				t.Errorf("%s, IPv6 %v: frames %v datagram %d checksum %v", name, v6, p.Fragments, p.Datagram, p.ChecksumOK)
			}
		}
	}
}

// A first fragment that the capture cut waits for the others, or is read as far as it goes where
// that is asked for; the last one brings the datagram either way.
func TestFragmentsThatAreCut(t *testing.T) {
	udp := udpDatagram(addrA4, addrB4, 500, 500, ikeMessage(2000))
	f := (&ngFile{order: binary.LittleEndian}).section().iface(linkRaw, 0, 9, 0)
	for at := range 2 {
		piece := ip4Fragment(17, 77, 1480*at, at == 0, [][]byte{udp[:1480], udp[1480:]}[at])
		f.captured(0, 0, piece[:96], len(piece))
	}
	for _, first := range []bool{false, true} {
		r, err := NewReader(bytes.NewReader(f.b), Options{CutFirst: first})
		if err != nil {
			t.Fatal(err)
		}
		var kinds []Kind
		for p, err := range All(r) {
			if err != nil {
				t.Fatal(err)
			}
			if kinds = append(kinds, p.Kind); p.Kind == IKE && (!p.Truncated || len(p.Payload) != 96-20-8 ||
				p.Partial != (p.Frame == 1)) {
				t.Errorf("cut first %v: %+v", first, p)
			}
		}
		want := []Kind{Fragment, IKE}
		if first {
			want = []Kind{IKE, IKE}
		}
		if !slices.Equal(kinds, want) {
			t.Errorf("cut first %v: %v", first, kinds)
		}
	}
}

// Fragments that overlap with other bytes must not overwrite what came first, and
// the message says so.
func TestOverlappingFragments(t *testing.T) {
	udp := udpDatagram(addrA4, addrB4, 500, 500, ikeMessage(400))
	evil := bytes.Repeat([]byte{0xee}, 160)
	all, _ := readAll(t, withLink(linkRaw).file(
		ip4Fragment(17, 5, 0, true, udp[:160]),
		ip4Fragment(17, 5, 80, true, evil), // 80 to 240: half of it is new
		ip4Fragment(17, 5, 160, false, udp[160:]),
	))
	p := all[2]
	want := slices.Concat(udp[:160], evil[80:], udp[240:])
	if p.Kind != IKE || !p.Overlap || !bytes.Equal(p.Payload, want[8:]) || p.ChecksumOK {
		t.Errorf("kind %v overlap %v checksum %v\n got %x\nwant %x", p.Kind, p.Overlap, p.ChecksumOK, p.Payload, want[8:])
	}
}

func TestFragmentedESP(t *testing.T) {
	body := append([]byte{0xc0, 0, 0, 1, 0, 0, 0, 7}, make([]byte, 72)...)
	all, _ := readAll(t, withLink(linkRaw).file(ip4Fragment(50, 6, 0, true, body), ip4Fragment(50, 6, 80, false, body)))
	if all[0].Kind != ESP || all[0].SPI != 0xc0000001 || all[0].Seq != 7 || !all[0].IsFragment || all[1].Kind != Fragment {
		t.Errorf("%+v\n%+v", all[0], all[1])
	}
}

// Nothing that a file holds may make the reassembly grow without a bound.
func TestReassemblyIsBounded(t *testing.T) {
	d := decoder{}
	for i := range 100_000 {
		b := ip4Fragment(17, uint16(i), 65000, true, make([]byte, 64))
		b[12], b[13] = byte(i>>16), byte(i>>8)
		var p Packet
		d.decode(&p, &record{link: linkRaw, data: b, nanos: int64(i)})
	}
	if n := len(d.fragments.open); n > maxDatagrams {
		t.Errorf("%d datagrams are kept", n)
	}
	for i := range 3 * maxFragments {
		var p Packet
		d.decode(&p, &record{link: linkRaw, data: ip4Fragment(17, 1, i*16%60000, true, make([]byte, 8)), nanos: 1e6})
	}
	for _, g := range d.fragments.open {
		if len(g.frames) > maxFragments || len(g.have) > maxFragments || len(g.data) > maxDatagramLen {
			t.Errorf("%d frames, %d spans, %d bytes", len(g.frames), len(g.have), len(g.data))
		}
	}
}

// A lost fragment must not be completed by one that has the same identification much later.
func TestFragmentsTimeOut(t *testing.T) {
	udp := udpDatagram(addrA4, addrB4, 500, 500, ikeMessage(400))
	d := decoder{}
	var first, p Packet
	d.decode(&first, &record{link: linkRaw, data: ip4Fragment(17, 1, 0, true, udp[:80])})
	d.decode(&p, &record{link: linkRaw, data: ip4Fragment(17, 1, 80, false, udp[80:]), nanos: fragmentTimeout + 1})
	if p.Kind != Fragment || len(p.Fragments) != 0 {
		t.Errorf("%+v", p)
	}
}

// Every length, and bytes that carry at every addition, sum up as RFC 1071 defines it.
func TestOnesSum(t *testing.T) {
	rng := rand.New(rand.NewPCG(1071, 1))
	for n := range 300 {
		b := make([]byte, n)
		for fill := range 3 {
			for i := range b {
				b[i] = [...]byte{0xff, 0x00, byte(rng.Uint32())}[fill]
			}
			want := plainChecksum(b)
			if got := ^fold(onesSum(b)); got != want && (got != 0 || want != 0xffff) { // UDP writes zero as all ones
				t.Fatalf("%d bytes, filled %d: %#04x, want %#04x", n, fill, got, want)
			}
		}
	}
}
