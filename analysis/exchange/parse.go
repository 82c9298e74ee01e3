package exchange

import (
	"encoding/binary"
	"hash/maphash"
	"slices"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/packet"
)

// newMessage is a message with that content as p, its first sending, shows it.
func newMessage(c *Content, p *packet.Packet) Message {
	m := Message{Content: c, Truncated: p.Truncated, Marker: p.Marker}
	if c.Major() == 2 {
		m.Role, m.Kind = Responder, Request
		if c.Initiator() {
			m.Role = Initiator
		}
		if c.Response() {
			m.Kind = Response
		}
	}
	return m
}

// newContent reads what can be read without keys. raw is kept.
func newContent(h ike.Header, hash uint64, raw []byte) Content {
	c := Content{Header: h, Raw: raw, Hash: hash, Prefix: maphash.Bytes(seed, raw[:min(len(raw), PrefixLen)])}
	parsed, err := ike.Parse(raw)
	if err != nil {
		parsed = &ike.Message{Header: h, Faults: []ike.Fault{{Offset: 17, Reason: err.Error()}}}
	}
	c.Parsed = parsed
	for _, x := range parsed.Payloads {
		c.take(x)
	}
	return c
}

// take notes what one payload says.
func (c *Content) take(x ike.Payload) {
	switch x := x.(type) {
	case *ike.Encrypted:
		c.FirstInner, c.SKLen = x.First, c.encryptedLen(x)
		c.Fragment, c.Fragments = int(x.Part), int(x.Parts)
		if c.Payloads == nil && x.Number == ike.PayloadSK {
			c.Payloads = encryptedAlone
			return
		}
	case *ike.Ciphertext:
		c.FirstInner, c.SKLen = x.First, max(int(c.Length)-ike.HeaderLen, 0)
		return // its type is what stands inside
	case *ike.Notify:
		c.Notifies = append(c.Notifies, Notify{uint16(x.Number), x.Number.String(), x.Number.IsError(), x.SPI, x.Data})
	case *ike.NotifyV1:
		c.Notifies = append(c.Notifies, Notify{x.Number, ike.NotifyNameV1(x.Number), x.IsError(), x.SPI, x.Data})
	}
	c.Payloads = append(c.Payloads, ike.PayloadName(c.Major(), x.Type()))
}

// encryptedAlone are the Payloads of nearly all messages; full, so that what is appended makes a copy.
var encryptedAlone = slices.Clip([]string{ike.PayloadName(2, ike.PayloadSK)})

// encryptedLen is the length of an SK or SKF payload by its own header, also where a snap length cut the message.
func (c *Content) encryptedLen(x *ike.Encrypted) int {
	if (c.NextPayload == ike.PayloadSK || c.NextPayload == ike.PayloadSKF) && len(c.Raw) >= ike.HeaderLen+4 {
		return int(binary.BigEndian.Uint16(c.Raw[ike.HeaderLen+2:]))
	}
	return x.BodyLen() + 4
}

// SA returns the SA payload in clear of an IKEv2 message, or nil.
func (c *Content) SA() *ike.SA { return first[*ike.SA](c) }

// SAv1 returns the SA payload in clear of an IKEv1 message, or nil.
func (c *Content) SAv1() *ike.SAv1 { return first[*ike.SAv1](c) }

// KE returns the Key Exchange payload in clear of an IKEv2 message, or nil.
func (c *Content) KE() *ike.KE { return first[*ike.KE](c) }

// Frag returns the fragment that an IKEv1 message is, or nil.
func (c *Content) Frag() *ike.Frag { return c.Parsed.Frag() }

func first[T ike.Payload](c *Content) (none T) {
	for _, x := range c.Parsed.Payloads {
		if t, ok := x.(T); ok {
			return t
		}
	}
	return none
}
