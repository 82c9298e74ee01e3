package ike

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
)

// KE is a Key Exchange payload (RFC 7296, Section 3.4).
type KE struct {
	Generic
	Method   uint16 // key exchange method, transform type 4
	Data     []byte
	Reserved uint16
}

// Type returns PayloadKE.
func (k *KE) Type() PayloadType { return PayloadKE }

func (p *payloadParser) ke() Payload {
	if !p.need(4, "KE") {
		return nil
	}
	k := take(p.mem, &p.mem.kes)
	*k = KE{p.generic, binary.BigEndian.Uint16(p.b), p.b[4:], binary.BigEndian.Uint16(p.b[2:])}
	return k
}

func (k *KE) appendBody(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint16(dst, k.Method)
	dst = binary.BigEndian.AppendUint16(dst, k.Reserved)
	return append(dst, k.Data...)
}

// Nonce is a Nonce payload (RFC 7296, Section 3.9).
type Nonce struct {
	Generic
	Data []byte
}

// Type returns PayloadNonce.
func (n *Nonce) Type() PayloadType { return PayloadNonce }

func (n *Nonce) appendBody(dst []byte) []byte { return append(dst, n.Data...) }

// ID is an Identification payload (RFC 7296, Section 3.5).
type ID struct {
	Generic
	Number   PayloadType // PayloadIDi, PayloadIDr or PayloadIDg
	Kind     uint8
	Reserved [3]uint8
	Data     []byte
}

// Type returns PayloadIDi or PayloadIDr.
func (i *ID) Type() PayloadType { return i.Number }

func (p *payloadParser) id(t PayloadType) Payload {
	if !p.need(4, PayloadName(2, t)) {
		return nil
	}
	return &ID{p.generic, t, p.b[0], [3]uint8(p.b[1:4]), p.b[4:]}
}

func (i *ID) appendBody(dst []byte) []byte {
	dst = append(dst, i.Kind)
	dst = append(dst, i.Reserved[:]...)
	return append(dst, i.Data...)
}

// Value returns the identity as people write it: an address, a name, or hex digits.
func (i *ID) Value() string { return identity(i.Kind, i.Data) }

// The kinds of identities (IANA, IKEv2 Identification Payload ID Types).
const (
	IDIPv4   = 1
	IDFQDN   = 2
	IDRFC822 = 3
	IDIPv6   = 5
)

func identity(kind uint8, b []byte) string {
	switch kind {
	case IDIPv4, IDIPv6:
		if a, ok := netip.AddrFromSlice(b); ok {
			return a.String()
		}
	case IDFQDN, IDRFC822, 11: // 11: KEY_ID, often text
		if isText(b) {
			return string(b)
		}
	case 9: // DER_ASN1_DN
		if name, ok := distinguishedName(b); ok {
			return name
		}
	}
	return hex.EncodeToString(b)
}

func isText(b []byte) bool {
	for _, c := range b {
		if c < 0x20 || c > 0x7e {
			return false
		}
	}
	return len(b) > 0
}

// Cert is a Certificate payload (RFC 7296, Section 3.6).
type Cert struct {
	Generic
	Encoding uint8
	Data     []byte
}

// Type returns PayloadCERT.
func (c *Cert) Type() PayloadType { return PayloadCERT }

func (p *payloadParser) cert() Payload {
	if !p.need(1, "CERT") {
		return nil
	}
	return &Cert{p.generic, p.b[0], p.b[1:]}
}

func (c *Cert) appendBody(dst []byte) []byte { return append(append(dst, c.Encoding), c.Data...) }

// CertReq is a Certificate Request payload (RFC 7296, Section 3.7): hashes of the
// keys of trusted CAs.
type CertReq struct {
	Generic
	Encoding uint8
	Data     []byte
}

// Type returns PayloadCREQ.
func (c *CertReq) Type() PayloadType { return PayloadCREQ }

func (p *payloadParser) certReq() Payload {
	if !p.need(1, "CERTREQ") {
		return nil
	}
	return &CertReq{p.generic, p.b[0], p.b[1:]}
}

func (c *CertReq) appendBody(dst []byte) []byte { return append(append(dst, c.Encoding), c.Data...) }

