package capture

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/device/iosxe"
)

func (r *router) defineACL(ctx context.Context) error {
	return r.make(ctx, kindACL, []iosxe.Command{r.plan.defineACL}, nil)
}

// define makes the capture point, and turns debug and packet trace on when they were asked for.
func (r *router) define(ctx context.Context) error {
	if err := r.make(ctx, kindCapture, r.plan.define, nil); err != nil {
		return err
	}
	if r.said != "" { // a capture point is defined without a word
		r.note(PhaseDefine, "the router answered the definition of the capture point with %s", quote(r.said))
	}
	if err := r.startDebug(ctx); err != nil {
		return err
	}
	if err := r.startTrace(ctx); err != nil {
		return err
	}
	return r.startControlPlane(ctx)
}

// startDebug turns the debug on, unless somebody debugs by now: it is everybody's, and would end
// for them when it ends for this run.
func (r *router) startDebug(ctx context.Context) error {
	if len(r.plan.debugOn) == 0 {
		return nil
	}
	out, err := r.repeat(ctx, iosxe.ShowDebug())
	if err == nil {
		err = r.debugFree(out)
	}
	if err != nil {
		return err
	}
	for i, kind := range []string{kindCondition, kindDebug} {
		if err := r.make(ctx, kind, r.plan.debugOn[i:i+1], nil); err != nil {
			return err
		}
	}
	out, err = r.exec(ctx, iosxe.ShowDebug())
	r.debugShows = err == nil && debugsIKEv2(out)
	return nil
}

// start sends the command when the other side is about to send it, too.
func (r *router) start(ctx context.Context, gate *barrier) error {
	passed := false
	defer func() {
		if !passed {
			gate.leave(true)
		}
	}()
	cmd := iosxe.StartCapture(r.plan.Name)
	err := r.make(ctx, kindActive, []iosxe.Command{cmd}, func(ctx context.Context) error {
		passed = true
		err := gate.arrive(ctx)
		r.info.StartSent = time.Now()
		return err
	})
	r.info.StartDone = time.Now()
	if err == nil { // what is written about it takes longer than it, and the sides wait for each other there
		r.info.StartDone = r.answered
	}
	if err != nil || iosxe.CaptureStarted(r.said) {
		return err
	}
	return r.confirmStart(ctx)
}

// confirmStart looks whether the capture runs when the router did not say so in the words that it
// is known to use.
func (r *router) confirmStart(ctx context.Context) error {
	c, err := r.capture(ctx, phaseAttempts)
	switch {
	case err != nil && refusalOf(err) == nil:
		return err
	case err == nil && (c == nil || !c.Active):
		return fmt.Errorf("the capture does not run; the router answered the start with %s", quote(r.said))
	case r.said != "":
		r.note(PhaseStart, "the router answered the start with %s", quote(r.said))
	}
	return nil
}

// quote is what a router said, for a message.
func quote(said string) string {
	words := []rune(strings.Join(strings.Fields(iosxe.Printable(said)), " "))
	if len(words) > 200 {
		words = append(words[:200], '…')
	}
	if len(words) == 0 {
		return "nothing"
	}
	return `"` + string(words) + `"`
}

// measureGap takes the middle of each command's round trip for the moment at which
// the capture started.
func (u *runner) measureGap() {
	a, b := middle(&u.run.A), middle(&u.run.B)
	u.run.StartGapMS = milliseconds(b.Sub(a).Abs())
}

func (u *runner) measureStart() {
	u.measureGap()
	u.started = u.run.A.StartDone
	if u.run.B.StartDone.After(u.started) {
		u.started = u.run.B.StartDone
	}
}

func middle(r *bundle.Router) time.Time { return r.StartSent.Add(r.StartDone.Sub(r.StartSent) / 2) }

// trigger makes the tunnel negotiate. It is never sent twice: what it does to a tunnel is not ours
// to repeat.
func (r *router) trigger(ctx context.Context) error {
	if r.plan.Trigger == nil {
		return nil
	}
	limit := r.u.o.timeout(PhaseTrigger) * 9 / 10 // so that a slow ping costs the trigger, and not the run
	sending, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no answer within %s", limit))
	defer cancel()
	_, err := r.exec(sending, r.plan.Trigger.Command)
	if err != nil && refusalOf(err) == nil && ctx.Err() == nil {
		r.note(PhaseTrigger, "trigger: %v; it may or may not have been carried out", err)
		return nil
	}
	return err
}

