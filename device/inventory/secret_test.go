package inventory

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/zalando/go-keyring"
)

// The operating system's keyring is replaced by one in memory: a test must neither read nor change
// the operator's own.
func TestSecretFromKeyring(t *testing.T) {
	keyring.MockInit()
	const canary = "c4nary-of-the-keyring"
	if err := keyring.Set(keyringService, "hub", canary); err != nil {
		t.Fatal(err)
	}
	ref, err := ParseSecretRef("keyring:hub")
	if err != nil {
		t.Fatal(err)
	}
	got, err := ref.Resolve(t.Context(), "", nil)
	if err != nil || got.Reveal() != canary {
		t.Errorf("keyring:hub yields the right secret: %t, %v", got.Reveal() == canary, err)
	}

	other, _ := ParseSecretRef("keyring:spoke")
	if _, err := other.Resolve(t.Context(), "", nil); !errors.Is(err, keyring.ErrNotFound) ||
		!strings.Contains(err.Error(), "keyring:spoke") {
		t.Errorf("an entry that is missing: %v, want the reference and that it was not found", err)
	}

	keyring.MockInitWithError(errors.New("the collection is locked"))
	if _, err := ref.Resolve(t.Context(), "", nil); err == nil ||
		!strings.Contains(err.Error(), "keyring:hub: the collection is locked") {
		t.Errorf("a keyring that is locked: %v, want the reference and the reason", err)
	}
}

// Files that the inventory names are read without waiting for anybody, and in whole only.
func TestReadRegular(t *testing.T) {
	dir := t.TempDir()
	fifo, large := filepath.Join(dir, "fifo"), filepath.Join(dir, "large")
	if runtime.GOOS != "windows" {
		if err := exec.Command("mkfifo", "-m", "600", fifo).Run(); err != nil {
			t.Skip(err)
		}
	}
	if err := os.WriteFile(large, make([]byte, maxSecret+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{fifo: ErrIrregular, "/dev/zero": ErrIrregular, dir: ErrIrregular,
		large: ErrTooLarge} {
		if _, err := ReadRegular(path, maxSecret, nil); !errors.Is(err, want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
	for path, want := range map[string]error{fifo: ErrIrregular, large: ErrTooLarge} {
		ref, err := ParseSecretRef("file:" + path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ref.Resolve(t.Context(), "", nil); !errors.Is(err, want) {
			t.Errorf("file:%s: %v", path, err)
		}
	}
	if b, err := ReadRegular(large, maxSecret+1, nil); err != nil || len(b) != maxSecret+1 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

// A program that prints without end costs no memory: its first line is the
// secret, if it has an end.
func TestAHelperMayPrintWhatItLikes(t *testing.T) {
	for line, want := range map[string]error{"head -c 50000000 /dev/zero": ErrTooLarge, "yes x": nil} {
		ref, err := ParseSecretRef("cmd:" + line)
		if err != nil {
			t.Fatal(err)
		}
		s, err := ref.Resolve(t.Context(), "", nil)
		if !errors.Is(err, want) || want == nil && s.Reveal() != "x" {
			t.Errorf("%s: %v", line, err)
		}
	}
}
