package exchange

import (
	"hash/maphash"
	"iter"
	"slices"

	"github.com/moncap/moncap/analysis/ike"
)

// Message is one IKE message: distinct bytes, and every time that they were seen. There is one for
// every message of a capture, so it is kept small.
type Message struct {
	*Content
	once      [1]Sight // of what was seen once, which most messages are
	more      *[]Sight // of what was seen more often, else nil
	Index     int32    // its place in Story.Messages
	Truncated bool     // no copy in this capture is whole
	Role      Role     // of its sender
	Kind      Kind
}

// Content is what the bytes of a message say without keys. Not to be changed: both captures share
// that of a message which both hold.
type Content struct {
	ike.Header
	*Clear         // never nil
	raw    *[]byte // nil for bytes that are not kept
}

// Clear is what a message says beside its header and outside of what is encrypted. Not to be
// changed: the messages that are laid out alike share theirs.
type Clear struct {
	Payloads []string // names in order: "SA", "KE", "N(COOKIE)" is in Notifies, here it is "N"
	SKLen    int      // length of the SK or SKF payload in bytes as its header says, 0 without
	// of SK and SKF: what stands first inside (RFC 7296, Section 3.14); v1 encrypted: the header's
	FirstInner ike.PayloadType
	Fragment   uint16 // SKF: number of this fragment, counted from 1 (RFC 7383, Section 2.5)
	Fragments  uint16 // SKF: of how many
	notifies   []notify
	marks      Marks
	parsed     *ike.Message // nil for a well-formed message of one SK payload
	shared     bool         // parsed is that of another message with the same layout
	flags      uint8        // of the generic header of the one SK payload, where parsed is nil
	missed     func()       // Contents.Missed of messages whose bytes are not kept, else nil
}

// notify is a Notify payload of a Clear, and where its data stand in the message.
type notify struct {
	Notify
	spi, data int
}

// PrefixLen is how many bytes of a message identify it when a capture is truncated: they reach into
// the first payload, and every snap length of use holds them.
const PrefixLen = 64

// Raw is the message as the capture holds it; nil where that is not kept, see Contents.Missed.
func (c *Content) Raw() []byte {
	if c.raw == nil {
		c.missed()
		return nil
	}
	return *c.raw
}

// Sent is every sighting, in the order of the file, copies included. Not to be changed.
func (m *Message) Sent() []Sight {
	if m.more != nil {
		return *m.more
	}
	return m.once[:]
}

// SetSent replaces the sightings by others, one at least.
func (m *Message) SetSent(all []Sight) {
	if len(all) == 1 {
		m.once[0], m.more = all[0], nil
		return
	}
	m.more = &all
}

// add adds a sighting.
func (m *Message) add(s Sight) {
	if m.more == nil {
		all := make([]Sight, 1, 2)
		all[0] = m.once[0]
		m.more = &all
	}
	*m.more = append(*m.more, s)
}

// Prefix is a hash of the first PrefixLen bytes, comparable within one process.
func (c *Content) Prefix() uint64 { return maphash.Bytes(seed, c.Raw()[:min(len(c.Raw()), PrefixLen)]) }

// Notify is one Notify payload that could be read without keys.
type Notify struct {
	Number uint16
	Name   string // of the registry of the message's version
	Error  bool   // an error type
	SPI    []byte
	Data   []byte
}

// Role is the role in the IKE SA.
type Role uint8

// The roles of a message's sender. In IKEv1 they follow from the exchange's order.
const (
	UnknownRole Role = iota
	Initiator
	Responder
)

func (r Role) String() string { return [...]string{"unknown", "initiator", "responder"}[r] }

// Kind says whether a message asks or answers.
type Kind uint8

// The kinds of messages. IKEv1 messages are requests, but those that the protocol's order makes an
// answer (MM2, MM4, MM6, AM2, QM2).
const (
	Request Kind = iota
	Response
)

func (k Kind) String() string { return [...]string{"request", "response"}[k] }

// Marks are those of the Notify payloads in clear.
func (c *Clear) Marks() Marks { return c.marks }

// Has says whether the message holds a Notify of type n in clear.
func (c *Clear) Has(n uint16) bool {
	return c.marks.May(n) && slices.ContainsFunc(c.notifies, func(x notify) bool { return x.Number == n })
}

// Notify returns the first Notify payload of type n in clear.
func (c *Content) Notify(n uint16) (Notify, bool) {
	for i := range c.notifies {
		if c.notifies[i].Number == n {
			return c.notify(i), true
		}
	}
	return Notify{}, false
}

// Notifies yields the Notify payloads in clear.
func (c *Content) Notifies() iter.Seq[Notify] {
	return func(yield func(Notify) bool) {
		for i := range c.notifies {
			if !yield(c.notify(i)) {
				return
			}
		}
	}
}

// notify is the i-th Notify payload with this message's data.
func (c *Content) notify(i int) Notify {
	x := c.notifies[i]
	if c.shared {
		x.SPI, x.Data = c.Raw()[x.spi:][:len(x.SPI)], c.Raw()[x.data:][:len(x.Data)]
	}
	return x.Notify
}

// Errors returns the error Notify payloads in clear.
func (c *Content) Errors() []Notify {
	var all []Notify
	for i := range c.notifies {
		if c.notifies[i].Error {
			all = append(all, c.notify(i))
		}
	}
	return all
}

// Transmissions returns the sightings without copies.
func (m *Message) Transmissions() []Sight {
	var all []Sight
	for _, s := range m.Sent() {
		if !s.Copy {
			all = append(all, s)
		}
	}
	return all
}

// Port returns the destination's or source's IKE port: 4500 when either is, else
// the destination port.
func (s *Sight) Port() uint16 {
	if s.Src.Port() == 4500 || s.Dst.Port() == 4500 {
		return 4500
	}
	if s.Src.Port() == 500 {
		return 500
	}
	return s.Dst.Port()
}
