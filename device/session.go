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

// session is one login on the command line of a router.
type session struct {
	router   *Router
	conn     *connection
	term     *terminal
	hostname string
	prompt   *regexp.Regexp
}

// Bounds of one answer. A bulk answer is the dump of a buffer: at four characters a byte, more than the largest buffer
// that the playbook reads that way.
const (
	maxOutput = 8 << 20
	maxBulk   = 512 << 20
	tailSize  = 2048 // how much of the end of an answer is searched for prompts and dialogs
)

const interrupt = "\x03"

// login opens a session, finds out the router's name, and sets the terminal up.
func (r *Router) login(ctx context.Context) (_ *session, err error) {
	conn, err := r.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, conn.close())
		}
	}()
	stop := context.AfterFunc(ctx, func() { _ = conn.close() })
	defer stop()
	term, err := openTerminal(conn.Client)
	if err != nil {
		return nil, fmt.Errorf("shell: %w", err)
	}
	s := &session{router: r, conn: conn, term: term, prompt: iosxe.AnyPrompt}
	r.rec.note("connected to " + r.peer.Address())
	if err := s.setUp(ctx); err != nil {
		return nil, errors.Join(err, ignoreClosed(term.close()))
	}
	return s, nil
}

func (s *session) setUp(ctx context.Context) error {
	if _, err := s.until(ctx, want{timeout: s.router.o.Timeouts.Dial, passive: true}); err != nil {
		return fmt.Errorf("waiting for the prompt: %w", err)
	}
	// A line of a banner may look like a prompt. The prompt behind the answer to a command is the router's.
	for _, cmd := range []iosxe.Command{iosxe.TerminalLength(), iosxe.TerminalWidth()} {
		out, err := s.ask(ctx, cmd.Lines[0], want{timeout: s.router.o.Timeouts.Command})
		if err != nil {
			return fmt.Errorf("%s: %w", cmd.Lines[0], err)
		}
		if s.learnName(out); s.hostname == "" {
			return errors.New("no prompt can be made out")
		}
	}
	if e := s.router.peer.ExpectHostname; e != "" && !strings.EqualFold(e, s.hostname) {
		return fmt.Errorf("%w: it calls itself %q, expected is %q", errHostname, iosxe.Printable(s.hostname), e)
	}
	s.prompt = iosxe.Prompt(s.hostname)
	return s.enable(ctx)
}

// learnName takes the router's name from the prompt at the end of out.
func (s *session) learnName(out string) {
	if m := iosxe.AnyPrompt.FindStringSubmatch("\n" + lastLine(out)); m != nil {
		s.hostname = m[1]
	}
}

// lastLine is the last line of out that is no syslog message.
func lastLine(out string) string {
	lines := strings.Split(strings.TrimRight(out, "\n"), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		l := strings.Trim(lines[i], "\r")
		if strings.TrimSpace(l) != "" && !iosxe.SyslogLine(l) {
			return l
		}
	}
	return ""
}

// enable raises the session to level 15 when it starts below and the inventory has the secret.
func (s *session) enable(ctx context.Context) error {
	r := s.router
	if r.peer.Enable.IsZero() {
		return nil
	}
	out, err := s.ask(ctx, "", want{timeout: r.o.Timeouts.Command})
	if err != nil {
		return err
	}
	if !strings.HasSuffix(strings.TrimSpace(lastLine(out)), ">") {
		return nil
	}
	secret, err := r.secret(ctx, r.peer.Enable, "Enable secret of "+r.peer.Name+":")
	if err != nil {
		return err
	}
	if _, err = s.ask(ctx, "enable", want{timeout: r.o.Timeouts.Command, ends: iosxe.PasswordPrompt}); err != nil {
		return fmt.Errorf("enable: %w", err)
	}
	r.rec.typed("(enable secret)")
	if err := s.term.write([]byte(secret.Reveal() + "\n")); err != nil {
		return err
	}
	// Refused, IOS asks twice more; the secret is not sent again.
	out, err = s.until(ctx, want{timeout: r.o.Timeouts.Command, ends: iosxe.PasswordPrompt, orPrompt: true})
	if err != nil {
		return fmt.Errorf("enable: %w", err)
	}
	if !strings.HasSuffix(strings.TrimSpace(lastLine(out)), "#") {
		return fmt.Errorf("enable: %w", errRefused)
	}
	return nil
}

