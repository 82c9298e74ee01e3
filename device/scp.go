package device

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/moncap/moncap/device/iosxe"
)

// scpPaths are the forms in which releases of IOS XE take a file in bootflash:, the most common first. They go out as
// they are: quotes would become part of the name.
func scpPaths(f iosxe.File) []string {
	return []string{"bootflash:/" + f.Base(), "bootflash:" + f.Base(), f.Base()}
}

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

// Fetch copies the router's file to w by SCP, on a connection of its own, and returns its size; or the file that the router
// pushed to a server, when file is the URL of iosxe.Upload. Nothing of what the other end calls the file is used. progress
// may be nil. An error of w ends the transfer.
func (r *Router) Fetch(ctx context.Context, file string, w io.Writer, progress func(done, total int64)) (int64, error) {
	if u, f, err := iosxe.ParseUploaded(file); err == nil {
		return r.fetchUploaded(ctx, u, f, w, progress)
	}
	f, err := iosxe.ParseFile(file)
	if err != nil {
		return 0, r.fail("fetch", err)
	}
	if progress == nil {
		progress = func(int64, int64) {}
	}
	var refused error
	for _, path := range scpPaths(f) {
		n, err := r.fetchPath(ctx, path, w, progress)
		if err == nil {
			return n, nil
		}
		no, ok := errors.AsType[*scpRefusal](err)
		switch {
		case n == 0 && (ok && no.missing() || errors.Is(err, errNothing)):
			refused = err // another spelling may help
		default:
			return n, r.fail("fetch", fmt.Errorf("%s: %w", f, err))
		}
	}
	return 0, r.fail("fetch", fmt.Errorf("%s: %w", f, refused))
}

// scpRefusal is the router's own word on why it sends nothing.
type scpRefusal struct{ text string }

func (e *scpRefusal) Error() string { return "scp: the router says: " + e.text }

// missing says whether the refusal is about the file's name.
func (e *scpRefusal) missing() bool {
	t := strings.ToLower(e.text)
	return strings.Contains(t, "no such file") || strings.Contains(t, "not found") || strings.Contains(t, "invalid") ||
		strings.Contains(t, "error opening") || strings.Contains(t, "cannot open")
}

// Unwrap sorts the refusal like one of a command: the file is missing, the account may not, or there is no SCP.
func (e *scpRefusal) Unwrap() error {
	r := &iosxe.Refusal{Command: "scp -f", Text: e.text, Kind: iosxe.Unsupported}
	switch t := strings.ToLower(e.text); {
	case e.missing():
		r.Kind = iosxe.Missing
	case strings.Contains(t, "privilege") || strings.Contains(t, "denied") || strings.Contains(t, "authoriz"):
		r.Kind = iosxe.Unauthorized
	}
	return r
}

func (r *Router) fetchUploaded(ctx context.Context, u iosxe.Upload, f iosxe.File, w io.Writer, progress func(done, total int64)) (int64, error) {
	if progress == nil {
		progress = func(int64, int64) {}
	}
	conn, err := r.connectServer(ctx, u)
	if err != nil {
		return 0, r.fail(opServer, fmt.Errorf("%s: %w", u.Address(), err))
	}
	n, err := r.fetchOn(ctx, conn, u.Path(f), w, progress)
	if err != nil {
		return n, r.fail(opServer, fmt.Errorf("%s: %w", u.URL(f), err))
	}
	return n, nil
}

func (r *Router) fetchPath(ctx context.Context, path string, w io.Writer, progress func(done, total int64)) (int64, error) {
	conn, err := r.connectLine(ctx)
	if err != nil {
		return 0, err
	}
	return r.fetchOn(ctx, conn, path, w, progress)
}

// lineWaits are the pauses that a router gets to free a terminal line.
var lineWaits = []time.Duration{100 * time.Millisecond, 400 * time.Millisecond, time.Second}

// connectLine connects for a transfer. A router without a free terminal line hangs up; then the command line's session
// gives up its own, and is opened again by the next command.
func (r *Router) connectLine(ctx context.Context) (*connection, error) {
	conn, err := r.connect(ctx)
	if err == nil || !hungUp(err) || !r.giveLine() {
		return conn, err
	}
	for _, wait := range lineWaits {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if conn, err = r.connect(ctx); err == nil || !hungUp(err) {
			return conn, err
		}
	}
	return nil, err
}

// giveLine ends the session for the sake of its terminal line, and says whether there was one.
func (r *Router) giveLine() bool {
	r.mu.Lock()
	open := r.session != nil
	r.mu.Unlock()
	if open {
		r.rec.note("the terminal line is given up for the transfer")
		_ = r.Close() // the connection may be gone already
	}
	return open
}

