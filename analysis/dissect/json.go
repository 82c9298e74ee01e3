package dissect

import (
	"bufio"
	"bytes"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/packet"
)

// jsonView prints an object a packet: on a line each, or as the elements of one array. Objects are
// appended to a buffer that is used again.
type jsonView struct {
	w     *bufio.Writer
	array bool
	shown int
	o     ike.Object
	info  []byte
	names addressNames
	times timeText
}

const jsonTime = "2006-01-02T15:04:05.000000000Z07:00"

func (j *jsonView) show(d *decodedPacket) error {
	b := j.o.Buf[:0]
	if j.array {
		b = append(b, ",\n"...)
		if j.shown == 0 {
			b[0] = '['
		}
	}
	j.shown++
	j.o.Buf = append(b, '{')
	j.packet(d)
	j.o.Close()
	if !j.array {
		j.o.Buf = append(j.o.Buf, '\n')
	}
	_, err := j.w.Write(j.o.Buf)
	return err
}

func (j *jsonView) end() error {
	if !j.array {
		return nil
	}
	text := "\n]\n"
	if j.shown == 0 {
		text = "[]\n"
	}
	_, err := j.w.WriteString(text)
	return err
}

// packet writes the members of a packet's object; what is zero or false is left out.
func (j *jsonView) packet(d *decodedPacket) {
	o, p := &j.o, d.p
	o.Int("frame", p.Frame)
	o.Name("time")
	o.Buf = append(j.times.append(append(o.Buf, '"'), p.Time()), '"')
	j.number("interface", p.Interface)
	if p.Src.IsValid() {
		o.String("src", j.names.name(p.Src))
		o.String("dst", j.names.name(p.Dst))
	}
	j.number("sport", int(p.SrcPort))
	j.number("dport", int(p.DstPort))
	o.Int("length", p.WireLen) // of the frame on the wire
	if p.CapLen != p.WireLen {
		j.number("captured", p.CapLen)
	}
	o.String("protocol", d.protocol())
	j.info = appendInfo(j.info[:0], d)
	o.Name("info")
	o.Buf = appendText(o.Buf, j.info)
	j.number("ttl", int(p.TTL))
	j.number("dscp", int(p.DSCP))
	j.number("ip_id", int(p.IPID))
	j.flag("truncated", p.Truncated)
	j.flag("checksum_wrong", !p.ChecksumOK)
	j.flag("non_esp_marker", p.Marker)
	j.flag("tcp_encapsulated", p.TCPEncap)
	j.text("carried_in", p.Wrapping)
	j.text("not_read", p.Unread)
	if p.IsFragment {
		o.Name("fragment")
		o.Open()
		o.Int("offset", p.FragOffset)
		o.Bool("more", p.MoreFrags)
		o.Close()
	}
	if len(p.Fragments) > 0 {
		o.Name("fragments")
		o.Buf = appendInts(o.Buf, p.Fragments)
	}
	switch p.Kind {
	case packet.IKE:
		o.Name("ike")
		appendMessage(o, d)
	case packet.ESP, packet.AH:
		j.ipsec(p)
	case packet.ICMP:
		j.icmp(p.Error)
	}
	if d.group != nil {
		o.Name("group_keys")
		appendMessage(o, &decodedPacket{p: p, msg: d.group})
	}
}

func (j *jsonView) number(name string, n int) {
	if n != 0 {
		j.o.Int(name, n)
	}
}

func (j *jsonView) flag(name string, yes bool) {
	if yes {
		j.o.Bool(name, true)
	}
}

func (j *jsonView) text(name, s string) {
	if s != "" {
		j.o.Name(name)
		j.o.Buf = appendText(j.o.Buf, []byte(s))
	}
}

// appendText appends text as encoding/json does, with <, > and & escaped.
func appendText(dst, s []byte) []byte {
	if bytes.ContainsAny(s, "<>&") {
		return ike.AppendEscaped(dst, string(s))
	}
	return ike.AppendQuoted(dst, s)
}

