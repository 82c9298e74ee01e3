package diagnose

import (
	"fmt"
	"slices"
	"strings"

	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

// tellAnswers takes out of the actions what the run has already asked the routers, and says what
// they answered: nobody types a command again whose answer lies before him. An action that is about
// something new stays, and so does the last one of all.
func (j *judge) tellAnswers(f *report.Finding) {
	if len(j.o.Config[pair.A])+len(j.o.Config[pair.B]) == 0 {
		return
	}
	var kept []report.Action
	var told [2][]string
	for _, a := range f.Actions {
		s := pair.A
		if a.Side == report.B {
			s = pair.B
		}
		if a.Mode != "exec" || a.Where == onPath {
			kept = append(kept, a)
			continue
		}
		var open []string
		for _, c := range a.Commands {
			answer, asked := j.o.Config[s].Asked(c)
			if !asked {
				open = append(open, c)
			} else if said := "`" + c + "` " + inShort(answer); !slices.Contains(told[s], said) {
				told[s] = append(told[s], said)
			}
		}
		if a.Commands = open; len(open) > 0 {
			kept = append(kept, a)
		}
	}
	if len(kept) == 0 {
		return
	}
	f.Actions = kept
	for _, s := range pair.Both {
		if len(told[s]) > 0 {
			f.Explanation += fmt.Sprintf(" The run has asked %s: %s.", j.partyName(s), strings.Join(told[s], "; "))
		}
	}
}

// inShort says what kind of an answer a command had: none, or how much of it lies in the bundle.
func inShort(answer string) string {
	lines := 0
	for line := range strings.Lines(answer) {
		if strings.TrimSpace(line) != "" {
			lines++
		}
	}
	if lines == 0 {
		return "shows nothing"
	}
	return fmt.Sprintf("shows %s, kept in the bundle", plural(lines, "line", "lines"))
}
