package packet

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// The tests build their captures from bytes here, without gopacket, so that the reader is compared
// with the specifications and not with a library's idea of them.

var (
	addrA4 = netip.MustParseAddr("192.0.2.1")
	addrB4 = netip.MustParseAddr("198.51.100.2")
	addrA6 = netip.MustParseAddr("2001:db8::1")
	addrB6 = netip.MustParseAddr("2001:db8::2")
)

// ikeMessage is a small valid IKEv2 message: a nonce of n bytes.
func ikeMessage(n int) []byte {
	b := make([]byte, 28, 32+n)
	binary.BigEndian.PutUint64(b, 0x0102030405060708)
	b[16], b[17], b[18], b[19] = 40, 0x20, 34, 0x08
	b = binary.BigEndian.AppendUint16(append(b, 0, 0), uint16(4+n))
	for i := range n {
		b = append(b, byte(i*7+i>>8))
	}
	binary.BigEndian.PutUint32(b[24:], uint32(len(b)))
	return b
}

// udpDatagram has a right checksum.
func udpDatagram(src, dst netip.Addr, sport, dport uint16, payload []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, sport)
	b = binary.BigEndian.AppendUint16(b, dport)
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(payload)))
	b = append(append(b, 0, 0), payload...)
	pseudo := append(append(src.AsSlice(), dst.AsSlice()...), 0, 17, byte(len(b)>>8), byte(len(b)))
	binary.BigEndian.PutUint16(b[6:], plainChecksum(append(pseudo, b...)))
	return b
}

// plainChecksum is the checksum as RFC 1071 defines it, 16 bits at a time.
func plainChecksum(b []byte) uint16 {
	var sum uint32
	for i, c := range b {
		sum += uint32(c) << (8 * (1 - i&1))
		sum = sum>>16 + sum&0xffff
	}
	if c := ^uint16(sum); c != 0 {
		return c
	}
	return 0xffff
}

func ip4(proto byte, body []byte) []byte { return ip4Fragment(proto, 1, 0, false, body) }

func ip4Fragment(proto byte, id uint16, offset int, more bool, body []byte) []byte {
	b := []byte{0x45, 48 << 2}
	b = binary.BigEndian.AppendUint16(b, uint16(20+len(body)))
	b = binary.BigEndian.AppendUint16(b, id)
	field := uint16(offset / 8)
	if more {
		field |= 0x2000
	}
	b = binary.BigEndian.AppendUint16(b, field)
	b = append(b, 255, proto, 0, 0)
	b = append(append(b, addrA4.AsSlice()...), addrB4.AsSlice()...)
	binary.BigEndian.PutUint16(b[10:], plainChecksum(b))
	return append(b, body...)
}

func ip6(next byte, body []byte) []byte {
	b := []byte{0x6c, 0, 0, 0}
	b = binary.BigEndian.AppendUint16(b, uint16(len(body)))
	b = append(b, next, 255)
	return append(append(append(b, addrA6.AsSlice()...), addrB6.AsSlice()...), body...)
}

func ip6Fragment(next byte, id uint32, offset int, more bool, body []byte) []byte {
	field := uint16(offset)
	if more {
		field |= 1
	}
	h := binary.BigEndian.AppendUint16([]byte{next, 0}, field)
	h = binary.BigEndian.AppendUint32(h, id)
	return ip6(protoFragment, append(h, body...))
}

func ike4(n int) []byte { return ip4(17, udpDatagram(addrA4, addrB4, 500, 500, ikeMessage(n))) }
func ike6(n int) []byte { return ip6(17, udpDatagram(addrA6, addrB6, 500, 500, ikeMessage(n))) }

func ether(kind uint16, body []byte) []byte {
	b := append([]byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1}, byte(kind>>8), byte(kind))
	return append(b, body...)
}

func ether4(ip []byte) []byte { return ether(etherIPv4, ip) }

const testNanos = int64(1_700_000_000_123_456_000)

// pcapForm is one of the forms of a pcap file.
type pcapForm struct {
	order    binary.AppendByteOrder
	magic    uint32
	unit     int64
	link     uint32
	snapLen  uint32
	modified bool
}

var plainPcap = pcapForm{order: binary.LittleEndian, magic: magicMicro, unit: 1000, link: linkEthernet, snapLen: 65535}

