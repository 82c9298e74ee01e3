package ike

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// Described is what the payloads of this package can say about themselves.
type Described interface {
	Payload
	// Details writes the payload's contents in lines of text.
	Details(*Lines)
	// Fields writes the payload's contents by name, in alphabetical order.
	Fields(*Object)
}

func short(b []byte) string { return string(appendShort(nil, b)) }

// appendShort appends bytes in hex digits, at most the first 32.
func appendShort(dst, b []byte) []byte {
	const most = 32
	if len(b) <= most {
		return appendHex(dst, b)
	}
	dst = append(appendHex(dst, b[:most]), "... ("...)
	return append(strconv.AppendInt(dst, int64(len(b)), 10), " bytes)"...)
}

// appendHex is hex.AppendEncode, four bytes at a time: half of what a message is shown
// as are hex digits.
func appendHex(dst, b []byte) []byte {
	for len(b) >= 4 {
		dst = binary.BigEndian.AppendUint64(dst, hexDigits(binary.BigEndian.Uint32(b)))
		b = b[4:]
	}
	return hex.AppendEncode(dst, b)
}

// hexDigits are the eight digits of n, each computed in a byte of its own.
func hexDigits(n uint32) uint64 {
	x := uint64(n)
	x = (x | x<<16) & 0x0000ffff0000ffff
	x = (x | x<<8) & 0x00ff00ff00ff00ff
	x = (x | x<<4) & 0x0f0f0f0f0f0f0f0f // a digit's value a byte
	const ones = 0x0101010101010101
	letters := (x + 6*ones) >> 4 & ones // 1 where it is more than 9
	return x + '0'*ones + letters*('a'-'0'-10)
}

// Details of an unknown payload are its bytes.
func (u *Unknown) Details(l *Lines) { l.Text("data: ").Short(u.Data).End() }

// Fields of an unknown payload are its bytes.
func (u *Unknown) Fields(o *Object) { o.Hex("data", u.Data) }

// Details lists the proposals, a line each.
func (s *SA) Details(l *Lines) {
	for _, p := range s.Proposals {
		l.Text(p.String()).End()
	}
}

// Fields writes the proposals.
func (s *SA) Fields(o *Object) {
	o.List("proposals")
	for _, p := range s.Proposals {
		o.Open()
		p.fields(o)
		o.Close()
	}
	o.EndList()
}

func (p Proposal) fields(o *Object) {
	proposalFields(o, p.Number, p.Protocol, p.SPI)
	transformFields(o, p.Transforms)
}

func transformFields(o *Object, all []Transform) {
	o.List("transforms")
	for _, t := range all {
		o.Open()
		o.Int("id", int(t.ID))
		if bits := t.KeyBits(); bits > 0 {
			o.Int("key_bits", bits)
		}
		o.String("name", TransformName(t.Type, t.ID))
		o.Int("type", int(t.Type))
		o.String("type_name", t.Type.String())
		o.Close()
	}
	o.EndList()
}

// proposalFields are those that proposals of both versions have.
func proposalFields(o *Object, number uint8, p Protocol, spi []byte) {
	o.Int("number", int(number))
	o.Int("protocol", int(p))
	o.String("protocol_name", p.String())
	if len(spi) > 0 {
		o.Hex("spi", spi)
	}
}

// Details names the method.
func (k *KE) Details(l *Lines) {
	l.Text("method ").Int(int(k.Method)).Text(" (").Text(TransformName(TransformKE,
		k.Method)).Text("), ").Int(len(k.Data)).Text(" bytes").End()
}

// Fields writes method and data.
func (k *KE) Fields(o *Object) {
	o.Hex("data", k.Data)
	o.Int("group", int(k.Method))
	o.String("group_name", TransformName(TransformKE, k.Method))
}

// Details shows the nonce.
func (n *Nonce) Details(l *Lines) { l.Text("nonce: ").Short(n.Data).End() }

// Fields writes the nonce.
func (n *Nonce) Fields(o *Object) { o.Hex("data", n.Data) }

// Details shows the identity.
func (i *ID) Details(l *Lines) { l.Text(IDType(i.Kind)).Text(": ").Text(i.Value()).End() }

// Fields writes the identity.
func (i *ID) Fields(o *Object) { identityFields(o, i.Kind, i.Value(), i.Data) }

func identityFields(o *Object, kind uint8, value string, b []byte) {
	o.Hex("data", b)
	o.Int("id_type", int(kind))
	o.String("id_type_name", IDType(kind))
	o.String("identity", value)
}

