package diagnose

import (
	"fmt"
	"slices"
	"strings"

	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/internal/lazyregexp"
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
			name, answer, asked := j.o.Config[s].Asked(c)
			if !asked {
				open = append(open, c)
			} else if said := "`" + c + "` " + inShort(s, name, answer); !slices.Contains(told[s], said) {
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

// noErrorKept is the head of `show crypto ikev2 diagnose error` with no error behind it.
var noErrorKept = lazyregexp.New(`^Exit Path Table - status: \w+, current entry 0,`)

// inShort says what a command had for an answer: none, the one line that it is, or where in the
// bundle the longer one lies. A line is told whole or not at all: half a line may say the opposite.
func inShort(s pair.Side, name, answer string) string {
	var lines []string
	for line := range strings.Lines(answer) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	const longest = 120
	switch {
	case len(lines) == 0:
		return "shows nothing"
	case len(lines) == 1 && noErrorKept.Get().MatchString(lines[0]):
		return "has no error"
	case len(lines) == 1 && len(lines[0]) <= longest:
		return fmt.Sprintf("says %q and no more", lines[0])
	}
	return fmt.Sprintf("shows %s, in the bundle as %s", plural(len(lines), "line", "lines"),
		strings.ToLower(s.String())+"/show/"+name+".txt")
}
