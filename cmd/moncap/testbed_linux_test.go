package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
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
	t       testing.TB
	unready func(why string) // is told why the cause cannot be played, before the test ends
	dir     string
	ns      map[string]string // "a", "b" and "m": the middle
	nat     bool
	daemons map[string]*child
	makers  map[string]maker
	ground

	gateways map[string]gateway
}

// ground is what the sides "a" and "b" are called and what they protect. With a NAT, A has an
// address that B never sees: the gate's at B.
type ground struct {
	address, gate map[string]netip.Prefix
	protected     map[string]netip.Prefix
}

func groundOf(a, gateA, gateB, b, protectedA, protectedB string) ground {
	pair := func(a, b string) map[string]netip.Prefix {
		return map[string]netip.Prefix{"a": netip.MustParsePrefix(a), "b": netip.MustParsePrefix(b)}
	}
	return ground{address: pair(a, b), gate: pair(gateA, gateB), protected: pair(protectedA, protectedB)}
}

var (
	overIPv4 = groundOf("198.51.100.10/24", "198.51.100.1/24", "203.0.113.1/24", "203.0.113.20/24",
		"10.1.0.1/32", "10.2.0.1/32")
	overIPv6 = groundOf("2001:db8:a::10/64", "2001:db8:a::1/64", "2001:db8:b::1/64", "2001:db8:b::20/64",
		"fd00:1::1/128", "fd00:2::1/128")
)

