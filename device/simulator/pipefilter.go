package simulator

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/moncap/moncap/internal/lazyregexp"
)

var pipeForm = lazyregexp.New(`^(.*?)\s+\|\s*(.*)$`)

// splitPipe separates a command from the filter of its output.
func splitPipe(line string) (command, filter string, piped bool) {
	if m := pipeForm.Get().FindStringSubmatch(line); m != nil {
		return m[1], m[2], true
	}
	return line, "", false
}

// outputFilter reads `include REGEX` and its kin; keep says which lines stay.
func (s *session) outputFilter(c *call, filter string) (keep func([]string) []string, ok bool) {
	word, pattern, _ := strings.Cut(strings.TrimSpace(filter), " ")
	switch c.words[0] {
	case "show", "dir", "more", "verify", "do":
	default:
		return nil, false
	}
	re, err := regexp.Compile(strings.TrimSpace(pattern))
	if err != nil || word == "" || pattern == "" {
		return nil, false
	}
	for name, f := range pipeFilters {
		if strings.HasPrefix(name, strings.ToLower(word)) {
			return func(lines []string) []string { return f(lines, re) }, true
		}
	}
	return nil, false
}

var pipeFilters = map[string]func([]string, *regexp.Regexp) []string{
	"include": func(lines []string, re *regexp.Regexp) []string { return matching(lines, re, true) },
	"exclude": func(lines []string, re *regexp.Regexp) []string { return matching(lines, re, false) },
	"begin":   beginning,
	"count": func(lines []string, re *regexp.Regexp) []string {
		return []string{fmt.Sprintf("Number of lines which match regexp = %d", len(matching(lines, re, true)))}
	},
	"section": section,
}

func matching(lines []string, re *regexp.Regexp, want bool) []string {
	var kept []string
	for _, l := range lines {
		if re.MatchString(l) == want {
			kept = append(kept, l)
		}
	}
	return kept
}

func beginning(lines []string, re *regexp.Regexp) []string {
	for i, l := range lines {
		if re.MatchString(l) {
			return lines[i:]
		}
	}
	return nil
}

// section keeps a matching line with the indented lines below it.
func section(lines []string, re *regexp.Regexp) []string {
	var kept []string
	in := false
	for _, l := range lines {
		if !strings.HasPrefix(l, " ") {
			in = re.MatchString(l)
		}
		if in || re.MatchString(l) {
			kept = append(kept, l)
		}
	}
	return kept
}

func (s *session) filterOutput(keep func([]string) []string) {
	lines := keep(strings.Split(strings.TrimSuffix(s.out.String(), "\n"), "\n"))
	s.out.Reset()
	for _, l := range lines {
		s.out.WriteString(l + "\n")
	}
}
