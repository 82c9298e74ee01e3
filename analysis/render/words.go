package render

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/moncap/moncap/analysis/report"
)

// clean makes text from packets and routers harmless: no control or format characters, no line breaks, no invalid
// UTF-8. What is taken out leaves a mark.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp) || r == unicode.ReplacementChar:
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

func cleanAll(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = clean(s)
	}
	return out
}

// duration writes d in three digits at most and a unit: 480 µs, 1.52 s, 2 min 5 s.
func duration(d time.Duration) string {
	switch a := d.Abs(); {
	case a < 10*time.Microsecond:
		return "0 s"
	case a < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case a < time.Second:
		return trimmed(float64(d)/1e6) + " ms"
	case a < 2*time.Minute:
		return trimmed(d.Seconds()) + " s"
	case a < 2*time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(a.Seconds())%60)
	}
	return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Abs().Minutes())%60)
}

func trimmed(v float64) string {
	digits := 2
	if math.Abs(v) >= 10 {
		digits = 1
	}
	if math.Abs(v) >= 100 {
		digits = 0
	}
	s := fmt.Sprintf("%.*f", digits, v)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

func millis(ms float64) string { return duration(time.Duration(ms * 1e6)) }

// seconds is a point of time in a ladder.
func seconds(ns int64) string { return fmt.Sprintf("%.3f", float64(ns)/1e9) }

func count(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	if strings.HasSuffix(one, "y") {
		one = strings.TrimSuffix(one, "y") + "ie"
	}
	return thousands(n) + " " + one + "s"
}

func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// sideName is the peer's name, or the letter of the side.
func sideName(r *report.Report, s report.Side) string {
	if i := r.Sides.Get(s); i != nil && i.Name != "" {
		return clean(i.Name)
	}
	return "side " + string(s)
}

// route is a direction with the peers' names.
func route(r *report.Report, d report.Direction) string {
	return sideName(r, d.From()) + " to " + sideName(r, d.To())
}

// payloadText lists a message's payloads, and of an encrypted one what is in clear of it.
func payloadText(m *report.Message) string {
	list := slices.Clone(m.Payloads)
	if m.Encrypted && m.FirstInner != "" {
		for i, p := range list {
			if p == "SK" || p == "SKF" || strings.HasPrefix(p, "Encrypted") {
				list[i] = p + "{" + m.FirstInner + "...}"
				if m.FirstInner == "nothing" {
					list[i] = p + "{}"
				}
			}
		}
	}
	return clean(strings.Join(list, " "))
}

func (r *Row) fateText() string {
	switch {
	case r.Fate == report.Lost:
		return "lost"
	case r.Fate == report.Delivered:
		return "delivered"
	}
	return "arrival unknown"
}

func flowTitle(f *report.Flow) string {
	where := ""
	if f.Encapsulation == "udp" {
		where = " in UDP"
	}
	return "ESP" + where + " " + clean(f.SPI)
}

func flowCounts(f *report.Flow) string {
	n := func(s *report.FlowSide) string {
		if s == nil {
			return "0"
		}
		return thousands(s.Packets)
	}
	text := fmt.Sprintf("%s at A, %s at B", n(f.A), n(f.B))
	if f.Lost > 0 {
		text += fmt.Sprintf(", %s lost", thousands(f.Lost))
	}
	return text
}

// order returns the findings' indices with each cause before what it causes, and the depth of each.
func order(findings []report.Finding) (indices, depth []int) {
	done := make([]bool, len(findings))
	var visit func(i, d int)
	visit = func(i, d int) {
		if done[i] {
			return
		}
		done[i] = true
		indices, depth = append(indices, i), append(depth, d)
		for j, g := range findings {
			if g.CausedBy == findings[i].Code && sameTalk(g, findings[i]) {
				visit(j, min(d+1, 3))
			}
		}
	}
	for i, f := range findings {
		if !hasCause(findings, f) {
			visit(i, 0)
		}
	}
	for i := range findings { // causes that form a circle, or are not in the report
		visit(i, 0)
	}
	return indices, depth
}

func hasCause(findings []report.Finding, f report.Finding) bool {
	return f.CausedBy != "" && slices.ContainsFunc(findings, func(g report.Finding) bool {
		return g.Code == f.CausedBy && sameTalk(f, g)
	})
}

func sameTalk(a, b report.Finding) bool {
	return a.Conversation == "" || b.Conversation == "" || a.Conversation == b.Conversation
}

// firstActions is what to do first: the actions of the first critical finding that has some, else of the first warning.
func firstActions(r *report.Report) *report.Finding {
	indices, _ := order(r.Findings)
	for _, severity := range []report.Severity{report.Critical, report.Warning} {
		for _, i := range indices {
			if f := &r.Findings[i]; f.Severity == severity && len(f.Actions) > 0 {
				return f
			}
		}
	}
	return nil
}

// merged makes one action of neighbours that ask the same of both sides.
func merged(actions []report.Action) []report.Action {
	var out []report.Action
	for _, a := range actions {
		if n := len(out); n > 0 {
			last := &out[n-1]
			sides := last.Side != "" && a.Side == last.Side.Other()
			if sides && last.Mode == a.Mode && last.Why == a.Why && slices.Equal(last.Commands, a.Commands) {
				last.Side, last.Device = "", ""
				continue
			}
		}
		out = append(out, a)
	}
	return out
}

func actionWhere(r *report.Report, a report.Action) string {
	where := "on both routers"
	switch {
	case a.Device != "":
		where = "on " + clean(a.Device)
	case a.Side != "":
		where = "on " + sideName(r, a.Side)
	case a.Mode == "path":
		where = "between the routers"
	}
	if a.Mode == "config" {
		where += ", configuration"
	}
	return where
}

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

func evidenceText(e report.Evidence) string {
	s := fmt.Sprintf("%s frame %d", e.Side, e.Frame)
	if e.Note != "" {
		s += ": " + clean(e.Note)
	}
	return s
}

func clockText(c *report.Clock) string {
	if c == nil {
		return "The clocks cannot be compared: no packet was seen on both sides."
	}
	ahead := "B's clock agrees with A's"
	if math.Abs(c.OffsetMS) >= 0.01 {
		word := "ahead of"
		if c.OffsetMS < 0 {
			word = "behind"
		}
		ahead = fmt.Sprintf("B's clock is %s %s A's", millis(math.Abs(c.OffsetMS)), word)
	}
	if c.LowMS != nil && c.HighMS != nil {
		ahead += fmt.Sprintf(" (between %.3f and %.3f ms)", *c.LowMS, *c.HighMS)
	}
	if c.DriftPPM != nil {
		ahead += fmt.Sprintf(", drift %.1f ppm", *c.DriftPPM)
	}
	if c.Steps > 0 {
		ahead += ", stepped " + count(c.Steps, "time")
	}
	ahead += fmt.Sprintf("; from %s", count(c.Pairs, "pair"))
	if c.Method != "" {
		ahead += ", " + clean(c.Method)
	}
	return ahead + "."
}

func natText(r *report.Report, t report.Translation) string {
	return fmt.Sprintf("%s: %s becomes %s (%s)", sideName(r, t.Side), endpoint(t.Original, t.OriginalPort), endpoint(t.Translated, t.Port), count(t.Packets, "packet"))
}

func endpoint(addr string, port uint16) string {
	a, err := netip.ParseAddr(addr)
	if err != nil {
		return fmt.Sprintf("%s port %d", clean(addr), port)
	}
	return netip.AddrPortFrom(a, port).String()
}

func pairsText(p report.Pairs) string {
	return fmt.Sprintf("%s seen on both sides; lost %d from A to B, %d from B to A; only at A %d, only at B %d.",
		count(p.Matched, "packet"), p.LostAtoB, p.LostBtoA, p.OnlyA, p.OnlyB)
}

func sideCounts(s *report.SideInfo) string {
	text := fmt.Sprintf("%s: %d IKE, %d ESP, %d ICMP, %d other", count(s.Packets, "packet"), s.IKE, s.ESP, s.ICMP, s.Other)
	if s.Truncated > 0 {
		text += fmt.Sprintf("; %d cut short", s.Truncated)
	}
	if s.Duplicates > 0 {
		text += fmt.Sprintf("; %d duplicates", s.Duplicates)
	}
	return text
}

func sideSpan(s *report.SideInfo) string {
	if s.First == nil || s.Last == nil {
		return "empty"
	}
	return s.First.UTC().Format("2006-01-02 15:04:05.000") + " UTC, " + duration(s.Last.Sub(*s.First))
}
