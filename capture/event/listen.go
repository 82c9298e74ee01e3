package event

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// The bounds of a listener for TCP.
const (
	maxSenders = 256              // at a time; more are turned away
	maxQuiet   = 30 * time.Minute // after which a sender that says nothing is hung up on
)

// Listener takes log lines at one address.
type Listener struct {
	packets net.PacketConn
	streams net.Listener
}

// Listen begins to listen at udp:HOST:PORT or tcp:HOST:PORT.
func Listen(ctx context.Context, at string) (*Listener, error) {
	network, address, err := ParseListen(at)
	if err != nil {
		return nil, err
	}
	var c net.ListenConfig
	l := &Listener{}
	if network == "udp" {
		l.packets, err = c.ListenPacket(ctx, network, address)
	} else {
		l.streams, err = c.Listen(ctx, network, address)
	}
	if err != nil {
		return nil, fmt.Errorf("syslog: %w", err)
	}
	return l, nil
}

// ParseListen takes udp:HOST:PORT or tcp:HOST:PORT apart. An empty host is every
// address of this machine.
func ParseListen(at string) (network, address string, err error) {
	network, address, _ = strings.Cut(at, ":")
	_, port, err := net.SplitHostPort(address)
	if network != "udp" && network != "tcp" || err != nil || port == "" {
		return "", "", fmt.Errorf("syslog %q: want udp:HOST:PORT or tcp:HOST:PORT, such as udp:0.0.0.0:5514",
			printable(at, 80))
	}
	return network, address, nil
}

// Address is where it listens, as Listen reads it.
func (l *Listener) Address() string {
	if l.packets != nil {
		return "udp:" + l.packets.LocalAddr().String()
	}
	return "tcp:" + l.streams.Addr().String()
}

// Serve hands each line that comes in to a function, with where it came from, until ctx ends.
// Senders that known does not know are not listened to. The functions are called from several
// goroutines; a line is theirs until they return.
func (l *Listener) Serve(ctx context.Context, known func(netip.Addr) bool,
	take func(from netip.Addr, line []byte)) error {
	stop := context.AfterFunc(ctx, func() { _ = l.Close() }) // what waits returns with an error
	defer stop()
	var err error
	if l.packets != nil {
		err = l.datagrams(known, take)
	} else {
		err = l.connections(ctx, known, take)
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// Close ends listening.
func (l *Listener) Close() error {
	if l.packets != nil {
		return l.packets.Close()
	}
	return l.streams.Close()
}

// datagrams reads a line from each (RFC 5426).
func (l *Listener) datagrams(known func(netip.Addr) bool, take func(netip.Addr, []byte)) error {
	buffer := make([]byte, 64<<10)
	for {
		n, from, err := l.packets.ReadFrom(buffer)
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		if err != nil { // of a datagram before, which somebody refused
			continue
		}
		if a := addressOf(from); known(a) {
			take(a, buffer[:n])
		}
	}
}

func addressOf(a net.Addr) netip.Addr {
	p, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}
	}
	return p.Addr().Unmap().WithZone("")
}

func (l *Listener) connections(ctx context.Context, known func(netip.Addr) bool, take func(netip.Addr, []byte)) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	places := make(chan struct{}, maxSenders)
	for {
		c, err := l.streams.Accept()
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		if err != nil { // too many open files, for one: it passes
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		from := addressOf(c.RemoteAddr())
		select {
		case places <- struct{}{}:
		default:
			_ = c.Close()
			continue
		}
		if !known(from) {
			_ = c.Close()
			<-places
			continue
		}
		wg.Go(func() {
			defer func() { <-places }()
			stop := context.AfterFunc(ctx, func() { _ = c.Close() })
			defer stop()
			defer c.Close()
			frames(c, func(line []byte) { take(from, line) })
		})
	}
}

// frames reads the lines of a connection until it ends, says nothing for long, or makes no sense.
func frames(c net.Conn, take func([]byte)) {
	r := bufio.NewReaderSize(&quiet{c}, MaxLine+16)
	for {
		line, err := frame(r)
		if len(line) > 0 {
			take(line)
		}
		if err != nil {
			return
		}
	}
}

// quiet gives each reading of a connection its time.
type quiet struct{ net.Conn }

func (q *quiet) Read(p []byte) (int, error) {
	if err := q.SetReadDeadline(time.Now().Add(maxQuiet)); err != nil {
		return 0, err
	}
	return q.Conn.Read(p)
}

// errFrame is about a length that no line has.
var errFrame = errors.New("syslog: a frame is longer than a line can be")

// frame reads one line (RFC 6587): "LENGTH LINE" when a digit comes first (Section 3.4.1), else up
// to a line feed or a zero byte (Section 3.4.2). Every line of a router begins with <, and one
// without its <PRI> is no transport's.
func frame(r *bufio.Reader) ([]byte, error) {
	first, err := r.Peek(1)
	if err != nil {
		return nil, err
	}
	if first[0] < '1' || first[0] > '9' {
		return lineOf(r)
	}
	n := 0
	for range 6 {
		b, err := r.ReadByte()
		switch {
		case err != nil:
			return nil, err
		case b == ' ' && n > MaxLine:
			return nil, errFrame
		case b == ' ':
			line := make([]byte, n)
			_, err := io.ReadFull(r, line)
			if err != nil {
				return nil, err
			}
			return line, nil
		case b < '0' || b > '9':
			return nil, errFrame
		}
		n = 10*n + int(b-'0')
	}
	return nil, errFrame
}

// lineOf reads up to the end of a line. The rest of one that is too long is left out.
func lineOf(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		b, err := r.ReadByte()
		if err != nil {
			return line, err
		}
		if b == '\n' || b == 0 {
			return bytes.TrimRight(line, "\r"), nil
		}
		if len(line) <= MaxLine { // one byte more tells that it was too long
			line = append(line, b)
		}
	}
}
