package facts

import (
	"hash/maphash"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/pair"
)

// FragsV1 tells apart the messages of IKEv1 that travel in FRAG payloads. What is sent again may
// get an identifier of its own; it is known by its bytes. The zero value is ready.
type FragsV1 struct {
	ids   map[fragID]uint16
	bytes map[fragBytes]uint16
}

type fragID struct {
	conversation *pair.Conversation
	from         pair.Side
	id           uint16
}

type fragBytes struct {
	conversation *pair.Conversation
	from         pair.Side
	part         uint8
	hash         uint64
}

var fragSeed = maphash.MakeSeed()

// Name returns the identifier that the fragments of f's message had first, and whether f is the
// first of them.
func (v *FragsV1) Name(m *pair.Message, f *ike.Frag) (id uint16, first bool) {
	if v.ids == nil {
		v.ids, v.bytes = map[fragID]uint16{}, map[fragBytes]uint16{}
	}
	mine := fragID{m.Conversation, m.From, f.ID}
	same := fragBytes{m.Conversation, m.From, f.Part, maphash.Bytes(fragSeed, f.Data)}
	id, known := v.ids[mine]
	if !known {
		id, known = v.bytes[same]
	}
	if !known {
		id = f.ID
	}
	v.ids[mine], v.bytes[same] = id, id
	return id, !known
}

// WholeV1 counts a message of IKEv1 that travels in FRAG payloads once: of its fragments only the
// first one is kept.
func WholeV1(all []*pair.Message) []*pair.Message {
	var v FragsV1
	var whole []*pair.Message
	for _, m := range all {
		if f := m.Frag(); f != nil {
			if _, first := v.Name(m, f); !first {
				continue
			}
		}
		whole = append(whole, m)
	}
	return whole
}

// EncryptedV1 says whether a message of IKEv1 is encrypted; of one in fragments, the first of them
// holds its header.
func EncryptedV1(m *pair.Message) bool {
	f := m.Frag()
	if f == nil || f.Part != 1 {
		return m.Encrypted()
	}
	h, err := ike.ParseHeader(f.Data)
	return err == nil && h.Encrypted()
}

// Phase1 are the messages of Main or Aggressive Mode in order, retransmissions and fragments
// folded.
func (t *Talk) Phase1() []*pair.Message {
	var all []*pair.Message
	for _, m := range t.Messages {
		if m.Exchange == ike.V1MainMode || m.Exchange == ike.V1Aggressive {
			all = append(all, m)
		}
	}
	return WholeV1(all)
}

// Phase1Needs is how many messages phase 1 has: six in Main Mode, three in Aggressive Mode.
func Phase1Needs(phase1 []*pair.Message) int {
	if len(phase1) > 0 && phase1[0].Exchange == ike.V1Aggressive {
		return 3
	}
	return 6
}

// encryptedPhase1 are the encrypted messages of Main Mode that s sent: MM5 or MM6.
func (t *Talk) encryptedPhase1(s pair.Side) []*pair.Message {
	var all []*pair.Message
	for _, m := range t.Phase1() {
		if m.Exchange == ike.V1MainMode && EncryptedV1(m) && m.From == s {
			all = append(all, m)
		}
	}
	return all
}

// BadMessage says of a notification of IKEv1 that with it a side says that it could not make sense
// of the other's proof of its identity.
func BadMessage(n uint16) bool {
	switch n {
	case 1, 4, 8, 16, 18, 23, 24, 25, 30: // INVALID-PAYLOAD-TYPE ... UNEQUAL-PAYLOAD-LENGTHS
		return true
	}
	return false
}

// HasQuickMode says whether phase 2 was begun.
func (t *Talk) HasQuickMode() bool {
	for _, m := range t.Messages {
		if m.Exchange == ike.V1QuickMode {
			return true
		}
	}
	return false
}

// QuickMode are the messages of the first Quick Mode exchange.
func (t *Talk) QuickMode() []*pair.Message {
	var all []*pair.Message
	for _, m := range t.Messages {
		if m.Exchange == ike.V1QuickMode && (len(all) == 0 || m.MessageID == all[0].MessageID) {
			all = append(all, m)
		}
	}
	return WholeV1(all)
}

// completedV1 is when the first Quick Mode of three messages (RFC 2409, Section 5.5) was complete,
// aligned; 0 when none was. A message whose every sending was lost does not count.
func (t *Talk) completedV1() int64 {
	count := map[uint32]int{}
	for _, m := range WholeV1(t.Messages) {
		if n := m.Tally(); m.Exchange != ike.V1QuickMode || n.Lost > 0 && n.Delivered == 0 {
			continue
		}
		if count[m.MessageID]++; count[m.MessageID] == 3 {
			return m.Transmissions()[0].Aligned
		}
	}
	return 0
}

