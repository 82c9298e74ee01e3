package analysis_test

import (
	"context"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/scene"
)

// figure rebuilds captures as Cisco's guide shows them: its addresses, SPIs and sizes;
// frames are Ethernet.
type figure struct {
	t     *testing.T
	sides [2][]scene.Record
	now   time.Duration
	nat   netip.Addr // how B sees A; invalid: no NAT
	id    uint16
	flat  bool // the path takes no time and lowers no TTL
}

var (
	guideA   = netip.MustParseAddr("192.168.1.1")
	guideB   = netip.MustParseAddr("192.168.2.1")
	guideNAT = netip.MustParseAddr("198.51.100.1")
)

const guideStart = int64(1_600_000_000_000_000_000)

// fate of a frame: who has it in the capture.
const (
	both = iota
	onlySender
	onlyReceiver
)

// send puts a message of side from (0 is A) on the wire after wait.
func (f *figure) send(wait time.Duration, from int, port uint16, message []byte, where int) {
	f.t.Helper()
	f.now += wait
	f.id++
	for side := range 2 {
		if where == onlySender && side != from || where == onlyReceiver && side == from {
			continue
		}
		a, ttl, at := guideA, byte(255), guideStart+int64(f.now)
		if side == 1 && f.nat.IsValid() {
			a = f.nat
		}
		src, dst := a, guideB
		if from == 1 {
			src, dst = guideB, a
		}
		if side != from && !f.flat {
			ttl, at = 253, at+8_000_000
		}
		f.sides[side] = append(f.sides[side], scene.Record{Nanos: at, Data: f.frame(src, dst, port, ttl, message)})
		last := &f.sides[side][len(f.sides[side])-1]
		last.Wire = len(last.Data)
	}
}

func (f *figure) frame(src, dst netip.Addr, port uint16, ttl byte, message []byte) []byte {
	if port == 4500 {
		message = append(make([]byte, 4), message...)
	}
	be := binary.BigEndian
	b := append(make([]byte, 12), 8, 0)
	b = append(b, 0x45, 0xc0)
	b = be.AppendUint16(b, uint16(28+len(message)))
	b = be.AppendUint16(b, f.id)
	b = append(b, 0, 0, ttl, 17, 0, 0)
	b = append(append(b, src.AsSlice()...), dst.AsSlice()...)
	return append(b, udp(port, message)...)
}

func (f *figure) encode(m *ike.Message, length int) []byte {
	f.t.Helper()
	b, err := m.Append(nil)
	if err != nil {
		f.t.Fatal(err)
	}
	if fill := length - len(b); fill > 4 && length > 0 { // a vendor ID takes up what the figure has more
		m.Payloads = append(m.Payloads, &ike.VendorID{Data: make([]byte, fill-4)})
		if b, err = m.Append(nil); err != nil {
			f.t.Fatal(err)
		}
	}
	if length > 0 && len(b) != length {
		f.t.Fatalf("message of %d bytes, the figure has %d", len(b), length)
	}
	return b
}

type spis struct{ i, r ike.SPI }

var guideSPIs = spis{0xe9f5fb100567c549, 0x4c6900b8d253af89}

func transforms(group uint16) []ike.Transform {
	return []ike.Transform{
		{Type: ike.TransformENCR, ID: 12, Attributes: []ike.Attribute{{Type: 14, Short: true, Value: 256}}},
		{Type: ike.TransformPRF, ID: 5}, {Type: ike.TransformINTEG, ID: 12}, {Type: ike.TransformKE, ID: group},
	}
}

