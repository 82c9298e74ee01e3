package packet

import (
	"encoding/binary"
	"fmt"
)

// Link types, as libpcap numbers them in files (https://www.tcpdump.org/linktypes.html).
const (
	linkNull        = 0
	linkEthernet    = 1
	linkPPP         = 9
	linkRawBSD      = 12
	linkRawOpen     = 14
	linkPPPSerial   = 50
	linkPPPoE       = 51
	linkRaw         = 101
	linkCiscoHDLC   = 104
	linkFrameRelay  = 107
	linkLoop        = 108
	linkEnc         = 109
	linkSLL         = 113
	linkPPPD        = 166
	linkJuniper     = 178
	linkPPPDir      = 204
	linkHDLCDir     = 205
	linkFRDir       = 206
	linkIPv4        = 228
	linkIPv6        = 229
	linkNFLOG       = 239
	linkNetAnalyzer = 240
	linkSLL2        = 276
)

// linkNames describe link types with libpcap's own words: those that are read, and of the others
// what gateways, access points and modems are captured with.
var linkNames = map[uint16]string{
	linkNull: "BSD loopback", linkEthernet: "Ethernet", linkPPP: "PPP", linkRawBSD: "Raw IP", linkRawOpen: "Raw IP",
	linkPPPSerial: "PPP over serial", linkPPPoE: "PPPoE", linkRaw: "Raw IP", linkCiscoHDLC: "Cisco HDLC",
	linkFrameRelay: "Frame Relay",
	linkLoop:       "OpenBSD loopback", linkEnc: "OpenBSD encapsulated IP", linkSLL: "Linux cooked v1",
	linkPPPD:    "PPP with direction",
	linkJuniper: "Juniper Ethernet", linkPPPDir: "PPP with direction", linkHDLCDir: "Cisco HDLC with direction",
	linkFRDir: "Frame Relay with direction", linkIPv4: "Raw IPv4", linkIPv6: "Raw IPv6", linkNFLOG: "Linux netfilter log",
	linkNetAnalyzer: "netANALYZER Ethernet", linkSLL2: "Linux cooked v2",

	6: "IEEE 802.5 Token Ring", 8: "SLIP", 10: "FDDI", 11: "RFC 1483 ATM", 100: "RFC 1483 ATM", 105: "IEEE 802.11",
	117: "OpenBSD pflog",
	122: "IP over Fibre Channel", 123: "SunATM", 127: "IEEE 802.11 with radiotap", 143: "DOCSIS",
	163: "IEEE 802.11 with AVS",
	177: "Linux LAPD", 189: "USB", 192: "PPI", 220: "USB", 249: "USBPcap", 253: "Linux netlink", 258: "Apple PKTAP",
}

// linkName describes a link type.
func linkName(link uint16) string {
	if name, ok := linkNames[link]; ok {
		return name
	}
	return fmt.Sprintf("link type %d", link)
}

// EtherTypes (IEEE 802 numbers, IANA).
const (
	etherIPv4    = 0x0800
	etherBridged = 0x6558 // a whole Ethernet frame, in GRE and GENEVE
	etherIPv6    = 0x86dd
	etherVLAN    = 0x8100
	etherWCCP    = 0x883e // GRE only
	etherMPLS    = 0x8847
	etherMPLSUp  = 0x8848
	etherPPPoE   = 0x8864
	etherPPP     = 0x880b
	etherQinQ    = 0x88a8
	etherERSPAN  = 0x88be // GRE only
	etherERSPAN3 = 0x22eb // GRE only
	etherMACsec  = 0x88e5
	etherITag    = 0x88e7 // IEEE 802.1ah
	etherCMD     = 0x8909 // Cisco metadata
	etherVNTag   = 0x8926
	etherETag    = 0x893f // IEEE 802.1BR
	etherQinQOld = 0x9100
	etherQinQ2   = 0x9200
	etherQinQ3   = 0x9300
	etherMaxLen  = 1500 // up to here the field is a length, and LLC follows
)

