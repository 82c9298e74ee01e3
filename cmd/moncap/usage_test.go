package main

import (
	"bufio"
	"encoding/json"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestWrongUsage is about what people mistype: the word that was meant is named, and what the command wants.
func TestWrongUsage(t *testing.T) {
	l := newTestLab(t, "healthy")
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"runn"}, `unknown command "runn" (did you mean run?)`},
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
	if r := moncap(t, "version"); r.code != exitOK || !strings.HasPrefix(r.stdout, "moncap ") || !strings.Contains(r.stdout, "go1.") {
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

// TestClosedPipeIsNoWrongUsage: whoever reads our output went away, and not the command was wrong.
func TestClosedPipeIsNoWrongUsage(t *testing.T) {
	for _, args := range [][]string{{"version"}, {"commands"}, {"explain"}} {
		var stderr lockedBuffer
		code := run(t.Context(), environment{args: args, stdin: strings.NewReader(""), stdout: closedPipe{}, stderr: &stderr,
			getenv: func(string) string { return "" }, width: func() int { return 0 }})
		if code != exitFailed || strings.Contains(stderr.String(), "usage:") {
			t.Errorf("%v: exit %d\n%s", args, code, stderr.String())
		}
	}
}

type closedPipe struct{}

func (closedPipe) Write([]byte) (int, error) {
	return 0, &fs.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.EPIPE}
}
