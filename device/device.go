// Package device is an authenticated session with one router: Exec types a command and reads what
// comes back, Fetch copies a file by SCP.
//
// The SSH connections are golang.org/x/crypto/ssh's and entirely ours: dialling, jump hosts, host
// keys, authentication and algorithms. On top of one, scrapligo's channel reads and writes the
// terminal, through its custom transport; what a prompt, a dialog and the end of an output are is
// decided here, because it depends on the router's own name. SCP has a connection of its own: IOS
// XE refuses or mishandles a second channel on one.
package device

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/moncap/moncap/device/inventory"
	"github.com/moncap/moncap/device/iosxe"
)

// Options are what a Router needs beside its entry in the inventory. The zero value works for peers
// whose secrets need no asking.
type Options struct {
	// Ask asks the operator: for a secret without echo, or for the answer to an unknown question of
	// the login. nil: nobody can be asked.
	Ask func(prompt string, echo bool) (string, error)
	// Record receives the dialogue with the router, secrets masked. It may be nil. Writes come from
	// one goroutine at a time.
	Record io.Writer
	Log    *slog.Logger // nil: nothing is logged
	// Lockout is shared by all Routers of a run: a credential that one of them saw refused is not sent
	// again. nil: a Lockout of this Router's own.
	Lockout  *Lockout
	Timeouts Timeouts
	// UploadPassword is what iosxe.ExportUpload's server asks for, of the router and of us.
	UploadPassword inventory.SecretRef
	// Dial opens the TCP connection to the first hop. nil: net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Timeouts bound the waiting for a router. Zero fields take the inventory's value for the peer, or
// the default.
type Timeouts struct {
	Dial    time.Duration // TCP and SSH handshake of every hop, login and shell; then the wait for the prompt; 20 s each
	Command time.Duration // a command's whole answer; 20 s
	Idle    time.Duration // between two signs of life, of slow commands, bulk output and transfers; 20 s
}

func (t Timeouts) withDefaults(peer inventory.Timeouts) Timeouts {
	set := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	set(&t.Dial, peer.Dial)
	set(&t.Command, peer.Command)
	set(&t.Idle, peer.Idle)
	set(&t.Dial, 20*time.Second)
	set(&t.Command, 20*time.Second)
	set(&t.Idle, 20*time.Second)
	return t
}

// Router is one router. A session is opened by the first command, and again by the next one after
// it was lost. Exec and Fetch may be called from one goroutine at a time; Close from any.
type Router struct {
	peer inventory.Peer
	o    Options
	rec  *recorder

	warnLegacy, warnConfig, warnHosts sync.Once

	oneByOne bool // nothing is typed ahead any more
	echoed   bool // a session echoed what was typed

	accepted chan struct{} // closed when a session was logged in for the first time
	prompted chan struct{} // closed when one had its prompt for the first time

	mu          sync.Mutex
	session     *session
	hostname    string
	hostKey     string
	opened      int                         // sessions so far
	answered    time.Time                   // when a command was, last
	secrets     map[string]inventory.Secret // by reference and prompt, resolved once
	standby     *standby                    // the connection that waits for a transfer; nil: none does
	alone       bool                        // the router was seen to have room for one connection only
	oneSession  bool                        // because it accepts one session of the user at a time
	scpForm     int                         // of scpPaths: the form that the router is known to take
	scpAnswered bool                        // it is known, and no guess
}

// New makes a Router. It dials nothing.
func New(peer inventory.Peer, o Options) *Router {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Lockout == nil {
		o.Lockout = NewLockout()
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{KeepAlive: 15 * time.Second}).DialContext
	}
	o.Timeouts = o.Timeouts.withDefaults(peer.Timeouts)
	return &Router{peer: peer, o: o, rec: newRecorder(o.Record), secrets: map[string]inventory.Secret{},
		accepted: make(chan struct{}), prompted: make(chan struct{})}
}

// Hold has the dialogue that follows wait to be recorded until the function that it returns is
// called, which says whether it is: what is asked every few seconds for days, and answered the same
// each time, would make a transcript that nobody can read.
func (r *Router) Hold() (end func(keep bool)) { return r.rec.hold() }

// Answered is when the router answered a command last, be it with a refusal; to
// log in is no answer.
func (r *Router) Answered() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.answered
}

// Patience is the longest time that the router is given for one answer.
func (r *Router) Patience() time.Duration {
	return max(r.o.Timeouts.Dial, r.o.Timeouts.Command, r.o.Timeouts.Idle)
}

// Hostname returns what the router calls itself in its prompt; empty before the first session.
func (r *Router) Hostname() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.hostname
}

