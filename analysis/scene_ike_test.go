package analysis

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/moncap/moncap/analysis/ike"
)

// sa is one IKE SA of a scene; every message differs in its SPIs from those of all others.
type sa struct {
	s    *scene
	i, r ike.SPI
	from int // the initiator
	port uint16
	id   [2]uint32 // next message ID of each side's requests
}

func (s *scene) sa(from int) *sa {
	s.id++
	n := ike.SPI(s.id)<<32 | 0x0a11
	return &sa{s: s, i: n | 1<<60, r: n | 2<<60, from: from, port: 500}
}

func gcm(group uint16) []ike.Transform {
	return []ike.Transform{
		{Type: ike.TransformENCR, ID: 20, Attributes: []ike.Attribute{{Type: 14, Short: true, Value: 256}}},
		{Type: ike.TransformPRF, ID: 5}, {Type: ike.TransformKE, ID: group},
	}
}

func cbc(bits, group uint16) []ike.Transform {
	return []ike.Transform{
		{Type: ike.TransformENCR, ID: 12, Attributes: []ike.Attribute{{Type: 14, Short: true, Value: bits}}},
		{Type: ike.TransformPRF, ID: 5}, {Type: ike.TransformINTEG, ID: 12}, {Type: ike.TransformKE, ID: group},
	}
}

func proposals(all ...[]ike.Transform) *ike.SA {
	sa := &ike.SA{}
	for i, t := range all {
		sa.Proposals = append(sa.Proposals, ike.Proposal{Number: uint8(i + 1), Protocol: 1, Transforms: t})
	}
	return sa
}

