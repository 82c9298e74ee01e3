package main

import (
	"bufio"
	"encoding/json"
	"io/fs"
	"maps"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/moncap/moncap/device/simulator"
)

// TestWrongUsage is about what people mistype: the word that was meant is named, and what the
// command wants.
func TestWrongUsage(t *testing.T) {
	l := newTestLab(t, "healthy")
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"runn"}, `unknown command "runn" (did you mean run?)`},
		{[]string{"rnu"}, `unknown command "rnu" (did you mean run?)`},
		{[]string{"help", "rnu"}, `unknown command "rnu" (did you mean run?)`},
		{[]string{"help", "notify", "lst"}, `unknown command "notify lst" (did you mean list?)`},
		{[]string{"help", "run", "demo"}, `unknown command "run demo"`},
		{[]string{"rnu", "--help"}, `unknown command "rnu" (did you mean run?)`},
		{[]string{"notify", "lst", "-h"}, `unknown command "notify lst" (did you mean list?)`},
		{[]string{"notify", "lst"}, `unknown command "notify lst" (did you mean list?)`},
		{[]string{"analyse", "x"}, `(did you mean analyze?)`},
		{[]string{"run", "demo", "--untill", "x"}, "unknown flag --untill (did you mean --until?)"},
		{[]string{"run", "dema", "-i", l.inventory}, "(did you mean demo?)"},
		{[]string{"plan", "dema", "-i", l.inventory}, "(did you mean demo?)"},
		{[]string{"start", "a", "b"}, "moncap: start: want TUNNEL, and 2 arguments were given"},
		{[]string{"report"}, "want BUNDLE|RUN|TUNNEL, and nothing was given"},
		{[]string{"plan", "demo", "-i", l.inventory, "--buffer", "500"}, "--buffer 500: want 1 to 100"},
		{[]string{"plan", "demo", "-i", l.inventory, "--duration", "100h"}, "--duration 100h0m0s: want 1s to 24h"},
		{[]string{"plan", "demo", "-i", l.inventory, "--duration", "0s"}, "--duration 0s: want 1s to 24h"},
		{[]string{"plan", "demo", "-i", l.inventory, "--until", "soon"}, "--until: "},
		{[]string{"start", "demo", "-i", l.inventory, "--until", "established"}, "unknown flag --until"},
		{[]string{"check", "demo", "-i", l.inventory, "--keep"}, "unknown flag --keep\n"},
		{[]string{"simulate", "nonsense"}, "moncap: no incident"},
		{[]string{"analyze", "nosuch.pcap"}, "moncap: nosuch.pcap: no such file"},
		{[]string{"decode", "-r", "nosuch.pcap"}, "moncap: nosuch.pcap: no such file"},
		{[]string{"decode", "-r", "a.pcap", "b.pcap"}, "decode"},
	} {
		r := moncap(t, tt.args...)
		if r.code != exitUsage || !strings.Contains(r.stderr, tt.want) {
			t.Errorf("%v: exit %d, want %d and %q\n%s", tt.args, r.code, exitUsage, tt.want, r.stderr)
		}
	}
	for _, args := range [][]string{{"help"}, {"--help"}, {"help", "notify", "list"}, {"notify"},
		{"run", "demo", "--help"}, {"runs", "demo", "--help"}, {"help", "help"}} {
		if r := moncap(t, args...); r.code != exitOK || !strings.Contains(r.stdout, "Usage:") {
			t.Errorf("%v: exit %d\n%s%s", args, r.code, r.stdout, r.stderr)
		}
	}
	if r := moncap(t, "version"); r.code != exitOK || !strings.HasPrefix(r.stdout, "moncap ") ||
		!strings.Contains(r.stdout, "go1.") {
		t.Errorf("version: exit %d %q", r.code, r.stdout)
	}
}

