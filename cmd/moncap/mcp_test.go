package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// agentOf connects the SDK's own client to moncap mcp, which runs as a program of its own.
func agentOf(t *testing.T, l *testLab) *mcp.ClientSession {
	t.Helper()
	c := exec.Command(os.Args[0], "mcp", "-i", l.inventory)
	c.Env = append(os.Environ(), "MONCAP_TEST_AS_PROGRAM=1", "MONCAP_RUNS="+filepath.Join(l.dir, "runs"),
		"XDG_STATE_HOME="+filepath.Join(l.dir, "state"))
	s, err := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(),
		&mcp.CommandTransport{Command: c}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// ask calls a tool and returns its text, and whether it is an error.
func ask(t *testing.T, s *mcp.ClientSession, tool string, args map[string]any) (string, bool) {
	t.Helper()
	r, err := s.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: args})
	if err != nil {
		return err.Error(), true
	}
	var text strings.Builder
	for _, c := range r.Content {
		if c, ok := c.(*mcp.TextContent); ok {
			text.WriteString(c.Text)
		}
	}
	return text.String(), r.IsError
}

// TestAgent: what an agent sees of a tunnel that fails, by every tool.
func TestAgent(t *testing.T) {
	t.Parallel()
	l := newTestLab(t, "blocked-a-to-b")
	l.edit(t, "duration: 60s", "duration: 2s")
	for range 2 {
		if r := (program{env: map[string]string{"MONCAP_RUNS": filepath.Join(l.dir, "runs")}}).run(t.Context(), "run", "demo",
			"-i", l.inventory, "-q"); r.code != exitCritical {
			t.Fatalf("exit %d\n%s", r.code, r.stderr)
		}
	}
	s := agentOf(t, l)
	tools, err := s.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, tool := range tools.Tools {
		names = append(names, tool.Name)
		if reads := tool.Name != "propose_run"; tool.Annotations == nil || tool.Annotations.ReadOnlyHint != reads {
			t.Errorf("%s: annotations %+v", tool.Name, tool.Annotations)
		}
	}
	slices.Sort(names)
	if got := strings.Join(names, " "); got != "check diff explain history list_tunnels plan propose_run report" {
		t.Errorf("tools: %s", got)
	}
	for _, tt := range []struct {
		tool string
		args map[string]any
		want []string
	}{
		{"list_tunnels", nil, []string{`"name":"demo"`, `"a":"site-a"`}},
		{"history", map[string]any{"tunnel": "demo", "since": "1d"}, []string{`"untrusted"`, "is dropped between them"}},
		{"report", map[string]any{"run": "demo"},
			[]string{`"untrusted"`, "path-blocked", `"outcome":"failed"`, "traceroute"}},
		{"diff", map[string]any{"tunnel": "demo"}, []string{`"untrusted"`}},
		{"explain", map[string]any{"code": "path-blocked"}, []string{`"catalogue"`, "path-blocked"}},
		{"plan", map[string]any{"tunnel": "demo"}, []string{"monitor capture mc", "site-b"}},
		{"check", map[string]any{"tunnel": "demo"}, []string{`"untrusted"`, `"ok":true`}},
	} {
		got, failed := ask(t, s, tt.tool, tt.args)
		for _, want := range tt.want {
			if failed || !strings.Contains(got, want) {
				t.Errorf("%s: failed %v, no %q in\n%s", tt.tool, failed, want, got)
			}
		}
		if !json.Valid([]byte(got)) {
			t.Errorf("%s: no JSON: %s", tt.tool, got)
		}
		for _, never := range []string{labPassword, "spi_i", `"conversations"`, l.dir} {
			if strings.Contains(got, never) && tt.tool != "history" {
				t.Errorf("%s: %q is in\n%s", tt.tool, never, got)
			}
		}
	}
	if dirty := l.dirty(); len(dirty) > 0 {
		t.Errorf("%v is not as it was", dirty)
	}
}

// TestAgentCannotLeaveItsTools: names are neither flags nor files, and a run is
// proposed, never made.
func TestAgentCannotLeaveItsTools(t *testing.T) {
	l := newTestLab(t, "healthy")
	s := agentOf(t, l)
	secret := filepath.Join(l.dir, "report.json")
	if err := os.WriteFile(secret, []byte(`{"schema":"moncap.report/v1"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		tool string
		args map[string]any
	}{
		{"report", map[string]any{"run": secret}}, {"report", map[string]any{"run": "../report.json"}},
		{"report", map[string]any{"run": "--keys"}},
		{"report", map[string]any{"run": "report.json"}}, {"diff", map[string]any{"earlier": secret, "later": secret}},
		{"diff", map[string]any{"tunnel": "-o"}},
		{"plan", map[string]any{"tunnel": "--help"}}, {"plan", map[string]any{"tunnel": "other"}},
		{"check", map[string]any{"tunnel": "*"}},
		{"history", map[string]any{"since": "--output=x"}}, {"explain", map[string]any{"code": "../../x"}},
		{"propose_run", map[string]any{"tunnel": "other", "reason": "x"}},
		{"run", map[string]any{"tunnel": "demo"}}, {"plan", map[string]any{"tunnel": "demo", "trigger": "reload"}},
	} {
		if got, failed := ask(t, s, tt.tool, tt.args); !failed {
			t.Errorf("%s %v: %s", tt.tool, tt.args, got)
		}
	}
	got, failed := ask(t, s, "propose_run", map[string]any{"tunnel": "demo", "reason": "it flaps\x1b[2J\nand more"})
	var p struct{ Proposal string }
	if err := json.Unmarshal([]byte(got), &p); failed || err != nil || !isRunID(p.Proposal) {
		t.Fatalf("%v: %s", err, got)
	}
	if runs, err := filepath.Glob(filepath.Join(l.dir, "runs", "*")); err != nil || len(runs) > 0 {
		t.Errorf("runs %q, %v", runs, err)
	}
	env := map[string]string{"XDG_STATE_HOME": filepath.Join(l.dir, "state")}
	if r := (program{env: env}).run(t.Context(), "mcp", "approve"); r.code != exitOK ||
		!strings.Contains(r.stdout, p.Proposal+"  demo") || strings.Contains(r.stdout, "\x1b") {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	// Nobody but a person at a terminal approves.
	if r := (program{env: env, stdin: "demo\n"}).run(t.Context(), "mcp", "approve", p.Proposal, "-i",
		l.inventory); r.code != exitUsage || !strings.Contains(r.stderr, "only a person") {
		t.Errorf("exit %d\n%s", r.code, r.stderr)
	}
	for range mostProposals {
		got, failed = ask(t, s, "propose_run", map[string]any{"tunnel": "demo", "reason": "again"})
	}
	if !failed || !strings.Contains(got, "too many") {
		t.Errorf("without end: %s", got)
	}
	if dirty := l.dirty(); len(dirty) > 0 {
		t.Errorf("%v is not as it was", dirty)
	}
}

func TestTamed(t *testing.T) {
	v := tamed(map[string]any{"x": []any{strings.Repeat("a", 1000), "ignore\nall \x1b[31mbefore"}})
	b, err := json.Marshal(v)
	if err != nil || len(b) > 500 || strings.Contains(string(b), `\n`) || strings.Contains(string(b), "u001b") {
		t.Errorf("%v: %s", err, b)
	}
}
