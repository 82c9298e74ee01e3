package render

import (
	"fmt"
	"strings"
	"time"

	"github.com/moncap/moncap/analysis/report"
)

// textLimit is how many rows a text ladder shows before stretches of it are folded.
const textLimit = 60

// columns are the widths of a text ladder: the time, A's frame, between the lines, B's frame, what
// became of it.
type columns struct{ time, frame, span, after int }

// narrow is the width below which an arrow has no room for words in it.
const narrow = 72

func (p *page) fit(l *Ladder) columns {
	frames := 0
	for i := range l.Rows {
		frames = max(frames, l.Rows[i].FrameA, l.Rows[i].FrameB)
	}
	c := columns{time: max(len(seconds(l.End))+2, 7), frame: max(len(number(frames))+2, 4), after: 14}
	if p.width < narrow {
		c.time, c.after = 0, 5
	}
	c.span = max(min(p.width, ladderWidth)-c.time-2*c.frame-2-c.after, 10)
	return c
}

func (p *page) ladder(l *Ladder) {
	if len(l.Rows) == 0 {
		return
	}
	p.cols = p.fit(l)
	rows := l.Rows
	if !p.o.Verbose {
		rows = l.Grouped().Fold(textLimit).Rows
	}
	what := "seconds on A's clock"
	if p.r.Sides.Untimed() {
		what = "in order: the captures hold no times"
	}
	p.section("Ladder  (" + what + "; #frame)")
	p.ladderHead(l)
	for i := range rows {
		p.ladderRow(&rows[i])
	}
	p.line(p.lifelines(strings.Repeat(" ", p.cols.span)))
}

// lettered is a side's letter before its name, unless the name has it: "A site-a", and "side A".
func lettered(letter, name string) string {
	if name == "side "+letter {
		return name
	}
	return letter + " " + name
}

func (p *page) ladderHead(l *Ladder) {
	left, right := sideName(p.r, report.A), sideName(p.r, report.B)
	p.line(p.headLine(lettered("A", left), lettered("B", right), ""))
	address := func(s report.Side) string {
		if i := p.r.Sides.Get(s); i != nil && len(i.Addresses) > 0 {
			return clean(i.Addresses[0])
		}
		return ""
	}
	middle := ""
	if l.NAT {
		middle = p.sign("╎ NAT ╎", "| NAT |")
	}
	if p.width < narrow {
		middle = "" // no room beside the addresses
	}
	p.line(p.paint(dim, p.headLine(address(report.A), address(report.B), middle)))
	if l.NAT && middle == "" {
		p.note("NAT")
	}
}

func (p *page) headLine(left, right, middle string) string {
	room := p.cols.span + 2
	pad := strings.Repeat(" ", p.cols.time+p.cols.frame)
	half := (room - Cells(middle)) / 2
	left, right = Shorten(left, half-1), Shorten(right, half-1)
	gap := room - Cells(left) - Cells(right)
	if middle == "" {
		return pad + left + strings.Repeat(" ", gap) + right
	}
	before := half - Cells(left)
	return pad + left + strings.Repeat(" ", before) + middle + strings.Repeat(" ", gap-before-Cells(middle)) + right
}

func (p *page) lifelines(middle string) string {
	bar := p.paint(dim, p.sign("│", "|"))
	return strings.Repeat(" ", p.cols.time+p.cols.frame) + bar + middle + bar
}

func (p *page) ladderRow(row *Row) {
	switch row.Kind {
	case RowQuiet:
		p.note(p.sign("⋮ ", ": ") + duration(row.Span) + " quiet")
	case RowFold:
		p.note(foldText(row))
	case RowICMP:
		p.icmp(row)
	default:
		p.arrow(row)
	}
}

func foldText(row *Row) string {
	text := count(row.Count, "message") + " folded"
	if !row.Untimed {
		text += ", " + duration(row.Span)
	}
	if row.Lost > 0 {
		text += fmt.Sprintf(", %d lost", row.Lost)
	}
	return text
}

// note writes words into the middle of the ladder.
func (p *page) note(text string) {
	text = Shorten(text, p.cols.span)
	room := p.cols.span - Cells(text)
	p.line(p.lifelines(strings.Repeat(" ", room/2) + p.paint(dim, text) + strings.Repeat(" ", room-room/2)))
}

func (p *page) icmp(row *Row) {
	e := row.ICMP
	text := fmt.Sprintf("ICMP %d/%d from %s", e.Type, e.Code, clean(e.From))
	refs := p.refs(row.Findings, p.cols.after)
	if p.width < narrow {
		p.above(row, text)
		text, refs = "", ""
	}
	if row.From == report.B {
		text = padLeft(Shorten(text, p.cols.span-2), p.cols.span-1) + " "
	} else {
		text = " " + Pad(Shorten(text, p.cols.span-2), p.cols.span-1)
	}
	p.framed(row, p.paint(yellow, text), refs)
	p.noteLines(clean(e.Meaning))
	p.again(row)
}

func (p *page) framed(row *Row, middle, after string) {
	bar := p.paint(dim, p.sign("│", "|"))
	at := ""
	if p.cols.time > 0 {
		at = fmt.Sprintf("%*s ", p.cols.time-1, row.seconds())
	}
	p.line(at, p.paint(dim, fmt.Sprintf("%*s", p.cols.frame-1, number(row.FrameA))), " ",
		bar, middle, bar, " ", p.paint(dim, fmt.Sprintf("%-*s", p.cols.frame-1, number(row.FrameB))), after)
}

