package simulator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// Listen accepts SSH connections on a TCP address, as in "127.0.0.1:0", until Close.
func (r *Router) Listen(ctx context.Context, addr string) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("simulator %s: listen: %w", r.config.Hostname, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return errors.Join(fmt.Errorf("simulator %s: listen: it is closed", r.config.Hostname), l.Close())
	}
	r.listeners = append(r.listeners, l)
	r.wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			r.Serve(conn)
		}
	})
	return nil
}

// Addr is where the router listens, "" when it does not.
func (r *Router) Addr() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.listeners) == 0 {
		return ""
	}
	return r.listeners[0].Addr().String()
}

// Serve handles one connection in the background, whatever carries it. A router without a free
// line, or one that is still booting, drops it at once.
func (r *Router) Serve(conn net.Conn) {
	c := &wire{Conn: conn}
	r.mu.Lock()
	defer r.mu.Unlock()
	line := r.take(c)
	if line == nil {
		c.reset()
		return
	}
	r.wg.Go(func() {
		defer r.free(line)
		defer c.Close()
		r.serve(line)
	})
}

// Close ends all connections and waits until nothing of the router runs any more.
func (r *Router) Close() error {
	r.mu.Lock()
	if !r.closed {
		r.closed = true
		close(r.quit)
	}
	var errs []error
	for _, l := range r.listeners {
		errs = append(errs, l.Close())
	}
	r.listeners = nil
	for _, l := range r.lines {
		l.conn.Close()
	}
	for _, c := range r.captures {
		c.detach()
	}
	r.mu.Unlock()
	r.wg.Wait()
	return errors.Join(errs...)
}

// vty is one terminal line in use.
type vty struct {
	number int // negative: it is no line, the connection is there to be told that none is free
	user   string
	conn   *wire
	since  time.Time
	term   *terminal // of an interactive session
	idle   time.Time
	wg     sync.WaitGroup // all that runs for the connection
}

// take finds a free line. The router's lock is held.
func (r *Router) take(c *wire) *vty {
	now := r.config.Now()
	if r.closed || now.Before(r.readyAt) {
		return nil
	}
	for n := range r.config.VTYs {
		if r.lines[n] == nil {
			r.lines[n] = &vty{number: n, conn: c, since: now, idle: now}
			return r.lines[n]
		}
	}
	for n := -1; r.config.Knobs.BusyText != ""; n-- {
		if r.lines[n] == nil {
			r.lines[n] = &vty{number: n, conn: c, since: now, idle: now}
			return r.lines[n]
		}
	}
	return nil
}

func (r *Router) free(l *vty) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.lines, l.number)
}

// How long a client may take to log in.
const authTimeout = 120 * time.Second

func (r *Router) serve(l *vty) {
	timer := time.AfterFunc(authTimeout, func() { l.conn.Close() })
	conn, channels, requests, err := ssh.NewServerConn(l.conn, r.sshConfig())
	timer.Stop()
	if err != nil {
		return
	}
	defer l.wg.Wait()
	defer conn.Close()
	r.mu.Lock()
	l.user = conn.User()
	r.mu.Unlock()
	l.wg.Go(func() { ssh.DiscardRequests(requests) })
	var used atomic.Bool
	for offer := range channels {
		switch {
		case offer.ChannelType() != "session":
			_ = offer.Reject(ssh.UnknownChannelType, "unknown channel type")
			continue
		case used.Swap(true) && !r.config.Knobs.MultipleChannels:
			_ = offer.Reject(ssh.ResourceShortage, "one session a connection")
			continue
		}
		channel, asks, err := offer.Accept()
		if err != nil {
			return
		}
		l.wg.Go(func() {
			r.channel(l, channel, asks)
			if !r.config.Knobs.KeepConnection {
				l.conn.finish(conn)
			}
		})
	}
}

func (r *Router) sshConfig() *ssh.ServerConfig {
	k := r.config.Knobs
	c := &ssh.ServerConfig{Config: k.SSH, MaxAuthTries: k.AuthTries, ServerVersion: k.ServerVersion}
	for _, key := range r.config.HostKeys {
		c.AddHostKey(key)
	}
	if k.Banner != "" {
		c.BannerCallback = func(ssh.ConnMetadata) string { return crlf(k.Banner) }
	}
	if !k.NoPassword {
		c.PasswordCallback = func(m ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
			return nil, r.authenticate(m.User(), string(password))
		}
	}
	if !k.NoKeyboardInteractive {
		c.KeyboardInteractiveCallback = r.ask
	}
	if len(r.config.AuthorizedKeys) > 0 {
		c.PublicKeyCallback = r.authorized
	}
	return c
}

var errRefused = errors.New("authentication failed")

func (r *Router) ask(m ssh.ConnMetadata, challenge ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
	answers, err := challenge("", "", []string{"Password: "}, []bool{false})
	if err != nil || len(answers) != 1 || r.authenticate(m.User(), answers[0]) != nil {
		return nil, errRefused
	}
	if otp := r.config.Knobs.OTP; otp != "" {
		answers, err = challenge("", "", []string{"Passcode: "}, []bool{false})
		if err != nil || len(answers) != 1 || answers[0] != otp {
			return nil, errRefused
		}
	}
	return nil, nil
}

