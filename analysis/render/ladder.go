package render

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/moncap/moncap/analysis/report"
)

// Ladder is the two-sided sequence of a report, ready to be drawn: what each side sent, what became
// of it, in the order of time on A's clock.
type Ladder struct {
	NAT    bool  // an address is translated between the sides
	Rows   []Row // in order of time
	Arrows int   // transmissions of IKE messages, drawn one by one or folded
	Start  int64 // of the first row, in aligned nanoseconds
	End    int64 // of the last one
}

// RowKind says what a row of a ladder shows.
type RowKind uint8

// The kinds of rows.
const (
	RowMessage RowKind = iota // one transmission of an IKE message
	RowFlow                   // an ESP flow, at its first packet
	RowICMP                   // an ICMP error
	RowQuiet                  // nothing happened for a while
	RowFold                   // many rows that say nothing special
)

// Row is one line of a ladder. Times are nanoseconds since the first packet of both captures, on
// A's clock.
type Row struct {
	Kind     RowKind
	Number   int         // counts the rows that can be referred to, from 1
	From     report.Side // who sent it; for ICMP, whose capture holds it
	NS       int64       // when it was sent, or first seen
	ArriveNS int64       // when it arrived; equal to NS when that was not seen
	Fate     report.Fate
	Untimed  bool // the captures that hold it have no times: these only put the rows in order
	FrameA   int  // 0: not in A's capture
	FrameB   int  // 0: not in B's capture
	Findings []int

	Conversation *report.Conversation
	Message      *report.Message
	Transmission *report.Transmission
	Flow         *report.Flow
	ICMP         *report.ICMP

	Again []Row // later transmissions with the same fate, or the same ICMP error again, where they are shown as one

	Nth, Of int           // this transmission among all of its message that went the same way, from 1
	Between string        // "X to Y", where those of the message went several ways, else ""
	Serial  int           // of the message in its exchange, from 1
	Since   time.Duration // since the transmission before it
	Span    time.Duration // of a quiet span or a fold
	Count   int           // transmissions in a fold
	Lost    int           // lost ones in a fold
}

// quietSpan is how long nothing must happen before a ladder says so.
const quietSpan = 2 * time.Second

type frameOf struct {
	side  report.Side
	frame int
}

// NewLadder computes the ladder of r, with nothing folded.
func NewLadder(r *report.Report) *Ladder {
	l := &Ladder{NAT: len(r.NAT) > 0}
	index := evidenceIndex(r)
	for i := range r.Conversations {
		l.addConversation(&r.Conversations[i])
	}
	l.addFlows(r.Flows)
	for i := range r.ICMP {
		l.addICMP(&r.ICMP[i])
	}
	l.Rows = inOrder(l.Rows)
	for i := range l.Rows {
		l.Rows[i].Number, l.Rows[i].Untimed = i+1, l.Rows[i].untimed(r.Sides)
		l.Rows[i].Findings = index.of(&l.Rows[i])
	}
	if n := len(l.Rows); n > 0 {
		l.Start, l.End = l.Rows[0].NS, l.Rows[n-1].NS
	}
	l.Rows = withQuiet(l.Rows)
	return l
}

// untimed says whether all times of the row are made up: only captures without times
// hold what it shows.
func (r *Row) untimed(s report.Sides) bool {
	timed := func(side *report.SideInfo, frame int) bool { return side != nil && frame > 0 && !side.Untimed }
	if r.FrameA+r.FrameB == 0 {
		return s.Untimed()
	}
	return !timed(s.A, r.FrameA) && !timed(s.B, r.FrameB)
}

// inOrder sorts rows by time. They are large, so that their places are sorted instead of them.
func inOrder(rows []Row) []Row {
	places := make([]int, len(rows))
	for i := range places {
		places[i] = i
	}
	slices.SortStableFunc(places, func(a, b int) int { return cmp.Compare(rows[a].NS, rows[b].NS) })
	sorted := make([]Row, 0, len(rows))
	for _, i := range places {
		sorted = append(sorted, rows[i])
	}
	return sorted
}

func (l *Ladder) addConversation(c *report.Conversation) {
	type exchange struct {
		name string
		id   uint32
	}
	serial := map[exchange]int{}
	for i := range c.Messages {
		m := &c.Messages[i]
		e := exchange{m.Exchange, m.MessageID}
		serial[e]++
		ways := waysOf(m)
		before := int64(0)
		for j := range m.Transmissions {
			t := &m.Transmissions[j]
			if t.A == nil && t.B == nil {
				continue
			}
			row := messageRow(c, m, t)
			row.Nth, row.Of, row.Serial = j+1, len(m.Transmissions), serial[e]
			if j > 0 {
				row.Since = time.Duration(row.NS - before)
			}
			before = row.NS
			if ways != nil {
				row.amongItsWay(ways, j)
			}
			l.Arrows++
			l.Rows = append(l.Rows, row)
		}
	}
}

