package ike

// Suite is what the algorithms of an IKE SA fix about the size of its encrypted payloads. They are
// negotiated in clear.
type Suite struct {
	ENCR    uint16
	KeyBits int
	INTEG   uint16
	PRF     uint16
	Group   uint16
	IV      int  // bytes of initialization vector
	Block   int  // the ciphertext is a multiple of it
	ICV     int  // bytes of integrity check value
	AEAD    bool // encryption and integrity in one (RFC 5282)
}

// SuiteFrom reads the suite from the proposal that a responder chose. It is false for algorithms
// whose sizes are not known, and for a proposal that still holds a choice of ciphers.
func SuiteFrom(p Proposal) (Suite, bool) {
	var s Suite
	seen := map[TransformType]int{}
	for _, t := range p.Transforms {
		seen[t.Type]++
		switch t.Type {
		case TransformENCR:
			s.ENCR, s.KeyBits = t.ID, t.KeyBits()
		case TransformINTEG:
			s.INTEG = t.ID
		case TransformPRF:
			s.PRF = t.ID
		case TransformKE:
			s.Group = t.ID
		}
	}
	if seen[TransformENCR] != 1 || seen[TransformINTEG] > 1 {
		return s, false
	}
	return s, s.sizes()
}

// Sizes of ciphers: RFC 3602, 3686, 4309, 4106, 5529, 7634, 8750, 2451.
func (s *Suite) sizes() bool {
	aead := func(icv int) { s.IV, s.Block, s.ICV, s.AEAD = 8, 1, icv, true }
	switch s.ENCR {
	case 2, 3, 4, 5, 6, 7, 8: // 64-bit block ciphers in CBC mode
		s.IV, s.Block = 8, 8
	case 11:
		s.IV, s.Block = 0, 1
	case 12, 23:
		s.IV, s.Block = 16, 16
	case 13, 24:
		s.IV, s.Block = 8, 1
	case 14, 18, 25:
		aead(8)
	case 15, 19, 26:
		aead(12)
	case 16, 20, 27, 28:
		aead(16)
	default:
		return false
	}
	if s.AEAD {
		return true
	}
	icv, ok := integrityLength(s.INTEG)
	s.ICV = icv
	return ok
}

// integrityLength is the length of the integrity check value in bytes (RFC 2403, 2404, 3566, 4494,
// 4595, 4868).
func integrityLength(id uint16) (int, bool) {
	n, ok := map[uint16]int{1: 12, 2: 12, 5: 12, 6: 16, 7: 20, 8: 12, 12: 16, 13: 24, 14: 32}[id]
	return n, ok
}

// PRFLen is the length of the PRF's output in bytes, which is the length of the data of an AUTH
// payload made with a shared key (RFC 7296, Section 2.15); 0 when the PRF is not known.
func (s Suite) PRFLen() int {
	lengths := [...]int{1: 16, 2: 20, 3: 24, 4: 16, 5: 32, 6: 48, 7: 64, 8: 16, 9: 64}
	if int(s.PRF) >= len(lengths) {
		return 0
	}
	return lengths[s.PRF]
}

// Plaintext returns the smallest and largest number of bytes of payloads inside an SK payload with
// a body of n bytes (IV, ciphertext and ICV, without fragment numbers): RFC 7296, Section 3.14.
// padding is what LearnPadding found of the sender, or -1 when that is not known; then up to 15
// bytes are allowed for. It is false when the body is too short for the suite, or no multiple of
// the block.
func (s Suite) Plaintext(n, padding int) (low, high int, ok bool) {
	ciphertext := n - s.IV - s.ICV
	if ciphertext < 1 || s.Block == 0 || ciphertext%s.Block != 0 {
		return 0, 0, false
	}
	if padding < 0 {
		padding = 0
		if s.Block == 1 {
			padding = 15
		}
	}
	high = ciphertext - 1 // Pad Length
	return max(high-padding-(s.Block-1), 0), high, true
}

// LearnPadding returns how many bytes beyond what the cipher needs a sender added to a message that
// holds no payload, from the length of its SK body. Those are the messages that a liveness check
// and its answer are. A sender that fills up to a multiple of 8 adds 7 to those, and anything up to
// 7 to others.
func (s Suite) LearnPadding(n int) (int, bool) {
	ciphertext := n - s.IV - s.ICV
	if ciphertext < 1 || s.Block == 0 || ciphertext%s.Block != 0 {
		return 0, false
	}
	return ciphertext - max(1, s.Block), true
}
