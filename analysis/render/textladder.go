package render

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/moncap/moncap/analysis/report"
)

// textLimit is how many rows a text ladder shows before stretches of it are folded.
const textLimit = 60

// Columns of the text ladder: the time, A's frame and line, the arrow, B's line and frame, what became of it.
const (
	timeColumn  = 10
	frameColumn = 6
	afterColumn = 12
)

func (p *page) span() int { return p.width - timeColumn - 2*frameColumn - 2 - afterColumn }

func (p *page) ladder(l *Ladder) {
	if len(l.Rows) == 0 {
		return
	}
	rows := l.Fold(textLimit).Rows
	if p.o.Verbose {
		rows = l.Rows
	}
	p.section("Ladder  (seconds on A's clock; #frame)")
	p.ladderHead(l)
	for i := 0; i < len(rows); i++ {
		run := 1
		if !p.o.Verbose {
			run = retransmissions(rows[i:])
		}
		p.ladderRow(&rows[i], rows[i:i+run])
		i += run - 1
	}
	p.line(p.lifelines(strings.Repeat(" ", p.span())))
}

// retransmissions counts the rows from the first on that send one message again with the same fate; quiet spans between
// them belong to them.
func retransmissions(rows []Row) int {
	n := 1
	first := &rows[0]
	if first.Kind != RowMessage {
		return 1
	}
	for i := 1; i < len(rows); i++ {
		if rows[i].Kind == RowQuiet {
			continue
		}
		if rows[i].Message != first.Message || rows[i].Fate != first.Fate || rows[i].Kind != RowMessage {
			break
		}
		n = i + 1
	}
	return n
}

func (p *page) ladderHead(l *Ladder) {
	left, right := sideName(p.r, report.A), sideName(p.r, report.B)
	p.line(p.headLine("A "+left, "B "+right, ""))
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
	p.line(p.paint(dim, p.headLine(address(report.A), address(report.B), middle)))
}

func (p *page) headLine(left, right, middle string) string {
	room := p.span() + 2
	pad := strings.Repeat(" ", timeColumn+frameColumn)
	half := (room - utf8.RuneCountInString(middle)) / 2
	left, right = shorten(left, half-1), shorten(right, half-1)
	gap := room - utf8.RuneCountInString(left) - utf8.RuneCountInString(right)
	if middle == "" {
		return pad + left + strings.Repeat(" ", gap) + right
	}
	before := half - utf8.RuneCountInString(left)
	return pad + left + strings.Repeat(" ", before) + middle + strings.Repeat(" ", gap-before-utf8.RuneCountInString(middle)) + right
}

func shorten(s string, limit int) string {
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	return string([]rune(s)[:max(limit-2, 0)]) + ".."
}

func (p *page) lifelines(middle string) string {
	bar := p.paint(dim, p.sign("│", "|"))
	return strings.Repeat(" ", timeColumn+frameColumn) + bar + middle + bar
}

func (p *page) ladderRow(row *Row, group []Row) {
	switch row.Kind {
	case RowQuiet:
		p.note(p.sign("⋮ ", ": ") + duration(row.Span) + " quiet")
	case RowFold:
		p.note(foldText(row))
	case RowICMP:
		p.icmp(row)
	default:
		p.arrow(row, group)
	}
}

func foldText(row *Row) string {
	text := fmt.Sprintf("%s folded, %s", count(row.Count, "message"), duration(row.Span))
	if row.Lost > 0 {
		text += fmt.Sprintf(", %d lost", row.Lost)
	}
	return text
}

// note writes words into the middle of the ladder.
func (p *page) note(text string) {
	text = shorten(text, p.span())
	room := p.span() - utf8.RuneCountInString(text)
	p.line(p.lifelines(strings.Repeat(" ", room/2) + p.paint(dim, text) + strings.Repeat(" ", room-room/2)))
}

func (p *page) icmp(row *Row) {
	e := row.ICMP
	text := fmt.Sprintf("ICMP %d/%d from %s", e.Type, e.Code, clean(e.From))
	if row.From == report.B {
		text = fmt.Sprintf("%*s ", p.span()-1, shorten(text, p.span()-2))
	} else {
		text = fmt.Sprintf(" %-*s", p.span()-1, shorten(text, p.span()-2))
	}
	p.framed(row, p.paint(yellow, text), p.refs(row.Findings))
	p.note(clean(e.Meaning))
}

