package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/report"
)

// bed is three network namespaces: two gateways, each with a daemon that negotiates, and a router
// between them with a firewall. The simulated routers capture at the two ends of that router, and
// moncap runs there as well.
//
//	gateway A (wa) --- (wa) middle (wb) --- (wb) gateway B
type bed struct {
	t       *testing.T
	dir     string
	ns      map[string]string // "a", "b" and "m": the middle
	nat     bool
	daemons map[string]*child
}

// What the gateways are called and what they protect. With a NAT, A has an address that B never
// sees.
var (
	bedA, bedNAT  = netip.MustParseAddr("198.51.100.10"), netip.MustParseAddr("203.0.113.1")
	bedB          = netip.MustParseAddr("203.0.113.20")
	bedProtectedA = "10.1.0.1"
	bedProtectedB = "10.2.0.1"
)

// needsForBed says why there can be no bed on this machine, or nothing.
func needsForBed() string {
	if os.Getuid() != 0 {
		return "network namespaces need root"
	}
	for _, tool := range []string{"ip", "nft", "ethtool", "ping", "charon-systemd", "swanctl"} {
		if _, err := exec.LookPath(tool); err != nil {
			return tool + " is not installed"
		}
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		return "there is no /dev/net/tun, through which the daemon's own ESP goes"
	}
	probe := bedName(0, "x")
	if out, err := exec.Command("ip", "netns", "add", probe).CombinedOutput(); err != nil {
		return "no network namespaces here: " + strings.TrimSpace(string(out))
	}
	if out, err := exec.Command("ip", "netns", "del", probe).CombinedOutput(); err != nil {
		return "no network namespaces here: " + strings.TrimSpace(string(out))
	}
	return ""
}

const bedPrefix = "moncap-lab-"

func bedName(n int64, end string) string {
	return fmt.Sprintf("%s%d-%d%s", bedPrefix, os.Getpid(), n, end)
}

// sweepBeds removes what a test left that was killed: its namespaces carry the number of its
// process.
func sweepBeds(t *testing.T) {
	entries, err := os.ReadDir("/run/netns")
	if err != nil {
		return // there never was a namespace
	}
	for _, e := range entries {
		rest, ours := strings.CutPrefix(e.Name(), bedPrefix)
		pid, err := strconv.Atoi(strings.Split(rest, "-")[0])
		if ours && err == nil && !isTest(pid) {
			t.Log("removing", e.Name(), "of an earlier lab")
			removeNamespace(e.Name())
		}
	}
}

// isTest says whether a process is a test like this one. One that is dead and not yet waited for has no
// program any more.
func isTest(pid int) bool {
	theirs, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	own, _ := os.Executable()
	return err == nil && filepath.Base(theirs) == filepath.Base(own)
}

