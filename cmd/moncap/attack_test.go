package main

import (
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/moncap/moncap/capture"
	"github.com/moncap/moncap/device"
	"github.com/moncap/moncap/device/simulator"
)

// attack is one way to attack moncap, played from a seed.
type attack struct {
	name  string
	seeds uint64 // that every run of the tests plays, and its share of a longer attack
	play  func(t *testing.T, rng *rand.Rand)
}

func attacks() []attack {
	return []attack{{"unsafe", 12, unsafeRun}, {"outage", 12, outages}, {"router", 4, hostileRouter},
		{"bundle", 4, tamperedBundle}, {"capture", 8, craftedCapture}}
}

// TestAttack plays a few fixed seeds of every attack, or random ones for MONCAP_ATTACK (a duration,
// or how many; `make attack` sets it), only of MONCAP_ATTACK_KIND when that is set. A failure's
// name is what MONCAP_ATTACK_SEED repeats it with: router/123.
func TestAttack(t *testing.T) {
	if kind, seed, ok := strings.Cut(os.Getenv("MONCAP_ATTACK_SEED"), "/"); ok {
		n, err := strconv.ParseUint(seed, 10, 64)
		i := slices.IndexFunc(attacks(), func(a attack) bool { return a.name == kind })
		if err != nil || i < 0 {
			t.Fatalf("MONCAP_ATTACK_SEED: want one of %v and a number", attacks())
		}
		attacks()[i].once(t, n)
		return
	}
	if long := os.Getenv("MONCAP_ATTACK"); long != "" {
		most, err := strconv.Atoi(long)
		length := 1000 * time.Hour
		if err != nil {
			most = math.MaxInt
			if length, err = time.ParseDuration(long); err != nil {
				t.Fatalf("MONCAP_ATTACK: want a duration, or how many: %v", err)
			}
		}
		attackFor(t, length, most)
		return
	}
	for _, a := range attacks() {
		for seed := range a.seeds {
			t.Run(fmt.Sprintf("%s/%d", a.name, seed), func(t *testing.T) {
				t.Parallel()
				a.once(t, seed)
			})
		}
	}
}

func (a attack) once(t *testing.T, seed uint64) { a.play(t, rand.New(rand.NewPCG(seed, 2))) }

// attackers is how many attacks go on at once: most of the time they wait.
const attackers = 48

// attackFor plays random seeds, of each attack as often as its share says, until the time is over,
// there were enough, or one failed.
func attackFor(t *testing.T, length time.Duration, most int) {
	kind := os.Getenv("MONCAP_ATTACK_KIND")
	var deck []attack
	for _, a := range attacks() {
		if kind == "" || kind == a.name {
			deck = append(deck, slices.Repeat([]attack{a}, int(a.seeds))...)
		}
	}
	if len(deck) == 0 {
		t.Fatalf("MONCAP_ATTACK_KIND %q: there is no such attack", kind)
	}
	began := time.Now()
	var next, done atomic.Int64
	var busy sync.WaitGroup
	for range attackers {
		busy.Go(func() {
			for time.Since(began) < length && !t.Failed() {
				n := int(next.Add(1) - 1)
				if n >= most {
					return
				}
				a, seed := deck[n%len(deck)], rand.Uint64()
				t.Run(fmt.Sprintf("%s/%d", a.name, seed), func(t *testing.T) { a.once(t, seed) })
				if n := done.Add(1); n%500 == 0 {
					t.Logf("%d attacks in %s", n, time.Since(began).Round(time.Second))
				}
			}
		})
	}
	busy.Wait()
	t.Logf("%d attacks in %s\n%s", done.Load(), time.Since(began).Round(time.Second), outcomes)
}

// tally counts what the attacks came to, so that nobody takes those for attacks that ended before
// they touched anything.
type tally struct {
	mu sync.Mutex
	n  map[string]int
}

var outcomes = &tally{n: map[string]int{}}

func (c *tally) add(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n[what]++
}

func (c *tally) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b strings.Builder
	for _, what := range slices.Sorted(maps.Keys(c.n)) {
		fmt.Fprintf(&b, "%6d  %s\n", c.n[what], what)
	}
	return b.String()
}

