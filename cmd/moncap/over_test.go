package main

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/device/simulator"
)

// toldIn is what the runs of a folder say they came to: every report and run.json, by path.
func toldIn(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if name := filepath.Base(path); err != nil || !strings.HasPrefix(name, "report.") && name != "run.json" {
			return err
		}
		b, err := os.ReadFile(path)
		all[path] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// What a run came to stays told: nothing is collected from one that is over, be it that it went
// well or that it was refused, and its report is neither shown as a remainder nor written anew.
func TestNothingIsCollectedFromARunThatIsOver(t *testing.T) {
	t.Parallel()
	l := newTestLab(t, "healthy")
	runs := filepath.Join(l.dir, "runs")
	if r := l.inRuns(t, "run", "demo", "--until", "packets=4"); r.code != exitOK {
		t.Fatalf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	collect := func(what string, args ...string) {
		t.Helper()
		before := toldIn(t, runs)
		for range 2 {
			r := l.inRuns(t, append([]string{"collect"}, args...)...)
			if r.code != exitFailed || r.stdout != "" || !strings.Contains(r.stderr, "no capture on its routers any more") ||
				!strings.Contains(r.stderr, "moncap report "+args[0]) || strings.Contains(r.stderr, "could be had") {
				t.Errorf("%s: exit %d\n%s%s", what, r.code, r.stdout, r.stderr)
			}
		}
		r := l.inRuns(t, append([]string{"collect", "-f", "json"}, args...)...)
		var d report.Report
		if err := json.Unmarshal([]byte(r.stdout), &d); err != nil || d.Verdict.Outcome != report.NotRun ||
			d.Verdict.Reason != report.Usage || r.code != exitFailed {
			t.Errorf("%s, JSON: exit %d, %v, %+v", what, r.code, err, d.Verdict)
		}
		kept := filepath.Join(l.dir, "kept.txt")
		if err := os.WriteFile(kept, []byte("of an earlier run"), 0o600); err != nil {
			t.Fatal(err)
		}
		l.inRuns(t, append([]string{"collect", "-o", kept}, args...)...)
		if b, err := os.ReadFile(kept); err != nil || string(b) != "of an earlier run" {
			t.Errorf("%s: the file holds %q, %v", what, b, err)
		}
		if diff := cmp.Diff(before, toldIn(t, runs)); diff != "" {
			t.Errorf("%s: what the runs came to is told otherwise:\n%s", what, diff)
		}
	}
	collect("a run that went well", "demo")

	l.edit(t, "site-a: {", "site-a: {expect_hostname: another, ")
	if r := l.inRuns(t, "run", "demo", "--until", "packets=4"); r.code != exitFailed {
		t.Fatalf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	l.edit(t, "expect_hostname: another, ", "")
	collect("a run that was refused", "demo")
	if r := l.inRuns(t, "runs", "demo"); !strings.Contains(r.stdout, "not-run (refused-by-check)") {
		t.Errorf("the refusal is not told any more:\n%s", r.stdout)
	}
	if r := l.inRuns(t, "status", "demo"); r.code != exitOK ||
		!strings.Contains(r.stdout, "nothing was captured by the run of") || strings.Contains(r.stdout, "started") {
		t.Errorf("status of a run that was refused: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if r := l.inRuns(t, "diff", "demo"); r.code != exitUsage || !strings.Contains(r.stderr, "it has 1 run with captures") {
		t.Errorf("diff of one run: exit %d\n%s", r.code, r.stderr)
	}
}

// commands are what both routers received, but for the goodbye of a session, which may come later.
func (l *testLab) commands() (all [2][]string) {
	for i, r := range l.routers {
		all[i] = slices.DeleteFunc(slices.Clone(r.Commands()), func(c string) bool { return c == "exit" })
	}
	return all
}

const unauthorized = "% Command authorization failed."

// takesNoMore has a router refuse a command, once it took it so often: of what takes things back,
// the proofs of the check.
func (l *testLab) takesNoMore(router int, match string, taken int) {
	l.routers[router].AddFault(simulator.Fault{Match: regexp.MustCompile(match), Action: simulator.ErrorText,
		Text: unauthorized, Times: -1, Skip: taken})
}

// A run that is over and left something has nothing to stop and nothing to collect: both say so,
// what is left and what removes it, ask no router, and leave what the run came to as it was told.
func TestOfARunThatIsOverOnlyWhatItLeftIsRemoved(t *testing.T) {
	for _, tt := range []struct {
		name   string
		faults [2]string // what each router does not take, the proofs of the check apart
		args   []string
		code   int
		left   []string
	}{
		{"kept", [2]string{}, []string{"--keep"}, exitOK, []string{"site-a (side A): file bootflash:mc",
			"site-b (side B): capture point mc", "when what was kept is not wanted any more: moncap ", " clean "}},
		{"a list stays", [2]string{"^no ip access-list", ""}, nil, exitDirty, []string{
			"site-a (side A): access list mc", unauthorized, "when the account may remove it: moncap ", " clean "}},
		{"nothing was captured, and a list stays", [2]string{"^no ip access-list", "^monitor capture mc[0-9a-z]+ start"}, nil,
			exitDirty, []string{"site-a (side A): access list mc", unauthorized, " clean "}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := newTestLab(t, "healthy")
			for i, match := range tt.faults {
				if match != "" {
					l.takesNoMore(i, match, 1-i)
				}
			}
			r := l.inRuns(t, append([]string{"run", "demo", "--until", "packets=4"}, tt.args...)...)
			if r.code != tt.code || len(l.dirty()) == 0 {
				t.Fatalf("exit %d, dirty %v\n%s%s", r.code, l.dirty(), r.stdout, r.stderr)
			}
			runs := filepath.Join(l.dir, "runs")
			before, asked := toldIn(t, runs), l.commands()
			for _, args := range [][]string{{"stop"}, {"stop", "--dry-run"}, {"collect"}, {"collect", "--dry-run"}, {"stop"}} {
				r := l.inRuns(t, append(args, "demo")...)
				said := r.stdout + r.stderr
				if r.code != exitDirty || !strings.Contains(said, "its run is over") || strings.Contains(said, "stopped;") ||
					strings.Contains(said, "left on purpose") || !strings.Contains(said, "moncap report demo") {
					t.Errorf("%v: exit %d\n%s", args, r.code, said)
				}
				for _, want := range tt.left {
					if !strings.Contains(said, want) {
						t.Errorf("%v: it is not said: %q\n%s", args, want, said)
					}
				}
			}
			if diff := cmp.Diff(before, toldIn(t, runs)); diff != "" {
				t.Errorf("what the run came to is told otherwise:\n%s", diff)
			}
			if diff := cmp.Diff(asked, l.commands()); diff != "" {
				t.Errorf("the routers were asked:\n%s", diff)
			}
			if r := l.inRuns(t, "status", "demo"); !strings.Contains(r.stdout, ", over: moncap clean removes what it left") {
				t.Errorf("status: exit %d\n%s%s", r.code, r.stdout, r.stderr)
			}
			l.routers[0].ClearFaults()
			if r := l.inRuns(t, "clean", "demo"); r.code != exitOK || len(l.dirty()) > 0 {
				t.Errorf("clean: exit %d, dirty %v\n%s%s", r.code, l.dirty(), r.stdout, r.stderr)
			}
		})
	}
}