// init is an IKE_SA_INIT message of the given length.
func (f *figure) init(s spis, from int, response bool, src, dst netip.Addr, length int) []byte {
	m := &ike.Message{Header: ike.Header{SPIi: s.i, Version: 0x20, Exchange: ike.IKESAInit, Flags: ike.FlagInitiator}}
	if response {
		m.SPIr, m.Flags = s.r, ike.FlagResponse
	}
	nonce := make([]byte, 32)
	nonce[0] = byte(s.i) + byte(from)
	source := ike.NATDHash(m.SPIi, m.SPIr, src, 500)
	destination := ike.NATDHash(m.SPIi, m.SPIr, dst, 500)
	m.Payloads = []ike.Payload{
		&ike.SA{Proposals: []ike.Proposal{{Number: 1, Protocol: 1, Transforms: transforms(14)}}},
		&ike.KE{Method: 14, Data: make([]byte, 256)}, &ike.Nonce{Data: nonce},
		&ike.Notify{Number: ike.NATDetectionSourceIP, Data: source[:]},
		&ike.Notify{Number: ike.NATDetectionDestinationIP, Data: destination[:]},
	}
	return f.encode(m, length)
}

// encrypted is a message with an SK payload whose first inner payload is first.
func (f *figure) encrypted(s spis, x ike.ExchangeType, id uint32, initiator, response bool, first ike.PayloadType,
	length int) []byte {
	m := &ike.Message{Header: ike.Header{SPIi: s.i, SPIr: s.r, Version: 0x20, Exchange: x, MessageID: id}}
	if initiator {
		m.Flags |= ike.FlagInitiator
	}
	if response {
		m.Flags |= ike.FlagResponse
	}
	data := make([]byte, length-ike.HeaderLen-4)
	for i := range data {
		data[i] = byte(i) + byte(length) + byte(id) + byte(s.i)
	}
	data[0] = byte(m.Flags)
	m.Payloads = []ike.Payload{&ike.Encrypted{Number: ike.PayloadSK, First: first, Data: data}}
	return f.encode(m, length)
}

// negotiate is one complete negotiation of from, with the sizes of the guide's first trace.
func (f *figure) negotiate(s spis, from int) {
	ends := [2]netip.Addr{guideA, guideB}
	src, dst := ends[from], ends[1-from]
	f.send(10*time.Millisecond, from, 500, f.init(s, from, false, src, dst, 496-42), both)
	f.send(12*time.Millisecond, 1-from, 500, f.init(s, 1-from, true, dst, src, 529-42), both)
	f.send(15*time.Millisecond, from, 500, f.encrypted(s, ike.IKEAuth, 1, true, false, ike.PayloadV, 682-42), both)
	f.send(9*time.Millisecond, 1-from, 500, f.encrypted(s, ike.IKEAuth, 1, false, true, ike.PayloadV, 362-42), both)
}

func simultaneous(f *figure) {
	second := spis{0x1122334455667788, 0x8877665544332211}
	f.negotiate(guideSPIs, 0)
	f.now += 543 * time.Millisecond
	f.negotiate(second, 1)
	f.send(22*time.Millisecond, 1, 500, f.encrypted(second, ike.Informational, 2, true, false, ike.PayloadN, 138-42), both)
	f.send(0, 1, 500, f.encrypted(second, ike.Informational, 3, true, false, ike.PayloadN, 138-42), both)
	f.send(3*time.Millisecond, 0, 500, f.encrypted(second, ike.Informational, 2, false, true, ike.PayloadNone, 138-42),
		both)
	f.send(14*time.Millisecond, 0, 500, f.encrypted(second, ike.Informational, 3, false, true, ike.PayloadNone, 138-42),
		both)
}

func translated(f *figure) {
	s := spis{0xec01171f30d05063, 0x9a0f8b75c0e01c78}
	f.nat = guideNAT
	f.send(0, 0, 500, f.init(s, 0, false, guideA, guideB, 0), both)
	f.send(12*time.Millisecond, 1, 500, f.init(s, 1, true, guideB, guideNAT, 0), both)
	f.send(12*time.Millisecond, 0, 4500, f.encrypted(s, ike.IKEAuth, 1, true, false, ike.PayloadV, 572), both)
	f.send(12*time.Millisecond, 1, 4500, f.encrypted(s, ike.IKEAuth, 1, false, true, ike.PayloadV, 320), both)
	for id := uint32(2); id < 4; id++ {
		f.send(time.Second, 0, 4500, f.encrypted(s, ike.Informational, id, true, false, ike.PayloadNone, 80), both)
		f.send(12*time.Millisecond, 1, 4500, f.encrypted(s, ike.Informational, id, false, true, ike.PayloadNone, 80), both)
	}
}

