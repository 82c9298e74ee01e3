package exchange

import (
	"encoding/binary"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/packet"
)

// newMessage is a message with that content as p, its first sending, shows it.
func newMessage(c *Content, p *packet.Packet) Message {
	m := Message{Content: c, Truncated: p.Truncated, Marker: p.Marker, TCP: p.TCPEncap}
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
func newContent(h ike.Header, hash uint64, raw []byte, r *repeats) Content {
	c := Content{Header: h, Raw: raw, Hash: hash}
	if isSealed(h, raw) {
		c.Clear, c.FirstInner, c.SKLen = sealed, ike.PayloadType(raw[ike.HeaderLen]), len(raw)-ike.HeaderLen
		return c
	}
	c.Clear = &Clear{parsed: parse(h, raw)}
	for _, x := range c.parsed.Payloads {
		c.take(x)
	}
	c.Payloads = r.names(c.parsed)
	r.share(c.parsed, raw)
	return c
}

func parse(h ike.Header, raw []byte) *ike.Message {
	m, err := ike.Parse(raw)
	if err != nil {
		return &ike.Message{Header: h, Faults: []ike.Fault{{Offset: 17, Reason: err.Error()}}}
	}
	return m
}

// sealed is what nearly all messages say outside of their encrypted payload.
var sealed = &Clear{Payloads: []string{ike.PayloadName(2, ike.PayloadSK)}}

// isSealed says whether a message is one SK payload from the header to its end, as all its lengths say: there is nothing to be kept of it
// beside its bytes.
func isSealed(h ike.Header, b []byte) bool {
	const sk = ike.HeaderLen
	return h.Major() == 2 && h.NextPayload == ike.PayloadSK && int64(h.Length) == int64(len(b)) && len(b) >= sk+4 &&
		int(binary.BigEndian.Uint16(b[sk+2:])) == len(b)-sk
}

// Parsed returns the message's payloads; they alias Raw. A sealed message is read when it is asked for.
func (c *Content) Parsed() *ike.Message {
	if c.parsed == nil {
		return parse(c.Header, c.Raw)
	}
	return c.parsed
}

// InClear returns the payloads, none where all that follows the header is encrypted.
func (c *Clear) InClear() []ike.Payload {
	if c.parsed == nil {
		return nil
	}
	return c.parsed.Payloads
}

// Faults says where the message contradicts itself.
func (c *Clear) Faults() []ike.Fault {
	if c.parsed == nil {
		return nil
	}
	return c.parsed.Faults
}

// take notes what one payload says.
func (c *Content) take(x ike.Payload) {
	switch x := x.(type) {
	case *ike.Encrypted:
		c.FirstInner, c.SKLen = x.First, c.encryptedLen(x)
		c.Fragment, c.Fragments = x.Part, x.Parts
	case *ike.Ciphertext:
		c.FirstInner, c.SKLen = x.First, max(int(c.Length)-ike.HeaderLen, 0)
	case *ike.Notify:
		c.Notifies = append(c.Notifies, Notify{uint16(x.Number), x.Number.String(), x.Number.IsError(), x.SPI, x.Data})
	case *ike.NotifyV1:
		c.Notifies = append(c.Notifies, Notify{x.Number, ike.NotifyNameV1(x.Number), x.IsError(), x.SPI, x.Data})
	}
}

// encryptedLen is the length of an SK or SKF payload by its own header, also where a snap length cut the message.
func (c *Content) encryptedLen(x *ike.Encrypted) int {
	if (c.NextPayload == ike.PayloadSK || c.NextPayload == ike.PayloadSKF) && len(c.Raw) >= ike.HeaderLen+4 {
		return int(binary.BigEndian.Uint16(c.Raw[ike.HeaderLen+2:]))
	}
	return x.BodyLen() + 4
}

// SA returns the SA payload in clear of an IKEv2 message, or nil.
func (c *Clear) SA() *ike.SA { return first[*ike.SA](c) }

// SAv1 returns the SA payload in clear of an IKEv1 message, or nil.
func (c *Clear) SAv1() *ike.SAv1 { return first[*ike.SAv1](c) }

// KE returns the Key Exchange payload in clear of an IKEv2 message, or nil.
func (c *Clear) KE() *ike.KE { return first[*ike.KE](c) }

// Frag returns the fragment that an IKEv1 message is, or nil.
func (c *Clear) Frag() *ike.Frag {
	if c.parsed == nil {
		return nil
	}
	return c.parsed.Frag()
}

func first[T ike.Payload](c *Clear) (none T) {
	for _, x := range c.InClear() {
		if t, ok := x.(T); ok {
			return t
		}
	}
	return none
}