// Auth is an Authentication payload (RFC 7296, Section 3.8).
type Auth struct {
	Generic
	Method   uint8
	Reserved [3]uint8
	Data     []byte
}

// Type returns PayloadAUTH.
func (a *Auth) Type() PayloadType { return PayloadAUTH }

func (p *payloadParser) auth() Payload {
	if !p.need(4, "AUTH") {
		return nil
	}
	return &Auth{p.generic, p.b[0], [3]uint8(p.b[1:4]), p.b[4:]}
}

func (a *Auth) appendBody(dst []byte) []byte {
	dst = append(dst, a.Method)
	dst = append(dst, a.Reserved[:]...)
	return append(dst, a.Data...)
}

// Algorithm returns the AlgorithmIdentifier of a digital signature and the signature behind it
// (RFC 7427, Section 3); nil where the method has none.
func (a *Auth) Algorithm() (identifier, signature []byte) {
	if a.Method != 14 || len(a.Data) == 0 || len(a.Data) < 1+int(a.Data[0]) {
		return nil, nil
	}
	n := 1 + int(a.Data[0])
	return a.Data[1:n], a.Data[n:]
}

// Notify is a Notify payload of IKEv2 (RFC 7296, Section 3.10).
type Notify struct {
	Generic
	Protocol Protocol
	SPI      []byte
	Number   NotifyType
	Data     []byte
}

// Type returns PayloadN.
func (n *Notify) Type() PayloadType { return PayloadN }

func (p *payloadParser) notify() Payload {
	if !p.need(4, "N") {
		return nil
	}
	n := int(p.b[1])
	if !p.need(4+n, "N") {
		return nil
	}
	y := take(p.mem, &p.mem.notifies)
	*y = Notify{p.generic, Protocol(p.b[0]), nilIfEmpty(p.b[4 : 4+n]), NotifyType(binary.BigEndian.Uint16(p.b[2:])),
		p.b[4+n:]}
	return y
}

func (n *Notify) appendBody(dst []byte) []byte {
	dst = append(dst, byte(n.Protocol), byte(len(n.SPI)))
	dst = binary.BigEndian.AppendUint16(dst, uint16(n.Number))
	dst = append(dst, n.SPI...)
	return append(dst, n.Data...)
}

// Delete is a Delete payload of IKEv2 (RFC 7296, Section 3.11).
type Delete struct {
	Generic
	Protocol Protocol
	SPIs     [][]byte // empty for the IKE SA itself
	SPISize  uint8
}

// Type returns PayloadD.
func (d *Delete) Type() PayloadType { return PayloadD }

func (p *payloadParser) delete() Payload {
	if !p.need(4, "D") {
		return nil
	}
	d := &Delete{Generic: p.generic, Protocol: Protocol(p.b[0]), SPISize: p.b[1]}
	size, count := int(p.b[1]), int(binary.BigEndian.Uint16(p.b[2:]))
	if size*count != len(p.b)-4 || size == 0 && count > 0 {
		p.fault(2, "D payload: %d SPIs of %d bytes in %d bytes", count, size, len(p.b)-4)
		if size == 0 || size*count > len(p.b)-4 {
			return nil
		}
	}
	for i := range count {
		if size == 0 {
			break
		}
		d.SPIs = append(d.SPIs, p.b[4+i*size:4+(i+1)*size])
	}
	return d
}

func (d *Delete) appendBody(dst []byte) []byte {
	dst = append(dst, byte(d.Protocol), d.SPISize)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(d.SPIs)))
	for _, s := range d.SPIs {
		dst = append(dst, s...)
	}
	return dst
}

// VendorID is a Vendor ID payload (RFC 7296, Section 3.12).
type VendorID struct {
	Generic
	Data []byte
}

// Type returns PayloadV.
func (v *VendorID) Type() PayloadType { return PayloadV }

func (v *VendorID) appendBody(dst []byte) []byte { return append(dst, v.Data...) }

// TS is a Traffic Selector payload (RFC 7296, Section 3.13).
type TS struct {
	Generic
	Number    PayloadType // PayloadTSi or PayloadTSr
	Selectors []Selector
	Reserved  [3]uint8
}

