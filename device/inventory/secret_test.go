package inventory

import (
	"errors"
	"strings"
	"testing"

	"github.com/zalando/go-keyring"
)

// The operating system's keyring is replaced by one in memory: a test must neither read nor change the operator's own.
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
	if _, err := other.Resolve(t.Context(), "", nil); !errors.Is(err, keyring.ErrNotFound) || !strings.Contains(err.Error(), "keyring:spoke") {
		t.Errorf("an entry that is missing: %v, want the reference and that it was not found", err)
	}

	keyring.MockInitWithError(errors.New("the collection is locked"))
	if _, err := ref.Resolve(t.Context(), "", nil); err == nil || !strings.Contains(err.Error(), "keyring:hub: the collection is locked") {
		t.Errorf("a keyring that is locked: %v, want the reference and the reason", err)
	}
}
