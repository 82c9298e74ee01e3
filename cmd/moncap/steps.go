package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/moncap/moncap/capture"
	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/device/inventory"
)

func (a *app) startCommand() *cobra.Command {
	var f captureFlags
	out, dryRun := "", false
	c := &cobra.Command{
		Use:   "start TUNNEL",
		Short: "Check, define and start both captures, and leave them running",
		Long: `Check both routers, define and start both captures, and leave them running. The routers stop by themselves after
the duration. Collect them with ` + "`moncap collect TUNNEL`" + `, or throw them away with ` + "`moncap clean TUNNEL`.",
		Example:           "  moncap start hq-branch --duration 30m\n  moncap status hq-branch\n  moncap collect hq-branch",
		Args:              wants(1, 1),
		ValidArgsFunction: a.completeTunnel,
		RunE: func(cmd *cobra.Command, args []string) error {
			if dryRun {
				return a.printPlan(args[0], &f)
			}
			t, err := a.loadTunnel(args[0])
			if err != nil {
				return err
			}
			return a.start(cmd.Context(), t, &f, out)
		},
	}
	f.registerSettings(c)
	f.registerTrigger(c)
	f.registerWait(c)
	a.registerPatience(c)
	a.registerUploadPassword(c)
	c.Flags().StringVar(&out, "out", "", "folder of the bundle (default runs/TUNNEL-TIME-ID)")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "print what would be sent and connect to nothing")
	return c
}

func (a *app) start(ctx context.Context, t *inventory.Tunnel, f *captureFlags, out string) error {
	runID := newRunID(time.Now())
	plan, err := f.plan(t, runID)
	if err != nil {
		return err
	}
	if err := a.canAsk(t, f.viaExport != ""); err != nil {
		return err
	}
	release, err := a.takeRouters(ctx, t, limitsOf([]*inventory.Tunnel{t}, f.name), f.wait)
	if err != nil {
		return err
	}
	defer release()
	b, err := a.createBundle(out, t.Name, runID)
	if err != nil {
		return err
	}
	defer b.Close()
	r, err := a.withSessions(ctx, a.newConnector(), t, b, func(s *sessions, view progressView) (*capture.Result, error) {
		return capture.Start(ctx, plan, s.hosts(), b, a.captureOptions(ctx, view))
	})
	if err != nil {
		a.notRun(b.Dir(), t.Name, err)
		return err
	}
	run := wordsFor(b.Dir(), plan.Settings.Name)
	a.done = &unsaid{exitDirty, "both routers capture on",
		"moncap status " + run + " tells how; moncap collect " + run + " fetches what they capture; moncap clean " + run +
			" ends it"}
	a.fact("tunnel", t.Name)
	a.fact("bundle", b.Dir())
	a.fact("start_gap_ms", r.StartGap.Seconds()*1000)
	a.fact("ends", time.Now().Add(plan.Settings.Duration).UTC().Format(time.RFC3339))
	if r.Control {
		a.fact("control_plane_ends", time.Now().Add(plan.Settings.ControlPlaneDuration()).UTC().Format(time.RFC3339))
	}
	_, err = fmt.Fprintf(a.stdout, "capturing on both routers, started %.1f ms apart\nbundle: %s\n",
		r.StartGap.Seconds()*1000, printable(b.Dir()))
	if err == nil && plan.Settings.Name != "" {
		_, err = fmt.Fprintf(a.stdout, "go on with: status, stop, collect or clean --name %s\n", plan.Settings.Name)
	}
	return err
}

// wordsFor is how status, collect and clean are told of a run: by its bundle, and by what its
// captures were told to be called, without which they are not touched.
func wordsFor(dir, name string) string {
	words := shellWord(printable(dir))
	if name != "" {
		words += " --name " + shellWord(name)
	}
	return words
}

// withSessions opens the routers of a bundle's tunnel for one step.
func (a *app) withSessions(ctx context.Context, c *connector, t *inventory.Tunnel, b *bundle.Bundle,
	step func(*sessions, progressView) (*capture.Result, error)) (*capture.Result, error) {
	s, err := c.open(t, b)
	if err != nil {
		return nil, &exitError{exitFailed, err}
	}
	defer s.Close()
	view := a.newProgress(ctx, len(capture.Phases()), [2]string{t.A.Name, t.B.Name})
	r, err := step(s, view)
	view.close()
	return r, runFailure(err)
}

type bundleStep func(ctx context.Context, b *bundle.Bundle, h capture.Hosts, o capture.Options) (*capture.Result, error)

