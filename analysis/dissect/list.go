package dissect

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/moncap/moncap/analysis/packet"
)

// listView prints a line a packet, in tshark's columns, and the tree below it where that is wanted.
type listView struct {
	w           *bufio.Writer
	tree, bytes bool
	utc, color  bool
	begun       bool
	src, dst    int // widths of the columns so far
}

func (l *listView) show(d *decodedPacket) error {
	src, dst := addressText(d.p, true), addressText(d.p, false)
	l.src, l.dst = max(l.src, len(src), 15), max(l.dst, len(dst), 15)
	if !l.begun || l.tree {
		l.heading()
	}
	l.begun = true
	line := fmt.Sprintf("%5d %s %-*s %-*s %-8s %6d %s", d.p.Frame, l.time(d), l.src, src, l.dst, dst,
		protocolColumn(d), d.p.WireLen, infoText(d))
	line = strings.TrimRight(printable(line), " ")
	if l.color {
		line = l.paint(lineColor(d), line)
	}
	if _, err := fmt.Fprintln(l.w, line); err != nil {
		return err
	}
	if l.tree {
		l.showTree(d)
	}
	if l.bytes && d.msg != nil {
		l.hexDump(d.p.Payload)
	}
	return nil
}

func (l *listView) heading() {
	timeHead := "Time"
	if l.utc {
		timeHead = "Time (UTC)"
	}
	fmt.Fprintln(l.w, l.paint(colorHead, fmt.Sprintf("%5s %-*s %-*s %-*s %-8s %6s %s", "No.", l.timeWidth(), timeHead, l.src, "Source", l.dst, "Destination",
		"Protocol", "Length", "Info")))
}

func (l *listView) timeWidth() int {
	if l.utc {
		return 26
	}
	return 12
}

func (l *listView) time(d *decodedPacket) string {
	if l.utc {
		return d.p.Time().Format("2006-01-02 15:04:05.000000")
	}
	return fmt.Sprintf("%12.6f", float64(d.p.Nanos-d.first)/1e9)
}

func (l *listView) end() error { return nil }

func (l *listView) hexDump(b []byte) {
	for line := range strings.Lines(hex.Dump(b)) {
		fmt.Fprint(l.w, "      ", line)
	}
}

func addressText(p *packet.Packet, source bool) string {
	a := p.Dst
	if source {
		a = p.Src
	}
	if !a.IsValid() {
		return "-"
	}
	return a.String()
}

// protocolColumn names what a line is about; IKE goes by the name that Wireshark's users know.
func protocolColumn(d *decodedPacket) string {
	p := d.p
	switch p.Kind {
	case packet.IKE:
		return "ISAKMP"
	case packet.Keepalive:
		return "UDPENCAP"
	case packet.ICMP:
		if p.Error.V6 {
			return "ICMPv6"
		}
	case packet.Fragment:
		if p.Src.Is6() {
			return "IPv6"
		}
		return "IPv4"
	case packet.Other:
		return otherProtocol(p)
	}
	return p.Kind.String()
}

func otherProtocol(p *packet.Packet) string {
	switch {
	case p.Src.IsValid():
		return protocolName(p.Proto)
	case p.Link != linkEthernet || len(p.Raw) < 14:
		return "-"
	case p.Raw[12] == 0x08 && p.Raw[13] == 0x06:
		return "ARP"
	}
	return fmt.Sprintf("0x%x", p.Raw[12:14]) // EtherType
}

// linkEthernet is libpcap's number of the link type.
const linkEthernet = 1

func protocolName(n uint8) string {
	switch n {
	case 1:
		return "ICMP"
	case 6:
		return "TCP"
	case 17:
		return "UDP"
	case 47:
		return "GRE"
	case 50:
		return "ESP"
	case 51:
		return "AH"
	case 58:
		return "ICMPv6"
	case 89:
		return "OSPF"
	}
	return fmt.Sprintf("IP/%d", n)
}

