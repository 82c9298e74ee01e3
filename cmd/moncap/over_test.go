package main

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moncap/moncap/analysis/report"
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
