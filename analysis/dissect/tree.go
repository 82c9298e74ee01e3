package dissect

import (
	"bytes"
	"encoding/binary"
	"strings"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/packet"
)

// tree appends everything that is known of a packet, a line a field, indented by
// what it belongs to.
type tree struct {
	out   []byte
	lines ike.Lines // that are being written; show appends them to out
	color bool
	names *addressNames
	times timeText
	parts []place // of the payloads of a message, used again
}

// show appends the lines that are ready.
func (t *tree) show(depth int) {
	const indents = "                                "
	clean := plain(t.lines.Bytes())
	for line := range t.lines.All() {
		if !clean {
			line = cleanLine(line)
		}
		for n := 4 * depth; n > 0; n -= len(indents) {
			t.out = append(t.out, indents[:min(n, len(indents))]...)
		}
		color := ""
		if t.color {
			color = lineOfTree(line, depth)
		}
		t.out = append(appendPainted(t.out, color, line), '\n')
	}
	t.lines.Reset()
}

// cleanLine takes out of a line what could drive a terminal.
func cleanLine(line []byte) []byte {
	if plain(line) {
		return line
	}
	return []byte(strings.ReplaceAll(printable(string(line)), "\n", " "))
}

// plain says whether all is printable ASCII, of eight bytes at a time.
func plain(b []byte) bool {
	const ones = 0x0101010101010101
	for ; len(b) >= 8; b = b[8:] {
		x := binary.LittleEndian.Uint64(b)
		below := (x - ' '*ones) &^ x // its high bits: of bytes below a blank
		if (x|(x+ones)|below)&(0x80*ones) != 0 {
			return false
		}
	}
	for _, c := range b {
		if c < ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}

func (t *tree) packet(d *decodedPacket) {
	t.frame(d.p)
	if d.p.Src.IsValid() {
		t.ip(d.p)
	}
	if d.p.SrcPort != 0 || d.p.DstPort != 0 {
		t.udp(d.p)
	}
	switch d.p.Kind {
	case packet.IKE:
		t.message(d, 1)
	case packet.ESP, packet.AH:
		t.ipsec(d.p)
	case packet.ICMP:
		t.icmp(d.p.Error)
	case packet.Keepalive:
		t.lines.Text("NAT-keepalive (RFC 3948, Section 2.3)").End()
		t.show(1)
	}
	if d.group != nil {
		t.lines.Text("Management of group keys (GDOI, RFC 6407; G-IKEv2, RFC 9838): none of a tunnel").End()
		t.show(1)
		t.message(&decodedPacket{p: d.p, msg: d.group}, 1)
	}
}

func (t *tree) frame(p *packet.Packet) {
	l := &t.lines
	l.Text("Frame ").Int(p.Frame).Text(": ").Int(p.WireLen).Text(" bytes on the wire, ").Int(p.CapLen).Text(
		" bytes captured").End()
	t.show(1)
	if p.Nanos != 0 {
		l.Text("Arrival time: ").Append(func(b []byte) []byte { return t.times.append(b, p.Time()) }).End()
	}
	if p.Interface > 0 {
		l.Text("Interface: ").Int(p.Interface).End()
	}
	if p.Wrapping != "" {
		l.Text("Carried in ").Text(p.Wrapping).End()
	}
	if p.Unread != "" {
		l.Text("[Not read: ").Text(p.Unread).Text("]").End()
	}
	if p.Truncated {
		l.Text("[Cut: bytes of the packet are missing in the file]").End()
	}
	t.show(2)
}

func (t *tree) ip(p *packet.Packet) {
	l := &t.lines
	version, hops := 4, "Time to live: "
	if p.Src.Is6() {
		version, hops = 6, "Hop limit: "
	}
	l.Text("Internet Protocol version ").Int(version).Text(", ").Text(t.names.name(p.Src)).Text(" -> ").Text(
		t.names.name(p.Dst)).End()
	t.show(1)
	l.Text("Length: ").Int(p.IPLen).End()
	l.Text("DSCP: ").Int(int(p.DSCP))
	switch {
	case p.DSCP == 46:
		l.Text(" (EF)")
	case p.DSCP&7 == 0:
		l.Text(" (CS").Int(int(p.DSCP >> 3)).Text(")")
	}
	l.End()
	l.Text(hops).Int(int(p.TTL)).End()
	l.Text("Protocol: ").Text(protocolName(p.Proto)).Text(" (").Int(int(p.Proto)).Text(")").End()
	if version == 4 || p.IsFragment {
		l.Text("Identification: 0x")
		if id := p.IPID; id <= 0xffff {
			l.Hex([]byte{byte(id >> 8), byte(id)}).End()
		} else {
			l.Add("%x", id)
		}
	}
	if p.IsFragment {
		l.Text("Fragment offset: ").Int(p.FragOffset).Text(", more fragments: ").Text(yesNo(p.MoreFrags)).End()
	}
	if len(p.Fragments) > 0 {
		l.Text("[Reassembled from frames ").Text(intList(p.Fragments)).Text(": ").Int(p.Datagram).Text(" bytes]").End()
	}
	if p.Overlap {
		l.Text("[Fragments overlap with different bytes; what came first was kept]").End()
	}
	t.show(2)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func (t *tree) udp(p *packet.Packet) {
	l := &t.lines
	l.Text(protocolName(p.Proto)).Text(", port ").Int(int(p.SrcPort)).Text(" -> ").Int(int(p.DstPort)).End()
	t.show(1)
	if !p.ChecksumOK {
		l.Text("[Checksum is wrong; on the sending host that can be the network card's work still to do]").End()
	}
	if p.Marker {
		l.Text("Non-ESP marker: 00000000").End()
	}
	if p.TCPEncap {
		l.Text("IKE or ESP in TCP (RFC 9329)").End()
	}
	t.show(2)
}

func (t *tree) ipsec(p *packet.Packet) {
	l := &t.lines
	name := "Encapsulating Security Payload"
	if p.Kind == packet.AH {
		name = "Authentication Header"
	}
	l.Text(name)
	switch {
	case p.UDPEncap:
		l.Text(" in UDP")
	case p.InAH:
		l.Text(" behind an Authentication Header")
	}
	l.End()
	t.show(1)
	l.Text("SPI: 0x").Hex32(p.SPI).End()
	l.Text("Sequence number: ").Int(int(p.Seq)).End()
	l.Text("Length: ").Int(len(p.Payload)).End()
	t.show(2)
}

func (t *tree) icmp(e *packet.ICMPError) {
	l := &t.lines
	l.Text("ICMP error: ").Text(icmpName(e)).Text(" (type ").Int(int(e.Type)).Text(", code ").Int(int(e.Code)).Text(
		")").End()
	t.show(1)
	if e.MTU > 0 {
		l.Text("Next-hop MTU: ").Int(e.MTU).End()
	}
	if e.Src.IsValid() {
		to := t.names.name(e.Dst)
		if e.DstLen > 0 {
			to = e.To() + ", cut"
		}
		l.Text("About: ").Text(protocolName(e.Proto)).Text(" ").Text(t.names.name(e.Src)).Text(" -> ").Text(to).End()
	}
	t.show(2)
	if !e.Src.IsValid() {
		return
	}
	if e.SrcPort != 0 || e.DstPort != 0 {
		l.Text("Port: ").Int(int(e.SrcPort)).Text(" -> ").Int(int(e.DstPort)).End()
	}
	if h, err := ike.ParseHeader(e.Payload); err == nil && (e.DstPort == 500 || e.DstPort == 4500) &&
		(h.Major() == 1 || h.Major() == 2) {
		l.Add("IKE SPIs: %s, %s; message ID %d", h.SPIi, h.SPIr, h.MessageID)
	}
	t.show(3)
}

// message shows an IKE message; depth is that of its head.
func (t *tree) message(d *decodedPacket, depth int) {
	l := &t.lines
	if d.msg == nil {
		l.Text("Internet Key Exchange: no message can be read in ").Int(len(d.p.Payload)).Text(" bytes").End()
		t.show(depth)
		l.Text("[Malformed: ").Text(d.reason).Text("]").End()
		t.show(depth + 1)
		return
	}
	m := d.msg
	l.Text("Internet Key Exchange version ").Int(m.Major()).Text(".").Int(int(m.Version & 15)).Text(", ").Info(
		m.Header).End()
	t.show(depth)
	t.header(m, depth+1)
	places := appendPlaces(t.parts[:0], d.p.Payload)
	t.parts = nil // a message within this one takes its own
	for i, p := range m.Payloads {
		t.payloadHead(m, p)
		if i < len(places) {
			l.Text(", ").Int(places[i].length).Text(" bytes at ").Int(places[i].offset)
		}
		l.End()
		t.show(depth + 1)
		t.payload(m, p, depth+2)
		t.around(d, p, depth+2)
	}
	t.parts = places
	if len(m.Trailing) > 0 {
		l.Text("Behind the message: ").Int(len(m.Trailing)).Text(" bytes").End()
	}
	for _, f := range d.faults() {
		l.Text("[Malformed: byte ").Int(f.Offset).Text(": ").Text(f.Reason).Text("]").End()
	}
	t.show(depth + 1)
}

func (t *tree) header(m *ike.Message, depth int) {
	l := &t.lines
	l.Text("Initiator SPI: ").SPI(m.SPIi).End()
	l.Text("Responder SPI: ").SPI(m.SPIr).End()
	l.Text("Next payload: ").Text(ike.PayloadName(m.Major(), m.NextPayload)).Text(" (").Int(int(m.NextPayload)).Text(
		")").End()
	l.Text("Exchange: ").Text(m.Exchange.String()).Text(" (").Int(int(m.Exchange)).Text(")").End()
	l.Text("Flags: 0x").Hex([]byte{byte(m.Flags)})
	flagNames(l, m.Header)
	l.End()
	l.Text("Message ID: ").Int(int(m.MessageID)).Text(" (0x").Hex32(m.MessageID).Text(")").End()
	l.Text("Length: ").Int(int(m.Length)).End()
	t.show(depth)
}

func (t *tree) payloadHead(m *ike.Message, p ike.Payload) {
	t.lines.Text("Payload: ").Text(payloadName(m, p)).Text(" (").Int(int(p.Type())).Text(")")
}

// payload shows what a payload says itself.
func (t *tree) payload(m *ike.Message, p ike.Payload, depth int) {
	if critical(m, p) {
		t.lines.Text("Critical").End()
	}
	if sa, ok := p.(*ike.SA); ok {
		t.proposals(sa, depth)
	} else if d, ok := p.(ike.Described); ok {
		d.Details(&t.lines)
	}
	t.show(depth)
}

func (t *tree) proposals(sa *ike.SA, depth int) {
	l := &t.lines
	for _, p := range sa.Proposals {
		l.Text("Proposal ").Int(int(p.Number)).Text(", protocol ").Text(p.Protocol.String()).Text(" (").Int(
			int(p.Protocol)).Text("), ")
		l.Int(len(p.Transforms)).Text(" transforms").End()
		t.show(depth)
		if len(p.SPI) > 0 {
			l.Text("SPI: ").Hex(p.SPI).End()
		}
		for _, x := range p.Transforms {
			l.Text("Transform ").Text(x.Type.String()).Text(" (").Int(int(x.Type)).Text("): ")
			l.Text(ike.TransformName(x.Type, x.ID)).Text(" (").Int(int(x.ID)).Text(")")
			if bits := x.KeyBits(); bits > 0 {
				l.Text(", key length ").Int(bits)
			}
			l.End()
		}
		t.show(depth + 1)
	}
}

// around shows what is known of a payload beside its own words: observations, what the keys opened,
// what fragments make.
func (t *tree) around(d *decodedPacket, p ike.Payload, depth int) {
	l := &t.lines
	for i := range d.observed {
		if d.observed[i].payload == p {
			d.observed[i].lines(l)
		}
	}
	t.show(depth)
	if isEncrypted(p) && d.inner != nil {
		t.opened(d.msg, d.inner, depth)
	}
	if d.whole != nil {
		l.Text("[Completes the message of frames ").Text(intList(d.whole.p.Fragments)).Text(": ").Int(
			len(d.whole.p.Payload)).Text(" bytes]").End()
		t.show(depth)
		t.message(d.whole, depth+1)
	}
}

func (t *tree) opened(m *ike.Message, d *decrypted, depth int) {
	l := &t.lines
	if d.opened == nil {
		l.Text("[").Text(d.note).Text("]").End()
		t.show(depth)
		return
	}
	l.Text("Decrypted: ").Int(len(d.opened.Plaintext)).Text(" bytes, ").Int(d.opened.Padding).Text(" of padding").End()
	t.show(depth)
	for _, p := range d.opened.Payloads {
		t.payloadHead(m, p)
		l.End()
		t.show(depth + 1)
		t.payload(m, p, depth+2)
	}
}

// lineOfTree is the colour of a line: its heads, the names of payloads, and what
// moncap remarks itself.
func lineOfTree(line []byte, depth int) string {
	switch {
	case bytes.HasPrefix(line, []byte("[Malformed")):
		return colorError
	case bytes.HasPrefix(line, []byte("[")):
		return colorNotice
	case depth == 1:
		return colorHead
	case bytes.HasPrefix(line, []byte("Payload: ")):
		return colorName
	}
	return ""
}
