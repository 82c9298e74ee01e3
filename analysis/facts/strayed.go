package facts

import (
	"net/netip"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/pair"
)

// Strayed is an answer that does not come from where its request went, which it must
// (RFC 7296, Section 2.11).
type Strayed struct {
	Answer      *pair.Message
	Asked, From netip.AddrPort
}

// Strayed is the first answer from elsewhere of a conversation that does not get through: whoever
// asked drops it and asks again, or takes it and asks on where nobody listens. Nil without one.
func (t *Talk) Strayed() *Strayed {
	if t.End == Established {
		return nil
	}
	for _, m := range t.Messages {
		if x := StrayedOf(m); x != nil && t.askedAgain(m) {
			return x
		}
	}
	return nil
}

// StrayedOf says where the request of an answer went and where the answer came from, when these
// differ in the eyes of one capture.
func StrayedOf(m *pair.Message) *Strayed {
	q := m.Answers()
	if m.Kind != exchange.Response || q == nil {
		return nil
	}
	for _, s := range [2]pair.Side{q.From, m.From} {
		mine, yours := m.Copy(s), q.Copy(s)
		if mine == nil || yours == nil {
			continue
		}
		from := mine.Sent()[0].Src
		for i := range yours.Sent() {
			if yours.Sent()[i].Dst == from {
				return nil
			}
		}
		return &Strayed{m, yours.Sent()[0].Dst, from}
	}
	return nil
}

// askedAgain says whether the request that m answers, or a later one, is sent more than once.
func (t *Talk) askedAgain(m *pair.Message) bool {
	for _, q := range t.Messages {
		if q.From == m.From.Other() && q.Kind == exchange.Request && q.MessageID >= m.MessageID &&
			len(Sendings(q)) > 1 {
			return true
		}
	}
	return false
}

// Misdirected is an answer that goes elsewhere than where its request came from, be it another
// address or another port, which it must not (RFC 7296, Section 2.11).
type Misdirected struct{ Asked, To netip.AddrPort }

// MisdirectedOf says so of an answer, by the capture of who sent it.
func MisdirectedOf(m *pair.Message) (Misdirected, bool) {
	q := m.Answers()
	if m.Kind != exchange.Response || q == nil {
		return Misdirected{}, false
	}
	mine, yours := m.Copy(m.From), q.Copy(m.From)
	if mine == nil || yours == nil {
		return Misdirected{}, false
	}
	to := mine.Sent()[0].Dst
	for i := range yours.Sent() {
		if yours.Sent()[i].Src == to {
			return Misdirected{}, false
		}
	}
	return Misdirected{yours.Sent()[0].Src, to}, true
}
