package exchange

import (
	"encoding/binary"
	"slices"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/packet"
)

// newMessage is a message with that content as p, its first sending, shows it.
func newMessage(c *Content, p *packet.Packet) Message {
	m := Message{Content: c, Truncated: p.Truncated}
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

// newContent reads what can be read without keys, and keeps a copy of raw unless that is spared.
func (t *teller) newContent(h ike.Header, raw []byte, s *share) Content {
	c, r := Content{Header: h}, &t.repeats
	sealed := isSealed(h, raw)
	if sealed {
		c.Clear = r.sealed(raw[ike.HeaderLen:])
	}
	if sealed && c.missed != nil {
		return c
	}
	raw = s.arena.copy(raw)
	c.raw, _ = s.raws.add()
	if *c.raw = raw; sealed {
		return c
	}
	layout, sound := r.layout(raw)
	if known := r.clears[string(layout)]; known != nil && sound {
		c.Clear = known
		return c
	}
	c.Clear = newClear(h, raw, r)
	if sound && len(r.clears) < maxRepeats {
		c.Clear.share(raw)
		r.clears[string(layout)] = c.Clear
	}
	return c
}

// newClear reads the payloads of a message.
func newClear(h ike.Header, raw []byte, r *repeats) *Clear {
	c := &Clear{parsed: parse(h, raw)}
	for _, x := range c.parsed.Payloads {
		c.take(h, x, raw)
	}
	for i := range c.notifies {
		c.marks.mark(c.notifies[i].Number)
	}
	c.Payloads = r.names(c.parsed)
	r.share(c.parsed, raw)
	return c
}

// share makes c the Clear of all messages that are laid out as raw, the one that it was made of.
func (c *Clear) share(raw []byte) {
	c.shared = true
	n := 0
	ike.Walk(raw, func(t ike.PayloadType, offset int, body []byte) bool {
		if t == ike.PayloadN {
			const fixed = 8 // generic header, protocol, length of the SPI, type
			x := &c.notifies[n]
			x.spi, x.data = offset+fixed, offset+fixed+len(x.SPI)
			n++
		}
		return true
	})
}

func parse(h ike.Header, raw []byte) *ike.Message {
	m, err := ike.Parse(raw)
	if err != nil {
		return &ike.Message{Header: h, Faults: []ike.Fault{{Offset: 17, Reason: err.Error()}}}
	}
	return m
}

// isSealed says whether a message is one SK payload from the header to its end, as all its lengths
// say: there is nothing to be kept of it beside its bytes.
func isSealed(h ike.Header, b []byte) bool {
	const sk = ike.HeaderLen
	return h.Major() == 2 && h.NextPayload == ike.PayloadSK && int64(h.Length) == int64(len(b)) && len(b) >= sk+4 &&
		int(binary.BigEndian.Uint16(b[sk+2:])) == len(b)-sk
}

// Parsed returns the message's payloads; they alias Raw. What was not kept of it is read when it is
// asked for. Of an SK payload whose bytes are not kept all but these is right.
func (c *Content) Parsed() *ike.Message {
	switch {
	case c.raw == nil:
		sk := &ike.Encrypted{Generic: ike.Generic{Flags: c.flags}, Number: ike.PayloadSK, First: c.FirstInner,
			Data: make([]byte, c.SKLen-genericLen)}
		return &ike.Message{Header: c.Header, Payloads: []ike.Payload{sk}}
	case c.parsed == nil || c.shared:
		return parse(c.Header, *c.raw)
	}
	return c.parsed
}

// genericLen is the length of the header of a payload (RFC 7296, Section 3.2).
const genericLen = 4

// Holds says whether there is a payload of a type in clear.
func (c *Clear) Holds(t ike.PayloadType) bool {
	return c.parsed != nil && slices.ContainsFunc(c.parsed.Payloads, func(x ike.Payload) bool { return x.Type() == t })
}

// InClear returns the payloads; none where all that follows the header is encrypted. Most messages
// are read for it.
func (c *Content) InClear() []ike.Payload {
	if c.parsed == nil {
		return nil
	}
	return c.Parsed().Payloads
}

// OfType returns the payloads in clear of one type. Only messages that have some are read for it.
func (c *Content) OfType(t ike.PayloadType) []ike.Payload {
	if !c.Holds(t) {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(c.Parsed().Payloads), func(x ike.Payload) bool { return x.Type() != t })
}

// Faults says where the message contradicts itself.
func (c *Clear) Faults() []ike.Fault {
	if c.parsed == nil {
		return nil
	}
	return c.parsed.Faults
}

// take notes what one payload of raw says.
func (c *Clear) take(h ike.Header, x ike.Payload, raw []byte) {
	switch x := x.(type) {
	case *ike.Encrypted:
		c.FirstInner, c.SKLen = x.First, encryptedLen(h, x, raw)
		c.Fragment, c.Fragments = x.Part, x.Parts
	case *ike.Ciphertext:
		c.FirstInner, c.SKLen = x.First, max(int(h.Length)-ike.HeaderLen, 0)
	case *ike.Notify:
		n := Notify{uint16(x.Number), x.Number.String(), x.Number.IsError(), x.SPI, x.Data}
		c.notifies = append(c.notifies, notify{Notify: n})
	case *ike.NotifyV1:
		n := Notify{x.Number, ike.NotifyNameV1(x.Number), x.IsError(), x.SPI, x.Data}
		c.notifies = append(c.notifies, notify{Notify: n})
	}
}

// encryptedLen is the length of an SK or SKF payload by its own header, also where a snap length
// cut the message.
func encryptedLen(h ike.Header, x *ike.Encrypted, raw []byte) int {
	if (h.NextPayload == ike.PayloadSK || h.NextPayload == ike.PayloadSKF) && len(raw) >= ike.HeaderLen+4 {
		return int(binary.BigEndian.Uint16(raw[ike.HeaderLen+2:]))
	}
	return x.BodyLen() + 4
}

// SA returns the SA payload in clear of an IKEv2 message, or nil.
func (c *Clear) SA() *ike.SA { return first[*ike.SA](c) }

// SAv1 returns the SA payload in clear of an IKEv1 message, or nil.
func (c *Clear) SAv1() *ike.SAv1 { return first[*ike.SAv1](c) }

// KE returns the method of the Key Exchange payload in clear of an IKEv2 message, and the length of
// its data.
func (c *Clear) KE() (method uint16, size int, ok bool) {
	ke := first[*ike.KE](c)
	if ke == nil {
		return 0, 0, false
	}
	return ke.Method, len(ke.Data), true
}

// Frag returns the fragment that an IKEv1 message is, or nil.
func (c *Clear) Frag() *ike.Frag {
	if c.parsed == nil {
		return nil
	}
	return c.parsed.Frag()
}

func first[T ike.Payload](c *Clear) (none T) {
	if c.parsed == nil {
		return none
	}
	for _, x := range c.parsed.Payloads {
		if t, ok := x.(T); ok {
			return t
		}
	}
	return none
}