// fetchOn does one transfer on conn, and closes it.
func (r *Router) fetchOn(ctx context.Context, conn *connection, path string, w io.Writer, progress func(done, total int64)) (int64, error) {
	defer conn.close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// The connection is cut when ctx ends or nothing moves any more, which ends every read.
	stop := context.AfterFunc(ctx, func() { _ = conn.close() })
	defer stop()
	idle := time.AfterFunc(r.o.Timeouts.Idle, func() { cancel(fmt.Errorf("%w (%s)", errStalled, r.o.Timeouts.Idle)) })
	defer idle.Stop()
	alive := func() { idle.Reset(r.o.Timeouts.Idle) }

	r.rec.note("scp -f " + path)
	n, err := transfer(conn.Client, path, w, func(done, total int64) { alive(); progress(done, total) })
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		r.rec.note("scp: " + iosxe.Printable(err.Error()))
	}
	return n, err
}

// transfer is one dialogue of the legacy protocol, as the receiver.
func transfer(c *ssh.Client, path string, w io.Writer, progress func(done, total int64)) (int64, error) {
	session, err := c.NewSession()
	if err != nil {
		return 0, fmt.Errorf("%w: session: %w", errSCP, err)
	}
	defer session.Close()
	in, err := session.StdinPipe()
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errSCP, err)
	}
	out, err := session.StdoutPipe()
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errSCP, err)
	}
	if err := session.Start("scp -f " + path); err != nil {
		return 0, &scpRefusal{"the command is not accepted: " + err.Error()}
	}
	n, err := receive(out, in, w, progress)
	// An exit status may never come; the size and the last byte have told what there is to know.
	return n, err
}

// receive is the sink's side of `scp -f`: acknowledge, header, acknowledge, bytes, status, acknowledge. It takes one file
// and uses nothing of its header but the size.
func receive(from io.Reader, ack io.Writer, w io.Writer, progress func(done, total int64)) (int64, error) {
	r := bufio.NewReaderSize(from, 256<<10)
	if err := acknowledge(ack); err != nil {
		return 0, err
	}
	size, err := header(r, ack)
	if err != nil {
		return 0, err
	}
	if err := acknowledge(ack); err != nil {
		return 0, err
	}
	progress(0, size)
	n, err := copyExactly(w, r, size, progress)
	if err != nil {
		return n, err
	}
	status, err := r.ReadByte()
	switch {
	case errors.Is(err, io.EOF):
		return n, nil // some releases close instead
	case err != nil:
		return n, fmt.Errorf("%w: %w", errSCP, err)
	case status == 1 || status == 2:
		return n, fmt.Errorf("%w: the router says: %s", errSCP, restOfLine(r))
	case status != 0 || r.Buffered() > 0:
		return n, fmt.Errorf("%w: more bytes come than the header named", errSCP)
	}
	return n, acknowledge(ack)
}

func acknowledge(w io.Writer) error {
	if _, err := w.Write([]byte{0}); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: %w", errSCP, err)
	}
	return nil
}

// header reads the line that announces the file: C0644 946 capture.pcap. A line with times may come before it.
func header(r *bufio.Reader, ack io.Writer) (int64, error) {
	for range 2 {
		kind, err := r.ReadByte()
		if err != nil {
			return 0, fmt.Errorf("%w: %w", errNothing, err)
		}
		line := restOfLine(r)
		switch kind {
		case 'C':
			return sizeOf(line)
		case 'T':
			if err := acknowledge(ack); err != nil {
				return 0, err
			}
		case 1, 2:
			return 0, &scpRefusal{line}
		default:
			// Plain text is how IOS says that SCP is off or the privilege too low.
			return 0, &scpRefusal{strings.TrimSpace(iosxe.Printable(string(rune(kind)) + line))}
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

// restOfLine reads to the end of the line, at most 4096 bytes of it, fit to be shown.
func restOfLine(r *bufio.Reader) string {
	var b bytes.Buffer
	for b.Len() < 4096 {
		c, err := r.ReadByte()
		if err != nil || c == '\n' {
			break
		}
		b.WriteByte(c)
	}
	return strings.TrimSpace(iosxe.Printable(b.String()))
}

// copyExactly copies size bytes through one buffer.
func copyExactly(w io.Writer, r io.Reader, size int64, progress func(done, total int64)) (int64, error) {
	buf := make([]byte, 256<<10)
	var done int64
	for done < size {
		n, err := r.Read(buf[:min(int64(len(buf)), size-done)])
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return done, fmt.Errorf("writing here: %w", err)
			}
			done += int64(n)
			progress(done, size)
		}
		if err != nil {
			return done, fmt.Errorf("%w: %d of %d bytes: %w", errShort, done, size, err)
		}
	}
	return done, nil
}
