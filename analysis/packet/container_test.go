package packet

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// Every container and link type must give the same two messages.
func TestContainersAndLinkTypes(t *testing.T) {
	v4, v6 := ike4(32), ike6(40)
	le, be := binary.LittleEndian, binary.BigEndian
	ng := func(o binary.AppendByteOrder) *ngFile { return (&ngFile{order: o}).section() }
	micro, nano := uint64(testNanos/1000), uint64(testNanos)
	micro2, nano2 := micro+1000, nano+1e6
	vlan := func(kind uint16, inner uint16, b []byte) []byte {
		return append([]byte{0, 100, byte(inner >> 8), byte(inner)}, b...)
	}
	cat := func(h []byte, b []byte) []byte { return append(bytes.Clone(h), b...) }
	sll := func(kind uint16, b []byte) []byte {
		return cat([]byte{0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, byte(kind >> 8), byte(kind)}, b)
	}
	sll2 := func(kind uint16, b []byte) []byte {
		return cat([]byte{byte(kind >> 8), byte(kind), 0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0}, b)
	}
	etherMix := [][]byte{ether4(v4), ether(etherIPv6, v6)}
	tests := map[string][]byte{
		"pcap le usec":     plainPcap.file(etherMix...),
		"pcap be usec":     pcapForm{order: be, magic: magicMicro, unit: 1000, link: 1, snapLen: 65535}.file(etherMix...),
		"pcap le nsec":     pcapForm{order: le, magic: magicNano, unit: 1, link: 1, snapLen: 65535}.file(etherMix...),
		"pcap be nsec":     pcapForm{order: be, magic: magicNano, unit: 1, link: 1, snapLen: 65535}.file(etherMix...),
		"pcap modified":    pcapForm{order: le, magic: magicModified, unit: 1000, link: 1, modified: true}.file(etherMix...),
		"snap length 0":    pcapForm{order: le, magic: magicMicro, unit: 1000, link: 1}.file(etherMix...),
		"caplen > snaplen": pcapForm{order: le, magic: magicMicro, unit: 1000, link: 1, snapLen: 60}.file(etherMix...),
		"FCS bits in link": withLink(1|4<<28|1<<26).file(ether4(cat(v4, []byte{1, 2, 3, 4})),
			ether(etherIPv6, cat(v6, []byte{1, 2, 3, 4}))),
		"pcap gzip": gzipped(t, plainPcap.file(etherMix...)),
		"two gzip members": append(gzipped(t, plainPcap.file(etherMix[0])),
			gzipped(t, plainPcap.file(etherMix...)[24+16+len(etherMix[0]):])...),
		"pcapng le":   ng(le).iface(1, 0, 0, 0).enhanced(0, micro, etherMix[0]).enhanced(0, micro2, etherMix[1]).b,
		"pcapng be":   ng(be).iface(1, 0, 0, 0).enhanced(0, micro, etherMix[0]).enhanced(0, micro2, etherMix[1]).b,
		"pcapng nsec": ng(le).iface(1, 0, 9, 0).enhanced(0, nano, etherMix[0]).enhanced(0, nano2, etherMix[1]).b,
		"pcapng tsoffset": ng(le).iface(1, 0, 9, 1000).enhanced(0, nano-1000e9, etherMix[0]).enhanced(0, nano2-1000e9,
			etherMix[1]).b,
		"pcapng gzip": gzipped(t, ng(le).iface(1, 0, 0, 0).enhanced(0, micro, etherMix[0]).enhanced(0, micro2,
			etherMix[1]).b),
		"pcapng two ifaces": ng(le).iface(1, 0, 0, 0).iface(linkRaw, 0, 9, 0).enhanced(0, micro, etherMix[0]).enhanced(1,
			nano2, v6).b,
		"pcapng sections": append(ng(be).iface(1, 0, 0, 0).enhanced(0, micro, etherMix[0]).b,
			ng(le).block(0x1234, []byte("what nobody knows")).iface(linkRaw, 0, 9, 0).enhanced(0, nano2, v6).b...),
		"vlan": plainPcap.file(ether(etherVLAN, vlan(0, etherIPv4, v4)), ether(etherVLAN, vlan(0, etherIPv6, v6))),
		"qinq": plainPcap.file(ether(etherQinQ, vlan(0, etherVLAN, vlan(0, etherIPv4, v4))),
			ether(etherQinQ, vlan(0, etherVLAN, vlan(0, etherIPv6, v6)))),
		"mpls": plainPcap.file(ether(etherMPLS, cat([]byte{0, 1, 0, 64, 0, 2, 1, 64}, v4)),
			ether(etherMPLS, cat([]byte{0, 1, 1, 64}, v6))),
		"pppoe": plainPcap.file(ether(etherPPPoE, cat([]byte{0x11, 0, 0, 1, 0, 200, 0, 0x21}, v4)),
			ether(etherPPPoE, cat([]byte{0x11, 0, 0, 1, 0, 200, 0, 0x57}, v6))),
		"llc snap": plainPcap.file(ether(uint16(len(v4)+8), cat([]byte{0xaa, 0xaa, 3, 0, 0, 0, 8, 0}, v4)),
			ether(uint16(len(v6)+8), cat([]byte{0xaa, 0xaa, 3, 0, 0, 0, 0x86, 0xdd}, v6))),
		"trailer":    plainPcap.file(cat(etherMix[0], make([]byte, 9)), cat(etherMix[1], make([]byte, 9))),
		"raw 101":    withLink(linkRaw).file(v4, v6),
		"raw 12":     withLink(linkRawBSD).file(v4, v6),
		"raw 14":     withLink(linkRawOpen).file(v4, v6),
		"ipv4 228":   withLink(linkIPv4).file(v4, v6),
		"ipv6 229":   withLink(linkIPv6).file(v4, v6),
		"null le":    withLink(linkNull).file(cat([]byte{2, 0, 0, 0}, v4), cat([]byte{30, 0, 0, 0}, v6)),
		"null be":    withLink(linkNull).file(cat([]byte{0, 0, 0, 2}, v4), cat([]byte{0, 0, 0, 30}, v6)),
		"loop":       withLink(linkLoop).file(cat([]byte{0, 0, 0, 2}, v4), cat([]byte{0, 0, 0, 24}, v6)),
		"sll":        withLink(linkSLL).file(sll(etherIPv4, v4), sll(etherIPv6, v6)),
		"sll2":       withLink(linkSLL2).file(sll2(etherIPv4, v4), sll2(etherIPv6, v6)),
		"ppp":        withLink(linkPPP).file(cat([]byte{0xff, 3, 0, 0x21}, v4), cat([]byte{0x57}, v6)),
		"ppp serial": withLink(linkPPPSerial).file(cat([]byte{0xff, 3, 0, 0x21}, v4), cat([]byte{0x0f, 0, 0x86, 0xdd}, v6)),
		"pppoe link": withLink(linkPPPoE).file(cat([]byte{0x11, 0, 0, 1, 0, 200, 0, 0x21}, v4),
			cat([]byte{0x11, 0, 0, 1, 0, 200, 0, 0x57}, v6)),
		"cisco hdlc": withLink(linkCiscoHDLC).file(cat([]byte{0x0f, 0, 8, 0}, v4), cat([]byte{0x0f, 0, 0x86, 0xdd}, v6)),
		"dump":       dumpText(etherMix...),
		"dump gzip":  gzipped(t, dumpText(etherMix...)),
		"hop-by-hop": plainPcap.file(etherMix[0],
			ether(etherIPv6, ip6(0, cat([]byte{60, 0, 1, 4, 0, 0, 0, 0, 17, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
				v6[40:])))),
		"atomic frag": plainPcap.file(etherMix[0], ether(etherIPv6, ip6Fragment(17, 7, 0, false, v6[40:]))),
	}
	for name, file := range tests {
		t.Run(name, func(t *testing.T) {
			all, info := readAll(t, file)
			if len(all) != 2 || info.Packets != 2 || info.Damage != nil {
				t.Fatalf("%d packets, info %+v", len(all), info)
			}
			for i, want := range [][]byte{ikeMessage(32), ikeMessage(40)} {
				p := all[i]
				if p.Kind != IKE || !bytes.Equal(p.Payload, want) || !p.ChecksumOK || p.Truncated || p.IsFragment {
					t.Errorf("packet %d: %+v", i, p)
				}
				if p.Frame != i+1 || p.SrcPort != 500 || p.DSCP != 48 || p.TTL != 255 || p.Proto != 17 {
					t.Errorf("packet %d: frame %d port %d DSCP %d TTL %d protocol %d", i, p.Frame, p.SrcPort, p.DSCP, p.TTL, p.Proto)
				}
				wantTime := testNanos + int64(i)*1e6
				if strings.HasPrefix(name, "dump") {
					wantTime = 0
				}
				if p.Nanos != wantTime {
					t.Errorf("packet %d: time %d, want %d", i, p.Nanos, wantTime)
				}
			}
			if all[0].Src != addrA4 || all[1].Dst != addrB6 {
				t.Errorf("addresses %s, %s", all[0].Src, all[1].Dst)
			}
			sum := sha256.Sum256(file)
			if info.SHA256 != hex.EncodeToString(sum[:]) {
				t.Error("the hash is not that of the file as it lies on disk")
			}
		})
	}
}

func TestPcapngInterfacesAndTimes(t *testing.T) {
	f := (&ngFile{order: binary.LittleEndian}).section().
		iface(1, 70, 0x80|20, 0).iface(linkRaw, 0, 12, 0).
		enhanced(0, 3<<19, ether4(ike4(8))). // 1.5 s in units of 2^-20
		enhanced(1, 2_000_000_000_000, ike6(8)).
		simple(500, ether4(ike4(8))[:70])
	all, info := readAll(t, f.b)
	if len(all) != 3 || info.LinkType != "Ethernet" || info.SnapLen != 70 {
		t.Fatalf("%d packets, %+v", len(all), info)
	}
	for i, want := range []struct {
		nanos int64
		iface int
		link  uint16
		cap   int
		wire  int
		cut   bool
	}{
		{1_500_000_000, 0, 1, 82, 82, false},
		{2_000_000_000, 1, linkRaw, 88, 88, false},
		{0, 0, 1, 70, 500, true},
	} {
		p := all[i]
		if p.Nanos != want.nanos || p.Interface != want.iface || p.Link != want.link || p.CapLen != want.cap ||
			p.WireLen != want.wire || p.Truncated != want.cut {
			t.Errorf("packet %d: nanos %d interface %d link %d %d/%d bytes, truncated %v", i, p.Nanos, p.Interface, p.Link,
				p.CapLen, p.WireLen, p.Truncated)
		}
		if len(p.Raw) != p.CapLen {
			t.Errorf("packet %d: %d raw bytes of %d", i, len(p.Raw), p.CapLen)
		}
	}
}

// A file cut anywhere gives all packets before the cut and says that it is cut.
func TestEveryPrefix(t *testing.T) {
	frames := [][]byte{ether4(ike4(8)), ether(etherIPv6, ike6(8)), ether4(ike4(16))}
	files := map[string][]byte{
		"pcap": plainPcap.file(frames...),
		"pcapng": (&ngFile{order: binary.BigEndian}).section().iface(1, 0, 0, 0).enhanced(0, 1, frames[0]).
			enhanced(0, 2, frames[1]).enhanced(0, 3, frames[2]).b,
		"blocks first": (&ngFile{order: binary.LittleEndian}).section().block(0x1234, make([]byte, 40)).iface(1, 0, 0, 0).
			block(4, make([]byte, 20)).enhanced(0, 1, frames[0]).b,
		"gzip": gzipped(t, plainPcap.file(frames...)),
	}
	for name, file := range files {
		clean := map[int]bool{}
		for n := range len(file) {
			r, err := NewReader(bytes.NewReader(file[:n]), Options{})
			if err != nil {
				continue // inside the header
			}
			var p Packet
			seen := 0
			for err = r.Next(&p); err == nil; err = r.Next(&p) {
				seen++
			}
			if err != io.EOF || seen > 3 || seen == 3 && name != "gzip" {
				t.Fatalf("%s cut at %d: %d packets, %v", name, n, seen, err)
			}
			if r.Info().Damage == nil {
				clean[n] = true
			}
		}
		// Between records a cut cannot be seen.
		if want := map[string]int{"pcap": 3, "pcapng": 4, "blocks first": 4, "gzip": 0}[name]; len(clean) != want {
			t.Errorf("%s: %d cuts were taken for the end: %v", name, len(clean), clean)
		}
	}
}

func TestImpossibleLengths(t *testing.T) {
	le := binary.LittleEndian
	pcap := plainPcap.file(ether4(ike4(8)), ether4(ike4(8)))
	at := 24 + 16 + 82
	le.PutUint32(pcap[at+8:], 0x7fffffff)
	bad := map[string]struct {
		file    []byte
		packets int
		offset  int64
	}{
		"pcap record": {pcap, 1, int64(at)},
	}
	ng := (&ngFile{order: le}).section().iface(1, 0, 0, 0).enhanced(0, 1, ether4(ike4(8)))
	at = len(ng.b)
	ng.enhanced(0, 1, ether4(ike4(8)))
	damaged := func(change func(b []byte)) struct {
		file    []byte
		packets int
		offset  int64
	} {
		b := bytes.Clone(ng.b)
		change(b[at:])
		return struct {
			file    []byte
			packets int
			offset  int64
		}{b, 1, int64(at)}
	}
	bad["block of 2 GB"] = damaged(func(b []byte) { le.PutUint32(b[4:], 0x7ffffff0) })
	bad["block of 4 bytes"] = damaged(func(b []byte) { le.PutUint32(b[4:], 4) })
	bad["lengths differ"] = damaged(func(b []byte) { le.PutUint32(b[len(b)-4:], 8) })
	bad["unknown interface"] = damaged(func(b []byte) { le.PutUint32(b[8:], 1) })
	bad["packet longer than block"] = damaged(func(b []byte) { le.PutUint32(b[20:], 1000) })
	for name, c := range bad {
		all, info := readAll(t, c.file)
		if len(all) != c.packets || info.Damage == nil || info.Damage.Offset != c.offset {
			t.Errorf("%s: %d packets, damage %v, want %d and byte %d", name, len(all), info.Damage, c.packets, c.offset)
		}
	}
}

func TestNoCapture(t *testing.T) {
	for name, c := range map[string]struct{ file, want string }{
		"nothing":       {"", "empty"},
		"a text":        {"hello\nworld\n", "neither pcap"},
		"binary":        {"\x7fELF\x00\x00\x00\x00", "neither pcap"},
		"cut pcap":      {"\xd4\xc3\xb2\xa1\x02\x00", "after 6 bytes"},
		"cut pcapng":    {"\x0a\x0d\x0d\x0a\x1c\x00", "section header"},
		"not really gz": {"\x1f\x8bxxxxxxxxxxxxxx", "gzip"},
	} {
		_, err := NewReader(strings.NewReader(c.file), Options{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
	}
}

// A medium that fails is an error; it must not look like a damaged file.
func TestReadErrorIsNoDamage(t *testing.T) {
	broken := errors.New("disk on fire")
	for _, file := range [][]byte{plainPcap.file(ether4(ike4(8))), gzipped(t, plainPcap.file(ether4(ike4(8))))} {
		r, err := NewReader(io.MultiReader(bytes.NewReader(file[:len(file)-10]), iotest.ErrReader(broken)), Options{})
		for err == nil {
			err = r.Next(new(Packet))
		}
		if !errors.Is(err, broken) {
			t.Errorf("error %v", err)
		}
		if r != nil && r.Info().Damage != nil {
			t.Errorf("damage %v", r.Info().Damage)
		}
	}
}

// Whatever pieces the bytes come in, the packets are the same.
func TestOneByteAtATime(t *testing.T) {
	file := plainPcap.file(ether4(ike4(2000)), ether4(ike4(100)))
	r, err := NewReader(iotest.OneByteReader(bytes.NewReader(file)), Options{})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for p, err := range All(r) {
		if err != nil || p.Kind != IKE {
			t.Fatal(p, err)
		}
		n++
	}
	if n != 2 {
		t.Errorf("%d packets", n)
	}
}

func TestDumpText(t *testing.T) {
	frame := ether4(ike4(40))
	good := string(dumpText(frame, frame))
	tests := map[string]struct {
		text    string
		packets int
		damage  string
	}{
		"clean":          {good, 2, ""},
		"unix line ends": {strings.ReplaceAll(good, "\r", ""), 2, ""},
		"no packets":     {"router#show monitor capture cap buffer dump\nrouter#", 0, ""},
		"a line missing": {strings.Replace(good, "  0010:", "  xxxx:", 1), 2, "0020"},
		"index missing":  {strings.Replace(good, "\r\n1\r\n", "\r\n5\r\n", 1), 2, "packet 5"},
		"syslog between": {strings.Replace(good, "  0010:",
			"*Nov 26 02:11:04.123: %SYS-5-CONFIG_I: Configured from console\r\n  0010:", 2), 2, ""},
		"a pager's line": {strings.ReplaceAll(good, "  0010:", " --More-- \r\n  0010:"), 2, ""},
		"an erased pager": {strings.ReplaceAll(good, "  0010:", " --More-- "+strings.Repeat("\b", 9)+strings.Repeat(" ", 8)+
			strings.Repeat("\b", 9)+"  0010:"), 2, ""},
		"a plain pager": {strings.ReplaceAll(good, "  0010:", " --More--           0010:"), 2, ""},
		"a coloured one": {strings.ReplaceAll(good, "  0010:", "\x1b[7m --More-- \x1b[27m\r          \r\x1b[K  0010:"), 2,
			""},
		"prompts around": {"router>enable\r\nPassword: \r\nrouter#terminal length 0\r\nrouter#show monitor capture cap " +
			"buffer dump\r\n" + good + "\r\nrouter#exit\r\n", 2, ""},
		"no bytes":        {"buffer dump\n0\n1\n", 0, "no bytes"},
		"character traps": {strings.ReplaceAll(good, "   ..", "   00 0000"), 2, ""},
	}
	for name, c := range tests {
		all, info := readAll(t, []byte(c.text))
		if len(all) != c.packets || (info.Damage == nil) != (c.damage == "") {
			t.Errorf("%s: %d packets, %+v", name, len(all), info)
			continue
		}
		if info.Damage != nil && !strings.Contains(info.Damage.Reason, c.damage) {
			t.Errorf("%s: damage %v", name, info.Damage)
		}
		for i, p := range all {
			cut := i == 0 && name == "a line missing"
			if !bytes.HasPrefix(frame, p.Raw) || cut != (len(p.Raw) < len(frame)) || cut != p.Truncated {
				t.Errorf("%s: other bytes: %x", name, p.Raw)
			}
		}
	}
}

// A text has no times of its own; a brief listing of the same buffer before it has.
func TestDumpWithBriefListing(t *testing.T) {
	frame := ether4(ike4(40))
	text := fmt.Sprintf(`router#show monitor capture cap buffer brief
 ----------------------------------------------------------------------------
 #   size   timestamp     source             destination      dscp    protocol
 ----------------------------------------------------------------------------
   0  %d    0.000000   192.0.2.1       ->  192.0.2.2       48 CS6  UDP
   1  900   12.008987   192.0.2.1       ->  192.0.2.2       48 CS6  UDP
router#show monitor capture cap buffer dump
%s`, len(frame), dumpText(frame, frame))
	all, info := readAll(t, []byte(text))
	if len(all) != 2 || info.Damage != nil {
		t.Fatalf("%d packets, %v", len(all), info.Damage)
	}
	if all[0].Nanos != 0 || all[1].Nanos != 12_008_987_000 || all[0].WireLen != len(frame) || all[1].WireLen != 900 {
		t.Errorf("times %d, %d, lengths %d, %d", all[0].Nanos, all[1].Nanos, all[0].WireLen, all[1].WireLen)
	}
}

func TestDumpWithoutLinkLayer(t *testing.T) {
	all, _ := readAll(t, dumpText(ike4(30), ike6(30)))
	for i, p := range all {
		if p.Kind != IKE || p.Link != linkRaw {
			t.Errorf("packet %d: %v on link %d", i, p.Kind, p.Link)
		}
	}
	if len(all) != 2 {
		t.Errorf("%d packets", len(all))
	}
}

// Custom blocks and journal entries are no packets, and Wireshark numbers them: the packets behind
// them keep its numbers.
func TestFrameNumbersTshark(t *testing.T) {
	needTshark(t)
	frame := ether(etherIPv4, ike4(32))
	enterprise := []byte{0xd9, 0x7e, 0, 0, 'x', 'y', 'z', '!'}
	file := (&ngFile{order: binary.LittleEndian}).section().iface(1, 0, 0, 0).block(0xbad, enterprise).enhanced(0, 1e6,
		frame).
		block(0x40000bad, enterprise).block(9, []byte("__REALTIME_TIMESTAMP=1000\nMESSAGE=x\n")).block(0x1234,
		make([]byte, 8)).enhanced(0, 2e6, frame).enhanced(0, 3e6, frame).b
	var want []int
	for i, v := range askTshark(t, file) {
		if v.has("udp") {
			want = append(want, i+1)
		}
	}
	all, info := readAll(t, file)
	var got []int
	for _, p := range all {
		got = append(got, p.Frame)
	}
	if len(want) != 3 || !slices.Equal(got, want) || info.Packets != 3 {
		t.Errorf("frames %v of %d packets, tshark's are %v", got, info.Packets, want)
	}
}
