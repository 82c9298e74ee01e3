package report_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/moncap/moncap/analysis"
	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/testdata"
)

func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(report.JSONSchema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("report.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("report.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func opener(b []byte) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
}

// compare makes the report of an incident, with one capture or both, as JSON.
func compare(t *testing.T, i testdata.Incident, both bool) []byte {
	t.Helper()
	a := analysis.Side{Name: "site-a", File: "a.pcap", Open: opener(i.A)}
	var b *analysis.Side
	if both {
		b = &analysis.Side{Name: "site-b", File: "b.pcap", Open: opener(i.B)}
	}
	r, err := analysis.Compare(context.Background(), a, b, analysis.Options{Tunnel: "t", Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := r.Write(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestReportsFollowTheirSchema(t *testing.T) {
	s := schema(t)
	incidents, err := testdata.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range incidents {
		for _, both := range []bool{true, false} {
			out := compare(t, i, both)
			doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(out))
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Validate(doc); err != nil {
				t.Errorf("%s, both %v: %v", i.Name, both, err)
			}
			again, err := report.Read(bytes.NewReader(out))
			if err != nil {
				t.Fatal(err)
			}
			var second bytes.Buffer
			if err := again.Write(&second); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(out), second.String()); diff != "" {
				t.Errorf("%s: read and written again it differs:\n%s", i.Name, diff)
			}
		}
	}
}

// A key that the schema does not know is a change of the contract that nobody wrote down.
func TestSchemaKnowsEveryKey(t *testing.T) {
	var s struct {
		Properties map[string]any
		Defs       map[string]struct{ Properties map[string]any } `json:"$defs"`
	}
	if err := json.Unmarshal(report.JSONSchema, &s); err != nil {
		t.Fatal(err)
	}
	i, err := testdata.Load("esp-blocked-a-to-b")
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(compare(t, i, true), &doc); err != nil {
		t.Fatal(err)
	}
	unknown := func(where string, got any, known map[string]any) {
		for k := range got.(map[string]any) {
			if _, ok := known[k]; !ok {
				t.Errorf("%s has %q, which the schema does not know", where, k)
			}
		}
	}
	unknown("the report", doc, s.Properties)
	unknown("a side", doc["sides"].(map[string]any)["A"], s.Defs["side"].Properties)
	conversation := doc["conversations"].([]any)[0].(map[string]any)
	unknown("a conversation", conversation, s.Defs["conversation"].Properties)
	unknown("a message", conversation["messages"].([]any)[0], s.Defs["message"].Properties)
	unknown("a flow", doc["esp_flows"].([]any)[0], s.Defs["flow"].Properties)
}

func TestSchemaRefuses(t *testing.T) {
	s := schema(t)
	i, err := testdata.Load("healthy")
	if err != nil {
		t.Fatal(err)
	}
	good := string(compare(t, i, true))
	for old, bad := range map[string]string{
		`"schema": "moncap.report/v1"`: `"schema": "moncap.report/v2"`, `"outcome": "established"`: `"outcome": "fine"`,
		`"severity": "info"`: `"severity": "mild"`, `"fate": "delivered"`: `"fate": "eaten"`,
	} {
		if !strings.Contains(good, old) {
			t.Fatalf("%s is not in the report", old)
		}
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(strings.Replace(good, old, bad, 1)))
		if err != nil {
			t.Fatal(err)
		}
		if s.Validate(doc) == nil {
			t.Errorf("%s was taken", bad)
		}
	}
	if _, err := report.Read(strings.NewReader(`{"schema": "something/v1"}`)); err == nil {
		t.Error("a document of another schema was read")
	}
}

func TestFindingFieldsStandBesideTheCommonOnes(t *testing.T) {
	f := report.Finding{Code: "x", Severity: report.Info, Confidence: report.Certain, Title: "t", Explanation: "e",
		Fields: map[string]any{"direction": "A->B", "lost": 3}}
	b, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	if m["direction"] != "A->B" || m["lost"] != 3.0 || m["code"] != "x" {
		t.Errorf("got %s", b)
	}
	var back report.Finding
	if err := json.Unmarshal(b, &back); err != nil || back.Code != "x" ||
		!slices.Contains([]any{3.0}, back.Fields["lost"]) || back.Fields["code"] != nil {
		t.Errorf("read back: %+v, %v", back, err)
	}
}

// The document is written in pieces; it must be what the encoder makes of it in one.
func TestWriteIsOneDocument(t *testing.T) {
	i, err := testdata.Load("nat-pat")
	if err != nil {
		t.Fatal(err)
	}
	full, err := report.Read(bytes.NewReader(compare(t, i, true)))
	if err != nil {
		t.Fatal(err)
	}
	full.Tunnel = "\"quoted\" \\ [{,:}] <ä\n>"
	for name, r := range map[string]*report.Report{"nothing": {},
		"lists without elements": {Findings: []report.Finding{}, ICMP: []report.ICMP{}}, "full": full} {
		var whole, pieces bytes.Buffer
		e := json.NewEncoder(&whole)
		e.SetIndent("", " ")
		e.SetEscapeHTML(false)
		if err := errors.Join(e.Encode(r), r.Write(&pieces)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(whole.String(), pieces.String()); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

func TestWriteReportsErrors(t *testing.T) {
	for name, r := range map[string]*report.Report{
		"of the document": {Findings: []report.Finding{{Fields: map[string]any{"ratio": math.NaN()}}}},
		"of the medium":   {},
	} {
		if err := r.Write(fullDisk{}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// fullDisk takes nothing.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

// TestReadTakesNothingThatIsNoneOfTheContract: a stored report may have been tampered with.
func TestReadTakesNothingThatIsNoneOfTheContract(t *testing.T) {
	const evil = "\x1b[2J<script>"
	whole := `{"schema":"moncap.report/v1","verdict":{"outcome":"failed","reason":"","headline":"h\u009b\u202eh","exit_code":2},
 "findings":[{"code":"x","severity":"info","confidence":"certain","title":"t","explanation":"e","evidence":[{"side":"A","frame":1}],"actions":[],
  "direction":"A->B","own":{"deep\u001b":["\u001b[31m"]}}],
 "conversations":[{"id":"1","version":2,"initiator_side":"A","messages":[{"from":"B","payloads":["SA\u0007"],"transmissions":[{"fate":"lost"}]}]}],
 "esp_flows":[{"spi":"1","direction":"B->A"}]}`
	r, err := report.Read(strings.NewReader(whole))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	for _, c := range []string{"\x1b", "\u009b", "\u202e", "\x07", `\u001b`, `\u0007`} {
		if strings.Contains(b.String(), c) {
			t.Errorf("%q is in what was read", c)
		}
	}
	if f := r.Findings[0]; r.Verdict.Headline != "hh" || f.Fields["direction"] != "A->B" ||
		r.Conversations[0].Messages[0].Payloads[0] != "SA" {
		t.Errorf("the rest was not kept: %+v", r)
	}
	for _, w := range []string{`"outcome":"failed"`, `"severity":"info"`, `"confidence":"certain"`, `"side":"A"`,
		`"initiator_side":"A"`, `"from":"B"`,
		`"fate":"lost"`, `"direction":"B->A"`, `"reason":""`} {
		if !strings.Contains(whole, w) {
			t.Fatalf("%s is not in the report", w)
		}
		key, _, _ := strings.Cut(w, ":")
		value, _ := json.Marshal(evil)
		if _, err := report.Read(strings.NewReader(strings.Replace(whole, w, key+":"+string(value), 1))); err == nil {
			t.Errorf("%s: %q was taken", key, evil)
		}
	}
}