// onBundle resumes the run of a bundle, or the latest of a tunnel, for one step. name is what the
// operator says that it called its captures.
func (a *app) onBundle(ctx context.Context, arg, name string, step bundleStep) (string, *capture.Result, error) {
	dir, err := a.findOpenBundle(arg)
	if err != nil {
		return "", nil, err
	}
	b, err := bundle.Resume(dir)
	if err != nil {
		return dir, nil, usageError(err)
	}
	defer b.Close()
	r, err := a.goOn(ctx, b, name, step)
	return dir, r, err
}

func (a *app) goOn(ctx context.Context, b *bundle.Bundle, name string, step bundleStep) (*capture.Result, error) {
	t, err := a.bundleTunnel(b)
	if err != nil {
		return nil, err
	}
	if err := a.canAsk(t, false); err != nil {
		return nil, err
	}
	c := a.newConnector()
	c.resumes = true
	return a.withSessions(ctx, c, t, b, func(s *sessions, view progressView) (*capture.Result, error) {
		o := a.captureOptions(ctx, view)
		o.Name = name
		return step(ctx, b, s.hosts(), o)
	})
}

// unlessUnknown tells a bundle that does not say what its run left, which is no matter of usage,
// from a wrong name.
func unlessUnknown(dir string, err error) error {
	if err == nil || dir == "" || exitCode(err) != exitUsage {
		return err
	}
	b, openErr := bundle.Open(dir)
	if openErr == nil {
		defer b.Close()
		_, openErr = b.Run()
	}
	if openErr == nil || errors.Is(openErr, bundle.ErrNothingBegun) || errors.Is(openErr, bundle.ErrLocked) {
		return err
	}
	return &exitError{exitDirty, &hinted{&capture.DirtyError{Bundle: dir, Err: openErr},
		"what its run made on the routers is not known: moncap clean " + dir + ", or moncap clean --orphans PEER"}}
}

// nameFlag is for what goes on with a run that did not name its captures itself.
func nameFlag(c *cobra.Command, name *string) {
	c.Flags().StringVar(name, "name", "",
		"what the run was told to call its captures with --name; without it only names of its own are touched")
}

// bundleTunnel finds the two peers of a bundle in the inventory, which knows how to log in to them.
func (a *app) bundleTunnel(b *bundle.Bundle) (*inventory.Tunnel, error) {
	run, err := b.Run()
	if err != nil {
		return nil, usageError(err)
	}
	inv, err := a.loadInventory()
	if err != nil {
		return nil, err
	}
	t := &inventory.Tunnel{Name: run.Tunnel}
	for _, p := range []struct {
		name string
		into **inventory.Peer
	}{{run.A.Peer, &t.A}, {run.B.Peer, &t.B}} {
		if *p.into, err = inv.Peer(p.name); err != nil {
			return nil, usageError(err)
		}
	}
	return t, nil
}

func (a *app) statusCommand() *cobra.Command {
	name := ""
	c := &cobra.Command{
		Use:   "status [TUNNEL|BUNDLE]",
		Short: "The state of captures that were started",
		Long: `The state of captures that were started: of a tunnel's run, of a bundle's, or of every run that may have something on its
routers still.

EXIT STATUS
  0   the routers told
  4   a router does not
  64  wrong usage, or no such run`,
		Example:           "  moncap status hq-branch\n  moncap status --format json",
		Args:              wants(0, 1),
		ValidArgsFunction: a.completeRun,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				run, err := a.statusOf(cmd.Context(), args[0], name)
				a.fact("runs", []*runStatus{run})
				return err
			}
			open, err := a.openRuns("")
			if err != nil {
				return &exitError{exitFailed, err}
			}
			if len(open) == 0 {
				fmt.Fprintf(a.stdout, "nothing is open in %s\n", printable(a.runsDir()))
			}
			var errs []error
			runs := []*runStatus{}
			for _, dir := range open {
				run, err := a.statusOf(cmd.Context(), dir, name)
				runs, errs = append(runs, run), append(errs, err)
			}
			a.fact("runs", runs)
			return errors.Join(errs...)
		},
	}
	nameFlag(c, &name)
	a.registerPatience(c)
	return c
}

// runStatus is what the routers tell of a run's captures, in JSON.
type runStatus struct {
	Tunnel  string     `json:"tunnel"`
	ID      string     `json:"id"`
	Bundle  string     `json:"bundle"`
	Started time.Time  `json:"started"`
	Ends    *time.Time `json:"ends"` // when the routers stop by themselves; null: not started on both
	// when those at the control plane do; missing: no router has one, or as Ends
	ControlEnds *time.Time   `json:"control_plane_ends,omitempty"`
	Sides       []sideStatus `json:"sides"`

	began bool // a capture of it was started
	over  bool // what is left of it is only to be removed
}