func (r *Router) authorized(m ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
	for _, k := range r.config.AuthorizedKeys {
		if m.User() == r.config.Username && string(k.Marshal()) == string(key.Marshal()) {
			return nil, nil
		}
	}
	return nil, errRefused
}

// channel serves one session channel: a terminal, one command, or a transfer.
func (r *Router) channel(l *vty, channel ssh.Channel, asks <-chan *ssh.Request) {
	defer channel.Close()
	size := &window{width: 80, length: 24}
	for ask := range asks {
		switch ask.Type {
		case "pty-req":
			size.request(ask.Payload)
			reply(ask, true)
		case "window-change", "env":
			reply(ask, ask.Type != "env")
		case "shell", "exec":
			command := ""
			if ask.Type == "exec" {
				var e struct{ Command string }
				if ssh.Unmarshal(ask.Payload, &e) != nil {
					reply(ask, false)
					return
				}
				command = e.Command
			}
			reply(ask, true)
			closed := make(chan struct{})
			l.wg.Go(func() { drain(asks); close(closed) })
			status := r.run(l, channel, ask.Type == "shell", command, size)
			r.exit(channel, status)
			r.await(closed)
			return
		default: // the sftp subsystem too: IOS XE has none
			reply(ask, false)
		}
	}
}

// await gives the client a moment to close its end of a channel, too: some take the end of the
// connection before it for a failure.
func (r *Router) await(closed <-chan struct{}) {
	timer := time.NewTimer(closing)
	defer timer.Stop()
	select {
	case <-closed:
	case <-timer.C:
	case <-r.quit:
	}
}

func drain(asks <-chan *ssh.Request) {
	for ask := range asks {
		reply(ask, false)
	}
}

func (r *Router) exit(channel ssh.Channel, status uint32) {
	if !r.config.Knobs.NoExitStatus {
		_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{status}))
	}
	channel.Close()
}

// run carries a shell, a command or a transfer out and returns its exit status.
func (r *Router) run(l *vty, channel ssh.Channel, shell bool, command string, size *window) uint32 {
	switch k := r.config.Knobs; {
	case l.number < 0:
		_, _ = io.WriteString(channel, crlf("\n"+k.BusyText+"\n"))
		return 1
	case k.AfterLogin != "":
		_, _ = io.WriteString(channel, crlf("\n"+k.AfterLogin+"\n"))
		return 1
	}
	if !shell && (command == "scp" || strings.HasPrefix(command, "scp ")) {
		return r.scp(l, channel, command)
	}
	t := newTerminal(channel, *size)
	t.interactive, t.slow, t.jitter = shell, r.config.Knobs.ByteDelay, r.config.Knobs.Jitter
	t.monitor, t.redraw = r.config.Knobs.TerminalMonitor && shell, r.config.Knobs.LoggingSynchronous
	r.mu.Lock()
	l.term = t
	r.mu.Unlock()
	may := r.rights(l.user)
	level := may.level
	if len(may.view) > 0 {
		level = privileged // in a view its commands are all there is, whatever level they have outside of it
	}
	s := &session{router: r, vty: l, term: t, privilege: level, asked: level, commands: may.view}
	l.wg.Go(t.read)
	if shell {
		s.shell()
	} else {
		s.single(command)
	}
	r.mu.Lock()
	l.term = nil
	r.mu.Unlock()
	t.end()
	return 0
}

func reply(ask *ssh.Request, ok bool) {
	if ask.WantReply {
		_ = ask.Reply(ok, nil)
	}
}

// window is the size of the client's terminal.
type window struct{ width, length int }

func (w *window) request(payload []byte) {
	var p struct {
		Term                         string
		Columns, Rows, Width, Height uint32
		Modes                        string
	}
	if ssh.Unmarshal(payload, &p) != nil {
		return
	}
	if p.Columns > 0 && p.Columns <= 512 {
		w.width = int(p.Columns)
	}
	if p.Rows <= 512 {
		w.length = int(p.Rows)
	}
}

// wire is a connection that can be made to fail.
type wire struct {
	net.Conn
	muted atomic.Bool
}

// mute makes the connection swallow what is written and deliver nothing, without ending it.
func (w *wire) mute() { w.muted.Store(true) }

func (w *wire) Write(p []byte) (int, error) {
	if w.muted.Load() {
		return len(p), nil
	}
	return w.Conn.Write(p)
}

func (w *wire) Read(p []byte) (int, error) {
	for {
		n, err := w.Conn.Read(p)
		if err != nil || !w.muted.Load() {
			return n, err
		}
	}
}

// reset ends a TCP connection with RST.
func (w *wire) reset() {
	if tcp, ok := w.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = w.Conn.Close()
}

// How long a client may take to close its end after the router closed its own.
const closing = 2 * time.Second

// finish closes the connection from this side and leaves the client a moment to read
// what is under way.
func (w *wire) finish(conn ssh.Conn) {
	half, ok := w.Conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		_ = conn.Close()
		return
	}
	timer := time.AfterFunc(closing, func() { _ = conn.Close() })
	defer timer.Stop()
	_ = conn.Wait()
}

func crlf(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\n", "\r\n")
}
