package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/moncap/moncap/capture"
	"github.com/moncap/moncap/capture/bundle"
)

// interrupted is why a command's context ended.
type interrupted struct{ signal os.Signal }

func (e *interrupted) Error() string {
	switch e.signal {
	case syscall.SIGTERM:
		return "interrupted (SIGTERM)"
	case syscall.SIGHUP:
		return "interrupted: the terminal was closed (SIGHUP)"
	}
	return "interrupted"
}

// timedOut is why the context of a command ended that had --timeout.
type timedOut struct{ after time.Duration }

func (e *timedOut) Error() string { return fmt.Sprintf("it took longer than --timeout %s", e.after) }

// interrupts decides what a signal means for the command under way. While a capture waits, the
// first Ctrl-C ends the capture and keeps it, as it does in tcpdump. The next one, and any other
// signal, ends the command's context: what was made on the routers is taken back. One more ends the
// program at once, and says what is left where.
type interrupts struct {
	ctx    context.Context // the command's
	cancel context.CancelCauseFunc
	exit   func(code int)

	mu       sync.Mutex
	stopped  bool           // the captures were told to end
	drain    func()         // what the first signal does instead; nil: nothing is drained
	gaveUp   bool           // the context was cancelled
	gentle   bool           // SIGTERM and SIGHUP mean what Ctrl-C does: nobody may be there to press it
	waits    map[any]func() // end the captures that wait
	leavings map[any]func() // say what is left of the runs under way
	echo     map[any]func() // bring the terminal's echo back
}

func newInterrupts(ctx context.Context, exit func(int)) *interrupts {
	ctx, cancel := context.WithCancelCause(ctx)
	return &interrupts{ctx: ctx, cancel: cancel, exit: exit, waits: map[any]func(){}, leavings: map[any]func(){},
		echo: map[any]func(){}}
}

// watch hears signals until done is closed.
func (i *interrupts) watch(signals <-chan os.Signal, done <-chan struct{}) {
	for {
		select {
		case s := <-signals:
			i.heard(s)
		case <-done:
			return
		}
	}
}

func (i *interrupts) heard(s os.Signal) {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case i.drain != nil && !i.stopped && !i.gaveUp:
		i.stopped = true
		i.drain()
	case (s == os.Interrupt || i.gentle && (s == syscall.SIGTERM || s == syscall.SIGHUP)) && len(i.waits) > 0 &&
		!i.stopped && !i.gaveUp:
		i.stopped = true
		for _, stop := range i.waits {
			stop()
		}
	case !i.gaveUp:
		i.gaveUp = true
		i.cancel(&interrupted{s})
	default:
		i.leave(s)
	}
}

// leave ends the program at once.
func (i *interrupts) leave(s os.Signal) {
	for _, restore := range i.echo {
		restore()
	}
	code := exitFailed
	if number, ok := s.(syscall.Signal); ok {
		code = 128 + int(number) // as a shell tells of a program that a signal ended
	}
	for _, say := range i.leavings {
		say()
		code = exitDirty
	}
	i.exit(code)
}

// during has f in one of the sets until the returned function is called.
func (i *interrupts) during(set map[any]func(), f func()) (end func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	key := new(byte)
	set[key] = f
	return func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		delete(set, key)
	}
}

// giveUp ends the command's context.
func (i *interrupts) giveUp(cause error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.gaveUp = true
	i.cancel(cause)
}

// heedGently has SIGTERM and SIGHUP end the captures and keep them, as Ctrl-C does.
func (i *interrupts) heedGently() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.gentle = true
}

// waiting has the first Ctrl-C call stop.
func (i *interrupts) waiting(stop func()) (end func()) { return i.during(i.waits, stop) }

// draining has the first signal, whichever it is, call drain.
func (i *interrupts) draining(drain func()) (end func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.drain = drain
	return func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.drain = nil
	}
}

// leaving has a program that is ended at once say something. It ends with code 5 then.
func (i *interrupts) leaving(say func()) (end func()) { return i.during(i.leavings, say) }

// echoOff has restore called before the program is ended at once.
func (i *interrupts) echoOff(restore func()) (end func()) { return i.during(i.echo, restore) }

// given is closed when the command's context ended.
func (i *interrupts) given() <-chan struct{} { return i.ctx.Done() }

// cause is why it did.
func (i *interrupts) cause() error { return context.Cause(i.ctx) }

// stopping says whether nothing new is to be begun.
func (i *interrupts) stopping() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.stopped || i.gaveUp
}

// notifySignals returns the signals that end a command. What the parent has us ignore, as nohup
// does, stays ignored. A reader of our output that goes away is an error where it is written to,
// and no end in the middle of a run.
func notifySignals() <-chan os.Signal {
	c := make(chan os.Signal, 8)
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) {
			signal.Notify(c, s)
		}
	}
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	return c
}

// sayLeft tells what is on the routers of a run that is given up, as its journal has it.
func (a *app) sayLeft(dir string) {
	b, err := bundle.Open(dir)
	if err != nil {
		return
	}
	defer b.Close()
	left, proven, err := capture.Outstanding(b, "")
	if proven && err == nil {
		return
	}
	for _, l := range left {
		a.warn("%s: left on it: %s", l.Peer, l.What)
	}
	a.warn("%s", a.asGiven("remove it with: moncap clean "+shellWord(dir)))
}