// removeNamespace ends what still runs in a namespace of ours, and removes it.
func removeNamespace(name string) {
	out, _ := exec.Command("ip", "netns", "pids", name).Output()
	for _, field := range strings.Fields(string(out)) {
		if pid, err := strconv.Atoi(field); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	_ = exec.Command("ip", "netns", "del", name).Run()
}

// newBed makes the namespaces and what connects them. All of it is gone when the test ends.
func newBed(ctx context.Context, t *testing.T, n int64, nat bool) *bed {
	t.Helper()
	b := &bed{t: t, dir: t.TempDir(), ns: map[string]string{}, nat: nat, daemons: map[string]*child{}}
	for _, x := range []string{"a", "b", "m"} {
		name := bedName(n, x)
		b.ns[x] = name
		t.Cleanup(func() { removeNamespace(name) })
		b.must(ctx, "ip", "netns", "add", name)
		b.must(ctx, "ip", "-n", name, "link", "set", "lo", "up")
	}
	gateA := netip.MustParseAddr("198.51.100.1")
	b.wire(ctx, "a", bedA, gateA, bedProtectedA)
	b.wire(ctx, "b", bedB, bedNAT, bedProtectedB)
	b.inside(ctx, "m", "sysctl", "-qw", "net.ipv4.ip_forward=1")
	// `early` comes before fragments are put together, for NAT does that.
	b.nft(ctx, "m", `table inet lab {
 chain early { type filter hook prerouting priority -450; }
 chain way { type filter hook forward priority 0; }
 chain out { type filter hook output priority 0; }
}`)
	for _, x := range []string{"a", "b"} {
		b.nft(ctx, x, "table inet lab {\n chain out { type filter hook output priority 0; }\n}")
	}
	if nat {
		b.nft(ctx, "m", `table ip translate {
 chain way {
  type nat hook postrouting priority 100
  oifname "wb" masquerade
 }
}`)
	}
	return b
}

// wire connects a gateway with the middle. Checksums are made in software, for the captures shall
// have them.
func (b *bed) wire(ctx context.Context, x string, address, gate netip.Addr, protected string) {
	gw, middle, dev := b.ns[x], b.ns["m"], "w"+x
	b.must(ctx, "ip", "link", "add", dev, "netns", gw, "type", "veth", "peer", "name", dev, "netns", middle)
	b.must(ctx, "ip", "-n", gw, "addr", "add", address.String()+"/24", "dev", dev)
	b.must(ctx, "ip", "-n", gw, "addr", "add", protected+"/32", "dev", "lo")
	b.must(ctx, "ip", "-n", middle, "addr", "add", gate.String()+"/24", "dev", dev)
	for _, ns := range []string{gw, middle} {
		b.must(ctx, "ip", "-n", ns, "link", "set", dev, "up")
		b.must(ctx, "ip", "netns", "exec", ns, "ethtool", "-K", dev, "tx", "off")
	}
	b.must(ctx, "ip", "-n", gw, "route", "add", "default", "via", gate.String())
}

func (b *bed) must(ctx context.Context, name string, args ...string) {
	b.t.Helper()
	if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		b.t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
}

// inside runs a command in a namespace.
func (b *bed) inside(ctx context.Context, x string, args ...string) {
	b.t.Helper()
	b.must(ctx, "ip", append([]string{"netns", "exec", b.ns[x]}, args...)...)
}

// nft loads rules in a namespace.
func (b *bed) nft(ctx context.Context, x, rules string) {
	b.t.Helper()
	c := exec.CommandContext(ctx, "ip", "netns", "exec", b.ns[x], "nft", "-f", "-")
	c.Stdin = strings.NewReader(rules)
	if out, err := c.CombinedOutput(); err != nil {
		b.t.Errorf("nft: %v: %s\n%s", err, out, rules)
	}
}

// rule adds a rule to a chain of the middle: way (what passes), early (fragments too), out (its
// own ICMP).
func (b *bed) rule(ctx context.Context, chain, rule string) {
	b.t.Helper()
	b.nft(ctx, "m", fmt.Sprintf("add rule inet lab %s %s", chain, rule))
}

// child is a process in a namespace.
type child struct {
	cmd  *exec.Cmd
	done chan struct{}
	once sync.Once
}

// spawn starts a process in a namespace, which ends with the test. The `ip` that starts it becomes
// it, so that its number is known.
func (b *bed) spawn(x string, c *exec.Cmd) *child {
	b.t.Helper()
	path, err := exec.LookPath("ip")
	if err != nil {
		b.t.Fatal(err)
	}
	c.Args = append([]string{"ip", "netns", "exec", b.ns[x], c.Path}, c.Args[1:]...)
	c.Path = path
	c.WaitDelay = 2 * time.Second
	if err := c.Start(); err != nil {
		b.t.Fatal(err)
	}
	p := &child{cmd: c, done: make(chan struct{})}
	go func() { defer close(p.done); _ = c.Wait() }()
	b.t.Cleanup(p.end)
	return p
}

// end asks the process to end, and kills it if it does not.
func (p *child) end() {
	p.once.Do(func() {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.done:
		case <-time.After(5 * time.Second):
			_ = p.cmd.Process.Kill()
			<-p.done
		}
	})
}

// kill takes the process away at once, without a last word to its peers.
func (p *child) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// gateway is how one side is configured: the connection as swanctl.conf(5) has it, and what
// strongswan.conf(5) has besides.
type gateway struct {
	absent        bool // no daemon runs
	version       int
	ike, esp      string
	key           string
	id, peerID    string
	peer          string // the address it talks to; empty: the peer's
	local, remote string // what it protects

	connection, child, daemon []string // further settings
}

func gatewayOf(x string) gateway {
	g := gateway{version: 2, ike: "aes256-sha256-modp2048", esp: "aes256-sha256", key: "a-key-for-practice",
		id: "a.example", peerID: "b.example", local: bedProtectedA + "/32", remote: bedProtectedB + "/32"}
	if x == "b" {
		g.id, g.peerID, g.local, g.remote = g.peerID, g.id, g.remote, g.local
	}
	return g
}