// Selector is one traffic selector (RFC 7296, Section 3.13.1).
type Selector struct {
	Kind      uint8 // 7: IPv4 range, 8: IPv6 range
	Protocol  uint8 // IP protocol; 0: any
	StartPort uint16
	EndPort   uint16
	Start     netip.Addr
	End       netip.Addr
	Raw       []byte // of a kind that is not known: what follows kind, protocol and length
}

// Type returns PayloadTSi or PayloadTSr.
func (t *TS) Type() PayloadType { return t.Number }

func (s Selector) String() string {
	if !s.Start.IsValid() {
		return fmt.Sprintf("%s: %x", SelectorType(s.Kind), s.Raw)
	}
	text := s.Start.String() + "-" + s.End.String()
	if s.Protocol != 0 {
		text += fmt.Sprintf(" protocol %d", s.Protocol)
	}
	if s.StartPort != 0 || s.EndPort != 0xffff {
		text += fmt.Sprintf(" ports %d-%d", s.StartPort, s.EndPort)
	}
	return text
}

func (p *payloadParser) ts(t PayloadType) Payload {
	name := PayloadName(2, t)
	if !p.need(4, name) {
		return nil
	}
	ts := &TS{Generic: p.generic, Number: t, Reserved: [3]uint8(p.b[1:4])}
	count, at := int(p.b[0]), 4
	for at < len(p.b) {
		s, n, ok := p.selector(at, name)
		if !ok {
			return ts
		}
		ts.Selectors = append(ts.Selectors, s)
		at += n
	}
	if count != len(ts.Selectors) {
		p.fault(0, "%s payload: %d selectors are announced, %d are there", name, count, len(ts.Selectors))
	}
	return ts
}

func (p *payloadParser) selector(at int, name string) (s Selector, n int, ok bool) {
	b := p.b[at:]
	if len(b) < 8 {
		p.fault(at, "%s payload: selector: %d bytes are left", name, len(b))
		return s, 0, false
	}
	n = int(binary.BigEndian.Uint16(b[2:]))
	if n < 8 || n > len(b) {
		p.fault(at+2, "%s payload: selector of length %d, %d bytes are left", name, n, len(b))
		return s, 0, false
	}
	s = Selector{Kind: b[0], Protocol: b[1]}
	size := map[uint8]int{7: 4, 8: 16}[b[0]]
	if size == 0 || n != 8+2*size {
		s.Raw = b[4:n]
		return s, n, true
	}
	s.StartPort, s.EndPort = binary.BigEndian.Uint16(b[4:]), binary.BigEndian.Uint16(b[6:])
	s.Start, _ = netip.AddrFromSlice(b[8 : 8+size])
	s.End, _ = netip.AddrFromSlice(b[8+size : n])
	return s, n, true
}

func (t *TS) appendBody(dst []byte) []byte {
	dst = append(dst, byte(len(t.Selectors)))
	dst = append(dst, t.Reserved[:]...)
	for _, s := range t.Selectors {
		dst = s.append(dst)
	}
	return dst
}

func (s Selector) append(dst []byte) []byte {
	at := len(dst)
	dst = append(dst, s.Kind, s.Protocol, 0, 0)
	if s.Start.IsValid() {
		dst = binary.BigEndian.AppendUint16(dst, s.StartPort)
		dst = binary.BigEndian.AppendUint16(dst, s.EndPort)
		dst = append(dst, s.Start.AsSlice()...)
		dst = append(dst, s.End.AsSlice()...)
	} else {
		dst = append(dst, s.Raw...)
	}
	binary.BigEndian.PutUint16(dst[at+2:], uint16(len(dst)-at))
	return dst
}

// Encrypted is an Encrypted and Authenticated payload, SK (RFC 7296, Section 3.14), or a fragment
// of one, SKF (RFC 7383, Section 2.5).
type Encrypted struct {
	Generic
	Number PayloadType // PayloadSK or PayloadSKF
	First  PayloadType // type of the first payload inside, in clear; of SKF only in the first fragment
	Part   uint16      // SKF: number of this fragment, from 1
	Parts  uint16      // SKF: of how many
	Data   []byte      // initialization vector, ciphertext, integrity check value
}

