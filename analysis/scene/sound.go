package scene

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/moncap/moncap/analysis/diagnose"
	"github.com/moncap/moncap/analysis/report"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

func (f Flat) Of(code string) []map[string]any {
	var all []map[string]any
	for _, m := range f {
		if m["code"] == code {
			all = append(all, m)
		}
	}
	return all
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

// Sound checks what holds for every report: its schema, and that each finding keeps to its line of
// the catalogue, proves itself by frames that exist, and asks for commands that can be typed.
func Sound(t T, r *report.Report) {
	t.Helper()
	followsSchema(t, r)
	critical := false
	for _, f := range r.Findings {
		critical = critical || f.Severity == report.Critical && f.Code != "no-ike-traffic" // which is inconclusive
		keepsCatalogue(t, f)
		hasEvidence(t, r, f)
		canBeTyped(t, f)
		doesNoHarm(t, r, f)
		if !strings.HasSuffix(f.Explanation, ".") || strings.Contains(f.Explanation, "%!") ||
			strings.Contains(f.Explanation, "<nil>") {
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

// leads checks that the report begins with a root that is critical, or explains something critical
// that comes next.
func leads(t T, all []report.Finding) {
	t.Helper()
	root := all[0]
	explains := slices.ContainsFunc(all[1:],
		func(f report.Finding) bool { return f.CausedBy == root.Code && f.Severity == report.Critical })
	if root.CausedBy != "" || root.Severity != report.Critical && !explains {
		t.Errorf("the report leads with %s", root.Code)
	}
}

func followsSchema(t T, r *report.Report) {
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
var commonKeys = []string{"code", "severity", "confidence", "title", "explanation", "caused_by", "conversation",
	"further_conversations", "evidence", "actions"}

// otherSeverity are those that a finding may have instead: a clock that is far off, what was over
// when the tunnel came up or is about another one, a rejection of which only silence speaks,
// fragments that the only capture lacks and its filter may hide, child SAs that come and go while
// the IKE SA stays or are given up at once, a refusal that looks like a redirection, or of a
// version that nobody is seen to have asked for, a silence with which the captures end.
var otherSeverity = map[string][]report.Severity{
	"ip-fragments-lost": {report.Warning}, "clock-offset": {report.Warning},
	"esp-one-way":             {report.Warning},
	"icmp-rejected":           {report.Info, report.Warning},
	"error-notify":            {report.Info},
	"inconsistent-answers":    {report.Warning},
	"responder-auth-rejected": {report.Warning}, "retransmissions-exhausted": {report.Info},
	"sa-flapping":      {report.Warning},
	"child-sa-refused": {report.Warning},
	"rekey-failed":     {report.Warning},
	"version-mismatch": {report.Warning},
}

func keepsCatalogue(t T, f report.Finding) {
	t.Helper()
	e, ok := diagnose.Explain(f.Code)
	if !ok {
		t.Errorf("%s is not in the catalogue", f.Code)
		return
	}
	if f.Severity != e.Severity && !slices.Contains(otherSeverity[f.Code], f.Severity) {
		t.Errorf("%s is %s, the catalogue says %s", f.Code, f.Severity, e.Severity)
	}
	words := map[report.Severity]string{report.Info: "information", report.Warning: "warning"}
	said := strings.Join([]string{e.Certain, e.Probable, e.Meaning, e.Proof}, " ")
	if f.Severity != e.Severity && !strings.Contains(said, words[f.Severity]) {
		t.Errorf("%s is %s, of which the catalogue tells nobody", f.Code, f.Severity)
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

func hasEvidence(t T, r *report.Report, f report.Finding) {
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
		if slices.ContainsFunc(r.Notes, func(n report.Note) bool { return n.Code == report.NotePlaces }) {
			frames = max(frames, e.Frame) // it counts those of one place
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

func canBeTyped(t T, f report.Finding) {
	t.Helper()
	if f.Severity == report.Critical && len(f.Actions) == 0 {
		t.Errorf("%s says nothing to do", f.Code)
	}
	for _, a := range f.Actions {
		if a.Mode != "exec" && a.Mode != "config" || a.Side != report.A && a.Side != report.B ||
			len(a.Commands) == 0 || a.Why == "" {
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

// Flat are findings as a reader of the JSON sees them.
type Flat []map[string]any

func Flatten(t T, r *report.Report) Flat {
	t.Helper()
	b, err := json.Marshal(r.Findings)
	if err != nil {
		t.Fatal(err)
	}
	var f Flat
	if err := json.Unmarshal(b, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f Flat) AboutCapture() bool {
	return slices.ContainsFunc(f,
		func(m map[string]any) bool { return strings.HasPrefix(fmt.Sprint(m["code"]), "capture-") })
}

// IsCritical says it of a finding, and of what is expected of one.
func IsCritical(m map[string]any) bool {
	if m["severity"] != nil {
		return m["severity"] == string(report.Critical)
	}
	e, _ := diagnose.Explain(fmt.Sprint(m["code"]))
	return e.Severity == report.Critical || m["code"] == anyCritical
}

// anyCritical stands in a truth for a critical finding of whatever code.
const anyCritical = "*any-critical*"

func (f Flat) Has(want map[string]any) bool {
	if want["code"] == anyCritical {
		return slices.ContainsFunc(f, IsCritical)
	}
	return slices.ContainsFunc(f, func(m map[string]any) bool {
		for k, x := range want {
			if !says(k, m[k], x) {
				return false
			}
		}
		return true
	})
}

// says compares a field with what is wanted of it: one of a list is enough, and an IKE version may
// be told with its minor number.
func says(key string, got, want any) bool {
	g, w := fmt.Sprint(got), fmt.Sprint(want)
	if all, ok := got.([]any); ok && g != w {
		return slices.ContainsFunc(all, func(x any) bool { return fmt.Sprint(x) == w })
	}
	return g == w || key == "version" && strings.HasPrefix(g, w)
}

func (f Flat) Codes() []string {
	var all []string
	for _, m := range f {
		all = append(all, fmt.Sprint(m["code"]))
	}
	return all
}

// weakWords are algorithms that nobody is told to configure.
var weakWords = regexp.MustCompile(`\b(esp-)?(des|3des|md5|null)\b|md5-hmac|\bgroup ?(\d+ )*(1|2|5|22|23|24)\b`)

// doesNoHarm checks what holds for every advice: no line brings weak algorithms or the gateway of a
// redirect, where all is IKEv1, nothing is of IKEv2 but what finds out which version is spoken, and
// over IPv6 nothing shows IPv4.
func doesNoHarm(t T, r *report.Report, f report.Finding) {
	t.Helper()
	v1 := len(r.Conversations) > 0
	for _, c := range r.Conversations {
		v1 = v1 && c.Version == 1
	}
	v6 := false
	for _, s := range []*report.SideInfo{r.Sides.A, r.Sides.B} {
		v6 = v6 || s != nil && len(s.Addresses) > 0 && !slices.ContainsFunc(s.Addresses,
			func(a string) bool { return !strings.Contains(a, ":") })
	}
	for _, a := range f.Actions {
		for _, c := range a.Commands {
			ofIPv4 := strings.HasPrefix(c, "show ip ") && c != "show ip ssh" || strings.HasSuffix(c, " df-bit")
			if v6 && ofIPv4 || c == "show ipv6 ssh" {
				t.Errorf("%s advises %q, and the tunnel is over IPv6", f.Code, c)
			}
			if a.Mode == "config" && !strings.HasPrefix(strings.TrimSpace(c), "no ") && weakWords.MatchString(c) {
				t.Errorf("%s advises a weak algorithm: %q", f.Code, c)
			}
			if to, ok := f.Fields["to"].(string); ok && f.Code == "redirected" && strings.Contains(c, to) {
				t.Errorf("%s advises the gateway of a redirect: %q", f.Code, c)
			}
			if v1 && f.Code != "version-mismatch" && strings.Contains(c, "ikev2") {
				t.Errorf("%s advises %q, and all is IKEv1", f.Code, c)
			}
		}
	}
}