// TestLogIsJSON wants every line of stderr to be JSON, when a run goes well and when it does not.
func TestLogIsJSON(t *testing.T) {
	l := newTestLab(t, "healthy")
	for _, args := range [][]string{
		{"run", "demo", "-i", l.inventory, "--out", filepath.Join(l.dir, "1"), "--until", "packets=4"},
		{"run", "demo", "-i", l.inventory, "--out", filepath.Join(l.dir, "2"), "--until", "packets=4", "-v"},
		{"run", "nowhere", "-i", l.inventory},
		{"runn"},
	} {
		r := moncap(t, append(args, "--log-format", "json")...)
		n := 0
		for s := bufio.NewScanner(strings.NewReader(r.stderr)); s.Scan(); n++ {
			var record struct {
				Level, Msg string
			}
			if err := json.Unmarshal(s.Bytes(), &record); err != nil || record.Level == "" || record.Msg == "" {
				t.Errorf("%v: %q: %v", args, s.Text(), err)
			}
			if strings.Count(s.Text(), `"peer":`) > 1 {
				t.Errorf("the peer is named twice: %s", s.Text())
			}
		}
		if n == 0 {
			t.Errorf("%v logs nothing", args)
		}
	}
}

// Every line that a router was typed is logged with --verbose, and no refusal that check hopes for
// is told as a fault.
func TestVerboseLogsEveryLine(t *testing.T) {
	l := newTestLab(t, "healthy")
	r := moncap(t, "check", "demo", "-i", l.inventory, "-v", "--log-format", "json")
	logged := map[string]map[string]int{}
	expected := 0
	for s := bufio.NewScanner(strings.NewReader(r.stderr)); s.Scan(); {
		var record struct{ Peer, Msg, Line, Answer, Error string }
		if err := json.Unmarshal(s.Bytes(), &record); err != nil {
			t.Fatal(err)
		}
		if record.Error != "" {
			t.Errorf("told as a fault: %s", s.Text())
		}
		if record.Answer != "" {
			expected++
		}
		if record.Msg == "sends" {
			if logged[record.Peer] == nil {
				logged[record.Peer] = map[string]int{}
			}
			logged[record.Peer][record.Line]++
		}
	}
	if r.code != exitOK || expected == 0 {
		t.Errorf("exit %d, %d expected refusals\n%s", r.code, expected, r.stderr)
	}
	for i, peer := range []string{"site-a", "site-b"} {
		typed := map[string]int{}
		for _, line := range l.routers[i].Commands() {
			if line != "exit" { // the end of the session is no command of the run
				typed[line]++
			}
		}
		if !maps.Equal(typed, logged[peer]) {
			t.Errorf("%s: typed %v\nlogged %v", peer, typed, logged[peer])
		}
	}
}

// TestClosedPipeIsNoWrongUsage: whoever reads our output went away, and not the command was wrong.
func TestClosedPipeIsNoWrongUsage(t *testing.T) {
	for _, args := range [][]string{{"version"}, {"commands"}, {"explain"}} {
		var stderr lockedBuffer
		code := run(t.Context(), environment{args: args, stdin: strings.NewReader(""), stdout: closedPipe{}, stderr: &stderr,
			getenv: func(string) string { return "" }, width: func() int { return 0 }})
		if code != exitFailed || stderr.String() != "" {
			t.Errorf("%v: exit %d\n%s", args, code, stderr.String())
		}
	}
}

// TestClosedPipeHidesNoOtherFailure: what a run could not do is told, though nobody
// reads the report.
func TestClosedPipeHidesNoOtherFailure(t *testing.T) {
	l := newLabWith(t, "healthy", func(c *simulator.Config) {
		c.Password, c.Knobs.NoKeyboardInteractive = "another", true
	})
	for format, want := range map[string]int{"json": exitFailed, "line": exitFailed, "nagios": exitInconclusive} {
		var stderr lockedBuffer
		code := run(t.Context(), environment{args: []string{"run", "demo", "-i", l.inventory, "--out",
			filepath.Join(l.dir, format), "--format", format}, stdin: strings.NewReader(""), stdout: closedPipe{},
			stderr: &stderr, getenv: func(string) string { return "" }, width: func() int { return 0 }})
		if said := stderr.String(); code != want || !strings.Contains(said, "moncap: ") ||
			!strings.Contains(said, "credentials") || strings.Contains(said, "broken pipe") {
			t.Errorf("%s: exit %d\n%s", format, code, said)
		}
	}
}

