package diagnose_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/moncap/moncap/analysis/diagnose"
	"github.com/moncap/moncap/analysis/scene"

	"gopkg.in/yaml.v3"
)

// byKeysAlone are the codes that only decrypted messages make certain: no scene has
// keys, incidents have.
var byKeysAlone = []string{"auth-failed", "child-sa-refused", "responder-auth-rejected", "user-authentication-failed"}

// neverInScenes are certain by what no two captures of a scene have: a clock that both share
// without a packet that both hold.
var neverInScenes = []string{"capture-windows-disjoint"}

// canBeCertain says whether a finding of the entry ever is.
func canBeCertain(e diagnose.Entry) bool {
	return e.Certain != "" && e.Certain != "never" && e.Probable != "always"
}

// nearMisses are the names of the cases in which a finding is not certain, by its code.
func nearMisses(t *testing.T) map[string]string {
	t.Helper()
	b, err := os.ReadFile("findings.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var all []struct {
		Code     string
		NearMiss string `yaml:"near_miss"`
	}
	if err := yaml.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	names := map[string]string{}
	for _, e := range all {
		names[e.Code] = e.NearMiss
	}
	return names
}

// A finding that says certain tells what would have to be the case for it to be wrong, and a case
// holds just that. Where the catalogue knows it as less than certain too, a case shows it so; and
// unless that takes keys, another shows it certain.
func TestCertainFindingsNameWhatWouldMakeThemWrong(t *testing.T) {
	misses, cases := nearMisses(t), findingCases()
	has := func(code string, is func(findingCase) bool) bool {
		return slices.ContainsFunc(cases, func(c findingCase) bool { return c.code == code && is(c) })
	}
	for _, code := range diagnose.Codes() {
		e, _ := diagnose.Explain(code)
		if !canBeCertain(e) {
			if e.WrongIf != "" || misses[code] != "" {
				t.Errorf("%s is never certain: there is nothing to be wrong about", code)
			}
			continue
		}
		if !strings.HasSuffix(e.WrongIf, ".") {
			t.Errorf("%s: wrong_if is no sentence: %q", code, e.WrongIf)
		}
		if !has(code, func(c findingCase) bool { return c.name == misses[code] && (c.kind == near || doubted(c)) }) {
			t.Errorf("%s: no near miss is called %q", code, misses[code])
		}
		if e.Probable != "" && !slices.Contains(byKeysAlone, code) && !has(code, doubted) {
			t.Errorf("%s is in no hit less than certain", code)
		}
		if !slices.Contains(slices.Concat(byKeysAlone, neverInScenes), code) &&
			!has(code, func(c findingCase) bool { return c.kind == hit && isCertain(t, c) }) {
			t.Errorf("%s is certain in no hit", code)
		}
	}
}

// doubted says whether a case is a hit that is not certain.
func doubted(c findingCase) bool {
	confidence, told := c.want["confidence"]
	return c.kind == hit && told && confidence != "certain"
}

func isCertain(t *testing.T, c findingCase) bool {
	t.Helper()
	s := scene.New(t)
	c.play(s)
	return scene.Flatten(t, s.Compare()).Has(map[string]any{"code": c.code, "confidence": "certain"})
}
