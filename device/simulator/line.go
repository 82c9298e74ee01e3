package simulator

import (
	"bytes"
	"strings"
	"time"
)

// Keys that mean something on a terminal line.
const (
	keyStartOfLine = 0x01
	keyInterrupt   = 0x03
	keyEnd         = 0x04
	keyEndOfLine   = 0x05
	keyBackspace   = 0x08
	keyTab         = 0x09
	keyLineFeed    = 0x0a
	keyReturn      = 0x0d
	keyRedraw      = 0x12
	keyPrevious    = 0x10 // the line before
	keyKillLine    = 0x15
	keyKillWord    = 0x17
	keyKillAll     = 0x18
	keyLeave       = 0x1a
	keySequence    = 0x1b // begins the sequence of an arrow key
	keyEscape      = 0x1e // Ctrl-Shift-6
	keyDelete      = 0x7f
)

// The longest line that IOS takes.
const maxLine = 4096

// line is what is being typed.
type line struct {
	prompt string
	text   []byte
	cursor int
	hidden bool // a password
}

// readLine edits one line after prompt, beginning with initial. It returns the line and what ended
// it: a newline, a question mark, a tabulator, or a key that abandons the line.
func (t *terminal) readLine(prompt, initial string, hidden bool,
	limit time.Duration) (text string, end byte, err error) {
	l := &line{prompt: prompt, text: []byte(initial), cursor: len(initial), hidden: hidden}
	t.print(prompt)
	if !hidden {
		t.print(initial)
	}
	shown := func() string { return l.prompt + l.visible() }
	for {
		b, err := t.key(limit, shown)
		if err != nil {
			return "", 0, err
		}
		if t.skip && b == keyLineFeed {
			t.skip = false
			continue
		}
		t.skip = b == keyReturn
		switch b {
		case keyReturn, keyLineFeed:
			t.print("\r\n")
			if len(l.text) > 0 && !hidden {
				t.last = string(l.text)
			}
			return string(l.text), '\n', nil
		case keyInterrupt, keyLeave, keyEscape:
			if b == keyLeave {
				t.print("^Z")
			}
			t.print("\r\n")
			return string(l.text), b, nil
		case keyEnd:
			if len(l.text) == 0 {
				return "", 0, errEnded
			}
		case '?', keyTab:
			if !hidden {
				return string(l.text), b, nil
			}
			t.insert(l, b)
		case keySequence:
			if err := t.sequence(l, limit, shown); err != nil {
				return "", 0, err
			}
		default:
			t.edit(l, b)
		}
	}
}

// sequence reads the rest of an arrow key's sequence: ESC [ A and its kin.
func (t *terminal) sequence(l *line, limit time.Duration, shown func() string) error {
	b, err := t.key(limit, shown)
	if err != nil || b != '[' {
		return err
	}
	switch b, err = t.key(limit, shown); b {
	case 'A':
		t.edit(l, keyPrevious)
	case 'C':
		t.move(l, min(l.cursor+1, len(l.text)))
	case 'D':
		t.move(l, max(l.cursor-1, 0))
	}
	return err
}

func (l *line) visible() string {
	if l.hidden {
		return ""
	}
	return string(l.text)
}

func (t *terminal) edit(l *line, b byte) {
	switch b {
	case keyBackspace, keyDelete:
		t.erase(l, 1)
	case keyKillLine, keyKillAll:
		t.erase(l, l.cursor)
	case keyKillWord:
		trimmed := bytes.TrimRight(l.text[:l.cursor], " ")
		t.erase(l, l.cursor-(bytes.LastIndexByte(trimmed, ' ')+1))
	case keyStartOfLine:
		t.move(l, 0)
	case keyEndOfLine:
		t.move(l, len(l.text))
	case keyPrevious:
		t.move(l, len(l.text))
		t.erase(l, len(l.text))
		for i := range len(t.last) {
			t.insert(l, t.last[i])
		}
	case keyRedraw:
		t.print("\r\n" + l.prompt + l.visible())
	default:
		if b >= ' ' && b != keyDelete {
			t.insert(l, b)
		}
	}
}

func (t *terminal) move(l *line, to int) {
	if !l.hidden {
		for ; l.cursor > to; l.cursor-- {
			t.print("\b")
		}
		t.print(string(l.text[l.cursor:to]))
	}
	l.cursor = to
}

func (t *terminal) insert(l *line, b byte) {
	if len(l.text) >= maxLine {
		t.print("\a")
		return
	}
	l.text = append(l.text[:l.cursor], append([]byte{b}, l.text[l.cursor:]...)...)
	l.cursor++
	if l.hidden {
		return
	}
	rest := l.text[l.cursor-1:]
	t.print(string(rest) + strings.Repeat("\b", len(rest)-1))
	t.scroll(l)
}

// scroll shows only the end of a line that is too long for the terminal, after a dollar sign.
func (t *terminal) scroll(l *line) {
	room := t.window.width - len(l.prompt) - 1
	if t.window.width == 0 || room < 20 || len(l.text) < room || (len(l.text)-room)%(room/2) != 0 {
		return
	}
	tail := l.text[len(l.text)-room/2:]
	t.print("\r" + l.prompt + "$" + string(tail) + strings.Repeat(" ", room-len(tail)-1) +
		strings.Repeat("\b", room-len(tail)-1))
}

func (t *terminal) erase(l *line, n int) {
	n = min(n, l.cursor)
	if n == 0 {
		return
	}
	l.text = append(l.text[:l.cursor-n], l.text[l.cursor:]...)
	l.cursor -= n
	if l.hidden {
		return
	}
	rest := string(l.text[l.cursor:])
	t.print(strings.Repeat("\b", n) + rest + strings.Repeat(" ", n) + strings.Repeat("\b", n+len(rest)))
}
