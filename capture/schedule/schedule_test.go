package schedule

import (
	"slices"
	"testing"
	"time"
)

const stamp = "2006-01-02 15:04 -0700"

func at(t *testing.T, s string) time.Time {
	t.Helper()
	when, err := time.Parse(stamp, s)
	if err != nil {
		t.Fatal(err)
	}
	return when
}

func times(t *testing.T, text, zone string) *Times {
	t.Helper()
	c, err := Parse(text, zone)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// between lists the moments after one and up to another.
func between(next func(time.Time) time.Time, from, to time.Time) []string {
	all := []string{}
	for m := next(from); !m.IsZero() && !m.After(to); m = next(m) {
		all = append(all, m.Format(stamp))
	}
	return all
}

// Berlin puts its clock from 02:00 to 03:00 on 2027-03-28 and back from 03:00 to 02:00
// on 2026-10-25; Lord Howe from 02:00 to 02:30 on 2026-10-04 and back from 02:00 to
// 01:30 on 2027-04-04.
func TestBothNightsOfTheYear(t *testing.T) {
	const berlin, howe = "Europe/Berlin", "Australia/Lord_Howe"
	for _, tt := range []struct {
		name, cron, zone, from, to string
		want                       []string
	}{
		{"forward, skipped", "30 2 * * *", berlin, "2027-03-27 12:00 +0100", "2027-03-29 12:00 +0200",
			[]string{"2027-03-28 03:30 +0200", "2027-03-29 02:30 +0200"}},
		{"back, twice on the clock", "30 2 * * *", berlin, "2026-10-24 12:00 +0200", "2026-10-26 12:00 +0100",
			[]string{"2026-10-25 02:30 +0200", "2026-10-26 02:30 +0100"}},
		{"back, two times in the hour", "0,30 2 * * *", berlin, "2026-10-24 12:00 +0200", "2026-10-25 12:00 +0100",
			[]string{"2026-10-25 02:00 +0200", "2026-10-25 02:30 +0200"}},
		{"back, begun between", "30 2 * * *", berlin, "2026-10-25 02:45 +0200", "2026-10-26 12:00 +0100",
			[]string{"2026-10-26 02:30 +0100"}},
		{"forward, the hour after too", "30 2,3 * * *", berlin, "2027-03-27 12:00 +0100", "2027-03-28 12:00 +0200",
			[]string{"2027-03-28 03:30 +0200"}},
		{"forward, every hour", "0 * * * *", berlin, "2027-03-28 00:30 +0100", "2027-03-28 04:00 +0200",
			[]string{"2027-03-28 01:00 +0100", "2027-03-28 03:00 +0200", "2027-03-28 04:00 +0200"}},
		{"back, every hour", "0 * * * *", berlin, "2026-10-25 01:30 +0200", "2026-10-25 03:00 +0100",
			[]string{"2026-10-25 02:00 +0200", "2026-10-25 02:00 +0100", "2026-10-25 03:00 +0100"}},
		{"half an hour forward, the first that is", "30 2 * * *", howe, "2026-10-03 12:00 +1030", "2026-10-05 12:00 +1100",
			[]string{"2026-10-04 02:30 +1100", "2026-10-05 02:30 +1100"}},
		{"half an hour forward, skipped", "15 2 * * *", howe, "2026-10-03 12:00 +1030", "2026-10-05 12:00 +1100",
			[]string{"2026-10-04 02:45 +1100", "2026-10-05 02:15 +1100"}},
		{"half an hour forward, overtaken", "15,40 2 * * *", howe, "2026-10-03 12:00 +1030", "2026-10-04 12:00 +1100",
			[]string{"2026-10-04 02:40 +1100", "2026-10-04 02:45 +1100"}},
		{"half an hour back, once on the clock", "30 2 * * *", howe, "2027-04-03 12:00 +1100", "2027-04-05 12:00 +1030",
			[]string{"2027-04-04 02:30 +1030", "2027-04-05 02:30 +1030"}},
		{"half an hour back, twice on the clock", "45 1 * * *", howe, "2027-04-03 12:00 +1100", "2027-04-05 12:00 +1030",
			[]string{"2027-04-04 01:45 +1100", "2027-04-05 01:45 +1030"}},
		{"a day that was not", "0 12 * * *", "Pacific/Apia", "2011-12-29 11:00 -1000", "2011-12-31 23:00 +1400",
			[]string{"2011-12-29 12:00 -1000", "2011-12-31 12:00 +1400"}},
		{"no such nights", "30 2 * * *", "UTC", "2026-10-24 12:00 +0000", "2026-10-26 12:00 +0000",
			[]string{"2026-10-25 02:30 +0000", "2026-10-26 02:30 +0000"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := times(t, tt.cron, tt.zone)
			if got := between(c.Next, at(t, tt.from), at(t, tt.to)); !slices.Equal(got, tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestExpressions(t *testing.T) {
	for _, tt := range []struct {
		cron string
		want []string
	}{
		// As in crontab(5), a restricted day of the month and a restricted weekday are alternatives.
		{"0 6 13 * 5", []string{"2026-11-13 06:00 +0000", "2026-11-20 06:00 +0000", "2026-11-27 06:00 +0000"}},
		{"0 6 * * 7", []string{"2026-11-15 06:00 +0000", "2026-11-22 06:00 +0000", "2026-11-29 06:00 +0000"}},
		{"0 0 24-26 12 *", []string{}},
		{"@weekly", []string{"2026-11-15 00:00 +0000", "2026-11-22 00:00 +0000", "2026-11-29 00:00 +0000"}},
		{"@every 168h", []string{"2026-11-16 00:00 +0000", "2026-11-23 00:00 +0000", "2026-11-30 00:00 +0000"}},
	} {
		c := times(t, tt.cron, "UTC")
		if got := between(c.Next, at(t, "2026-11-12 00:00 +0000"), at(t, "2026-11-30 00:00 +0000")); !slices.Equal(got,
			tt.want) {
			t.Errorf("%s: %q, want %q", tt.cron, got, tt.want)
		}
	}
	for _, bad := range []string{
		"", "30 2 * *", "30 2 * * * *", "60 2 * * *", "0 0 30 2 *", "@every 1s", "@reboot", "@manual", "TZ=UTC 0 0 * * *",
		"CRON_TZ=UTC 0 0 * * *", "*/0 * * * *", "1-0/0 * * * *", "a b c d e", "@every -5m", "0 0 L * *",
	} {
		if c, err := Parse(bad, "UTC"); err == nil {
			t.Errorf("%q was taken: next %s", bad, c.Next(time.Unix(0, 0)))
		}
	}
	for _, bad := range []string{"", "Local", "local", "Europe/Nowhere", "../../etc/passwd", "+0100"} {
		if _, err := Parse("@daily", bad); err == nil {
			t.Errorf("zone %q was taken", bad)
		}
	}
}

func TestLook(t *testing.T) {
	nightly := func(p Plan) *Plan { p.Times = times(t, "30 2 * * *", "Europe/Berlin"); return &p }
	every := func(p Plan) *Plan { p.Times = times(t, "* * * * *", "UTC"); return &p }
	xmas := []Blackout{{times(t, "0 0 24-26 12 *", "Europe/Berlin"), 24 * time.Hour}}
	for _, tt := range []struct {
		name           string
		plan           *Plan
		due, now       string
		fire, late     bool
		missed         int
		fireFor, again string
	}{
		{"not yet", nightly(Plan{Missed: Once, Grace: time.Hour}), "2026-11-29 02:30 +0100", "2026-11-29 02:29 +0100",
			false, false, 0, "", "2026-11-29 02:30 +0100"},
		{"on time", nightly(Plan{Missed: Skip}), "2026-11-29 02:30 +0100", "2026-11-29 02:30 +0100",
			true, false, 0, "2026-11-29 02:30 +0100", "2026-11-30 02:30 +0100"},
		{"late, within the grace", nightly(Plan{Missed: Once, Grace: time.Hour}), "2026-11-29 02:30 +0100",
			"2026-11-29 03:30 +0100", true, true, 0, "2026-11-29 02:30 +0100", "2026-11-30 02:30 +0100"},
		{"late, beyond the grace", nightly(Plan{Missed: Once, Grace: time.Hour}), "2026-11-29 02:30 +0100",
			"2026-11-29 03:31 +0100", false, true, 1, "2026-11-29 02:30 +0100", "2026-11-30 02:30 +0100"},
		{"late, not wanted", nightly(Plan{Missed: Skip, Grace: time.Hour}), "2026-11-29 02:30 +0100",
			"2026-11-29 02:40 +0100", false, true, 1, "2026-11-29 02:30 +0100", "2026-11-30 02:30 +0100"},
		{"five nights in one", nightly(Plan{Missed: Once, Grace: 12 * time.Hour}), "2026-11-24 02:30 +0100",
			"2026-11-28 09:00 +0100", true, true, 4, "2026-11-28 02:30 +0100", "2026-11-29 02:30 +0100"},
		{"a year of minutes", every(Plan{Missed: Once, Grace: time.Hour}), "2025-11-29 00:00 +0000", "2026-11-29 00:00 +0000",
			true, false, MaxMissed, "2026-11-29 00:00 +0000", "2026-11-29 00:01 +0000"},
		{"in a blackout", nightly(Plan{Missed: Once, Grace: 24 * time.Hour, Blackouts: xmas}), "2026-12-23 02:30 +0100",
			"2026-12-24 01:00 +0100", false, true, 1, "2026-12-23 02:30 +0100", "2026-12-27 02:30 +0100"},
		{"behind a blackout nothing is missed", nightly(Plan{Missed: Once, Grace: 24 * time.Hour, Blackouts: xmas}),
			"2026-12-23 02:30 +0100",
			"2026-12-27 01:00 +0100", false, true, 1, "2026-12-23 02:30 +0100", "2026-12-27 02:30 +0100"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := tt.plan.Look(at(t, tt.due), at(t, tt.now))
			got := ""
			if !d.For.IsZero() {
				got = d.For.Format(stamp)
			}
			if d.Fire != tt.fire || d.Late != tt.late || d.Missed != tt.missed || got != tt.fireFor ||
				!d.Next.Equal(at(t, tt.again)) {
				t.Errorf("%+v", d)
			}
		})
	}
}

// A fleet's clock is looked at every few seconds for a year, with outages: no
// moment makes two runs.
func TestNoMomentTwice(t *testing.T) {
	for _, zone := range []string{"Europe/Berlin", "Australia/Lord_Howe"} {
		p := &Plan{Times: times(t, "15,45 1,2,3 * * *", zone), Missed: Once, Grace: 3 * time.Hour}
		now, end := at(t, "2026-09-01 00:00 +0000"), at(t, "2027-09-01 00:00 +0000")
		due, seen, fired := p.Next(now), map[time.Time]bool{}, 0
		for i := 0; now.Before(end); i++ {
			now = now.Add(137 * time.Second)
			if i%500 == 0 {
				now = now.Add(7 * time.Hour) // nobody is there
			}
			d := p.Look(due, now)
			if d.Fire {
				fired++
				if seen[d.For.UTC()] {
					t.Fatalf("%s: twice at %s", zone, d.For)
				}
				seen[d.For.UTC()] = true
			}
			if !d.Next.IsZero() && d.Next.Before(due) {
				t.Fatalf("%s: back from %s to %s", zone, due, d.Next)
			}
			due = d.Next
		}
		if fired < 1500 || fired > 6*365 {
			t.Errorf("%s: %d runs in a year", zone, fired)
		}
	}
}

func TestBlackouts(t *testing.T) {
	p := &Plan{Times: times(t, "@hourly", "UTC"), Blackouts: []Blackout{
		{times(t, "0 8 * * 1-5", "UTC"), 2 * time.Hour}, {times(t, "30 9 * * 1-5", "UTC"), time.Hour},
	}}
	want := []string{"2026-11-30 07:00 +0000", "2026-11-30 11:00 +0000"}
	if got := between(p.Next, at(t, "2026-11-30 06:30 +0000"), at(t, "2026-11-30 11:00 +0000")); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if until, dark := p.Dark(at(t, "2026-11-30 08:10 +0000")); !dark || !until.Equal(at(t, "2026-11-30 10:30 +0000")) {
		t.Errorf("dark %t until %s", dark, until)
	}
	always := &Plan{Times: p.Times, Blackouts: []Blackout{{times(t, "@hourly", "UTC"), time.Hour}}}
	if next := always.Next(at(t, "2026-11-30 06:30 +0000")); !next.IsZero() {
		t.Errorf("in a night without end: %s", next)
	}
}

func TestOffset(t *testing.T) {
	p := Plan{Spread: 30 * time.Minute}
	seen := map[time.Time]bool{}
	due := at(t, "2026-11-29 02:30 +0100")
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		start := p.Start(name, due)
		if start.Before(due) || !start.Before(due.Add(p.Spread)) || !start.Equal(p.Start(name, due)) {
			t.Errorf("%s: %s", name, start)
		}
		seen[start] = true
	}
	if len(seen) < 6 || Offset("a", 0) != 0 {
		t.Errorf("%d different starts of 8", len(seen))
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"30 2 * * *", "@every 6h", "*/7 1-5,22-2 * feb-nov mon#2", "0 0 31 */2 *"} {
		f.Add(s, int64(1_800_000_000))
	}
	f.Fuzz(func(t *testing.T, text string, from int64) {
		c, err := Parse(text, "Europe/Berlin")
		if err != nil {
			return
		}
		after := time.Unix(from%4_000_000_000, 0)
		if next := c.Next(after); !next.IsZero() && !next.After(after) {
			t.Errorf("%q: %s is not after %s", text, next, after)
		}
	})
}