// section writes a section of strongSwan's configuration: a setting a line.
func section(name string, settings ...string) string {
	return name + " {\n" + strings.Join(settings, "\n") + "\n}"
}

// daemonText is strongswan.conf. Its own ESP (kernel-libipsec) works on kernels without; it always
// encapsulates in UDP.
func (g gateway) daemonText(dir string) string {
	settings := append([]string{
		"load = random nonce openssl kdf sha1 sha2 aes hmac gmp kernel-libipsec kernel-netlink socket-default updown vici",
		"retransmit_timeout = 1", "retransmit_base = 1.4", "retransmit_tries = 3", "retry_initiate_interval = 0",
		section("plugins", section("vici", "socket = unix://"+filepath.Join(dir, "vici")),
			section("kernel-libipsec", "allow_peer_ts = yes")),
		section("filelog", section("log", "path = "+filepath.Join(dir, "log"), "default = 1", "flush_line = yes")),
	}, g.daemon...)
	return section("charon-systemd", settings...) + "\n" + section("swanctl", "load = random openssl") + "\n"
}

// connectionText is swanctl.conf.
func (g gateway) connectionText(own, peer string) string {
	child := append([]string{"local_ts = " + g.local, "remote_ts = " + g.remote, "esp_proposals = " + g.esp}, g.child...)
	settings := append([]string{
		"version = " + strconv.Itoa(g.version), "local_addrs = " + own, "remote_addrs = " + peer, "proposals = " + g.ike,
		section("local", "auth = psk", "id = "+g.id), section("remote", "auth = psk", "id = "+g.peerID),
		section("children", section("lab", child...)),
	}, g.connection...)
	secrets := section("secrets", section("ike-1", `secret = "`+g.key+`"`))
	return section("connections", section("lab", settings...)) + "\n" + secrets + "\n"
}

// addresses are a side's own and the one it knows its peer by.
func (b *bed) addresses(x string, g gateway) (own, peer string) {
	own, peer = bedA.String(), bedB.String()
	if x == "b" {
		own, peer = bedB.String(), bedA.String()
		if b.nat {
			peer = "%any"
		}
	}
	if g.peer != "" {
		peer = g.peer
	}
	return own, peer
}

// daemon starts strongSwan on a side and loads its connection.
func (b *bed) daemon(ctx context.Context, x string, g gateway) {
	b.t.Helper()
	dir := filepath.Join(b.dir, x)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		b.t.Fatal(err)
	}
	own, peer := b.addresses(x, g)
	b.write(filepath.Join(dir, "strongswan.conf"), g.daemonText(dir))
	b.write(filepath.Join(dir, "swanctl.conf"), g.connectionText(own, peer))
	notify := filepath.Join(dir, "notify")
	ready, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: notify, Net: "unixgram"})
	if err != nil {
		b.t.Fatal(err)
	}
	defer ready.Close()
	path, _ := exec.LookPath("charon-systemd")
	c := exec.Command(path)
	c.Env = append(os.Environ(), "STRONGSWAN_CONF="+filepath.Join(dir, "strongswan.conf"), "NOTIFY_SOCKET="+notify)
	b.daemons[x] = b.spawn(x, c)
	// sd_notify(3): the daemon says when it is ready.
	_ = ready.SetReadDeadline(time.Now().Add(30 * time.Second))
	said := make([]byte, 512)
	for n := 0; !strings.Contains(string(said[:n]), "READY=1"); {
		if n, err = ready.Read(said); err != nil {
			log, _ := os.ReadFile(filepath.Join(dir, "log"))
			b.t.Fatalf("the daemon of side %s does not start: %v\n%s", x, err, log)
		}
	}
	out, err := b.swanctl(ctx, x, "--load-all", "--noprompt", "--file", filepath.Join(dir, "swanctl.conf"))
	if err != nil {
		b.t.Fatalf("swanctl: %v: %s", err, out)
	}
}

