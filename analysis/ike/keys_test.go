package ike

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io/fs"
	"net/netip"
	"strings"
	"testing"

	"github.com/moncap/moncap/testdata"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// RFC 4494, Section 4 names the vectors of RFC 4493; the XCBC ones are of RFC 3566, Section 4.6.
func TestMACs(t *testing.T) {
	key := unhex(t, "2b7e151628aed2a6abf7158809cf4f3c")
	m40 := unhex(t, "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411")
	for _, tt := range []struct {
		b    []byte
		want string
	}{{nil, "bb1d6929e95937287fa37d12"}, {m40[:16], "070a16b46b4d4144f79bdd9d"}, {m40, "dfa66747de9ae63030ca3261"}} {
		if got := hex.EncodeToString(cmac(key, tt.b)); got != tt.want {
			t.Errorf("CMAC of %d bytes: %s, want %s", len(tt.b), got, tt.want)
		}
	}
	key = unhex(t, "000102030405060708090a0b0c0d0e0f")
	m := unhex(t, "000102030405060708090a0b0c0d0e0f10111213")
	for _, tt := range []struct {
		n    int
		want string
	}{{0, "75f0251d528ac01c4573dfd5"}, {3, "5b376580ae2f19afe7219cee"}, {16, "d2a246fa349b68a79998a439"},
		{20, "47f51b4564966215b8985c63"}} {
		if got := hex.EncodeToString(xcbc(key, m[:tt.n])); got != tt.want {
			t.Errorf("XCBC of %d bytes: %s, want %s", tt.n, got, tt.want)
		}
	}
}

func TestIncidentsOpenWithTheirKeys(t *testing.T) {
	opened := 0
	dirs, err := fs.ReadDir(testdata.Incidents(), ".")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dirs {
		table, err := fs.ReadFile(testdata.Incidents(), d.Name()+"/ikev2_decryption_table")
		if err != nil {
			continue
		}
		keys, err := ParseKeyTable(bytes.NewReader(table))
		if err != nil {
			t.Fatalf("%s: %v", d.Name(), err)
		}
		for _, side := range []string{"a.pcap", "b.pcap"} {
			b, err := fs.ReadFile(testdata.Incidents(), d.Name()+"/"+side)
			if err != nil {
				t.Fatal(err)
			}
			o := NewOpener(keys)
			for _, msg := range udpPayloads(bytes.NewReader(b)) {
				opened += openOne(t, o, d.Name()+"/"+side, msg)
			}
		}
	}
	if opened < 40 {
		t.Errorf("only %d messages were opened", opened)
	}
}

func openOne(t *testing.T, o *Opener, from string, b []byte) int {
	t.Helper()
	m, err := Parse(b)
	if err != nil || m.encryptedPayload() == nil || !o.keys.Has(m.SPIi, m.SPIr) {
		return 0
	}
	in, err := o.Open(m, b)
	if errors.Is(err, ErrMore) {
		return 0
	}
	if err != nil || len(in.Faults) > 0 {
		t.Errorf("%s: %s: %v %v", from, m.Info(), err, in)
		return 0
	}
	if e := m.encryptedPayload(); e.Number == PayloadSK && len(in.Payloads) > 0 && in.Payloads[0].Type() != e.First {
		t.Errorf("%s: %s: first inside is %v, announced was %v", from, m.Info(), in.Payloads[0].Type(), e.First)
	}
	bad := bytes.Clone(b)
	bad[len(bad)-20] ^= 1
	if _, err := NewOpener(o.keys).Open(m, bad); err == nil {
		t.Errorf("%s: %s: an altered message was opened", from, m.Info())
	}
	return 1
}

func TestKeyTableErrorsRepeatNoKey(t *testing.T) {
	const canary = "c0ffee00c0ffee00"
	for _, line := range []string{
		"1,2,3", canary + "," + canary + ",zz" + canary + `,00,"AES-CBC-128",00,00,"NONE"`,
		canary + "," + canary + "," + canary + "," + canary + `,"AES-CBC-128","","","HMAC_SHA1_96"`,
		canary + "," + canary + "," + canary + "," + canary + `,"ROT13","","","NONE"`,
		canary + ",zz" + canary, canary + "00," + canary,
	} {
		_, err := ParseKeyTable(strings.NewReader("# keys\n" + line))
		if err == nil || !strings.Contains(err.Error(), "line 2") || strings.Contains(err.Error(), canary) {
			t.Errorf("%q gave %v", line, err)
		}
	}
}

