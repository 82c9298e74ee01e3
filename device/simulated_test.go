package device_test

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"

	"github.com/moncap/moncap/device"
	"github.com/moncap/moncap/device/inventory"
	"github.com/moncap/moncap/device/iosxe"
	"github.com/moncap/moncap/device/simulator"
)

const canary = "c4n4ry-Pa55"

// rig is a simulated router on loopback and the peer that leads to it.
type rig struct {
	sim  *simulator.Router
	peer inventory.Peer
}

func newRig(t testing.TB, c simulator.Config) rig {
	t.Helper()
	if c.Hostname == "" {
		c.Hostname = "site-A"
	}
	c.Password = canary
	sim, err := simulator.New(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := sim.Listen(t.Context(), "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sim.Close() })
	host, port, err := net.SplitHostPort(sim.Addr())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	known := filepath.Join(dir, "known_hosts")
	line := knownhosts.Line([]string{sim.Addr()}, sim.HostKey())
	if err := os.WriteFile(known, []byte(line+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(dir, "password")
	if err := os.WriteFile(secret, []byte(canary+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ref, err := inventory.ParseSecretRef("file:" + secret)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return rig{sim, inventory.Peer{Name: "site-a", Host: host, Port: n, Username: "moncap", Password: ref,
		KnownHosts: known, HostKey: inventory.HostKeyStrict}}
}

func (r rig) router(t testing.TB, o device.Options) *device.Router {
	t.Helper()
	d := device.New(r.peer, o)
	t.Cleanup(func() { d.Close() })
	return d
}

func mustExec(t testing.TB, r *device.Router, cmd iosxe.Command) string {
	t.Helper()
	out, err := r.Exec(t.Context(), cmd)
	if err != nil {
		t.Fatalf("%s: %v", cmd.Lines[0], err)
	}
	return out
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

// Of what the router's process writes about everything the transcript has what is IKE's; what the
// router refuses it has whole.
func TestTranscriptHasAnExcerptOfTheBinaryTrace(t *testing.T) {
	for version, want := range map[string]struct{ has, lacks string }{
		"17.9.4a": {"[ikev2] [16352]: (ERR): no profile", "[parser]"},
		"16.12.5": {"Invalid input", "it is recorded what follows"},
	} {
		var log bytes.Buffer
		r := newRig(t, simulator.Config{Version: version,
			Drops: []simulator.Drop{{Where: simulator.BinaryTrace, Name: "no profile", During: 1}}}).
			router(t, device.Options{Record: &log})
		point, err := iosxe.DefineCapture(iosxe.CapturePoint{Name: name(t, "mc1"), ControlPlane: true, UDPOnly: true,
			BufferMB: 1, Duration: 60e9, Packets: 9,
			Local: netip.MustParseAddr("192.0.2.1"), Remote: netip.MustParseAddr("192.0.2.2")})
		if err != nil {
			t.Fatal(err)
		}
		for _, cmd := range append(point, iosxe.StartCapture(name(t, "mc1"))) {
			mustExec(t, r, cmd)
		}
		out, err := r.Exec(t.Context(), iosxe.BinaryTrace(iosxe.MostTraced, netip.MustParseAddr("192.0.2.2")))
		if refused := version[:2] == "16"; (err != nil) != refused {
			t.Fatalf("%s: %q, %v", version, out, err)
		}
		if err == nil && !strings.Contains(out, want.lacks) {
			t.Errorf("%s: what the router said is cut: %q", version, out)
		}
		if said := log.String(); !strings.Contains(said, want.has) || strings.Contains(said, want.lacks) {
			t.Errorf("%s: the transcript has %q, or lacks %q:\n%s", version, want.lacks, want.has, said)
		}
	}
}

func TestExec(t *testing.T) {
	var log bytes.Buffer
	r := newRig(t, simulator.Config{}).router(t, device.Options{Record: &log})
	v, err := iosxe.ParseVersion(mustExec(t, r, iosxe.ShowVersion()))
	if err != nil || !strings.HasPrefix(v.Software, "16.12") {
		t.Errorf("version %+v, %v", v, err)
	}
	if r.Hostname() != "site-A" {
		t.Errorf("hostname %q", r.Hostname())
	}
	acl, err := iosxe.ACL(name(t, "mc1"),
		[]iosxe.Entry{{Protocol: iosxe.UDP, From: netip.MustParseAddr("192.0.2.1"), To: netip.MustParseAddr("192.0.2.2")}})
	if err != nil {
		t.Fatal(err)
	}
	mustExec(t, r, acl)
	lists := iosxe.ParseAccessLists(mustExec(t, r, iosxe.ShowACL(name(t, "mc1"))))
	if len(lists) != 1 || len(lists[0].Entries) != 1 {
		t.Errorf("access lists %+v", lists)
	}
	mustExec(t, r, iosxe.NoACL(name(t, "mc1"), false))
	if strings.Contains(log.String(), canary) {
		t.Error("the password is in the transcript")
	}
	for _, want := range []string{"> show version", "> configure terminal", "> end"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the transcript lacks %q", want)
		}
	}
}

func TestIdentity(t *testing.T) {
	g := newRig(t, simulator.Config{})
	r := g.router(t, device.Options{})
	if hostname, key := r.Identity(); hostname != "" || key != "" {
		t.Errorf("before a session: %q, %q", hostname, key)
	}
	mustExec(t, r, iosxe.ShowClock())
	if hostname, key := r.Identity(); hostname != "site-A" || key != ssh.FingerprintSHA256(g.sim.HostKey()) {
		t.Errorf("%q, %q", hostname, key)
	}
}

func TestExecAllTellsOfEachCommand(t *testing.T) {
	r := newRig(t, simulator.Config{}).router(t, device.Options{})
	cmds := []iosxe.Command{iosxe.ShowClock(), iosxe.DirFile(file(t, "nope.pcap")),
		{Name: "reload", Lines: []string{"reload"}}, iosxe.ShowPrivilege()}
	var told []int
	r.ExecAll(t.Context(), cmds, func(i int, out string, err error) {
		told = append(told, i)
		_, refused := errors.AsType[*iosxe.Refusal](err)
		switch {
		case i == 1 && !refused, i == 2 && err == nil, i%3 == 0 && err != nil:
			t.Errorf("%s: %q, %v", cmds[i].Name, out, err)
		case i == 3:
			if level, err := iosxe.ParsePrivilege(out); level != 15 || err != nil {
				t.Errorf("%q", out)
			}
		}
	})
	if !slices.Equal(told, []int{0, 1, 2, 3}) {
		t.Errorf("told of %v", told)
	}
}

func TestRefusalsAreErrorsAndTheSessionLives(t *testing.T) {
	r := newRig(t, simulator.Config{}).router(t, device.Options{})
	_, err := r.Exec(t.Context(), iosxe.StartCapture(name(t, "nope")))
	refusal, ok := errors.AsType[*iosxe.Refusal](err)
	if !ok || refusal.Kind != iosxe.Missing {
		t.Fatalf("got %v", err)
	}
	if e, ok := errors.AsType[*device.Error](err); !ok || e.SessionLost() || e.Peer != "site-a" {
		t.Errorf("got %#v", err)
	}
	mustExec(t, r, iosxe.ShowClock())
}

func TestUnlistedCommandsAreNotSent(t *testing.T) {
	g := newRig(t, simulator.Config{})
	r := g.router(t, device.Options{})
	if _, err := r.Exec(t.Context(), iosxe.Command{Name: "reload", Lines: []string{"reload"}}); err == nil {
		t.Error("reload was sent")
	}
	if len(g.sim.Commands()) != 0 {
		t.Errorf("sent: %q", g.sim.Commands())
	}
}

func TestFetch(t *testing.T) {
	body := bytes.Repeat([]byte("moncap\x00\xff"), 40000)
	for _, form := range []string{"", "slash", "plain", "bare"} {
		g := newRig(t, simulator.Config{Flash: map[string][]byte{"x.pcap": body}, Knobs: simulator.Knobs{SCPPath: form}})
		var got bytes.Buffer
		var last int64
		n, err := g.router(t, device.Options{}).Fetch(t.Context(), "bootflash:x.pcap", &got, func(done, total int64) {
			if total != int64(len(body)) {
				t.Errorf("total %d", total)
			}
			last = done
		})
		if err != nil || n != int64(len(body)) || !bytes.Equal(got.Bytes(), body) || last != n {
			t.Errorf("path form %q: %d bytes, progress %d, %v", form, n, last, err)
		}
	}
}

func TestSCPThatIsOffIsARefusal(t *testing.T) {
	g := newRig(t, simulator.Config{Knobs: simulator.Knobs{NoSCP: true}, Flash: map[string][]byte{"x.pcap": {1}}})
	_, err := g.router(t, device.Options{}).Fetch(t.Context(), "x.pcap", &bytes.Buffer{}, nil)
	if _, ok := errors.AsType[*iosxe.Refusal](err); !ok {
		t.Errorf("got %v", err)
	}
}

func TestARefusedPasswordIsSentOnce(t *testing.T) {
	g := newRig(t, simulator.Config{})
	g.peer.Username = "somebody"
	lockout := device.NewLockout()
	for i := range 3 {
		r := g.router(t, device.Options{Lockout: lockout})
		err := r.Open(t.Context())
		if err == nil {
			t.Fatal("logged in")
		}
		if e, ok := errors.AsType[*device.Error](err); !ok || !e.Lasting() || e.Hint() == "" && i == 0 {
			t.Errorf("got %v", err)
		}
		if strings.Contains(err.Error(), canary) {
			t.Error("the error has the password")
		}
		if i > 0 && !strings.Contains(err.Error(), "refused before") {
			t.Errorf("sent again: %v", err)
		}
		if i > 0 && !strings.Contains(err.Error(), "(refused by "+g.peer.Address()+")") {
			t.Errorf("who refused it is not said: %v", err)
		}
	}
}

func TestHostKeys(t *testing.T) {
	g := newRig(t, simulator.Config{})
	known := g.peer.KnownHosts
	if err := os.Remove(known); err != nil {
		t.Fatal(err)
	}
	err := g.router(t, device.Options{}).Open(t.Context())
	if err == nil || !strings.Contains(err.Error(), "not known") ||
		!strings.Contains(err.(*device.Error).Hint(), "moncap trust site-a") {
		t.Fatalf("unknown host: %v", err)
	}
	info, err := device.ScanHostKey(t.Context(), g.peer, device.Options{})
	if err != nil || info.Known || info.Changed || !strings.HasPrefix(info.Fingerprint, "SHA256:") {
		t.Fatalf("scan: %+v, %v", info, err)
	}
	if err := device.AcceptHostKey(g.peer, info); err != nil {
		t.Fatal(err)
	}
	if err := g.router(t, device.Options{}).Open(t.Context()); err != nil {
		t.Errorf("after trust: %v", err)
	}
	other := newRig(t, simulator.Config{})
	line := knownhosts.Line([]string{g.sim.Addr()}, other.sim.HostKey())
	if err := os.WriteFile(known, []byte(line+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	err = g.router(t, device.Options{}).Open(t.Context())
	if err == nil || !strings.Contains(err.Error(), "not the one that is known") {
		t.Errorf("changed key: %v", err)
	}
	info, err = device.ScanHostKey(t.Context(), g.peer, device.Options{})
	if err != nil || !info.Changed || device.AcceptHostKey(g.peer, info) == nil {
		t.Errorf("a changed key: %+v, %v", info, err)
	}
	g.peer.KnownHosts = filepath.Join(t.TempDir(), "new")
	g.peer.HostKey = inventory.HostKeyAcceptNew
	if err := g.router(t, device.Options{}).Open(t.Context()); err != nil {
		t.Errorf("accept-new: %v", err)
	}
	g.peer.HostKey = inventory.HostKeyStrict
	if err := g.router(t, device.Options{}).Open(t.Context()); err != nil {
		t.Errorf("accept-new did not record the key: %v", err)
	}
}

func TestExpectedHostname(t *testing.T) {
	g := newRig(t, simulator.Config{Hostname: "other"})
	g.peer.ExpectHostname = "site-A"
	err := g.router(t, device.Options{}).Open(t.Context())
	if err == nil || !strings.Contains(err.Error(), `calls itself "other"`) {
		t.Errorf("got %v", err)
	}
}

func TestEnable(t *testing.T) {
	g := newRig(t, simulator.Config{Privilege: 1, Enable: "en4ble-c4n4ry"})
	t.Setenv("DEVICE_TEST_ENABLE", "en4ble-c4n4ry")
	ref, err := inventory.ParseSecretRef("env:DEVICE_TEST_ENABLE")
	if err != nil {
		t.Fatal(err)
	}
	g.peer.Enable = ref
	var log bytes.Buffer
	r := g.router(t, device.Options{Record: &log})
	if n, err := iosxe.ParsePrivilege(mustExec(t, r, iosxe.ShowPrivilege())); err != nil || n != 15 {
		t.Errorf("privilege %d, %v", n, err)
	}
	if strings.Contains(log.String(), "en4ble") {
		t.Error("the enable secret is in the transcript")
	}
	t.Setenv("DEVICE_TEST_ENABLE", "wrong")
	if err := g.router(t, device.Options{}).Open(t.Context()); err == nil {
		t.Error("a wrong enable secret was taken")
	}
}

func TestRenamedRouter(t *testing.T) {
	g := newRig(t, simulator.Config{})
	g.peer.ExpectHostname = "site-A"
	r := g.router(t, device.Options{})
	mustExec(t, r, iosxe.ShowVersion())
	g.sim.SetHostname("renamed")
	if _, err := iosxe.ParseClock(mustExec(t, r, iosxe.ShowClock())); err != nil {
		t.Error(err)
	}
	if r.Hostname() != "renamed" {
		t.Errorf("hostname %q", r.Hostname())
	}
	// It is still the router that was meant, also in a new session.
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	mustExec(t, r, iosxe.ShowClock())
}

func BenchmarkExec(b *testing.B) {
	r := newRig(b, simulator.Config{}).router(b, device.Options{})
	mustExec(b, r, iosxe.ShowClock())
	for b.Loop() {
		if _, err := r.Exec(b.Context(), iosxe.ShowClock()); err != nil {
			b.Fatal(err)
		}
	}
}
