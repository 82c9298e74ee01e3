package fleet

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/moncap/moncap/capture"
	"github.com/moncap/moncap/internal/lazyregexp"
)

// State says how far a run is.
type State string

// The states of a run. From Waiting it goes to Granted when it has its routers, and to Running when
// a worker took it.
const (
	Waiting     State = "waiting"
	Granted     State = "granted"
	Running     State = "running"
	Cancelling  State = "cancelling"  // it was asked to end, and its worker cleans up
	Recovering  State = "recovering"  // its worker is gone: another one collects, or cleans up
	Done        State = "done"        // it has a report
	Failed      State = "failed"      // it has none, and its routers are clean
	Interrupted State = "interrupted" // it was ended before its time, and its routers are clean
	Collected   State = "collected"   // its worker was lost, and its packets were not
	Dirty       State = "dirty"       // something of it is on a router
	Cancelled   State = "cancelled"   // it never began
)

// States lists the states in their order.
func States() []State {
	return []State{Waiting, Granted, Running, Cancelling, Recovering, Done, Failed, Interrupted, Collected, Dirty,
		Cancelled}
}

// Over says whether nobody works on the run any more, or will.
func (s State) Over() bool {
	return slices.Contains([]State{Done, Failed, Interrupted, Collected, Dirty, Cancelled}, s)
}

// open lists the states that are not over, as SQL has lists.
const openStates = "('waiting', 'granted', 'running', 'cancelling', 'recovering')"

// Priority orders runs that wait.
type Priority int

// The priorities, the first served first.
const (
	Urgent Priority = iota
	Normal
	Low
)

func (p Priority) String() string {
	switch p {
	case Urgent:
		return "urgent"
	case Low:
		return "low"
	}
	return "normal"
}

// ParsePriority reads urgent, normal or low.
func ParsePriority(s string) (Priority, error) {
	for _, p := range []Priority{Urgent, Normal, Low} {
		if p.String() == s {
			return p, nil
		}
	}
	return Normal, usagef("priority %q: want urgent, normal or low", s)
}

// Slot is what a run takes of a router: one of as many as the router bears at a time.
type Slot struct {
	Router string // its address, as everybody writes it who runs on it
	Runs   int    // limits.runs; 1 when less
}

// Request is a run that is asked for.
type Request struct {
	Plan      *capture.Plan // its RunID is the run's, and nobody else's
	Site      string        // whose workers reach the routers; empty: those without a site
	A, B      Slot
	Priority  Priority
	Attempts  int       // how often it is tried while it ends cleanly without a verdict; 1 when less
	NotBefore time.Time // zero: now
	Reason    string
	Change    string // the change that it belongs to, by its number elsewhere
	Cause     string // manual, schedule NAME@TIME, event ...
	By        string // USER@HOST
	Approve   bool   // somebody else than By must approve of it first
}

// Run is a run as the database has it.
type Run struct {
	ID, Tunnel, Site          string
	Peers, Routers            [2]string
	State                     State
	Priority                  Priority
	Fence                     int64
	Owner, Host               string // the worker that has it; the machine that its bundle is on
	Lease                     time.Time
	Reason, Change, Cause, By string
	Approval                  string // who approved of it; "wanted" while nobody has
	CancelledBy               string
	RetryOf                   string
	Attempt, Attempts         int
	Created, NotBefore        time.Time
	Started, Ended            time.Time
	Outcome, Headline         string
	Exit                      int // of the report; -1: there is none
	Clean                     bool
	Error                     string
	Bundle                    string // its folder on Host
	Remains                   string // of a dirty run: what is left, and what to type
	Findings                  []Finding
	Waits                     string // what it waits for
	runs                      [2]int
	job                       int64
	tries                     int
}

// Finding is one of a report.
type Finding struct{ Code, Severity string }

// runColumns are scanned by scanRun.
const runColumns = `id, tunnel, a, b, router_a, router_b, runs_a, runs_b, site, state, priority, fence, owner, host, lease, job, tries, reason,
	change, cause, who, approval, cancelled, attempt, attempts, retry_of, created, not_before, started, ended, outcome, exit, headline, clean, error,
	remains, bundle`

