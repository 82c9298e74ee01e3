// Package pair joins two sides' stories to one case: which side is which, which packet here
// is which packet there, what was lost between, how far the clocks are apart, who is
// translated by a NAT, and when each capture provably worked. It states facts; package
// diagnose draws the conclusions.
package pair

import (
	"net/netip"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/ike"
)

// Side is one of the two sides, an index into the pairs of this package.
type Side uint8

// The sides.
const (
	A Side = iota
	B
)

// Both lists the sides, to range over.
var Both = [2]Side{A, B}

// Other returns the opposite side.
func (s Side) Other() Side { return 1 - s }

func (s Side) String() string { return [...]string{"A", "B"}[s] }

// Direction returns the way of what s sends: "A->B" or "B->A".
func (s Side) Direction() string { return s.String() + "->" + s.Other().String() }

// Case is two captures of one tunnel, joined. All times named aligned are nanoseconds since 1970 on
// A's clock.
type Case struct {
	Parties       [2]Party
	Clock         *Clock          // nil when nothing relates the clocks
	Conversations []*Conversation // in the order of their first packet
	Strangers     []*Conversation // with others than the two sides, and in none of Conversations: scanners, other peers
	Flows         []*Flow         // ESP and AH
	NAT           []Mapping
	ICMP          []ICMP
	Counts        Counts
	Overlap       bool          // the captures overlap in aligned time, or one is empty
	First, Last   int64         // aligned, of all packets
	grace         int64         // how long a packet may be under way, the doubt about the clocks included
	began         [2][2][]Start // what flowStarts says
	agreed        []Agreement   // those of findAgreements before anything was known to be lost
	agreements    []Agreement   // see Agreements; nil: not asked for yet
	arrives       [2]bool       // by sender: the other side's capture holds IKE of it
	summed        summary       // see Case.summary
	tallies       [2]*Tally     // by sender, see Case.Tally; nil: not asked for yet
	remotes       *Remotes      // see Case.Remotes
	Renamed       bool          // the one capture is the second side's, which is called A therefore
	Swapped       bool          // the files were given the other way round than the addresses say, and were exchanged
}

// Party is one side of the tunnel and its capture.
type Party struct {
	Side      Side
	Name      string
	Interface string
	File      string
	Story     *exchange.Story // nil: no capture of this side was given
	Known     netip.Addr      // VPN address by the inventory; may be invalid
	KnownNAT  netip.Addr      // by the inventory, how the other side sees it; may be invalid
	// own addresses as its own capture shows them; when that shows none, as the other's does, unless
	// Known is
	Addresses  []netip.Addr
	Translated []netip.Addr // own addresses as the other side's capture shows them, where they differ
	Coverage   Coverage
	Untimed    bool  // the capture holds no times; those of its story are made up from the order of its packets
	Stamp      int64 // Untimed: the one time that all its packets carry

	// Set is how often the clock of its capture was set meanwhile, in order of frames; times of its
	// story are those of a clock that was not.
	Set []ClockSet

	// What is known of the capture beside its packets; to be given to Join.
	FullAtEnd   bool // it was full and took nothing after its last packet
	FullAtStart bool // it was full and forgot what came before its first packet: a circular buffer
	Leaky       bool // it left packets out in between, as at its rate limit: what it lacks proves nothing
	// TimesGoodTo is by how many nanoseconds all its times may be wrong alike, beside what its
	// router's clock is wrong by. The packets of both captures align them all the same
	TimesGoodTo int64

	copiesOwn bool // its capture doubles packets
	mine      map[netip.Addr]bool
	// of a capture of coarse times: between when it worked at the least, by its own clock, and how far
	// the time that is taken for a packet's may be wrong
	surely [2]int64
	vague  int64
}

// Coverage is when a capture provably worked, in aligned time.
type Coverage struct {
	From, To int64 // what is missing between them is lost; both 0 when nothing proves that the capture worked
	SnapLen  int
	Hidden   int     // packets that this side sent by the other's capture and that its own capture does not hold
	HiddenAt []Sight // some of them, as the other side saw them
	// packets that must have reached this side, since it answered them, and that its own capture does
	// not hold
	Unseen   int
	UnseenAt []Sight // some of them, as the sender saw them

	// The capture is of one direction only: it holds nothing of what its side sent (Mute), or of what
	// reached it (Deaf), as on an interface that such packets do not pass.
	Mute, Deaf bool

	// between its first and its last packet it lacks some of what its side sent, or of what reached it
	lacksOwn, lacksOther bool

	first, last int64       // its first and last packet
	shared      [2]window   // by sender: the packets that the other capture holds too
	vague       int64       // how far aligned times may be wrong, nanoseconds
	cutShort    bool        // the other capture goes on with packets that this one must have held
	hides       [kinds]bool // what its filter does not let through
}

