package capture

import (
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/moncap/moncap/device/iosxe"
)

// evil are values that would end a line, ask for help, complete a word, pipe, or open a comment,
// were they typed.
var evil = []string{"\n", "\r", "?", "\t", "|", ";", "!", "\x03", "\x16", "\x1a", "\x00", "\x1b[A", "\u2028", "\u00a0",
	"\u202e", "\uff1b", "'", "\"", "`", "$(", " reload", "\\"}

// harmlessPlan holds every line of a plan against what may be typed: nothing, or one command of the
// list.
func harmlessPlan(t *testing.T, values ...string) {
	t.Helper()
	a := Endpoint{Name: values[0], Address: netip.MustParseAddr("192.168.1.1"), Interface: values[1], VRF: values[2],
		ExpectHostname: values[3]}
	b := Endpoint{Name: "b", Address: netip.MustParseAddr("192.168.2.1"), Interface: "GigabitEthernet1"}
	p, err := NewPlan("t", a, b, Settings{Name: values[4], Trigger: values[5], ViaExport: values[6],
		Duration: time.Minute}, "20261126-101500-"+values[7])
	if err != nil {
		return // refused
	}
	for _, s := range p.Steps(A) {
		if !iosxe.Allowed(s.Command) {
			t.Errorf("%q is not in the list", s.Command.Lines)
		}
		for _, line := range s.Command.Lines {
			line = strings.TrimSuffix(strings.TrimSuffix(line, " | include ip scp server"), " | include CPU utilization")
			if i := strings.IndexFunc(line, func(r rune) bool {
				return r > unicode.MaxASCII || unicode.IsControl(r) || strings.ContainsRune("?|;!'\"`$\\<>()&", r)
			}); i >= 0 {
				t.Errorf("%q could be more than one command", line)
			}
		}
	}
}

var harmless = []string{"a", "GigabitEthernet1", "WAN", "R1", "mc1",
	"ping vrf WAN 192.168.2.1 source GigabitEthernet1 repeat 3", "scp://ops@192.0.2.5/captures", "ab12cd"}

func TestNoFieldLeavesItsLine(t *testing.T) {
	for field := range harmless {
		for _, e := range evil {
			for _, at := range []func(string) string{
				func(s string) string { return s + e }, func(s string) string { return e + s },
				func(s string) string { return s[:1] + e + s[1:] },
				func(s string) string { return s + e + "reload" + e },
			} {
				values := append([]string(nil), harmless...)
				values[field] = at(values[field])
				harmlessPlan(t, values...)
			}
		}
	}
}

func FuzzNoFieldLeavesItsLine(f *testing.F) {
	h := harmless
	f.Add(h[0], h[1], h[2], h[3], h[4], h[5], h[6], h[7])
	f.Add("a", "Gi1\nreload", "W|x", "R1?", "mc;1", "clear crypto session remote 192.168.2.1!", "scp://ops@[::1]:2//x",
		"ab\x1a12cd")
	f.Fuzz(func(t *testing.T, a, b, c, d, e, g, h, i string) { harmlessPlan(t, a, b, c, d, e, g, h, i) })
}
