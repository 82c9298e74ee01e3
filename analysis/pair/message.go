package pair

import (
	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/ike"
)

// Copy is the message as the capture of s has it; nil where it was never seen.
func (m *Message) Copy(s Side) *exchange.Message { return m.at[s] }

// Copies are the message as each side's capture has it.
func (m *Message) Copies() [2]*exchange.Message { return m.at }

// Transmissions are all in aligned order, duplicates included. Not to be changed.
func (m *Message) Transmissions() []*Transmission {
	switch {
	case m.rest != nil && len(m.rest.sends) > 0:
		return m.rest.sends
	case m.only[0] == nil:
		return nil
	}
	return m.only[:]
}

// Answers is the request that an IKEv2 response answers, if it was seen.
func (m *Message) Answers() *Message {
	if m.Kind != exchange.Response {
		return nil
	}
	return m.partner
}

// AnsweredBy is the response to an IKEv2 request, if it was seen.
func (m *Message) AnsweredBy() *Message {
	if m.Kind == exchange.Response {
		return nil
	}
	return m.partner
}

// Plain bounds the payloads inside, padding taken off, of an SK or SKF payload, or of an encrypted
// IKEv1 message.
func (m *Message) Plain() ike.Room {
	return ike.Room{Known: m.plainKnown, Min: int(m.plainMin), Max: int(m.plainMin) + int(m.plainDoubt)}
}

func (m *Message) setPlain(r ike.Room) {
	m.plainKnown, m.plainMin, m.plainDoubt = r.Known, int32(r.Min), uint16(r.Max-r.Min)
}

// Inner are the payloads that keys made readable.
func (m *Message) Inner() []ike.Payload {
	if m.rest == nil {
		return nil
	}
	return m.rest.inner
}

// DifferAt is, of an altered message, the offset of the first difference.
func (m *Message) DifferAt() int {
	if m.rest == nil {
		return 0
	}
	return m.rest.differAt
}

// more is where what few messages have goes.
func (m *Message) more() *rest {
	if m.rest == nil {
		m.rest = &rest{}
	}
	return m.rest
}

// Partial are the frames of a fragmented datagram that arrived at the receiver, when not all did.
func (t *Transmission) Partial() []int {
	if t.strange == nil {
		return nil
	}
	return t.strange.partial
}

// CopyOf is, of a duplicate, the transmission that it repeats.
func (t *Transmission) CopyOf() *Transmission {
	if t.strange == nil {
		return nil
	}
	return t.strange.copyOf
}
