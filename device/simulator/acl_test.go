package simulator

import (
	"strings"
	"testing"
)

func parsed(t *testing.T, data []byte) frame {
	t.Helper()
	f, ok := parseFrame(data)
	if !ok {
		t.Fatal("not a frame")
	}
	return f
}

func TestPermits(t *testing.T) {
	const a, b, a6, b6 = "192.168.1.1", "192.168.2.1", "fd00:1::1", "fd00:2::1"
	unreachable, echo := []byte{3, 13, 0, 0, 0, 0, 0, 0}, []byte{8, 0, 0, 0, 0, 0, 0, 0}
	tests := map[string]struct {
		six     bool
		entries []string
		frame   []byte
		want    bool
	}{
		"udp":          {false, []string{"permit udp host " + a + " host " + b}, udp(a, b, 500, 500, 4), true},
		"the way back": {false, []string{"permit udp host " + a + " host " + b}, udp(b, a, 500, 500, 4), false},
		"port": {false, []string{"permit udp host " + a + " eq isakmp host " + b + " eq 500"},
			udp(a, b, 500, 500, 4), true},
		"other port": {false, []string{"permit udp any any eq 4500"}, udp(a, b, 500, 500, 4), false},
		"first fragment": {false, []string{"permit udp any any eq 500"},
			ipFrame(a, b, 17, 0x2000, []byte{1, 244, 1, 244, 0, 0, 0, 0}), true},
		"later fragment": {false, []string{"permit udp any any eq 500"},
			ipFrame(a, b, 17, 185, []byte{9, 9, 9, 9, 9, 9, 9, 9}), true},
		"later of other host": {false, []string{"permit udp host " + b + " any eq 500"},
			ipFrame(a, b, 17, 185, []byte{9, 9, 9, 9}), false},
		"esp":       {false, []string{"permit esp any host " + b}, ipFrame(a, b, 50, 0, make([]byte, 20)), true},
		"ah":        {false, []string{"permit ahp any any"}, ipFrame(a, b, 51, 0, make([]byte, 20)), true},
		"by number": {false, []string{"permit 47 any any"}, ipFrame(a, b, 47, 0, make([]byte, 20)), true},
		"ip":        {false, []string{"permit ip any any"}, ipFrame(a, b, 89, 0, make([]byte, 20)), true},
		"unreachable": {false, []string{"permit icmp any host " + b + " unreachable"},
			ipFrame(a, b, 1, 0, unreachable), true},
		"echo": {false, []string{"permit icmp any any unreachable"}, ipFrame(a, b, 1, 0, echo), false},
		"denied first": {false, []string{"deny udp any any eq 500", "permit ip any any"}, udp(a, b, 1, 500, 4),
			false},
		"wildcard":            {false, []string{"permit ip 192.168.0.0 0.0.255.255 any"}, udp(a, b, 1, 2, 4), true},
		"not in the wildcard": {false, []string{"permit ip 192.168.2.0 0.0.0.255 any"}, udp(a, b, 1, 2, 4), false},
		"empty list":          {false, nil, udp(a, b, 1, 2, 4), false},
		"six": {true, []string{"permit udp host " + a6 + " host FD00:2::1"}, udp(a6, b6, 500, 500, 4),
			true},
		"six prefix": {true, []string{"permit ipv6 FD00:1::/64 any"}, udp(a6, b6, 500, 500, 4), true},
		"six too big": {true, []string{"permit icmp any any packet-too-big"},
			ipFrame(a6, b6, 58, 0, []byte{2, 0, 0, 0}), true},
		"six unreachable": {true, []string{"permit icmp any any unreachable"},
			ipFrame(a6, b6, 58, 0, []byte{2, 0, 0, 0}), false},
		"four in a list of six": {true, []string{"permit ipv6 any any"}, udp(a, b, 1, 2, 4), false},
		"six in a list of four": {false, []string{"permit ip any any"}, udp(a6, b6, 1, 2, 4), false},
		"six fragment extension": {true, []string{"permit udp any any eq 500"},
			ipFrame(a6, b6, 44, 0, append([]byte{17, 0, 0, 8, 0, 0, 0, 1}, make([]byte, 20)...)), true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			l := &accessList{name: "x", six: tt.six}
			for _, e := range tt.entries {
				if err := l.addText(e); err != nil {
					t.Fatalf("%s: %v", e, err)
				}
			}
			if got := l.permits(parsed(t, tt.frame)); got != tt.want {
				t.Errorf("permits: %v", got)
			}
		})
	}
}

