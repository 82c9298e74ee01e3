package iosxe

import (
	"maps"
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
	for i, g := range granted {
		first := slices.IndexFunc(granted, func(o string) bool { return strings.HasPrefix(g+" ", o+" ") })
		if first != i {
			t.Errorf("%q is granted already by %q", g, granted[first])
		}
	}
	for _, line := range []string{"configure terminal", "delete /force bootflash:x", "dir bootflash:",
		"show running-config", "reload", "clear crypto session", "debug crypto ikev2", "copy running-config startup-config"} {
		if covered(line) {
			t.Errorf("%q is granted by %q", line, granted)
		}
	}
}

// What only an option needs is said to be that, and all else is not.
func TestNarrowAccountTellsWhatIsOptIn(t *testing.T) {
	var option string
	got := map[string]string{}
	for _, line := range NarrowAccount("captor") {
		command, granted := strings.CutPrefix(line, " commands exec include all ")
		if why, is := strings.CutPrefix(line, "! Opt-in, only for runs "); is {
			option, _, _ = strings.Cut(why, ";")
			continue
		}
		if granted && option != "" {
			got[command] = option
		}
		option = ""
	}
	want := map[string]string{"show logging process ios start last": "with --binary-trace",
		"ping": `with --trigger "ping ..."`}
	if !maps.Equal(got, want) {
		t.Errorf("opt-in: %q, want %q", got, want)
	}
}
