package diagnose

import (
	"slices"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/pair"
)

// ending is how far a conversation came.
type ending uint8

const (
	unfinished ending = iota
	established
	authRefused     // the responder refused the initiator's authentication
	childDenied     // the IKE SA stands, its child SA was refused
	responderDenied // the initiator refused the responder's authentication
)

// talk is a conversation with what was worked out of it.
type talk struct {
	*pair.Conversation
	end     ending
	certain bool
	answer  answer // the IKE_AUTH response that decided

	// What is worked out when it is first asked for.
	sought, deletedSure bool
	deleted             *pair.Message                   // sought: see deletion
	crossed             map[*pair.Message]*pair.Message // see overlapping
	renewed             map[pair.Side]uint32            // the last message ID with which a side made new keys
}

// answer is a message from its outside: one SK payload, or the SKF fragments that make one.
type answer struct {
	messages []*pair.Message
	first    ike.PayloadType
	min, max int  // bytes of plaintext
	known    bool // min and max are
	whole    bool // all fragments are there
	inner    []ike.Payload
}

func newTalk(esp *espStarts, v *pair.Conversation) *talk {
	t := &talk{Conversation: v}
	if v.Version == 2 {
		t.judgeV2(esp)
	} else {
		t.judgeV1(esp)
	}
	return t
}

// responder is the side that answers the IKE SA.
func (t *talk) responder() pair.Side { return t.Initiator.Other() }

// messagesOf yields the messages of an exchange and kind.
func (t *talk) messagesOf(x ike.ExchangeType, k exchange.Kind) []*pair.Message {
	var all []*pair.Message
	for _, m := range t.Messages {
		if m.Exchange == x && m.Kind == k {
			all = append(all, m)
		}
	}
	return all
}

// lastAnswer gathers the last response of an exchange from the responder of the IKE SA. A response that never reached the
// initiator counts as well: it was given.
func (t *talk) lastAnswer(x ike.ExchangeType) (answer, bool) {
	var id uint32
	found := false
	for _, m := range t.messagesOf(x, exchange.Response) {
		if m.From != t.Initiator && (!found || m.MessageID > id) {
			id, found = m.MessageID, true
		}
	}
	if !found {
		return answer{}, false
	}
	var parts []*pair.Message
	for _, m := range t.messagesOf(x, exchange.Response) {
		if m.From != t.Initiator && m.MessageID == id {
			parts = append(parts, m)
		}
	}
	return gather(parts), true
}

// gather makes one answer of one message or of its fragments.
func gather(parts []*pair.Message) answer {
	a := answer{messages: parts, known: true, first: ike.PayloadNone}
	total := 1
	seen := map[int]bool{}
	for _, m := range parts {
		if len(m.Inner) > 0 {
			a.inner = m.Inner
		}
		if m.Fragments > 0 {
			total = m.Fragments
			if seen[m.Fragment] {
				continue
			}
			seen[m.Fragment] = true
		} else if seen[1] {
			continue // the same answer once more, with bytes that were altered on the way
		} else {
			seen[1] = true
		}
		if m.Fragment <= 1 {
			a.first = m.FirstInner
		}
		a.known = a.known && m.Plain.Known
		a.min, a.max = a.min+m.Plain.Min, a.max+m.Plain.Max
	}
	a.whole = len(seen) >= total
	return a
}

// sealed is the answer, an IKE_AUTH response, as it shows from outside.
func (a answer) sealed() ike.Sealed {
	return ike.Sealed{Exchange: ike.IKEAuth, Response: true, First: a.first, Room: ike.Room{Known: a.known, Min: a.min, Max: a.max}}
}

func (t *talk) judgeV2(esp *espStarts) {
	a, ok := t.lastAnswer(ike.IKEAuth)
	if !ok {
		t.proveByTraffic(esp)
		return
	}
	t.answer = a
	if len(a.inner) > 0 {
		t.readInner(a.inner)
		if t.end != established && t.end != authRefused && t.childLater() {
			t.end = established
		}
		t.lookForRejection()
		t.mustArrive(esp)
		return
	}
	switch {
	case !a.known && a.first == ike.PayloadN && a.short() && !t.answeredLater():
		t.end = authRefused
	case !a.known:
		if t.end = unfinished; esp.during(t) || t.answeredLater() {
			t.end, t.certain = established, true
		}
	case a.sealed().Refused() == ike.Yes:
		t.end = authRefused
	case a.sealed().LoneEAP() == ike.Yes && !t.askedAfter(a):
		t.end = authRefused // EAP-Success would be followed by the initiator's AUTH (RFC 7296, Section 2.16)
	case a.first == ike.PayloadEAP || a.first == ike.PayloadNone:
		t.end = unfinished
	default:
		t.judgeRoom(a)
	}
	t.lookLater(esp)
	t.mustArrive(esp)
}

