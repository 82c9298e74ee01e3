package redact

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// Link types as libpcap numbers them (https://www.tcpdump.org/linktypes.html).
const (
	linkNull     = 0
	linkEthernet = 1
	linkRawBSD   = 12
	linkRawOpen  = 14
	linkRaw      = 101
	linkLoop     = 108
	linkSLL      = 113
	linkIPv4     = 228
	linkIPv6     = 229
	linkSLL2     = 276
)

// networkOffset finds where the IP header begins, and makes the link layer's addresses anonymous on
// the way. -1 means that the frame carries no IP.
func (r *Redactor) networkOffset(link uint16, b []byte) (int, error) {
	switch link {
	case linkEthernet:
		return r.ethernet(b), nil
	case linkRaw, linkRawBSD, linkRawOpen, linkIPv4, linkIPv6:
		return 0, nil
	case linkNull, linkLoop:
		return 4, nil
	case linkSLL:
		if len(b) < 16 {
			return -1, nil
		}
		r.mac(b[6:12])
		return ifIP(binary.BigEndian.Uint16(b[14:]), 16), nil
	case linkSLL2:
		if len(b) < 20 {
			return -1, nil
		}
		r.mac(b[12:18])
		return ifIP(binary.BigEndian.Uint16(b), 20), nil
	}
	return -1, fmt.Errorf("link type %d: its addresses cannot be redacted", link)
}

func (r *Redactor) ethernet(b []byte) int {
	if len(b) < 14 {
		return -1
	}
	r.mac(b[0:6])
	r.mac(b[6:12])
	at := 12
	for range 3 {
		if at+2 > len(b) {
			return -1
		}
		t := binary.BigEndian.Uint16(b[at:])
		if t != 0x8100 && t != 0x88a8 && t != 0x9100 {
			return ifIP(t, at+2)
		}
		at += 4
	}
	return -1
}

func ifIP(etherType uint16, offset int) int {
	if etherType == 0x0800 || etherType == 0x86dd {
		return offset
	}
	return -1
}

// mac replaces a unicast MAC address by a locally administered one. Of the multicast ones those of
// solicited nodes end as an address does (RFC 2464, Section 7; RFC 4291, Section 2.7.1).
func (r *Redactor) mac(b []byte) {
	switch {
	case b[0] == 0x33 && b[1] == 0x33 && b[2] == 0xff:
		copy(b[3:], r.digest("mac", string(b[3:]))[:3])
	case b[0]&1 == 0:
		copy(b, r.digest("mac", string(b)))
		b[0] = b[0]&^1 | 2
	}
}

// ipHeader is where things are in a packet.
type ipHeader struct {
	v6       bool
	src, dst []byte // the addresses, in place
	proto    uint8
	payload  []byte // behind the headers
	options  []byte // of the IPv4 header
	first    bool   // no fragment, or the first one
	whole    bool   // no fragment at all
	offset   int    // of a fragment, in bytes
	checksum []byte // of the IPv4 header; nil in IPv6
}

func parseIP(b []byte) (ipHeader, bool) {
	if len(b) < 20 {
		return ipHeader{}, false
	}
	if b[0]>>4 == 6 {
		return parseIP6(b)
	}
	n := int(b[0]&15) * 4
	if b[0]>>4 != 4 || n < 20 || len(b) < n {
		return ipHeader{}, false
	}
	frag := binary.BigEndian.Uint16(b[6:])
	return ipHeader{src: b[12:16], dst: b[16:20], proto: b[9], payload: b[n:], checksum: b[10:12], options: b[20:n],
		first: frag&0x1fff == 0, whole: frag&0x3fff == 0, offset: int(frag&0x1fff) * 8}, true
}

func parseIP6(b []byte) (ipHeader, bool) {
	if len(b) < 40 {
		return ipHeader{}, false
	}
	h := ipHeader{v6: true, src: b[8:24], dst: b[24:40], proto: b[6], payload: b[40:], first: true, whole: true}
	for range 8 {
		switch h.proto {
		case 0, 43, 60: // hop-by-hop, routing, destination options (RFC 8200, Section 4)
			if len(h.payload) < 8 {
				return h, true
			}
			n := 8 + int(h.payload[1])*8
			if n > len(h.payload) {
				return h, true
			}
			h.proto, h.payload = h.payload[0], h.payload[n:]
		case 44: // fragment (RFC 8200, Section 4.5)
			if len(h.payload) < 8 {
				return h, true
			}
			h.whole = false
			h.offset = int(binary.BigEndian.Uint16(h.payload[2:]) & 0xfff8)
			h.first = h.offset == 0
			h.proto, h.payload = h.payload[0], h.payload[8:]
		default:
			return h, true
		}
	}
	return h, true
}

