package main

import (
	"io"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// mostHelpColumns is how wide a help is at most: longer lines are hard to read, on any terminal.
const mostHelpColumns = 100

// helpFits has the help of every command fit the terminal, or 80 columns.
func (a *app) helpFits(root *cobra.Command) {
	show := root.HelpFunc()
	root.SetHelpFunc(func(c *cobra.Command, args []string) {
		var text strings.Builder
		out := c.OutOrStdout()
		c.SetOut(&text)
		show(c, args)
		c.SetOut(out)
		_, _ = io.WriteString(out, fitHelp(text.String(), min(a.columns(), mostHelpColumns))) // as cobra has it
	})
}

const examplesTitle = "Examples:"

// fitHelp breaks the lines of a help that are longer than so many columns. A paragraph is filled
// anew; in a list what is told of each word stays in its column. Examples stay as they are typed.
func fitHelp(text string, columns int) string {
	var b strings.Builder
	var prose []string // the lines of a paragraph so far
	fill := func() {
		filled := strings.Join(prose, "\n")
		for _, l := range prose {
			if utf8.RuneCountInString(l) > columns {
				filled = wrap(filled, columns, "")
				break
			}
		}
		if len(prose) > 0 {
			b.WriteString(filled + "\n")
		}
		prose = nil
	}
	examples := false
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		if line != "" && line[0] != ' ' {
			examples = line == examplesTitle
			prose = append(prose, line)
			continue
		}
		fill()
		if !examples && utf8.RuneCountInString(line) > columns {
			line = fitItem(line, columns)
		}
		b.WriteString(line + "\n")
	}
	fill()
	return b.String()
}

// leastColumn is how narrow the column may become in which a list tells of its words; where there
// is less room, it begins below them.
const leastColumn = 24

// fitItem breaks a line of a list: a word behind blanks, and behind two or more of them what is
// told of it.
func fitItem(line string, columns int) string {
	head := len(line) - len(strings.TrimLeft(line, " "))
	word, said, listed := strings.Cut(line[head:], "  ")
	if !listed {
		return wrap(line, columns, line[:head])
	}
	said = strings.TrimLeft(said, " ")
	if columns-(len(line)-len(said)) < leastColumn {
		return line[:head] + word + "\n" + wrap(said, columns, strings.Repeat(" ", head+4))
	}
	return hang(line, len(line)-len(said), columns)
}

// hang breaks a line, and has what follows stand below a column of it.
func hang(line string, column, columns int) string {
	return line[:column] + strings.TrimLeft(wrap(line[column:], columns, strings.Repeat(" ", column)), " ")
}
