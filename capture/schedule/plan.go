package schedule

import (
	"hash/fnv"
	"io"
	"time"
)

// Missed says what becomes of a run whose time went by while no worker was there.
type Missed string

// The policies for missed runs.
const (
	Once Missed = "once" // one run for all that were missed, within the grace
	Skip Missed = "skip" // none: the next time is soon enough
)

// onTime is how late a run may begin without counting as missed: workers look every few seconds.
const onTime = time.Minute

// Blackout is a time in which no scheduled run begins: For from each of the moments of From.
type Blackout struct {
	From *Times
	For  time.Duration
}

// Contains says whether a moment lies in the blackout, and until when it lasts then.
func (b Blackout) Contains(at time.Time) (until time.Time, in bool) {
	from := b.From.Next(at.Add(-b.For))
	if from.IsZero() || from.After(at) {
		return time.Time{}, false
	}
	return last(b.From.Next, from, at).Add(b.For), true
}

// Plan is a schedule as the arithmetic needs it.
type Plan struct {
	Times     *Times
	Spread    time.Duration // within which the tunnels start, each at its own moment
	Missed    Missed
	Grace     time.Duration // how late a missed run may begin
	Blackouts []Blackout
}

// Dark says whether no run may begin at a moment, and from when on one may.
func (p *Plan) Dark(at time.Time) (until time.Time, dark bool) {
	until = at
	for range 100 { // one blackout may begin in another; a chain that is longer has no end
		found := false
		for _, b := range p.Blackouts {
			if end, in := b.Contains(until); in {
				until, found, dark = end, true, true
			}
		}
		if !found {
			return until, dark
		}
	}
	return until, dark
}

// Next returns the first moment after a moment at which the schedule's runs are due, in the zone;
// zero: there is none. What a blackout covers is not due.
func (p *Plan) Next(after time.Time) time.Time {
	for at := p.Times.Next(after); !at.IsZero(); at = p.Times.Next(at) {
		until, dark := p.Dark(at)
		if !dark {
			return at
		}
		if until.Sub(after) > yearsAhead*366*24*time.Hour {
			break
		}
		at = until.Add(-time.Second)
	}
	return time.Time{}
}

// Due is what a look at a schedule comes to.
type Due struct {
	Fire   bool
	For    time.Time // the moment that the runs are for; of several that were missed, the latest
	Late   bool      // it is a catch-up
	Missed int       // moments that went by without runs, MaxMissed when they are more
	Next   time.Time // when the schedule is due again; zero: never
}

// MaxMissed bounds the counting of moments that went by.
const MaxMissed = 10_000

// Look says what is to be done now about a schedule whose next moment was due. However many
// moments went by, the runs are made once, for the latest, and when they are late only as far as
// the policy and the grace allow.
func (p *Plan) Look(due, now time.Time) Due {
	if due.IsZero() || due.After(now) {
		return Due{Next: due}
	}
	d := Due{For: last(p.Next, due, now), Next: p.Next(now)}
	late := now.Sub(d.For)
	_, dark := p.Dark(now)
	d.Late = late > onTime
	d.Fire = !dark && (!d.Late || p.Missed != Skip && late <= p.Grace)
	for at := due; at.Before(d.For) && d.Missed < MaxMissed; at = p.Next(at) {
		d.Missed++
	}
	if !d.Fire {
		d.Missed++
	}
	return d
}

// last is the latest of the moments that next names from one, which is one of them, until another.
// It looks back further and further, so that a year of minutes is not counted one by one.
func last(next func(time.Time) time.Time, from, until time.Time) time.Time {
	for back := time.Minute; until.Add(-back).After(from); back *= 4 {
		if at := next(until.Add(-back)); !at.IsZero() && !at.After(until) {
			from = at
			break
		}
	}
	for at := next(from); !at.IsZero() && !at.After(until); at = next(at) {
		from = at
	}
	return from
}

// Start is when the run of a tunnel begins that is due at a moment. It is as much later every time,
// on every machine: a part of the spread that the tunnel's name decides.
func (p *Plan) Start(tunnel string, at time.Time) time.Time { return at.Add(Offset(tunnel, p.Spread)) }

// Offset is a tunnel's place within a spread, in whole seconds.
func Offset(tunnel string, spread time.Duration) time.Duration {
	if spread < time.Second {
		return 0
	}
	h := fnv.New64a()
	_, _ = io.WriteString(h, tunnel)
	return time.Duration(h.Sum64()%uint64(spread/time.Second)) * time.Second
}