type sideStatus struct {
	Side    string `json:"side"`
	Peer    string `json:"peer"`
	Capture string `json:"capture"` // active, stopped, not there, unknown
	Packets int    `json:"packets"`
	Dropped int    `json:"dropped"`
	Error   string `json:"error,omitempty"`

	Control        string `json:"control_plane,omitempty"` // as Capture; empty: the run has none there
	ControlPackets int    `json:"control_plane_packets,omitempty"`
}

// onRouter says whether anything of the run's captures is on the router, or may be.
func (s sideStatus) onRouter() bool {
	return s.Capture != "not there" || s.Control != "" && s.Control != "not there"
}

func (a *app) statusOf(ctx context.Context, arg, name string) (*runStatus, error) {
	out := &runStatus{Sides: []sideStatus{}}
	_, _, err := a.onBundle(ctx, arg, name,
		func(ctx context.Context, b *bundle.Bundle, h capture.Hosts, o capture.Options) (*capture.Result, error) {
			run, err := b.Run()
			if err != nil {
				return nil, err
			}
			out.Tunnel, out.ID, out.Bundle, out.Started = run.Tunnel, run.ID, b.Dir(), run.Started
			out.began = !run.A.StartDone.IsZero() || !run.B.StartDone.IsZero()
			out.over = capture.Over(b, name) != nil
			var later time.Time // when the captures at the control plane end
			if plan, err := capture.LoadPlan(b); err == nil && !run.A.StartDone.IsZero() && !run.B.StartDone.IsZero() {
				ends := run.A.StartDone.Add(plan.Settings.Duration)
				out.Ends = &ends
				later = run.A.StartDone.Add(plan.Settings.ControlPlaneDuration())
			}
			all, err := capture.Status(ctx, b, h, o)
			for _, s := range all {
				if s.Control != nil && out.Ends != nil {
					out.ControlEnds = &later
				}
				out.Sides = append(out.Sides, stateOfSide(s))
			}
			return nil, err
		})
	if err != nil && len(out.Sides) == 0 {
		return out, err
	}
	if err := a.printStatus(out); err != nil {
		return out, err
	}
	if err != nil {
		return out, &exitError{exitFailed, err}
	}
	return out, nil
}

func stateOfSide(s capture.SideStatus) sideStatus {
	out := sideStatus{Side: string(s.Side), Peer: s.Peer, Capture: captureWord(s.Exists, s.Active), Packets: s.Packets,
		Dropped: s.Dropped}
	if c := s.Control; c != nil {
		out.Control, out.ControlPackets = captureWord(c.Exists, c.Active), c.Packets
	}
	if s.Err != nil {
		out.Capture, out.Error = "unknown", sentence(s.Err)
	}
	return out
}

func captureWord(exists, active bool) string {
	switch {
	case active:
		return "active"
	case exists:
		return "stopped"
	}
	return "not there"
}

// Local times have their zone: a run's id beside them is in UTC.
const (
	withZone     = time.DateTime + " MST"
	timeWithZone = time.TimeOnly + " MST"
)

