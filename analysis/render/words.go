package render

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/moncap/moncap/analysis/report"
)

// clean makes text from packets and routers harmless: no control or format characters, no line
// breaks, no invalid UTF-8. What is taken out leaves a mark.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp) ||
			r == unicode.ReplacementChar:
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

// shownIntervals bounds the times that are written out.
const shownIntervals = 8

// intervals lists times, with the unit once where seconds suit them all: 0.5, 0.75, 1.12 s.
func intervals(list []time.Duration) string {
	more := ""
	if len(list) > shownIntervals {
		list, more = list[:shownIntervals], ", ..."
	}
	inSeconds := !slices.ContainsFunc(list, func(d time.Duration) bool {
		return d < 100*time.Millisecond ||
			d >= 2*time.Minute
	})
	var words []string
	for _, d := range list {
		if inSeconds {
			words = append(words, trimmed(d.Seconds()))
		} else {
			words = append(words, duration(d.Round(time.Millisecond)))
		}
	}
	text := strings.Join(words, ", ")
	if inSeconds && len(list) > 0 {
		text += " s"
	}
	return text + more
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
// seconds is when a row was, on A's clock; nothing where that is not known.
func (r *Row) seconds() string {
	if r.Untimed {
		return ""
	}
	return seconds(r.NS)
}

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

// flowRoute is the direction of a flow with the peers' names; of several peers that one capture
// shows, by its address.
func flowRoute(r *report.Report, f *report.Flow) string {
	name := func(s report.Side) string {
		if f.Peer != "" && r.Sides.Get(s) == nil {
			return clean(f.Peer)
		}
		return sideName(r, s)
	}
	return name(f.Direction.From()) + " to " + name(f.Direction.To())
}

// payloadText lists a message's payloads, and of an encrypted one what is in clear of it.
// Notifications that change what happens have their names; neighbours of one kind are counted.
func payloadText(m *report.Message) string {
	list := slices.Clone(m.Payloads)
	nth := 0
	for i, p := range list {
		switch {
		case m.Encrypted && m.FirstInner != "" && (p == "SK" || p == "SKF" || strings.HasPrefix(p, "Encrypted")):
			list[i] = p + "{" + m.FirstInner + "...}"
			if m.FirstInner == "nothing" {
				list[i] = p + "{}"
			}
		case p == "N":
			if nth < len(m.Notify) && !routine(m.Notify[nth]) {
				list[i] = "N(" + m.Notify[nth] + ")"
			}
			nth++
		}
	}
	return clean(strings.Join(counted(list), " "))
}

// routine says whether a notification only tells what a peer can do, so that its name is no news.
func routine(name string) bool {
	return strings.HasPrefix(name, "NAT_DETECTION_") || strings.Contains(name, "SUPPORTED") ||
		strings.HasPrefix(name, "SIGNATURE_HASH_ALGORITHMS") ||
		strings.HasPrefix(name, "IPCOMP") || strings.HasPrefix(name, "INITIAL_CONTACT") || strings.HasPrefix(name, "USE_") ||
		strings.HasPrefix(name, "ESP_TFC") || strings.HasPrefix(name, "NON_FIRST_FRAGMENTS") || name == "" ||
		name[0] >= '0' && name[0] <= '9'
}

// counted makes one of neighbours that are the same: N N N is N×3.
func counted(list []string) []string {
	var out []string
	for i := 0; i < len(list); {
		j := i
		for j < len(list) && list[j] == list[i] {
			j++
		}
		if j-i > 2 {
			out = append(out, fmt.Sprintf("%s×%d", list[i], j-i))
		} else {
			out = append(out, list[i:j]...)
		}
		i = j
	}
	return out
}

func rowTitle(row *Row) string {
	if row.Flow != nil {
		return flowTitle(row.Flow)
	}
	m := row.Message
	if row.Conversation != nil && row.Conversation.Version == 1 {
		return titleV1(row)
	}
	return clean(fmt.Sprintf("%s %s %d", m.Exchange, m.Kind, m.MessageID))
}

// titleV1 names a message of IKEv1 as people count them: Main Mode 5, Quick Mode 1 with its message
// ID. There are no requests and responses.
func titleV1(row *Row) string {
	m, name := row.Message, row.Message.Exchange
	if _, known, ok := strings.Cut(name, "("); ok {
		name = strings.TrimSuffix(known, ")")
	}
	if !strings.HasPrefix(name, "Informational") {
		name = fmt.Sprintf("%s %d", name, row.Serial)
	}
	if m.MessageID != 0 {
		name = fmt.Sprintf("%s (%08x)", name, m.MessageID)
	}
	return clean(name)
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
	if f.Encapsulation == "udp" || f.Encapsulation == "tcp" {
		where = " in " + strings.ToUpper(f.Encapsulation)
	}
	return "ESP" + where + " " + clean(f.SPI)
}

// flowCounts is how many packets of a flow each capture holds, the sender's first; of a side that
// was not captured nobody knows.
func flowCounts(r *report.Report, f *report.Flow) string {
	var all []string
	for _, side := range [2]report.Side{f.Direction.From(), f.Direction.To()} {
		at := f.A
		if side == report.B {
			at = f.B
		}
		switch {
		case at == nil && r.Sides.Get(side) == nil:
		case at == nil:
			all = append(all, fmt.Sprintf("0 at %s", side))
		case at.Pieces > 0:
			all = append(all, fmt.Sprintf("%s whole at %s, and of %s the first IP fragment", thousands(at.Packets-at.Pieces),
				side, thousands(at.Pieces)))
		default:
			all = append(all, fmt.Sprintf("%s at %s", thousands(at.Packets), side))
		}
	}
	text := strings.Join(all, ", ")
	if f.Lost > 0 {
		text += fmt.Sprintf("; %s proven lost", thousands(f.Lost))
	}
	return text
}

// order returns the findings' indices with each cause before what it causes, and the depth of each.
func order(findings []report.Finding) (indices, depth []int) {
	done := make([]bool, len(findings))
	var caused []int // most findings of a long report have no cause, and this is asked for every one of them
	for i := range findings {
		if findings[i].CausedBy != "" {
			caused = append(caused, i)
		}
	}
	var visit func(i, d int)
	visit = func(i, d int) {
		if done[i] {
			return
		}
		done[i] = true
		indices, depth = append(indices, i), append(depth, d)
		for _, j := range caused {
			if findings[j].CausedBy == findings[i].Code && sameTalk(findings[j], findings[i]) {
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
	return report.SameTalk(a, b)
}

// firstActions is what to do first: the actions of the first critical finding that has some, else
// of the first warning. What the captures lack comes before what they would tell.
func firstActions(r *report.Report) *report.Finding {
	indices, _ := order(r.Findings)
	for _, severity := range []report.Severity{report.Critical, report.Warning} {
		for _, i := range indices {
			if f := &r.Findings[i]; f.Severity == severity && len(f.Actions) > 0 {
				return captureBefore(r.Findings, f)
			}
		}
	}
	return nil
}

// captureBefore is the finding about a capture that hangs above f and has advice
// of its own, else f.
func captureBefore(all []report.Finding, f *report.Finding) *report.Finding {
	if !strings.HasPrefix(f.CausedBy, "capture-") {
		return f
	}
	if i := slices.IndexFunc(all, func(g report.Finding) bool {
		return g.Code == f.CausedBy && sameTalk(*f, g) && len(g.Actions) > 0
	}); i >= 0 {
		return &all[i]
	}
	return f
}

// first says whether the actions of finding i stand above all as what to do first.
func first(r *report.Report, i int) bool {
	f := firstActions(r)
	return f != nil && f == &r.Findings[i]
}

// merged makes one action of neighbours that ask the same of both sides.
func merged(actions []report.Action) []report.Action {
	var out []report.Action
	for _, a := range actions {
		if n := len(out); n > 0 {
			last := &out[n-1]
			sides := last.Side != "" && a.Side == last.Side.Other()
			if sides && last.Mode == a.Mode && last.Where == a.Where && last.Why == a.Why &&
				slices.Equal(last.Commands, a.Commands) {
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
	case a.Where == "path":
		where = "between the routers"
	case a.Side != "":
		where = "on " + sideName(r, a.Side)
	}
	if a.Mode == "config" && a.Where == "" {
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
