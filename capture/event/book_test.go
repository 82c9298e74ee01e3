package event

import (
	"errors"
	"net/netip"
	"testing"
)

func addrs(all ...string) []netip.Addr {
	var out []netip.Addr
	for _, s := range all {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

// testBook has a hub with two tunnels, one behind NAT, and two peers behind one address.
func testBook() *Book {
	return NewBook([]Router{
		{"hub", addrs("192.0.2.1", "10.0.0.1"), []string{"hub-rtr"}},
		{"s1", addrs("192.0.2.11"), nil},
		{"s2", addrs("192.0.2.12"), nil},
		{"x", addrs("127.0.0.1"), []string{"router-x"}},
		{"y", addrs("127.0.0.1"), []string{"router-y"}},
	}, []Tunnel{
		{"hub-s1", [2]End{{"hub", addrs("203.0.113.1"), "Tunnel1"}, {"s1", addrs("10.1.1.1", "198.51.100.1"), "Tunnel0"}}},
		{"hub-s2", [2]End{{"hub", addrs("203.0.113.1"), "Tunnel2"}, {"s2", addrs("198.51.100.2"), ""}}},
		{"x-y", [2]End{{"x", addrs("192.168.1.1"), ""}, {"y", addrs("192.168.2.1"), ""}}},
	}, addrs("192.0.2.200"))
}

func TestALineFindsItsTunnel(t *testing.T) {
	const down = "%CRYPTO-5-SESSION_STATUS: Crypto tunnel is DOWN.  Peer "
	const line0 = "%LINEPROTO-5-UPDOWN: Line protocol on Interface "
	for _, c := range []struct {
		from, line, tunnel, peer string
		err                      error
	}{
		{"192.0.2.1", "<189>1: " + down + "198.51.100.1:500 Id: a", "hub-s1", "hub", nil},
		{"10.0.0.1", "<189>1: " + down + "10.1.1.1:4500 Id: a", "hub-s1", "hub", nil},
		{"::ffff:192.0.2.1", "<189>1: " + down + "198.51.100.2:500 Id: a", "hub-s2", "hub", nil},
		{"192.0.2.1", "<189>1: " + down + "198.51.100.9:500 Id: a", "", "", ErrNoTunnel},
		{"192.0.2.12", "<189>1: " + down + "203.0.113.1:500 Id: a", "hub-s2", "s2", nil},
		{"192.0.2.1", "<189>1: " + line0 + "Tunnel2, changed state to down", "hub-s2", "hub", nil},
		{"192.0.2.1", "<189>1: " + line0 + "Tunnel9, changed state to down", "", "", ErrNoTunnel},
		// its only one, of unknown interface
		{"192.0.2.12", "<189>1: " + line0 + "Tunnel9, changed state to down", "hub-s2", "s2", nil},
		{"192.0.2.11", "<189>1: %IKEV2-5-SA_DOWN: SA DOWN", "hub-s1", "s1", nil},
		{"192.0.2.1", "<189>1: %IKEV2-5-SA_DOWN: SA DOWN", "", "", &AmbiguousError{}},
		{"203.0.113.50", "<189>1: " + down + "198.51.100.1:500 Id: a", "", "", ErrStranger},
		{"203.0.113.50", "<189>Nov 29 12:00:00 hub 1: " + down + "198.51.100.1:500 Id: a", "", "", ErrStranger},
		{"192.0.2.200", "<189>Nov 29 12:00:00 HUB-rtr.example.net 1: " + down + "198.51.100.1:500 Id: a", "hub-s1", "hub",
			nil},
		{"192.0.2.200", "<189>Nov 29 12:00:00 192.0.2.12 1: %IKEV2-5-SA_DOWN: SA DOWN", "hub-s2", "s2", nil},
		{"192.0.2.200", "<189>Nov 29 12:00:00 other 1: " + down + "198.51.100.1:500 Id: a", "", "", ErrNoTunnel},
		// it may speak for itself alone
		{"192.0.2.11", "<189>1: hub: " + down + "198.51.100.2:500 Id: a", "", "", ErrNoTunnel},
		{"127.0.0.1", "<189>1: " + down + "192.168.2.1:500 Id: a", "x-y", "x", nil},
		{"127.0.0.1", "<189>1: router-y: *Nov 29 11:00:00.000: %IKEV2-5-SA_DOWN: SA DOWN", "x-y", "y", nil},
		{"127.0.0.1", "<189>1: %IKEV2-5-SA_DOWN: SA DOWN", "x-y", "", nil},
		{"192.0.2.1", "<189>1: %SYS-5-CONFIG_I: x", "", "", ErrMeaningless},
	} {
		e, err := testBook().Read(netip.MustParseAddr(c.from), []byte(c.line), now)
		_, ambiguous := errors.AsType[*AmbiguousError](err)
		_, wanted := errors.AsType[*AmbiguousError](c.err)
		if e.Tunnel != c.tunnel || e.Peer != c.peer || ambiguous != wanted || !wanted && !errors.Is(err, c.err) {
			t.Errorf("%s %s: tunnel %q of %q, %v; want %q of %q, %v", c.from, c.line, e.Tunnel, e.Peer, err, c.tunnel, c.peer,
				c.err)
		}
	}
}

func TestTunnelOfARouter(t *testing.T) {
	for router, want := range map[string]string{"s1": "hub-s1", "S2": "hub-s2", "192.0.2.11": "hub-s1", "hub": "",
		"no": "", "": "", "127.0.0.1": "x-y"} {
		if got, _ := testBook().TunnelOf(router); got != want {
			t.Errorf("%q: %q, want %q", router, got, want)
		}
	}
}
