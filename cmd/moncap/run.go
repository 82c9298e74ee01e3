package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/capture"
	"github.com/moncap/moncap/device/inventory"
	"github.com/moncap/moncap/device/iosxe"
)

// captureFlags are the settings of a capture that the command line may change.
type captureFlags struct {
	name           string
	bufferMB       int
	duration       time.Duration
	packets        int
	packetLen      int
	pps            int
	circular       bool
	ikeOnly        bool
	until          string
	trigger        string
	side           string
	keep           bool
	zeroConfig     bool
	noDropCounters bool
	debug          bool
	packetTrace    int
	controlPlane   bool
	binaryTrace    bool
	viaExport      string
	wait           time.Duration // for routers that other runs have
	flags          *pflag.FlagSet
}

// register offers everything that a run may be told.
func (f *captureFlags) register(c *cobra.Command) {
	f.registerSettings(c)
	f.registerTrigger(c)
	f.registerEnd(c)
}

// registerSettings offers what the captures are like. They are all that a check looks at.
func (f *captureFlags) registerSettings(c *cobra.Command) {
	f.until, f.flags = "none", c.Flags()
	fl := c.Flags()
	fl.StringVar(&f.name, "name", "",
		"name of capture point and access list (default: the inventory's, else mc and six characters of the run)")
	fl.IntVar(&f.bufferMB, "buffer", 0, "buffer in MB, 1 to 100 (default: the inventory's)")
	fl.DurationVar(&f.duration, "duration", 0,
		"how long to capture, 1s to 24h; the routers stop by themselves after it (default: the inventory's)")
	fl.IntVar(&f.packets, "packets", 0,
		"packets after which the routers stop by themselves, 1 to 100000 (default: the inventory's)")
	fl.IntVar(&f.packetLen, "packet-len", 0, "bytes kept of each packet, 64 to 9500 (default: all)")
	fl.IntVar(&f.pps, "pps", 0, "packets kept a second, 1 to 1000000 (default: the inventory's, or 1000 as IOS XE has it)")
	fl.BoolVar(&f.ikeOnly, "ike-only", false,
		"capture no ESP and no AH, so that a busy tunnel does not push IKE out; ESP in UDP (NAT) is captured still")
	fl.BoolVar(&f.circular, "circular", false, "overwrite the oldest packets when the buffer is full")
	fl.BoolVar(&f.noDropCounters, "no-drop-counters", false,
		"do not ask the routers what they dropped, before and after the capture")
	fl.BoolVar(&f.zeroConfig, "zero-config", false,
		"change no configuration and write no file on the routers; slower (see moncap account --narrow)")
	fl.StringVar(&f.viaExport, "via-export", "",
		"let the routers push the captures to an SCP server, scp://USER@HOST[:PORT][/FOLDER], and fetch them there")
	fl.BoolVar(&f.debug, "debug", false, "trace IKEv2 for this one peer while capturing, and compare with the packets")
	f.registerInside(fl)
}

// registerInside offers what looks inside the routers.
func (f *captureFlags) registerInside(fl *pflag.FlagSet) {
	fl.IntVar(&f.packetTrace, "packet-trace", 0,
		"have the routers' data planes trace the first N packets of this one peer, 16 to 256, and tell what dropped "+
			"them; 0: none (default: the inventory's, or none)")
	fl.BoolVar(&f.controlPlane, "control-plane", false,
		"capture at the routers' control planes as well, and tell what was dropped before IKE (default: the inventory's)")
	fl.BoolVar(&f.binaryTrace, "binary-trace", false,
		"read what IKE wrote into the binary trace, of IOS XE 17 and later (default: the inventory's)")
}

// asked is the value of a flag that was given, be it to turn something off; else what the inventory
// says.
func asked[T comparable](f *captureFlags, flag string, value, byDefault T) T {
	if f.flags != nil && f.flags.Changed(flag) {
		return value
	}
	return orDefault(value, byDefault)
}

