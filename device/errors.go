package device

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"

	"github.com/skeema/knownhosts"

	"github.com/moncap/moncap/device/iosxe"
)

// Error says what failed on which router.
type Error struct {
	Peer   string
	Op     string // the command's name, or login, fetch, host key
	Err    error
	lost   bool
	legacy bool // outdated algorithms are allowed already
}

func (e *Error) Error() string { return e.Peer + ": " + e.Op + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// SessionLost says that the session broke in the middle of the command: whether it was carried out
// is unknown.
func (e *Error) SessionLost() bool { return e.lost }

// Lasting says that trying again would not help, and might do harm: what was refused at the login
// stays refused.
func (e *Error) Lasting() bool {
	for _, err := range []error{errRefused, errLockedOut, errNoAuth, errUnanswered, errHostname, errUnknownHost,
		errChangedKey, errRevokedKey,
		errNoShell, errNoReply, errWeakKey} {
		if errors.Is(e.Err, err) {
			return true
		}
	}
	return strings.Contains(e.Err.Error(), "no common algorithm")
}

// RefusedLogin says that the router refused the credentials, and not that they were spared for
// having been refused before.
func (e *Error) RefusedLogin() bool { return errors.Is(e.Err, errRefused) }

// NoLine says that the router had no terminal line, or no session of this user, left.
func (e *Error) NoLine() bool {
	return errors.Is(e.Err, errNoRoom) || noLine(e.Err) && !errors.Is(e.Err, errNothing)
}

// HostKeyChanged says that another key was presented than is known for the host, or one that is
// marked as stolen: somebody may be in between. The key is SHA256:... in the error's text.
func (e *Error) HostKeyChanged() bool {
	return errors.Is(e.Err, errChangedKey) || errors.Is(e.Err, errRevokedKey)
}

// Errors of the login.
var (
	errRefused = errors.New("the router refused the credentials")
	errSecond  = errors.New("the router refused credentials that it accepted before in this run: it may allow this " +
		"user one session at a time")
	errLockedOut = errors.New("these credentials were refused before in this run and are not sent again, so that the " +
		"account is not locked")
	errHostname    = errors.New("it is not the router that was meant")
	errUnknownHost = errors.New("its host key is not known")
	errChangedKey  = errors.New("its host key is not the one that is known")
	errRevokedKey  = errors.New("its host key is marked @revoked")
	errNoAuth      = errors.New("there is no way to log in that the router offers")
	errUnanswered  = errors.New("the login asks something that nothing answers")
	errNoShell     = errors.New("the router lets the account in, but not to its command line")
	errNoReply     = errors.New("the password went out, and the router did not say in time whether it accepts it; it is " +
		"not sent again in this run")
	errWeakKey = errors.New("the keys of the router are too small to be safe")
)

// Errors of commands.
var (
	errTimeout = errors.New("no complete answer in time")
	errDeaf    = errors.New("the router does not even echo what is typed")
	errTooMuch = errors.New("the output is too large")
	errDialog  = errors.New("the router asks something unknown")
	errClosed  = errors.New("the connection was closed by the router")

	errNotTaken  = errors.New("the router takes no input")
	errOutOfStep = errors.New("the router lost something that was typed ahead")
	errInConfig  = errors.New("configuration mode cannot be left")
)

// saidError is an error with what the router said last.
type saidError struct {
	err   error
	words string // fit to be shown
	noGo  bool   // they say that the account gets no session
}

func (e *saidError) Error() string { return fmt.Sprintf("%v; it said: %q", e.err, e.words) }
func (e *saidError) Unwrap() error { return e.err }

// hungUp says whether the other end closed the connection without a word; in the middle of a file
// is another thing: what has come of it was written.
func hungUp(err error) bool {
	return !errors.Is(err, errShort) && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) ||
		errors.Is(err, syscall.ECONNRESET))
}

// opServer is the Op of what failed at a server that the router pushes captures to.
const opServer = "server"

