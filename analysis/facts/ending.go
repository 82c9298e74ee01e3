package facts

import (
	"slices"
	"strings"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/pair"
)

// Ending is how a conversation ended, of IKEv1 and IKEv2 alike, as far as the captures show.
type Ending uint8

// The endings.
const (
	Broken            Ending = iota // it was answered, and the captures hold no result
	Unanswered                      // nothing came back for its first message
	ProposalsRefused                // no IKE proposal was chosen
	GroupRefused                    // another key exchange group was asked for, and none agreed on
	VersionRefused                  // the other side does not speak this version of IKE
	Redirected                      // the responder sends the initiator to another gateway
	ErrorReported                   // another error stands in clear
	AuthRefused                     // the responder refused the initiator; IKEv1: a side could not read the other's proof
	ResponderRejected               // the initiator refused the responder's authentication
	UserRefused                     // IKEv1: the user behind the initiator was refused (XAUTH)
	ChildRefused                    // the IKE SA stands, its first child SA was refused; IKEv1: Quick Mode
	Established                     // the tunnel stands
	Deleted                         // it stood, and a side deleted it
)

// decide finds out how the conversation ended.
func (t *Talk) decide() {
	if t.Version == 2 {
		t.responderSays()
		t.initiatorSays()
		t.mustArrive()
	} else {
		t.endV1()
	}
	switch t.End {
	case Broken:
		t.refusedInClear()
	case Established:
		if m, _ := t.Deletion(); m != nil {
			t.End, t.By = Deleted, m.From
		}
	}
}

// refusedInClear looks for what ended a conversation that was never encrypted, or one without a
// result.
func (t *Talk) refusedInClear() {
	rounds, _ := t.GroupRounds()
	var redirect, other *pair.Message
	for _, m := range t.Messages {
		switch {
		case m.Has(uint16(ike.Redirect)) && t.Version == 2:
			redirect = m
		case m.Has(uint16(ike.InvalidMajorVersion)):
			t.refuse(VersionRefused, m)
			return
		case other == nil && slices.ContainsFunc(m.Errors(),
			func(n exchange.Notify) bool { return n.Number != uint16(ike.InvalidKEPayload) || t.Version == 1 }):
			other = m
		}
	}
	none := t.NoProposal()
	switch {
	case redirect != nil:
		t.refuse(Redirected, redirect)
	case none != nil && !t.InitAnswered():
		t.refuse(ProposalsRefused, none)
	case len(rounds) > 0 && !t.InitAnswered() && !t.groupRetried():
		t.refuse(GroupRefused, rounds[0])
	case other != nil && t.Version == 1 || other != nil && !t.InitAnswered():
		t.refuse(ErrorReported, other)
	case t.unanswered():
		t.End = Unanswered
	}
}

func (t *Talk) refuse(e Ending, m *pair.Message) {
	t.End, t.Certain, t.By, t.Proof = e, true, m.From, []*pair.Message{m}
}

// unanswered says whether no answer in the conversation is known to have arrived.
func (t *Talk) unanswered() bool {
	return !slices.ContainsFunc(t.Messages, func(m *pair.Message) bool { return m.Answers() != nil && m.Arrived() })
}

// Wanted is the group that an INVALID_KE_PAYLOAD asks for (RFC 7296, Section 1.2).
func Wanted(m *pair.Message) (int, bool) {
	n, ok := m.Notify(uint16(ike.InvalidKEPayload))
	if !ok || len(n.Data) != 2 || m.Exchange != ike.IKESAInit {
		return 0, false
	}
	return int(n.Data[0])<<8 | int(n.Data[1]), true
}

// GroupRounds are the answers of t that ask for another group, and the first group that was
// offered; 0 when none does.
func (t *Talk) GroupRounds() (rounds []*pair.Message, offered int) {
	if !t.MaySay(ike.InvalidKEPayload) {
		return nil, 0
	}
	for _, m := range t.Messages {
		if _, ok := Wanted(m); ok {
			rounds = append(rounds, m)
		}
		if method, _, ok := m.KE(); ok && offered == 0 && m.Exchange == ike.IKESAInit && m.Kind == exchange.Request {
			offered = int(method)
		}
	}
	return rounds, offered
}

// groupRetried says whether the initiator came again with the group that it was asked for: whether
// that is answered is another matter.
func (t *Talk) groupRetried() bool {
	rounds, offered := t.GroupRounds()
	group, _ := Wanted(rounds[len(rounds)-1])
	return group != offered && t.LastGroup() == group
}