// registerTrigger offers what makes the tunnel negotiate.
func (f *captureFlags) registerTrigger(c *cobra.Command) {
	fl := c.Flags()
	fl.StringVar(&f.trigger, "trigger", "",
		"command that makes the tunnel negotiate: "+strings.Join(iosxe.TriggerForms(), "; "))
	fl.StringVar(&f.side, "trigger-side", "", "who is sent the trigger: a or b (default: the side whose peer it names)")
	mustComplete(c, "trigger-side", []string{"a", "b"})
}

// registerEnd offers what ends the wait, and what becomes of the captures.
func (f *captureFlags) registerEnd(c *cobra.Command) {
	fl := c.Flags()
	fl.StringVar(&f.until, "until", f.until,
		"stop waiting when: decided (established or failed), established, failed, or packets=N on a side")
	fl.BoolVar(&f.keep, "keep", false, "leave capture point, access list and file on the routers")
	mustComplete(c, "until", []string{"decided", "established", "failed", "packets="})
}

// registerWait offers to wait for routers that are busy.
func (f *captureFlags) registerWait(c *cobra.Command) {
	c.Flags().DurationVar(&f.wait, "wait-for-router", 0,
		"how long to wait for a router that other runs have, up to its limits.runs (default: not at all)")
}

// patienceFlag is how long a router that does not answer any more is tried.
type patienceFlag time.Duration

func (p *patienceFlag) String() string { return time.Duration(*p).String() }
func (p *patienceFlag) Type() string   { return "duration" }

// Set takes no less than what a router gets without being asked for.
func (p *patienceFlag) Set(s string) error {
	d, err := time.ParseDuration(s)
	if err == nil && (d < capture.DefaultPatience || d > 24*time.Hour) {
		err = fmt.Errorf("want %s to 24h", capture.DefaultPatience)
	}
	*p = patienceFlag(d)
	return err
}

func (a *app) registerPatience(c *cobra.Command) {
	a.patience = patienceFlag(capture.DefaultPatience)
	c.Flags().Var(&a.patience, "patience",
		"how long to try a router that does not answer any more, before it is left as it is with exit code 5")
}

// checkRanges holds the flags that were given against what a router takes; the inventory's own
// bounds are the same.
func (f *captureFlags) checkRanges() error {
	for _, r := range []struct {
		flag       string
		value      int
		from, upTo int
	}{
		{"buffer", f.bufferMB, 1, 100}, {"packets", f.packets, 1, 100_000}, {"packet-len", f.packetLen, 64, 9500},
		{"pps", f.pps, 1, 1_000_000},
		{"packet-trace", f.packetTrace, iosxe.TracedLeast, iosxe.TracedMost},
	} {
		off := r.flag == "packet-trace" && r.value == 0
		if f.flags.Changed(r.flag) && !off && (r.value < r.from || r.value > r.upTo) {
			return usageError(fmt.Errorf("--%s %d: want %d to %d", r.flag, r.value, r.from, r.upTo))
		}
	}
	if f.flags.Changed("duration") && (f.duration < time.Second || f.duration > 24*time.Hour) {
		return usageError(fmt.Errorf("--duration %s: want 1s to 24h", f.duration))
	}
	return nil
}

// secretFlag is a flag that says where a secret is kept. A secret itself is refused.
type secretFlag struct {
	ref inventory.SecretRef
	err error
}

func (p *secretFlag) String() string { return p.ref.String() }
func (p *secretFlag) Type() string   { return "reference" }

// Set keeps an error to itself: the one that cobra would make of it repeats the value, which may be
// a password.
func (p *secretFlag) Set(s string) error {
	p.ref, p.err = inventory.ParseSecretRef(s)
	return nil
}

func (a *app) registerUploadPassword(c *cobra.Command) {
	c.Flags().Var(&a.uploadPassword, "via-export-password",
		"where the password of that server is kept: env:VAR, file:PATH, cmd:COMMAND, keyring:NAME or ask")
}

