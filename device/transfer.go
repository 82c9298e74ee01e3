package device

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"

	"github.com/moncap/moncap/device/iosxe"
)

// scpPaths are the forms in which releases of IOS XE take a file in bootflash:, the most common
// first. They go out as they are: quotes would become part of the name.
var scpPaths = []func(iosxe.File) string{
	func(f iosxe.File) string { return "bootflash:/" + f.Base() },
	func(f iosxe.File) string { return "bootflash:" + f.Base() },
	iosxe.File.Base,
	func(f iosxe.File) string { return "flash:" + f.Base() },
	func(f iosxe.File) string { return "/bootflash/" + f.Base() },
}

// Fetch copies the router's file to w by SCP, on a connection of its own, and returns its size; or
// the file that the router pushed to a server, when file is the URL of iosxe.Upload. Nothing of
// what the other end calls the file is used. progress may be nil. An error of w ends the transfer.
func (r *Router) Fetch(ctx context.Context, file string, w io.Writer, progress func(done, total int64)) (int64, error) {
	if progress == nil {
		progress = func(int64, int64) {}
	}
	if u, f, err := iosxe.ParseUploaded(file); err == nil {
		return r.fetchUploaded(ctx, u, f, w, progress)
	}
	f, err := iosxe.ParseFile(file)
	if err != nil {
		return 0, r.fail("fetch", err)
	}
	var n int64
	err = r.ladder(ctx, f, r.onLine, func(ctx context.Context, conn *connection, path string) error {
		var err error
		n, err = r.fetchOn(ctx, conn, path, w, progress)
		return err
	})
	if err != nil {
		return n, r.fail("fetch", fmt.Errorf("%s: %w", f, err))
	}
	return n, nil
}

func (r *Router) fetchUploaded(ctx context.Context, u iosxe.Upload, f iosxe.File, w io.Writer,
	progress func(done, total int64)) (int64, error) {
	conn, err := r.connectServer(ctx, u)
	if err != nil {
		return 0, r.fail(opServer, fmt.Errorf("%s: %w", u.Address(), err))
	}
	n, err := r.fetchOn(ctx, conn, u.Path(f), w, progress)
	if err != nil {
		return n, r.fail(opServer, fmt.Errorf("%s: %w", u.URL(f), err))
	}
	return n, nil
}

var errFileThere = errors.New("a file of this name is there already")

// ProbeFile asks the router's SCP server, over a connection as Fetch makes it, for a file that does
// not exist yet. nil means that the server said so: it is on, the account may use it, a second line
// is free, and the form of the path is understood, which Fetch then tries first. The error is a
// *Error: in its chain is an *iosxe.Refusal with the router's own words (Unprivileged, Disabled,
// Unauthorized, Busy, AlreadyThere, Unclassified), unless the connection failed (NoLine,
// HostKeyChanged). With beside it may run beside the session: it begins when that is logged in, and
// does not give it up to have a line: NoLine then says that without, it may get further.
func (r *Router) ProbeFile(ctx context.Context, file string, beside bool) error {
	f, err := iosxe.ParseFile(file)
	if err != nil {
		return r.fail("probe", err)
	}
	onLine := r.onLine
	if beside {
		onLine = r.onFreeLine
		select {
		case <-r.accepted:
		case <-ctx.Done():
			return r.fail("probe", context.Cause(ctx))
		}
	}
	err = r.ladder(ctx, f, onLine, func(ctx context.Context, conn *connection, path string) error {
		err := r.converse(ctx, conn, path, func(s *source, _ func(time.Duration)) error {
			if _, err := s.header(); err != nil {
				return err
			}
			return &iosxe.Refusal{Command: "scp -f " + path, Text: errFileThere.Error(), Kind: iosxe.AlreadyThere}
		})
		if no, ok := errors.AsType[*scpRefusal](err); ok && no.Kind == iosxe.Missing {
			return nil
		}
		return err
	})
	if err != nil {
		return r.fail("probe", fmt.Errorf("%s: %w", f, err))
	}
	return nil
}

// ladder has try ask for f in one form of its path after the other, until one is answered or a
// refusal is not about the path. The form that was answered comes first the next time, and what it
// is refused with then is not about the path, unless the file is said to be missing. Of several
// refusals the first that says something is told.
func (r *Router) ladder(ctx context.Context, f iosxe.File, onLine func(context.Context, func(*connection) error) error,
	try func(context.Context, *connection, string) error,
) error {
	r.mu.Lock()
	first, answered := r.scpForm, r.scpAnswered
	r.mu.Unlock()
	var told error
	for i := range scpPaths {
		form := (first + i) % len(scpPaths)
		err := onLine(ctx, func(conn *connection) error { return try(ctx, conn, scpPaths[form](f)) })
		if err == nil {
			r.mu.Lock()
			r.scpForm, r.scpAnswered = form, true
			r.mu.Unlock()
			return nil
		}
		if !aboutPath(err) || answered && i == 0 && !saysMissing(err) {
			return err
		}
		if told == nil || saysMore(err, told) {
			told = err
		}
	}
	return told
}

