package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestTunnelsAreChosen names tunnels by patterns and tags, in an inventory that comes on stdin.
func TestTunnelsAreChosen(t *testing.T) {
	const text = `{version: 1, defaults: {username: u, password: "env:P"},
 peers: {a: {host: 192.0.2.1, wan: {interface: Gi1, address: 10.0.0.1}}, b: {host: 192.0.2.2, wan: {interface: Gi1, address: 10.0.0.2}}},
 tunnels: {hq-one: {a: a, b: b, tags: [nightly]}, hq-two: {a: a, b: b}, lab: {a: b, b: a, tags: [nightly, test]}}}`
	for _, tt := range []struct {
		args string
		want string // the tunnels, or the error
	}{
		{"hq-*", "hq-one hq-two"},
		{"lab hq-* hq-one", "lab hq-one hq-two"},
		{"--tags nightly", "hq-one lab"},
		{"hq-two --tags test,nightly", "hq-two lab hq-one"},
		{"--all", "hq-one hq-two lab"},
		{"x*", `stdin: no tunnel is called as "x*" says`},
		{"hq-[", `"hq-[" is no pattern`},
		{"--tags none", `stdin: no tunnel has the tag "none"`},
		{"hq-oen", "did you mean hq-one?"},
		{"lab --all", "--all is every tunnel"},
		{"", "want the names of tunnels"},
	} {
		r := program{stdin: text}.run(t.Context(),
			append(strings.Fields("run -i - --dry-run"), strings.Fields(tt.args)...)...)
		var got []string
		for line := range strings.Lines(r.stdout) {
			if _, rest, ok := strings.Cut(line, "! tunnel "); ok {
				name, _, _ := strings.Cut(rest, ":")
				got = append(got, name)
			}
		}
		if named := strings.Join(got, " "); named != tt.want &&
			(r.code != exitUsage || !strings.Contains(r.stderr, tt.want)) {
			t.Errorf("%q: exit %d, %q, want %q\n%s", tt.args, r.code, named, tt.want, r.stderr)
		}
	}
	if r := (program{stdin: text}).run(t.Context(), "schedule", "print", "-i", "-", "--all",
		"--cron"); r.code != exitUsage || !strings.Contains(r.stderr, "name a file with -i") {
		t.Errorf("a job that reads stdin: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

// TestNobodyToAsk: a secret that has to be typed where nobody can is found out before a
// router is dialled.
func TestNobodyToAsk(t *testing.T) {
	l := newTestLab(t, "healthy")
	upload := []string{"--via-export", "scp://ops@127.0.0.1:1/x"}
	for _, args := range [][]string{append([]string{"run", "demo"}, upload...),
		append([]string{"start", "demo"}, upload...)} {
		if r := l.inRuns(t, args...); r.code != exitUsage || !strings.Contains(r.stderr, "--via-export-password") {
			t.Errorf("%v: exit %d\n%s", args, r.code, r.stderr)
		}
	}
	b, err := os.ReadFile(l.inventory)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, _ := strings.Cut(string(b), `"file:`)
	_, rest, _ = strings.Cut(rest, `"`)
	if err := os.WriteFile(l.inventory, []byte(before+"ask"+rest), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"run", "demo"}, {"start", "demo"}, {"check", "demo"}} {
		if r := l.inRuns(t, args...); r.code != exitUsage ||
			!strings.Contains(r.stderr, "site-a: its password must be typed") {
			t.Errorf("%v: exit %d\n%s", args, r.code, r.stderr)
		}
	}
	if exists(filepath.Join(l.dir, "runs")) {
		t.Error("a refused run has a folder")
	}
}

// TestSurprisesOfFiles are about where things go: a zip replaces nothing unless told to, a folder
// of runs that cannot be made is the disk's fault, and a report that says no is a success for
// whoever only wants it written.
func TestSurprisesOfFiles(t *testing.T) {
	l := newTestLab(t, "psk-mismatch")
	if r := l.inRuns(t, "run", "demo", "--until", "packets=4"); r.code != exitCritical {
		t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}
	zip := filepath.Join(l.dir, "case.zip")
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"bundle", "demo", "-o", zip}, exitOK, "files"},
		{[]string{"bundle", "demo", "-o", zip}, exitUsage, "--force replaces it"},
		{[]string{"bundle", "demo", "-o", zip, "--force"}, exitOK, "files"},
		{[]string{"bundle", "demo", "-o", "-"}, exitOK, "case"},
		{[]string{"report", "demo", "-f", "html"}, exitCritical, "<html"},
		{[]string{"report", "demo", "-f", "html", "--exit-zero"}, exitOK, "<html"},
		{[]string{"report", "demo", "-o", filepath.Join(l.dir, "none", "x"), "--exit-zero"}, exitUsage,
			"no file can be made"},
	} {
		r := l.inRuns(t, tt.args...)
		if r.code != tt.code || tt.want != "case" && !strings.Contains(r.stdout+r.stderr, tt.want) {
			t.Errorf("%v: exit %d, want %d and %q\n%s", tt.args, r.code, tt.code, tt.want, r.stderr)
		}
		if tt.want == "case" && (!strings.HasPrefix(r.stdout, "PK") || strings.Contains(r.stdout, "files\n")) {
			t.Errorf("%v: stdout is not the zip alone", tt.args)
		}
	}
	p := program{env: map[string]string{"MONCAP_RUNS": filepath.Join(l.inventory, "runs")}}
	r := p.run(t.Context(), "run", "demo", "-i", l.inventory, "-f", "json")
	if r.code != exitFailed || !strings.Contains(r.stdout, `"reason": "local-disk"`) ||
		strings.Contains(r.stderr, "usage:") {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

// TestDryRunsSayWhatIsDone: the words of a dry run are those of the real one.
func TestDryRunsSayWhatIsDone(t *testing.T) {
	l := newTestLab(t, "healthy")
	l.inRuns(t, "start", "demo", "--duration", "60s")
	for step, want := range map[string]string{"stop": "would stop capture point mc",
		"collect": "would stop capture point mc", "clean": ""} {
		r := l.inRuns(t, step, "demo", "--dry-run")
		if r.code != exitOK || !strings.Contains(r.stdout, want) || strings.Contains(r.stdout, "running capture") {
			t.Errorf("%s: exit %d\n%s", step, r.code, r.stdout)
		}
	}
	dry := l.inRuns(t, "clean", "demo", "--dry-run").stdout
	if done := l.inRuns(t, "clean", "demo").stdout; len(strings.Fields(done)) == 0 ||
		sortedLines(strings.ReplaceAll(dry, "would remove", "removed")) != sortedLines(done) {
		t.Errorf("said\n%s\ndone\n%s", dry, done)
	}
}

func sortedLines(text string) string {
	return strings.Join(slices.Sorted(strings.Lines(text)), "")
}