func refused(f *figure) {
	for i, s := range []spis{{0x982a79a178dd0a36, 0x0ace9e4f3f7a5c6d}, {0x982a79a178dd0a37, 0x0ace9e4f3f7a5c6e}} {
		f.send(time.Duration(i)*30*time.Second, 0, 500, f.init(s, 0, false, guideA, guideB, 0), both)
		m := &ike.Message{Header: ike.Header{SPIi: s.i, SPIr: s.r, Version: 0x20, Exchange: ike.IKESAInit,
			Flags: ike.FlagResponse}}
		m.Payloads = []ike.Payload{&ike.Notify{Number: ike.NoProposalChosen}}
		f.send(12*time.Millisecond, 1, 500, f.encode(m, 78-42), both)
	}
}

func blocked(f *figure) {
	own, others := spis{0xa1a1a1a1a1a1a1a1, 0}, spis{0xb2b2b2b2b2b2b2b2, 0xc3c3c3c3c3c3c3c3}
	mine := f.init(own, 0, false, guideA, guideB, 454)
	theirs := f.init(others, 1, false, guideB, guideA, 454)
	answer := f.init(others, 0, true, guideA, guideB, 487)
	f.send(0, 0, 500, mine, onlySender)
	f.send(100*time.Millisecond, 1, 500, theirs, both)
	f.send(5*time.Millisecond, 0, 500, answer, onlySender)
	for i := range 4 {
		f.send(time.Second<<i, 0, 500, mine, onlySender)
		if i == 1 || i == 3 {
			f.send(10*time.Millisecond, 1, 500, theirs, both)
			f.send(5*time.Millisecond, 0, 500, answer, onlySender)
		}
	}
}

// TestFiguresOfTheGuide: what the guide reads out of its captures by hand, with times and, as its
// exports show them, without.
func TestFiguresOfTheGuide(t *testing.T) {
	for _, c := range []struct {
		name  string
		build func(*figure)
		want  truth
	}{
		{"both initiate", simultaneous, truth{
			Expect:  []map[string]any{{"code": "simultaneous-initiation"}, {"code": "tunnel-established", "initiator": "A"}},
			MustNot: []string{"path-blocked", "path-loss", "nat-detected"},
		}},
		{"NAT in between", translated, truth{
			Expect: []map[string]any{
				{"code": "nat-detected", "translated_side": "A", "translated": "198.51.100.1", "port_preserved": true},
				{"code": "tunnel-established"},
			},
			MustNot: []string{"path-blocked", "wrong-peer-address"},
		}},
		{"proposals differ", refused, truth{
			Expect:  []map[string]any{{"code": "ike-proposal-mismatch", "refusing_side": "B"}},
			MustNot: []string{"path-blocked", "tunnel-established"},
		}},
		{"A is blocked", blocked, truth{
			Expect:  []map[string]any{{"code": "path-blocked", "direction": "A->B", "port": 500}},
			MustNot: []string{"peer-not-answering", "tunnel-established"},
		}},
	} {
		for _, change := range []struct {
			name string
			do   func([]scene.Record) []scene.Record
			flat bool
		}{{"as shown", same, false}, {"without times", timeless, false}, {"equal on both sides", same, true},
			{"equal, without times", timeless, true}} {
			t.Run(c.name+"/"+change.name, func(t *testing.T) {
				f := &figure{t: t, flat: change.flat}
				c.build(f)
				r, err := analysis.Compare(context.Background(),
					analysis.Side{Name: "site-A", Open: scene.Opener(scene.Pcap(change.do(f.sides[0])))},
					&analysis.Side{Name: "site-B", Open: scene.Opener(scene.Pcap(change.do(f.sides[1])))}, analysis.Options{})
				if err != nil {
					t.Fatal(err)
				}
				c.want.check(t, r, scene.Flatten(t, r))
			})
		}
	}
}
