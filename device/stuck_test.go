package device

import (
	"bytes"
	"context"
	"errors"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/moncap/moncap/device/inventory"
	"github.com/moncap/moncap/device/iosxe"
	"github.com/moncap/moncap/device/simulator"
)

// stuck is a connection on which nothing moves any more from one read, or one write, on: until it
// is closed.
type stuck struct {
	net.Conn
	mu            sync.Mutex
	reads, writes int // that still work; below zero: all of them
	hit           *bool
	gone          chan struct{}
	once          sync.Once
}

func (s *stuck) stops(left *int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if *left == 0 {
		*s.hit = true
		return true
	}
	*left--
	return false
}

func (s *stuck) Read(p []byte) (int, error) {
	if s.stops(&s.reads) {
		<-s.gone
		return 0, net.ErrClosed
	}
	n, err := s.Conn.Read(p)
	// What came takes a moment: the SSH library's goroutines get to where they wait before the next
	// write. One that still came to a lock under which a write is stuck would stop the bubble's clock.
	if err == nil {
		select {
		case <-s.gone:
		case <-time.After(time.Microsecond):
		}
	}
	return n, err
}

func (s *stuck) Write(p []byte) (int, error) {
	if s.stops(&s.writes) {
		<-s.gone
		return 0, net.ErrClosed
	}
	return s.Conn.Write(p)
}

func (s *stuck) Close() error {
	s.once.Do(func() { close(s.gone) })
	return s.Conn.Close()
}

// Whatever read or write of the connection stops for ever, each call of ours ends within the limits
// that it promises, and the router can be used again.
func TestNoReadAndNoWriteIsWaitedForWithoutEnd(t *testing.T) {
	for _, writes := range []bool{false, true} {
		for n := 0; ; n += 1 + n/8 { // the login's one by one
			// The fifth write asks for the service "ssh-userauth". The SSH library holds the lock of its
			// transport in it while its loop of key exchanges may still be on the way to that lock, and
			// a bubble's clock stands still as long as one waits for a lock.
			if writes && n == 4 {
				continue
			}
			hit := false
			synctest.Test(t, func(t *testing.T) { workStuck(t, writes, n, &hit) })
			if !hit {
				if n < 10 {
					t.Errorf("only %d reads or writes were tried", n)
				}
				break
			}
		}
	}
}

func workStuck(t *testing.T, writes bool, n int, hit *bool) {
	l := newLab(t, simulator.Config{VTYs: 16, Flash: map[string][]byte{"x.pcap": bytes.Repeat([]byte{1}, 1<<10)}})
	dials := 0
	l.o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := l.dial(ctx, network, address)
		if dials++; dials > 1 && n < 1000 {
			return conn, err
		}
		s := &stuck{Conn: conn, reads: -1, writes: -1, hit: hit, gone: make(chan struct{})}
		if writes {
			s.writes = n
		} else {
			s.reads = n
		}
		return s, err
	}
	r := l.router()
	within := func(what string, limit time.Duration, do func() error) {
		began := time.Now()
		err := do()
		if took := time.Since(began); took > limit {
			t.Errorf("writes %v, %d: %s took %s: %v", writes, n, what, took, err)
		}
	}
	exec := func(cmd iosxe.Command) func() error {
		return func() error { _, err := r.Exec(t.Context(), cmd); return err }
	}
	within("login", 41*time.Second, func() error { return r.Open(t.Context()) })
	within("show", 71*time.Second, exec(iosxe.ShowClock()))
	within("configuration", 71*time.Second, exec(acl(t, "mc1")))
	within("many", 71*time.Second, func() error {
		r.ExecAll(t.Context(), readers(t)[:4], func(int, string, error) {})
		return nil
	})
	within("close", 2*time.Second+time.Millisecond, r.Close)
	if err := exec(iosxe.ShowClock())(); err != nil && !errors.Is(err, errNoReply) {
		t.Errorf("writes %v, %d: afterwards: %v", writes, n, err)
	}
}