func number(frame int) string {
	if frame == 0 {
		return ""
	}
	return fmt.Sprintf("#%d", frame)
}

// refs are the numbers of the findings that speak of a row, as many as there is room for.
func (p *page) refs(findings []int, room int) string {
	text := ""
	for _, f := range findings {
		next := fmt.Sprintf("[%d]", f+1)
		if len(text)+len(next) >= room {
			return text + "+"
		}
		text += next
	}
	return text
}

// above writes what a row is about over its arrow, where a terminal is too narrow for words in it.
func (p *page) above(row *Row, words string) {
	lead := fmt.Sprintf("%7s ", row.seconds())
	p.wrap(lead, strings.Repeat(" ", len(lead)), strings.TrimSpace(words+" "+p.refs(row.Findings, 40)), "")
}

func (p *page) arrow(row *Row) {
	title, payloads, encrypted := rowTitle(row), "", false
	if m := row.Message; m != nil {
		payloads, encrypted = payloadText(m), m.Encrypted
	}
	color, fate := "", ""
	switch row.Fate {
	case report.Lost:
		color, fate = red, "lost "
	case report.Unknown:
		fate = "? "
	}
	refs := p.refs(row.Findings, p.cols.after-len(fate))
	if p.width < narrow {
		p.above(row, title+"  "+payloads)
		title, refs = "", ""
	}
	p.framed(row, p.paint(color, p.shaft(row, title, payloads, encrypted)), p.paint(color, fate)+refs)
	if p.width >= narrow && !p.o.Verbose && payloads != "" && row.Nth == 1 && !p.fits(title, payloads) {
		p.noteLines(payloads)
	}
	p.again(row)
	if p.o.Verbose {
		p.details(row)
	} else if m := row.Message; m != nil && m.Note != "" && row.Nth == 1 {
		p.noteLines(clean(m.Note))
	}
}

// again says how often and after which times a row came again.
func (p *page) again(row *Row) {
	if len(row.Again) > 0 {
		p.noteLines(p.sign("×", "x") + strings.TrimPrefix(againText(row), ", ×"))
	}
	if row.Between != "" {
		p.noteLines(row.Between)
	}
}

// againText says for a line of words how often a row came, and after which times again.
func againText(row *Row) string {
	switch n := len(row.Again); {
	case n > 0 && row.Untimed:
		return fmt.Sprintf(", ×%d", n+1)
	case n > 0:
		return fmt.Sprintf(", ×%d: again after %s", n+1, againAfter(row))
	case row.Of > 1:
		return fmt.Sprintf(", %d of %d", row.Nth, row.Of)
	case row.Between != "":
		return ", " + row.Between
	}
	return ""
}

// againAfter lists the times between the transmissions that a row stands for.
func againAfter(row *Row) string {
	var list []time.Duration
	before := row.NS
	for _, g := range row.Again {
		list = append(list, time.Duration(g.NS-before))
		before = g.NS
	}
	return intervals(list)
}

// fits says whether an arrow has room for a message's payloads behind its name.
func (p *page) fits(title, payloads string) bool {
	return Cells(title)+Cells(payloads)+3 <= p.cols.span-8
}

func (p *page) noteLines(text string) {
	for _, l := range wrapped(text, p.cols.span-2) {
		p.note(l)
	}
}

// shaft draws an arrow as wide as the ladder, its label in the line: dashed where the content is
// encrypted, and ending in a cross where it is lost.
func (p *page) shaft(row *Row, title, payloads string, encrypted bool) string {
	stroke := p.sign("─", "-")
	if encrypted || row.Flow != nil {
		stroke = p.sign("╌", "~")
	}
	room := p.cols.span
	label := ""
	if title != "" {
		label = title
		if payloads != "" && p.fits(title, payloads) {
			label += "  " + payloads
		}
		label = " " + Shorten(label, room-8) + " "
	}
	body := room - 3 - Cells(label)
	end, stop := p.sign("▶", ">"), room
	if row.From == report.B {
		end = p.sign("◀", "<")
	}
	switch {
	case row.Fate == report.Lost:
		end, stop = p.sign("✗", "X"), room-max(2, body/3)
	case row.Fate == report.Unknown && (row.FrameA == 0 || row.FrameB == 0):
		end = "?"
	}
	tail := strings.Repeat(stroke, max(stop-3-Cells(label), 0))
	gap := strings.Repeat(" ", room-stop)
	if row.From == report.B {
		return gap + end + tail + label + stroke + stroke
	}
	return stroke + stroke + label + tail + end + gap
}

func (p *page) details(row *Row) {
	m := row.Message
	if m == nil {
		return
	}
	indent := strings.Repeat(" ", p.cols.time+p.cols.frame+2)
	p.wrap(indent, indent+"  ", payloadText(m), dim)
	if m.Note != "" {
		p.wrap(indent, indent+"  ", clean(m.Note), "")
	}
	p.detailList(indent, m.Detail)
	if len(m.DetailB) > 0 {
		p.line(indent, p.paint(yellow, "as B's capture shows it:"))
		p.detailList(indent, m.DetailB)
	}
}

func (p *page) detailList(indent string, list []report.Detail) {
	for _, d := range list {
		p.wrap(indent, indent+"  ", clean(d.Name), "")
		for _, l := range d.Lines {
			p.wrap(indent+"  ", indent+"    ", clean(l), dim)
		}
	}
}
