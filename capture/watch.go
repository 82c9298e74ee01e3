package capture

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/moncap/moncap/capture/bundle"
)

// Watch keeps a tunnel armed for longer than a router should be trusted to capture by itself, and
// arms it again after an event: one armed run after the other. Each takes over beside the one
// before, which goes when the new one has captured for a while, so that no moment is without a
// capture and none without what came before it.
type Watch struct {
	For     time.Duration // how long in all
	Rotate  time.Duration // how long one run at most; the whole time when zero or more
	Overlap time.Duration // how long two runs capture beside each other; see OverlapOf when zero
	Again   int           // how often it is armed again after an event
	// Run does one armed run, of which left is how long it is to wait. It returns when the routers are
	// done with.
	Run func(ctx context.Context, left time.Duration, o WatchedOptions) (*Result, error)
	// Caught is told of each run that brought packets home, or was to; it may take its time.
	Caught func(*Result, error)
	Say    func(text string)   // what the operator should know
	Events <-chan bundle.Catch // what others say of the tunnel; nil: nobody does
	Stop   <-chan struct{}     // closed: the captures end, and are fetched
	Poll   time.Duration       // see Arm

	mu      sync.Mutex
	current *armedRun    // which events belong to
	last    bundle.Catch // the event that was taken last
}

// WatchedOptions are the part of a run's options that its watch decides.
type WatchedOptions struct {
	Arm   *Arm
	Stop  <-chan struct{}
	Named func(capturePoint string) // is to be told what the run calls its capture point
}

// When something does not go as it should, it is tried again.
const (
	overlapMost   = 5 * time.Minute
	tryAgain      = time.Minute
	tryBusyAgain  = 10 * time.Minute
	beforeRotated = time.Second
	sameEvent     = 2 * time.Second
)

// OverlapOf is how long two runs capture beside each other when each lasts so long: what came
// before an event is there then, also of one that comes right after the change.
func OverlapOf(rotate time.Duration) time.Duration {
	return max(min(rotate/4, overlapMost), beforeRotated)
}

// armedRun is one run of a watch.
type armedRun struct {
	relieve, stop chan struct{}
	events        chan bundle.Catch
	ready         chan struct{}
	renew         chan string
	done          chan struct{}
	capture       string // under the watch's mu
	caught        bool   // it has an event, and ends with it; under the watch's mu
	readyAt       time.Time
	stopped       bool

	result *Result // when it is done
	err    error
}

func (r *armedRun) isReady() bool {
	select {
	case <-r.ready:
		return true
	default:
		return false
	}
}

// watching is a watch at work.
type watching struct {
	*Watch
	ctx     context.Context
	until   time.Time
	current *armedRun // nil: none
	next    *armedRun // that is to take over; nil: none
	leaving []*armedRun
	heard   chan bundle.Catch // events that a run found which is not the current one
	rotate  *time.Timer       // when the next one is begun
	change  *time.Timer       // when it takes over
	catches int
}