// settings are the tunnel's of the inventory, with what the flags change.
func (f *captureFlags) settings(t *inventory.Tunnel) (capture.Settings, error) {
	until, err := capture.ParseUntil(f.until)
	if err != nil {
		return capture.Settings{}, usageError(fmt.Errorf("--until: %w", err))
	}
	if f.flags != nil {
		if err := f.checkRanges(); err != nil {
			return capture.Settings{}, err
		}
	}
	if f.side != "" && !strings.EqualFold(f.side, "a") && !strings.EqualFold(f.side, "b") {
		return capture.Settings{}, usageError(fmt.Errorf("--trigger-side: want a or b, got %q", f.side))
	}
	c := t.Capture
	return capture.Settings{
		Name: orDefault(f.name, c.Name), BufferMB: orDefault(f.bufferMB, c.BufferMB),
		Duration: orDefault(f.duration, c.Duration),
		Packets:  orDefault(f.packets, c.Packets), PacketLen: orDefault(f.packetLen, c.PacketLen),
		PPS:      orDefault(f.pps, c.PPS),
		Circular: f.circular || c.Circular, IKEOnly: f.ikeOnly || c.IKEOnly, Until: until, Trigger: f.trigger,
		TriggerSide: capture.Side(strings.ToUpper(f.side)),
		Keep:        f.keep, ZeroConfig: f.zeroConfig, ViaExport: f.viaExport, Debug: f.debug, ICMPFromAnyone: true,
		NoDropCounters: f.noDropCounters, PacketTrace: asked(f, "packet-trace", f.packetTrace, c.PacketTrace),
		ControlPlane: asked(f, "control-plane", f.controlPlane, c.ControlPlane),
		BinaryTrace:  asked(f, "binary-trace", f.binaryTrace, c.BinaryTrace),
		MaxClockSkew: max(t.A.Limits.ClockSkew, t.B.Limits.ClockSkew),
	}, nil
}

func orDefault[T comparable](v, byDefault T) T {
	var zero T
	if v == zero {
		return byDefault
	}
	return v
}

func (f *captureFlags) plan(t *inventory.Tunnel, runID string) (*capture.Plan, error) {
	s, err := f.settings(t)
	if err != nil {
		return nil, err
	}
	p, err := capture.NewPlan(t.Name, endpointOf(t.A), endpointOf(t.B), s, runID)
	if err != nil {
		return nil, usageError(err)
	}
	return p, nil
}

func (a *app) planCommand() *cobra.Command {
	var f captureFlags
	c := &cobra.Command{
		Use:               "plan TUNNEL",
		Short:             "Every line that run would send to each router; connects to nothing",
		Example:           "  moncap plan hq-branch --name cap",
		Args:              wants(1, 1),
		ValidArgsFunction: a.completeTunnel,
		RunE:              func(_ *cobra.Command, args []string) error { return a.printPlan(args[0], &f) },
	}
	f.register(c)
	return c
}

func (a *app) printPlan(tunnel string, f *captureFlags) error {
	t, err := a.loadTunnel(tunnel)
	if err != nil {
		return err
	}
	p, err := f.plan(t, newRunID(time.Now()))
	if err != nil {
		return err
	}
	a.fact("tunnel", t.Name)
	a.fact("steps", plannedSteps(p))
	if f.name == "" {
		a.progress("the name %s is an example: each run has another one, unless --name says which", p.A.Name)
	}
	return p.Write(a.stdout)
}

// plannedStep is a step of the plan, in JSON.
type plannedStep struct {
	Side  string   `json:"side"`
	Peer  string   `json:"peer"`
	Phase string   `json:"phase"`
	Mode  string   `json:"mode"` // exec, config, transfer
	Lines []string `json:"lines"`
}

