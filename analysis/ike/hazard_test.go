package ike

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
)

// The hazards that the crash corpora of other decoders encode. Each must give what was readable,
// and a fault where it stops.
func TestHazards(t *testing.T) {
	nonce := rawPayload{PayloadNonce, make([]byte, 16)}
	set := func(b []byte, at int, v ...byte) []byte { copy(b[at:], v); return b }
	many := make([]rawPayload, 3000)
	for i := range many {
		many[i] = rawPayload{PayloadV, nil}
	}
	for _, c := range []struct {
		name     string
		b        []byte
		payloads int
		offset   int
		reason   string
	}{
		{"payload length 0", set(chainOf(0x20, 34, nonce, nonce), 50, 0, 0), 1, 50, "length 0"},
		{"payload length 1", set(chainOf(0x20, 34, nonce, nonce), 50, 0, 1), 1, 50, "length 1"},
		{"payload length 3", set(chainOf(0x20, 34, nonce, nonce), 50, 0, 3), 1, 50, "length 3"},
		{"payload length 3, IKEv1", set(chainOf(0x10, 2, rawPayload{10, nonce.body}), 30, 0, 3), 0, 30, "length 3"},
		{"length past the end", set(chainOf(0x20, 34, nonce, nonce), 50, 0xff, 0xff), 2, 50, "length 65535"},
		{"SA with a proposal of length 0", chainOf(0x20, 34, hexPayload(t, PayloadSA, "0200000001010002"), nonce), 2, 34,
			"length 0"},
		{"SA with a proposal of length 0, IKEv1",
			chainOf(0x10, 2, hexPayload(t, V1PayloadSA, "00000001000000010200000001010002")), 1, 42, "length 0"},
		{"pointer loop", chainOf(0x20, 34, hexPayload(t, PayloadSA, "0200000801010000 0200000801010000 0200000001010000"),
			nonce), 2, 50, "length 0"},
		{"transform of length 0", chainOf(0x20, 34, hexPayload(t, PayloadSA, "000000100101000103000000010000 0c"), nonce), 2,
			42, "length 0"},
		{"attribute past the end",
			chainOf(0x10, 2, hexPayload(t, V1PayloadSA, "0000000100000001 0000001801010001 0000001001010000 000bffff000c0004")),
			1, 58, "length 65535"},
		{"ID shorter than its header", chainOf(0x20, 35, hexPayload(t, PayloadIDi, "0100"), nonce), 2, 32, "2 bytes"},
		{"notify SPI longer than the payload", chainOf(0x20, 37, hexPayload(t, PayloadN, "03ff400901"), nonce), 2, 32, "259"},
		{"notify SPI longer than the payload, IKEv1", chainOf(0x10, 5, hexPayload(t, V1PayloadN, "0000000103ff000e01")), 1,
			32, "263"},
		{"delete of more SPIs than are there", chainOf(0x20, 37, hexPayload(t, PayloadD, "03ffffff0102"), nonce), 2, 34,
			"65535 SPIs of 255"},
		{"delete of SPIs of no length", chainOf(0x20, 37, hexPayload(t, PayloadD, "0300ffff0102"), nonce), 2, 34,
			"65535 SPIs of 0"},
		{"delete overflow, IKEv1", chainOf(0x10, 5, hexPayload(t, V1PayloadD, "0000000103ffffff01")), 1, 37,
			"65535 SPIs of 255"},
		{"next payload at the end", set(chainOf(0x20, 34, nonce), 28, 41), 1, 48, "0 bytes are left"},
		{"header longer than the datagram", set(chainOf(0x20, 34, nonce), 24, 0, 0, 1, 0), 1, 24, "256"},
		{"header shorter than itself", set(chainOf(0x20, 34, nonce), 24, 0, 0, 0, 27), 1, 24, "27"},
		{"bytes behind SK", set(chainOf(0x20, 35, rawPayload{PayloadSK, make([]byte, 40)}), 30, 0, 20), 1, 48,
			"24 bytes behind"},
		{"chain of 3000 payloads", chainOf(0x20, 34, many...), maxPayloads, HeaderLen + 4*maxPayloads, "more than"},
		{"more transforms than are announced",
			chainOf(0x20, 34, hexPayload(t, PayloadSA, "0000001001010002 000000080100000c"), nonce), 2, 39, "2 transforms"},
		{"another transform is announced", chainOf(0x20, 34, hexPayload(t, PayloadSA, "00000010010100010300000801000003"),
			nonce), 2, 40, "another one follows"},
		{"another proposal is announced, IKEv1",
			chainOf(0x10, 2, hexPayload(t, V1PayloadSA, "0000000100000001 0200000801010000")), 1, 40, "another one follows"},
		{"bytes behind the last transform",
			chainOf(0x20, 34, hexPayload(t, PayloadSA, "000000180101000200000008010000030000000802000005"), nonce), 2, 48,
			"8 bytes behind"},
		{"traffic selector of length 0", chainOf(0x20, 35, hexPayload(t, PayloadTSi, "01000000 07000000"), nonce), 2, 36,
			"4 bytes are left"},
		{"SKF 0 of 3", chainOf(0x20, 35, hexPayload(t, PayloadSKF, "00000003 0102")), 1, 32, "fragment 0 of 3"},
		{"SKF 4 of 3", chainOf(0x20, 35, hexPayload(t, PayloadSKF, "00040003 0102")), 1, 32, "fragment 4 of 3"},
		{"CP attribute past the end", chainOf(0x20, 35, hexPayload(t, PayloadCP, "01000000 0001ffff"), nonce), 2, 36,
			"does not fit"},
		{"EAP of another length", chainOf(0x20, 35, hexPayload(t, PayloadEAP, "0101ffff01"), nonce), 2, 34, "65535"},
	} {
		m, err := Parse(c.b)
		if err != nil || len(m.Payloads) != c.payloads || len(m.Faults) == 0 {
			t.Errorf("%s: %v, %d payloads, faults %v", c.name, err, len(m.Payloads), m.Faults)
			continue
		}
		if f := m.Faults[0]; f.Offset != c.offset || !strings.Contains(f.Reason, c.reason) {
			t.Errorf("%s: %v; want byte %d and %q", c.name, f, c.offset, c.reason)
		}
		Walk(c.b, func(PayloadType, int, []byte) bool { return true })
	}
}