// needsForBed says why there can be no bed on this machine, or nothing.
func needsForBed() string {
	if os.Getuid() != 0 {
		return "network namespaces need root"
	}
	for _, tool := range []string{"ip", "nft", "ethtool", "ping", "mount", "unshare"} {
		if _, err := exec.LookPath(tool); err != nil {
			return tool + " is not installed"
		}
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

// sweepBeds removes what a test left that was killed: its namespaces carry the
// number of its process.
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

// isTest says whether a process is a test, under whatever name it was built: its beds are in use.
// One that is dead and not yet waited for has no program any more.
func isTest(pid int) bool {
	theirs, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	return err == nil && strings.HasSuffix(strings.TrimSuffix(theirs, " (deleted)"), ".test")
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

// fail ends the cause: the lab cannot do what it is about, which says nothing of moncap.
func (b *bed) fail(format string, args ...any) {
	b.t.Helper()
	why := fmt.Sprintf(format, args...)
	first, _, _ := strings.Cut(strings.TrimSpace(why), "\n")
	b.unready(first)
	b.t.Fatal(why)
}

// newBed makes the namespaces and what connects them. All of it is gone when the test ends.
func newBed(ctx context.Context, t *testing.T, n int64, g ground, nat bool, unready func(string)) *bed {
	t.Helper()
	b := &bed{t: t, unready: unready, ns: map[string]string{}, nat: nat, daemons: map[string]*child{},
		makers: map[string]maker{}, gateways: map[string]gateway{}, ground: g}
	var err error
	if b.dir, err = os.MkdirTemp("", bedPrefix); err != nil { // t.TempDir has the cause in its name: mount takes no comma
		b.fail("%v", err)
	}
	t.Cleanup(func() { os.RemoveAll(b.dir) })
	for _, x := range []string{"a", "b", "m"} {
		name := bedName(n, x)
		b.ns[x] = name
		t.Cleanup(func() { removeNamespace(name) })
		b.must(ctx, "ip", "netns", "add", name)
		b.must(ctx, "ip", "-n", name, "link", "set", "lo", "up")
	}
	b.wire(ctx, "a")
	b.wire(ctx, "b")
	b.inside(ctx, "m", "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
	// `early` comes before fragments are put together, for NAT does that.
	b.nft(ctx, "m", `table inet lab {
 chain early { type filter hook prerouting priority -450; }
 chain way { type filter hook forward priority 0; }
 chain out { type filter hook output priority 0; }
}`)
	// What looks for its next router with its first message sends that again before it is out.
	for _, x := range []string{"a", "b"} {
		b.inside(ctx, x, "ping", "-q", "-c", "1", "-w", "10", b.gate[x].Addr().String())
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
func (b *bed) wire(ctx context.Context, x string) {
	gw, middle, dev := b.ns[x], b.ns["m"], "w"+x
	b.must(ctx, "ip", "link", "add", dev, "netns", gw, "type", "veth", "peer", "name", dev, "netns", middle)
	b.must(ctx, "ip", "-n", gw, "addr", "add", b.address[x].String(), "dev", dev, "nodad")
	b.must(ctx, "ip", "-n", gw, "addr", "add", b.protected[x].String(), "dev", "lo", "nodad")
	b.must(ctx, "ip", "-n", middle, "addr", "add", b.gate[x].String(), "dev", dev, "nodad")
	for _, ns := range []string{gw, middle} {
		b.must(ctx, "ip", "-n", ns, "link", "set", dev, "up")
		b.must(ctx, "ip", "netns", "exec", ns, "ethtool", "-K", dev, "tx", "off")
	}
	b.must(ctx, "ip", "-n", gw, "route", "add", "default", "via", b.gate[x].Addr().String())
}

func (b *bed) must(ctx context.Context, name string, args ...string) {
	b.t.Helper()
	if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		b.fail("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
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
		b.fail("nft: %v: %s\n%s", err, out, rules)
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

// enter has a command run in a namespace.
func (b *bed) enter(x string, c *exec.Cmd) {
	b.t.Helper()
	path, err := exec.LookPath("ip")
	if err != nil {
		b.fail("%v", err)
	}
	c.Args = append([]string{"ip", "netns", "exec", b.ns[x], c.Path}, c.Args[1:]...)
	c.Path = path
}

// spawn starts a process in a namespace, which ends with the test. The `ip` that starts it becomes
// it, so that its number is known.
func (b *bed) spawn(x string, c *exec.Cmd) *child {
	b.t.Helper()
	b.enter(x, c)
	c.WaitDelay = 2 * time.Second
	if err := c.Start(); err != nil {
		b.fail("%v", err)
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

// addresses are a side's own and the one it knows its peer by.
func (b *bed) addresses(x string, g gateway) (own, peer string) {
	other := map[string]string{"a": "b", "b": "a"}[x]
	own, peer = b.address[x].Addr().String(), b.address[other].Addr().String()
	if x == "b" && b.nat {
		peer = "%any"
	}
	if g.peer != "" {
		peer = g.peer
	}
	return own, peer
}

// daemon starts the daemon of a side.
func (b *bed) daemon(ctx context.Context, x string, g gateway) {
	b.t.Helper()
	b.makers[x] = makers[g.maker]
	b.makers[x].start(ctx, b, x, g)
}

// again starts the daemon of a side that has none, with nothing left of an earlier one.
func (b *bed) again(ctx context.Context, x string) {
	b.t.Helper()
	if err := os.RemoveAll(filepath.Join(b.dir, x)); err != nil {
		b.t.Fatal(err)
	}
	b.daemon(ctx, x, b.gateways[x])
}

// initiate has a side begin.
func (b *bed) initiate(ctx context.Context, x string) { b.makers[x].initiate(ctx, b, x) }

// terminate has a side end the tunnel.
func (b *bed) terminate(ctx context.Context, x string) { b.makers[x].terminate(ctx, b, x) }

func (b *bed) write(file, text string) {
	b.t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		b.fail("%v", err)
	}
}

// traffic sends n pings of so many bytes from A through the tunnel.
func (b *bed) traffic(ctx context.Context, n, size int) { b.trafficFrom(ctx, "a", n, size) }

func (b *bed) trafficFrom(ctx context.Context, x string, n, size int) {
	from, to := b.protected["a"].Addr().String(), b.protected["b"].Addr().String()
	if x == "b" {
		from, to = to, from
	}
	_ = exec.CommandContext(ctx, "ip", "netns", "exec", b.ns[x], "ping", "-q", "-c", strconv.Itoa(n), "-i", "0.1",
		"-W", "1", "-s", strconv.Itoa(size), "-I", from, to).Run()
}

// self is this program as moncap, in the middle.
func (b *bed) self(args ...string) *exec.Cmd {
	path, err := os.Executable()
	if err != nil {
		b.fail("%v", err)
	}
	c := exec.Command(path, args...)
	c.Env = append(os.Environ(), "MONCAP_TEST_AS_PROGRAM=1", "XDG_STATE_HOME="+filepath.Join(b.dir, "state"),
		"MONCAP_RUNS="+filepath.Join(b.dir, "runs"))
	return c
}

// simulate starts the two simulated routers, which capture at both ends of the middle, and returns
// their inventory.
func (b *bed) simulate(clockB time.Duration) string {
	b.t.Helper()
	dir := filepath.Join(b.dir, "routers")
	addresses := b.address["a"].Addr().String() + "," + b.address["b"].Addr().String()
	args := []string{"simulate", "--live", "wa,wb", "--addresses", addresses, "--dir", dir,
		"--port-a", "0", "--port-b", "0", "--clock-b", clockB.String()}
	if b.nat {
		args = append(args, "--nat-address-a", b.gate["b"].Addr().String())
	}
	c := b.self(args...)
	out, err := c.StdoutPipe()
	if err != nil {
		b.fail("%v", err)
	}
	var complaint lockedBuffer
	c.Stderr = &complaint
	b.spawn("m", c)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "Ctrl-C") {
			return filepath.Join(dir, "inventory.yaml")
		}
	}
	b.fail("the simulated routers do not start: %s", complaint.String())
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

// capture starts a run, or a watch where there are flags for one.
func (b *bed) capture(inventory string, armed []string, args ...string) *liveRun {
	b.t.Helper()
	r := &liveRun{bundle: filepath.Join(b.dir, "bundle"), file: filepath.Join(b.dir, "report.json"),
		waiting: make(chan struct{}), over: make(chan struct{}), phases: map[string]time.Time{}}
	c := b.self(append([]string{"run", "live", "-i", inventory, "--format", "json", "--log-format", "json",
		"--out", r.bundle, "-o", r.file}, args...)...)
	if armed != nil {
		c = b.self(append([]string{"watch", "live", "-i", inventory, "--format", "json"}, armed...)...)
		r.bundle = filepath.Join(b.dir, "runs")
		out, err := os.Create(r.file)
		if err != nil {
			b.fail("%v", err)
		}
		defer out.Close()
		c.Stdout = out
	}
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
		if strings.Contains(lines.Text(), " armed: ") {
			capturing()
		}
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "phase" {
			r.phases[line.Phase] = line.Time
			if line.Phase == "wait" {
				capturing()
			}
		}
	}
}

// folder is the bundle; a watch makes one in the folder of all.
func (r *liveRun) folder() string {
	for _, pattern := range []string{"a.pcap", "*/a.pcap", "*/*/a.pcap"} {
		if found, _ := filepath.Glob(filepath.Join(r.bundle, pattern)); len(found) > 0 {
			return filepath.Dir(found[0])
		}
	}
	return r.bundle
}

// incomplete says which capture was not taken, or nothing.
func (r *liveRun) incomplete() string {
	for _, name := range []string{"a.pcap", "b.pcap"} {
		if _, err := os.Stat(filepath.Join(r.folder(), name)); err != nil {
			return "there is no " + name
		}
	}
	return ""
}

// judgeAgain puts in place of the report what the two captures alone say.
func (r *liveRun) judgeAgain(b *bed) {
	b.t.Helper()
	c := b.self("analyze", filepath.Join(r.folder(), "a.pcap"), filepath.Join(r.folder(), "b.pcap"),
		"--format", "json", "-o", r.file)
	if out, err := c.CombinedOutput(); c.ProcessState == nil || c.ProcessState.ExitCode() > 3 {
		b.t.Errorf("analyze: %v: %s", err, out)
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
