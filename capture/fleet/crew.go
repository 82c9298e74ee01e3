package fleet

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/moncap/moncap/capture"
	"github.com/moncap/moncap/capture/bundle"
)

// Sessions are the two routers of a run.
type Sessions interface {
	Hosts() capture.Hosts
	io.Closer
}

// Crew is what a worker knows, and may do, that the database does not hold: routers, credentials,
// and how packets are compared. It is called from several goroutines.
type Crew struct {
	Folder string // where bundles are made; an absolute path
	// Knows says why this worker should leave a run alone: its inventory does not have the tunnel as
	// the plan does.
	Knows func(*capture.Plan) error
	// Slots are the places that a run takes of its routers, as this worker's inventory has them. A run
	// that was submitted with others is let wait for these. nil: those that it was submitted with.
	Slots func(*capture.Plan) (a, b Slot, err error)
	// Hold says until when a run must not begin that is about to, and why; a zero time: it may. nil:
	// all may.
	Hold func(p *capture.Plan, cause string) (until time.Time, why string)
	// Open prepares the routers of a run. resumes says that a run is gone on with: what cannot be
	// recorded must not keep it from being undone.
	Open func(ctx context.Context, p *capture.Plan, b *bundle.Bundle, resumes bool) (Sessions, error)
	// Options are those of a run, but for Stop, Ledger, Events and Name, which the worker sets.
	Options func(*capture.Plan) capture.Options
	// Report compares what a bundle holds and writes its report into it. err is the run's, nil when it
	// went well.
	Report func(ctx context.Context, b *bundle.Bundle, err error) (*Report, error)
	// Tell says what is to be told of a run that ended. It is called in the transaction of the
	// verdict, and asks nobody. nil: nothing is.
	Tell func(Verdict) []Notice
	// Credentials names the credentials of a run by where they are kept, so that one which was refused
	// is not tried again by any worker. nil: none has a name.
	Credentials func(*capture.Plan) []string
	// Refused says which of them the error of a run is about.
	Refused func(*capture.Plan, error) []string
}

// Report is what came of a run, as the database needs to know it.
type Report struct {
	JSON     []byte // of package analysis/report
	Outcome  string
	Headline string
	Exit     int
	Findings []Finding
	StartGap *time.Duration // between the starts of its two captures; nil: it did not have both
}

// WorkerOptions say what a worker does.
type WorkerOptions struct {
	Crew      Crew
	Host      string   // the name of this machine; the system's when empty
	Sites     []string // whose routers it reaches; none: those without a site
	Workers   int      // runs at a time; 8 when zero
	Version   string   // of the program
	Inventory string   // digest of the inventory
	// the same, of an inventory that is read again while the worker works; nil: it is not
	InventoryNow func() string
	Drain        time.Duration // for the runs under way when it is to end; 2 min when zero
	// bundles up to this size are kept in the database; 8 when zero, none when less
	ArtifactsMB int
	Tick        func(context.Context) error       // every second, from one goroutine; may be nil
	Ready       func()                            // when it works; may be nil
	Events      func(run string, e capture.Event) // may be nil
}

// LeftError says that a worker ended, and left something on routers.
type LeftError struct{ Runs []string }

func (e *LeftError) Error() string {
	return fmt.Sprintf("something is left on routers of %d runs, of %s for one", len(e.Runs), e.Runs[0])
}
