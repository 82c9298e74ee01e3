package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/moncap/moncap/capture"
	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/capture/event"
	"github.com/moncap/moncap/device/inventory"
)

// armFlags say what an armed run waits for, and how its captures are.
type armFlags struct {
	on         []string
	lasts      time.Duration
	after      time.Duration
	again      int
	buffer     int
	packets    int
	esp        bool
	zeroConfig bool
}

func (f *armFlags) register(c *cobra.Command) {
	f.lasts, f.after = 72*time.Hour, 20*time.Second
	fl := c.Flags()
	fl.StringSliceVar(&f.on, "on", nil, "the events that are waited for, as moncap "+c.Name()+
		" --help lists them (default: "+
		strings.Join(defaultEvents(false), ", ")+"; with --syslog also whatever keeps a tunnel from carrying traffic)")
	fl.DurationVar(&f.lasts, "for", f.lasts, "how long to wait for an event, up to 277h")
	fl.DurationVar(&f.after, "after", f.after, "how long the captures go on after an event, up to 10m")
	fl.IntVar(&f.again, "again", 0, "how often to arm again after an event: there is a bundle for each")
	fl.IntVar(&f.buffer, "buffer", 0, "circular buffer in MB, 1 to 100 (default: the inventory's)")
	fl.IntVar(&f.packets, "packets", 100_000, "packets after which the routers stop by themselves, 1000 to 100000")
	fl.BoolVar(&f.esp, "esp", false,
		"capture ESP and AH as well: on a busy tunnel the buffer then holds seconds instead of days")
	fl.BoolVar(&f.zeroConfig, "zero-config", false, "change no configuration and write no file on the routers; slower")
	mustComplete(c, "on", eventNames())
}

