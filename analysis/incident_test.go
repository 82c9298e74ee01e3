package analysis_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/analysis/scene"
)

func readTruth(t *testing.T, name string) truth { return parseTruth(t, incident(name, "truth.yaml")) }

func incidents(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, pattern := range []string{incident("*", "truth.yaml"), filepath.Join("testdata", "*", "truth.yaml")} {
		some, err := filepath.Glob(pattern)
		if err != nil || len(some) == 0 {
			t.Fatalf("no incidents by %s: %v", pattern, err)
		}
		found = append(found, some...)
	}
	for i, f := range found {
		found[i] = filepath.Base(filepath.Dir(f))
	}
	return found
}

// variant is one way to change the two captures of an incident without changing its verdict.
type variant struct {
	name    string
	a, b    func([]scene.Record) []scene.Record
	file    func([]scene.Record) []byte
	swapped bool
	keys    bool
	// orCapture: instead of the verdict, a finding about the capture will do.
	orCapture bool
	// late: a capture began when the best was over. What it lacks of that is unknown: no fault of its
	// filter, and no verdict either.
	late bool
	// cut: the capture does not hold what tells sizes and offsets; the rest of the
	// verdict must be there.
	cut bool
}

func same(all []scene.Record) []scene.Record { return all }

func variants() []variant {
	return []variant{
		{name: "as it is"},
		{name: "with keys", keys: true},
		{name: "B +37.5 s", b: shifted(37500*time.Millisecond, 0)},
		{name: "B -2 h", b: shifted(-2*time.Hour, 0)},
		{name: "B +1 year", b: shifted(365*24*time.Hour, 0)},
		{name: "B drifts 50 ppm", b: shifted(0, 50)},
		{name: "swapped", swapped: true},
		{name: "A doubled", a: doubled},
		{name: "B doubled", b: doubled},
		{name: "both doubled", a: doubled, b: doubled},
		{name: "snap length 128", a: cutTo(128), b: cutTo(128), orCapture: true},
		{name: "B snap length 128", b: cutTo(128), cut: true},
		{name: "B snap length 64", b: cutTo(64), orCapture: true},
		{name: "noise", a: noisy, b: noisy},
		{name: "A without times", a: timeless},
		{name: "B without times", b: timeless},
		{name: "both without times", a: timeless, b: timeless},
		{name: "pcapng", file: scene.PcapngOf},
		{name: "raw IP", a: func(r []scene.Record) []scene.Record { return stripped(r, nil) },
			b:    func(r []scene.Record) []scene.Record { return stripped(r, nil) },
			file: func(r []scene.Record) []byte { return scene.PcapOf(r, scene.LinkRaw) }},
		{name: "Linux cooked", a: func(r []scene.Record) []scene.Record { return stripped(r, make([]byte, 16)) },
			b:    func(r []scene.Record) []scene.Record { return stripped(r, make([]byte, 16)) },
			file: func(r []scene.Record) []byte { return scene.PcapOf(r, scene.LinkSLL) }},
		{name: "A without its first second", a: withoutFirstSecond, orCapture: true, late: true},
		{name: "B without its first second", b: withoutFirstSecond, orCapture: true, late: true},
	}
}

func (v variant) compare(t *testing.T, name string) *report.Report {
	t.Helper()
	a, b := readRecords(t, incident(name, "a.pcap")), readRecords(t, incident(name, "b.pcap"))
	if v.a != nil {
		a = v.a(a)
	}
	if v.b != nil {
		b = v.b(b)
	}
	file := v.file
	if file == nil {
		file = scene.Pcap
	}
	if v.swapped {
		a, b = b, a
	}
	var o analysis.Options
	if v.keys {
		o.Keys = keysOf(t, name)
	}
	r, err := analysis.Compare(context.Background(),
		analysis.Side{Name: "site-a", File: "a.pcap", Open: scene.Opener(file(a))},
		&analysis.Side{Name: "site-b", File: "b.pcap", Open: scene.Opener(file(b))}, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func keysOf(t *testing.T, name string) *ike.Keys {
	t.Helper()
	f, err := os.Open(incident(name, "ikev2_decryption_table"))
	if err != nil {
		t.Skip("no keys are known")
	}
	defer f.Close()
	k, err := ike.ParseKeyTable(f)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestIncidents(t *testing.T) {
	for _, name := range incidents(t) {
		want := readTruth(t, name)
		for _, v := range variants() {
			t.Run(name+"/"+v.name, func(t *testing.T) {
				want := want
				if v.swapped {
					want = want.mirrored()
				}
				if v.cut {
					want = want.withoutSizes()
				}
				r := v.compare(t, name)
				scene.Sound(t, r)
				got := scene.Flatten(t, r)
				if v.late {
					if got.Has(map[string]any{"code": "capture-filter-incomplete"}) && !want.expects("capture-filter-incomplete") {
						t.Errorf("what was before a capture is laid upon its filter: %v", got.Of("capture-filter-incomplete"))
					}
					return
				}
				if v.orCapture && got.AboutCapture() {
					return
				}
				want.check(t, r, got)
			})
		}
	}
}
