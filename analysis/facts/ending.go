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
		t.ChildOpen = t.End == Established && t.childOpen()
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

// refusedInClear looks for what ended a conversation that was never encrypted, or
// one without a result.
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
	t.End, t.Certain, t.By, t.Proof, t.Doubted = e, true, m.From, []*pair.Message{m}, false
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
	if offered == 0 && t.KECut() {
		return true
	}
	return group != offered && t.LastGroup() == group
}

// KECut says whether a capture cut an initial request before its key exchange value, so that which
// group it came with, and whether it is the one before once more, is not known.
func (t *Talk) KECut() bool {
	return slices.ContainsFunc(t.RequestsOf(ike.IKESAInit), func(m *pair.Message) bool {
		_, _, ok := m.KE()
		return m.Truncated && !ok
	})
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
	s := ike.Sealed{Exchange: ike.IKEAuth, Response: true, First: a.First,
		Room: ike.Room{Known: a.Known, Min: a.Min, Max: a.Max}}
	if len(a.Messages) == 1 {
		s.Body = a.Messages[0].Sealed().Body
	}
	return s
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
	case t.askedAfter(a): // with EAP the last word comes several answers later (RFC 7296, Section 2.16)
		if t.End = Broken; t.esp.during(t) || t.AnsweredLater() {
			t.End, t.Certain = Established, true
		}
	case !a.Known && a.First == ike.PayloadN && a.short() && !t.AnsweredLater():
		t.End = AuthRefused
	case !a.Known: // what is answered later shows an IKE SA, and no child SA where the answer has no room for one
		if t.End = Broken; t.esp.during(t) || t.AnsweredLater() && a.sealed().RoomForChild(0) != ike.No {
			t.End, t.Certain = Established, true
		}
	case a.sealed().Refused() == ike.Yes:
		t.End = AuthRefused
	case a.sealed().LoneEAP() == ike.Yes:
		t.End = AuthRefused // EAP-Success would be followed by the initiator's AUTH (RFC 7296, Section 2.16)
	case a.First == ike.PayloadEAP || a.First == ike.PayloadNone:
		t.End = Broken
	default:
		t.judgeRoom(a)
	}
	if t.End == ChildRefused || t.End == Broken {
		if later := t.childLater(); later != nil { // a childless beginning, or one that was refused its first child SA
			t.FirstRefused = t.End == ChildRefused && later.From == t.Initiator && t.askedForChild()
			t.End, t.Certain = Established, true
		}
	}
	if t.End == Established && !t.Certain {
		t.Certain = t.esp.during(t) || t.AnsweredLater()
	}
	if t.End == AuthRefused || t.End == ChildRefused {
		t.By, t.Proof = t.Responder(), a.Messages
		if t.sentAway() {
			t.End = Redirected
		}
	}
}

// Redirects says whether the responder may redirect the initiator where nobody can read it: the
// initiator says in IKE_SA_INIT that it follows (RFC 5685, Section 3), unless that is not captured.
func (t *Talk) Redirects() bool {
	if t.MaySay(ike.RedirectSupported, ike.RedirectedFrom) {
		return true
	}
	asked := t.RequestsOf(ike.IKESAInit)
	return len(asked) == 0 || slices.ContainsFunc(asked, func(m *pair.Message) bool { return m.Truncated })
}

// RefusedOrRedirected says of a child SA that sizes and order tell to be refused whether the
// responder may as well have sent the initiator to another gateway: in the answer, which has the
// same identity and authentication and one Notify in place of another, or in a request right after
// it. Then the initiator deletes what it has, and asks this gateway no more (RFC 5685, Sections 5
// and 6). That Delete is returned; nil: it is no redirection.
func (t *Talk) RefusedOrRedirected() *pair.Message {
	if t.Version != 2 || t.End != ChildRefused || len(t.Answer.Inner) > 0 || !t.Redirects() {
		return nil
	}
	m := t.deletedAtOnce()
	if m == nil || t.following(t.Answer.Messages[0].Transmissions()[0].Aligned) != nil {
		return nil
	}
	inAnswer := t.By == t.Responder() && !deletesChild(m) && t.Answer.sealed().RoomForRedirect(t.proofLen())
	if !inAnswer && t.Told(m) == nil {
		return nil
	}
	return m
}

// Told is what the other side said moments before d, a Delete, and may have told its sender to go
// to another gateway: the responder's bare Notify, of the size of a REDIRECT (RFC 5685, Section 5);
// nil without.
func (t *Talk) Told(d *pair.Message) *pair.Message {
	if d.From != t.Initiator || !t.Redirects() {
		return nil
	}
	at := d.Transmissions()[0].Aligned
	for m := range t.Each(ike.Informational, exchange.Request) {
		if x := m.Transmissions()[0].Aligned; m.From == d.From || m.FirstInner != ike.PayloadN || len(m.Inner()) > 0 ||
			x > at || x < at-Soon {
			continue
		}
		if s := m.Sealed(); s.Room.Known && s.RoomForRedirect(0) && s.Room.Min <= largestRedirect {
			return m
		}
	}
	return nil
}

