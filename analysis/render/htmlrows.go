package render

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/moncap/moncap/analysis/report"
)

func (v *view) rows(r *report.Report, l *Ladder) {
	before := l.Start
	for i := range l.Rows {
		row := &l.Rows[i]
		rv := rowView{Number: row.Number, Time: seconds(row.NS), FrameA: number(row.FrameA), FrameB: number(row.FrameB), Gap: gap(row.NS - before)}
		before = row.NS
		for _, f := range row.Findings {
			rv.Findings = append(rv.Findings, f+1)
		}
		switch row.Kind {
		case RowQuiet:
			rv.Kind, rv.Label = "quiet", duration(row.Span)+" quiet"
		case RowFold:
			rv.Kind, rv.Label, rv.Count = "fold", foldText(row), row.Count
		case RowICMP:
			rv.Kind, rv.Class = "icmp", strings.ToLower(string(row.From))
			rv.Label = fmt.Sprintf("ICMP %d/%d from %s: %s", row.ICMP.Type, row.ICMP.Code, clean(row.ICMP.From), clean(row.ICMP.Meaning))
		default:
			rv.arrow(r, row, l.Rows[:i])
		}
		v.Rows = append(v.Rows, rv)
	}
}

// gap is the space in pixels that stands for a time: it grows with its logarithm.
func gap(ns int64) int {
	ms := float64(ns) / 1e6
	if ms <= 1 {
		return 0
	}
	return min(int(5*math.Log10(ms)), 24)
}

func (rv *rowView) arrow(r *report.Report, row *Row, before []Row) {
	rv.Kind, rv.Label, rv.Fate, rv.Count = "arrow", rowTitle(row), row.fateText(), 1
	rv.Class = strings.ToLower(string(row.From)) + " " + strings.ReplaceAll(clean(string(row.Fate)), " ", "")
	rv.Arrow = geometry(row)
	if row.Flow != nil {
		rv.Class += " flow sealed"
		rv.Count = 0 // no IKE message
		rv.Payloads = flowCounts(row.Flow)
	}
	if m := row.Message; m != nil {
		rv.Payloads, rv.Note = payloadText(m), clean(m.Note)
		if m.Encrypted {
			rv.Class += " sealed"
		}
		rv.Detail, rv.DetailB = cleanDetails(m.Detail), cleanDetails(m.DetailB)
		rv.Seen = sightings(r, row)
	}
	if row.Of > 1 {
		rv.Again = fmt.Sprintf("· sent %d times%s", row.Of, pauses(row.Message))
		if row.Nth > 1 {
			rv.Again = fmt.Sprintf("· %d of %d, again after %s", row.Nth, row.Of, duration(row.Since.Round(10*time.Microsecond)))
		}
	}
	if row.Nth > 1 && len(before) > 0 && sameMessage(before, row) {
		rv.Class += " again"
	}
	rv.Describe = fmt.Sprintf("%s, %s from %s, %s", seconds(row.NS)+" s", rv.Label, sideName(r, row.From), rv.Fate)
}

// pauses lists the times between the sendings of m, the first few.
func pauses(m *report.Message) string {
	const most = 6
	var list []string
	before := int64(0)
	for i := range m.Transmissions {
		t := &m.Transmissions[i]
		if t.A == nil && t.B == nil {
			continue
		}
		at := messageRow(nil, m, t).NS
		if i > 0 {
			list = append(list, duration(time.Duration(at-before).Round(time.Millisecond)))
		}
		before = at
		if len(list) == most && i+1 < len(m.Transmissions) {
			list = append(list, "...")
			break
		}
	}
	if len(list) == 0 {
		return ""
	}
	return ", again after " + strings.Join(list, ", ")
}

func sameMessage(before []Row, row *Row) bool {
	for i := len(before) - 1; i >= 0; i-- {
		if before[i].Kind != RowQuiet {
			return before[i].Message == row.Message
		}
	}
	return false
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
		text := fmt.Sprintf("%s: frame %d, %s UTC, %s to %s, %s", sideName(r, s.side), s.at.Frame,
			s.at.Time.UTC().Format("15:04:05.000000"), clean(s.at.Src), clean(s.at.Dst), count(s.at.Size, "byte"))
		if s.at.TTL > 0 {
			text += fmt.Sprintf(", TTL %d, DSCP %d", s.at.TTL, s.at.DSCP)
		}
		if len(s.at.Fragments) > 0 {
			text += ", in " + count(len(s.at.Fragments), "fragment")
		}
		out = append(out, text)
	}
	if d := time.Duration(row.ArriveNS - row.NS); d > 0 {
		out = append(out, "under way for "+duration(d))
	}
	return out
}

// geometry draws an arrow from the sender's line; the slope grows with the time under way.
func geometry(row *Row) arrowView {
	ms := math.Max(float64(row.ArriveNS-row.NS)/1e6, 0)
	a := arrowView{X1: 0, X2: 100, Y1: 5, Y2: 5 + min(2+int(4*math.Log10(1+10*ms)), 14), Head: "M0 0L-11 -5V5Z"}
	half := false
	if row.Fate == report.Lost {
		a.Cross, half, a.Y2, a.X2 = true, true, 8, 62
	}
	if row.Fate == report.Unknown && (row.FrameA == 0 || row.FrameB == 0) {
		a.Open, half, a.Y2, a.X2 = true, true, 8, 85
	}
	if row.From == report.B {
		a.X1, a.X2, a.Head = 100, 100-a.X2, "M0 0L11 -5V5Z"
	}
	if half {
		a.Head = ""
	}
	return a
}
