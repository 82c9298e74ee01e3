package pair

import (
	"fmt"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/ike"
)

// Sealed is an encrypted message of IKEv2 as it shows from outside.
func (m *Message) Sealed() ike.Sealed {
	s := ike.Sealed{Exchange: m.Exchange, Response: m.Kind == exchange.Response, First: m.FirstInner, Room: m.Plain()}
	if m.SKLen > 0 && m.Fragments <= 1 {
		s.Body = body(m.Message)
	}
	return s
}

// Guess says in a few words what an encrypted IKEv2 message most likely is, by its exchange, the
// first payload inside and its size; empty where these tell nothing.
func (m *Message) Guess() string {
	if m.Major() != 2 || m.SKLen == 0 || m.Fragment > 1 || len(m.Inner()) > 0 {
		return ""
	}
	sealed := m.Sealed()
	whole := m.Fragments <= 1
	answer := m.Kind == exchange.Response
	switch first := m.FirstInner; {
	case m.Exchange == ike.IKEAuth && whole && sealed.Refused() == ike.Yes:
		return "refused: one short Notify, most likely AUTHENTICATION_FAILED"
	case m.Exchange == ike.CreateChildSA && whole && sealed.Refused() == ike.Yes:
		return "refused: one short Notify"
	case m.Exchange == ike.CreateChildSA && whole && m.Plain().Known && sealed.Refused() == ike.Maybe:
		return "refused, if it is one Notify: its padding hides the size"
	case m.Exchange == ike.CreateChildSA && !answer && first == ike.PayloadSA:
		return "new SA, or rekey of the IKE SA"
	case m.Exchange == ike.CreateChildSA && !answer && first == ike.PayloadN:
		return "rekey of a child SA"
	case m.Exchange != ike.Informational:
		return ""
	case sealed.Empty() == ike.Yes && answer:
		return "empty answer"
	case sealed.Empty() == ike.Yes:
		return "dead peer detection"
	case sealed.Delete() == ike.Yes:
		return "Delete"
	case whole && m.Plain().Known && sealed.LoneNotify() == ike.Yes:
		return "one short Notify"
	}
	return fmt.Sprintf("begins with %s", ike.PayloadName(2, m.FirstInner))
}
