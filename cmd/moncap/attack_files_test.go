package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moncap/moncap/capture"
	"github.com/moncap/moncap/device"
	"github.com/moncap/moncap/device/simulator"
	"github.com/moncap/moncap/testdata"
)

// What another hand has on a router, and what lies outside of a bundle. Nothing in a bundle may
// cost the one or show the other.
const (
	foreignList = "ip access-list extended VTY-IN"
	outside     = "what-lies-outside-of-the-bundle"
)

// tamperedBundle changes what a bundle says, as somebody may who mails it, and has every command
// that takes a bundle read it.
func tamperedBundle(t *testing.T, rng *rand.Rand) {
	l := newLabWith(t, "healthy", func(c *simulator.Config) { c.Serial = "9FOREIGN" })
	for i, r := range l.routers {
		r.Type("configure terminal", foreignList, "permit tcp host 10.9.9.9 any", "exit", "ip access-list extended mckeepme",
			"permit tcp any any", "end",
			"monitor capture KEEP interface GigabitEthernet1 both", "monitor capture KEEP match any")
		l.before[i] = stateOf(r)
	}
	out := filepath.Join(l.dir, "bundle")
	args := l.matrixRun(out)
	if rng.IntN(2) == 0 {
		args = []string{"start", "demo", "-i", l.inventory, "--out", out, "--duration", "10m"}
	}
	if r := (program{tune: patient}).run(t.Context(), args...); r.code > exitInconclusive {
		t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}
	secret := filepath.Join(l.dir, "outside")
	if err := os.WriteFile(secret, []byte(outside), 0o600); err != nil {
		t.Fatal(err)
	}
	var did []string
	for range 1 + rng.IntN(3) {
		did = append(did, tamper(t, rng, out, secret))
	}
	ctx, cancel := context.WithTimeout(t.Context(), tooLong)
	defer cancel()
	for _, args := range [][]string{
		{"clean", out, "--dry-run"}, {"status", out}, {"report", out}, {"report", out, "-f", "html"},
		{"report", out, "-f", "json"},
		{"report", out, "-f", "markdown"}, {"report", out, "-f", "mermaid"}, {"report", out, "-f", "junit"},
		{"diff", out, out},
		{"bundle", out, "-o", filepath.Join(l.dir, "case.zip")},
		{"bundle", out, "--redact", "-o", filepath.Join(l.dir, "redacted.zip")},
		{[]string{"stop", "collect", "clean"}[rng.IntN(3)], out}, {"clean", out}, {"clean", out},
	} {
		r := l.inTime(ctx, t, append(args, "-i", l.inventory), did)
		harmless(t, fmt.Sprint(args[0], did), r.stdout)
		harmless(t, fmt.Sprint(args[0], did), r.stderr)
		if strings.Contains(r.stdout+r.stderr, outside) {
			t.Errorf("%v: %v shows what lies outside:\n%s%s", did, args, r.stdout, r.stderr)
		}
		if dirty := l.dirty(); args[0] == "clean" && len(args) == 2 && (r.code == exitOK || r.code == exitFailed) &&
			len(dirty) > 0 {
			t.Errorf("%v: %v: exit %d, and %v is not as it was\n%s%s", did, args, r.code, dirty, r.stdout, r.stderr)
		}
	}
	for i, r := range l.routers {
		if config := r.RunningConfig(); !strings.Contains(config, foreignList) ||
			!strings.Contains(config, "ip access-list extended mckeepme") ||
			!slices.Contains(r.CapturePoints(), "KEEP") || len(r.FlashFiles()) < len(l.before[i].flash) {
			t.Errorf("%v: router %d lost what another hand made", did, i)
		}
	}
	l.eachFile(t, func(path string, b []byte) {
		if strings.Contains(path, ".zip") && bytes.Contains(b, []byte(outside)) {
			t.Errorf("%v: %s has what lies outside", did, path)
		}
	})
}

// patient waits as long as a user's moncap does, for what is only there to be attacked.
func patient(d *device.Options, _ *capture.Options) {
	if d != nil {
		d.Timeouts = device.Timeouts{}
	}
}

// inTime runs a command that must not wait for anything that a file's name leads to.
func (l *testLab) inTime(ctx context.Context, t *testing.T, args, did []string) result {
	t.Helper()
	done := make(chan result, 1)
	go func() { done <- program{}.run(ctx, args...) }()
	select {
	case r := <-done:
		if ctx.Err() != nil {
			t.Fatalf("%v: %v did not end in time", did, args)
		}
		return r
	case <-time.After(tooLong):
		t.Fatalf("%v: %v does not end", did, args)
		return result{}
	}
}

