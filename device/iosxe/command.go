// Package iosxe is IOS XE as text: the commands to send, and the outputs, prompts and refusals to
// read. It does no I/O.
//
// Every line that moncap ever sends to a router is made by a constructor of this package, from
// values that were validated first, so that nothing from a file or a packet can become a command.
package iosxe

import (
	"regexp"
	"slices"
	"time"

	"github.com/moncap/moncap/internal/lazyregexp"
)

// Mode is the mode of the CLI that a command is entered in.
type Mode uint8

// The modes that commands are entered in.
const (
	Exec     Mode = iota // privileged EXEC
	Config               // global configuration and its submodes; the session enters and leaves it around the lines
	Transfer             // an SSH exec request on a connection of its own: no terminal sees it, authorization may
)

// Command is something to type at a router: one line, or several lines of configuration
// that belong together.
type Command struct {
	Name  string   // stable name of the kind of command, for logs, faults and the allow-list: "start-capture"
	Mode  Mode     //
	Lines []string // what is typed, line by line; one line in Exec mode
	// Answers are what to send to the dialogs that the router may open, in no fixed order. A dialog
	// that none of them matches is aborted and reported.
	Answers []Answer
	Slow    bool // may take long for its nature (export, verify): wait for progress, not for a fixed time
	// Quiet is how long a Slow command is known to say nothing, where that may be longer than the
	// session's own bound.
	Quiet time.Duration
	// Password says that the router asks for the password of the server that the line names.
	Password bool
	Bulk     bool // the output is large (buffer dump): it is streamed and its end is not guessed from prompt-like lines
	// Log says that the output is the router's log: the lines that it writes on its own account, which
	// are taken out of every other output, are what was asked for.
	Log bool
	// MaxOutput bounds the output, in bytes: who knows how full a buffer is knows how long its dump
	// can be. 0: the session's own bound.
	MaxOutput int
	// Excerpt is what of the output a transcript has; nil: all of it. It is for what a router says of
	// much else than what was asked for.
	Excerpt func(out string) string
}

// Answer is the reply to one dialog of the router.
type Answer struct {
	Prompt *regexp.Regexp // matches the end of what the router has written
	Send   string         // what to type; empty is a bare newline, which confirms
}

// Confirm answers any `[confirm]` with a newline.
func Confirm() Answer { return Answer{Prompt: confirmPrompt.Get()} }

var confirmPrompt = lazyregexp.New(`(?i)\[confirm\]\s*$`)

// Equal says whether two commands type the same.
func (c Command) Equal(d Command) bool { return c.Mode == d.Mode && slices.Equal(c.Lines, d.Lines) }

// Refusal is the router's own words when it rejects a command.
type Refusal struct {
	Command string // the line
	Text    string // what the router said, trimmed
	Kind    RefusalKind
}

// RefusalKind sorts refusals by what the caller can do about them.
type RefusalKind uint8

// The kinds of refusals.
const (
	Unclassified RefusalKind = iota
	InvalidInput             // % Invalid input, % Ambiguous command, % Incomplete command, % Unknown command
	Unauthorized             // command authorization failed
	Missing                  // the thing named does not exist
	AlreadyThere             // it exists or is active already
	NotActive                // the capture is not active
	NoSpace                  // no space left on the file system
	Unsupported              // the platform cannot do it
	Unprivileged             // the account is below the level that this needs
	Disabled                 // the router's server for it is off
	Busy                     // no terminal line, or no session of this user, is free
)

func (r *Refusal) Error() string { return "router refused `" + r.Command + "`: " + r.Text }