// stop ends the capture. One that ended by itself, at a limit or with a full buffer, is as good.
// There is none any more where only the file of an earlier run waits to be collected.
func (r *router) stop(ctx context.Context) error {
	if r.open(kindCapture) == nil {
		return nil
	}
	if !r.plan.bound { // what bears a name of somebody's choice may be another hand's by now
		if err := r.ownCapture(ctx); err != nil {
			return err
		}
	}
	shows, again := r.afterStop(), r.open(kindActive) == nil
	replies, err := r.sendAll(ctx, append([]iosxe.Command{iosxe.StopCapture(r.plan.Name)}, shows...), isLost)
	var out string
	if err == nil {
		out, err = replies[0].out, replies[0].err
	}
	if err != nil && r.worthRepeating(ctx, err) { // it may be sent twice
		replies = nil
		out, err = r.repeat(ctx, iosxe.StopCapture(r.plan.Name))
	}
	switch {
	case refusedAs(err, iosxe.Missing):
		r.counted, r.info.Packets = true, 0 // with it, its buffer is gone
		return r.gone(ctx, err)
	case err != nil && !refusedAs(err, iosxe.NotActive):
		return err
	case err == nil && !iosxe.CaptureStopped(out):
		r.note(PhaseStop, "the router answered the stop with %s", quote(out))
	}
	if err := r.stopped(); err != nil {
		return err
	}
	defer r.endTrace(ctx)
	defer r.stopControlPlane(ctx, again)
	if replies != nil {
		replies = replies[1:]
	}
	replies = r.askMissing(ctx, shows, replies)
	if r.toFile() {
		r.before = &replies[1]
	}
	r.count(ctx, replies[0])
	return nil
}

// afterStop lists what is asked behind the stop: the counters of the buffer, and whether there is a
// file yet where they are exported to one.
func (r *router) afterStop() []iosxe.Command {
	shows := []iosxe.Command{iosxe.ShowBuffer(r.plan.Name)}
	if r.toFile() {
		shows = append(shows, iosxe.DirFile(r.plan.File))
	}
	return shows
}

func (r *router) stopped() error {
	if c := r.open(kindActive); c != nil {
		return r.mark(c, bundle.Gone)
	}
	return nil
}

// askMissing asks shows, once more those whose answers were lost. replies are what was asked
// already; nil: nothing was.
func (r *router) askMissing(ctx context.Context, commands []iosxe.Command, replies []reply) []reply {
	if replies == nil {
		replies = unanswered(len(commands))
		r.askAll(ctx, commands, func(i int, out string, err error) { replies[i] = reply{out: out, err: err} })
	}
	for i, cmd := range commands {
		if a := &replies[i]; a.err != nil && r.worthRepeating(ctx, a.err) {
			a.out, a.err = r.repeatAtMost(ctx, cmd, 2)
		}
	}
	return replies
}

// count keeps how many packets the stopped capture has, and how many it lost.
// Nothing depends on it.
func (r *router) count(ctx context.Context, shown reply) {
	if shown.err != nil {
		if ctx.Err() == nil {
			r.note(PhaseStop, "the packets in the buffer could not be counted: %v", shown.err)
		}
		return
	}
	r.keepShow(iosxe.ShowBuffer(r.plan.Name), shown.out)
	b, err := iosxe.ParseBuffer(shown.out)
	if err != nil {
		r.note(PhaseStop, "%v", err)
		return
	}
	r.counted, r.info.Packets, r.info.Dropped = true, b.Packets, b.Dropped
	if b.Dropped > 0 {
		r.note(PhaseStop, "the router dropped %d packets of the capture: the buffer was full, or more came a second than "+
			"pps allows", b.Dropped)
	}
}

// toFile says whether the packets are going to be written to a file in bootflash
// that is not there yet.
func (r *router) toFile() bool {
	return !r.plan.File.IsZero() && r.dump == "" && r.open(kindFile) == nil
}

// export writes the packets to a file in bootflash. Whatever keeps it from that, they are read by
// dump then.
func (r *router) export(ctx context.Context) error {
	if r.dump != "" {
		return nil
	}
	limit := r.u.o.timeout(PhaseExport) * 9 / 10 // so that a router which hangs costs the file, and not the packets
	writing, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no answer within %s", limit))
	defer cancel()
	err := r.writeFile(writing)
	switch {
	case err == nil || ctx.Err() != nil || lasting(err) || ofThisMachine(err):
		return err
	case refusalOf(err) != nil:
		r.dump = "the export was refused: " + refusalOf(err).Text
	default:
		r.dump = "the export failed: " + err.Error()
	}
	return nil
}

