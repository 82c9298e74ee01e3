package capture

import (
	"context"
	"fmt"
	"strings"

	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/device/iosxe"
)

// Identified is what a Host can say of who answers. One that cannot is known by
// what the router shows.
type Identified interface {
	// Identity returns the name in the router's prompt, and the fingerprint of its host key.
	Identity() (hostname, hostKey string)
	// Session numbers the session that is open; 0: none is, and the next command opens one.
	Session() int
	// Close ends the session. The next command opens another.
	Close() error
}

// OtherRouterError says that another router answers at the address of the one
// that the run works on.
type OtherRouterError struct {
	Peer     string
	Expected string // what the run saw first
	Answered string
}

func (e *OtherRouterError) Error() string {
	return fmt.Sprintf("%s: another router answers: expected is %s, this is %s: it is not touched", e.Peer, e.Expected,
		e.Answered)
}

// Hint says what to look at.
func (e *OtherRouterError) Hint() string {
	return "the address of " + e.Peer + " leads to another router than before: a failover, a changed inventory, " +
		"DNS or NAT; give the command again when it leads to " + e.Expected
}

// identity is who a router is. What is empty is not known.
type identity struct{ hostname, serial, hostKey string }

func identityOf(r *bundle.Router) identity { return identity{r.Hostname, r.Serial, r.HostKey} }

func (i identity) String() string {
	var known []string
	for _, k := range []struct{ what, value string }{{"serial number", i.serial}, {"host key", i.hostKey}} {
		if k.value != "" {
			known = append(known, k.what+" "+iosxe.Printable(k.value))
		}
	}
	name := iosxe.Printable(i.hostname)
	switch {
	case len(known) == 0:
		return name
	case name == "":
		return "the one with " + strings.Join(known, ", ")
	}
	return name + " (" + strings.Join(known, ", ") + ")"
}

// same says whether two sightings are of one router. A router may be renamed: then its serial
// number, or its host key, says that it is the same. Routers that were cloned may share name and
// number, but not the key.
func (i identity) same(o identity) bool {
	differ := func(x, y string) bool { return x != "" && y != "" && !strings.EqualFold(x, y) }
	agree := func(x, y string) bool { return x != "" && y != "" && strings.EqualFold(x, y) }
	if differ(i.serial, o.serial) || differ(i.hostKey, o.hostKey) {
		return false
	}
	return !differ(i.hostname, o.hostname) || agree(i.serial, o.serial) || agree(i.hostKey, o.hostKey)
}

// session numbers the session with the router. Of a host that does not, each answer that failed to
// come, and each transfer, may have been the end of one.
func (r *router) session() int {
	if h, ok := r.host.(Identified); ok {
		return h.Session()
	}
	return 1 + r.broken
}

// meet keeps who the router is: what all later sessions, and all later commands on the bundle, are
// held against.
func (r *router) meet(v iosxe.Version) {
	info := r.info
	info.Hostname, info.Model, info.Software, info.Serial = v.Hostname, v.Model, v.Software, v.Serial
	if h, ok := r.host.(Identified); ok {
		var prompt string
		if prompt, info.HostKey = h.Identity(); info.Hostname == "" {
			info.Hostname = prompt
		}
	}
	r.vouched = r.session()
}

// recognise makes sure, once a session, that the router is the one that the run saw first. It comes
// before every command: what another router is asked is no evidence, and what it is told is harm.
func (r *router) recognise(ctx context.Context) error {
	known := identityOf(r.info)
	first := known == (identity{})
	if first && r.u.books == nil || r.vouched != 0 && r.vouched == r.session() {
		return nil // a new run meets the router in its check
	}
	now, err := r.whoAnswers(ctx)
	if err != nil {
		return err
	}
	if first { // of a bundle that does not say: from here on it has to stay the same
		r.u.mu.Lock()
		r.info.Hostname, r.info.Serial, r.info.HostKey = now.hostname, now.serial, now.hostKey
		r.u.mu.Unlock()
		known = now
	}
	if !known.same(now) {
		if h, ok := r.host.(Identified); ok {
			_ = h.Close() // so that the next attempt asks who answers then
		}
		r.broken++
		return &OtherRouterError{Peer: r.plan.Endpoint.Name, Expected: known.String(), Answered: now.String()}
	}
	r.vouched = r.session()
	if now.hostname != "" && !strings.EqualFold(now.hostname, known.hostname) {
		r.note("", "it calls itself %s now, and was %s before", iosxe.Printable(now.hostname),
			iosxe.Printable(known.hostname))
		r.u.mu.Lock() // an armed run is saved while its routers are looked at
		r.info.Hostname = now.hostname
		r.u.mu.Unlock()
	}
	return nil
}

// whoAnswers asks for the identity. A router that does not show its version is known by its prompt
// and its key.
func (r *router) whoAnswers(ctx context.Context) (identity, error) {
	var now identity
	out, err := r.send(ctx, iosxe.ShowVersion())
	if err != nil && refusalOf(err) == nil {
		return now, err
	}
	if v, parseErr := iosxe.ParseVersion(out); err == nil && parseErr == nil {
		now.hostname, now.serial = v.Hostname, v.Serial
	}
	if h, ok := r.host.(Identified); ok {
		var prompt string
		if prompt, now.hostKey = h.Identity(); now.hostname == "" {
			now.hostname = prompt
		}
	}
	return now, nil
}