// Do watches until the time is over, an event came as often as was asked for, or ctx ends.
// The error is that of the first run when it could not be begun, or of a run that left
// something on a router.
func (w *Watch) Do(ctx context.Context) error {
	if w.Rotate <= 0 || w.Rotate > w.For {
		w.Rotate = w.For
	}
	if w.Overlap <= 0 {
		w.Overlap = OverlapOf(w.Rotate)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	k := &watching{Watch: w, ctx: ctx, until: time.Now().Add(w.For), rotate: never(), change: never(),
		heard: make(chan bundle.Catch, 8)}
	defer k.rotate.Stop()
	defer k.change.Stop()
	k.begin()
	first := k.current
	err := k.loop(first)
	k.dismiss()
	return errors.Join(err, k.waitForAll())
}

func never() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

// loop goes on until nothing more is to be done.
func (k *watching) loop(first *armedRun) error {
	stop, events := k.Stop, k.Events
	over := time.NewTimer(k.For)
	defer over.Stop()
	for {
		select {
		case <-k.ctx.Done():
			return context.Cause(k.ctx)
		case <-over.C:
			if k.current == nil { // else it ends by itself, or has an event to end with
				return nil
			}
		case <-stop:
			stop = nil
			if k.current == nil {
				return nil
			}
			k.enough()
		case c, open := <-events:
			if !open {
				events = nil
				continue
			}
			k.pass(c)
		case c := <-k.heard:
			k.pass(c)
		case <-readyOf(k.current):
			k.settled()
		case <-readyOf(k.next):
			k.armedBeside()
		case <-k.rotate.C:
			k.begin()
		case <-k.change.C:
			k.takeOver()
		case <-renewOf(k.current):
			if k.next == nil {
				k.begin()
			}
		case <-doneOf(k.next):
			if err := k.nextFailed(); err != nil {
				return err
			}
		case <-doneOf(k.current):
			if over, err := k.currentEnded(k.current == first); over || err != nil {
				return err
			}
		}
	}
}

// begin begins a run: the current one, or the one that is to take over from it.
func (k *watching) begin() {
	left := time.Until(k.until)
	if left < time.Second {
		return
	}
	r := &armedRun{
		relieve: make(chan struct{}), stop: make(chan struct{}), events: make(chan bundle.Catch, 8),
		ready: make(chan struct{}), renew: make(chan string, 2),
		done: make(chan struct{}),
	}
	arm := &Arm{
		Ready: sync.OnceFunc(func() { close(r.ready) }), Events: r.events, Relieve: r.relieve, Poll: k.Poll,
		Renew: func(why string) {
			select {
			case r.renew <- why:
			default:
			}
		},
		Takes: func(c bundle.Catch) bool { return k.takes(r, c) },
	}
	for _, other := range append(slices.Clone(k.leaving), k.current) {
		if other != nil {
			arm.Beside = append(arm.Beside, other.name(k.Watch))
		}
	}
	if k.current == nil {
		k.setCurrent(r)
	} else {
		k.next = r
	}
	go func() {
		defer close(r.done)
		r.result, r.err = k.Run(k.ctx, min(left, 2*k.Rotate),
			WatchedOptions{Arm: arm, Stop: r.stop, Named: func(name string) {
				k.mu.Lock()
				defer k.mu.Unlock()
				r.capture = name
			}})
	}()
}

func (r *armedRun) name(w *Watch) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return r.capture
}

// takes says whether an event is the run's that found it. One that is not the current one passes it
// on: the one that is may be relieved before it looks again. Two runs, or two routers, may find the
// same event one look apart.
func (k *watching) takes(r *armedRun, c bundle.Catch) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.last.Kind == c.Kind && c.At.Sub(k.last.At) < or(k.Poll, armedPoll)+sameEvent {
		return false
	}
	if k.Watch.current != r {
		select {
		case k.heard <- c:
		default:
		}
		return false
	}
	k.last, r.caught = c, true
	return true
}

func or(d, byDefault time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return byDefault
}

func (k *watching) setCurrent(r *armedRun) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.current, k.Watch.current = r, r
}

// pass hands an event from outside to the run that captures.
func (k *watching) pass(c bundle.Catch) {
	if k.current == nil {
		k.Say("not armed, and not caught: " + c.Text)
		return
	}
	select {
	case k.current.events <- c:
	default: // it has enough to do with one
	}
}

// settled is when the current run captures.
func (k *watching) settled() {
	k.current.readyAt = time.Now()
	left := time.Until(k.until)
	k.Say(fmt.Sprintf("armed: both routers capture; for another %s", left.Round(time.Second)))
	if k.Rotate+time.Minute < left {
		k.rotate.Reset(k.Rotate)
	}
}

// armedBeside is when the next run captures: when it has for long enough, it takes over.
func (k *watching) armedBeside() {
	k.next.readyAt = time.Now()
	k.change.Reset(k.Overlap)
	k.Say(fmt.Sprintf("a new capture runs beside the one before, and takes over in %s", k.Overlap))
}

// takeOver makes the next run the current one. That of before is taken back, unless it has an
// event: then it ends by itself soon, what it brings home is told, and the next one follows it.
func (k *watching) takeOver() {
	if k.next == nil || k.current == nil {
		return
	}
	old := k.current
	k.mu.Lock()
	if old.caught { // no event is taken by it once another one is the current one
		k.mu.Unlock()
		return
	}
	k.current, k.Watch.current = k.next, k.next
	k.mu.Unlock()
	k.next = nil
	close(old.relieve)
	k.leaving = append(k.leaving, old)
	if left := time.Until(k.until); k.Rotate+time.Minute < left {
		k.rotate.Reset(k.Rotate - k.Overlap)
	}
}

