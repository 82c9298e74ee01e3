package device

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync/atomic"

	"github.com/moncap/moncap/device/iosxe"
)

// session is one login on the command line of a router.
type session struct {
	router   *Router
	conn     *connection
	term     *terminal
	hostname string
	prompt   *regexp.Regexp
	busy     atomic.Bool // a command is in flight
}

// Bounds of one answer. A bulk answer is the dump of a buffer: at four characters a byte, more than the largest buffer
// that the playbook reads that way.
const (
	maxOutput = 8 << 20
	maxBulk   = 512 << 20
	tailSize  = 2048 // how much of the end of an answer is searched for prompts and dialogs
	maxRecord = 1 << 20
	mostAsked = 16 // dialogs of one command
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
			_ = conn.close() // err says what is wrong
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
		_ = conn.close() // the reader of the terminal ends with it
		_ = term.close()
		return nil, err
	}
	return s, nil
}

func (s *session) setUp(ctx context.Context) error {
	if _, err := s.until(ctx, want{timeout: s.router.o.Timeouts.Dial}); err != nil {
		return fmt.Errorf("waiting for the prompt: %w", err)
	}
	// A line of a banner may look like a prompt. The prompt behind the answer to a command is the router's.
	for _, cmd := range []iosxe.Command{iosxe.TerminalLength(), iosxe.TerminalWidth()} {
		a, err := s.ask(ctx, cmd.Lines[0], want{timeout: s.router.o.Timeouts.Command})
		s.router.rec.received(a.raw)
		if err != nil {
			return fmt.Errorf("%s: %w", cmd.Lines[0], err)
		}
		if s.learnName(a.raw); s.hostname == "" {
			return errors.New("no prompt can be made out")
		}
	}
	if err := s.meant(); err != nil {
		return err
	}
	s.prompt = iosxe.Prompt(s.hostname)
	return s.enable(ctx)
}

// meant checks that this is the router that the inventory speaks of. A name that it took while a session was watching is
// as good as the one that is expected.
func (s *session) meant() error {
	expected, seen := s.router.peer.ExpectHostname, s.router.Hostname()
	if expected == "" || strings.EqualFold(expected, s.hostname) || seen != "" && strings.EqualFold(seen, s.hostname) {
		return nil
	}
	return fmt.Errorf("%w: it calls itself %q, expected is %q", errHostname, iosxe.Printable(s.hostname), expected)
}

// renamed goes on with the name that the router took in the middle of the session.
func (s *session) renamed(to string) {
	s.router.rec.note("the router calls itself " + to + " from now on")
	s.hostname, s.prompt = to, iosxe.Prompt(to)
	s.router.mu.Lock()
	defer s.router.mu.Unlock()
	s.router.hostname = to
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
	w := want{timeout: r.o.Timeouts.Command}
	a, err := s.ask(ctx, "", w)
	if err != nil || strings.HasSuffix(strings.TrimSpace(lastLine(a.raw)), "#") {
		return err
	}
	secret, err := r.secret(ctx, r.peer.Enable, "Enable secret of "+whose(r.peer.Enable, r.peer.Name)+":")
	if err != nil {
		return err
	}
	id := newCredential("enable", r.peer.Username, secret.Reveal(), r.peer.Address())
	leave, err := r.o.Lockout.enter(ctx, id)
	if err != nil {
		return fmt.Errorf("enable: %w", err)
	}
	defer leave()
	w.ends = iosxe.PasswordPrompt
	a, err = s.ask(ctx, "enable", w)
	r.rec.received(a.raw)
	if err != nil {
		return fmt.Errorf("enable: %w", err)
	}
	r.rec.typed("(enable secret)")
	if err := s.term.write([]byte(secret.Reveal() + "\n")); err != nil {
		return err
	}
	// Refused, IOS asks twice more; the secret is not sent again.
	w.orPrompt = true
	a, err = s.until(ctx, w)
	r.rec.received(a.raw)
	if err != nil {
		return fmt.Errorf("enable: %w", err)
	}
	if !strings.HasSuffix(strings.TrimSpace(lastLine(a.raw)), "#") {
		r.o.Lockout.add(id)
		return fmt.Errorf("enable: %w", errRefused)
	}
	r.o.Lockout.accept(id)
	return nil
}

// run types a command, in the mode that it needs.
func (s *session) run(ctx context.Context, cmd iosxe.Command) (string, error) {
	// A command in flight cannot be taken back: when ctx ends, the connection is given up, which ends every wait.
	stop := context.AfterFunc(ctx, func() { _ = s.conn.close() })
	defer stop()
	s.busy.Store(true)
	defer s.busy.Store(false)
	w := s.wants(cmd)
	if cmd.Password {
		return s.upload(ctx, cmd, w)
	}
	if cmd.Mode == iosxe.Exec {
		a, err := s.ask(ctx, cmd.Lines[0], w)
		return s.result(ctx, cmd, a, err)
	}
	return s.configure(ctx, cmd, w)
}

