package simulator

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"time"
)

var (
	errInterrupted = errors.New("interrupted")
	errEnded       = errors.New("end of the session")
	errIdle        = errors.New("idle for too long")
)

// terminal is one interactive line: it edits what is typed, echoes, pages, and mixes syslog lines
// in. But for read, notify and the flag monitor it belongs to the goroutine of its session.
type terminal struct {
	channel     io.ReadWriter
	window      window
	interactive bool
	monitor     bool
	slow        time.Duration // before each byte
	jitter      time.Duration // the longest pause between two pieces
	redraw      bool          // draw the prompt and the line again after a syslog line

	input chan []byte
	left  []byte
	stop  chan struct{}
	once  sync.Once
	skip  bool   // the LF of a CR LF
	last  string // the line before

	out     bytes.Buffer // echo and text not sent yet
	notices chan string
	broken  bool
	column  int
}

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
	t.out.WriteString(s)
	if i := strings.LastIndexAny(s, "\r\n"); i >= 0 {
		t.column = len(s) - i - 1
	} else {
		t.column += len(s)
	}
}

// flush sends what is queued.
func (t *terminal) flush() {
	for t.out.Len() > 0 && !t.broken {
		step, wait := t.out.Len(), t.slow
		switch {
		case t.slow > 0:
			step = 1
		case t.jitter > 0:
			// #nosec G404 -- the whims of a line need not be hard to guess
			step = 1 << rand.IntN(16)
			// #nosec G404
			wait = time.Duration(max(0, rand.Int64N(int64(4*t.jitter))-int64(3*t.jitter))) // none, three times of four
		}
		time.Sleep(wait)
		_, err := t.channel.Write(t.out.Next(step))
		t.broken = err != nil
	}
	t.out.Reset()
}

// drainNotices prints the syslog lines that are due, at a line's beginning.
func (t *terminal) drainNotices() {
	for {
		select {
		case n := <-t.notices:
			t.notice(n)
		default:
			return
		}
	}
}

func (t *terminal) notice(line string) {
	if t.column != 0 {
		t.print("\r\n")
	}
	t.print(line + "\r\n")
}

// key returns the next byte. Meanwhile syslog lines appear, with shown (the prompt and what is
// typed) again after them if the terminal redraws. limit bounds the wait; 0 or less does not.
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

// pause waits for d; an interrupt key or the end of the session ends it early. Other keys are kept
// for later.
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

// page prints the output of a command, a screen at a time if the terminal has a length.
func (t *terminal) page(text string) error {
	// A log line comes in the middle of an output of several lines; after one line
	// the prompt is sooner.
	if line, rest, _ := strings.Cut(text, "\n"); rest != "" && len(t.notices) > 0 {
		t.print(line + "\n")
		text = rest
		t.drainNotices()
	}
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
