package exchange

import (
	"encoding/binary"
	"hash/maphash"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/packet"
)

// newMessage reads what can be read without keys. raw is kept.
func newMessage(h ike.Header, hash uint64, raw []byte, p *packet.Packet) *Message {
	m := &Message{
		Header: h, Raw: raw, Hash: hash, Truncated: p.Truncated, Marker: p.Marker,
		Prefix: maphash.Bytes(seed, raw[:min(len(raw), PrefixLen)]),
	}
	if h.Major() == 2 {
		m.Role, m.Kind = Responder, Request
		if h.Initiator() {
			m.Role = Initiator
		}
		if h.Response() {
			m.Kind = Response
		}
	}
	parsed, err := ike.Parse(raw)
	if err != nil {
		parsed = &ike.Message{Header: h, Faults: []ike.Fault{{Offset: 17, Reason: err.Error()}}}
	}
	m.Parsed = parsed
	for _, x := range parsed.Payloads {
		m.take(x)
	}
	return m
}

// take notes what one payload says.
func (m *Message) take(x ike.Payload) {
	switch x := x.(type) {
	case *ike.Encrypted:
		m.FirstInner, m.SKLen = x.First, m.encryptedLen(x)
		m.Fragment, m.Fragments = int(x.Part), int(x.Parts)
	case *ike.Ciphertext:
		m.FirstInner, m.SKLen = x.First, max(int(m.Length)-ike.HeaderLen, 0)
		return // its type is what stands inside
	case *ike.Notify:
		m.Notifies = append(m.Notifies, Notify{uint16(x.Number), x.Number.String(), x.Number.IsError(), x.SPI, x.Data})
	case *ike.NotifyV1:
		m.Notifies = append(m.Notifies, Notify{x.Number, ike.NotifyNameV1(x.Number), x.Number < v1StatusTypes, x.SPI, x.Data})
	}
	m.Payloads = append(m.Payloads, ike.PayloadName(m.Major(), x.Type()))
}

// v1StatusTypes is the first notification of IKEv1 that is no error (RFC 2408, Section 3.14.1).
const v1StatusTypes = 16384

// encryptedLen is the length of an SK or SKF payload by its own header, also where a snap length cut the message.
func (m *Message) encryptedLen(x *ike.Encrypted) int {
	if (m.NextPayload == ike.PayloadSK || m.NextPayload == ike.PayloadSKF) && len(m.Raw) >= ike.HeaderLen+4 {
		return int(binary.BigEndian.Uint16(m.Raw[ike.HeaderLen+2:]))
	}
	return x.BodyLen() + 4
}

// SA returns the SA payload in clear of an IKEv2 message, or nil.
func (m *Message) SA() *ike.SA { return first[*ike.SA](m) }

// SAv1 returns the SA payload in clear of an IKEv1 message, or nil.
func (m *Message) SAv1() *ike.SAv1 { return first[*ike.SAv1](m) }

// KE returns the Key Exchange payload in clear of an IKEv2 message, or nil.
func (m *Message) KE() *ike.KE { return first[*ike.KE](m) }

func first[T ike.Payload](m *Message) (none T) {
	for _, x := range m.Parsed.Payloads {
		if t, ok := x.(T); ok {
			return t
		}
	}
	return none
}
