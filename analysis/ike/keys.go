package ike

import (
	"bufio"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/moncap/moncap/internal/lazyregexp"
)

// Keys are the keys of IKE SAs, by their SPIs; of IKEv1 by the initiator's cookie.
type Keys struct {
	sas map[[2]SPI]*saKeys
	v1  map[SPI][]byte
}

// saKeys are the keys of one IKE SA; index 0 protects what the original initiator sends.
type saKeys struct {
	cipher cipherSpec
	integ  integSpec
	encr   [2][]byte
	auth   [2][]byte
}

// Len returns how many IKE SAs there are keys of.
func (k *Keys) Len() int {
	if k == nil {
		return 0
	}
	return len(k.sas) + len(k.v1)
}

// Has says whether there are keys of the IKE SA with these SPIs.
func (k *Keys) Has(spiI, spiR SPI) bool {
	if k == nil {
		return false
	}
	return k.sas[[2]SPI{spiI, spiR}] != nil || k.v1[spiI] != nil
}

// ParseKeyTable reads keys in the form of Wireshark's ikev2_decryption_table: a line an
// IKE SA with initiator SPI, responder SPI, SK_ei, SK_er, encryption algorithm, SK_ai,
// SK_ar, integrity algorithm. A line of an initiator's cookie and an encryption key is one
// of its ikev1_decryption_table. The error names the line and what is wrong with it, and
// never repeats a key.
func ParseKeyTable(r io.Reader) (*Keys, error) {
	keys := &Keys{sas: map[[2]SPI]*saKeys{}, v1: map[SPI][]byte{}}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		if err := keys.add(line); err != nil {
			return nil, fmt.Errorf("key table: line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("key table: %w", err)
	}
	return keys, nil
}

func (k *Keys) add(line string) error {
	fields, err := csv.NewReader(strings.NewReader(line)).Read()
	if err != nil {
		return errors.New("it is no comma-separated line")
	}
	switch len(fields) {
	case 2:
		return k.addV1(fields)
	case 8:
	default:
		return fmt.Errorf("%d fields, want 8 (2 for IKEv1)", len(fields))
	}
	var raw [8][]byte
	for _, i := range []int{0, 1, 2, 3, 5, 6} {
		if raw[i], err = hex.DecodeString(strings.TrimPrefix(strings.TrimSpace(fields[i]), "0x")); err != nil {
			return fmt.Errorf("field %d: it is not in hex digits", i+1)
		}
	}
	if len(raw[0]) != 8 || len(raw[1]) != 8 {
		return errors.New("an SPI has 16 hex digits")
	}
	sa := &saKeys{encr: [2][]byte{raw[2], raw[3]}, auth: [2][]byte{raw[5], raw[6]}}
	if sa.cipher, err = cipherNamed(fields[4]); err != nil {
		return err
	}
	if sa.integ, err = integNamed(fields[7]); err != nil {
		return err
	}
	if err := sa.check(); err != nil {
		return err
	}
	k.sas[[2]SPI{spiOf(raw[0]), spiOf(raw[1])}] = sa
	return nil
}

func spiOf(b []byte) SPI {
	h, _ := ParseHeader(append(b[:8:8], make([]byte, HeaderLen-8)...))
	return h.SPIi
}

func (s *saKeys) check() error {
	for _, k := range s.encr {
		if len(k) != s.cipher.keyLen+s.cipher.salt {
			return fmt.Errorf("the encryption key has %d bytes, %s needs %d", len(k), s.cipher.name,
				s.cipher.keyLen+s.cipher.salt)
		}
	}
	for _, k := range s.auth {
		if !s.cipher.aead && s.integ.keyLen > 0 && len(k) != s.integ.keyLen {
			return fmt.Errorf("the integrity key has %d bytes, %s needs %d", len(k), s.integ.name, s.integ.keyLen)
		}
	}
	return nil
}

// Names are compared without the reference in brackets, case, blanks, hyphens and underscores.
var nameNoise = lazyregexp.New(`\s*\[.*\]|[\s_-]`)

func plainName(s string) string { return strings.ToLower(nameNoise.Get().ReplaceAllString(s, "")) }

// Errors of opening.
var (
	ErrNoKeys    = errors.New("there are no keys of this IKE SA")
	ErrIntegrity = errors.New("the integrity check fails: wrong keys, or altered bytes")
	ErrMore      = errors.New("fragments of the message are missing yet")
	errSize      = errors.New("the encrypted payload has an impossible size")
	errPadding   = errors.New("the padding has an impossible length")
)

// Opened is what was inside an encrypted message.
type Opened struct {
	Payloads  []Payload
	Faults    []Fault // offsets count from the first byte of the plaintext
	Plaintext []byte
	Padding   int // bytes
}

// Opener decrypts the messages of captures. It keeps the fragments of unfinished SKF messages
// (RFC 7383, Section 2.6). Of IKEv1 it keeps what the messages in clear negotiated, so it must be
// shown those too, in their order.
type Opener struct {
	keys    *Keys
	pending map[fragmentKey]*fragmentSet
	v1      map[SPI]*phase1
}

// maxPending bounds the unfinished messages that an Opener keeps.
const maxPending = 256

type fragmentKey struct {
	spiI, spiR SPI
	id         uint32
	exchange   ExchangeType
	flags      Flags
	parts      uint16
}

type fragmentSet struct {
	first PayloadType
	parts map[uint16][]byte
}

// NewOpener makes an Opener; keys may be nil, then it opens nothing.
func NewOpener(keys *Keys) *Opener {
	return &Opener{keys: keys, pending: map[fragmentKey]*fragmentSet{}, v1: map[SPI]*phase1{}}
}

// Open decrypts the message m, which is b on the wire, and verifies its integrity. The error is
// ErrNoKeys, ErrIntegrity, or ErrMore for a fragment that does not complete its message; a message
// without an encrypted payload gives nil and no error.
func (o *Opener) Open(m *Message, b []byte) (*Opened, error) {
	if m.Major() == 1 {
		if c := m.ciphertext(); c != nil {
			return o.openV1(m, c)
		}
		o.learnV1(m)
		return nil, nil
	}
	e := m.encryptedPayload()
	if e == nil {
		return nil, nil
	}
	if o.keys == nil || o.keys.sas[[2]SPI{m.SPIi, m.SPIr}] == nil {
		return nil, ErrNoKeys
	}
	if int64(m.Length) > int64(len(b)) {
		return nil, errSize
	}
	sa := o.keys.sas[[2]SPI{m.SPIi, m.SPIr}]
	side := 1
	if m.Initiator() {
		side = 0
	}
	plain, padding, err := sa.open(side, b[:m.Length], len(e.Data))
	if err != nil {
		return nil, err
	}
	first := e.First
	if e.Number == PayloadSKF {
		if first, plain, err = o.collect(m, e, plain); err != nil {
			return nil, err
		}
	}
	inner := &Message{Header: m.Header}
	payloads := inner.chain(&memory{}, first, plain, 0)
	return &Opened{payloads, inner.Faults, plain, padding}, nil
}

func (m *Message) encryptedPayload() *Encrypted {
	if m.Major() != 2 {
		return nil
	}
	for _, p := range m.Payloads {
		if e, ok := p.(*Encrypted); ok {
			return e
		}
	}
	return nil
}

func (m *Message) ciphertext() *Ciphertext {
	if len(m.Payloads) != 1 {
		return nil
	}
	c, _ := m.Payloads[0].(*Ciphertext)
	return c
}

// collect keeps a fragment and returns the whole plaintext with the last missing one.
func (o *Opener) collect(m *Message, e *Encrypted, plain []byte) (PayloadType, []byte, error) {
	if e.Part == 0 || e.Part > e.Parts {
		return 0, nil, errSize
	}
	key := fragmentKey{m.SPIi, m.SPIr, m.MessageID, m.Exchange, m.Flags, e.Parts}
	set := o.pending[key]
	if set == nil {
		if len(o.pending) >= maxPending {
			clear(o.pending)
		}
		set = &fragmentSet{parts: map[uint16][]byte{}}
		o.pending[key] = set
	}
	set.parts[e.Part] = plain
	if e.Part == 1 {
		set.first = e.First
	}
	if len(set.parts) < int(e.Parts) {
		return 0, nil, ErrMore
	}
	delete(o.pending, key)
	var whole []byte
	for i := uint16(1); i <= e.Parts; i++ {
		whole = append(whole, set.parts[i]...)
	}
	return set.first, whole, nil
}