// LastGroup is the group of the last initial request with a key exchange value; 0 without.
func (t *Talk) LastGroup() int {
	group := 0
	for _, m := range t.RequestsOf(ike.IKESAInit) {
		if method, _, ok := m.KE(); ok {
			group = int(method)
		}
	}
	return group
}

// leastSigned is the least that an IKE_AUTH response with a child SA and a signature holds. RSA and
// DSA signatures have more bytes than any PRF's output, ECDSA and EdDSA hardly, but a certificate,
// or its URL, comes with them (RFC 7296, Sections 3.6 and 3.8).
const leastSigned = 12 + 8 + 128 + 36 + 2*24

// sealed is the answer, an IKE_AUTH response, as it shows from outside.
func (a Answer) sealed() ike.Sealed {
	return ike.Sealed{Exchange: ike.IKEAuth, Response: true, First: a.First,
		Room: ike.Room{Known: a.Known, Min: a.Min, Max: a.Max}}
}

// responderSays decides by the last IKE_AUTH response what the responder thinks.
func (t *Talk) responderSays() {
	a, ok := t.lastAnswer(ike.IKEAuth)
	if !ok {
		t.byTraffic()
		return
	}
	t.Answer = a
	switch {
	case len(a.Inner) > 0:
		t.readInner(a.Inner)
	case !a.Known && a.First == ike.PayloadN && a.short() && !t.AnsweredLater():
		t.End = AuthRefused
	case !a.Known:
		if t.End = Broken; t.esp.during(t) || t.AnsweredLater() {
			t.End, t.Certain = Established, true
		}
	case a.sealed().Refused() == ike.Yes:
		t.End = AuthRefused
	case a.sealed().LoneEAP() == ike.Yes && !t.askedAfter(a):
		t.End = AuthRefused // EAP-Success would be followed by the initiator's AUTH (RFC 7296, Section 2.16)
	case a.First == ike.PayloadEAP || a.First == ike.PayloadNone:
		t.End = Broken
	default:
		t.judgeRoom(a)
	}
	if (t.End == ChildRefused || t.End == Broken) && t.childLater() {
		t.End, t.Certain = Established, true // a childless beginning, or a child SA that was made at the second attempt
	}
	if t.End == Established && !t.Certain {
		t.Certain = t.esp.during(t) || t.AnsweredLater()
	}
	if t.End == AuthRefused || t.End == ChildRefused {
		t.By, t.Proof = t.Responder(), a.Messages
	}
}

// largestShort is the most that an SK payload with one bare Notify has, whatever the algorithms: IV
// and ICV of 16 and 32 bytes.
const largestShort = 4 + 16 + 24 + 32

// short says whether an answer of algorithms that are not known can be one bare Notify.
func (a Answer) short() bool {
	return len(a.Messages) == 1 && a.Messages[0].SKLen <= largestShort
}

// askedAfter says whether the initiator went on with IKE_AUTH after an answer.
func (t *Talk) askedAfter(a Answer) bool {
	return slices.ContainsFunc(t.RequestsOf(ike.IKEAuth), func(m *pair.Message) bool {
		return m.From == t.Initiator && m.MessageID > a.Messages[0].MessageID
	})
}

// readInner decides by what keys made readable.
func (t *Talk) readInner(inner []ike.Payload) {
	t.Certain = true
	var failed bool
	for _, p := range inner {
		switch x := p.(type) {
		case *ike.SA:
			t.End = Established
			return
		case *ike.Notify:
			if x.Number == ike.AuthenticationFailed {
				t.End = AuthRefused
				return
			}
			failed = failed || x.Number.IsError()
		}
	}
	if failed {
		t.End = ChildRefused
		if inner[0].Type() == ike.PayloadN {
			t.End = AuthRefused
		}
	}
}

// judgeRoom decides whether the response has room for a child SA beside identity and
// authentication.
func (t *Talk) judgeRoom(a Answer) {
	switch sealed := a.sealed(); sealed.RoomForChild(t.proofLen()) {
	case ike.No:
		if t.End = ChildRefused; t.Childless() {
			t.End = Broken
		}
	case ike.Yes:
		t.End, t.Certain = Established, !t.Certificates() || !sealed.RoomForCertificate()
	default:
		t.End = Established
	}
}

