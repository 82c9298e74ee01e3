package device

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"github.com/moncap/moncap/device/iosxe"
	"github.com/moncap/moncap/internal/lazyregexp"
)

// session is one login on the command line of a router.
type session struct {
	router     *Router
	conn       io.Closer // what carries it; closing it ends every wait
	term       *terminal
	hostname   string // in the prompt
	configName string // in the prompts of configuration mode, when another stands there
	prompt     *regexp.Regexp
	echoing    bool        // it echoes what is typed
	paged      bool        // its pager is on
	busy       atomic.Bool // a command is in flight
}

// Bounds of one answer. A bulk answer is the dump of a buffer: at four characters a byte, more than
// the largest buffer that the playbook reads that way; who knows better says so in the command.
const (
	maxOutput   = 3 << 20
	maxGreeting = 1 << 20
	maxBulk     = 128 << 20
	tailSize    = 2048 // how much of the end of an answer is searched for dialogs
	maxRecord   = 1 << 20
	mostAsked   = 16 // dialogs of one command
)

const (
	interruptKey = "\x03"
	leaveKey     = "\x1a" // Ctrl-Z, out of configuration mode
)

// login opens a session, finds out the router's name, and sets the terminal up.
func (r *Router) login(ctx context.Context) (*session, error) {
	conn, err := r.connect(ctx, nil)
	if err != nil {
		return nil, err
	}
	r.come(r.accepted)
	stop := context.AfterFunc(ctx, func() { _ = conn.close() })
	defer stop()
	term, err := r.shell(ctx, conn)
	if err != nil {
		_ = conn.close() // err says what is wrong
		return nil, err
	}
	s := &session{router: r, conn: closer(conn.close), term: term, prompt: iosxe.AnyPrompt.Get()}
	r.rec.note("connected to " + r.peer.Address())
	if err := s.setUp(ctx); err != nil {
		s.abandon()
		if errors.Is(err, errOutOfStep) && !r.oneByOne {
			r.oneByOne = true
			return r.login(ctx)
		}
		return nil, refusedAfterLogin(conn.known, err)
	}
	r.mu.Lock()
	r.hostKey = conn.hostKey
	r.mu.Unlock()
	return s, nil
}

// come lets those go on who wait for what has come for the first time.
func (r *Router) come(first chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-first:
	default:
		close(first)
	}
}

// closer is a function that closes.
type closer func() error

func (c closer) Close() error { return c() }

// shell opens the terminal, within what is left of the time for the login.
func (r *Router) shell(ctx context.Context, conn *connection) (*terminal, error) {
	ctx, cancel := context.WithDeadlineCause(ctx, conn.until, r.noLogin())
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = conn.close() })
	defer stop()
	term, err := openTerminal(conn.Client)
	switch {
	case err == nil:
		return term, nil
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	}
	return nil, fmt.Errorf("shell: %w", err)
}

// refusedAfterLogin tells an account that may not have a command line from a session that broke:
// AAA says so in plain text and hangs up. An account that had one before in this run may be limited
// to one at a time.
func refusedAfterLogin(known bool, err error) error {
	said, ok := errors.AsType[*saidError](err)
	switch {
	case !ok || !said.noGo:
		return err
	case known:
		return fmt.Errorf("%w: %w", errSecond, err)
	}
	return fmt.Errorf("%w: %w", errNoShell, err)
}

func (s *session) setUp(ctx context.Context) error {
	t := s.router.o.Timeouts
	if _, err := s.until(ctx, want{timeout: t.Dial, limit: maxGreeting}); err != nil {
		return fmt.Errorf("waiting for the prompt: %w", err)
	}
	s.router.come(s.router.prompted)
	if err := s.widen(ctx); err != nil {
		return err
	}
	s.prompt = iosxe.Prompt(s.hostname)
	if err := s.meant(ctx); err != nil {
		return err
	}
	return s.enable(ctx)
}

