package capture

import (
	"errors"
	"fmt"
	"strings"

	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/device/iosxe"
)

// PhaseError says in which phase, and on which side, a run failed.
type PhaseError struct {
	Phase Phase
	Side  Side // empty: on neither router, but here
	Peer  string
	Err   error
}

func (e *PhaseError) Error() string {
	if e.Side == "" {
		return fmt.Sprintf("%s: %v", e.Phase, e.Err)
	}
	return fmt.Sprintf("%s (side %s): %s: %s", e.Peer, e.Side, e.Phase, e.Cause())
}

// Cause is what failed, without the name of the peer, which a session puts before its own errors.
func (e *PhaseError) Cause() string { return strings.TrimPrefix(e.Err.Error(), e.Peer+": ") }

// Unwrap returns the cause.
func (e *PhaseError) Unwrap() error { return e.Err }

// Hint says what to do about it; empty when nothing is known that the error does not say.
func (e *PhaseError) Hint() string {
	var refusal *iosxe.Refusal
	if !errors.As(e.Err, &refusal) {
		return ""
	}
	switch refusal.Kind {
	case iosxe.Unauthorized:
		return "the account may not run `" + refusal.Command + "`: `moncap account --full` prints one that may; " +
			"--zero-config does with a narrow one"
	case iosxe.NoSpace:
		return "free space in bootflash:, or set a smaller buffer_mb"
	case iosxe.Unsupported:
		return "this platform has no Embedded Packet Capture that moncap can drive"
	case iosxe.AlreadyThere:
		return "choose another --name, or remove what is there"
	}
	return ""
}

// Leftover is one thing that the run left on a router.
type Leftover struct {
	Side   Side
	Peer   string
	What   string   // "capture point mcab12cd"
	Remove []string // what to type to remove it, line by line
	Why    string   // why it is still there
}

func (l Leftover) String() string {
	return fmt.Sprintf("%s (side %s): %s: remove with: %s", l.Peer, l.Side, l.What, strings.Join(l.Remove, "; "))
}

func (l Leftover) record() bundle.Left {
	return bundle.Left{Side: l.Side, Peer: l.Peer, What: l.What, Remove: l.Remove, Why: l.Why}
}

// DirtyError says that something is, or may be, left on a router. Err is why the run failed before; nil when it did
// not.
type DirtyError struct {
	Left   []Leftover
	Bundle string // with which `moncap clean` finishes the job
	Err    error
}

func (e *DirtyError) Error() string {
	var b strings.Builder
	if e.Err != nil {
		fmt.Fprintf(&b, "%v; ", e.Err)
	}
	b.WriteString("left on a router:")
	for _, l := range e.Left {
		fmt.Fprintf(&b, "\n  %s", l)
		if l.Why != "" {
			fmt.Fprintf(&b, " (%s)", l.Why)
		}
	}
	return b.String()
}

// Unwrap returns the error of the run.
func (e *DirtyError) Unwrap() error { return e.Err }

// Hint says how to finish the job.
func (e *DirtyError) Hint() string {
	return "when the router can be reached again: moncap clean " + e.Bundle
}

// lost says whether the session broke, so that the effect of the command is unknown.
func lost(err error) bool {
	var l interface{ SessionLost() bool }
	return errors.As(err, &l) && l.SessionLost()
}

// lasting says whether an error stays however often the thing is tried, as the session itself says.
func lasting(err error) bool {
	var l interface{ Lasting() bool }
	return errors.As(err, &l) && l.Lasting()
}

func refusalOf(err error) *iosxe.Refusal {
	var r *iosxe.Refusal
	if errors.As(err, &r) {
		return r
	}
	return nil
}

func refusedAs(err error, kind iosxe.RefusalKind) bool {
	r := refusalOf(err)
	return r != nil && r.Kind == kind
}