func (s *scene) bytes(m *ike.Message) []byte {
	s.t.Helper()
	b, err := m.Append(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

// plain is a message in clear of side from.
func (a *sa) plain(x ike.ExchangeType, from int, id uint32, response bool, payloads ...ike.Payload) []byte {
	m := &ike.Message{Header: ike.Header{SPIi: a.i, SPIr: a.r, Version: 0x20, Exchange: x, MessageID: id}, Payloads: payloads}
	if x == ike.IKESAInit && !response {
		m.SPIr = 0
	}
	if from == a.from {
		m.Flags |= ike.FlagInitiator
	}
	if response {
		m.Flags |= ike.FlagResponse
	}
	return a.s.bytes(m)
}

// init is an IKE_SA_INIT message with an offer or a selection, and NAT detection of the addresses that its sender knows.
func (a *sa) init(response bool, offer *ike.SA, more ...ike.Payload) []byte {
	from := a.from
	spi := ike.SPI(0)
	if response {
		from, spi = 1-from, a.r
	}
	src, dst := a.s.ends(from, from, fate{})
	source, destination := ike.NATDHash(a.i, spi, src, 500), ike.NATDHash(a.i, spi, dst, 500)
	last := offer.Proposals[0].Transforms[len(offer.Proposals[0].Transforms)-1]
	for _, t := range offer.Proposals[0].Transforms {
		if t.Type == ike.TransformKE {
			last = t
		}
	}
	nonce := make([]byte, 32)
	binary.BigEndian.PutUint64(nonce, uint64(a.i))
	nonce[9] = byte(from)
	payloads := []ike.Payload{offer, &ike.KE{Method: last.ID, Data: make([]byte, 64)}, &ike.Nonce{Data: nonce},
		&ike.Notify{Number: ike.NATDetectionSourceIP, Data: source[:]}, &ike.Notify{Number: ike.NATDetectionDestinationIP, Data: destination[:]}}
	var first []ike.Payload
	for _, p := range more {
		if n, ok := p.(*ike.Notify); ok && n.Number == ike.Cookie {
			first = append(first, p)
		} else {
			payloads = append(payloads, p)
		}
	}
	return a.plain(ike.IKESAInit, from, 0, response, append(first, payloads...)...)
}

func supported(n ike.NotifyType) ike.Payload { return &ike.Notify{Number: n} }

// refusal is an IKE_SA_INIT response of one Notify.
func (a *sa) refusal(n ike.NotifyType, data ...byte) []byte {
	return a.plain(ike.IKESAInit, 1-a.from, 0, true, &ike.Notify{Number: n, Data: data})
}

// sealed is an encrypted message of side from with AES-GCM: so many bytes of payloads inside, of which the first is first.
func (a *sa) sealed(x ike.ExchangeType, from int, id uint32, response bool, first ike.PayloadType, size int) []byte {
	return a.sealedPart(x, from, id, response, first, size, 0, 0)
}

func (a *sa) sealedPart(x ike.ExchangeType, from int, id uint32, response bool, first ike.PayloadType, size int, n, of uint16) []byte {
	data := make([]byte, 8+size+1+16) // initialization vector, plaintext, pad length, integrity check value
	for i := range data {
		data[i] = byte(int(a.i>>32) + i*7 + int(id) + int(n))
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
	return a.plain(x, from, id, response, e)
}

// Sizes inside IKE_AUTH with a pre-shared key, SHA-256 and IPv4.
const (
	sizeAuth    = 200 // IDi, AUTH, SA, TSi, TSr and notifications
	sizeAnswer  = 160 // IDr 12, AUTH 40, SA 36, TSi 24, TSr 24, notifications
	sizeNoChild = 60  // IDr 12, AUTH 40, one Notify 8
)

// open does IKE_SA_INIT.
func (a *sa) open() {
	a.s.ike(a.from, 500, a.init(false, proposals(gcm(19))))
	a.s.ike(1-a.from, 500, a.init(true, proposals(gcm(19))))
}

// auth does IKE_AUTH, whose answer begins with first and holds size bytes.
func (a *sa) auth(first ike.PayloadType, size int) {
	a.s.ike(a.from, a.port, a.sealed(ike.IKEAuth, a.from, 1, false, ike.PayloadIDi, sizeAuth))
	a.s.ike(1-a.from, a.port, a.sealed(ike.IKEAuth, 1-a.from, 1, true, first, size))
	a.id[a.from] = 2
}

// up is a whole negotiation.
func (a *sa) up() *sa {
	a.open()
	if a.s.seen[0].IsValid() || a.s.seen[1].IsValid() {
		a.port = 4500
	}
	a.auth(ike.PayloadIDr, sizeAnswer)
	return a
}

// exchange does one exchange of an established SA that side from begins.
func (a *sa) exchange(x ike.ExchangeType, from int, first ike.PayloadType, size int, answer ike.PayloadType, answerSize int) {
	id := a.id[from]
	a.id[from]++
	a.s.ike(from, a.port, a.sealed(x, from, id, false, first, size))
	a.s.ike(1-from, a.port, a.sealed(x, 1-from, id, true, answer, answerSize))
}

// dpd is a liveness check.
func (a *sa) dpd(from int) {
	a.exchange(ike.Informational, from, ike.PayloadNone, 0, ike.PayloadNone, 0)
}

// rekeyChild makes new keys of a child SA.
func (a *sa) rekeyChild(from int) {
	a.exchange(ike.CreateChildSA, from, ike.PayloadN, 180, ike.PayloadSA, 140)
}

// repeat sends the same message again, n times in all, with growing gaps.
func (s *scene) repeat(n int, from int, port uint16, message []byte, f fate) {
	gap := time.Second
	for i := range n {
		if i > 0 {
			s.wait(gap)
			gap *= 2
		}
		s.ike(from, port, message, f)
	}
}

// traffic is n ESP packets of each direction, one after the other.
func (s *scene) traffic(n int, udp bool) {
	for i := range n {
		s.esp(0, 0xa0000001, uint32(i+1), 100, udp)
		s.esp(1, 0xb0000001, uint32(i+1), 100, udp)
	}
}

// v1 is an IKEv1 phase 1 and 2, sender by sender.
type v1 struct {
	*sa
	quick uint32
}

func (s *scene) v1(from int) *v1 { return &v1{s.sa(from), 0x51ab} }

// modern is a phase 1 transform: AES-256, SHA2-256, group and authentication method.
func modern(group, method uint16) ike.TransformV1 {
	return ike.TransformV1{Number: 1, ID: 1, Attributes: []ike.Attribute{
		{Type: ike.V1Encryption, Short: true, Value: 7}, {Type: ike.V1KeyLength, Short: true, Value: 256},
		{Type: ike.V1Hash, Short: true, Value: 4}, {Type: ike.V1Group, Short: true, Value: group},
		{Type: ike.V1AuthMethod, Short: true, Value: method},
	}}
}

func saV1(t ...ike.TransformV1) *ike.SAv1 {
	return &ike.SAv1{DOI: 1, Situation: 1, Proposals: []ike.ProposalV1{{Number: 1, Protocol: 1, Transforms: t}}}
}

func (a *v1) message(x ike.ExchangeType, from int, id uint32, first bool, payloads ...ike.Payload) []byte {
	m := &ike.Message{Header: ike.Header{SPIi: a.i, SPIr: a.r, Version: 0x10, Exchange: x, MessageID: id}, Payloads: payloads}
	if first {
		m.SPIr = 0
	}
	return a.s.bytes(m)
}

func (a *v1) sealed(x ike.ExchangeType, from int, id uint32, first ike.PayloadType, size int) []byte {
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(int(a.i>>32) + i*5 + int(id) + from*91 + size)
	}
	m := &ike.Message{Header: ike.Header{SPIi: a.i, SPIr: a.r, Version: 0x10, Exchange: x, MessageID: id, Flags: ike.FlagV1Encryption}}
	m.Payloads = []ike.Payload{&ike.Ciphertext{First: first, Data: data}}
	return a.s.bytes(m)
}

// main12 to main56 are the pairs of Main Mode.
func (a *v1) main12(offer, choice *ike.SAv1) {
	a.s.ike(a.from, 500, a.message(ike.V1MainMode, a.from, 0, true, offer))
	a.s.ike(1-a.from, 500, a.message(ike.V1MainMode, 1-a.from, 0, false, choice))
}

func (a *v1) main3(from int) []byte {
	src, dst := a.s.ends(from, from, fate{})
	natd := func(x netip.Addr) ike.Payload {
		return &ike.BytesV1{Number: ike.V1PayloadNATD, Data: ike.NATDHashV1(4, a.i, a.r, x, 500)}
	}
	return a.message(ike.V1MainMode, from, 0, false, &ike.BytesV1{Number: ike.V1PayloadKE, Data: append(make([]byte, 64), byte(from), byte(a.i>>32))},
		&ike.BytesV1{Number: ike.V1PayloadNONCE, Data: make([]byte, 20)}, natd(dst), natd(src))
}

func (a *v1) main34() {
	a.s.ike(a.from, 500, a.main3(a.from))
	a.s.ike(1-a.from, 500, a.main3(1-a.from))
}

func (a *v1) main5(from int) []byte { return a.sealed(ike.V1MainMode, from, 0, ike.V1PayloadID, 64) }

func (a *v1) phase1() *v1 {
	a.main12(saV1(modern(14, 1)), saV1(modern(14, 1)))
	a.main34()
	if a.s.seen[0].IsValid() || a.s.seen[1].IsValid() {
		a.port = 4500
	}
	a.s.ike(a.from, a.port, a.main5(a.from))
	a.s.ike(1-a.from, a.port, a.main5(1-a.from))
	return a
}

// quickMode sends the first n messages of Quick Mode.
func (a *v1) quickMode(n int) {
	for i := range n {
		from := a.from
		if i == 1 {
			from = 1 - from
		}
		a.s.ike(from, a.port, a.sealed(ike.V1QuickMode, from, a.quick, ike.V1PayloadHASH, []int{160, 144, 48}[i]))
	}
}

// info is an Informational message in clear, sealedInfo an encrypted one.
func (a *v1) info(from int, number uint16) []byte {
	return a.message(ike.V1Informational, from, uint32(number)+7, false, &ike.NotifyV1{DOI: 1, Protocol: 1, Number: number})
}

func (a *v1) sealedInfo(from int) []byte { return a.sealedInfoOf(from, 0x77aa, 80) }

func (a *v1) sealedInfoOf(from int, id uint32, size int) []byte {
	return a.sealed(ike.V1Informational, from, id, ike.V1PayloadHASH, size)
}