// Type returns PayloadSK or PayloadSKF.
func (e *Encrypted) Type() PayloadType { return e.Number }

func (p *payloadParser) encrypted(t PayloadType) Payload {
	e := take(p.mem, &p.mem.sealed)
	*e = Encrypted{Generic: p.generic, Number: t, First: p.next, Data: p.b}
	if t == PayloadSK {
		return e
	}
	if !p.need(4, "SKF") {
		return nil
	}
	e.Part, e.Parts, e.Data = binary.BigEndian.Uint16(p.b), binary.BigEndian.Uint16(p.b[2:]), p.b[4:]
	if e.Part == 0 || e.Part > e.Parts {
		p.fault(0, "SKF payload: fragment %d of %d", e.Part, e.Parts)
	}
	return e
}

func (e *Encrypted) appendBody(dst []byte) []byte {
	if e.Number == PayloadSKF {
		dst = binary.BigEndian.AppendUint16(dst, e.Part)
		dst = binary.BigEndian.AppendUint16(dst, e.Parts)
	}
	return append(dst, e.Data...)
}

// BodyLen is the length of the payload behind its generic header, fragment numbers
// included, in bytes.
func (e *Encrypted) BodyLen() int {
	if e.Number == PayloadSKF {
		return len(e.Data) + 4
	}
	return len(e.Data)
}

// CP is a Configuration payload (RFC 7296, Section 3.15).
type CP struct {
	Generic
	Kind       uint8 // 1 CFG_REQUEST, 2 CFG_REPLY, 3 CFG_SET, 4 CFG_ACK
	Reserved   [3]uint8
	Attributes []ConfigAttribute
}

// ConfigAttribute is one configuration attribute (RFC 7296, Section 3.15.1).
type ConfigAttribute struct {
	Type uint16 // with the reserved bit
	Data []byte
}

// Type returns PayloadCP.
func (c *CP) Type() PayloadType { return PayloadCP }

func (p *payloadParser) cp() Payload {
	if !p.need(4, "CP") {
		return nil
	}
	c := &CP{Generic: p.generic, Kind: p.b[0], Reserved: [3]uint8(p.b[1:4])}
	for at := 4; at < len(p.b); {
		b := p.b[at:]
		if len(b) < 4 || int(binary.BigEndian.Uint16(b[2:])) > len(b)-4 {
			p.fault(at, "CP payload: an attribute does not fit in %d bytes", len(b))
			return c
		}
		n := 4 + int(binary.BigEndian.Uint16(b[2:]))
		c.Attributes = append(c.Attributes, ConfigAttribute{binary.BigEndian.Uint16(b), b[4:n]})
		at += n
	}
	return c
}

func (c *CP) appendBody(dst []byte) []byte {
	dst = append(dst, c.Kind)
	dst = append(dst, c.Reserved[:]...)
	for _, a := range c.Attributes {
		dst = binary.BigEndian.AppendUint16(dst, a.Type)
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(a.Data)))
		dst = append(dst, a.Data...)
	}
	return dst
}

// EAP is an Extensible Authentication payload (RFC 7296, Section 3.16; RFC 3748, Section 4).
type EAP struct {
	Generic
	Code       uint8 // 1 request, 2 response, 3 success, 4 failure
	Identifier uint8
	Length     uint16
	Data       []byte // type and type data; empty for success and failure
}

// Type returns PayloadEAP.
func (e *EAP) Type() PayloadType { return PayloadEAP }

func (p *payloadParser) eap() Payload {
	if !p.need(4, "EAP") {
		return nil
	}
	e := &EAP{p.generic, p.b[0], p.b[1], binary.BigEndian.Uint16(p.b[2:]), p.b[4:]}
	if int(e.Length) != len(p.b) {
		p.fault(2, "EAP payload: length %d in %d bytes", e.Length, len(p.b))
	}
	return e
}

func (e *EAP) appendBody(dst []byte) []byte {
	dst = append(dst, e.Code, e.Identifier)
	dst = binary.BigEndian.AppendUint16(dst, e.Length)
	return append(dst, e.Data...)
}
