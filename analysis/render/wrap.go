package render

import (
	"slices"
	"strings"
)

// width is how many columns s takes, without its colours.
func width(s string) int {
	n := 0
	for {
		before, rest, found := strings.Cut(s, "\x1b[")
		n += Cells(before)
		if !found {
			return n
		}
		_, s, _ = strings.Cut(rest, "m")
	}
}

// units stay on the line of their number.
var units = []string{"s", "ms", "µs", "min", "h", "MB", "ppm"}

func glued(words []string) []string {
	var out []string
	for _, w := range words {
		if n := len(out); n > 0 && slices.Contains(units, strings.TrimRight(w, ".,;:)")) &&
			strings.ContainsAny(out[n-1][len(out[n-1])-1:], "0123456789") {
			out[n-1] += " " + w
			continue
		}
		out = append(out, w)
	}
	return out
}

func wrapped(text string, limit int) []string {
	limit = max(limit, 20)
	var lines []string
	line := ""
	for _, word := range glued(strings.Fields(text)) {
		for Cells(word) > limit {
			if line != "" {
				lines, line = append(lines, line), ""
			}
			head, tail := breakWord(word, limit)
			lines, word = append(lines, head), tail
		}
		switch {
		case line == "":
			line = word
		case Cells(line)+1+Cells(word) > limit:
			lines, line = append(lines, line), word
		default:
			line += " " + word
		}
	}
	if line != "" || len(lines) == 0 {
		lines = append(lines, line)
	}
	return lines
}

// breakWord cuts a word that is longer than a line: a path behind a folder of it, anything else
// where the line ends.
func breakWord(word string, limit int) (head, tail string) {
	head, tail = splitCells(word, limit)
	if i := strings.LastIndexAny(head, `/\\`); i > 0 {
		return word[:i+1], word[i+1:]
	}
	return head, tail
}