// run types a command, in the mode that it needs.
func (s *session) run(ctx context.Context, cmd iosxe.Command) (string, error) {
	// A command in flight cannot be taken back: when ctx ends, the connection is given up, which ends every wait.
	stop := context.AfterFunc(ctx, func() { _ = s.conn.close() })
	defer stop()
	w := s.wants(cmd)
	if cmd.Mode == iosxe.Exec {
		out, err := s.ask(ctx, cmd.Lines[0], w)
		return s.result(ctx, cmd, out, err)
	}
	return s.configure(ctx, cmd, w)
}

func (s *session) wants(cmd iosxe.Command) want {
	t := s.router.o.Timeouts
	w := want{timeout: t.Command, answers: cmd.Answers, limit: maxOutput}
	if cmd.Slow || cmd.Bulk {
		w.timeout, w.idle = t.Idle, true
	}
	if cmd.Bulk {
		w.limit, w.twice = maxBulk, true
	}
	return w
}

func (s *session) configure(ctx context.Context, cmd iosxe.Command, w want) (string, error) {
	out, err := s.ask(ctx, "configure terminal", w)
	all, err := s.result(ctx, cmd, out, err)
	if err != nil {
		return all, err
	}
	for _, line := range cmd.Lines {
		out, e := s.ask(ctx, line, w)
		clean, e := s.result(ctx, iosxe.Command{Name: cmd.Name, Mode: cmd.Mode, Lines: []string{line}}, out, e)
		all += clean
		if e != nil {
			err = e
			break
		}
	}
	if _, refused := errors.AsType[*iosxe.Refusal](err); err != nil && !refused {
		return all, err
	}
	// Whatever happened, the session must not stay in configuration mode.
	out, e := s.ask(ctx, "end", w)
	if _, e = s.result(ctx, iosxe.Command{Name: "end", Lines: []string{"end"}}, out, e); e != nil {
		return all, e
	}
	return all, err
}

// result cleans an answer and looks for a refusal in it.
func (s *session) result(ctx context.Context, cmd iosxe.Command, out string, err error) (string, error) {
	line := cmd.Lines[0]
	s.router.rec.received(out)
	out = s.body(line, out)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return out, err
	}
	if r := iosxe.Refused(cmd, out); r != nil {
		return iosxe.Clean(out), r
	}
	if cmd.Bulk {
		return out, nil // the reader of a dump is strict enough, and the copy is large
	}
	return iosxe.Clean(out), nil
}

// body takes the echo of the line and the prompt off an answer.
func (s *session) body(line, out string) string {
	if i := strings.Index(out, line); i >= 0 && i < tailSize {
		out = strings.TrimLeft(out[i+len(line):], " ")
		out = strings.TrimPrefix(out, "\n")
	}
	// What follows the prompt is the router talking to itself.
	for range 2 {
		loc := promptLine(s.prompt, out)
		if loc < 0 {
			break
		}
		out = out[:loc]
	}
	return out
}

// promptLine finds where the last line that is a prompt begins, with only syslog behind it; -1 when there is none.
func promptLine(prompt *regexp.Regexp, out string) int {
	end := len(out)
	for end > 0 {
		start := strings.LastIndexByte(out[:end], '\n') + 1
		l := strings.TrimRight(out[start:end], "\r ")
		if prompt.MatchString("\n" + l) {
			return start
		}
		if l != "" && !iosxe.SyslogLine(l) {
			return -1
		}
		end = start - 1
	}
	return -1
}

// want is what ends the reading of an answer.
type want struct {
	timeout  time.Duration
	idle     bool           // the timeout runs from the last byte
	passive  bool           // nothing was typed: the first prompt of the session
	ends     *regexp.Regexp // ends the reading too
	orPrompt bool           // with ends: a prompt ends it as well
	answers  []iosxe.Answer
	limit    int
	twice    bool // a prompt counts when it comes again at an empty line
}

// ask types a line and reads until the prompt is there again.
func (s *session) ask(ctx context.Context, line string, w want) (string, error) {
	s.router.rec.typed(line)
	if err := s.term.write([]byte(line + "\n")); err != nil {
		return "", fmt.Errorf("%w: %w", errClosed, err)
	}
	if w.ends != nil {
		out, err := s.until(ctx, w)
		s.router.rec.received(out)
		return out, err
	}
	return s.until(ctx, w)
}

