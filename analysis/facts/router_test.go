package facts

import (
	"slices"
	"testing"

	"github.com/moncap/moncap/analysis/exchange"
)

// An access list is read alike whichever family it is of: IPv6 lines carry their sequence numbers behind them.
func TestPermitsOfBothFamilies(t *testing.T) {
	const text = "IPv6 access list VPN6\n    permit ipv6 2001:DB8:1::/64 2001:DB8:2::/64 sequence 10\n    permit esp any any (5 matches) sequence 20\n" +
		"    deny ipv6 any any sequence 30\nExtended IP access list VPN4\n    10 permit ip 10.1.0.0 0.0.255.255 10.2.0.0 0.0.255.255 (3 matches)\n"
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
		"show-capture": "Status Information for Capture CAP\n  Target Type: \n Interface: GigabitEthernet1, Direction: BOTH\n   Status : Inactive\n" +
			"  Buffer Details: \n   Buffer Type: CIRCULAR\n   Buffer Size (in MB): 10\n  Limit Details: \n   Number of Packets to capture: 0 (no limit)\n" +
			"   Maximum number of packets to capture per second: 500\n",
		"show-capture-buffer": " buffer size (KB) : 10240\n buffer used (KB) : 10200\n packets in buf   : 42\n packets dropped  : 0\n packets per sec  : 7\n",
	}
	l := LimitsOf(shows, nil)
	if want := (Limits{Size: 10240, Used: 10200, Held: 42, PPS: 500, Full: true, Circular: true}); l != want {
		t.Errorf("%+v, want %+v", l, want)
	}
	l = LimitsOf(map[string]string{"show-capture-parameter": "monitor capture CAP buffer size 10 circular\nmonitor capture CAP limit pps 200\n"},
		&exchange.Story{Peak: exchange.Peak{Packets: 200, AtLeast: 5}})
	if !l.Circular || l.PPS != 200 || !l.RateReached || l.Full {
		t.Errorf("by the parameters: %+v", l)
	}
	if l = LimitsOf(map[string]string{"show-captures": "Status Information for Capture CAP\n  Limit Details:\n   Packets per second: 0 (no limit)\n"}, nil); l.PPS != 0 {
		t.Errorf("without a limit: %+v", l)
	}
	if l = LimitsOf(nil, nil); l != (Limits{PPS: defaultPPS}) {
		t.Errorf("of nothing: %+v", l)
	}
}
