package main

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/redact"
	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/capture"
	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/testdata"
)

// TestRedactedBundleNamesNobody packs runs and looks through every byte of the zip for what was to
// be taken out, in all forms in which an address is written. What is left must still be a bundle,
// with the same verdict.
func TestRedactedBundleNamesNobody(t *testing.T) {
	for _, incident := range []string{"nat", "ike-fragmentation", "ip-fragments-lost", "ikev1-psk-mismatch",
		"esp-blocked-a-to-b", "icmp-admin-prohibited", "ipv6"} {
		t.Run(incident, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			out, packed, folder := filepath.Join(dir, "run"), filepath.Join(dir, "case.zip"), filepath.Join(dir, "case")
			before := moncap(t, "demo", incident, "--speed", "1000", "--out", out, "--format", "json")
			if r := moncap(t, "bundle", out, "--redact", "-o", packed); r.code != exitOK {
				t.Fatalf("bundle: exit %d\n%s", r.code, r.stderr)
			}
			files := unpack(t, packed, folder)
			for name, b := range files {
				for what, in := range leaks() {
					if in(b) {
						t.Errorf("%s holds %s", name, what)
					}
				}
			}
			checkSums(t, files)
			after := moncap(t, "report", folder, "--again", "--format", "json")
			if after.code != before.code {
				t.Errorf("the unpacked bundle's report ends with %d, the run with %d\n%s", after.code, before.code, after.stderr)
			}
			if _, err := report.Read(bytes.NewReader(files["report.json"])); err != nil {
				t.Error(err)
			}
			for _, want := range []string{"README.txt", "report.html", "both.pcapng", "run.json", "a/transcript.log"} {
				if len(files[want]) == 0 {
					t.Errorf("%s is missing", want)
				}
			}
		})
	}
}

// leaks are the demo's addresses as text, as bytes, in hexadecimal and as a number, its names, and
// its password.
func leaks() map[string]func([]byte) bool {
	out := map[string]func([]byte) bool{}
	has := func(s string) func([]byte) bool {
		return func(b []byte) bool { return bytes.Contains(bytes.ToLower(b), bytes.ToLower([]byte(s))) }
	}
	for _, a := range []netip.Addr{testdata.A4, testdata.B4, testdata.NAT, testdata.A6, testdata.B6} {
		raw := a.AsSlice()
		out[a.String()] = regexp.MustCompile(`\b` + regexp.QuoteMeta(a.String()) + `\b`).Match
		out[a.String()+" in hexadecimal"] = has(hex.EncodeToString(raw))
		out[a.String()+" in bytes"] = func(b []byte) bool { return bytes.Contains(b, raw) }
		if a.Is4() {
			out[a.String()+" as a number"] = has(fmt.Sprint(binary.BigEndian.Uint32(raw)))
		}
	}
	for _, word := range []string{`(?i)\bsite-[ab]\b`, `\bdemo\b`, labPassword} {
		out[word] = regexp.MustCompile(word).Match
	}
	return out
}

func unpack(t *testing.T, file, folder string) map[string][]byte {
	t.Helper()
	z, err := zip.OpenReader(file)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	files := map[string][]byte{}
	for _, f := range z.File {
		in, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		name, inFolder := strings.CutPrefix(f.Name, strings.TrimSuffix(filepath.Base(file), ".zip")+"/")
		if !inFolder || f.Modified.Year() < 2026 {
			t.Errorf("%s of %s: want it in a folder with the zip's name, with the time of the run", f.Name, f.Modified)
		}
		files[name] = b
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func checkSums(t *testing.T, files map[string][]byte) {
	t.Helper()
	lines := 0
	for line := range strings.Lines(string(files["SHA256SUMS"])) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		own := sha256.Sum256(files[name])
		if hex.EncodeToString(own[:]) != sum {
			t.Errorf("SHA256SUMS: %s is another file", name)
		}
		lines++
	}
	if lines != len(files)-1 {
		t.Errorf("SHA256SUMS has %d lines for %d files", lines, len(files)-1)
	}
}

// TestRedactedNamesNoRouterThatAnswered: another router that answered is in nobody's inventory, and
// named by the error.
func TestRedactedNamesNoRouterThatAnswered(t *testing.T) {
	key := "SHA256:" + strings.Repeat("Ab3/", 10) + "x+z"
	other := &capture.OtherRouterError{Peer: "site-a", Expected: "site-A (serial number 9AAA, host key " + key + ")",
		Answered: "edge-7 (serial number 9ZZZ, host key " + key + ")"}
	run := &bundle.Run{ID: "x", Tunnel: "hq", Error: other.Error(),
		Notes: []string{"site-a: it calls itself edge-8 now, and was edge-6 before"},
		A:     bundle.Router{Peer: "site-a", Hostname: "site-A", Serial: "9AAA", HostKey: key},
		Left:  []bundle.Left{{Why: other.Error()}}}
	r, err := redact.New(make([]byte, redact.KeyLen), namesOf(run))
	if err != nil {
		t.Fatal(err)
	}
	f, err := redactRun(run, nil, r)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"site-a", "edge-6", "edge-7", "edge-8", "9AAA", "9ZZZ", key} {
		if strings.Contains(strings.ToLower(string(f.data)), strings.ToLower(name)) {
			t.Errorf("%s is in it:\n%s", name, f.data)
		}
	}
	if !strings.Contains(string(f.data), "another router answers: expected is") {
		t.Errorf("what happened is lost:\n%s", f.data)
	}
}

// TestPackingReadsNoFileWhole: a folder may hold what is larger than this machine's memory.
func TestPackingReadsNoFileWhole(t *testing.T) {
	dir := t.TempDir()
	big := filepath.Join(dir, "big.txt")
	if err := errors.Join(os.WriteFile(big, nil, 0o600), os.Truncate(big, 256<<20)); err != nil { // a hole takes no room
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := writeZip(io.Discard, []packedFile{{name: "big.txt", path: big}}, "case", time.Now()); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 16<<20 {
		t.Errorf("%d MB were allocated for a file of 256 MB", took>>20)
	}
}