// deniedByServer matches a router's word on a server that does not let it in.
var deniedByServer = regexp.MustCompile(`(?i)authenti|denied|permission|password (?:is )?(?:incorrect|wrong)`)

// upload types a command that has the router log in to a server. The server's password goes out once: when it is asked for
// again, it was refused.
func (s *session) upload(ctx context.Context, cmd iosxe.Command, w want) (string, error) {
	no := func(why string) (string, error) {
		return "", &iosxe.Refusal{Command: cmd.Lines[0], Text: why, Kind: iosxe.Unauthorized}
	}
	u, _, err := iosxe.ParseUploaded(cmd.Lines[0][strings.LastIndexByte(cmd.Lines[0], ' ')+1:])
	if err != nil {
		return "", err
	}
	secret, err := s.router.secret(ctx, s.router.o.UploadPassword, "Password for "+u.User+" on "+u.Address()+":")
	if err != nil {
		return no(err.Error())
	}
	id := newCredential("login", u.User, secret.Reveal(), u.Address())
	leave, err := s.router.o.Lockout.enter(ctx, id)
	if err != nil {
		return no(err.Error())
	}
	defer leave()
	w.secret = secret.Reveal()
	a, err := s.ask(ctx, cmd.Lines[0], w)
	if asked, ok := errors.AsType[*unexpected](err); ok && !asked.stuck && iosxe.PasswordPrompt.MatchString("\n"+asked.question) {
		s.router.o.Lockout.add(id)
		s.record(cmd, a)
		return no("the server did not accept the password of " + u.User)
	}
	out, err := s.result(ctx, cmd, a, err)
	switch {
	case a.told && err == nil:
		s.router.o.Lockout.accept(id)
	case a.told && deniedByServer.MatchString(a.body):
		s.router.o.Lockout.add(id)
	case a.told:
		s.router.o.Lockout.doubt(id)
	}
	return out, err
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

// configure types the lines of cmd in configuration mode. Whatever happens to them, the session leaves that mode.
func (s *session) configure(ctx context.Context, cmd iosxe.Command, w want) (string, error) {
	line := func(l string) (answer, string, error) {
		a, err := s.ask(ctx, l, w)
		out, err := s.result(ctx, iosxe.Command{Name: cmd.Name, Mode: cmd.Mode, Lines: []string{l}}, a, err)
		return a, out, err
	}
	a, all, err := line("configure terminal")
	if err != nil {
		return all, err
	}
	for _, l := range cmd.Lines {
		var out string
		a, out, err = line(l)
		all += out
		if err != nil {
			break
		}
	}
	if err != nil && !inStep(err) {
		return all, err
	}
	if m := iosxe.AnyPrompt.FindStringSubmatch("\n" + lastLine(a.raw)); m != nil && m[2] == "" {
		return all, err // an interrupt led out already
	}
	if _, _, e := line("end"); e != nil {
		return all, e
	}
	return all, err
}

// inStep says whether the session is at a prompt after err.
func inStep(err error) bool {
	_, refused := errors.AsType[*iosxe.Refusal](err)
	u, asked := errors.AsType[*unexpected](err)
	return refused || asked && !u.stuck
}

// result cleans an answer and looks for a refusal in it.
func (s *session) result(ctx context.Context, cmd iosxe.Command, a answer, err error) (string, error) {
	s.record(cmd, a)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return a.body, err
	}
	said := a.body
	if cmd.Bulk {
		said = said[:min(len(said), tailSize)] // a refusal is short
	}
	if r := iosxe.Refused(cmd, said); r != nil {
		r.Text = s.router.rec.mask(r.Text)
		return s.presentable(a.body), r
	}
	if cmd.Bulk {
		return a.body, nil // the reader of a dump is strict enough, and the copy is large
	}
	return s.presentable(a.body), nil
}

// presentable is an output as the rest of the program sees it, and keeps it: without control characters, and without the
// secrets of this session, should the router say one of them.
func (s *session) presentable(out string) string {
	return s.router.rec.maskKnown(iosxe.Printable(iosxe.Clean(out)))
}

// record notes an answer; of the dump of a buffer only how it begins and ends, for its bytes are kept as a capture, and
// likewise of what nobody would read.
func (s *session) record(cmd iosxe.Command, a answer) {
	raw := a.raw
	if cmd.Bulk && len(raw) > 4*tailSize || len(raw) > maxRecord {
		s.router.rec.received(raw[:tailSize])
		s.router.rec.note(fmt.Sprintf("(%d bytes of output)", len(raw)-2*tailSize))
		raw = raw[len(raw)-tailSize:]
	}
	s.router.rec.received(raw)
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

// exit says goodbye, so that the router frees its terminal line at once. To a command in flight it would be an answer.
func (s *session) exit() {
	if !s.busy.Load() {
		_ = s.term.write([]byte("exit\n"))
	}
}

func (s *session) close() error {
	return errors.Join(ignoreClosed(s.term.close()), s.conn.close())
}

// abandon closes a session that may be broken, the connection first: nothing can be written to it any more.
func (s *session) abandon() {
	_ = s.conn.close()
	_ = s.term.close()
}