// widen sets the terminal up, and learns the router's name: a line of a banner may look like a
// prompt, but the prompt behind the answer to a command is the router's. Both lines are typed at
// once; errOutOfStep says that this router wants them one by one.
func (s *session) widen(ctx context.Context) error {
	together := !s.router.oneByOne
	cmds := []iosxe.Command{iosxe.TerminalLength(), iosxe.TerminalWidth()}
	lines := []string{cmds[0].Lines[0], cmds[1].Lines[0]}
	rest := ""
	for i, cmd := range cmds {
		s.router.sends(ctx, cmd)
		w := want{line: lines[i], timeout: s.router.o.Timeouts.Command, patient: true}
		typed := lines[i]
		if together {
			w.ahead, typed = lines[i+1:], strings.Join(lines, "\n")
		}
		if i == 0 || !together {
			if err := s.typeIn(typed, w.timeout); err != nil {
				return fmt.Errorf("%s: %w", lines[i], err)
			}
		}
		rd := s.reading(w)
		a, err := s.goOn(ctx, rd, rest)
		s.router.rec.received(a.raw)
		switch {
		case err == nil && together && (rd.mixed || !rd.heard):
			return errOutOfStep
		case err != nil:
			return fmt.Errorf("%s: %w", lines[i], err)
		}
		m := iosxe.AnyPrompt.Get().FindStringSubmatch(a.prompt)
		if m == nil {
			return errors.New("no prompt can be made out")
		}
		s.hostname, rest = m[1], rd.rest()
		refused := iosxe.Refused(cmd, a.body) != nil
		s.paged = s.paged || refused && i == 0
	}
	return nil
}