// proofLen is the length of an AUTH payload's data with a shared key; 0 when it is not known.
func (t *Talk) proofLen() int {
	if t.Suite == nil {
		return 0
	}
	return t.Suite.PRFLen()
}

// Childless says whether the initiator asked for no child SA in IKE_AUTH (RFC 6023): the responder
// announced that it need not, and the request may have no room for one either.
func (t *Talk) Childless() bool {
	announced := slices.ContainsFunc(t.MessagesOf(ike.IKESAInit, exchange.Response), func(m *pair.Message) bool {
		return m.Has(uint16(ike.ChildlessIKEv2Supported))
	})
	asked := t.RequestsOf(ike.IKEAuth)
	if !announced || len(asked) != 1 || !asked[0].Plain().Known {
		return false
	}
	sealed := asked[0].Sealed()
	sealed.Room.Max = sealed.Room.Min
	return sealed.RoomForChild(t.proofLen()) == ike.No
}

// byTraffic is for captures that began behind the negotiation, or that hold its large messages in
// pieces only.
func (t *Talk) byTraffic() {
	if t.AnsweredLater() || t.InitAnswered() && t.esp.during(t) || t.Older() && t.carriesESP() {
		t.End, t.Certain, t.Taken = Established, !t.Older(), true
	}
}

// carriesESP says whether ESP of both sides goes on behind all that an older SA still says, which is no Delete.
func (t *Talk) carriesESP() bool {
	if slices.ContainsFunc(t.Messages, func(m *pair.Message) bool { return m.FirstInner == ike.PayloadD }) {
		return false
	}
	return t.Version == 2 && t.following(t.Last) == nil && t.esp.goesOn(t.Last)
}

// Older says whether the IKE SA was made before the captures begin: nothing of its negotiation, nor
// of the rekey that made it, is in them.
func (t *Talk) Older() bool {
	return !t.Complete && t.Rekeyed == nil && !slices.ContainsFunc(t.Messages, Negotiates)
}

// Negotiates says whether m belongs to the negotiation itself.
func Negotiates(m *pair.Message) bool {
	switch m.Exchange {
	case ike.IKESAInit, ike.IKEAuth, ike.IKEIntermediate, ike.IKESessionResume, ike.V1MainMode, ike.V1Aggressive,
		ike.V1QuickMode:
		return true
	}
	return false
}

// Soon is how long after IKE_AUTH a side's reaction belongs to it.
const Soon = 5e9

// atOnce is how long after the answer a Delete says that what was answered was not accepted.
const atOnce = 1e9

// initiatorSays asks what the initiator makes of the answer: established is a claim of both sides.
func (t *Talk) initiatorSays() {
	eap := t.End == Broken && len(t.Answer.Messages) > 0 && t.Answer.First == ike.PayloadEAP
	if t.End != Established && !eap || len(t.Answer.Messages) == 0 {
		return
	}
	t.Listed = t.End == Established && t.listed(t.Initiator)
	if m := t.rejection(); m != nil {
		if t.End == Established && t.late(m) {
			t.Certain, t.Doubted, t.Proof = false, true, []*pair.Message{m}
			return
		}
		t.reject(m)
		return
	}
	if t.End != Established {
		return
	}
	if t.Listed && t.shows[t.Initiator].active(&t.c.Parties[t.Responder()]) {
		t.Certain = true
	}
	if t.Taken = t.Listed || t.accepts(); t.Taken {
		return
	}
	m := t.deletedAtOnce()
	switch {
	case m != nil && m.AnsweredBy() != nil && m.AnsweredBy().FirstInner == ike.PayloadD:
		// Its child SA alone: the initiator does not take what the responder made of its selectors or
		// proposal.
		t.End, t.Certain, t.By, t.Proof = ChildRefused, false, t.Initiator, []*pair.Message{m}
	case m != nil && !t.Certain && !t.Certificates():
		t.End, t.By, t.Proof = ChildRefused, t.Responder(), t.Answer.Messages
	case m != nil:
		t.reject(m)
	default:
		if next := t.beganAnew(); next != nil {
			t.reject(next)
		}
	}
	if t.End == Established {
		t.Certain, t.Doubted = false, t.fellSilent()
		if next := t.laterAttempt(); next != nil {
			t.Doubted, t.Proof = true, []*pair.Message{next}
		}
	}
}

