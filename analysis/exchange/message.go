package exchange

import (
	"hash/maphash"

	"github.com/moncap/moncap/analysis/ike"
)

// Message is one IKE message: distinct bytes, and every time that they were seen.
type Message struct {
	*Content
	Truncated bool // no copy in this capture is whole
	Marker    bool // a non-ESP marker stood before it
	TCP       bool // it came in TCP (RFC 9329)
	Role      Role // of its sender
	Kind      Kind
	Index     int32   // its place in Story.Messages
	Sent      []Sight // every sighting, in the order of the file, copies included
}

// Content is what the bytes of a message say without keys. Not to be changed: both captures share that of a message which both hold.
type Content struct {
	ike.Header
	*Clear                     // never nil
	Raw        []byte          // the message as the capture holds it
	Hash       uint64          // of Raw, comparable within one process
	SKLen      int             // length of the SK or SKF payload in bytes as its header says, 0 without
	FirstInner ike.PayloadType // of SK and SKF: what stands first inside (RFC 7296, Section 3.14); v1 encrypted: the header's
	Fragment   uint16          // SKF: number of this fragment, counted from 1 (RFC 7383, Section 2.5)
	Fragments  uint16          // SKF: of how many
}

// Clear is what a message says beside its header and outside of what is encrypted. Not to be changed: nearly all encrypted messages share
// theirs, since they say nothing.
type Clear struct {
	Payloads []string // names in order: "SA", "KE", "N(COOKIE)" is in Notifies, here it is "N"
	Notifies []Notify
	parsed   *ike.Message // nil for a well-formed message of one SK payload
}

// PrefixLen is how many bytes of a message identify it when a capture is truncated: they reach into the first payload, and
// every snap length of use holds them.
const PrefixLen = 64

// Prefix is a hash of the first PrefixLen bytes, comparable within one process.
func (c *Content) Prefix() uint64 { return maphash.Bytes(seed, c.Raw[:min(len(c.Raw), PrefixLen)]) }

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

// The kinds of messages. IKEv1 messages are requests, but those that the protocol's order makes an answer (MM2, MM4, MM6, AM2, QM2).
const (
	Request Kind = iota
	Response
)

func (k Kind) String() string { return [...]string{"request", "response"}[k] }

// Has says whether the message holds a Notify of type n in clear.
func (c *Clear) Has(n uint16) bool {
	_, ok := c.Notify(n)
	return ok
}

// Notify returns the first Notify payload of type n in clear.
func (c *Clear) Notify(n uint16) (Notify, bool) {
	for _, x := range c.Notifies {
		if x.Number == n {
			return x, true
		}
	}
	return Notify{}, false
}

// Errors returns the error Notify payloads in clear.
func (c *Clear) Errors() []Notify {
	var all []Notify
	for _, n := range c.Notifies {
		if n.Error {
			all = append(all, n)
		}
	}
	return all
}

// Transmissions returns the sightings without copies.
func (m *Message) Transmissions() []Sight {
	var all []Sight
	for _, s := range m.Sent {
		if !s.Copy {
			all = append(all, s)
		}
	}
	return all
}

// Port returns the destination's or source's IKE port: 4500 when either is, else the destination port.
func (s *Sight) Port() uint16 {
	if s.Src.Port() == 4500 || s.Dst.Port() == 4500 {
		return 4500
	}
	if s.Src.Port() == 500 {
		return 500
	}
	return s.Dst.Port()
}
