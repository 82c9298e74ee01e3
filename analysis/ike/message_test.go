package ike

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// chainOf makes a message of payloads' bodies.
func chainOf(version uint8, exchange ExchangeType, payloads ...rawPayload) []byte {
	b := Header{SPIi: 0x1122334455667788, SPIr: 0x99aabbccddeeff00, Version: version, Exchange: exchange,
		MessageID: 1}.append(nil)
	at := 16 // where the type of the next payload goes
	for _, p := range payloads {
		b[at] = byte(p.kind)
		at = len(b)
		b = append(b, 0, 0, byte((len(p.body)+4)>>8), byte(len(p.body)+4))
		b = append(b, p.body...)
	}
	binary.BigEndian.PutUint32(b[24:], uint32(len(b)))
	return b
}

type rawPayload struct {
	kind PayloadType
	body []byte
}

func hexPayload(t testing.TB, kind PayloadType, digits string) rawPayload {
	return rawPayload{kind, unhex(t, strings.ReplaceAll(digits, " ", ""))}
}

// everyPayloadV2 has each payload of IKEv2, well-formed.
func everyPayloadV2(t testing.TB) []rawPayload {
	p := func(kind PayloadType, digits string) rawPayload { return hexPayload(t, kind, digits) }
	return []rawPayload{
		p(PayloadSA, "00000030 01030404 c0000001 0300000c01000014800e0100 "+
			"0300000804000013 0300000806000024 0000000805000000"),
		p(PayloadKE, "00130000 0102030405060708"),
		p(PayloadIDi, "01000000 c0a80101"),
		p(PayloadIDr, "02000000 7669652e6578616d706c65"),
		p(PayloadCERT, "04 3000"),
		p(PayloadCREQ, "04 000102030405060708090a0b0c0d0e0f10111213"),
		p(PayloadAUTH, "0e000000 0c 300a06082a8648ce3d040302 0102030405"),
		p(PayloadNonce, "000102030405060708090a0b0c0d0e0f"),
		p(PayloadN, "00000011 0013"),
		p(PayloadN, "03044009 c0000002"),
		p(PayloadD, "03040002 c0000001 c0000002"),
		p(PayloadD, "01000000"),
		p(PayloadV, "434953434f2d47524d"),
		p(PayloadTSi, "02000000 07000010 0000ffff 0a010000 0a0100ff 08110028 01f401f4 20010db8000000000000000000000000 "+
			"20010db80000000000000000000000ff"),
		p(PayloadTSr, "01000000 0a000008 aabbccdd"),
		p(PayloadCP, "01000000 00010000 00030004 08080808 00080011 20010db800000000000000000000000140"),
		p(PayloadEAP, "01070009 0161626364"),
		p(PayloadGSPM, "0102030405"),
		p(PayloadIDg, "0b000000 67726f7570"),
		p(PayloadGSA, "0102"),
		p(PayloadKD, "0102"),
		p(PayloadGSA, groupPolicies),
		p(PayloadKD, keyBags),
		p(PayloadPS, "0102"),
		p(200, "cafe"),
	}
}

// everyPayloadV1 has each payload of IKEv1, well-formed.
func everyPayloadV1(t testing.TB) []rawPayload {
	p := func(kind PayloadType, digits string) rawPayload { return hexPayload(t, kind, digits) }
	return []rawPayload{
		p(V1PayloadSA, "00000001 00000001 00000024 01030401 c0000001 00000018 010c0000 80040001 80060100 00020004 00015180"),
		p(V1PayloadKE, "0102030405060708"),
		p(V1PayloadID, "011101f4 c0a80101"),
		p(V1PayloadID, "04000000 0a010000 ffffff00"),
		p(V1PayloadCERT, "04 3000"),
		p(V1PayloadCR, "04 3000"),
		p(V1PayloadHASH, "0102030405060708090a0b0c0d0e0f1011121314"),
		p(V1PayloadSIG, "0102"),
		p(V1PayloadNONCE, "0102030405060708"),
		p(V1PayloadN, "00000001 01108d28 11223344556677888899aabbccddeeff 00000007"),
		p(V1PayloadD, "00000001 03040001 c0000001"),
		p(V1PayloadVID, "afcad71368a1f1c96b8696fc77570100"),
		p(V1PayloadATTR, "02000007 c0880000 40890004 6a6f686e 408a0006 736563726574"),
		p(V1PayloadNATD, "000102030405060708090a0b0c0d0e0f10111213"),
		p(V1PayloadNATOA, "01000000 0a000001"),
		p(V1PayloadNATDOld, "000102030405060708090a0b0c0d0e0f"),
		p(V1PayloadNATOAOld, "05000000 20010db8000000000000000000000001"),
		p(15, "01"), p(22, "01"), p(77, "01"),
	}
}

