//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// systemd takes the unit of a worker, and finds it well locked up.
func TestServeUnit(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not there to judge the unit")
	}
	b, err := os.ReadFile("../../docs/fleet/moncap.service")
	if err != nil {
		t.Fatal(err)
	}
	command := regexp.MustCompile(`(?m)^ExecStart=/usr/bin/moncap (.*)$`).FindStringSubmatch(string(b))
	if command == nil {
		t.Fatal("it does not start moncap")
	}
	// What it starts is a command of ours.
	if c, args, err := (&app{}).command().Find(strings.Fields(command[1])); err != nil || c.Name() != "serve" ||
		c.ParseFlags(args) != nil {
		t.Errorf("moncap %s: %v", command[1], err)
	}
	unit := strings.NewReplacer("/usr/bin/moncap", "/bin/true", "User=moncap", "User=daemon", "Group=moncap",
		"Group=daemon").Replace(string(b))
	file := filepath.Join(t.TempDir(), "moncap.service")
	if err := os.WriteFile(file, []byte(unit), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", "verify", "--man=no", file).CombinedOutput()
	if err != nil || strings.Contains(string(out), "moncap.service") {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	out, err = exec.CommandContext(t.Context(), "systemd-analyze", "security", "--offline=true", "--no-pager",
		"--threshold=15", file).CombinedOutput()
	if strings.Contains(string(out), "nrecognized option") {
		t.Skip("this systemd judges no file")
	}
	if err != nil {
		t.Errorf("its exposure is more than 1.5 of 10: %v\n%s", err, out)
	}
}

// The image holds the program alone, which finds time zones where there are no files of zones.
func TestImage(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can change the root folder")
	}
	if os.Getenv("CI") != "true" {
		t.Skip("it builds everything anew, which takes minutes; CI=true does so")
	}
	b, err := os.ReadFile("../../docs/fleet/Containerfile")
	if err != nil {
		t.Fatal(err)
	}
	build := regexp.MustCompile(
		`CGO_ENABLED=0 go build -trimpath -tags timetzdata -ldflags "([^"]*)" -o \S+ (\S+)`).FindStringSubmatch(string(b))
	entry := regexp.MustCompile(`ENTRYPOINT \["/moncap", "--no-input"\]\nCMD \["serve"\]`)
	if build == nil || !entry.Match(b) || !strings.Contains(string(b), "\nFROM scratch\n") ||
		!strings.Contains(string(b), "/etc/ssl/certs/ca-certificates.crt") {
		t.Fatal("it is made in another way by now")
	}
	environ := strings.Fields(regexp.MustCompile(`(?m)^ENV (.*)$`).FindStringSubmatch(string(b) + "\nENV \n")[1])
	root := t.TempDir()
	c := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-tags", "timetzdata", "-ldflags", build[1], "-o",
		filepath.Join(root, "moncap"), build[2])
	c.Dir, c.Env = "../..", append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	l := newTestLab(t, "healthy")
	l.edit(t, "tunnels:\n", "schedules:\n  n: {cron: \"30 2 * * *\", timezone: Europe/Berlin, tunnels: all}\ntunnels:\n")
	inventory, err := os.ReadFile(l.inventory)
	if err == nil {
		err = os.WriteFile(filepath.Join(root, "inventory.yaml"), inventory, 0o644) // #nosec G306 -- another account reads it
	}
	if err == nil {
		err = os.Chmod(root, 0o755) // #nosec G302 -- another account reads it
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"version"}, {"schedule", "next", "1", "-i", "/inventory.yaml"}} {
		c := exec.CommandContext(t.Context(), "/moncap", args...)
		c.Env, c.Dir = environ, "/"
		c.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
		if out, err := c.CombinedOutput(); err != nil || !regexp.MustCompile(`moncap |02:30 CES?T`).Match(out) {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
}

// What docs/fleet.md shows is taken: its commands, its settings, its inventory.
func TestFleetGuide(t *testing.T) {
	b, err := os.ReadFile("../../docs/fleet.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for line := range strings.Lines(string(b)) {
		code, ok := strings.CutPrefix(line, "    moncap ")
		if !ok {
			continue
		}
		code, _, _ = strings.Cut(code, " #")
		var words []string
		for _, w := range regexp.MustCompile(`"[^"]*"|\S+`).FindAllString(code, -1) {
			words = append(words, strings.Trim(w, `"`))
		}
		c, args, err := (&app{}).command().Find(words)
		if err == nil {
			err = c.ParseFlags(args)
		}
		if err == nil {
			err = c.ValidateArgs(c.Flags().Args())
		}
		if err != nil {
			t.Errorf("%s: %v", code, err)
		}
		seen++
	}
	if seen < 15 {
		t.Errorf("only %d commands", seen)
	}
	l := newFleetLab(t)
	settings := regexp.MustCompile(`(?s)\n    db: .*?\n\n`).FindString(string(b))
	settings = strings.ReplaceAll(settings, "\n    ", "\n")
	if err := os.WriteFile(filepath.Join(l.dir, "serve.yaml"),
		[]byte(strings.Replace(settings, "/var/lib/moncap/", "", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	l.must(t, "db", "init")
	schedules := regexp.MustCompile(`(?s)\n    schedules:\n.*?\n\n`).FindString(string(b))
	l.edit(t, "tunnels:\n", strings.ReplaceAll(schedules, "\n    ", "\n")+"tunnels:\n")
	l.edit(t, "b: site-b,", "b: site-b, tags: [prod],")
	if out := l.must(t, "schedule", "next", "1"); !strings.Contains(out, "nightly  ") {
		t.Errorf("%s", out)
	}
}