// Sight is a packet and in whose capture it is.
type Sight struct {
	Side Side
	exchange.Sight
}

// Covers says whether the capture would have held a packet at the aligned time t.
func (c Coverage) Covers(t int64) bool { return c.From != 0 && c.From <= t && t <= c.To }

// Counts are the totals over IKE, ESP and AH.
type Counts struct {
	Matched int
	Lost    [2]int // by sender
	Only    [2]int // by the capture that alone holds them, copies included
	Copies  [2]int // by the capture that holds the same packet again, IKE and ESP
	copied  [2]int // of those, the ones that Only counts: of IKE
}

// Unpaired are those that the capture of s alone holds and that are neither lost nor copies.
func (n *Counts) Unpaired(s Side) int { return n.Only[s] - n.Lost[s] - n.copied[s] }

// Conversation is all messages of one IKE SA, or of one attempt at one, with its COOKIE and
// INVALID_KE_PAYLOAD retries.
type Conversation struct {
	ID         string // "1", "2", ... in order of time
	Version    int
	Initiator  Side // of the IKE SA
	SPIi, SPIr ike.SPI
	SPIrs      []ike.SPI  // all responder SPIs that answered SPIi, in order
	Messages   []*Message // in aligned order of the first transmission
	Foreign    bool       // it is with an address that is none of the other side's; nothing in it counts as lost
	// it begins with IKE_SA_INIT, Main or Aggressive Mode message 1; else the captures began later
	Complete    bool
	Rekeyed     *Conversation     // the IKE SA that this one replaced (CREATE_CHILD_SA), or nil
	origin      *Conversation     // see Origin; nil: itself
	Successor   *Conversation     // the IKE SA that replaced this one, or nil
	Previous    *Conversation     // the attempt that was given up before this one, same initiator, or nil
	Next        *Conversation     // the attempt that followed after this one was given up, or nil
	Suite       *ike.Suite        // negotiated algorithms by the clear messages; nil when unknown
	First, Last int64             // aligned
	Ends        [2]netip.AddrPort // each side as its own capture shows it last; else as the other's does
	Smooth      bool              // each of its messages was sent once, in one piece, and arrived so; see Troubled
	marks       marks
}

// Message is one IKE message of a conversation and what became of every transmission. There is one
// for every message of the captures, so it is kept small: what few have is behind pointers.
type Message struct {
	// The better of the copies: the sender's own, unless the other's is more complete.
	*exchange.Message
	Conversation *Conversation

	at      [2]*exchange.Message // as each side's capture has it
	partner *Message             // the other one of a request and its response
	rest    *rest                // nil for none
	only    [1]*Transmission     // of a message that was sent once: one
	one     Transmission

	// See Plain; by how much the bounds differ is no more than an IP packet holds.
	plainMin   int32
	plainDoubt uint16
	plainKnown bool

	// What all rules ask of all messages: as the captures have it, and nearer.
	Exchange ike.ExchangeType
	Kind     exchange.Kind
	Role     exchange.Role

	From     Side
	Altered  bool           // the bytes differ between the sides
	stranger bool           // it is from or to an address that is neither side's
	doubled  bool           // the sender's capture holds all that its side sent twice
	natd     [natdMost]mark // what its NAT detection hashes say, unless rest holds it
}

// rest is what few messages have.
type rest struct {
	sends    []*Transmission // of a message that was sent more than once
	natd     []NATD
	inner    []ike.Payload
	differAt int
}

// Transmission is one sending of a message, or one arrival that has no sending.
type Transmission struct {
	At      [2]*exchange.Sight // in each side's capture; nil where it is not
	Aligned int64              // of its sending; of its arrival when only that was seen

	strange *strange // nil for none

	Duplicate   bool // a further arrival of a sending, or a copy that a capture made
	CaptureCopy bool // Duplicate: made by the capture itself, not by the path
	Fate        Fate
	// Sent, not in the receiver's capture for whatever reason, and not proven to have
	// arrived by an answer.
	Missing bool
}

// strange is what few transmissions have.
type strange struct {
	partial []int
	copyOf  *Transmission
}

// Fate is what became of a transmission.
type Fate uint8

// The fates. Unknown: the receiving capture does not prove that it would have seen it.
const (
	Unknown Fate = iota
	Delivered
	Lost
)

