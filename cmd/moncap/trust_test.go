package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTrust meets a router whose key is not known, looks at it, accepts it, and is then held to it.
func TestTrust(t *testing.T) {
	l := newTestLab(t, "healthy")
	known := filepath.Join(l.dir, "known_hosts")
	all, err := os.ReadFile(known)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(all), "\n")
	write := func(text string) {
		if err := os.WriteFile(known, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	key := strings.Fields(lines[0])
	for _, step := range []struct {
		name, file string
		args       []string
		code       int
		says       string
		after      string // what the file must be then; "": it must have the key
	}{
		{"known", string(all), nil, exitOK, "already", string(all)},
		{"only looked at", "# nothing\n", []string{"--dry-run"}, exitOK, "would be added", "# nothing\n"},
		{"nobody to ask", "# nothing\n", nil, exitUsage, "trust site-a --yes", "# nothing\n"},
		{"accepted", "# nothing\n", []string{"--yes"}, exitOK, "added to", ""},
		{"changed", key[0] + " " + strings.Join(strings.Fields(lines[1])[1:], " ") + "\n", []string{"--yes"}, exitFailed,
			"differs", key[0] + " " + strings.Join(strings.Fields(lines[1])[1:], " ") + "\n"},
		{"revoked", "@revoked * " + strings.Join(key[1:], " ") + "\n", []string{"--yes"}, exitFailed, "@revoked",
			"@revoked * " + strings.Join(key[1:], " ") + "\n"},
	} {
		write(step.file)
		r := moncap(t, append([]string{"trust", "site-a", "-i", l.inventory}, step.args...)...)
		if r.code != step.code || !strings.Contains(r.stdout+r.stderr, step.says) || !strings.Contains(r.stdout, "SHA256:") {
			t.Errorf("%s: exit %d\n%s%s", step.name, r.code, r.stdout, r.stderr)
		}
		now, err := os.ReadFile(known)
		if err != nil || step.after != "" && string(now) != step.after ||
			step.after == "" && !strings.Contains(string(now), key[2]) {
			t.Errorf("%s: known_hosts is %q, %v", step.name, now, err)
		}
		if len(l.routers[0].Commands()) > 0 {
			t.Errorf("%s: commands were sent", step.name)
		}
	}
	write("# nothing\n")
	if r := moncap(t, "run", "demo", "-i", l.inventory, "--out", filepath.Join(l.dir, "b")); r.code != exitFailed ||
		!strings.Contains(r.stderr, "moncap -i "+l.inventory+" trust site-a") {
		t.Errorf("an unknown key: exit %d\n%s", r.code, r.stderr)
	}
}
