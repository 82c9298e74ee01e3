package main

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/render"
	"github.com/moncap/moncap/analysis/report"
)

// inRuns is moncap in a folder of runs of its own.
func (l *testLab) inRuns(t *testing.T, args ...string) result {
	t.Helper()
	p := program{env: map[string]string{"MONCAP_RUNS": filepath.Join(l.dir, "runs"), "PATH": os.Getenv("PATH")}}
	return p.run(t.Context(), append(args, "-i", l.inventory)...)
}

// TestRunsAreRemembered plays three nights of a tunnel, of which the last comes to nothing.
func TestRunsAreRemembered(t *testing.T) {
	t.Parallel()
	l := newTestLab(t, "healthy")
	change := filepath.Join(l.dir, "change.json")
	run := func(code int, args ...string) result {
		t.Helper()
		r := l.inRuns(t, append([]string{"run", "demo", "--until", "packets=4", "--on-change", "cat > " + change},
			args...)...)
		if r.code != code {
			t.Fatalf("exit %d, want %d\n%s%s", r.code, code, r.stdout, r.stderr)
		}
		return r
	}
	if r := run(exitOK, "--quiet-ok"); r.stdout+r.stderr != "" {
		t.Errorf("--quiet-ok printed %q", r.stdout+r.stderr)
	}
	run(exitOK)
	if exists(change) {
		t.Error("nothing changed, and --on-change was called")
	}
	l.edit(t, "site-a: {", "site-a: {expect_hostname: another, ")
	if r := run(exitUnknownOfPlugin, "-f",
		"nagios"); !regexp.MustCompile(
		`^MONCAP UNKNOWN - demo not-run: .*not the router.* \| duration=[0-9.]+s age=\d+s\n$`).MatchString(r.stdout) {
		t.Errorf("nagios: %q", r.stdout)
	}
	var d render.Difference
	if b, err := os.ReadFile(change); err != nil || json.Unmarshal(b, &d) != nil ||
		d.Before.Outcome != report.Established || d.After.Outcome != report.NotRun {
		t.Errorf("--on-change got %s, %v", b, err)
	}

	var all []pastRun
	r := l.inRuns(t, "runs", "demo", "--since", "1d", "-f", "json")
	if err := json.Unmarshal([]byte(r.stdout), &all); err != nil || len(all) != 3 {
		t.Fatalf("%d runs, %v\n%s", len(all), err, r.stderr)
	}
	if all[0].Outcome != report.NotRun || all[0].Reason == "" || all[1].Outcome != report.Established ||
		all[1].SetupMS == nil || len(all[1].Open) != 0 {
		t.Errorf("%+v", all)
	}
	for _, tt := range []struct {
		args []string
		code int
		want []string // regular expressions on stdout or stderr
	}{
		{[]string{"runs"}, exitOK, []string{"STARTED", "demo +established +0 +0 ", "not-run"}},
		{[]string{"runs", "--since", "2999-01-01"}, exitOK, []string{"no runs"}},
		{[]string{"runs", "--since", "soon"}, exitUsage, []string{"want an age"}},
		{[]string{"runs", "demo", "-f", "html"}, exitOK,
			[]string{`<th scope="row">demo</th>`, "✔", `href="demo-[^"]*/report.txt"`}},
		{[]string{"runs", "demo", "-f", "nagios"}, exitUnknownOfPlugin, []string{"MONCAP UNKNOWN - demo not-run"}},
		{[]string{"runs", "nowhere", "-f", "nagios"}, exitUnknownOfPlugin, []string{"there is no run"}},
		{[]string{"report", "demo"}, exitOK, []string{"ESTABLISHED", "a later run came to nothing"}},
		{[]string{"report", all[1].ID}, exitOK, []string{"ESTABLISHED"}},
		{[]string{"diff", "demo"}, exitOK, []string{"Nothing has changed", "refused-by-check"}},
		{[]string{"diff", all[2].ID, all[0].ID, "--exit-code"}, 1, []string{"not-run"}},
		{[]string{"bundle", "demo", "-o", filepath.Join(l.dir, "case.zip")}, exitOK, []string{"files"}},
		{[]string{"report", "nowhere"}, exitUsage, []string{"neither a bundle's folder"}},
	} {
		r := l.inRuns(t, tt.args...)
		for _, want := range tt.want {
			if r.code != tt.code || !regexp.MustCompile(want).MatchString(r.stdout+r.stderr) {
				t.Errorf("%v: exit %d, want %d and %q\n%s%s", tt.args, r.code, tt.code, want, r.stdout, r.stderr)
			}
		}
	}
	l.checkMetrics(t)
	l.checkPrune(t, all)
}

const exitUnknownOfPlugin = pluginUnknown

