package capture

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/moncap/moncap/capture/bundle"
)

// Phase is one phase of the playbook.
type Phase string

// The phases, in their order.
const (
	PhaseCheck   Phase = "check"
	PhaseACL     Phase = "acl"
	PhaseDefine  Phase = "define"
	PhaseStart   Phase = "start"
	PhaseTrigger Phase = "trigger"
	PhaseWait    Phase = "wait"
	PhaseStop    Phase = "stop"
	PhaseExport  Phase = "export"
	PhaseFetch   Phase = "fetch"
	PhaseObserve Phase = "observe"
	PhaseClean   Phase = "clean"
)

// Phases lists the phases in their order.
func Phases() []Phase {
	return []Phase{PhaseCheck, PhaseACL, PhaseDefine, PhaseStart, PhaseTrigger, PhaseWait, PhaseStop, PhaseExport,
		PhaseFetch, PhaseObserve, PhaseClean}
}

// Hosts are the two routers.
type Hosts struct{ A, B Host }

// Get returns the router of s.
func (h Hosts) Get(s Side) Host {
	if s == B {
		return h.B
	}
	return h.A
}

// EventKind says what an Event reports.
type EventKind uint8

// What events report.
const (
	Began    EventKind = iota // the phase began
	Ended                     // the phase ended; Err says whether well
	Packets                   // Count packets are captured so far
	Progress                  // Done bytes of Total are transferred
	Note                      // Text is something that the operator should know
	Removing                  // Text is a thing that is being taken off a router again
)

// Event is something that happened in a run, for a progress display.
type Event struct {
	Time  time.Time
	Side  Side // empty: it concerns both
	Phase Phase
	Kind  EventKind
	Count int
	Done  int64
	Total int64
	Text  string
	Err   error
}

// Options are how a run reports, how patient it is, and what time it is.
type Options struct {
	Events func(Event) // may be nil; called from one goroutine at a time
	Log    *slog.Logger
	// Timeouts bounds the phases of one side; what is missing or zero is DefaultTimeouts. PhaseWait is
	// bounded by the duration of the settings.
	Timeouts map[Phase]time.Duration
	// Poll is the time from the start to the first look at the captures, and between two looks when
	// something ends the wait; 1 s when zero. With nothing to wait for, a look costs a router two
	// commands for nothing but a display: then it is five times as long.
	Poll time.Duration
	// Patience is how long a router that does not answer any more is tried, with all that is asked of
	// it until the run ends. DefaultPatience when zero or less than that; with more, it is also tried
	// more often.
	Patience time.Duration
	Retry    time.Duration // before the first repetition after a lost session, doubled each time; 500 ms when zero
	Tool     string        // name and version of the program, for run.json
	Stop     <-chan struct{}
	Arm      *Arm // of an armed run; nil: it works together with nobody
	// Live is given the packets of the captures while they run, each once, as far as they can
	// be read without harm; nil: they are not read before the end. It is called from a
	// goroutine for each side.
	Live func(LivePackets)
	// Folder is where bundles are kept; only Check, which has none, needs it. Empty
	// is the current one.
	Folder string
	// OpenRuns names the folders of runs of which the bundle, here, may say that they left something
	// on a router; nil: none is known. It is asked when a router has on what a run is to turn on, and
	// is everybody's.
	OpenRuns func() []string
	// LineWait is how long each phase waits for a router without a free terminal line; zero:
	// not at all, unless something of the run is on it. Other runs may have taken the lines,
	// and give them back.
	LineWait time.Duration
	// LineWaitFor names the peers of which it waits for a line; nil: all. A router that no other run
	// has is not waited for: it refuses the connection for another reason.
	LineWaitFor []string
	// MaxDumpMB bounds what is read by `buffer dump` instead of SCP; 16 when zero.
	MaxDumpMB int
	// Ledger is told of everything that the run changes; nil: nobody is.
	Ledger Ledger
	DryRun bool   // Clean only: list what would be removed
	Name   string // what the operator says that the run of a bundle called its things, where it did not choose itself
}

// Ledger is a second set of books on a run, kept where others can go on with it when this machine
// cannot: the journal and run.json, as the bundle has them. Its methods may be called by both sides
// at once.
type Ledger interface {
	// Intend writes down that a change is about to be made, and returns when it will be found. With an
	// error the change is not made, and the run ends.
	Intend(ctx context.Context, e bundle.Entry) error
	// Noted is told what became of a change, in the order of each side. It does not wait: what takes a
	// change back depends on no ledger.
	Noted(e bundle.Entry)
	// Saved is told what run.json says now. It does not wait.
	Saved(run []byte)
}

// DefaultTimeouts bound the phases of one side.
func DefaultTimeouts() map[Phase]time.Duration {
	return map[Phase]time.Duration{
		PhaseCheck: 2 * time.Minute, PhaseACL: time.Minute, PhaseDefine: time.Minute, PhaseStart: 30 * time.Second,
		PhaseTrigger: 2 * time.Minute, PhaseStop: time.Minute, PhaseObserve: 2 * time.Minute,
		PhaseExport: 5 * time.Minute, PhaseFetch: 30 * time.Minute, PhaseClean: 2 * time.Minute,
	}
}

// lineWait is how long a terminal line of a peer is waited for.
func (o Options) lineWait(peer string) time.Duration {
	if o.LineWaitFor != nil && !slices.Contains(o.LineWaitFor, peer) {
		return 0
	}
	return o.LineWait
}

func (o Options) timeout(p Phase) time.Duration {
	if d := o.Timeouts[p]; d > 0 {
		return d
	}
	d := DefaultTimeouts()[p]
	switch {
	case d == 0:
		d = time.Minute
	case p != PhaseStart && p != PhaseTrigger: // they are for both sides together, or of a moment
		d += o.LineWait + max(o.Patience-DefaultPatience, 0)
	}
	return d
}

// lineWaitToClean is how long a terminal line is waited for at least where something of the run is
// on the router.
const lineWaitToClean = 30 * time.Second

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Poll <= 0 {
		o.Poll = time.Second
	}
	if o.Retry <= 0 {
		o.Retry = 500 * time.Millisecond
	}
	o.Patience = max(o.Patience, DefaultPatience)
	if o.MaxDumpMB <= 0 {
		o.MaxDumpMB = 16
	}
	arm := Arm{}
	if o.Arm != nil {
		arm = *o.Arm
	}
	if arm.Poll <= 0 {
		arm.Poll = armedPoll
	}
	if arm.LoadEvery <= 0 {
		arm.LoadEvery = armedLoad
	}
	o.Arm = &arm
	o.Events = oneAtATime(o.Events)
	return o
}

func oneAtATime(f func(Event)) func(Event) {
	if f == nil {
		return func(Event) {}
	}
	var mu sync.Mutex
	return func(e Event) {
		mu.Lock()
		defer mu.Unlock()
		e.Time = time.Now()
		f(e)
	}
}

// Result is what a run, or a part of one, came to. The same is in the bundle's run.json.
type Result struct {
	Run      *bundle.Run
	Ended    Ending        // how the wait of an armed run ended; empty: it was none, or did not get there
	SeenUp   bool          // a router showed the tunnel up while the run was armed: an end of it would have been seen
	StartGap time.Duration // between the two captures' starts
	Control  bool          // a router captures at its control plane as well
	Kept     []Leftover    // what was left on purpose
	Removed  []Leftover    // what was taken back
	Notes    []string
}
