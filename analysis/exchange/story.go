// Package exchange tells one side's story: what the IKE messages, ESP flows, ICMP errors and stray
// fragments of one capture are, in one pass. It compares nothing and judges nothing; package pair
// joins two stories to one case.
//
// A story's memory grows with the distinct IKE messages, with ESP SAs and with the gaps in their
// sequence numbers, not with the number of packets.
package exchange

import (
	"iter"
	"net/netip"

	"github.com/moncap/moncap/analysis/packet"
)

// Story is all that one capture holds of a tunnel. Times are nanoseconds since 1970 by the
// capturing router's clock.
type Story struct {
	Info        packet.FileInfo
	Counts      Counts
	First, Last int64     // earliest and latest time of any frame; both 0 for an empty capture
	Messages    Messages  // distinct IKE messages, in the order of their first transmission
	Flows       []*Flow   // ESP and AH by addresses, SPI and encapsulation, in the order of their first packet
	Keepalives  []*Stream // NAT keepalives (RFC 3948, Section 2.3) by addresses
	// packets that are nothing to a tunnel, by addresses; at most MaxStreams, the rest only counted
	Others     []*Stream
	ICMP       []*ICMP     // ICMP errors; at most MaxICMP, the rest only counted
	Datagrams  []*Datagram // of UDP, ESP and AH, of which IP fragments are missing
	Faults     []Fault     // packets on the IKE ports that are no IKE message; at most MaxFaults
	Addresses  []Address   // who sent and received IKE, ESP, AH and keepalives, by packets descending
	Peak       Peak        // the busiest second
	Grain      Grain       // of the times
	Runs       []Run       // those between which the times go back; nil where they never do, or too often
	Unread     []Unread    // frames of which the link layer, or what is around their packets, is not read
	Unreadable int         // IKE packets that were cut before the end of the IKE header
	contents   *Contents   // of Messages
	reader     int         // of contents, that this story is
	part       *Parts      // that this story is of, whose messages share the contents of the whole's; else nil
	Forgotten  int         // packets that are counted but not kept, beyond MaxMessages or MaxFlows
}

// Messages are those of a story.
type Messages struct{ blocks[Message] }

// Len is how many there are.
func (m *Messages) Len() int { return m.n }

// At is the i-th message.
func (m *Messages) At(i int) *Message { return m.at(i) }

// All yields them in order.
func (m *Messages) All() iter.Seq[*Message] { return m.values }

// Limits that keep the memory for hostile captures bounded.
const (
	MaxMessages  = 1 << 20 // distinct IKE messages
	MaxStreams   = 4096
	MaxICMP      = 4096
	MaxFaults    = 1024
	MaxDatagrams = 1 << 14
	MaxFlows     = 1 << 16
	MaxUnread    = 32
)

// Counts says how many packets of each kind there are. Duplicates are part of the other numbers.
type Counts struct {
	Packets, IKE, ESP, AH, Keepalives, ICMP, Fragments, Other int
	Truncated                                                 int // shorter in the file than on the wire
	TruncatedIKE                                              int // ditto, IKE messages
	// the same datagram again within a few milliseconds, IP identification and all
	Duplicates int
	Bytes      int64 // on the wire
}

// Tunnel returns the number of packets that belong to a tunnel.
func (c Counts) Tunnel() int { return c.IKE + c.ESP + c.AH + c.Keepalives }

// Shows says whether the capture holds anything of a tunnel, and be it pieces of a datagram.
func (s *Story) Shows() bool { return s.Counts.Tunnel() > 0 || len(s.Datagrams) > 0 }

// Peak is the second with the most packets, to recognise a capture that reached its rate limit.
type Peak struct {
	Packets int   // in the busiest second
	Second  int64 // since 1970
	AtLeast int   // seconds that had at least nine tenths of the peak
}

// Address is one IP address of the tunnel's packets in one capture.
type Address struct {
	Addr           netip.Addr
	Sent, Received int // IKE, ESP, AH and keepalive packets
	FullTTL        int // of those sent, how many have a TTL that no router lowered yet: 255, 128 or 64
	TTL            int // the highest TTL of those sent
}

// Stream counts packets from one address to another; of keepalives and of L2TP from port to port.
type Stream struct {
	Src, Dst              netip.AddrPort
	Proto                 uint8
	Packets               int
	First, Last           int64
	FirstFrame, LastFrame int   // frames
	LongestGap            int64 // nanoseconds between two of them
}

// ICMP is an ICMP or ICMPv6 error and which packet of the tunnel it quotes.
type ICMP struct {
	Sight
	packet.ICMPError          // the quoted packet, whose Src, Dst and IPID these are; Payload is nil
	SPI              uint32   // of quoted ESP
	Message          *Message // the IKE message that it quotes, when this capture holds it
	QuotesTunnel     bool     // the quoted packet is IKE, ESP or NAT-T
	// the capture cut the quote before its ports: that it is of the tunnel is told by what had just
	// gone the same way
	Inferred bool
}

// Unread are frames that are not read for one reason.
type Unread struct {
	What    string // packet.Packet.Unread of them
	Packets int
	Frame   int // the first
}

// Fault is a packet on an IKE port that could not be read as IKE.
type Fault struct {
	Frame    int
	Reason   string
	Src, Dst netip.Addr
}

// Sight is one packet as one capture shows it. There is one for every sending, so it is kept small:
// what many share is shared.
type Sight struct {
	*Way       // never nil
	Nanos      int64
	Frame      int32
	Size       int32  // on the wire, in bytes, link layer included; of a fragmented datagram, of its last frame
	IPID       uint32 // 0 where there is none
	Truncated  bool
	ChecksumOK bool
	Copy       bool // the same datagram again within CopyWindow: same bytes, same IP identification
}

// Way is how a packet travelled. Not to be changed: the packets of a capture that went the same way
// share it.
type Way struct {
	Src, Dst  netip.AddrPort
	*Pieces         // never nil
	Interface int16 // pcapng interface
	TTL, DSCP uint8
	Marker    bool // a non-ESP marker stood before the message
	TCP       bool // it came in TCP (RFC 9329)
}

// Pieces say how a datagram travelled. Not to be changed: all that went in one piece share theirs.
type Pieces struct {
	Fragments []int // the frames of an IP-fragmented datagram, else nil
	Datagram  int   // length of a fragmented datagram's IP payload, else 0
}

// onePiece are the Pieces of what is not fragmented.
var onePiece = &Pieces{}

// CopyWindow is the time in which an identical datagram is a copy made by the capture or the path,
// and no retransmission.
const CopyWindow = 5_000_000
