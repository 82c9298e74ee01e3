package packet

import (
	"encoding/binary"
	"net/netip"
)

// icmp4 reads an ICMP error and the packet that it quotes (RFC 792; the lengths of RFC 4884 do not
// matter here).
func (d *decoder) icmp4(p *Packet, b []byte) {
	if len(b) < 8 {
		return
	}
	switch b[0] {
	case 3, 4, 5, 11, 12: // unreachable, source quench, redirect, time exceeded, parameter problem
	default:
		return
	}
	d.icmp = ICMPError{Type: b[0], Code: b[1]}
	if b[0] == 3 && b[1] == 4 {
		d.icmp.MTU = int(binary.BigEndian.Uint16(b[6:]))
	}
	d.quote(p, b[8:])
}

// icmp6 reads an ICMPv6 error (RFC 4443, Section 3): types 1 to 4.
func (d *decoder) icmp6(p *Packet, b []byte) {
	if len(b) < 8 || b[0] < 1 || b[0] > 4 {
		return
	}
	d.icmp = ICMPError{V6: true, Type: b[0], Code: b[1]}
	if b[0] == 2 {
		d.icmp.MTU = int(binary.BigEndian.Uint32(b[4:]))
	}
	d.quote(p, b[8:])
}

// quote reads the quoted packet. It is nearly always cut, so no length in it is believed.
func (d *decoder) quote(p *Packet, b []byte) {
	p.Kind, p.Error, p.Payload = ICMP, &d.icmp, b
	var rest []byte
	var first bool
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		rest, first = d.icmp.quote4(b)
	case len(b) >= 40 && b[0]>>4 == 6:
		rest, first = d.icmp.quote6(b)
	case len(b) >= leastCut6 && b[0]>>4 == 6:
		d.icmp.quoteCut6(b)
	}
	if first {
		d.icmp.quoteTransport(rest)
	}
}

func (e *ICMPError) quote4(b []byte) (rest []byte, first bool) {
	e.Src = netip.AddrFrom4([4]byte(b[12:16]))
	e.Dst = netip.AddrFrom4([4]byte(b[16:20]))
	e.Proto, e.IPID = b[9], uint32(binary.BigEndian.Uint16(b[4:]))
	headerLen := max(int(b[0]&15)*4, 20)
	return b[min(headerLen, len(b)):], binary.BigEndian.Uint16(b[6:])&0x1fff == 0
}

func (e *ICMPError) quote6(b []byte) (rest []byte, first bool) {
	e.Src = netip.AddrFrom16([16]byte(b[8:24]))
	e.Dst = netip.AddrFrom16([16]byte(b[24:40]))
	var quoted Packet
	e.Proto, rest, _ = extensions(&quoted, b[6], b[40:])
	e.IPID = quoted.IPID
	return rest, quoted.FragOffset == 0
}

// leastCut6 is how much of an IPv6 header tells who sent it, and to which network.
const leastCut6 = 24 + 8

// quoteCut6 reads of an IPv6 header what the capture left of it.
func (e *ICMPError) quoteCut6(b []byte) {
	var dst [16]byte
	e.DstLen = copy(dst[:], b[24:])
	e.Src, e.Dst, e.Proto = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16(dst), b[6]
}

// quoteTransport reads the ports and what stands behind them.
func (e *ICMPError) quoteTransport(b []byte) {
	e.Payload = b
	if e.Proto != protoUDP && e.Proto != protoTCP || len(b) < 2 {
		return
	}
	e.SrcPort = binary.BigEndian.Uint16(b)
	if len(b) < 4 {
		e.Payload = nil
		return
	}
	e.DstPort = binary.BigEndian.Uint16(b[2:])
	if e.Proto == protoTCP {
		return
	}
	e.Payload = b[min(8, len(b)):]
	if (e.SrcPort == portNATT || e.DstPort == portNATT) && marked(e.Payload) {
		e.Payload = e.Payload[4:]
	}
}
