package simulator

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"time"
)

var (
	errInterrupted = errors.New("interrupted")
	errEnded       = errors.New("end of the session")
	errIdle        = errors.New("idle for too long")
)

// Keys that mean something on a terminal line.
const (
	keyStartOfLine = 0x01
	keyInterrupt   = 0x03
	keyEnd         = 0x04
	keyEndOfLine   = 0x05
	keyBell        = 0x07
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

// terminal is one interactive line: it edits what is typed, echoes, pages, and mixes syslog lines in.
type terminal struct {
	channel     io.ReadWriter
	window      window
	interactive bool
	monitor     bool
	redraw      bool // draw the prompt and the line again after a syslog line

	input chan []byte
	left  []byte
	stop  chan struct{}
	once  sync.Once
	skip  bool   // the LF of a CR LF
	last  string // the line before

	mu      sync.Mutex
	out     bytes.Buffer // echo and text not sent yet
	notices chan string
	broken  bool
	column  int
}

// The longest line that IOS takes.
const maxLine = 4096

func newTerminal(channel io.ReadWriter, w window) *terminal {
	return &terminal{channel: channel, window: w, input: make(chan []byte), stop: make(chan struct{}),
		notices: make(chan string, 1024)}
}

// read passes on what arrives until the channel or the terminal ends.
func (t *terminal) read() {
	defer close(t.input)
	for {
		buffer := make([]byte, 4096)
		n, err := t.channel.Read(buffer)
		if n > 0 {
			select {
			case t.input <- buffer[:n]:
			case <-t.stop:
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (t *terminal) end() {
	t.flush()
	t.once.Do(func() { close(t.stop) })
}

// notify shows a syslog line as soon as the terminal comes to it; it never blocks.
func (t *terminal) notify(line string) {
	select {
	case t.notices <- line:
	default:
	}
}

// print queues text for the client.
func (t *terminal) print(s string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.out.WriteString(s)
	if i := strings.LastIndexAny(s, "\r\n"); i >= 0 {
		t.column = len(s) - i - 1
	} else {
		t.column += len(s)
	}
}

// flush sends what is queued.
func (t *terminal) flush() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.out.Len() > 0 && !t.broken {
		_, err := t.channel.Write(t.out.Bytes())
		t.broken = err != nil
	}
	t.out.Reset()
}

// drainNotices prints the syslog lines that are due, at a line's beginning.
func (t *terminal) drainNotices() (any bool) {
	for {
		select {
		case n := <-t.notices:
			t.notice(n)
			any = true
		default:
			return any
		}
	}
}

func (t *terminal) notice(line string) {
	if t.column != 0 {
		t.print("\r\n")
	}
	t.print(line + "\r\n")
}

// key returns the next byte. Meanwhile syslog lines appear, with shown (the prompt and what is typed) again after them
// if the terminal redraws. limit bounds the wait; 0 or less does not.
func (t *terminal) key(limit time.Duration, shown func() string) (byte, error) {
	if len(t.left) == 0 {
		if err := t.wait(limit, shown); err != nil {
			return 0, err
		}
	}
	b := t.left[0]
	t.left = t.left[1:]
	return b, nil
}

func (t *terminal) wait(limit time.Duration, shown func() string) error {
	t.flush()
	var expired <-chan time.Time
	if limit > 0 {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		expired = timer.C
	}
	for {
		select {
		case data, ok := <-t.input:
			if !ok {
				return errEnded
			}
			t.left = data
			return nil
		case n := <-t.notices:
			t.notice(n)
			if t.redraw && shown != nil {
				t.print(shown())
			}
			t.flush()
		case <-expired:
			return errIdle
		}
	}
}

// pause waits for d; an interrupt key or the end of the session ends it early. Other keys are kept for later.
func (t *terminal) pause(d time.Duration, stop <-chan struct{}) error {
	t.flush()
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		if i := bytes.IndexAny(t.left, "\x03\x1e"); i >= 0 {
			t.left = t.left[i+1:]
			return errInterrupted
		}
		input := t.input
		if len(t.left) > 1<<16 {
			input = nil
		}
		select {
		case data, ok := <-input:
			if !ok {
				return errEnded
			}
			t.left = append(t.left, data...)
		case <-timer.C:
			return nil
		case <-stop:
			return errEnded
		}
	}
}

// line is what is being typed.
type line struct {
	prompt string
	text   []byte
	cursor int
	hidden bool // a password
}

// readLine edits one line after prompt. It returns the line without its end; help says that it ended in a question
// mark, tab that it ended in a tabulator.
func (t *terminal) readLine(prompt, initial string, hidden bool, limit time.Duration) (text string, end byte, err error) {
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
			if b == keyInterrupt || b == keyLeave {
				t.print(map[byte]string{keyInterrupt: "", keyLeave: "^Z"}[b])
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
	t.print("\r" + l.prompt + "$" + string(tail) + strings.Repeat(" ", room-len(tail)-1) + strings.Repeat("\b", room-len(tail)-1))
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

// page prints the output of a command, a screen at a time if the terminal has a length.
func (t *terminal) page(text string) error {
	if !t.interactive || t.window.length == 0 {
		t.print(text)
		return nil
	}
	for room := t.window.length - 1; text != ""; {
		if room <= 0 {
			more, err := t.more()
			if err != nil || more == 0 {
				return err
			}
			room = more
		}
		line, rest, _ := strings.Cut(text, "\n")
		t.print(line + "\n")
		text = rest
		room--
	}
	return nil
}

// more asks for the next screen; it returns the lines to show, 0 to end.
func (t *terminal) more() (int, error) {
	t.print(" --More-- ")
	defer t.print(strings.Repeat("\b", 10) + strings.Repeat(" ", 10) + strings.Repeat("\b", 10))
	b, err := t.key(0, nil)
	if err != nil {
		return 0, err
	}
	switch b {
	case ' ':
		return max(t.window.length-1, 1), nil
	case keyReturn, keyLineFeed:
		return 1, nil
	}
	return 0, nil
}
