package analysis_test

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/analysis/scene"
)

var writeAccuracy = flag.Bool("accuracy", false, "write docs/accuracy.md anew")

// score is how one incident is judged.
type score struct {
	name, what, kind, daemons, says string
	right                           bool
	falseCritical, falseSuccess     bool
}

func scoreOf(t *testing.T, name, daemons string, want truth, r *report.Report) score {
	t.Helper()
	found := scene.Flatten(t, r)
	s := score{name: name, what: want.What, kind: want.kind(), daemons: daemons, right: len(want.faults(r, found)) == 0,
		says: sayings(r)}
	accused := slices.ContainsFunc(found, func(m map[string]any) bool {
		return scene.IsCritical(m) && slices.Contains(want.MustNot, fmt.Sprint(m["code"]))
	})
	root := slices.ContainsFunc(found, func(m map[string]any) bool { return scene.IsCritical(m) && m["caused_by"] == nil })
	s.falseCritical = accused || want.healthy() && root && !slices.ContainsFunc(want.Expect, scene.IsCritical)
	s.falseSuccess = !s.right && !want.healthy() && r.Verdict.ExitCode == 0
	return s
}

// kind is the code that the incident is about.
func (w truth) kind() string {
	for _, some := range append([][]map[string]any{w.Expect}, w.ExpectAny...) {
		for _, e := range some {
			if code := fmt.Sprint(e["code"]); code != "tunnel-established" {
				return code
			}
		}
	}
	if w.healthy() {
		return "healthy"
	}
	return "other"
}

// sayings is a report in a few words.
func sayings(r *report.Report) string {
	words := []string{string(r.Verdict.Outcome)}
	for _, f := range r.Findings {
		if f.Severity != report.Info && f.CausedBy == "" {
			words = append(words, f.Code)
		}
	}
	return strings.Join(words, ", ")
}

// daemonNames are the parts of an incident's name that say who spoke.
var daemonNames = map[string]string{"lsw": "libreswan", "ss": "strongSwan", "iked": "openiked",
	"libreswan": "libreswan", "strongswan": "strongSwan", "openiked": "openiked"}

func daemonsOf(name string) string {
	var all []string
	for part := range strings.SplitSeq(name, "-") {
		if d := daemonNames[part]; d != "" && !slices.Contains(all, d) {
			all = append(all, d)
		}
	}
	slices.Sort(all)
	return cmp.Or(strings.Join(all, " + "), "rebuilt reports")
}

func scores(t *testing.T) []score {
	t.Helper()
	var all []score
	for _, name := range incidents(t) {
		all = append(all, scoreOf(t, name, "strongSwan", readTruth(t, name), variants()[0].compare(t, name)))
	}
	for _, name := range fieldIncidents(t) {
		all = append(all, scoreOf(t, name, daemonsOf(name), parseTruth(t, field(name, "truth.json")),
			compareField(t, name, asItIs)))
	}
	slices.SortFunc(all, func(a, b score) int { return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.name, b.name)) })
	return all
}

const accuracyHead = `# How right moncap is

Every incident that the tests know, what was wrong in it, and what moncap says of it. ` + "`make accuracy`" + ` writes this page; CI fails when a
line of it gets worse. A **false critical** is something critical said of a tunnel that has nothing of the kind; a **false success** is exit
status 0 on a tunnel that does not work.

`

// accuracyPage is docs/accuracy.md.
func accuracyPage(all []score) []byte {
	var b bytes.Buffer
	b.WriteString(accuracyHead)
	sums(&b, "Incidents of", all, func(s score) string { return s.daemons })
	sums(&b, "Kind", all, func(s score) string { return s.kind })
	b.WriteString("## Incident by incident\n\n| incident | what was wrong | what moncap says | right " +
		"|\n|---|---|---|---|\n")
	for _, s := range all {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", s.name, strings.ReplaceAll(s.what, "|", "\\|"), s.says, s.mark())
	}
	return b.Bytes()
}

func (s score) mark() string {
	switch {
	case s.right:
		return "yes"
	case s.falseSuccess:
		return "no: false success"
	case s.falseCritical:
		return "no: false critical"
	}
	return "no"
}

// sums is a table of the scores by a word of theirs.
func sums(b *bytes.Buffer, title string, all []score, by func(score) string) {
	groups := map[string][]score{}
	for _, s := range all {
		groups[by(s)] = append(groups[by(s)], s)
	}
	fmt.Fprintf(b, "| %s | incidents | right | false criticals | false successes |\n|---|---|---|---|---|\n", title)
	line := func(name string, some []score) {
		right, critical, success := 0, 0, 0
		for _, s := range some {
			right, critical, success = right+ones(s.right), critical+ones(s.falseCritical), success+ones(s.falseSuccess)
		}
		fmt.Fprintf(b, "| %s | %d | %d | %d | %d |\n", name, len(some), right, critical, success)
	}
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		line(name, groups[name])
	}
	line("**all**", all)
	b.WriteByte('\n')
}

func ones(b bool) int {
	if b {
		return 1
	}
	return 0
}

var accuracyLine = regexp.MustCompile(`(?m)^\| ([^ |]+) \|.*\| (yes|no[^|]*) \|$`)

// The page that users read is no better than the truth: what it calls right is right, and what is
// not worse than a miss is no worse. A page that has become too modest is written anew by make
// accuracy, and compared in CI.
func TestAccuracyGetsNoWorse(t *testing.T) {
	all := scores(t)
	path := filepath.Join("..", "docs", "accuracy.md")
	if *writeAccuracy {
		if err := os.WriteFile(path, accuracyPage(all), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rank := map[string]int{"yes": 0, "no": 1, "no: false critical": 2, "no: false success": 3}
	was := map[string]string{}
	for _, m := range accuracyLine.FindAllSubmatch(page, -1) {
		was[string(m[1])] = string(m[2])
	}
	for _, s := range all {
		if before, ok := was[s.name]; ok && rank[s.mark()] > rank[before] {
			t.Errorf("%s was %q, it is %q now: %s", s.name, before, s.mark(), s.says)
		}
		delete(was, s.name)
	}
	for name := range was {
		t.Errorf("%s is in %s, but no incident any more", name, path)
	}
}
