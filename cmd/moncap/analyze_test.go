package main

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What is given beside the captures and is of no use is told, on stderr and in the report.
func TestAnalyzeTellsWhatWasGivenInVain(t *testing.T) {
	dir := filepath.Join("..", "..", "testdata", "incidents", "healthy")
	other, debug := filepath.Join(t.TempDir(), "keys"), filepath.Join(t.TempDir(), "debug")
	key := strings.Repeat("00", 32)
	table := strings.Join([]string{"0123456789abcdef", "fedcba9876543210", key, key, "AES-CBC-256 [RFC3602]", key, key,
		"HMAC_SHA2_256_128 [RFC4868]"}, ",") + "\n"
	for file, text := range map[string]string{other: table, debug: "{}\n"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a, b := filepath.Join(dir, "a.pcap"), filepath.Join(dir, "b.pcap")
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"--keys", other}, "the keys that were given are of no IKE SA in the captures"},
		{[]string{"--debug-b", debug}, "side B: the debug output that was given has no line of IKEv2"},
		{[]string{"--keys", filepath.Join(dir, "ikev2_decryption_table")}, ""},
		{nil, ""},
	} {
		r := moncap(t, append([]string{"analyze", a, b}, tt.args...)...)
		said := strings.Join(strings.Fields(r.stdout), " ")
		if r.code != exitOK || !strings.Contains(said, tt.want) || !strings.Contains(r.stderr, tt.want) ||
			tt.want == "" && (r.stderr != "" || strings.Contains(said, "that was given")) {
			t.Errorf("%v: exit %d\n%s%s", tt.args, r.code, r.stdout, r.stderr)
		}
	}
}

// A capture in the place of a report is called that, with what compares captures.
func TestDiffOfCapturesSaysWhatComparesThem(t *testing.T) {
	dir := filepath.Join("..", "..", "testdata", "incidents", "healthy")
	r := moncap(t, "diff", filepath.Join(dir, "a.pcap"), filepath.Join(dir, "b.pcap"))
	if r.code != exitUsage || !strings.Contains(r.stderr, "a.pcap: it is a capture, and a report is wanted") ||
		!strings.Contains(r.stderr, "moncap analyze") {
		t.Errorf("exit %d\n%s", r.code, r.stderr)
	}
	r = moncap(t, "diff", filepath.Join(dir, "truth.yaml"), filepath.Join(dir, "b.pcap"))
	if r.code != exitUsage || !strings.Contains(r.stderr, "truth.yaml: report: invalid character") {
		t.Errorf("exit %d\n%s", r.code, r.stderr)
	}
}

// A name whose end no form goes by gets text, which is said; what was asked for is taken silently.
func TestNameOfNoFormIsTold(t *testing.T) {
	a := filepath.Join("..", "..", "testdata", "incidents", "healthy", "a.pcap")
	for name, told := range map[string]bool{"x.pdf": true, "x.txt": false, "x": false, "x.html": false} {
		r := moncap(t, "analyze", a, "-o", filepath.Join(t.TempDir(), name))
		if r.code != exitOK || strings.Contains(r.stderr, "no form goes by .pdf") != told || !told && r.stderr != "" {
			t.Errorf("%s: exit %d, %q", name, r.code, r.stderr)
		}
	}
	r := moncap(t, "analyze", a, "-f", "text", "-o", filepath.Join(t.TempDir(), "x.pdf"))
	if r.code != exitOK || r.stderr != "" {
		t.Errorf("exit %d, %q", r.code, r.stderr)
	}
}

// TestAnalyzeArguments is about what people get wrong: each has an error that says so, and only
// what is inconclusive is.
func TestAnalyzeArguments(t *testing.T) {
	dir := filepath.Join("..", "..", "testdata", "incidents", "healthy")
	a, b := filepath.Join(dir, "a.pcap"), filepath.Join(dir, "b.pcap")
	zipped := filepath.Join(t.TempDir(), "a.pcap.gz")
	plain, err := os.ReadFile(a)
	if err != nil {
		t.Fatal(err)
	}
	var gz bytes.Buffer
	w := gzip.NewWriter(&gz)
	if _, err := w.Write(plain); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(zipped, gz.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args []string
		code int
		want string // on stderr
	}{
		{[]string{a, zipped}, exitUsage, "are the same capture"},
		{[]string{a, zipped, "--format", "json"}, exitUsage, "are the same capture"},
		{[]string{a, b}, exitOK, ""},
		{[]string{b, a}, exitOK, ""},
		{[]string{a}, exitOK, ""},
		{[]string{a, a}, exitUsage, "are the same capture"},
		{[]string{a, a, "--format", "json"}, exitUsage, "are the same capture"},
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
