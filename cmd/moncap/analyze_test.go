package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestAnalyzeArguments is about what people get wrong: each has an error that says so, and only what is inconclusive is.
func TestAnalyzeArguments(t *testing.T) {
	dir := filepath.Join("..", "..", "testdata", "incidents", "healthy")
	a, b := filepath.Join(dir, "a.pcap"), filepath.Join(dir, "b.pcap")
	for _, tt := range []struct {
		args []string
		code int
		want string // on stderr
	}{
		{[]string{a, b}, exitOK, ""},
		{[]string{b, a}, exitOK, ""},
		{[]string{a}, exitOK, ""},
		{[]string{a, a}, exitUsage, "the same capture, byte by byte"},
		{[]string{a, filepath.Join(dir, "c.pcap")}, exitUsage, "c.pcap"},
		{[]string{dir}, exitUsage, "it is a folder"},
		{[]string{a, filepath.Join(dir, "truth.yaml")}, exitUsage, "truth.yaml"},
		{[]string{"-", "-"}, exitUsage, "stdin"},
		{nil, exitUsage, "usage: moncap analyze A.pcap [B.pcap]"},
		{[]string{a, b, a}, exitUsage, "moncap analyze --help"},
		{[]string{"--bogus", a}, exitUsage, "usage: moncap analyze"},
	} {
		r := moncap(t, append([]string{"analyze"}, tt.args...)...)
		if r.code != tt.code || !strings.Contains(r.stderr, tt.want) || tt.want == "" && tt.code == exitOK && r.stderr != "" {
			t.Errorf("%v: exit %d, want %d\n%s", tt.args, r.code, tt.code, r.stderr)
		}
	}
}
