package capture

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/moncap/moncap/device/iosxe"
)

// presence says how much of a thing is on the router.
type presence uint8

const (
	absent  presence = iota
	partial          // some of it, or it cannot be told how much
	whole            // all of it
	foreign          // something of that name which is not what the plan defines
)

func (r *router) lookACL(ctx context.Context, _ *change, attempts int) (presence, error) {
	out, err := r.repeatAtMost(ctx, iosxe.ShowACL(r.plan.ACL), attempts)
	if refusedAs(err, iosxe.Missing) {
		return absent, nil
	}
	if err != nil {
		return absent, err
	}
	for _, l := range iosxe.ParseAccessLists(out) {
		if l.Name == r.plan.ACL.String() {
			if len(l.Entries) == 0 && !r.plan.bound { // any list may begin like that
				return foreign, nil
			}
			return compareEntries(l.Entries, r.plan.defineACL.Lines[1:]), nil
		}
	}
	return absent, silence(iosxe.ShowACL(r.plan.ACL), out)
}

// silence makes sure that a router which shows nothing of a name says nothing at all. Words that
// cannot be read are no proof that there is none.
func silence(cmd iosxe.Command, out string) error {
	if strings.TrimSpace(iosxe.Clean(out)) == "" {
		return nil
	}
	return &stuckError{fmt.Errorf("`%s`: the router's answer cannot be read: %s", cmd.Lines[0],
		quote(iosxe.Clean(out)))}
}

// compareEntries holds what a router shows against what was sent. Some of it, in the same order, is
// what is left by a session that broke in the middle, or by a router that refused a line.
func compareEntries(shown, sent []string) presence {
	missing := 0
	for _, line := range sent {
		if len(shown) == 0 || normalEntry(shown[0]) != normalEntry(line) {
			missing++
			continue
		}
		shown = shown[1:]
	}
	switch {
	case len(shown) > 0:
		return foreign
	case missing > 0:
		return partial
	}
	return whole
}

// normalEntry takes out what a router may spell its own way: case, blanks, the form
// of IPv6 addresses.
func normalEntry(line string) string {
	words := strings.Fields(strings.ToLower(line))
	for i, w := range words {
		if a, err := netip.ParseAddr(w); err == nil {
			words[i] = a.String()
		}
	}
	return strings.Join(words, " ")
}

// capture returns the capture point as the router shows it; nil when there is none.
func (r *router) capture(ctx context.Context, attempts int) (*iosxe.Capture, error) {
	return r.captureCalled(ctx, r.plan.Name, attempts)
}

func (r *router) captureCalled(ctx context.Context, name iosxe.Name, attempts int) (*iosxe.Capture, error) {
	out, err := r.repeatAtMost(ctx, iosxe.ShowCapture(name), attempts)
	if refusedAs(err, iosxe.Missing) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	all, err := iosxe.ParseCaptures(out)
	if err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].Name == name.String() {
			return &all[i], nil
		}
	}
	return nil, silence(iosxe.ShowCapture(name), out)
}

func (r *router) lookCapture(ctx context.Context, _ *change, attempts int) (presence, error) {
	c, err := r.capture(ctx, attempts)
	if err != nil || c == nil {
		return absent, err
	}
	return r.plan.compareCapture(c), nil
}

// compareCapture holds a capture point of the run's name against what the plan defines. The two
// commands that define it may have been interrupted between each other, so a limit that was not set
// yet is part of it.
func (p *SidePlan) compareCapture(c *iosxe.Capture) presence {
	if len(c.Interfaces) == 0 && c.ACL == "" && p.bound {
		return partial
	}
	limited, attached := compareLimits(c, p.point), p.attached(c)
	switch {
	case limited == foreign, attached == foreign, !p.filters(c), c.Circular != p.point.Circular:
		return foreign
	case limited == whole && attached == whole:
		return whole
	}
	return partial
}

// compareLimits says whether the capture point has the planned limits, some of them, or another.
// One that was not set is none.
func compareLimits(c *iosxe.Capture, planned iosxe.CapturePoint) presence {
	limited := whole
	for _, l := range []struct{ shown, planned int }{
		{c.Packets, planned.Packets}, {int(c.Duration), int(planned.Duration)}, {c.PacketLen, planned.PacketLen},
		{c.BufferMB, planned.BufferMB},
	} {
		switch {
		case l.shown == l.planned:
		case l.shown != 0:
			return foreign
		default:
			limited = partial
		}
	}
	return limited
}

// attached says whether the capture point is on the plan's interfaces, on some of them, or on
// another. A router may have refused one of several.
func (p *SidePlan) attached(c *iosxe.Capture) presence {
	missing := append([]iosxe.Interface{p.Interface}, p.Also...)
	for _, a := range c.Interfaces {
		n := len(missing)
		if missing = slices.DeleteFunc(missing,
			func(i iosxe.Interface) bool { return i.Is(a.Interface) }); len(missing) == n {
			return foreign
		}
	}
	switch {
	case len(missing) == 0:
		return whole
	case len(c.Interfaces) == 0 || !p.bound:
		return foreign
	}
	return partial
}

