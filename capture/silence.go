package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/moncap/moncap/device/iosxe"
)

// How long a router is tried that does not answer any more. A run ends DefaultPatience after the
// last thing that a router said, whatever the router does; but for the wait that was asked for.
// What of the run is on it then stops by itself, and is taken back by a later Clean.
const (
	DefaultPatience = 30 * time.Second
	toSayGoodbye    = 3 * time.Second // that the end of the sessions may take
	// what a router gets at least, after what was not answered, to answer anything at all
	lastAttempt     = 4 * time.Second
	transferSilence = 20 * time.Second // until the first byte of a transfer, and between two, of a host that does not say
	headStart       = 10 * time.Second // what a connection that is prepared ahead may take to be
)

// SilentError says that a router was not asked any more, because it had answered
// nothing for long enough.
type SilentError struct {
	Peer string
	For  time.Duration
	Err  error // what was not answered last
}

func (e *SilentError) Error() string {
	return fmt.Sprintf("%s has not answered for %s: %v", e.Peer, e.For.Round(time.Second), e.Err)
}

// Unwrap returns what was not answered last.
func (e *SilentError) Unwrap() error { return e.Err }

// Lasting says that it is not asked again.
func (e *SilentError) Lasting() bool { return true }

// Hint says how to wait longer.
func (e *SilentError) Hint() string {
	return "to wait longer for a router that is away for a while: --patience 5m"
}

// listener passes questions on to a host, and asks no more once it has been silent for long enough.
// What is asked of the operator, and of a transfer's own server, is no silence of the router.
type listener struct {
	Host
	peer     string
	patience func(error) time.Duration // for a router, after such an error
	said     *lastWord                 // of any router of the run

	mu    sync.Mutex
	since time.Time // when the first question was asked that was not answered; zero: the last one was
	until time.Time // with since: when no more is asked
	err   error     // with since: what was not answered last
	words int       // how often it answered
}

// lastWord is when a router of the run answered last.
type lastWord struct {
	mu sync.Mutex
	at time.Time
}

func (l *lastWord) is(at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at = later(l.at, at)
}

func (l *lastWord) when() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.at
}

// question bounds a question by what is left of the patience; by nothing, as long as everything was
// answered. The error says that nothing is left.
func (l *listener) question(ctx context.Context) (*question, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.since.IsZero() && !time.Now().Before(l.until) {
		return nil, l.silent()
	}
	q := &question{l: l, caller: ctx, least: time.Now()}
	q.asked = q.least
	q.ctx, q.cancel = context.WithCancelCause(ctx)
	q.bound()
	return q, nil
}

// silent is said of a router that is not asked any more.
func (l *listener) silent() error { return &SilentError{l.peer, l.until.Sub(l.since), l.err} }

// question is a question, or several in a row, that a router is to answer.
type question struct {
	l      *listener
	caller context.Context
	ctx    context.Context // ends with the patience, too
	cancel context.CancelCauseFunc
	end    *time.Timer // nil: there is none
	least  time.Time   // when it began, or some of the answer came
	asked  time.Time   // when it began, or the answer to the one before was handed over
}

var errSilence = errors.New("the router has not answered for too long")

// bound has the question end with the patience, when that has an end. The listener is locked.
func (q *question) bound() {
	if q.end != nil {
		q.end.Stop()
		q.end = nil
	}
	if !q.l.since.IsZero() {
		q.end = time.AfterFunc(time.Until(q.l.until), func() { q.cancel(errSilence) })
	}
}

func (q *question) done() {
	q.l.mu.Lock()
	defer q.l.mu.Unlock()
	if q.end != nil {
		q.end.Stop()
	}
	q.cancel(nil)
}

// progress says that something came of the answer.
func (q *question) progress() {
	q.least = time.Now()
	q.asked = q.least
}

// answer keeps what came of a question: any word of the router is one. It returns the error that
// the caller gets.
func (q *question) answer(err error) error {
	l := q.l
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	asked, said := q.asked, now
	if h, ok := l.Host.(interface{ Answered() time.Time }); ok { // several answers may be handed over at once
		said = h.Answered()
		asked = later(q.least, said)
	}
	q.asked = now
	switch {
	case err == nil || refusalOf(err) != nil:
		l.since = time.Time{}
		l.words++
		l.said.is(said)
	case errors.Is(context.Cause(q.ctx), errSilence):
		return l.silent()
	case q.caller.Err() != nil && now.Sub(asked) < time.Second: // it was hardly asked
		return err
	default:
		if l.since.IsZero() {
			l.since, l.until = asked, now.Add(lastAttempt)
		}
		if until := l.since.Add(l.patience(err) - toSayGoodbye); until.After(l.until) {
			l.until = until
		}
		l.err = err
	}
	q.bound()
	return err
}

