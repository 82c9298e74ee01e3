package iosxe

import (
	"regexp/syntax"
	"strings"
	"testing"
)

// shapes are texts that an expression matches: one for every way through its alternatives and its
// optional parts.
func shapes(re *syntax.Regexp) []string {
	switch re.Op {
	case syntax.OpLiteral:
		return []string{string(re.Rune)}
	case syntax.OpCharClass:
		return []string{string(re.Rune[0])}
	case syntax.OpAnyCharNotNL, syntax.OpAnyChar:
		return []string{"x"}
	case syntax.OpStar, syntax.OpQuest:
		return append(shapes(re.Sub[0]), "")
	case syntax.OpCapture, syntax.OpPlus, syntax.OpRepeat:
		return shapes(re.Sub[0])
	case syntax.OpAlternate:
		var all []string
		for _, sub := range re.Sub {
			all = append(all, shapes(sub)...)
		}
		return all
	case syntax.OpConcat:
		all := []string{""}
		for _, sub := range re.Sub {
			var longer []string
			for _, begun := range all {
				for _, more := range shapes(sub) {
					longer = append(longer, begun+more)
				}
			}
			all = longer
		}
		return all
	}
	return []string{""} // the start of the line
}

// The words that spare an expression most lines spare it none that it matches.
func TestEveryRefusalHasAWordOfItsRule(t *testing.T) {
	for _, r := range refusals {
		re, err := syntax.Parse(r.matches.Get().String(), syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		all := shapes(re)
		for _, line := range all {
			if !r.matches.Get().MatchString(line) {
				t.Fatalf("%q is no line of %s", line, r.matches.Get())
			}
			if !hasOneOf(strings.ToLower(line), r.words) {
				t.Errorf("%q has none of %q", line, r.words)
			}
		}
		if len(all) < 2 {
			t.Errorf("%s: only %q", r.matches.Get(), all)
		}
	}
}
