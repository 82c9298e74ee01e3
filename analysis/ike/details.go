package ike

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
)

// Described is what the payloads of this package can say about themselves.
type Described interface {
	Payload
	// Details returns the payload's contents in lines of text.
	Details() []string
	// Fields returns the payload's contents by name, for JSON; values are strings, numbers, booleans, lists and maps.
	Fields() map[string]any
}

func short(b []byte) string {
	const most = 32
	if len(b) > most {
		return fmt.Sprintf("%x... (%d bytes)", b[:most], len(b))
	}
	return hex.EncodeToString(b)
}

func bytesLine(what string, b []byte) []string { return []string{what + ": " + short(b)} }

// Details of an unknown payload are its bytes.
func (u *Unknown) Details() []string { return bytesLine("data", u.Data) }

// Fields of an unknown payload are its bytes.
func (u *Unknown) Fields() map[string]any { return map[string]any{"data": hex.EncodeToString(u.Data)} }

// Details lists the proposals, a line each.
func (s *SA) Details() []string {
	lines := make([]string, len(s.Proposals))
	for i, p := range s.Proposals {
		lines[i] = p.String()
	}
	return lines
}

// Fields holds the proposals.
func (s *SA) Fields() map[string]any {
	proposals := []map[string]any{}
	for _, p := range s.Proposals {
		transforms := []map[string]any{}
		for _, t := range p.Transforms {
			f := map[string]any{"type": int(t.Type), "type_name": t.Type.String(), "id": int(t.ID), "name": TransformName(t.Type, t.ID)}
			if bits := t.KeyBits(); bits > 0 {
				f["key_bits"] = bits
			}
			transforms = append(transforms, f)
		}
		f := map[string]any{"number": int(p.Number), "protocol": int(p.Protocol), "protocol_name": p.Protocol.String(), "transforms": transforms}
		if len(p.SPI) > 0 {
			f["spi"] = hex.EncodeToString(p.SPI)
		}
		proposals = append(proposals, f)
	}
	return map[string]any{"proposals": proposals}
}

// Details names the method.
func (k *KE) Details() []string {
	return []string{fmt.Sprintf("method %d (%s), %d bytes", k.Method, TransformName(TransformKE, k.Method), len(k.Data))}
}

// Fields holds method and data.
func (k *KE) Fields() map[string]any {
	return map[string]any{"group": int(k.Method), "group_name": TransformName(TransformKE, k.Method), "data": hex.EncodeToString(k.Data)}
}

// Details shows the nonce.
func (n *Nonce) Details() []string { return bytesLine("nonce", n.Data) }

// Fields holds the nonce.
func (n *Nonce) Fields() map[string]any { return map[string]any{"data": hex.EncodeToString(n.Data)} }

// Details shows the identity.
func (i *ID) Details() []string { return []string{IDType(i.Kind) + ": " + i.Value()} }

// Fields holds the identity.
func (i *ID) Fields() map[string]any {
	return map[string]any{"id_type": int(i.Kind), "id_type_name": IDType(i.Kind), "identity": i.Value(), "data": hex.EncodeToString(i.Data)}
}

func certFields(encoding uint8, b []byte) map[string]any {
	return map[string]any{"encoding": int(encoding), "encoding_name": CertEncoding(encoding), "data": hex.EncodeToString(b)}
}

// Details names the encoding and the size.
func (c *Cert) Details() []string {
	return []string{fmt.Sprintf("%s, %d bytes", CertEncoding(c.Encoding), len(c.Data))}
}

// Fields holds encoding and data.
func (c *Cert) Fields() map[string]any { return certFields(c.Encoding, c.Data) }

// Authorities returns the SHA-1 hashes of the trusted CAs' public keys (RFC 7296, Section 3.7), where the encoding has them.
func (c *CertReq) Authorities() [][]byte {
	if c.Encoding != 4 || len(c.Data)%20 != 0 {
		return nil
	}
	var all [][]byte
	for b := c.Data; len(b) > 0; b = b[20:] {
		all = append(all, b[:20])
	}
	return all
}

// Details lists the authorities.
func (c *CertReq) Details() []string {
	lines := []string{CertEncoding(c.Encoding)}
	for _, h := range c.Authorities() {
		lines = append(lines, "authority "+hex.EncodeToString(h))
	}
	return lines
}

// Fields holds encoding and data.
func (c *CertReq) Fields() map[string]any { return certFields(c.Encoding, c.Data) }