// aboutPath says whether another form of the path may help. Only a refusal that has another reason
// says that it does not.
func aboutPath(err error) bool {
	if errors.Is(err, errNoRoom) {
		return false
	}
	no, ok := errors.AsType[*scpRefusal](err)
	if !ok {
		return errors.Is(err, errNothing)
	}
	switch no.Kind {
	case iosxe.Unprivileged, iosxe.Disabled, iosxe.Unauthorized, iosxe.Busy:
		return false
	}
	return true
}

// saysMore says whether err tells more than another: that the file is missing, or anything at all.
func saysMore(err, than error) bool {
	_, told := errors.AsType[*scpRefusal](err)
	_, before := errors.AsType[*scpRefusal](than)
	return told && !before || saysMissing(err) && !saysMissing(than)
}

func saysMissing(err error) bool {
	no, ok := errors.AsType[*scpRefusal](err)
	return ok && no.Kind == iosxe.Missing
}

// lineWaits are the pauses that a router gets to free a terminal line.
var lineWaits = []time.Duration{100 * time.Millisecond, 400 * time.Millisecond, time.Second}

// onLine has use work on a connection: on the one that Prepare opened, if it is still of use, or on
// a new one. When the router has no line or session left for it, the command line's session gives
// up its own, and is opened again by the next command.
func (r *Router) onLine(ctx context.Context, use func(*connection) error) error {
	if conn := r.takeStandby(); conn != nil {
		conn.silence = time.AfterFunc(standbyAnswers, func() { _ = conn.close() })
		if err := use(conn); !errors.Is(err, errNothing) || ctx.Err() != nil {
			return err // otherwise it was closed meanwhile
		}
	}
	once := func() error { return r.onNewLine(ctx, nil, use) }
	waits := lineWaits
	var nothing bool
	if r.isAlone() {
		r.giveLine()
	} else {
		err := once()
		if err == nil || !noLine(err) || !r.giveLine() {
			return err
		}
		r.refusedSecond(err)
		nothing = errors.Is(err, errNothing)
	}
	if nothing || r.hasOneSession() {
		waits = lineWaits[len(lineWaits)-1:] // a login is not repeated that may count as a refused one
	}
	var err error
	for _, wait := range waits {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err = once(); err == nil || !hungUp(err) || errors.Is(err, errNothing) {
			break
		}
	}
	r.mu.Lock()
	r.alone = r.alone || err == nil
	r.mu.Unlock()
	return err
}

func (r *Router) onNewLine(ctx context.Context, hold func() error, use func(*connection) error) error {
	conn, err := r.connect(ctx, hold)
	if err != nil {
		return err
	}
	return use(conn)
}

var errNoRoom = errors.New("there is no room for a connection beside the session")

// onFreeLine has use work on a new connection, if the router has a line for it beside the
// session's. The password goes out when the session has its prompt: AAA may let an account in and
// then deny it the command line, which need not happen twice.
func (r *Router) onFreeLine(ctx context.Context, use func(*connection) error) error {
	if r.isAlone() {
		return errNoRoom
	}
	err := r.onNewLine(ctx, func() error { return r.awaitPrompt(ctx) }, use)
	r.refusedSecond(err)
	if err != nil && noLine(err) {
		return fmt.Errorf("%w: %w", errNoRoom, err)
	}
	return err
}

// awaitPrompt waits until the session has its prompt, no longer than a login may take.
func (r *Router) awaitPrompt(ctx context.Context) error {
	select {
	case <-r.prompted:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(r.o.Timeouts.Dial): // the connection is closed by then
		return r.noLogin()
	}
}

// refusedSecond keeps that the router accepts one session of this user at a time, when err
// says so. A login that is refused for it may count as one with a wrong password, so that it
// is not tried again.
func (r *Router) refusedSecond(err error) {
	if !errors.Is(err, errSecond) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.alone, r.oneSession = true, true
}

func (r *Router) hasOneSession() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.oneSession
}

// isAlone says whether the router was seen to have room for one connection only.
func (r *Router) isAlone() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.alone
}

// noLine says whether err is how routers show that no line, or no session of this user, is free:
// the connection is refused or closed at once, or the login is although it was accepted before, or
// they say it.
func noLine(err error) bool {
	no, ok := errors.AsType[*scpRefusal](err)
	return ok && no.Kind == iosxe.Busy || !ok && (hungUp(err) || errors.Is(err, syscall.ECONNREFUSED) ||
		errors.Is(err, errSecond))
}