// clogged is a connection that takes, and gives, so many bytes. Then nothing moves any more until
// it is closed.
type clogged struct {
	net.Conn
	in, out atomic.Int64
	gone    chan struct{}
	once    sync.Once
}

func (c *clogged) move(left *atomic.Int64, p []byte, by func([]byte) (int, error)) (int, error) {
	if left.Add(-int64(len(p))) < 0 {
		<-c.gone
		return 0, net.ErrClosed
	}
	return by(p)
}

func (c *clogged) Write(p []byte) (int, error) { return c.move(&c.out, p, c.Conn.Write) }

// Read takes no more at once than a packet has, so that a connection can be
// clogged between any two.
func (c *clogged) Read(p []byte) (int, error) {
	return c.move(&c.in, p[:min(len(p), 512)], c.Conn.Read)
}

func (c *clogged) Close() error {
	c.once.Do(func() { close(c.gone) })
	return c.Conn.Close()
}

// clog has some of the connections of a run clog, after a number of bytes that is met in the login,
// in a command or never.
func clog(rng *rand.Rand) func(*device.Options, *capture.Options) {
	var mu sync.Mutex
	return func(d *device.Options, _ *capture.Options) {
		if d == nil {
			return
		}
		dial := d.Dial
		if dial == nil {
			dial = (&net.Dialer{}).DialContext
		}
		d.Dial = func(ctx context.Context, network, to string) (net.Conn, error) {
			conn, err := dial(ctx, network, to)
			mu.Lock()
			defer mu.Unlock()
			if err != nil || rng.IntN(3) > 0 {
				return conn, err
			}
			c := &clogged{Conn: conn, gone: make(chan struct{})}
			c.in.Store(1 << 40)
			c.out.Store(1 << 40)
			if rng.IntN(2) == 0 {
				c.in.Store(rng.Int64N(150_000))
			} else {
				c.out.Store(rng.Int64N(12_000))
			}
			return c, nil
		}
	}
}

// unsafeRun has a run, or a start, meet kill -9, lost sessions, another router at the same address,
// connections that clog and a damaged bundle, and goes on with it in any order. Exit 0 or 4 while
// something is on a router is what must never be.
func unsafeRun(t *testing.T, rng *rand.Rand) {
	l := newTestLab(t, "healthy")
	other := newLabWith(t, "healthy", func(c *simulator.Config) {
		c.Hostname, c.Serial = []string{"site-A", "site-X"}[rng.IntN(2)], "9STANDBY"
	})
	out := filepath.Join(l.dir, "bundle")
	commands := []struct {
		match string
		most  int // that there are in a run
	}{{`^show`, 40}, {`^ip access-list`, 1}, {`^permit`, 4}, {`^monitor capture`, 5}, {`^no `, 3}, {`platform`, 12},
		{`^delete`, 1}, {`^verify`, 1}, {`^dir`, 3}, {`.`, 75}}
	c := commands[rng.IntN(len(commands))]
	l.routers[0].AddFault(simulator.Fault{Match: regexp.MustCompile(c.match), Skip: rng.IntN(c.most),
		When:   simulator.When(rng.IntN(3)),
		Times:  []int{1, 1, 2, -1}[rng.IntN(4)],
		Action: []simulator.Action{simulator.DropRST, simulator.DropFIN, simulator.Silence}[rng.IntN(3)]})
	p := program{tune: l.unsafeLines(t, rng, other)}
	args := l.matrixRun(out)
	switch rng.IntN(6) {
	case 0, 1:
		args = []string{"start", "demo", "-i", l.inventory, "--out", out, "--duration", "10m"}
	case 2:
		args = l.zeroConfigRun(out)
	case 3:
		args = l.tracedRun(out)
	}
	var r result
	switch rng.IntN(3) {
	case 0:
		cmd := start(t, args...)
		l.receivedMany(t, rng.IntN(map[string]int{"start": 36, "run": 76}[args[0]]), time.Now().Add(patience*5*time.Second))
		time.Sleep(time.Duration(rng.IntN(4)) * time.Millisecond)
		_ = cmd.Process.Signal(syscall.SIGKILL) // it may have ended
		_ = cmd.Wait()
		r.code = -1
	default:
		r = p.run(t.Context(), args...)
	}
	outcomes.add(fmt.Sprintf("unsafe: %s: exit %d, site-a was %s", args[0], r.code, l.touched()))
	started := args[0] == "start" && r.code == exitOK
	if dirty := l.dirty(); r.code >= 0 && r.code != exitDirty && !started && len(dirty) > 0 {
		t.Errorf("%s: exit %d, and %v is not as it was\n%s", args[0], r.code, dirty, r.stderr)
	}
	spoil(t, rng, out)
	for _, step := range []string{[]string{"clean", "collect", "stop"}[rng.IntN(3)],
		[]string{"clean", "collect"}[rng.IntN(2)], "clean", "clean"} {
		r = p.run(t.Context(), step, out, "-i", l.inventory)
		p = program{}
		dirty := l.dirty()
		outcomes.add(fmt.Sprintf("unsafe: then %s: exit %d, dirty: %t", step, r.code, len(dirty) > 0))
		if r.code == exitUsage && len(dirty) > 0 && isBundle(out) &&
			!strings.Contains(r.stderr, "another moncap works on it") {
			t.Errorf("%s: exit %d is about usage, and %v is not as it was\n%s", step, r.code, dirty, r.stderr)
		}
		if (r.code == exitFailed || r.code <= exitInconclusive && step != "stop") && len(dirty) > 0 {
			t.Errorf("%s: exit %d, and %v is not as it was\n%s%s", step, r.code, dirty, r.stdout, r.stderr)
		}
		l.routers[0].ClearFaults()
	}
	// A session that was lost before it said who answered makes the other router the run's own: check
	// has asked it.
	own := slices.Contains(other.routers[0].Commands(), "show users")
	if len(other.dirty()) > 0 && (!own || r.code != exitDirty) {
		t.Errorf("exit %d, and the other router was changed by: %s", r.code, strings.Join(other.routers[0].Commands(), "; "))
	}
}