func (b *bed) write(file, text string) {
	b.t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// swanctl tells the daemon of a side something.
func (b *bed) swanctl(ctx context.Context, x string, args ...string) (string, error) {
	dir := filepath.Join(b.dir, x)
	c := exec.CommandContext(ctx, "swanctl", append(args, "--uri", "unix://"+filepath.Join(dir, "vici"))...)
	c.Env = append(os.Environ(), "STRONGSWAN_CONF="+filepath.Join(dir, "strongswan.conf"))
	out, err := c.CombinedOutput()
	return string(out), err
}

// initiate has a side begin, and returns when the tunnel is up or has failed.
func (b *bed) initiate(ctx context.Context, x string) {
	_, _ = b.swanctl(ctx, x, "--initiate", "--child", "lab") // that it fails is what most causes are about
}

// traffic sends n pings of so many bytes from A through the tunnel.
func (b *bed) traffic(ctx context.Context, n, size int) {
	_ = exec.CommandContext(ctx, "ip", "netns", "exec", b.ns["a"], "ping", "-q", "-c", strconv.Itoa(n), "-i", "0.1",
		"-W", "1", "-s", strconv.Itoa(size), "-I", bedProtectedA, bedProtectedB).Run()
}

// self is this program as moncap, in the middle.
func (b *bed) self(args ...string) *exec.Cmd {
	path, err := os.Executable()
	if err != nil {
		b.t.Fatal(err)
	}
	c := exec.Command(path, args...)
	c.Env = append(os.Environ(), "MONCAP_TEST_AS_PROGRAM=1")
	return c
}

// simulate starts the two simulated routers, which capture at both ends of the middle, and returns
// their inventory.
func (b *bed) simulate(clockB time.Duration) string {
	b.t.Helper()
	dir := filepath.Join(b.dir, "routers")
	args := []string{"simulate", "--live", "wa,wb", "--addresses", bedA.String() + "," + bedB.String(), "--dir", dir,
		"--port-a", "0", "--port-b", "0", "--clock-b", clockB.String()}
	if b.nat {
		args = append(args, "--nat-address-a", bedNAT.String())
	}
	c := b.self(args...)
	out, err := c.StdoutPipe()
	if err != nil {
		b.t.Fatal(err)
	}
	var complaint lockedBuffer
	c.Stderr = &complaint
	b.spawn("m", c)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "Ctrl-C") {
			return filepath.Join(dir, "inventory.yaml")
		}
	}
	b.t.Fatal("the simulated routers do not start: ", complaint.String())
	return ""
}

// liveRun is a run of moncap in the middle.
type liveRun struct {
	process *child
	bundle  string
	file    string
	waiting chan struct{} // closed when both captures run, or when the run has ended
	over    chan struct{} // closed when it has ended

	// Of the phases, by this machine's clock; to be read when it is over.
	phases map[string]time.Time
	stderr strings.Builder
}

// capture starts a run.
func (b *bed) capture(inventory string, args ...string) *liveRun {
	b.t.Helper()
	r := &liveRun{bundle: filepath.Join(b.dir, "bundle"), file: filepath.Join(b.dir, "report.json"),
		waiting: make(chan struct{}), over: make(chan struct{}), phases: map[string]time.Time{}}
	c := b.self(append([]string{"run", "live", "-i", inventory, "--format", "json", "--log-format", "json",
		"--out", r.bundle, "-o", r.file}, args...)...)
	stderr, stdin := io.Pipe()
	c.Stderr = stdin
	r.process = b.spawn("m", c)
	go func() { <-r.process.done; stdin.Close() }()
	go r.follow(stderr)
	return r
}

// follow reads the log of the run: the phases and when they began.
func (r *liveRun) follow(stderr io.Reader) {
	defer close(r.over)
	var once sync.Once
	capturing := func() { once.Do(func() { close(r.waiting) }) }
	defer capturing()
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		var line struct {
			Time       time.Time
			Msg, Phase string
		}
		r.stderr.Write(append(lines.Bytes(), '\n'))
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "phase" {
			r.phases[line.Phase] = line.Time
			if line.Phase == "wait" {
				capturing()
			}
		}
	}
}

// report is what the run concluded.
func (r *liveRun) report() (*report.Report, error) {
	b, err := os.ReadFile(r.file)
	if err != nil {
		return nil, fmt.Errorf("there is no report: %w\n%s", err, r.stderr.String())
	}
	var rep report.Report
	if err := json.Unmarshal(b, &rep); err != nil {
		return nil, err
	}
	return &rep, nil
}
