package device

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/moncap/moncap/device/iosxe"
)

// want is what ends the reading of an answer.
type want struct {
	line     string // what was typed; a prompt before its echo is an old one
	timeout  time.Duration
	idle     bool           // the timeout runs from the last byte
	ends     *regexp.Regexp // ends the reading, and a prompt does not
	orPrompt bool           // with ends: a prompt ends it as well
	answers  []iosxe.Answer
	secret   string // answers the first question for a password; "": nothing does
	limit    int    // bytes
	twice    bool   // a prompt counts when it comes again at an empty line
}

// answer is what a router wrote: all of it, and the part between the echo of the line and the prompt.
type answer struct {
	raw, body string
	told      bool // the secret of want went out
}

// How long the router must be quiet before something unusual is believed.
const (
	settle     = 400 * time.Millisecond // a question, a prompt of another name: output may look like one in the middle of a line
	settleEcho = 2 * time.Second        // a prompt although the line was not echoed, because a message tore the echo apart
	afterBreak = 5 * time.Second        // what an interrupt may take
)

// mostIdle bounds a command whose timeout runs from the last byte, in timeouts: a router that chatters and never answers is
// not waited for all day.
const mostIdle = 30

// ask types a line and reads until the prompt is there again.
func (s *session) ask(ctx context.Context, line string, w want) (answer, error) {
	if b := s.term.pending(); len(b) > 0 {
		s.router.rec.received(string(b)) // said since the last command, of the router's own accord
	}
	s.router.rec.typed(line)
	if err := s.term.write([]byte(line + "\n")); err != nil {
		return answer{}, fmt.Errorf("%w: %w", errClosed, err)
	}
	w.line = line
	return s.until(ctx, w)
}

// until reads until the answer is complete. It answers the dialogs that w knows, and breaks off any other.
func (s *session) until(ctx context.Context, w want) (answer, error) {
	if w.limit == 0 {
		w.limit = maxOutput
	}
	now := time.Now()
	rd := &reading{want: w, prompt: s.prompt, named: s.hostname != "", deadline: now.Add(w.timeout), last: now.Add(mostIdle * w.timeout)}
	for {
		wait, cancel := context.WithDeadlineCause(ctx, rd.patience(), errTimeout)
		b, err := s.term.read(wait)
		cancel()
		if err == nil {
			err = s.heard(rd, b)
		} else if !errors.Is(err, io.EOF) && ctx.Err() == nil {
			err = s.silence(ctx, rd)
		}
		switch {
		case rd.newName != "":
			s.renamed(rd.newName)
			return rd.answer(s.prompt), nil
		case errors.Is(err, io.EOF):
			return rd.answer(s.prompt), errClosed
		case err != nil && ctx.Err() != nil:
			return rd.answer(s.prompt), context.Cause(ctx)
		case err != nil || rd.done:
			return rd.answer(s.prompt), err
		}
	}
}

