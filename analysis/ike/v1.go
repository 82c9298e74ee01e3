package ike

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
)

// IKEv1 payload types (RFC 2408, Section 3.1; RFC 3947, Section 3.2; drafts of NAT-T;
// Cisco's fragmentation).
const (
	V1PayloadSA       PayloadType = 1
	V1PayloadP        PayloadType = 2
	V1PayloadT        PayloadType = 3
	V1PayloadKE       PayloadType = 4
	V1PayloadID       PayloadType = 5
	V1PayloadCERT     PayloadType = 6
	V1PayloadCR       PayloadType = 7
	V1PayloadHASH     PayloadType = 8
	V1PayloadSIG      PayloadType = 9
	V1PayloadNONCE    PayloadType = 10
	V1PayloadN        PayloadType = 11
	V1PayloadD        PayloadType = 12
	V1PayloadVID      PayloadType = 13
	V1PayloadATTR     PayloadType = 14
	V1PayloadNATD     PayloadType = 20
	V1PayloadNATOA    PayloadType = 21
	V1PayloadNATDOld  PayloadType = 130
	V1PayloadNATOAOld PayloadType = 131
	V1PayloadFrag     PayloadType = 132
)

// Ciphertext is everything behind the header of an encrypted IKEv1 message. Its length and the type
// of its first payload are all that it tells.
type Ciphertext struct {
	Generic
	First PayloadType // Next Payload of the header: the first payload inside
	Data  []byte
}

// Type returns the type of the first payload inside, which the header names in clear.
func (c *Ciphertext) Type() PayloadType { return c.First }

func (c *Ciphertext) appendBody(dst []byte) []byte { return append(dst, c.Data...) }

// SAv1 is a Security Association payload of IKEv1 (RFC 2408, Section 3.4).
type SAv1 struct {
	Generic
	DOI       uint32
	Situation uint32
	Proposals []ProposalV1
}

// ProposalV1 is a Proposal payload (RFC 2408, Section 3.5).
type ProposalV1 struct {
	Generic
	Number     uint8
	Protocol   Protocol
	SPI        []byte
	Transforms []TransformV1
}

// TransformV1 is a Transform payload (RFC 2408, Section 3.6): in IKEv1 one whole set of algorithms.
type TransformV1 struct {
	Generic
	Number     uint8
	ID         uint8
	Reserved   uint16
	Attributes []Attribute
}

// Type returns V1PayloadSA.
func (s *SAv1) Type() PayloadType { return V1PayloadSA }

// Value returns the attribute of type n, which may be in the short or in the long form.
func (t TransformV1) Value(n uint16) (uint64, bool) {
	for _, a := range t.Attributes {
		if a.Type == n {
			return a.Number()
		}
	}
	return 0, false
}

// Number returns the attribute's value as a number; false for one of more than eight bytes.
func (a Attribute) Number() (uint64, bool) {
	if a.Short {
		return uint64(a.Value), true
	}
	if len(a.Data) > 8 {
		return 0, false
	}
	var v uint64
	for _, b := range a.Data {
		v = v<<8 | uint64(b)
	}
	return v, true
}

func (t TransformV1) describe(p Protocol) string {
	parts := make([]string, 0, len(t.Attributes)+1)
	if p != ProtocolIKE {
		parts = append(parts, v1TransformID(p, t.ID))
	}
	for _, a := range t.Attributes {
		parts = append(parts, v1Attribute(p, a))
	}
	return fmt.Sprintf("transform %d: %s", t.Number, strings.Join(parts, " "))
}

func (p *payloadParser) parseV1(t PayloadType) Payload {
	switch t {
	case V1PayloadSA:
		return p.saV1()
	case V1PayloadKE, V1PayloadHASH, V1PayloadSIG, V1PayloadNONCE, V1PayloadNATD, V1PayloadNATDOld:
		return &BytesV1{p.generic, t, p.b}
	case V1PayloadVID:
		return &VendorIDv1{p.generic, p.b}
	case V1PayloadID:
		return p.idV1()
	case V1PayloadCERT, V1PayloadCR:
		if !p.need(1, PayloadName(1, t)) {
			return nil
		}
		return &CertV1{p.generic, t, p.b[0], p.b[1:]}
	case V1PayloadN:
		return p.notifyV1()
	case V1PayloadD:
		return p.deleteV1()
	case V1PayloadATTR:
		return p.attr()
	case V1PayloadNATOA, V1PayloadNATOAOld:
		return p.natOA(t)
	case V1PayloadFrag:
		return p.frag()
	}
	return nil
}

