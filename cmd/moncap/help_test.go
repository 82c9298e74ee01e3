package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// TestEveryCommandHasAnExample looks at each command's help: an example that begins with the
// program, and the exit codes.
func TestEveryCommandHasAnExample(t *testing.T) {
	var look func(c *cobra.Command)
	look = func(c *cobra.Command) {
		if c.HasParent() && !strings.Contains(c.Example, "moncap ") {
			t.Errorf("%s has no example", c.CommandPath())
		}
		if !c.HasSubCommands() && strings.Count(c.Long, "EXIT STATUS") != 1 {
			t.Errorf("%s does not say how it exits", c.CommandPath())
		}
		for _, sub := range c.Commands() {
			look(sub)
		}
	}
	look((&app{}).command())
}

func TestManPages(t *testing.T) {
	dir := t.TempDir()
	if r := moncap(t, "man", dir); r.code != exitOK {
		t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}
	pages, err := filepath.Glob(filepath.Join(dir, "*.1"))
	if err != nil || len(pages) < 25 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "moncap-run.1"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{".TH MONCAP\\-RUN 1", ".SH EXIT STATUS", ".SH EXAMPLES", ".SH ENVIRONMENT",
		".BR moncap\\-collect (1)"} {
		if !strings.Contains(string(b), want) {
			t.Errorf("moncap-run.1 has no %q", want)
		}
	}
	if bin, err := exec.LookPath("mandoc"); err == nil {
		for _, p := range pages {
			if out, err := exec.CommandContext(t.Context(), bin, "-T", "lint", "-W", "warning", p).CombinedOutput(); err != nil {
				t.Errorf("mandoc: %s", out)
			}
		}
	}
	if bin, err := exec.LookPath("groff"); err == nil {
		out, err := exec.CommandContext(t.Context(), bin,
			append([]string{"-man", "-Tutf8", "-ww", "-z"}, pages...)...).CombinedOutput()
		if err != nil || len(out) > 0 {
			t.Errorf("groff: %v\n%s", err, out)
		}
	}
}

