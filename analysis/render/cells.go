package render

import (
	"strings"

	"github.com/mattn/go-runewidth"
)

// terminal knows how many columns a character takes: two for those of Chinese, Japanese and Korean,
// none for accents that combine, one for the lines and arrows of a ladder whatever the locale is
// (Unicode Standard Annex 11).
var terminal = &runewidth.Condition{}

// Cells is how many columns s takes on a terminal.
func Cells(s string) int { return terminal.StringWidth(s) }

// Shorten cuts s to a number of columns at most, and marks the cut.
func Shorten(s string, columns int) string {
	if Cells(s) <= columns {
		return s
	}
	head, _ := splitCells(s, max(columns-2, 0))
	return head + ".."
}

// Pad fills s up with spaces on the right.
func Pad(s string, columns int) string { return s + strings.Repeat(" ", max(columns-Cells(s), 0)) }

func padLeft(s string, columns int) string { return strings.Repeat(" ", max(columns-Cells(s), 0)) + s }

// splitCells splits s behind as many characters as fit into so many columns.
func splitCells(s string, columns int) (head, tail string) {
	n := 0
	for i, r := range s {
		if n += terminal.RuneWidth(r); n > columns {
			return s[:i], s[i:]
		}
	}
	return s, ""
}
