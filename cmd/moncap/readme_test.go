package main

import (
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moncap/moncap/device/inventory"
)

var update = flag.Bool("update", false, "write the README's transcript anew")

var transcriptBlock = regexp.MustCompile("(?s)(`moncap demo blocked-a-to-b` plays one:\n\n```\n).*?(\n```\n)")

// TestReadmeTranscript holds the README's transcript to what the demo prints, up to its second
// finding. The flag -update writes it anew.
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

// TestREADMEsScheduleFitsItsInventory: whoever puts the one below the other has an inventory that
// is read.
func TestREADMEsScheduleFitsItsInventory(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	peers := regexp.MustCompile("(?s)```yaml\n(version: 1\n.*?)```").FindSubmatch(b)
	schedules := regexp.MustCompile(`(?m)^    (schedules: \{.*\})$`).FindAllSubmatch(b, -1)
	if peers == nil || len(schedules) == 0 {
		t.Fatal("README.md has no inventory, or no schedule")
	}
	for _, s := range schedules {
		inv, err := inventory.Parse("README.md", strings.NewReader(string(peers[1])+string(s[1])+"\n"))
		if err != nil || len(inv.ScheduleNames()) == 0 {
			t.Errorf("%s: %v", s[1], err)
		}
	}
}

var (
	testName = regexp.MustCompile("`(Test[A-Za-z0-9]+)`")
	testFunc = regexp.MustCompile(`(?m)^func (Test[A-Za-z0-9]+)\(t \*testing\.T\)`)
)

// TestREADMENamesTestsThatExist: each claim of the section on safety names a test, and there is one
// of that name.
func TestREADMENamesTestsThatExist(t *testing.T) {
	root := filepath.Join("..", "..")
	b, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	there := testsOf(t, root)
	_, section, _ := strings.Cut(string(b), "\n## Is it safe on a production router?\n")
	section, _, found := strings.Cut(section, "\n### ")
	if !found {
		t.Fatal("README.md has no section on safety")
	}
	claims := 0
	for line := range strings.Lines(section) {
		named := testName.FindAllStringSubmatch(line, -1)
		if claim := strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| claim |"); claim {
			claims++
			if len(named) == 0 {
				t.Errorf("no test is named for: %s", line)
			}
		}
		for _, n := range named {
			if !there[n[1]] {
				t.Errorf("there is no %s", n[1])
			}
		}
	}
	if claims < 10 {
		t.Errorf("%d claims", claims)
	}
}

// testsOf lists the tests of the whole tree.
func testsOf(t *testing.T, root string) map[string]bool {
	t.Helper()
	there := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		for _, f := range testFunc.FindAllSubmatch(b, -1) {
			there[string(f[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return there
}