// noIP are EtherTypes of protocols that carry no IP: ARP, Wake-on-LAN, CDP and others of Cisco in
// GRE, NHRP, RARP, AppleTalk, IPX, flow control, slow protocols, PPPoE discovery, 802.1X, PROFINET,
// MVRP, LLDP, CFM, PTP, FCoE, loopback tests.
var noIP = map[uint16]bool{
	0x0806: true, 0x0842: true, 0x2000: true, 0x2001: true, 0x8035: true, 0x809b: true, 0x80f3: true, 0x8137: true,
	0x8808: true, 0x8809: true,
	0x8863: true, 0x888e: true, 0x8892: true, 0x88cc: true, 0x88f5: true, 0x88f7: true, 0x8902: true, 0x8906: true,
	0x8914: true, 0x9000: true,
}

// links finds the IP packet in a frame. It does without gopacket's layers, whose tables cost every
// start of a program more than a small capture takes to read.
type links struct {
	unread string // what the frame has that is not read, when no IP packet was found for that
}

// ip returns the IP packet in a frame, with whatever follows it, or nil: then unread says what was
// not read, if anything.
func (l *links) ip(link uint16, frame []byte) []byte {
	l.unread = ""
	if link == linkEthernet {
		return l.frame(frame)
	}
	return l.rare(link, frame)
}

// frame reads an Ethernet frame.
func (l *links) frame(b []byte) []byte {
	if len(b) < 14 {
		return nil
	}
	return l.ether(binary.BigEndian.Uint16(b[12:]), b[14:])
}

// rare reads the link types that are not Ethernet.
func (l *links) rare(link uint16, b []byte) []byte {
	switch link {
	case linkRaw, linkRawBSD, linkRawOpen, linkIPv4, linkIPv6:
		return sniffIP(b)
	case linkSLL:
		return l.typed(b, 14, 16)
	case linkSLL2:
		return l.typed(b, 0, 20)
	case linkNull, linkLoop:
		return loopback(b)
	case linkPPP, linkPPPSerial:
		return l.ppp(b)
	case linkPPPD, linkPPPDir:
		return l.ppp(behind(b, 1))
	case linkPPPoE:
		return l.pppoe(b)
	case linkCiscoHDLC:
		return l.typed(b, 2, 4)
	case linkHDLCDir:
		return l.typed(b, 3, 5)
	case linkFrameRelay:
		return l.frameRelay(b)
	case linkFRDir:
		return l.frameRelay(behind(b, 1))
	case linkEnc:
		return sniffIP(behind(b, 12)) // address family, SPI, flags
	case linkNFLOG:
		return nflog(b)
	case linkNetAnalyzer:
		return l.frame(behind(b, 4))
	case linkJuniper:
		return l.juniper(b)
	}
	l.unread = linkName(link)
	return nil
}

// behind skips n bytes.
func behind(b []byte, n int) []byte { return b[min(n, len(b)):] }

// typed reads a header of n bytes that has an EtherType at a place.
func (l *links) typed(b []byte, at, n int) []byte {
	if len(b) < n {
		return nil
	}
	return l.ether(binary.BigEndian.Uint16(b[at:]), b[n:])
}

// ether follows EtherTypes and the tags behind them, however many: each takes four bytes at least.
func (l *links) ether(kind uint16, b []byte) []byte {
	for {
		n := 0
		switch kind {
		case etherIPv4, etherIPv6:
			return b
		case etherVLAN, etherQinQ, etherQinQOld, etherQinQ2, etherQinQ3:
			n = 4
		case etherVNTag:
			n = 6
		case etherETag:
			n = 8
		case etherCMD:
			n = metadataLen(b)
		case etherMACsec:
			if n = secTagLen(b); n == 0 {
				l.unread = "MACsec, encrypted"
			}
		default:
			return l.carried(kind, b)
		}
		if n == 0 || len(b) < n {
			return nil
		}
		kind, b = binary.BigEndian.Uint16(b[n-2:]), b[n:]
	}
}

// carried reads what is no tag: a packet within the frame, LLC behind a length,
// or what is not read.
func (l *links) carried(kind uint16, b []byte) []byte {
	switch {
	case kind == etherMPLS, kind == etherMPLSUp:
		return l.mpls(b)
	case kind == etherPPPoE:
		return l.pppoe(b)
	case kind == etherPPP:
		return l.ppp(b)
	case kind == etherBridged:
		return l.frame(b)
	case kind == etherITag:
		return l.frame(behind(b, 4))
	case kind <= etherMaxLen:
		return l.llc(b)
	case !noIP[kind]:
		l.unread = fmt.Sprintf("EtherType 0x%04x", kind)
	}
	return nil
}

