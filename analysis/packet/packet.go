// Package packet reads a capture file as a stream of packets: container, link, IP and UDP
// layers, reassembled IP fragments, and what an IPsec tunnel's packets are. Its IKE layer is
// gopacket's way in.
package packet

import (
	"net/netip"
	"time"
)

// Kind is what a packet is to an IPsec tunnel.
type Kind uint8

// The kinds of packets.
const (
	Other Kind = iota
	// an IKE message on UDP 500 or 4500, whole unless Truncated (the last fragment completes a
	// fragmented one)
	IKE
	ESP       // protocol 50, also behind AH, or ESP in UDP or TCP; of a fragmented packet its first fragment
	AH        // protocol 51 that carries no ESP; of a fragmented packet its first fragment
	Keepalive // the one-byte 0xFF of RFC 3948, Section 2.3
	ICMP      // an ICMP or ICMPv6 error that quotes another packet
	Fragment  // a fragment of a datagram that is not complete with it
)

func (k Kind) String() string {
	return [...]string{"other", "IKE", "ESP", "AH", "NAT-keepalive", "ICMP", "fragment"}[k]
}

// Packet is one frame of a capture. A Reader reuses it: its slices are valid until the
// next call of Next.
type Packet struct {
	Frame int // counts from 1, as Wireshark numbers frames
	// 0, or which further IKE message or ESP packet of the frame this is: a TCP segment can hold
	// several (RFC 9329)
	Record    int
	Nanos     int64  // time of capture by the capturing clock, nanoseconds since 1970 UTC
	CapLen    int    // bytes in the file
	WireLen   int    // bytes on the wire
	Interface int    // pcapng interface, counted from 0 through the whole file, else 0
	Link      uint16 // link type of that interface, as libpcap numbers them
	Raw       []byte // the frame as it is in the file, CapLen bytes; valid until the next call of Next

	// Wrapping names what carried the packet and was taken off, outermost first, as "ERSPAN II"
	// or "IP in IP, VXLAN"; "" for a packet that stood in the frame itself. Addresses and all
	// below are those inside.
	Wrapping string
	// Unread names what was not read: a link type, or what stands around the packet. "" for all that
	// was read, and for protocols of the link layer that carry no IP, as ARP.
	Unread string

	Src, Dst         netip.Addr // invalid where the frame has no IP layer
	SrcPort, DstPort uint16     // 0 where there is no UDP header
	Proto            uint8      // IP protocol (the last next header of IPv6)
	TTL              uint8
	DSCP             uint8
	IPID             uint32 // identification of IPv4, or of the IPv6 fragment header
	IPLen            int    // of the IP datagram in bytes, header included, as it says itself

	Kind       Kind
	Marker     bool   // UDP 4500: a non-ESP marker stood before the IKE message
	UDPEncap   bool   // ESP in UDP
	TCPEncap   bool   // RFC 9329, recognised by its stream prefix or framing on TCP 4500
	InAH       bool   // ESP that an Authentication Header protects: SPI and sequence number are those of ESP
	Payload    []byte // the IKE message, or what follows the IP/UDP header for any other kind
	Truncated  bool   // bytes of the datagram are missing: cut by a snap length, or its length field lies
	ChecksumOK bool   // UDP checksum right, zero, or not tellable

	SPI, Seq uint32 // ESP and AH

	FragOffset int   // bytes; only for packets that are fragments themselves
	MoreFrags  bool  // ditto
	IsFragment bool  // the frame itself is an IP fragment, also the one that completed Payload
	Fragments  []int // frames of the reassembled datagram in order of arrival, nil for an unfragmented one
	Datagram   int   // length of the reassembled datagram's IP payload in bytes, 0 for an unfragmented one
	Overlap    bool  // its fragments overlapped with different bytes; those that came first were kept
	Partial    bool  // a first fragment, read as far as the capture has it (Options.CutFirst)

	Error *ICMPError // for ICMP
}

// Time returns the time of capture.
func (p *Packet) Time() time.Time { return time.Unix(0, p.Nanos).UTC() }

// ICMPError is an ICMP (RFC 792) or ICMPv6 (RFC 4443) error and what it quotes.
type ICMPError struct {
	V6               bool
	Type, Code       uint8
	MTU              int        // next-hop MTU of fragmentation needed (3/4) or packet too big (2/0), else 0
	Src, Dst         netip.Addr // of the quoted packet
	DstLen           int        // bytes of Dst that are there, where the capture cut the quote in it; 0: all
	SrcPort, DstPort uint16
	Proto            uint8
	IPID             uint32
	Payload          []byte // the quoted bytes behind UDP and non-ESP marker, or behind IP for ESP; often cut
}

// To is the quoted packet's destination, or its prefix where the capture cut it.
func (e *ICMPError) To() string {
	if e.DstLen > 0 {
		return netip.PrefixFrom(e.Dst, e.DstLen*8).String()
	}
	return e.Dst.String()
}

// FileInfo describes a capture file, complete when it was read to its end.
type FileInfo struct {
	Format   string // pcap, pcapng, dump
	LinkType string // as libpcap describes it; of the first interface
	SnapLen  int
	SHA256   string // of the file as it lies on disk
	// Interfaces are the descriptions of a pcapng's interfaces (if_description,
	// draft-ietf-opsawg-pcapng, Section 4.2), "" for one without.
	Interfaces []string
	Packets    int
	Bytes      int64   // up to where it was read; of a file in gzip, of what is in it
	Damage     *Damage // why reading ended early, or what a text lacks, or nil
}

// Damage says where a file ends inside a record or holds an impossible length, all before which was
// read; or where a text first lacks lines, which cuts that packet.
type Damage struct {
	Offset int64
	Reason string
}
