package ike

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// ParseError says why bytes are no IKE message at all: not even a header can be read.
type ParseError struct {
	Offset int
	Reason string
}

func (e *ParseError) Error() string {
	return fmt.Sprintf("IKE message: byte %d: %s", e.Offset, e.Reason)
}

// genericLen is the length of the generic payload header (RFC 7296, Section 3.2;
// RFC 2408, Section 3.2).
const genericLen = 4

// maxPayloads bounds the payloads of one message; the largest real ones have a few dozen.
const maxPayloads = 1024

// Parse reads one IKE message of either version. It keeps what can be read: where the message
// contradicts itself, Faults says so and the payloads before it are there. The error is a
// *ParseError, for bytes without a header or of a version that is neither 1 nor 2. The result
// refers to b.
func Parse(b []byte) (*Message, error) {
	var m memory
	return m.parse(b)
}

// Parser parses one message after the other into the same memory. The zero value is ready.
type Parser struct{ memory memory }

// Parse is as the function Parse, but its result is valid only until the next call.
func (p *Parser) Parse(b []byte) (*Message, error) {
	p.memory.reset()
	return p.memory.parse(b)
}

func (mem *memory) parse(b []byte) (*Message, error) {
	h, err := ParseHeader(b)
	if err != nil {
		return nil, &ParseError{len(b), err.Error()}
	}
	if h.Major() != 1 && h.Major() != 2 {
		return nil, &ParseError{17, fmt.Sprintf("version %d.%d", h.Version>>4, h.Version&15)}
	}
	m := take(mem, &mem.messages)
	*m = Message{Header: h}
	body := m.bound(b)
	if h.Major() == 1 && h.Flags&FlagV1Encryption != 0 {
		m.Payloads = []Payload{&Ciphertext{First: h.NextPayload, Data: body[HeaderLen:]}}
		return m, nil
	}
	m.Payloads = m.chain(mem, h.NextPayload, body, HeaderLen)
	return m, nil
}

// bound cuts b to the message, as its length field says, and notes where the two disagree.
func (m *Message) bound(b []byte) []byte {
	switch n := int64(m.Length); {
	case n < HeaderLen:
		m.fault(24, "length %d is less than the header's", n)
	case n > int64(len(b)):
		m.fault(24, "length %d, but %d bytes are there", n, len(b))
	default:
		m.Trailing = nilIfEmpty(b[n:])
		return b[:n]
	}
	return b
}

func nilIfEmpty(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}

func (m *Message) fault(offset int, format string, args ...any) {
	m.Faults = append(m.Faults, Fault{offset, fmt.Sprintf(format, args...)})
}

// chain reads payloads from offset at to the end of b.
func (m *Message) chain(mem *memory, next PayloadType, b []byte, at int) []Payload {
	all := mem.payloads
	for next != PayloadNone {
		if len(all) == maxPayloads {
			m.fault(at, "more than %d payloads", maxPayloads)
			break
		}
		if len(b)-at < genericLen {
			m.fault(at, "%s payload: %d bytes are left", PayloadName(m.Major(), next), max(len(b)-at, 0))
			break
		}
		following := PayloadType(b[at])
		n := int(binary.BigEndian.Uint16(b[at+2:]))
		if n < genericLen {
			m.fault(at+2, "%s payload: length %d", PayloadName(m.Major(), next), n)
			break
		}
		end := at + n
		if end > len(b) {
			m.fault(at+2, "%s payload: length %d, but %d bytes are left", PayloadName(m.Major(), next), n, len(b)-at)
			end = len(b)
		}
		p := payloadParser{m: m, mem: mem, generic: Generic{Flags: b[at+1]}, base: at + genericLen, b: b[at+genericLen : end],
			next: following}
		all = append(all, p.parse(next))
		if end < at+n {
			break
		}
		at = end
		if m.Major() == 2 && (next == PayloadSK || next == PayloadSKF) {
			following = PayloadNone // what it names as next is inside, and it is the last (RFC 7296, Section 3.14)
		}
		next = following
	}
	switch {
	case next != PayloadNone || at >= len(b):
	case m.Major() == 1 && isPadding(b[at:]):
		m.Padding = b[at:]
	default:
		m.fault(at, "%d bytes behind the last payload", len(b)-at)
	}
	if mem.kept {
		mem.payloads = all[:0]
	}
	return all
}

// isPadding recognises what libreswan, unless told otherwise, and others put behind an IKEv1
// message in clear.
func isPadding(b []byte) bool { return len(b) <= 3 && len(bytes.Trim(b, "\x00")) == 0 }

// Generic is the part of the generic payload header that is neither type nor length.
type Generic struct {
	Flags uint8 // the critical bit and seven reserved ones
}

// Critical says that a receiver that does not know the payload must reject the message (RFC 7296,
// Section 3.2).
func (g Generic) Critical() bool { return g.Flags&0x80 != 0 }

func (g Generic) header() Generic { return g }

// payloadParser reads one payload's body. A body that is too short for its fixed part gives an
// *Unknown with a fault.
type payloadParser struct {
	m       *Message
	mem     *memory
	generic Generic
	base    int // offset of b in the message
	b       []byte
	next    PayloadType
}

func (p *payloadParser) parse(t PayloadType) Payload {
	var body Payload
	if p.m.Major() == 1 {
		body = p.parseV1(t)
	} else {
		body = p.parseV2(t)
	}
	if body == nil {
		return &Unknown{p.generic, t, p.b}
	}
	return body
}

