package capture

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/device/iosxe"
)

// router is one side while a run works with it. One goroutine at a time uses it.
type router struct {
	side Side
	plan *SidePlan
	host Host
	talk *listener // the host, as long as it answers
	u    *runner
	info *bundle.Router

	changes    []*change       // what was begun on the router, in order
	known      map[string]bool // the IKE SAs with the peer that were there before the start
	said       string          // what the router answered to the command that made the last change
	answered   time.Time       // when it had
	dump       string          // why SCP is not used; empty: it is
	counted    bool            // the packets in the buffer were counted after the stop
	lost       bool            // the capture point was found to be gone, and its buffer with it
	short      bool            // the exported file lacks packets that are in the buffer
	exported   bool
	done       bool             // the capture is here: nothing on the router is its only copy
	had        bool             // it was here before: there is nothing to collect
	vanished   bool             // the exported file is known not to be there
	size       int64            // of the exported file; 0: not known
	offsets    []time.Duration  // the router's clock's from UTC, as dir shows them
	before     *reply           // to `dir` of the file before it was exported; nil: not asked
	behind     []reply          // to what was asked behind the command that made the last change; nil: it was not
	answers    map[string]reply // to commands that were sent ahead, by their lines, while they are judged
	second     phaseTwo         // of the IKEv1 SA with the peer that is new
	freeLines  int              // terminal lines that nobody used when check counted them
	preparing  chan struct{}    // closed when the transfer's connection is logged in; nil: nobody is at it
	first      window           // when the first packet came, by this machine's clock
	blind      int              // looks in a row, in the wait, that the router did not answer
	nextLook   time.Time
	shown      int             // packets that Live was given
	unshown    int             // attempts in a row to read them that failed
	showsNone  bool            // Live gets no more
	err        error           // why the side is given up
	vouched    int             // the session of which it is known that the run's router answers in it; 0: none
	broken     int             // answers that failed to come, of a host that does not number its sessions
	asked      map[string]bool // the shows of drops that were asked before the capture: whether the router has them
	uncounted  error           // why the other shows of drops were not
	sparing    string          // why what holds the only copy of the packets is not removed; empty: it is
	unlisted   bool            // what is sent is not listed in run.json: it was before, and is sent again and again
	debugShows bool            // the router lists the debug that this process turned on
	ownRows    []string        // how the router lists the platform conditions that this process has set
	keptShows  map[string]int  // bytes of the shows that are kept, by the names of their commands

}

// window is a span of time in which something happened.
type window struct{ from, to time.Time }

// How often a command is repeated after the session broke: in a phase, and while cleaning up, when
// more depends on it.
const (
	phaseAttempts = 4
	cleanAttempts = 6
)

// exec sends one command to the router that the run works on, and to no other.
func (r *router) exec(ctx context.Context, cmd iosxe.Command) (string, error) {
	if a, typed := r.answers[cmd.Lines[0]]; typed {
		delete(r.answers, cmd.Lines[0])
		return a.out, a.err
	}
	if err := r.recognise(ctx); err != nil {
		return "", err
	}
	return r.send(ctx, cmd)
}

// send sends one command to whoever answers, and keeps account of it. A router without a free
// terminal line was sent nothing: it is waited for.
func (r *router) send(ctx context.Context, cmd iosxe.Command) (out string, err error) {
	err = r.onceThereIsALine(ctx, func() error {
		out, err = r.sendNow(ctx, cmd)
		return err
	})
	return out, err
}

// onceThereIsALine tries until the router has a terminal line, or was waited for long enough.
func (r *router) onceThereIsALine(ctx context.Context, try func() error) error {
	for began := time.Now(); ; {
		err := try()
		if !noFreeLine(err) || time.Since(began) > r.patience() {
			return err
		}
		r.note("", "no terminal line is free: waiting for one for %s at most", r.patience())
		if sleep(ctx, 4*r.u.o.Retry) != nil {
			return err
		}
	}
}

// noFreeLine says whether no session could be opened for want of a terminal line.
func noFreeLine(err error) bool {
	var full interface {
		NoLine() bool
		SessionLost() bool
	}
	return errors.As(err, &full) && full.NoLine() && !full.SessionLost() && !lasting(err)
}

// patience is how long a terminal line is waited for: longer where something of the
// run is on the router.
func (r *router) patience() time.Duration {
	wait := r.u.o.lineWait(r.plan.Endpoint.Name)
	if len(r.remaining("")) > 0 {
		wait = max(wait, lineWaitToClean)
	}
	return wait
}

