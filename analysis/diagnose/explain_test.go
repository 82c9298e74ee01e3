package diagnose

import (
	"go/format"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"
)

func readCatalogue(t *testing.T, path string) []Entry {
	t.Helper()
	b, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		t.Skipf("%s is not here", path)
	}
	if err != nil {
		t.Fatal(err)
	}
	var all []Entry
	if err := yaml.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// The generated Go and the YAML are one catalogue.
func TestCatalogueIsGenerated(t *testing.T) {
	if diff := cmp.Diff(readCatalogue(t, "findings.yaml"), catalogue); diff != "" {
		t.Errorf("run go generate (-yaml +go):\n%s", diff)
	}
}

// The project's copy says about each code what the contract says.
func TestCatalogueKeepsTheContract(t *testing.T) {
	contract := map[string]Entry{}
	for _, file := range []string{"findings.yaml", "findings-2.yaml"} { // where both name a code, the second stands
		for _, e := range readCatalogue(t, filepath.Join("..", "..", "..", "shared", file)) {
			contract[e.Code] = e
		}
	}
	// The contract knows these only as certain; ours says besides when the evidence for
	// that is not whole.
	doubted := []string{"ip-fragments-lost", "esp-blocked", "esp-loss", "response-ignored", "icmp-rejected",
		"sa-flapping", "dpd-timeout", "nat-mapping-changed", "no-ike-traffic",
		"retransmissions-exhausted", "rekey-failed", "path-loss", "capture-filter-incomplete"}
	for _, want := range contract {
		got, ok := Explain(want.Code)
		if !ok {
			t.Errorf("%s is missing", want.Code)
			continue
		}
		got = Entry{Code: got.Code, Severity: got.Severity, Certain: got.Certain, Probable: got.Probable, Action: got.Action,
			Fields: got.Fields}
		if slices.Contains(doubted, want.Code) && want.Probable == "" {
			got.Probable = ""
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-contract +ours):\n%s", want.Code, diff)
		}
	}
	beyond := []string{"transfer-host-key-changed", // and what the routers' own counters tell
		"control-plane-drop", "egress-drop", "ipsec-drop", "capture-punt-policed", "external-service-timeout",
		"router-says-why",
		// no code of the contract says that the files are of two tunnels: "disjoint" is about time,
		// "empty" about a file without any
		"capture-of-other-tunnel",
		// "strangers" is a fact that decides nothing
		"other-tunnel-fails"}
	for _, code := range Codes() {
		if _, ok := contract[code]; !ok && !slices.Contains(beyond, code) {
			t.Errorf("%s is not in the contract", code)
		}
	}
}

// A new finding is begun by a command, in every place that it needs; what is begun compiles.
func TestScaffold(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles")
	}
	dir := t.TempDir()
	for _, file := range []string{"findings.yaml", "rules.go"} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, file), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	begin := func() (string, error) {
		out, err := exec.Command("go", "run", "gen.go", "-dir", dir, "-new", "some-new-code").CombinedOutput()
		return string(out), err
	}
	if out, err := begin(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for file, want := range map[string]string{
		"findings.yaml": "- code: some-new-code\n", "rules.go": `{"some-new-code", someNewCode},`,
		"somenewcode.go":      "func someNewCode(j *judge) []report.Finding {",
		"somenewcode_test.go": `{"some-new-code", hit,`,
		"catalogue.go":        `Code: "some-new-code"`,
	} {
		b, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil || !strings.Contains(string(b), want) {
			t.Errorf("%s lacks %q: %v", file, want, err)
		}
		if formatted, err := format.Source(b); strings.HasSuffix(file, ".go") &&
			(err != nil || string(formatted) != string(b)) {
			t.Errorf("%s is not formatted: %v", file, err)
		}
	}
	if out, err := begin(); err == nil || !strings.Contains(out, "already") {
		t.Errorf("begun twice: %v, %s", err, out)
	}
}

func TestEveryCodeIsExplained(t *testing.T) {
	for _, code := range Codes() {
		e, ok := Explain(code)
		if !ok || e.Title == "" || e.Meaning == "" || e.Proof == "" || e.Todo == "" || e.Severity == "" {
			t.Errorf("%s is not explained: %+v", code, e)
		}
		if strings.HasSuffix(e.Title, ".") || !strings.HasSuffix(e.Meaning, ".") {
			t.Errorf("%s: a title is no sentence, a meaning is one", code)
		}
	}
	if _, ok := Explain("no-such-code"); ok {
		t.Error("an unknown code is explained")
	}
}