// packet makes the IP packet b anonymous in place. tunnel says that it belongs to the tunnel; of
// any other nothing but the headers is kept. part is what the datagram becomes that b is a fragment
// of, where all of it is known. It returns the change of the ones' complement sum of all bytes of
// b, for a checksum around it.
func (r *Redactor) packet(b []byte, tunnel bool, part *datagram) uint32 {
	before := sum(b)
	h, ok := parseIP(b)
	if !ok {
		clear(b)
		return difference(before, sum(b))
	}
	addresses := r.replace(h.src) + r.replace(h.dst)
	if h.checksum != nil {
		adjust(h.checksum, addresses+noOptions(h.options))
	}
	switch {
	case !tunnel:
		clear(h.payload)
	case h.proto == 17 && part != nil:
		part.copyTo(h, addresses)
	case h.proto == 17 && h.first:
		r.udp(h, addresses)
	case h.proto == 17:
		clear(h.payload) // a fragment whose datagram is not whole: nobody can say what it holds
	case h.proto == 50 && h.first:
		r.spi(h.payload)
	case (h.proto == 1 || h.proto == 58) && h.first:
		r.icmp(h, addresses)
	}
	return difference(before, sum(b))
}

// noOptions makes options no-operations (RFC 791, Section 3.1), for routes and time stamps in them
// carry addresses. It returns the change of the checksum.
func noOptions(options []byte) uint32 {
	before := sum(options)
	for i := range options {
		options[i] = 1
	}
	return difference(before, sum(options))
}

// spi replaces the SPI at the beginning of b if it reads as an address of the case, and returns the
// change of the checksum.
func (r *Redactor) spi(b []byte) uint32 {
	if len(b) < 4 {
		return 0
	}
	before := sum(b[:4])
	if a := netip.AddrFrom4([4]byte(b)); r.seen.addresses[a] {
		copy(b, r.spiOf(a))
	}
	return difference(before, sum(b[:4]))
}

// spiOf is what stands for an SPI that reads as the address a; not one of the reserved ones
// (RFC 4303, Section 2.1).
func (r *Redactor) spiOf(a netip.Addr) []byte {
	spi := r.digest("spi", a.String())[:4]
	spi[0] |= 0x80
	return spi
}

// replace makes the address in b anonymous and returns the change of the checksum.
func (r *Redactor) replace(b []byte) uint32 {
	before := sum(b)
	a, _ := netip.AddrFromSlice(b)
	if a.Is4In6() {
		return 0
	}
	copy(b, r.Addr(a).AsSlice())
	return difference(before, sum(b))
}

// udp carries the changes into the checksum: the pseudo header's (RFC 768) and the payload's.
func (r *Redactor) udp(h ipHeader, addresses uint32) {
	if len(h.payload) < 8 {
		return
	}
	b := h.payload[8:]
	change := uint32(0)
	switch m := ikeMessage(h.payload); {
	case m != nil:
		change = r.message(m)
	case port4500(h.payload):
		change = r.spi(b)
	default:
		change = r.replaceKnown(b)
	}
	adjustUDP(h.payload[6:8], addresses+change)
}

func adjustUDP(checksum []byte, change uint32) {
	if binary.BigEndian.Uint16(checksum) == 0 {
		return // the sender computed none
	}
	adjust(checksum, change)
	if binary.BigEndian.Uint16(checksum) == 0 {
		binary.BigEndian.PutUint16(checksum, 0xffff)
	}
}

// icmp makes the packet that an error quotes anonymous as well.
func (r *Redactor) icmp(h ipHeader, addresses uint32) {
	if len(h.payload) < 8 {
		return
	}
	change := uint32(0)
	if quotes(h) {
		change = r.packet(h.payload[8:], true, nil)
	} else {
		before := sum(h.payload[4:])
		clear(h.payload[8:]) // neighbour discovery and pings carry addresses of their own
		change = difference(before, sum(h.payload[4:]))
	}
	if h.v6 {
		change += addresses // ICMPv6 has a pseudo header (RFC 4443, Section 2.3)
	}
	adjust(h.payload[2:4], change)
}

func quotes(h ipHeader) bool {
	t := h.payload[0]
	if h.v6 {
		return t < 128
	}
	return t == 3 || t == 4 || t == 5 || t == 11 || t == 12
}

// sum is the ones' complement sum of b, not folded (RFC 1071). An odd last byte counts as the high
// half of a word.
func sum(b []byte) uint32 {
	var s uint32
	for ; len(b) >= 2; b = b[2:] {
		s += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		s += uint32(b[0]) << 8
	}
	return fold(s)
}

func fold(s uint32) uint32 {
	for s>>16 != 0 {
		s = s&0xffff + s>>16
	}
	return s
}

// difference is after minus before, in ones' complement arithmetic.
func difference(before, after uint32) uint32 { return fold(after + (^before & 0xffff)) }

// adjust updates a checksum by a change of what it covers: HC' = ~(~HC + ~m + m') (RFC 1624,
// Section 3).
func adjust(checksum []byte, change uint32) {
	s := uint32(^binary.BigEndian.Uint16(checksum)) + fold(change)
	binary.BigEndian.PutUint16(checksum, ^uint16(fold(s)))
}

// ikeMessage is the IKE message of a UDP datagram, in place; nil where there is none.
func ikeMessage(udp []byte) []byte {
	src, dst := binary.BigEndian.Uint16(udp), binary.BigEndian.Uint16(udp[2:])
	b := udp[8:]
	switch {
	case src == 500 || dst == 500:
		return b
	case port4500(udp) && len(b) > 4 && binary.BigEndian.Uint32(b) == 0:
		return b[4:]
	}
	return nil
}

func port4500(udp []byte) bool {
	return binary.BigEndian.Uint16(udp) == 4500 || binary.BigEndian.Uint16(udp[2:]) == 4500
}