// everyMessage holds all of them in two messages, and those that stand alone.
func everyMessage(t testing.TB) map[string][]byte {
	return map[string][]byte{
		"IKEv2": chainOf(0x20, IKEAuth, everyPayloadV2(t)...),
		"IKEv1": chainOf(0x10, V1Aggressive, everyPayloadV1(t)...),
		"SK":    chainOf(0x20, IKEAuth, hexPayload(t, PayloadSK, "00010203040506070809")),
		"SKF":   chainOf(0x20, IKEAuth, hexPayload(t, PayloadSKF, "00020003 0405060708090a0b")),
		"FRAG":  chainOf(0x10, V1MainMode, hexPayload(t, V1PayloadFrag, "00010101 1122334455")),
		"encrypted": append(Header{SPIi: 1, SPIr: 2, NextPayload: V1PayloadHASH, Version: 0x10, Exchange: V1QuickMode,
			Flags: FlagV1Encryption, MessageID: 9, Length: 28 + 16}.append(nil), make([]byte, 16)...),
	}
}

func TestEveryPayloadThereAndBack(t *testing.T) {
	for name, b := range everyMessage(t) {
		m, err := Parse(b)
		if err != nil || len(m.Faults) > 0 {
			t.Errorf("%s: %v %v", name, err, m.Faults)
			continue
		}
		if got, err := m.Append(nil); err != nil || !bytes.Equal(got, b) {
			t.Errorf("%s: %v\n got %x\nwant %x", name, err, got, b)
		}
		for _, p := range m.Payloads {
			if d := p.(Described); len(Details(d)) == 0 || len(fieldsOf(t, d)) == 0 {
				t.Errorf("%s: %T says nothing", name, p)
			}
		}
	}
}

// A body that is cut anywhere in the last payload of a message must give a fault, or a shorter
// value of a payload that is bytes.
func TestEveryPrefixOfEveryPayload(t *testing.T) {
	for version, payloads := range map[uint8][]rawPayload{0x20: everyPayloadV2(t), 0x10: everyPayloadV1(t)} {
		for _, p := range payloads {
			for n := range p.body {
				b := chainOf(version, 37, rawPayload{p.kind, p.body[:n]})
				m, err := Parse(b)
				if err != nil || len(m.Payloads) != 1 || m.Payloads[0].Type() != p.kind {
					t.Fatalf("version %x payload %d cut to %d bytes: %v %+v", version, p.kind, n, err, m)
				}
				Details(m.Payloads[0].(Described))
				fieldsOf(t, m.Payloads[0].(Described))
				if len(m.Faults) > 0 {
					continue
				}
				if got, err := m.Append(nil); err != nil || !bytes.Equal(got, b) {
					t.Errorf("version %x payload %d cut to %d bytes has no fault, but Append gives %x, %v", version, p.kind, n, got,
						err)
				}
			}
		}
	}
}

