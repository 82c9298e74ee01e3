package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/capture"
	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/capture/fleet"
	"github.com/moncap/moncap/device"
	"github.com/moncap/moncap/device/inventory"
)

// crew is what a worker needs to do runs on routers: the inventory that holds now, and one memory
// of refused logins.
type crew struct {
	app   *app // quiet: runs that go on at once would only mix up what they say
	lines *app // says when a run begins and ends
	store *fleet.Store

	mu        sync.Mutex
	inv       *inventory.Inventory
	connector *connector
	since     time.Time       // of the connector
	accepted  map[string]bool // logins that some router let in, by their names
}

// memory is how long a refused login is remembered in the process. The database remembers it for as
// long, for all workers.
const memory = time.Hour

// otherRuns is how long a run waits for runs of this machine that are not the fleet's.
const otherRuns = 10 * time.Minute

// lineOfTheFleet is how long a run waits for a terminal line of a router on which others of the
// fleet may have them.
const lineOfTheFleet = time.Minute

func newCrew(a *app, store *fleet.Store, inv *inventory.Inventory) *crew {
	quiet := *a
	quiet.quiet = true
	return &crew{
		app: &quiet, lines: a, store: store, inv: inv, connector: quiet.newConnector(), since: time.Now(),
		accepted: map[string]bool{},
	}
}

func (c *crew) inventory() *inventory.Inventory {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.inv
}

func (c *crew) use(inv *inventory.Inventory) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inv = inv
}

// connections returns what dials routers. It forgets refused logins after a while: an account may
// be unlocked by then.
func (c *crew) connections() *connector {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.since) > memory {
		c.connector, c.since = c.app.newConnector(), time.Now()
	}
	return c.connector
}

func (c *crew) crew(folder string) fleet.Crew {
	return fleet.Crew{
		Folder: folder, Knows: c.knows, Slots: c.slots, Open: c.open, Options: c.options, Report: c.report,
		Credentials: c.credentials, Refused: c.refused, Hold: c.hold, Tell: c.tell,
	}
}

// knows says whether a plan is about a tunnel as this worker's inventory has it. Another one is
// left to a worker that knows it.
func (c *crew) knows(p *capture.Plan) error {
	_, err := c.tunnelOf(p)
	return err
}

func (c *crew) tunnelOf(p *capture.Plan) (*inventory.Tunnel, error) {
	inv := c.inventory()
	t, ok := inv.Tunnels[p.Tunnel]
	if !ok {
		return nil, fmt.Errorf("%s does not have the tunnel %s", inv.File, p.Tunnel)
	}
	for _, side := range []struct {
		planned capture.Endpoint
		peer    *inventory.Peer
	}{{p.A.Endpoint, t.A}, {p.B.Endpoint, t.B}} {
		own := endpointOf(side.peer)
		if own.Name != side.planned.Name || own.Address != side.planned.Address ||
			own.NATAddress != side.planned.NATAddress || own.Interface != side.planned.Interface ||
			!slices.Equal(own.Also, side.planned.Also) ||
			own.VRF != side.planned.VRF {
			return nil, fmt.Errorf("%s has another %s of tunnel %s than the run was submitted with",
				inv.File, side.planned.Name, p.Tunnel)
		}
		if asksSomebody(side.peer) {
			return nil, fmt.Errorf("%s: its password must be typed, and a worker asks nobody", side.peer.Name)
		}
	}
	return t, nil
}

// slots are the places of a run at its routers: how much one bears, and what it is called, is for
// the inventory here to say.
func (c *crew) slots(p *capture.Plan) (a, b fleet.Slot, err error) {
	t, err := c.tunnelOf(p)
	if err != nil {
		return a, b, err
	}
	a, b = slotsOf(t, p.Settings.Name)
	return a, b, nil
}

// asksSomebody says whether a login needs what a person types.
func asksSomebody(p *inventory.Peer) bool {
	return p.Password.Asks() && p.KeyFile == "" && !p.Agent && !p.SSHConfig || p.Enable.Asks() || p.KeyPassphrase.Asks()
}

// unapprovedFor is after how long a run is looked at again that nobody approved of, though this
// worker's inventory wants it.
const unapprovedFor = 5 * time.Minute

