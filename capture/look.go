package capture

import (
	"context"
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

// look finds out what became of a change whose effect is unknown.
func (r *router) look(ctx context.Context, kind string, attempts int) (presence, error) {
	switch kind {
	case kindACL:
		return r.lookACL(ctx, attempts)
	case kindCapture:
		return r.lookCapture(ctx, attempts)
	case kindActive:
		return r.lookActive(ctx, attempts)
	case kindFile:
		return r.lookFile(ctx, attempts)
	}
	// A debug may be turned on, or off, twice.
	return partial, nil
}

func (r *router) lookACL(ctx context.Context, attempts int) (presence, error) {
	out, err := r.repeatAtMost(ctx, iosxe.ShowACL(r.plan.ACL), attempts)
	if refusedAs(err, iosxe.Missing) {
		return absent, nil
	}
	if err != nil {
		return absent, err
	}
	for _, l := range iosxe.ParseAccessLists(out) {
		if l.Name == r.plan.ACL.String() {
			return compareEntries(l.Entries, r.plan.defineACL.Lines[1:]), nil
		}
	}
	return absent, nil
}

// compareEntries holds what a router shows against what was sent. The beginning of it is what a session that broke in
// the middle leaves.
func compareEntries(shown, sent []string) presence {
	if len(shown) > len(sent) {
		return foreign
	}
	for i, line := range shown {
		if normalEntry(line) != normalEntry(sent[i]) {
			return foreign
		}
	}
	if len(shown) < len(sent) {
		return partial
	}
	return whole
}

// normalEntry takes out what a router may spell its own way: case, blanks, the form of IPv6 addresses.
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
	out, err := r.repeatAtMost(ctx, iosxe.ShowCapture(r.plan.Name), attempts)
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
		if all[i].Name == r.plan.Name.String() {
			return &all[i], nil
		}
	}
	return nil, nil
}

func (r *router) lookCapture(ctx context.Context, attempts int) (presence, error) {
	c, err := r.capture(ctx, attempts)
	if err != nil || c == nil {
		return absent, err
	}
	s := r.plan.settings
	attached := slices.ContainsFunc(c.Interfaces, func(a iosxe.Attachment) bool { return r.plan.Interface.Is(a.Interface) })
	switch {
	case len(c.Interfaces) > 0 && !attached, c.ACL != "" && c.ACL != r.plan.ACL.String():
		return foreign, nil
	case attached && c.Packets == s.Packets && c.Duration == s.Duration && c.BufferMB == s.BufferMB:
		return whole, nil
	}
	return partial, nil
}

// lookActive takes a capture that has packets for one that ran: it may have reached a limit by now.
func (r *router) lookActive(ctx context.Context, attempts int) (presence, error) {
	c, err := r.capture(ctx, attempts)
	if err != nil || c == nil {
		return absent, err
	}
	if c.Active {
		return whole, nil
	}
	out, err := r.repeatAtMost(ctx, iosxe.ShowBuffer(r.plan.Name), attempts)
	if err != nil {
		return absent, nil
	}
	if b, err := iosxe.ParseBuffer(out); err == nil && b.Packets > 0 {
		return whole, nil
	}
	return absent, nil
}

// lookFile cannot tell whether a file is complete.
func (r *router) lookFile(ctx context.Context, attempts int) (presence, error) {
	_, there, err := r.file(ctx, attempts)
	if err != nil || !there {
		return absent, err
	}
	return partial, nil
}

// file returns what the router says about the exported file.
func (r *router) file(ctx context.Context, attempts int) (iosxe.FileInfo, bool, error) {
	out, err := r.repeatAtMost(ctx, iosxe.DirFile(r.plan.File), attempts)
	if refusedAs(err, iosxe.Missing) {
		return iosxe.FileInfo{}, false, nil
	}
	if err != nil {
		return iosxe.FileInfo{}, false, err
	}
	d, err := iosxe.ParseDir(out)
	if err != nil {
		return iosxe.FileInfo{}, false, err
	}
	f, there := d.File(r.plan.File.Base())
	return f, there, nil
}