// endV1 finds out how a conversation of IKEv1 ended.
func (t *Talk) endV1() {
	switch {
	case t.completedV1() != 0, t.HasQuickMode() && t.esp.during(t):
		t.End, t.Certain, t.Taken = Established, true, true
	case t.Older() && t.probesAnswered():
		t.End, t.Taken = Established, true
	case t.unreadable():
	case t.userRefused():
	case t.quickRefused():
	}
}

// unreadable looks for the side that could not verify the other's proof of its identity, as when
// the pre-shared keys differ: it says so in clear or encrypted where the proof is due, or goes
// silent over a fifth message of Main Mode that arrives again and again.
func (t *Talk) unreadable() bool {
	phase1 := t.Phase1()
	if len(phase1) == 0 || t.HasQuickMode() {
		return false
	}
	refuser := t.Responder()
	var proven []*pair.Message // what holds the proof that was not believed
	if phase1[0].Exchange == ike.V1Aggressive {
		if proven, refuser = t.aggressiveProof(phase1); len(proven) == 0 {
			return false
		}
	} else if proven = t.encryptedPhase1(t.Initiator); len(proven) == 0 || len(t.encryptedPhase1(t.Responder())) > 0 {
		return false
	}
	since := proven[0].Transmissions()[0].Aligned
	clear := false
	var said []*pair.Message
	for _, m := range t.Messages {
		if m.Exchange != ike.V1Informational || m.From != refuser || m.Transmissions()[0].Aligned < since {
			continue
		}
		bad := false
		for n := range m.Notifies() {
			bad = bad || BadMessage(n.Number)
		}
		if clear = clear || bad; bad || m.Encrypted() {
			said = append(said, m)
		}
	}
	aggressive := phase1[0].Exchange == ike.V1Aggressive
	if len(said) == 0 && (aggressive || !t.repeatedInVain(proven)) {
		return false
	}
	t.End, t.By = AuthRefused, refuser
	// An encrypted Informational after Aggressive Mode may be a Delete as well.
	t.Certain = clear || len(said) > 0 && !aggressive
	t.Proof = append(proven[:1:1], said...)
	return true
}

// aggressiveProof is the last message of Aggressive Mode that carries a proof, and who had to
// believe it.
func (t *Talk) aggressiveProof(phase1 []*pair.Message) ([]*pair.Message, pair.Side) {
	for i := len(phase1) - 1; i >= 1; i-- {
		if m := phase1[i]; m.From == t.Initiator {
			return []*pair.Message{m}, t.Responder()
		} else if m.From == t.Responder() && m.SAv1() != nil {
			return []*pair.Message{m}, t.Initiator
		}
	}
	return nil, t.Initiator
}

// repeatedInVain says whether a message arrives and is sent again all the same.
func (t *Talk) repeatedInVain(all []*pair.Message) bool {
	sends, arrived := 0, false
	for _, m := range all {
		n := m.Tally()
		sends += n.Sent
		arrived = arrived || m.Arrived() || n.Delivered > 0
	}
	return sends >= 2 && arrived && t.c.TwoSided()
}

// phase1Done says whether all messages of phase 1 are there.
func (t *Talk) phase1Done() bool {
	phase1 := t.Phase1()
	return len(phase1) >= Phase1Needs(phase1)
}

// userRefused looks for Transaction exchanges (XAUTH, Mode Config) after phase 1 that an
// Informational and silence follow, before any Quick Mode.
func (t *Talk) userRefused() bool {
	if t.HasQuickMode() || !t.phase1Done() {
		return false
	}
	var last, said *pair.Message
	for _, m := range t.Messages {
		switch {
		case m.Exchange == ike.V1Transaction:
			last, said = m, nil
		case m.Exchange == ike.V1Informational && last != nil && said == nil:
			said = m
		}
	}
	if said == nil {
		return false
	}
	// The gateway asks for the user, which the initiator comes with (draft-beaulieu-ike-xauth-02,
	// Section 2.3).
	t.End, t.By, t.Proof = UserRefused, t.Responder(), []*pair.Message{last, said}
	return true
}

// quickRefused looks for an Informational exchange in answer to the first message of Quick Mode.
func (t *Talk) quickRefused() bool {
	quick := t.QuickMode()
	if len(quick) != 1 {
		return false
	}
	for _, m := range t.Messages {
		if m.Exchange == ike.V1Informational && m.From != quick[0].From &&
			m.Transmissions()[0].Aligned >= quick[0].Transmissions()[0].Aligned {
			t.End, t.By, t.Proof = ChildRefused, m.From, []*pair.Message{quick[0], m}
			return true
		}
	}
	return false
}