// largestShort is the most that an SK payload with one bare Notify has, whatever the algorithms: IV and ICV of 16 and 32 bytes.
const largestShort = 4 + 16 + 24 + 32

// short says whether an answer of algorithms that are not known can be one bare Notify.
func (a answer) short() bool {
	return len(a.messages) == 1 && a.messages[0].SKLen <= largestShort
}

// askedAfter says whether the initiator went on with IKE_AUTH after an answer.
func (t *talk) askedAfter(a answer) bool {
	return slices.ContainsFunc(t.requestsOf(ike.IKEAuth), func(m *pair.Message) bool {
		return m.From == t.Initiator && m.MessageID > a.messages[0].MessageID
	})
}

// readInner decides by what keys made readable.
func (t *talk) readInner(inner []ike.Payload) {
	t.certain = true
	var failed bool
	for _, p := range inner {
		switch x := p.(type) {
		case *ike.SA:
			t.end = established
			return
		case *ike.Notify:
			if x.Number == ike.AuthenticationFailed {
				t.end = authRefused
				return
			}
			failed = failed || x.Number.IsError()
		}
	}
	if failed {
		t.end = childDenied
		if inner[0].Type() == ike.PayloadN {
			t.end = authRefused
		}
	}
}

// judgeRoom decides whether the response has room for a child SA beside identity and authentication.
func (t *talk) judgeRoom(a answer) {
	auth := 0
	if t.Suite != nil {
		auth = t.Suite.PRFLen()
	}
	switch sealed := a.sealed(); sealed.RoomForChild(auth) {
	case ike.No:
		t.end = childDenied
		if t.childless(auth) {
			t.end = unfinished
		}
	case ike.Yes:
		t.end, t.certain = established, !t.certificates() || !sealed.RoomForCertificate()
	default:
		t.end = established
	}
}

// childless says whether the initiator asked for no child SA (RFC 6023): the responder announced that it need not, and the request
// may have no room for one either.
func (t *talk) childless(auth int) bool {
	announced := slices.ContainsFunc(t.messagesOf(ike.IKESAInit, exchange.Response), func(m *pair.Message) bool {
		return m.Has(uint16(ike.ChildlessIKEv2Supported))
	})
	asked := t.messagesOf(ike.IKEAuth, exchange.Request)
	if !announced || len(asked) != 1 || !asked[0].Plain.Known {
		return false
	}
	sealed := asked[0].Sealed()
	sealed.Room.Max = sealed.Room.Min
	return sealed.RoomForChild(auth) == ike.No
}

// certificates says whether a side asked for certificates, so that AUTH may be a signature of any size.
func (t *talk) certificates() bool {
	for _, m := range t.Messages {
		for _, p := range m.Parsed.Payloads {
			if p.Type() == ike.PayloadCREQ && m.Major() == 2 {
				return true
			}
		}
	}
	return false
}

// soon is how long after IKE_AUTH a side's reaction belongs to it.
const soon = 5e9

// lookLater corrects the judgement by what followed: traffic proves success, an error or a Delete at once disproves it.
func (t *talk) lookLater(esp *espStarts) {
	if (t.end == childDenied || t.end == unfinished) && t.childLater() {
		t.end, t.certain = established, true
	}
	if t.lookForRejection() || t.end != established {
		return
	}
	if esp.during(t) || t.answeredLater() {
		t.certain = true
	} else if !t.certain && t.deletedAtOnce() {
		t.end = childDenied
	}
}

// lookForRejection corrects the judgement where the initiator refused what the responder answered, the last round of EAP included.
func (t *talk) lookForRejection() bool {
	if t.end != established && (t.end != unfinished || t.answer.first != ike.PayloadEAP) || t.rejected() == nil {
		return false
	}
	t.end, t.certain = responderDenied, false
	return true
}

// mustArrive takes success back where the answer that would have made it never reached the initiator, or it would not have it.
func (t *talk) mustArrive(esp *espStarts) {
	if t.end != established || esp.during(t) || t.answeredLater() {
		return
	}
	for _, m := range t.answer.messages {
		n := m.Tally()
		if n.Lost > 0 && n.Lost == n.Sent || m.Answers != nil && repeatedAfter(esp.c, m.Answers) >= 2 {
			t.end, t.certain = unfinished, false
			return
		}
	}
}

// repeatedAfter counts how often a request was sent again after its answer had arrived. What was on its way to the wire when the
// answer came is no proof.
func repeatedAfter(c *pair.Case, q *pair.Message) int {
	const grace = 100e6
	if q.AnsweredBy == nil {
		return 0
	}
	at, _ := firstArrival(c, q.AnsweredBy)
	if at < 0 {
		return 0
	}
	late := 0
	for _, x := range sendings(q) {
		if x.Aligned > at+grace {
			late++
		}
	}
	return late
}