func (p *payloadParser) saV1() Payload {
	if !p.need(8, "SA") {
		return nil
	}
	s := &SAv1{Generic: p.generic, DOI: binary.BigEndian.Uint32(p.b), Situation: binary.BigEndian.Uint32(p.b[4:])}
	for at := 8; at < len(p.b); {
		prop, n, ok := p.proposalV1(at)
		if n > 0 {
			s.Proposals = append(s.Proposals, prop)
		}
		if !ok {
			break
		}
		if !p.follows("proposal", at, at+n, len(p.b), byte(V1PayloadP)) {
			break
		}
		at += n
	}
	return s
}

func (p *payloadParser) proposalV1(at int) (prop ProposalV1, n int, ok bool) {
	b := p.b[at:]
	if len(b) < 8 {
		p.fault(at, "proposal: %d bytes are left", len(b))
		return prop, 0, false
	}
	n = int(binary.BigEndian.Uint16(b[2:]))
	prop = ProposalV1{Generic: Generic{b[1]}, Number: b[4], Protocol: Protocol(b[5])}
	spi, count := int(b[6]), int(b[7])
	if n < 8+spi || n > len(b) {
		p.fault(at+2, "proposal %d: length %d, SPI of %d bytes, %d bytes are left", prop.Number, n, spi, len(b))
		return prop, max(n, 1), false
	}
	prop.SPI = nilIfEmpty(b[8 : 8+spi])
	for pos := 8 + spi; pos < n; {
		t, used, good := p.transformV1(at+pos, b[pos:n])
		if !good {
			return prop, n, false
		}
		prop.Transforms = append(prop.Transforms, t)
		if !p.follows("transform", at+pos, at+pos+used, at+n, byte(V1PayloadT)) {
			break
		}
		pos += used
	}
	if count != len(prop.Transforms) {
		p.fault(at+7, "proposal %d: %d transforms are announced, %d are there", prop.Number, count, len(prop.Transforms))
	}
	return prop, n, true
}

func (p *payloadParser) transformV1(at int, b []byte) (t TransformV1, n int, ok bool) {
	if len(b) < 8 {
		p.fault(at, "transform: %d bytes are left", len(b))
		return t, 0, false
	}
	n = int(binary.BigEndian.Uint16(b[2:]))
	if n < 8 || n > len(b) {
		p.fault(at+2, "transform: length %d, %d bytes are left", n, len(b))
		return t, 0, false
	}
	t = TransformV1{Generic: Generic{b[1]}, Number: b[4], ID: b[5], Reserved: binary.BigEndian.Uint16(b[6:])}
	t.Attributes, ok = p.attributes(at+8, b[8:n], "transform")
	return t, n, ok
}

func (s *SAv1) appendBody(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, s.DOI)
	dst = binary.BigEndian.AppendUint32(dst, s.Situation)
	for i, p := range s.Proposals {
		more := byte(V1PayloadP)
		if i == len(s.Proposals)-1 {
			more = 0
		}
		dst = p.append(dst, more)
	}
	return dst
}

func (p ProposalV1) append(dst []byte, more byte) []byte {
	at := len(dst)
	dst = append(dst, more, p.Flags, 0, 0, p.Number, byte(p.Protocol), byte(len(p.SPI)), byte(len(p.Transforms)))
	dst = append(dst, p.SPI...)
	for i, t := range p.Transforms {
		more := byte(V1PayloadT)
		if i == len(p.Transforms)-1 {
			more = 0
		}
		start := len(dst)
		dst = append(dst, more, t.Flags, 0, 0, t.Number, t.ID)
		dst = binary.BigEndian.AppendUint16(dst, t.Reserved)
		dst = appendAttributes(dst, t.Attributes)
		binary.BigEndian.PutUint16(dst[start+2:], uint16(len(dst)-start))
	}
	binary.BigEndian.PutUint16(dst[at+2:], uint16(len(dst)-at))
	return dst
}

