package main

// The rules of the terminal: the result goes to stdout and nothing else does; progress, hints, logs
// and questions go to stderr. Errors begin with "moncap:", in lower case, without a final period,
// one line a cause, and end with a hint where there is one. Colour and moving bars only on a
// terminal. What comes from a router or a packet is shown without its control characters.

import (
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/moncap/moncap/capture/fleet"
	"github.com/moncap/moncap/internal/lazyregexp"
)

// A command in advice, with one below it.
var advisedCommand = lazyregexp.New(`\bmoncap [a-z]+( [a-z]+)?`)

// needInventory are the commands that need the inventory, or the serve.yaml beside it, which names
// the fleet's database.
var needInventory = []string{"approve", "arm", "cancel", "check", "clean", "collect", "disarm", "history", "inventory",
	"jobs", "plan", "run", "schedule", "serve", "start", "status", "stop", "submit", "token", "trust", "worker"}

// asGiven repeats the inventory and the database that were given, and how to log in there, in
// advice, so that it can be typed as it stands.
func (a *app) asGiven(advice string) string {
	if a.given == nil {
		return advice
	}
	return advisedCommand.Get().ReplaceAllStringFunc(advice, func(text string) string {
		words := strings.Fields(text)[1:]
		c, rest, err := a.given.Root().Find(words)
		if err != nil || !c.HasParent() {
			return text
		}
		repeated := []string{"moncap"}
		if a.inventory != "" && slices.Contains(needInventory, words[0]) {
			repeated = append(repeated, "-i", shellWord(a.inventory))
		}
		repeated = append(repeated, words[:len(words)-len(rest)]...)
		for _, name := range []string{"db", "db-password", "config"} {
			f := a.given.Flags().Lookup(name)
			if f == nil || !f.Changed || c.Flags().Lookup(name) == nil {
				continue
			}
			// What is refused may hold a password.
			if name != "db" || fleet.ParseURL(f.Value.String()) == nil {
				repeated = append(repeated, "--"+name, shellWord(f.Value.String()))
			}
		}
		return strings.Join(append(repeated, rest...), " ")
	})
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

// printable drops control characters, so that no text from a router or a file can
// drive the terminal.
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
	if !a.stdoutTTY {
		return 80
	}
	if w := a.width(); w >= 20 {
		return w
	}
	return 80
}