func (f pcapForm) file(frames ...[]byte) []byte {
	o := f.order
	b := o.AppendUint32(nil, f.magic)
	b = o.AppendUint16(o.AppendUint16(b, 2), 4)
	b = o.AppendUint32(o.AppendUint32(b, 0), 0)
	b = o.AppendUint32(o.AppendUint32(b, f.snapLen), f.link)
	for i, frame := range frames {
		at := testNanos + int64(i)*1e6
		b = o.AppendUint32(b, uint32(at/1e9))
		b = o.AppendUint32(b, uint32(at%1e9/f.unit))
		b = o.AppendUint32(o.AppendUint32(b, uint32(len(frame))), uint32(len(frame)))
		if f.modified {
			b = append(b, 1, 2, 3, 4, 5, 6, 7, 8)
		}
		b = append(b, frame...)
	}
	return b
}

func withLink(link uint32) pcapForm {
	f := plainPcap
	f.link = link
	return f
}

// ngFile builds pcapng files block by block.
type ngFile struct {
	order binary.AppendByteOrder
	b     []byte
}

func (f *ngFile) block(kind uint32, body []byte) *ngFile {
	for len(body)%4 != 0 {
		body = append(body, 0)
	}
	n := uint32(len(body) + 12)
	f.b = f.order.AppendUint32(f.order.AppendUint32(f.b, kind), n)
	f.b = f.order.AppendUint32(append(f.b, body...), n)
	return f
}

func (f *ngFile) section() *ngFile {
	body := f.order.AppendUint32(nil, orderMagic)
	body = f.order.AppendUint16(f.order.AppendUint16(body, 1), 0)
	return f.block(blockSection, f.order.AppendUint64(body, ^uint64(0)))
}

// iface describes an interface; resol 0 leaves the option out, which means microseconds.
func (f *ngFile) iface(link uint16, snapLen uint32, resol byte, offset int64) *ngFile {
	body := f.order.AppendUint16(f.order.AppendUint16(nil, link), 0)
	body = f.order.AppendUint32(body, snapLen)
	if resol != 0 {
		body = f.order.AppendUint16(f.order.AppendUint16(body, optionTSResol), 1)
		body = append(body, resol, 0, 0, 0)
	}
	if offset != 0 {
		body = f.order.AppendUint16(f.order.AppendUint16(body, optionTSOffset), 8)
		body = f.order.AppendUint64(body, uint64(offset))
	}
	return f.block(blockInterface, body)
}

func (f *ngFile) enhanced(iface uint32, units uint64, frame []byte) *ngFile {
	return f.captured(iface, units, frame, len(frame))
}

func (f *ngFile) captured(iface uint32, units uint64, frame []byte, wireLen int) *ngFile {
	body := f.order.AppendUint32(nil, iface)
	body = f.order.AppendUint32(f.order.AppendUint32(body, uint32(units>>32)), uint32(units))
	body = f.order.AppendUint32(f.order.AppendUint32(body, uint32(len(frame))), uint32(wireLen))
	return f.block(blockEnhanced, append(body, frame...))
}

func (f *ngFile) simple(wireLen uint32, data []byte) *ngFile {
	return f.block(blockSimple, append(f.order.AppendUint32(nil, wireLen), data...))
}

func gzipped(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// dumpText writes frames as IOS XE's `buffer dump` does.
func dumpText(frames ...[]byte) []byte {
	var s strings.Builder
	s.WriteString("router#show monitor capture cap buffer dump\r\n")
	for i, frame := range frames {
		fmt.Fprintf(&s, "%d\r\n", i)
		for at := 0; at < len(frame); at += 16 {
			line := frame[at:min(at+16, len(frame))]
			var groups []string
			for g := 0; g < len(line); g += 4 {
				groups = append(groups, fmt.Sprintf("%X", line[g:min(g+4, len(line))]))
			}
			text := strings.Map(func(r rune) rune {
				if r < ' ' || r > '~' {
					return '.'
				}
				return r
			}, string(latin1(line)))
			fmt.Fprintf(&s, "  %04X:  %-35s   %s\r\n", at, strings.Join(groups, " "), text)
		}
		s.WriteString("\r\n")
	}
	s.WriteString("router#")
	return []byte(s.String())
}

func latin1(b []byte) []rune {
	r := make([]rune, len(b))
	for i, c := range b {
		r[i] = rune(c)
	}
	return r
}

// readAll returns deep copies of all packets.
func readAll(t testing.TB, file []byte) ([]Packet, FileInfo) {
	t.Helper()
	r, err := NewReader(bytes.NewReader(file), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var all []Packet
	for p, err := range All(r) {
		if err != nil {
			t.Fatal(err)
		}
		c := *p
		c.Payload, c.Raw = bytes.Clone(p.Payload), bytes.Clone(p.Raw)
		if p.Error != nil {
			e := *p.Error
			e.Payload = bytes.Clone(e.Payload)
			c.Error = &e
		}
		all = append(all, c)
	}
	return all, r.Info()
}
