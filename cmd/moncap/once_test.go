package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moncap/moncap/analysis"
	"github.com/moncap/moncap/testdata"
)

// A capture that is no file on disk, as a pipe, is not opened twice.
func TestPipesAreOpenedOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.pcap")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{file: false, os.DevNull: true, "-": true} {
		var s analysis.Side
		if err := (&app{}).openCapture(t.Context(), &s, path); err != nil {
			t.Fatal(err)
		}
		if s.Once != want {
			t.Errorf("%s: opened once is %v", path, s.Once)
		}
	}
}

// One FIFO, or stdin, with both sides, which is read again for each of them and for a report in
// pcapng, is judged as the file is.
func TestBothSidesComeThroughOnePipe(t *testing.T) {
	dir := t.TempDir()
	file, pipe := filepath.Join(dir, "both.pcapng"), filepath.Join(dir, "pipe.pcapng")
	i, err := testdata.Load("healthy")
	if err != nil {
		t.Fatal(err)
	}
	a, b := filepath.Join(dir, "a.pcap"), filepath.Join(dir, "b.pcap")
	if err := errors.Join(os.WriteFile(a, i.A, 0o600), os.WriteFile(b, i.B, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := mkfifo(pipe); err != nil {
		t.Skip(err)
	}
	if r := moncap(t, "analyze", a, b, "--format", "pcapng", "-o", file); r.code != exitOK {
		t.Fatal(r.stderr)
	}
	both, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"json", "pcapng"} {
		want := moncap(t, "analyze", file, "--format", format)
		written := make(chan error, 1)
		go func() { written <- os.WriteFile(pipe, both, 0o600) }()
		got := moncap(t, "analyze", pipe, "--format", format)
		if err := <-written; err != nil {
			t.Error(err)
		}
		if got.code != want.code || strings.ReplaceAll(got.stdout, pipe, file) != want.stdout {
			t.Errorf("%s: exit status %d, want %d; %s", format, got.code, want.code, got.stderr)
		}
		got = program{stdin: string(both)}.run(t.Context(), "analyze", "-", "--format", format)
		// In pcapng the names of files are padded, so that all behind them moves.
		same := strings.ReplaceAll(got.stdout, `"stdin"`, `"`+file+`"`) == want.stdout ||
			format == "pcapng" && len(got.stdout) > len(both)/2
		if got.code != want.code || !same {
			t.Errorf("%s of stdin: exit status %d, want %d; %s", format, got.code, want.code, got.stderr)
		}
	}
	if r := moncap(t, "analyze", pipe, pipe); r.code != exitUsage || !strings.Contains(r.stderr, "are the same pipe") {
		t.Errorf("one pipe for both captures: %d, %s", r.code, r.stderr)
	}
	if samePipe(file, file) || samePipe(dir, dir) || samePipe(pipe, file) {
		t.Error("a file or a folder is a pipe")
	}
}
