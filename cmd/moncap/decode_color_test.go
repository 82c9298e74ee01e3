package main

import (
	"regexp"
	"strings"
	"testing"
)

func TestDecodeColours(t *testing.T) {
	escapes := regexp.MustCompile(`\x1b\[[0-9;]*m`)
	for name, want := range map[string][]string{
		"ike-proposal-mismatch": {"\x1b[31m", "IKE_SA_INIT MID=00 Responder Response"},
		"icmp-admin-prohibited": {"\x1b[33m", "prohibited"},
		"healthy":               {"", "IKE_AUTH MID=01 Responder Response"},
	} {
		file := incident(t, name).A
		for _, tree := range []string{"--tree=false", "--tree"} {
			plain, _, _ := decodeOutput(t, file, tree)
			colour, _, _ := decodeOutput(t, file, tree, "--color", "always")
			if strings.Contains(plain, "\x1b") || plain == colour || escapes.ReplaceAllString(colour, "") != plain {
				t.Errorf("%s: colour adds more than colour, or nothing:\n%s", name, colour)
			}
			found := false
			for line := range strings.Lines(colour) {
				found = found || strings.Contains(line, want[1]) && strings.HasPrefix(strings.TrimLeft(line, " "), want[0])
			}
			if !found {
				t.Errorf("%s: no line in %q has %q:\n%s", name, want[0], want[1], colour)
			}
		}
	}
}