// TestClosedPipeDoesNotHideThatRoutersCapture: captures that go on are told, and are no 4, which
// would say that nothing is on the routers.
func TestClosedPipeDoesNotHideThatRoutersCapture(t *testing.T) {
	l := newTestLab(t, "healthy")
	for _, tt := range []struct {
		format string
		named  []string
	}{{"text", nil}, {"json", nil}, {"text", []string{"--name", "cap"}}, {"json", []string{"--name", "cap"}}} {
		var stderr lockedBuffer
		out := filepath.Join(l.dir, tt.format+strings.Join(tt.named, ""))
		code := run(t.Context(), environment{args: append([]string{"start", "demo", "-i", l.inventory, "--out", out,
			"--duration", "60s", "--format", tt.format}, tt.named...), stdin: strings.NewReader(""), stdout: closedPipe{},
			stderr: &stderr, getenv: func(string) string { return "" }, width: func() int { return 0 }})
		said := stderr.String()
		clean := append([]string{"clean", out}, tt.named...)
		for advice := range strings.SplitSeq(said, "moncap ") {
			if strings.HasPrefix(advice, "status ") {
				t.Errorf("without the inventory it finds nothing: %s", said)
			}
		}
		if code != exitDirty || !strings.Contains(said, "capture on") || !strings.Contains(said, " status "+out) ||
			!strings.Contains(said, " "+strings.Join(clean, " ")+" ends it") {
			t.Errorf("%s %v: exit %d\n%s", tt.format, tt.named, code, said)
		}
		if r := moncap(t, append(clean, "-i", l.inventory)...); r.code != exitOK {
			t.Errorf("exit %d\n%s", r.code, r.stderr)
		}
	}
	if dirty := l.dirty(); len(dirty) > 0 {
		t.Errorf("%v is not as it was", dirty)
	}
}

// TestClosedPipeDoesNotHideWhatWasDone: what was begun is told, with how it is taken back, and the
// exit code does not say that the routers are as they were.
func TestClosedPipeDoesNotHideWhatWasDone(t *testing.T) {
	l := newFleetLab(t)
	l.must(t, "db", "init")
	unread := func(args ...string) (int, string) {
		t.Helper()
		var stderr lockedBuffer
		code := run(t.Context(), environment{args: append(args, "-i", l.inventory), stdin: strings.NewReader(""),
			stdout: closedPipe{}, stderr: &stderr, getenv: func(name string) string { return l.env[name] },
			width: func() int { return 0 }, operator: "second@elsewhere"})
		return code, stderr.String()
	}
	for _, format := range []string{"text", "json"} {
		code, said := unread("submit", "demo", "--format", format)
		jobs := l.jobs(t)
		if len(jobs) != 1 {
			t.Fatalf("%d runs wait\n%s", len(jobs), said)
		}
		id := jobs[0].ID
		if code != exitDirty || !strings.Contains(said, id) || strings.Contains(said, "broken pipe") ||
			!strings.Contains(said, "moncap -i "+l.inventory+" cancel "+id+" takes it back") {
			t.Errorf("submit as %s: exit %d\n%s", format, code, said)
		}
		code, said = unread("cancel", id, "--format", format)
		if code != exitFailed || !strings.Contains(said, "taken back") || len(l.jobs(t)) != 0 {
			t.Errorf("cancel as %s: exit %d\n%s", format, code, said)
		}
		code, said = unread("arm", "demo", "--format", format)
		if jobs = l.jobs(t); len(jobs) != 1 || code != exitDirty || !strings.Contains(said, " cancel "+jobs[0].ID) {
			t.Errorf("arm as %s: exit %d, %d runs\n%s", format, code, len(jobs), said)
		}
		code, said = unread("disarm", "demo", "--format", format)
		if code != exitFailed || !strings.Contains(said, "demo is disarmed") || len(l.jobs(t)) != 0 {
			t.Errorf("disarm as %s: exit %d\n%s", format, code, said)
		}
	}
	if code, said := unread("token", "add", "ann", "--role", "viewer"); code != exitFailed ||
		!strings.Contains(said, " token remove ann ends it") {
		t.Errorf("token: exit %d\n%s", code, said)
	}
	if code, said := unread("jobs"); code != exitFailed || said != "" {
		t.Errorf("who closed the pipe has what was wanted: exit %d\n%s", code, said)
	}
	l.edit(t, "b: site-b, capture", "b: site-b, approve: four-eyes, capture")
	id := l.submitted(t, "demo")[0]
	if code, said := unread("approve", id); code != exitDirty || !strings.Contains(said, " cancel "+id) {
		t.Errorf("approve: exit %d\n%s", code, said)
	}
	l.must(t, "cancel", id)
}