// Trailing bytes are no fault of the message: the header says where it ends.
func TestDatagramLongerThanTheMessage(t *testing.T) {
	b := append(chainOf(0x20, 34, rawPayload{PayloadNonce, make([]byte, 16)}), "extra"...)
	m, err := Parse(b)
	if err != nil || len(m.Faults) > 0 || string(m.Trailing) != "extra" {
		t.Errorf("%v %+v", err, m)
	}
	if got, _ := m.Append(nil); !bytes.Equal(got, b) {
		t.Errorf("%x", got)
	}
}

func TestVersionsThatAreNone(t *testing.T) {
	for _, v := range []byte{0x00, 0xbe, 0x2c, 0x30, 0xff} {
		_, err := Parse(chainOf(v, 34))
		if known := v>>4 == 2; (err == nil) != known {
			t.Errorf("version %#x: %v", v, err)
		}
	}
}

// A reserved byte that is not zero is nothing to stop at, and stays what it is.
func TestReservedBytesAreKept(t *testing.T) {
	for version, payloads := range map[uint8][]rawPayload{0x20: everyPayloadV2(t), 0x10: everyPayloadV1(t)} {
		b := chainOf(version, 35, payloads...)
		Walk(b, func(_ PayloadType, at int, _ []byte) bool { b[at+1] = 0x7f; return true })
		m, err := Parse(b)
		if err != nil || len(m.Faults) > 0 || len(m.Payloads) != len(payloads) {
			t.Fatalf("%v %v", err, m.Faults)
		}
		if got, err := m.Append(nil); err != nil || !bytes.Equal(got, b) {
			t.Errorf("version %x: %v\n got %x\nwant %x", version, err, got, b)
		}
	}
}

// A SK payload inside of one is no reason to go deeper: what is inside is shown as the bytes that
// it is.
func TestNestedEncryption(t *testing.T) {
	inner := chainOf(0x20, 35, rawPayload{PayloadSK, make([]byte, 20)})[HeaderLen:]
	m := &Message{Header: Header{Version: 0x20}}
	all := m.chain(&memory{}, PayloadSK, inner, 0)
	if len(all) != 1 || len(m.Faults) > 0 {
		t.Fatalf("%v %v", all, m.Faults)
	}
	if e, ok := all[0].(*Encrypted); !ok || len(e.Data) != 20 {
		t.Errorf("%+v", all[0])
	}
}

// As many proposals as a payload can hold are all read.
func TestThousandsOfProposals(t *testing.T) {
	const count = 8000
	proposals := bytes.Repeat([]byte{2, 0, 0, 8, 1, 1, 0, 0}, count)
	proposals[len(proposals)-8] = 0
	m, err := Parse(chainOf(0x20, 34, rawPayload{PayloadSA, proposals}))
	if err != nil || len(m.Faults) > 0 || len(m.Payloads[0].(*SA).Proposals) != count {
		t.Fatalf("%v %v", err, m.Faults)
	}
}

// FuzzPayload parses one body as every payload of either version.
func FuzzPayload(f *testing.F) {
	for version, payloads := range map[uint8][]rawPayload{0x20: everyPayloadV2(f), 0x10: everyPayloadV1(f)} {
		for _, p := range payloads {
			f.Add(version>>4, uint8(p.kind), p.body)
		}
	}
	for _, kind := range []NotifyType{1, 9, 17, 16387, 16397, 16407, 16409, 16416, 16422, 16424, 16434, 16436, 16442,
		16443, 16446} {
		f.Add(uint8(2), uint8(PayloadN), append(binary.BigEndian.AppendUint16([]byte{0, 0}, uint16(kind)), 1, 2, 3, 4, 5, 6,
			7, 8, 9, 10, 11, 12))
	}
	f.Fuzz(func(t *testing.T, version, kind uint8, body []byte) {
		if kind == 0 || len(body) > 0xffff-4 {
			return
		}
		b := chainOf(version%2<<4+0x10, 37, rawPayload{PayloadType(kind), body})
		m, err := Parse(b)
		if err != nil || len(m.Payloads) != 1 {
			t.Fatalf("%v %+v", err, m)
		}
		p := m.Payloads[0].(Described)
		size := 0
		for _, line := range Details(p) {
			size += len(line)
		}
		if size > 1000+200*len(body) {
			t.Errorf("%d bytes of text from %d", size, len(body))
		}
		fieldsOf(t, p)
		if out, err := m.Append(nil); err == nil && len(m.Faults) == 0 && !bytes.Equal(out, b) {
			t.Errorf("well-formed, but Append gives\n%x, not\n%x", out, b)
		}
	})
}
