package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/ssh"

	"github.com/moncap/moncap/capture"
	"github.com/moncap/moncap/device"
	"github.com/moncap/moncap/device/simulator"
)

// liar is a hostile router: an SSH server in front of a simulated one, which passes on what it is
// asked, and some of what is answered, among whatever it likes to say.
type liar struct {
	net.Listener
	key    ssh.Signer
	router *simulator.Router
	typed  lockedBuffer // into shells
	stop   chan struct{}
	busy   sync.WaitGroup

	mu  sync.Mutex
	rng *rand.Rand
}

// lieFor starts a liar in front of a router. It ends with the test.
func lieFor(t *testing.T, router *simulator.Router, rng *rand.Rand) *liar {
	t.Helper()
	key, err := simulator.HostKey(filepath.Join(t.TempDir(), "key"))
	if err != nil {
		t.Fatal(err)
	}
	var lc net.ListenConfig
	listener, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &liar{Listener: listener, key: key, router: router, stop: make(chan struct{}), rng: rng}
	h.busy.Go(func() {
		for {
			conn, err := h.Accept()
			if err != nil {
				return
			}
			h.busy.Go(func() { h.serve(conn) })
		}
	})
	t.Cleanup(func() {
		close(h.stop)
		_ = h.Close()
		h.busy.Wait()
	})
	return h
}

// draw draws from the seed.
func (h *liar) draw(n int) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.rng.IntN(n)
}

func (h *liar) serve(conn net.Conn) {
	defer conn.Close()
	end := make(chan struct{})
	defer close(end)
	h.busy.Go(func() {
		select {
		case <-h.stop:
			_ = conn.Close()
		case <-end:
		}
	})
	config := &ssh.ServerConfig{
		PasswordCallback: func(ssh.ConnMetadata, []byte) (*ssh.Permissions, error) { return &ssh.Permissions{}, nil },
		BannerCallback: func(ssh.ConnMetadata) string {
			return strings.Repeat("banner "+escapes+"\n", h.draw(4)*h.draw(1000))
		},
	}
	config.AddHostKey(h.key)
	c, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	defer c.Close()
	h.busy.Go(func() { ssh.DiscardRequests(requests) })
	router, err := ssh.Dial("tcp", h.router.Addr(), &ssh.ClientConfig{
		User: labUser, Auth: []ssh.AuthMethod{ssh.Password(labPassword)},
		HostKeyCallback: ssh.FixedHostKey(h.router.HostKey()),
	})
	if err != nil {
		return
	}
	defer router.Close()
	for offer := range channels {
		near, asked, err := offer.Accept()
		if err != nil {
			return
		}
		far, said, err := router.OpenChannel("session", nil)
		if err != nil {
			return
		}
		h.busy.Go(func() { ssh.DiscardRequests(said) })
		h.busy.Go(func() { h.relay(c, near, far, asked) })
	}
}

// relay passes a channel's requests and bytes on.
func (h *liar) relay(c ssh.Conn, near, far ssh.Channel, asked <-chan *ssh.Request) {
	h.busy.Go(func() {
		for r := range asked {
			ok, err := far.SendRequest(r.Type, r.WantReply, r.Payload)
			if r.WantReply && h.draw(40) > 0 {
				_ = r.Reply(ok && err == nil, nil)
			}
		}
		_ = far.Close()
	})
	h.busy.Go(func() { _, _ = io.Copy(io.MultiWriter(far, &h.typed), near) })
	b := make([]byte, 4096)
	for {
		n, err := far.Read(b)
		if !h.say(c, near, b[:n]) || err != nil {
			_ = near.Close()
			return
		}
	}
}

// lies are what a router may say that is made for a terminal, for a parser, or for somebody who
// answers questions.
var lies = []string{
	escapes, "\r\nPassword: ", "\r\nsite-A#", "\r\nsite-B#", "\r\nProceed? [confirm]", "\r\nOverwrite? [yes/no]: ",
	"\r\n --More-- ", "\r\nUsername: ", "\r\n% Invalid input detected at '^' marker.\r\n",
	"\r\n*Apr  3 08:17:36.002: %SYS-5-CONFIG_I: Configured from console\r\n", "\r\nsite-A(config)#",
	"\x00\x00\x00", "\r\n99999999999999999999 bytes total (-5 bytes free)\r\n", "C0644 99999999999999999999 ../../x\n",
	"\x01../../x: no\n", "\xff\xfe\xc3\x28", "you said " + labPassword + "\r\n",
}

