//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestOutputGoesWhereItWasTold is about what -o meets: only a regular file is ever replaced.
func TestOutputGoesWhereItWasTold(t *testing.T) {
	pcap := filepath.Join("..", "..", "testdata", "incidents", "healthy", "a.pcap")
	analyze := func(t *testing.T, file string, more ...string) result {
		t.Helper()
		return moncap(t, append([]string{"analyze", pcap, "-o", file}, more...)...)
	}
	t.Run("a FIFO", func(t *testing.T) {
		fifo := filepath.Join(t.TempDir(), "fifo")
		if err := syscall.Mkfifo(fifo, 0o600); err != nil {
			t.Fatal(err)
		}
		got := make(chan string)
		go func() {
			b, err := os.ReadFile(fifo)
			if err != nil {
				b = []byte(err.Error())
			}
			got <- string(b)
		}()
		analyze(t, fifo)
		if text := <-got; !strings.Contains(text, "Findings") {
			t.Errorf("the FIFO's reader got %q", text)
		}
		if info, err := os.Lstat(fifo); err != nil || info.Mode().Type() != os.ModeNamedPipe {
			t.Errorf("the FIFO is now %v, %v", info.Mode(), err)
		}
	})
	t.Run("a device", func(t *testing.T) {
		link := filepath.Join(t.TempDir(), "null")
		if err := os.Symlink(os.DevNull, link); err != nil {
			t.Fatal(err)
		}
		if r := analyze(t, link); r.code != exitOK {
			t.Errorf("exit %d: %s", r.code, r.stderr)
		}
		info, err := os.Stat(link)
		if l, err2 := os.Lstat(link); err != nil || err2 != nil || l.Mode().Type() != os.ModeSymlink ||
			info.Mode().IsRegular() {
			t.Error("the link to the device is not what it was")
		}
		if r := moncap(t, "analyze", pcap, "-o", "/dev/full"); r.code != exitFailed ||
			!strings.Contains(r.stderr, "/dev/full") {
			t.Errorf("/dev/full: exit %d: %s", r.code, r.stderr)
		}
	})
	t.Run("links to files", func(t *testing.T) {
		dir := t.TempDir()
		file, link, dangling := filepath.Join(dir, "file"), filepath.Join(dir, "link"), filepath.Join(dir, "dangling")
		if err := os.WriteFile(file, []byte("old"), 0o640); err != nil {
			t.Fatal(err)
		}
		for link, to := range map[string]string{link: "file", dangling: "new"} {
			if err := os.Symlink(to, link); err != nil {
				t.Fatal(err)
			}
			analyze(t, link)
			if l, err := os.Lstat(link); err != nil || l.Mode().Type() != os.ModeSymlink {
				t.Errorf("%s is no link any more", link)
			}
			if b, err := os.ReadFile(filepath.Join(dir, to)); err != nil || !strings.Contains(string(b), "Findings") {
				t.Errorf("%s: %q, %v", to, b, err)
			}
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o640 {
			t.Errorf("the mode of a file that was there is now %v", info.Mode())
		}
		left, err := filepath.Glob(filepath.Join(dir, ".moncap-*"))
		if err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	})
}

// TestOutputIsCheckedFirst is about destinations that cannot be: they are wrong usage, before
// anything else is done.
func TestOutputIsCheckedFirst(t *testing.T) {
	l := newTestLab(t, "healthy")
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "bundle")
	for _, tt := range []struct{ file, want string }{
		{dir, "is a folder"},
		{filepath.Join(dir, "no", "such", "x.json"), "no such file or directory"},
		{filepath.Join(dir, strings.Repeat("long", 100), "x"), "name too long"},
	} {
		r := moncap(t, "run", "demo", "-i", l.inventory, "--out", out, "-o", tt.file)
		if r.code != exitUsage || !strings.Contains(r.stderr, tt.want) || strings.Count(r.stderr, "moncap:") != 1 {
			t.Errorf("-o %s: exit %d, want %d and one line with %q\n%s", tt.file, r.code, exitUsage, tt.want, r.stderr)
		}
	}
	if exists(out) {
		t.Error("a run was begun")
	}
}

// TestFormOfTheFileName is about -o without --format.
func TestFormOfTheFileName(t *testing.T) {
	pcap := filepath.Join("..", "..", "testdata", "incidents", "healthy", "a.pcap")
	for _, tt := range []struct {
		name, begin string
		more        []string
	}{
		{"r.json", "{", nil}, {"r.HTML", "<!doctype html>", nil}, {"r.pcapng", "\n\r\r\n", nil}, {"r.md", "#", nil},
		{"r.xml", "<?xml", nil},
		{"r.txt", "✔", nil}, {"r", "✔", nil}, {"r.json", "✔", []string{"--format", "text"}},
	} {
		file := filepath.Join(t.TempDir(), tt.name)
		moncap(t, append([]string{"analyze", pcap, "-o", file}, tt.more...)...)
		b, err := os.ReadFile(file)
		if err != nil || !strings.HasPrefix(strings.ToLower(string(b)), tt.begin) {
			t.Errorf("-o %s %v begins with %.20q, want %q; %v", tt.name, tt.more, b, tt.begin, err)
		}
	}
	if r := moncap(t, "analyze", pcap, "-o", "-"); !strings.Contains(r.stdout, "Findings") {
		t.Errorf("-o - wrote %q to stdout", r.stdout)
	}
}