// TestAdviceRepeatsTheDatabase: a command that was told which database to use advises others that
// use it, too, and repeats no address that may hold a password.
func TestAdviceRepeatsTheDatabase(t *testing.T) {
	file := filepath.Join(t.TempDir(), "fleet of mine.db")
	db := "--db 'sqlite:" + file + "'"
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"jobs"}, "moncap serve " + db + " makes it, and so does moncap db init " + db + "; --db"},
		{[]string{"worker", "list", "--db-password", "env:SECRET"},
			"moncap serve " + db + " --db-password env:SECRET makes it, and so does moncap db init " + db +
				" --db-password env:SECRET; --db"},
	} {
		r := moncap(t, append(tt.args, "--db", "sqlite:"+file)...)
		if r.code != exitUsage || !strings.Contains(r.stderr, tt.want) {
			t.Errorf("%v: exit %d, without %q\n%s", tt.args, r.code, tt.want, r.stderr)
		}
	}
	for _, args := range [][]string{{"jobs"}, {"submit", "demo"}} {
		r := moncap(t, append(args, "--db", "postgres://ann:canary@127.0.0.1:1/moncap")...)
		if r.code == exitOK || strings.Contains(r.stderr+r.stdout, "canary") {
			t.Errorf("%v: exit %d\n%s", args, r.code, r.stderr)
		}
	}
}

// TestClosedPipeDoesNotHideWhatStays: captures that were stopped are on the routers still.
func TestClosedPipeDoesNotHideWhatStays(t *testing.T) {
	l := newTestLab(t, "healthy")
	out := filepath.Join(l.dir, "bundle")
	if r := moncap(t, "start", "demo", "-i", l.inventory, "--out", out, "--duration", "60s"); r.code != exitOK {
		t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}
	var stderr lockedBuffer
	code := run(t.Context(), environment{args: []string{"stop", out, "-i", l.inventory}, stdin: strings.NewReader(""),
		stdout: closedPipe{}, stderr: &stderr, getenv: func(string) string { return "" }, width: func() int { return 0 }})
	if said := stderr.String(); code != exitDirty || !strings.Contains(said, " clean "+out+" removes it") {
		t.Errorf("exit %d\n%s", code, said)
	}
	if r := moncap(t, "clean", out, "-i", l.inventory); r.code != exitOK || len(l.dirty()) > 0 {
		t.Errorf("exit %d, %v\n%s", r.code, l.dirty(), r.stderr)
	}
}

type closedPipe struct{}

func (closedPipe) Write([]byte) (int, error) {
	return 0, &fs.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.EPIPE}
}
