package pair

import (
	"iter"

	"github.com/moncap/moncap/analysis/exchange"
)

// Story returns the story of s, nil when its capture was not given.
func (c *Case) Story(s Side) *exchange.Story { return c.Parties[s].Story }

// TwoSided says whether both captures were given.
func (c *Case) TwoSided() bool { return c.Story(A) != nil && c.Story(B) != nil }

// Lone says whether one capture alone shows anything of the tunnel, and whose it is: the only one
// that was given, or the other one holds nothing.
func (c *Case) Lone() (s Side, lone bool) {
	shows := func(s Side) bool { return c.Story(s) != nil && c.Story(s).Shows() }
	switch a, b := shows(A), shows(B); {
	case a != b && b, a == b && c.Story(A) == nil:
		return B, true
	case a != b:
		return A, true
	}
	return A, !c.TwoSided()
}

// Beside says whether a capture can be that of a gateway itself: what stands in it as no router has
// touched it was sent there. Of one capture alone that holds what both send, and nothing of the
// kind, nobody knows at which end it is, if at any, unless the inventory says it.
func (c *Case) Beside() bool {
	s, _ := c.Lone()
	if c.TwoSided() || c.Said() || c.Story(s) == nil {
		return true
	}
	senders := 0
	for _, a := range c.Story(s).Addresses {
		if a.FullTTL > 0 {
			return true
		}
		if a.Sent > 0 {
			senders++
		}
	}
	return senders < 2
}

// Observer returns a side whose capture holds packets that s sends: s itself, else the other one.
func (c *Case) Observer(s Side) Side {
	if c.Story(s) != nil {
		return s
	}
	return s.Other()
}

// Aligned returns the time nanos of s's clock on A's clock.
func (c *Case) Aligned(nanos int64, s Side) int64 {
	if s == A || c.Clock == nil {
		return nanos
	}
	return c.Clock.toA(nanos)
}

// OffsetBounds are the hard bounds of what B's router's clock is ahead of A's, nanoseconds: those
// of Clock, and how well the captures tell their routers' times. nil: not bounded.
func (c *Case) OffsetBounds() (low, high *int64) {
	if c.Clock == nil {
		return nil, nil
	}
	doubt := c.TimesDoubt()
	widened := func(n *int64, by int64) *int64 {
		if n == nil {
			return nil
		}
		w := *n + by
		return &w
	}
	return widened(c.Clock.Low, -doubt), widened(c.Clock.High, doubt)
}

// TimesDoubt is by how many nanoseconds the times of both captures together may be other than those
// of their routers' clocks.
func (c *Case) TimesDoubt() int64 { return c.Parties[A].TimesGoodTo + c.Parties[B].TimesGoodTo }

// Untimed says whether the times of a capture are none, so that what stands for them is an order
// and no duration.
func (c *Case) Untimed() bool { return c.Parties[A].Untimed || c.Parties[B].Untimed }

// Messages yields all messages, conversation by conversation.
func (c *Case) Messages() iter.Seq[*Message] {
	return func(yield func(*Message) bool) {
		for _, v := range c.Conversations {
			for _, m := range v.Messages {
				if !yield(m) {
					return
				}
			}
		}
	}
}

// Sent yields every sending of IKE from s to the port (0: any), without duplicates.
func (c *Case) Sent(s Side, port uint16) iter.Seq2[*Message, *Transmission] {
	return sent(c.Messages(), s, port)
}

// SentInTrouble yields those of Sent to which something may have happened, and others of their
// conversations, see Conversation.Troubled.
func (c *Case) SentInTrouble(s Side) iter.Seq2[*Message, *Transmission] {
	return sent(c.MessagesWhere((*Conversation).Troubled), s, 0)
}

func sent(all iter.Seq[*Message], s Side, port uint16) iter.Seq2[*Message, *Transmission] {
	return func(yield func(*Message, *Transmission) bool) {
		for m := range all {
			if m.From != s {
				continue
			}
			for _, t := range m.Transmissions() {
				if !t.Duplicate && (port == 0 || t.Port() == port) && !yield(m, t) {
					return
				}
			}
		}
	}
}

// Tally counts sendings by what became of them.
type Tally struct{ Sent, Delivered, Lost, Unknown, Missing int }

// Tally counts the sendings of IKE from s.
func (c *Case) Tally(s Side) Tally {
	if c.tallies[s] == nil {
		c.tallies[s] = &Tally{}
		for _, t := range c.Sent(s, 0) {
			c.tallies[s].add(t)
		}
	}
	return *c.tallies[s]
}

// Tally counts the sendings of m.
func (m *Message) Tally() Tally {
	var n Tally
	for _, t := range m.Transmissions() {
		if !t.Duplicate {
			n.add(t)
		}
	}
	return n
}

func (n *Tally) add(t *Transmission) {
	n.Sent++
	switch t.Fate {
	case Delivered:
		n.Delivered++
	case Lost:
		n.Lost++
	case Unknown:
		n.Unknown++
	}
	if t.Missing {
		n.Missing++
	}
}

// Port returns the IKE port of the transmission: 500 or 4500, by the sender's
// capture when it has it.
func (t *Transmission) Port() uint16 {
	if s := t.Any(); s != nil {
		return s.Port()
	}
	return 0
}

// Any returns the sighting of A, or else of B.
func (t *Transmission) Any() *exchange.Sight {
	if t.At[A] != nil {
		return t.At[A]
	}
	return t.At[B]
}

// Requests returns the requests of the conversation that s sent.
func (v *Conversation) Requests(s Side) []*Message { return v.filter(s, exchange.Request) }

// Responses returns the responses of the conversation that s sent.
func (v *Conversation) Responses(s Side) []*Message { return v.filter(s, exchange.Response) }

func (v *Conversation) filter(s Side, k exchange.Kind) []*Message {
	var all []*Message
	for _, m := range v.Messages {
		if m.From == s && m.Kind == k {
			all = append(all, m)
		}
	}
	return all
}

// Arrived says whether a transmission of m reached the capture of the receiver or, without that
// capture, whether it was answered.
func (m *Message) Arrived() bool {
	for _, t := range m.Transmissions() {
		if t.At[m.From.Other()] != nil {
			return true
		}
	}
	return m.AnsweredBy() != nil
}

// Copies counts the packets that s's capture holds twice, by the capture's own fault.
func (c *Case) Copies(s Side) int {
	n := 0
	for m := range c.MessagesWhere((*Conversation).Troubled) {
		for _, t := range m.Transmissions() {
			if t.CaptureCopy && t.At[s] != nil {
				n++
			}
		}
	}
	for _, f := range c.Flows {
		switch x := f.At[s]; {
		case x == nil:
		case f.From == s || c.Parties[s].copiesOwn || f.At[f.From] != nil:
			n += x.Duplicates
			if f.From != s {
				n -= f.Twice
			}
		}
	}
	return n
}