func plannedSteps(p *capture.Plan) []plannedStep {
	all := []plannedStep{}
	for _, side := range []capture.Side{capture.A, capture.B} {
		for _, s := range slices.Concat(capture.Opening(), p.Steps(side)) {
			all = append(all, plannedStep{string(side), p.Get(side).Endpoint.Name, string(s.Phase), modeName(s.Command.Mode),
				s.Command.Lines})
		}
	}
	return all
}

type runFlags struct {
	captureFlags
	outputFlags
	chosen
	out      string
	keys     string
	parallel int
	dryRun   bool
	quietOK  bool
	quiet    bool // with quietOK: whether -q was given as well
	onChange string
	timeout  time.Duration
}

func (a *app) runCommand() *cobra.Command {
	var f runFlags
	c := &cobra.Command{
		Use:   "run TUNNEL...",
		Short: "The playbook on both routers, then the report",
		Long: `Check both routers, push the access list, define, start, wait, stop, export, fetch by SCP, observe, and leave the
routers as they were; then compare both captures and say what is wrong. The first Ctrl-C ends
the captures and reports what they hold, the second gives up and cleans the routers.

TUNNEL is a name, or a pattern such as 'hq-*'. Several tunnels get a line each, and a bundle each that holds the report. A router is in as many runs at a time as its
limits.runs in the inventory says (1), so the hub of many tunnels is not overloaded. The exit code is the worst one; from
the worst to the best: 5, 64, 4, 2, 3, 1, 0.
` + exitStatusHelp,
		Example: `  moncap run hq-branch
  moncap run hq-branch --until established --trigger "clear crypto session remote 192.168.2.1"
  moncap run --all --parallel 4
  moncap run 'hq-*' --tags nightly --format json
  moncap run hq-branch --format html -o report.html`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: a.completeTunnels,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(a); err != nil {
				return err
			}
			if f.quietOK { // what goes wrong is said at the end, with the error
				f.quiet, a.quiet, a.logLevel = a.quiet, true, slog.LevelError
			}
			f.names = args
			tunnels, err := a.chosenTunnels(f.chosen)
			if err != nil {
				return err
			}
			if f.timeout < 0 {
				return usageError(errors.New("--timeout: want a time from 1s"))
			}
			if f.timeout > 0 {
				defer time.AfterFunc(f.timeout, func() { a.interrupts.giveUp(&timedOut{f.timeout}) }).Stop()
			}
			switch {
			case f.dryRun:
				return a.dryRun(tunnels, &f)
			case len(tunnels) == 1:
				return a.runOne(cmd.Context(), tunnels[0], &f)
			}
			return a.runSeveral(cmd.Context(), tunnels, &f)
		},
	}
	f.captureFlags.register(c)
	a.registerOptional(c)
	f.registerWait(c)
	a.registerPatience(c)
	f.more = []string{"line", "nagios", "prometheus"}
	f.outputFlags.register(c)
	a.registerUploadPassword(c)
	fl := c.Flags()
	fl.BoolVar(&f.quietOK, "quiet-ok", false,
		"print nothing at all when the exit code is 0, for a scheduler that mails what is printed")
	fl.StringVar(&f.onChange, "on-change", "", "run this shell command when the verdict is another than the tunnel's "+
		"last; it gets the difference as JSON on its stdin")
	fl.DurationVar(&f.timeout, "timeout", 0,
		"give up, and clean the routers, after this time (default: as long as it takes)")
	fl.StringVar(&f.out, "out", "", "folder of the bundle (default runs/TUNNEL-TIME-ID, or under $MONCAP_RUNS)")
	fl.StringVar(&f.keys, "keys", "", "file of keys, as Wireshark's ikev2_decryption_table or ikev1_decryption_table; "+
		"with --format pcapng -o FILE a copy for Wireshark goes to FILE.keys")
	f.chosen.register(c)
	fl.IntVar(&f.parallel, "parallel", 1, "how many tunnels at the same time")
	fl.BoolVar(&f.dryRun, "dry-run", false, "print what would be sent and connect to nothing, as moncap plan does")
	return c
}

