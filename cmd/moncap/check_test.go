package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket/pcapgo"

	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/device/simulator"
)

// TestCheckRefuses has each reason for which a router is left alone, on the
// simulated router itself.
func TestCheckRefuses(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		change     func(*simulator.Config)
		spoil      func(t *testing.T, l *testLab)
		args       []string
	}{
		{name: "CPU", want: "cpu .* limit is 80%", change: func(c *simulator.Config) { c.Knobs.CPU = 93 }},
		{name: "memory", want: "memory .* limit is 95%", change: func(c *simulator.Config) { c.Knobs.MemoryFree = 2 }},
		{name: "bootflash", want: `bootflash .* 20 MB needed`, change: func(c *simulator.Config) { c.FlashFree = 5 << 20 }},
		{name: "capture point of that name", want: "capture point .*exists already",
			spoil: typed("monitor capture other match any interface gi1 both"), args: []string{"--name", "other"}},
		{name: "as many runs as it takes", want: "mc0123ab captures for other runs of moncap, and limits.runs allows 1",
			spoil: typed("monitor capture mc0123ab match any interface gi1 both", "monitor capture mc0123ab start")},
		{name: "access list of that name", want: "access list .*exists already",
			spoil: typed("configure terminal", "ip access-list extended other", "permit ip any any"),
			args:  []string{"--name", "other"}},
		{name: "file of that name", want: "exists already; it is not overwritten",
			change: func(c *simulator.Config) { c.Flash = map[string][]byte{"other.pcap": []byte("x")} },
			args:   []string{"--name", "other"}},
		{name: "no such interface", want: "GigabitEthernet7 does not exist; there are: GigabitEthernet1",
			spoil: edited("interface: GigabitEthernet1, address: \"192.168.1.1\"",
				"interface: GigabitEthernet7, address: \"192.168.1.1\"")},
		{name: "interface down", want: "administratively down",
			change: func(c *simulator.Config) { c.Interfaces[0].Down = true }},
		{name: "no EPC", want: "refuse ", change: func(c *simulator.Config) { c.Knobs.NoEPC = true }},
		{name: "no SCP, and too much for the dump", want: "a buffer of 50 MB would take about",
			change: func(c *simulator.Config) { c.Knobs.NoSCP = true }, args: []string{"--buffer", "50"}},
		{name: "clocks apart", want: "clocks .*apart", change: skewed(40*time.Minute, -40*time.Minute)},
		{name: "clock far from ours", want: "from ours, the limit is 1h", change: skewed(3*time.Hour, 3*time.Hour)},
		{name: "level 1", want: "level 1", change: func(c *simulator.Config) { c.Privilege = 1 }},
		{name: "another router", want: "it calls itself",
			spoil: edited("site-a: {", "site-a: {expect_hostname: elsewhere, ")},
		{name: "captures are not authorized", want: "Command authorization failed", change: func(c *simulator.Config) {
			c.Authorize = func(line string) bool { return line != "show monitor capture" }
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := newLabWith(t, "healthy", func(c *simulator.Config) {
				if tt.change != nil {
					tt.change(c)
				}
			})
			if tt.spoil != nil {
				tt.spoil(t, l)
				l.before = [2]routerState{stateOf(l.routers[0]), stateOf(l.routers[1])}
			}
			r := moncap(t, append([]string{"check", "demo", "-i", l.inventory}, tt.args...)...)
			if r.code != exitFailed || !regexp.MustCompile(tt.want).MatchString(r.stdout+r.stderr) {
				t.Errorf("check: exit %d, want %q\n%s%s", r.code, tt.want, r.stdout, r.stderr)
			}
			r = moncap(t, append([]string{"run", "demo", "-i", l.inventory, "--out", filepath.Join(l.dir, "b"), "--duration",
				"1s"}, tt.args...)...)
			if r.code != exitFailed || !strings.Contains(r.stderr, "check: ") {
				t.Errorf("run: exit %d\n%s", r.code, r.stderr)
			}
			for _, router := range l.routers {
				if all := router.Commands(); slices.ContainsFunc(all, makes.MatchString) {
					t.Errorf("sent all the same: %q", all)
				}
			}
			l.nothingLeft(t, r)
		})
	}
}

// makes matches what makes something on a router.
var makes = regexp.MustCompile(
	`^(?:(?:ip|ipv6) access-list|permit|monitor capture mc|monitor capture other (?:access|buffer))`)

func typed(lines ...string) func(*testing.T, *testLab) {
	return func(t *testing.T, l *testLab) {
		if said := l.routers[0].Type(lines...); strings.Contains(said, "%") {
			t.Fatal(said)
		}
	}
}

func edited(before, after string) func(*testing.T, *testLab) {
	return func(t *testing.T, l *testLab) { l.edit(t, before, after) }
}

// skewed gives the first router one clock and the second another.
func skewed(a, b time.Duration) func(*simulator.Config) {
	return func(c *simulator.Config) {
		c.ClockOffset = a
		if c.Hostname != "site-A" {
			c.ClockOffset = b
		}
	}
}