// Every message is cut at every byte: what stood before the cut is there, and the cut is marked at
// its place.
func TestEveryPrefixOfEveryMessage(t *testing.T) {
	for name, b := range everyMessage(t) {
		whole, _ := Parse(b)
		for n := HeaderLen; n < len(b); n++ {
			m, err := Parse(b[:n])
			if err != nil || len(m.Faults) == 0 || len(m.Payloads) > len(whole.Payloads) {
				t.Fatalf("%s cut to %d of %d bytes: %v, %d payloads, faults %v", name, n, len(b), err, len(m.Payloads), m.Faults)
			}
			for _, f := range m.Faults {
				if f.Offset < 0 || f.Offset > n {
					t.Fatalf("%s cut to %d bytes: %v", name, n, f)
				}
			}
			for i, p := range m.Payloads[:max(0, len(m.Payloads)-1)] {
				if p.Type() != whole.Payloads[i].Type() {
					t.Fatalf("%s cut to %d bytes: payload %d is %v", name, n, i, p.Type())
				}
			}
		}
	}
}

func TestCriticalAndUnknownPayloadsAreCarriedOn(t *testing.T) {
	b := chainOf(0x20, IKEAuth, rawPayload{201, []byte("new")}, rawPayload{PayloadNonce, make([]byte, 16)})
	b[HeaderLen+1] = 0x80
	m, err := Parse(b)
	if err != nil || len(m.Faults) > 0 || len(m.Payloads) != 2 {
		t.Fatalf("%v %+v", err, m)
	}
	u, ok := m.Payloads[0].(*Unknown)
	if !ok || !u.Critical() || u.Type() != 201 || string(u.Data) != "new" || m.Payloads[1].(*Nonce).Critical() {
		t.Errorf("%+v %+v", m.Payloads[0], m.Payloads[1])
	}
	if got, _ := m.Append(nil); !bytes.Equal(got, b) {
		t.Errorf("%x", got)
	}
}

// What is decoded of each payload, in the words of the tree.
func TestDetails(t *testing.T) {
	for _, c := range []struct {
		version uint8
		payload rawPayload
		want    []string
	}{
		{0x20, everyPayloadV2(t)[0], []string{"proposal 1 ESP SPI c0000001: ENCR=ENCR_AES_GCM_16_256 KE=256-bit random ECP " +
			"group ADDKE1=ml-kem-768 ESN=32-bit Sequential Numbers"}},
		{0x20, hexPayload(t, PayloadAUTH, "0e000000 0c 300a06082a8648ce3d040302 0102030405"),
			[]string{"Digital Signature: ecdsa-with-SHA256, signature of 5 bytes"}},
		{0x20, hexPayload(t, PayloadIDi, "09000000 301b310b3009060355040613024445310c300a06035504030c03767067"),
			[]string{"ID_DER_ASN1_DN: CN=vpg,C=DE"}},
		{0x20, hexPayload(t, PayloadTSr, "01000000 0a000008 aabbccdd"), []string{"TS_SECLABEL: aabbccdd"}},
		{0x20, hexPayload(t, PayloadCP, "02000000 00010004 0a000001 000d0008 0a000000 ff000000 00080011 "+
			"20010db800000000000000000000000140 000e0004 00010003 0019000b 6578616d706c652e636f6d"),
			[]string{"CFG_REPLY", "INTERNAL_IP4_ADDRESS=10.0.0.1", "INTERNAL_IP4_SUBNET=10.0.0.0/255.0.0.0",
				"INTERNAL_IP6_ADDRESS=2001:db8::1/64",
				"SUPPORTED_ATTRIBUTES=INTERNAL_IP4_ADDRESS, INTERNAL_IP4_DNS", "INTERNAL_DNS_DOMAIN=example.com"}},
		{0x20, hexPayload(t, PayloadCP, "02000000 001b0010 0001 02 03 0a000001 0a000002 646e73 aa"),
			[]string{"CFG_REPLY", "ENCDNS_IP4=priority 1, 10.0.0.1 10.0.0.2, dns, parameters aa"}},
		{0x20, hexPayload(t, PayloadEAP, "0207000501"), []string{"Response, identifier 7, Identity"}},
		{0x10, everyPayloadV1(t)[0],
			[]string{"proposal 1 ESP SPI c0000001",
				"  transform 1: ESP_AES-CBC Encapsulation-Mode=Tunnel Key-Length=256 SA-Life-Duration=86400"}},
		{0x10, hexPayload(t, V1PayloadN, "00000001 01108d28 11223344556677888899aabbccddeeff 00000007"),
			[]string{"R-U-THERE (36136) IKE SPI 11223344556677888899aabbccddeeff: sequence 7"}},
		{0x10, hexPayload(t, V1PayloadN, "00000001 03046000 c0000001 80010001 00020004 00000e10"),
			[]string{"RESPONDER-LIFETIME (24576) ESP SPI c0000001: SA-Life-Type=seconds SA-Life-Duration=3600"}},
		{0x10, hexPayload(t, V1PayloadATTR, "02000007 c0880000 40890004 6a6f686e 408a0006 736563726574 c08f0001"),
			[]string{"CFG_REPLY", "XAUTH-TYPE=generic", "XAUTH-USER-NAME=john", "XAUTH-USER-PASSWORD=***", "XAUTH-STATUS=OK"}},
		{0x10, hexPayload(t, V1PayloadNATOAOld, "05000000 20010db8000000000000000000000001"),
			[]string{"ID_IPV6_ADDR: 2001:db8::1"}},
		{0x10, hexPayload(t, V1PayloadCR, "04 300e310c300a06035504030c03767067"),
			[]string{"X.509 Certificate - Signature, 16 bytes", "authority CN=vpg"}},
	} {
		m, err := Parse(chainOf(c.version, 37, c.payload))
		if err != nil || len(m.Faults) > 0 {
			t.Errorf("payload %d: %v %v", c.payload.kind, err, m.Faults)
			continue
		}
		if got := Details(m.Payloads[0].(Described)); !slices.Equal(got, c.want) {
			t.Errorf("payload %d:\n got %q\nwant %q", c.payload.kind, got, c.want)
		}
	}
}