// metadataLen is the length of Cisco's metadata header with the EtherType behind it: version,
// length in words, options.
func metadataLen(b []byte) int {
	if len(b) < 2 || b[0] != 1 {
		return 0
	}
	return 2 + 4*max(int(b[1]), 1) + 2
}

// secTagLen is the length of a MACsec tag (IEEE 802.1AE, Section 9.3) with the EtherType behind it;
// 0 where the frame is encrypted or changed, which the bits E and C say.
func secTagLen(b []byte) int {
	const explicit, encrypted, changed = 0x20, 0x08, 0x04
	switch {
	case len(b) == 0 || b[0]&(encrypted|changed) != 0:
		return 0
	case b[0]&explicit != 0:
		return 16
	}
	return 8
}

// mpls skips labels (RFC 3032, Section 2.1). What they label is not said: IP, or an Ethernet frame
// with or without a control word (RFC 4448), whose first byte can read as an IP version. So IP must
// prove itself there.
func (l *links) mpls(b []byte) []byte {
	for bottom := false; !bottom; b = b[4:] {
		if len(b) < 4 {
			return nil
		}
		bottom = b[2]&1 == 1
	}
	if isIP(b) {
		return b
	}
	if len(b) >= 4 && b[0]>>4 == 0 {
		if ip := l.frame(b[4:]); ip != nil {
			return ip
		}
	}
	if ip := l.frame(b); isIP(ip) {
		return ip
	}
	return sniffIP(b)
}

// isIP says whether b is an IP packet by more than its version: by the checksum of an IPv4 header,
// or its length where that is left to the network card, and by the length of an IPv6 packet and a
// known next header.
func isIP(b []byte) bool {
	switch {
	case len(b) >= 20 && b[0]>>4 == 4 && b[0]&15 >= 5 && len(b) >= 4*int(b[0]&15):
		head := b[:4*(b[0]&15)]
		return fold(onesSum(head)) == 0xffff || binary.BigEndian.Uint16(b[10:]) == 0 &&
			int(binary.BigEndian.Uint16(b[2:])) <= len(b)
	case len(b) >= 40 && b[0]>>4 == 6:
		switch b[6] {
		case protoHopByHop, protoIPv4, protoTCP, protoUDP, protoIPv6, protoRouting, protoFragment, protoGRE, protoESP,
			protoAH, protoICMPv6, protoOptions:
			return true
		}
	}
	return false
}

// pppoe reads a PPPoE session packet (RFC 2516, Section 4).
func (l *links) pppoe(b []byte) []byte {
	if len(b) < 6 || b[1] != 0 {
		return nil
	}
	return l.ppp(b[6:])
}

// PPP protocols (RFC 3818, IANA).
const (
	pppIPv4      = 0x0021
	pppMultilink = 0x003d
	pppBridged   = 0x0031
	pppIPv6      = 0x0057
	pppMPLS      = 0x0281
	pppControl   = 0x4000 // from here on: traffic of link and network control protocols
)

// ppp reads a PPP header, with or without address and control, its protocol in one byte or two
// (RFC 1661, Sections 2 and 6.5). On serial lines the same link type carries Cisco HDLC.
func (l *links) ppp(b []byte) []byte {
	if len(b) >= 4 && (b[0] == 0x0f || b[0] == 0x8f) && b[1] == 0 {
		return l.ether(binary.BigEndian.Uint16(b[2:]), b[4:])
	}
	if len(b) >= 2 && b[0] == 0xff && b[1] == 0x03 {
		b = b[2:]
	}
	if len(b) < 2 {
		return nil
	}
	protocol := uint16(b[0])
	if b = b[1:]; protocol&1 == 0 {
		protocol, b = protocol<<8|uint16(b[0]), b[1:]
	}
	switch {
	case protocol == pppIPv4, protocol == pppIPv6:
		return b
	case protocol == pppMPLS:
		return l.mpls(b)
	case protocol == pppBridged: // flags, type of the network: 1 is Ethernet (RFC 3518, Section 4.2)
		if len(b) >= 2 && b[1] == 1 {
			return l.frame(b[2:])
		}
	// a whole packet, long sequence numbers (RFC 1990, Section 3)
	case protocol == pppMultilink && len(b) >= 4 && b[0]&0xc0 == 0xc0:
		return l.ppp(b[4:])
	case protocol < pppControl:
		l.unread = fmt.Sprintf("PPP protocol 0x%04x", protocol)
	}
	return nil
}

