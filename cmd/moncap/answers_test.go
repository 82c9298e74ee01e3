package main

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/moncap/moncap/analysis/report"
)

// TestStepsAnswerInJSON goes through the steps one at a time, as a runbook does, and wants one
// object of each, also of what fails.
func TestStepsAnswerInJSON(t *testing.T) {
	l := newTestLab(t, "healthy")
	out := filepath.Join(l.dir, "bundle")
	for _, tt := range []struct {
		args []string
		code int
		want []string // keys
	}{
		{[]string{"inventory", "validate"}, exitOK, []string{"peers", "tunnels"}},
		{[]string{"trust", "site-a"}, exitOK, []string{"key"}},
		{[]string{"plan", "demo"}, exitOK, []string{"steps"}},
		{[]string{"start", "demo", "--out", out, "--duration", "60s"}, exitOK, []string{"bundle", "ends", "start_gap_ms"}},
		{[]string{"status", out}, exitOK, []string{"runs"}},
		{[]string{"stop", out}, exitOK, []string{"bundle"}},
		{[]string{"clean", out}, exitOK, []string{"removed"}},
		{[]string{"clean", filepath.Join(l.dir, "nowhere")}, exitUsage, []string{"reason", "error", "hints"}},
		{[]string{"plan", "dema"}, exitUsage, []string{"reason", "error"}},
	} {
		r := moncap(t, append(tt.args, "-i", l.inventory, "-f", "json")...)
		var doc map[string]any
		if err := json.Unmarshal([]byte(r.stdout), &doc); err != nil || r.code != tt.code {
			t.Fatalf("%v: exit %d, want %d, %v\n%s%s", tt.args, r.code, tt.code, err, r.stdout, r.stderr)
		}
		if doc["ok"] != (tt.code == exitOK) || doc["exit_code"] != float64(tt.code) ||
			doc["command"] != tt.args[len(tt.args)-1] && doc["command"] != tt.args[0] && doc["command"] != tt.args[1] {
			t.Errorf("%v: %v", tt.args, doc)
		}
		for _, key := range tt.want {
			if doc[key] == nil {
				t.Errorf("%v: %s is missing in %v", tt.args, key, doc)
			}
		}
	}
	if p, err := readPastRun(out); err != nil || p.Outcome != report.NotRun || p.Reason != report.Interrupted {
		t.Errorf("a run that was cleaned: %+v, %v", p, err)
	}
	if dirty := l.dirty(); len(dirty) > 0 {
		t.Errorf("%v is not as it was", dirty)
	}
}