// chosen says which tunnels of the inventory are meant: by their names or patterns of them, by
// their tags, or all.
type chosen struct {
	names []string
	tags  []string
	all   bool
}

func (s *chosen) register(c *cobra.Command) {
	c.Flags().BoolVar(&s.all, "all", false, "every tunnel of the inventory")
	c.Flags().StringSliceVar(&s.tags, "tags", nil, "every tunnel that has one of these tags in the inventory")
}

// chosenTunnels returns them in the order in which they were named, each once.
func (a *app) chosenTunnels(s chosen) ([]*inventory.Tunnel, error) {
	inv, err := a.loadInventory()
	if err != nil {
		return nil, err
	}
	names := s.names
	switch {
	case s.all && len(names) == 0 && len(s.tags) == 0:
		names = inv.TunnelNames()
	case s.all:
		return nil, usageError(errors.New("--all is every tunnel: want it, or names and --tags"))
	case len(names) == 0 && len(s.tags) == 0:
		return nil, usageError(errors.New("want the names of tunnels, patterns such as 'hq-*', --tags or --all"))
	}
	var tunnels []*inventory.Tunnel
	add := func(found ...string) {
		for _, n := range found {
			if !slices.Contains(tunnels, inv.Tunnels[n]) {
				tunnels = append(tunnels, inv.Tunnels[n])
			}
		}
	}
	for _, n := range names {
		found, err := tunnelsNamed(inv, n)
		if err != nil {
			return nil, usageError(err)
		}
		add(found...)
	}
	for _, tag := range s.tags {
		found := slices.DeleteFunc(inv.TunnelNames(),
			func(n string) bool { return !slices.Contains(inv.Tunnels[n].Tags, tag) })
		if len(found) == 0 {
			return nil, usageError(fmt.Errorf("%s: no tunnel has the tag %q", inv.File, tag))
		}
		add(found...)
	}
	return tunnels, nil
}

