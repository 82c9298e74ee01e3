package render

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"github.com/moncap/moncap/analysis/report"
)

// junitSuites has no count of skipped cases: the schema of Jenkins (junit-10.xsd) has that in a
// suite only.
type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Time     string       `xml:"time,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name       string          `xml:"name,attr"`
	Tests      int             `xml:"tests,attr"`
	Failures   int             `xml:"failures,attr"`
	Errors     int             `xml:"errors,attr"`
	Skipped    int             `xml:"skipped,attr"`
	Time       string          `xml:"time,attr"`
	Timestamp  string          `xml:"timestamp,attr,omitempty"`
	Properties []junitProperty `xml:"properties>property"`
	Cases      []junitCase     `xml:"testcase"`
}

type junitProperty struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Time    string        `xml:"time,attr"`
	Failure *junitMessage `xml:"failure"`
	Error   *junitMessage `xml:"error"`
	Skipped *junitMessage `xml:"skipped"`
	Out     string        `xml:"system-out,omitempty"`
}

type junitMessage struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr,omitempty"`
	Text    string `xml:",chardata"`
}

// JUnit writes r as JUnit XML: one test case for each finding, and for each check
// that found nothing.
//
// Critical findings and warnings are failures; information is in the output of a passed case. An
// inconclusive outcome is a skipped case, and a run that came to nothing an error.
func JUnit(w io.Writer, r *report.Report) error { return JUnitAll(w, []*report.Report{r}) }

// JUnitAll writes several reports as one document, with a suite for each.
func JUnitAll(w io.Writer, reports []*report.Report) error {
	all := junitSuites{Name: "moncap"}
	var took float64
	for _, r := range reports {
		s := junitSuiteOf(r)
		all.Suites = append(all.Suites, s)
		all.Tests, all.Failures, all.Errors = all.Tests+s.Tests, all.Failures+s.Failures, all.Errors+s.Errors
		if r.Run != nil {
			took += float64(r.Run.DurationMS) / 1e3
		}
	}
	all.Time = "0"
	if took > 0 {
		all.Time = fmt.Sprintf("%.3f", took)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func junitSuiteOf(r *report.Report) junitSuite {
	name := clean(r.Tunnel)
	if name == "" {
		name = "tunnel"
	}
	s := junitSuite{Name: name, Cases: junitChecks(r)}
	s.Properties = []junitProperty{{"outcome", clean(string(r.Verdict.Outcome))}, {"headline", clean(r.Verdict.Headline)}}
	for _, f := range r.Findings {
		s.Cases = append(s.Cases, junitFinding(r, f))
	}
	s.Time, s.Timestamp = junitTime(r)
	numberNames(s.Cases)
	for i := range s.Cases {
		c := &s.Cases[i]
		c.Class, c.Time = "moncap."+name, "0"
		s.Tests++
		switch {
		case c.Failure != nil:
			s.Failures++
		case c.Error != nil:
			s.Errors++
		case c.Skipped != nil:
			s.Skipped++
		}
	}
	return s
}

// junitTime is how long the run took in seconds, and when it began, without a time zone as the
// schema wants it.
func junitTime(r *report.Report) (took, began string) {
	switch {
	case r.Run != nil:
		return fmt.Sprintf("%.3f", float64(r.Run.DurationMS)/1e3), r.Run.Started.UTC().Format("2006-01-02T15:04:05")
	case r.Sides.A != nil && r.Sides.A.First != nil:
		return "0", r.Sides.A.First.UTC().Format("2006-01-02T15:04:05")
	}
	return "0", ""
}

// numberNames makes the names of cases different: readers take cases of one name for one.
func numberNames(cases []junitCase) {
	seen := map[string]int{}
	for i := range cases {
		name := cases[i].Name
		seen[name]++
		if n := seen[name]; n > 1 {
			cases[i].Name = fmt.Sprintf("%s (%d)", name, n)
		}
	}
}

func junitChecks(r *report.Report) []junitCase {
	outcome := junitCase{Name: "the tunnel is established"}
	switch r.Verdict.Outcome {
	case report.NotRun:
		outcome.Error = &junitMessage{Message: clean(r.Verdict.Headline), Type: clean(string(r.Verdict.Reason))}
		return []junitCase{outcome}
	case report.Failed:
		outcome.Failure = &junitMessage{Message: clean(r.Verdict.Headline), Type: "failed"}
	case report.Inconclusive:
		outcome.Skipped = &junitMessage{Message: clean(r.Verdict.Headline)}
	default:
		outcome.Out = clean(r.Verdict.Headline)
	}
	cases := []junitCase{outcome, junitLoss("no packet is lost from A to B", r.Pairs.LostAtoB),
		junitLoss("no packet is lost from B to A", r.Pairs.LostBtoA)}
	for _, side := range []report.Side{report.A, report.B} {
		c := junitCase{Name: "the capture of side " + string(side) + " is whole"}
		switch s := r.Sides.Get(side); {
		case s == nil:
			c.Skipped = &junitMessage{Message: "there is no capture"}
		case s.Damaged != "":
			c.Failure = &junitMessage{Message: clean(s.Damaged), Type: "damaged"}
		case s.Truncated > 0:
			c.Failure = &junitMessage{Message: count(s.Truncated, "packet") + " cut short", Type: "truncated"}
		}
		cases = append(cases, c)
	}
	return cases
}

func junitLoss(name string, lost int) junitCase {
	c := junitCase{Name: name}
	if lost > 0 {
		c.Failure = &junitMessage{Message: count(lost, "packet") + " lost", Type: "lost"}
	}
	return c
}

func junitFinding(r *report.Report, f report.Finding) junitCase {
	var text strings.Builder
	fmt.Fprintf(&text, "%s\nconfidence: %s\n", clean(f.Explanation), clean(string(f.Confidence)))
	for _, e := range proofs(f.Evidence) {
		fmt.Fprintf(&text, "%s\n", e.text(true))
	}
	for _, a := range f.Actions {
		fmt.Fprintf(&text, "%s: %s\n", actionWhere(r, a), clean(a.Why))
		for _, c := range a.Commands {
			fmt.Fprintf(&text, "    %s\n", clean(c))
		}
	}
	c := junitCase{Name: clean(f.Code + ": " + f.Title)}
	if f.Severity == report.Info {
		c.Out = text.String()
		return c
	}
	c.Failure = &junitMessage{Message: clean(f.Title), Type: clean(string(f.Severity)), Text: text.String()}
	return c
}
