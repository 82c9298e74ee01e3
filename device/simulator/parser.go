package simulator

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// node is one place in the command grammar: a keyword, or a placeholder for a value. The grammar is
// a graph, not a tree: options that may come in any order point back to where they are listed.
type node struct {
	word  string // a keyword in lower case, or what help shows of a placeholder
	help  string
	level int // the privilege level that sees it; 0 stands for 1
	value func(r *Router, tokens []token) (taken int, canonical string)
	next  []*node
	run   func(s *session, c *call)
}

type token struct {
	text   string
	offset int
}

// call is a command that was understood.
type call struct {
	typed string
	words []string // keywords in full, values as they are stored
	run   func(s *session, c *call)
}

func (c *call) String() string { return strings.Join(c.words, " ") }

// after returns the word that follows key, "" if there is none.
func (c *call) after(key string) string {
	if i := slices.Index(c.words, key); i >= 0 && i+1 < len(c.words) {
		return c.words[i+1]
	}
	return ""
}

// rejection says why a line is no command.
type rejection struct {
	kind   rejectionKind
	offset int // of the caret
}

type rejectionKind int

const (
	invalid rejectionKind = iota
	incomplete
	ambiguous
	unknown // not even the first word
)

func tokens(line string) []token {
	var all []token
	for i := 0; i < len(line); {
		if line[i] == ' ' || line[i] == '\t' {
			i++
			continue
		}
		end := i
		for end < len(line) && line[end] != ' ' && line[end] != '\t' {
			end++
		}
		all = append(all, token{line[i:end], i})
		i = end
	}
	return all
}

// parse walks the grammar along a line.
func (r *Router) parse(root *node, line string, level int) (*call, *rejection) {
	c := &call{typed: line}
	at := root
	rest := tokens(line)
	for len(rest) > 0 {
		next, taken, canonical, bad := r.step(at, rest, level)
		if bad != nil {
			if at == root && len(rest) == 1 && bad.kind == invalid {
				bad.kind = unknown
			}
			return c, bad
		}
		c.words = append(c.words, canonical)
		at, rest = next, rest[taken:]
	}
	if at.run == nil {
		return c, &rejection{incomplete, len(line)}
	}
	c.run = at.run
	return c, nil
}

// step chooses the node that the next tokens mean: an exact keyword, the only keyword that they
// abbreviate, or a value.
func (r *Router) step(at *node, rest []token, level int) (next *node, taken int, canonical string, bad *rejection) {
	word := strings.ToLower(rest[0].text)
	var fits []*node
	for _, n := range at.next {
		if n.value != nil || n.level > level {
			continue
		}
		if n.word == word {
			return n, 1, n.word, nil
		}
		if strings.HasPrefix(n.word, word) {
			fits = append(fits, n)
		}
	}
	if len(fits) == 1 {
		return fits[0], 1, fits[0].word, nil
	}
	for _, n := range at.next {
		if n.value == nil || n.level > level {
			continue
		}
		if taken, canonical := n.value(r, rest); taken > 0 {
			return n, taken, canonical, nil
		}
	}
	if len(fits) > 1 {
		return nil, 0, "", &rejection{ambiguous, rest[0].offset}
	}
	return nil, 0, "", &rejection{invalid, rest[0].offset + common(at, word, level)}
}

// common is how many characters of word begin some keyword: the caret stands under the first that
// does not.
func common(at *node, word string, level int) int {
	best := 0
	for _, n := range at.next {
		if n.value != nil || n.level > level {
			continue
		}
		i := 0
		for i < len(word) && i < len(n.word) && word[i] == n.word[i] {
			i++
		}
		best = max(best, i)
	}
	if best >= len(word) {
		return max(len(word)-1, 0)
	}
	return best
}

