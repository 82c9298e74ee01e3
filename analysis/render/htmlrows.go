package render

import (
	"fmt"
	"strings"
	"time"

	"github.com/moncap/moncap/analysis/report"
)

// rowView is a row of the ladder as the page shows it.
type rowView struct {
	Kind, Class            string // arrow, icmp, quiet, fold; and its CSS classes
	Number, Count          int    // the row's number, and how many transmissions it accounts for
	Label, Payloads, Again string
	Note, Fate, Describe   string
	TimeA, TimeB           string // seconds on A's clock, by side
	FrameA, FrameB         string
	GoneA, GoneB           bool // the time says that it is lost
	Height, At, Gap        int  // pixels: of the row, from its top to the arrow's tail, and above its words
	Arrow                  arrowView
	Findings               []int
	Seen                   []string
	Detail, DetailB        []report.Detail
	Shown                  string // whose capture shows Detail
	Direction              string // for the table
	Repeat                 bool   // not the first transmission
	start, arrive, top     int64  // nanoseconds and pixels, for the geometry
}

func (v *view) rows(r *report.Report, l *Ladder) {
	before := l.Start
	for i := range l.Rows {
		row := &l.Rows[i]
		rv := rowView{Number: row.Number, FrameA: number(row.FrameA), FrameB: number(row.FrameB), start: row.NS,
			arrive: row.ArriveNS}
		for _, f := range row.Findings {
			rv.Findings = append(rv.Findings, f+1)
		}
		lines := 1
		switch row.Kind {
		case RowQuiet:
			rv.Kind, rv.Label = "quiet", duration(row.Span)+" quiet"
		case RowFold:
			rv.Kind, rv.Label, rv.Count = "fold", foldText(row), row.Count
			rv.TimeA = instant(row.NS)
		case RowICMP:
			rv.icmp(r, row)
			lines = 2
		default:
			rv.message(r, row)
			if !row.Untimed {
				rv.Gap = gap(row.NS - before)
			}
			lines = rv.lines()
		}
		if row.Untimed {
			rv.TimeA, rv.TimeB = "", ""
		}
		rv.measure(lines)
		before = max(before, row.NS)
		v.Rows = append(v.Rows, rv)
	}
	drawArrows(v.Rows, l.Rows)
}

// when begins a sentence about a row.
func (r *Row) when() string {
	if r.Untimed {
		return ""
	}
	return instant(r.NS) + " s, "
}

// instant is a point of time on the page, in seconds on A's clock.
func instant(ns int64) string { return fmt.Sprintf("%.4f", float64(ns)/1e9) }

func (rv *rowView) icmp(r *report.Report, row *Row) {
	rv.Kind, rv.Class = "icmp", strings.ToLower(string(row.From))
	rv.Label = fmt.Sprintf("ICMP %d/%d", row.ICMP.Type, row.ICMP.Code)
	rv.Note = clean(row.ICMP.From + ": " + row.ICMP.Meaning)
	rv.Direction = "seen by " + sideName(r, row.From)
	rv.times(row.From, row.NS)
	rv.Describe = fmt.Sprintf("%s%s, seen by %s: %s", row.when(), rv.Label, sideName(r, row.From), rv.Note)
	rv.Seen = []string{sightingText(r, row.From, &row.ICMP.Seen)}
}

func (rv *rowView) times(side report.Side, ns int64) {
	if side == report.B {
		rv.TimeB = instant(ns)
	} else {
		rv.TimeA = instant(ns)
	}
}