// tamper does one thing to a bundle, and says what.
func tamper(t *testing.T, rng *rand.Rand, out, secret string) string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(out, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && d.Name() != ".lock" {
			files = append(files, path)
		}
		return err
	})
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %d files", err, len(files))
	}
	path := files[rng.IntN(len(files))]
	if rng.IntN(2) == 0 { // what commands read
		path = filepath.Join(out, []string{"run.json", "journal.jsonl", "report.json"}[rng.IntN(3)])
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "nothing" // done away with before, or of a run that has no report yet
	}
	how := rng.IntN(10)
	what := fmt.Sprintf("%d at %s", how, strings.TrimPrefix(path, out))
	switch {
	case how == 0:
		err = errors.Join(os.Remove(path), os.Symlink(secret, path))
	case how == 1:
		err = errors.Join(os.Remove(path), mkfifo(path))
	case how == 2:
		err = errors.Join(os.Remove(path), os.Mkdir(path, 0o700))
	case how == 3 && len(data) > 0:
		at := rng.IntN(len(data))
		data = append(append(slices.Clone(data[:at]), []byte(lies[rng.IntN(len(lies))])...), data[at:]...)
		err = os.WriteFile(path, data, 0o600)
	case filepath.Ext(path) == ".json":
		data, more := tamperJSON(rng, data)
		what, err = what+more, os.WriteFile(path, data, 0o600)
	case filepath.Ext(path) == ".jsonl":
		lines := strings.SplitAfter(string(data), "\n")
		i := rng.IntN(max(1, len(lines)-1))
		line, more := tamperJSON(rng, []byte(lines[i]))
		lines[i] = reseal(line)
		what, err = what+more, os.WriteFile(path, []byte(strings.Join(lines, "")), 0o600)
	default:
		for range 1 + rng.IntN(20) {
			if len(data) > 0 {
				data[rng.IntN(len(data))] = byte(rng.IntN(256))
			}
		}
		err = os.WriteFile(path, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return what
}

// reseal gives a line of a journal the checksum that it needs to be believed.
func reseal(line []byte) string {
	var entry map[string]any
	if json.Unmarshal(line, &entry) != nil {
		return string(line) + "\n"
	}
	delete(entry, "crc32")
	body, err := json.Marshal(entry)
	if err != nil {
		return string(line) + "\n"
	}
	body = body[:len(body)-1]
	return fmt.Sprintf("%s,\"crc32\":\"%08x\"}\n", body, crc32.ChecksumIEEE(body))
}

// tamperJSON puts something else in the place of one value. It says which.
func tamperJSON(rng *rand.Rand, data []byte) ([]byte, string) {
	var doc any
	if json.Unmarshal(data, &doc) != nil {
		return data, ""
	}
	values := []any{escapes, "VTY-IN", "KEEP", "mckeepme", "20260102-keepme", "../../outside", "bootflash:packages.conf",
		"/etc/passwd", 1e300, -1, 0, nil, []any{}, map[string]any{},
		strings.Repeat("x", 1<<20), "site-b", "B", "made", "gone", "acl", "capture", "10.9.9.9", "GigabitEthernet7",
		"<script>alert(1)</script>", "9FOREIGN", "reload\nreload"}
	with := values[rng.IntN(len(values))]
	where := ""
	for at := doc; ; {
		switch node := at.(type) {
		case map[string]any:
			keys := slices.Sorted(maps.Keys(node))
			if len(keys) == 0 {
				return data, where
			}
			k := keys[rng.IntN(len(keys))]
			where += "." + k
			if isLeaf(node[k]) || rng.IntN(6) == 0 {
				node[k] = with
				at = nil
			} else {
				at = node[k]
			}
		case []any:
			if len(node) == 0 {
				return data, where
			}
			i := rng.IntN(len(node))
			where += fmt.Sprintf("[%d]", i)
			if isLeaf(node[i]) {
				node[i] = with
				at = nil
			} else {
				at = node[i]
			}
		default:
			out, err := json.Marshal(doc)
			if err != nil {
				return data, where
			}
			return out, fmt.Sprintf("%s=%.40q", where, fmt.Sprint(with))
		}
	}
}

func isLeaf(v any) bool {
	switch v.(type) {
	case map[string]any, []any:
		return false
	}
	return true
}

// craftedCapture damages captures of real tunnels in ways that change what their packets say.
func craftedCapture(t *testing.T, rng *rand.Rand) {
	names := incidentNames(t)
	i, err := testdata.Load(names[rng.IntN(len(names))])
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a.pcap"), filepath.Join(dir, "b.pcap")
	if err := errors.Join(os.WriteFile(a, craft(rng, i.A), 0o600), os.WriteFile(b, craft(rng, i.B), 0o600)); err != nil {
		t.Fatal(err)
	}
	// a search for what a hash was made of takes seconds
	ctx, cancel := context.WithTimeout(t.Context(), tooLong)
	defer cancel()
	for _, args := range [][]string{
		{"analyze", a}, {"analyze", a, b}, {"analyze", a, b, "-f", "html"}, {"analyze", a, b, "-f", "json"},
		{"analyze", a, b, "-f", "markdown"},
		{"analyze", b, a, "-f", "pcapng", "-o", filepath.Join(dir, "both.pcapng")}, {"decode", "-V", a},
		{"decode", "-f", "ndjson", b},
	} {
		r := program{}.run(ctx, args...)
		if ctx.Err() != nil {
			t.Fatalf("%s: %v did not end in time", i.Name, args)
		}
		cut := args[0] == "decode" && r.code == exitFailed && strings.Contains(r.stderr, "damaged at byte ")
		if r.code != exitUsage && r.code > exitInconclusive && !cut {
			t.Errorf("%s: %v: exit %d\n%s", i.Name, args, r.code, r.stderr)
		}
		harmless(t, fmt.Sprint(i.Name, args), r.stdout)
		harmless(t, fmt.Sprint(i.Name, args), r.stderr)
	}
}

func incidentNames(t *testing.T) []string {
	t.Helper()
	entries, err := fs.ReadDir(testdata.Incidents(), ".")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

// craft flips bits, writes what a terminal or a browser would act on, repeats or leaves out
// stretches, and sets lengths to what they cannot be.
func craft(rng *rand.Rand, data []byte) []byte {
	data = slices.Clone(data)
	for range 1 + rng.IntN(12) {
		if len(data) < 64 {
			return data
		}
		at := rng.IntN(len(data) - 32)
		switch rng.IntN(6) {
		case 0:
			data[at] ^= byte(1 << rng.IntN(8))
		case 1:
			copy(data[at:], []byte(lies[rng.IntN(len(lies))]))
		case 2:
			copy(data[at:], bytes.Repeat([]byte{[]byte{0, 0xff, 0x7f, 0x80}[rng.IntN(4)]}, 1+rng.IntN(8)))
		case 3:
			data = append(data, data[at:]...)
		case 4:
			data = data[:at]
		case 5:
			data = slices.Delete(data, at, at+1+rng.IntN(16))
		}
	}
	return data
}

// TestNamesInABundleSteerNoTerminal gives a run that is open a tunnel and peers whose names are
// made for a terminal.
func TestNamesInABundleSteerNoTerminal(t *testing.T) {
	l := newTestLab(t, "healthy")
	out := filepath.Join(l.dir, "runs", "demo-1")
	l.started(t, out)
	name := filepath.Join(out, "run.json")
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	evil, err := json.Marshal(escapes)
	if err != nil {
		t.Fatal(err)
	}
	for before, after := range map[string]string{`"site-a"`: string(evil), `"site-b"`: string(evil[:len(evil)-1]) + `b"`,
		`"demo"`: string(evil)} {
		data = bytes.ReplaceAll(data, []byte(before), []byte(after))
	}
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	p := program{env: map[string]string{"MONCAP_RUNS": filepath.Join(l.dir, "runs")}}
	for _, args := range [][]string{
		{"clean", out, "--dry-run"}, {"stop", out, "--dry-run"}, {"collect", out, "--dry-run"},
		{"clean", "--all", "--dry-run"}, {"clean", out}, {"status", out},
		{"collect", out}, {"report", out}, {"runs"}, {"runs", "-f", "json"}, {"runs", "-f", "html"},
		{"runs", "-f", "prometheus"},
	} {
		r := p.run(t.Context(), append(args, "-i", l.inventory)...)
		harmless(t, fmt.Sprint(args), r.stdout)
		harmless(t, fmt.Sprint(args), r.stderr)
		if args[0] == "clean" && r.code != exitDirty && args[1] == out {
			t.Errorf("%v: exit %d\n%s%s", args, r.code, r.stdout, r.stderr)
		}
	}
}