// The notification data of each type that has any (RFC 7296, Section 3.10.1, and the RFCs behind
// the IANA registry).
func TestNotifyData(t *testing.T) {
	for _, c := range []struct {
		number NotifyType
		data   string
		want   string
		field  string
		value  any
	}{
		{1, "2e", "payload SK", "payload_type", 46},
		{5, "10", "version 1.0", "", nil},
		{9, "00000007", "message ID 7", "invalid_message_id", uint32(7)},
		{11, "c0000001", "SPI 0xc0000001", "invalid_spi", "c0000001"},
		{17, "0013", "accepted group 19 (256-bit random ECP group)", "accepted_group", 19},
		{17, "0024", "accepted group 36 (ml-kem-768)", "accepted_group_name", "ml-kem-768"},
		{17, "13", "13", "accepted_group", nil},
		{16385, "00000005", "5 messages", "window_size", uint32(5)},
		{16387, "123402", "CPI 4660, IPCOMP_DEFLATE", "transform_name", "IPCOMP_DEFLATE"},
		{16388, "000102030405060708090a0b0c0d0e0f10111213", "000102030405060708090a0b0c0d0e0f10111213", "", nil},
		{16390, "c00c1e", "c00c1e", "", nil},
		{16397, "c0000201", "192.0.2.1", "address", "192.0.2.1"},
		{16398, "20010db8000000000000000000000001", "2001:db8::1", "address", "2001:db8::1"},
		{16403, "00000e10", "3600 seconds", "lifetime_seconds", uint32(3600)},
		{16407, "0104c0000201 aabb", "192.0.2.1, nonce aabb", "gateway", "192.0.2.1"},
		{16407, "0305 67772e6465", "gw.de", "gateway", "gw.de"},
		{16407, "0109c0000201", "0109c0000201", "", nil},
		{16408, "0104c0000201", "192.0.2.1", "gateway", "192.0.2.1"},
		{16409, "00000e10 abcd", "3600 seconds, ticket abcd", "lifetime_seconds", uint32(3600)},
		{16416, "8001000f 80020002", "MAX_CID=15 ROHC_PROFILE=2", "", nil},
		{16422, "01020304 00000005 00000006", "nonce 01020304, sends from message ID 5, expects 6", "expected_send",
			uint32(5)},
		{16423, "0000000000000100", "sequence numbers move on by 256", "delta", uint64(256)},
		{16424, "00010003", "PACE, Secure PSK Authentication", "", nil},
		{16427, "6578616d706c65", "example", "domain", "example"},
		{16429, "00000003", "3 senders", "senders", uint32(3)},
		{16431, "0001000200030004 0005", "SHA1, SHA2-256, SHA2-384, SHA2-512, Identity", "", nil},
		{16434, "000514", "PRF_HMAC_SHA2_256, 20 zero bits", "difficulty", 20},
		{16436, "02 6b6579", "PPK_ID_FIXED key", "ppk_id", "key"},
		{16442, "03", "congestion control, no fragments", "", nil},
		{16442, "00", "no requirements", "", nil},
		{16443, "0202 030900 0f0e02 300a06082a8648ce3d040302", "Shared Key Message Integrity Code, ECDSA with SHA-256 on " +
			"the P-256 curve, Digital Signature with ecdsa-with-SHA256", "", nil},
		{16446, "02 6b6579 0102030405060708", "PPK_ID_FIXED key, confirmation 0102030405060708", "ppk_id", "key"},
		{40999, "01", "01", "", nil},
		{14, "", "", "", nil},
	} {
		n := &Notify{Number: c.number, Data: unhex(t, strings.ReplaceAll(c.data, " ", ""))}
		if got := n.DataText(); got != c.want {
			t.Errorf("%s %s: %q, want %q", c.number, c.data, got, c.want)
		}
		if c.field != "" && fmt.Sprint(fieldsOf(t, n)[c.field]) != fmt.Sprint(c.value) {
			t.Errorf("%s %s: %s is %v, want %v", c.number, c.data, c.field, fieldsOf(t, n)[c.field], c.value)
		}
		for cut := range n.Data {
			fieldsOf(t, &Notify{Number: c.number, Data: n.Data[:cut]})
		}
	}
}