func (rv *rowView) message(r *report.Report, row *Row) {
	rv.Kind, rv.Label, rv.Fate, rv.Count = "arrow", rowTitle(row), row.fateText(), 1
	rv.Class = strings.ToLower(string(row.From)) + " " + strings.ReplaceAll(clean(string(row.Fate)), " ", "")
	rv.Direction = sideName(r, row.From) + " to " + sideName(r, row.From.Other())
	rv.clocks(row)
	if row.Flow != nil {
		rv.Class += " flow sealed"
		rv.Direction = flowRoute(r, row.Flow)
		rv.Count = 0 // no IKE message
		rv.Payloads = flowCounts(r, row.Flow)
	}
	if m := row.Message; m != nil {
		rv.Payloads, rv.Note = payloadText(m), clean(m.Note)
		if m.Encrypted {
			rv.Class += " sealed"
		}
		if n := fragments(row.Transmission); n > 1 {
			rv.Payloads += fmt.Sprintf(", in %d IP fragments", n)
		}
		rv.Detail, rv.DetailB = cleanDetails(m.Detail), cleanDetails(m.DetailB)
		rv.Seen = sightings(r, row)
		rv.Shown = "Payloads, the same in both captures"
		switch {
		case row.FrameA == 0:
			rv.Shown = "Payloads as B's capture shows them"
		case row.FrameB == 0, len(rv.DetailB) > 0:
			rv.Shown = "Payloads as A's capture shows them"
		}
	}
	if row.Nth > 1 {
		rv.Repeat = true
		rv.Class += " again"
		rv.Again = fmt.Sprintf("%d of %d", row.Nth, row.Of)
		if !row.Untimed {
			rv.Again += ", +" + duration(row.Since.Round(10*time.Microsecond))
		}
	} else if row.Of > 1 && row.Untimed {
		rv.Again = fmt.Sprintf("×%d", row.Of)
	} else if row.Of > 1 {
		rv.Again = fmt.Sprintf("×%d%s", row.Of, pauses(row.Message))
	}
	if row.Between != "" {
		rv.Again = row.Between
	}
	rv.Describe = fmt.Sprintf("%s%s, %s, %s", row.when(), rv.Label, rv.Direction, rv.Fate)
}

// fragments is how many IP fragments a transmission came in, on the side that saw most of them.
func fragments(t *report.Transmission) int {
	n := 0
	for _, s := range []*report.Sighting{t.A, t.B} {
		if s != nil {
			n = max(n, len(s.Fragments))
		}
	}
	return n
}

// clocks are the times at which either side saw the packet.
func (rv *rowView) clocks(row *Row) {
	sent, arrived := row.FrameA > 0, row.FrameB > 0
	if row.From == report.B {
		sent, arrived = arrived, sent
	}
	if sent {
		rv.times(row.From, row.NS)
	}
	if arrived {
		rv.times(row.From.Other(), row.ArriveNS)
	}
	if row.Fate != report.Lost {
		return
	}
	if row.From == report.A {
		rv.TimeB, rv.GoneB = "lost", true
	} else {
		rv.TimeA, rv.GoneA = "lost", true
	}
}

// lines is how many lines of words stand over the arrow: the style sheet keeps each to one.
func (rv *rowView) lines() int {
	n := 1
	if rv.Repeat {
		return n
	}
	for _, s := range []string{rv.Payloads, rv.Note, rv.Again} {
		if s != "" {
			n++
		}
	}
	return n
}

// pauses lists the times between the sendings of m.
func pauses(m *report.Message) string {
	var list []time.Duration
	before := int64(0)
	for i := range m.Transmissions {
		t := &m.Transmissions[i]
		if t.A == nil && t.B == nil {
			continue
		}
		at := messageRow(nil, m, t).NS
		if i > 0 {
			list = append(list, time.Duration(at-before))
		}
		before = at
	}
	if len(list) == 0 {
		return ""
	}
	return ": again after " + intervals(list)
}

func cleanDetails(list []report.Detail) []report.Detail {
	out := make([]report.Detail, len(list))
	for i, d := range list {
		out[i] = report.Detail{Name: clean(d.Name), Lines: cleanAll(d.Lines)}
	}
	return out
}

func sightings(r *report.Report, row *Row) []string {
	var out []string
	for _, s := range []struct {
		side report.Side
		at   *report.Sighting
	}{{report.A, row.Transmission.A}, {report.B, row.Transmission.B}} {
		if s.at == nil {
			out = append(out, sideName(r, s.side)+": not in the capture")
			continue
		}
		out = append(out, sightingText(r, s.side, s.at))
	}
	if d := time.Duration(row.ArriveNS - row.NS); d > 0 {
		out = append(out, "under way for "+duration(d))
	}
	return out
}

func sightingText(r *report.Report, side report.Side, at *report.Sighting) string {
	text := fmt.Sprintf("%s: frame %d, %s UTC, %s to %s, %s", sideName(r, side), at.Frame,
		at.Time.UTC().Format("15:04:05.000000"), clean(at.Src), clean(at.Dst), count(at.Size, "byte"))
	if at.TTL > 0 {
		text += fmt.Sprintf(", TTL %d, DSCP %d", at.TTL, at.DSCP)
	}
	if len(at.Fragments) > 0 {
		text += ", in " + count(len(at.Fragments), "fragment")
	}
	return text
}