// amongItsWay counts transmission j of a message among those that went the same way.
func (r *Row) amongItsWay(ways []string, j int) {
	r.Between, r.Nth, r.Of = ways[j], 0, 0
	for i, w := range ways {
		if w != r.Between {
			continue
		}
		r.Of++
		if i <= j {
			r.Nth++
		}
	}
}

// waysOf says of each transmission of a message between which addresses it went; nil where all went
// the same way. Who moves to another address sends anew from or to it, or both, which is no
// repetition (RFC 4555, Section 3.5). Ports do not count: NAT traversal changes them. Only one
// capture's addresses are compared, since a NAT may be between the two.
func waysOf(m *report.Message) []string {
	if len(m.Transmissions) < 2 {
		return nil
	}
	for _, of := range []report.Side{m.From, m.From.Other()} {
		ways := make([]string, len(m.Transmissions))
		for j := range m.Transmissions {
			x := m.Transmissions[j].A
			if of == report.B {
				x = m.Transmissions[j].B
			}
			if x == nil {
				ways = nil
				break
			}
			ways[j] = address(x.Src) + " to " + address(x.Dst)
		}
		if ways == nil {
			continue
		}
		if slices.ContainsFunc(ways, func(w string) bool { return w != ways[0] }) {
			return ways
		}
		return nil
	}
	return nil
}

// address is that of an address and port.
func address(end string) string {
	a, err := netip.ParseAddrPort(end)
	if err != nil {
		return end
	}
	return a.Addr().String()
}

func messageRow(c *report.Conversation, m *report.Message, t *report.Transmission) Row {
	sent, arrived := t.A, t.B
	if m.From == report.B {
		sent, arrived = t.B, t.A
	}
	row := Row{Kind: RowMessage, From: m.From, Fate: t.Fate, Conversation: c, Message: m, Transmission: t}
	if sent == nil {
		sent = arrived
	}
	row.NS, row.ArriveNS = sent.AlignedNS, sent.AlignedNS
	if arrived != nil {
		row.ArriveNS = arrived.AlignedNS
	}
	row.FrameA, row.FrameB = frame(t.A), frame(t.B)
	return row
}

func frame(s *report.Sighting) int {
	if s == nil {
		return 0
	}
	return s.Frame
}

func (l *Ladder) addFlows(flows []report.Flow) {
	for i := range flows {
		f := &flows[i]
		sent, arrived := f.A, f.B
		if f.Direction.From() == report.B {
			sent, arrived = f.B, f.A
		}
		row := Row{Kind: RowFlow, From: f.Direction.From(), Flow: f, Fate: flowFate(f, sent, arrived)}
		if sent == nil {
			sent = arrived
		}
		if sent == nil {
			continue
		}
		row.NS, row.ArriveNS = sent.FirstNS, sent.FirstNS
		if arrived != nil && arrived.FirstSeq == sent.FirstSeq { // the same packet
			row.ArriveNS = max(arrived.FirstNS, sent.FirstNS)
		}
		if f.A != nil {
			row.FrameA = f.A.Frame
		}
		if f.B != nil {
			row.FrameB = f.B.Frame
		}
		l.Rows = append(l.Rows, row)
	}
}

func flowFate(f *report.Flow, sent, arrived *report.FlowSide) report.Fate {
	switch {
	case sent != nil && arrived != nil:
		return report.Delivered
	case sent != nil && f.Lost > 0:
		return report.Lost
	}
	return report.Unknown
}

func (l *Ladder) addICMP(e *report.ICMP) {
	row := Row{Kind: RowICMP, From: e.Side, NS: e.Seen.AlignedNS, ArriveNS: e.Seen.AlignedNS, ICMP: e,
		Fate: report.Unknown}
	if e.Side == report.B {
		row.FrameB = e.Seen.Frame
	} else {
		row.FrameA = e.Seen.Frame
	}
	l.Rows = append(l.Rows, row)
}

type evidence map[frameOf][]int

// evidenceIndex maps a frame to the findings that speak of it, as indices of report.Findings.
func evidenceIndex(r *report.Report) evidence {
	index := evidence{}
	for i, f := range r.Findings {
		for _, e := range f.Evidence {
			k := frameOf{e.Side, e.Frame}
			if !slices.Contains(index[k], i) {
				index[k] = append(index[k], i)
			}
		}
	}
	return index
}

