package ike

import (
	"encoding/hex"
	"fmt"
	"maps"
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

// Details names the encoding and what the certificate says.
func (c *Cert) Details() []string { return certLines(c.Encoding, c.Data) }

func certLines(encoding uint8, b []byte) []string {
	return append([]string{fmt.Sprintf("%s, %d bytes", CertEncoding(encoding), len(b))}, certificate(encoding, b)...)
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

// Fields holds encoding, data and authorities.
func (c *CertReq) Fields() map[string]any {
	f := certFields(c.Encoding, c.Data)
	if all := c.Authorities(); len(all) > 0 {
		f["authorities"] = spiList(all)
	}
	return f
}

// Details names the method.
func (a *Auth) Details() []string {
	line := fmt.Sprintf("%s, %d bytes", AuthMethod(a.Method), len(a.Data))
	if id, signature := a.Algorithm(); id != nil {
		line = fmt.Sprintf("%s: %s, signature of %d bytes", AuthMethod(a.Method), algorithmName(id), len(signature))
	}
	return []string{line}
}

// Fields holds method and data.
func (a *Auth) Fields() map[string]any {
	f := map[string]any{"method": int(a.Method), "method_name": AuthMethod(a.Method), "data": hex.EncodeToString(a.Data)}
	if id, _ := a.Algorithm(); id != nil {
		f["algorithm"], f["algorithm_name"] = hex.EncodeToString(id), algorithmName(id)
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
	m := n.meaning()
	if m.text != "" {
		f["value"] = m.text
	}
	maps.Copy(f, m.fields)
	return f
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
		f := map[string]any{"ts_type": int(s.Kind), "ts_type_name": SelectorType(s.Kind), "protocol": int(s.Protocol)}
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
		line := ConfigAttributeName(a.Type)
		if v := a.Value(); v != "" {
			line += "=" + v
		}
		lines = append(lines, line)
	}
	return lines
}

// Fields holds the attributes.
func (c *CP) Fields() map[string]any {
	all := []map[string]any{}
	for _, a := range c.Attributes {
		f := map[string]any{"type": int(a.Type & 0x7fff), "name": ConfigAttributeName(a.Type), "data": hex.EncodeToString(a.Data)}
		if v := a.Value(); v != "" {
			f["value"] = v
		}
		all = append(all, f)
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