func (p *page) framed(row *Row, middle, after string) {
	bar := p.paint(dim, p.sign("│", "|"))
	p.line(fmt.Sprintf("%*s", timeColumn-1, seconds(row.NS)), " ", p.paint(dim, fmt.Sprintf("%*s", frameColumn-1, number(row.FrameA))), " ",
		bar, middle, bar, " ", p.paint(dim, fmt.Sprintf("%-*s", frameColumn-1, number(row.FrameB))), after)
}

func number(frame int) string {
	if frame == 0 {
		return ""
	}
	return fmt.Sprintf("#%d", frame)
}

func (p *page) refs(findings []int) string {
	if len(findings) == 0 {
		return ""
	}
	text := ""
	for i, f := range findings {
		if i == 3 {
			return text + "+"
		}
		text += fmt.Sprintf("[%d]", f+1)
	}
	return text
}

func (p *page) arrow(row *Row, group []Row) {
	title, payloads, encrypted := rowTitle(row), "", false
	if m := row.Message; m != nil {
		payloads, encrypted = payloadText(m), m.Encrypted
	}
	after := p.refs(groupFindings(group))
	color := ""
	switch row.Fate {
	case report.Lost:
		color, after = red, p.paint(red, "lost ")+after
	case report.Unknown:
		after = p.paint(dim, "? ") + after
	}
	p.framed(row, p.paint(color, p.shaft(row, title, payloads, encrypted)), after)
	if !p.o.Verbose && payloads != "" && row.Nth == 1 && !p.fits(title, payloads) {
		p.noteLines(payloads)
	}
	if sent := countMessages(group); sent > 1 {
		p.note(p.sign("×", "x") + fmt.Sprintf("%d: again after %s", sent, intervals(group, p.span()-20)))
	}
	if p.o.Verbose {
		p.details(row)
	} else if m := row.Message; m != nil && m.Note != "" && row.Nth == 1 {
		p.noteLines(clean(m.Note))
	}
}

// fits says whether an arrow has room for a message's payloads behind its name.
func (p *page) fits(title, payloads string) bool {
	return utf8.RuneCountInString(title)+utf8.RuneCountInString(payloads)+3 <= p.span()-8
}

func (p *page) noteLines(text string) {
	for _, l := range wrapped(text, p.span()-2) {
		p.note(l)
	}
}

func countMessages(group []Row) int {
	n := 0
	for _, g := range group {
		if g.Kind == RowMessage {
			n++
		}
	}
	return n
}

func groupFindings(group []Row) []int {
	var out []int
	seen := map[int]bool{}
	for _, g := range group {
		for _, f := range g.Findings {
			if !seen[f] {
				seen[f] = true
				out = append(out, f)
			}
		}
	}
	return out
}

// intervals lists the times between the transmissions of a group.
func intervals(group []Row, room int) string {
	text := ""
	for _, g := range group[1:] {
		if g.Kind != RowMessage {
			continue
		}
		next := duration(g.Since.Round(time.Millisecond))
		if utf8.RuneCountInString(text)+len(next) > room {
			return text + ", ..."
		}
		if text != "" {
			text += ", "
		}
		text += next
	}
	return text
}

func rowTitle(row *Row) string {
	if row.Flow != nil {
		return flowTitle(row.Flow)
	}
	m := row.Message
	return clean(fmt.Sprintf("%s %s %d", m.Exchange, m.Kind, m.MessageID))
}

// shaft draws an arrow as wide as the ladder, its label in the line: dashed where the content is encrypted, and ending
// in a cross where it is lost.
func (p *page) shaft(row *Row, title, payloads string, encrypted bool) string {
	stroke := p.sign("─", "-")
	if encrypted || row.Flow != nil {
		stroke = p.sign("╌", "~")
	}
	room := p.span()
	label := title
	if payloads != "" && p.fits(title, payloads) {
		label += "  " + payloads
	}
	label = " " + shorten(label, room-8) + " "
	body := room - 3 - utf8.RuneCountInString(label)
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
	tail := strings.Repeat(stroke, max(stop-3-utf8.RuneCountInString(label), 0))
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
	indent := strings.Repeat(" ", timeColumn+frameColumn+2)
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