func TestNATDHashesOfTheIncidents(t *testing.T) {
	b, err := fs.ReadFile(testdata.Incidents(), "nat/b.pcap")
	if err != nil {
		t.Fatal(err)
	}
	m, err := Parse(udpPayloads(bytes.NewReader(b))[0])
	if err != nil {
		t.Fatal(err)
	}
	var source, destination []byte
	for _, p := range m.Payloads {
		if n, ok := p.(*Notify); ok {
			switch n.Number {
			case NATDetectionSourceIP:
				source = n.Data
			case NATDetectionDestinationIP:
				destination = n.Data
			}
		}
	}
	hashOf := func(a netip.Addr) []byte { h := NATDHash(m.SPIi, m.SPIr, a, 500); return h[:] }
	if !bytes.Equal(destination, hashOf(testdata.B4)) {
		t.Error("the destination hash is not B's address")
	}
	if bytes.Equal(source, hashOf(testdata.NAT)) || !bytes.Equal(source, hashOf(testdata.A4)) {
		t.Error("the source hash must be of the address before the NAT")
	}
	found, ok := SearchNATD(t.Context(), source, m.SPIi, m.SPIr, []uint16{500})
	if !ok || found != netip.AddrPortFrom(testdata.A4, 500) {
		t.Errorf("search found %v, %v", found, ok)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, ok := SearchNATD(ctx, make([]byte, 20), 1, 2, []uint16{500}); ok {
		t.Error("found what is not there")
	}
}

// The length of a hash tells its algorithm, in the search too.
func TestSearchOfBothVersions(t *testing.T) {
	at := netip.MustParseAddrPort("192.168.200.7:4500")
	carrier := netip.MustParseAddrPort("100.64.0.9:4500") // RFC 6598
	if found, ok := SearchNATD(t.Context(), NATDHashV1(2, 3, 4, carrier.Addr(), carrier.Port()), 3, 4,
		[]uint16{4500}); !ok || found != carrier {
		t.Errorf("behind a carrier's NAT: found %v, %v", found, ok)
	}
	for algorithm := range uint64(8) {
		hash := NATDHashV1(algorithm, 3, 4, at.Addr(), at.Port())
		if (hash == nil) != (NATDAlgorithm(len(hash)) == 0) || hash != nil && NATDAlgorithm(len(hash)) != algorithm {
			t.Errorf("algorithm %d: %d bytes", algorithm, len(hash))
		}
		if hash == nil {
			continue
		}
		found, ok := SearchNATD(t.Context(), hash, 3, 4, []uint16{4500})
		if !ok || found != at {
			t.Errorf("algorithm %d: found %v, %v", algorithm, found, ok)
		}
	}
	if _, ok := SearchNATD(t.Context(), make([]byte, 19), 3, 4, []uint16{500}); ok {
		t.Error("19 bytes are no hash")
	}
}

func BenchmarkSearchNATD(b *testing.B) {
	for b.Loop() {
		SearchNATD(b.Context(), make([]byte, 20), 1, 2, []uint16{500})
	}
}

func TestPlaintextSizes(t *testing.T) {
	gcm := Suite{ENCR: 20}
	cbc := Suite{ENCR: 12, INTEG: 12}
	if !gcm.sizes() || !cbc.sizes() {
		t.Fatal("sizes are not known")
	}
	tests := []struct {
		s             Suite
		n, pad        int
		low, high     int
		ok            bool
		learn, learns int
	}{
		{gcm, 8 + 9 + 16, 0, 8, 8, true, 0, 0},
		{gcm, 8 + 9 + 16, -1, 0, 8, true, 0, 0},
		{gcm, 8 + 16 + 16, 7, 8, 15, true, 0, 0}, // filled up to a multiple of 8: 8 to 15 bytes and the Pad Length make 16
		{gcm, 8 + 8 + 16, 7, 0, 7, true, 0, 0},
		{cbc, 16 + 32 + 16, 16, 0, 31, true, 0, 0},
		{cbc, 16 + 16 + 16, 0, 0, 15, true, 0, 0},
		{cbc, 16 + 80 + 16, -1, 64, 79, true, 0, 0},
		{cbc, 16 + 81 + 16, -1, 0, 0, false, 0, 0},
		{cbc, 16, -1, 0, 0, false, 0, 0},
	}
	for _, tt := range tests {
		low, high, ok := tt.s.Plaintext(tt.n, tt.pad)
		if low != tt.low || high != tt.high || ok != tt.ok {
			t.Errorf("ENCR %d, body %d, padding %d: %d to %d, %v; want %d to %d, %v", tt.s.ENCR, tt.n, tt.pad, low, high, ok,
				tt.low, tt.high, tt.ok)
		}
	}
	if p, ok := gcm.LearnPadding(8 + 8 + 16); !ok || p != 7 {
		t.Errorf("padding %d, %v; want 7", p, ok)
	}
	if p, ok := cbc.LearnPadding(48); !ok || p != 0 {
		t.Errorf("padding %d, %v; want 0", p, ok)
	}
}

func TestVendorNames(t *testing.T) {
	for id, want := range map[string]string{
		"CISCO-DELETE-REASON": "Cisco Delete Reason Supported", "CISCOVPN-REV-02": "Cisco VPN Revision 2",
		"CISCO-DYNAMIC-ROUTE": "Cisco Dynamic Route Supported", "FLEXVPN-SUPPORTED": "Cisco FlexVPN Supported",
		"CISCO-GRE-MODE\x02": "CISCO-GRE-MODE",
		string(unhex(t, "882fe56d6fd20dbc2251613b2ebe5beb")):         "strongSwan",
		string(unhex(t, "4a131c81070358455c5728f20e95452f")):         "RFC 3947 Negotiation of NAT-Traversal in the IKE",
		string(unhex(t, "90cb80913ebb696e086381b5ec427b1f")):         "draft-ietf-ipsec-nat-t-ike-02\\n",
		string(unhex(t, "afcad71368a1f1c96b8696fc77570100")):         "RFC 3706 DPD (Dead Peer Detection)",
		string(unhex(t, "4048b7d56ebce88525e7de7f00d6c2d380000000")): "Cisco Fragmentation",
		string(unhex(t, "4048b7d56ebce88525e7de7f00d6c2d3")):         "Fragmentation",
		string(unhex(t, "12f5f28c457168a9702d9fe274cc0100")):         "Cisco Unity",
		string(unhex(t, "1f07f70eaa6514d3b0fa96542a500100")):         "Cisco VPN Concentrator",
		string(unhex(t, "09002689dfd6b712")):                         "XAUTH",
		string(unhex(t, "42ea5b6f898d9773a575df26e7dd19e1")):         "draft-ietf-ipsec-nat-t-ike-09",
		string(unhex(t, "27bab5dc01ea0760ea4e3190ac27c0d0")):         "draft-stenberg-ipsec-nat-traversal-01",
		string(unhex(t, "7003cbc1097dbe9c2600ba6983bc8b35")):         "KAME racoon",
		string(unhex(t, "f64260af2e2742daddd56987068a99a0")): "SSH Communications Security IPSEC Express " +
			"version 4.0.0",
		"CISCO(COPYRIGHT)&Copyright (c) 2009 Cisco Systems, Inc.": "Cisco Copyright",
		"\x01\x02": "0102", "my own product": "my own product",
	} {
		if got := vendorText([]byte(id)); got != want {
			t.Errorf("%q: %q, want %q", id, got, want)
		}
	}
}

func TestManyVendorsAreKnown(t *testing.T) {
	seen := map[string]bool{}
	for _, v := range vendors() {
		if seen[v.id] || v.id == "" || v.name == "" {
			t.Errorf("%q %x is there twice, or empty", v.name, v.id)
		}
		seen[v.id] = true
	}
	if len(vendors()) < 100 {
		t.Errorf("only %d", len(vendors()))
	}
}

func FuzzKeyTable(f *testing.F) {
	f.Add(`0000000000000001,0000000000000002,00,00,"AES-CBC-128 [RFC3602]",00,00,"HMAC_SHA1_96 [RFC2404]"`)
	f.Fuzz(func(t *testing.T, s string) {
		k, err := ParseKeyTable(strings.NewReader(s))
		if (k == nil) == (err == nil) {
			t.Error("want keys or an error")
		}
	})
}
