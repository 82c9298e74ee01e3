package pair

import (
	"cmp"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/ike"
)

// measure bounds the plaintext of the encrypted messages by the algorithms that were
// negotiated in clear, and by the padding that each side shows in messages which hold nothing;
// with keys it reads them.
func (v *Conversation) measure(keys *ike.Keys, known suites) {
	v.Suite = v.suite(known)
	defer v.open(keys)
	if v.Version == 1 {
		v.measureV1()
		return
	}
	if v.Suite == nil {
		return
	}
	outside := ike.NewOutside(*v.Suite)
	for _, m := range v.Messages {
		if m.SKLen > 0 && m.Fragment <= 1 {
			outside.Learn(int(m.From), m.FirstInner, body(m.Message))
		}
	}
	for _, m := range v.Messages {
		if m.SKLen == 0 {
			continue
		}
		first := m.FirstInner
		if m.Fragment > 1 {
			first = ike.PayloadSKF // the header of a further fragment names nothing
		}
		m.setPlain(outside.Room(int(m.From), first, body(m.Message)))
	}
}

// suites are those of what responders chose, nil for none: equal choices are one in memory.
type suites map[*ike.SA]*ike.Suite

func (known suites) of(sa *ike.SA) *ike.Suite {
	s, some := known[sa]
	if some || len(sa.Proposals) != 1 {
		return s
	}
	if read, ok := ike.SuiteFrom(sa.Proposals[0]); ok {
		s = &read
	}
	known[sa] = s
	return s
}

// suite reads the responder's selection; an IKE SA that replaced another has its own inside an
// encrypted message, and most likely the same.
func (v *Conversation) suite(known suites) *ike.Suite {
	var found *ike.Suite
	for _, m := range v.Messages {
		if m.Exchange != ike.IKESAInit || m.Kind != exchange.Response {
			continue
		}
		if sa := m.SA(); sa != nil {
			found = cmp.Or(known.of(sa), found)
		}
	}
	if found == nil && v.Rekeyed != nil {
		return v.Rekeyed.Suite // it is from before, and known by now
	}
	return found
}

// body is the length of what an SK or SKF payload carries: initialization vector, ciphertext,
// integrity check value.
func body(m *exchange.Message) int {
	if m.Fragments > 0 {
		return m.SKLen - 8
	}
	return m.SKLen - 4
}

// v1Block is the longest cipher block of IKEv1, by which its padding is uncertain.
const v1Block = 16

// measureV1: IKEv1 encrypts everything behind the header in CBC mode, without initialization vector
// or integrity value (RFC 2409, Section 5), and pads as it likes.
func (v *Conversation) measureV1() {
	for _, m := range v.Messages {
		if m.Encrypted() && m.SKLen > 0 {
			m.setPlain(ike.Room{Known: true, Min: max(0, m.SKLen-v1Block), Max: m.SKLen})
		}
	}
}

// open decrypts what the keys open. What was inside of a message in fragments (RFC 7383) goes to
// its first fragment.
func (v *Conversation) open(keys *ike.Keys) {
	if keys.Len() == 0 {
		return
	}
	opener := ike.NewOpener(keys)
	for _, m := range v.Messages {
		inner, err := opener.Open(m.Parsed(), m.Raw())
		if err != nil || inner == nil {
			continue
		}
		whole := m
		if m.Fragment > 1 {
			whole = v.firstFragment(m)
		}
		whole.more().inner = inner.Payloads
		whole.setPlain(ike.Room{Known: true, Min: len(inner.Plaintext), Max: len(inner.Plaintext)})
	}
}

func (v *Conversation) firstFragment(m *Message) *Message {
	for _, f := range v.Messages {
		if f.Fragment == 1 && f.MessageID == m.MessageID && f.Exchange == m.Exchange && f.From == m.From && f.Kind == m.Kind {
			return f
		}
	}
	return m
}

// InnerNotifies returns the Notify payloads that keys made readable.
func (m *Message) InnerNotifies() []*ike.Notify {
	var all []*ike.Notify
	for _, p := range m.Inner() {
		if n, ok := p.(*ike.Notify); ok {
			all = append(all, n)
		}
	}
	return all
}
