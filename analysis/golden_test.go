package analysis_test

import (
	"flag"
	"testing"

	"github.com/moncap/moncap/analysis/scene"
)

var update = flag.Bool("update", false, "write the golden judgements anew")

// All incidents, with what is done to their captures.
func TestGoldenJudgements(t *testing.T) {
	all := scene.Goldens{}
	for _, name := range incidents(t) {
		for _, v := range variants() {
			if !v.keys {
				all.Of("testdata/golden/incidents", name).Add(v.name, v.compare(t, name))
			}
		}
	}
	for _, name := range fieldIncidents(t) {
		ways := []string{asItIs, exchanged, aloneA, aloneB}
		if len(parseTruth(t, field(name, "truth.json")).files()) == 1 {
			ways = ways[:1]
		}
		for _, way := range ways {
			all.Of("testdata/golden/field", name).Add(way, compareField(t, name, way))
		}
	}
	all.Check(t, *update)
}