// helpFor lists what may come after the line, or how its last word may go on.
func (r *Router) helpFor(root *node, line string, level int) (rows [][2]string, words bool, bad *rejection) {
	all := tokens(line)
	prefix := ""
	if len(all) > 0 && !strings.HasSuffix(line, " ") {
		prefix = strings.ToLower(all[len(all)-1].text)
		all = all[:len(all)-1]
	}
	at := root
	for len(all) > 0 {
		next, taken, _, bad := r.step(at, all, level)
		if bad != nil {
			return nil, false, bad
		}
		at, all = next, all[taken:]
	}
	for _, n := range at.next {
		switch {
		case n.level > level:
		case prefix == "" || n.value == nil && strings.HasPrefix(n.word, prefix):
			rows = append(rows, [2]string{n.word, n.help})
		}
	}
	slices.SortStableFunc(rows, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	if prefix == "" && at.run != nil {
		rows = append(rows, [2]string{"<cr>", "<cr>"})
	}
	return rows, prefix != "", nil
}

// add puts a command into the grammar. Words in lower case are keywords, of which a|b|c are
// alternatives; the others are placeholders that values knows.
func (n *node) add(syntax, help string, level int, run func(*session, *call)) *node {
	at := []*node{n}
	for _, w := range strings.Fields(syntax) {
		var reached []*node
		for _, word := range strings.Split(w, "|") {
			for _, from := range at {
				reached = append(reached, from.child(word, help, level))
			}
		}
		at = reached
	}
	for _, end := range at {
		end.run = run
	}
	return at[0]
}

// child finds or makes the node for one word of a syntax.
func (n *node) child(word, help string, level int) *node {
	for _, c := range n.next {
		if c.word == word {
			c.level = min(c.level, level)
			return c
		}
	}
	c := &node{word: word, help: help, level: level, value: values[word]}
	n.next = append(n.next, c)
	return c
}

// values are the placeholders. A function says how many tokens the value takes, 0 if it is none.
var values = map[string]func(r *Router, t []token) (int, string){
	"WORD":            func(_ *Router, t []token) (int, string) { return 1, t[0].text },
	"LINE":            restOfLine,
	"FILE":            func(_ *Router, t []token) (int, string) { return 1, t[0].text },
	"A.B.C.D":         func(_ *Router, t []token) (int, string) { return addressValue(t[0].text, netip.Addr.Is4) },
	"X:X:X:X::X":      func(_ *Router, t []token) (int, string) { return addressValue(t[0].text, netip.Addr.Is6) },
	"A.B.C.D/nn":      func(_ *Router, t []token) (int, string) { return prefixValue(t[0].text) },
	"X:X:X:X::X/nnn":  func(_ *Router, t []token) (int, string) { return prefixValue(t[0].text) },
	"INTERFACE":       interfaceValue,
	"<0-512>":         numberValue(0, 512),
	"<1-100>":         numberValue(1, 100),
	"<16-8192>":       numberValue(16, 8192),
	"<0-8191>":        numberValue(0, 8191),
	"<1-65535>":       numberValue(1, 65535),
	"<0-65535>":       numberValue(0, 65535),
	"<0-255>":         numberValue(0, 255),
	"<1-100000>":      numberValue(1, 100000),
	"<2-100000>":      numberValue(2, 100000),
	"<1-1000000>":     numberValue(1, 1000000),
	"<64-9500>":       numberValue(64, 9500),
	"<1-2147483647>":  numberValue(1, 1<<31-1),
	"<1-4294967294>":  numberValue(1, 1<<32-2),
	"<36-18024>":      numberValue(36, 18024),
	"<0-35791>":       numberValue(0, 35791),
	"<0-2147483>":     numberValue(0, 2147483),
	"<0-16>":          numberValue(0, 16),
	"<4096-21474836>": numberValue(4096, 21474836),
}

func restOfLine(_ *Router, t []token) (int, string) {
	var words []string
	for _, x := range t {
		words = append(words, x.text)
	}
	return len(t), strings.Join(words, " ")
}

func numberValue(low, high int) func(*Router, []token) (int, string) {
	return func(_ *Router, t []token) (int, string) {
		n, err := strconv.Atoi(t[0].text)
		if err != nil || n < low || n > high || t[0].text[0] == '+' {
			return 0, ""
		}
		return 1, strconv.Itoa(n)
	}
}

func addressValue(s string, family func(netip.Addr) bool) (int, string) {
	a, err := netip.ParseAddr(s)
	if err != nil || !family(a) || a.Zone() != "" {
		return 0, ""
	}
	return 1, showAddress(a)
}

// showAddress writes an address as IOS does: IPv6 in capitals.
func showAddress(a netip.Addr) string { return strings.ToUpper(a.String()) }

func prefixValue(s string) (int, string) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return 0, ""
	}
	return 1, strings.ToUpper(p.Masked().String())
}

// interfaceValue takes the name of an interface that exists, abbreviated or not, with or without a
// space before its number.
func interfaceValue(r *Router, t []token) (int, string) {
	for taken := 1; taken <= min(2, len(t)); taken++ {
		typed := t[0].text
		if taken == 2 {
			if strings.ContainsAny(typed, "0123456789") {
				return 0, ""
			}
			typed += t[1].text
		}
		if name, ok := r.interfaceNamed(typed); ok {
			return taken, name
		}
	}
	return 0, ""
}

func (r *Router) interfaceNamed(typed string) (string, bool) {
	letters, number := splitInterface(typed)
	for _, i := range r.config.Interfaces {
		l, n := splitInterface(i.Name)
		if n == number && letters != "" && strings.HasPrefix(strings.ToLower(l), strings.ToLower(letters)) {
			return i.Name, true
		}
	}
	return "", false
}

func splitInterface(name string) (letters, number string) {
	i := strings.IndexAny(name, "0123456789")
	if i < 0 {
		return name, ""
	}
	return name[:i], name[i:]
}
