package packet

import (
	"encoding/binary"
	"strings"
)

// A capture taken behind a mirror, an overlay or a provider's tunnel shows the gateways' packets
// inside of others. What counts is the innermost packet that is one of an IPsec tunnel: a packet
// that carries nothing of the kind stays what it is outside, so that GRE between the gateways
// remains GRE.

// maxWrappings bounds how deep packets stand in packets.
const maxWrappings = 8

// UDP ports of what carries packets.
const (
	portGTPU     = 2152  // 3GPP TS 29.281
	portVXLAN    = 4789  // RFC 7348
	portVXLANGPE = 4790  // draft-ietf-nvo3-vxlan-gpe
	portGENEVE   = 6081  // RFC 8926
	portMPLS     = 6635  // RFC 7510
	portVXLANOld = 8472  // what Linux uses unless told otherwise
	portTZSP     = 37008 // a sniffer's stream
)

// unwrapIP reads what an IP protocol carries, where that is a packet.
func (d *decoder) unwrapIP(p *Packet, proto uint8, b []byte) {
	switch proto {
	case protoIPv4, protoIPv6:
		d.inside(p, "IP in IP", sniffIP(b))
	case protoGRE:
		d.gre(p, b)
	case protoEtherIP: // RFC 3378
		if len(b) >= 2 && b[0]>>4 == 3 {
			d.inside(p, "EtherIP", d.links.frame(b[2:]))
		}
	case protoMPLS: // RFC 4023
		d.inside(p, "MPLS in IP", d.links.mpls(b))
	}
}

// unwrapUDP reads what a datagram carries, where its port says that it is a packet.
func (d *decoder) unwrapUDP(p *Packet) {
	b := p.Payload
	switch p.DstPort {
	case portVXLAN:
		if len(b) >= 8 && b[0]&0x08 != 0 {
			d.inside(p, "VXLAN", d.links.frame(b[8:]))
		}
	case portVXLANOld:
		if len(b) >= 8 && b[0] == 0x08 && b[7] == 0 {
			d.inside(p, "VXLAN", d.links.frame(b[8:]))
		}
	case portVXLANGPE:
		d.inside(p, "VXLAN-GPE", d.links.vxlanGPE(b))
	case portGENEVE:
		if len(b) >= 8 && b[0]>>6 == 0 && len(b) >= 8+4*int(b[0]&0x3f) {
			d.inside(p, "GENEVE", d.links.ether(binary.BigEndian.Uint16(b[2:]), b[8+4*int(b[0]&0x3f):]))
		}
	case portMPLS:
		d.inside(p, "MPLS in UDP", d.links.mpls(b))
	case portGTPU:
		d.inside(p, "GTP-U", gtpu(b))
	case portTZSP:
		d.inside(p, "TZSP", d.links.tzsp(b))
	}
}

// inside reads the packet ip that p carries in a wrapping, and makes p that packet if it is one of
// a tunnel.
func (d *decoder) inside(p *Packet, wrapping string, ip []byte) {
	if p.Wrapping != "" {
		wrapping = p.Wrapping + ", " + wrapping
	}
	if len(ip) == 0 && d.links.unread != "" {
		p.Unread = wrapping + ", " + d.links.unread
	}
	if len(ip) == 0 || strings.Count(wrapping, ",") >= maxWrappings {
		return
	}
	if len(p.Fragments) > 0 {
		ip = append([]byte(nil), ip...) // it stands in a buffer that fragments within may claim
	}
	inner := Packet{
		Frame: p.Frame, Nanos: p.Nanos, CapLen: p.CapLen, WireLen: p.WireLen, Interface: p.Interface, Link: p.Link,
		Raw:        p.Raw,
		ChecksumOK: true, Wrapping: wrapping,
	}
	if d.network(&inner, ip); inner.Kind != Other {
		*p = inner
	}
}

