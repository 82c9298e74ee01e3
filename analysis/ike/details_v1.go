package ike

import (
	"fmt"
	"strings"
)

// Details says what can be seen from outside.
func (c *Ciphertext) Details(l *Lines) {
	l.Text("encrypted, ").Int(len(c.Data)).Text(" bytes, first payload inside: ").Text(PayloadName(1, c.First)).End()
}

// Fields writes what can be seen from outside.
func (c *Ciphertext) Fields(o *Object) {
	o.Bool("encrypted", true)
	o.Int("first_inner", int(c.First))
	o.String("first_inner_name", PayloadName(1, c.First))
	o.Int("length", len(c.Data))
}

// Details lists proposals and transforms.
func (s *SAv1) Details(l *Lines) {
	for _, p := range s.Proposals {
		l.Text("proposal ").Int(int(p.Number)).Text(" ").Text(p.Protocol.String())
		notifyTail(l, p.SPI, "")
		for _, t := range p.Transforms {
			l.Text("  ").Text(t.describe(p.Protocol)).End()
		}
	}
}

// Fields writes proposals and transforms.
func (s *SAv1) Fields(o *Object) {
	o.Uint("doi", uint64(s.DOI))
	o.List("proposals")
	for _, p := range s.Proposals {
		o.Open()
		proposalFields(o, p.Number, p.Protocol, p.SPI)
		o.List("transforms")
		for _, t := range p.Transforms {
			o.Open()
			t.fields(o, p.Protocol)
			o.Close()
		}
		o.EndList()
		o.Close()
	}
	o.EndList()
	o.Uint("situation", uint64(s.Situation))
}

func (t TransformV1) fields(o *Object, p Protocol) {
	o.List("attributes")
	for _, a := range t.Attributes {
		name, value := V1AttributeText(p, a)
		o.Open()
		o.String("name", name)
		o.Int("type", int(a.Type))
		if n, ok := a.Number(); ok {
			o.Uint("value", n)
		}
		o.String("value_name", value)
		o.Close()
	}
	o.EndList()
	o.Int("id", int(t.ID))
	o.String("name", v1TransformID(p, t.ID))
	o.Int("number", int(t.Number))
}

// Details shows the bytes.
func (v *BytesV1) Details(l *Lines) { l.Text("data: ").Short(v.Data).End() }

// Fields writes the bytes.
func (v *BytesV1) Fields(o *Object) { o.Hex("data", v.Data) }

// Details names the vendor.
func (v *VendorIDv1) Details(l *Lines) { l.Text(v.Name()).End() }

// Fields writes the ID and its name.
func (v *VendorIDv1) Fields(o *Object) { vendorFields(o, v.Data) }

// Details shows the identity.
func (i *IDv1) Details(l *Lines) {
	l.Text(IDType(i.Kind)).Text(": ").Text(i.Value())
	if i.Protocol != 0 || i.Port != 0 {
		l.Text(", protocol ").Int(int(i.Protocol)).Text(", port ").Int(int(i.Port))
	}
	l.End()
}

// Fields writes the identity.
func (i *IDv1) Fields(o *Object) {
	identityFields(o, i.Kind, i.Value(), i.Data)
	o.Int("port", int(i.Port))
	o.Int("protocol", int(i.Protocol))
}

// Details names the encoding and the size.
func (c *CertV1) Details(l *Lines) {
	certLines(l, c.Encoding, c.Data)
	if name, ok := distinguishedName(c.Data); ok {
		l.Text("authority ").Text(name).End() // of a request (RFC 2408, Section 3.10)
	}
}

// Fields writes encoding and data.
func (c *CertV1) Fields(o *Object) {
	if name, ok := distinguishedName(c.Data); ok {
		o.String("authority", name)
	}
	certFields(o, c.Encoding, c.Data)
}

