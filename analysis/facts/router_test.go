package facts

import (
	"slices"
	"testing"

	"github.com/moncap/moncap/analysis/exchange"
)

// An access list is read alike whichever family it is of: IPv6 lines carry their sequence numbers
// behind them.
func TestPermitsOfBothFamilies(t *testing.T) {
	const text = `IPv6 access list VPN6
    permit ipv6 2001:DB8:1::/64 2001:DB8:2::/64 sequence 10
    permit esp any any (5 matches) sequence 20
    deny ipv6 any any sequence 30
Extended IP access list VPN4
    10 permit ip 10.1.0.0 0.0.255.255 10.2.0.0 0.0.255.255 (3 matches)
`
	for name, want := range map[string][]string{
		"VPN6": {"permit ipv6 2001:DB8:1::/64 2001:DB8:2::/64", "permit esp any any"},
		"VPN4": {"permit ip 10.1.0.0 0.0.255.255 10.2.0.0 0.0.255.255"},
		"VPN":  nil,
	} {
		if got := (Config{"show-access-lists": text}).Permits(name); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestLimits(t *testing.T) {
	shows := map[string]string{
		"show-capture": `Status Information for Capture CAP
  Target Type: 
 Interface: GigabitEthernet1, Direction: BOTH
   Status : Inactive
  Buffer Details: 
   Buffer Type: CIRCULAR
   Buffer Size (in MB): 10
  Limit Details: 
   Number of Packets to capture: 0 (no limit)
   Maximum number of packets to capture per second: 500
`,
		"show-capture-buffer": ` buffer size (KB) : 10240
 buffer used (KB) : 10200
 packets in buf   : 42
 packets dropped  : 0
 packets per sec  : 7
`,
	}
	l := LimitsOf(shows, nil)
	if want := (Limits{Size: 10240, Used: 10200, Held: 42, PPS: 500, Full: true, Circular: true}); l != want {
		t.Errorf("%+v, want %+v", l, want)
	}
	const parameters = "monitor capture CAP buffer size 10 circular\nmonitor capture CAP limit pps 200\n"
	busy := &exchange.Story{Peak: exchange.Peak{Packets: 200, AtLeast: 5}}
	l = LimitsOf(map[string]string{"show-capture-parameter": parameters}, busy)
	if !l.Circular || l.PPS != 200 || !l.RateReached || l.Full {
		t.Errorf("by the parameters: %+v", l)
	}
	const unlimited = "Status Information for Capture CAP\n  Limit Details:\n   Packets per second: 0 (no limit)\n"
	if l = LimitsOf(map[string]string{"show-captures": unlimited}, nil); l.PPS != 0 {
		t.Errorf("without a limit: %+v", l)
	}
	if l = LimitsOf(nil, nil); l != (Limits{PPS: defaultPPS}) {
		t.Errorf("of nothing: %+v", l)
	}
}