// mute is an SSH server that lets in, and then does not do what is asked: it does not open the
// channel, does not answer the request for a terminal or a shell, or grants no window.
type mute struct {
	channel, pty, shell bool // they are answered
	says                string
}

func (m mute) serve(t *testing.T, conn net.Conn, key ssh.Signer) {
	config := &ssh.ServerConfig{PasswordCallback: func(ssh.ConnMetadata, []byte) (*ssh.Permissions, error) {
		return nil, nil
	}}
	config.AddHostKey(key)
	c, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	defer c.Close()
	go ssh.DiscardRequests(requests)
	for offer := range channels {
		if !m.channel {
			continue
		}
		ch, asks, err := offer.Accept()
		if err != nil {
			return
		}
		for ask := range asks {
			if ask.Type == "pty-req" && m.pty || ask.Type == "shell" && m.shell {
				_ = ask.Reply(true, nil)
			}
			if ask.Type == "shell" && m.says != "" {
				_, _ = ch.Write([]byte(m.says))
				_ = ch.Close()
				return
			}
		}
	}
}

// muteLab is a client for such servers.
func muteLab(t *testing.T, m mute) *lab {
	t.Helper()
	_, private := newKey(t)
	key, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	l := newLab(t, simulator.Config{})
	l.peer.KnownHosts = knownHostsFile(t, "192.0.2.10:22", key.PublicKey())
	l.o.Dial = func(context.Context, string, string) (net.Conn, error) {
		near, far := simulator.Pipe()
		l.dials++
		go m.serve(t, far, key)
		return near, nil
	}
	return l
}

func TestALoginCoversTheShell(t *testing.T) {
	for _, m := range []mute{{}, {channel: true}, {channel: true, pty: true}} {
		synctest.Test(t, func(t *testing.T) {
			l := muteLab(t, m)
			began := time.Now()
			err := l.router().Open(t.Context())
			if took := time.Since(began); err == nil || took != 20*time.Second ||
				err.Error() != "site-a: login: shell: no login in 20s" {
				t.Errorf("%+v: %v after %s", m, err, took)
			}
		})
	}
}

// What a router says before it hangs up reaches the operator; when it means that the account gets
// no session, it is not asked again.
func TestLastWords(t *testing.T) {
	tests := []struct {
		says, want string
		lasting    bool
	}{
		{"\r\n% Authorization failed.\r\n", `it said: "% Authorization failed."`, true},
		{"\r\nYour password has expired.\r\n", `it said: "Your password has expired."`, true},
		{"\r\n% All lines are busy, try later\r\n", `it said: "% All lines are busy, try later"`, false},
		{"\r\n" + canary + " \x1b[2J\r\n", `it said: "***"`, false},
		{"\r\n", errClosed.Error(), false},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			err := muteLab(t, mute{channel: true, pty: true, shell: true, says: tt.says}).router().Open(t.Context())
			e, ok := errors.AsType[*Error](err)
			if !ok || !bytes.Contains([]byte(err.Error()), []byte(tt.want)) || e.Lasting() != tt.lasting ||
				tt.lasting && e.Hint() == "" {
				t.Errorf("%q: %v, lasting %v", tt.says, err, ok && e.Lasting())
			}
			noSecrets(t, err)
		})
	}
}

// A password goes out once, also when the router is too slow to say whether it is right.
func TestASlowLoginIsNotTriedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, simulator.Config{Knobs: simulator.Knobs{LoginDelay: 22 * time.Second}})
		l.o.Lockout = NewLockout()
		for i := range 2 {
			err := l.router().Open(t.Context())
			e, ok := errors.AsType[*Error](err)
			if !ok || !errors.Is(err, errNoReply) || !e.Lasting() || e.Hint() == "" || l.dialled() != 1 {
				t.Errorf("try %d: %v, %d connections", i, err, l.dialled())
			}
		}
		l.o.Lockout = NewLockout()
		l.peer.Timeouts.Dial = 30 * time.Second
		if err := l.router().Open(t.Context()); err != nil {
			t.Errorf("with more time: %v", err)
		}
	})
}

