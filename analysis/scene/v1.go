package scene

import (
	"net/netip"

	"github.com/moncap/moncap/analysis/ike"
)

// InFrags sends a message in FRAG payloads of 100 bytes; each has its fate, by its number from 0.
func (a *V1) InFrags(from int, id uint16, message []byte, fates map[int]Fate) {
	h, err := ike.ParseHeader(message)
	if err != nil {
		a.S.t.Fatal(err)
	}
	h.Flags, h.NextPayload, h.Length = 0, 0, 0
	for n := 0; n*100 < len(message); n++ {
		f := &ike.Frag{ID: id, Part: uint8(n + 1), Data: message[n*100 : min(len(message), n*100+100)]}
		if n*100+100 >= len(message) {
			f.Last, f.Bits = true, 1
		}
		a.S.IKE(from, 500, a.S.bytes(&ike.Message{Header: h, Payloads: []ike.Payload{f}}), fates[n])
	}
}

// V1 is an IKEv1 phase 1 and 2, sender by sender.
type V1 struct {
	*SA
	Quick uint32
}

func (s *Scene) V1(from int) *V1 { return &V1{s.SA(from), 0x51ab} }

// Modern is a phase 1 transform: AES-256, SHA2-256, group and authentication method.
func Modern(group, method uint16) ike.TransformV1 {
	return ike.TransformV1{Number: 1, ID: 1, Attributes: []ike.Attribute{
		{Type: ike.V1Encryption, Short: true, Value: 7}, {Type: ike.V1KeyLength, Short: true, Value: 256},
		{Type: ike.V1Hash, Short: true, Value: 4}, {Type: ike.V1Group, Short: true, Value: group},
		{Type: ike.V1AuthMethod, Short: true, Value: method},
	}}
}

func SAv1(t ...ike.TransformV1) *ike.SAv1 {
	return &ike.SAv1{DOI: 1, Situation: 1, Proposals: []ike.ProposalV1{{Number: 1, Protocol: 1, Transforms: t}}}
}

func (a *V1) Message(x ike.ExchangeType, from int, id uint32, first bool, payloads ...ike.Payload) []byte {
	m := &ike.Message{Header: ike.Header{SPIi: a.I, SPIr: a.R, Version: 0x10, Exchange: x, MessageID: id},
		Payloads: payloads}
	if first {
		m.SPIr = 0
	}
	return a.S.bytes(m)
}

func (a *V1) Sealed(x ike.ExchangeType, from int, id uint32, first ike.PayloadType, size int) []byte {
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(int(a.I>>32) + i*5 + int(id) + from*91 + size)
	}
	m := &ike.Message{Header: ike.Header{SPIi: a.I, SPIr: a.R, Version: 0x10, Exchange: x, MessageID: id,
		Flags: ike.FlagV1Encryption}}
	m.Payloads = []ike.Payload{&ike.Ciphertext{First: first, Data: data}}
	return a.S.bytes(m)
}

// Main12 to main56 are the pairs of Main Mode.
func (a *V1) Main12(offer, choice *ike.SAv1) {
	a.S.IKE(a.From, 500, a.Message(ike.V1MainMode, a.From, 0, true, offer))
	a.S.IKE(1-a.From, 500, a.Message(ike.V1MainMode, 1-a.From, 0, false, choice))
}

func (a *V1) Main3(from int) []byte {
	src, dst := a.S.ends(from, from, Fate{})
	natd := func(x netip.Addr) ike.Payload {
		return &ike.BytesV1{Number: ike.V1PayloadNATD, Data: ike.NATDHashV1(4, a.I, a.R, x, 500)}
	}
	return a.Message(ike.V1MainMode, from, 0, false, &ike.BytesV1{Number: ike.V1PayloadKE, Data: append(make([]byte, 64),
		byte(from), byte(a.I>>32))}, &ike.BytesV1{Number: ike.V1PayloadNONCE, Data: make([]byte, 20)}, natd(dst), natd(src))
}

func (a *V1) Main34() {
	a.S.IKE(a.From, 500, a.Main3(a.From))
	a.S.IKE(1-a.From, 500, a.Main3(1-a.From))
}

func (a *V1) Main5(from int) []byte { return a.Sealed(ike.V1MainMode, from, 0, ike.V1PayloadID, 64) }

func (a *V1) Phase1() *V1 {
	a.Main12(SAv1(Modern(14, 1)), SAv1(Modern(14, 1)))
	a.Main34()
	if a.S.Seen[0].IsValid() || a.S.Seen[1].IsValid() {
		a.Port = 4500
	}
	a.S.IKE(a.From, a.Port, a.Main5(a.From))
	a.S.IKE(1-a.From, a.Port, a.Main5(1-a.From))
	return a
}

// Aggressive is phase 1 in three messages.
func (a *V1) Aggressive() *V1 {
	for i, from := range []int{a.From, 1 - a.From} {
		a.S.IKE(from, 500, a.Message(ike.V1Aggressive, from, 0, i == 0, SAv1(Modern(14, 1)),
			&ike.BytesV1{Number: ike.V1PayloadKE, Data: append(make([]byte, 64), byte(from), byte(a.I>>32))},
			&ike.BytesV1{Number: ike.V1PayloadNONCE, Data: make([]byte, 20)}))
	}
	a.S.IKE(a.From, 500, a.Sealed(ike.V1Aggressive, a.From, 0, ike.V1PayloadHASH, 64))
	return a
}

// QuickMode sends the first n messages of Quick Mode.
func (a *V1) QuickMode(n int) {
	for i := range n {
		from := a.From
		if i == 1 {
			from = 1 - from
		}
		a.S.IKE(from, a.Port, a.Sealed(ike.V1QuickMode, from, a.Quick, ike.V1PayloadHASH, []int{160, 144, 48}[i]))
	}
}

// Info is an Informational message in clear, sealedInfo an encrypted one.
func (a *V1) Info(from int, number uint16) []byte {
	return a.Message(ike.V1Informational, from, uint32(number)+7, false,
		&ike.NotifyV1{DOI: 1, Protocol: 1, Number: number})
}

func (a *V1) SealedInfo(from int) []byte { return a.SealedInfoOf(from, 0x77aa, 80) }

func (a *V1) SealedInfoOf(from int, id uint32, size int) []byte {
	return a.Sealed(ike.V1Informational, from, id, ike.V1PayloadHASH, size)
}
