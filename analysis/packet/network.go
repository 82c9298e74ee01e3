package packet

import (
	"encoding/binary"
	"net/netip"
)

// IP protocol numbers (IANA).
const (
	protoHopByHop = 0
	protoICMP     = 1
	protoIPv4     = 4
	protoTCP      = 6
	protoUDP      = 17
	protoIPv6     = 41
	protoRouting  = 43
	protoFragment = 44
	protoGRE      = 47
	protoESP      = 50
	protoAH       = 51
	protoICMPv6   = 58
	protoOptions  = 60
	protoEtherIP  = 97
	protoMobility = 135
	protoMPLS     = 137
	protoHIP      = 139
	protoShim6    = 140
)

// decoder reads the layers of one packet after the other; what it keeps between them is the
// reassembly, of IP and of TCP.
type decoder struct {
	links      links
	fragments  reassembly
	streams    streams
	icmp       ICMPError
	noChecksum bool
	cutFirst   bool // Options.CutFirst
}

// decode fills p from r. Raw, times and lengths are always there, the rest as far as the frame can
// be read.
func (d *decoder) decode(p *Packet, r *record) {
	p.Nanos, p.CapLen, p.WireLen, p.Interface, p.Link, p.Raw = r.nanos, len(r.data), r.wireLen, r.iface, r.link, r.data
	p.ChecksumOK = true
	ip := d.links.ip(r.link, r.data)
	if len(ip) == 0 {
		p.Payload, p.Unread = r.data, d.links.unread
		p.Truncated = p.CapLen < p.WireLen
		return
	}
	d.network(p, ip)
}

// network reads an IP packet of either version.
func (d *decoder) network(p *Packet, ip []byte) {
	switch ip[0] >> 4 {
	case 4:
		d.ipv4(p, ip)
	case 6:
		d.ipv6(p, ip)
	default:
		p.Payload = ip
	}
}

// ipv4 reads an IPv4 packet (RFC 791, Section 3.1).
func (d *decoder) ipv4(p *Packet, b []byte) {
	headerLen := 0
	if len(b) >= 20 {
		headerLen = int(b[0]&15) * 4
	}
	if headerLen < 20 || headerLen > len(b) {
		p.Truncated, p.Payload = true, b
		return
	}
	p.IPLen = int(binary.BigEndian.Uint16(b[2:]))
	p.DSCP, p.TTL, p.Proto = b[1]>>2, b[8], b[9]
	p.IPID = uint32(binary.BigEndian.Uint16(b[4:]))
	p.Src = netip.AddrFrom4([4]byte(b[12:16]))
	p.Dst = netip.AddrFrom4([4]byte(b[16:20]))
	body := d.cutToLength(p, b, headerLen)
	fragment := binary.BigEndian.Uint16(b[6:])
	if fragment&0x3fff != 0 {
		p.FragOffset, p.MoreFrags = int(fragment&0x1fff)*8, fragment&0x2000 != 0
		d.fragment(p, p.Proto, body, max(0, p.IPLen-len(b)))
		return
	}
	d.transport(p, p.Proto, body)
}

// cutToLength takes the padding of the link layer off, or finds that bytes are missing. A total
// length of zero is what a host sees of a packet that its network card cuts.
func (d *decoder) cutToLength(p *Packet, b []byte, headerLen int) []byte {
	switch {
	case p.IPLen == 0:
		p.IPLen = len(b)
	case p.IPLen > len(b):
		p.Truncated = true
	case p.IPLen >= headerLen:
		b = b[:p.IPLen]
	}
	return b[headerLen:]
}

// ipv6 reads an IPv6 packet and its extension headers (RFC 8200, Sections 3 and 4).
func (d *decoder) ipv6(p *Packet, b []byte) {
	if len(b) < 40 {
		p.Truncated, p.Payload = true, b
		return
	}
	p.DSCP, p.TTL = uint8(binary.BigEndian.Uint16(b)>>6)&0x3f, b[7]
	p.IPLen = 40 + int(binary.BigEndian.Uint16(b[4:]))
	p.Src = netip.AddrFrom16([16]byte(b[8:24]))
	p.Dst = netip.AddrFrom16([16]byte(b[24:40]))
	if p.IPLen == 40 && b[6] != 59 { // a jumbogram, or the network card cuts
		p.IPLen = len(b)
	}
	next, body, fragmented := extensions(p, b[6], d.cutToLength(p, b, 40))
	p.Proto = next
	if fragmented {
		d.fragment(p, next, body, max(0, p.IPLen-len(b)))
		return
	}
	d.transport(p, next, body)
}

// extensions skips the extension headers up to what they extend. A fragment header ends the search
// unless it holds a whole packet (RFC 6946). Every step takes eight bytes at least, so that the
// packet's length bounds the loop.
func extensions(p *Packet, next uint8, b []byte) (proto uint8, rest []byte, fragmented bool) {
	for {
		switch next {
		case protoHopByHop, protoRouting, protoOptions, protoMobility, protoHIP, protoShim6:
			if len(b) < 2 || len(b) < 8+8*int(b[1]) {
				return next, b, false
			}
			next, b = b[0], b[8+8*int(b[1]):]
		case protoFragment:
			if len(b) < 8 {
				return next, b, false
			}
			offset := binary.BigEndian.Uint16(b[2:])
			p.IPID = binary.BigEndian.Uint32(b[4:])
			next, b = b[0], b[8:]
			if p.FragOffset, p.MoreFrags = int(offset&^7), offset&1 == 1; offset&^6 != 0 {
				return next, b, true
			}
		default:
			return next, b, false
		}
	}
}