// largestRedirect is the most that a REDIRECT to a gateway's name of some length has.
const largestRedirect = 8 + 2 + 255

// fewNext is how many of the conversations behind one may be what it led to.
const fewNext = 8

// sentAway says whether what the initiator does next tells that the responder's last answer, which
// nobody can read, sent it to another gateway (RFC 5685, Section 6): it says there who did.
func (t *Talk) sentAway() bool {
	for _, o := range t.all[t.index+1 : min(len(t.all), t.index+1+fewNext)] {
		if o == nil || o.Initiator != t.Initiator || !o.MaySay(ike.RedirectedFrom) {
			continue
		}
		for _, m := range o.RequestsOf(ike.IKESAInit) {
			for _, p := range m.OfType(ike.PayloadN) {
				n, ok := p.(*ike.Notify)
				if ok && n.Number == ike.RedirectedFrom && n.Gateway() == t.Ends[t.Responder()].Addr().String() {
					return true
				}
			}
		}
	}
	return false
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
	for m := range t.Each(ike.IKEAuth, exchange.Request) {
		if m.From == t.Initiator && m.MessageID > a.Messages[0].MessageID {
			return true
		}
	}
	return false
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

// judgeRoom decides whether the response has room for a child SA beside identity
// and authentication.
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
	asked := t.RequestsOf(ike.IKEAuth)
	if !t.mayBeChildless() || len(asked) != 1 || !asked[0].Plain().Known {
		return false
	}
	sealed := asked[0].Sealed()
	sealed.Room.Max = sealed.Room.Min
	return sealed.RoomForChild(t.proofLen()) == ike.No
}

// mayBeChildless says whether the responder announced that IKE_AUTH may ask for no child SA.
func (t *Talk) mayBeChildless() bool {
	return slices.ContainsFunc(t.MessagesOf(ike.IKESAInit, exchange.Response), func(m *pair.Message) bool {
		return m.Has(uint16(ike.ChildlessIKEv2Supported))
	})
}

// askedForChild says whether the initiator is known to have asked for a child SA in IKE_AUTH.
func (t *Talk) askedForChild() bool {
	asked, said := t.RequestsOf(ike.IKEAuth), t.MessagesOf(ike.IKESAInit, exchange.Response)
	whole := !slices.ContainsFunc(said, func(m *pair.Message) bool { return m.Truncated })
	if len(said) > 0 && whole && !t.mayBeChildless() {
		return true
	}
	return len(asked) == 1 && asked[0].Sealed().AsksForChild(t.proofLen())
}

// byTraffic is for captures that began behind the negotiation, or that hold its large messages in
// pieces only.
func (t *Talk) byTraffic() {
	if t.AnsweredLater() || t.InitAnswered() && t.esp.during(t) || t.Older() && t.carriesESP() {
		t.End, t.Certain, t.Taken = Established, !t.Older(), true
	}
}

