package analysis

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/report"
)

// truth is what was done to an incident, and what a right analysis says of it.
type truth struct {
	What    string
	Expect  []map[string]any
	MustNot []string `yaml:"must_not"`
}

func readTruth(t *testing.T, name string) truth {
	t.Helper()
	b, err := os.ReadFile(incident(name, "truth.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var v truth
	if err := yaml.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

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
	a, b    func([]record) []record
	file    func([]record) []byte
	swapped bool
	keys    bool
	// orCapture: instead of the verdict, a finding about the capture will do.
	orCapture bool
	// cut: the capture does not hold what tells sizes and offsets; the rest of the verdict must be there.
	cut bool
}

func same(all []record) []record { return all }

func pcap(all []record) []byte { return pcapOf(all, linkEthernet) }

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
		{name: "pcapng", file: pcapngOf},
		{name: "raw IP", a: func(r []record) []record { return stripped(r, nil) }, b: func(r []record) []record { return stripped(r, nil) },
			file: func(r []record) []byte { return pcapOf(r, linkRaw) }},
		{name: "Linux cooked", a: func(r []record) []record { return stripped(r, make([]byte, 16)) },
			b:    func(r []record) []record { return stripped(r, make([]byte, 16)) },
			file: func(r []record) []byte { return pcapOf(r, linkSLL) }},
		{name: "A without its first second", a: withoutFirstSecond, orCapture: true},
		{name: "B without its first second", b: withoutFirstSecond, orCapture: true},
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
		file = pcap
	}
	if v.swapped {
		a, b = b, a
	}
	var o Options
	if v.keys {
		o.Keys = keysOf(t, name)
	}
	r, err := Compare(context.Background(), Side{Name: "site-a", File: "a.pcap", Open: opener(file(a))},
		&Side{Name: "site-b", File: "b.pcap", Open: opener(file(b))}, o)
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
				sound(t, r)
				got := flatten(t, r)
				if v.orCapture && got.aboutCapture() {
					return
				}
				got.check(t, want)
			})
		}
	}
}

// mirrored exchanges the sides in what is expected.
func (w truth) mirrored() truth {
	other := map[any]any{"A": "B", "B": "A", "A->B": "B->A", "B->A": "A->B"}
	m := truth{w.What, nil, w.MustNot}
	for _, e := range w.Expect {
		e = maps.Clone(e)
		for k, x := range e {
			if s, ok := x.(string); ok && other[s] != nil {
				e[k] = other[s]
			}
		}
		if a, ok := e["side_a_version"]; ok {
			e["side_a_version"], e["side_b_version"] = e["side_b_version"], a
		}
		m.Expect = append(m.Expect, e)
	}
	return m
}

// withoutSizes leaves out what only whole packets tell.
func (w truth) withoutSizes() truth {
	m := truth{w.What, nil, w.MustNot}
	for _, e := range w.Expect {
		e = maps.Clone(e)
		for _, k := range []string{"fragments_sent", "fragments_seen", "first_difference_offset"} {
			delete(e, k)
		}
		m.Expect = append(m.Expect, e)
	}
	return m
}

// flat are findings as a reader of the JSON sees them.
type flat []map[string]any

func flatten(t *testing.T, r *report.Report) flat {
	t.Helper()
	b, err := json.Marshal(r.Findings)
	if err != nil {
		t.Fatal(err)
	}
	var f flat
	if err := json.Unmarshal(b, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f flat) aboutCapture() bool {
	return slices.ContainsFunc(f, func(m map[string]any) bool { return strings.HasPrefix(fmt.Sprint(m["code"]), "capture-") })
}

func (f flat) has(want map[string]any) bool {
	return slices.ContainsFunc(f, func(m map[string]any) bool {
		for k, x := range want {
			if fmt.Sprint(m[k]) != fmt.Sprint(x) {
				return false
			}
		}
		return true
	})
}

// check: everything expected is there, nothing forbidden, and no critical finding that neither is expected nor follows from another.
func (f flat) check(t *testing.T, want truth) {
	t.Helper()
	expected := map[string]bool{}
	for _, e := range want.Expect {
		expected[fmt.Sprint(e["code"])] = true
		if !f.has(e) {
			t.Errorf("%s: no finding %v among %v", want.What, e, f.codes())
		}
	}
	for _, m := range f {
		code := fmt.Sprint(m["code"])
		if slices.Contains(want.MustNot, code) {
			t.Errorf("%s: %s must not be reported", want.What, code)
		}
		if m["severity"] == "critical" && !expected[code] && m["caused_by"] == nil {
			t.Errorf("%s: critical finding %s that follows from nothing", want.What, code)
		}
	}
}

func (f flat) codes() []string {
	var all []string
	for _, m := range f {
		all = append(all, fmt.Sprint(m["code"]))
	}
	return all
}