// Details names the encoding and what the certificate says.
func (c *Cert) Details(l *Lines) { certLines(l, c.Encoding, c.Data) }

func certLines(l *Lines, encoding uint8, b []byte) {
	l.Text(CertEncoding(encoding)).Text(", ").Int(len(b)).Text(" bytes").End()
	for _, line := range certificate(encoding, b) {
		l.Text(line).End()
	}
}

// Fields writes encoding, data and what the certificate says.
func (c *Cert) Fields(o *Object) { certFields(o, c.Encoding, c.Data) }

// Authorities returns the SHA-1 hashes of the trusted CAs' public keys (RFC 7296, Section 3.7),
// where the encoding has them.
func (c *CertReq) Authorities() [][]byte {
	if c.Encoding != 4 || len(c.Data)%20 != 0 {
		return nil
	}
	all := make([][]byte, 0, len(c.Data)/20)
	for b := c.Data; len(b) > 0; b = b[20:] {
		all = append(all, b[:20])
	}
	return all
}

// Details lists the authorities.
func (c *CertReq) Details(l *Lines) {
	l.Text(CertEncoding(c.Encoding)).End()
	for _, h := range c.Authorities() {
		l.Text("authority ").Hex(h).End()
	}
}

// Fields writes authorities, encoding and data.
func (c *CertReq) Fields(o *Object) {
	if all := c.Authorities(); len(all) > 0 {
		o.Hexes("authorities", all)
	}
	certFields(o, c.Encoding, c.Data)
}

// Details names the method.
func (a *Auth) Details(l *Lines) {
	if id, signature := a.Algorithm(); id != nil {
		l.Add("%s: %s, signature of %d bytes", AuthMethod(a.Method), algorithmName(id), len(signature))
		return
	}
	l.Text(AuthMethod(a.Method)).Text(", ").Int(len(a.Data)).Text(" bytes").End()
}

// Fields writes method and data.
func (a *Auth) Fields(o *Object) {
	if id, _ := a.Algorithm(); id != nil {
		o.Hex("algorithm", id)
		o.String("algorithm_name", algorithmName(id))
	}
	o.Hex("data", a.Data)
	o.Int("method", int(a.Method))
	o.String("method_name", AuthMethod(a.Method))
}

// Details names the notification and what its data say.
func (n *Notify) Details(l *Lines) {
	l.Text(n.Number.String()).Text(" (").Int(int(n.Number)).Text(")")
	if n.Protocol != 0 {
		l.Text(" ").Text(n.Protocol.String())
	}
	if m, ok := n.meaning(); ok {
		notifyTail(l, n.SPI, m.text)
		return
	}
	notifySPI(l, n.SPI)
	l.Text(": ").Short(n.Data).End()
}

func notifySPI(l *Lines, spi []byte) {
	if len(spi) > 0 {
		l.Text(" SPI ").Hex(spi)
	}
}

func notifyTail(l *Lines, spi []byte, text string) {
	notifySPI(l, spi)
	if text != "" {
		l.Text(": ").Text(text)
	}
	l.End()
}

// Fields writes the notification, and what its data mean by name.
func (n *Notify) Fields(o *Object) {
	m, ok := n.meaning()
	for name, v := range m.fields {
		o.besideValue(name, appendValue(o.values, v))
	}
	o.Hex("data", n.Data)
	o.String("notify_name", n.Number.String())
	o.Int("notify_type", int(n.Number))
	o.Int("protocol", int(n.Protocol))
	if len(n.SPI) > 0 {
		o.Hex("spi", n.SPI)
	}
	switch {
	case !ok:
		o.Short("value", n.Data)
	case m.text != "":
		o.String("value", m.text)
	}
}

// appendValue appends what a reader of notification data found: text, a number or a list of texts.
func appendValue(dst []byte, v any) []byte {
	switch v := v.(type) {
	case string:
		return AppendQuoted(dst, v)
	case []string:
		dst = append(dst, '[')
		for i, s := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = AppendQuoted(dst, s)
		}
		return append(dst, ']')
	}
	return fmt.Append(dst, v)
}

func spiList(spis [][]byte) []string {
	all := []string{}
	for _, s := range spis {
		all = append(all, hex.EncodeToString(s))
	}
	return all
}

func deleteLine(l *Lines, p Protocol, spis [][]byte) {
	l.Text(p.String())
	if len(spis) == 0 {
		l.Text(" SA").End()
		return
	}
	l.Text(" SPI ").Text(strings.Join(spiList(spis), ", ")).End()
}

