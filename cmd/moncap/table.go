package main

import (
	"io"
	"strings"
	"text/tabwriter"
	"unicode/utf8"
)

// table takes rows as a tabwriter does, cells with a tab between them, the first row the header. On
// a terminal that is too narrow for the widest every row is a paragraph instead, its first cell
// above the others, with the words of the header before them; a pipe or a file gets one line for
// each row, whatever its width.
type table struct {
	strings.Builder
	a        *app
	out      io.Writer
	headless bool // the first row is one as the others
}

func (a *app) newTable(out io.Writer) *table { return &table{a: a, out: out} }

// Flush writes the table.
func (t *table) Flush() error {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 8, 2, ' ', 0)
	_, _ = io.WriteString(w, t.String()) // to a Builder nothing fails
	_ = w.Flush()
	if t.a.tooNarrow(t.out, text.String()) {
		text.Reset()
		var header []string
		for line := range strings.Lines(t.String()) {
			row := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
			if header == nil && !t.headless && len(row) > 1 {
				header = row
				continue
			}
			for i := range min(len(row), len(header)) {
				if row[i] != "" {
					row[i] = header[i] + " " + row[i]
				}
			}
			text.WriteString(paragraph(row, t.a.columns()))
		}
	}
	_, err := io.WriteString(t.out, text.String())
	return err
}

// writeList writes lines that all tell of something from a column on. On a terminal that is too
// narrow they are broken, and go on below that column.
func (a *app) writeList(lines []string, column int) error {
	text := strings.Join(lines, "\n") + "\n"
	if columns := a.columns(); a.tooNarrow(a.stdout, text) && columns-column >= leastColumn {
		for i, line := range lines {
			if utf8.RuneCountInString(line) > columns {
				lines[i] = hang(line, column, columns)
			}
		}
		text = strings.Join(lines, "\n") + "\n"
	}
	_, err := io.WriteString(a.stdout, text)
	return err
}

// tooNarrow says whether out is a terminal that would break a line of text.
func (a *app) tooNarrow(out io.Writer, text string) bool {
	if _, direct := out.(*notedWriter); !direct || !a.stdoutTTY { // a file, or the lines of an answer in JSON
		return false
	}
	widest := 0
	for line := range strings.Lines(text) {
		widest = max(widest, utf8.RuneCountInString(strings.TrimRight(line, "\n")))
	}
	return widest > a.columns()
}

// paragraph is a row of a table within so many columns: its first cell keeps its indentation, and
// the others stand below it, those that fit in one line.
func paragraph(row []string, columns int) string {
	first := strings.TrimLeft(row[0], " ")
	margin := strings.Repeat(" ", len(row[0])-len(first))
	const hanging = "    "
	text := strings.TrimPrefix(wrap(first, columns, hanging+margin), hanging) + "\n"
	const below = "      "
	rest := ""
	flush := func() {
		if rest != "" {
			text += wrap(rest, columns, below) + "\n"
		}
		rest = ""
	}
	for _, cell := range row[1:] {
		if rest != "" && utf8.RuneCountInString(rest+"; "+cell) > columns-len(below) {
			flush()
		}
		if rest != "" && cell != "" {
			rest += "; "
		}
		rest += cell
	}
	flush()
	return text
}