// checkMetrics holds the textfile against the form, and wants every tunnel of the inventory in it.
func (l *testLab) checkMetrics(t *testing.T) {
	t.Helper()
	l.edit(t, "tunnels:\n", "tunnels:\n  never: {a: site-b, b: site-a}\n")
	file := filepath.Join(l.dir, "moncap.prom")
	if r := l.inRuns(t, "runs", "-f", "prometheus", "-o", file); r.code != exitOK {
		t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(
		`^(# (HELP|TYPE) moncap_[a-z_]+ .+|moncap_[a-z_]+\{tunnel="[^"]+"(,[a-z]+="[^"]*")*\} -?[0-9.]+)$`)
	for text := range strings.Lines(string(b)) {
		if !line.MatchString(strings.TrimSuffix(text, "\n")) {
			t.Errorf("no line of the format: %q", text)
		}
	}
	for _, want := range []string{
		`moncap_tunnel_up{tunnel="demo"} 1`, `moncap_last_run_exit_code{tunnel="demo"} 4`, `moncap_runs{tunnel="never"} 0`,
		`moncap_last_success_timestamp_seconds{tunnel="never"} 0`, `moncap_lost_packets{tunnel="demo",direction="A->B"} 0`,
	} {
		if !strings.Contains(string(b), want+"\n") {
			t.Errorf("%s is not in\n%s", want, b)
		}
	}
}

func (l *testLab) checkPrune(t *testing.T, all []pastRun) {
	t.Helper()
	if r := l.inRuns(t, "runs", "prune"); r.code != exitUsage {
		t.Errorf("without rules: exit %d", r.code)
	}
	r := l.inRuns(t, "runs", "prune", "--keep-failed", "1", "--dry-run")
	if r.code != exitOK || strings.Count(r.stdout, "would delete runs") > 0 ||
		!strings.Contains(r.stdout, "would delete 1 of 3 runs") || !exists(all[2].Bundle) {
		t.Errorf("dry: exit %d\n%s", r.code, r.stdout)
	}
	if r := l.inRuns(t, "runs", "prune", "--keep-failed", "1"); r.code != exitOK || exists(all[2].Bundle) ||
		!exists(all[1].Bundle) || !exists(all[0].Bundle) {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

// TestPruneKeepsWhatIsOpen is about rules alone: what is open, or may be, stays whatever they say.
func TestPruneKeepsWhatIsOpen(t *testing.T) {
	at := time.Date(2026, 11, 29, 2, 0, 0, 0, time.Local)
	night := func(days int, outcome report.Outcome, open ...string) *pastRun {
		return &pastRun{Tunnel: "t", Started: at.AddDate(0, 0, -days), Outcome: outcome, Open: open}
	}
	runs := []*pastRun{
		night(0, report.NotRun), night(1, report.Established), night(1, report.Established), night(2, report.Failed),
		night(3, report.Established),
		night(4, report.Failed, "site-a: acl mc123456"), night(5, unfinished), night(6, report.Inconclusive),
	}
	for _, tt := range []struct {
		rules keepRules
		want  string // + stays
	}{
		{keepRules{last: 1}, "++---++-"},
		{keepRules{daily: 2}, "-+-+-++-"},
		{keepRules{failed: 2}, "++-+-++-"},
		{keepRules{last: 100}, "++++++++"},
		{keepRules{daily: 100, failed: 100}, "++-+++++"},
	} {
		got, kept := "", tt.rules.choose(runs)
		for _, p := range runs {
			got += map[bool]string{true: "+", false: "-"}[kept[p]]
		}
		if got != tt.want {
			t.Errorf("%+v keeps %s, want %s", tt.rules, got, tt.want)
		}
	}
}

func TestPluginState(t *testing.T) {
	for code, want := range map[int]int{0: 0, 1: 1, 2: 2, 3: 3, 4: 3, 5: 2, 64: 3} {
		if got := pluginState(code); got != want {
			t.Errorf("exit code %d is state %d, want %d", code, got, want)
		}
	}
	line, state := pluginLine("t", &pastRun{Outcome: report.Established, Headline: "a|b\nc", Open: []string{"x"}})
	if state != pluginCritical || strings.Count(line, "|") != 1 || strings.Contains(line, "\n") {
		t.Errorf("%d %q", state, line)
	}
}

// TestOnChangeGoesByTheExitCodeToo: a tunnel that came up and has a critical finding by now is as
// degraded as one that had warnings, and worse.
func TestOnChangeGoesByTheExitCodeToo(t *testing.T) {
	a := newApp(t.Context(), environment{stderr: io.Discard, getenv: func(string) string { return "" }})
	defer a.interrupts.cancel(nil)
	degraded := func(code int) *report.Report {
		return &report.Report{Verdict: report.Verdict{Outcome: report.Degraded, ExitCode: code}}
	}
	for code, want := range map[int]bool{exitWarnings: false, exitCritical: true} {
		file := filepath.Join(t.TempDir(), "change")
		a.tellChange(t.Context(), "cat > "+file, degraded(exitWarnings), degraded(code))
		if exists(file) != want {
			t.Errorf("from %d to %d: told %t", exitWarnings, code, !want)
		}
	}
}
