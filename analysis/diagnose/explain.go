package diagnose

import (
	"strings"
	"sync"

	"github.com/moncap/moncap/analysis/report"
)

//go:generate go run gen.go

// Entry is one code of the catalogue: what may be concluded, what it must rest on, and what to do
// about it.
type Entry struct {
	Code     string
	Severity report.Severity
	Title    string // for people, a few words
	Certain  string // what the captures must show for the confidence "certain"
	Probable string // what lowers it; empty: the finding is always certain
	// for people: what would have to be the case for it to be wrong where it is certain
	WrongIf string   `yaml:"wrong_if"`
	Action  string   // what the finding's actions cover, for those who write rules
	Meaning string   // for people: what has happened
	Proof   string   // for people: what shows it
	Todo    string   // for people: what to do next
	Fields  []string // the finding's own fields in JSON
	More    []string // further ones that it may carry
	Frames  string   // "none": it is about what is in no frame

	// How it relates to other findings; findings.yaml tells what the words mean.
	Layer      string
	Explains   string
	Under      []string
	Everywhere bool
	Same       []string
	Stops      bool
	SpeaksFor  []string `yaml:"speaks_for"`
}

// sideField is the field in which the finding names its side; empty when it names none.
func (e Entry) sideField() string {
	for _, names := range [2][]string{e.Fields, e.More} {
		for _, name := range names {
			if name == "side" || strings.HasSuffix(name, "_side") {
				return name
			}
		}
	}
	return ""
}

// Explain returns the catalogue's entry for a code.
func Explain(code string) (Entry, bool) {
	i, ok := entries()[code]
	if !ok {
		return Entry{}, false
	}
	return catalogue[i], true
}

// entries are the places of the codes in the catalogue.
var entries = sync.OnceValue(func() map[string]int {
	m := make(map[string]int, len(catalogue))
	for i, e := range catalogue {
		m[e.Code] = i
	}
	return m
})

// Codes returns every code in the catalogue's order.
func Codes() []string {
	codes := make([]string, len(catalogue))
	for i, e := range catalogue {
		codes[i] = e.Code
	}
	return codes
}
