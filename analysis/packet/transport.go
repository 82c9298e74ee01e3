package packet

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// UDP and TCP ports of IKE (RFC 7296, Section 2; RFC 3947; RFC 9329).
const (
	portIKE  = 500
	portNATT = 4500
)

// PortGroupKeys is the UDP port of the management of group keys: GDOI (RFC 6407),
// G-IKEv2 (RFC 9838).
const PortGroupKeys = 848

// GroupKeys says whether p is of the management of group keys. That is IKE with a key server, and
// of no tunnel: its kind is Other.
func (p *Packet) GroupKeys() bool {
	return p.Kind == Other && p.Proto == protoUDP && (p.SrcPort == PortGroupKeys || p.DstPort == PortGroupKeys)
}

// transport reads what IP carries.
func (d *decoder) transport(p *Packet, proto uint8, b []byte) {
	p.Payload = b
	switch proto {
	case protoUDP:
		d.udp(p, b)
	case protoESP:
		esp(p, b)
	case protoAH:
		ah(p, b)
	case protoTCP:
		d.tcp(p, b)
	case protoICMP:
		d.icmp4(p, b)
	case protoICMPv6:
		d.icmp6(p, b)
	default:
		d.unwrapIP(p, proto, b)
	}
}

// udp reads a datagram and what it carries on IKE's ports.
func (d *decoder) udp(p *Packet, b []byte) {
	if len(b) < 8 {
		return
	}
	p.SrcPort, p.DstPort = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	switch length := int(binary.BigEndian.Uint16(b[4:])); {
	case length > len(b):
		p.Truncated = true
	case length >= 8:
		b = b[:length]
	}
	if !d.noChecksum && !p.Truncated {
		p.ChecksumOK = udpChecksumOK(p.Src, p.Dst, b)
	}
	p.Payload = b[8:]
	switch {
	case p.SrcPort == portNATT || p.DstPort == portNATT:
		natTraversal(p)
	case p.SrcPort == portIKE || p.DstPort == portIKE:
		onPortIKE(p)
	default:
		d.unwrapUDP(p)
	}
}

// onPortIKE tells the keepalive that some NATs' clients send from port 500 too from messages.
func onPortIKE(p *Packet) {
	switch {
	case isKeepalive(p.Payload):
		p.Kind = Keepalive
	case len(p.Payload) > 0:
		p.Kind = IKE
	}
}

// natTraversal tells IKE, ESP and keepalives on port 4500 apart (RFC 3948, Section 2). What has the
// version and, to the byte, the length of an IKE message is one without its marker, as where a NAT
// happens to translate to that port: of ESP one packet in billions looks so.
func natTraversal(p *Packet) {
	b := p.Payload
	switch {
	case isKeepalive(b):
		p.Kind = Keepalive
	case marked(b):
		p.Kind, p.Marker, p.Payload = IKE, true, b[4:]
	case LooksLikeIKE(b, len(b)): // its sender, or a device on the path, left the marker out
		p.Kind = IKE
	case len(b) >= 4:
		p.UDPEncap = true
		esp(p, b)
	}
}

func isKeepalive(b []byte) bool { return len(b) == 1 && b[0] == 0xff }

// marked says whether b begins with the non-ESP marker; no ESP packet does, for SPI 0 is forbidden.
func marked(b []byte) bool { return len(b) >= 4 && binary.BigEndian.Uint32(b) == 0 }

// LooksLikeIKE says whether what begins with b and has so many bytes has the version and the length
// of an IKE message.
func LooksLikeIKE(b []byte, size int) bool {
	return len(b) >= 28 && (b[17]>>4 == 1 || b[17]>>4 == 2) && int64(binary.BigEndian.Uint32(b[24:])) == int64(size)
}

// esp reads the ESP header (RFC 4303, Section 2) as far as it is there.
func esp(p *Packet, b []byte) {
	p.Kind, p.Payload = ESP, b
	if len(b) >= 4 {
		p.SPI = binary.BigEndian.Uint32(b)
	}
	if len(b) >= 8 {
		p.Seq = binary.BigEndian.Uint32(b[4:])
	}
}

// ah reads the Authentication Header (RFC 4302, Section 2) as far as it is there.
func ah(p *Packet, b []byte) {
	p.Kind, p.Payload = AH, b
	if len(b) >= 8 {
		p.SPI = binary.BigEndian.Uint32(b[4:])
	}
	if len(b) >= 12 {
		p.Seq = binary.BigEndian.Uint32(b[8:])
	}
	if len(b) < 12 || b[0] != protoESP {
		return
	}
	if n := 4 * (int(b[1]) + 2); n >= 12 && len(b) >= n+8 {
		p.InAH = true
		esp(p, b[n:])
	}
}

// udpChecksumOK verifies the checksum of a whole datagram (RFC 768). Zero means that there is none.
func udpChecksumOK(src, dst netip.Addr, b []byte) bool {
	if b[6] == 0 && b[7] == 0 {
		return true
	}
	sum := uint64(protoUDP) + uint64(len(b))
	sum += addressSum(src) + addressSum(dst)
	return fold(sum+onesSum(b)) == 0xffff
}

func addressSum(a netip.Addr) uint64 {
	if a.Is4() {
		b := a.As4()
		return uint64(binary.BigEndian.Uint32(b[:]))
	}
	b := a.As16()
	return onesSum(b[:])
}

// onesSum is the sum of b's 16-bit words (RFC 1071). It adds eight bytes at a time, each carry with
// the next sum, in the byte order that is cheap to load, and swaps the bytes of the result:
// Section 2 (A), (B) and (C) there.
func onesSum(b []byte) uint64 {
	var sum, carry, carries uint64
	for len(b) >= 64 {
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b), 0)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[8:]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[16:]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[24:]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[32:]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[40:]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[48:]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[56:]), carry)
		carries += carry
		b = b[64:]
	}
	carry = 0
	for len(b) >= 8 {
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b), carry)
		b = b[8:]
	}
	var tail [8]byte
	copy(tail[:], b)
	sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(tail[:]), carry)
	return uint64(bits.ReverseBytes16(fold(sum>>32 + sum&0xffffffff + carries + carry)))
}

func fold(sum uint64) uint16 {
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}
