package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/capture/fleet"
)

// A terminal gets no line that it would break, but for words that are longer; whatever else reads
// gets a line for each row.
func TestTablesFitTheTerminal(t *testing.T) {
	lines := func(tty bool, width int, args ...string) []string {
		t.Helper()
		var out strings.Builder
		if code := run(t.Context(), environment{args: args, stdin: strings.NewReader(""), stdout: &out, stderr: io.Discard,
			stdoutTTY: tty, getenv: func(string) string { return "" }, width: func() int { return width }}); code != exitOK {
			t.Fatalf("%v: exit %d", args, code)
		}
		return strings.Split(strings.TrimRight(out.String(), "\n"), "\n")
	}
	dir, names := t.TempDir(), "site-of-a-customer-with-a-long-name"
	file := filepath.Join(dir, "inventory.yaml")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(`{version: 1, defaults: {username: u, password: "env:P"}, peers: {
 NAME-hq: {host: 192.0.2.1, wan: {interface: GigabitEthernet1, address: 192.0.2.1, nat_address: 198.51.100.1}},
 NAME-b: {host: 192.0.2.2, wan: {interface: GigabitEthernet1, address: 192.0.2.2}}},
 tunnels: {t: {a: NAME-hq, b: NAME-b}}}`, "NAME", names)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"commands"}, {"events", "rules"}, {"explain"}, {"demo", "--list"},
		{"inventory", "list", "-i", file}} {
		narrow, wide, piped := lines(true, 80, args...), lines(true, 1000, args...), lines(false, 80, args...)
		if strings.Join(wide, "\n") != strings.Join(piped, "\n") || len(narrow) <= len(piped) {
			t.Errorf("%v: %d lines on 80 columns, %d on 1000, %d piped", args, len(narrow), len(wide), len(piped))
		}
		for _, line := range narrow {
			if n := utf8.RuneCountInString(line); n > 80 && len(strings.Fields(line)) > 1 {
				t.Errorf("%v: %d columns: %s", args, n, line)
			}
		}
		told := strings.Join(strings.Fields(strings.ReplaceAll(strings.Join(narrow, " "), ";", " ")), " ")
		for _, line := range piped {
			for _, word := range strings.Fields(strings.ReplaceAll(line, ";", " ")) {
				if !strings.Contains(told, word) {
					t.Errorf("%v: %q is lost", args, word)
				}
			}
		}
	}
}

// The runs of the past fit as well; into a file goes a line for each.
func TestRunsFitTheTerminal(t *testing.T) {
	headline := strings.Repeat("site-a did not answer ", 4)
	runs := []*pastRun{{ID: "20261123-101500-ab12cd", Tunnel: "hq-branch", Outcome: report.Failed, Headline: headline}}
	history := []fleet.Run{{ID: "20261123-101500-ab12cd", Tunnel: "hq-branch", Outcome: "failed", Headline: headline}}
	var out, file strings.Builder
	a := newApp(t.Context(), environment{stdout: &notedWriter{Writer: &out}, stdoutTTY: true,
		getenv: func(string) string { return "" }, width: func() int { return 80 }})
	for _, w := range []io.Writer{a.stdout, &file} {
		if err := errors.Join(a.writeRuns(w, runs), a.historyText(w, history, false)); err != nil {
			t.Fatal(err)
		}
	}
	for line := range strings.Lines(out.String()) {
		if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	said := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{"STARTED ", "TUNNEL hq-branch; VERDICT failed", "HEADLINE site-a did not answer",
		"RUN 20261123-101500-ab12cd"} {
		if strings.Count(said, want) != 2 {
			t.Errorf("no %q twice in\n%s", want, out.String())
		}
	}
	if n := strings.Count(file.String(), "\n"); n != 4 || !strings.HasPrefix(file.String(), "STARTED ") {
		t.Errorf("%d lines:\n%s", n, file.String())
	}
}