// TestDumpHasTheSamePackets captures the same negotiation with SCP and without: every byte of every
// packet is the same, and the report says which one has the times of the listing.
func TestDumpHasTheSamePackets(t *testing.T) {
	for _, incident := range []string{"healthy", "ip-fragments-lost", "ipv6", "rekey-and-delete"} {
		t.Run(incident, func(t *testing.T) {
			t.Parallel()
			var packets [2][2][][]byte
			for i, noSCP := range []bool{false, true} {
				l := newLabWith(t, incident, func(c *simulator.Config) { c.Knobs.NoSCP = noSCP })
				out := filepath.Join(l.dir, "b")
				r := moncap(t, "run", "demo", "-i", l.inventory, "--out", out, "--duration", "2s", "--format", "json")
				if r.code > exitInconclusive {
					t.Fatalf("exit %d\n%s", r.code, r.stderr)
				}
				run := readTestRun(t, out)
				for s, side := range bundle.Sides() {
					packets[i][s] = packetsOf(t, filepath.Join(out, bundle.CaptureFile(side)))
					if want := map[bool]string{false: bundle.SourceSCP,
						true: bundle.SourceDump}[noSCP]; run.Router(side).Source != want {
						t.Errorf("source %s, want %s", run.Router(side).Source, want)
					}
				}
				if noSCP && (!strings.Contains(r.stderr, "rebuilt from `buffer dump`") ||
					!strings.Contains(strings.Join(run.Notes, "\n"), "absolute times are")) {
					t.Errorf("it is not said that the capture was rebuilt:\n%s", r.stderr)
				}
				l.nothingLeft(t, r)
			}
			for s, side := range bundle.Sides() {
				if a, b := packets[0][s], packets[1][s]; len(a) == 0 || !slices.EqualFunc(a, b, bytes.Equal) {
					t.Errorf("side %s: %d packets by SCP, %d by dump, or their bytes differ", side, len(a), len(b))
				}
			}
		})
	}
}

func packetsOf(t *testing.T, path string) (all [][]byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r, err := pcapgo.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	for {
		data, _, err := r.ReadPacketData()
		if err != nil {
			return all
		}
		all = append(all, data)
	}
}

// The bounds of a capture are in the router, whatever happens to moncap.
func TestTheBoundsAreInTheRouter(t *testing.T) {
	l := newTestLab(t, "healthy")
	out := filepath.Join(l.dir, "b")
	if r := moncap(t, "start", "demo", "-i", l.inventory, "--out", out, "--duration", "90s", "--packets", "700",
		"--buffer", "3"); r.code != exitOK {
		t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}
	run := readTestRun(t, out)
	for _, router := range l.routers {
		text := router.Type("show monitor capture " + run.A.Capture)
		for _, want := range []string{"Number of Packets to capture: 700", "Packet Capture duration: 90",
			"Buffer Size (in MB): 3", "packets to capture per second: 1000"} {
			if !strings.Contains(strings.ToLower(text), strings.ToLower(want)) {
				t.Errorf("%q is not in\n%s", want, text)
			}
		}
	}
	if r := moncap(t, "clean", out, "-i", l.inventory); r.code != exitOK {
		t.Errorf("exit %d\n%s", r.code, r.stderr)
	}
	l.nothingLeft(t, result{})
}

func TestDryRunsTouchNothing(t *testing.T) {
	l := newTestLab(t, "healthy")
	out := filepath.Join(l.dir, "b")
	if r := moncap(t, "start", "demo", "-i", l.inventory, "--out", out, "--duration", "60s"); r.code != exitOK {
		t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}
	for _, r := range l.routers {
		for ; r.Sessions() > 0; time.Sleep(5 * time.Millisecond) { // the last line, exit, is on its way
		}
	}
	before := [2]int{len(l.routers[0].Commands()), len(l.routers[1].Commands())}
	journal, err := os.ReadFile(filepath.Join(out, "journal.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"run", "demo"}, {"start", "demo"}, {"stop", out}, {"collect", out}, {"clean", out}, {"run", "--all"},
	} {
		r := moncap(t, append(args, "--dry-run", "-i", l.inventory)...)
		if r.code != exitOK || len(r.stdout) < 20 {
			t.Errorf("%v: exit %d\n%s%s", args, r.code, r.stdout, r.stderr)
		}
	}
	after, err := os.ReadFile(filepath.Join(out, "journal.jsonl"))
	if err != nil || !bytes.Equal(journal, after) ||
		before != [2]int{len(l.routers[0].Commands()), len(l.routers[1].Commands())} {
		t.Errorf("a dry run did something (%v)", err)
	}
	if r := moncap(t, "clean", out, "-i", l.inventory); r.code != exitOK {
		t.Errorf("exit %d\n%s", r.code, r.stderr)
	}
	l.nothingLeft(t, result{})
}

func TestCheckAsJSON(t *testing.T) {
	l := newTestLab(t, "healthy")
	r := moncap(t, "check", "demo", "-i", l.inventory, "--format", "json")
	var all []checkedTunnel
	if err := json.Unmarshal([]byte(r.stdout), &all); err != nil || r.code != exitOK || len(all) != 1 || !all[0].OK ||
		len(all[0].Results) < 15 {
		t.Errorf("exit %d, %v\n%s", r.code, err, r.stdout)
	}
}