// A router that talks and never comes to an end gets no more time than one that says nothing, and
// the error says so.
func TestEndlessAnswers(t *testing.T) {
	for _, says := range []string{"\r\n[confirm]", "\r\nPassword: ", "\r\n --More-- ", "%SYS-5-CONFIG_I: x\r\n"} {
		synctest.Test(t, func(t *testing.T) {
			turns := []turn{{"x\n", "x\r\n"}}
			sc := newScripted(turns, nil, nil)
			d := dialogue{do: func(ctx context.Context, s *session) string {
				began := time.Now()
				_, err := s.run(ctx, iosxe.Command{Name: "show-x", Lines: []string{"x"}})
				took := time.Since(began)
				if err == nil || took > 41*time.Second {
					t.Errorf("%q: %v after %s", says, err, took)
				}
				return ""
			}}
			stop := make(chan struct{})
			go func() {
				for {
					select {
					case <-stop:
						return
					case <-time.After(10 * time.Millisecond):
						sc.mu.Lock()
						sc.say(says)
						sc.mu.Unlock()
					}
				}
			}()
			d.playOn(t, sc)
			close(stop)
			synctest.Wait()
		})
	}
}

// An agent that takes the question and never answers ends no later than a router would.
func TestAnAgentThatHangs(t *testing.T) {
	dir := t.TempDir()
	l := newLab(t, simulator.Config{})
	var lc net.ListenConfig
	agent, err := lc.Listen(t.Context(), "unix", filepath.Join(dir, "agent"))
	if err != nil {
		t.Skip(err)
	}
	defer agent.Close()
	t.Setenv("SSH_AUTH_SOCK", filepath.Join(dir, "agent"))
	l.peer.Agent, l.o.Timeouts.Dial = true, 100*time.Millisecond
	began := time.Now()
	if err := l.router().Open(t.Context()); err == nil || time.Since(began) > 10*time.Second || l.dialled() != 0 {
		t.Errorf("%v after %s", err, time.Since(began))
	}
}

// An account that was let in before and is not now may have its only session open: it has to be
// cleaned up, so that is not for good, by whatever it logs in.
func TestNoSecondSessionIsNotForGood(t *testing.T) {
	a := &authenticator{router: New(inventory.Peer{}, Options{}), user: "u", address: "a"}
	no := errors.New("ssh: handshake failed: ssh: unable to authenticate, attempted methods [none publickey]")
	if e := (&Error{Err: a.judge(no)}); !e.Lasting() || !errors.Is(e, errNoAuth) {
		t.Errorf("a key that was never accepted: %v", e)
	}
	a.known = true
	for _, err := range []error{a.judge(no),
		refusedAfterLogin(true, &saidError{errClosed, "% Authorization failed.", true})} {
		if e := (&Error{Err: err}); e.Lasting() || !e.NoLine() || e.Hint() == "" {
			t.Errorf("%v, lasting %v, hint %q", e, e.Lasting(), e.Hint())
		}
	}
}

// swallowing is a connection that loses all that is written, from a moment on: as one does that a
// firewall has forgotten.
type swallowing struct {
	net.Conn
	dead atomic.Bool
}

func (s *swallowing) Write(p []byte) (int, error) {
	if s.dead.Load() {
		return len(p), nil
	}
	return s.Conn.Write(p)
}

// A connection that is dead shows in that what is typed is not echoed, long before an answer would
// be late. What only reads is asked in the next one.
func TestADeadConnectionIsKnownByItsEcho(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, simulator.Config{})
		s := &swallowing{}
		l.o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := l.dial(ctx, network, address)
			if s.Conn == nil && err == nil {
				s.Conn = conn
				return s, nil
			}
			return conn, err
		}
		r := l.router()
		l.exec(r, iosxe.ShowClock())
		s.dead.Store(true)
		began := time.Now()
		if _, err := r.Exec(t.Context(), iosxe.ShowClock()); !errors.Is(err, errDeaf) || time.Since(began) != deaf {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		began = time.Now()
		if l.exec(r, iosxe.ShowClock()); time.Since(began) > time.Second {
			t.Errorf("the next one took %s", time.Since(began))
		}
	})
}