// patient is how long a router that does not answer is tried, after such an error.
func (r *router) patient(err error) time.Duration {
	if noFreeLine(err) {
		return max(r.u.o.Patience, r.u.o.lineWait(r.plan.Endpoint.Name)+toSayGoodbye)
	}
	return r.u.o.Patience
}

// tired says whether a command was repeated often enough: so many times, or for as long as was
// asked for.
func (r *router) tired(n, attempts int) bool { return n >= attempts && !r.talk.moreTime() }

func (r *router) sendNow(ctx context.Context, cmd iosxe.Command) (string, error) {
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if r.host == nil {
		return "", fmt.Errorf("no session with %s", r.plan.Endpoint.Name)
	}
	r.list(cmd)
	out, err := r.talk.Exec(ctx, cmd)
	r.account(ctx, cmd, err)
	return out, err
}

func (r *router) account(ctx context.Context, cmd iosxe.Command, err error) {
	if err == nil {
		return
	}
	refusal := refusalOf(err)
	what, why := "command failed", slog.Any("error", err)
	if refusal != nil && nothingThere(refusal) { // what was to be taken back is not there: no fault
		what, why = "answered: nothing of that name is there", slog.String("answer", refusal.Text)
	}
	r.u.o.Log.LogAttrs(ctx, slog.LevelDebug, what, slog.String("peer", r.plan.Endpoint.Name),
		slog.String("command", cmd.Name), why)
	if refusal == nil {
		r.broken++
	}
}

// list keeps what is sent, for run.json.
func (r *router) list(commands ...iosxe.Command) {
	r.u.mu.Lock() // an armed run is saved while its routers are looked at
	defer r.u.mu.Unlock()
	for _, cmd := range commands {
		if !r.unlisted {
			r.info.Commands = append(r.info.Commands, typed(cmd)...)
		}
	}
}

// typed lists the lines that a command puts on the router's terminal.
func typed(cmd iosxe.Command) []string {
	if cmd.Mode != iosxe.Config {
		return cmd.Lines
	}
	return slices.Concat([]string{"configure terminal"}, cmd.Lines, []string{"end"})
}

// repeat sends a command that may be sent twice, until the router answers it.
func (r *router) repeat(ctx context.Context, cmd iosxe.Command) (string, error) {
	return r.repeatAtMost(ctx, cmd, phaseAttempts)
}

func (r *router) repeatAtMost(ctx context.Context, cmd iosxe.Command, attempts int) (string, error) {
	for n := 1; ; n++ {
		out, err := r.exec(ctx, cmd)
		if err == nil || !r.worthRepeating(ctx, err) || attempts == 1 || r.tired(n, attempts) {
			return out, err
		}
		if err := r.pause(ctx, n); err != nil {
			return "", err
		}
	}
}

// worthRepeating says whether err may be different next time: not a refusal, not our own giving up,
// and nothing that the session calls lasting, as a password that was not accepted is.
func (r *router) worthRepeating(ctx context.Context, err error) bool {
	return ctx.Err() == nil && r.host != nil && refusalOf(err) == nil && !lasting(err)
}

// askAll sends commands that only read, as fast as the router takes them, and hands over
// each answer. What comes after one that was lost is asked by itself: another session may
// be another router's.
func (r *router) askAll(ctx context.Context, commands []iosxe.Command, each func(i int, out string, err error)) {
	next := 0
	if r.host != nil && ctx.Err() == nil && r.recognise(ctx) == nil {
		next = r.sendAhead(ctx, commands, isLost, each)
	}
	for ; next < len(commands); next++ {
		out, err := r.exec(ctx, commands[next])
		each(next, out, err)
	}
}

func isLost(err error) bool { return refusalOf(err) == nil }

// sendAhead sends commands as fast as the router takes them, until the error of one is enough. It
// returns how many were answered.
func (r *router) sendAhead(ctx context.Context, commands []iosxe.Command, enough func(error) bool,
	each func(i int, out string, err error)) (answered int) {
	r.list(commands...)
	sending, end := context.WithCancel(ctx)
	defer end()
	r.talk.ExecAll(sending, commands, func(i int, out string, err error) {
		if sending.Err() != nil && ctx.Err() == nil {
			return
		}
		answered = i + 1
		r.account(ctx, commands[i], err)
		if err != nil && enough(err) {
			end()
		}
		each(i, out, err)
	})
	return answered
}