// meant checks that this is the router that the inventory speaks of. A name that it took while a
// session was watching is as good as the one that is expected. The command `prompt` may put another
// name into the prompt than the router has.
func (s *session) meant(ctx context.Context) error {
	expected, seen := s.router.peer.ExpectHostname, s.router.Hostname()
	if expected == "" || strings.EqualFold(expected, s.hostname) || seen != "" && strings.EqualFold(seen, s.hostname) {
		return nil
	}
	out, err := s.run(ctx, iosxe.ShowVersion())
	if err != nil && !inStep(err) {
		return fmt.Errorf("show version: %w", err)
	}
	if v, err := iosxe.ParseVersion(out); err == nil && strings.EqualFold(expected, v.Hostname) {
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

// enable raises the session to level 15 when it starts below and the inventory has the secret. The
// prompt ends in # from level 2 on.
func (s *session) enable(ctx context.Context) error {
	r := s.router
	if r.peer.Enable.IsZero() {
		return nil
	}
	if level, err := s.privilege(ctx); err != nil || level == 15 {
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
	// Refused, IOS asks twice more; the secret is not sent again. Nor is it asked for where AAA lets
	// the account do so.
	r.o.Log.DebugContext(ctx, "sends", "line", "enable", "command", "enable")
	a, err := s.ask(ctx, "enable", want{timeout: r.o.Timeouts.Command, secret: secret.Reveal()})
	r.rec.received(a.raw)
	asked, ok := errors.AsType[*unexpected](err)
	if again := ok && a.told && iosxe.PasswordPrompt.Get().MatchString("\n"+asked.question); err != nil &&
		(!again || asked.stuck) {
		return fmt.Errorf("enable: %w", err)
	}
	level, err := s.privilege(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("enable: %w", err)
	case level < 15 && a.told:
		r.o.Lockout.add(id)
		return fmt.Errorf("enable: %w", errRefused)
	case level < 15:
		return fmt.Errorf("enable: level %d is all there is: %s", level, r.rec.mask(iosxe.LastWords(a.body)))
	}
	r.o.Lockout.accept(id)
	return nil
}

// privilege asks for the level of the session; -1: the router does not say.
func (s *session) privilege(ctx context.Context) (int, error) {
	out, err := s.run(ctx, iosxe.ShowPrivilege())
	if err != nil && !inStep(err) {
		return 0, fmt.Errorf("show privilege: %w", err)
	}
	if level, err := iosxe.ParsePrivilege(out); err == nil {
		return level, nil
	}
	return -1, nil
}

// run types a command, in the mode that it needs.
func (s *session) run(ctx context.Context, cmd iosxe.Command) (string, error) {
	// A command in flight cannot be taken back: when ctx ends, the connection is given up, which ends
	// every wait.
	stop := context.AfterFunc(ctx, func() { _ = s.conn.Close() })
	defer stop()
	s.busy.Store(true)
	defer s.busy.Store(false)
	s.router.sends(ctx, cmd)
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
var deniedByServer = lazyregexp.New(`(?i)authenti|denied|permission|password (?:is )?(?:incorrect|wrong)`)

// upload types a command that has the router log in to a server. The server's password goes out
// once: when it is asked for again, it was refused.
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
	if asked, ok := errors.AsType[*unexpected](err); ok && !asked.stuck &&
		iosxe.PasswordPrompt.Get().MatchString("\n"+asked.question) {
		s.router.o.Lockout.add(id)
		s.record(cmd, a)
		return no("the server did not accept the password of " + u.User)
	}
	out, err := s.result(ctx, cmd, a, err)
	switch {
	case a.told && err == nil:
		s.router.o.Lockout.accept(id)
	case a.told && deniedByServer.Get().MatchString(a.body):
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
		w.timeout, w.idle = max(t.Idle, cmd.Quiet), true
	}
	if cmd.Bulk {
		w.limit, w.twice = maxBulk, true
	}
	if cmd.MaxOutput > 0 {
		w.limit = cmd.MaxOutput
	}
	return w
}

// configure types the lines of cmd in configuration mode, one by one. Whatever happens to them, the
// session leaves that mode.
func (s *session) configure(ctx context.Context, cmd iosxe.Command, w want) (string, error) {
	entering := w
	entering.enters = true
	a, out, err := s.configLine(ctx, cmd, enterConfig, entering)
	if err == nil {
		err = s.entered(a)
	}
	if err != nil {
		return out, err
	}
	var all string
	for _, l := range cmd.Lines {
		a, out, err = s.configLine(ctx, cmd, l, w)
		all += out
		if err != nil {
			if !inStep(err) || a.prompt != "" && !iosxe.ConfigPrompt.Get().MatchString(a.prompt) {
				return all, err // the session is lost, or an interrupt led out already
			}
			break
		}
	}
	a, e := s.ask(ctx, leaveConfig, w)
	s.record(iosxe.Command{}, a)
	if e == nil || inStep(e) {
		e = s.getOut(ctx, a, w)
	}
	if e != nil {
		return all, e
	}
	return all, err
}

// oneLine is a part of a command, as a command.
func oneLine(cmd iosxe.Command, l string) iosxe.Command {
	return iosxe.Command{Name: cmd.Name, Mode: cmd.Mode, Lines: []string{l}}
}

func (s *session) configLine(ctx context.Context, cmd iosxe.Command, l string, w want) (answer, string, error) {
	a, err := s.ask(ctx, l, w)
	out, err := s.result(ctx, oneLine(cmd, l), a, err)
	return a, out, err
}

const (
	enterConfig = "configure terminal"
	leaveConfig = "end"
)

// entered makes sure that the session is in configuration mode. Only the prompt says so: a lock
// that somebody else holds is told in words without a percent sign.
func (s *session) entered(a answer) error {
	m := iosxe.ConfigPrompt.Get().FindStringSubmatch(a.prompt)
	if m == nil {
		return &iosxe.Refusal{Command: enterConfig, Text: s.router.rec.mask(iosxe.LastWords(a.body))}
	}
	if !s.prompt.MatchString(a.prompt) {
		s.configName = m[1]
		s.prompt = iosxe.Prompt(s.hostname, s.configName)
	}
	return nil
}

// getOut goes back to where the session was, after the answer to leaveConfig. An account that may
// not use `end` may use `exit`, and nobody has to authorize the key.
func (s *session) getOut(ctx context.Context, last answer, w want) error {
	for _, l := range []string{"exit", "exit"} {
		if !iosxe.ConfigPrompt.Get().MatchString(last.prompt) {
			return nil
		}
		a, err := s.ask(ctx, l, w)
		s.record(iosxe.Command{}, a)
		if err != nil && !inStep(err) {
			return err
		}
		last = a
	}
	if !iosxe.ConfigPrompt.Get().MatchString(last.prompt) {
		return nil
	}
	s.router.rec.typed("(Ctrl-Z)")
	if err := s.send([]byte(leaveKey+"\n"), w.timeout); err != nil {
		return err
	}
	a, err := s.until(ctx, w)
	s.record(iosxe.Command{}, a)
	if err == nil && iosxe.ConfigPrompt.Get().MatchString(a.prompt) {
		err = fmt.Errorf("%w: %s", errInConfig, s.router.rec.mask(iosxe.LastWords(last.body)))
	}
	return err
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
	if err == nil || inStep(err) {
		s.router.answeredIn(s)
	}
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
		return s.presentable(cmd, a.body), r
	}
	if cmd.Bulk && cmd.Excerpt == nil {
		return overtyped(a.body), nil // the reader of a dump is strict enough, and the copy is large
	}
	return s.presentable(cmd, a.body), nil
}

// answeredIn keeps that a command was answered, but for those of a login.
func (r *Router) answeredIn(s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.session == s {
		r.answered = time.Now()
	}
}

// presentable is an output as the rest of the program sees it, and keeps it: without control
// characters, and without the secrets of this session, should the router say one of them.
func (s *session) presentable(cmd iosxe.Command, out string) string {
	if cmd.Log {
		out = strings.TrimRight(iosxe.Overtyped(out), "\n")
	} else {
		out = iosxe.Clean(out)
	}
	return s.router.rec.maskKnown(iosxe.Printable(out))
}

// stream types a command whose output is large, and hands it to the sink in whole lines, as they
// come. Of one with an excerpt, what came before an error is of worth as well.
func (s *session) stream(ctx context.Context, cmd iosxe.Command, sink func(text string) error) error {
	stop := context.AfterFunc(ctx, func() { _ = s.conn.Close() })
	defer stop()
	s.busy.Store(true)
	defer s.busy.Store(false)
	w := s.wants(cmd)
	w.line = cmd.Lines[0]
	s.router.sends(ctx, cmd)
	w.sink = func(text string) error { return sink(overtyped(text)) }
	if cmd.Excerpt != nil {
		w.sink = s.excerpts(cmd, sink)
	}
	if err := s.typeIn(w.line, w.timeout); err != nil {
		return err
	}
	rd := s.reading(w)
	a, err := s.finish(ctx, rd)
	if rd.passed == 0 {
		out, err := s.result(ctx, cmd, a, err)
		if cut := strings.LastIndexByte(out, '\n'); cmd.Excerpt != nil && err != nil && !inStep(err) && cut > 0 {
			return errors.Join(err, sink(s.presentable(cmd, out[:cut])+"\n"))
		}
		if err != nil {
			return err
		}
		return sink(out)
	}
	if cmd.Excerpt == nil {
		s.router.rec.received(rd.head)
	}
	s.router.rec.note(fmt.Sprintf("(%d bytes of output)", rd.size()))
	if cmd.Excerpt == nil {
		s.router.rec.received(a.raw[max(0, len(a.raw)-tailSize):])
	}
	if err != nil {
		if cut := strings.LastIndexByte(a.body, '\n') + 1; cmd.Excerpt != nil && cut > 0 {
			_ = w.sink(a.body[:cut]) // err is why it is not whole
		}
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return err
	}
	if no := iosxe.Refused(cmd, rd.head); no != nil {
		no.Text = s.router.rec.mask(no.Text)
		return no
	}
	return w.sink(a.body)
}

// excerpts is the sink of a command with an excerpt: as much of that as a transcript takes of one
// answer is recorded, and all goes on, fit to be kept.
func (s *session) excerpts(cmd iosxe.Command, sink func(text string) error) func(string) error {
	left := maxRecord
	return func(text string) error {
		said := cmd.Excerpt(text)
		switch {
		case said == "", left < 0:
		case len(said) <= left:
			s.router.rec.received(said)
		default:
			s.router.rec.received(said[:strings.LastIndexByte(said[:left], '\n')+1])
			s.router.rec.note("(the rest is not recorded: it is too much)")
		}
		left -= len(said)
		return sink(s.presentable(cmd, text) + "\n")
	}
}

// record notes an answer; of the dump of a buffer only how it begins and ends, for its bytes are
// kept as a capture, and likewise of what nobody would read; of one that has an excerpt, that.
func (s *session) record(cmd iosxe.Command, a answer) {
	raw := a.raw
	if cmd.Excerpt != nil && iosxe.Refused(cmd, a.body) == nil {
		s.router.rec.note(fmt.Sprintf("(%d bytes of output; of it is recorded what follows)", len(raw)))
		raw = cmd.Excerpt(raw)
	}
	if cmd.Bulk && cmd.Excerpt == nil && len(raw) > 4*tailSize || len(raw) > maxRecord {
		s.router.rec.received(raw[:tailSize])
		s.router.rec.note(fmt.Sprintf("(%d bytes of output)", len(raw)-2*tailSize))
		raw = raw[len(raw)-tailSize:]
	}
	s.router.rec.received(raw)
}

// promptLine finds where the last line that is a prompt begins, with only syslog behind it; -1 when
// there is none.
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

// exit says goodbye, so that the router frees its terminal line at once. To a command in flight it
// would be an answer.
func (s *session) exit() {
	if !s.busy.Load() {
		_ = s.send([]byte("exit\n"), goodbye)
	}
}

// close ends the terminal and what carries it. Neither takes longer than goodbye.
func (s *session) close() error {
	cut := time.AfterFunc(goodbye, func() { _ = s.conn.Close() })
	defer cut.Stop()
	return errors.Join(ignoreClosed(s.term.close()), s.conn.Close())
}

// abandon closes a session that may be broken, the connection first: nothing can be written to it
// any more.
func (s *session) abandon() {
	_ = s.conn.Close()
	_ = s.term.close()
}
