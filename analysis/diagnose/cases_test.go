package diagnose_test

import (
	"flag"
	"slices"
	"testing"

	"github.com/moncap/moncap/analysis/diagnose"
	"github.com/moncap/moncap/analysis/scene"
)

// The kinds of cases that every code has: one that it is for, one that nearly is, and one where it
// does not apply.
const (
	hit  = "hit"
	near = "near"
	none = "not"
)

// findingCase is one scene and what is said, or not said, of it.
type findingCase struct {
	code, kind, name string
	play             func(*scene.Scene)
	want             map[string]any // of a hit: fields that the finding has beside its code
}

// All scenes, by their finding's code.
func TestGoldenScenes(t *testing.T) {
	all := scene.Goldens{}
	for _, c := range findingCases() {
		s := scene.New(t)
		c.play(s)
		all.Of("../testdata/golden/scenes", c.code).Add(c.kind+": "+c.name, s.Compare())
	}
	all.Check(t, *updateScenes)
}

var updateScenes = flag.Bool("update", false, "write the golden judgements of the scenes anew")

// lists are the cases of all files. Each file of tests adds its own, so that a finding's cases are
// in one place.
var lists []func() []findingCase

func add(cases func() []findingCase) bool {
	lists = append(lists, cases)
	return true
}

func findingCases() []findingCase {
	var all []findingCase
	for _, cases := range lists {
		all = append(all, cases()...)
	}
	return all
}

func TestFindings(t *testing.T) {
	for _, c := range findingCases() {
		t.Run(c.code+"/"+c.kind+"/"+c.name, func(t *testing.T) {
			s := scene.New(t)
			c.play(s)
			r := s.Compare()
			scene.Sound(t, r)
			found := scene.Flatten(t, r)
			if c.kind != hit {
				if found.Has(map[string]any{"code": c.code}) {
					t.Errorf("%s is reported: %v", c.code, found.Of(c.code))
				}
				return
			}
			want := map[string]any{"code": c.code}
			for k, v := range c.want {
				want[k] = v
			}
			if !found.Has(want) {
				t.Errorf("no %v; it is %v among %v", want, found.Of(c.code), found.Codes())
			}
		})
	}
}

// awaited are the codes that the catalogue has and no rule finds yet.
var awaited = []string{}

// A code without its three kinds of cases is a rule that nobody has seen work.
func TestEveryFindingHasItsCases(t *testing.T) {
	have := map[string]bool{}
	for _, c := range findingCases() {
		have[c.code+"/"+c.kind] = true
		if _, ok := diagnose.Explain(c.code); !ok {
			t.Errorf("%s is not in the catalogue", c.code)
		}
	}
	for _, code := range diagnose.Codes() {
		if slices.Contains(awaited, code) {
			if have[code+"/"+hit] {
				t.Errorf("%s has a case: it is awaited no longer", code)
			}
			continue
		}
		for _, kind := range []string{hit, near, none} {
			if !have[code+"/"+kind] {
				t.Errorf("%s has no %s case", code, kind)
			}
		}
	}
}
