package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestCompletionIsInstalled: the script lands where the shell looks, and the shell itself takes it.
func TestCompletionIsInstalled(t *testing.T) {
	dir := t.TempDir()
	env := map[string]string{"XDG_DATA_HOME": filepath.Join(dir, "data"), "XDG_CONFIG_HOME": filepath.Join(dir, "config"),
		"SHELL": "/usr/bin/fish"}
	for shell, file := range map[string]string{
		"bash": "data/bash-completion/completions/moncap", "zsh": "data/zsh/site-functions/_moncap",
		"": "config/fish/completions/moncap.fish",
	} {
		args := []string{"completion", "--install"}
		if shell != "" {
			args = append(args, "--shell", shell)
		}
		r := program{env: env}.run(t.Context(), args...)
		b, err := os.ReadFile(filepath.Join(dir, file))
		if r.code != exitOK || err != nil || !strings.Contains(string(b), "__complete") || !strings.Contains(r.stdout, file) {
			t.Errorf("%s: exit %d, %v\n%s%s", shell, r.code, err, r.stdout, r.stderr)
		}
		if bin, err := exec.LookPath(shell); err == nil {
			if out, err := exec.CommandContext(t.Context(), bin, "-n", filepath.Join(dir, file)).CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", shell, err, out)
			}
		}
	}
	if r := (program{env: map[string]string{"SHELL": "/bin/csh"}}).run(t.Context(), "completion",
		"--install"); r.code != exitUsage || !strings.Contains(r.stderr, "--shell") {
		t.Errorf("exit %d\n%s", r.code, r.stderr)
	}
}
