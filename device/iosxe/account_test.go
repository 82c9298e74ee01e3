package iosxe

import (
	"slices"
	"strings"
	"testing"
)

func TestNarrowAccountCoversItsCommandsAndNoOther(t *testing.T) {
	granted := NarrowCommands()
	covered := func(line string) bool {
		return slices.ContainsFunc(granted, func(g string) bool { return line == g || strings.HasPrefix(line, g+" ") })
	}
	narrow := map[string]bool{}
	for _, d := range AllCommands() {
		narrow[d.Name] = d.Narrow
	}
	for _, c := range everyCommand(t) {
		if narrow[c.Name] && !covered(c.Lines[0]) {
			t.Errorf("%q is needed and not granted", c.Lines[0])
		}
	}
	for _, line := range []string{"configure terminal", "delete /force bootflash:x", "dir bootflash:", "show running-config", "reload", "clear crypto session", "debug crypto ikev2", "copy running-config startup-config"} {
		if covered(line) {
			t.Errorf("%q is granted by %q", line, granted)
		}
	}
}
