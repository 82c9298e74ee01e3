package analysis_test

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/moncap/moncap/analysis"
	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/analysis/scene"

	"gopkg.in/yaml.v3"
)

// truth is what was done to an incident, and what a right analysis says of it.
type truth struct {
	What            string
	Expect          []map[string]any
	ExpectAny       [][]map[string]any     `yaml:"expect_any"` // one of each list
	MustNot         []string               `yaml:"must_not"`
	Outcomes        []string               // what the verdict may be; none: anything
	PairsMin        int                    `yaml:"pairs_min"`
	Files           []string               // the captures; none: a.pcap and b.pcap
	Tunnel          *struct{ A, B string } // addresses that an inventory would know
	CommandsMust    []string               `yaml:"commands_must"`
	CommandsMustNot []string               `yaml:"commands_must_not"`
	ExplanationMust []string               `yaml:"explanation_must"`
}

func parseTruth(t testing.TB, path string) truth {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var v truth
	if err := yaml.Unmarshal(b, &v); err != nil { // JSON is YAML
		t.Fatalf("%s: %v", path, err)
	}
	return v
}

var otherSide = map[any]any{"A": "B", "B": "A", "A->B": "B->A", "B->A": "A->B"}

// mirrored exchanges the sides in what is expected.
func (w truth) mirrored() truth {
	m := w
	m.Expect = mirrorAll(w.Expect)
	m.ExpectAny = nil
	for _, some := range w.ExpectAny {
		m.ExpectAny = append(m.ExpectAny, mirrorAll(some))
	}
	return m
}

func mirrorAll(all []map[string]any) []map[string]any {
	var out []map[string]any
	for _, e := range all {
		m := map[string]any{}
		for k, x := range e {
			switch {
			case strings.HasPrefix(k, "side_a"):
				k = "side_b" + k[len("side_a"):]
			case strings.HasPrefix(k, "side_b"):
				k = "side_a" + k[len("side_b"):]
			}
			if s, ok := x.(string); ok && otherSide[s] != nil {
				x = otherSide[s]
			}
			m[k] = x
		}
		out = append(out, m)
	}
	return out
}

// withoutSizes leaves out what only whole packets tell.
func (w truth) withoutSizes() truth {
	m := w
	m.Expect = nil
	for _, e := range w.Expect {
		e = maps.Clone(e)
		for _, k := range []string{"fragments_sent", "fragments_seen", "first_difference_offset"} {
			delete(e, k)
		}
		m.Expect = append(m.Expect, e)
	}
	return m
}

// faults is what is wrong with a report, a line each.
func (w truth) faults(r *report.Report, found scene.Flat) []string {
	var why []string
	say := func(format string, a ...any) { why = append(why, fmt.Sprintf(format, a...)) }
	for _, e := range w.Expect {
		if !found.Has(e) {
			say("no finding %v among %v", e, found.Codes())
		}
	}
	for _, some := range w.ExpectAny {
		if !slices.ContainsFunc(some, found.Has) {
			say("none of %v among %v", some, found.Codes())
		}
	}
	for _, code := range w.MustNot {
		if slices.Contains(found.Codes(), code) {
			say("%s is false", code)
		}
	}
	if len(w.Outcomes) > 0 && !slices.Contains(w.Outcomes, string(r.Verdict.Outcome)) {
		say("outcome %s, not %s", r.Verdict.Outcome, strings.Join(w.Outcomes, " or "))
	}
	if r.Pairs.Matched < w.PairsMin {
		say("%d pairs, not %d", r.Pairs.Matched, w.PairsMin)
	}
	return append(why, w.wordFaults(r)...)
}

// wordFaults is what is wrong with the advice and the explanations.
func (w truth) wordFaults(r *report.Report) []string {
	var why, commands []string
	var text strings.Builder
	for _, f := range r.Findings {
		text.WriteString(f.Explanation + " ")
		for _, a := range f.Actions {
			commands = append(commands, a.Commands...)
		}
	}
	advised := func(pattern string) bool {
		re := regexp.MustCompile(pattern)
		return slices.ContainsFunc(commands, func(c string) bool { return re.MatchString(strings.TrimSpace(c)) })
	}
	for _, p := range w.CommandsMust {
		if !advised(p) {
			why = append(why, fmt.Sprintf("no command %q", p))
		}
	}
	for _, p := range w.CommandsMustNot {
		if advised(p) {
			why = append(why, fmt.Sprintf("command %q", p))
		}
	}
	for _, words := range w.ExplanationMust {
		if !strings.Contains(text.String(), words) {
			why = append(why, fmt.Sprintf("%q is not said", words))
		}
	}
	return why
}