// say passes on what the router said, or does something else. It returns false when the channel is
// to end.
func (h *liar) say(c ssh.Conn, to io.Writer, b []byte) bool {
	write := func(p []byte) bool { _, err := to.Write(p); return err == nil }
	at := 0
	if len(b) > 0 {
		at = h.draw(len(b))
	}
	switch h.draw(60) {
	case 0, 1, 2, 3, 4, 5:
		lie := lies[h.draw(len(lies))]
		return write(b[:at]) && write([]byte(lie)) && write(b[at:])
	case 6:
		return write(bytes.Repeat(b, 2))
	case 7:
		return write(b[:at])
	case 8:
		return write(bytes.Repeat([]byte(lies[h.draw(len(lies))]), 1+h.draw(20_000))) && write(b)
	case 9: // without an end
		for write([]byte("chatter " + lies[h.draw(len(lies))] + "\r\n")) {
			select {
			case <-time.After(time.Millisecond):
			case <-h.stop:
				return false
			}
		}
		return false
	case 10:
		for i := range b {
			if !write(b[i : i+1]) {
				return false
			}
		}
		return true
	case 11:
		_ = c.Close()
		return false
	case 12:
		<-h.stop
		return false
	}
	return write(b)
}

// hostileRouter has one of the two routers be a liar. The other one is clean in the end, or it is
// said that it is not; the terminal and the bundle are not reached; the password goes where it
// belongs; and it all comes to an end.
func hostileRouter(t *testing.T, rng *rand.Rand) {
	l := newTestLab(t, "healthy")
	h := lieFor(t, l.routers[0], rng)
	elsewhere := l.leadElsewhere(t, h.key.PublicKey(), func() (string, bool) { return h.Addr().String(), true })
	p := program{tune: func(d *device.Options, c *capture.Options) { hasty(d, c); elsewhere(d, c) }}
	out := filepath.Join(l.dir, "bundle")
	args := l.matrixRun(out)
	if h.draw(3) == 0 {
		args = l.zeroConfigRun(out)
	}
	// one that trickles is given the time of the phases
	ctx, cancel := context.WithTimeout(t.Context(), tooLong)
	defer cancel()
	for _, step := range [][]string{args, {"clean", out, "-i", l.inventory}, {"report", out}} {
		r := p.run(ctx, step...)
		if ctx.Err() != nil {
			t.Fatalf("%s did not end in time\n%s", step[0], r.stderr)
		}
		if r.code != exitUsage && r.code > exitDirty {
			t.Errorf("%s: exit %d\n%s", step[0], r.code, r.stderr)
		}
		if dirty := strings.Join(l.dirty(), ""); r.code <= exitFailed && strings.Contains(dirty, "B") {
			t.Errorf("%s: exit %d, and side B is not as it was\n%s", step[0], r.code, r.stderr)
		}
		harmless(t, step[0], r.stdout)
		harmless(t, step[0], r.stderr)
		if strings.Contains(r.stdout+r.stderr, labPassword) {
			t.Errorf("%s: the password was printed\n%s%s", step[0], r.stdout, r.stderr)
		}
	}
	if strings.Contains(h.typed.String(), labPassword) {
		t.Errorf("the password was typed into a shell:\n%q", h.typed.String())
	}
	l.eachFile(t, func(path string, b []byte) {
		if strings.HasPrefix(path, out) && utf8.Valid(b) {
			harmless(t, path, string(b))
		}
		if bytes.Contains(b, []byte(labPassword)) {
			t.Errorf("%s: the password is in it", path)
		}
	})
}

// A router that keeps the line when it is told goodbye holds nobody up: the work is done, and the
// report is there.
func TestARunEndsWhenItsWorkIsDone(t *testing.T) {
	for _, a := range []simulator.Action{simulator.Silence, simulator.NeverAnswer, simulator.UnknownDialog,
		simulator.SyslogStorm} {
		t.Run(fmt.Sprint(a), func(t *testing.T) {
			t.Parallel()
			l := newTestLab(t, "healthy")
			var done time.Time
			for _, r := range l.routers {
				r.AddFault(simulator.Fault{Match: regexp.MustCompile(`^exit`), Action: a, Times: -1})
			}
			// Whoever waits for an answer waits for longer than the rest takes on any machine.
			const answer = tooLong
			waiting := func(d *device.Options, _ *capture.Options) {
				if d != nil {
					d.Timeouts = device.Timeouts{Dial: answer, Command: answer, Idle: answer}
				}
			}
			p := program{tune: waiting, events: func(e capture.Event) {
				if e.Phase == capture.PhaseClean && e.Kind == capture.Ended {
					done = time.Now()
				}
			}}
			r := p.run(t.Context(), l.matrixRun(filepath.Join(l.dir, "bundle"))...)
			if took := time.Since(done); r.code > exitInconclusive || r.stdout == "" || took > answer/2 {
				t.Errorf("exit %d, %s after the routers were clean\n%s", r.code, took, r.stderr)
			}
			l.nothingLeft(t, r)
		})
	}
}