// receivedMany waits until side A has received so many commands, which it may never.
func (l *testLab) receivedMany(t *testing.T, n int, until time.Time) {
	t.Helper()
	for len(l.routers[0].Commands()) < n && time.Now().Before(until) {
		time.Sleep(2 * time.Millisecond)
	}
}

// touched says how far a run came on side A.
func (l *testLab) touched() string {
	far := "not changed"
	for _, c := range l.routers[0].Commands() {
		switch {
		case strings.Contains(c, " export "):
			return "exported from"
		case strings.HasPrefix(c, "monitor capture") && strings.HasSuffix(c, " start"):
			far = "captured on"
		case far == "not changed" && (strings.HasPrefix(c, "ip access-list") || strings.HasPrefix(c, "monitor capture")):
			far = "changed"
		}
	}
	return far
}

// unsafeLines has connections clog, or lead to another router, or both, or neither.
func (l *testLab) unsafeLines(t *testing.T, rng *rand.Rand, other *testLab) func(*device.Options, *capture.Options) {
	t.Helper()
	all := []func(*device.Options, *capture.Options){hasty}
	if rng.IntN(2) == 0 {
		all = append(all, l.failover(t, other))
	}
	if rng.IntN(2) == 0 {
		all = append(all, clog(rand.New(rand.NewPCG(rng.Uint64(), 3))))
	}
	return func(d *device.Options, c *capture.Options) {
		for _, tune := range all {
			tune(d, c)
		}
	}
}

// spoil damages run.json or the journal, or takes it away, or leaves all as it is.
func spoil(t *testing.T, rng *rand.Rand, out string) {
	t.Helper()
	name := filepath.Join(out, []string{"journal.jsonl", "journal.jsonl", "run.json"}[rng.IntN(3)])
	data, err := os.ReadFile(name)
	if err != nil || len(data) == 0 {
		return // the run was killed before it wrote one
	}
	at := rng.IntN(len(data))
	switch rng.IntN(6) {
	case 0:
		err = os.Remove(name)
	case 1:
		err = os.WriteFile(name, data[:at], 0o600)
	case 2:
		data[at] ^= byte(1 + rng.IntN(255))
		err = os.WriteFile(name, data, 0o600)
	case 3:
		err = os.WriteFile(name, make([]byte, len(data)), 0o600)
	case 4: // as it was after an earlier line
		err = os.WriteFile(name, data[:strings.LastIndexByte(string(data[:at]), '\n')+1], 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