// giveLine ends the session for the sake of its terminal line, and says whether there was one.
func (r *Router) giveLine() bool {
	r.mu.Lock()
	open := r.session != nil
	r.mu.Unlock()
	if open {
		r.rec.note("the terminal line is given up for the transfer")
		_ = r.Close() // the connection may be gone already
	}
	return open
}

// fetchOn does one transfer on conn, and closes it.
func (r *Router) fetchOn(ctx context.Context, conn *connection, path string, w io.Writer,
	progress func(done, total int64)) (n int64, err error) {
	// What trickles stands still, too.
	least, moved := leastRate*int64(r.o.Timeouts.Idle)/int64(time.Second), int64(0)
	err = r.converse(ctx, conn, path, func(s *source, alive func(time.Duration)) error {
		s.progress = func(done, total int64) {
			if done >= moved+least || done == 0 {
				moved = done
				alive(r.o.Timeouts.Idle)
			}
			progress(done, total)
		}
		n, err = s.receive(w)
		return err
	})
	return n, err
}

const (
	leastRate = 1 << 10         // bytes a second; what is slower stands still
	lastWords = 2 * time.Second // how long a server that refuses may go on talking
)

// converse has a dialogue about one file on conn, and closes it; at once when ctx ends, or when
// there was no sign of life for the idle limit, or for what the dialogue says.
func (r *Router) converse(ctx context.Context, conn *connection, path string,
	talk func(s *source, alive func(time.Duration)) error) error {
	defer conn.close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(ctx, func() { _ = conn.close() })
	defer stop()
	idle := time.AfterFunc(r.o.Timeouts.Idle, func() { cancel(fmt.Errorf("%w (%s)", errStalled, r.o.Timeouts.Idle)) })
	defer idle.Stop()

	r.rec.note("scp -f " + path)
	r.o.Log.DebugContext(ctx, "sends", "line", "scp -f "+path, "command", "scp")
	s, err := openSource(conn, path)
	if conn.silence != nil {
		conn.silence.Stop()
	}
	if err == nil {
		s.last = func() { idle.Reset(lastWords) }
		err = talk(s, func(d time.Duration) { idle.Reset(d) })
	}
	if _, told := errors.AsType[*scpRefusal](err); err != nil && ctx.Err() != nil && !told {
		err = context.Cause(ctx)
	}
	if err != nil {
		r.rec.note("scp: " + iosxe.Printable(err.Error()))
	}
	return err
}

// Bounds of a connection that waits for its transfer: routers close one that asks for nothing after
// two minutes, and its terminal line is wanted by others; and what is between may forget it.
const (
	standbyFor     = 110 * time.Second
	standbyAnswers = 10 * time.Second
)

// Prepare opens and logs in the connection of the next Fetch or ProbeFile ahead of it. It may run
// beside Exec. When the transfer does not come within two minutes, the connection is closed, and
// the transfer opens one itself; Close closes it, too. On a router that has room for one connection
// only it is an error (NoLine): the session is not given up for it.
func (r *Router) Prepare(ctx context.Context) error {
	if r.isAlone() {
		return r.fail("prepare", errSecond)
	}
	r.mu.Lock()
	there := r.standby != nil
	r.mu.Unlock()
	if there {
		return nil
	}
	conn, err := r.connect(ctx, nil)
	if err != nil {
		r.refusedSecond(err)
		return r.fail("prepare", err)
	}
	if err := conn.openAhead(ctx); err != nil {
		return r.fail("prepare", err)
	}
	s := &standby{conn: conn}
	s.timer = time.AfterFunc(standbyFor, func() {
		if r.takeThis(s) {
			r.rec.note("the connection that waited for a transfer is closed")
			_ = conn.close()
		}
	})
	r.mu.Lock()
	old := r.standby
	r.standby = s
	r.mu.Unlock()
	old.close()
	return nil
}

// openAhead opens the channel within what is left of the time for the login; a connection that does
// not open it is closed.
func (c *connection) openAhead(ctx context.Context) error {
	ctx, cancel := context.WithDeadline(ctx, c.until)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = c.close() })
	defer stop()
	err := c.openChannel()
	if err != nil {
		_ = c.close()
	}
	return err
}

// standby is a connection that waits for a transfer.
type standby struct {
	conn  *connection
	timer *time.Timer
}

func (s *standby) close() {
	if s != nil {
		s.timer.Stop()
		_ = s.conn.close() // nothing was sent on it
	}
}

// takeStandby returns the connection that waits for a transfer; nil when there is none.
func (r *Router) takeStandby() *connection {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.standby
	if r.standby = nil; s == nil {
		return nil
	}
	s.timer.Stop()
	return s.conn
}

// takeThis says whether s was still waiting; then it is the caller's.
func (r *Router) takeThis(s *standby) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.standby != s {
		return false
	}
	r.standby = nil
	return true
}
