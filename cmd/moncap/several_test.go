package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/capture"
	"github.com/moncap/moncap/device"
	"github.com/moncap/moncap/device/simulator"
)

// hub makes an inventory in which many tunnels end at site-a, some of them at a second entry of the
// same router.
func (l *testLab) hub(t *testing.T, tunnels, runs int) {
	t.Helper()
	b, err := os.ReadFile(l.inventory)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(strings.TrimSpace(line), "site-a: ") {
			lines = append(lines, strings.Replace(line, "site-a: {", fmt.Sprintf("hub-again: {limits: {runs: %d}, ", runs), 1))
		}
		lines = append(lines, strings.Replace(line, "defaults: {", fmt.Sprintf("defaults: {limits: {runs: %d}, ", runs), 1))
	}
	for i := range tunnels {
		lines = append(lines, fmt.Sprintf("  t%d: {a: %s, b: site-b, capture: {duration: 3s}}\n", i,
			[]string{"site-a", "hub-again"}[i%2]))
	}
	if err := os.WriteFile(l.inventory, []byte(strings.Join(lines, "")), 0o600); err != nil {
		t.Fatal(err)
	}
}

// most watches how many sessions and capture points a router has at a time, until the test asks.
func most(r *simulator.Router) func() (sessions, captures int) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var sessions, captures int
	wg.Go(func() {
		for ; ctx.Err() == nil; time.Sleep(2 * time.Millisecond) {
			sessions, captures = max(sessions, r.Sessions()), max(captures, len(r.CapturePoints()))
		}
	})
	return func() (int, int) {
		cancel()
		wg.Wait()
		return sessions, captures
	}
}

// TestHubIsNotOverloaded runs more tunnels at once than the hub has terminal lines for.
func TestHubIsNotOverloaded(t *testing.T) {
	for _, tt := range []struct{ vtys, runs, sessions int }{{2, 1, 2}, {5, 2, 4}, {1, 1, 1}} {
		t.Run(fmt.Sprintf("%d lines, %d runs", tt.vtys, tt.runs), func(t *testing.T) {
			l := newLabWith(t, "healthy", func(c *simulator.Config) { c.VTYs = tt.vtys })
			l.hub(t, 4, tt.runs)
			seen := most(l.routers[0])
			t.Chdir(l.dir)
			patient := program{tune: func(_ *device.Options, c *capture.Options) {
				if c != nil {
					c.Retry = 200 * time.Millisecond // a router frees a line in its own time
				}
			}}
			r := patient.run(t.Context(), "run", "t0", "t1", "t2", "t3", "--parallel", "4", "-i", l.inventory, "--until",
				"packets=4")
			sessions, captures := seen()
			if sessions > tt.sessions || captures > tt.runs {
				t.Errorf("%d sessions and %d capture points at a time", sessions, captures)
			}
			if r.code != exitOK || strings.Count(r.stdout, ": established: ") != 4 || strings.Count(r.stdout, "\n") != 4 {
				t.Errorf("exit %d\n%s%s%s", r.code, r.stdout, r.stderr, warned(filepath.Join(l.dir, "runs")))
			}
			l.nothingLeft(t, r)
		})
	}
}

// warned are the warnings and critical findings of the reports in a folder of runs.
func warned(runs string) string {
	var all strings.Builder
	files, _ := filepath.Glob(filepath.Join(runs, "*", "report.json"))
	for _, file := range files {
		b, _ := os.ReadFile(file)
		var r report.Report
		_ = json.Unmarshal(b, &r)
		for _, f := range r.Findings {
			if f.Severity != report.Info {
				fmt.Fprintf(&all, "%s: %s: %s\n", file, f.Code, f.Explanation)
			}
		}
	}
	return all.String()
}

