package device

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/moncap/moncap/device/inventory"
	"github.com/moncap/moncap/device/iosxe"
	"github.com/moncap/moncap/device/simulator"
)

// bastion is an OpenSSH server on loopback that lets one key in.
type bastion struct {
	host   inventory.Jump
	key    string // private key file of its user
	signer ed25519.PrivateKey
	public ssh.PublicKey // host key
}

// startBastion runs sshd in the foreground for as long as the test takes.
func startBastion(t *testing.T, options ...string) bastion {
	t.Helper()
	sshd, err := exec.LookPath("sshd")
	if err != nil {
		if sshd, err = exec.LookPath("/usr/sbin/sshd"); err != nil {
			t.Skip("no sshd on this machine")
		}
	}
	me, err := user.Current()
	if err != nil {
		t.Skip("no current user: ", err)
	}
	dir := t.TempDir()
	hostPublic, hostPrivate := newKey(t)
	public, private := newKey(t)
	b := bastion{key: filepath.Join(dir, "id"), signer: private, public: hostPublic}
	writeKey(t, b.key, private, "")
	writeKey(t, filepath.Join(dir, "host"), hostPrivate, "")
	if err := os.WriteFile(filepath.Join(dir, "authorized"), ssh.MarshalAuthorizedKey(public), 0o600); err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	args := []string{"-D", "-e", "-f", "/dev/null", "-p", strconv.Itoa(port), "-h", filepath.Join(dir, "host")}
	for _, o := range append(options, "ListenAddress=127.0.0.1", "AuthorizedKeysFile="+filepath.Join(dir, "authorized"),
		"StrictModes=no", "UsePAM=no",
		"PasswordAuthentication=no", "PidFile=none", "AllowTcpForwarding=yes") {
		args = append(args, "-o", o)
	}
	if os.Geteuid() == 0 {
		_ = os.MkdirAll("/run/sshd", 0o755) // where root's sshd puts itself; without it, the log says so below
	}
	cmd := exec.Command(sshd, args...)
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Skip("sshd does not start: ", err)
	}
	exited := make(chan struct{})
	go func() { _ = cmd.Wait(); close(exited) }() // however it ends
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may be gone
		<-exited
		if t.Failed() {
			t.Logf("sshd: %s", log.String())
		}
	})
	b.host = inventory.Jump{User: me.Username, Host: "127.0.0.1", Port: port}
	if !listening(port, exited) {
		<-exited
		t.Skip("sshd does not listen (as root it needs the directory /run/sshd): ", log.String())
	}
	return b
}