// until reads until the answer is complete. It answers the dialogs that w knows, and breaks off any other.
func (s *session) until(ctx context.Context, w want) (string, error) {
	if w.limit == 0 {
		w.limit = maxOutput
	}
	rd := &reading{session: s, want: w}
	deadline := time.Now().Add(w.timeout)
	for {
		wait, cancel := context.WithDeadlineCause(ctx, rd.patience(deadline), errTimeout)
		b, err := s.term.read(wait)
		cancel()
		if len(b) > 0 {
			rd.out.Write(b)
			if w.idle {
				deadline = time.Now().Add(w.timeout)
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return rd.out.String(), errClosed
		case rd.out.Len() > w.limit:
			return rd.out.String(), errTooMuch
		case err == nil:
			if done, err := rd.look(); done || err != nil {
				return rd.out.String(), err
			}
		case ctx.Err() != nil:
			return rd.out.String(), context.Cause(ctx)
		case rd.asked != "":
			return rd.out.String(), rd.breakOff()
		case !time.Now().Before(deadline):
			return rd.out.String(), fmt.Errorf("%w (%s)", errTimeout, w.timeout)
		}
	}
}

// settle is how long a question must stand unanswered before it is taken for one: output may look like a question in the
// middle of a line.
const settle = 400 * time.Millisecond

// reading is the state of one answer.
type reading struct {
	session  *session
	want     want
	out      bytes.Buffer
	answered int    // how much of out the dialogs so far were part of
	asked    string // a question that nothing answers, as it stands at the end
	confirm  int    // with twice: where the answer ended when the empty line was sent
}

func (r *reading) patience(deadline time.Time) time.Time {
	if r.asked != "" {
		if soon := time.Now().Add(settle); soon.Before(deadline) {
			return soon
		}
	}
	return deadline
}

// look decides what the end of the answer so far is.
func (r *reading) look() (done bool, err error) {
	out := r.out.Bytes()
	tail := string(out[max(r.answered, len(out)-tailSize):])
	r.asked = ""
	for _, a := range r.want.answers {
		if a.Prompt.MatchString(tail) {
			r.answered = len(out)
			r.session.router.rec.typed(a.Send)
			return false, r.session.term.write([]byte(a.Send + "\n"))
		}
	}
	if r.want.ends != nil && r.want.ends.MatchString(tail) {
		return true, nil
	}
	if r.want.ends == nil || r.want.orPrompt {
		if promptLine(r.session.prompt, tail) >= 0 {
			return r.complete(len(out))
		}
	}
	switch {
	case iosxe.Pager.MatchString(tail):
		r.answered = len(out)
		return false, r.session.term.write([]byte(" "))
	case iosxe.Dialog.MatchString(tail) || r.want.ends == nil && iosxe.PasswordPrompt.MatchString(tail):
		r.asked = lastLine(tail)
	}
	return false, nil
}

// complete takes a prompt for the end; of bulk output only when an empty line brings it again at once, because the output
// is made of bytes that anybody may have sent.
func (r *reading) complete(n int) (bool, error) {
	if !r.want.twice {
		return true, nil
	}
	if r.confirm > 0 && len(bytes.TrimSpace(r.out.Bytes()[r.confirm:])) > 0 {
		rest := string(r.out.Bytes()[r.confirm:])
		if strings.TrimSpace(rest[:max(promptLine(r.session.prompt, rest), 0)]) == "" {
			return true, nil
		}
	}
	r.confirm = n
	return false, r.session.term.write([]byte("\n"))
}

// breakOff interrupts a question that nothing answers.
func (r *reading) breakOff() error {
	question := r.asked
	r.session.router.rec.typed("(Ctrl-C)")
	if err := r.session.term.write([]byte(interrupt)); err != nil {
		return fmt.Errorf("%w: %w", errClosed, err)
	}
	return &unexpected{iosxe.Printable(question)}
}

// exit says goodbye, so that the router frees its terminal line at once.
func (s *session) exit() { _ = s.term.write([]byte("exit\n")) }

func (s *session) close() error {
	return errors.Join(ignoreClosed(s.term.close()), s.conn.close())
}