func (p *payloadParser) parseV2(t PayloadType) Payload {
	switch t {
	case PayloadSA:
		return p.sa()
	case PayloadKE:
		return p.ke()
	case PayloadIDi, PayloadIDr, PayloadIDg:
		return p.id(t)
	case PayloadCERT:
		return p.cert()
	case PayloadCREQ:
		return p.certReq()
	case PayloadAUTH:
		return p.auth()
	case PayloadNonce:
		n := take(p.mem, &p.mem.nonces)
		*n = Nonce{p.generic, p.b}
		return n
	case PayloadN:
		return p.notify()
	case PayloadD:
		return p.delete()
	case PayloadV:
		v := take(p.mem, &p.mem.vendors)
		*v = VendorID{p.generic, p.b}
		return v
	case PayloadTSi, PayloadTSr:
		return p.ts(t)
	case PayloadSK, PayloadSKF:
		return p.encrypted(t)
	case PayloadCP:
		return p.cp()
	case PayloadEAP:
		return p.eap()
	case PayloadGSA, PayloadKD:
		if g := p.group(t); g != nil {
			return g
		}
	}
	return nil
}

// need says whether the body has n bytes, and notes a fault when it has not.
func (p *payloadParser) need(n int, what string) bool {
	if len(p.b) >= n {
		return true
	}
	p.m.fault(p.base, "%s payload: %d bytes where at least %d are needed", what, len(p.b), n)
	return false
}

func (p *payloadParser) fault(at int, format string, args ...any) {
	p.m.fault(p.base+at, format, args...)
}

// Unknown is a payload of a type that this package does not decode, or that is too
// short for its type.
type Unknown struct {
	Generic
	Number PayloadType
	Data   []byte
}

// Type returns the payload's number.
func (u *Unknown) Type() PayloadType { return u.Number }

func (u *Unknown) appendBody(dst []byte) []byte { return append(dst, u.Data...) }

// encoder is what every payload of this package has beside its type.
type encoder interface {
	header() Generic
	appendBody(dst []byte) []byte
}

// Append encodes m behind dst. Lengths and the chain of types are made from the payloads; header
// fields are m's own. Of a well-formed message, Append of what Parse returned is the message. The
// error names a payload that cannot be encoded.
func (m *Message) Append(dst []byte) ([]byte, error) {
	start := len(dst)
	h := m.Header
	h.NextPayload = firstType(m.Payloads)
	if len(m.Payloads) == 1 {
		if c, ok := m.Payloads[0].(*Ciphertext); ok {
			h.NextPayload = c.First
		}
	}
	dst = h.append(dst)
	for i, p := range m.Payloads {
		var err error
		if dst, err = appendPayload(dst, p, firstType(m.Payloads[i+1:])); err != nil {
			return dst[:start], err
		}
	}
	dst = append(dst, m.Padding...)
	binary.BigEndian.PutUint32(dst[start+24:], uint32(len(dst)-start))
	return append(dst, m.Trailing...), nil
}

func firstType(ps []Payload) PayloadType {
	if len(ps) == 0 {
		return PayloadNone
	}
	return ps[0].Type()
}

func (h Header) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.SPIi))
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.SPIr))
	dst = append(dst, byte(h.NextPayload), h.Version, byte(h.Exchange), byte(h.Flags))
	dst = binary.BigEndian.AppendUint32(dst, h.MessageID)
	return binary.BigEndian.AppendUint32(dst, h.Length)
}

func appendPayload(dst []byte, p Payload, next PayloadType) ([]byte, error) {
	e, ok := p.(encoder)
	if !ok {
		return dst, fmt.Errorf("payload %T cannot be encoded", p)
	}
	switch x := p.(type) {
	case *Ciphertext:
		return append(dst, x.Data...), nil
	case *Encrypted:
		next = x.First
	}
	at := len(dst)
	dst = append(dst, byte(next), e.header().Flags, 0, 0)
	dst = e.appendBody(dst)
	n := len(dst) - at
	if n > 0xffff {
		return dst, fmt.Errorf("%s payload: %d bytes do not fit", PayloadName(2, p.Type()), n)
	}
	binary.BigEndian.PutUint16(dst[at+2:], uint16(n))
	return dst, nil
}

// Walk calls f for every payload of the message b in the order of the chain, with the offset of its
// generic header in b and its body behind that, until f returns false. Nested structures are not
// looked into; nothing is allocated. The fault is the zero value for a chain that is sound.
func Walk(b []byte, f func(t PayloadType, offset int, body []byte) bool) (Header, Fault) {
	h, err := ParseHeader(b)
	if err != nil {
		return h, Fault{len(b), "shorter than an IKE header"}
	}
	var fault Fault
	switch n := int64(h.Length); {
	case n < HeaderLen:
		fault = Fault{24, "length is less than the header's"}
	case n > int64(len(b)):
		fault = Fault{24, "length is more than the bytes that are there"}
	default:
		b = b[:n]
	}
	if h.Major() == 1 && h.Flags&FlagV1Encryption != 0 {
		return h, fault
	}
	next, at, v2 := h.NextPayload, HeaderLen, h.Major() == 2
	for range maxPayloads {
		if next == PayloadNone {
			if at < len(b) {
				fault = Fault{at, "bytes behind the last payload"}
			}
			return h, fault
		}
		if len(b)-at < genericLen {
			return h, Fault{at, "a payload header does not fit"}
		}
		n := int(b[at+2])<<8 | int(b[at+3])
		if n < genericLen {
			return h, Fault{at + 2, "payload length is less than its header's"}
		}
		if n > len(b)-at {
			f(next, at, b[at+genericLen:])
			return h, Fault{at + 2, "payload length is more than the bytes that are left"}
		}
		if !f(next, at, b[at+genericLen:at+n]) {
			return h, fault
		}
		last := v2 && (next == PayloadSK || next == PayloadSKF)
		if next, at = PayloadType(b[at]), at+n; last {
			next = PayloadNone
		}
	}
	return h, Fault{at, "too many payloads"}
}