func (t *Talk) reject(m *pair.Message) {
	t.End, t.Certain, t.By, t.Proof = ResponderRejected, false, t.Initiator, []*pair.Message{m}
	for _, n := range m.InnerNotifies() {
		t.Certain = t.Certain || n.Number == ike.AuthenticationFailed
	}
}

// listed says whether the router of a side lists the SA as up: then it took the other's
// authentication.
func (t *Talk) listed(s pair.Side) bool {
	own, peer := t.SPIi.String(), t.ResponderSPI().String()
	if s != t.Initiator {
		own, peer = peer, own
	}
	return t.ready[s][[2]string{strings.ToLower(own), strings.ToLower(peer)}]
}

// accepts says whether the initiator is seen to use what was agreed on: it sends ESP, or begins or
// answers an exchange of the SA.
func (t *Talk) accepts() bool {
	if t.esp.from(t, t.Initiator) {
		return true
	}
	return t.wentOn() && slices.ContainsFunc(t.Messages, func(m *pair.Message) bool {
		if m.From != t.Initiator || m.Exchange != ike.CreateChildSA && m.Exchange != ike.Informational {
			return false
		}
		return m != t.deletedAtOnce()
	})
}

// rejection is the INFORMATIONAL request with which an initiator refuses the responder's
// authentication: one bare Notify right after the answer (RFC 7296, Section 2.21.2). Of its size
// are others as well, which a side sends of its addresses (RFC 4555, Section 3.6); who uses the SA,
// or lists it in the end, has refused nothing.
func (t *Talk) rejection() *pair.Message {
	for _, m := range t.RequestsOf(ike.Informational) {
		if m.From != t.Initiator || m.FirstInner != ike.PayloadN || !t.follows(m, Soon) {
			continue
		}
		if len(m.Inner()) > 0 {
			for _, n := range m.InnerNotifies() {
				if n.Number == ike.AuthenticationFailed {
					return m
				}
			}
			continue
		}
		if m.Sealed().LoneNotify() == ike.Yes && m.MessageID == t.Answer.Messages[0].MessageID+1 &&
			!t.Listed && !t.usedBeside(m) {
			return m
		}
	}
	return nil
}

// promptly is how soon after the answer reached it an initiator that refuses it says so: what it
// has to do is to verify it.
const promptly = 100e6

// late says whether a lone sealed Notify came so long after the answer that it may as well be of
// something else: one of MOBIKE's (RFC 4555) has the same size, and comes when an address changes.
func (t *Talk) late(m *pair.Message) bool {
	if len(m.Inner()) > 0 || t.c.Story(t.Initiator) == nil {
		return false
	}
	got, _ := FirstArrival(t.c, t.Answer.Messages[len(t.Answer.Messages)-1])
	return got >= 0 && m.Transmissions()[0].Aligned > got+promptly
}

// usedBeside says whether the initiator uses the SA before or after its own message m: it sends
// ESP, or takes part in another exchange.
func (t *Talk) usedBeside(m *pair.Message) bool {
	if t.esp.fromAfter(t, t.Initiator, t.Answer.Messages[0].Transmissions()[0].Aligned) {
		return true
	}
	return t.wentOn() && slices.ContainsFunc(t.Messages, func(o *pair.Message) bool {
		return o != m && o.From == t.Initiator && o.FirstInner != ike.PayloadD &&
			(o.Exchange == ike.CreateChildSA || o.Exchange == ike.Informational)
	})
}

// deletedAtOnce is the Delete that an initiator sends as its first word after the answer.
func (t *Talk) deletedAtOnce() *pair.Message {
	for _, m := range t.RequestsOf(ike.Informational) {
		if m.From == t.Initiator && m.FirstInner == ike.PayloadD && t.follows(m, atOnce) &&
			m.MessageID == t.Answer.Messages[0].MessageID+1 {
			return m
		}
	}
	return nil
}

// beganAnew is the first message of the next negotiation, when the initiator begins one at once
// after an answer that reached it.
func (t *Talk) beganAnew() *pair.Message {
	got, _ := FirstArrival(t.c, t.Answer.Messages[len(t.Answer.Messages)-1])
	if m := t.laterAttempt(); m != nil && m.Conversation.First < got+Soon {
		return m
	}
	return nil
}