// firstArrival is when m first reached the receiver's capture, aligned, and how often it did; -1 when it never did. Without that
// capture, what was sent counts as arrived: the doubt is about the receiver then.
func firstArrival(c *pair.Case, m *pair.Message) (at int64, count int) {
	at = -1
	to := m.From.Other()
	if c.Story(to) == nil {
		to = m.From
	}
	for _, x := range m.Transmissions {
		if s := x.At[to]; s != nil {
			count++
			if n := c.Aligned(s.Nanos, to); at < 0 || n < at {
				at = n
			}
		}
	}
	return at, count
}

// proveByTraffic is for captures that began behind the negotiation, or that hold its large messages in pieces only.
func (t *talk) proveByTraffic(esp *espStarts) {
	if t.answeredLater() || t.initAnswered() && esp.during(t) {
		t.end, t.certain = established, true
	}
}

// rejected is the INFORMATIONAL request with which an initiator refuses the responder's authentication: one bare Notify
// right after the answer (RFC 7296, Section 2.21.2).
func (t *talk) rejected() *pair.Message {
	for _, m := range t.messagesOf(ike.Informational, exchange.Request) {
		if m.From != t.Initiator || m.FirstInner != ike.PayloadN || !t.follows(m) {
			continue
		}
		if len(m.Inner) > 0 {
			for _, n := range m.InnerNotifies() {
				if n.Number == ike.AuthenticationFailed {
					return m
				}
			}
			continue
		}
		if m.Sealed().LoneNotify() == ike.Yes && m.MessageID == t.answer.messages[0].MessageID+1 {
			return m
		}
	}
	return nil
}

func (t *talk) deletedAtOnce() bool {
	for _, m := range t.messagesOf(ike.Informational, exchange.Request) {
		if m.FirstInner == ike.PayloadD && t.follows(m) {
			return true
		}
	}
	return false
}

func (t *talk) follows(m *pair.Message) bool {
	if len(t.answer.messages) == 0 || len(m.Transmissions) == 0 {
		return false
	}
	at := t.answer.messages[0].Transmissions[0].Aligned
	return m.Transmissions[0].Aligned >= at && m.Transmissions[0].Aligned <= at+soon
}

// answeredLater says whether an exchange of the established SA was answered: a rekey, or a liveness check. A Delete and its
// answer say nothing about what they end.
func (t *talk) answeredLater() bool {
	for _, m := range t.Messages {
		if m.Kind != exchange.Request || m.AnsweredBy == nil || m.FirstInner == ike.PayloadD || m.FirstInner == ike.PayloadN && m.Exchange == ike.Informational {
			continue
		}
		if m.Exchange == ike.CreateChildSA || m.Exchange == ike.Informational {
			return true
		}
	}
	return false
}

// childLater says whether a child SA, or a new IKE SA, was made after IKE_AUTH: a childless beginning (RFC 6023), or one
// whose first child SA was refused.
func (t *talk) childLater() bool {
	return slices.ContainsFunc(t.requestsOf(ike.CreateChildSA), func(m *pair.Message) bool {
		return rekeyDone(m.AnsweredBy)
	})
}

// espStarts knows when the ESP of a case began.
type espStarts struct {
	c      *pair.Case
	starts [2][]int64 // aligned times of every flow's first packet in each capture, by sender, ascending
}

func espStartsOf(c *pair.Case) *espStarts {
	e := espStarts{c: c}
	for _, f := range c.Flows {
		for _, s := range pair.Both {
			if x := f.At[s]; x != nil {
				e.starts[f.From] = append(e.starts[f.From], c.Aligned(x.First.Nanos, s))
			}
		}
	}
	slices.Sort(e.starts[pair.A])
	slices.Sort(e.starts[pair.B])
	return &e
}

// during says whether ESP of both directions began after the conversation did and before the next one.
func (e *espStarts) during(t *talk) bool {
	for _, starts := range e.starts {
		i, _ := slices.BinarySearch(starts, t.First)
		if i == len(starts) || t.Next != nil && starts[i] >= t.Next.First {
			return false
		}
	}
	return true
}

// judgeV1 looks for the three messages of Quick Mode (RFC 2409, Section 5.5).
func (t *talk) judgeV1(esp *espStarts) {
	count := map[uint32]int{}
	for _, m := range wholeV1(t.Messages) {
		if n := m.Tally(); m.Exchange != ike.V1QuickMode || n.Lost > 0 && n.Lost == n.Sent {
			continue
		}
		if count[m.MessageID]++; count[m.MessageID] >= 3 {
			t.end, t.certain = established, true
		}
	}
	if t.end == unfinished && esp.during(t) && len(count) > 0 {
		t.end, t.certain = established, true
	}
}

// establishedTalk returns a conversation that came up, or nil.
func (j *judge) establishedTalk() *talk {
	for _, t := range j.talks {
		if t.end == established {
			return t
		}
	}
	return nil
}