// errUnanswered is the error of a command that was not answered, because of another before it: it
// may have been carried out, or never sent.
var errUnanswered = errors.New("nothing is known of it, because of what was sent before it")

// sendAll sends commands, of which some change the router, as fast as it takes them, until the
// error of one is enough. Nothing is sent twice. An error says that nothing was sent at all.
func (r *router) sendAll(ctx context.Context, commands []iosxe.Command, enough func(error) bool) ([]reply, error) {
	if r.host == nil || ctx.Err() != nil || len(commands) == 1 {
		out, err := r.exec(ctx, commands[0])
		return slices.Insert(unanswered(len(commands)-1), 0, reply{out: out, err: err}), nil
	}
	if err := r.recognise(ctx); err != nil {
		return nil, err
	}
	replies := unanswered(len(commands))
	r.sendAhead(ctx, commands, enough, func(i int, out string, err error) { replies[i] = reply{out: out, err: err} })
	return replies, nil
}

func unanswered(n int) []reply { return slices.Repeat([]reply{{err: errUnanswered}}, n) }

// pause waits before the n-th repetition.
func (r *router) pause(ctx context.Context, n int) error {
	return sleep(ctx, r.u.o.Retry<<min(n-1, 5))
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// note keeps something that the operator should know.
func (r *router) note(phase Phase, format string, args ...any) {
	r.u.note(r.side, phase, r.plan.Endpoint.Name+": "+fmt.Sprintf(format, args...))
}

// withoutName is an error without the peer's name, which a session puts before its own.
func (r *router) withoutName(err error) string {
	return strings.TrimPrefix(err.Error(), r.plan.Endpoint.Name+": ")
}

// keyChanged keeps that somebody else may have answered the transfer.
func (r *router) keyChanged(err error) {
	var key interface{ HostKeyChanged() bool }
	if errors.As(err, &key) && key.HostKeyChanged() {
		r.info.TransferHostKeyChanged = r.withoutName(err)
	}
}

// prepare logs the transfer's connection in beside what goes on. ctx is the run's: it outlives a
// phase. What goes wrong is found out by the transfer itself.
func (r *router) prepare(ctx context.Context) {
	if r.host == nil || r.plan.File.IsZero() || r.dump != "" || r.preparing != nil {
		return
	}
	done := make(chan struct{})
	r.preparing = done
	go func() {
		defer close(done)
		_ = r.talk.Prepare(ctx)
	}()
}

// settle waits until nothing is being prepared.
func (r *router) settle() {
	if r.preparing != nil {
		<-r.preparing
		r.preparing = nil
	}
}

// learnOffset takes the distance of the router's clock from UTC from what dir shows.
func (r *router) learnOffset(dir string) {
	if d, err := iosxe.ParseDir(dir); err == nil && len(d.Offsets()) > 0 {
		r.offsets = d.Offsets()
	}
}

func (r *router) keepClock(c iosxe.Clock, before, after time.Time) {
	half := after.Sub(before) / 2
	middle := before.Add(half)
	ms := milliseconds(c.Instant(middle, r.offsets...).Sub(middle))
	r.info.ClockMS, r.info.ClockError = &ms, milliseconds(half)
	switch {
	case c.NotSet:
		r.info.ClockNote = "the router does not vouch for its time"
	case c.Unsynced:
		r.info.ClockNote = "NTP has lost its servers"
	default:
		r.info.ClockNote = ""
	}
}

// routerTime turns a time of this machine into one of the router's clock.
func (r *router) routerTime(t time.Time) time.Time {
	if r.info.ClockMS == nil {
		return t
	}
	return t.Add(time.Duration(*r.info.ClockMS * float64(time.Millisecond)))
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// barrier lets the sides go on only when all of them have arrived.
type barrier struct {
	mu      sync.Mutex
	missing int
	open    chan struct{}
	broken  bool
}

func newBarrier(n int) *barrier { return &barrier{missing: n, open: make(chan struct{})} }

var errOtherSide = errors.New("not started, because the other side could not be")

// arrive waits for the others. It fails when one of them gave up.
func (b *barrier) arrive(ctx context.Context) error {
	b.leave(false)
	select {
	case <-b.open:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.broken {
		return errOtherSide
	}
	return nil
}

// leave takes a side out; given up, the others are not to go on.
func (b *barrier) leave(givenUp bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.broken = b.broken || givenUp
	if b.missing--; b.missing == 0 {
		close(b.open)
	}
}
