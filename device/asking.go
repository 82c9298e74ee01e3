package device

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/moncap/moncap/device/iosxe"
)

// ask types a line and reads until the prompt is there again.
func (s *session) ask(ctx context.Context, line string, w want) (answer, error) {
	if err := s.typeIn(line, w.timeout); err != nil {
		return answer{}, err
	}
	w.line = line
	return s.until(ctx, w)
}

// typeIn types one line, or several at once.
func (s *session) typeIn(lines string, within time.Duration) error {
	if b := s.term.pending(); len(b) > 0 {
		s.router.rec.unasked(string(b)) // said since the last command, of the router's own accord
	}
	s.router.rec.typed(lines)
	return s.send([]byte(lines+"\n"), within)
}

// send types b. A router that takes nothing, because it grants no window, is given up.
func (s *session) send(b []byte, within time.Duration) error {
	cut := time.AfterFunc(within, func() { _ = s.conn.Close() })
	err := s.term.write(b)
	switch inTime := cut.Stop(); {
	case !inTime:
		return fmt.Errorf("%w (%s)", errNotTaken, within)
	case err != nil:
		return fmt.Errorf("%w: %w", errClosed, err)
	}
	return nil
}

// until reads until the answer is complete. It answers the dialogs that w knows, and
// breaks off any other.
func (s *session) until(ctx context.Context, w want) (answer, error) {
	return s.finish(ctx, s.reading(w))
}

func (s *session) reading(w want) *reading {
	rd := newReading(w, s.prompt, s.hostname != "")
	rd.echoing, rd.echoed = s.echoing, s.router.echoed
	return rd
}

// finish reads until rd is complete.
func (s *session) finish(ctx context.Context, rd *reading) (answer, error) {
	err := s.read(ctx, rd)
	if rd.newName != "" {
		s.renamed(rd.newName)
	}
	s.echoing = s.echoing || rd.heard && rd.want.line != ""
	s.router.echoed = s.router.echoed || s.echoing
	s.paged = s.paged || rd.paged
	return rd.answer(s.prompt), err
}

func (s *session) read(ctx context.Context, rd *reading) error {
	for !rd.done && rd.newName == "" {
		wait, cancel := context.WithDeadlineCause(ctx, rd.patience(), errTimeout)
		b, err := s.term.read(wait)
		cancel()
		switch {
		case err == nil:
			err = s.heard(rd, b)
		case errors.Is(err, io.EOF):
			return s.quoting(errClosed, rd)
		case ctx.Err() == nil:
			err = s.silence(ctx, rd)
		}
		if err != nil && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		// A router that never stops talking gets no more time than one that says nothing.
		if !rd.done && rd.newName == "" && !time.Now().Before(rd.deadline) {
			return s.late(rd)
		}
	}
	return nil
}

func (s *session) late(rd *reading) error {
	return s.quoting(fmt.Errorf("%w (%s)", errTimeout, rd.want.timeout), rd)
}

// quoting adds what the router said last to an error that ended the reading.
func (s *session) quoting(err error, rd *reading) error {
	said := iosxe.LastWords(rd.answer(s.prompt).body)
	if said == "" {
		return err
	}
	if errors.Is(err, errClosed) && iosxe.LoginRefused(said) { // "password has expired" is no line with a password in it
		return &saidError{err, s.router.rec.maskAll(said), true}
	}
	return &saidError{err, s.router.rec.mask(said), false}
}

// heard takes what the router wrote, and replies to it where that is called for.
func (s *session) heard(rd *reading, b []byte) error {
	rd.take(b)
	if rd.size() > rd.want.limit {
		return errTooMuch
	}
	if err := rd.pass(); err != nil {
		return err
	}
	reply, known := rd.look()
	if reply == nil {
		return nil
	}
	if known {
		s.router.rec.typed(strings.TrimSuffix(string(reply), "\n"))
	}
	if rd.replies++; known && rd.replies > mostAsked {
		return &unexpected{question: "the same again and again", stuck: true}
	}
	return s.send(reply, s.router.o.Timeouts.Command)
}

// silence decides what it means that nothing came for as long as rd had patience.
func (s *session) silence(ctx context.Context, rd *reading) error {
	switch inTime := time.Now().Before(rd.deadline); {
	case inTime && rd.asked != "":
		return s.breakOff(ctx, rd)
	case inTime && rd.strange != "":
		rd.probe = rd.size()
		rd.probed, rd.strange = rd.strange, ""
		return s.send([]byte("\n"), s.router.o.Timeouts.Command)
	case inTime && rd.isDeaf():
		return fmt.Errorf("%w (%s)", errDeaf, deaf)
	case rd.stalled:
		return errOutOfStep
	case rd.unheard:
		rd.done, rd.ended = true, rd.standing().text
		return nil
	}
	return s.late(rd)
}

// breakOff interrupts a question that nothing answers. When that brings the prompt back, the
// session is good.
func (s *session) breakOff(ctx context.Context, rd *reading) error {
	e := &unexpected{question: s.router.rec.mask(iosxe.Printable(rd.asked))}
	after, err := s.interrupt(ctx)
	rd.out.WriteString(after)
	e.stuck = err != nil
	return e
}

// interrupted reads what an interrupt brings, if it brings something soon.
func (s *session) interrupted(w want) *reading {
	w.timeout, w.idle = settleBreak, true
	rd := s.reading(w)
	rd.last = time.Now().Add(afterBreak)
	return rd
}

// interrupt types Ctrl-C and waits for the prompt. It returns what came.
func (s *session) interrupt(ctx context.Context) (string, error) {
	s.router.rec.typed("(Ctrl-C)")
	if err := s.send([]byte(interruptKey), afterBreak); err != nil {
		return "", err
	}
	rd := s.interrupted(want{})
	for !rd.standing().own {
		wait, cancel := context.WithDeadlineCause(ctx, rd.deadline, errTimeout)
		b, err := s.term.read(wait)
		cancel()
		if rd.take(b); err != nil {
			return rd.out.String(), err
		}
		if rd.out.Len() > maxOutput {
			return rd.out.String(), errTooMuch
		}
	}
	return rd.out.String(), nil
}
