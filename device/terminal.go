package device

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/scrapli/scrapligo/channel"
	"github.com/scrapli/scrapligo/driver/options"
	"github.com/scrapli/scrapligo/logging"
	"github.com/scrapli/scrapligo/transport"
	"golang.org/x/crypto/ssh"
)

// terminal is a shell on the router, read and written through scrapligo's channel. scrapligo polls: it sleeps between two
// reads, and its own prompt search runs over all of the output again and again. So its delays are set to the least, and
// the end of an answer is found here.
type terminal struct {
	shell *shell
	ch    *channel.Channel
}

// The window is wide, so that the router breaks no line of its own accord, and long, as a second guard against its pager.
const (
	termWidth  = 511
	termHeight = 511
	readSize   = 64 << 10
	// Below a millisecond the operating system's timers decide.
	readDelay = time.Microsecond
)

func openTerminal(c *ssh.Client) (*terminal, error) {
	s, err := newShell(c)
	if err != nil {
		return nil, err
	}
	quiet, err := logging.NewInstance()
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	t, err := transport.NewTransport(quiet, "", "custom", options.WithCustomTransport(s), options.WithTransportReadSize(readSize))
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

// read returns what has come since the last call, waiting for something until ctx ends. io.EOF means that the session is
// over; the last bytes come with it.
func (t *terminal) read(ctx context.Context) ([]byte, error) {
	const longest = 2 * time.Millisecond
	for pause := 20 * time.Microsecond; ; pause = min(pause*2, longest) {
		b, err := t.ch.ReadAll()
		if err != nil {
			return t.ch.Q.DequeueAll(), io.EOF
		}
		if len(b) > 0 {
			return b, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		time.Sleep(pause)
	}
}

func (t *terminal) close() error {
	// The shell first: scrapligo's reader sits in Read, and would be waited for.
	err := t.shell.Close()
	return errors.Join(err, t.ch.Close())
}

// shell is scrapligo's transport on an SSH session of ours.
type shell struct {
	session *ssh.Session
	in      io.WriteCloser
	out     io.Reader
	once    sync.Once
	err     error
}

func newShell(c *ssh.Client) (*shell, error) {
	session, err := c.NewSession()
	if err != nil {
		return nil, err
	}
	s := &shell{session: session}
	if s.in, err = session.StdinPipe(); err == nil {
		s.out, err = session.StdoutPipe()
	}
	if err == nil {
		err = session.RequestPty("vt100", termHeight, termWidth, ssh.TerminalModes{})
	}
	if err == nil {
		err = session.Shell()
	}
	if err != nil {
		return nil, errors.Join(err, session.Close())
	}
	return s, nil
}

// Open does nothing: the shell is open.
func (s *shell) Open(*transport.Args) error { return nil }

// Close ends the shell; twice does no harm.
func (s *shell) Close() error {
	s.once.Do(func() {
		if s.err = s.session.Close(); errors.Is(s.err, io.EOF) {
			s.err = nil // the router was first
		}
	})
	return s.err
}

// IsAlive says whether the shell may be written to; what is dead shows in Read.
func (s *shell) IsAlive() bool { return true }

// Read returns at most n bytes. Any failure is the end, for scrapligo would go on polling after another error.
func (s *shell) Read(n int) ([]byte, error) {
	b := make([]byte, n)
	k, err := s.out.Read(b)
	if k > 0 {
		return b[:k], nil
	}
	if err != nil {
		return nil, io.EOF
	}
	return nil, nil
}

// Write writes all of b.
func (s *shell) Write(b []byte) error {
	_, err := s.in.Write(b)
	return err
}