// frameRelay reads Q.922 addresses of two to four bytes, and what RFC 2427 or
// Cisco put behind them.
func (l *links) frameRelay(b []byte) []byte {
	n := 1
	for n <= len(b) && n < 4 && b[n-1]&1 == 0 {
		n++
	}
	const unnumbered, snap, ipv4, ipv6, ppp = 0x03, 0x80, 0xcc, 0x8e, 0xcf
	if b = behind(b, n); len(b) < 2 {
		return nil
	}
	if b[0] != unnumbered { // Cisco's own way: an EtherType
		return l.ether(binary.BigEndian.Uint16(b), b[2:])
	}
	if b = b[1:]; b[0] == 0 {
		b = b[1:] // padding to an even place
	}
	switch {
	case len(b) == 0:
	case b[0] == ipv4, b[0] == ipv6:
		return sniffIP(b[1:])
	case b[0] == ppp:
		return l.ppp(b[1:])
	case b[0] == snap && len(b) >= 6:
		return l.outside([3]byte(b[1:4]), binary.BigEndian.Uint16(b[4:]), b[6:])
	}
	return nil
}

// outside reads what an organisation's number and its protocol name (RFC 1042;
// RFC 2427, Appendix C).
func (l *links) outside(organisation [3]byte, protocol uint16, b []byte) []byte {
	const bridgedFCS, bridged = 1, 7
	switch {
	case organisation == [3]byte{}:
		return l.ether(protocol, b)
	case organisation == [3]byte{0x00, 0x80, 0xc2} && (protocol == bridgedFCS || protocol == bridged):
		return l.frame(b)
	}
	return nil // CDP, VTP, DTP, spanning trees: they carry no IP
}

// nflog finds the packet in a message of Linux's netfilter: a header, then values of a type, in the
// byte order of the host that captured.
func nflog(b []byte) []byte {
	const payload = 9
	if len(b) < 8 {
		return nil
	}
	b = b[4:] // family, version, resource
	order := binary.ByteOrder(binary.LittleEndian)
	if n := order.Uint16(b); n < 4 || int(n) > len(b) {
		order = binary.BigEndian
	}
	for len(b) >= 4 {
		n := int(order.Uint16(b))
		if n < 4 {
			return nil
		}
		if order.Uint16(b[2:])&0x7fff == payload {
			return sniffIP(b[4:min(n, len(b))])
		}
		b = behind(b, (n+3)&^3)
	}
	return nil
}

// juniper reads what a router of Juniper adds before an Ethernet frame: a magic number, flags,
// extensions (packet-juniper.c of Wireshark tells their meaning). Frames without their link layer
// have the protocol's number.
func (l *links) juniper(b []byte) []byte {
	const extended, noLink = 0x80, 0x02
	if len(b) < 4 || [3]byte(b) != [3]byte{'M', 'G', 'C'} {
		return nil
	}
	flags := b[3]
	if b = b[4:]; flags&extended != 0 {
		if len(b) < 2 {
			return nil
		}
		b = behind(b, 2+int(binary.BigEndian.Uint16(b)))
	}
	if flags&noLink != 0 {
		return sniffIP(behind(b, 4))
	}
	return l.frame(b)
}

// llc reads IEEE 802.2 headers: two access points and control, of one byte or of two, and the SNAP
// header that both of 0xAA announce.
func (l *links) llc(b []byte) []byte {
	const snap, group = 0xaa, 0x01
	if len(b) < 3 || b[0]&^group != snap || b[1]&^group != snap {
		return nil
	}
	control := 2
	if b[2]&3 == 3 { // unnumbered
		control = 1
	}
	if b = behind(b, 2+control); len(b) < 5 {
		return nil
	}
	return l.outside([3]byte(b), binary.BigEndian.Uint16(b[3:]), b[5:])
}

// loopback reads the protocol family of BSD, in the byte order of the host that captured: below 256
// in either.
func loopback(b []byte) []byte {
	if len(b) < 4 || min(binary.BigEndian.Uint32(b), binary.LittleEndian.Uint32(b)) > 0xff {
		return nil
	}
	return sniffIP(b[4:])
}

// sniffIP takes b for IP if its version says so.
func sniffIP(b []byte) []byte {
	if len(b) > 0 && (b[0]>>4 == 4 || b[0]>>4 == 6) {
		return b
	}
	return nil
}
