package redact

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/packet"
	"github.com/moncap/moncap/testdata"
)

// payload is one of IKEv1, behind the one before it.
type payload struct {
	kind ike.PayloadType
	body []byte
}

// aggressive is message 2 of Aggressive Mode (RFC 2408, Section 4.7): identity, certificate and
// hash are in clear.
func aggressive(payloads ...payload) []byte {
	b := bytes.Repeat([]byte{0x11}, 8)
	b = append(b, bytes.Repeat([]byte{0x22}, 8)...)
	b = append(b, byte(payloads[0].kind), 0x10, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	for i, p := range payloads {
		next := ike.PayloadNone
		if i+1 < len(payloads) {
			next = payloads[i+1].kind
		}
		b = append(b, byte(next), 0)
		b = binary.BigEndian.AppendUint16(b, uint16(4+len(p.body)))
		b = append(b, p.body...)
	}
	binary.BigEndian.PutUint32(b[24:], uint32(len(b)))
	return b
}

var (
	peerA = netip.MustParseAddr("192.168.1.1")
	peerB = netip.MustParseAddr("203.0.113.5")
)

// fragmented makes UDP port 500 from peerA to peerB out of a message, in IP fragments of at most
// size bytes of payload.
func fragmented(message []byte, size int) [][]byte {
	udp := binary.BigEndian.AppendUint16([]byte{1, 0xf4, 1, 0xf4}, uint16(8+len(message)))
	udp = append(append(udp, 0, 0), message...)
	pseudo := append(append(append(peerA.AsSlice(), peerB.AsSlice()...), 0, 17), udp[4:6]...)
	checksum := ^uint16(fold(sum(pseudo) + sum(udp)))
	binary.BigEndian.PutUint16(udp[6:], checksum)
	var all [][]byte
	for at := 0; at < len(udp); at += size {
		part := udp[at:min(at+size, len(udp))]
		flags := uint16(at / 8)
		if at+size < len(udp) {
			flags |= 0x2000
		}
		h := []byte{0x45, 0, 0, 0, 0x12, 0x34, 0, 0, 64, 17, 0, 0}
		h = append(append(h, peerA.AsSlice()...), peerB.AsSlice()...)
		binary.BigEndian.PutUint16(h[2:], uint16(20+len(part)))
		binary.BigEndian.PutUint16(h[6:], flags)
		binary.BigEndian.PutUint16(h[10:], ^uint16(sum(h)))
		all = append(all, append(h, part...))
	}
	return all
}

// quoted is the ICMP error of a router that refuses b, with as much of b as it quotes.
func quoted(b []byte, most int) []byte {
	icmp := append([]byte{3, 13, 0, 0, 0, 0, 0, 0}, b[:min(most, len(b))]...)
	binary.BigEndian.PutUint16(icmp[2:], ^uint16(sum(icmp)))
	h := []byte{0x45, 0, 0, 0, 0, 1, 0, 0, 64, 1, 0, 0, 203, 0, 113, 99}
	h = append(h, peerA.AsSlice()...)
	binary.BigEndian.PutUint16(h[2:], uint16(20+len(icmp)))
	binary.BigEndian.PutUint16(h[10:], ^uint16(sum(h)))
	return append(h, icmp...)
}

func captureOf(t *testing.T, frames ...[]byte) []byte {
	t.Helper()
	return captureBytes(frames)
}

func redacted(t *testing.T, r *Redactor, captures ...[]byte) []byte {
	t.Helper()
	for _, c := range captures {
		if err := r.Learn(bytes.NewReader(c)); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	if err := r.PCAP(t.Context(), &out, bytes.NewReader(captures[0])); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestIdentitiesInClear(t *testing.T) {
	dn := []byte("\x30\x1f\x31\x1d\x30\x1b\x06\x03\x55\x04\x03\x0c\x14gw.customer.example.x")
	certificate := bytes.Repeat([]byte("Customer Inc. root CA 0123456789 "), 60)
	message := aggressive(payload{ike.V1PayloadID, append([]byte{2, 17, 1, 0xf4}, "hq-gw.customer.example"...)},
		payload{ike.V1PayloadID, append([]byte{9, 0, 0, 0}, dn...)},
		payload{ike.V1PayloadID, append([]byte{1, 0, 0, 0}, peerA.AsSlice()...)},
		payload{ike.V1PayloadCERT, append([]byte{4}, certificate...)},
		payload{ike.V1PayloadHASH, bytes.Repeat([]byte{0xab, 0xcd}, 10)})
	for size, name := range map[int]string{4000: "whole", 1480: "in fragments", 24: "in small fragments"} {
		frames := fragmented(message, size)
		if size > 1000 {
			frames = append(frames, quoted(frames[0], 548), quoted(frames[0], 28))
		}
		if size < 1000 {
			lone := fragmented(message, 1480)[1:] // its datagram is not complete
			lone[0][5]++
			binary.BigEndian.PutUint16(lone[0][10:], 0)
			binary.BigEndian.PutUint16(lone[0][10:], ^uint16(sum(lone[0][:20])))
			frames = append(frames, lone[0])
		}
		r := newTest(t)
		before := captureOf(t, frames...)
		after := redacted(t, r, before)
		for _, leak := range []string{"hq-gw", "customer", "Customer", "Inc.", "\xab\xcd\xab\xcd", string(peerA.AsSlice()),
			string(peerB.AsSlice())} {
			if bytes.Contains(after, []byte(leak)) {
				t.Errorf("%s: %q is still in", name, leak)
			}
		}
		compare(t, r, read(t, before), read(t, after))
		again := r.Text("IDr hq-gw.customer.example is")
		if id := strings.Fields(again)[1]; !bytes.Contains(after, []byte(id)) && size > 1000 {
			t.Errorf("%s: the identity is %q in texts, and another one in the capture", name, id)
		}
	}
}

// The old hashes give an address away to a search through the private ranges; the new ones lead to
// the new address.
func TestSearchFindsOnlyTheNewAddress(t *testing.T) {
	i, err := testdata.Load("nat")
	if err != nil {
		t.Fatal(err)
	}
	r := newTest(t)
	after := redacted(t, r, i.A, i.B)
	found := 0
	for _, p := range read(t, after) {
		if p.Kind != packet.IKE || found > 0 {
			continue // a hash of a public address is searched for in vain, and that takes time
		}
		n := natd{hashes: map[string]detection{}, addresses: map[netip.Addr]bool{}, ports: map[uint16]bool{},
			names: map[string]bool{}, identities: map[string]bool{}}
		n.take(&p)
		for h, d := range n.hashes {
			a, ok := ike.SearchNATD(t.Context(), []byte(h), d.spiI, d.spiR, []uint16{500, 4500})
			if !ok {
				continue
			}
			found++
			if a.Addr() != r.Addr(testdata.A4) && a.Addr() != r.Addr(testdata.B4) || a.Addr() == testdata.A4 {
				t.Errorf("frame %d: a search finds %s, want %s or %s", p.Frame, a, r.Addr(testdata.A4), r.Addr(testdata.B4))
			}
		}
	}
	if found == 0 {
		t.Error("no hash leads to an address: the match is lost")
	}
}

func TestCertificateRequests(t *testing.T) {
	i, err := testdata.Load("ike-fragmentation")
	if err != nil {
		t.Fatal(err)
	}
	asked := func(b []byte) (all []string) {
		for _, p := range read(t, b) {
			if p.Kind != packet.IKE {
				continue
			}
			ike.Walk(p.Payload, func(k ike.PayloadType, _ int, body []byte) bool {
				if k == ike.PayloadCREQ {
					all = append(all, string(body))
				}
				return true
			})
		}
		return all
	}
	before, after := asked(i.A), asked(redacted(t, newTest(t), i.A, i.B))
	if len(before) == 0 || len(before) != len(after) {
		t.Fatalf("%d certificate requests became %d", len(before), len(after))
	}
	for k := range before {
		if before[k][1:] == after[k][1:] || before[k][0] != after[k][0] || len(before[k]) != len(after[k]) {
			t.Errorf("the request % x became % x", before[k], after[k])
		}
	}
}

func TestTextLearnsNames(t *testing.T) {
	r := newTest(t, "hq-gw")
	in := `IKEv2 profile: CUSTOMER-X
 Keyring: KEYS-OF-X
 Local identity: fqdn gw1.corp.internal
 Remote identity: email ops@corp.internal
Crypto Map "WAN-MAP" 10 ipsec-isakmp
ip access-list extended TO-BRANCH
*Apr  3 08:17:36.001: IKEv2:(SESSION ID = 7,SA ID = 1):Searching policy based on peer's identity 'R1-KEYID' of type 'KEY-ID'
*Apr  3 08:17:36.001: IKEv2:% Getting preshared key from profile keyring KEYS-TWO
*Apr  3 08:17:36.002: IKEv2:% Matched peer block SPOKE1
*Apr  3 08:17:36.002: IKEv2:Found Policy 'POLICY-OF-X'
%SEC_LOGIN-5-LOGIN_SUCCESS: Login Success [user: jdoe] [Source: 10.9.8.7]
*Nov 26 10:00:00: CUSTOMER-X and KEYS-OF-X, WAN-MAP, TO-BRANCH, jdoe, aa:bb:cc:dd:ee:01 and AABB.CCDD.EE01
runs/hq-gw-20261126/a.pcap bootflash:hq-gw.pcap License UDI: SN:9ABCDEF01 SPI 0xC0A80101(3232235777)
`
	r.LearnText(in)
	if err := r.Learn(bytes.NewReader(captureOf(t, fragmented(aggressive(payload{ike.V1PayloadHASH, make([]byte, 20)}),
		4000)...))); err != nil {
		t.Fatal(err)
	}
	r.prepare(t.Context())
	out := r.Text(in)
	for _, leak := range []string{"CUSTOMER", "KEYS-OF", "corp.internal", "gw1", "ops@", "WAN-MAP", "TO-BRANCH", "jdoe",
		"10.9.8.7", "ee:01", "EE01", "hq-gw", "9ABCDEF01", "R1-KEYID", "KEYS-TWO", "SPOKE1", "POLICY-OF", "C0A80101",
		"3232235777"} {
		if strings.Contains(out, leak) {
			t.Errorf("%q is still in:\n%s", leak, out)
		}
	}
	for _, kept := range []string{"a.pcap", "IKEv2 profile", "Nov 26 10:00:00", "%SEC_LOGIN-5",
		"ip access-list extended"} {
		if !strings.Contains(out, kept) {
			t.Errorf("%q is gone from:\n%s", kept, out)
		}
	}
}
