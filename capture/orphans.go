package capture

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/moncap/moncap/device/iosxe"
	"github.com/moncap/moncap/internal/lazyregexp"
)

// Orphan is something on a router that looks like a run's, by its name and by what it is, and of
// which no bundle here knows.
type Orphan struct {
	Name    iosxe.Name // the run's
	What    string     // "access list mcab12cd"
	Running bool       // its capture goes on: a run elsewhere may be waiting for it
	undo    iosxe.Command
	show    iosxe.Command
}

// Remove lists what to type to remove it.
func (o Orphan) Remove() []string { return typed(o.undo) }

// ownForm is what a run calls its things when nobody chooses another name, and its capture point at
// the control plane.
var ownForm = lazyregexp.New(`^(mc[a-z0-9]{6})p?$`)

// runOf is the name of the run whose thing is called so; empty: it is none's.
func runOf(name string) string {
	m := ownForm.Get().FindStringSubmatch(name)
	if m == nil {
		return ""
	}
	return m[1]
}

// FindOrphans looks on a router for what runs of moncap made, and is not known. Captures come
// before the access lists that they use.
func FindOrphans(ctx context.Context, h Host, known func(name string) bool) ([]Orphan, error) {
	var all []Orphan
	for _, find := range []func(context.Context, Host, func(string) (iosxe.Name, bool)) ([]Orphan, error){
		orphanCaptures, orphanLists, orphanFiles,
	} {
		found, err := find(ctx, h, func(s string) (iosxe.Name, bool) {
			n, err := iosxe.ParseName(s)
			return n, err == nil && runOf(s) != "" && !known(runOf(s))
		})
		if err != nil {
			return all, err
		}
		all = append(all, found...)
	}
	running := map[string]bool{}
	for i, o := range all {
		run := runOf(o.Name.String())
		running[run] = running[run] || o.Running
		all[i].Running = running[runOf(o.Name.String())] // an access list is as much in use as its capture
	}
	return all, nil
}

func orphanCaptures(ctx context.Context, h Host, own func(string) (iosxe.Name, bool)) ([]Orphan, error) {
	out, err := h.Exec(ctx, iosxe.ShowCaptures())
	if err != nil {
		return nil, err
	}
	captures, err := iosxe.ParseCaptures(out)
	if err != nil {
		return nil, err
	}
	var all []Orphan
	for _, c := range captures {
		// One that was interrupted may be on nothing yet.
		where := len(c.Interfaces) == 0 || c.OnlyControlPlane() == (c.Name != runOf(c.Name))
		if n, ok := own(c.Name); ok && where && (c.ACL == "" || c.ACL == runOf(c.Name)) {
			all = append(all, Orphan{n, "capture point " + c.Name, c.Active, iosxe.NoCapture(n), iosxe.ShowCapture(n)})
		}
	}
	return all, nil
}

// tunnelEntry is a line of the lists that aclEntries makes.
var tunnelEntry = lazyregexp.New(
	`^permit (udp|esp|ahp|icmp) (host \S+|any) host \S+( unreachable| packet-too-big)?$|^permit (udp|esp|ahp|icmp) host \S+ (host \S+|any)( unreachable| packet-too-big)?$`)

func orphanLists(ctx context.Context, h Host, own func(string) (iosxe.Name, bool)) ([]Orphan, error) {
	out, err := h.Exec(ctx, iosxe.ShowACLs())
	if err != nil {
		return nil, err
	}
	var all []Orphan
	for _, l := range iosxe.ParseAccessLists(out) {
		n, ok := own(l.Name)
		if !ok || l.Name != runOf(l.Name) ||
			slices.ContainsFunc(l.Entries, func(e string) bool { return !tunnelEntry.Get().MatchString(normalEntry(e)) }) {
			continue
		}
		six := strings.HasPrefix(strings.ToLower(l.Kind), "ipv6")
		all = append(all, Orphan{n, "access list " + l.Name, false, iosxe.NoACL(n, six), iosxe.ShowACL(n)})
	}
	return all, nil
}

func orphanFiles(ctx context.Context, h Host, own func(string) (iosxe.Name, bool)) ([]Orphan, error) {
	out, err := h.Exec(ctx, iosxe.Dir())
	if err != nil {
		return nil, err
	}
	d, err := iosxe.ParseDir(out)
	if err != nil {
		return nil, err
	}
	var all []Orphan
	for _, f := range d.Files {
		base, isCapture := strings.CutSuffix(f.Name, ".pcap")
		n, ok := own(base)
		file, err := iosxe.ParseFile(f.Name)
		if isCapture && ok && base == runOf(base) && err == nil {
			all = append(all, Orphan{n, "file " + file.String(), false, iosxe.DeleteFile(file), iosxe.DirFile(file)})
		}
	}
	return all, nil
}

// RemoveOrphan removes one, and reads back that it is gone.
func RemoveOrphan(ctx context.Context, h Host, o Orphan) error {
	if o.Running {
		if _, err := h.Exec(ctx, iosxe.StopCapture(o.Name)); err != nil && !refusedAs(err, iosxe.NotActive) &&
			!refusedAs(err, iosxe.Missing) {
			return err
		}
	}
	if _, err := h.Exec(ctx, o.undo); err != nil && !refusedAs(err, iosxe.Missing) {
		return err
	}
	out, err := h.Exec(ctx, o.show)
	switch {
	case err != nil && refusalOf(err) == nil:
		return err
	case err == nil && strings.Contains(out, o.Name.String()):
		return fmt.Errorf("%s: %w", o.What, errStillThere)
	}
	return nil
}

// ErrRunning says that a capture was left because a run may be waiting for it.
var ErrRunning = errors.New("it runs: a run elsewhere may be waiting for it")
