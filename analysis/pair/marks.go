package pair

import (
	"iter"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/ike"
)

// marks are what is known of all messages of a conversation together, so that who looks
// for what few have need not look at each: of hundreds of thousands of negotiations that
// is most of the work.
type marks struct {
	exchange.Marks        // of their Notify payloads in clear
	exchanges      uint32 // bits that two types of exchange of one version of IKE never share, see exchangeBit
	faulty         bool   // a message contradicts itself
}

func (k *marks) take(m *Message) {
	k.Join(m.Marks())
	k.exchanges |= exchangeBit(m.Exchange, m.Kind)
	for i, x := range m.at {
		if x != nil && (i == 0 || m.at[0] == nil || x.Content != m.at[0].Content) {
			k.faulty = k.faulty || len(x.Faults()) > 0
		}
	}
}

// exchangeBit is that of an exchange and kind. The types are 34 to 44 in IKEv2; 1 to 6, 32 and 33
// in IKEv1.
func exchangeBit(x ike.ExchangeType, k exchange.Kind) uint32 {
	return 1 << (x%16 + 16*ike.ExchangeType(k))
}

// MayHold says whether there may be messages of an exchange and kind; if not, there are none.
func (v *Conversation) MayHold(x ike.ExchangeType, k exchange.Kind) bool {
	return v.marks.exchanges&exchangeBit(x, k) != 0
}

// MaySay says whether a message may hold a Notify of one of these types in clear;
// if not, none does.
func (v *Conversation) MaySay(types ...ike.NotifyType) bool {
	for _, n := range types {
		if v.marks.May(uint16(n)) {
			return true
		}
	}
	return false
}

// MaySayError says whether a message may hold an error in clear.
func (v *Conversation) MaySayError() bool { return v.marks.Errors() }

// Faulty says whether a message contradicts itself in one of the captures.
func (v *Conversation) Faulty() bool { return v.marks.faulty }

// Troubled says whether anything of v may have been lost, sent again, doubled, altered, torn into
// IP fragments or marked otherwise (DSCP) on its way: who looks for that need look at no other
// conversation, and most are smooth. Of one capture alone nobody knows, and all are troubled.
func (v *Conversation) Troubled() bool { return !v.Smooth }

// smooth says whether m was sent once and in one piece, and arrived as it was sent.
func (m *Message) smooth() bool {
	sends := m.Transmissions()
	if len(sends) != 1 || m.Altered {
		return false
	}
	t := sends[0]
	a, b := t.At[A], t.At[B]
	return a != nil && b != nil && t.Fate == Delivered && !t.Missing && !t.Duplicate && !t.CaptureCopy &&
		len(a.Fragments) == 0 && len(b.Fragments) == 0 && a.DSCP == b.DSCP
}

// MessagesWhere yields the messages of the conversations for which of holds, in the
// order of Messages.
func (c *Case) MessagesWhere(of func(*Conversation) bool) iter.Seq[*Message] {
	return func(yield func(*Message) bool) {
		for _, v := range c.Conversations {
			if !of(v) {
				continue
			}
			for _, m := range v.Messages {
				if !yield(m) {
					return
				}
			}
		}
	}
}
