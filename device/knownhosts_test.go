package device

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/moncap/moncap/device/inventory"
	"github.com/moncap/moncap/device/simulator"
)

// Lines that are not of our time, nor of any, are left out with one warning; OpenSSH logs in, and
// so do we.
func TestKnownHostsLinesThatAreNotUnderstood(t *testing.T) {
	for name, line := range map[string]string{
		"a new type": "[127.0.0.2]:3201 ssh-mldsa44 AAAAC3NzaC1tbGRzYTQ0AAAABGFiY2Q=",
		"SSH 1":      "10.0.0.8 1024 35 14890012345678901234567890", "junk": "this is not a line",
		"a cut key": "10.0.0.9 ssh-dss AAAAB3NzaC1kc3MAAACBAJ3z", "a marker": "@retired 10.0.0.9 ssh-ed25519 AAAA",
		"a bad hash": "|1|x|y ssh-ed25519 AAAA", "few words": "10.0.0.9",
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, simulator.Config{})
			l.known(line + "\n" + knownhosts.Line([]string{"192.0.2.10:22"}, l.sim.HostKey()) + "\n" + line)
			r := l.router()
			for range 2 {
				if err := r.Open(t.Context()); err != nil {
					t.Fatal(err)
				}
				if err := r.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if n := strings.Count(l.record.String(), "lines that are not understood"); n != 1 ||
				!strings.Contains(l.record.String(), "line 1: ") || !strings.Contains(l.record.String(), "line 3: ") {
				t.Errorf("%d warnings:\n%s", n, l.record.String())
			}
		})
	}
	l := newLab(t, simulator.Config{})
	l.known("@revoked * ssh-mldsa44 AAAAC3NzaC1tbGRzYTQ0AAAABGFiY2Q=\n" + knownhosts.Line([]string{"192.0.2.10:22"},
		l.sim.HostKey()))
	if err := l.router().Open(t.Context()); !errors.Is(err, errRevokedLine) || l.dialled() != 0 {
		t.Errorf("a @revoked line: %v", err)
	}
}

// known makes text the known_hosts file.
func (l *lab) known(text string) {
	l.t.Helper()
	if err := os.WriteFile(l.peer.KnownHosts, []byte(text+"\n"), 0o600); err != nil {
		l.t.Fatal(err)
	}
}

// A key that is known for another port is said so: a forwarded port, or a line that was entered
// without it.
func TestAKeyThatIsKnownForAnotherPort(t *testing.T) {
	l := newLab(t, simulator.Config{})
	other := newSigner(t).PublicKey()
	for _, tt := range []struct {
		port        int
		line        string
		key         ssh.PublicKey
		says, never string
	}{
		{2222, "192.0.2.10", l.sim.HostKey(), "line 1 has the same key for 192.0.2.10", ""},
		{22, "[192.0.2.10]:2222", l.sim.HostKey(), "line 1 has the same key for [192.0.2.10]:2222", ""},
		{2222, "[192.0.2.10]:2223", other, "line 1 has another key for [192.0.2.10]:2223", ""},
		{22, "192.0.2.11", l.sim.HostKey(), l.peer.KnownHosts, "line 1"},
	} {
		l.peer.Port = tt.port
		l.known(tt.line + " " + strings.TrimSpace(string(ssh.MarshalAuthorizedKey(tt.key))))
		err := l.router().Open(t.Context())
		if !errors.Is(err, errUnknownHost) || !strings.Contains(err.Error(), tt.says) ||
			tt.never != "" && strings.Contains(err.Error(), tt.never) {
			t.Errorf("%s, port %d: %v", tt.line, tt.port, err)
		}
	}
}

// The names that ssh-keygen finds in a file are those that we find, and no others.
func TestKnownHostsAsOpenSSH(t *testing.T) {
	keygen, err := exec.LookPath("ssh-keygen")
	if err != nil {
		t.Skip("OpenSSH is not installed")
	}
	key := newSigner(t).PublicKey()
	text := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
	addresses := []string{"r1:22", "R1.Example:22", "r1.example:2222", "192.0.2.10:22", "192.0.2.10:3201",
		"[2001:DB8:0:0::1]:22", "[2001:db8::1]:3201", "localhost:3201"}
	names := []string{
		"r1", "R1.EXAMPLE", "*.example", "!r1.example,*.example", "[r1.example]:2222", "[*.Example]:2222", "192.0.2.10",
		"192.0.2.*", "[192.0.2.10]:3201", "2001:db8::1",
		"[2001:db8::1]:3201", "[LocalHost]:3201", "r?", "r1,[localhost]:3201", knownhosts.HashHostname("r1.example"),
		knownhosts.HashHostname("[localhost]:3201"), knownhosts.HashHostname("2001:db8::1"),
	}
	for _, name := range names {
		file := filepath.Join(t.TempDir(), "known_hosts")
		if err := os.WriteFile(file, []byte(name+" "+text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, address := range addresses {
			r := New(inventory.Peer{KnownHosts: file}, Options{})
			h, err := r.loadHostKeys(inventory.HostKeyStrict, address)
			if err != nil {
				t.Fatal(err)
			}
			host, port, err := net.SplitHostPort(canonicalAddress(address))
			if err != nil {
				t.Fatal(err)
			}
			if port != "22" {
				host = fmt.Sprintf("[%s]:%s", host, port)
			}
			want := exec.CommandContext(t.Context(), keygen, "-F", host, "-f", file).Run() == nil
			if got := h.known(&net.TCPAddr{}, key) == nil; got != want && !(got && strings.Contains(name, "*")) {
				t.Errorf("%s in a line of %s: found %v, ssh-keygen %v", address, name, got, want)
			}
		}
	}
}

// A disk without room for a copy of the file must not keep anybody from cleaning a router up.
func TestKnownHostsWithoutRoom(t *testing.T) {
	l := newLab(t, simulator.Config{})
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "missing"))
	if err := l.router().Open(t.Context()); err != nil {
		t.Error(err)
	}
}
