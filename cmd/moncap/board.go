package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/moncap/moncap/analysis/render"
)

// board shows on a terminal how several runs go on: a line for each that is under way.
type board struct {
	w       io.Writer
	columns int

	mu     sync.Mutex
	p      *mpb.Progress
	lines  []*boardLine // of the runs under way, in the order in which they began
	paused bool
	said   map[string]bool
}

func newBoard(w io.Writer, columns int) *board {
	b := &board{w: w, columns: columns, said: map[string]bool{}}
	b.draw()
	return b
}

// draw begins to draw. b.mu is held, or b is new.
func (b *board) draw() {
	b.p = mpb.New(mpb.WithOutput(b.w), mpb.WithRefreshRate(80*time.Millisecond), mpb.WithAutoRefresh())
	for _, l := range b.lines {
		b.place(l)
	}
}

func (b *board) place(l *boardLine) {
	l.bar = b.p.New(1, mpb.NopStyle(), mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return l.now() })))
}

func (b *board) pause() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.clear()
}

// clear takes the lines off the screen. b.mu is held.
func (b *board) clear() {
	if b.paused {
		return
	}
	b.paused = true
	for _, l := range b.lines {
		l.bar.Abort(true)
	}
	b.p.Wait()
}

func (b *board) resume() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.paused {
		b.paused = false
		b.draw()
	}
}

// once says something that several runs have to say alike.
func (b *board) once(text string) {
	b.mu.Lock()
	said := b.said[text]
	b.said[text] = true
	b.mu.Unlock()
	if said {
		return
	}
	b.pause()
	fmt.Fprintln(b.w, "\r"+printable(text))
	b.resume()
}

// line begins the line of a run.
func (b *board) line(tunnel string) *boardLine {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := &boardLine{board: b, name: render.Shorten(printable(tunnel), max(b.columns/3, 8)), sides: map[string]string{}}
	b.lines = append(b.lines, l)
	if !b.paused {
		b.place(l)
	}
	return l
}

// boardLine is the progress of one run of several.
type boardLine struct {
	board *board
	bar   *mpb.Bar // the board's
	name  string

	mu    sync.Mutex
	doing activity
	wait  time.Duration
	sides map[string]string // what is known of each in the phase
}

func (l *boardLine) now() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.doing.detail = ""
	for _, side := range sides("") {
		if text := l.sides[side]; text != "" {
			if l.doing.detail != "" {
				l.doing.detail += ", "
			}
			l.doing.detail += side + " " + text
		}
	}
	return render.Shorten(l.name+"  "+l.doing.String(), l.board.columns-1)
}

func (l *boardLine) lasts(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wait = d
}

func (l *boardLine) phase(_, name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.doing.text != name {
		l.doing.begin(name, l.wait)
		clear(l.sides)
	}
}

func (l *boardLine) detail(side, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sides[side] = printable(text)
}

func (l *boardLine) failed(side, name, _ string) { l.detail(side, name+" failed") }
func (l *boardLine) removing(side, what string)  { l.detail(side, "removing "+what) }

// note says a thing once, an interrupt for one, which all runs have to say.
func (l *boardLine) note(text string) { l.board.once(text) }

func (l *boardLine) pause()  { l.board.pause() }
func (l *boardLine) resume() { l.board.resume() }

// close takes the line off the board.
func (l *boardLine) close() {
	b := l.board
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, other := range b.lines {
		if other == l {
			b.lines = append(b.lines[:i], b.lines[i+1:]...)
			break
		}
	}
	if !b.paused {
		l.bar.Abort(true)
	}
}

func (b *board) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.clear()
}
