package simulator

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Pipe is a connection in memory, with room for data under way: both ends may write first, as SSH
// does. One end goes to Serve. It blocks on nothing but its own condition variables, so that time
// in a testing/synctest bubble passes.
func Pipe() (client, server net.Conn) {
	up, down := newFlow(), newFlow()
	return &pipeEnd{in: down, out: up}, &pipeEnd{in: up, out: down}
}

// The bytes that may be under way in one direction.
const pipeRoom = 1 << 20

// flow is one direction of a pipe.
type flow struct {
	mu       sync.Mutex
	changed  *sync.Cond
	data     []byte
	closed   bool // by the writer: what is there can be read
	gone     bool // by the reader: nothing more is taken
	deadline [2]time.Time
	timers   [2]*time.Timer
}

const (
	reading = iota
	writing
)

func newFlow() *flow {
	f := &flow{}
	f.changed = sync.NewCond(&f.mu)
	return f
}

func (f *flow) read(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.data) == 0 {
		switch {
		case f.gone:
			return 0, net.ErrClosed
		case f.closed:
			return 0, io.EOF
		case f.expired(reading):
			return 0, os.ErrDeadlineExceeded
		}
		f.changed.Wait()
	}
	n := copy(p, f.data)
	f.data = f.data[n:]
	f.changed.Broadcast()
	return n, nil
}

func (f *flow) write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	sent := 0
	for sent < len(p) {
		switch {
		case f.closed:
			return sent, net.ErrClosed
		case f.gone:
			return sent, io.ErrClosedPipe
		case f.expired(writing):
			return sent, os.ErrDeadlineExceeded
		case len(f.data) >= pipeRoom:
			f.changed.Wait()
			continue
		}
		n := min(len(p)-sent, pipeRoom-len(f.data))
		f.data = append(f.data, p[sent:sent+n]...)
		sent += n
		f.changed.Broadcast()
	}
	return sent, nil
}

func (f *flow) expired(which int) bool {
	d := f.deadline[which]
	return !d.IsZero() && !time.Now().Before(d)
}

func (f *flow) setDeadline(which int, t time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.timers[which] != nil {
		f.timers[which].Stop()
		f.timers[which] = nil
	}
	f.deadline[which] = t
	if !t.IsZero() {
		f.timers[which] = time.AfterFunc(time.Until(t), f.wake)
	}
	f.changed.Broadcast()
}

func (f *flow) wake() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.changed.Broadcast()
}

func (f *flow) end(gone bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if gone {
		f.gone, f.data = true, nil
	} else {
		f.closed = true
	}
	for _, t := range f.timers {
		if t != nil {
			t.Stop()
		}
	}
	f.changed.Broadcast()
}

type pipeEnd struct{ in, out *flow }

func (e *pipeEnd) Read(p []byte) (int, error)  { return e.in.read(p) }
func (e *pipeEnd) Write(p []byte) (int, error) { return e.out.write(p) }

// CloseWrite ends this direction only.
func (e *pipeEnd) CloseWrite() error {
	e.out.end(false)
	return nil
}

func (e *pipeEnd) Close() error {
	e.out.end(false)
	e.in.end(true)
	return nil
}

func (e *pipeEnd) LocalAddr() net.Addr  { return pipeAddr{} }
func (e *pipeEnd) RemoteAddr() net.Addr { return pipeAddr{} }

func (e *pipeEnd) SetDeadline(t time.Time) error {
	_ = e.SetReadDeadline(t)
	return e.SetWriteDeadline(t)
}

func (e *pipeEnd) SetReadDeadline(t time.Time) error {
	e.in.setDeadline(reading, t)
	return nil
}

func (e *pipeEnd) SetWriteDeadline(t time.Time) error {
	e.out.setDeadline(writing, t)
	return nil
}

// pipeAddr looks like an address of this host, because host keys are looked up by it.
type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "127.0.0.1:22" }