// hold keeps a run from beginning that somebody else has to agree to, whatever the inventory says
// that it was submitted with, and one of a schedule in a blackout.
func (c *crew) hold(p *capture.Plan, cause string) (until time.Time, why string) {
	t := c.inventory().Tunnels[p.Tunnel]
	if t != nil && t.Approve == inventory.ApproveFourEyes && !c.approved(p.RunID) {
		return time.Now().Add(unapprovedFor), "for nobody: it was submitted without asking for approval, " +
			"which the worker's inventory wants; cancel it"
	}
	if strings.HasPrefix(cause, "event ") { // it belongs to no schedule, and to the blackouts of all that its tunnel has
		until, name := darkness(c.inventory(), p.Tunnel, time.Now())
		if until.IsZero() {
			return until, ""
		}
		return until, "for the end of a blackout of schedule " + name
	}
	return c.blackout(cause)
}

// approved says whether somebody agreed to a run, or to the one of which it is another attempt.
func (c *crew) approved(id string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), databaseLimit)
	defer cancel()
	for range 10 {
		r, err := c.store.Run(ctx, id)
		if err != nil {
			return false
		}
		if r.Approval != "" || r.RetryOf == "" {
			return r.Approval != ""
		}
		id = r.RetryOf
	}
	return false
}

func (c *crew) blackout(cause string) (until time.Time, why string) {
	name, ok := strings.CutPrefix(cause, "schedule ")
	if !ok {
		return until, ""
	}
	name, _, _ = strings.Cut(name, "@")
	s, ok := c.inventory().Schedules[name]
	if !ok {
		return until, ""
	}
	until, dark := s.Plan.Dark(time.Now())
	if !dark {
		return time.Time{}, ""
	}
	return until, "for the end of a blackout of schedule " + name
}

// heldSessions are the routers of a run, and their places among the runs of this machine.
type heldSessions struct {
	*sessions
	release func()
}

func (s *heldSessions) Hosts() capture.Hosts { return s.hosts() }

func (s *heldSessions) Close() error {
	defer s.release()
	return s.sessions.Close()
}

// open prepares the routers of a run. A new one waits for runs of this machine that are not the
// fleet's; one that is taken back waits for nobody.
func (c *crew) open(ctx context.Context, p *capture.Plan, b *bundle.Bundle, resumes bool) (fleet.Sessions, error) {
	t, err := c.tunnelOf(p)
	if err != nil {
		return nil, err
	}
	release := func() {}
	if !resumes {
		// How much a router bears is for the inventory here to say.
		p.A.Endpoint.Limits, p.B.Endpoint.Limits = endpointOf(t.A).Limits, endpointOf(t.B).Limits
		limits := limitsOf([]*inventory.Tunnel{t}, p.Settings.Name)
		if release, err = c.app.takeRouters(ctx, t, limits, otherRuns); err != nil {
			return nil, err
		}
	}
	dial := c.connections()
	if resumes {
		again := *dial
		again.resumes = true
		dial = &again
	}
	s, err := dial.open(t, b)
	if err != nil {
		release()
		return nil, err
	}
	word := "begins"
	if resumes {
		word = "is gone on with"
	}
	c.lines.progress("%s  %s: %s", p.RunID, p.Tunnel, word)
	return &heldSessions{s, release}, nil
}

func (c *crew) options(*capture.Plan) capture.Options {
	o := capture.Options{
		Log: c.app.logger(), Tool: "moncap " + versionString(), Folder: c.app.runsDir(), LineWait: lineOfTheFleet,
		OpenRuns: c.app.knownOpen, Patience: time.Duration(c.app.patience),
		LineWaitFor: sharedPeers(slices.Collect(maps.Values(c.inventory().Tunnels))),
	}
	if c.app.tune != nil {
		c.app.tune(nil, &o)
	}
	return o
}