// Identity returns what the current session, or the last one, shows of who the router is: the name
// in its prompt, and the fingerprint of its host key as OpenSSH writes it (SHA256:...). Both are
// empty before the first session.
func (r *Router) Identity() (hostname, hostKey string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.hostname, r.hostKey
}

// Session numbers the session that is open, from 1; 0: none is, and the next command opens one.
// Another number says that it may be another router that answers.
func (r *Router) Session() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.session == nil {
		return 0
	}
	return r.opened
}

// Paged says whether the router's pager was or is on in a session, because the account may not turn
// it off: every output takes a turn a page then, and nothing is typed ahead.
func (r *Router) Paged() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.session != nil && r.session.paged
}

// Open opens the session when there is none.
func (r *Router) Open(ctx context.Context) error {
	_, err := r.open(ctx)
	return err
}

func (r *Router) open(ctx context.Context) (*session, error) {
	r.mu.Lock()
	s := r.session
	r.mu.Unlock()
	if s != nil {
		return s, nil
	}
	s, err := r.login(ctx)
	if err != nil {
		return nil, r.fail("login", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.session, r.hostname = s, s.hostname
	r.opened++
	return s, nil
}

// drop forgets a session that is of no use any more.
func (r *Router) drop(s *session) {
	r.mu.Lock()
	if r.session == s {
		r.session = nil
	}
	r.mu.Unlock()
	s.abandon()
}

// Close ends the session, if there is one. The Router can be used again.
func (r *Router) Close() error {
	r.mu.Lock()
	s, waiting := r.session, r.standby
	r.session, r.standby = nil, nil
	r.mu.Unlock()
	waiting.close()
	if s == nil {
		return nil
	}
	s.exit()
	return s.close()
}

// Exec types cmd and returns what the router printed, without echo, prompt and syslog noise of its
// own making. The error is a *Error; in its chain is an *iosxe.Refusal when the router refused the
// command. Only commands that iosxe.Allowed knows are typed. When ctx ends, Exec returns at once
// and the session is given up.
func (r *Router) Exec(ctx context.Context, cmd iosxe.Command) (string, error) {
	if !iosxe.Allowed(cmd) {
		return "", r.fail(cmd.Name, errors.New("it is not in the list of commands that may be sent"))
	}
	if cmd.Mode == iosxe.Config {
		if s, n := r.ahead(ctx, []iosxe.Command{cmd}); n == 1 {
			o := r.execAhead(ctx, s, []iosxe.Command{cmd})[0]
			return o.out, o.err
		}
	}
	s, err := r.open(ctx)
	if err != nil {
		return "", err
	}
	began := time.Now()
	out, err := s.run(ctx, cmd)
	r.o.Log.DebugContext(ctx, "answer", "command", cmd.Name, "took",
		time.Since(began).Round(time.Microsecond), "bytes", len(out))
	return out, r.after(s, cmd, err)
}

// sends logs every line of a command that is about to be typed. What a router asks for meanwhile, a
// password as well, is no part of it.
func (r *Router) sends(ctx context.Context, cmd iosxe.Command) {
	if !r.o.Log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	lines := cmd.Lines
	if cmd.Mode == iosxe.Config {
		lines = slices.Concat([]string{"configure terminal"}, lines, []string{"end"})
	}
	for _, line := range lines {
		r.o.Log.DebugContext(ctx, "sends", "line", line, "command", cmd.Name)
	}
}

// Stream types a command whose output is large, and writes it to w as it comes, without what Exec
// takes off; a prompt and messages of the router's own may be among the last lines. Nothing of it
// is kept. What has an excerpt comes as Exec has it. The error is Exec's; what was written until
// then is of a command that was not answered to its end.
func (r *Router) Stream(ctx context.Context, cmd iosxe.Command, w io.Writer) error {
	if !iosxe.OnlyReads(cmd) || cmd.Mode != iosxe.Exec {
		return r.fail(cmd.Name, errors.New("it is not in the list of commands that may be read as a stream"))
	}
	s, err := r.open(ctx)
	if err != nil {
		return err
	}
	err = s.stream(ctx, cmd, func(text string) error {
		_, err := io.WriteString(w, text)
		return err
	})
	return r.after(s, cmd, err)
}

// after gives a session up that is not at a prompt after err, and says what failed.
func (r *Router) after(s *session, cmd iosxe.Command, err error) error {
	switch {
	case err == nil:
		return nil
	case inStep(err):
		return r.fail(cmd.Name, err)
	}
	r.drop(s)
	return &Error{Peer: r.peer.Name, Op: cmd.Name, Err: err, lost: true}
}

func (r *Router) fail(op string, err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Peer: r.peer.Name, Op: op, Err: err, legacy: r.peer.LegacySSH}
}
