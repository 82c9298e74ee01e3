package iosxe

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sample reads a recorded output of a router. Those that cannot be part of the project lie beside
// the checkout, where there is one; without it their tests are skipped.
func sample(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "ios-samples", name))
	if err != nil {
		b, err = os.ReadFile(filepath.Join("..", "..", "..", "shared", "ios-samples", name))
	}
	if err != nil {
		t.Skipf("the sample %s is not here", name)
	}
	text := string(b)
	if strings.HasPrefix(text, "# source:") {
		_, text, _ = strings.Cut(text, "\n")
	}
	return text
}

// samplesMatching lists the samples of which there must be some in the project.
func samplesMatching(t *testing.T, pattern string) []string {
	t.Helper()
	names := recorded(t, pattern)
	if len(names) == 0 {
		t.Fatalf("no sample matches %s", pattern)
	}
	return names
}

// recorded lists the samples that are here.
func recorded(t *testing.T, pattern string) []string {
	t.Helper()
	seen := map[string]bool{}
	var names []string
	for _, dir := range []string{"testdata/ios-samples", "../../../shared/ios-samples"} {
		paths, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range paths {
			if n := filepath.Base(p); !seen[n] {
				seen[n] = true
				names = append(names, n)
			}
		}
	}
	return names
}