// Details lists what is deleted.
func (d *Delete) Details(l *Lines) { deleteLine(l, d.Protocol, d.SPIs) }

// Fields writes protocol and SPIs.
func (d *Delete) Fields(o *Object) { deleteFields(o, d.Protocol, d.SPIs) }

func deleteFields(o *Object, p Protocol, spis [][]byte) {
	o.Int("protocol", int(p))
	o.String("protocol_name", p.String())
	o.Hexes("spis", spis)
}

func vendorFields(o *Object, id []byte) {
	o.Hex("data", id)
	if n, ok := VendorName(id); ok {
		o.String("vendor", n)
	} else if isText(id) {
		o.String("vendor", string(id))
	}
	o.Hex("vendor_id", id)
}

// Details names the vendor.
func (v *VendorID) Details(l *Lines) { l.Text(v.Name()).End() }

// Fields writes the ID and its name.
func (v *VendorID) Fields(o *Object) { vendorFields(o, v.Data) }

// Details lists the selectors.
func (t *TS) Details(l *Lines) {
	for _, s := range t.Selectors {
		l.Text(s.String()).End()
	}
}

// Fields writes the selectors.
func (t *TS) Fields(o *Object) {
	o.List("selectors")
	for _, s := range t.Selectors {
		o.Open()
		s.fields(o)
		o.Close()
	}
	o.EndList()
}

func (s Selector) fields(o *Object) {
	if s.Start.IsValid() {
		o.String("end", s.End.String())
		o.Int("end_port", int(s.EndPort))
	} else {
		o.Hex("data", s.Raw)
	}
	o.Int("protocol", int(s.Protocol))
	if s.Start.IsValid() {
		o.String("start", s.Start.String())
		o.Int("start_port", int(s.StartPort))
	}
	o.Int("ts_type", int(s.Kind))
	o.String("ts_type_name", SelectorType(s.Kind))
}

// Details says what can be seen from outside.
func (e *Encrypted) Details(l *Lines) {
	l.Text("encrypted, ").Int(len(e.Data)).Text(" bytes, first payload inside: ").Text(PayloadName(2, e.First))
	if e.Number == PayloadSKF {
		l.Text(", fragment ").Int(int(e.Part)).Text(" of ").Int(int(e.Parts))
	}
	l.End()
}

// Fields writes what can be seen from outside.
func (e *Encrypted) Fields(o *Object) {
	o.Bool("encrypted", true)
	o.Int("first_inner", int(e.First))
	o.String("first_inner_name", PayloadName(2, e.First))
	if e.Number == PayloadSKF {
		o.Int("fragment", int(e.Part))
	}
	o.Int("length", len(e.Data))
	if e.Number == PayloadSKF {
		o.Int("total", int(e.Parts))
	}
}

// Details lists the attributes.
func (c *CP) Details(l *Lines) {
	l.Text(ConfigType(c.Kind)).End()
	for _, a := range c.Attributes {
		l.Text(ConfigAttributeName(a.Type))
		if v := a.Value(); v != "" {
			l.Text("=").Text(v)
		}
		l.End()
	}
}

// Fields writes the attributes.
func (c *CP) Fields(o *Object) {
	o.List("attributes")
	for _, a := range c.Attributes {
		o.Open()
		o.Hex("data", a.Data)
		o.String("name", ConfigAttributeName(a.Type))
		o.Int("type", int(a.Type&0x7fff))
		if v := a.Value(); v != "" {
			o.String("value", v)
		}
		o.Close()
	}
	o.EndList()
	o.Int("cfg_type", int(c.Kind))
	o.String("cfg_type_name", ConfigType(c.Kind))
}

// Details names code and method.
func (e *EAP) Details(l *Lines) {
	l.Text(EAPCode(e.Code)).Text(", identifier ").Int(int(e.Identifier))
	if len(e.Data) > 0 {
		l.Text(", ").Text(EAPType(e.Data[0]))
	}
	l.End()
}

// Fields writes code and method.
func (e *EAP) Fields(o *Object) {
	o.Int("code", int(e.Code))
	o.String("code_name", EAPCode(e.Code))
	if len(e.Data) > 0 {
		o.Int("eap_type", int(e.Data[0]))
		o.String("eap_type_name", EAPType(e.Data[0]))
	}
	o.Int("identifier", int(e.Identifier))
}