func (j *jsonView) ipsec(p *packet.Packet) {
	o := &j.o
	name := "esp"
	if p.Kind == packet.AH {
		name = "ah"
	}
	o.Name(name)
	o.Open()
	o.Name("spi")
	o.Buf = append(appendHex32(append(o.Buf, `"0x`...), p.SPI), '"')
	o.Uint("seq", uint64(p.Seq))
	if p.Kind == packet.ESP {
		o.Bool("udp_encapsulated", p.UDPEncap)
	}
	o.Close()
}

// icmp writes an error: addresses and all below are those of the packet that it quotes.
func (j *jsonView) icmp(e *packet.ICMPError) {
	o := &j.o
	o.Name("icmp")
	o.Open()
	o.Int("type", int(e.Type))
	o.Int("code", int(e.Code))
	j.number("mtu", e.MTU)
	if e.Src.IsValid() {
		o.String("src", j.names.name(e.Src))
		o.String("dst", j.names.name(e.Dst))
	}
	j.number("sport", int(e.SrcPort))
	j.number("dport", int(e.DstPort))
	j.number("protocol", int(e.Proto))
	j.number("ip_id", int(e.IPID))
	o.Close()
}

// appendMessage writes an IKE message: its header by name, then its payloads.
func appendMessage(o *ike.Object, d *decodedPacket) {
	h, _ := ike.ParseHeader(d.p.Payload) // of another version, or nothing, where there is no message
	if d.msg != nil {
		h = d.msg.Header
	}
	o.Open()
	o.Name("version")
	o.Buf = append(appendInt(append(o.Buf, '"'), int(h.Version>>4)), '.')
	o.Buf = append(appendInt(o.Buf, int(h.Version&15)), '"')
	o.Name("spi_i")
	o.Buf = append(appendSPI(append(o.Buf, '"'), h.SPIi), '"')
	o.Name("spi_r")
	o.Buf = append(appendSPI(append(o.Buf, '"'), h.SPIr), '"')
	o.Int("exchange", int(h.Exchange))
	o.String("exchange_name", h.Exchange.String())
	o.Int("flags", int(h.Flags))
	o.Uint("message_id", uint64(h.MessageID))
	o.Uint("length", uint64(h.Length))
	o.Name("payloads")
	o.Buf = append(o.Buf, '[')
	if d.msg != nil {
		for _, p := range d.msg.Payloads {
			d.beside(o, p)
			appendPayload(o, d.msg, p)
		}
	}
	o.Buf = append(o.Buf, ']')
	if faults := d.faults(); len(faults) > 0 {
		o.List("malformed")
		for _, f := range faults {
			o.Open()
			o.Int("offset", f.Offset)
			o.String("reason", f.Reason)
			o.Close()
		}
		o.EndList()
	}
	o.Close()
}

// appendPayload writes a payload: type and name, then its own fields and those beside in
// alphabetical order.
func appendPayload(o *ike.Object, m *ike.Message, p ike.Payload) {
	if critical(m, p) {
		o.Beside(ike.Member{Name: "critical", JSON: []byte("true")})
	}
	o.Begin()
	o.Int("type", int(p.Type()))
	o.String("name", payloadName(m, p))
	o.Sort()
	if d, ok := p.(ike.Described); ok {
		d.Fields(o)
	}
	o.Flush()
	o.Close()
}

// beside is what is known of a payload beside its own words: what was observed, what the keys
// opened, what fragments of IKEv1 make.
func (d *decodedPacket) beside(o *ike.Object, p ike.Payload) {
	for i := range d.observed {
		if d.observed[i].payload == p {
			d.observed[i].members(o)
		}
	}
	if isEncrypted(p) && d.inner != nil {
		d.inner.members(o, d.msg)
	}
	if d.whole != nil {
		var message ike.Object
		appendMessage(&message, d.whole)
		o.Beside(ike.Member{Name: "message", JSON: message.Buf},
			ike.Member{Name: "fragments", JSON: appendInts(nil, d.whole.p.Fragments)})
	}
}