// gre reads GRE: version 0 with checksum, key and sequence number (RFC 2784, RFC 2890), and version
// 1, which carries PPP (RFC 2637).
func (d *decoder) gre(p *Packet, b []byte) {
	if len(b) < 4 {
		return
	}
	flags, kind := binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	const checksum, routing, key, sequence, acknowledged = 0x8000, 0x4000, 0x2000, 0x1000, 0x0080
	n := 4
	for _, bit := range []uint16{checksum, key, sequence} {
		if flags&bit != 0 {
			n += 4
		}
	}
	if flags&7 == 1 && flags&acknowledged != 0 {
		n += 4
	}
	if flags&7 > 1 || flags&routing != 0 || len(b) < n {
		return
	}
	switch b = b[n:]; {
	case kind == etherERSPAN && flags&sequence == 0:
		d.inside(p, "ERSPAN I", d.links.frame(b))
	case kind == etherERSPAN:
		if len(b) >= 8 {
			d.inside(p, "ERSPAN II", d.links.frame(b[8:]))
		}
	case kind == etherERSPAN3:
		d.inside(p, "ERSPAN III", d.links.erspan3(b))
	case kind == etherWCCP && len(b) >= 4 && sniffIP(b) == nil:
		d.inside(p, "GRE", sniffIP(b[4:])) // behind the redirect header of WCCP version 2
	case kind == etherWCCP:
		d.inside(p, "GRE", sniffIP(b))
	default:
		d.inside(p, "GRE", d.links.ether(kind, b))
	}
}

// erspan3 reads the header of ERSPAN type III (draft-foschiano-erspan): 12 bytes, and eight of the
// platform's where the last bit says so.
func (l *links) erspan3(b []byte) []byte {
	if len(b) < 12 {
		return nil
	}
	frameType, n := b[10]>>2&0x1f, 12
	if b[11]&1 == 1 {
		n += 8
	}
	switch {
	case len(b) < n:
		return nil
	case frameType == 2:
		return sniffIP(b[n:])
	}
	return l.frame(b[n:])
}

// vxlanGPE reads the generic protocol extension of VXLAN: what follows is said, or Ethernet.
func (l *links) vxlanGPE(b []byte) []byte {
	if len(b) < 8 {
		return nil
	}
	const saysNext = 0x04
	switch next := b[3]; {
	case b[0]&saysNext == 0 || next == 3:
		return l.frame(b[8:])
	case next == 1 || next == 2:
		return sniffIP(b[8:])
	case next == 5:
		return l.mpls(b[8:])
	}
	return nil
}

// gtpu returns the packet of a user's plane (3GPP TS 29.281, Section 5): a T-PDU of version 1,
// behind its extension headers.
func gtpu(b []byte) []byte {
	const tpdu, extended, optional = 0xff, 0x04, 0x07
	if len(b) < 8 || b[0]>>5 != 1 || b[1] != tpdu {
		return nil
	}
	flags := b[0]
	b = b[8:]
	if flags&optional == 0 {
		return sniffIP(b)
	}
	if len(b) < 4 {
		return nil
	}
	next := b[3]
	if b = b[4:]; flags&extended == 0 {
		next = 0
	}
	for next != 0 {
		if len(b) == 0 || b[0] == 0 || len(b) < 4*int(b[0]) {
			return nil
		}
		n := 4 * int(b[0])
		next, b = b[n-1], b[n:]
	}
	return sniffIP(b)
}

// tzsp returns the packet of a TaZmen Sniffer Protocol datagram: a header, tags up to the one that
// ends them, an Ethernet frame.
func (l *links) tzsp(b []byte) []byte {
	const ethernet, padding, end = 1, 0, 1
	if len(b) < 4 || b[0] != 1 || b[1] > 1 || binary.BigEndian.Uint16(b[2:]) != ethernet {
		return nil
	}
	for b = b[4:]; len(b) > 0; {
		switch {
		case b[0] == end:
			return l.frame(b[1:])
		case b[0] == padding:
			b = b[1:]
		case len(b) < 2 || len(b) < 2+int(b[1]):
			return nil
		default:
			b = b[2+int(b[1]):]
		}
	}
	return nil
}
