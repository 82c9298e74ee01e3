package ike

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// SA is a Security Association payload (RFC 7296, Section 3.3): what is proposed, or what was
// chosen of it.
type SA struct {
	Generic
	Proposals []Proposal
}

// Proposal is one proposal of an SA payload (RFC 7296, Section 3.3.1).
type Proposal struct {
	Number     uint8
	Protocol   Protocol
	SPI        []byte
	Transforms []Transform
	Reserved   uint8
}

// Transform is one transform of a proposal (RFC 7296, Section 3.3.2).
type Transform struct {
	Type       TransformType
	ID         uint16
	Attributes []Attribute
	Reserved   [2]uint8
}

// Attribute is a transform attribute (RFC 7296, Section 3.3.5; RFC 2408, Section 3.3): a short
// value, or bytes.
type Attribute struct {
	Type  uint16 // without the format bit
	Short bool   // the value is Value, in the two bytes of the length
	Value uint16
	Data  []byte // of the long form
}

// The transform attributes of IKEv2 (IANA, "IKEv2 Transform Attribute Types").
const (
	attributeKeyLength = 14 // in bits
	attributeSignature = 18 // Signature Algorithm Identifier of the group's authentication (RFC 9838)
)

// Type returns PayloadSA.
func (s *SA) Type() PayloadType { return PayloadSA }

// KeyBits returns the key length in bits of a cipher with several, or 0.
func (t Transform) KeyBits() int {
	for _, a := range t.Attributes {
		if a.Type == attributeKeyLength && a.Short {
			return int(a.Value)
		}
	}
	return 0
}

// Name returns the transform's IANA name, with the key length where there is one,
// ENCR_AES_GCM_16_256, and with what other attributes it has: with them it is another transform
// (RFC 7296, Section 3.3.6).
func (t Transform) Name() string {
	n := TransformName(t.Type, t.ID)
	if bits := t.KeyBits(); bits > 0 {
		n = fmt.Sprintf("%s_%d", n, bits)
	}
	for _, a := range t.Attributes {
		switch a.Type {
		case attributeKeyLength:
		case attributeSignature:
			n += " with Signature Algorithm Identifier"
		default:
			n += fmt.Sprintf(" with attribute %d", a.Type)
		}
	}
	return n
}

func (p Proposal) String() string {
	names := make([]string, len(p.Transforms))
	for i, t := range p.Transforms {
		names[i] = t.Type.String() + "=" + t.Name()
	}
	s := fmt.Sprintf("proposal %d %s", p.Number, p.Protocol)
	if len(p.SPI) > 0 {
		s += fmt.Sprintf(" SPI %x", p.SPI)
	}
	return s + ": " + strings.Join(names, " ")
}

func (p *payloadParser) sa() Payload {
	mem := p.mem
	sa, first := take(mem, &mem.sas), len(mem.proposals)
	*sa = SA{Generic: p.generic}
	for at := 0; at < len(p.b); {
		prop, n, ok := p.proposal(at)
		if ok || n > 0 {
			mem.proposals = append(mem.proposals, prop)
		}
		if !ok {
			break
		}
		if !p.follows("proposal", at, at+n, len(p.b), 2) {
			break
		}
		at += n
	}
	sa.Proposals = since(mem.proposals, first)
	return sa
}

// follows says whether the proposal or transform at offset at is followed by another one, and notes
// where what it says of that, more or 0, is not what is there. end is its own end, of is the end of
// what it is in (RFC 7296, Sections 3.3.1 and 3.3.2).
func (p *payloadParser) follows(what string, at, end, of int, more byte) bool {
	switch says := p.b[at]; {
	case says == 0 && end < of:
		p.fault(end, "%d bytes behind the last %s", of-end, what)
		return false
	case says != 0 && end == of:
		p.fault(at, "the last %s says that another one follows", what)
	case says != 0 && says != more:
		p.fault(at, "%s: %d where %d or 0 must stand", what, says, more)
	}
	return end < of
}