func (f Fate) String() string { return [...]string{"unknown", "delivered", "lost"}[f] }

// Delay returns the one-way delay in nanoseconds by the aligned clocks, uncertain by half of the
// smallest round trip.
func (c *Case) Delay(t *Transmission, from Side) (int64, bool) {
	if t.At[A] == nil || t.At[B] == nil {
		return 0, false
	}
	return c.Aligned(t.At[from.Other()].Nanos, from.Other()) - c.Aligned(t.At[from].Nanos, from), true
}

// Flow is one ESP or AH SA in one direction, joined.
type Flow struct {
	SPI     uint32
	From    Side
	Foreign bool              // it is with an address that is none of the other side's; nothing in it counts as lost
	At      [2]*exchange.Flow // nil where it was never seen
	// distinct numbers at the sender that the receiver's capture covered; all distinct ones without a
	// sender's capture
	Sent uint64
	Lost uint64 // of those, how many the receiver's capture lacks
	// in none of Sent: those that left shortly before or after all that the receiver's capture holds,
	// where that holds nothing of the flow. They may be lost, or it had not begun, or had ended
	Beyond  uint64
	Missing uint64              // at the sender and not at the receiver, for whatever reason
	Gaps    []exchange.Interval // the lost runs, at most MaxGaps
	Tail    exchange.Interval   // the last of the lost runs, also beyond MaxGaps
	Gap     []exchange.Point    // for every one of Gaps, a sampled packet of the sender near it, for evidence
	Slow    int64               // the largest delay above the smallest, nanoseconds, by samples
	Hidden  uint64              // at the receiver and not at the sender: the sender's capture lacks them
	Twice   int                 // copies that the path made: at the receiver, beyond those of the sender's capture
	Split   Split               // what became of those that travelled in IP fragments

	moved [2][]exchange.Flow // its parts from or to other addresses than those of At, as they were before they were merged
}

// Split counts the sampled packets of a flow that left in IP fragments, all of which the sender's
// capture holds, while the receiver's capture worked.
type Split struct {
	Sent  int
	Lost  int                // not whole at the receiver
	First exchange.Point     // one that was lost, in the sender's capture
	Rest  *exchange.Datagram // what the receiver's capture has of one that was lost; nil: of none any fragment arrived
}

// MaxGaps bounds the gaps that a flow keeps; Lost counts all.
const MaxGaps = 256

// Clock relates the clocks: aligned = A's time = B's time - offset(t).
type Clock struct {
	Offset   int64  // B's clock minus A's in nanoseconds, in the middle of the overlap
	Low      *int64 // hard bounds of Offset by the smallest delays; nil: not bounded
	High     *int64
	Drift    float64 // parts per million by which B's clock runs faster
	HasDrift bool
	RTT      int64  // smallest round trip seen, nanoseconds; 0 when not known
	Pairs    [2]int // matched packets that were used, by sender
	Method   string
	Steps    []Step

	segments []segment
	vague    int64 // of coarse times: how far Offset may be wrong where no delay tells
}

// Step is a moment at which one of the clocks was set.
type Step struct {
	Aligned int64 // about when
	By      int64 // nanoseconds, positive when B's clock jumped ahead of A's
}

// Mapping is an address and port of one side as itself and as the other side sees it. Only real
// translations are listed.
type Mapping struct {
	Side       Side
	Original   netip.AddrPort // port 0: native ESP
	Translated netip.AddrPort
	Packets    int
	First      [2]exchange.Sight // one pair that proves it
	From, To   int64             // aligned
	SPIi       ike.SPI           // of the first IKE message in it; 0 for ESP
}

// ICMP is an ICMP error with the side in whose capture it is.
type ICMP struct {
	*exchange.ICMP
	Side    Side
	Quoted  Side     // who sent the quoted packet
	Message *Message // the quoted IKE message, if it is known
	Mine    bool     // it quotes a packet of this tunnel
	Twin    *Sight   // the same error in the other capture, or nil
}

// NATD is one NAT detection hash recomputed (RFC 7296, Section 2.23; RFC 3947, Section 3.2).
type NATD struct {
	Source   bool           // of the sender's own address; else of where it was sent
	Sent     bool           // it matches the address and port that the sender's capture shows
	Received bool           // it matches the address and port that the receiver's capture shows
	Address  netip.AddrPort // the address that it was made of, when it was found: seen, of the inventory, or by searching
	How      string         // "capture", "inventory", "search"; empty: not found
	Forced   bool           // it is no hash of any address that we know, though the packets were not translated
}