func scanRun(scan func(...any) error) (Run, error) {
	var r Run
	var lease, created, notBefore, started, ended int64
	err := scan(&r.ID, &r.Tunnel, &r.Peers[0], &r.Peers[1], &r.Routers[0], &r.Routers[1], &r.runs[0], &r.runs[1], &r.Site,
		&r.State, &r.Priority,
		&r.Fence, &r.Owner, &r.Host, &lease, &r.job, &r.tries, &r.Reason, &r.Change, &r.Cause, &r.By, &r.Approval,
		&r.CancelledBy, &r.Attempt,
		&r.Attempts, &r.RetryOf, &created, &notBefore, &started, &ended, &r.Outcome, &r.Exit, &r.Headline, &r.Clean, &r.Error,
		&r.Remains, &r.Bundle)
	r.Lease, r.Created, r.NotBefore, r.Started, r.Ended = at(lease), at(created), at(notBefore), at(started), at(ended)
	return r, err
}

func (s *Store) runs(ctx context.Context, d doer, where string, args ...any) ([]Run, error) {
	var all []Run
	err := s.query(ctx, d, func(scan func(...any) error) error {
		r, err := scanRun(scan)
		all = append(all, r)
		return err
	}, "SELECT "+runColumns+" FROM moncap_run "+where, args...)
	return all, err
}

// Run returns one run with its findings.
func (s *Store) Run(ctx context.Context, id string) (Run, error) {
	all, err := s.runs(ctx, s.db, "WHERE id = ?", id)
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("run %s: %w", id, ErrNotFound)
	}
	if err != nil {
		return Run{}, s.fail(err)
	}
	return all[0], s.fail(s.addFindings(ctx, all))
}

// addFindings fills in what the reports of runs found.
func (s *Store) addFindings(ctx context.Context, all []Run) error {
	for chunk := range slices.Chunk(all, 500) {
		byID, ids := map[string]*Run{}, make([]any, len(chunk))
		for i := range chunk {
			byID[chunk[i].ID], ids[i] = &chunk[i], chunk[i].ID
		}
		err := s.query(ctx, s.db, func(scan func(...any) error) error {
			var id string
			var f Finding
			err := scan(&id, &f.Code, &f.Severity)
			if r := byID[id]; r != nil {
				r.Findings = append(r.Findings, f)
			}
			return err
		}, "SELECT run, code, severity FROM moncap_finding WHERE run IN ("+questions(len(ids))+") ORDER BY run, code", ids...)
		if err != nil {
			return err
		}
	}
	return nil
}

// RunFilter chooses runs. What is zero does not choose.
type RunFilter struct {
	State  State
	Tunnel string
	Cause  string    // how it begins
	Since  time.Time // of its creation
	Limit  int
}

// Runs lists runs, the newest first.
func (s *Store) Runs(ctx context.Context, f RunFilter) ([]Run, error) {
	var w where
	w.add(f.State != "", "state = ?", string(f.State))
	w.add(f.Tunnel != "", "tunnel = ?", f.Tunnel)
	w.add(f.Cause != "", "substr(cause, 1, length(CAST(? AS TEXT))) = ?", f.Cause, f.Cause)
	w.add(!f.Since.IsZero(), "created >= ?", ms(f.Since))
	all, err := s.runs(ctx, s.db, w.String()+" ORDER BY created DESC, id DESC"+limit(f.Limit), w.args...)
	return all, s.fail(err)
}

// where is a condition that grows.
type where struct {
	parts []string
	args  []any
}

func (w *where) add(when bool, condition string, args ...any) {
	if when {
		w.parts, w.args = append(w.parts, condition), append(w.args, args...)
	}
}

func (w *where) String() string {
	if len(w.parts) == 0 {
		return ""
	}
	return "WHERE " + strings.Join(w.parts, " AND ")
}

func limit(n int) string {
	if n <= 0 {
		return ""
	}
	return fmt.Sprintf(" LIMIT %d", n)
}

// siteName is what a site may be called, so that it can be part of a queue's name.
var siteName = lazyregexp.New(`^[a-z0-9]+([_-][a-z0-9]+)*$`)

// checkSite says whether a site's name is one; the empty site is that of everything without.
func checkSite(site string) error {
	if site != "" && (len(site) > 40 || !siteName.Get().MatchString(site)) {
		return usagef("site %q: want up to 40 small letters, digits, and - or _ between them", site)
	}
	return nil
}

// queueOf is the queue of a site's runs.
func queueOf(site string) string {
	if site == "" {
		return "default"
	}
	return "site-" + site
}

// rescueQueueOf is that of what is to be cleaned up, which must not wait behind captures.
func rescueQueueOf(site string) string { return "rescue-" + queueOf(site) }
