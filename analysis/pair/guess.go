package pair

import (
	"fmt"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/ike"
)

// shortNotify is the most plaintext that a lone Notify with little data is taken to have: the payload's 8 bytes, padded by a block.
const shortNotify = 23

// Guess says in a few words what an encrypted IKEv2 message most likely is, by its exchange, the first payload inside and its size; empty
// where these tell nothing.
func (m *Message) Guess() string {
	if m.Major() != 2 || m.SKLen == 0 || m.Fragment > 1 || len(m.Inner) > 0 {
		return ""
	}
	lone := m.Fragments <= 1 && m.Plain.Known && m.Plain.Min <= shortNotify
	answer := m.Kind == exchange.Response
	switch first := m.FirstInner; {
	case m.Exchange == ike.IKEAuth && answer && first == ike.PayloadN && lone:
		return "refused: one short Notify, most likely AUTHENTICATION_FAILED"
	case m.Exchange == ike.CreateChildSA && answer && first == ike.PayloadN && lone:
		return "refused: one short Notify"
	case m.Exchange == ike.CreateChildSA && !answer && first == ike.PayloadSA:
		return "new SA, or rekey of the IKE SA"
	case m.Exchange == ike.CreateChildSA && !answer && first == ike.PayloadN:
		return "rekey of a child SA"
	case m.Exchange != ike.Informational:
		return ""
	case first == ike.PayloadNone && answer:
		return "empty answer"
	case first == ike.PayloadNone:
		return "dead peer detection"
	case first == ike.PayloadD:
		return "Delete"
	case first == ike.PayloadN && lone:
		return "one short Notify"
	}
	return fmt.Sprintf("begins with %s", ike.PayloadName(2, m.FirstInner))
}
