package dissect

import (
	"fmt"
	"strings"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/packet"
)

// node is one line of the tree, and what is below it.
type node struct {
	text string
	kids []node
}

func leaf(format string, args ...any) node { return node{text: fmt.Sprintf(format, args...)} }

// showTree prints everything that is known of a packet below its line.
func (l *listView) showTree(d *decodedPacket) {
	for _, n := range packetTree(d) {
		l.node(n, 1)
	}
	fmt.Fprintln(l.w)
}

func (l *listView) node(n node, depth int) {
	text := strings.ReplaceAll(printable(n.text), "\n", " ")
	fmt.Fprintf(l.w, "%s%s\n", strings.Repeat("    ", depth), l.paint(nodeColor(text, depth), text))
	for _, k := range n.kids {
		l.node(k, depth+1)
	}
}

func packetTree(d *decodedPacket) []node {
	tree := []node{frameNode(d.p)}
	if d.p.Src.IsValid() {
		tree = append(tree, ipNode(d.p))
	}
	if d.p.SrcPort != 0 || d.p.DstPort != 0 {
		tree = append(tree, udpNode(d.p))
	}
	switch d.p.Kind {
	case packet.IKE:
		tree = append(tree, ikeNode(d))
	case packet.ESP, packet.AH:
		tree = append(tree, espNode(d.p))
	case packet.ICMP:
		tree = append(tree, icmpNode(d.p.Error))
	case packet.Keepalive:
		tree = append(tree, leaf("NAT-keepalive (RFC 3948, Section 2.3)"))
	}
	return tree
}

func frameNode(p *packet.Packet) node {
	n := leaf("Frame %d: %d bytes on the wire, %d bytes captured", p.Frame, p.WireLen, p.CapLen)
	if p.Nanos != 0 {
		n.kids = append(n.kids, leaf("Arrival time: %s", p.Time().Format("2006-01-02 15:04:05.000000000 MST")))
	}
	if p.Interface > 0 {
		n.kids = append(n.kids, leaf("Interface: %d", p.Interface))
	}
	if p.Wrapping != "" {
		n.kids = append(n.kids, leaf("Carried in %s", p.Wrapping))
	}
	if p.Unread != "" {
		n.kids = append(n.kids, leaf("[Not read: %s]", p.Unread))
	}
	if p.Truncated {
		n.kids = append(n.kids, leaf("[Cut: bytes of the packet are missing in the file]"))
	}
	return n
}

func ipNode(p *packet.Packet) node {
	version, hops := 4, "Time to live"
	if p.Src.Is6() {
		version, hops = 6, "Hop limit"
	}
	n := leaf("Internet Protocol version %d, %s -> %s", version, p.Src, p.Dst)
	n.kids = []node{
		leaf("Length: %d", p.IPLen),
		leaf("DSCP: %d%s", p.DSCP, dscpName(p.DSCP)),
		leaf("%s: %d", hops, p.TTL),
		leaf("Protocol: %s (%d)", protocolName(p.Proto), p.Proto),
	}
	if version == 4 || p.IsFragment {
		n.kids = append(n.kids, leaf("Identification: 0x%04x", p.IPID))
	}
	if p.IsFragment {
		n.kids = append(n.kids, leaf("Fragment offset: %d, more fragments: %s", p.FragOffset, yesNo(p.MoreFrags)))
	}
	if len(p.Fragments) > 0 {
		n.kids = append(n.kids, leaf("[Reassembled from frames %s: %d bytes]", intList(p.Fragments), p.Datagram))
	}
	if p.Overlap {
		n.kids = append(n.kids, leaf("[Fragments overlap with different bytes; what came first was kept]"))
	}
	return n
}

func dscpName(d uint8) string {
	switch {
	case d == 46:
		return " (EF)"
	case d&7 == 0:
		return fmt.Sprintf(" (CS%d)", d>>3)
	}
	return ""
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func udpNode(p *packet.Packet) node {
	n := leaf("%s, port %d -> %d", protocolName(p.Proto), p.SrcPort, p.DstPort)
	if !p.ChecksumOK {
		n.kids = append(n.kids, leaf("[Checksum is wrong; on the sending host that can be the network card's work still to do]"))
	}
	if p.Marker {
		n.kids = append(n.kids, leaf("Non-ESP marker: 00000000"))
	}
	if p.TCPEncap {
		n.kids = append(n.kids, leaf("IKE or ESP in TCP (RFC 9329)"))
	}
	return n
}

func espNode(p *packet.Packet) node {
	n := leaf("Encapsulating Security Payload")
	if p.Kind == packet.AH {
		n = leaf("Authentication Header")
	}
	switch {
	case p.UDPEncap:
		n.text += " in UDP"
	case p.InAH:
		n.text += " behind an Authentication Header"
	}
	n.kids = []node{
		leaf("SPI: 0x%08x", p.SPI),
		leaf("Sequence number: %d", p.Seq),
		leaf("Length: %d", len(p.Payload)),
	}
	return n
}

func icmpNode(e *packet.ICMPError) node {
	n := leaf("ICMP error: %s (type %d, code %d)", icmpName(e), e.Type, e.Code)
	if e.MTU > 0 {
		n.kids = append(n.kids, leaf("Next-hop MTU: %d", e.MTU))
	}
	if !e.Src.IsValid() {
		return n
	}
	quoted := leaf("About: %s %s -> %s", protocolName(e.Proto), e.Src, e.Dst)
	if e.SrcPort != 0 || e.DstPort != 0 {
		quoted.kids = append(quoted.kids, leaf("Port: %d -> %d", e.SrcPort, e.DstPort))
	}
	if h, err := ike.ParseHeader(e.Payload); err == nil && (e.DstPort == 500 || e.DstPort == 4500) && (h.Major() == 1 || h.Major() == 2) {
		quoted.kids = append(quoted.kids, leaf("IKE SPIs: %s, %s; message ID %d", h.SPIi, h.SPIr, h.MessageID))
	}
	n.kids = append(n.kids, quoted)
	return n
}