func (a *app) printStatus(s *runStatus) error {
	gone := !slices.ContainsFunc(s.Sides, sideStatus.onRouter)
	what := "started"
	if gone && !s.began {
		what = "nothing was captured by the run of"
	}
	fmt.Fprintf(a.stdout, "%s: %s %s", printable(s.Tunnel), what, s.Started.Local().Format(withZone))
	any := func(is func(sideStatus) bool) bool { return slices.ContainsFunc(s.Sides, is) }
	active := any(func(side sideStatus) bool { return side.Capture == "active" || side.Error != "" })
	control := any(func(side sideStatus) bool { return side.Control == "active" })
	switch {
	case s.over:
		fmt.Fprint(a.stdout, ", over: moncap clean removes what it left")
	case s.Ends == nil:
	case gone:
		fmt.Fprint(a.stdout, ", over: its captures are on no router any more")
	case !active && control:
		fmt.Fprint(a.stdout, ", stopped, but not at the control plane: moncap collect stops that and fetches what they hold")
	case !active:
		fmt.Fprint(a.stdout, ", stopped: moncap collect fetches what they hold")
	default:
		fmt.Fprint(a.stdout, ", "+whenOver(*s.Ends))
	}
	if s.ControlEnds != nil && control && !s.over {
		fmt.Fprint(a.stdout, "; at the control plane: "+whenOver(*s.ControlEnds))
	}
	fmt.Fprintf(a.stdout, "; %s\n", printable(s.Bundle))
	w := a.newTable(a.stdout)
	fmt.Fprint(w, "SIDE\tPEER\tCAPTURE\tPACKETS\tDROPPED")
	two := any(func(side sideStatus) bool { return side.Control != "" })
	if two {
		fmt.Fprint(w, "\tCONTROL PLANE\tPACKETS")
	}
	fmt.Fprintln(w)
	counted := func(capture string, n int) string {
		if capture != "active" && capture != "stopped" {
			return "-"
		}
		return strconv.Itoa(n)
	}
	for _, side := range s.Sides {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s", side.Side, side.Peer, side.Capture, counted(side.Capture, side.Packets),
			counted(side.Capture, side.Dropped))
		if two {
			fmt.Fprintf(w, "\t%s\t%s", orDefault(side.Control, "-"), counted(side.Control, side.ControlPackets))
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}

// whenOver says when a capture stops by itself, or did.
func whenOver(at time.Time) string {
	if left := time.Until(at); left > 0 {
		return fmt.Sprintf("stops by itself at %s, in %s", at.Local().Format(timeWithZone), left.Round(time.Second))
	}
	return "its time was over at " + at.Local().Format(timeWithZone)
}

func (a *app) stopCommand() *cobra.Command {
	dryRun, name := false, ""
	c := &cobra.Command{
		Use:               "stop TUNNEL|BUNDLE",
		Short:             "Stop captures that were started; their packets stay on the routers",
		Example:           "  moncap stop hq-branch\n  moncap collect hq-branch",
		Args:              wants(1, 1),
		ValidArgsFunction: a.completeRun,
		RunE: func(cmd *cobra.Command, args []string) error {
			if dryRun {
				return a.explainStop(args[0], name)
			}
			dir, _, err := a.onBundle(cmd.Context(), args[0], name, capture.Stop)
			err = unlessUnknown(dir, err)
			a.fact("bundle", dir)
			if errors.Is(err, bundle.ErrLocked) && isArmed(dir) {
				return a.askStop(dir)
			}
			if errors.Is(err, capture.ErrOver) || errors.Is(err, capture.ErrNothing) {
				return showsReport(args[0], err)
			}
			if err != nil {
				return err
			}
			run := wordsFor(dir, name)
			a.done = &unsaid{exitDirty, "the captures are stopped, and what they hold is on the routers: " + run,
				"moncap collect " + run + " fetches it; moncap clean " + run + " removes it"}
			_, err = fmt.Fprintf(a.stdout, "stopped; fetch them with: %s\n", a.asGiven("moncap collect "+run))
			return err
		},
	}
	nameFlag(c, &name)
	a.registerPatience(c)
	c.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be done and connect to nothing")
	return c
}

func (a *app) collectCommand() *cobra.Command {
	var o outputFlags
	keys, name, dryRun := "", "", false
	c := &cobra.Command{
		Use:   "collect TUNNEL|BUNDLE",
		Short: "Stop, export, fetch, observe and clean up what start began; then the report",
		Long: "Stop, export, fetch, observe and clean up what start began; then the report. Also for a run that left the " +
			"only copy of\nits packets on a router: what can be fetched now is fetched, and the routers are cleaned.\n" +
			exitStatusHelp,
		Example:           "  moncap collect hq-branch --format html -o report.html",
		Args:              wants(1, 1),
		ValidArgsFunction: a.completeRun,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.check(a); err != nil {
				return err
			}
			if dryRun {
				return a.explainCollect(args[0], name)
			}
			dir, _, err := a.onBundle(cmd.Context(), args[0], name, capture.Collect)
			err = unlessUnknown(dir, err)
			if errors.Is(err, capture.ErrOver) || errors.Is(err, capture.ErrNothing) {
				return a.isOver(args[0], err, o)
			}
			if dir != "" && err != nil && exitCode(err) != exitUsage {
				return errors.Join(err, a.showFailed(a.failedDocument(dir, args[0], err), o))
			}
			if err != nil {
				return err
			}
			d, err := a.finishReport(cmd.Context(), dir, keys)
			if err != nil {
				return noReport(dir, err)
			}
			return a.show(d, o)
		},
	}
	o.register(c)
	a.registerUploadPassword(c)
	c.Flags().StringVar(&keys, "keys", "", "file of keys, as Wireshark's ikev2_decryption_table or "+
		"ikev1_decryption_table; with --format pcapng -o FILE a copy for Wireshark goes to FILE.keys")
	nameFlag(c, &name)
	a.registerPatience(c)
	c.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be done and connect to nothing")
	return c
}
