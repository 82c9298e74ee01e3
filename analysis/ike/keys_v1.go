package ike

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"  // #nosec G502 -- to read what peers negotiated
	"crypto/md5"  // #nosec G501 -- to read what peers negotiated
	"crypto/sha1" // #nosec G505 -- to read what peers negotiated
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"
)

// Errors of opening messages of IKEv1.
var (
	ErrBeginning = errors.New("the key exchange that the first initialization vector is made of is not among the " +
		"messages before")
	ErrSense = errors.New("the plaintext makes no sense: a wrong key, or a message before this one is missing")
)

// addV1 reads a line of Wireshark's ikev1_decryption_table: initiator cookie and encryption key.
func (k *Keys) addV1(fields []string) error {
	var raw [2][]byte
	for i := range raw {
		var err error
		if raw[i], err = hex.DecodeString(strings.TrimPrefix(strings.TrimSpace(fields[i]), "0x")); err != nil {
			return fmt.Errorf("field %d: it is not in hex digits", i+1)
		}
	}
	if len(raw[0]) != 8 {
		return errors.New("a cookie has 16 hex digits")
	}
	k.v1[spiOf(raw[0])] = raw[1]
	return nil
}

// maxChains bounds the exchanges whose initialization vectors are kept of one IKE SA.
const maxChains = 1024

// phase1 is what the messages in clear tell of an IKE SA of IKEv1, and how its cipher blocks are
// chained: the first message from a hash over both public values, each message from the last block
// of the one before it in its exchange, each new exchange from the last block of phase 1 (RFC 2409,
// Appendix B).
type phase1 struct {
	encryption, keyBits, hash uint64
	public                    [][]byte          // public values: the initiator's, the responder's
	last                      map[uint32][]byte // last cipher block, by message ID
	// initialization vectors, by ciphertext: a message sent again is no new one
	used map[string][]byte
}

// learnV1 reads a message in clear.
func (o *Opener) learnV1(m *Message) {
	sa := o.v1[m.SPIi]
	if sa == nil {
		if o.keys == nil || o.keys.v1[m.SPIi] == nil {
			return
		}
		sa = &phase1{last: map[uint32][]byte{}, used: map[string][]byte{}}
		o.v1[m.SPIi] = sa
	}
	for _, p := range m.Payloads {
		switch p := p.(type) {
		case *SAv1:
			sa.selected(m, p)
		case *BytesV1:
			again := slices.ContainsFunc(sa.public, func(v []byte) bool { return bytes.Equal(v, p.Data) })
			if p.Number == V1PayloadKE && len(sa.public) < 2 && !again {
				sa.public = append(sa.public, bytes.Clone(p.Data))
			}
		}
	}
}

// selected takes the algorithms of the responder's choice, which is one.
func (s *phase1) selected(m *Message, sa *SAv1) {
	if m.SPIr == 0 || len(sa.Proposals) != 1 || len(sa.Proposals[0].Transforms) != 1 {
		return
	}
	t := sa.Proposals[0].Transforms[0]
	s.encryption, _ = t.Value(V1Encryption)
	s.keyBits, _ = t.Value(V1KeyLength)
	s.hash, _ = t.Value(V1Hash)
}

// openV1 decrypts a message of IKEv1, which nothing protects but that its
// plaintext must make sense.
func (o *Opener) openV1(m *Message, c *Ciphertext) (*Opened, error) {
	if o.keys == nil || o.keys.v1[m.SPIi] == nil {
		return nil, ErrNoKeys
	}
	sa := o.v1[m.SPIi]
	if sa == nil || len(sa.public) < 2 {
		return nil, ErrBeginning
	}
	plain, err := sa.decrypt(o.keys.v1[m.SPIi], m.MessageID, c.Data)
	if err != nil {
		return nil, err
	}
	end, ok := chainEnd(c.First, plain)
	if !ok {
		return nil, ErrSense
	}
	inner := &Message{Header: m.Header}
	payloads := inner.chain(&memory{}, c.First, plain[:end], 0)
	return &Opened{payloads, inner.Faults, plain[:end], len(plain) - end}, nil
}

func (s *phase1) decrypt(key []byte, id uint32, text []byte) ([]byte, error) {
	block, err := s.block(key)
	if err != nil {
		return nil, err
	}
	size := block.BlockSize()
	if len(text) == 0 || len(text)%size != 0 {
		return nil, errSize
	}
	iv := s.used[string(text)]
	if iv == nil {
		if iv, err = s.vector(id, size); err != nil {
			return nil, err
		}
		if len(s.used) >= maxChains {
			clear(s.used)
		}
		s.used[string(text)] = iv
		if len(s.last) >= maxChains {
			phase1Block := s.last[0]
			clear(s.last)
			s.last[0] = phase1Block
		}
		s.last[id] = bytes.Clone(text[len(text)-size:])
	}
	plain := make([]byte, len(text))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, text)
	return plain, nil
}

// vector makes the initialization vector of a message that was not seen before.
func (s *phase1) vector(id uint32, size int) ([]byte, error) {
	if last := s.last[id]; last != nil {
		return last, nil
	}
	h := hashV1(s.hash)
	if h == nil {
		return nil, fmt.Errorf("hash algorithm %d is not known", s.hash)
	}
	if id == 0 {
		h.Write(s.public[0])
		h.Write(s.public[1])
	} else {
		if s.last[0] == nil {
			return nil, ErrSense
		}
		h.Write(s.last[0])
		h.Write(binary.BigEndian.AppendUint32(nil, id))
	}
	return h.Sum(nil)[:size], nil
}

func (s *phase1) block(key []byte) (cipher.Block, error) {
	size, make := 0, aes.NewCipher
	switch s.encryption {
	case 1:
		size, make = 8, des.NewCipher
	case 5:
		size, make = 24, des.NewTripleDESCipher
	case 7:
		size = max(16, int(s.keyBits)/8)
	default:
		return nil, fmt.Errorf("encryption algorithm %d is not known", s.encryption)
	}
	if len(key) < size {
		return nil, fmt.Errorf("the key has %d bytes, the algorithm needs %d", len(key), size)
	}
	return make(key[:size])
}

// hashV1 returns the hash of a Hash-Algorithm attribute, nil for one that is not known.
func hashV1(algorithm uint64) hash.Hash {
	switch algorithm {
	case 1:
		return md5.New() // #nosec G401 -- see the import
	case 2:
		return sha1.New() // #nosec G401 -- see the import
	case 4:
		return sha256.New()
	case 5:
		return sha512.New384()
	case 6:
		return sha512.New()
	}
	return nil
}

// chainEnd finds where a chain of payloads ends; behind it is padding. It is false for what cannot
// be a chain.
func chainEnd(next PayloadType, b []byte) (int, bool) {
	at := 0
	for next != PayloadNone {
		if len(b)-at < genericLen || b[at+1] != 0 {
			return 0, false
		}
		n := int(binary.BigEndian.Uint16(b[at+2:]))
		if n < genericLen || n > len(b)-at {
			return 0, false
		}
		next, at = PayloadType(b[at]), at+n
	}
	return at, true
}