// BytesV1 is an IKEv1 payload that is nothing but bytes: KE, HASH, SIG, NONCE, NAT-D.
type BytesV1 struct {
	Generic
	Number PayloadType
	Data   []byte
}

// Type returns the payload's number.
func (v *BytesV1) Type() PayloadType { return v.Number }

func (v *BytesV1) appendBody(dst []byte) []byte { return append(dst, v.Data...) }

// VendorIDv1 is a Vendor ID payload of IKEv1 (RFC 2408, Section 3.16).
type VendorIDv1 struct {
	Generic
	Data []byte
}

// Type returns V1PayloadVID.
func (v *VendorIDv1) Type() PayloadType { return V1PayloadVID }

func (v *VendorIDv1) appendBody(dst []byte) []byte { return append(dst, v.Data...) }

// IDv1 is an Identification payload of IKEv1 (RFC 2407, Section 4.6.2).
type IDv1 struct {
	Generic
	Kind     uint8
	Protocol uint8
	Port     uint16
	Data     []byte
}

// Type returns V1PayloadID.
func (i *IDv1) Type() PayloadType { return V1PayloadID }

func (p *payloadParser) idV1() Payload {
	if !p.need(4, "ID") {
		return nil
	}
	return &IDv1{p.generic, p.b[0], p.b[1], binary.BigEndian.Uint16(p.b[2:]), p.b[4:]}
}

func (i *IDv1) appendBody(dst []byte) []byte {
	dst = append(dst, i.Kind, i.Protocol)
	dst = binary.BigEndian.AppendUint16(dst, i.Port)
	return append(dst, i.Data...)
}

// Value returns the identity as people write it: an address, a subnet, a range, a
// name, or hex digits.
func (i *IDv1) Value() string {
	half := len(i.Data) / 2
	switch i.Kind {
	case 4, 6, 7, 8: // subnets and ranges, of IPv4 and IPv6
		from, ok1 := netip.AddrFromSlice(i.Data[:half])
		to, ok2 := netip.AddrFromSlice(i.Data[half:])
		if ok1 && ok2 {
			if i.Kind == 4 || i.Kind == 6 {
				return from.String() + "/" + to.String()
			}
			return from.String() + "-" + to.String()
		}
	}
	return identity(i.Kind, i.Data)
}

// CertV1 is a Certificate or a Certificate Request payload of IKEv1 (RFC 2408,
// Sections 3.9 and 3.10).
type CertV1 struct {
	Generic
	Number   PayloadType
	Encoding uint8
	Data     []byte
}

// Type returns V1PayloadCERT or V1PayloadCR.
func (c *CertV1) Type() PayloadType { return c.Number }

func (c *CertV1) appendBody(dst []byte) []byte { return append(append(dst, c.Encoding), c.Data...) }

// NotifyV1 is a Notification payload of IKEv1 (RFC 2408, Section 3.14).
type NotifyV1 struct {
	Generic
	DOI      uint32
	Protocol Protocol
	SPI      []byte
	Number   uint16
	Data     []byte
}

// IsError says whether the notification reports an error: statuses begin at 16384 (RFC 2408,
// Section 3.14.1).
func (n *NotifyV1) IsError() bool { return n.Number < 16384 }

// Type returns V1PayloadN.
func (n *NotifyV1) Type() PayloadType { return V1PayloadN }

func (p *payloadParser) notifyV1() Payload {
	if !p.need(8, "N") {
		return nil
	}
	n := int(p.b[5])
	if !p.need(8+n, "N") {
		return nil
	}
	return &NotifyV1{p.generic, binary.BigEndian.Uint32(p.b), Protocol(p.b[4]), nilIfEmpty(p.b[8 : 8+n]),
		binary.BigEndian.Uint16(p.b[6:]), p.b[8+n:]}
}

func (n *NotifyV1) appendBody(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, n.DOI)
	dst = append(dst, byte(n.Protocol), byte(len(n.SPI)))
	dst = binary.BigEndian.AppendUint16(dst, n.Number)
	dst = append(dst, n.SPI...)
	return append(dst, n.Data...)
}

