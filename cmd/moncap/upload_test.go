package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/moncap/moncap/capture/bundle"
)

// fileServer is an SSH server whose SCP is OpenSSH's own, in a folder of the test.
type fileServer struct {
	dir, addr string
	key       ssh.PublicKey
	config    *ssh.ServerConfig

	mu    sync.Mutex
	tries int // passwords that were refused
}

const serverPassword = "canary-of-the-file-server"

func startFileServer(t *testing.T) *fileServer {
	t.Helper()
	if _, err := exec.LookPath("scp"); err != nil {
		t.Skip("scp is not installed")
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	s := &fileServer{dir: t.TempDir(), key: signer.PublicKey()}
	s.config = &ssh.ServerConfig{PasswordCallback: func(m ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
		if m.User() == "ops" && string(password) == serverPassword {
			return nil, nil
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.tries++
		return nil, fmt.Errorf("no")
	}}
	s.config.AddHostKey(signer)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { s.serve(conn) })
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return s
}

func (s *fileServer) serve(conn net.Conn) {
	defer conn.Close()
	c, channels, requests, err := ssh.NewServerConn(conn, s.config)
	if err != nil {
		return
	}
	defer c.Close()
	go ssh.DiscardRequests(requests)
	for n := range channels {
		channel, asks, err := n.Accept()
		if err != nil {
			return
		}
		for ask := range asks {
			var e struct{ Command string }
			if ask.Type != "exec" || ssh.Unmarshal(ask.Payload, &e) != nil {
				_ = ask.Reply(false, nil)
				continue
			}
			_ = ask.Reply(true, nil)
			s.scp(channel, strings.Fields(e.Command))
			break
		}
		channel.Close()
	}
}

func (s *fileServer) scp(channel ssh.Channel, words []string) {
	if words[0] != "scp" {
		return
	}
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, channel, channel.Stderr()
	in, err := cmd.StdinPipe()
	if err != nil || cmd.Start() != nil {
		return
	}
	go func() { _, _ = io.Copy(in, channel); in.Close() }()
	_ = cmd.Wait()
	_, _ = channel.SendRequest("exit-status", false,
		ssh.Marshal(struct{ Status uint32 }{uint32(cmd.ProcessState.ExitCode())}))
}

func (s *fileServer) secret(t *testing.T, password string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return "file:" + path
}

// TestViaExport has the routers push their captures to a server, where moncap fetches them.
func TestViaExport(t *testing.T) {
	s := startFileServer(t)
	l := newTestLab(t, "healthy")
	l.know(t, s.addr, s.key)
	out := filepath.Join(l.dir, "bundle")
	r := moncap(t, "run", "demo", "-i", l.inventory, "--out", out, "--until", "packets=4", "--duration", "5s", "-v",
		"--via-export", "scp://ops@"+s.addr, "--via-export-password", s.secret(t, serverPassword))
	if r.code != exitOK {
		t.Fatalf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	run := readTestRun(t, out)
	for _, side := range bundle.Sides() {
		name := run.Router(side).Capture + "-" + strings.ToLower(string(side)) + ".pcap"
		there, err := os.ReadFile(filepath.Join(s.dir, name))
		here, err2 := os.ReadFile(filepath.Join(out, bundle.CaptureFile(side)))
		if err != nil || err2 != nil || len(here) < 500 || !bytes.Equal(there, here) ||
			run.Router(side).Source != bundle.SourceSCP {
			t.Errorf("%s: %d bytes there, %d here, source %s (%v, %v)", name, len(there), len(here), run.Router(side).Source,
				err, err2)
		}
	}
	l.nothingLeft(t, r)
	checkBundle(t, out, labPassword, serverPassword)
	for _, router := range l.routers {
		if all := strings.Join(router.Commands(), "\n"); strings.Contains(all, serverPassword) ||
			strings.Contains(all, "delete") || !strings.Contains(all, "export scp://ops@") {
			t.Errorf("sent: %s", all)
		}
	}
}

// A server that refuses the password is asked once for both routers; the captures are rebuilt from
// the dump then.
func TestViaExportRefused(t *testing.T) {
	s := startFileServer(t)
	l := newTestLab(t, "healthy")
	l.know(t, s.addr, s.key)
	out := filepath.Join(l.dir, "bundle")
	r := moncap(t, "run", "demo", "-i", l.inventory, "--out", out, "--until", "packets=4", "--duration", "5s",
		"--via-export", "scp://ops@"+s.addr, "--via-export-password", s.secret(t, "wrong-"+serverPassword))
	if r.code != exitOK || !strings.Contains(r.stderr, "did not accept the password of ops") {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if run := readTestRun(t, out); run.A.Source != bundle.SourceDump || run.B.Source != bundle.SourceDump {
		t.Errorf("source %s and %s", run.A.Source, run.B.Source)
	}
	if s.tries != 1 {
		t.Errorf("the password was sent %d times", s.tries)
	}
	l.nothingLeft(t, r)
	checkBundle(t, out, serverPassword)
}

func TestViaExportIsNotForPasswords(t *testing.T) {
	for _, args := range [][]string{
		{"--via-export", "scp://ops@127.0.0.1", "--via-export-password", serverPassword},
		{"--via-export", "scp://ops:" + serverPassword + "@127.0.0.1"},
		{"--via-export", "scp://ops@127.0.0.1", "--zero-config"},
	} {
		l := newTestLab(t, "healthy")
		r := moncap(t, append([]string{"run", "demo", "-i", l.inventory, "--dry-run"}, args...)...)
		if r.code != exitUsage || strings.Contains(r.stderr+r.stdout, serverPassword) {
			t.Errorf("%v: exit %d\n%s", args[2:], r.code, r.stderr)
		}
	}
}

// know puts a host key into the lab's known_hosts.
func (l *testLab) know(t *testing.T, address string, key ssh.PublicKey) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(l.dir, "known_hosts"), os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := fmt.Fprintln(f, knownhosts.Line([]string{knownhosts.Normalize(address)}, key)); err != nil {
		t.Fatal(err)
	}
}

func (l *testLab) nothingLeft(t *testing.T, r result) {
	t.Helper()
	if dirty := l.dirty(); len(dirty) > 0 {
		t.Errorf("%v is not as it was\n%s", dirty, r.stderr)
	}
}

func readTestRun(t *testing.T, dir string) *bundle.Run {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "run.json"))
	if err != nil {
		t.Fatal(err)
	}
	var run bundle.Run
	if err := json.Unmarshal(b, &run); err != nil {
		t.Fatal(err)
	}
	return &run
}