// filters says whether the capture point has the plan's filter.
func (p *SidePlan) filters(c *iosxe.Capture) bool {
	if !p.ACL.IsZero() {
		return c.ACL == p.ACL.String()
	}
	shown := strings.Fields(strings.ToLower(strings.Join(c.Filter, " ")))
	return c.ACL == "" && slices.Contains(shown, p.Endpoint.Address.Unmap().String()) &&
		slices.Contains(shown, p.Remote.String())
}

// lookActive takes a capture that has packets for one that ran: it may have reached a limit by now.
func (r *router) lookActive(ctx context.Context, _ *change, attempts int) (presence, error) {
	c, err := r.capture(ctx, attempts)
	if err != nil || c == nil {
		return absent, err
	}
	if r.plan.compareCapture(c) == foreign {
		return foreign, nil
	}
	if c.Active {
		return whole, nil
	}
	out, err := r.repeatAtMost(ctx, iosxe.ShowBuffer(r.plan.Name), attempts)
	if err != nil {
		if refusalOf(err) != nil {
			err = nil
		}
		return absent, err
	}
	if b, err := iosxe.ParseBuffer(out); err == nil && b.Packets > 0 {
		return whole, nil
	}
	return absent, nil
}

// lookFile cannot tell whether a file is complete. Of a name that somebody chose, it is ours when
// it is what the run measured.
func (r *router) lookFile(ctx context.Context, c *change, attempts int) (presence, error) {
	_, there, err := r.file(ctx, attempts)
	if err != nil || !there {
		return absent, err
	}
	if !c.adopted || r.plan.bound {
		return partial, nil
	}
	if r.info.MD5 == "" {
		return foreign, nil
	}
	out, err := r.repeatAtMost(ctx, iosxe.VerifyMD5(r.plan.File), attempts)
	if err != nil {
		return absent, err
	}
	if sum, err := iosxe.ParseMD5(out); err != nil || sum != r.info.MD5 {
		return foreign, nil
	}
	return whole, nil
}

// lookDebug finds the debug among those that are on. It is on for everybody, so one that the bundle
// speaks of counts as ours only while it is limited to our peer.
func (r *router) lookDebug(ctx context.Context, c *change, attempts int) (presence, error) {
	out, err := r.repeatAtMost(ctx, iosxe.ShowDebug(), attempts)
	if err != nil {
		return absent, err
	}
	on := debugsIKEv2(out)
	switch {
	case on && c.adopted && !iosxe.DebugsPeer(out, r.plan.Remote):
		return foreign, nil
	case on:
		return whole, nil
	}
	return c.unseen(), nil
}

// debugsIKEv2 says whether IKEv2 is among what `show debugging` lists as on.
func debugsIKEv2(shown string) bool {
	return slices.ContainsFunc(iosxe.ParseDebug(shown), func(line string) bool {
		return strings.Contains(strings.ToLower(line), "ikev2")
	})
}

// lookCondition finds the condition by the address of the peer.
func (r *router) lookCondition(ctx context.Context, c *change, attempts int) (presence, error) {
	out, err := r.repeatAtMost(ctx, iosxe.ShowDebug(), attempts)
	switch {
	case err != nil:
		return absent, err
	case iosxe.DebugsPeer(out, r.plan.Remote):
		return whole, nil
	}
	return c.unseen(), nil
}

// unseen is what a debug, or its condition, is that the router does not list. Not every release
// lists them, and both may be turned off twice, so what this process turned on is taken back until
// the router took it.
func (c *change) unseen() presence {
	if c.adopted || c.taken {
		return absent
	}
	return partial
}

// file returns what the router says about the exported file. The size of one whose row cannot be
// read is 0.
func (r *router) file(ctx context.Context, attempts int) (iosxe.FileInfo, bool, error) {
	return r.listed(r.repeatAtMost(ctx, iosxe.DirFile(r.plan.File), attempts))
}

// listed reads what the router answered to `dir` of the exported file.
func (r *router) listed(out string, err error) (iosxe.FileInfo, bool, error) {
	if refusedAs(err, iosxe.Missing) {
		return iosxe.FileInfo{}, false, nil
	}
	if err != nil {
		return iosxe.FileInfo{}, false, err
	}
	r.learnOffset(out)
	d, err := iosxe.ParseDir(out)
	if err != nil {
		return iosxe.FileInfo{}, false, err
	}
	name := r.plan.File.Base()
	if f, there := d.File(name); there {
		return f, true, nil
	}
	return iosxe.FileInfo{Name: name}, d.Mentions(name), nil
}
