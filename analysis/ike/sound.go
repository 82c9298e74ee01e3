package ike

import "encoding/binary"

// Sound reads the header of a message of IKEv2 and says whether Parse would find no fault in what
// follows. It allocates nothing, and looks into the payloads that clear messages have; of others it
// says no, and only Parse knows.
func Sound(b []byte) (Header, bool) {
	sound := true
	h, fault := Walk(b, func(t PayloadType, _ int, body []byte) bool {
		sound = soundBody(t, body)
		return sound
	})
	return h, sound && fault == (Fault{}) && h.Major() == 2
}

func soundBody(t PayloadType, b []byte) bool {
	switch t {
	case PayloadNonce, PayloadV, PayloadSK:
		return true
	case PayloadCREQ:
		return len(b) >= 1
	case PayloadKE:
		return len(b) >= 4
	case PayloadN:
		return len(b) >= 4 && len(b) >= 4+int(b[1])
	case PayloadSA:
		return soundParts(b, 2, soundProposal)
	}
	return false
}

func soundProposal(b []byte) bool {
	spi, count := int(b[6]), int(b[7])
	if len(b) < 8+spi {
		return false
	}
	sound := soundParts(b[8+spi:], 3, func(transform []byte) bool { count--; return soundAttributes(transform[8:]) })
	return sound && count == 0
}

func soundAttributes(b []byte) bool {
	for len(b) > 0 {
		n := 4
		if len(b) >= 4 && b[0]&0x80 == 0 {
			n += int(binary.BigEndian.Uint16(b[2:]))
		}
		if n > len(b) {
			return false
		}
		b = b[n:]
	}
	return true
}

// soundParts walks proposals or transforms: a byte that says whether another one follows, a
// reserved one, and a length. All have eight bytes at least.
func soundParts(b []byte, more byte, sound func([]byte) bool) bool {
	for len(b) > 0 {
		if len(b) < 8 {
			return false
		}
		n := int(binary.BigEndian.Uint16(b[2:]))
		last := n == len(b)
		if n < 8 || n > len(b) || last != (b[0] == 0) || !last && b[0] != more || !sound(b[:n]) {
			return false
		}
		b = b[n:]
	}
	return true
}