// DeleteV1 is a Delete payload of IKEv1 (RFC 2408, Section 3.15).
type DeleteV1 struct {
	Generic
	DOI      uint32
	Protocol Protocol
	SPISize  uint8
	SPIs     [][]byte
}

// Type returns V1PayloadD.
func (d *DeleteV1) Type() PayloadType { return V1PayloadD }

func (p *payloadParser) deleteV1() Payload {
	if !p.need(8, "D") {
		return nil
	}
	size, count := int(p.b[5]), int(binary.BigEndian.Uint16(p.b[6:]))
	if size*count != len(p.b)-8 || size == 0 && count > 0 {
		p.fault(5, "D payload: %d SPIs of %d bytes in %d bytes", count, size, len(p.b)-8)
		return nil
	}
	d := &DeleteV1{Generic: p.generic, DOI: binary.BigEndian.Uint32(p.b), Protocol: Protocol(p.b[4]), SPISize: p.b[5]}
	for i := range count {
		d.SPIs = append(d.SPIs, p.b[8+i*size:8+(i+1)*size])
	}
	return d
}

func (d *DeleteV1) appendBody(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, d.DOI)
	dst = append(dst, byte(d.Protocol), d.SPISize)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(d.SPIs)))
	for _, s := range d.SPIs {
		dst = append(dst, s...)
	}
	return dst
}

// Attributes is the Attributes payload of transaction mode: XAUTH and Mode Config
// (draft-ietf-ipsec-isakmp-mode-cfg, draft-ietf-ipsec-isakmp-xauth).
type Attributes struct {
	Generic
	Kind       uint8 // 1 REQUEST, 2 REPLY, 3 SET, 4 ACK
	Reserved   uint8
	Identifier uint16
	List       []Attribute
}

// Type returns V1PayloadATTR.
func (a *Attributes) Type() PayloadType { return V1PayloadATTR }

func (p *payloadParser) attr() Payload {
	if !p.need(4, "ATTR") {
		return nil
	}
	a := &Attributes{Generic: p.generic, Kind: p.b[0], Reserved: p.b[1], Identifier: binary.BigEndian.Uint16(p.b[2:])}
	a.List, _ = p.attributes(4, p.b[4:], "ATTR")
	return a
}

func (a *Attributes) appendBody(dst []byte) []byte {
	dst = append(dst, a.Kind, a.Reserved)
	dst = binary.BigEndian.AppendUint16(dst, a.Identifier)
	return appendAttributes(dst, a.List)
}

// NATOA is a NAT Original Address payload (RFC 3947, Section 5.2).
type NATOA struct {
	Generic
	Number   PayloadType
	Kind     uint8
	Reserved [3]uint8
	Data     []byte
}

// Type returns V1PayloadNATOA, or its number of the drafts.
func (n *NATOA) Type() PayloadType { return n.Number }

func (p *payloadParser) natOA(t PayloadType) Payload {
	if !p.need(4, "NAT-OA") {
		return nil
	}
	return &NATOA{p.generic, t, p.b[0], [3]uint8(p.b[1:4]), p.b[4:]}
}

func (n *NATOA) appendBody(dst []byte) []byte {
	dst = append(dst, n.Kind)
	dst = append(dst, n.Reserved[:]...)
	return append(dst, n.Data...)
}

// Frag is a fragment of an IKEv1 message as Cisco and Microsoft send them; no RFC describes it.
type Frag struct {
	Generic
	ID   uint16
	Part uint8 // from 1
	Last bool
	Bits uint8 // the flags with Last
	Data []byte
}

// Type returns V1PayloadFrag.
func (f *Frag) Type() PayloadType { return V1PayloadFrag }

func (p *payloadParser) frag() Payload {
	if !p.need(4, "FRAG") {
		return nil
	}
	return &Frag{p.generic, binary.BigEndian.Uint16(p.b), p.b[2], p.b[3]&1 != 0, p.b[3], p.b[4:]}
}

func (f *Frag) appendBody(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint16(dst, f.ID)
	dst = append(dst, f.Part, f.Bits)
	return append(dst, f.Data...)
}