// carriesESP says whether ESP of both sides goes on behind all that an older SA still says, which
// is no Delete.
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
	active := t.Listed && t.shows[t.Initiator].active(&t.c.Parties[t.Responder()])
	if active {
		t.Certain = true
	}
	// That the router lists the IKE SA says nothing of a child SA that was deleted as soon as it
	// was there.
	m := t.deletedAtOnce()
	childAlone := m != nil && deletesChild(m)
	if t.Taken = active || !childAlone && (t.Listed || t.accepts()) || childAlone && t.hasChild(); t.Taken {
		return
	}
	switch {
	case childAlone:
		// Its child SA alone: the initiator does not take what the responder made of its
		// selectors or proposal.
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
		next := t.laterAttempt()
		if next == nil {
			next = t.unheardAttempt()
		}
		if next != nil {
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

// listed says whether the router of a side lists the SA as up: then it took the
// other's authentication.
func (t *Talk) listed(s pair.Side) bool {
	if len(t.ready[s]) == 0 {
		return false
	}
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

// hasChild says whether the initiator uses a child SA, or makes another one: that it goes on with
// the IKE SA, as MOBIKE does (RFC 4555, Section 3.6), says nothing of one.
func (t *Talk) hasChild() bool {
	return t.esp.from(t, t.Initiator) || slices.ContainsFunc(t.RequestsOf(ike.CreateChildSA), func(m *pair.Message) bool {
		return m.AnsweredBy() != nil
	})
}

// rejection is the INFORMATIONAL request with which an initiator refuses the responder's
// authentication: one bare Notify right after the answer (RFC 7296, Section 2.21.2). Of its size
// are others as well, which a side sends of its addresses (RFC 4555, Section 3.6); who uses the SA,
// or lists it in the end, has refused nothing.
func (t *Talk) rejection() *pair.Message {
	for m := range t.Each(ike.Informational, exchange.Request) {
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
	for m := range t.Each(ike.Informational, exchange.Request) {
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

// laterAttempt is the first message of the initiator's next negotiation after an answer that
// reached it, or that it asked for only once, where its own capture is not there: some wait a while
// before they come again. An initiator that has the SA begins none beside it, unless there is
// another tunnel between the two.
func (t *Talk) laterAttempt() *pair.Message {
	if t.c.Story(t.Initiator) == nil {
		if q := t.Answer.Messages[0].Answers(); q == nil || RepeatedAfter(t.c, q) > 0 {
			return nil
		}
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

// unheardAttempt is the first message of the initiator's next negotiation, begun at once after an
// answer of which no capture shows that it arrived: either it did not, or it was not accepted.
func (t *Talk) unheardAttempt() *pair.Message {
	answer := t.Answer.Messages[len(t.Answer.Messages)-1]
	if slices.ContainsFunc(answer.Transmissions(), func(x *pair.Transmission) bool { return x.At[t.Initiator] != nil }) {
		return nil
	}
	sent := answer.Transmissions()[0].Aligned
	if v := t.following(sent); v != nil && v.Initiator == t.Initiator && v.First < sent+Soon {
		return v.Messages[0]
	}
	return nil
}

// fellSilent says whether the initiator said nothing more after the answer while the captures went
// on for many round trips, and has reason to reject it: it had to believe a certificate, or the
// responder already sends ESP and gets none. With a pre-shared key and no traffic nothing is in
// doubt: the responder believed the initiator by the same key.
func (t *Talk) fellSilent() bool {
	signed := t.Certificates() && t.Answer.Min >= leastSigned
	return (signed || t.esp.from(t, t.Responder())) && t.seenFurther()
}

// childOpen says whether the IKE SA goes on, and nothing shows that it has a child SA: from
// outside, an answer with a certificate has room for a child SA or for a longer certificate
// (RFC 7296, Section 3.6), and no traffic passes while the captures go on.
func (t *Talk) childOpen() bool {
	return t.Taken && !t.Listed && t.MayLackChild() && !t.hasChild() && !t.esp.from(t, t.Responder()) &&
		t.seenFurther()
}

// MayLackChild says whether the answer may refuse the child SA, so large a certificate has made it.
func (t *Talk) MayLackChild() bool {
	a := t.Answer
	return t.Version == 2 && len(a.Messages) > 0 && len(a.Inner) == 0 && t.Certificates() &&
		a.sealed().RoomForCertificate()
}

// seenFurther says whether what the initiator does for many round trips after the answer would be
// in the captures.
func (t *Talk) seenFurther() bool {
	const shortest = 100e6
	if t.c.Parties[t.Initiator].Untimed || Unheard(t.c, t.Initiator) {
		return false
	}
	while := int64(shortest)
	if c := t.c.Clock; c != nil {
		while = max(while, 10*(c.RTT-t.c.Coarse()))
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
		if n.Lost > 0 && n.Delivered == 0 || m.Answers() != nil && t.stillAsks(m.Answers()) {
			t.End, t.Certain, t.Doubted = Broken, false, false
			return
		}
	}
}

// stillAsks says whether a request was repeated so often, or so long, after its answer had arrived
// that its sender did not take the answer, as far as the captures go. Where its sender's capture
// began later and ends with an answer, nobody knows whether it took that one.
func (t *Talk) stillAsks(q *pair.Message) bool {
	switch RepeatedAfter(t.c, q) {
	case 0:
		at, _ := FirstArrival(t.c, q.AnsweredBy())
		if at < 0 { // no answer is known to have arrived
			return AskedUnheard(t.c, q) > 0
		}
		return AskedUnheard(t.c, q) > 1 && !Outlasts(t.c, q.From, at, Patience)
	case 1:
		return AsksOn(t.c, q)
	}
	return true
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

// childLater is the request that made a child SA after IKE_AUTH: after a childless beginning
// (RFC 6023), or one whose first child SA was refused; nil without. A renewal of the IKE SA makes
// none; where the size does not tell, traffic must.
func (t *Talk) childLater() *pair.Message {
	for _, m := range t.RequestsOf(ike.CreateChildSA) {
		if !Made(m.AnsweredBy()) {
			continue
		}
		switch t.Makes(m) {
		case NewChild, RekeyChild:
			return m
		case UnsureMaking:
			if t.esp.during(t) {
				return m
			}
		}
	}
	return nil
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
		if m := t.tailV1(); m != nil {
			return m.Transmissions()[0].Aligned
		}
	}
	return t.Last
}
