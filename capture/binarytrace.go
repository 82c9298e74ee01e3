package capture

import (
	"context"
	"io"
	"time"

	"github.com/moncap/moncap/device/iosxe"
)

const (
	// traceMargin is by how much more than the capture's time is asked of the binary trace: what led
	// to its first packet.
	traceMargin = time.Minute
	// binaryTraceLimit is how long a router may take to decode it.
	binaryTraceLimit = 45 * time.Second
)

// readBinaryTrace reads what the router's process wrote while the capture ran, when it was asked
// for. It is the last that is asked: decoding it costs the router more than any other show, and the
// captures do not depend on it.
func (r *router) readBinaryTrace(ctx context.Context) {
	if !r.plan.settings.BinaryTrace || ctx.Err() != nil {
		return
	}
	if software := r.info.Software; !iosxe.HasBinaryTrace(software) {
		r.note(PhaseObserve, "its binary trace is not read: that takes IOS XE 17, and it has %q",
			iosxe.Printable(software))
		return
	}
	reading, cancel := noLonger(ctx, binaryTraceLimit)
	defer cancel()
	last := r.plan.settings.Duration
	if !r.info.StartSent.IsZero() {
		last = time.Since(r.info.StartSent)
	}
	cmd := iosxe.BinaryTrace(last+traceMargin, r.plan.Remote)
	var kept iosxe.Traced
	var unread error
	err := r.stream(reading, cmd, func(in io.Reader) { kept, unread = iosxe.ReadBinaryTrace(in, r.plan.Remote) })
	if unread != nil { // it is why the router was not heard to the end, or the same
		err = unread
	}
	switch {
	case ctx.Err() != nil && kept.Text == "":
		return
	case err != nil && kept.Text == "":
		r.note(PhaseObserve, "its binary trace could not be read: %v", err)
		return
	case err != nil:
		r.note(PhaseObserve, "its binary trace was not read to its end: what came until then is kept (%v)", err)
	}
	if kept.Left > 0 {
		r.note(PhaseObserve, "its binary trace has too many lines about the tunnel: %d from the middle are left out",
			kept.Left)
	}
	r.keepShow(cmd, kept.Text)
}
