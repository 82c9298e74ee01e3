package event

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// The storm brakes: how often events may start something.
const (
	TunnelPause  = 10 * time.Minute // between two starts of one tunnel
	TunnelPerDay = 20               // starts of one tunnel in 24 hours
	FleetPerHour = 30               // starts of all tunnels in an hour
)

// Brake bounds what events start, in one process. It keeps some times for each tunnel that it lets
// through, and nothing of what it holds back but a count. The zero value is ready; it may be used
// from several goroutines.
type Brake struct {
	mu      sync.Mutex
	tunnels map[string]*track
	fleet   []time.Time // starts of the last hour
}

type track struct {
	starts []time.Time // of the last day
	until  time.Time   // nothing before, as somebody else found out
	held   int         // since somebody asked
}

// Take says whether an event may start something for a tunnel now, and counts that as a start. why
// says what holds it back.
func (b *Brake) Take(tunnel string, now time.Time) (ok bool, why string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.tunnels == nil {
		b.tunnels = map[string]*track{}
	}
	t := b.tunnels[tunnel]
	if t == nil {
		t = &track{}
		b.tunnels[tunnel] = t
	}
	t.starts = since(t.starts, now.Add(-24*time.Hour))
	b.fleet = since(b.fleet, now.Add(-time.Hour))
	switch {
	case now.Before(t.until):
		why = "held back until " + t.until.UTC().Format("15:04:05Z")
	case len(t.starts) > 0 && now.Sub(t.starts[len(t.starts)-1]) < TunnelPause:
		why = fmt.Sprintf("the tunnel's last start was less than %s ago", TunnelPause)
	case len(t.starts) >= TunnelPerDay:
		why = fmt.Sprintf("%d starts of the tunnel in 24 hours", TunnelPerDay)
	case len(b.fleet) >= FleetPerHour:
		why = fmt.Sprintf("%d starts of all tunnels in an hour", FleetPerHour)
	}
	if why != "" {
		t.held++
		return false, why
	}
	t.starts, b.fleet = append(t.starts, now), append(b.fleet, now)
	return true, ""
}

// Return takes the last start of a tunnel back, which came to nothing, and holds the tunnel's
// events back until then.
func (b *Brake) Return(tunnel string, until time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.tunnels[tunnel]
	if t == nil || len(t.starts) == 0 {
		return
	}
	last := t.starts[len(t.starts)-1]
	t.starts = t.starts[:len(t.starts)-1]
	if i := slices.Index(b.fleet, last); i >= 0 {
		b.fleet = slices.Delete(b.fleet, i, i+1)
	}
	t.until = until
}

// Held returns how many events of each tunnel were held back since it was called last.
func (b *Brake) Held() map[string]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	held := map[string]int{}
	for name, t := range b.tunnels {
		if t.held > 0 {
			held[name], t.held = t.held, 0
		}
	}
	return held
}

// since drops the times that are not after a moment, from the beginning of a sorted list.
func since(all []time.Time, from time.Time) []time.Time {
	n := 0
	for n < len(all) && !all[n].After(from) {
		n++
	}
	return slices.Delete(all, 0, n)
}
