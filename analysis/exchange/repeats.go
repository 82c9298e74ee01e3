package exchange

import (
	"encoding/binary"

	"github.com/moncap/moncap/analysis/ike"
)

// repeats are what the messages of a capture have in common, kept once: a router offers the same
// proposals every time, and its messages differ in their numbers alone.
type repeats struct {
	chains map[string][]string    // the names of payloads, by the version and their numbers
	sas    map[string]ike.Payload // SA payloads by their bytes
	clears map[string]*Clear      // by the layout of the message
	seals  map[uint32]*Clear      // of messages that are one SK payload: by its generic header
	key    []byte                 // room for a layout
	missed func()                 // Contents.Missed
}

func newRepeats(missed func()) repeats {
	return repeats{
		missed: missed,
		chains: map[string][]string{}, sas: map[string]ike.Payload{}, clears: map[string]*Clear{}, seals: map[uint32]*Clear{},
	}
}

// maxRepeats bounds what is kept for captures that hold anything, but for the Clears of sealed
// messages: of these there are few.
const maxRepeats = 1024

// skOnly are the payloads of a sealed message.
var skOnly = []string{ike.PayloadName(2, ike.PayloadSK)}

// sealed is what a message says that is the one SK payload sk.
func (r *repeats) sealed(sk []byte) *Clear {
	key := binary.BigEndian.Uint32(sk)
	c := r.seals[key]
	if c == nil {
		c = &Clear{Payloads: skOnly, FirstInner: ike.PayloadType(sk[0]), flags: sk[1], SKLen: len(sk), missed: r.missed}
		r.seals[key] = c
	}
	return c
}

// layout is all of a message but what differs from one to the next: the numbers of its header, key
// exchange data and nonces, and the data of notifications and vendor IDs. Of messages with the same
// layout all that Clear says is the same. It is false for those that may have a fault.
func (r *repeats) layout(raw []byte) ([]byte, bool) {
	h, sound := ike.Sound(raw)
	if !sound {
		return nil, false
	}
	key := append(r.key[:0], byte(h.NextPayload))
	ike.Walk(raw, func(t ike.PayloadType, offset int, body []byte) bool {
		const generic = 4
		n := len(body)
		switch t {
		case ike.PayloadNonce, ike.PayloadV, ike.PayloadSK:
			n = 0
		case ike.PayloadCREQ:
			n = 1
		case ike.PayloadKE, ike.PayloadN:
			n = 4
		}
		key = append(key, raw[offset:offset+generic+n]...)
		return true
	})
	r.key = key
	return key, true
}

// names are those of the payloads of m. What an IKEv1 message holds encrypted has none: its number
// is that of what stands inside.
func (r *repeats) names(m *ike.Message) []string {
	var room [64]byte
	key := append(room[:0], byte(m.Major()))
	for _, x := range m.Payloads {
		if _, encrypted := x.(*ike.Ciphertext); !encrypted {
			key = append(key, byte(x.Type()))
		}
	}
	names, known := r.chains[string(key)]
	if known || len(key) == 1 {
		return names
	}
	names = make([]string, 0, len(key)-1)
	for _, t := range key[1:] {
		names = append(names, ike.PayloadName(m.Major(), ike.PayloadType(t)))
	}
	if len(r.chains) < maxRepeats {
		r.chains[string(key)] = names
	}
	return names
}

// share puts the SA payload that was read first in the place of one of m with the same bytes. A
// message with faults keeps its own: its bytes may not be what they seem.
func (r *repeats) share(m *ike.Message, raw []byte) {
	if len(m.Faults) > 0 {
		return
	}
	n := 0
	ike.Walk(raw, func(_ ike.PayloadType, offset int, body []byte) bool {
		if n >= len(m.Payloads) {
			return false
		}
		switch m.Payloads[n].(type) {
		case *ike.SA, *ike.SAv1:
			m.Payloads[n] = r.first(m.Payloads[n], raw[offset+1:][:3+len(body)]) // without the number of the next payload
		}
		n++
		return true
	})
}

func (r *repeats) first(x ike.Payload, b []byte) ike.Payload {
	if before, ok := r.sas[string(b)]; ok && before.Type() == x.Type() {
		return before
	}
	if len(r.sas) < maxRepeats {
		r.sas[string(b)] = x
	}
	return x
}