// report judges a run that is over, as moncap run does.
func (c *crew) report(ctx context.Context, b *bundle.Bundle, runErr error) (*fleet.Report, error) {
	run, err := b.Run()
	if err != nil {
		return nil, err
	}
	if runErr == nil {
		c.letIn(run.Tunnel)
	}
	var r *report.Report
	if pathA, pathB := b.Captures(); pathA != "" || pathB != "" {
		if r, err = c.app.compareBundle(ctx, b, ""); err != nil {
			runErr = errors.Join(runErr, noReport(b.Dir(), err))
			r = nil
		} else if err := storeReport(b, r); err != nil {
			return nil, err
		}
	}
	if r == nil {
		if runErr == nil {
			runErr = errors.New("it has no captures")
		}
		runErr = runFailure(runErr)
		v := report.Verdict{Reason: reasonOf(runErr), Headline: sentence(runErr), ExitCode: exitCode(runErr)}
		r = report.NewNotRun(run.Tunnel, versionString(), v, nil)
		r.Run = runOf(run)
		r.Run.Bundle = b.Dir()
		if pathA, pathB := b.Captures(); pathA == "" && pathB == "" { // else moncap report finds out
			if err := storeReport(b, r); err != nil {
				return nil, err
			}
		}
	}
	code := r.Verdict.ExitCode
	if runErr != nil {
		code = exitCode(runFailure(runErr))
	}
	c.lines.progress("%s  %s", run.ID, lineOf(r, ""))
	return fleetReport(r, code)
}

// fleetReport is a report as the database keeps it.
func fleetReport(r *report.Report, code int) (*fleet.Report, error) {
	var text strings.Builder
	if err := r.Write(&text); err != nil {
		return nil, err
	}
	out := &fleet.Report{
		JSON: []byte(text.String()), Outcome: string(r.Verdict.Outcome), Headline: r.Verdict.Headline, Exit: code,
	}
	if r.Run != nil && r.Run.StartGapMS > 0 && r.Sides.A != nil && r.Sides.B != nil {
		gap := time.Duration(r.Run.StartGapMS * float64(time.Millisecond))
		out.StartGap = &gap
	}
	for _, f := range r.Findings {
		out.Findings = append(out.Findings, fleet.Finding{Code: f.Code, Severity: string(f.Severity)})
	}
	return out, nil
}

// credentials name what a run logs in with, without holding it: who, and where the secret is kept;
// and the same at each of its routers.
func (c *crew) credentials(p *capture.Plan) []string {
	t, err := c.tunnelOf(p)
	if err != nil {
		return nil
	}
	var names []string
	for _, peer := range []*inventory.Peer{t.A, t.B} {
		names = append(names, loginOf(peer), loginAt(peer))
	}
	return names
}

func loginOf(p *inventory.Peer) string {
	kept := p.Password.String()
	switch {
	case kept != "":
	case p.KeyFile != "":
		kept = "key " + p.KeyFile
	default:
		kept = "agent"
	}
	return p.Username + " with " + kept
}

func loginAt(p *inventory.Peer) string { return loginOf(p) + " at " + p.Name }

// refused names the logins that the error of a run says a router refused just now. One that
// other routers let in is refused at that router; one that was never let in may be wrong,
// and is sent to none.
func (c *crew) refused(p *capture.Plan, err error) []string {
	t, unknown := c.tunnelOf(p)
	if unknown != nil {
		return nil
	}
	refusing := peersRefusing(err)
	var names []string
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, peer := range []*inventory.Peer{t.A, t.B} {
		switch {
		case !refusing[peer.Name]:
		case c.accepted[loginOf(peer)]:
			names = append(names, loginAt(peer))
			c.connector, c.since = c.app.newConnector(), time.Now() // it sends it to none any more
		default:
			names = append(names, loginAt(peer), loginOf(peer))
		}
	}
	return names
}

// letIn remembers that the logins of a tunnel's routers are good.
func (c *crew) letIn(tunnel string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t, ok := c.inv.Tunnels[tunnel]; ok {
		c.accepted[loginOf(t.A)], c.accepted[loginOf(t.B)] = true, true
	}
}

// peersRefusing are the routers that an error says refused a login.
func peersRefusing(err error) map[string]bool {
	peers := map[string]bool{}
	var walk func(error)
	walk = func(err error) {
		if d, ok := err.(*device.Error); ok && d.RefusedLogin() {
			peers[d.Peer] = true
		}
		switch u := err.(type) {
		case interface{ Unwrap() error }:
			walk(u.Unwrap())
		case interface{ Unwrap() []error }:
			for _, e := range u.Unwrap() {
				walk(e)
			}
		}
	}
	walk(err)
	return peers
}

// fileStamp tells whether a file is another one by now.
type fileStamp struct {
	changed time.Time
	size    int64
}

func stampOfFile(path string) fileStamp {
	info, err := os.Stat(path)
	if err != nil {
		return fileStamp{}
	}
	return fileStamp{info.ModTime(), info.Size()}
}
