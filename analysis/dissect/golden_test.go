package dissect

import (
	"bytes"
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/packet"
)

var update = flag.Bool("update", false, "write the golden outputs anew")

// forms are all that the decode command can make of a capture.
var forms = map[string]Options{
	"list": {}, "list-color": {Color: true}, "list-utc-bytes": {UTC: true, Bytes: true}, "tree": {Form: Tree},
	"tree-color": {Form: Tree, Color: true},
	"json":       {Form: JSON}, "ndjson": {Form: NDJSON},
}

// captures are the files of all incidents and of the field.
func captures(tb testing.TB) []string {
	tb.Helper()
	files, err := filepath.Glob("../../testdata/*/*/*.pcap*")
	if err != nil || len(files) < 200 {
		tb.Fatalf("%d captures, %v", len(files), err)
	}
	return files
}

func shown(tb testing.TB, file string, o Options) []byte {
	tb.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	r, err := packet.NewReader(bytes.NewReader(b), packet.Options{NoHash: true})
	if err != nil {
		tb.Fatalf("%s: %v", file, err)
	}
	var out bytes.Buffer
	if err := Packets(tb.Context(), &out, r, o); err != nil {
		tb.Fatalf("%s: %v", file, err)
	}
	return out.Bytes()
}

// keysBeside reads the tables of keys that lie beside a capture.
func keysBeside(tb testing.TB, file string) *ike.Keys {
	tb.Helper()
	tables, err := filepath.Glob(filepath.Join(filepath.Dir(file), "ikev*_decryption_table"))
	if err != nil || len(tables) == 0 {
		return nil
	}
	b, err := os.ReadFile(tables[0])
	if err != nil {
		tb.Fatal(err)
	}
	keys, err := ike.ParseKeyTable(bytes.NewReader(b))
	if err != nil {
		tb.Fatalf("%s: %v", tables[0], err)
	}
	return keys
}

// No byte of any output changes unseen: a line a capture and form, with a hash. What three of them
// say stands beside, to be read.
func TestGoldenOutputs(t *testing.T) {
	var sums bytes.Buffer
	for _, file := range captures(t) {
		name := strings.TrimPrefix(filepath.ToSlash(file), "../../testdata/")
		for _, form := range slices.Sorted(maps.Keys(forms)) {
			o := forms[form]
			fmt.Fprintf(&sums, "%s %s %.8x\n", name, form, sha256.Sum256(shown(t, file, o)))
			if o.Keys = keysBeside(t, file); o.Keys != nil {
				fmt.Fprintf(&sums, "%s %s-keys %.8x\n", name, form, sha256.Sum256(shown(t, file, o)))
			}
		}
	}
	compareGolden(t, "testdata/sums.txt", sums.Bytes())
	for _, incident := range []string{"nat", "ikev1-main-mode", "icmp-admin-prohibited"} {
		for _, form := range []string{"list", "tree", "ndjson"} {
			file := filepath.Join("../../testdata/incidents", incident, "a.pcap")
			compareGolden(t, filepath.Join("testdata", incident+"."+form), shown(t, file, forms[form]))
		}
	}
}

func compareGolden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(got, want) {
		return
	}
	was := strings.Split(string(want), "\n")
	for i, line := range strings.Split(string(got), "\n") {
		if i >= len(was) || line != was[i] {
			t.Fatalf("%s, line %d (run go test ./analysis/dissect -run Golden -update and read the diff):\n%s", path, i+1, line)
		}
	}
	t.Fatalf("%s: %d bytes, want %d", path, len(got), len(want))
}

// many is a capture of IKE_SA_INIT and IKE_AUTH messages, n times those of an incident.
func many(tb testing.TB, n int) []byte {
	tb.Helper()
	b, err := os.ReadFile("../../testdata/incidents/healthy/a.pcap")
	if err != nil {
		tb.Fatal(err)
	}
	return slices.Concat(b[:24], bytes.Repeat(b[24:], n))
}

// The list allocates nothing for a packet, nor do the counts.
func TestListAllocatesNothingPerPacket(t *testing.T) {
	for name, run := range map[string]func(*packet.Reader) error{
		"list":  func(r *packet.Reader) error { return Packets(t.Context(), io.Discard, r, Options{}) },
		"stats": func(r *packet.Reader) error { return Stats(t.Context(), io.Discard, r, false) },
	} {
		allocations := func(n int) float64 {
			file := many(t, n)
			return testing.AllocsPerRun(1, func() {
				r, err := packet.NewReader(bytes.NewReader(file), packet.Options{NoHash: true})
				if err == nil {
					err = run(r)
				}
				if err != nil {
					t.Fatal(err)
				}
			})
		}
		few, all := allocations(10), allocations(2000)
		// The runtime makes a few of its own, and with the race detector pools forget at random what
		// they were given; one in ten packets is still far from one a packet.
		if all > few+8000/10 {
			t.Errorf("%s: %v allocations for 8000 packets, %v for 40", name, all, few)
		}
	}
}

func TestSecondsAndNumbersAreAligned(t *testing.T) {
	for nanos, want := range map[int64]string{
		0: "    0.000000", 1_499: "    0.000001", 1_500: "    0.000002", 999_999_999: "    1.000000",
		12_345_678_901:      "   12.345679",
		123_456_789_000_000: "123456.789000", -1_000_000: "   -0.001000", -1: "   -0.000000",
	} {
		if got := string(appendSeconds(nil, nanos)); got != want {
			t.Errorf("%d: %q, want %q", nanos, got, want)
		}
	}
	for n, want := range map[int]string{0: "    0", 9: "    9", 10: "   10", 99999: "99999", 123456: "123456"} {
		if got := string(appendPadded(nil, n, 5)); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}
