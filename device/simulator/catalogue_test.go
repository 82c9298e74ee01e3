package simulator_test

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/moncap/moncap/device/iosxe"
	"github.com/moncap/moncap/device/simulator"
)

// Every command that moncap can send is one that the router knows, spelled out with and without its
// optional parts.
func TestCatalogueIsUnderstood(t *testing.T) {
	bad := regexp.MustCompile(`Invalid input|Incomplete command|Ambiguous|Unknown command`)
	for _, d := range iosxe.AllCommands() {
		if d.Mode == iosxe.Transfer {
			continue // nothing that is typed
		}
		controller := simulator.Knobs{Controller: d.Name == "show-sdwan-version"} // others do not know it
		version := map[bool]string{true: "17.9.4a", false: "16.12.5"}[d.Name == "show-binary-trace"]
		r := newRouter(t, simulator.Config{Version: version, Knobs: controller, Flash: map[string][]byte{"f": nil},
			ACLs: []simulator.ACL{{Name: "x", Entries: []string{"permit ip any any"}}}})
		for _, lines := range blocks(d) {
			if out := r.Type(lines...); bad.MatchString(out) {
				t.Errorf("%s: %q: %s", d.Name, lines, out)
			}
		}
	}
}

// blocks are the lines to type for a description, one block for each spelling.
func blocks(d iosxe.Description) (all [][]string) {
	const families = "{ip access-list extended|ipv6 access-list}"
	switch {
	case d.Name == "end":
		return [][]string{{"configure terminal", "end"}}
	case d.Mode != iosxe.Config:
		for _, line := range d.Syntax {
			for _, s := range spellings(line) {
				all = append(all, []string{s})
			}
		}
		return all
	}
	for family, address := range map[string]string{"ip access-list extended": "192.0.2.1",
		"ipv6 access-list": "2001:DB8::1"} {
		first := strings.NewReplacer(families, family, "<name>",
			strings.ReplaceAll("new-"+family[:4], " ", "")).Replace(d.Syntax[0])
		all = append(all, []string{"configure terminal", first, "end"})
		for _, entry := range d.Syntax[1:] {
			for _, s := range spellings(strings.ReplaceAll(entry, "<ip>", address)) {
				all = append(all, []string{"configure terminal", first, s, "end"})
			}
		}
	}
	return all
}

var (
	choice   = regexp.MustCompile(`\{([^{}]*)\}`)
	optional = regexp.MustCompile(`\[([^\[\]]*)\]`)
)

// spellings are the lines that a syntax stands for, with sensible values.
func spellings(syntax string) []string {
	if m := choice.FindStringSubmatchIndex(syntax); m != nil {
		var all []string
		for _, c := range strings.Split(syntax[m[2]:m[3]], "|") {
			all = append(all, spellings(syntax[:m[0]]+c+syntax[m[1]:])...)
		}
		return all
	}
	if m := optional.FindStringSubmatchIndex(syntax); m != nil {
		return append(spellings(syntax[:m[0]]+syntax[m[1]:]), spellings(syntax[:m[0]]+syntax[m[2]:m[3]]+syntax[m[1]:])...)
	}
	address := "192.0.2.1"
	if strings.Contains(syntax, "ipv6") {
		address = "2001:DB8::1"
	}
	syntax = strings.NewReplacer("packet-len <n>", "packet-len 128", "packet-trace packet <n>",
		"packet-trace packet 64").Replace(syntax)
	return []string{strings.NewReplacer("<name>", "x", "<interface>", "GigabitEthernet1", "<file>", "bootflash:f", "<vrf>",
		"red", "<ip>", address, "<n>", "5").Replace(syntax)}
}

func newRouter(t *testing.T, c simulator.Config) *simulator.Router {
	t.Helper()
	c.VRFs = []string{"red"}
	c.Interfaces = []simulator.Interface{{Name: "GigabitEthernet1", Address: netip.MustParseAddr("192.168.1.1")}}
	r, err := simulator.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// Type keeps the mode within one call only, as a console session would.
func TestType(t *testing.T) {
	r := newRouter(t, simulator.Config{})
	before := r.RunningConfig()
	if out := r.Type("conf t", "ip access-list extended left", "permit esp any any", "end",
		"monitor capture foreign access-list left interface gi1 both start"); !strings.Contains(out,
		"Started capture point : foreign") {
		t.Errorf("printed %q", out)
	}
	if got := r.CapturePoints(); len(got) != 1 || got[0] != "foreign" || r.RunningConfig() == before ||
		len(r.Commands()) != 0 {
		t.Errorf("captures %v, commands %q", got, r.Commands())
	}
	r.Type("monitor capture foreign stop", "no monitor capture foreign", "conf t", "no ip access-list extended left")
	if got := r.RunningConfig(); got != before {
		t.Errorf("not undone:\n%s", got)
	}
}

// A parser view with the narrow account's commands lets those through and hides the others.
func TestView(t *testing.T) {
	r := newRouter(t, simulator.Config{View: iosxe.NarrowCommands()})
	asked := sessionOf(t, r)
	for _, line := range []string{"show clock detail", "monitor capture x match any", "show monitor capture x buffer dump",
		"no monitor capture x"} {
		if out := asked(line); strings.Contains(out, "%") {
			t.Errorf("%s: %s", line, out)
		}
	}
	for _, line := range []string{"configure terminal", "delete /force bootflash:x", "show running-config",
		"show logging"} {
		if out := asked(line); !strings.Contains(out, "% Invalid input detected at '^' marker.") {
			t.Errorf("%s: %s", line, out)
		}
	}
}
