package device

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"

	"github.com/moncap/moncap/device/iosxe"
	"github.com/moncap/moncap/internal/lazyregexp"
)

// Errors of transfers.
var (
	errSCP      = errors.New("scp")
	errNothing  = errors.New("scp: the connection ended before a file came")
	errStalled  = errors.New("the transfer stands still")
	errShort    = errors.New("the transfer ended before the file did")
	errProtocol = errors.New("the router does not speak the SCP protocol")
)

// maxFetch bounds a transfer: the largest buffer of a capture is 100 MB, and its file little more.
const maxFetch = 4 << 30

// scpRefusal is the router's own word on why it sends nothing.
type scpRefusal struct{ *iosxe.Refusal }

func refusedTransfer(path, text string) *scpRefusal {
	return &scpRefusal{iosxe.RefusedTransfer("scp -f "+path, text)}
}

func (e *scpRefusal) Error() string { return "scp: the router says: " + e.Text }
func (e *scpRefusal) Unwrap() error { return e.Refusal }

// source is the dialogue of the legacy protocol with an SCP server that sends one file.
type source struct {
	path     string
	in       *bufio.Reader
	ack      io.Writer
	progress func(done, total int64)
	// last is called when the server refuses: what it says belongs together, but need not end.
	last func()
}

// openSource asks for a file: `scp -f PATH`. An exit status may never come, so nobody waits for it.
func openSource(c *connection, path string) (*source, error) {
	if err := c.openChannel(); err != nil {
		return nil, fmt.Errorf("%w: session: %w", errNothing, err)
	}
	session := c.channel
	in, err := session.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errSCP, err)
	}
	out, err := session.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errSCP, err)
	}
	switch err := session.Start("scp -f " + path); {
	case err != nil && hungUp(err):
		return nil, fmt.Errorf("%w: %w", errNothing, err)
	case err != nil:
		return nil, &scpRefusal{&iosxe.Refusal{Command: "scp -f " + path, Text: "the command is not accepted: " + err.Error(),
			Kind: iosxe.Disabled}}
	}
	return newSource(path, out, in), nil
}

func newSource(path string, from io.Reader, ack io.Writer) *source {
	return &source{path: path, in: bufio.NewReaderSize(from, 256<<10), ack: ack, progress: func(int64, int64) {},
		last: func() {}}
}

// receive is the sink's side of `scp -f`: acknowledge, header, acknowledge, bytes, status,
// acknowledge. It takes one file and uses nothing of its header but the size.
func (s *source) receive(w io.Writer) (int64, error) {
	size, err := s.header()
	if err != nil {
		return 0, err
	}
	if err := s.acknowledge(); err != nil {
		return 0, err
	}
	s.progress(0, size)
	n, err := s.copyExactly(w, size)
	if err != nil {
		return n, err
	}
	status, err := s.in.ReadByte()
	switch {
	case errors.Is(err, io.EOF):
		return n, nil // some releases close instead
	case err != nil:
		return n, fmt.Errorf("%w: %w", errSCP, err)
	case status == 1 || status == 2:
		return n, fmt.Errorf("%w: the router says: %s", errSCP, iosxe.RefusedTransfer("", s.line()).Text)
	case status != 0 || s.in.Buffered() > 0:
		return n, fmt.Errorf("%w: more bytes come than the header named", errSCP)
	}
	return n, s.acknowledge()
}

func (s *source) acknowledge() error {
	if _, err := s.ack.Write([]byte{0}); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: %w", errSCP, err)
	}
	return nil
}

// The records of the protocol. A line of plain text, which is how IOS says that the server is off
// or the privilege too low, may begin with the same letters.
var (
	fileRecord = lazyregexp.New(`^C[0-7]{3,4} `)
	timeRecord = lazyregexp.New(`^T[0-9]+ [0-9]+ [0-9]+ [0-9]+$`)
)

// header asks for the line that announces the file: C0644 946 capture.pcap. A line with times may
// come before it. Whatever else comes is a refusal, in a record that begins with a byte 1 or 2, or
// as text on one or several lines.
func (s *source) header() (int64, error) {
	if err := s.acknowledge(); err != nil {
		return 0, err
	}
	for range 2 {
		if _, err := s.in.Peek(1); err != nil {
			return 0, fmt.Errorf("%w: %w", errNothing, err)
		}
		switch line := s.line(); {
		case fileRecord.Get().MatchString(line):
			return sizeOf(line)
		case timeRecord.Get().MatchString(line):
			if err := s.acknowledge(); err != nil {
				return 0, err
			}
		default:
			return 0, s.refusal(line)
		}
	}
	return 0, errProtocol
}

func sizeOf(line string) (int64, error) {
	fields := strings.SplitN(line, " ", 3)
	if len(fields) != 3 {
		return 0, fmt.Errorf("%w: header %q", errProtocol, line)
	}
	size, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil || size < 0 {
		return 0, fmt.Errorf("%w: size %q", errProtocol, fields[1])
	}
	if size > maxFetch {
		return 0, fmt.Errorf("%w: the file has %d bytes, which no capture has", errSCP, size)
	}
	return size, nil
}

// Bounds of what a server says when it refuses: a line, and the lines that are read until
// one says something.
const (
	maxSaidLine  = 4096
	maxSaidLines = 8
)

// refusal reads the rest of what began with line. Messages of IOS begin with an empty line.
func (s *source) refusal(line string) error {
	said := []string{plain(line)}
	for heard := false; len(said) < maxSaidLines; said = append(said, plain(s.line())) {
		if !heard && said[len(said)-1] != "" {
			heard = true
			s.last()
		}
		if _, err := s.in.Peek(1); err != nil {
			break
		}
	}
	text := strings.Join(said, "\n")
	if strings.TrimSpace(text) == "" {
		return fmt.Errorf("%w: %w", errNothing, io.EOF)
	}
	return refusedTransfer(s.path, text)
}

// plain takes the control characters off a line's ends: the byte that marks an error, and what
// terminals need.
func plain(line string) string {
	return strings.TrimFunc(line, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) })
}

// line reads to the end of the line, at most maxSaidLine bytes of it.
func (s *source) line() string {
	var b strings.Builder
	for b.Len() < maxSaidLine {
		c, err := s.in.ReadByte()
		if err != nil || c == '\n' {
			break
		}
		b.WriteByte(c)
	}
	return b.String()
}

// copyExactly copies size bytes through one buffer.
func (s *source) copyExactly(w io.Writer, size int64) (int64, error) {
	buf := make([]byte, 256<<10)
	var done int64
	for done < size {
		n, err := s.in.Read(buf[:min(int64(len(buf)), size-done)])
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return done, fmt.Errorf("writing here: %w", err)
			}
			done += int64(n)
			s.progress(done, size)
		}
		if err != nil {
			return done, fmt.Errorf("%w: %d of %d bytes: %w", errShort, done, size, err)
		}
	}
	return done, nil
}
