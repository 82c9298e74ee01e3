package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// screen is what moves on the terminal. A question stops it, so that it can be read.
type screen struct {
	mu   sync.Mutex
	view pausable
}

// pausable draws nothing between pause and resume.
type pausable interface {
	pause()
	resume()
}

func (s *screen) show(v pausable) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.view = v
}

// clear stops what moves until again is called.
func (s *screen) clear() (again func()) {
	s.mu.Lock()
	v := s.view
	s.mu.Unlock()
	if v == nil {
		return func() {}
	}
	v.pause()
	return v.resume
}

var errNoInput = errors.New("a secret must be typed, but --no-input was given or stdin is no terminal")

// asksOnTerminal says whether somebody may be there to answer.
func (a *app) asksOnTerminal() bool {
	f, ok := a.stdin.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// readLine asks on the terminal and reads a line, without showing it unless echo says so. An
// interrupt ends it.
func (a *app) readLine(prompt string, echo bool) (string, error) {
	f, ok := a.stdin.(*os.File)
	if a.noInput || !ok || !a.asksOnTerminal() {
		return "", errNoInput
	}
	if a.interrupts.ctx.Err() != nil { // the other router's question was ended
		return "", a.interrupts.cause()
	}
	before, err := term.GetState(int(f.Fd()))
	if err != nil {
		return "", fmt.Errorf("the terminal: %w", err)
	}
	restore := func() { _ = term.Restore(int(f.Fd()), before) }
	defer a.interrupts.echoOff(restore)()
	defer a.screen.clear()()
	typed := make(chan typedLine, 1)
	// A read of a terminal cannot be broken off: after an interrupt it waits until the program ends,
	// which is soon.
	go func() { typed <- typeLine(f, echo) }()
	if !echo {
		awaitQuiet(f, before)
	}
	fmt.Fprint(a.stderr, strings.TrimRight(printable(prompt), " ")+" ")
	select {
	case line := <-typed:
		if !echo {
			fmt.Fprintln(a.stderr)
		}
		return line.text, line.err
	case <-a.interrupts.given():
		restore()
		fmt.Fprintln(a.stderr)
		return "", a.interrupts.cause()
	}
}

// awaitQuiet waits until the terminal does not echo any more: what is typed at the question must
// not show, and an interrupt must find the state to restore.
func awaitQuiet(f *os.File, before *term.State) {
	for range 100 {
		now, err := term.GetState(int(f.Fd()))
		if err != nil || *now != *before {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

type typedLine struct {
	text string
	err  error
}

func typeLine(f *os.File, echo bool) typedLine {
	if !echo {
		b, err := term.ReadPassword(int(f.Fd()))
		return typedLine{string(b), err}
	}
	line, err := bufio.NewReader(f).ReadString('\n')
	return typedLine{strings.TrimRight(line, "\r\n"), err}
}
