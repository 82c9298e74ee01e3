//go:build unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const docs = "../../docs"

// play has Ansible play a book with the collection of docs/ansible.
func (l *testLab) play(t *testing.T, book string, args ...string) (string, int) {
	t.Helper()
	bin, err := exec.LookPath("ansible-playbook")
	if err != nil {
		if os.Getenv("MONCAP_REFEREES") != "" {
			t.Fatal("ansible-core is not installed, and MONCAP_REFEREES wants it")
		}
		t.Skip("ansible-core is not installed")
	}
	collections, err := filepath.Abs(filepath.Join(docs, "ansible"))
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), bin, append([]string{book}, args...)...)
	l.installed(t, c)
	c.Env = append(c.Env, "ANSIBLE_COLLECTIONS_PATH="+collections, "ANSIBLE_COLLECTIONS_PATHS="+collections,
		"PYTHONDONTWRITEBYTECODE=1")
	out, _ := c.CombinedOutput()
	return string(out), c.ProcessState.ExitCode()
}

// TestAnsibleCollection: check mode is the plan, diff mode the commands, the verdict is a fact, and
// fail_on decides what fails the task; a run that failed always does, and says why.
func TestAnsibleCollection(t *testing.T) {
	t.Parallel()
	book := filepath.Join(t.TempDir(), "book.yml")
	text := `
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - moncap.moncap.run: {tunnel: "{{ tunnel }}", inventory: "{{ inventory }}", fail_on: "{{ fail_on | default([]) }}"}
      register: run
    - debug: {msg: "{{ moncap.verdict.outcome }} of {{ moncap.findings | length }} changed={{ run.changed }}"}
      when: not ansible_check_mode
`
	if err := os.WriteFile(book, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	l := newTestLab(t, "blocked-a-to-b")
	for _, tt := range []struct {
		args []string
		code int
		want []string
	}{
		{[]string{"-e", "tunnel=demo", "--check", "--diff"}, 0,
			[]string{"+A site-a: monitor capture mc", "+B site-b: monitor capture mc", "failed=0"}},
		{[]string{"-e", "tunnel=demo"}, 0, []string{"failed of ", "changed=False", "failed=0", "changed=0"}},
		{[]string{"-e", "tunnel=demo", "-e", `{"fail_on": ["failed"]}`}, 2,
			[]string{"failed: UDP 500 from site-a", "failed=1"}},
		{[]string{"-e", "tunnel=other"}, 2, []string{"no tunnel", `"reason": "usage"`}},
	} {
		out, code := l.play(t, book, append([]string{"-e", "inventory=" + l.inventory}, tt.args...)...)
		if code != tt.code {
			t.Errorf("%q: exit %d\n%s", tt.args, code, out)
		}
		for _, want := range tt.want {
			if !strings.Contains(out, want) {
				t.Errorf("%q: no %q in\n%s", tt.args, want, out)
			}
		}
		if runs, err := filepath.Glob(filepath.Join(l.dir, "runs", "*")); err != nil ||
			len(runs) > 0 && tt.args[len(tt.args)-1] == "--diff" {
			t.Errorf("check mode has runs: %v, %v", runs, err)
		}
	}
	l.edit(t, "site-a: {", "site-a: {expect_hostname: another, ")
	if out, code := l.play(t, book, "-e", "inventory="+l.inventory, "-e", "tunnel=demo"); code != 2 ||
		!strings.Contains(out, "not-run") || !strings.Contains(out, `"reason": "`) {
		t.Errorf("a run that failed: exit %d\n%s", code, out)
	}
	if dirty := l.dirty(); len(dirty) > 0 {
		t.Errorf("%v is not as it was", dirty)
	}
}

// TestAWXPlaybook plays what AWX would, with the survey's answer as a variable.
func TestAWXPlaybook(t *testing.T) {
	t.Parallel()
	l := newTestLab(t, "healthy")
	out, code := l.play(t, filepath.Join(docs, "runbooks", "awx.yml"), "-e", "tunnel=demo", "-e",
		"moncap_inventory="+l.inventory, "-e", "moncap_runs="+filepath.Join(l.dir, "awx"))
	if code != 0 || !strings.Contains(out, "failed=0") {
		t.Errorf("exit %d\n%s", code, out)
	}
	if reports, err := filepath.Glob(filepath.Join(l.dir, "awx", "*", "report.json")); err != nil || len(reports) != 1 {
		t.Errorf("reports %q, %v", reports, err)
	}
}

// TestOtherRunbooks has the shell run what Rundeck and StackStorm would: their parameters filled
// in, their exit codes kept.
func TestOtherRunbooks(t *testing.T) {
	t.Parallel()
	l := newTestLab(t, "blocked-a-to-b")
	rundeck, stackstorm := runbookScript(t, "rundeck.yaml", "script: |-\n", "\n"),
		runbookScript(t, "stackstorm/moncap_run.yaml", "default: 'moncap", "'\n")
	stackstorm = "moncap" + stackstorm
	for _, tt := range []struct {
		name, script, tunnel string
		code                 int
		want                 string
	}{
		{"Rundeck", rundeck, "demo", exitCritical, "FAILED"},
		{"StackStorm", stackstorm, "demo", exitOK, `"outcome": "failed"`},
		{"Rundeck, another tunnel", rundeck, "other", exitUsage, "no tunnel"},
		{"StackStorm, another tunnel", stackstorm, "other", exitUsage, "no tunnel"},
	} {
		script := strings.NewReplacer("{{tunnel}}", tt.tunnel, "{{inventory}}", l.inventory).Replace(tt.script)
		c := exec.CommandContext(t.Context(), "sh", "-c", script)
		l.installed(t, c)
		c.Env = append(c.Env, "RD_OPTION_TUNNEL="+tt.tunnel, "MONCAP_INVENTORY="+l.inventory)
		out, _ := c.CombinedOutput()
		if code := c.ProcessState.ExitCode(); code != tt.code || !strings.Contains(string(out), tt.want) {
			t.Errorf("%s: exit %d, want %d and %q\n%s", tt.name, code, tt.code, tt.want, out)
		}
	}
}

// runbookScript cuts what a shell gets out of a file of docs/runbooks.
func runbookScript(t *testing.T, name, from, to string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(docs, "runbooks", name))
	if err != nil {
		t.Fatal(err)
	}
	_, script, found := strings.Cut(string(b), from)
	if to != "\n" {
		script, _, _ = strings.Cut(script, to)
	}
	if !found || !strings.Contains(script, "--until decided") {
		t.Fatalf("%s: no script in it", name)
	}
	return script
}
