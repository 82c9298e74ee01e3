// Package schedule is the arithmetic of scheduled runs: when one is due, what becomes of those
// that were missed, and by how much each tunnel starts later. It has no clock, no timer and no
// database: whoever asks says what time it is.
package schedule

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/netresearch/go-cron"
)

// shortest is the least time between two runs: a capture takes about as long.
const shortest = time.Minute

// yearsAhead is how far a time is looked for: from 2096 the next 29 February is eight years away.
const yearsAhead = 9

// Times are the moments that a cron expression names in a time zone.
//
// An expression that names hours means the clock on the wall, and each of its times once a day. A
// time that the clock skips when it is put forward comes as much later as it is put forward (02:30
// at 03:30); one that it shows twice when it is put back comes the first time. An expression for
// every hour, or every so many, goes on through such a night hour by hour.
type Times struct {
	text, zone string
	location   *time.Location
	wall       cron.Schedule // of the clock on the wall, as if it were in UTC; nil: one of the others
	hourly     cron.Schedule // in the zone
	every      time.Duration // counted from the same moment on every machine
}

// Parse reads the five fields of a cron expression (minute, hour, day of the month, month, day of
// the week; where both days are restricted, either will do, as in crontab(5)), @hourly, @daily,
// @weekly, @monthly, @yearly, or @every with a duration; and the IANA name of a time zone. Neither
// an empty name nor Local will do: each machine would take it for its own.
func Parse(text, zone string) (*Times, error) {
	location, err := Zone(zone)
	if err != nil {
		return nil, err
	}
	if strings.Contains(text, "TZ=") {
		return nil, errors.New("the time zone has a key of its own, timezone")
	}
	const fields = cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor | cron.DowOrDom
	parser := cron.MustNewParser(fields).WithMinEveryInterval(shortest).WithMaxSearchYears(yearsAhead)
	parsed, err := parser.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%w; want five fields such as \"30 2 * * *\", @daily, or @every 6h", err)
	}
	t := &Times{text: text, zone: zone, location: location}
	switch s := parsed.(type) {
	case cron.ConstantDelaySchedule:
		t.every = s.Delay
	case *cron.SpecSchedule:
		if everyHour(text) {
			s.Location, t.hourly = location, s
		} else {
			s.Location, t.wall = time.UTC, s
		}
	default:
		return nil, fmt.Errorf("%q names no time", text)
	}
	if t.Next(time.Unix(0, 0)).IsZero() {
		return nil, errors.New("it never comes: no year has that day")
	}
	return t, nil
}

// Zone finds a time zone by its IANA name.
func Zone(zone string) (*time.Location, error) {
	location, err := time.LoadLocation(zone)
	if err != nil || zone == "" || strings.EqualFold(zone, "local") {
		return nil, fmt.Errorf("%.60q is no time zone by its IANA name, such as Europe/Berlin or UTC", zone)
	}
	return location, nil
}

// everyHour says whether an expression names no hours, or one in so many.
func everyHour(text string) bool {
	fields := strings.Fields(text)
	return text == "@hourly" || len(fields) == 5 && strings.HasPrefix(fields[1], "*")
}

// String returns the expression as it was written.
func (t *Times) String() string { return t.text }

// Zone returns the name of the time zone as it was written.
func (t *Times) Zone() string { return t.zone }

// Location returns the time zone.
func (t *Times) Location() *time.Location { return t.location }

// Next returns the first of the moments that is after a moment, in the zone; zero: there is none.
func (t *Times) Next(after time.Time) time.Time {
	after = after.In(t.location)
	switch {
	case t.every > 0:
		return after.Truncate(t.every).Add(t.every)
	case t.hourly != nil:
		return t.hourly.Next(after)
	}
	// A clock is put forward by a day at most (where the date line was moved): what it showed
	// longer ago is over.
	var first time.Time
	wall := t.wall.Next(clock(after).Add(-25 * time.Hour))
	for ; !wall.IsZero() && (first.IsZero() || !wall.After(clock(first))); wall = t.wall.Next(wall) {
		// What the clock skipped comes later, maybe later than what it shows next.
		if at := t.moment(wall); at.After(after) && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first
}

// clock is what the clock on the wall shows at a moment, as if it were in UTC.
func clock(at time.Time) time.Time {
	_, offset := at.Zone()
	return at.Add(time.Duration(offset) * time.Second).UTC()
}

// moment is when the clock of the zone shows wall: the first time if twice, and if never, when it
// would have, had it not been put forward.
func (t *Times) moment(wall time.Time) time.Time {
	at := time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), 0, 0, t.location)
	_, offset := at.Add(-24 * time.Hour).Zone()
	before := wall.Add(-time.Duration(offset) * time.Second).In(t.location)
	if skipped := !clock(at).Equal(wall); skipped || before.Before(at) && clock(before).Equal(wall) {
		return before
	}
	return at
}
