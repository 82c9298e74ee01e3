package main

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/moncap/moncap/device/simulator"
	"github.com/moncap/moncap/testdata"
)

// escapes would clear the screen, set the window's title, write the clipboard and
// turn the text around.
const escapes = "\x1b[2J\x1b]0;owned\x07\x1b]52;c;cm0gLXJmIC8=\x07\x9b31m\u202etxet\x08\x00<script>alert(1)</script>"

// newLabWith is newTestLab with routers that are different.
func newLabWith(t testing.TB, incident string, change func(*simulator.Config)) *testLab {
	t.Helper()
	return newLabOf(t, incident, labOptions{change: change})
}

func newLabOf(t testing.TB, incident string, o labOptions) *testLab {
	t.Helper()
	i, err := testdata.Load(incident)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	o.dir, o.speed = dir, 1000
	l, err := startLab(context.Background(), i, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("closing the simulated routers: %v", err)
		}
	})
	file := filepath.Join(dir, "inventory.yaml")
	if err := os.WriteFile(file, []byte(inventoryText(l.tunnel)), 0o600); err != nil {
		t.Fatal(err)
	}
	return &testLab{l, dir, file, [2]routerState{stateOf(l.routers[0]), stateOf(l.routers[1])}}
}

// everyCommand are the commands that have to do with a router, and those that show what it said.
func (l *testLab) everyCommand(out string) [][]string {
	more := []string{"-i", l.inventory, "-v", "--log-format", "json"}
	run := []string{"--out", out, "--until", "packets=4", "--duration", "5s"}
	var all [][]string
	for _, c := range [][]string{
		{"inventory", "validate"}, {"inventory", "list", "--format", "json"}, {"plan", "demo"}, {"trust", "site-a", "--yes"},
		{"check", "demo", "--record", filepath.Join(l.dir, "dialogue")}, {"check", "demo", "--format", "json"},
		append([]string{"run", "demo", "--debug"}, run...), {"report", out}, {"report", out, "--format", "html"},
		{"report", out, "--format", "json"},
		{"report", out, "--format", "markdown"}, {"report", out, "--format", "junit"}, {"report", out, "-v"},
		{"bundle", out, "-o", filepath.Join(l.dir, "case.zip")},
		{"bundle", out, "--redact", "-o", filepath.Join(l.dir, "redacted.zip")},
		{"start", "demo", "--out", out + "2", "--duration", "60s"}, {"status", out + "2"}, {"stop", out + "2"},
		{"collect", out + "2", "--dry-run"},
		{"collect", out + "2"}, {"clean", out + "2", "--dry-run"}, {"clean", out + "2"},
		{"run", "demo", "--out", out + "3", "--until", "packets=4", "--duration", "5s", "--zero-config"},
	} {
		all = append(all, append(c, more...))
	}
	return all
}

// sayEverywhere has the routers say something wherever they can.
func sayEverywhere(text string) func(*simulator.Config) {
	return func(c *simulator.Config) {
		c.Knobs.Banner, c.Knobs.MOTD = "banner "+text+"\n", "motd "+text+"\n"
		c.Show = map[string]string{
			"show crypto ikev2 profile": "IKEv2 profile: " + text + "\n", "show crypto ikev2 sa remote " + testdata.A4.String() +
				" detailed": text + "\n", "show crypto ikev2 sa remote " + testdata.B4.String() + " detailed": text + "\n",
			"show crypto map": "Crypto Map " + text + "\n",
			"show ntp status": text + "\n", "show users": text + "\n",
		}
		c.DebugLog = []string{"IKEv2:(SESSION ID = 1,SA ID = 1):" + text}
	}
}

// TestNoEscapeReachesTheTerminal lets both routers write to the operator's terminal
// whatever they like.
func TestNoEscapeReachesTheTerminal(t *testing.T) {
	l := newLabWith(t, "healthy", sayEverywhere(escapes))
	out := filepath.Join(l.dir, "bundle")
	for _, args := range l.everyCommand(out) {
		r := moncap(t, args...)
		if r.code != exitOK && r.code != exitWarnings {
			t.Errorf("%v: exit %d\n%s", args[:2], r.code, r.stderr)
		}
		harmless(t, strings.Join(args[:2], " "), r.stdout)
		harmless(t, strings.Join(args[:2], " "), r.stderr)
	}
	l.eachFile(t, func(path string, b []byte) {
		if utf8.Valid(b) { // what is read with a pager; captures and zips are binary
			harmless(t, path, string(b))
		}
	})
	l.nothingLeft(t, result{})
}

func harmless(t *testing.T, where, text string) {
	t.Helper()
	for _, r := range text {
		if r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
			t.Errorf("%s: %U is in it: %.200q", where, r, text[max(0, strings.IndexRune(text, r)-80):])
			return
		}
	}
}

func (l *testLab) eachFile(t *testing.T, f func(path string, b []byte)) {
	t.Helper()
	err := filepath.WalkDir(l.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || filepath.Base(path) == "password" {
			return err
		}
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		f(path, b)
		if z, err := zip.NewReader(bytes.NewReader(b), int64(len(b))); err == nil && filepath.Ext(path) == ".zip" {
			return eachZipped(z, path, f)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func eachZipped(z *zip.Reader, path string, f func(path string, b []byte)) error {
	for _, entry := range z.File {
		r, err := entry.Open()
		if err != nil {
			return err
		}
		b, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		f(path+"/"+entry.Name, b)
	}
	return nil
}

// TestCanary looks for the password in every byte that any command writes, when all is well and
// when nothing is, with routers that say the password themselves.
func TestCanary(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*simulator.Config)
	}{
		{"well", func(*simulator.Config) {}},
		{"echoed everywhere", sayEverywhere("you said " + labPassword + " to me")},
		{"refused", func(c *simulator.Config) { c.Password = "another" }},
		{"refused with words", func(c *simulator.Config) { c.Password, c.Knobs.Banner = "another", "not "+labPassword+"\n" }},
		{"nothing authorized", func(c *simulator.Config) { c.Authorize = func(string) bool { return false } }},
		{"level 1", func(c *simulator.Config) { c.Privilege = 1 }},
		{"no SCP", func(c *simulator.Config) { c.Knobs.NoSCP = true }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := newLabWith(t, "healthy", tt.change)
			for _, args := range l.everyCommand(filepath.Join(l.dir, "bundle")) {
				r := moncap(t, args...)
				if strings.Contains(r.stdout+r.stderr+fmt.Sprint(args), labPassword) {
					t.Errorf("%v: the password was printed\n%s%s", args[:2], r.stdout, r.stderr)
				}
			}
			l.eachFile(t, func(path string, b []byte) {
				if bytes.Contains(b, []byte(labPassword)) {
					t.Errorf("%s: the password is in it", path)
				}
			})
			for _, router := range l.routers {
				if strings.Contains(strings.Join(router.Commands(), "\n"), labPassword) {
					t.Error("the password was sent as a command")
				}
			}
			l.nothingLeft(t, result{})
		})
	}
}
