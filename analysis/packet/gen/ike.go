package main

import (
	"crypto/sha1" //nolint:gosec // RFC 7296, Section 2.23, says SHA-1
	"encoding/binary"
)

// The numbers of RFC 7296 that are needed here. They are written out, not taken from analysis/ike,
// so that the decoder is measured with bytes that it did not make itself.
const (
	saInit, auth, informational        = 34, 35, 37
	payloadSA, payloadKE, payloadNonce = 33, 34, 40
	payloadN, payloadSK, payloadIDi    = 41, 46, 35
	natSource, natDestination          = 16388, 16389
)

// esp makes one ESP packet of 40 to 167 bytes of ciphertext, in UDP behind a NAT.
func (t *traffic) esp(n *tunnel, from int) int {
	if n.port == 0 {
		t.begin(n, from, protoESP, 0)
	} else {
		t.beginUDP(n, from, 0, portNATT)
	}
	n.espSeq[from]++
	t.frame = binary.BigEndian.AppendUint32(t.frame, 0xc0000000|uint32(from)<<24|n.a&0xffff)
	t.frame = binary.BigEndian.AppendUint32(t.frame, n.espSeq[from])
	t.random(40 + int(t.rng.Uint32()&127))
	t.finish()
	return from
}

// ike makes the next message of the tunnel: two exchanges that establish an SA, then liveness
// checks; or the last message again.
func (t *traffic) ike(n *tunnel) int {
	if n.step == 0 && len(n.request) == 0 {
		n.spiI, n.spiR = t.rng.Uint64()|1, t.rng.Uint64()|1
	}
	step, from, stored := n.step, 0, &n.request
	if n.answering {
		step, from, stored = n.step+1, 1, &n.response
	}
	port := uint16(portIKE)
	if n.port != 0 && step > 1 {
		port = portNATT
	}
	t.beginUDP(n, from, 48, port)
	if port == portNATT {
		t.frame = append(t.frame, 0, 0, 0, 0)
	}
	at := len(t.frame)
	if len(*stored) > 0 {
		t.frame = append(t.frame, *stored...)
	} else {
		t.message(n, step)
		*stored = append(*stored, t.frame[at:]...)
	}
	t.finish()
	if n.port == 0 {
		t.checksumUDP()
	}
	return from
}

func (t *traffic) checksumUDP() {
	udp := t.frame[dataStart:]
	pseudo := uint32(sum(0, t.frame[ipStart+12:dataStart])) + protoUDP + uint32(len(udp))
	c := ^sum(pseudo, udp)
	if c == 0 {
		c = 0xffff
	}
	binary.BigEndian.PutUint16(udp[6:], c)
}

func (t *traffic) message(n *tunnel, step int) {
	spiR := n.spiR
	if step == 0 {
		spiR = 0
	}
	exchange := [...]byte{saInit, auth, informational}[min(step/2, 2)]
	flags := byte(0x08) // initiator's request
	if step&1 == 1 {
		flags = 0x20 // responder's response
	}
	first := byte(payloadSK)
	if exchange == saInit {
		first = payloadSA
	}
	at := len(t.frame)
	t.frame = binary.BigEndian.AppendUint64(t.frame, n.spiI)
	t.frame = binary.BigEndian.AppendUint64(t.frame, spiR)
	t.frame = append(t.frame, first, 0x20, exchange, flags)
	t.frame = binary.BigEndian.AppendUint32(t.frame, uint32(step/2))
	t.frame = append(t.frame, 0, 0, 0, 0)
	switch exchange {
	case saInit:
		t.payloadsInit(n, spiR, step&1)
	case auth:
		t.payload(byte(payloadIDi+step&1), func() { t.random(8 + 208 + 16) })
	default:
		t.payload(0, func() { t.random(8 + 1 + 16) })
	}
	message := t.frame[at:]
	binary.BigEndian.PutUint32(message[24:], uint32(len(message)))
}

func (t *traffic) payloadsInit(n *tunnel, spiR uint64, from int) {
	t.payload(payloadKE, func() {
		t.frame = append(t.frame, 0, 0, 0, 36, 1, 1, 0, 3) // one proposal: AES-GCM-16 with 256 bits, SHA-256, group 14
		t.frame = append(t.frame, 3, 0, 0, 12, 1, 0, 0, 20, 0x80, 14, 1, 0)
		t.frame = append(t.frame, 3, 0, 0, 8, 2, 0, 0, 5, 0, 0, 0, 8, 4, 0, 0, 14)
	})
	t.payload(payloadNonce, func() {
		t.frame = append(t.frame, 0, 14, 0, 0)
		t.random(256)
	})
	t.payload(payloadN, func() { t.random(32) })
	source, destination := natHash(n, spiR, n.a, portIKE), natHash(n, spiR, n.b, portIKE)
	if from == 1 { // B answers to what it sees of A
		source, destination = destination, source
		if n.port != 0 {
			destination = natHash(n, spiR, n.seenAs, n.port+0x4000)
		}
	}
	t.payload(payloadN, func() { t.notify(natSource, source) })
	t.payload(0, func() { t.notify(natDestination, destination) })
}

func (t *traffic) notify(number uint16, data [20]byte) {
	t.frame = append(t.frame, 0, 0)
	t.frame = binary.BigEndian.AppendUint16(t.frame, number)
	t.frame = append(t.frame, data[:]...)
}

// natHash is the data of a NAT detection notification (RFC 7296, Section 2.23).
func natHash(n *tunnel, spiR uint64, address uint32, port uint16) [20]byte {
	b := binary.BigEndian.AppendUint64(nil, n.spiI)
	b = binary.BigEndian.AppendUint64(b, spiR)
	b = binary.BigEndian.AppendUint32(b, address)
	return sha1.Sum(binary.BigEndian.AppendUint16(b, port)) //nolint:gosec // see above
}

// payload appends a payload whose next one is of type next.
func (t *traffic) payload(next byte, body func()) {
	start := len(t.frame)
	t.frame = append(t.frame, next, 0, 0, 0)
	body()
	binary.BigEndian.PutUint16(t.frame[start+2:], uint16(len(t.frame)-start))
}