func later(t, u time.Time) time.Time {
	if u.After(t) {
		return u
	}
	return t
}

// heard is how often the router answered.
func (l *listener) heard() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.words
}

// forget begins anew: what was not answered is forgotten.
func (l *listener) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.since = time.Time{}
}

// excuse is for the wait that was asked for: what a router does not answer in it is no reason to
// give it up, and a router that was silent before it is as silent behind it. The function that it
// returns ends that.
func (l *listener) excuse() (end func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	since, until, err, words, began := l.since, l.until, l.err, l.words, time.Now()
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		took := time.Since(began)
		if l.since, l.until, l.err = since, until.Add(took), err; words != l.words {
			l.since = time.Time{}
		}
		if !l.since.IsZero() {
			l.since = l.since.Add(took)
		}
	}
}

// lastChance lets a silent router be asked for as long as the run goes on in any case, because the
// other one has answered.
func (l *listener) lastChance() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.since.IsZero() {
		return
	}
	if until := l.said.when().Add(l.patience(l.err) - toSayGoodbye); until.After(l.until) {
		l.until = until
	}
}

// moreTime says whether a router that does not answer is to be asked for longer than usual.
func (l *listener) moreTime() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.since.IsZero() && l.patience(l.err) > DefaultPatience && time.Now().Before(l.until)
}

// Open has the host open a session, where it can be told to.
func (l *listener) Open(ctx context.Context) error {
	h, ok := l.Host.(interface {
		Open(ctx context.Context) error
	})
	if !ok {
		return nil
	}
	q, err := l.question(ctx)
	if err != nil {
		return err
	}
	defer q.done()
	if err := h.Open(q.ctx); err != nil {
		return q.answer(err)
	}
	return nil // to log in is no answer
}

// Exec asks the host.
func (l *listener) Exec(ctx context.Context, cmd iosxe.Command) (string, error) {
	q, err := l.question(ctx)
	if err != nil {
		return "", err
	}
	defer q.done()
	out, err := l.Host.Exec(q.ctx, cmd)
	return out, q.answer(err)
}

// ExecAll asks the host.
func (l *listener) ExecAll(ctx context.Context, cmds []iosxe.Command, each func(i int, out string, err error)) {
	q, err := l.question(ctx)
	if err != nil {
		for i := range cmds {
			each(i, "", err)
		}
		return
	}
	defer q.done()
	l.Host.ExecAll(q.ctx, cmds, func(i int, out string, err error) { each(i, out, q.answer(err)) })
}

// Stream asks the host. Every piece of the answer is one.
func (l *listener) Stream(ctx context.Context, cmd iosxe.Command, w io.Writer) error {
	q, err := l.question(ctx)
	if err != nil {
		return err
	}
	defer q.done()
	return q.answer(l.Host.Stream(q.ctx, cmd, sink(func(p []byte) (int, error) {
		q.progress()
		return w.Write(p)
	})))
}

type sink func([]byte) (int, error)

func (f sink) Write(p []byte) (int, error) { return f(p) }

// Fetch asks the host. It is given up when nothing comes for as long as one answer may take: to log
// in and to ask for the file in all of its forms could take that time each.
func (l *listener) Fetch(ctx context.Context, file string, w io.Writer,
	progress func(done, total int64)) (int64, error) {
	q, err := l.question(ctx)
	if err != nil {
		return 0, err
	}
	defer q.done()
	limit := l.transferSilence()
	fetching, cancel := context.WithCancelCause(q.ctx)
	defer cancel(nil)
	idle := time.AfterFunc(limit, func() { cancel(fmt.Errorf("nothing came of the file for %s", limit)) })
	defer idle.Stop()
	n, err := l.Host.Fetch(fetching, file, w, func(done, total int64) {
		q.progress()
		idle.Reset(limit)
		progress(done, total)
	})
	return n, q.answer(err)
}

// ProbeFile asks the host.
func (l *listener) ProbeFile(ctx context.Context, file string, beside bool) error {
	q, err := l.question(ctx)
	if err != nil {
		return err
	}
	defer q.done()
	return q.answer(l.Host.ProbeFile(q.ctx, file, beside))
}

// Prepare has the host log in, if that is done soon.
func (l *listener) Prepare(ctx context.Context) error {
	q, err := l.question(ctx)
	if err != nil {
		return err
	}
	defer q.done()
	logging, cancel := context.WithTimeout(q.ctx, headStart)
	defer cancel()
	return l.Host.Prepare(logging)
}

func (l *listener) transferSilence() time.Duration {
	if h, ok := l.Host.(interface{ Patience() time.Duration }); ok {
		return h.Patience()
	}
	return transferSilence
}