// tunnelsNamed returns the tunnel with a name, or those that a pattern such as hq-* describes.
func tunnelsNamed(inv *inventory.Inventory, name string) ([]string, error) {
	if !strings.ContainsAny(name, "*?[") {
		if _, err := inv.Tunnel(name); err != nil {
			return nil, fmt.Errorf("%w%s", err, didYouMean(name, inv.TunnelNames()))
		}
		return []string{name}, nil
	}
	var found []string
	for _, n := range inv.TunnelNames() {
		matches, err := path.Match(name, n)
		if err != nil {
			return nil, fmt.Errorf("%q is no pattern of names: %w", name, err)
		}
		if matches {
			found = append(found, n)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%s: no tunnel is called as %q says", inv.File, name)
	}
	return found, nil
}

func (a *app) dryRun(tunnels []*inventory.Tunnel, f *runFlags) error {
	for _, t := range tunnels {
		p, err := f.plan(t, newRunID(time.Now()))
		if err != nil {
			return err
		}
		if err := p.Write(a.stdout); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) runOne(ctx context.Context, t *inventory.Tunnel, f *runFlags) error {
	before := a.lastRun(t.Name, f.onChange)
	d, dir, err := a.perform(ctx, a.newConnector(), t, f)
	code := d.report.Verdict.ExitCode
	if err != nil {
		code = exitCode(err)
	}
	a.tellChange(ctx, f.onChange, before, d.report)
	a.remember(ctx, dir, d.report, code, err)
	if f.quietOK && code == exitOK && f.toStdout() {
		return nil
	}
	if f.quietOK {
		a.quiet = f.quiet
	}
	a.sayBundle(dir)
	switch {
	case f.format == "line":
		return errors.Join(err, a.showLine(d.report, dir, code, f.file))
	case f.format == "nagios":
		return errors.Join(a.showRunNagios(d.report, code, f.file), err)
	case f.format == "prometheus":
		return errors.Join(err, a.showRunMetrics(f.file), exitWith(code))
	case err == nil:
		return a.show(d, f.outputFlags)
	}
	return errors.Join(err, a.showFailed(d, f.outputFlags))
}

// showRunMetrics writes the metrics of all tunnels, with the run that just ended.
func (a *app) showRunMetrics(file string) error {
	runs, err := a.history("")
	if err != nil {
		return err
	}
	return a.writeMetrics(runs, file)
}

// showLine writes one line for a mail's subject or a chat.
func (a *app) showLine(r *report.Report, dir string, code int, file string) error {
	err := a.writeTo(file, func(w io.Writer) error {
		_, err := fmt.Fprintln(w, lineOf(r, dir))
		return err
	})
	return errors.Join(err, exitWith(code))
}

// lineOf is a report in one line.
func lineOf(r *report.Report, dir string) string {
	line := fmt.Sprintf("%s: %s: %s", r.Tunnel, r.Verdict.Outcome, r.Verdict.Headline)
	if dir != "" {
		line += " [" + dir + "]"
	}
	return printable(line)
}

// perform runs the playbook on one tunnel and makes the report. There is a document, and the folder
// of a bundle unless none could be made, also when it failed.
func (a *app) perform(ctx context.Context, c *connector, t *inventory.Tunnel, f *runFlags) (document, string, error) {
	own := *f
	dir, err := a.playbook(ctx, c, t, &own, nil)
	if err != nil {
		return a.failedDocument(dir, t.Name, err), dir, err
	}
	d, err := a.finishReport(ctx, dir, f.keys)
	if err != nil {
		err = noReport(dir, err)
		return a.notRun(dir, t.Name, err), dir, err
	}
	return d, dir, nil
}

// noReport is the error when the routers were done with, and the report could not be made, of an
// interrupt for one.
func noReport(dir string, err error) error {
	return &exitError{exitFailed, &hinted{fmt.Errorf("report: %w", err),
		"both routers are clean and the captures are in the bundle: moncap report " + dir}}
}

// stoppable has the first Ctrl-C end the captures while they wait, or enough, which may be nil.
func (a *app) stoppable(o *capture.Options, view progressView, enough <-chan struct{}) (end func()) {
	stop, over := make(chan struct{}), make(chan struct{})
	stopOnce, show, waited := sync.OnceFunc(func() { close(stop) }), o.Events, func() {}
	go func() {
		select {
		case <-enough:
			stopOnce()
		case <-over:
		}
	}()
	o.Stop = stop
	o.Events = func(e capture.Event) {
		switch {
		case e.Phase != capture.PhaseWait || e.Side != "":
		case e.Kind == capture.Began:
			waited = a.interrupts.waiting(func() {
				view.note("the captures end here, and are fetched and compared; Ctrl-C again gives them up")
				stopOnce()
			})
		case e.Kind == capture.Ended:
			waited()
		}
		show(e)
	}
	return func() { waited(); close(over) }
}

// playbook runs it on one tunnel and returns the folder of the bundle. enough ends the wait early;
// it may be nil.
func (a *app) playbook(
	ctx context.Context, c *connector, t *inventory.Tunnel, f *runFlags, enough <-chan struct{},
) (string, error) {
	runID := newRunID(time.Now())
	plan, err := f.plan(t, runID)
	if err != nil {
		return "", err
	}
	if err := a.canAsk(t, f.viaExport != ""); err != nil {
		return "", err
	}
	// In the order in which workers take them, so that neither waits for what the other has.
	giveBack, err := a.takePlaces(ctx, t, runID, f.name, f.wait)
	if err != nil {
		return "", err
	}
	defer giveBack()
	release, err := a.takeRouters(ctx, t, limitsOf([]*inventory.Tunnel{t}, f.name), f.wait)
	if err != nil {
		return "", err
	}
	defer release()
	b, err := a.createBundle(f.out, t.Name, runID)
	if err != nil {
		return "", err
	}
	defer b.Close()
	s, err := c.open(t, b)
	if err != nil {
		return b.Dir(), &exitError{exitFailed, err}
	}
	defer s.Close()
	defer a.interrupts.leaving(func() { a.sayLeft(b.Dir()) })()
	view := a.newProgress(ctx, len(capture.Phases()), [2]string{t.A.Name, t.B.Name})
	view.lasts(plan.Settings.Duration)
	o := a.captureOptions(ctx, view)
	end := a.stoppable(&o, view, enough)
	r, err := capture.Run(ctx, plan, s.hosts(), b, o)
	end()
	view.close()
	if err != nil && r != nil && r.Run != nil && r.Run.Clean {
		a.progress("nothing of the run is left on the routers")
	}
	return b.Dir(), runFailure(err)
}

// canAsk refuses, before a router is dialled, what has to be typed when nobody can.
func (a *app) canAsk(t *inventory.Tunnel, viaExport bool) error {
	if !a.noInput && a.asksOnTerminal() {
		return nil
	}
	why := "and --no-input was given or stdin is no terminal"
	for _, p := range []*inventory.Peer{t.A, t.B} {
		if p.Password.Asks() && p.KeyFile == "" && !p.Agent && !p.SSHConfig {
			return usageError(&hinted{fmt.Errorf("%s: its password must be typed, %s", p.Name, why),
				"keep it where it can be read: env:VAR, file:PATH, cmd:COMMAND or keyring:NAME in the inventory"})
		}
	}
	if viaExport && (a.uploadPassword.ref.IsZero() || a.uploadPassword.ref.Asks()) {
		return usageError(&hinted{fmt.Errorf("--via-export: the password of the server must be typed, %s", why),
			"say where it is kept with --via-export-password"})
	}
	return nil
}

func (a *app) captureOptions(ctx context.Context, view progressView) capture.Options {
	o := capture.Options{
		Events: func(e capture.Event) { showEvent(ctx, view, e) },
		Log:    a.logger(),
		Tool:   "moncap " + versionString(),
		Folder: a.runsDir(), OpenRuns: a.knownOpen,
		LineWait: a.lineWait, LineWaitFor: a.lineWaitFor, Patience: time.Duration(a.patience),
	}
	if a.live != nil {
		o.Live, o.Poll = a.live, livePoll
	}
	if a.tune != nil {
		a.tune(nil, &o)
	}
	return o
}

func showEvent(ctx context.Context, v progressView, e capture.Event) {
	side := string(e.Side)
	switch e.Kind {
	case capture.Began:
		v.phase(side, string(e.Phase))
	case capture.Ended:
		// What ends the phase for both is the run's own error, which is printed at the end.
		if failed, ok := errors.AsType[*capture.PhaseError](e.Err); ok && side != "" {
			v.failed(side, string(e.Phase), failed.Cause())
		}
	case capture.Packets:
		v.detail(side, packetCount(e.Count))
	case capture.Progress:
		v.detail(side, transferred(e.Done, e.Total))
	case capture.Removing:
		v.detail(side, e.Text)
		if ctx.Err() != nil {
			v.removing(side, e.Text)
		}
	case capture.Note:
		v.note(e.Text)
	}
}

func packetCount(n int) string {
	if n == 1 {
		return "1 packet"
	}
	return fmt.Sprintf("%d packets", n)
}

// transferred is a bar of a transfer, and its size.
func transferred(done, total int64) string {
	if total <= 0 {
		return fmt.Sprintf("%d KB", done/1024)
	}
	const width = 10
	full := int(min(done, total) * width / total)
	size := fmt.Sprintf("%.1f MB", float64(total)/(1<<20))
	if total < 1<<20 {
		size = fmt.Sprintf("%d KB", (total+1023)/1024)
	}
	return fmt.Sprintf("[%s%s] %d%% of %s", strings.Repeat("#", full), strings.Repeat(".", width-full),
		min(done, total)*100/total, size)
}
