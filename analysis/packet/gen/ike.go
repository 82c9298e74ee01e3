package main

import "encoding/binary"

// The numbers of RFC 7296 that are needed here. They are written out, not taken from analysis/ike, so that the
// decoder is measured with bytes that it did not make itself.
const (
	saInit, auth, informational        = 34, 35, 37
	payloadSA, payloadKE, payloadNonce = 33, 34, 40
	payloadN, payloadSK, payloadIDi    = 41, 46, 35
)

// esp appends one ESP packet of 40 to 167 bytes of ciphertext.
func (t *traffic) esp(n *tunnel, round int) int {
	from := round & 1
	t.begin(n, from, 50, 0)
	n.espSeq[from]++
	t.frame = binary.BigEndian.AppendUint32(t.frame, 0xc0000000|uint32(from)<<24|n.a&0xffff)
	t.frame = binary.BigEndian.AppendUint32(t.frame, n.espSeq[from])
	t.random(40 + int(t.rng.Uint32()&127))
	t.finish()
	return from
}

// ike appends the next message of the tunnel: two exchanges that establish it, one of dead peer detection, then a new
// negotiation.
func (t *traffic) ike(n *tunnel) int {
	const perSA = 6
	step := n.step % perSA
	n.step++
	if step == 0 {
		n.spiI, n.spiR = t.rng.Uint64()|1, t.rng.Uint64()|1
	}
	from := step & 1
	t.begin(n, from, 17, 48)
	t.frame = append(t.frame, 500>>8, 500&255, 500>>8, 500&255, 0, 0, 0, 0)
	t.message(n, step)
	udp := t.frame[34:]
	binary.BigEndian.PutUint16(udp[4:], uint16(len(udp)))
	pseudo := uint32(sum(0, t.frame[26:34])) + 17 + uint32(len(udp))
	if c := ^sum(pseudo, udp); c != 0 {
		binary.BigEndian.PutUint16(udp[6:], c)
	} else {
		binary.BigEndian.PutUint16(udp[6:], 0xffff)
	}
	t.finish()
	return from
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
	t.frame = binary.BigEndian.AppendUint64(t.frame, n.spiI)
	t.frame = binary.BigEndian.AppendUint64(t.frame, spiR)
	t.frame = append(t.frame, first, 0x20, exchange, flags)
	t.frame = binary.BigEndian.AppendUint32(t.frame, uint32(step/2))
	t.frame = append(t.frame, 0, 0, 0, 0)
	switch exchange {
	case saInit:
		t.payloadsInit()
	case auth:
		t.payload(byte(payloadIDi+step&1), func() { t.random(8 + 208 + 16) })
	default:
		t.payload(0, func() { t.random(8 + 1 + 16) })
	}
	message := t.frame[42:]
	binary.BigEndian.PutUint32(message[24:], uint32(len(message)))
}

func (t *traffic) payloadsInit() {
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
	for _, notify := range []uint16{16388, 16389} {
		next := byte(payloadN)
		if notify == 16389 {
			next = 0
		}
		t.payload(next, func() {
			t.frame = append(t.frame, 0, 0)
			t.frame = binary.BigEndian.AppendUint16(t.frame, notify)
			t.random(20)
		})
	}
}

// payload appends a payload whose next one is of type next.
func (t *traffic) payload(next byte, body func()) {
	start := len(t.frame)
	t.frame = append(t.frame, next, 0, 0, 0)
	body()
	binary.BigEndian.PutUint16(t.frame[start+2:], uint16(len(t.frame)-start))
}
