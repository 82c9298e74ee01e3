package exchange

import "github.com/moncap/moncap/analysis/ike"

// repeats are what the messages of a capture have in common, kept once: a capture has few chains of payloads, and a router offers the same
// proposals every time.
type repeats struct {
	chains map[string][]string    // the names of payloads, by the version and their numbers
	sas    map[string]ike.Payload // SA payloads by their bytes
}

func newRepeats() repeats { return repeats{map[string][]string{}, map[string]ike.Payload{}} }

// maxRepeats bounds what is kept for captures that hold anything.
const maxRepeats = 1024

// names are those of the payloads of m. What an IKEv1 message holds encrypted has none: its number is that of what stands inside.
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

// share puts the SA payload that was read first in the place of one of m with the same bytes. A message with faults keeps its own: its
// bytes may not be what they seem.
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