// heard takes what the router wrote, and replies to it where that is called for.
func (s *session) heard(rd *reading, b []byte) error {
	rd.take(b)
	if rd.out.Len() > rd.want.limit {
		return errTooMuch
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
	return s.term.write(reply)
}

// silence decides what it means that nothing came for as long as rd had patience.
func (s *session) silence(ctx context.Context, rd *reading) error {
	switch {
	case time.Now().Before(rd.deadline) && rd.asked != "":
		return s.breakOff(ctx, rd)
	case time.Now().Before(rd.deadline) && rd.strange != "":
		rd.probe = rd.out.Len()
		rd.probed, rd.strange = rd.strange, ""
		return s.term.write([]byte("\n"))
	case rd.unheard:
		rd.done = true
		return nil
	}
	return fmt.Errorf("%w (%s)", errTimeout, rd.want.timeout)
}

// breakOff interrupts a question that nothing answers. When that brings the prompt back, the session is good.
func (s *session) breakOff(ctx context.Context, rd *reading) error {
	e := &unexpected{question: s.router.rec.mask(iosxe.Printable(rd.asked))}
	s.router.rec.typed("(Ctrl-C)")
	if err := s.term.write([]byte(interrupt)); err != nil {
		return fmt.Errorf("%w: %w", errClosed, err)
	}
	after := &reading{want: want{limit: maxOutput}, prompt: s.prompt, deadline: time.Now().Add(afterBreak)}
	for !after.done {
		wait, cancel := context.WithDeadline(ctx, after.deadline)
		b, err := s.term.read(wait)
		cancel()
		if after.take(b); err != nil || after.out.Len() > maxOutput {
			e.stuck = true
			break
		}
		after.look()
	}
	rd.out.Write(after.out.Bytes())
	return e
}

// reading is the state of one answer. It does no I/O.
type reading struct {
	want     want
	prompt   *regexp.Regexp
	named    bool // the prompt is of one router, and not of any
	deadline time.Time
	last     time.Time // the deadline does not move beyond it

	out      bytes.Buffer
	echo     int    // where the answer begins, behind the echo; 0: not heard yet
	searched int    // where the search for the echo goes on
	replied  int    // what was before this was replied to
	replies  int    // dialogs so far
	told     bool   // want.secret went out
	refused  bool   // it was asked for again
	asked    string // a question that nothing answers, as it stands at the end
	unheard  bool   // a prompt stands at the end, but the echo was not heard
	again    int    // with want.twice: where the answer ended when the empty line was sent
	strange  string // the name in what would be a prompt, were the router called so
	probed   string // the strange name at whose prompt an empty line was sent
	probe    int    // where the answer ended then
	newName  string // the router was renamed
	done     bool
}

// take appends what came.
func (r *reading) take(b []byte) {
	r.out.Write(b)
	if later := time.Now().Add(r.want.timeout); r.want.idle && len(b) > 0 && later.Before(r.last) {
		r.deadline = later
	}
}

// patience says until when to wait for more.
func (r *reading) patience() time.Time {
	soon := r.deadline
	switch {
	case r.refused:
		soon = time.Now()
	case r.asked != "" || r.strange != "":
		soon = time.Now().Add(settle)
	case r.unheard:
		soon = time.Now().Add(settleEcho)
	}
	if soon.Before(r.deadline) {
		return soon
	}
	return r.deadline
}

// look decides what the end of the answer so far is, and what to type at it. known says that the reply belongs to a dialog
// that the command expects.
func (r *reading) look() (reply []byte, known bool) {
	r.asked, r.strange, r.unheard = "", "", false
	heard := r.findEcho()
	out := r.out.Bytes()
	from := max(r.replied, r.echo, len(out)-tailSize)
	tail := string(out[from:])
	if !heard {
		r.unheard = promptLine(r.prompt, tail) >= 0
		return nil, false
	}
	for _, a := range r.want.answers {
		if a.Prompt.MatchString(tail) {
			r.replied = len(out)
			return []byte(a.Send + "\n"), true
		}
	}
	asks := r.want.secret != "" && iosxe.PasswordPrompt.MatchString(tail)
	if asks && !r.told {
		r.replied, r.told = len(out), true
		return []byte(r.want.secret + "\n"), true // it is masked where it is recorded
	}
	switch {
	case asks:
		r.asked, r.refused = lastLine(tail), true
	case r.want.ends != nil && r.want.ends.MatchString(tail):
		r.done = true
	case (r.want.ends == nil || r.want.orPrompt) && promptLine(r.prompt, tail) >= 0:
		return r.complete(len(out)), false
	case iosxe.Pager.MatchString(tail):
		r.replied = len(out)
		return []byte(" "), false
	case iosxe.Dialog.MatchString(tail) || r.want.ends == nil && iosxe.PasswordPrompt.MatchString(tail):
		r.asked = lastLine(tail)
	case r.named:
		r.otherName(tail)
	}
	return nil, false
}

// findEcho looks for the line that was typed, and says whether it has come.
func (r *reading) findEcho() bool {
	line := []byte(r.want.line)
	if len(line) == 0 || r.echo > 0 {
		return true
	}
	out := r.out.Bytes()
	if i := bytes.Index(out[r.searched:], line); i >= 0 {
		r.echo = r.searched + i + len(line)
		return true
	}
	r.searched = max(0, len(out)-len(line)+1)
	return false
}

// otherName notices a prompt that would be one, were the router called something else. That it is one shows when an empty
// line brings it again.
func (r *reading) otherName(tail string) {
	m := iosxe.AnyPrompt.FindStringSubmatch("\n" + lastLine(tail))
	if m == nil {
		return
	}
	since := string(r.out.Bytes()[r.probe:])
	at := promptLine(iosxe.AnyPrompt, since)
	if m[1] == r.probed && at > 0 && strings.TrimSpace(since[:at]) == "" {
		r.newName = m[1]
		return
	}
	r.strange = m[1]
}

// complete takes a prompt for the end; of bulk output only when an empty line brings it again at once, because the output
// is made of bytes that anybody may have sent.
func (r *reading) complete(n int) (reply []byte) {
	if !r.want.twice {
		r.done = true
		return nil
	}
	if r.again > 0 {
		rest := string(r.out.Bytes()[r.again:])
		if at := promptLine(r.prompt, rest); at > 0 && strings.TrimSpace(rest[:at]) == "" {
			r.done = true
			return nil
		}
	}
	r.again = n
	return []byte("\n")
}

// answer is what was read, with the echo and the prompts taken off the body.
func (r *reading) answer(prompt *regexp.Regexp) answer {
	a := answer{raw: r.out.String(), told: r.told}
	a.body = strings.TrimPrefix(strings.TrimLeft(a.raw[r.echo:], " "), "\n")
	// What follows the prompt is the router talking to itself. Of bulk output there are two.
	for range 2 {
		at := promptLine(prompt, a.body)
		if at < 0 {
			break
		}
		a.body = a.body[:at]
	}
	return a
}