// TestCompletion asks the program as a shell's completion script does.
func TestCompletion(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "inventory.yaml")
	text := `{version: 1, defaults: {username: u, password: "env:P"}, peers: {hq: {host: 192.0.2.1, wan: {interface: Gi1, address: 192.0.2.1}},
 branch: {host: 192.0.2.2, wan: {interface: Gi1, address: 192.0.2.2}}}, tunnels: {hq-branch: {a: hq, b: branch}}}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		words []string
		want  []string
	}{
		{[]string{"run", ""}, []string{"hq-branch"}},
		{[]string{"check", ""}, []string{"hq-branch"}},
		{[]string{"clean", ""}, []string{"hq-branch"}},
		{[]string{"run", "hq-branch", ""}, nil},
		{[]string{"trust", ""}, []string{"branch", "hq"}},
		{[]string{"explain", "path-b"}, []string{"path-blocked"}},
		{[]string{"demo", "nat-pat"}, []string{"nat-pat"}},
		{[]string{"simulate", "simultaneous"}, []string{"simultaneous-initiation"}},
		{[]string{"report", "x", "--format", "pc"}, []string{"pcapng"}},
		{[]string{"partner-kit", "hq-branch", "--vendor", "for"}, []string{"fortigate"}},
		{[]string{"run", "--color", ""}, []string{"always", "auto", "never"}},
	} {
		r := moncap(t, append([]string{"__complete", "-i", file}, c.words...)...)
		var got []string
		for line := range strings.Lines(r.stdout) {
			word, _, _ := strings.Cut(strings.TrimSpace(line), "\t")
			if word != "" && word[0] != ':' && strings.HasPrefix(word, c.words[len(c.words)-1]) { // the shell filters
				got = append(got, word)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q\n%s", c.words, got, c.want, r.stderr)
		}
	}
}

// TestRunsAreOfferedLatestFirst: whoever completes the name of a run mostly means the last one.
func TestRunsAreOfferedLatestFirst(t *testing.T) {
	runs := t.TempDir()
	for i, name := range []string{"b-second", "c-latest", "a-first"} {
		file := filepath.Join(runs, name, "run.json")
		if err := os.Mkdir(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add([]time.Duration{-2 * time.Hour, -time.Hour, -3 * time.Hour}[i])
		if err := os.Chtimes(file, at, at); err != nil {
			t.Fatal(err)
		}
	}
	for _, command := range []string{"report", "bundle", "diff", "clean"} {
		r := program{env: map[string]string{"MONCAP_RUNS": runs}}.run(t.Context(), "__complete", "-i", "none.yaml", command,
			"")
		want := strings.Join([]string{runs + "/c-latest", runs + "/b-second", runs + "/a-first", ":32"}, "\n")
		if !strings.HasPrefix(r.stdout, want) {
			t.Errorf("%s: got\n%s\nwant\n%s", command, r.stdout, want)
		}
	}
}

// What is built for a start alone must say what the whole says.
func TestShortStartsSayTheSame(t *testing.T) {
	for _, args := range [][]string{{"--version"}, {"decode", "--help"}, {"decode"}, {"decode", "--no-such-flag"},
		{"decode", "-i"}} {
		var texts [2]string
		for i, build := range []func(*app) *cobra.Command{func(a *app) *cobra.Command { return a.commandFor(args) },
			(*app).command} {
			var out strings.Builder
			root := build(newApp(t.Context(), environment{stderr: &out, getenv: func(string) string { return "" }}))
			root.SetArgs(args)
			root.SetOut(&out)
			root.SetErr(&out)
			_, err := root.ExecuteContextC(t.Context())
			texts[i] = fmt.Sprint(out.String(), err)
		}
		if texts[0] != texts[1] || len(texts[0]) < 10 {
			t.Errorf("%v: %s\nthe whole: %s", args, texts[0], texts[1])
		}
	}
}

// TestHelpFitsTheTerminal holds every line of every command's help, and of what a group of commands
// lists, to 80 columns. What is typed of an example is not broken, and may take 100.
func TestHelpFitsTheTerminal(t *testing.T) {
	looked := 0
	var look func(c *cobra.Command)
	look = func(c *cobra.Command) {
		args := append(strings.Fields(c.CommandPath())[1:], "--help")
		help := moncap(t, args...).stdout
		if !strings.Contains(help, "Usage:") {
			t.Errorf("%v: %q", args, help)
		}
		examples := false
		for line := range strings.Lines(help) {
			line = strings.TrimRight(line, "\n")
			if line != "" && line[0] != ' ' {
				examples = line == examplesTitle
			}
			if n, most := len([]rune(line)), map[bool]int{false: 80, true: 100}[examples]; n > most {
				t.Errorf("%v: %d columns of %d: %s", args, n, most, line)
			}
		}
		looked++
		for _, sub := range c.Commands() {
			look(sub)
		}
	}
	look((&app{}).command())
	if looked < 50 {
		t.Errorf("%d commands", looked)
	}
}

// TestHelpLosesNothing: only blanks and ends of lines change where a help is made to fit.
func TestHelpLosesNothing(t *testing.T) {
	example := "Examples:\n  moncap " + strings.Repeat("x ", 20) + "\n"
	for name, tt := range map[string]struct{ text, want string }{
		"what fits":   {"One two\nthree.\n\n  a  b\n", "One two\nthree.\n\n  a  b\n"},
		"a paragraph": {"One two three four five six\nseven.\n\nx\n", "One two three four\nfive six seven.\n\nx\n"},
		"an item": {"    --a int  b c d e f g h i j k l m n o p q r s\n",
			"    --a int\n        b c d e f g\n        h i j k l m\n        n o p q r s\n"},
		"a long word":    {strings.Repeat("x", 30) + "\n", strings.Repeat("x", 30) + "\n"},
		"an example":     {example, example},
		"only a word":    {"  " + strings.Repeat("ab ", 9) + "\n", "  ab ab ab ab ab ab\n  ab ab ab\n"},
		"nothing at all": {"\n", "\n"},
	} {
		if got := fitHelp(tt.text, 20); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
	long := "  -f, --form  " + strings.Repeat("word ", 20) + "\n"
	got := fitHelp(long, 60)
	if strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(long), " ") ||
		!strings.Contains(got, "\n              word") {
		t.Errorf("the column is lost:\n%s", got)
	}
}
