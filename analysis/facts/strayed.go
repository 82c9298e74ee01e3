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
		if x := strayed(m); x != nil && t.askedAgain(m) {
			return x
		}
	}
	return nil
}

// strayed says where the request of an answer went and where the answer came from, when these
// differ in the eyes of one capture.
func strayed(m *pair.Message) *Strayed {
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