// defaultEvents are those that are waited for unless others are named.
func defaultEvents(told bool) []string {
	all := []string{capture.EventLost, capture.EventReload}
	if told {
		for _, k := range event.Trouble() {
			all = append(all, string(k))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func eventNames() []string {
	all := capture.ArmedEvents()
	for _, k := range event.Kinds() {
		if !slices.Contains(all, string(k)) {
			all = append(all, string(k))
		}
	}
	return all
}

const eventHelp = `
The events that the routers show by themselves, asked every 15 seconds over the session that is open anyway:
  lost                the tunnel was up on a router, and is not any more (default)
  reload              a router lost its capture: restarted, or removed (default)
  negotiation-failed  a negotiation came to nothing, also one that began and ended between two looks
  sa-up               the tunnel came up
  rekey               another IKE SA took the place of the one before`

// check says what the flags cannot be.
func (f *armFlags) check(told bool) error {
	if len(f.on) == 0 {
		f.on = defaultEvents(told)
	}
	for _, name := range f.on {
		if !slices.Contains(eventNames(), name) {
			return usageError(fmt.Errorf("--on %s: want one of %s%s",
				printable(name), strings.Join(eventNames(), ", "), didYouMean(name, eventNames())))
		}
		if !told && !slices.Contains(capture.ArmedEvents(), name) {
			return usageError(fmt.Errorf("--on %s: only log lines tell of it: want --syslog udp:ADDRESS:PORT, and the routers "+
				"to log there", name))
		}
	}
	switch {
	case f.lasts < time.Second || f.lasts > capture.MaxArmed:
		return usageError(fmt.Errorf("--for %s: want 1s to %s", f.lasts, capture.MaxArmed.Truncate(time.Hour)))
	case f.after < 0 || f.after > capture.MaxAfter:
		return usageError(fmt.Errorf("--after %s: want 0s to %s", f.after, capture.MaxAfter))
	case f.again < 0 || f.again > 1000:
		return usageError(fmt.Errorf("--again %d: want 0 to 1000", f.again))
	case f.buffer < 0 || f.buffer > 100:
		return usageError(fmt.Errorf("--buffer %d: want 1 to 100", f.buffer))
	case f.packets < 1000 || f.packets > 100_000:
		return usageError(fmt.Errorf("--packets %d: want 1000 to 100000", f.packets))
	}
	return nil
}

// plan is that of one armed run, which waits for so long at most.
func (f *armFlags) plan(t *inventory.Tunnel, runID string, left time.Duration) (*capture.Plan, error) {
	set := captureFlags{until: "none", bufferMB: f.buffer, packets: f.packets, ikeOnly: !f.esp, circular: true,
		zeroConfig: f.zeroConfig, noDropCounters: true}
	s, err := set.settings(t)
	if err != nil {
		return nil, err
	}
	s.Armed = &capture.Arming{On: f.on, After: f.after, For: left}
	// What looks inside a router is for one negotiation, and not for days.
	s.PacketTrace, s.ControlPlane, s.BinaryTrace = 0, false, false
	// Two of them run beside each other: each has a name of its own.
	s.Name, s.IKEOnly, s.Duration = "", !f.esp, s.Armed.Duration()
	p, err := capture.NewPlan(t.Name, endpointOf(t.A), endpointOf(t.B), s, runID)
	if err != nil {
		return nil, usageError(err)
	}
	return p, nil
}

// watchFlags are those of the recorder in one process.
type watchFlags struct {
	armFlags
	rotate time.Duration
	syslog string
	wait   time.Duration
	format string
}

func (a *app) watchCommand() *cobra.Command {
	f := watchFlags{rotate: 24 * time.Hour, format: "text"}
	c := &cobra.Command{
		Use:   "watch TUNNEL",
		Short: "Flight recorder: capture until something happens to the tunnel, and show what led to it",
		Long: `Capture on both routers in circular buffers, IKE only, until something happens to the tunnel; then, --after more,
stop, fetch, compare and report as moncap run does. It takes one process and no database; moncap arm does the same with the
fleet's workers. It holds one of a router's limits.runs all the time: 2 lets moncap run work beside it.

The capture is changed every --rotate for a new one beside it, so that no moment is without one. A router that does not
answer for a while is not given up; one that was reloaded is told, and armed again. Ctrl-C ends the captures and fetches
them, and so do SIGTERM, a terminal that is closed, and moncap stop TUNNEL from elsewhere; a second Ctrl-C throws them away
and cleans the routers.
` + eventHelp + `

EXIT STATUS
  0   no event came to a tunnel that was up, or only such as sa-up, and it was found established
  1   the tunnel was lost or so, and the packets show nothing that is wrong, or warnings
  2   a critical finding
  3   inconclusive, or no event came and the tunnel was not seen up
  4   it could not be armed, or a run failed; the routers are clean
  5   something is left on a router; it says what, where, and the command that removes it
  64  wrong usage or inventory`,
		Example: `  moncap watch hq-branch
  moncap watch hq-branch --for 240h --again 5 --after 1m
  moncap watch hq-branch --on lost --on invalid-spi --syslog udp:0.0.0.0:5514`,
		Args:              wants(1, 1),
		ValidArgsFunction: a.completeTunnel,
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := a.loadTunnel(args[0])
			if err != nil {
				return err
			}
			return a.watch(cmd.Context(), t, &f)
		},
	}
	f.armFlags.register(c)
	a.registerPatience(c)
	a.registerOptional(c)
	fl := c.Flags()
	fl.DurationVar(&f.rotate, "rotate", f.rotate,
		"how long one capture lasts at most, from 1m; a new one takes over beside it")
	fl.StringVar(&f.syslog, "syslog", "", "listen for the routers' log lines at udp:ADDRESS:PORT or tcp:ADDRESS:PORT")
	fl.DurationVar(&f.wait, "wait-for-router", 0,
		"how long to wait for a router that other runs have, up to its limits.runs (default: not at all)")
	fl.StringVarP(&f.format, "format", "f", f.format,
		"of the report of each event: text, json (one document a line) or line")
	mustComplete(c, "format", []string{"text", "json", "line"})
	return c
}

// watcher is a watch in one process.
type watcher struct {
	app    *app
	tunnel *inventory.Tunnel
	flags  *watchFlags
	dial   *connector

	mu      sync.Mutex
	folders map[string]string // of bundles, by their runs' ids
	seenUp  bool              // the tunnel was, by any run
	codes   []int
	errs    []error
}

func (a *app) watch(ctx context.Context, t *inventory.Tunnel, f *watchFlags) error {
	if err := f.check(f.syslog != ""); err != nil {
		return err
	}
	if f.rotate < time.Minute {
		return usageError(fmt.Errorf("--rotate %s: want 1m or more", f.rotate))
	}
	if err := oneOf("--format", f.format, "text", "json", "line"); err != nil {
		return err
	}
	if _, err := f.plan(t, newRunID(time.Now()), f.lasts); err != nil {
		return err
	}
	if err := a.canAsk(t, false); err != nil {
		return err
	}
	giveBack, err := a.takePlaces(ctx, t, newRunID(time.Now()), "", f.wait)
	if err != nil {
		return err
	}
	defer giveBack()
	release, err := a.takeRouters(ctx, t, limitsOf([]*inventory.Tunnel{t}, ""), f.wait)
	if err != nil {
		return err
	}
	defer release()
	events, err := a.logLines(ctx, t, f.syslog)
	if err != nil {
		return err
	}
	defer events.close()
	w := &watcher{app: a, tunnel: t, flags: f, dial: a.newConnector(), folders: map[string]string{}}
	stop := make(chan struct{})
	a.interrupts.heedGently() // a terminal that is closed after two days, or a shutdown, costs no packets
	defer a.interrupts.waiting(sync.OnceFunc(func() {
		a.progress("the captures end here, and are fetched and compared; Ctrl-C again gives them up")
		close(stop)
	}))()
	a.progress("waiting for %s, %s; the packets until %s after it are kept", strings.Join(f.on, ", "), f.lasts, f.after)
	watch := &capture.Watch{For: f.lasts, Rotate: f.rotate, Again: f.again, Run: w.run, Caught: w.caught, Say: w.say,
		Events: events.caught, Stop: stop}
	if a.tune != nil {
		var o capture.Options
		a.tune(nil, &o)
		if o.Arm != nil {
			watch.Poll = o.Arm.Poll
		}
	}
	err = runFailure(watch.Do(ctx))
	if err := errors.Join(append(w.errs, err)...); err != nil {
		return err
	}
	switch {
	case len(w.codes) > 0:
	case !w.seenUp: // what was never there cannot be lost
		a.progress("no event in %s, and the tunnel was not seen up in it; the routers are as they were", f.lasts)
		return exitWith(exitInconclusive)
	default:
		a.progress("no event in %s; the routers are as they were", f.lasts)
	}
	return exitWith(worst(w.codes))
}

func (w *watcher) say(text string) {
	w.app.progress("%s %s", time.Now().UTC().Format("2006-01-02 15:04:05Z"), printable(text))
}

// run does one armed run. What was captured for nothing leaves no folder.
func (w *watcher) run(ctx context.Context, left time.Duration, o capture.WatchedOptions) (*capture.Result, error) {
	a, id := w.app, newRunID(time.Now())
	plan, err := w.flags.plan(w.tunnel, id, left)
	if err != nil {
		return nil, err
	}
	o.Named(plan.A.Name.String())
	b, err := a.createBundle("", w.tunnel.Name, id)
	if err != nil {
		return nil, err
	}
	dir := b.Dir()
	w.mu.Lock()
	w.folders[id] = dir
	w.mu.Unlock()
	r, err := w.runIn(ctx, plan, b, o)
	if r != nil && r.SeenUp {
		w.mu.Lock()
		w.seenUp = true
		w.mu.Unlock()
	}
	if err = errors.Join(err, b.Close()); err != nil {
		if d, dirty := errors.AsType[*capture.DirtyError](err); dirty {
			w.say(d.Error())
		}
		return r, err
	}
	if r.Run.Clean && r.Ended != capture.EndEvent && r.Ended != capture.EndStopped {
		if err := deleteRun(dir); err != nil { // nobody needs it, and nobody is hurt by it
			w.say(err.Error())
		}
	}
	return r, nil
}

func (w *watcher) runIn(ctx context.Context, plan *capture.Plan, b *bundle.Bundle,
	o capture.WatchedOptions) (*capture.Result, error) {
	a := w.app
	s, err := w.dial.open(w.tunnel, b)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	defer a.interrupts.leaving(func() { a.sayLeft(b.Dir()) })()
	co := a.captureOptions(ctx, quietView{})
	show := co.Events
	co.Events = func(e capture.Event) {
		show(e)
		switch e.Kind {
		case capture.Note:
			a.progress("%s", printable(e.Text))
		case capture.Began:
			if e.Side == "" && e.Phase != capture.PhaseWait {
				a.progress("%s: %s", plan.A.Name, e.Phase)
			}
		}
	}
	co.Arm, co.Stop = o.Arm, o.Stop
	return capture.Run(ctx, plan, s.hosts(), b, co)
}

// caught reports what a run brought home.
func (w *watcher) caught(r *capture.Result, err error) {
	a := w.app
	w.mu.Lock()
	dir := w.folders[r.Run.ID]
	w.mu.Unlock()
	var d document
	if err != nil {
		err = runFailure(err)
		d = a.failedDocument(dir, w.tunnel.Name, err)
		w.errs = append(w.errs, err)
	} else if d, err = a.finishReport(a.interrupts.ctx, dir, ""); err != nil {
		err = noReport(dir, err)
		d = document{report: a.notRun(dir, w.tunnel.Name, err).report}
		w.errs = append(w.errs, err)
	}
	code := d.report.Verdict.ExitCode
	if err != nil {
		code = exitCode(err)
	}
	if c := r.Run.Catch; c != nil {
		code = worst([]int{code, codeOfEvent(c.Kind)}) // also when there is no report
		if w.flags.format == "text" {
			fmt.Fprintf(a.stdout, "CAUGHT %s at %s: %s\nWhat both routers captured until then, and %s longer:\n\n",
				c.Kind, c.At.UTC().Format("2006-01-02 15:04:05Z"), printable(c.Text), w.flags.after)
		}
	}
	w.codes = append(w.codes, code)
	a.remember(a.interrupts.ctx, dir, d.report, code, err)
	if shown := w.show(d, dir); shown != nil {
		w.errs = append(w.errs, shown)
	}
	a.sayBundle(dir)
}

// codeOfEvent is the exit code of an event itself: packets that show nothing wrong do not make a
// tunnel that was lost a good one.
func codeOfEvent(kind string) int {
	if kind == capture.EventUp || kind == capture.EventRekey || kind == string(event.SAUp) ||
		kind == string(event.LineUp) {
		return exitOK
	}
	return exitWarnings
}

func (w *watcher) show(d document, dir string) error {
	a := w.app
	switch w.flags.format {
	case "line":
		_, err := fmt.Fprintln(a.stdout, lineOf(d.report, dir))
		return err
	case "json":
		return d.report.Write(a.stdout)
	}
	return a.writeTo("", func(out io.Writer) error { return a.render(out, d, "text", true) })
}

// told are events that come from elsewhere.
type told struct {
	caught chan bundle.Catch
	close  func()
}

// logLines listens for the log lines of a tunnel's routers. Of an empty address nothing comes.
func (a *app) logLines(ctx context.Context, t *inventory.Tunnel, at string) (*told, error) {
	out := &told{caught: make(chan bundle.Catch, 16), close: func() {}}
	if at == "" {
		return out, nil
	}
	book, err := a.bookFor(ctx, t)
	if err != nil {
		return nil, err
	}
	l, err := event.Listen(ctx, at)
	if err != nil {
		return nil, usageError(fmt.Errorf("--syslog: %w", err))
	}
	a.progress("listening for the routers' log lines at %s", l.Address())
	ctx, cancel := context.WithCancel(ctx)
	served := make(chan error, 1)
	var unclear sync.Once
	go func() {
		served <- l.Serve(ctx, book.Known, func(from netip.Addr, line []byte) {
			e, err := book.Read(from, line, time.Now())
			if ambiguous, ok := errors.AsType[*event.AmbiguousError](err); ok && slices.Contains(ambiguous.Tunnels, t.Name) {
				unclear.Do(func() { a.warn("a log line from %s is no event: %s", from, sentence(err)) })
			}
			if err != nil || e.Tunnel != t.Name {
				return
			}
			c := bundle.Catch{At: e.At, Kind: string(e.Kind), Text: e.Peer + ": " + e.Text}
			switch e.Peer {
			case t.A.Name:
				c.Side = capture.A
			case t.B.Name:
				c.Side = capture.B
			}
			select {
			case out.caught <- c:
			default: // a storm tells nothing new
			}
		})
	}()
	out.close = func() {
		cancel()
		if err := <-served; err != nil && !errors.Is(err, context.Canceled) {
			a.warn("%s", printable(err.Error()))
		}
	}
	return out, nil
}

// bookFor knows the inventory, of whose names it looks up those of one tunnel's routers: which
// tunnel a line is about is found among all that a router has.
func (a *app) bookFor(ctx context.Context, t *inventory.Tunnel) (*event.Book, error) {
	inv, err := a.loadInventory()
	if err != nil {
		return nil, err
	}
	settings, err := (&databaseFlags{}).settings(a)
	if err != nil {
		return nil, usageError(err)
	}
	return bookOf(inv, settings.Events.Relays, func(host string) []netip.Addr {
		if host != t.A.Host && host != t.B.Host {
			return nil
		}
		ctx, cancel := context.WithTimeout(ctx, lookUpLimit)
		defer cancel()
		all, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		if err != nil {
			a.warn("log lines of %s are not known by its address: %s", host, sentence(err))
		}
		return all
	}), nil
}

// isArmed says whether the run in a folder is an armed one.
func isArmed(dir string) bool {
	b, err := bundle.Open(dir)
	if err != nil {
		return false
	}
	defer b.Close()
	p, err := capture.LoadPlan(b)
	return err == nil && p.Settings.Armed != nil
}

// askStop has the process that watches a tunnel end its captures.
func (a *app) askStop(dir string) error {
	if err := bundle.AskStop(dir); err != nil {
		return &exitError{exitFailed, err}
	}
	at := printable(dir)
	a.done = &unsaid{exitDirty, "the moncap that watches was asked to stop both captures and to fetch them: " + at,
		"moncap status " + shellWord(at) + " tells when they are on no router any more"}
	_, err := fmt.Fprintf(a.stdout, "asked the moncap that watches to stop both captures and to fetch them: %s\n", at)
	return err
}