func (e evidence) of(row *Row) []int {
	var out []int
	add := func(side report.Side, frames ...int) {
		for _, f := range frames {
			out = append(out, e[frameOf{side, f}]...)
		}
	}
	add(report.A, row.FrameA)
	add(report.B, row.FrameB)
	if t := row.Transmission; t != nil {
		if t.A != nil {
			add(report.A, t.A.Fragments...)
		}
		if t.B != nil {
			add(report.B, t.B.Fragments...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func withQuiet(rows []Row) []Row {
	out := make([]Row, 0, len(rows)+len(rows)/4)
	last := int64(0)
	for i, row := range rows {
		if i > 0 && !row.Untimed {
			if span := time.Duration(row.NS - last); span >= quietSpan {
				out = append(out, Row{Kind: RowQuiet, NS: last, Span: span})
			}
		}
		if !row.Untimed {
			last = max(last, row.lastNS())
		}
		out = append(out, row)
	}
	return out
}

func (r *Row) lastNS() int64 {
	if n := len(r.Again); n > 0 {
		return r.Again[n-1].NS
	}
	return r.NS
}

// sameAs is what rows have in common that Grouped makes one of.
type sameAs struct {
	message    *report.Message
	between    string // of a message that went between several addresses
	fate       report.Fate
	side       report.Side
	kind, code int
	from, text string
}

func (r *Row) same() (sameAs, bool) {
	switch r.Kind {
	case RowMessage:
		return sameAs{message: r.Message, fate: r.Fate, between: r.Between}, r.Of > 1
	case RowICMP:
		return sameAs{side: r.From, kind: r.ICMP.Type, code: r.ICMP.Code, from: r.ICMP.From, text: r.ICMP.Meaning}, true
	}
	return sameAs{}, false
}

// Grouped returns the ladder with one row for all transmissions of a message that had the same
// fate, at the first of them, and one for an ICMP error that comes again and again.
func (l *Ladder) Grouped() *Ladder {
	out := *l
	out.Rows = make([]Row, 0, len(l.Rows))
	at := map[sameAs]int{}
	for _, row := range l.Rows {
		if row.Kind == RowQuiet {
			continue
		}
		k, ok := row.same()
		i, seen := at[k]
		switch {
		case ok && seen:
			first := &out.Rows[i]
			first.Again = append(first.Again, row)
			first.Findings = append(slices.Clone(first.Findings), row.Findings...)
			continue
		case ok:
			at[k] = len(out.Rows)
		}
		out.Rows = append(out.Rows, row)
	}
	for i := range out.Rows {
		slices.Sort(out.Rows[i].Findings)
		out.Rows[i].Findings = slices.Compact(out.Rows[i].Findings)
	}
	out.Rows = withQuiet(out.Rows)
	return &out
}

// Fold returns the ladder with at most about limit rows: first the stretches that no finding speaks
// of become one row each, and if that is not enough, others too. A limit of 0 folds nothing.
func (l *Ladder) Fold(limit int) *Ladder {
	if limit <= 0 || len(l.Rows) <= limit {
		return l
	}
	out := *l
	out.Rows = foldRuns(l.Rows, func(r *Row) bool { return len(r.Findings) == 0 })
	if len(out.Rows) > limit {
		head, tail := out.Rows[:limit/2], out.Rows[len(out.Rows)-limit/2:]
		middle := foldAll(out.Rows[limit/2 : len(out.Rows)-limit/2])
		out.Rows = slices.Concat(head, middle, tail)
	}
	return &out
}

// keepAround is how many rows stay at either end of a folded stretch.
const keepAround = 3

func foldRuns(rows []Row, plain func(*Row) bool) []Row {
	var out []Row
	for i := 0; i < len(rows); {
		j := i
		for j < len(rows) && plain(&rows[j]) {
			j++
		}
		if j == i {
			out = append(out, rows[i])
			i++
			continue
		}
		if j-i > 2*keepAround+4 {
			out = append(out, rows[i:i+keepAround]...)
			out = append(out, foldAll(rows[i+keepAround:j-keepAround])...)
			out = append(out, rows[j-keepAround:j]...)
		} else {
			out = append(out, rows[i:j]...)
		}
		i = j
	}
	return out
}

func foldAll(rows []Row) []Row {
	if len(rows) == 0 {
		return nil
	}
	first, last := rows[0], rows[len(rows)-1]
	fold := Row{Kind: RowFold, Untimed: first.Untimed, NS: first.NS, ArriveNS: last.NS, Number: first.Number,
		Span: time.Duration(last.NS - first.NS)}
	for _, r := range rows {
		switch r.Kind {
		case RowMessage:
			fold.Count += 1 + len(r.Again)
			if r.Fate == report.Lost {
				fold.Lost += 1 + len(r.Again)
			}
		case RowFold:
			fold.Count += r.Count
			fold.Lost += r.Lost
		}
		fold.Findings = append(fold.Findings, r.Findings...)
	}
	slices.Sort(fold.Findings)
	fold.Findings = slices.Compact(fold.Findings)
	return []Row{fold}
}