// nextFailed is when the run that was to take over did not come about, or ended. The one before
// goes on meanwhile.
func (k *watching) nextFailed() error {
	r := k.next
	k.next = nil
	k.change.Stop()
	if r.broughtHome() { // somebody asked this one for the packets: the one before has more of them, and ends as well
		k.Caught(r.result, r.err)
		k.enough()
		return nil
	}
	if _, dirty := errors.AsType[*DirtyError](r.err); dirty {
		return r.err
	}
	k.Say(fmt.Sprintf("no other capture beside the one that runs, which goes on; tried again in %s: %s",
		tryBusyAgain, r.why()))
	k.rotate.Reset(tryBusyAgain)
	return nil
}

// enough has the current run end, and be fetched, and none follow it.
func (k *watching) enough() {
	k.Again = k.catches
	if k.current != nil && !k.current.stopped {
		k.current.stopped = true
		close(k.current.stop)
	}
}

// broughtHome says whether the run, which is done, ended with packets that were fetched, or should
// have been.
func (r *armedRun) broughtHome() bool { return r.result != nil && r.result.Ended.Collects() }

func (r *armedRun) why() string {
	if r.err != nil {
		return r.err.Error()
	}
	return string(r.result.Ended)
}

// currentEnded decides what follows the run that just ended. over says that nothing does.
func (k *watching) currentEnded(first bool) (over bool, err error) {
	r := k.current
	k.setCurrent(nil)
	_, dirty := errors.AsType[*DirtyError](r.err)
	ended := Ending("")
	if r.result != nil {
		ended = r.result.Ended
	}
	if ended.Collects() {
		k.catches++
	}
	more := !dirty && k.ctx.Err() == nil && time.Until(k.until) > time.Second
	switch {
	case dirty && ended.Collects():
		k.Caught(r.result, r.err)
		return true, nil
	case dirty, r.err != nil && first && !r.isReady():
		return true, r.err
	case k.ctx.Err() != nil:
		return true, context.Cause(k.ctx)
	case ended.Collects():
		if more = more && ended == EndEvent && k.catches <= k.Again; more {
			k.follow(0)
		}
		k.Caught(r.result, r.err)
	case !more:
		return true, nil
	case ended == EndBusy:
		k.Say(fmt.Sprintf("disarmed; armed again in %s when it is less", tryBusyAgain))
		k.follow(tryBusyAgain)
	case r.err != nil:
		k.Say(fmt.Sprintf("not armed, tried again in %s: %s", tryAgain, r.why()))
		k.follow(tryAgain)
	default:
		k.follow(0)
	}
	return !more, nil
}

// follow arms again: the next run at once if there is one, or a new one after a while.
func (k *watching) follow(after time.Duration) {
	k.change.Stop()
	switch {
	case k.next != nil:
		k.setCurrent(k.next)
		k.next = nil
		k.Say("the capture beside it has taken over")
		if !k.current.readyAt.IsZero() && k.Rotate+time.Minute < time.Until(k.until) {
			k.rotate.Reset(max(k.Rotate-time.Since(k.current.readyAt), time.Second))
		}
	case after == 0:
		k.rotate.Stop()
		k.begin()
	default:
		k.rotate.Reset(after)
	}
}

// dismiss has all runs end that still wait.
func (k *watching) dismiss() {
	for _, r := range []*armedRun{k.current, k.next} {
		if r != nil {
			close(r.relieve)
			k.leaving = append(k.leaving, r)
		}
	}
	k.setCurrent(nil)
	k.next = nil
}

// waitForAll returns when no run is at its routers any more. One of them may have had an event, or
// have been asked for its packets, when the watch ended.
func (k *watching) waitForAll() error {
	var errs []error
	for _, r := range k.leaving {
		<-r.done
		if r.broughtHome() && (r.err == nil || k.ctx.Err() == nil) {
			k.Caught(r.result, r.err)
			continue
		}
		if _, dirty := errors.AsType[*DirtyError](r.err); dirty {
			errs = append(errs, r.err)
		}
	}
	return errors.Join(errs...)
}

// A run's channels, of one that may not be there: then nothing comes of them. That it is ready is
// of interest once.
func readyOf(r *armedRun) <-chan struct{} {
	if r == nil || !r.readyAt.IsZero() {
		return nil
	}
	return r.ready
}

func doneOf(r *armedRun) <-chan struct{} {
	if r == nil {
		return nil
	}
	return r.done
}

func renewOf(r *armedRun) <-chan string {
	if r == nil {
		return nil
	}
	return r.renew
}
