package main

import "encoding/binary"

// tunnel is one pair of gateways and where its traffic has got to.
type tunnel struct {
	a, b       uint32 // addresses
	seenAs     uint32 // a as b sees it
	port       uint16 // A's port as b sees it; 0: no NAT is between them
	exchanges  int    // of an SA
	spiI, spiR uint64
	step       int    // messages of the SA that came through; an even one is a request
	request    []byte // IKE messages, kept to be sent again
	response   []byte
	answering  bool  // the request arrived
	due        int64 // when the next IKE message may be sent
	espSeq     [2]uint32
	ipID       [2]uint16
}

const (
	retransmit = int64(1e9) // time until an unanswered request is sent again
	reaction   = int64(1e6) // between an arrival and what it causes
)

// sent notes what became of the tunnel's IKE message: a request that arrived is answered, one whose
// answer does not come is sent again, and after an answer the next message is made.
func (n *tunnel) sent(now, delay int64, delivered bool) {
	n.due = now + delay*11/10 + reaction
	switch {
	case !delivered:
		n.due = now + retransmit
		n.answering = false
	case !n.answering:
		n.answering = true
	default:
		n.answering = false
		n.step += 2
		n.request, n.response = n.request[:0], n.response[:0]
		if n.step >= 2*n.exchanges {
			n.step = 0
		}
	}
}

// translate rewrites a frame between the side of A and the side of B of the translator, from A's
// view to B's. A translator on the way of UDP leaves a checksum of zero alone.
func (n *tunnel) translate(frame []byte) {
	if n.port == 0 {
		return
	}
	ip := frame[ipStart:]
	at := 12
	if binary.BigEndian.Uint32(ip[at:]) != n.a {
		at = 16
	}
	binary.BigEndian.PutUint32(ip[at:], n.seenAs)
	if udp := ip[20:]; ip[9] == protoUDP {
		port := n.port
		if binary.BigEndian.Uint16(udp) == portIKE || binary.BigEndian.Uint16(udp[2:]) == portIKE {
			port += 0x4000
		}
		binary.BigEndian.PutUint16(udp[(at-12)/2:], port)
	}
	checksumIP(frame)
}
