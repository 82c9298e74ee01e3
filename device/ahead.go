package device

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/moncap/moncap/device/iosxe"
)

// mostAhead is how many commands are typed before the first of them is answered.
const mostAhead = 8

// ExecAll runs commands in order. each is called once for every command, in order, with what Exec would return for it; what
// goes wrong with one command is that one's error, and the next is run all the same, until ctx ends.
//
// Commands that only read and ask nothing are typed ahead, which saves a turn of the line each. An answer is told from the
// next by the prompt with the next line behind it. When anything is not as it should be, what is not sure is asked again in
// another session, and the Router types one command at a time from then on.
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

// ahead says how many of the commands may be typed at once, and in which session.
func (r *Router) ahead(ctx context.Context, cmds []iosxe.Command) (*session, int) {
	if r.oneByOne || !mayGoAhead(cmds[0]) {
		return nil, 1
	}
	s, err := r.open(ctx)
	if err != nil || s.paged || !s.echoing {
		return nil, 1 // Exec says what is wrong; a pager would take what is typed for its keys
	}
	typed := map[string]bool{}
	for n, cmd := range cmds {
		if n == mostAhead || !mayGoAhead(cmd) || typed[cmd.Lines[0]] {
			return s, n
		}
		typed[cmd.Lines[0]] = true
	}
	return s, len(cmds)
}

func mayGoAhead(cmd iosxe.Command) bool {
	return iosxe.OnlyReads(cmd) && cmd.Mode == iosxe.Exec && len(cmd.Answers) == 0 && !cmd.Bulk && !cmd.Password
}

// execAhead types all commands, and returns what is sure of the first of them. When that is not all, the session is given
// up.
func (r *Router) execAhead(ctx context.Context, s *session, cmds []iosxe.Command) []outcome {
	began := time.Now()
	sure, err := s.runAhead(ctx, cmds)
	r.o.Log.DebugContext(ctx, "commands", "typed", len(cmds), "answered", len(sure), "took", time.Since(began).Round(time.Microsecond))
	for i, o := range sure {
		if o.err != nil {
			sure[i].err = r.fail(cmds[i].Name, o.err)
		}
	}
	if err != nil {
		r.o.Log.DebugContext(ctx, "commands are typed one at a time from now on", "because", err)
		r.oneByOne = true
		r.drop(s)
	}
	return sure
}

// runAhead types all commands, then reads the answers one by one. An error says that the session is of no use any more.
func (s *session) runAhead(ctx context.Context, cmds []iosxe.Command) (sure []outcome, err error) {
	stop := context.AfterFunc(ctx, func() { _ = s.conn.Close() })
	defer stop()
	s.busy.Store(true)
	defer s.busy.Store(false)
	var lines []string
	for _, cmd := range cmds {
		lines = append(lines, cmd.Lines[0])
	}
	if err := s.typeIn(strings.Join(lines, "\n"), s.router.o.Timeouts.Command); err != nil {
		return nil, err
	}
	rest := ""
	for i, cmd := range cmds {
		w := s.wants(cmd)
		w.line, w.ahead = lines[i], lines[i+1:]
		rd := s.reading(w)
		a, err := s.goOn(ctx, rd, rest)
		switch {
		case rd.mixed:
			return nil, errOutOfStep // some answer may be another's
		case rd.paged:
			return sure, errOutOfStep // the pager took what was typed ahead for its keys
		}
		rest = rd.rest()
		out, err := s.result(ctx, cmd, a, err)
		ownFault := errors.Is(err, errTimeout) || errors.Is(err, errTooMuch)
		if err != nil && !ownFault && !inStep(err) {
			return sure, err
		}
		sure = append(sure, outcome{out, err})
		if _, asked := errors.AsType[*unexpected](err); asked {
			return sure, err // what was typed ahead was the answer to it
		}
		if ownFault {
			if rest, err = s.skip(ctx, rd); err != nil {
				return sure, err
			}
		}
	}
	return sure, nil
}

// goOn reads an answer of which the beginning has come already.
func (s *session) goOn(ctx context.Context, rd *reading, begun string) (answer, error) {
	if err := s.heard(rd, []byte(begun)); err != nil {
		return rd.answer(s.prompt), err
	}
	return s.finish(ctx, rd)
}

// skip interrupts a command that takes too long or says too much, and finds where the next one begins, should the router
// have kept what was typed ahead.
func (s *session) skip(ctx context.Context, rd *reading) (rest string, err error) {
	if len(rd.want.ahead) == 0 {
		_, err := s.interrupt(ctx)
		return "", err
	}
	s.router.rec.typed("(Ctrl-C)")
	if err := s.send([]byte(interruptKey), afterBreak); err != nil {
		return "", err
	}
	next := s.reading(want{ahead: rd.want.ahead, timeout: afterBreak})
	if err = s.heard(next, []byte(rd.out.String()[rd.seen:])); err == nil {
		err = s.read(ctx, next)
	}
	if err == nil && next.mixed {
		err = errOutOfStep
	}
	return next.rest(), err
}