// Details names the method.
func (a *Auth) Details() []string {
	return []string{fmt.Sprintf("%s, %d bytes", AuthMethod(a.Method), len(a.Data))}
}

// Fields holds method and data.
func (a *Auth) Fields() map[string]any {
	f := map[string]any{"method": int(a.Method), "method_name": AuthMethod(a.Method), "data": hex.EncodeToString(a.Data)}
	if id, _ := a.Algorithm(); id != nil {
		f["algorithm"] = hex.EncodeToString(id)
	}
	return f
}

// Details names the notification and what its data say.
func (n *Notify) Details() []string {
	line := fmt.Sprintf("%s (%d)", n.Number, uint16(n.Number))
	if n.Protocol != 0 {
		line += " " + n.Protocol.String()
	}
	if len(n.SPI) > 0 {
		line += fmt.Sprintf(" SPI %x", n.SPI)
	}
	if text := n.DataText(); text != "" {
		line += ": " + text
	}
	return []string{line}
}

// Fields holds the notification.
func (n *Notify) Fields() map[string]any {
	f := map[string]any{"notify_type": int(n.Number), "notify_name": n.Number.String(), "protocol": int(n.Protocol), "data": hex.EncodeToString(n.Data)}
	if len(n.SPI) > 0 {
		f["spi"] = hex.EncodeToString(n.SPI)
	}
	if text := n.DataText(); text != "" {
		f["value"] = text
	}
	return f
}

// DataText says what the notification data mean; empty when there are none.
func (n *Notify) DataText() string {
	b := n.Data
	switch {
	case len(b) == 0:
		return ""
	case n.Number == InvalidKEPayload && len(b) == 2:
		g := binary.BigEndian.Uint16(b)
		return fmt.Sprintf("accepted group %d (%s)", g, TransformName(TransformKE, g))
	case n.Number == UnsupportedCriticalPayload && len(b) == 1:
		return "payload " + PayloadType(b[0]).String()
	case n.Number == InvalidMajorVersion && len(b) == 1:
		return fmt.Sprintf("version %d.%d", b[0]>>4, b[0]&15)
	case (n.Number == SetWindowSize || n.Number == 16403) && len(b) == 4:
		return fmt.Sprint(binary.BigEndian.Uint32(b))
	case n.Number == SignatureHashAlgorithms && len(b)%2 == 0:
		return hashList(b)
	case n.Number == Redirect || n.Number == 16408:
		return redirectTarget(b)
	case n.Number == 16397 || n.Number == 16398:
		if a, ok := netip.AddrFromSlice(b); ok {
			return a.String()
		}
	case n.Number == 16387 && len(b) == 3:
		return fmt.Sprintf("CPI %d, transform %d", binary.BigEndian.Uint16(b), b[2])
	}
	return short(b)
}

func hashList(b []byte) string {
	var names []string
	for ; len(b) >= 2; b = b[2:] {
		names = append(names, HashAlgorithm(binary.BigEndian.Uint16(b)))
	}
	return strings.Join(names, ", ")
}

// redirectTarget reads the gateway identity of REDIRECT (RFC 5685, Section 7.2).
func redirectTarget(b []byte) string {
	if len(b) < 2 || len(b) < 2+int(b[1]) {
		return short(b)
	}
	id := b[2 : 2+int(b[1])]
	if b[0] == 1 || b[0] == 2 {
		if a, ok := netip.AddrFromSlice(id); ok {
			return a.String()
		}
	}
	if isText(id) {
		return string(id)
	}
	return short(b)
}

func spiList(spis [][]byte) []string {
	all := []string{}
	for _, s := range spis {
		all = append(all, hex.EncodeToString(s))
	}
	return all
}

func deleteLine(p Protocol, spis [][]byte) []string {
	if len(spis) == 0 {
		return []string{p.String() + " SA"}
	}
	return []string{fmt.Sprintf("%s SPI %s", p, strings.Join(spiList(spis), ", "))}
}

// Details lists what is deleted.
func (d *Delete) Details() []string { return deleteLine(d.Protocol, d.SPIs) }

// Fields holds protocol and SPIs.
func (d *Delete) Fields() map[string]any {
	return map[string]any{"protocol": int(d.Protocol), "protocol_name": d.Protocol.String(), "spis": spiList(d.SPIs)}
}

