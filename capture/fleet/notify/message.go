// Package notify tells people, and their systems, what a fleet found: one message, written for each
// kind of receiver as its maker published it. It keeps nothing and tries once; package fleet keeps
// what is to be told until it was.
//
// No message has packets. Headlines, peers and addresses are in one only when its target asks for
// details. What opens a target, its URL too, is in no error.
package notify

import (
	"fmt"
	"strings"
	"time"
)

// Schema names the form of Message, in JSON.
const Schema = "moncap.notice/v1"

// Action says what a message wants of who gets it.
type Action string

// The actions.
const (
	Trigger Action = "trigger" // something is wrong; a second one with the same Key is the same thing
	Resolve Action = "resolve" // what had this Key is over
	Digest  Action = "digest"  // how all tunnels are
	Test    Action = "test"    // somebody tries the target
)

// Message is what is told.
type Message struct {
	Schema   string    `json:"schema"`
	ID       string    `json:"id"`  // of this telling: who gets it twice got it once
	Key      string    `json:"key"` // moncap/TUNNEL/CODE: what it is about
	Action   Action    `json:"action"`
	At       time.Time `json:"at"`             // of the verdict
	Since    time.Time `json:"since,omitzero"` // when what has this Key was told first
	Why      string    `json:"why,omitempty"`
	Severity string    `json:"severity"` // critical, warning or info
	Title    string    `json:"title"`    // one sentence without an address
	Tunnel   string    `json:"tunnel,omitempty"`
	Site     string    `json:"site,omitempty"`
	Code     string    `json:"code,omitempty"` // of the finding that matters most
	Run      string    `json:"run,omitempty"`
	Cause    string    `json:"cause,omitempty"`
	Outcome  string    `json:"outcome,omitempty"`
	Before   string    `json:"before,omitempty"` // the outcome before, when it was another
	Findings []Finding `json:"findings,omitempty"`
	Details  *Details  `json:"details,omitempty"`
	Tunnels  []Line    `json:"tunnels,omitempty"` // of a digest, the worst first
	Left     int       `json:"left,omitempty"`    // tunnels that a digest leaves out
}

// Finding is one of a report, in words that hold for all that have it.
type Finding struct {
	Code     string `json:"code"`
	Severity string `json:"severity"`
	Title    string `json:"title"`
}

// Details are what not everybody may be told.
type Details struct {
	Headline string   `json:"headline,omitempty"`
	Peers    []string `json:"peers,omitempty"`
	Routers  []string `json:"routers,omitempty"`
	Remains  string   `json:"remains,omitempty"` // on routers, and what removes it
}

// Line is one tunnel of a digest.
type Line struct {
	Tunnel  string    `json:"tunnel"`
	Outcome string    `json:"outcome"`
	Code    string    `json:"code,omitempty"`
	At      time.Time `json:"at,omitzero"`
}

// marks stand before a subject, for lists that show no colours.
var marks = map[Action]string{Trigger: "PROBLEM", Resolve: "OK", Digest: "DIGEST", Test: "TEST"}

// Subject is the message in one line, of at most n characters.
func (m Message) Subject(n int) string {
	s := "moncap " + marks[m.Action] + ": "
	if m.Tunnel != "" {
		s += m.Tunnel + ": "
	}
	return cut(s+m.Title, n)
}

// fact is a line of a message that is not one of a text.
type fact struct{ name, value string }

func (m Message) facts() []fact {
	var all []fact
	add := func(name, value string) {
		if value != "" {
			all = append(all, fact{name, value})
		}
	}
	outcome := m.Outcome
	if m.Before != "" && outcome != "" {
		outcome += " (before: " + m.Before + ")"
	}
	add("Tunnel", m.Tunnel)
	add("Verdict", outcome)
	add("Severity", m.Severity)
	add("Site", m.Site)
	add("Run", m.Run)
	add("Started by", m.Cause)
	add("At", m.At.UTC().Format(time.RFC3339))
	if !m.Since.IsZero() && m.Since.Before(m.At.Add(-time.Second)) {
		add("Since", m.Since.UTC().Format(time.RFC3339))
	}
	if d := m.Details; d != nil {
		add("Peers", strings.Join(d.Peers, ", "))
		add("Routers", strings.Join(d.Routers, ", "))
	}
	return all
}

// lines are the findings, or the tunnels of a digest, and the details that are sentences.
func (m Message) lines() []string {
	var all []string
	for _, f := range m.Findings {
		all = append(all, f.Severity+": "+f.Title+" ("+f.Code+")")
	}
	for _, t := range m.Tunnels {
		s := t.Tunnel + ": " + t.Outcome
		if t.Code != "" {
			s += " (" + t.Code + ")"
		}
		if !t.At.IsZero() {
			s += ", " + t.At.UTC().Format("2006-01-02 15:04Z")
		}
		all = append(all, s)
	}
	if m.Left > 0 {
		all = append(all, fmt.Sprintf("and %d more", m.Left))
	}
	if d := m.Details; d != nil {
		for _, s := range []string{d.Headline, d.Remains} {
			if s != "" {
				all = append(all, strings.Split(s, "\n")...)
			}
		}
	}
	return all
}

// text is the whole message without the subject, for what knows plain text alone.
func (m Message) text() string {
	var b strings.Builder
	b.WriteString(m.Title + "\n\n")
	for _, f := range m.facts() {
		b.WriteString(f.name + ": " + f.value + "\n")
	}
	for i, l := range m.lines() {
		if i == 0 {
			b.WriteString("\n")
		}
		b.WriteString("- " + l + "\n")
	}
	if m.Run != "" {
		b.WriteString("\nmoncap report " + m.Run + " shows what was captured.\n")
	}
	return b.String()
}

// cut shortens a text to n characters.
func cut(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-3]) + "..."
}

// cutBytes shortens a text to n bytes, between two characters.
func cutBytes(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n-3], "") + "..."
}
