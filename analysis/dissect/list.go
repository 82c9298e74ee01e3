package dissect

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/moncap/moncap/analysis/packet"
)

// listView prints a line a packet, in tshark's columns, and the tree below it where that is wanted.
// All is appended to a buffer that is used again.
type listView struct {
	w          *bufio.Writer
	tree       *tree // or nil
	bytes      bool
	utc, color bool
	begun      bool
	src, dst   int    // widths of the columns so far
	head       []byte // with these widths, or empty
	out, line  []byte
	names      addressNames
}

func newListView(w *bufio.Writer, o Options) *listView {
	l := &listView{w: w, bytes: o.Bytes, utc: o.UTC, color: o.Color}
	if o.Form == Tree {
		l.tree = &tree{color: o.Color, names: &l.names, times: timeText{layout: "2006-01-02 15:04:05.000000000 MST"}}
	}
	return l
}

func (l *listView) show(d *decodedPacket) error {
	src, dst := l.names.name(d.p.Src), l.names.name(d.p.Dst)
	if len(src) > l.src || len(dst) > l.dst {
		l.src, l.dst = max(l.src, len(src), 15), max(l.dst, len(dst), 15)
		l.head = l.heading()
	}
	l.out = l.out[:0]
	if !l.begun || l.tree != nil {
		l.out = append(l.out, l.head...)
	}
	l.begun = true
	l.packet(d, src, dst)
	if l.tree != nil {
		l.tree.out = l.out
		l.tree.packet(d)
		l.out = append(l.tree.out, '\n')
	}
	if l.bytes && d.msg != nil {
		l.hexDump(d.p.Payload)
	}
	_, err := l.w.Write(l.out)
	return err
}

// packet appends a packet's line.
func (l *listView) packet(d *decodedPacket, src, dst string) {
	b := append(appendPadded(l.line[:0], d.p.Frame, 5), ' ')
	if l.utc {
		b = d.p.Time().AppendFormat(b, "2006-01-02 15:04:05.000000")
	} else {
		b = appendSeconds(b, d.p.Nanos-d.first)
	}
	b = appendColumn(append(b, ' '), src, l.src)
	b = appendColumn(append(b, ' '), dst, l.dst)
	b = appendColumn(append(b, ' '), protocolColumn(d), 8)
	b = appendPadded(append(b, ' '), d.p.WireLen, 6)
	b = appendInfo(append(b, ' '), d)
	l.line = b
	b = bytes.TrimRight(cleanLine(b), " ")
	color := ""
	if l.color {
		color = lineColor(d)
	}
	l.out = append(appendPainted(l.out, color, b), '\n')
}

// heading is the line above the packets, in the widths of the columns.
func (l *listView) heading() []byte {
	timeHead, width := "Time", 12
	if l.utc {
		timeHead, width = "Time (UTC)", 26
	}
	head := fmt.Sprintf("%5s %-*s %-*s %-*s %-8s %6s %s", "No.", width, timeHead, l.src, "Source", l.dst, "Destination",
		"Protocol", "Length", "Info")
	color := ""
	if l.color {
		color = colorHead
	}
	return append(appendPainted(nil, color, []byte(head)), '\n')
}

func (l *listView) end() error { return nil }

func (l *listView) hexDump(b []byte) {
	for line := range strings.Lines(hex.Dump(b)) {
		l.out = append(append(l.out, "      "...), line...)
	}
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
	case p.GroupKeys():
		return "GDOI"
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

// appendInfo appends the Info column.
func appendInfo(b []byte, d *decodedPacket) []byte {
	p := d.p
	switch p.Kind {
	case packet.IKE:
		if d.msg != nil {
			b = d.msg.AppendInfo(b)
		} else {
			b = append(append(b, "Malformed: "...), d.reason...)
		}
	case packet.ESP:
		b = appendSequence(append(b, "ESP"...), p)
	case packet.AH:
		b = appendSequence(append(b, "AH"...), p)
	case packet.Keepalive:
		b = append(b, "NAT-keepalive"...)
	case packet.ICMP:
		b = append(b, icmpInfo(p.Error)...)
	case packet.Fragment:
		b = fmt.Appendf(b, "Fragmented IP protocol (proto=%s %d, off=%d, ID=%04x)", protocolName(p.Proto), p.Proto,
			p.FragOffset, p.IPID)
	default:
		if p.SrcPort != 0 || p.DstPort != 0 {
			b = append(appendInt(b, int(p.SrcPort)), " -> "...)
			b = append(appendInt(b, int(p.DstPort)), " Len="...)
			b = appendInt(b, len(p.Payload))
		}
		if d.group != nil {
			b = d.group.AppendInfo(append(b, ' '))
		}
	}
	return appendNotes(b, d)
}

func appendSequence(b []byte, p *packet.Packet) []byte {
	b = append(appendHex32(append(b, " (SPI=0x"...), p.SPI), ") Seq="...)
	return appendInt(b, int(p.Seq))
}

// appendNotes appends what a reader should know of a packet beside what it says itself.
func appendNotes(b []byte, d *decodedPacket) []byte {
	p, start := d.p, len(b)
	add := func(yes bool, text, more string) {
		if !yes {
			return
		}
		if len(b) == start {
			b = append(b, " ["...)
		} else {
			b = append(b, "; "...)
		}
		b = append(append(b, text...), more...)
	}
	if len(p.Fragments) > 0 {
		add(true, "reassembled from frames ", intList(p.Fragments))
	}
	add(d.whole != nil, "completes a message in fragments", "")
	add(p.Overlap, "fragments overlap with different bytes", "")
	add(p.GroupKeys(), "group keys (GDOI, G-IKEv2), none of a tunnel", "")
	add(p.Wrapping != "", "in ", p.Wrapping)
	add(p.Unread != "", p.Unread, ": not read")
	add(p.TCPEncap, "in TCP", "")
	add(p.InAH, "behind AH", "")
	add(p.Truncated, "cut", "")
	add(!p.ChecksumOK, "UDP checksum wrong", "")
	add(d.msg != nil && d.faulty(), "malformed", "")
	if len(b) > start {
		b = append(b, ']')
	}
	return b
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
	text += fmt.Sprintf(", about %s %s -> %s", protocolName(e.Proto), e.Src, e.To())
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
	{11, 0}: "Time to live exceeded in transit", {11, 1}: "Fragment reassembly time exceeded",
	{12, 0}: "Parameter problem",
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