func (b bastion) address() string { return net.JoinHostPort(b.host.Host, strconv.Itoa(b.host.Port)) }

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// listening waits until somebody listens, or the one who should has ended.
func listening(port int, exited <-chan struct{}) bool {
	for {
		c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return c.Close() == nil
		}
		select {
		case <-exited:
			return false
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// behind makes l a router that listens on loopback, with the bastions on the way.
func (l *lab) behind(t *testing.T, address string, way ...bastion) {
	t.Helper()
	if err := l.sim.Listen(t.Context(), address); err != nil {
		t.Skip("cannot listen: ", err)
	}
	l.reach(t, l.sim.Addr())
	lines := []string{knownhosts.Line([]string{l.peer.Address()}, l.sim.HostKey())}
	for _, b := range way {
		l.peer.Jump = append(l.peer.Jump, b.host)
		lines = append(lines, knownhosts.Line([]string{b.address()}, b.public))
	}
	if err := os.WriteFile(l.peer.KnownHosts, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// reach makes l a router at an address of the real network.
func (l *lab) reach(t testing.TB, address string) {
	t.Helper()
	at := netip.MustParseAddrPort(address)
	l.peer.Host, l.peer.Port = at.Addr().String(), int(at.Port())
	l.o.Dial = nil
	l.peer.KnownHosts = knownHostsFile(t, l.peer.Address(), l.sim.HostKey())
}

// works runs a command and a transfer.
func (l *lab) works(t *testing.T, r *Router) {
	t.Helper()
	if level, err := iosxe.ParsePrivilege(l.exec(r, iosxe.ShowPrivilege())); err != nil || level != 15 {
		t.Errorf("level %d, %v", level, err)
	}
	var got bytes.Buffer
	if _, err := r.Fetch(t.Context(), "x.pcap", &got, nil); err != nil || got.String() != "content" {
		t.Errorf("fetched %q, %v", got.String(), err)
	}
}

var flash = map[string][]byte{"x.pcap": []byte("content")}

func TestJumpHosts(t *testing.T) {
	first, second := startBastion(t), startBastion(t)
	// One key for both of them: the second's is let in by the agent.
	keys := agent.NewKeyring()
	for _, b := range []bastion{first, second} {
		if err := keys.Add(agent.AddedKey{PrivateKey: b.signer}); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("SSH_AUTH_SOCK", serveAgent(t, keys))
	l := newLab(t, simulator.Config{Flash: flash})
	l.behind(t, "127.0.0.1:0", first, second)
	r := l.router()
	l.works(t, r)
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	noSecrets(t, l.record.String())

	info, err := ScanHostKey(t.Context(), l.peer, l.o)
	if err != nil || !info.Known {
		t.Errorf("%+v, %v", info, err)
	}
}

func TestJumpHostIsChecked(t *testing.T) {
	b := startBastion(t)
	keys := agent.NewKeyring()
	t.Setenv("SSH_AUTH_SOCK", serveAgent(t, keys))
	l := newLab(t, simulator.Config{Flash: flash})
	l.behind(t, "127.0.0.1:0", b)

	err := l.router().Open(t.Context())
	if e, ok := errors.AsType[*Error](err); !ok || !errors.Is(err, errNoAuth) ||
		!strings.Contains(err.Error(), b.address()) || !e.Lasting() {
		t.Errorf("a jump host that lets nobody in: %v", err)
	}
	// The router's password is not for the jump host.
	l.o.Ask = func(string, bool) (string, error) { return "", errors.New("no") }
	noSecrets(t, err, l.record.String())

	if err := os.WriteFile(l.peer.KnownHosts, []byte(knownhosts.Line([]string{l.peer.Address()}, l.sim.HostKey())+"\n"),
		0o600); err != nil {
		t.Fatal(err)
	}
	if err := l.router().Open(t.Context()); !errors.Is(err, errUnknownHost) ||
		!strings.Contains(err.Error(), b.address()) {
		t.Errorf("a jump host that is not known: %v", err)
	}
}

func TestJumpHostThatForwardsNothing(t *testing.T) {
	b := startBastion(t, "AllowTcpForwarding=no")
	keys := agent.NewKeyring()
	if err := keys.Add(agent.AddedKey{PrivateKey: b.signer}); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSH_AUTH_SOCK", serveAgent(t, keys))
	l := newLab(t, simulator.Config{})
	l.behind(t, "127.0.0.1:0", b)
	if err := l.router().Open(t.Context()); err == nil || !strings.Contains(err.Error(), "prohibited") {
		t.Error(err)
	}
}

func TestAgentForTheRouter(t *testing.T) {
	public, private := newKey(t)
	keys := agent.NewKeyring()
	if err := keys.Add(agent.AddedKey{PrivateKey: private}); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSH_AUTH_SOCK", serveAgent(t, keys))
	l := newLab(t, simulator.Config{AuthorizedKeys: []ssh.PublicKey{public}})
	l.peer.Agent, l.peer.Password = true, inventory.SecretRef{}
	if err := l.router().Open(t.Context()); err != nil {
		t.Error(err)
	}
	// With many keys in the agent, only the one that is named is offered, and its file not even read.
	for range 8 {
		_, other := newKey(t)
		if err := keys.Add(agent.AddedKey{PrivateKey: other}); err != nil {
			t.Fatal(err)
		}
	}
	_, last := newKey(t)
	if err := keys.Remove(public); err != nil {
		t.Fatal(err)
	}
	for _, k := range []ed25519.PrivateKey{last, private} {
		if err := keys.Add(agent.AddedKey{PrivateKey: k}); err != nil {
			t.Fatal(err)
		}
	}
	err := l.router().Open(t.Context())
	if e, ok := errors.AsType[*Error](err); !ok || !strings.Contains(e.Hint(), "key_file") {
		t.Errorf("all keys: %v", err)
	}
	l.peer.KeyFile = filepath.Join(t.TempDir(), "id")
	if err := os.WriteFile(l.peer.KeyFile+".pub", ssh.MarshalAuthorizedKey(public), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := l.router().Open(t.Context()); err != nil {
		t.Error(err)
	}
	t.Setenv("SSH_AUTH_SOCK", "")
	if err := l.router().Open(t.Context()); err == nil || !strings.Contains(err.Error(), "SSH_AUTH_SOCK") {
		t.Error(err)
	}
}

// What the user's ssh_config says holds for names that the inventory uses, and known_hosts is asked
// for the real ones.
func TestSSHConfig(t *testing.T) {
	b := startBastion(t)
	l := newLab(t, simulator.Config{Flash: flash})
	l.behind(t, "127.0.0.1:0", b)
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("SSH_AUTH_SOCK", "")
	config := fmt.Sprintf(`
Host edge
  HostName %s
  Port %d
  ProxyJump hop
Host hop
  HostName 127.0.0.1
  User %s
  Port %d
  IdentityFile %s
`, l.peer.Host, l.peer.Port, b.host.User, b.host.Port, b.key)
	if err := os.Mkdir(filepath.Join(home, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, ".ssh", "config"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	l.peer.Host, l.peer.Port, l.peer.Jump, l.peer.SSHConfig = "edge", 22, nil, true
	l.works(t, l.router())
	info, err := ScanHostKey(t.Context(), l.peer, l.o)
	if err != nil || !info.Known {
		t.Errorf("%+v, %v", info, err)
	}

	l.peer.SSHConfig = false
	if err := l.router().Open(t.Context()); err == nil {
		t.Error("ssh_config was read without being asked for")
	}
}

func TestIPv6(t *testing.T) {
	l := newLab(t, simulator.Config{Flash: flash})
	l.behind(t, "[::1]:0")
	l.works(t, l.router())
}

func TestProxyJump(t *testing.T) {
	tests := map[string][]hop{
		"":                             nil,
		"none":                         nil,
		"bastion":                      {{host: "bastion", port: 22}},
		"ops@bastion:2222":             {{user: "ops", host: "bastion", port: 2222}},
		"a, ssh://ops@[2001:db8::1]:9": {{host: "a", port: 22}, {user: "ops", host: "2001:db8::1", port: 9}},
	}
	for list, want := range tests {
		got, err := proxyJumps(list)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%q: %v, %v", list, got, err)
		}
	}
	lines, err := parseConfig("config", `
Host inner
  ProxyJump outer,second
Host outer
  HostName 192.0.2.1
  ProxyJump outermost
Host second
  ProxyJump ignored
Host round
  ProxyJump about
Host about
  ProxyJump round
`, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	for list, want := range map[string]string{"inner": "outermost 192.0.2.1 second inner", "second": "ignored second",
		"round": "circle"} {
		all, err := (&sshConfig{lines: lines}).configureJumps([]hop{{host: list, port: 22}}, 0)
		got := fmt.Sprint(err)
		if err == nil {
			var names []string
			for _, h := range all {
				names = append(names, h.host)
			}
			got = strings.Join(names, " ")
		}
		if !strings.Contains(got, want) {
			t.Errorf("%s: the way is %s, want %s", list, got, want)
		}
	}
	if _, err := proxyJumps("bastion:nonsense"); err == nil {
		t.Error("a port that is none")
	}
}

// serveAgent offers keys on a socket, as ssh-agent does.
func serveAgent(t *testing.T, keys agent.Agent) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "agent") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _ = agent.ServeAgent(keys, c); c.Close() }()
		}
	}()
	return l.Addr().String()
}
