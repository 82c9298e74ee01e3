// Package event reads what happens to a tunnel from what others say of it: log lines of its
// routers, and alerts of a monitoring system. An event says which tunnel and what kind; it may
// start a capture that is allowed anyway, and never carries a command, a setting or an address to
// go to.
//
// The way of a log line: Listener -> ParseSyslog -> Judge (the rules) -> Book.Find (which tunnel)
// -> Brake (is it too much?). Nothing here keeps more than a bounded number of things, however many
// lines come.
package event

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Kind says what happened.
type Kind string

// The kinds of events.
const (
	SADown            Kind = "sa-down"            // a session or SA of the tunnel ended
	SAUp              Kind = "sa-up"              // it was established
	LineDown          Kind = "line-down"          // the line protocol of a tunnel interface went down
	LineUp            Kind = "line-up"            // it came up
	InvalidSPI        Kind = "invalid-spi"        // ESP came for an SA that the router does not have
	NoIKESA           Kind = "no-ike-sa"          // an IKE message came for an SA that the router does not have
	NegotiationFailed Kind = "negotiation-failed" // IKE was refused, malformed or given up
	Replay            Kind = "replay"             // ESP fell out of the anti-replay window
	Integrity         Kind = "integrity"          // ESP failed its integrity check
	Alert             Kind = "alert"              // a monitoring system says so
	// the SA is not in the router's table any more, as asked over its session
	Lost Kind = "lost"
)

// Kinds lists all kinds, in a stable order.
func Kinds() []Kind {
	return []Kind{SADown, Lost, LineDown, NegotiationFailed, InvalidSPI, NoIKESA, Replay, Integrity, Alert, SAUp, LineUp}
}

// Trouble lists the kinds that start a capture where nobody chose others: those after
// which a tunnel does not carry traffic. Replay and Integrity are left out, as a few of
// them are every day's.
func Trouble() []Kind {
	return []Kind{SADown, Lost, LineDown, NegotiationFailed, InvalidSPI, NoIKESA, Alert}
}

// ParseKind reads the name of a kind.
func ParseKind(s string) (Kind, error) {
	if k := Kind(s); slices.Contains(Kinds(), k) {
		return k, nil
	}
	names := make([]string, 0, len(Kinds()))
	for _, k := range Kinds() {
		names = append(names, string(k))
	}
	return "", fmt.Errorf("event %q: want one of %s", printable(s, 40), strings.Join(names, ", "))
}

// The sources of events.
const (
	FromSyslog       = "syslog"
	FromAlertmanager = "alertmanager"
	FromGeneric      = "generic"
	FromSession      = "session" // asked over the control session of a run
)

// Event is one thing that happened to a tunnel.
type Event struct {
	Tunnel string // by its name in the inventory; empty: only the peer is known
	Peer   string // the router that told; empty: none did
	Kind   Kind
	At     time.Time  // when it came in, by this machine's clock: a router's may be wrong
	Source string     // FromSyslog and so on
	Key    string     // two with the same one are the same event, told twice
	Remote netip.Addr // the far end that it names; invalid: none
	Text   string     // for people: printable, at most MaxText characters
}

// MaxText bounds the text of an event.
const MaxText = 300

// Cause is what the history says of a run that the event started.
func (e Event) Cause() string {
	s := "event " + string(e.Kind) + " from " + e.Source
	if e.Peer != "" {
		s += " of " + e.Peer
	}
	return s
}

// printable is s on one line without what a terminal could take for an order, cut to n characters.
func printable(s string, n int) string {
	var b strings.Builder
	count := 0
	for _, r := range strings.ToValidUTF8(s, "\uFFFD") {
		if !unicode.IsPrint(r) {
			r = ' '
		}
		if count++; count > n {
			b.WriteString("...")
			break
		}
		b.WriteRune(r)
	}
	return strings.TrimSpace(b.String())
}