// healthy says whether the tunnel of the incident is to be called good.
func (w truth) healthy() bool {
	if len(w.Outcomes) > 0 {
		return slices.Contains(w.Outcomes, "established")
	}
	return !slices.ContainsFunc(w.Expect, scene.IsCritical) &&
		slices.ContainsFunc(w.Expect, func(e map[string]any) bool { return e["code"] == "tunnel-established" })
}

// A right analysis is what the truth of an incident of the field says, whichever way round the
// files are given; of the others, a file beside the captures says that it is not yet so.
func TestFieldIncidents(t *testing.T) {
	for _, name := range fieldIncidents(t) {
		t.Run(name, func(t *testing.T) {
			why := fieldFaults(t, name)
			_, err := os.Stat(field(name, "not-yet"))
			switch {
			case err == nil && len(why) == 0:
				t.Errorf("%s is judged right: remove its file not-yet", name)
			case err != nil && len(why) > 0:
				t.Errorf("%s:\n%s", parseTruth(t, field(name, "truth.json")).What, strings.Join(why, "\n"))
			}
		})
	}
}

// fieldFaults is what is wrong with the judgement of an incident, the files as they
// are and exchanged.
func fieldFaults(t *testing.T, name string) []string {
	t.Helper()
	var why []string
	want := parseTruth(t, field(name, "truth.json"))
	r := compareField(t, name, asItIs)
	scene.Sound(t, r)
	why = append(why, want.faults(r, scene.Flatten(t, r))...)
	if len(want.files()) == 2 {
		r = compareField(t, name, exchanged)
		scene.Sound(t, r)
		for _, s := range want.mirrored().faults(r, scene.Flatten(t, r)) {
			why = append(why, "exchanged: "+s)
		}
	}
	return why
}

func field(name, file string) string { return filepath.Join("..", "testdata", "field", name, file) }

func fieldIncidents(t testing.TB) []string {
	t.Helper()
	found, err := filepath.Glob(field("*", "truth.json"))
	if err != nil || len(found) == 0 {
		t.Fatalf("no incidents of the field: %v", err)
	}
	for i, f := range found {
		found[i] = filepath.Base(filepath.Dir(f))
	}
	return found
}

func (w truth) files() []string {
	if len(w.Files) > 0 {
		return w.Files
	}
	return []string{"a.pcap", "b.pcap"}
}

// The ways to give an incident's files.
const (
	asItIs    = "as it is"
	exchanged = "exchanged"
	aloneA    = "A alone"
	aloneB    = "B alone"
)

func compareField(t *testing.T, name, way string) *report.Report {
	t.Helper()
	w := parseTruth(t, field(name, "truth.json"))
	var sides []*analysis.Side
	for i, file := range w.files() {
		b, err := os.ReadFile(field(name, file))
		if err != nil {
			t.Fatal(err)
		}
		sides = append(sides, &analysis.Side{Name: "site-" + string("ab"[i]), File: file, Open: scene.Opener(b)})
	}
	if w.Tunnel != nil && len(sides) == 2 {
		sides[0].Address, sides[1].Address = netip.MustParseAddr(w.Tunnel.A), netip.MustParseAddr(w.Tunnel.B)
	}
	switch {
	case way == exchanged:
		slices.Reverse(sides)
		sides[0].Name, sides[1].Name = sides[1].Name, sides[0].Name
	case way == aloneA:
		sides = sides[:1]
	case way == aloneB:
		sides = sides[1:]
	}
	sides = append(sides, nil)
	r, err := analysis.Compare(context.Background(), *sides[0], sides[1], analysis.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// check: everything expected is there, nothing forbidden, and no critical finding that neither is
// expected nor follows from another.
func (w truth) check(t *testing.T, r *report.Report, f scene.Flat) {
	t.Helper()
	for _, s := range w.faults(r, f) {
		t.Errorf("%s: %s", w.What, s)
	}
	for _, m := range f {
		if scene.IsCritical(m) && m["caused_by"] == nil && !w.expects(m["code"]) {
			t.Errorf("%s: critical finding %s that follows from nothing", w.What, m["code"])
		}
	}
}

func (w truth) expects(code any) bool {
	return slices.ContainsFunc(slices.Concat(append([][]map[string]any{w.Expect}, w.ExpectAny...)...),
		func(e map[string]any) bool { return e["code"] == code })
}
