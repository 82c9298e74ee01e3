package device

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/moncap/moncap/device/iosxe"
)

// mostAhead is how many commands are typed before the first of them is answered. The lines of one
// in configuration mode count once: they are what people paste.
const mostAhead = 8

// ExecAll runs commands in order. each is called once for every command, in order, with what Exec
// would return for it; what goes wrong with one command is that one's error, and the next is run
// all the same, until ctx ends.
//
// Commands are typed ahead, which saves a turn of the line each; so the next ones may have been
// typed when each tells of a refusal. An answer is told from the next by the prompt with the next
// line behind it. When anything is not as it should be, the Router types one command at a time from
// then on. What only reads is asked again, in another session; with something among it that changes
// the router, nothing of what is not sure is typed again, and its errors say SessionLost.
func (r *Router) ExecAll(ctx context.Context, cmds []iosxe.Command, each func(i int, out string, err error)) {
	for i := 0; i < len(cmds); {
		var sure []outcome
		if s, n := r.ahead(ctx, cmds[i:]); n > 1 {
			sure = r.execAhead(ctx, s, cmds[i:i+n])
		} else {
			out, err := r.Exec(ctx, cmds[i])
			sure = []outcome{{out, err}}
		}
		for _, o := range sure {
			each(i, o.out, o.err)
			i++
		}
	}
}

// outcome is what became of one command.
type outcome struct {
	out string
	err error
}

// ahead says how many of the commands may be typed without waiting for each other, and in which
// session; 0: none, for Exec says what is wrong.
func (r *Router) ahead(ctx context.Context, cmds []iosxe.Command) (s *session, n int) {
	if r.oneByOne || !mayGoAhead(cmds[0]) {
		return nil, 0
	}
	s, err := r.open(ctx)
	if err != nil || s.paged || !s.echoing {
		return nil, 0 // a pager would take what is typed for its keys
	}
	for n < len(cmds) && mayGoAhead(cmds[n]) && fits(cmds[:n+1]) {
		n++
	}
	if n > 0 && cmds[n-1].Bulk { // with nothing behind it, its end is not sure enough
		n--
	}
	return s, n
}

func mayGoAhead(cmd iosxe.Command) bool { return iosxe.Allowed(cmd) && !cmd.Password }

// fits says whether commands may be pasted: no line twice in one paste, for an echo must tell which
// line it is.
func fits(cmds []iosxe.Command) bool {
	for _, p := range pastes(cmds) {
		typed, commands := map[string]bool{}, map[int]bool{}
		for _, e := range p {
			if typed[e.line] {
				return false
			}
			typed[e.line], commands[e.cmd] = true, true
		}
		if len(commands) > mostAhead {
			return false
		}
	}
	return true
}

// execAhead types all commands, and returns what is sure of the first of them. When that is not
// all, the session is given up.
func (r *Router) execAhead(ctx context.Context, s *session, cmds []iosxe.Command) []outcome {
	began := time.Now()
	for _, cmd := range cmds {
		r.sends(ctx, cmd)
	}
	sure, err := s.runAhead(ctx, cmds)
	r.o.Log.DebugContext(ctx, "answers", "typed", len(cmds), "answered", len(sure), "took",
		time.Since(began).Round(time.Microsecond))
	for i, o := range sure {
		if o.err != nil {
			sure[i].err = r.fail(cmds[i].Name, o.err)
		}
	}
	if err == nil {
		return sure
	}
	r.o.Log.DebugContext(ctx, "commands are typed one at a time from now on", "because", err)
	r.oneByOne = true
	r.drop(s)
	if unsure := cmds[len(sure):]; slices.ContainsFunc(unsure, changes) {
		for _, cmd := range unsure {
			sure = append(sure, outcome{err: &Error{Peer: r.peer.Name, Op: cmd.Name, Err: err, lost: true}})
		}
	}
	return sure
}

func changes(cmd iosxe.Command) bool { return !iosxe.OnlyReads(cmd) }

// leastRoom is what an answer may have however long those before it were.
const leastRoom = 64 << 10

// entry is one line of a paste.
type entry struct {
	cmd  int // the command that it belongs to
	line string
	part part
}

// part is what a line is to its command.
type part uint8

const (
	whole  part = iota
	enters      // configuration mode; what follows is typed when it is known that it did
	inside
	leaves
)

// pastes are the lines of commands, cut into what is typed at once.
func pastes(cmds []iosxe.Command) (all [][]entry) {
	var now []entry
	for i, cmd := range cmds {
		if cmd.Mode == iosxe.Exec {
			now = append(now, entry{i, cmd.Lines[0], whole})
			continue
		}
		all = append(all, append(now, entry{i, enterConfig, enters}))
		now = nil
		for _, l := range cmd.Lines {
			now = append(now, entry{i, l, inside})
		}
		now = append(now, entry{i, leaveConfig, leaves})
	}
	return append(all, now)
}

