package analysis_test

import (
	"slices"
	"strings"
	"testing"
)

// What is advised against packets that are too large is what was measured; where only bounds are
// known, to measure it.
func TestAdvisedSizesFit(t *testing.T) {
	for name, want := range map[string][]string{
		"packet-too-big": {"crypto ikev2 fragmentation mtu 1000", "ip tcp adjust-mss 860"},
		"mtu-black-hole": {"ping 192.168.2.1 size 802 df-bit", "ping 192.168.2.1 size 901 df-bit"},
	} {
		var got []string
		for _, f := range variants()[0].compare(t, name).Findings {
			if f.Code != name {
				continue
			}
			for _, a := range f.Actions {
				got = append(got, a.Commands...)
			}
		}
		for _, line := range want {
			if !slices.Contains(got, line) {
				t.Errorf("%s: %q is not in %q", name, line, got)
			}
		}
		if configures := slices.ContainsFunc(got, func(c string) bool {
			return strings.Contains(c, "mtu") ||
				strings.Contains(c, "mss")
		}); configures != (name == "packet-too-big") {
			t.Errorf("%s: %q", name, got)
		}
	}
}
