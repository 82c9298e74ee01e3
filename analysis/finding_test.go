package analysis

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/moncap/moncap/analysis/diagnose"
	"github.com/moncap/moncap/analysis/report"
)

// The kinds of cases that every code has: one that it is for, one that nearly is, and one where it does not apply.
const (
	hit  = "hit"
	near = "near"
	none = "not"
)

// findingCase is one scene and what is said, or not said, of it.
type findingCase struct {
	code, kind, name string
	play             func(*scene)
	want             map[string]any // of a hit: fields that the finding has beside its code
}

func findingCases() []findingCase {
	return slices.Concat(pathCases(), sizeCases(), espCases(), natCases(), peerCases(), negotiationCases(), authCases(), lifeCases(),
		v1Cases(), captureCases(), insideCases(), debugCases())
}

func TestFindings(t *testing.T) {
	for _, c := range findingCases() {
		t.Run(c.code+"/"+c.kind+"/"+c.name, func(t *testing.T) {
			s := newScene(t)
			c.play(s)
			r := s.compare()
			sound(t, r)
			found := flatten(t, r)
			if c.kind != hit {
				if found.has(map[string]any{"code": c.code}) {
					t.Errorf("%s is reported: %v", c.code, found.of(c.code))
				}
				return
			}
			want := map[string]any{"code": c.code}
			for k, v := range c.want {
				want[k] = v
			}
			if !found.has(want) {
				t.Errorf("no %v; it is %v among %v", want, found.of(c.code), found.codes())
			}
		})
	}
}

func (f flat) of(code string) []map[string]any {
	var all []map[string]any
	for _, m := range f {
		if m["code"] == code {
			all = append(all, m)
		}
	}
	return all
}

// awaited are the codes that the catalogue has and no rule finds yet.
var awaited = []string{}

// A code without its three kinds of cases is a rule that nobody has seen work.
func TestEveryFindingHasItsCases(t *testing.T) {
	have := map[string]bool{}
	for _, c := range findingCases() {
		have[c.code+"/"+c.kind] = true
		if _, ok := diagnose.Explain(c.code); !ok {
			t.Errorf("%s is not in the catalogue", c.code)
		}
	}
	for _, code := range diagnose.Codes() {
		if slices.Contains(awaited, code) {
			if have[code+"/"+hit] {
				t.Errorf("%s has a case: it is awaited no longer", code)
			}
			continue
		}
		for _, kind := range []string{hit, near, none} {
			if !have[code+"/"+kind] {
				t.Errorf("%s has no %s case", code, kind)
			}
		}
	}
}

var reportSchema = sync.OnceValues(func() (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(report.JSONSchema))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("report.json", doc); err != nil {
		return nil, err
	}
	return c.Compile("report.json")
})

// sound checks what holds for every report: its schema, and that each finding keeps to its line of the catalogue, proves itself by
// frames that exist, and asks for commands that can be typed.
func sound(t *testing.T, r *report.Report) {
	t.Helper()
	followsSchema(t, r)
	critical := false
	for _, f := range r.Findings {
		critical = critical || f.Severity == report.Critical && f.Code != "no-ike-traffic" // which is inconclusive
		keepsCatalogue(t, f)
		hasEvidence(t, r, f)
		canBeTyped(t, f)
		if !strings.HasSuffix(f.Explanation, ".") || strings.Contains(f.Explanation, "%!") || strings.Contains(f.Explanation, "<nil>") {
			t.Errorf("%s: explanation %q", f.Code, f.Explanation)
		}
		if f.CausedBy != "" && !slices.ContainsFunc(r.Findings, func(g report.Finding) bool { return g.Code == f.CausedBy }) {
			t.Errorf("%s hangs under %s, which is not there", f.Code, f.CausedBy)
		}
	}
	v := r.Verdict
	if critical != (v.ExitCode == 2) || v.ExitCode < 0 || v.ExitCode > 3 || v.Headline == "" {
		t.Errorf("verdict %+v, critical findings: %v", v, critical)
	}
	if critical {
		leads(t, r.Findings)
	}
}

