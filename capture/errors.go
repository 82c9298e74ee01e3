package capture

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

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

// Cause is what failed, without the name of the peer and of the phase, which a session puts before
// its own errors.
func (e *PhaseError) Cause() string {
	return strings.TrimPrefix(strings.TrimPrefix(e.Err.Error(), e.Peer+": "), string(e.Phase)+": ")
}

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
	case iosxe.Unprivileged:
		return "SCP needs an account that has level 15 at login: `moncap account --full` prints one; --zero-config does " +
			"without SCP"
	case iosxe.Disabled:
		return "turn the SCP server on with `ip scp server enable`, or use --zero-config"
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
	Side   Side // empty: the router is no side of a run
	Peer   string
	What   string   // "capture point mcab12cd"
	Remove []string // what to type to remove it, line by line
	Reason string   // why it is still there, in a word that stays: ReasonForeign and its like
	Why    string   // the same for people
	Fetch  string   // how to fetch it by hand, where it is a file with the only copy of the packets
}

func (l Leftover) String() string {
	s := l.Peer
	if l.Side != "" {
		s += fmt.Sprintf(" (side %s)", l.Side)
	}
	s += ": " + l.What
	if l.Reason == ReasonOnlyCopy {
		s += ": left on purpose"
	}
	if l.Fetch != "" {
		s += ": fetch it by hand with: " + l.Fetch
	}
	if len(l.Remove) > 0 {
		s += ": remove with: " + strings.Join(l.Remove, "; ")
	}
	return s
}

func (l Leftover) record() bundle.Left {
	return bundle.Left{Side: l.Side, Peer: l.Peer, What: l.What, Remove: l.Remove, Reason: l.Reason, Why: l.Why,
		Fetch: l.Fetch}
}

// DirtyError says that something is, or may be, left on a router: without a list, the bundle does
// not say what. Err is why the run failed before; nil when it did not.
type DirtyError struct {
	Left   []Leftover
	Bundle string // with which `moncap clean` finishes the job
	Name   string // what has to be given with --name then; empty: nothing
	Err    error
}

func (e *DirtyError) Error() string {
	var b strings.Builder
	if e.Err != nil {
		fmt.Fprintf(&b, "%v; ", e.Err)
	}
	if len(e.Left) == 0 {
		b.WriteString("whether anything is left on a router is not known")
		return b.String()
	}
	b.WriteString("left on a router:")
	for i, l := range e.Left {
		fmt.Fprintf(&b, "\n  %s", l)
		told := i > 0 && e.Left[i-1].Peer == l.Peer && e.Left[i-1].Why == l.Why
		if l.Why != "" && !told {
			fmt.Fprintf(&b, " (%s)", l.Why)
		}
	}
	return b.String()
}

// Unwrap returns the error of the run.
func (e *DirtyError) Unwrap() error { return e.Err }

// Hint says how to finish the job.
func (e *DirtyError) Hint() string {
	if len(e.Left) == 0 || e.Bundle == "" {
		return ""
	}
	clean := e.Bundle
	if e.Name != "" {
		clean += " --name " + e.Name
	}
	first := e.Left[0]
	if i := slices.IndexFunc(e.Left, func(l Leftover) bool { return l.Reason == ReasonOnlyCopy }); i >= 0 {
		first = e.Left[i] // what is lost when nobody collects it comes before what is only to be removed
	}
	kept := "moncap collect " + clean + " tries again; to give up"
	if errors.Is(e.Err, ErrOver) {
		kept = "when what was kept is not wanted any more"
	}
	when := map[string]string{
		ReasonUnreachable: "when the router can be reached again",
		ReasonOtherRouter: "this is not the router that was captured on; when that one answers again",
		ReasonRefused:     "when the account may remove it",
		ReasonStuck:       "the router answers, but not to that: look at it there; then",
		ReasonForeign:     "look at it, and remove by hand what is yours; then",
		ReasonJournal:     "look on the router for what the journal names, and remove by hand what is yours; then",
		ReasonOnlyCopy:    "moncap collect " + clean + " fetches what was left on purpose, and cleans; to throw it away",
		ReasonUnknown:     "to have moncap look for it",
		ReasonKept:        kept,
	}[first.Reason]
	return when + ": moncap clean " + clean
}

// lasting says whether an error stays however often the thing is tried, as the session itself says.
func lasting(err error) bool {
	var l interface{ Lasting() bool }
	return errors.As(err, &l) && l.Lasting()
}

// errSlow is why something that a run can do without is not waited for any longer.
var errSlow = errors.New("the router takes too long")

// noLonger bounds what a run can do without.
func noLonger(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, limit, errSlow)
}

// ofThisMachine says whether an error is none of the router's.
func ofThisMachine(err error) bool {
	var local *localError
	return errors.As(err, &local)
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
