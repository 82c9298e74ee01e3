package capture

import (
	"context"
	"fmt"
	"time"

	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/device/iosxe"
)

func (r *router) defineACL(ctx context.Context) error {
	return r.make(ctx, kindACL, []iosxe.Command{r.plan.defineACL}, nil)
}

// define makes the capture point, and turns the debug on when it was asked for.
func (r *router) define(ctx context.Context) error {
	if err := r.make(ctx, kindCapture, r.plan.define, nil); err != nil {
		return err
	}
	for i, kind := range []string{kindCondition, kindDebug} {
		if i >= len(r.plan.debugOn) {
			break
		}
		if err := r.make(ctx, kind, r.plan.debugOn[i:i+1], nil); err != nil {
			return err
		}
	}
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
	return err
}

// measureStart takes the middle of each command's round trip for the moment at which the capture started.
func (u *runner) measureStart() {
	a, b := middle(&u.run.A), middle(&u.run.B)
	u.run.StartGapMS = milliseconds(b.Sub(a).Abs())
	u.started = u.run.A.StartDone
	if u.run.B.StartDone.After(u.started) {
		u.started = u.run.B.StartDone
	}
}

func middle(r *bundle.Router) time.Time { return r.StartSent.Add(r.StartDone.Sub(r.StartSent) / 2) }

// trigger makes the tunnel negotiate. It is never sent twice: what it does to a tunnel is not ours to repeat.
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
func (r *router) stop(ctx context.Context) error {
	_, err := r.repeat(ctx, iosxe.StopCapture(r.plan.Name))
	switch {
	case refusedAs(err, iosxe.Missing):
		return fmt.Errorf("the capture point is gone, so the router was reloaded or somebody removed it: %w", err)
	case err != nil && !refusedAs(err, iosxe.NotActive):
		return err
	}
	return r.stopped()
}

func (r *router) stopped() error {
	if c := r.open(kindActive); c != nil {
		return r.mark(c, bundle.Gone)
	}
	return nil
}

// export writes the packets to a file in bootflash. When that is not to be had, they are read by dump later.
func (r *router) export(ctx context.Context) error {
	if r.dump != "" {
		return nil
	}
	if r.plan.Upload != "" {
		return r.push(ctx)
	}
	if c := r.open(kindFile); c != nil { // of a collect that failed
		if err := r.undoChange(ctx, c); err != nil {
			return err
		}
	}
	_, there, err := r.file(ctx, phaseAttempts)
	if err != nil && refusalOf(err) == nil {
		return err
	}
	if there {
		return fmt.Errorf("%s appeared since check: it is not overwritten", r.plan.File)
	}
	err = r.make(ctx, kindFile, []iosxe.Command{iosxe.ExportCapture(r.plan.Name, r.plan.File)}, nil)
	if refusal := refusalOf(err); refusal != nil {
		r.dump = "the export was refused: " + refusal.Text
		return nil
	}
	if err != nil {
		return err
	}
	r.exported = true
	return r.measureFile(ctx)
}

// push has the router write the packets to a server. Nothing is made on the router.
func (r *router) push(ctx context.Context) error {
	out, err := r.repeat(ctx, r.plan.export)
	if refusal := refusalOf(err); refusal != nil {
		r.dump = "the export to the server was refused: " + refusal.Text
		return nil
	}
	if err != nil {
		return err
	}
	r.exported = true
	r.note(PhaseExport, "the capture was pushed to %s and stays there; the router does not check the server's host key", r.plan.Upload)
	if r.size, err = iosxe.ParseUploadSize(out); err != nil {
		r.note(PhaseExport, "%v: what is fetched is compared with nothing", err)
	}
	return nil
}

// source is where the capture is fetched from.
func (p *SidePlan) source() string {
	if p.Upload != "" {
		return p.Upload
	}
	return p.File.String()
}

// measureFile asks for size and checksum before the file is fetched.
func (r *router) measureFile(ctx context.Context) error {
	f, there, err := r.file(ctx, phaseAttempts)
	if err == nil && !there {
		return fmt.Errorf("the router says that it exported %s, and it is not there", r.plan.File)
	}
	if err != nil && refusalOf(err) == nil {
		return err
	}
	if err != nil {
		r.note(PhaseExport, "the size of %s cannot be had: %v", r.plan.File, err)
	}
	r.size = f.Size
	out, err := r.repeat(ctx, iosxe.VerifyMD5(r.plan.File))
	if err != nil && refusalOf(err) == nil {
		return err
	}
	if err == nil {
		r.info.MD5, err = iosxe.ParseMD5(out)
	}
	if err != nil {
		r.info.MD5 = ""
		r.note(PhaseExport, "the router's MD5 cannot be had, only the size is compared: %v", err)
	}
	return nil
}