// TestWorstExitCode lets one of two tunnels fail.
func TestWorstExitCode(t *testing.T) {
	l := newTestLab(t, "healthy")
	l.hub(t, 2, 1)
	b, err := os.ReadFile(l.inventory)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(b), "hub-again: {", "hub-again: {expect_hostname: somebody-else, ", 1)
	if err := os.WriteFile(l.inventory, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(l.dir)
	r := moncap(t, "run", "t0", "t1", "-i", l.inventory, "--until", "packets=4", "--parallel", "2")
	lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
	if r.code != exitFailed || len(lines) != 2 || !strings.Contains(r.stdout, "t0: established") ||
		!strings.Contains(r.stdout, "not the router that was meant") {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	l.nothingLeft(t, r)
	r = moncap(t, "run", "t0", "t1", "-i", l.inventory, "--until", "packets=4", "-f", "json")
	var all []report.Report
	if err := json.Unmarshal([]byte(r.stdout), &all); err != nil || r.code != exitFailed || len(all) != 2 ||
		all[0].Verdict.Outcome != report.Established || all[1].Verdict.Outcome != report.NotRun || all[1].Tunnel != "t1" {
		t.Errorf("exit %d, %v, %d reports\n%s", r.code, err, len(all), r.stderr)
	}
	file := filepath.Join(l.dir, "all.xml")
	r = moncap(t, "run", "t0", "t1", "-i", l.inventory, "--until", "packets=4", "-o", file)
	b, err = os.ReadFile(file)
	if err != nil || r.code != exitFailed || strings.Count(string(b), "<testsuite ") != 2 ||
		!strings.Contains(string(b), `errors="1"`) {
		t.Errorf("exit %d, %v\n%s\n%s", r.code, err, r.stderr, b)
	}
	for codes, want := range map[[3]int]int{{0, 5, 4}: 5, {1, 3, 0}: 3, {2, 3, 1}: 2, {4, 2, 64}: 64, {0, 1, 0}: 1,
		{0, 0, 0}: 0} {
		if got := worst(codes[:]); got != want {
			t.Errorf("the worst of %v is %d", codes, got)
		}
	}
}

// A password that one router refuses is not tried at the routers of the other tunnels.
func TestARefusedPasswordEndsAllTunnels(t *testing.T) {
	l := newLabWith(t, "healthy", func(c *simulator.Config) {
		c.Password, c.Knobs.NoKeyboardInteractive = "another",
			true
	})
	l.hub(t, 4, 1)
	t.Chdir(l.dir)
	r := moncap(t, "run", "--all", "--parallel", "3", "-i", l.inventory)
	if r.code != exitFailed || strings.Count(r.stdout, "refused the credentials") != 1 ||
		strings.Count(r.stdout, "not sent again") < 4 {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if b, err := filepath.Glob(filepath.Join(l.dir, "runs", "*")); err != nil || len(b) != 5 {
		t.Errorf("%d bundles, %v", len(b), err)
	}
}

// TestRemovalIsReadBack has a router take a removal without a word and carry nothing out.
// It is not believed.
func TestRemovalIsReadBack(t *testing.T) {
	for _, undo := range []string{"delete", "no monitor capture", "no ip access-list"} {
		t.Run(undo, func(t *testing.T) {
			t.Parallel()
			l := newTestLab(t, "healthy")
			l.routers[0].AddFault(simulator.Fault{Match: regexp.MustCompile("^" + undo), Action: simulator.ErrorText, Text: "\n",
				Times: -1})
			out := filepath.Join(l.dir, "bundle")
			r := moncap(t, "run", "demo", "-i", l.inventory, "--out", out, "--until", "packets=4", "--duration", "5s", "--quiet")
			if r.code != exitDirty || !strings.Contains(r.stderr, "still shows it") {
				t.Errorf("exit %d\n%s", r.code, r.stderr)
			}
			l.cleanLater(t, out, r)
		})
	}
}

// TestADeadRouterIsNotWaitedFor: only a router that other runs of the command have may have no line
// for that reason.
func TestADeadRouterIsNotWaitedFor(t *testing.T) {
	l := newTestLab(t, "healthy")
	l.hub(t, 1, 2)
	l.edit(t, "tunnels:\n", "  dead: {host: 127.0.0.1, port: 1, wan: {interface: GigabitEthernet1, address: "+
		"\"192.168.3.1\"}}\ntunnels:\n  gone: {a: site-a, b: dead, capture: {duration: 3s}}\n")
	r := l.inRuns(t, "run", "t0", "gone", "--parallel", "2")
	if r.code != exitFailed || !strings.Contains(r.stdout, "t0: established") ||
		!strings.Contains(r.stdout, "gone: not-run") ||
		strings.Contains(r.stderr, "waiting for one") || !strings.Contains(r.stderr, "gone: begun") {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}
