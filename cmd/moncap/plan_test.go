package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/capture"
	"github.com/moncap/moncap/device/inventory"
	"github.com/moncap/moncap/device/iosxe"
)

// Whatever interface an inventory may name, all that a plan has typed for it may be sent.
func TestEveryPlannedLineMayBeSent(t *testing.T) {
	for _, name := range []string{
		"GigabitEthernet1", "Gi0/0/0", "Gi 0/0/0", "TenGigabitEthernet0/0/1.101", "TwentyFiveGigE1/0/1", "HundredGigE0/1/0/2",
		"Port-channel1.100",
		"Tunnel10", "Virtual-Access2.1", "Loopback0", "Vlan10", "Dialer1", "BDI100", "Cellular0/2/0", "Serial0/1/0:0",
		"Serial0/1/0:15.100", "Serial0/1/0.1/1/1:0", "ATM0/1/0.1", "wlan-gigabitethernet0/1/0", "nve1",
	} {
		text := fmt.Sprintf(`{version: 1, defaults: {username: u, agent: true},
 peers: {a: {host: 192.0.2.1, wan: {interface: "%s", address: 10.0.0.1}}, b: {host: 192.0.2.2, wan: {interface: "%s", address: 10.0.0.2}}},
 tunnels: {t: {a: a, b: b}}}`, name, name)
		inv, err := inventory.Parse("inv.yaml", strings.NewReader(text))
		if err != nil {
			t.Error(err)
			continue
		}
		source := strings.ReplaceAll(name, " ", "")
		for _, f := range []captureFlags{{}, {zeroConfig: true}, {debug: true}, {viaExport: "scp://ops@192.0.2.9/"},
			{trigger: "ping 10.0.0.2 source " + source, side: "a"}} {
			p, err := f.plan(inv.Tunnels["t"], "20260102-abc123")
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			for _, side := range []capture.Side{capture.A, capture.B} {
				for _, step := range p.Steps(side) {
					for _, c := range append([]iosxe.Command{step.Command}, step.Undo...) {
						if c.Mode != iosxe.Transfer && !iosxe.Allowed(c) {
							t.Errorf("%s: %s %q may not be sent", name, c.Name, c.Lines)
						}
					}
				}
			}
		}
	}
}

// The command line takes what the inventory takes: nothing silently becomes the default, and
// nothing is refused as late as at the router.
func TestRangesOfFlags(t *testing.T) {
	l := newTestLab(t, "healthy")
	for _, args := range [][]string{
		{"--duration", "0s"}, {"--duration", "25h"}, {"--duration", "-5s"}, {"--buffer", "0"}, {"--buffer", "101"},
		{"--packets", "0"},
		{"--packets", "100001"}, {"--packet-len", "63"}, {"--packet-len", "9501"}, {"--pps", "0"}, {"--pps", "1000001"},
	} {
		if r := moncap(t, append([]string{"plan", "demo", "-i", l.inventory}, args...)...); r.code != exitUsage ||
			!strings.Contains(r.stderr, "want ") || !strings.Contains(r.stderr, args[0]) {
			t.Errorf("%q: exit %d\n%s", args, r.code, r.stderr)
		}
	}
	r := moncap(t, "plan", "demo", "-i", l.inventory, "--duration", "24h", "--buffer", "100", "--packets", "100000",
		"--packet-len", "9500", "--pps", "1000000")
	if r.code != exitOK || !strings.Contains(r.stdout, "limit duration 86400 packets 100000 packet-len 9500 pps 1000000") {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

// A plan has every line as often as a run without faults sends it, but for those that it says are
// repeated; and a run sends each, but for those of which it says when they are not sent.
func TestAPlanHasEveryLineAsOften(t *testing.T) {
	t.Parallel()
	l := newTestLab(t, "healthy")
	for _, f := range []captureFlags{
		{}, {debug: true}, {debug: true, packetTrace: 16, controlPlane: true},
	} {
		f.until, f.duration = "packets=4", time.Minute
		args := []string{"run", "demo", "--until", f.until, "--duration", "1m", "-f", "json"}
		for flag, on := range map[string]bool{"--debug": f.debug, "--packet-trace=16": f.packetTrace > 0,
			"--control-plane": f.controlPlane} {
			if on {
				args = append(args, flag)
			}
		}
		r := l.inRuns(t, args...)
		var d report.Report
		if err := json.Unmarshal([]byte(r.stdout), &d); err != nil || r.code != exitOK {
			t.Fatalf("%v: exit %d, %v\n%s", args, r.code, err, r.stderr)
		}
		p, err := f.plan(l.tunnel, d.Run.ID)
		if err != nil {
			t.Fatal(err)
		}
		for i, side := range []capture.Side{capture.A, capture.B} {
			planned, sent := map[string]int{}, map[string]int{}
			repeated, sometimes := map[string]bool{}, map[string]bool{}
			for _, s := range p.Steps(side) {
				lines := s.Command.Lines
				if s.Command.Mode == iosxe.Config {
					lines = slices.Concat([]string{"configure terminal"}, lines, []string{"end"})
				}
				for _, line := range lines {
					planned[line]++
					repeated[line] = repeated[line] || s.Phase == capture.PhaseWait
					sometimes[line] = sometimes[line] || s.Note != ""
				}
			}
			for _, line := range d.Run.Routers[i].Commands {
				sent[line]++
			}
			for line, n := range sent {
				if n > planned[line] && !repeated[line] {
					t.Errorf("%v, %s: sent %d times, planned %d: %s", args, side, n, planned[line], line)
				}
			}
			for line, n := range planned {
				if n > sent[line] && !sometimes[line] && !repeated[line] {
					t.Errorf("%v, %s: planned %d times, sent %d: %s", args, side, n, sent[line], line)
				}
			}
		}
	}
}