// The registries have no holes where IANA has none: every number has a name.
func TestRegistriesAreComplete(t *testing.T) {
	named := func(what string, name func(n uint16) string, numbers ...[2]uint16) {
		for _, r := range numbers {
			for n := r[0]; n <= r[1]; n++ {
				if got := name(n); got == "" || strings.HasSuffix(got, fmt.Sprint(" ", n)) ||
					strings.HasSuffix(got, fmt.Sprint("_", n)) && !strings.HasPrefix(got, "KW_") &&
						!slices.Contains([]string{"ENCR_AES_CCM_16"}, got) {
					t.Errorf("%s %d has no name: %q", what, n, got)
				}
			}
		}
	}
	transform := func(k TransformType) func(uint16) string {
		return func(n uint16) string { return TransformName(k, n) }
	}
	named("exchange", func(n uint16) string { return ExchangeType(n).String() }, [2]uint16{0, 6}, [2]uint16{32, 44})
	named("payload", func(n uint16) string { return PayloadName(2, PayloadType(n)) }, [2]uint16{33, 54})
	named("IKEv1 payload", func(n uint16) string { return PayloadName(1, PayloadType(n)) }, [2]uint16{0, 22 - 3},
		[2]uint16{20, 22}, [2]uint16{130, 132})
	named("transform type", func(n uint16) string { return TransformType(n).String() }, [2]uint16{1, 14})
	named("ENCR", transform(TransformENCR), [2]uint16{1, 9}, [2]uint16{11, 16}, [2]uint16{18, 21}, [2]uint16{23, 35})
	named("PRF", transform(TransformPRF), [2]uint16{1, 9})
	named("INTEG", transform(TransformINTEG), [2]uint16{0, 14})
	for k := TransformADDKE1 - 2; k <= TransformADDKE7; k++ {
		if k == TransformESN {
			continue
		}
		named(k.String(), transform(k), [2]uint16{0, 2}, [2]uint16{5, 5}, [2]uint16{14, 37})
	}
	named("SN", transform(TransformESN), [2]uint16{0, 2})
	named("KWA", transform(13), [2]uint16{1, 4})
	named("GCAUTH", transform(14), [2]uint16{1, 2})
	named("notify", func(n uint16) string { return NotifyType(n).String() }, [2]uint16{4, 5}, [2]uint16{34, 49},
		[2]uint16{16384, 16447})
	named("IKEv1 notify", NotifyNameV1, [2]uint16{1, 30}, [2]uint16{24576, 24578}, [2]uint16{36136, 36137})
	named("CFG attribute", ConfigAttributeName, [2]uint16{1, 8}, [2]uint16{10, 29})
	named("hash", HashAlgorithm, [2]uint16{1, 7})
	byte8 := func(f func(uint8) string) func(uint16) string { return func(n uint16) string { return f(uint8(n)) } }
	named("authentication method", byte8(AuthMethod), [2]uint16{1, 3}, [2]uint16{9, 14})
	named("ID type", byte8(IDType), [2]uint16{1, 13})
	named("CERT encoding", byte8(CertEncoding), [2]uint16{1, 15})
	named("TS type", byte8(SelectorType), [2]uint16{7, 10})
	phase1 := func(n uint16) string {
		name, _ := V1AttributeText(ProtocolIKE, Attribute{Type: n, Short: true})
		return name
	}
	named("phase 1 attribute", phase1, [2]uint16{1, 17}, [2]uint16{20, 20})
	phase2 := func(n uint16) string {
		name, _ := V1AttributeText(ProtocolESP, Attribute{Type: n, Short: true})
		return name
	}
	named("phase 2 attribute", phase2, [2]uint16{1, 15})
	method := func(n uint16) string {
		_, name := V1AttributeText(ProtocolIKE, Attribute{Type: V1AuthMethod, Short: true, Value: n})
		return name + "."
	}
	for _, n := range []uint16{1, 8, 9, 11, 64221, 65001, 65010} {
		if got := method(n); got == fmt.Sprint(n, ".") {
			t.Errorf("authentication method %d of IKEv1 has no name", n)
		}
	}
}

