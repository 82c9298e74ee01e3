package event

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Router is a peer as its log lines come from it.
type Router struct {
	Name    string
	Sources []netip.Addr // that its lines may come from
	Names   []string     // what it may call itself in a line
}

// End is one end of a tunnel.
type End struct {
	Peer      string
	Addresses []netip.Addr // what the other end may call it
	Interface string       // its tunnel interface, such as Tunnel46; empty: not known
}

// Tunnel is a tunnel that events are about.
type Tunnel struct {
	Name string
	Ends [2]End
}

// Book knows which routers and tunnels there are. It does not change.
type Book struct {
	sources map[netip.Addr][]string // peers by where their lines come from
	names   map[string]string       // peers by what they call themselves, in small letters; "": several do
	relays  map[netip.Addr]bool
	tunnels []Tunnel
}

// NewBook makes a book. relays are the addresses of log servers that pass on lines of routers:
// theirs are believed when they name the router.
func NewBook(routers []Router, tunnels []Tunnel, relays []netip.Addr) *Book {
	b := &Book{sources: map[netip.Addr][]string{}, names: map[string]string{}, relays: map[netip.Addr]bool{},
		tunnels: tunnels}
	for _, r := range routers {
		for _, a := range r.Sources {
			if a = a.Unmap(); !slices.Contains(b.sources[a], r.Name) {
				b.sources[a] = append(b.sources[a], r.Name)
			}
		}
		for _, n := range append(slices.Clone(r.Names), r.Name) {
			n = strings.ToLower(n)
			if other, taken := b.names[n]; taken && other != r.Name {
				b.names[n] = ""
				continue
			}
			b.names[n] = r.Name
		}
	}
	for _, a := range relays {
		b.relays[a.Unmap()] = true
	}
	return b
}

// Known says whether lines from an address are listened to at all.
func (b *Book) Known(from netip.Addr) bool {
	from = from.Unmap()
	return b.relays[from] || len(b.sources[from]) > 0
}

// Has says whether there is a tunnel of that name.
func (b *Book) Has(tunnel string) bool {
	return slices.ContainsFunc(b.tunnels, func(t Tunnel) bool { return t.Name == tunnel })
}

// TunnelOf is the one tunnel of a router, by the name or an address of the router, as a monitoring
// system knows it. ok is false when it has none, or several.
func (b *Book) TunnelOf(router string) (tunnel string, ok bool) {
	peers := []string{b.names[strings.ToLower(router)]}
	if a, err := netip.ParseAddr(router); err == nil {
		peers = append(peers, b.sources[a.Unmap()]...)
	}
	var found []string
	for _, t := range b.tunnels {
		if slices.ContainsFunc(t.Ends[:], func(e End) bool { return e.Peer != "" && slices.Contains(peers, e.Peer) }) {
			found = append(found, t.Name)
		}
	}
	if len(found) != 1 {
		return "", false
	}
	return found[0], true
}

// Why a line is about no tunnel.
var (
	ErrStranger    = errors.New("it comes from an address that is no peer's and no relay's")
	ErrMeaningless = errors.New("no rule takes it for an event")
	ErrNoTunnel    = errors.New("it is about none of the tunnels")
)

// Read is a log line that came from an address as an event. The error is ErrStranger,
// ErrMeaningless, ErrNoTunnel, one that says between which tunnels a line does not tell, or
// one of ParseSyslog.
func (b *Book) Read(from netip.Addr, line []byte, now time.Time) (Event, error) {
	if !b.Known(from) {
		return Event{}, ErrStranger
	}
	m, err := ParseSyslog(line, now)
	if err != nil {
		return Event{}, err
	}
	f, ok := Judge(m)
	if !ok {
		return Event{}, ErrMeaningless
	}
	return b.Find(b.peersOf(from, m), m, f, now)
}

// peersOf are the peers that a line may be of.
func (b *Book) peersOf(from netip.Addr, m Message) []string {
	named := b.names[strings.ToLower(m.Host)]
	if named == "" {
		if short, _, cut := strings.Cut(m.Host, "."); cut {
			named = b.names[strings.ToLower(short)]
		}
	}
	peers := b.sources[from.Unmap()]
	switch {
	case b.relays[from.Unmap()]: // it is believed whose the line is
		if named != "" {
			return []string{named}
		}
		if a, err := netip.ParseAddr(m.Host); err == nil {
			return b.sources[a.Unmap()]
		}
		return nil
	case named != "" && slices.Contains(peers, named): // several share the address
		return []string{named}
	}
	return peers
}

// Find says which tunnel of some peers a line is about: that with the far end, or the interface,
// which it names; else the only one that they have.
func (b *Book) Find(peers []string, m Message, f Finding, now time.Time) (Event, error) {
	type hit struct{ tunnel, peer string }
	var named, unnamed []hit
	for _, t := range b.tunnels {
		for i, own := range t.Ends {
			far := t.Ends[1-i]
			if !slices.Contains(peers, own.Peer) {
				continue
			}
			h := hit{t.Name, own.Peer}
			switch {
			case f.Remote.IsValid():
				if slices.Contains(far.Addresses, f.Remote) {
					named = append(named, h)
				}
			case f.Interface != "" && own.Interface != "":
				if strings.EqualFold(f.Interface, own.Interface) {
					named = append(named, h)
				}
			default:
				unnamed = append(unnamed, h)
			}
		}
	}
	hits := named
	if len(hits) == 0 {
		hits = unnamed
	}
	if len(hits) == 0 {
		return Event{}, ErrNoTunnel
	}
	var tunnels []string
	for _, h := range hits {
		if !slices.Contains(tunnels, h.tunnel) {
			tunnels = append(tunnels, h.tunnel)
		}
	}
	if len(tunnels) > 1 {
		return Event{}, &AmbiguousError{tunnels}
	}
	e := Event{
		Tunnel: tunnels[0], Kind: f.Kind, At: now, Source: FromSyslog, Remote: f.Remote,
		Text: printable(m.Code()+": "+m.Text, MaxText),
	}
	if len(hits) == 1 {
		e.Peer = hits[0].peer
	}
	e.Key = fmt.Sprintf("syslog/%s/%s/%s", e.Tunnel, e.Kind, now.UTC().Format("20060102T150405.000"))
	return e, nil
}

// AmbiguousError is about a line that may be about several tunnels.
type AmbiguousError struct{ Tunnels []string }

func (e *AmbiguousError) Error() string {
	few := e.Tunnels
	more := ""
	if len(few) > 4 {
		few, more = few[:4], fmt.Sprintf(" and %d more", len(e.Tunnels)-4)
	}
	return fmt.Sprintf("it does not say which of the router's tunnels it is about (%s%s); say their tunnel "+
		"interfaces in the inventory (interfaces: {a: Tunnel1}) where the line names one", strings.Join(few, ", "), more)
}
