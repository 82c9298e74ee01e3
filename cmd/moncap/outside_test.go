package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moncap/moncap/analysis/report"
)

// What the size of an encrypted message tells is one answer: in the decoder, in the ladder and in
// the findings, whatever the sender pads.
func TestSizesAreToldAlike(t *testing.T) {
	dir := filepath.Join("..", "..", "testdata", "field", "padding-at-random")
	b, err := os.ReadFile(filepath.Join(dir, "b.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	tree, _, _ := decodeOutput(t, b, "-V")
	_, tree, _ = strings.Cut(tree, "Frame 12")
	if !strings.Contains(tree[:strings.Index(tree, "Frame 13")], "Payloads inside: 8 to 23 bytes") {
		t.Errorf("decode says of frame 12:\n%s", tree)
	}
	var out, errs bytes.Buffer
	run(t.Context(), environment{
		args:   []string{"analyze", "--format", "json", filepath.Join(dir, "a.pcap"), filepath.Join(dir, "b.pcap")},
		stdout: &out, stderr: &errs, getenv: func(string) string { return "" }, width: func() int { return 80 },
	})
	var r report.Report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("%v: %s", err, errs.String())
	}
	for _, m := range r.Conversations[0].Messages {
		if m.Exchange != "CREATE_CHILD_SA" || m.Kind != "response" {
			continue
		}
		if *m.PlaintextMin != 8 || *m.PlaintextMax != 23 || !strings.HasPrefix(m.Note, "refused") {
			t.Errorf("the ladder says %q, %d to %d bytes", m.Note, *m.PlaintextMin, *m.PlaintextMax)
		}
	}
	if !slices.ContainsFunc(r.Findings, func(f report.Finding) bool { return f.Code == "rekey-failed" }) {
		t.Errorf("no finding says so: %v", r.Findings)
	}
}
