package capture

import (
	"context"
	"time"

	"github.com/moncap/moncap/device/iosxe"
)

// The kinds of things that a run makes on a router, as the journal names them.
const (
	kindACL       = "acl"
	kindCapture   = "capture"
	kindCondition = "debug-condition"
	kindDebug     = "debug"
	kindActive    = KindActive
	kindFile      = "file"
)

// KindActive is the kind of a capture that runs, in the journal.
const KindActive = "active"

// thing is something that a run makes on a router: what it is called, how it is found again, and
// how it goes.
type thing struct {
	kind  string
	name  string          // for the journal
	words string          // for people
	undo  []iosxe.Command // takes it back
	shows []iosxe.Command // shows after that whether it is gone; none for what goes with another thing
	look  func(*router, context.Context, *change, int) (presence, error)
	stop  []iosxe.Command // ends it: some releases refuse to remove a capture that runs
	// patience is how long taking it back may take, so that a router which hangs at it has time for
	// the rest; zero: as long as all of it may.
	patience time.Duration
	// limits is the kind of what would go on for everybody without this: it goes before this does.
	limits string
	// fleeting is what no --keep leaves: a debug must not stay on.
	fleeting bool
	// shared is what has no name of the run's own: anybody can have made the same, or depend on it.
	shared bool
}

// things lists what the run makes on this side, in the order in which it does.
func (p *SidePlan) things() []thing {
	var all []thing
	if !p.ACL.IsZero() {
		all = append(all, p.acl())
	}
	all = append(all, p.capturePoint())
	if len(p.debugOn) > 0 {
		all = append(all, p.condition(), p.debug())
	}
	all = append(all, p.traceThings()...)
	if p.control != nil {
		all = append(all, p.controlPlaneThing())
	}
	all = append(all, p.active())
	if !p.File.IsZero() {
		all = append(all, p.file())
	}
	return all
}

// thing returns what the plan makes of that kind; ok is false when it makes nothing of it.
func (p *SidePlan) thing(kind string) (t thing, ok bool) {
	for _, t := range p.things() {
		if t.kind == kind {
			return t, true
		}
	}
	return thing{}, false
}

func (p *SidePlan) acl() thing {
	return thing{
		kind: kindACL, name: p.ACL.String(), words: "access list " + p.ACL.String(),
		undo:  []iosxe.Command{iosxe.NoACL(p.ACL, p.Remote.Is6())},
		shows: []iosxe.Command{iosxe.ShowACL(p.ACL)}, look: (*router).lookACL,
	}
}

func (p *SidePlan) capturePoint() thing {
	return thing{
		kind: kindCapture, name: p.Name.String(), words: "capture point " + p.Name.String(),
		undo:  []iosxe.Command{iosxe.NoCapture(p.Name)},
		shows: []iosxe.Command{iosxe.ShowCapture(p.Name)}, look: (*router).lookCapture, stop: p.active().undo,
	}
}

func (p *SidePlan) active() thing {
	return thing{
		kind: kindActive, name: p.Name.String(), words: "running capture " + p.Name.String(),
		undo: []iosxe.Command{iosxe.StopCapture(p.Name)}, look: (*router).lookActive,
	}
}

func (p *SidePlan) file() thing {
	return thing{
		kind: kindFile, name: p.File.String(), words: "file " + p.File.String(),
		undo:  []iosxe.Command{iosxe.DeleteFile(p.File)},
		shows: []iosxe.Command{iosxe.DirFile(p.File)}, look: (*router).lookFile,
	}
}

func (p *SidePlan) condition() thing {
	return thing{
		kind: kindCondition, name: p.Remote.String(), words: "debug condition for peer " + p.Remote.String(),
		undo:  p.debugOff[1:],
		shows: []iosxe.Command{iosxe.ShowDebug()}, look: (*router).lookCondition, fleeting: true,
		limits: kindDebug,
	}
}

func (p *SidePlan) debug() thing {
	return thing{
		kind: kindDebug, name: p.Remote.String(), words: "debug crypto ikev2",
		undo:  p.debugOff[:1],
		shows: []iosxe.Command{iosxe.ShowDebug()}, look: (*router).lookDebug, fleeting: true,
	}
}
