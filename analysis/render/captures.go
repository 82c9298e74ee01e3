package render

import (
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strings"

	"github.com/moncap/moncap/analysis/report"
)

// clocks says how the clocks relate, where the captures hold times.
func clocks(r *report.Report) string {
	if r.Sides.Untimed() {
		return "The captures hold no times: what came after what is known, how long after is not."
	}
	if r.Sides.A == nil || r.Sides.B == nil {
		return "One capture alone: there is no other clock to compare its own with."
	}
	return clockText(r.Clock)
}

// clockText says how the clocks relate, no more precisely than it is known.
func clockText(c *report.Clock) string {
	if c == nil {
		return "The clocks cannot be compared: no packet was seen on both sides."
	}
	text := clockOffsetText(c)
	if c.Steps > 0 {
		often := "once"
		if c.Steps > 1 {
			often = count(c.Steps, "time")
		}
		text = "A clock was set " + often + " during the captures. Over the longest stretch: " + text
	}
	if c.DriftPPM != nil && math.Abs(*c.DriftPPM) >= leastDrift {
		text += fmt.Sprintf(", and drifts by %.1f ppm", *c.DriftPPM)
	}
	text += " (" + count(c.Pairs, "pair")
	if c.Method != "" {
		text += ", " + clean(c.Method)
	}
	return text + ")."
}

// leastDrift is the least that is shown, in parts per million.
const leastDrift = 0.05

// leastOffset is what no capture tells from nothing, in milliseconds.
const leastOffset = 0.01

func clockOffsetText(c *report.Clock) string {
	switch {
	case c.LowMS != nil && c.HighMS != nil:
		if *c.LowMS <= 0 && *c.HighMS >= 0 {
			return "The clocks agree to within " + millis(max(-*c.LowMS, *c.HighMS, leastOffset))
		}
		text := "B's clock is " + ahead(c.OffsetMS, "")
		if half := (*c.HighMS - *c.LowMS) / 2; half >= leastOffset {
			text += ", give or take " + millis(half)
		}
		return text
	case c.HighMS != nil && *c.HighMS >= leastOffset, c.LowMS != nil && *c.LowMS <= -leastOffset:
		return "B's clock is " + ahead(c.OffsetMS, "at most ")
	case c.HighMS != nil || c.LowMS != nil:
		return "B's clock is " + ahead(c.OffsetMS, "at least ")
	}
	return "B's clock is " + ahead(c.OffsetMS, "")
}

func ahead(ms float64, bound string) string {
	if math.Abs(ms) < leastOffset {
		return "in step with A's"
	}
	word := "ahead of"
	if ms < 0 {
		word = "behind"
	}
	return fmt.Sprintf("%s%s %s A's", bound, millis(math.Abs(ms)), word)
}

func natText(r *report.Report, t report.Translation) string {
	return fmt.Sprintf("%s: %s becomes %s (%s)", sideName(r, t.Side), endpoint(t.Original, t.OriginalPort),
		endpoint(t.Translated, t.Port), count(t.Packets, "packet"))
}

func endpoint(addr string, port uint16) string {
	a, err := netip.ParseAddr(addr)
	if err != nil {
		return fmt.Sprintf("%s port %d", clean(addr), port)
	}
	return netip.AddrPortFrom(a, port).String()
}

func pairsText(r *report.Report) string {
	if r.Sides.A == nil || r.Sides.B == nil {
		return "One capture alone: nothing can be paired, and no loss on the way proven."
	}
	p := r.Pairs
	text := "No packet seen on both sides"
	if p.Matched > 0 {
		text = count(p.Matched, "packet") + " seen on both sides"
	}
	switch {
	case p.LostAtoB > 0 && p.LostBtoA > 0:
		text += fmt.Sprintf("; lost: %s from A to B, %s from B to A", thousands(p.LostAtoB), thousands(p.LostBtoA))
	case p.LostAtoB > 0:
		text += fmt.Sprintf("; %s lost from A to B, none from B to A", thousands(p.LostAtoB))
	case p.LostBtoA > 0:
		text += fmt.Sprintf("; %s lost from B to A, none from A to B", thousands(p.LostBtoA))
	case p.Matched > 0:
		text += "; none lost"
	}
	var alone, again []string
	unpaired, copies := [2]int{p.OnlyA - p.LostAtoB, p.OnlyB - p.LostBtoA}, [2]int{p.CopiesA, p.CopiesB}
	if copies != [2]int{} {
		unpaired = [2]int{p.UnpairedA, p.UnpairedB}
	}
	for i, n := range unpaired {
		if n > 0 {
			alone = append(alone, thousands(n)+" at "+string("AB"[i])+" alone")
		}
		if copies[i] > 0 {
			again = append(again, thousands(copies[i])+" at "+string("AB"[i]))
		}
	}
	if len(again) > 0 {
		text += "; held again: " + strings.Join(again, ", ")
	}
	if len(alone) > 0 {
		text += "; " + strings.Join(alone, " and ") + ", whose loss is not proven"
	}
	return text + "."
}

func sideCounts(s *report.SideInfo) string {
	var list []string
	for _, k := range []struct {
		n    int
		what string
	}{{s.IKE, "IKE"}, {s.ESP, "ESP"}, {s.ICMP, "ICMP"}, {s.Other, "other"}} {
		if k.n > 0 {
			list = append(list, thousands(k.n)+" "+k.what)
		}
	}
	text := count(s.Packets, "packet")
	if len(list) > 0 {
		text += ": " + strings.Join(list, ", ")
	}
	return text
}

// quality says how far one capture can be trusted.
func quality(s *report.SideInfo) string {
	var faults []string
	if s.Damaged != "" {
		faults = append(faults, "the file is damaged: "+clean(s.Damaged))
	}
	if s.Truncated > 0 {
		faults = append(faults, count(s.Truncated, "packet")+" cut short")
	}
	if s.Duplicates > 0 {
		faults = append(faults, count(s.Duplicates, "packet")+" captured twice")
	}
	switch {
	case len(faults) > 0:
		return strings.Join(faults, "; ")
	case s.Packets == 0:
		return "nothing in the file"
	}
	return "whole, no packet cut short"
}

func sideSpan(s *report.SideInfo) string {
	if s.First == nil || s.Last == nil {
		return ""
	}
	return s.First.UTC().Format("2006-01-02 15:04:05.000") + " UTC, " + duration(s.Last.Sub(*s.First))
}

// besides says what became of what was given beside the captures, a sentence each.
func besides(r *report.Report) []string {
	var all []string
	for _, n := range r.Notes {
		text := clean(n.Text)
		if n.Side != "" {
			text = sideName(r, n.Side) + ": " + text
		}
		all = append(all, text)
	}
	return all
}

// leftOut says what a report of very many tunnels does not list, a line each.
func leftOut(o *report.Omitted) []string {
	if o == nil {
		return nil
	}
	var all []string
	for _, code := range slices.Sorted(maps.Keys(o.Findings)) {
		all = append(all, fmt.Sprintf("and %s of %s", count(o.Findings[code], "more finding"), clean(code)))
	}
	if o.Messages > 0 {
		all = append(all, count(o.Messages, "message")+" are counted but not listed")
	}
	if o.Packets > 0 {
		all = append(all, count(o.Packets, "packet")+" were left aside: there are more SPIs than can be kept")
	}
	return all
}
