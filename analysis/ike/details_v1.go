package ike

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// Details says what can be seen from outside.
func (c *Ciphertext) Details() []string {
	return []string{fmt.Sprintf("encrypted, %d bytes, first payload inside: %s", len(c.Data), PayloadName(1, c.First))}
}

// Fields holds what can be seen from outside.
func (c *Ciphertext) Fields() map[string]any {
	return map[string]any{"encrypted": true, "first_inner": int(c.First), "first_inner_name": PayloadName(1, c.First), "length": len(c.Data)}
}

// Details lists proposals and transforms.
func (s *SAv1) Details() []string {
	var lines []string
	for _, p := range s.Proposals {
		line := fmt.Sprintf("proposal %d %s", p.Number, p.Protocol)
		if len(p.SPI) > 0 {
			line += fmt.Sprintf(" SPI %x", p.SPI)
		}
		lines = append(lines, line)
		for _, t := range p.Transforms {
			lines = append(lines, "  "+t.describe(p.Protocol))
		}
	}
	return lines
}

// Fields holds proposals and transforms.
func (s *SAv1) Fields() map[string]any {
	proposals := []map[string]any{}
	for _, p := range s.Proposals {
		transforms := []map[string]any{}
		for _, t := range p.Transforms {
			attributes := []map[string]any{}
			for _, a := range t.Attributes {
				name, value := V1AttributeText(p.Protocol, a)
				f := map[string]any{"type": int(a.Type), "name": name, "value_name": value}
				if n, ok := a.Number(); ok {
					f["value"] = n
				}
				attributes = append(attributes, f)
			}
			transforms = append(transforms, map[string]any{"number": int(t.Number), "id": int(t.ID), "name": v1TransformID(p.Protocol, t.ID), "attributes": attributes})
		}
		f := map[string]any{"number": int(p.Number), "protocol": int(p.Protocol), "protocol_name": p.Protocol.String(), "transforms": transforms}
		if len(p.SPI) > 0 {
			f["spi"] = hex.EncodeToString(p.SPI)
		}
		proposals = append(proposals, f)
	}
	return map[string]any{"doi": s.DOI, "situation": s.Situation, "proposals": proposals}
}

// Details shows the bytes.
func (v *BytesV1) Details() []string { return bytesLine("data", v.Data) }

// Fields holds the bytes.
func (v *BytesV1) Fields() map[string]any { return map[string]any{"data": hex.EncodeToString(v.Data)} }

// Details names the vendor.
func (v *VendorIDv1) Details() []string { return []string{v.Name()} }

// Fields holds the ID and its name.
func (v *VendorIDv1) Fields() map[string]any { return vendorFields(v.Data) }

// Details shows the identity.
func (i *IDv1) Details() []string {
	line := IDType(i.Kind) + ": " + i.Value()
	if i.Protocol != 0 || i.Port != 0 {
		line += fmt.Sprintf(", protocol %d, port %d", i.Protocol, i.Port)
	}
	return []string{line}
}

// Fields holds the identity.
func (i *IDv1) Fields() map[string]any {
	return map[string]any{"id_type": int(i.Kind), "id_type_name": IDType(i.Kind), "identity": i.Value(), "protocol": int(i.Protocol),
		"port": int(i.Port), "data": hex.EncodeToString(i.Data)}
}

// Details names the encoding and the size.
func (c *CertV1) Details() []string {
	lines := certLines(c.Encoding, c.Data)
	if name, ok := distinguishedName(c.Data); ok {
		lines = append(lines, "authority "+name) // of a request (RFC 2408, Section 3.10)
	}
	return lines
}

// Fields holds encoding and data.
func (c *CertV1) Fields() map[string]any {
	f := certFields(c.Encoding, c.Data)
	if name, ok := distinguishedName(c.Data); ok {
		f["authority"] = name
	}
	return f
}

// Details names the notification.
func (n *NotifyV1) Details() []string {
	line := fmt.Sprintf("%s (%d) %s", NotifyNameV1(n.Number), n.Number, n.Protocol)
	if len(n.SPI) > 0 {
		line += fmt.Sprintf(" SPI %x", n.SPI)
	}
	if text := n.DataText(); text != "" {
		line += ": " + text
	}
	return []string{line}
}

// Fields holds the notification.
func (n *NotifyV1) Fields() map[string]any {
	f := map[string]any{"notify_type": int(n.Number), "notify_name": NotifyNameV1(n.Number), "protocol": int(n.Protocol), "doi": n.DOI, "data": hex.EncodeToString(n.Data)}
	if len(n.SPI) > 0 {
		f["spi"] = hex.EncodeToString(n.SPI)
	}
	if text := n.DataText(); text != "" {
		f["value"] = text
	}
	return f
}

// Details lists what is deleted.
func (d *DeleteV1) Details() []string { return deleteLine(d.Protocol, d.SPIs) }

// Fields holds protocol and SPIs.
func (d *DeleteV1) Fields() map[string]any {
	return map[string]any{"protocol": int(d.Protocol), "protocol_name": d.Protocol.String(), "doi": d.DOI, "spis": spiList(d.SPIs)}
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
func (a *Attributes) Details() []string {
	lines := []string{ConfigType(a.Kind)}
	for _, x := range a.List {
		name, value := modeAttribute(x)
		lines = append(lines, strings.TrimSuffix(name+"="+value, "="))
	}
	return lines
}

// Fields holds the attributes; passwords show as ***.
func (a *Attributes) Fields() map[string]any {
	all := []map[string]any{}
	for _, x := range a.List {
		name, value := modeAttribute(x)
		all = append(all, map[string]any{"type": int(x.Type), "name": name, "value": value})
	}
	return map[string]any{"cfg_type": int(a.Kind), "cfg_type_name": ConfigType(a.Kind), "identifier": int(a.Identifier), "attributes": all}
}

// Details shows the address.
func (n *NATOA) Details() []string { return []string{IDType(n.Kind) + ": " + identity(n.Kind, n.Data)} }

// Fields holds the address.
func (n *NATOA) Fields() map[string]any {
	return map[string]any{"id_type": int(n.Kind), "address": identity(n.Kind, n.Data)}
}

// Details says which fragment it is.
func (f *Frag) Details() []string {
	line := fmt.Sprintf("fragment %d of packet %d, %d bytes", f.Part, f.ID, len(f.Data))
	if f.Last {
		line += ", the last"
	}
	return []string{line}
}

// Fields says which fragment it is.
func (f *Frag) Fields() map[string]any {
	return map[string]any{"fragment": int(f.Part), "packet": int(f.ID), "last": f.Last, "length": len(f.Data)}
}
