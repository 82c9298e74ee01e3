package main

// The rules of the terminal: the result goes to stdout and nothing else does; progress, hints, logs and questions go
// to stderr. Errors begin with "moncap:", in lower case, without a final period, one line a cause, and end with a
// hint where there is one. Colour and moving bars only on a terminal. What comes from a router or a packet is shown
// without its control characters.

import (
	"regexp"
	"strconv"
	"strings"
	"sync"
	"unicode"
)

// liveCommand finds advice that needs the inventory.
var liveCommand = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`\bmoncap (check|clean|collect|inventory|plan|run|start|status|stop|trust)\b`)
})

// withInventory repeats the -i that was given in advice, so that it can be typed as it stands.
func (a *app) withInventory(advice string) string {
	if a.inventory == "" {
		return advice
	}
	return liveCommand().ReplaceAllString(advice, "moncap -i "+strings.ReplaceAll(shellWord(a.inventory), "$", "$$")+" $1")
}

// hints collects what the errors in err's tree advise, each advice once.
func hints(err error) []string {
	var out []string
	seen := map[string]bool{}
	var walk func(error)
	walk = func(err error) {
		if err == nil {
			return
		}
		if h, ok := err.(interface{ Hint() string }); ok && h.Hint() != "" && !seen[h.Hint()] {
			seen[h.Hint()] = true
			out = append(out, h.Hint())
		}
		switch u := err.(type) {
		case interface{ Unwrap() error }:
			walk(u.Unwrap())
		case interface{ Unwrap() []error }:
			for _, e := range u.Unwrap() {
				walk(e)
			}
		}
	}
	walk(err)
	return out
}

// printable drops control characters, so that no text from a router or a file can drive the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
			return -1
		}
		return r
	}, s)
}

func (a *app) useColor(tty bool) bool {
	switch a.color {
	case "always":
		return true
	case "never":
		return false
	}
	return tty && a.getenv("NO_COLOR") == "" && a.getenv("TERM") != "dumb"
}

// useUnicode says whether the terminal shows more than ASCII, by the locale's own word.
func (a *app) useUnicode() bool {
	for _, k := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := a.getenv(k); v != "" {
			v = strings.ToUpper(v)
			return strings.Contains(v, "UTF-8") || strings.Contains(v, "UTF8")
		}
	}
	return true
}

// columns is how wide the text may be: what COLUMNS says, else the terminal, else 80.
func (a *app) columns() int {
	if w, err := strconv.Atoi(a.getenv("COLUMNS")); err == nil && w >= 20 && w <= 1000 {
		return w
	}
	if w := a.width(); a.stdoutTTY && w >= 20 {
		return w
	}
	return 80
}