func TestListEditing(t *testing.T) {
	c := login(t, start(t, Config{Version: "16.12.6"}))
	for _, line := range []string{"conf t", "ip access-list extended x", "permit udp any any eq 500",
		"20 deny ip host 192.0.2.1 any log",
		"15 permit esp any any", "permit udp any any eq isakmp", "no 20", "no permit esp any any", "permit icmp any any echo",
		"ipv6 access-list six",
		"permit udp host 2001:db8::1 host 2001:db8::2", "sequence 5 deny ipv6 any any", "end"} {
		if out := c.run(line); strings.Contains(out, "%") {
			t.Errorf("%s: %s", line, out)
		}
	}
	if got, want := c.run("show access-lists"), "Extended IP access list x\n    10 permit udp any any eq isakmp\n    20 "+
		"permit icmp any any echo\nIPv6 access list six\n    deny ipv6 any any sequence 5\n    permit udp host 2001:DB8::1 "+
		"host 2001:DB8::2 sequence 10\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if got := c.run("show running-config | section access-list"); got != "ip access-list extended x\n permit udp any "+
		"any eq isakmp\n permit icmp any any echo\nipv6 access-list six\n deny ipv6 any any\n permit udp host 2001:DB8::1 "+
		"host 2001:DB8::2\n" {
		t.Errorf("configuration: %s", got)
	}
	c.run("conf t")
	c.run("ip access-list extended x")
	if out := c.run("10 deny ip any any"); !strings.Contains(out, "% Duplicate sequence number") {
		t.Errorf("duplicate: %q", out)
	}
	if out := c.run("permit udp any"); out != "% Incomplete command.\n\n" {
		t.Errorf("incomplete: %q", out)
	}
	c.run("no ip access-list extended x")
	c.run("end")
	if out := c.run("show access-lists x"); out != "" {
		t.Errorf("it is still there: %s", out)
	}
	if out := c.run("conf t"); !strings.HasPrefix(out, "Enter configuration commands, one per line.  End with CNTL/Z.") {
		t.Errorf("configure: %q", out)
	}
}

// From 17 on entries show their numbers in the configuration.
func TestListNumbers(t *testing.T) {
	r := start(t, Config{Version: "17.9.4", ACLs: []ACL{{Name: "x", Entries: []string{"permit esp any any"}},
		{Name: "y", IPv6: true, Entries: []string{"permit esp any any"}}}})
	if got := r.RunningConfig(); !strings.Contains(got, "ip access-list extended x\n 10 permit esp any any\n") ||
		!strings.Contains(got, "ipv6 access-list y\n sequence 10 permit esp any any\n") {
		t.Errorf("configuration:\n%s", got)
	}
}

func FuzzFrame(f *testing.F) {
	f.Add(udp("192.168.1.1", "192.168.2.1", 500, 500, 4))
	f.Add(ipFrame("fd00::1", "fd00::2", 44, 0, make([]byte, 30)))
	f.Add(ipFrame("fd00::1", "fd00::2", 0, 0, make([]byte, 30)))
	f.Add(ipFrame("fd00::1", "fd00::2", 60, 0, []byte{17, 255, 0, 0, 0, 0, 0, 0, 0, 0}))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, ok := parseFrame(data)
		if ok != got.ip {
			t.Errorf("ok %v, ip %v", ok, got.ip)
		}
		if !strings.HasSuffix(dumpText(data), "\n") && len(data) > 0 {
			t.Error("the dump does not end")
		}
	})
}
