//go:build unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// installed puts moncap on the PATH of a command, as a package would, and gives it a folder of runs
// of its own.
func (l *testLab) installed(t *testing.T, c *exec.Cmd) {
	t.Helper()
	bin := filepath.Join(l.dir, "bin")
	if err := os.MkdirAll(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\nMONCAP_TEST_AS_PROGRAM=1 exec " + shellWord(os.Args[0]) + ` "$@"` + "\n"
	if err := os.WriteFile(filepath.Join(bin, "moncap"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	c.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "MONCAP_RUNS="+filepath.Join(l.dir, "runs"),
		"ANSIBLE_LOCALHOST_WARNING=False",
		"ANSIBLE_HOME="+filepath.Join(l.dir, "ansible"), "ANSIBLE_NOCOLOR=1", "LC_ALL=C.UTF-8")
}

// TestNightlyRunbook plays two nights with the script of docs/runbooks: one in which all is well,
// which is silent, and one that tells what changed.
func TestNightlyRunbook(t *testing.T) {
	t.Parallel()
	l := newTestLab(t, "healthy")
	l.edit(t, "duration: 60s", "duration: 2s")
	textfile := filepath.Join(l.dir, "moncap.prom")
	night := func() (string, int) {
		c := exec.CommandContext(t.Context(), "sh", filepath.Join("..", "..", "docs", "runbooks", "nightly.sh"), l.inventory,
			textfile)
		l.installed(t, c)
		out, _ := c.CombinedOutput()
		return string(out), c.ProcessState.ExitCode()
	}
	if out, code := night(); code != exitOK || out != "" {
		t.Errorf("a good night: exit %d\n%s", code, out)
	}
	l.edit(t, "site-a: {", "site-a: {expect_hostname: another, ")
	out, code := night()
	if code != exitFailed || !strings.Contains(out, "demo: not-run: ") || !strings.Contains(out, `"outcome": "not-run"`) {
		t.Errorf("a bad night: exit %d\n%s", code, out)
	}
	for _, file := range []string{textfile, filepath.Join(l.dir, "runs", "index.html")} {
		if !exists(file) {
			t.Errorf("%s is not there", file)
		}
	}
	if dirty := l.dirty(); len(dirty) > 0 {
		t.Errorf("%v is not as it was", dirty)
	}
}

// TestAnsibleRunbook has Ansible itself play the book, in check mode first.
func TestAnsibleRunbook(t *testing.T) {
	t.Parallel()
	play, err := exec.LookPath("ansible-playbook")
	if err != nil {
		if os.Getenv("MONCAP_REFEREES") != "" {
			t.Fatal("ansible-core is not installed, and MONCAP_REFEREES wants it")
		}
		t.Skip("ansible-core is not installed")
	}
	l := newTestLab(t, "healthy")
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"--check"}, "monitor capture mc"},
		{nil, "established: site-a"},
	} {
		args := append([]string{filepath.Join("..", "..", "docs", "runbooks", "ansible.yml"), "-e", "tunnel=demo", "-e",
			"inventory=" + l.inventory}, tt.args...)
		c := exec.CommandContext(t.Context(), play, args...)
		l.installed(t, c)
		out, err := c.CombinedOutput()
		if err != nil || !strings.Contains(string(out), tt.want) || !strings.Contains(string(out), "failed=0") {
			t.Errorf("%v: %v, want %q\n%s", tt.args, err, tt.want, out)
		}
		if runs, err := filepath.Glob(filepath.Join(l.dir, "runs", "*")); err != nil || len(runs) > 0 != (tt.args == nil) {
			t.Errorf("%v: runs %v, %v", tt.args, runs, err)
		}
	}
	if dirty := l.dirty(); len(dirty) > 0 {
		t.Errorf("%v is not as it was", dirty)
	}
}
