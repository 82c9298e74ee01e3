package main

import (
	"bytes"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moncap/moncap/capture"
)

// withFormat gives a command that makes no report a --format. As JSON, what it has to say is one
// object, also when it failed:
//
//	{"command", "ok", "exit_code", "reason", "error", "hints", "lines": [what stdout gets as text], ...facts of the command}
//
// reason, error and hints are there only when it failed.
func (a *app) withFormat(c *cobra.Command) *cobra.Command {
	format, run := "text", c.RunE
	c.Flags().StringVarP(&format, "format", "f", format, "text or json")
	mustComplete(c, "format", []string{"text", "json"})
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if err := oneOf("--format", format, "text", "json"); err != nil {
			return err
		}
		if format == "text" {
			return run(cmd, args)
		}
		var text bytes.Buffer
		stdout := a.stdout
		a.stdout, a.facts = &text, map[string]any{}
		err := run(cmd, args)
		a.stdout = stdout
		return errors.Join(err, writeJSON(stdout, a.answer(cmd.Name(), text.String(), err)))
	}
	return c
}

func (a *app) answer(command, text string, err error) map[string]any {
	lines := []string{}
	for line := range strings.Lines(text) {
		lines = append(lines, strings.TrimRight(line, "\n"))
	}
	doc := map[string]any{"command": command, "ok": err == nil, "exit_code": exitOK, "lines": lines}
	for k, v := range a.facts {
		doc[k] = v
	}
	if err == nil {
		return doc
	}
	doc["exit_code"], doc["reason"], doc["error"] = exitCode(err), reasonOf(err), sentence(err)
	advice := []string{}
	for _, h := range hints(err) {
		advice = append(advice, printable(a.asGiven(h)))
	}
	doc["hints"] = advice
	if dirty, ok := errors.AsType[*capture.DirtyError](err); ok {
		doc["left"] = thingsOf(dirty.Left)
	}
	return doc
}

// fact keeps what a command found out, for JSON.
func (a *app) fact(name string, value any) {
	if a.facts != nil {
		a.facts[name] = value
	}
}

// thing is something on a router, in JSON.
type thing struct {
	Side   string   `json:"side"`
	Peer   string   `json:"peer"`
	What   string   `json:"what"`
	Remove []string `json:"remove"`
	Why    string   `json:"why,omitempty"`
}

func thingsOf(all []capture.Leftover) []thing {
	things := []thing{}
	for _, l := range all {
		things = append(things, thing{string(l.Side), l.Peer, l.What, l.Remove, l.Why})
	}
	return things
}
