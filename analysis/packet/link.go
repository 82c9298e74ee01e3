package packet

import (
	"encoding/binary"
	"fmt"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// Link types, as libpcap numbers them in files (https://www.tcpdump.org/linktypes.html).
const (
	linkNull      = 0
	linkEthernet  = 1
	linkPPP       = 9
	linkRawBSD    = 12
	linkRawOpen   = 14
	linkPPPSerial = 50
	linkPPPoE     = 51
	linkRaw       = 101
	linkCiscoHDLC = 104
	linkLoop      = 108
	linkSLL       = 113
	linkIPv4      = 228
	linkIPv6      = 229
	linkSLL2      = 276
)

// linkName describes a link type with libpcap's own words.
func linkName(link uint16) string {
	switch link {
	case linkNull:
		return "BSD loopback"
	case linkEthernet:
		return "Ethernet"
	case linkPPP:
		return "PPP"
	case linkRaw, linkRawBSD, linkRawOpen:
		return "Raw IP"
	case linkPPPSerial:
		return "PPP over serial"
	case linkPPPoE:
		return "PPPoE"
	case linkCiscoHDLC:
		return "Cisco HDLC"
	case linkLoop:
		return "OpenBSD loopback"
	case linkSLL:
		return "Linux cooked v1"
	case linkSLL2:
		return "Linux cooked v2"
	case linkIPv4:
		return "Raw IPv4"
	case linkIPv6:
		return "Raw IPv6"
	}
	return fmt.Sprintf("link type %d", link)
}

// EtherTypes (IEEE 802 numbers, IANA).
const (
	etherIPv4     = 0x0800
	etherIPv6     = 0x86dd
	etherVLAN     = 0x8100
	etherQinQ     = 0x88a8
	etherQinQOld  = 0x9100
	etherMPLS     = 0x8847
	etherMPLSUp   = 0x8848
	etherPPPoE    = 0x8864
	etherMaxLen   = 1500 // up to here the field is a length, and LLC follows
	maxLinkLabels = 16   // VLAN tags or MPLS labels
)

// links finds the IP packet in a frame. Ethernet, its tags and what gopacket's parser has no layer for is read here;
// the unusual rest goes through a gopacket parser.
type links struct {
	parsers map[uint16]*gopacket.DecodingLayerParser
	decoded []gopacket.LayerType

	sll  layers.LinuxSLL
	loop layers.Loopback
	llc  layers.LLC
	snap layers.SNAP
}

// newLinks makes one parser for each link layer that gopacket reads well. IP itself is in none of them, so that a
// parser ends where IP begins.
func newLinks() *links {
	l := &links{parsers: map[uint16]*gopacket.DecodingLayerParser{}}
	for link, first := range map[uint16]gopacket.LayerType{
		linkSLL:      layers.LayerTypeLinuxSLL,
		linkNull:     layers.LayerTypeLoopback,
		linkLoop:     layers.LayerTypeLoopback,
		linkEthernet: layers.LayerTypeLLC, // behind a length instead of an EtherType
	} {
		p := gopacket.NewDecodingLayerParser(first, &l.sll, &l.loop, &l.llc, &l.snap)
		p.IgnoreUnsupported = true
		l.parsers[link] = p
	}
	return l
}

// ip returns the IP packet in a frame, with whatever follows it, or nil.
func (l *links) ip(link uint16, frame []byte) []byte {
	switch link {
	case linkEthernet:
		if len(frame) < 14 {
			return nil
		}
		return l.ether(binary.BigEndian.Uint16(frame[12:]), frame[14:])
	case linkRaw, linkRawBSD, linkRawOpen, linkIPv4, linkIPv6:
		return sniffIP(frame)
	case linkSLL2:
		if len(frame) < 20 {
			return nil
		}
		return l.ether(binary.BigEndian.Uint16(frame), frame[20:])
	case linkPPP, linkPPPSerial:
		return l.ppp(frame)
	case linkPPPoE:
		return l.pppoe(frame)
	case linkCiscoHDLC:
		if len(frame) < 4 {
			return nil
		}
		return l.ether(binary.BigEndian.Uint16(frame[2:]), frame[4:])
	}
	return l.parsed(link, frame)
}

// ether follows EtherTypes and the tags behind them.
func (l *links) ether(kind uint16, b []byte) []byte {
	for range maxLinkLabels {
		switch kind {
		case etherIPv4, etherIPv6:
			return b
		case etherVLAN, etherQinQ, etherQinQOld:
			if len(b) < 4 {
				return nil
			}
			kind, b = binary.BigEndian.Uint16(b[2:]), b[4:]
		case etherMPLS, etherMPLSUp:
			return mpls(b)
		case etherPPPoE:
			return l.pppoe(b)
		default:
			if kind <= etherMaxLen {
				return l.parsed(linkEthernet, b)
			}
			return nil
		}
	}
	return nil
}

// mpls skips labels (RFC 3032, Section 2.1); what they label is not said, so it must look like IP.
func mpls(b []byte) []byte {
	for range maxLinkLabels {
		if len(b) < 4 {
			return nil
		}
		bottom := b[2]&1 == 1
		if b = b[4:]; bottom {
			return sniffIP(b)
		}
	}
	return nil
}

// pppoe reads a PPPoE session packet (RFC 2516, Section 4).
func (l *links) pppoe(b []byte) []byte {
	if len(b) < 6 || b[1] != 0 {
		return nil
	}
	return l.ppp(b[6:])
}

// ppp reads a PPP header, with or without address and control, its protocol in one byte or two (RFC 1661, Sections 2
// and 6.5). On serial lines the same link type carries Cisco HDLC.
func (l *links) ppp(b []byte) []byte {
	if len(b) >= 4 && (b[0] == 0x0f || b[0] == 0x8f) && b[1] == 0 {
		return l.ether(binary.BigEndian.Uint16(b[2:]), b[4:])
	}
	if len(b) >= 2 && b[0] == 0xff && b[1] == 0x03 {
		b = b[2:]
	}
	if len(b) >= 2 && b[0] == 0 {
		b = b[1:]
	}
	if len(b) >= 1 && (b[0] == 0x21 || b[0] == 0x57) {
		return b[1:]
	}
	return nil
}

// parsed lets gopacket read the link layer. A broken one has no IP packet.
func (l *links) parsed(link uint16, b []byte) []byte {
	p := l.parsers[link]
	if p == nil || p.DecodeLayers(b, &l.decoded) != nil || len(l.decoded) == 0 {
		return nil
	}
	switch l.decoded[len(l.decoded)-1] {
	case layers.LayerTypeLinuxSLL:
		return l.ether(uint16(l.sll.EthernetType), l.sll.LayerPayload())
	case layers.LayerTypeSNAP:
		return l.ether(uint16(l.snap.Type), l.snap.LayerPayload())
	case layers.LayerTypeLoopback:
		return sniffIP(l.loop.LayerPayload())
	}
	return nil
}

// sniffIP takes b for IP if its version says so.
func sniffIP(b []byte) []byte {
	if len(b) > 0 && (b[0]>>4 == 4 || b[0]>>4 == 6) {
		return b
	}
	return nil
}
