package redact

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
)

func newTest(t *testing.T, names ...string) *Redactor {
	t.Helper()
	r, err := New(bytes.Repeat([]byte{7}, KeyLen), names)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func commonBits(a, b netip.Addr) int {
	x, y := a.AsSlice(), b.AsSlice()
	for bit := range len(x) * 8 {
		if (x[bit/8]^y[bit/8])&(0x80>>(bit%8)) != 0 {
			return bit
		}
	}
	return len(x) * 8
}

func TestAddressesKeepTheirKindAndTheirPrefixes(t *testing.T) {
	r := newTest(t)
	groups := [][]string{
		{"192.168.1.1", "192.168.1.2", "192.168.2.1"}, {"10.0.0.1", "10.0.0.2", "10.1.0.1"}, {"172.16.5.1", "172.31.5.1"},
		{"198.51.100.1", "198.51.100.2", "198.51.1.1"}, {"2001:db8::1", "2001:db8::2", "2001:db8:1::1"},
		{"fd00:1::1", "fd00:2::1"}, {"fe80::1", "fe80::211:22ff:fe33:4455"}, {"ff02::1:ff33:4455", "ff02::1:ff33:4456"},
	}
	for _, g := range groups {
		for _, s := range g {
			for _, u := range g {
				a, b := netip.MustParseAddr(s), netip.MustParseAddr(u)
				ra, rb := r.Addr(a), r.Addr(b)
				if commonBits(a, b) != commonBits(ra, rb) {
					t.Errorf("%s and %s share %d bits, %s and %s %d", a, b, commonBits(a, b), ra, rb, commonBits(ra, rb))
				}
				if kindOf(a) != kindOf(ra) || a == ra {
					t.Errorf("%s became %s", a, ra)
				}
			}
		}
	}
	for _, s := range []string{"127.0.0.1", "224.0.0.5", "169.254.1.1", "ff02::1", "0.0.0.0", "255.255.255.255"} {
		if a := netip.MustParseAddr(s); r.Addr(a) != a {
			t.Errorf("%s became %s", a, r.Addr(a))
		}
	}
}

func TestNoTwoAddressesBecomeOne(t *testing.T) {
	r := newTest(t)
	seen := map[netip.Addr]netip.Addr{}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		v := rng.Uint32()
		a := netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
		to := r.Addr(a)
		if from, ok := seen[to]; ok && from != a {
			t.Fatalf("%s and %s both became %s", from, a, to)
		}
		seen[to] = a
	}
}

func TestText(t *testing.T) {
	r := newTest(t, "site-A", "hq-branch")
	in := "site-A#show version\nsite-a uptime is 1 day\npermit udp host 192.168.1.1 host 2001:db8::1\nip address " +
		"192.168.1.1 255.255.255.0\nsite-A.pcap 0011.2233.4455 admin@example.com\nProcessor board ID 9ABC\nat 10:20:30 the " +
		"tunnel hq-branch\n"
	out := r.Text(in)
	for _, leak := range []string{"site-A", "site-a", "192.168.1.1", "2001:db8", "hq-branch", "admin@", "2233", "9ABC"} {
		if strings.Contains(out, leak) {
			t.Errorf("%q is still in:\n%s", leak, out)
		}
	}
	for _, kept := range []string{"255.255.255.0", "10:20:30", "show version",
		"permit udp host " + r.Addr(netip.MustParseAddr("192.168.1.1")).String(), ".pcap"} {
		if !strings.Contains(out, kept) {
			t.Errorf("%q is gone from:\n%s", kept, out)
		}
	}
}

func TestPortsBehindIPv6AddressesStay(t *testing.T) {
	r := newTest(t)
	to, from := r.Addr(netip.MustParseAddr("fc00:123:123:123::1")).String(),
		r.Addr(netip.MustParseAddr("2001:db8:1:2:3:4:5:6")).String()
	want := "Sending Packet [To " + to + ":500/From " + from + ":4500/VRF i0:f0], of " + to
	if got := r.Text("Sending Packet [To FC00:123:123:123::1:500/From 2001:db8:1:2:3:4:5:6:4500/VRF i0:f0], of " +
		"FC00:123:123:123::1"); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// RFC 1624, Section 4: a header with checksum 0xDD2F, a word of which changes
// from 0x5555 to 0x3285.
func TestAdjust(t *testing.T) {
	c := []byte{0xdd, 0x2f}
	adjust(c, difference(0x5555, 0x3285))
	if c[0] != 0 || c[1] != 0 {
		t.Errorf("checksum %x, want 0000", c)
	}
}