// fieldsOf reads the JSON that a payload writes, whose members must be in order.
func fieldsOf(t *testing.T, d Described) map[string]any {
	t.Helper()
	var o Object
	o.Begin()
	o.Sort()
	d.Fields(&o)
	o.Flush()
	o.Close()
	decoder := json.NewDecoder(bytes.NewReader(o.Buf))
	decoder.UseNumber()
	var fields map[string]any
	if err := decoder.Decode(&fields); err != nil {
		t.Fatalf("%T: %v in %s", d, err, o.Buf)
	}
	return fields
}

func TestTransformNamesTellTheirAttributes(t *testing.T) {
	for _, tt := range []struct {
		attributes []Attribute
		want       string
	}{
		{nil, "ENCR_AES_CBC"},
		{[]Attribute{{Type: 14, Short: true, Value: 256}}, "ENCR_AES_CBC_256"},
		{[]Attribute{{Type: 14, Short: true, Value: 256}, {Type: 18, Data: []byte{0x30, 0}}},
			"ENCR_AES_CBC_256 with Signature Algorithm Identifier"},
		{[]Attribute{{Type: 99, Short: true, Value: 1}}, "ENCR_AES_CBC with attribute 99"},
	} {
		if got := (Transform{Type: TransformENCR, ID: 12, Attributes: tt.attributes}).Name(); got != tt.want {
			t.Errorf("%v: %q, want %q", tt.attributes, got, tt.want)
		}
	}
}