// laterAttempt is the first message of the initiator's next negotiation after an answer that reached it: some wait a while before they
// come again. An initiator that has the SA begins none beside it, unless there is another tunnel between the two.
func (t *Talk) laterAttempt() *pair.Message {
	if t.c.Story(t.Initiator) == nil {
		return nil
	}
	got, _ := FirstArrival(t.c, t.Answer.Messages[len(t.Answer.Messages)-1])
	if got < 0 {
		return nil
	}
	if v := t.following(got); v != nil && v.Initiator == t.Initiator {
		return v.Messages[0]
	}
	return nil
}

// fellSilent says whether the initiator said nothing more after the answer while the captures went
// on for many round trips, and has reason to reject it: it had to believe a certificate, or the
// responder already sends ESP and gets none. With a pre-shared key and no traffic nothing is in
// doubt: the responder believed the initiator by the same key.
func (t *Talk) fellSilent() bool {
	const shortest = 100e6
	signed := t.Certificates() && t.Answer.Min >= leastSigned
	if !signed && !t.esp.from(t, t.Responder()) || t.c.Parties[t.Initiator].Untimed {
		return false
	}
	while := int64(shortest)
	if c := t.c.Clock; c != nil {
		while = max(while, 10*c.RTT)
	}
	got, _ := FirstArrival(t.c, t.Answer.Messages[len(t.Answer.Messages)-1])
	if t.c.Story(t.Initiator) == nil {
		while = Patience // an initiator that did not get the answer asks again
	}
	return got >= 0 && Outlasts(t.c, t.Initiator, got, while)
}

// mustArrive takes success back where the answer that would have made it never reached the
// initiator, or it would not have it.
func (t *Talk) mustArrive() {
	if t.End != Established || t.esp.during(t) || t.AnsweredLater() {
		return
	}
	for _, m := range t.Answer.Messages {
		n := m.Tally()
		if n.Lost > 0 && n.Delivered == 0 || m.Answers() != nil && RepeatedAfter(t.c, m.Answers()) >= 2 {
			t.End, t.Certain, t.Doubted = Broken, false, false
			return
		}
	}
}

func (t *Talk) follows(m *pair.Message, within int64) bool {
	if len(t.Answer.Messages) == 0 || len(m.Transmissions()) == 0 {
		return false
	}
	at := t.Answer.Messages[0].Transmissions()[0].Aligned
	return m.Transmissions()[0].Aligned >= at && m.Transmissions()[0].Aligned <= at+within
}

// wentOn says whether there may be exchanges of an SA that stands.
func (t *Talk) wentOn() bool {
	for _, x := range [2]ike.ExchangeType{ike.CreateChildSA, ike.Informational} {
		if t.MayHold(x, exchange.Request) || t.MayHold(x, exchange.Response) {
			return true
		}
	}
	return false
}

// AnsweredLater says whether an exchange of the established SA was answered: a rekey, or a liveness
// check. A Delete and its answer say nothing about what they end.
func (t *Talk) AnsweredLater() bool {
	if !t.wentOn() {
		return false
	}
	for _, m := range t.Messages {
		if m.Kind != exchange.Request || m.AnsweredBy() == nil || m.FirstInner == ike.PayloadD ||
			m.FirstInner == ike.PayloadN && m.Exchange == ike.Informational {
			continue
		}
		if m.Exchange == ike.CreateChildSA || m.Exchange == ike.Informational {
			return true
		}
	}
	return false
}

// childLater says whether a child SA was made after IKE_AUTH: after a childless beginning (RFC
// 6023), or one whose first child SA was refused. A renewal of the IKE SA makes none; where the
// size does not tell, traffic must.
func (t *Talk) childLater() bool {
	return slices.ContainsFunc(t.RequestsOf(ike.CreateChildSA), func(m *pair.Message) bool {
		if !Made(m.AnsweredBy()) {
			return false
		}
		switch t.Makes(m) {
		case NewChild, RekeyChild:
			return true
		case UnsureMaking:
			return t.esp.during(t)
		}
		return false
	})
}

// Completed is when the tunnel stood, aligned; 0 when it never did.
func (t *Talk) Completed() int64 {
	switch {
	case !t.CameUp():
		return 0
	case len(t.Answer.Messages) > 0:
		return t.Answer.Messages[0].Transmissions()[0].Aligned
	case t.Version == 1:
		if done := t.completedV1(); done != 0 {
			return done
		}
	}
	return t.Last
}
