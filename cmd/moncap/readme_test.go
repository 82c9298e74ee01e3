package main

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the README's transcript anew")

var transcriptBlock = regexp.MustCompile("(?s)(`moncap demo blocked-a-to-b` plays one:\n\n```\n).*?(\n```\n)")

// TestReadmeTranscript holds the README's transcript to what the demo prints, up to its second finding. The flag -update
// writes it anew.
func TestReadmeTranscript(t *testing.T) {
	path := filepath.Join("..", "..", "README.md")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := transcriptBlock.FindSubmatchIndex(b)
	if at == nil {
		t.Fatal("the README has no transcript of the demo")
	}
	r := moncap(t, "demo", "blocked-a-to-b", "--quiet")
	if r.code != exitCritical {
		t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}
	shown, _, found := strings.Cut(r.stdout, "\n\n     [2]")
	if !found {
		t.Fatalf("the demo has no second finding\n%s", r.stdout)
	}
	want := "$ moncap demo blocked-a-to-b\n" + shown + "\n  ..."
	if *update {
		text := string(b[:at[3]]) + want + string(b[at[4]:])
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(b[at[3]:at[4]])); diff != "" {
		t.Errorf("the README's transcript is not what the demo prints (go test ./cmd/moncap -run Readme -update):\n%s", diff)
	}
}
