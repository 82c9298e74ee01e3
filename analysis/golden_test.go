package analysis

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moncap/moncap/analysis/report"
)

var update = flag.Bool("update", false, "write the golden judgements anew")

// judgement is all that a change of the rules may turn: the verdict, and the findings in their order, each with what it hangs under.
func judgement(r *report.Report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, exit %d\n", r.Verdict.Outcome, r.Verdict.ExitCode)
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "  %s %s", f.Code, f.Confidence)
		if f.CausedBy != "" {
			fmt.Fprintf(&b, " <- %s", f.CausedBy)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// golden is one file of judgements: blocks by name, of which those that are alike stand together.
type golden struct {
	names  []string
	blocks map[string][]string // judgement to names
	edges  map[string]bool     // a follower and its cause
}

func (g *golden) add(name string, r *report.Report) {
	for _, f := range r.Findings {
		if f.CausedBy != "" {
			g.edges[f.Code+" <- "+f.CausedBy] = true
		}
	}
	text := judgement(r)
	if len(g.blocks[text]) == 0 {
		g.names = append(g.names, text)
	}
	g.blocks[text] = append(g.blocks[text], name)
}

func (g *golden) String() string {
	var all []string
	for _, text := range g.names {
		all = append(all, strings.Join(g.blocks[text], "\n")+"\n  "+text)
	}
	return strings.Join(all, "\n")
}

// goldens are all scenes by their finding's code, and all incidents with what is done to their captures. A file each, so that changes
// of different rules do not meet in one.
func goldens(t *testing.T) (files map[string]*golden, edges map[string]bool) {
	all := map[string]*golden{}
	edges = map[string]bool{}
	of := func(kind, name string) *golden {
		path := filepath.Join("testdata", "golden", kind, name+".txt")
		if all[path] == nil {
			all[path] = &golden{blocks: map[string][]string{}, edges: edges}
		}
		return all[path]
	}
	for _, c := range findingCases() {
		s := newScene(t)
		c.play(s)
		of("scenes", c.code).add(c.kind+": "+c.name, s.compare())
	}
	for _, name := range incidents(t) {
		for _, v := range variants() {
			if !v.keys {
				of("incidents", name).add(v.name, v.compare(t, name))
			}
		}
	}
	for _, name := range fieldIncidents(t) {
		ways := []string{asItIs, exchanged, aloneA, aloneB}
		if len(parseTruth(t, field(name, "truth.json")).files()) == 1 {
			ways = ways[:1]
		}
		for _, way := range ways {
			of("field", name).add(way, compareField(t, name, way))
		}
	}
	return all, edges
}

// No judgement changes unseen. A change that is meant is written with -update, and read in the diff.
func TestGoldenJudgements(t *testing.T) {
	all, edges := goldens(t)
	if *update {
		if err := os.RemoveAll(filepath.Join("testdata", "golden")); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(all)) {
		got := all[path].String()
		if *update {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(path)
		if err != nil || string(want) != got {
			t.Errorf("%s (run go test ./analysis -run Golden -update and read the diff):\n%s\nwas:\n%s", path, got, want)
		}
	}
	t.Logf("%d pairs of a cause and its follower occur", len(edges))
	files, err := filepath.Glob(filepath.Join("testdata", "golden", "*", "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if all[f] == nil {
			t.Errorf("%s is of nothing: remove it", f)
		}
	}
}
