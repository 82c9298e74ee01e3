package device

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/scrapli/scrapligo/channel"
	"github.com/scrapli/scrapligo/driver/options"
	"github.com/scrapli/scrapligo/logging"
	"github.com/scrapli/scrapligo/transport"
	"golang.org/x/crypto/ssh"
)

// terminal is a shell on the router, read and written through scrapligo's channel. scrapligo polls:
// it sleeps between two reads, and its own prompt search runs over all of the output again and
// again. So its delay is set to nothing, its queue is read when the transport knows that there is
// something in it, and the end of an answer is found here.
type terminal struct {
	shell *shell
	ch    *channel.Channel
}

// The window is wide, so that the router breaks no line of its own accord, and long, as a second
// guard against its pager.
const (
	termWidth  = 511
	termHeight = 511
	readSize   = 64 << 10
	// scrapligo sleeps this long after every read. Its reads of our transport block, so no pause is
	// needed, and even the shortest costs a millisecond.
	readDelay = 0
)

func openTerminal(c *ssh.Client) (*terminal, error) {
	s, err := newShell(c)
	if err != nil {
		return nil, err
	}
	return newTerminal(s)
}

func newTerminal(s *shell) (*terminal, error) {
	quiet, err := logging.NewInstance()
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	t, err := transport.NewTransport(quiet, "", "custom", options.WithCustomTransport(s),
		options.WithTransportReadSize(readSize))
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	ch, err := channel.NewChannel(quiet, t, options.WithReadDelay(readDelay), options.WithAuthBypass())
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := ch.Open(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return &terminal{s, ch}, nil
}

func (t *terminal) write(b []byte) error { return t.ch.Write(b, true) }

// read returns what has come since the last call, waiting for something until ctx ends. io.EOF
// means that the session is over and everything was read.
func (t *terminal) read(ctx context.Context) ([]byte, error) {
	for {
		over := t.shell.over()
		if b := t.pending(); len(b) > 0 {
			return b, nil
		}
		if over {
			return nil, io.EOF
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-t.shell.queued:
		case <-t.shell.ended:
		}
	}
}

// pending takes what has come and was not read yet. It goes past scrapligo's own Read, which
// forgets what is in the queue when the connection ends.
func (t *terminal) pending() []byte {
	b := t.ch.Q.DequeueAll()
	t.shell.consumed()
	return b
}

func (t *terminal) close() error {
	// The shell first: scrapligo's reader sits in Read, and would be waited for.
	err := t.shell.Close()
	return errors.Join(err, t.ch.Close())
}

// shell is scrapligo's transport on an SSH session of ours. scrapligo's reader calls Read again
// when it has queued what Read returned before, which makes each call the signal that there is
// something to take out of the queue.
type shell struct {
	session io.Closer
	in      io.WriteCloser
	out     io.Reader

	queued chan struct{} // has a token when bytes were queued
	ended  chan struct{} // closed when no more bytes come
	closed chan struct{} // closed by Close
	free   chan struct{} // has a token when the queue was emptied
	ahead  atomic.Int64  // bytes that were read for the queue, but for one read

	plain escapes // takes them out of what is read

	once sync.Once
	err  error
}

// maxAhead bounds what is read from a router that talks without being asked. More of it waits in
// the connection, whose window makes the router wait.
const maxAhead = 1 << 20

func newShell(c *ssh.Client) (*shell, error) {
	session, err := c.NewSession()
	if err != nil {
		return nil, err
	}
	s := &shell{session: session, queued: make(chan struct{}, 1), ended: make(chan struct{}), closed: make(chan struct{}),
		free: make(chan struct{}, 1)}
	if s.in, err = session.StdinPipe(); err == nil {
		s.out, err = session.StdoutPipe()
	}
	if err == nil {
		_, err = session.SendRequest("pty-req", false, ptyRequest())
	}
	if err == nil {
		err = session.Shell()
	}
	if err != nil {
		return nil, errors.Join(err, session.Close())
	}
	return s, nil
}

// ptyRequest is the terminal that is asked for (RFC 4254, section 6.2). Nobody waits for the
// answer: the shell that is asked for behind it says whether there is one.
func ptyRequest() []byte {
	return ssh.Marshal(struct {
		Term                         string
		Columns, Rows, Width, Height uint32
		Modes                        string
	}{"vt100", termWidth, termHeight, 8 * termWidth, 8 * termHeight, "\x00"})
}

// over says whether the last byte has been queued.
func (s *shell) over() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// consumed says that the queue is empty.
func (s *shell) consumed() {
	s.ahead.Store(0)
	signal(s.free)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it is known already
	}
}

// Open does nothing: the shell is open.
func (s *shell) Open(*transport.Args) error { return nil }

// Close ends the shell; twice does no harm.
func (s *shell) Close() error {
	s.once.Do(func() {
		close(s.closed)
		if s.err = s.session.Close(); errors.Is(s.err, io.EOF) {
			s.err = nil // the router was first
		}
	})
	return s.err
}

// IsAlive says whether the shell may be written to; what is dead shows in Read.
func (s *shell) IsAlive() bool { return true }

// Read returns at most n bytes. Any failure is the end, for scrapligo would go on polling after
// another error.
func (s *shell) Read(n int) ([]byte, error) {
	signal(s.queued)
	for s.ahead.Load() > maxAhead {
		select {
		case <-s.free:
		case <-s.closed:
			return s.end()
		}
	}
	b := make([]byte, n)
	k, err := s.out.Read(b)
	if k > 0 {
		s.ahead.Add(int64(k))
		return s.plain.strip(b[:k]), nil
	}
	if err != nil {
		return s.end()
	}
	return nil, nil
}

func (s *shell) end() ([]byte, error) {
	if !s.over() {
		close(s.ended)
	}
	return nil, io.EOF
}

// Write writes all of b.
func (s *shell) Write(b []byte) error {
	_, err := s.in.Write(b)
	return err
}

// escapes takes what steers a terminal out of a stream: escape sequences, and control characters
// that move nothing. A sequence may be cut anywhere; scrapligo would see only those that come in
// one piece.
type escapes struct{ in, length int }

// Where a stream is.
const (
	inText = iota
	afterEscape
	inControl // ESC [, up to a letter
	inString  // ESC ], up to BEL or the next ESC
)

// longestEscape bounds a sequence, so that a router cannot hide all that follows.
const longestEscape = 256

// strip takes the sequences out of b, in place.
func (e *escapes) strip(b []byte) []byte {
	kept := b[:0]
	for _, c := range b {
		if e.text(c) {
			kept = append(kept, c)
		}
	}
	return kept
}

// text says whether c belongs to the text.
func (e *escapes) text(c byte) bool {
	if e.length++; e.length > longestEscape {
		e.in = inText
	}
	switch {
	case c == 0x1b:
		e.in, e.length = afterEscape, 0
	case e.in == inText:
		return c >= ' ' && c != 0x7f || strings.IndexByte("\n\r\t\b\a", c) >= 0
	case e.in == afterEscape && c == '[':
		e.in = inControl
	case e.in == afterEscape && c == ']':
		e.in = inString
	case e.in == inString && c != '\a' || e.in == inControl && (c < '@' || c > '~'):
	default:
		e.in = inText
	}
	return false
}
