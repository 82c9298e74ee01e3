package inventory

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

const withCommand = `version: 1
defaults: {username: u, password: "cmd:./helper one two", known_hosts: known_hosts, key_file: keys/id}
peers:
  a: {host: 192.0.2.1, wan: {interface: Gi1, address: 10.0.0.1}}
  b: {host: 192.0.2.2, key_passphrase: "file:secret", wan: {interface: Gi1, address: 10.0.0.2}}
tunnels:
  t: {a: a, b: b}
`

// folder has an inventory, a program and a secret.
func folder(t *testing.T) (file string) {
	t.Helper()
	dir := t.TempDir()
	for name, f := range map[string]struct {
		text string
		mode os.FileMode
	}{
		"inventory.yaml": {withCommand, 0o644}, "secret": {"of the file\n", 0o600},
		"helper": {"#!/bin/sh\necho \"$0 $1 $2 $HELPER_A $HELPER_B\"\necho second\n", 0o755},
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(f.text), f.mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, f.mode); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "inventory.yaml")
}

// What an inventory names lies where the inventory lies, wherever moncap was started.
func TestPathsCountFromTheFolderOfTheInventory(t *testing.T) {
	file := folder(t)
	t.Setenv("HELPER_A", "other secret")
	t.Setenv("HELPER_B", "listed")
	t.Setenv("MONCAP_HELPER_ENV", "HELPER_B, NOT_THERE")
	inv, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	b := inv.Peers["b"]
	if dir := filepath.Dir(file); b.KnownHosts != filepath.Join(dir, "known_hosts") ||
		b.KeyFile != filepath.Join(dir, "keys/id") {
		t.Errorf("paths %s, %s", b.KnownHosts, b.KeyFile)
	}
	for _, tt := range []struct {
		ref  SecretRef
		want string
	}{{b.KeyPassphrase, "of the file"}, {b.Password, "./helper one two  listed"}} {
		if runtime.GOOS == "windows" && tt.ref.Runs() {
			continue
		}
		if s, err := tt.ref.Resolve(t.Context(), "", nil); err != nil || s.Reveal() != tt.want {
			t.Errorf("%s yields %q, %v; want %q", tt.ref, s.Reveal(), err, tt.want)
		}
	}
}

// Whoever may write an inventory must not thereby run programs as the operator.
func TestProgramsAreNotRunForOthers(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files have no such modes here")
	}
	file := folder(t)
	if _, err := LoadFound(file); err != nil {
		t.Fatalf("ours alone: %v", err)
	}
	chmod := func(path string, mode os.FileMode) {
		t.Helper()
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	refused := func(what string, err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), "cmd: runs a program") ||
			!strings.Contains(err.Error(), ":2: defaults.password") {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, mode := range []os.FileMode{0o666, 0o664, 0o602} {
		chmod(file, mode)
		_, err := Load(file)
		refused(mode.String(), err)
	}
	chmod(file, 0o644)
	chmod(filepath.Dir(file), 0o777)
	if _, err := Load(file); err != nil {
		t.Errorf("a file that was named: %v", err)
	}
	_, err := LoadFound(file)
	refused("a folder of others", err)
	chmod(filepath.Dir(file), 0o755)
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file away")
	}
	if err := os.Chown(file, 12345, -1); err != nil {
		t.Fatal(err)
	}
	_, err = Load(file)
	refused("a file of others", err)
	// Without programs it is read as before.
	if err := os.WriteFile(file, []byte(valid), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(file); err != nil {
		t.Error(err)
	}
}

// A helper that leaves something behind is not waited for, and one that hangs ends with the
// operator's patience.
func TestHelpersEnd(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no sh")
	}
	path := filepath.Join(t.TempDir(), "helper")
	script := func(text string) SecretRef {
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil { // #nosec G306 -- it is run
			t.Fatal(err)
		}
		ref, err := ParseSecretRef("cmd:" + path)
		if err != nil {
			t.Fatal(err)
		}
		return ref
	}
	began := time.Now()
	s, err := script("exec 2>/dev/null; sleep 30 & echo canary").Resolve(t.Context(), "", nil)
	if err != nil || s.Reveal() != "canary" || time.Since(began) > 20*time.Second {
		t.Errorf("%v after %s", err, time.Since(began))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began = time.Now()
	if _, err := script("exec 2>/dev/null; trap '' INT; sleep 30").Resolve(ctx, "", nil); !errors.Is(err,
		context.DeadlineExceeded) || time.Since(began) > 20*time.Second {
		t.Errorf("%v after %s", err, time.Since(began))
	}
	if _, err := script("exit 3").Resolve(t.Context(), "", nil); err == nil ||
		!strings.Contains(err.Error(), helperVariable) {
		t.Errorf("%v", err)
	}
}

func TestExpandHome(t *testing.T) {
	t.Setenv("HOME", "/home/x")
	for path, want := range map[string]string{"~": "/home/x", "~/a": "/home/x/a", "~a": "~a", "/a": "/a", "a/~": "a/~"} {
		if got, err := ExpandHome(path); err != nil || got != filepath.FromSlash(want) && got != want {
			t.Errorf("%s: %s, %v", path, got, err)
		}
	}
	if err := os.Unsetenv("HOME"); err != nil {
		t.Fatal(err)
	}
	if got, err := ExpandHome("~/.ssh/known_hosts"); err == nil && !filepath.IsAbs(got) ||
		err != nil && !strings.Contains(err.Error(), "~/.ssh/known_hosts") {
		t.Errorf("without HOME: %s, %v", got, err)
	}
}
