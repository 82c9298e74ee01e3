package facts

import (
	"cmp"
	"hash/maphash"
	"slices"

	"github.com/moncap/moncap/analysis/exchange"
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

// Phase1 are the messages of Main or Aggressive Mode in order, retransmissions
// and fragments folded.
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

// longestThird is the most that the third message of Quick Mode has encrypted, which is a HASH
// alone (RFC 2409, Section 5.5). The others carry an SA and a nonce as well.
const longestThird = 4 + 64 + 12

// third says whether m is the third message of Quick Mode, by its size.
func third(m *pair.Message) bool {
	return m.Exchange == ike.V1QuickMode && m.Frag() == nil && m.SKLen > 0 && m.SKLen <= longestThird
}

// tailV1 is the third message of a Quick Mode whose beginning is from before the captures, or nil.
func (t *Talk) tailV1() *pair.Message {
	if t.Complete || len(t.Messages) == 0 || t.Messages[0].Exchange != ike.V1QuickMode {
		return nil
	}
	for _, m := range t.QuickMode() {
		if n := m.Tally(); third(m) && (n.Lost == 0 || n.Delivered > 0) {
			return m
		}
	}
	return nil
}

// oneV1 is what is worked out of all messages of a conversation of IKEv1 once: they may be
// thousands, and each of them is asked about.
type oneV1 struct {
	completed  int64
	quickModes int
	sizes      sizesV1
	encrypted  []*pair.Message // its encrypted Informationals
	probe      int             // the size of liveness checks among these; see probeSize
	said       map[sayingV1]int64
	tails      *tailsV1 // once asked for
}

// sayingV1 is an encrypted Informational as it looks from outside.
type sayingV1 struct {
	from pair.Side
	size int
}

func (t *Talk) ofV1() *oneV1 {
	if t.one == nil {
		whole := WholeV1(t.Messages)
		t.one = &oneV1{completed: t.findCompletedV1(whole), quickModes: answeredQuickModes(whole), sizes: t.findSizesV1(),
			encrypted: t.informationalsV1(0), said: map[sayingV1]int64{}}
		t.one.probe = t.probeSize(t.one.encrypted)
		for _, m := range t.one.encrypted {
			k, at := sayingV1{m.From, m.SKLen}, m.Transmissions()[0].Aligned
			if first, some := t.one.said[k]; !some || at < first {
				t.one.said[k] = at
			}
		}
	}
	return t.one
}

// completedV1 is when the first Quick Mode of three messages (RFC 2409, Section 5.5) was complete,
// aligned; 0 when none was. A message whose every sending was lost does not count, nor a third one
// that the responder shows no sign of.
func (t *Talk) completedV1() int64 { return t.ofV1().completed }

func (t *Talk) findCompletedV1(whole []*pair.Message) int64 {
	count := map[uint32]int{}
	for _, m := range whole {
		if n := m.Tally(); m.Exchange != ike.V1QuickMode || n.Lost > 0 && n.Delivered == 0 {
			continue
		}
		if count[m.MessageID]++; count[m.MessageID] == 3 && !t.thirdUnheard(m) {
			return m.Transmissions()[0].Aligned
		}
	}
	return 0
}

// thirdUnheard says whether the responder goes on with its second message of Quick Mode after m,
// the third, was sent, and sends no traffic: it did not get m, or did not take it.
func (t *Talk) thirdUnheard(m *pair.Message) bool {
	since := m.Transmissions()[0].Aligned
	again, last := 0, since
	for _, o := range t.Messages {
		if o.Exchange != ike.V1QuickMode || o.MessageID != m.MessageID || o.From == m.From {
			continue
		}
		for _, x := range Sendings(o) {
			if x.Aligned > since {
				again, last = again+1, max(last, x.Aligned)
			}
		}
	}
	return again > 1 && last > since+Patience && !t.esp.from(t, m.From.Other())
}

// endV1 finds out how a conversation of IKEv1 ended.
func (t *Talk) endV1() {
	switch {
	case t.completedV1() != 0, t.HasQuickMode() && t.esp.during(t):
		t.End, t.Certain, t.Taken = Established, true, true
	case t.tailV1() != nil:
		t.End, t.Taken = Established, true
	case (t.Older() || !t.Complete && !Negotiates(t.Messages[0])) && t.probesAnswered():
		t.End, t.Taken = Established, true
	case t.unreadable():
	case t.proofRejected():
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
	unheard := refuser == t.Initiator && t.c.Story(refuser) == nil // its third message may be lost
	if aggressive && (refuser == t.Responder() || unheard) && !clear && t.mayBelieve(said) {
		return false
	}
	t.End, t.By = AuthRefused, refuser
	// What is encrypted may be a Delete as well, or refuse an identity that could be read.
	t.Certain = clear
	t.Proof = append(proven[:1:1], said...)
	return true
}

// mayBelieve says whether a side that said something encrypted behind the other's proof in
// Aggressive Mode may have taken that: phase 1 is over for it, and it asks for the user, checks
// that the other side is alive, or greets it, and whether Quick Mode follows is not captured.
func (t *Talk) mayBelieve(said []*pair.Message) bool {
	asks := t.MayHold(ike.V1Transaction, exchange.Request) || t.MayHold(ike.V1Transaction, exchange.Response)
	if asks || t.probesAnswered() {
		return true
	}
	last := said[len(said)-1]
	return !t.quickIsDue(last.Transmissions()[0].Aligned) && t.mayGreet(said[0])
}

// quickIsDue says whether an initiator that took phase 1 for done at a moment had begun Quick Mode
// until the captures end: at once by its own, by the responder's alone also when its first message
// was lost.
func (t *Talk) quickIsDue(since int64) bool {
	const resent = 10e9 // IOS XE sends it again then, others sooner
	while := int64(Patience)
	if t.c.Story(t.Initiator) == nil {
		while += resent
	}
	return Outlasts(t.c, t.Initiator, since, while)
}

// mayGreet says whether an encrypted Informational may be what a side says that believes the other:
// INITIAL-CONTACT (RFC 2407, Section 4.6.3.3) or a liveness check name the ISAKMP SA by both its
// cookies. What has no room for these is an error, unless there are older IPsec SAs to delete.
func (t *Talk) mayGreet(m *pair.Message) bool {
	sizes := t.ofV1().sizes
	return sizes.deleteIKE == 0 || m.SKLen >= sizes.deleteIKE || t.stood || t.esp.before(t.First)
}

// proofRejected looks for an initiator of Main Mode that does not believe the sixth message, which
// proves who the responder is: at once it says something encrypted where Quick Mode is due, and
// then sends its fifth message again, or nothing more. Where the captures end with what may as well
// be a greeting, it is in doubt.
func (t *Talk) proofRejected() bool {
	proof := t.encryptedPhase1(t.Responder())
	if len(proof) == 0 || t.HasQuickMode() || t.probesAnswered() {
		return false
	}
	came, _ := FirstArrival(t.c, proof[0])
	if came < 0 {
		return false
	}
	var said *pair.Message
	last := int64(0) // when the initiator spoke last
	for _, m := range t.Messages {
		if m.Exchange == ike.V1Transaction {
			return false
		}
		if m.From != t.Initiator {
			continue
		}
		first := m.Transmissions()[0].Aligned
		if m.Exchange == ike.V1Informational && m.Encrypted() && first >= came {
			if said == nil && first > came+atOnce {
				return false // it took its time
			}
			said = cmp.Or(said, m)
		}
		sent := Sendings(m)
		last = max(last, sent[len(sent)-1].Aligned)
	}
	if said == nil {
		return false
	}
	again := slices.ContainsFunc(t.encryptedPhase1(t.Initiator), func(m *pair.Message) bool {
		sent := Sendings(m)
		return sent[len(sent)-1].Aligned > said.Transmissions()[0].Aligned
	})
	// Where the captures end with it, Quick Mode may follow; but not when the responder takes it for
	// an end and says something of the kind itself.
	ended := t.quickIsDue(last) || slices.ContainsFunc(t.Messages, func(m *pair.Message) bool {
		return m.Exchange == ike.V1Informational && m.From != t.Initiator &&
			m.Transmissions()[0].Aligned >= said.Transmissions()[0].Aligned
	})
	if !again && last > said.Transmissions()[0].Aligned+atOnce {
		return false
	}
	t.By, t.Proof = t.Initiator, []*pair.Message{said, proof[0]}
	if t.Doubted = !again && t.mayGreet(said) && (!ended || t.RenewsBefore(said)); !t.Doubted {
		t.End = ResponderRejected
	}
	return true
}

// RenewsBefore says whether phase 1 may have been made again for itself, before what was said: the
// IPsec SAs from before still carry traffic of both sides when Quick Mode would be due, which makes
// new ones when they end and not before (RFC 2409, Section 5.5), and nobody begins again.
func (t *Talk) RenewsBefore(said *pair.Message) bool {
	at := said.Transmissions()[0].Aligned
	return t.esp.before(t.First) && t.esp.goesOn(at+Patience) && t.following(at) == nil
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
		case m.Exchange == ike.V1Informational && last != nil && said == nil && !t.checksLife(m):
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

// checksLife says whether m is a liveness check or the answer to one by its size, which no Delete
// has.
func (t *Talk) checksLife(m *pair.Message) bool {
	one := t.ofV1()
	return m.Encrypted() && m.SKLen == one.probe && one.sizes.probe != one.sizes.deleteIKE
}

// quickRefused looks for an Informational exchange in answer to the first message of Quick Mode.
func (t *Talk) quickRefused() bool {
	quick := t.QuickMode()
	if len(quick) != 1 || third(quick[0]) {
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
