package device

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/moncap/moncap/device/inventory"
	"github.com/moncap/moncap/device/iosxe"
	"github.com/moncap/moncap/device/simulator"
)

// Secrets of the tests. They must not appear in anything that is written or returned.
const (
	canary       = "canary-Pa55-of-the-login"
	canaryEnable = "canary-3nable-secret"
)

// lab is a simulated router and a client for it, over connections in memory.
type lab struct {
	t      testing.TB
	sim    *simulator.Router
	peer   inventory.Peer
	o      Options
	record *transcript

	mu    sync.Mutex
	dials int
	conns []net.Conn
}

// transcript is a buffer that the test may read while the session writes.
type transcript struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (t *transcript) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.Write(p)
}

func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.String()
}

// newLab starts a router. What c leaves open gets the values of the tests.
func newLab(t testing.TB, c simulator.Config) *lab {
	t.Helper()
	if c.Hostname == "" {
		c.Hostname = "site-A"
	}
	if c.Password == "" {
		c.Password = canary
	}
	if c.Interfaces == nil {
		c.Interfaces = []simulator.Interface{{Name: "GigabitEthernet1", Address: netip.MustParseAddr("192.168.1.1")}}
	}
	sim, err := simulator.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sim.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	l := &lab{t: t, sim: sim, record: &transcript{}}
	l.peer = inventory.Peer{Name: "site-a", Host: "192.0.2.10", Port: 22, Username: "moncap",
		Password: secretFile(t, canary),
		HostKey:  inventory.HostKeyStrict, KnownHosts: knownHostsFile(t, "192.0.2.10:22", sim.HostKey())}
	// The log goes where the transcript goes: neither may have a secret.
	log := slog.New(slog.NewTextHandler(l.record, &slog.HandlerOptions{Level: slog.LevelDebug}))
	l.o = Options{Record: l.record, Dial: l.dial, Log: log}
	return l
}

func (l *lab) dial(context.Context, string, string) (net.Conn, error) {
	near, far := simulator.Pipe()
	l.sim.Serve(far)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dials++
	l.conns = append(l.conns, near)
	return near, nil
}

func (l *lab) dialled() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dials
}

// router makes the client. It is closed before the simulator is.
func (l *lab) router() *Router {
	r := New(l.peer, l.o)
	l.t.Cleanup(func() { _ = r.Close() }) // tests of Close check its error themselves
	return r
}

func (l *lab) exec(r *Router, cmd iosxe.Command) string {
	l.t.Helper()
	out, err := r.Exec(l.t.Context(), cmd)
	if err != nil {
		l.t.Fatalf("%s: %v", cmd.Name, err)
	}
	return out
}

// secretFile keeps a secret where an inventory refers to it.
func secretFile(t testing.TB, secret string) inventory.SecretRef {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ref, err := inventory.ParseSecretRef("file:" + path)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func knownHostsFile(t testing.TB, address string, keys ...ssh.PublicKey) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "known_hosts")
	var b strings.Builder
	for _, k := range keys {
		b.WriteString(knownhosts.Line([]string{address}, k) + "\n")
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// noSecrets fails when a secret is in anything of what.
func noSecrets(t testing.TB, what ...any) {
	t.Helper()
	for _, w := range what {
		text := fmt.Sprintf("%v %+v %#v", w, w, w)
		for _, s := range []string{canary, canaryEnable} {
			if strings.Contains(text, s) {
				t.Errorf("a secret is in %.200q", text)
			}
		}
	}
}

func name(t testing.TB, s string) iosxe.Name {
	t.Helper()
	n, err := iosxe.ParseName(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func file(t testing.TB, s string) iosxe.File {
	t.Helper()
	f, err := iosxe.ParseFile(s)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func acl(t testing.TB, s string) iosxe.Command {
	t.Helper()
	from, to := netip.MustParseAddr("192.168.1.1"), netip.MustParseAddr("192.168.2.1")
	c, err := iosxe.ACL(name(t, s),
		[]iosxe.Entry{{Protocol: iosxe.UDP, From: from, To: to}, {Protocol: iosxe.UDP, From: to, To: from}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// matching is a fault at the commands that begin with prefix.
func matching(prefix string) *regexp.Regexp {
	return regexp.MustCompile("^" + regexp.QuoteMeta(prefix))
}