func (r *router) writeFile(ctx context.Context) error {
	if r.plan.Upload != "" {
		return r.push(ctx)
	}
	if c := r.open(kindFile); c != nil { // of a run, or a collect, that could not fetch it
		return r.useFile(ctx, c)
	}
	if r.before == nil {
		r.before = &r.askMissing(ctx, []iosxe.Command{iosxe.DirFile(r.plan.File)}, nil)[0]
	}
	_, there, err := r.listed(r.before.out, r.before.err)
	if err != nil && refusalOf(err) == nil {
		return err
	}
	if there {
		return fmt.Errorf("%s appeared since check: it is not overwritten", r.plan.File)
	}
	export := []iosxe.Command{r.plan.writes(iosxe.ExportCapture(r.plan.Name, r.plan.File))}
	if err := r.make(ctx, kindFile, export, nil, r.measures()...); err != nil {
		return err
	}
	return r.measureFile(ctx, r.behind)
}

// measures lists what shows size and checksum of the exported file.
func (r *router) measures() []iosxe.Command {
	return []iosxe.Command{iosxe.DirFile(r.plan.File), r.plan.writes(iosxe.VerifyMD5(r.plan.File))}
}

// writes gives a router the time that it may take to write, or to read, a file of the buffer's size
// without a word: a second for each megabyte, which the slowest flash does.
func (p *SidePlan) writes(cmd iosxe.Command) iosxe.Command {
	cmd.Quiet = time.Duration(p.settings.BufferMB) * time.Second
	return cmd
}

// useFile goes on with a file that was exported before. One of which it is not known whether it is
// whole is written again, as long as there is a buffer to write it from.
func (r *router) useFile(ctx context.Context, c *change) error {
	if c.state == bundle.Intent && r.open(kindCapture) != nil {
		if err := r.undoChange(ctx, c); err != nil {
			return err
		}
		return r.writeFile(ctx)
	}
	return r.measureFile(ctx, nil)
}

// push has the router write the packets to a server. Nothing is made on the router.
func (r *router) push(ctx context.Context) error {
	out, err := r.repeat(ctx, r.plan.writes(r.plan.export))
	if err != nil {
		return err
	}
	r.exported = true
	r.note(PhaseExport, "the capture was pushed to %s and stays there; the router does not check the server's host key",
		r.plan.Upload)
	if r.size, err = iosxe.ParseUploadSize(out); err != nil {
		r.note(PhaseExport, "%v: the transfer is not checked against it", err)
	}
	return nil
}

// source is where the exported file is fetched from.
func (p *SidePlan) source() string {
	if p.Upload != "" {
		return p.Upload
	}
	return p.File.String()
}

// measureFile holds the router's word on the export against what it lists, and keeps size and
// checksum. What cannot be read of them is not compared later; that the file is not there is an
// error. replies are to the measures; nil: they were not asked yet.
func (r *router) measureFile(ctx context.Context, replies []reply) error {
	replies = r.askMissing(ctx, r.measures(), replies)
	f, there, err := r.listed(replies[0].out, replies[0].err)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err == nil && !there:
		r.vanished = true
		return fmt.Errorf("%s is not there; the router answered the export with %s", r.plan.File, quote(r.said))
	case err != nil || f.Size <= 0:
		r.note(PhaseExport, "the size of %s cannot be had%s", r.plan.File, because(err))
	case r.said != "" && !iosxe.CaptureExported(r.said):
		r.note(PhaseExport, "the router answered the export with %s; the file is there", quote(r.said))
	}
	r.exported, r.size = true, max(f.Size, 0)
	r.keepMD5(replies[1])
	return nil
}

func (r *router) keepMD5(a reply) {
	err := a.err
	if err == nil {
		r.info.MD5, err = iosxe.ParseMD5(a.out)
	}
	if err != nil {
		r.info.MD5 = ""
		r.note(PhaseExport, "the router's MD5 cannot be had, only the size is compared: %v", err)
	}
}

// because is an error as the end of a sentence.
func because(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}