// leads checks that the report begins with a root that is critical, or explains something critical that comes next.
func leads(t *testing.T, all []report.Finding) {
	t.Helper()
	root := all[0]
	explains := slices.ContainsFunc(all[1:], func(f report.Finding) bool { return f.CausedBy == root.Code && f.Severity == report.Critical })
	if root.CausedBy != "" || root.Severity != report.Critical && !explains {
		t.Errorf("the report leads with %s", root.Code)
	}
}

func followsSchema(t *testing.T, r *report.Report) {
	t.Helper()
	s, err := reportSchema()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(&b)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(doc); err != nil {
		t.Error(err)
	}
}

// commonKeys are those of every finding.
var commonKeys = []string{"code", "severity", "confidence", "title", "explanation", "caused_by", "conversation", "further_conversations", "evidence", "actions"}

// otherSeverity are those that a finding may have instead: a clock that is far off, what was over before the tunnel came up, a rejection
// of which only silence speaks.
var otherSeverity = map[string]report.Severity{
	"clock-offset": report.Warning, "icmp-rejected": report.Info, "inconsistent-answers": report.Warning,
	"responder-auth-rejected": report.Warning,
}

func keepsCatalogue(t *testing.T, f report.Finding) {
	t.Helper()
	e, ok := diagnose.Explain(f.Code)
	if !ok {
		t.Errorf("%s is not in the catalogue", f.Code)
		return
	}
	if f.Severity != e.Severity && otherSeverity[f.Code] != f.Severity {
		t.Errorf("%s is %s, the catalogue says %s", f.Code, f.Severity, e.Severity)
	}
	switch {
	case f.Confidence == report.Certain && (e.Certain == "never" || e.Probable == "always"):
		t.Errorf("%s is certain", f.Code)
	case f.Confidence != report.Certain && e.Probable == "" && f.Code != "capture-windows-disjoint":
		t.Errorf("%s is %s, the catalogue knows it only as certain", f.Code, f.Confidence)
	}
	b, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	var keys map[string]any
	if err := json.Unmarshal(b, &keys); err != nil {
		t.Fatal(err)
	}
	for _, k := range e.Fields {
		if _, ok := keys[k]; !ok {
			t.Errorf("%s lacks %q", f.Code, k)
		}
	}
	for k := range keys {
		if !slices.Contains(commonKeys, k) && !slices.Contains(e.Fields, k) && !slices.Contains(e.More, k) {
			t.Errorf("%s has %q, which nobody wrote down", f.Code, k)
		}
	}
}

func hasEvidence(t *testing.T, r *report.Report, f report.Finding) {
	t.Helper()
	if e, _ := diagnose.Explain(f.Code); len(f.Evidence) == 0 && e.Frames != "none" {
		t.Errorf("%s has no evidence", f.Code)
	}
	for _, e := range f.Evidence {
		s := r.Sides.Get(e.Side)
		frames := 0
		if s != nil {
			frames = s.Packets
		}
		if o := r.Sides.Get(e.Side.Other()); s != nil && o != nil && o.SHA256 == s.SHA256 {
			frames += o.Packets // both sides are in one file
		}
		if e.Frame < 1 || e.Frame > frames {
			t.Errorf("%s: evidence %+v is in no capture", f.Code, e)
		}
	}
}

var (
	placeholder = regexp.MustCompile(`<|\b(PEER|TUNNEL|NAME|ADDRESS|IP|X)\b|invalid IP|%!|  `)
	execVerb    = regexp.MustCompile(`^(show|ping|traceroute|clear|dir|verify|monitor|debug) `)
)

func canBeTyped(t *testing.T, f report.Finding) {
	t.Helper()
	if f.Severity == report.Critical && len(f.Actions) == 0 {
		t.Errorf("%s says nothing to do", f.Code)
	}
	for _, a := range f.Actions {
		if a.Mode != "exec" && a.Mode != "config" || a.Side != report.A && a.Side != report.B || len(a.Commands) == 0 || a.Why == "" {
			t.Errorf("%s: action %+v", f.Code, a)
		}
		for _, c := range a.Commands {
			if placeholder.MatchString(strings.TrimLeft(c, " ")) || strings.TrimSpace(c) == "" {
				t.Errorf("%s: %q cannot be typed", f.Code, c)
			}
			if execVerb.MatchString(c) != (a.Mode == "exec") {
				t.Errorf("%s: %q in mode %s", f.Code, c, a.Mode)
			}
		}
	}
}