// Hint says what to do about the error; empty when nothing is known that the error does not say.
func (e *Error) Hint() string {
	text := e.Err.Error()
	switch {
	case e.Op == opServer:
		return "the server of --via-export must let moncap read the file, too: its host key in known_hosts, a key or " +
			"--via-export-password"
	case errors.Is(e.Err, errUnknownHost):
		return "look at the key and accept it with: moncap trust " + e.Peer
	case errors.Is(e.Err, errChangedKey) || knownhosts.IsHostKeyChanged(e.Err):
		return "if the router was replaced, remove its old line from known_hosts and run: moncap trust " + e.Peer
	case errors.Is(e.Err, errRevokedKey):
		return "somebody may have the key: give the router a new one, and find out what answers there"
	case errors.Is(e.Err, errNoShell):
		return "AAA of " + e.Peer + " must authorize an exec session for the account (aaa authorization exec); an expired " +
			"or locked account is told in the same way"
	case errors.Is(e.Err, errNoReply):
		return "AAA of " + e.Peer + " is slow; give it more time in the inventory: timeouts: {dial: 60s}"
	case errors.Is(e.Err, errWeakKey):
		return "give the router a new key (crypto key generate rsa modulus 2048) and ip ssh dh min size 2048; to log in " +
			"once, run moncap with GODEBUG=rsa1024min=0"
	case errors.Is(e.Err, errRefused):
		return "check username and password of " + e.Peer + " in the inventory; it is not tried again, to keep the account " +
			"from being locked"
	case errors.Is(e.Err, errSecond):
		return "end other sessions of " + e.Peer + "'s user (show users), or allow it two at a time in the AAA server"
	case errors.Is(e.Err, errNoAuth):
		return "set password, key_file or agent of " + e.Peer + " to what the router accepts"
	case errors.Is(e.Err, errHostname):
		return "check host and expect_hostname of " + e.Peer + " in the inventory"
	case strings.Contains(text, "oo many authentication failures"):
		return "the router was offered more keys than it takes; set key_file of " + e.Peer + " instead of agent"
	case e.NoLine() && slices.Contains([]string{"login", "fetch", "probe", "prepare"}, e.Op):
		return "all terminal lines of the router may be in use, or SSH from here is not permitted: show users, show line, " +
			"access-class"
	case strings.Contains(text, "no common algorithm") && strings.Contains(text, "jump host"):
		return "the jump host speaks only algorithms that are outdated, which moncap does not allow for jump hosts"
	case strings.Contains(text, "no common algorithm") && e.legacy:
		return "moncap and the router have no algorithm in common, even with legacy_ssh: the lists in the message say " +
			"which is missing"
	case strings.Contains(text, "no common algorithm"):
		return "the router speaks only algorithms that are outdated; if it must be, set legacy_ssh: true for " + e.Peer
	}
	if no, ok := errors.AsType[*scpRefusal](e.Err); ok {
		return scpHint(no.Kind)
	}
	if errors.Is(e.Err, errNothing) {
		return scpHint(iosxe.Unclassified)
	}
	if r, ok := errors.AsType[*iosxe.Refusal](e.Err); ok && r.Kind == iosxe.Unauthorized {
		return "moncap commands lists what the account must be allowed to do"
	}
	if ne, ok := errors.AsType[net.Error](e.Err); ok && ne.Timeout() {
		return "is the management address right, and is SSH allowed from here?"
	}
	return ""
}

// scpHint says what to do about a refusal of the SCP server.
func scpHint(kind iosxe.RefusalKind) string {
	switch kind {
	case iosxe.Disabled:
		return "SCP needs `ip scp server enable` on the router"
	case iosxe.Unprivileged:
		return "SCP needs an account that has level 15 at login, enable does not help: moncap account --full"
	case iosxe.Unauthorized:
		return "the AAA server must let the account run `scp`, and give it a shell at level 15"
	case iosxe.Busy:
		return "free a terminal line of the router: show users, show line"
	}
	return "SCP needs `ip scp server enable` on the router and an account that has level 15 at login: moncap " +
		"account --full"
}

// unexpected is a dialog that nothing answers.
type unexpected struct {
	question string
	stuck    bool // breaking it off did not bring the prompt back
}

func (u *unexpected) Error() string { return fmt.Sprintf("%v: %q", errDialog, u.question) }
func (u *unexpected) Unwrap() error { return errDialog }
