package scene

import (
	"encoding/binary"
	"time"

	"github.com/moncap/moncap/analysis/ike"
)

// SA is one IKE SA of a scene; every message differs in its SPIs from those of all others.
type SA struct {
	S    *Scene
	I, R ike.SPI
	From int // the initiator
	Port uint16
	ID   [2]uint32 // next message ID of each side's requests
}

func (s *Scene) SA(from int) *SA {
	s.ID++
	n := ike.SPI(s.ID)<<32 | 0x0a11
	return &SA{S: s, I: n | 1<<60, R: n | 2<<60, From: from, Port: 500}
}

func GCM(group uint16) []ike.Transform {
	return []ike.Transform{
		{Type: ike.TransformENCR, ID: 20, Attributes: []ike.Attribute{{Type: 14, Short: true, Value: 256}}},
		{Type: ike.TransformPRF, ID: 5}, {Type: ike.TransformKE, ID: group},
	}
}

func CBC(bits, group uint16) []ike.Transform {
	return []ike.Transform{
		{Type: ike.TransformENCR, ID: 12, Attributes: []ike.Attribute{{Type: 14, Short: true, Value: bits}}},
		{Type: ike.TransformPRF, ID: 5}, {Type: ike.TransformINTEG, ID: 12}, {Type: ike.TransformKE, ID: group},
	}
}

func Proposals(all ...[]ike.Transform) *ike.SA {
	sa := &ike.SA{}
	for i, t := range all {
		sa.Proposals = append(sa.Proposals, ike.Proposal{Number: uint8(i + 1), Protocol: 1, Transforms: t})
	}
	return sa
}