// runAhead types all commands, then reads the answers one by one. An error says that the session is
// of no use any more.
func (s *session) runAhead(ctx context.Context, cmds []iosxe.Command) (sure []outcome, err error) {
	stop := context.AfterFunc(ctx, func() { _ = s.conn.Close() })
	defer stop()
	s.busy.Store(true)
	defer s.busy.Store(false)
	for _, p := range pastes(cmds) {
		// The lines of a command that could not enter configuration mode are not for EXEC mode.
		p = slices.DeleteFunc(p, func(e entry) bool { return e.cmd < len(sure) })
		if len(p) == 0 {
			continue
		}
		if sure, err = s.paste(ctx, cmds, p, sure); err != nil {
			return sure, err
		}
	}
	return sure, nil
}

// paste types the lines at once and reads what is answered to each. sure are the outcomes of the
// commands before.
func (s *session) paste(ctx context.Context, cmds []iosxe.Command, p []entry, sure []outcome) ([]outcome, error) {
	if err := s.typeIn(strings.Join(linesOf(p), "\n"), s.router.o.Timeouts.Command); err != nil {
		return sure, err
	}
	rest, room := "", maxOutput // what is typed together is kept together
	var config outcome          // of the lines in configuration mode so far
	for i, e := range p {
		cmd := cmds[e.cmd]
		w := s.wants(cmd)
		w.line, w.ahead, w.enters, w.limit = e.line, linesOf(p[i+1:]), e.part == enters, min(w.limit, max(room, leastRoom))
		rd := s.reading(w)
		a, err := s.goOn(ctx, rd, rest)
		switch {
		case rd.mixed:
			return nil, errOutOfStep // some answer may be another's
		case rd.paged, !rd.heard && len(w.ahead) > 0:
			return sure, errOutOfStep // the pager took what was typed ahead for its keys; or nothing is echoed
		}
		rest = rd.rest()
		out, err := s.lineResult(ctx, cmd, e, a, err)
		room -= len(out)
		if errors.Is(err, errDeaf) && !changes(cmd) {
			return append(sure, outcome{out, err}), err
		}
		ownFault := errors.Is(err, errTimeout) || errors.Is(err, errTooMuch)
		if err != nil && !inStep(err) && (!ownFault || changes(cmd)) {
			return sure, err
		}
		switch e.part {
		case whole:
			sure = append(sure, outcome{out, err})
		case enters:
			if err != nil {
				sure = append(sure, outcome{out, err})
			}
		case inside:
			if config.out += out; config.err == nil {
				config.err = err
			}
		case leaves:
			sure = append(sure, config)
		}
		if _, asked := errors.AsType[*unexpected](err); asked {
			return sure, err // what was typed ahead was the answer to it
		}
		if e.part == leaves && iosxe.ConfigPrompt.Get().MatchString(a.prompt) {
			if len(w.ahead) > 0 {
				return sure, errInConfig
			}
			if err := s.getOut(ctx, a, w); err != nil {
				return sure, err
			}
		}
		if ownFault {
			if rest, err = s.skip(ctx, rd); err != nil {
				return sure, err
			}
		}
	}
	return sure, nil
}

func linesOf(p []entry) []string {
	var all []string
	for _, e := range p {
		all = append(all, e.line)
	}
	return all
}

// lineResult is what became of one line.
func (s *session) lineResult(ctx context.Context, cmd iosxe.Command, e entry, a answer, err error) (string, error) {
	switch e.part {
	case enters:
		out, err := s.result(ctx, oneLine(cmd, e.line), a, err)
		if err != nil {
			return out, err
		}
		return out, s.entered(a)
	case inside:
		return s.result(ctx, oneLine(cmd, e.line), a, err)
	case leaves:
		s.record(iosxe.Command{}, a)
		return "", err
	}
	return s.result(ctx, cmd, a, err)
}

// goOn reads an answer of which the beginning has come already.
func (s *session) goOn(ctx context.Context, rd *reading, begun string) (answer, error) {
	if err := s.heard(rd, []byte(begun)); err != nil {
		return rd.answer(s.prompt), err
	}
	return s.finish(ctx, rd)
}

// skip interrupts a command that takes too long or says too much, and finds where the next one
// begins, should the router have kept what was typed ahead.
func (s *session) skip(ctx context.Context, rd *reading) (rest string, err error) {
	if len(rd.want.ahead) == 0 {
		_, err := s.interrupt(ctx)
		return "", err
	}
	s.router.rec.typed("(Ctrl-C)")
	if err := s.send([]byte(interruptKey), afterBreak); err != nil {
		return "", err
	}
	next := s.interrupted(want{ahead: rd.want.ahead})
	if err = s.heard(next, []byte(rd.text(rd.seen))); err == nil {
		err = s.read(ctx, next)
	}
	if err == nil && next.mixed {
		err = errOutOfStep
	}
	return next.rest(), err
}