func vendorFields(id []byte) map[string]any {
	f := map[string]any{"vendor_id": hex.EncodeToString(id), "data": hex.EncodeToString(id)}
	if n, ok := VendorName(id); ok {
		f["vendor"] = n
	} else if isText(id) {
		f["vendor"] = string(id)
	}
	return f
}

// Details names the vendor.
func (v *VendorID) Details() []string { return []string{v.Name()} }

// Fields holds the ID and its name.
func (v *VendorID) Fields() map[string]any { return vendorFields(v.Data) }

// Details lists the selectors.
func (t *TS) Details() []string {
	lines := make([]string, len(t.Selectors))
	for i, s := range t.Selectors {
		lines[i] = s.String()
	}
	return lines
}

// Fields holds the selectors.
func (t *TS) Fields() map[string]any {
	all := []map[string]any{}
	for _, s := range t.Selectors {
		f := map[string]any{"ts_type": int(s.Kind), "protocol": int(s.Protocol)}
		if s.Start.IsValid() {
			f["start_port"], f["end_port"] = int(s.StartPort), int(s.EndPort)
			f["start"], f["end"] = s.Start.String(), s.End.String()
		} else {
			f["data"] = hex.EncodeToString(s.Raw)
		}
		all = append(all, f)
	}
	return map[string]any{"selectors": all}
}

// Details says what can be seen from outside.
func (e *Encrypted) Details() []string {
	line := fmt.Sprintf("encrypted, %d bytes, first payload inside: %s", len(e.Data), PayloadName(2, e.First))
	if e.Number == PayloadSKF {
		line += fmt.Sprintf(", fragment %d of %d", e.Part, e.Parts)
	}
	return []string{line}
}

// Fields holds what can be seen from outside.
func (e *Encrypted) Fields() map[string]any {
	f := map[string]any{"encrypted": true, "first_inner": int(e.First), "first_inner_name": PayloadName(2, e.First), "length": len(e.Data)}
	if e.Number == PayloadSKF {
		f["fragment"], f["total"] = int(e.Part), int(e.Parts)
	}
	return f
}

// Details lists the attributes.
func (c *CP) Details() []string {
	lines := []string{ConfigType(c.Kind)}
	for _, a := range c.Attributes {
		lines = append(lines, ConfigAttributeName(a.Type)+configValue(a.Data))
	}
	return lines
}

func configValue(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if a, ok := netip.AddrFromSlice(b); ok {
		return "=" + a.String()
	}
	if isText(b) {
		return "=" + string(b)
	}
	return "=" + short(b)
}

// Fields holds the attributes.
func (c *CP) Fields() map[string]any {
	all := []map[string]any{}
	for _, a := range c.Attributes {
		all = append(all, map[string]any{"type": int(a.Type & 0x7fff), "name": ConfigAttributeName(a.Type), "data": hex.EncodeToString(a.Data)})
	}
	return map[string]any{"cfg_type": int(c.Kind), "cfg_type_name": ConfigType(c.Kind), "attributes": all}
}

// Details names code and method.
func (e *EAP) Details() []string {
	line := fmt.Sprintf("%s, identifier %d", EAPCode(e.Code), e.Identifier)
	if len(e.Data) > 0 {
		line += ", " + EAPType(e.Data[0])
	}
	return []string{line}
}

// Fields holds code and method.
func (e *EAP) Fields() map[string]any {
	f := map[string]any{"code": int(e.Code), "code_name": EAPCode(e.Code), "identifier": int(e.Identifier)}
	if len(e.Data) > 0 {
		f["eap_type"], f["eap_type_name"] = int(e.Data[0]), EAPType(e.Data[0])
	}
	return f
}

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
	return []string{fmt.Sprintf("%s, %d bytes", CertEncoding(c.Encoding), len(c.Data))}
}

// Fields holds encoding and data.
func (c *CertV1) Fields() map[string]any { return certFields(c.Encoding, c.Data) }

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

// DataText says what the notification data mean: the sequence number of DPD (RFC 3706, Section 5.3), or bytes.
func (n *NotifyV1) DataText() string {
	switch {
	case len(n.Data) == 0:
		return ""
	case (n.Number == 36136 || n.Number == 36137) && len(n.Data) == 4:
		return fmt.Sprintf("sequence %d", binary.BigEndian.Uint32(n.Data))
	}
	return short(n.Data)
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
		return name, fmt.Sprint(a.Value)
	case secretAttribute(a.Type) && len(a.Data) > 0:
		return name, "***"
	}
	return name, strings.TrimPrefix(configValue(a.Data), "=")
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