// proposal reads the proposal at offset at and returns its length; ok is false where it cannot be
// read to its end.
func (p *payloadParser) proposal(at int) (prop Proposal, n int, ok bool) {
	b := p.b[at:]
	if len(b) < 8 {
		p.fault(at, "proposal: %d bytes are left", len(b))
		return prop, 0, false
	}
	n = int(binary.BigEndian.Uint16(b[2:]))
	prop = Proposal{Number: b[4], Protocol: Protocol(b[5]), Reserved: b[1]}
	spi, count := int(b[6]), int(b[7])
	if n < 8+spi || n > len(b) {
		p.fault(at+2, "proposal %d: length %d, SPI of %d bytes, %d bytes are left", prop.Number, n, spi, len(b))
		return prop, max(n, 1), false
	}
	prop.SPI = nilIfEmpty(b[8 : 8+spi])
	first, pos := len(p.mem.transforms), 8+spi
	for pos < n {
		t, used, good := p.transform(at+pos, b[pos:n])
		if !good {
			prop.Transforms = since(p.mem.transforms, first)
			return prop, n, false
		}
		p.mem.transforms = append(p.mem.transforms, t)
		if !p.follows("transform", at+pos, at+pos+used, at+n, 3) {
			break
		}
		pos += used
	}
	prop.Transforms = since(p.mem.transforms, first)
	if count != len(prop.Transforms) {
		p.fault(at+7, "proposal %d: %d transforms are announced, %d are there", prop.Number, count, len(prop.Transforms))
	}
	return prop, n, true
}

func (p *payloadParser) transform(at int, b []byte) (t Transform, n int, ok bool) {
	if len(b) < 8 {
		p.fault(at, "transform: %d bytes are left", len(b))
		return t, 0, false
	}
	n = int(binary.BigEndian.Uint16(b[2:]))
	if n < 8 || n > len(b) {
		p.fault(at+2, "transform: length %d, %d bytes are left", n, len(b))
		return t, 0, false
	}
	t = Transform{Type: TransformType(b[4]), ID: binary.BigEndian.Uint16(b[6:]), Reserved: [2]uint8{b[1], b[5]}}
	t.Attributes, ok = p.attributes(at+8, b[8:n], "transform")
	return t, n, ok
}

func (p *payloadParser) attributes(at int, b []byte, of string) ([]Attribute, bool) {
	mem, first := p.mem, len(p.mem.attributes)
	for len(b) > 0 {
		if len(b) < 4 {
			p.fault(at, "%s attribute: %d bytes are left", of, len(b))
			return since(mem.attributes, first), false
		}
		v := binary.BigEndian.Uint16(b)
		second := binary.BigEndian.Uint16(b[2:])
		a, n := Attribute{Type: v &^ 0x8000, Short: true, Value: second}, 4
		if v&0x8000 == 0 {
			n = 4 + int(second)
			if n > len(b) {
				p.fault(at+2, "%s attribute %d: length %d, %d bytes are left", of, a.Type, second, len(b)-4)
				return since(mem.attributes, first), false
			}
			a = Attribute{Type: a.Type, Data: b[4:n]}
		}
		mem.attributes = append(mem.attributes, a)
		b, at = b[n:], at+n
	}
	return since(mem.attributes, first), true
}

func (s *SA) appendBody(dst []byte) []byte {
	for i, p := range s.Proposals {
		more := byte(2)
		if i == len(s.Proposals)-1 {
			more = 0
		}
		dst = p.append(dst, more)
	}
	return dst
}

func (p Proposal) append(dst []byte, more byte) []byte {
	at := len(dst)
	dst = append(dst, more, p.Reserved, 0, 0, p.Number, byte(p.Protocol), byte(len(p.SPI)), byte(len(p.Transforms)))
	dst = append(dst, p.SPI...)
	for i, t := range p.Transforms {
		more := byte(3)
		if i == len(p.Transforms)-1 {
			more = 0
		}
		start := len(dst)
		dst = append(dst, more, t.Reserved[0], 0, 0, byte(t.Type), t.Reserved[1])
		dst = binary.BigEndian.AppendUint16(dst, t.ID)
		dst = appendAttributes(dst, t.Attributes)
		binary.BigEndian.PutUint16(dst[start+2:], uint16(len(dst)-start))
	}
	binary.BigEndian.PutUint16(dst[at+2:], uint16(len(dst)-at))
	return dst
}

func appendAttributes(dst []byte, all []Attribute) []byte {
	for _, a := range all {
		if a.Short {
			dst = binary.BigEndian.AppendUint16(dst, a.Type|0x8000)
			dst = binary.BigEndian.AppendUint16(dst, a.Value)
			continue
		}
		dst = binary.BigEndian.AppendUint16(dst, a.Type)
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(a.Data)))
		dst = append(dst, a.Data...)
	}
	return dst
}