func (s *Scene) bytes(m *ike.Message) []byte {
	s.t.Helper()
	b, err := m.Append(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

// Plain is a message in clear of side from.
func (a *SA) Plain(x ike.ExchangeType, from int, id uint32, response bool, payloads ...ike.Payload) []byte {
	m := &ike.Message{Header: ike.Header{SPIi: a.I, SPIr: a.R, Version: 0x20, Exchange: x, MessageID: id},
		Payloads: payloads}
	if x == ike.IKESAInit && !response {
		m.SPIr = 0
	}
	if from == a.From {
		m.Flags |= ike.FlagInitiator
	}
	if response {
		m.Flags |= ike.FlagResponse
	}
	return a.S.bytes(m)
}

// Init is an IKE_SA_INIT message with an offer or a selection, and NAT detection of the addresses
// that its sender knows.
func (a *SA) Init(response bool, offer *ike.SA, more ...ike.Payload) []byte {
	from := a.From
	spi := ike.SPI(0)
	if response {
		from, spi = 1-from, a.R
	}
	src, dst := a.S.ends(from, from, Fate{})
	source, destination := ike.NATDHash(a.I, spi, src, 500), ike.NATDHash(a.I, spi, dst, 500)
	last := offer.Proposals[0].Transforms[len(offer.Proposals[0].Transforms)-1]
	for _, t := range offer.Proposals[0].Transforms {
		if t.Type == ike.TransformKE {
			last = t
		}
	}
	nonce := make([]byte, 32)
	binary.BigEndian.PutUint64(nonce, uint64(a.I))
	nonce[9] = byte(from)
	payloads := []ike.Payload{offer, &ike.KE{Method: last.ID, Data: make([]byte, 64)}, &ike.Nonce{Data: nonce},
		&ike.Notify{Number: ike.NATDetectionSourceIP, Data: source[:]},
		&ike.Notify{Number: ike.NATDetectionDestinationIP, Data: destination[:]}}
	var first []ike.Payload
	for _, p := range more {
		if n, ok := p.(*ike.Notify); ok && n.Number == ike.Cookie {
			first = append(first, p)
		} else {
			payloads = append(payloads, p)
		}
	}
	return a.Plain(ike.IKESAInit, from, 0, response, append(first, payloads...)...)
}

func Supported(n ike.NotifyType) ike.Payload { return &ike.Notify{Number: n} }

// Refusal is an IKE_SA_INIT response of one Notify.
func (a *SA) Refusal(n ike.NotifyType, data ...byte) []byte {
	return a.Plain(ike.IKESAInit, 1-a.From, 0, true, &ike.Notify{Number: n, Data: data})
}

// Sealed is an encrypted message of side from with AES-GCM: so many bytes of payloads inside, of
// which the first is first.
func (a *SA) Sealed(x ike.ExchangeType, from int, id uint32, response bool, first ike.PayloadType, size int) []byte {
	return a.SealedPart(x, from, id, response, first, size, 0, 0)
}

func (a *SA) SealedPart(x ike.ExchangeType, from int, id uint32, response bool, first ike.PayloadType, size int, n,
	of uint16) []byte {
	data := make([]byte, 8+size+1+16) // initialization vector, plaintext, pad length, integrity check value
	for i := range data {
		data[i] = byte(int(a.I>>32) + i*7 + int(id) + int(n))
	}
	data[0] = byte(from)
	data[1] = byte(id)
	e := &ike.Encrypted{Number: ike.PayloadSK, First: first, Data: data}
	if of > 0 {
		e.Number, e.Part, e.Parts = ike.PayloadSKF, n, of
		if n > 1 {
			e.First = ike.PayloadNone
		}
	}
	return a.Plain(x, from, id, response, e)
}

// Sizes inside IKE_AUTH with a pre-shared key, SHA-256 and IPv4.
const (
	SizeAuth    = 200 // IDi, AUTH, SA, TSi, TSr and notifications
	SizeAnswer  = 160 // IDr 12, AUTH 40, SA 36, TSi 24, TSr 24, notifications
	SizeNoChild = 60  // IDr 12, AUTH 40, one Notify 8
)

// Open does IKE_SA_INIT.
func (a *SA) Open() {
	a.S.IKE(a.From, 500, a.Init(false, Proposals(GCM(19))))
	a.S.IKE(1-a.From, 500, a.Init(true, Proposals(GCM(19))))
}

// Auth does IKE_AUTH, whose answer begins with first and holds size bytes.
func (a *SA) Auth(first ike.PayloadType, size int) {
	a.S.IKE(a.From, a.Port, a.Sealed(ike.IKEAuth, a.From, 1, false, ike.PayloadIDi, SizeAuth))
	a.S.IKE(1-a.From, a.Port, a.Sealed(ike.IKEAuth, 1-a.From, 1, true, first, size))
	a.ID[a.From] = 2
}

// Up is a whole negotiation.
func (a *SA) Up() *SA {
	a.Open()
	if a.S.Seen[0].IsValid() || a.S.Seen[1].IsValid() {
		a.Port = 4500
	}
	a.Auth(ike.PayloadIDr, SizeAnswer)
	return a
}

// Exchange does one exchange of an established SA that side from begins.
func (a *SA) Exchange(x ike.ExchangeType, from int, first ike.PayloadType, size int, answer ike.PayloadType,
	answerSize int) {
	id := a.ID[from]
	a.ID[from]++
	a.S.IKE(from, a.Port, a.Sealed(x, from, id, false, first, size))
	a.S.IKE(1-from, a.Port, a.Sealed(x, 1-from, id, true, answer, answerSize))
}

// DPD is a liveness check.
func (a *SA) DPD(from int) {
	a.Exchange(ike.Informational, from, ike.PayloadNone, 0, ike.PayloadNone, 0)
}

// RekeyChild makes new keys of a child SA.
func (a *SA) RekeyChild(from int) {
	a.Exchange(ike.CreateChildSA, from, ike.PayloadN, 180, ike.PayloadSA, 140)
}

// Repeat sends the same message again, n times in all, with growing gaps.
func (s *Scene) Repeat(n int, from int, port uint16, message []byte, f Fate) {
	gap := time.Second
	for i := range n {
		if i > 0 {
			s.Wait(gap)
			gap *= 2
		}
		s.IKE(from, port, message, f)
	}
}

// Traffic is n ESP packets of each direction, one after the other.
func (s *Scene) Traffic(n int, udp bool) {
	for i := range n {
		s.ESP(0, 0xa0000001, uint32(i+1), 100, udp)
		s.ESP(1, 0xb0000001, uint32(i+1), 100, udp)
	}
}
