package scene

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moncap/moncap/analysis/report"
)

// judgement is all that a change of the rules may turn: the verdict, and the findings in their
// order, each with what it hangs under.
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

// Add notes what is judged of a case.
func (g *golden) Add(name string, r *report.Report) {
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

func (g *golden) text() string {
	var all []string
	for _, text := range g.names {
		all = append(all, strings.Join(g.blocks[text], "\n")+"\n  "+text)
	}
	return strings.Join(all, "\n")
}

// Goldens are files of judgements by their paths: one for every incident, or every code, so that
// changes of different rules do not meet in one.
type Goldens map[string]*golden

// Of is the file of a name in a folder, which check looks at.
func (g Goldens) Of(dir, name string) *golden {
	path := filepath.Join(dir, name+".txt")
	if g[path] == nil {
		g[path] = &golden{blocks: map[string][]string{}, edges: map[string]bool{}}
	}
	return g[path]
}

// Check compares with what is written, or writes it anew. No judgement changes unseen: a change
// that is meant is read in the diff.
func (g Goldens) Check(t T, update bool) {
	t.Helper()
	dirs, edges := map[string]bool{}, map[string]bool{}
	for path, file := range g {
		dirs[filepath.Dir(path)] = true
		maps.Copy(edges, file.edges)
	}
	t.Logf("%d pairs of a cause and its follower occur", len(edges))
	if update {
		if err := g.write(dirs); err != nil {
			t.Fatal(err)
		}
		return
	}
	for _, path := range slices.Sorted(maps.Keys(g)) {
		got := g[path].text()
		want, err := os.ReadFile(path)
		if err != nil || string(want) != got {
			t.Errorf("%s (run make golden and read the diff):\n%s\nwas:\n%s", path, got, want)
		}
	}
	for dir := range dirs {
		files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if g[f] == nil {
				t.Errorf("%s is of nothing: remove it", f)
			}
		}
	}
}

func (g Goldens) write(dirs map[string]bool) error {
	for dir := range dirs {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return err
		}
	}
	for path, file := range g {
		if err := os.WriteFile(path, []byte(file.text()), 0o600); err != nil {
			return err
		}
	}
	return nil
}
