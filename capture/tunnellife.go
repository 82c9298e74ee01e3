package capture

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/moncap/moncap/device/iosxe"
)

// tunnelView is what a router shows of the tunnel at one moment.
type tunnelView struct {
	sessions []string      // the states of its crypto sessions with the peer
	sas      []iosxe.IKESA // its IKE SAs with the peer, which are not being deleted
	blind    bool          // it refused to show any
}

// tunnelLife follows a tunnel, as one router shows it, from look to look.
type tunnelLife struct {
	peer    string
	known   bool // it was looked at before
	was     state
	wasUp   bool                   // at some look
	sas     map[string]iosxe.IKESA // those of IKEv2 that were up
	pending bool                   // a negotiation was under way, and the tunnel was not up
	tries   attempts               // since then
	each    bool                   // a failed one is of interest, also when another one follows it
}

type state uint8

const (
	down state = iota
	up         // it carries traffic, or could
)

// see says what happened since the look before, in the words of the events; or, without a kind,
// what whoever arms should know.
func (l *tunnelLife) see(v tunnelView, between time.Duration) (kind, text string) {
	before, beforeSAs, tried, first := l.was, l.sas, l.pending, !l.known
	now := v.state()
	if !first && before == down && v.phaseOne() {
		now = down // that is no news yet; where the tunnel was up, its child SAs came to their end, as they may
	}
	l.wasUp = l.wasUp || now == up
	l.known, l.was, l.sas, l.pending = true, now, map[string]iosxe.IKESA{}, now == down && (v.pending() || v.phaseOne())
	if !l.pending {
		l.tries = attempts{}
	}
	stays := false
	for _, sa := range v.sas {
		if sa.Version == 2 && sa.Established() {
			key := saKey(sa)
			l.sas[key] = sa
			_, was := beforeSAs[key]
			stays = stays || was
		}
	}
	switch {
	case first && now == down:
		l.fails(v, between)
		return "", fmt.Sprintf("the tunnel with %s is not up: an end of it is told when it was", l.peer)
	case first:
		return "", ""
	case before == up && now == down:
		return EventLost, fmt.Sprintf("the tunnel with %s is down%s", l.peer, v.word())
	case before == up && len(beforeSAs) > 0 && len(l.sas) == 0:
		return EventLost, fmt.Sprintf("its IKE SA with %s is gone%s", l.peer, v.word())
	case before == down && now == up:
		return EventUp, fmt.Sprintf("the tunnel with %s came up", l.peer)
	case now == up && len(beforeSAs) > 0 && len(l.sas) > 0 && !stays:
		return l.replaced(beforeSAs, between)
	case now == up && stays && len(l.sas) > len(beforeSAs):
		return EventRekey, fmt.Sprintf("it has another IKE SA with %s beside the one before", l.peer)
	case now == down && tried && !l.pending:
		return EventFailed, fmt.Sprintf("a negotiation with %s came to nothing, or came up and was lost again before the "+
			"next look%s", l.peer, v.word())
	}
	return l.fails(v, between)
}

// fails follows the attempts that are under way.
func (l *tunnelLife) fails(v tunnelView, between time.Duration) (kind, text string) {
	if !l.pending || !l.each {
		return "", ""
	}
	under := v.sas
	if !v.phaseOne() {
		under = slices.DeleteFunc(slices.Clone(v.sas), iosxe.IKESA.Established)
	}
	failed := l.tries.see(under, between)
	if failed == "" {
		return "", ""
	}
	return EventFailed, fmt.Sprintf("a negotiation with %s came to nothing: %s%s", l.peer, failed, v.word())
}

// replaced tells a new key in time from a tunnel that was lost and came back between two looks.
func (l *tunnelLife) replaced(before map[string]iosxe.IKESA, between time.Duration) (kind, text string) {
	for _, old := range before {
		for _, sa := range l.sas {
			sameSession := old.Session != "" && old.Session == sa.Session
			inTime := old.Life == 0 || (old.Age+between)*100 >= old.Life*rekeyedByLife
			if sameSession || old.Session == "" && inTime {
				return EventRekey, fmt.Sprintf("another IKE SA with %s took the place of the one before", l.peer)
			}
		}
	}
	return EventLost, fmt.Sprintf("its IKE SA with %s was lost, and another one came up within %s", l.peer, between)
}

// state says whether the tunnel is up. The session tells, of either version of IKE; an IKE SA does
// where there is no session to be seen.
func (v tunnelView) state() state {
	if len(v.sessions) > 0 {
		for _, s := range v.sessions {
			if strings.HasPrefix(s, "UP") {
				return up
			}
		}
		return down
	}
	for _, sa := range v.sas {
		if sa.Established() {
			return up
		}
	}
	return down
}

// phaseOne says whether all that there is of the tunnel is phase 1 of IKEv1: its SA is up, and no
// session has child SAs.
func (v tunnelView) phaseOne() bool {
	hasChild := func(s string) bool { return strings.HasPrefix(s, "UP") && s != sessionIdle }
	return slices.Contains(v.sessions, sessionIdle) && !slices.ContainsFunc(v.sessions, hasChild) &&
		len(v.sas) > 0 && !slices.ContainsFunc(v.sas, func(sa iosxe.IKESA) bool { return sa.Version != 1 })
}

// pending says whether a negotiation is under way.
func (v tunnelView) pending() bool {
	for _, sa := range v.sas {
		if !sa.Established() {
			return true
		}
	}
	return false
}

func (v tunnelView) word() string {
	if len(v.sessions) == 0 {
		return ""
	}
	return ": the session is " + strings.Join(v.sessions, ", ")
}
