package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/moncap/moncap/analysis/diagnose"
)

// Whoever reads a report finds every field that a finding may have, in both forms.
func TestExplainNamesEveryField(t *testing.T) {
	var listed []struct {
		Code         string
		Fields, More []string
	}
	if err := json.Unmarshal([]byte(moncap(t, "explain", "--format", "json").stdout), &listed); err != nil {
		t.Fatal(err)
	}
	optional := 0
	for i, code := range diagnose.Codes() {
		e, _ := diagnose.Explain(code)
		optional += len(e.More)
		if listed[i].Code != code || !slices.Equal(listed[i].Fields, e.Fields) || !slices.Equal(listed[i].More, e.More) {
			t.Errorf("%s in JSON: %+v", code, listed[i])
		}
		_, told, _ := strings.Cut(moncap(t, "explain", code).stdout, "\nWhat to do\n")
		words := strings.FieldsFunc(told, func(r rune) bool { return strings.ContainsRune(", \n", r) })
		for _, field := range slices.Concat(e.Fields, e.More) {
			if !slices.Contains(words, field) {
				t.Errorf("%s: %q is not explained:\n%s", code, field, told)
			}
		}
	}
	if optional == 0 {
		t.Error("no finding may have further fields")
	}
}