// infoText is the Info column.
func infoText(d *decodedPacket) string {
	var text string
	p := d.p
	switch p.Kind {
	case packet.IKE:
		text = ikeInfo(d)
	case packet.ESP:
		text = fmt.Sprintf("ESP (SPI=0x%08x) Seq=%d", p.SPI, p.Seq)
	case packet.AH:
		text = fmt.Sprintf("AH (SPI=0x%08x) Seq=%d", p.SPI, p.Seq)
	case packet.Keepalive:
		text = "NAT-keepalive"
	case packet.ICMP:
		text = icmpInfo(p.Error)
	case packet.Fragment:
		text = fmt.Sprintf("Fragmented IP protocol (proto=%s %d, off=%d, ID=%04x)", protocolName(p.Proto), p.Proto, p.FragOffset, p.IPID)
	default:
		if p.SrcPort != 0 || p.DstPort != 0 {
			text = fmt.Sprintf("%d -> %d Len=%d", p.SrcPort, p.DstPort, len(p.Payload))
		}
	}
	return text + notes(d)
}

// notes are what a reader should know of a packet beside what it says itself.
func notes(d *decodedPacket) string {
	var all []string
	add := func(yes bool, text string) {
		if yes {
			all = append(all, text)
		}
	}
	p := d.p
	add(len(p.Fragments) > 0, fmt.Sprintf("reassembled from frames %s", intList(p.Fragments)))
	add(d.whole != nil, "completes a message in fragments")
	add(p.Overlap, "fragments overlap with different bytes")
	add(p.Wrapping != "", "in "+p.Wrapping)
	add(p.Unread != "", p.Unread+": not read")
	add(p.TCPEncap, "in TCP")
	add(p.InAH, "behind AH")
	add(p.Truncated, "cut")
	add(!p.ChecksumOK, "UDP checksum wrong")
	add(d.msg != nil && len(d.faults()) > 0, "malformed")
	if len(all) == 0 {
		return ""
	}
	return " [" + strings.Join(all, "; ") + "]"
}

func intList(n []int) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(n), " ", ", "), "[]")
}

// icmpInfo names an error and what it is about.
func icmpInfo(e *packet.ICMPError) string {
	text := icmpName(e)
	if e.MTU > 0 {
		text += fmt.Sprintf(", MTU %d", e.MTU)
	}
	if !e.Dst.IsValid() {
		return text
	}
	text += fmt.Sprintf(", about %s %s -> %s", protocolName(e.Proto), e.Src, e.Dst)
	if e.DstPort != 0 {
		text += fmt.Sprintf(" port %d", e.DstPort)
	}
	return text
}

var icmpNames = map[[2]uint8]string{
	{3, 0}: "Network unreachable", {3, 1}: "Host unreachable", {3, 2}: "Protocol unreachable",
	{3, 3}: "Port unreachable", {3, 4}: "Fragmentation needed", {3, 9}: "Network administratively prohibited",
	{3, 10}: "Host administratively prohibited", {3, 13}: "Communication administratively prohibited",
	{4, 0}: "Source quench", {5, 0}: "Redirect for network", {5, 1}: "Redirect for host",
	{11, 0}: "Time to live exceeded in transit", {11, 1}: "Fragment reassembly time exceeded", {12, 0}: "Parameter problem",
}

var icmp6Names = map[[2]uint8]string{
	{1, 0}: "No route to destination", {1, 1}: "Communication administratively prohibited",
	{1, 3}: "Address unreachable", {1, 4}: "Port unreachable", {1, 5}: "Source address failed policy",
	{1, 6}: "Reject route to destination", {2, 0}: "Packet too big", {3, 0}: "Hop limit exceeded in transit",
	{3, 1}: "Fragment reassembly time exceeded", {4, 0}: "Erroneous header field", {4, 1}: "Unrecognised next header",
}

func icmpName(e *packet.ICMPError) string {
	names := icmpNames
	if e.V6 {
		names = icmp6Names
	}
	if n, ok := names[[2]uint8{e.Type, e.Code}]; ok {
		return n
	}
	return fmt.Sprintf("type %d code %d", e.Type, e.Code)
}