// Details names the notification.
func (n *NotifyV1) Details(l *Lines) {
	l.Text(NotifyNameV1(n.Number)).Text(" (").Int(int(n.Number)).Text(") ").Text(n.Protocol.String())
	notifyTail(l, n.SPI, n.DataText())
}

// Fields writes the notification.
func (n *NotifyV1) Fields(o *Object) {
	o.Hex("data", n.Data)
	o.Uint("doi", uint64(n.DOI))
	o.String("notify_name", NotifyNameV1(n.Number))
	o.Int("notify_type", int(n.Number))
	o.Int("protocol", int(n.Protocol))
	if len(n.SPI) > 0 {
		o.Hex("spi", n.SPI)
	}
	if text := n.DataText(); text != "" {
		o.String("value", text)
	}
}

// Details lists what is deleted.
func (d *DeleteV1) Details(l *Lines) { deleteLine(l, d.Protocol, d.SPIs) }

// Fields writes protocol and SPIs.
func (d *DeleteV1) Fields(o *Object) {
	o.Uint("doi", uint64(d.DOI))
	deleteFields(o, d.Protocol, d.SPIs)
}

// secretAttribute says whether an attribute carries what nobody should print.
func secretAttribute(n uint16) bool { return n == 16522 || n == 16523 || n == 16529 }

func modeAttribute(a Attribute) (name, value string) {
	name = nameOr(modeConfigNames[a.Type], "attribute", a.Type)
	switch {
	case a.Short:
		return name, xauthValue(a)
	case secretAttribute(a.Type) && len(a.Data) > 0:
		return name, "***"
	}
	return name, ConfigAttribute{a.Type, a.Data}.Value()
}

// xauthValue names a short value (draft-beaulieu-ike-xauth, Section 6).
func xauthValue(a Attribute) string {
	switch a.Type {
	case 16520:
		return nameOr(map[uint16]string{0: "generic", 1: "RADIUS-CHAP", 2: "OTP", 3: "S/KEY"}[a.Value], "type", a.Value)
	case 16527:
		return map[bool]string{true: "OK", false: "FAIL"}[a.Value == 1]
	}
	return fmt.Sprint(a.Value)
}

// Details lists the attributes; passwords show as ***.
func (a *Attributes) Details(l *Lines) {
	l.Text(ConfigType(a.Kind)).End()
	for _, x := range a.List {
		name, value := modeAttribute(x)
		l.Text(strings.TrimSuffix(name+"="+value, "=")).End()
	}
}

// Fields writes the attributes; passwords show as ***.
func (a *Attributes) Fields(o *Object) {
	o.List("attributes")
	for _, x := range a.List {
		name, value := modeAttribute(x)
		o.Open()
		o.String("name", name)
		o.Int("type", int(x.Type))
		o.String("value", value)
		o.Close()
	}
	o.EndList()
	o.Int("cfg_type", int(a.Kind))
	o.String("cfg_type_name", ConfigType(a.Kind))
	o.Int("identifier", int(a.Identifier))
}

// Details shows the address.
func (n *NATOA) Details(l *Lines) {
	l.Text(IDType(n.Kind)).Text(": ").Text(identity(n.Kind, n.Data)).End()
}

// Fields writes the address.
func (n *NATOA) Fields(o *Object) {
	o.String("address", identity(n.Kind, n.Data))
	o.Int("id_type", int(n.Kind))
}

// Details says which fragment it is.
func (f *Frag) Details(l *Lines) {
	l.Text("fragment ").Int(int(f.Part)).Text(" of packet ").Int(int(f.ID)).Text(", ").Int(len(f.Data)).Text(" bytes")
	if f.Last {
		l.Text(", the last")
	}
	l.End()
}

// Fields says which fragment it is.
func (f *Frag) Fields(o *Object) {
	o.Int("fragment", int(f.Part))
	o.Bool("last", f.Last)
	o.Int("length", len(f.Data))
	o.Int("packet", int(f.ID))
}
