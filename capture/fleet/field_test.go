//go:build unix

package fleet

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/moncap/moncap/capture"
	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/device"
	"github.com/moncap/moncap/device/inventory"
	"github.com/moncap/moncap/device/simulator"
	"github.com/moncap/moncap/testdata"
)

// TestMain lets the test binary be a worker, for tests that kill theirs.
func TestMain(m *testing.M) {
	if text := os.Getenv("MONCAP_TEST_WORKER"); text != "" {
		os.Exit(workerMain(text))
	}
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given { // they mostly wait
		if err := flag.Set("test.parallel", "12"); err != nil {
			panic(err)
		}
	}
	code := m.Run()
	if s, err := sharedServer(); err == nil {
		s.stop()
	}
	os.Exit(code)
}

const (
	fieldPassword = "practice-7391"

	// testLease is that of a test in which a lease runs out. Whoever lives must not lose one because
	// the machine is slow.
	testLease = 8 * patience * time.Second

	// calmLease is that of all other tests.
	calmLease = 4 * testLease

	// hang is after how long a test ends that waits for what is bound to come.
	hang = 10 * time.Minute
)

// field is a number of simulated routers, two to a tunnel, and what they were like at first.
type field struct {
	dir     string
	routers []*simulator.Router
	peers   []peerConfig
	before  []routerState
	watch   []*overlaps
}

// peerConfig is what a worker of the tests knows of a router.
type peerConfig struct {
	Name, Address string
	Port          int
}

// overlaps is what a router sees of the captures on it.
type overlaps struct {
	mu      sync.Mutex
	router  *simulator.Router
	there   map[string]bool
	worst   int
	removed time.Time // when the first thing was taken back

	held    *regexp.Regexp // the commands that wait until goOn is closed; nil: none
	reached chan struct{}  // closed when the first one waits
	goOn    chan struct{}
}

var startLine = regexp.MustCompile(`^monitor capture (\S+) start`)
var goneLine = regexp.MustCompile(`^no monitor capture (\S+)`)
var exportLine = regexp.MustCompile(`^monitor capture \S+ export`)

// hold has the router do nothing at a command until goOn is called; reached is closed when it
// waits.
func (o *overlaps) hold(at *regexp.Regexp) (reached <-chan struct{}, goOn func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.held, o.reached, o.goOn = at, make(chan struct{}), make(chan struct{})
	return o.reached, sync.OnceFunc(func() { close(o.goOn) })
}

func (o *overlaps) wait(command string) {
	o.mu.Lock()
	if o.held == nil || !o.held.MatchString(command) {
		o.mu.Unlock()
		return
	}
	o.held = nil
	close(o.reached)
	goOn := o.goOn
	o.mu.Unlock()
	<-goOn
}

func (o *overlaps) heard(command string) bool {
	o.wait(command)
	o.mu.Lock()
	defer o.mu.Unlock()
	if m := startLine.FindStringSubmatch(command); m != nil {
		defined := o.router.CapturePoints() // a reload takes them without a word
		maps.DeleteFunc(o.there, func(name string, _ bool) bool { return !slices.Contains(defined, name) })
		o.there[m[1]] = true
		o.worst = max(o.worst, len(o.there))
	}
	if m := goneLine.FindStringSubmatch(command); m != nil {
		delete(o.there, m[1])
	}
	if o.removed.IsZero() && (strings.HasPrefix(command, "no ") || strings.Contains(command, " stop")) {
		o.removed = time.Now()
	}
	return true
}

type routerState struct {
	config   string
	flash    map[string]string
	captures []string
}

func stateOf(r *simulator.Router) routerState {
	s := routerState{config: r.RunningConfig(), flash: map[string]string{}, captures: r.CapturePoints()}
	for name, b := range r.FlashFiles() {
		s.flash[name] = string(b)
	}
	return s
}

func (s routerState) equal(o routerState) bool {
	return s.config == o.config && maps.Equal(s.flash, o.flash) && slices.Equal(s.captures, o.captures)
}

// newField starts the routers of n tunnels.
func newField(t testing.TB, n int) *field {
	t.Helper()
	f := &field{dir: t.TempDir()}
	incident, err := testdata.Load("healthy")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(f.dir, "password"), []byte(fieldPassword+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range n {
		pair, err := simulator.NewPair(incident.A, incident.B, 10)
		if err != nil {
			t.Fatal(err)
		}
		f.add(t, pair.A(), testdata.A4)
		f.add(t, pair.B(), testdata.B4)
	}
	return f
}

func (f *field) add(t testing.TB, packets simulator.Source, address netip.Addr) {
	t.Helper()
	name := fmt.Sprintf("r%d", len(f.routers))
	watch := &overlaps{there: map[string]bool{}}
	key, err := simulator.HostKey(filepath.Join(f.dir, name+"_key"))
	if err != nil {
		t.Fatal(err)
	}
	c := simulator.Config{Hostname: name, Username: "moncap", Password: fieldPassword, Packets: packets, VTYs: 16,
		Authorize:  watch.heard,
		Interfaces: []simulator.Interface{{Name: "GigabitEthernet1", Address: address}}}
	c.HostKeys = append(c.HostKeys, key)
	r, err := simulator.New(c)
	if err != nil {
		t.Fatal(err)
	}
	watch.router = r
	if err := r.Listen(context.Background(), "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	_, port, err := net.SplitHostPort(r.Addr())
	if err != nil {
		t.Fatal(err)
	}
	p := peerConfig{Name: name, Address: address.String()}
	if p.Port, err = strconv.Atoi(port); err != nil {
		t.Fatal(err)
	}
	peer, err := p.peer(f.dir)
	if err != nil {
		t.Fatal(err)
	}
	info, err := device.ScanHostKey(t.Context(), *peer, device.Options{})
	if err == nil {
		err = device.AcceptHostKey(*peer, info)
	}
	if err != nil {
		t.Fatal(err)
	}
	f.routers, f.peers, f.watch = append(f.routers, r), append(f.peers, p), append(f.watch, watch)
	f.before = append(f.before, stateOf(r))
}

func (p peerConfig) peer(dir string) (*inventory.Peer, error) {
	secret, err := inventory.ParseSecretRef("file:" + filepath.Join(dir, "password"))
	if err != nil {
		return nil, err
	}
	address, err := netip.ParseAddr(p.Address)
	return &inventory.Peer{Name: p.Name, Host: "127.0.0.1", Port: p.Port, Username: "moncap", Password: secret,
		KnownHosts: filepath.Join(dir, "known_hosts"),
		HostKey:    inventory.HostKeyStrict, Platform: inventory.PlatformIOSXE, ExpectHostname: p.Name,
		WAN: inventory.WAN{Interface: "GigabitEthernet1", Address: address}}, err
}

func (p peerConfig) router() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.Port)) }

func (p peerConfig) endpoint() capture.Endpoint {
	return capture.Endpoint{Name: p.Name, Address: netip.MustParseAddr(p.Address), Interface: "GigabitEthernet1",
		Platform:       inventory.PlatformIOSXE,
		ExpectHostname: p.Name, Limits: capture.Limits{Runs: 1}}
}

// request asks for a run between two routers.
func (f *field) request(t testing.TB, a, b int, s capture.Settings) Request {
	t.Helper()
	id := time.Now().UTC().Format("20060102-150405") + "-" + random(3)
	p, err := capture.NewPlan(fmt.Sprintf("t%d-%d", a, b), f.peers[a].endpoint(), f.peers[b].endpoint(), s, id)
	if err != nil {
		t.Fatal(err)
	}
	return Request{Plan: p, A: Slot{f.peers[a].router(), 1}, B: Slot{f.peers[b].router(), 1}, Priority: Normal,
		Cause: "manual", By: "tester"}
}

// dirty lists the routers that are not as they were.
func (f *field) dirty() []string {
	var all []string
	for i, r := range f.routers {
		if !stateOf(r).equal(f.before[i]) {
			all = append(all, f.peers[i].Name)
		}
	}
	return all
}

// check wants every router as it was, and no two captures at once on any.
func (f *field) check(t *testing.T) {
	t.Helper()
	if d := f.dirty(); len(d) > 0 {
		t.Errorf("%v are not as they were", d)
	}
	for i, w := range f.watch {
		w.mu.Lock()
		if w.worst > 1 {
			t.Errorf("%s had %d captures at once", f.peers[i].Name, w.worst)
		}
		w.mu.Unlock()
	}
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	for began := time.Now(); !so(); time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > hang {
			t.Fatalf("%s: not within %s", what, hang)
		}
	}
}

// workerConfig is what a worker process of the tests is told.
type workerConfig struct {
	URL, Dir, Runs, Host string
	Peers                []peerConfig
	Lease, Drain         time.Duration
	Workers              int
	Sites                []string
	Die                  capture.Phase // the phase in which it kills itself, when side A begins it
	DieAfter             time.Duration
	Signal               syscall.Signal
	Schedules            bool          // it fires those of the soak
	Tell                 capture.Phase // the phase that it tells of, when the file Told is not there yet
	Told                 string
	Hasty                bool // it waits for no answer of a router for long
}

// process is a worker that runs.
type process struct {
	cmd  *exec.Cmd
	log  *bytes.Buffer
	done chan struct{}
	told chan struct{} // closed when it told of its phase, or ends at once
	err  error
}

// calm is a worker's lease in a test in which nobody falls silent.
func calm(c *workerConfig) { c.Lease = calmLease }

func (f *field) worker(t testing.TB, url string, change func(*workerConfig)) *process {
	t.Helper()
	p, err := f.begin(t, url, change)
	if err != nil {
		t.Fatalf("worker: %v: %v\n%s", err, p.err, p.log)
	}
	return p
}

// begin starts a worker. The error is that of one that ended before it worked.
func (f *field) begin(t testing.TB, url string, change func(*workerConfig)) (*process, error) {
	t.Helper()
	c := workerConfig{URL: url, Dir: f.dir, Runs: t.TempDir(), Peers: f.peers, Lease: testLease, Drain: hang / 2,
		Workers: 4, Host: "host-" + random(2)}
	if change != nil {
		change(&c)
	}
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.CommandContext(context.Background(), os.Args[0]), log: &bytes.Buffer{},
		done: make(chan struct{}), told: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), "MONCAP_TEST_WORKER="+string(text))
	p.cmd.Stderr = p.log
	out, err := p.cmd.StdoutPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
		if t.Failed() {
			t.Logf("worker %d: %v\n%s", p.cmd.Process.Pid, p.err, p.log)
		}
	})
	ready := make(chan error, 1)
	go func() {
		lines := bufio.NewReader(out)
		_, err := lines.ReadString('\n')
		ready <- err
		if _, err := lines.ReadString('\n'); err == nil {
			close(p.told)
		}
		_, _ = io.Copy(io.Discard, lines)
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	err = <-ready
	if err != nil {
		<-p.done
	}
	return p, err
}

func (p *process) signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if patience > 1 {
		t.Skip("who takes over from whom, and when, is not for the race detector, which makes everything slow")
	}
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// comesTo waits until the process has done something.
func (p *process) comesTo(t *testing.T, it <-chan struct{}) {
	t.Helper()
	select {
	case <-it:
	case <-p.done:
		t.Fatalf("the worker ended before: %v", p.err)
	case <-time.After(hang):
		t.Fatalf("the worker did not come to it within %s", hang)
	}
}

// code waits for the process to end.
func (p *process) code(t *testing.T) int {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(hang):
		t.Fatalf("the worker did not end within %s", hang)
	}
	return p.cmd.ProcessState.ExitCode()
}

// workerMain is a worker process.
func workerMain(text string) int {
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var c workerConfig
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		log.Error(err.Error())
		return 64
	}
	ctx, cancel := context.WithCancel(context.Background())
	stop, signals := make(chan struct{}), make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM)
	go func() {
		<-signals
		close(stop)
		<-signals
		cancel()
		fmt.Println("at once")
	}()
	s, err := Open(ctx, Options{URL: c.URL, Log: log, Lease: c.Lease})
	if err != nil {
		log.Error(err.Error())
		return 4
	}
	o := WorkerOptions{Crew: c.crew(log), Workers: c.Workers, Sites: c.Sites, Drain: c.Drain, Version: "test",
		Host: c.Host, Ready: func() { fmt.Println("ready") }}
	if c.Die != "" {
		o.Events = func(_ string, e capture.Event) {
			if e.Phase == c.Die && e.Kind == capture.Began && e.Side == "" {
				time.AfterFunc(c.DieAfter, func() { _ = syscall.Kill(os.Getpid(), c.Signal) })
			}
		}
	}
	if c.Tell != "" {
		o.Events = func(_ string, e capture.Event) {
			if e.Phase != c.Tell || e.Kind != capture.Began || e.Side != "" {
				return
			}
			if f, err := os.OpenFile(c.Told, os.O_CREATE|os.O_EXCL, 0o600); err == nil {
				fmt.Println("now")
				_ = f.Close() // nothing is in it
			}
		}
	}
	if c.Schedules {
		o.Tick = soakTick(s, c.Peers)
	}
	err = s.Work(ctx, o, stop)
	if left, ok := errors.AsType[*LeftError](err); ok {
		log.Error(left.Error())
		return 5
	}
	if err := errors.Join(err, s.Close()); err != nil {
		log.Error(err.Error())
		return 4
	}
	return 0
}

// pair is the two routers of a run.
type pair struct {
	a, b   *device.Router
	closer []io.Closer
}

func (p *pair) Hosts() capture.Hosts { return capture.Hosts{A: p.a, B: p.b} }

func (p *pair) Close() error {
	errs := []error{p.a.Close(), p.b.Close()}
	for _, c := range p.closer {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

func (c workerConfig) crew(log *slog.Logger) Crew {
	find := func(name string) (*inventory.Peer, error) {
		for _, p := range c.Peers {
			if p.Name == name {
				return p.peer(c.Dir)
			}
		}
		return nil, fmt.Errorf("no peer %s", name)
	}
	return Crew{
		Folder: c.Runs,
		Knows: func(p *capture.Plan) error {
			_, err1 := find(p.A.Endpoint.Name)
			_, err2 := find(p.B.Endpoint.Name)
			return errors.Join(err1, err2)
		},
		Open: func(_ context.Context, p *capture.Plan, b *bundle.Bundle, _ bool) (Sessions, error) {
			var routers [2]*device.Router
			all := &pair{}
			for i, side := range bundle.Sides() {
				peer, err := find(p.Get(side).Endpoint.Name)
				if err != nil {
					return nil, err
				}
				f, err := b.AppendTranscript(side)
				if err != nil {
					return nil, err
				}
				all.closer = append(all.closer, f)
				o := device.Options{Record: f, Log: log}
				if c.Hasty {
					o.Timeouts = device.Timeouts{Dial: 4 * time.Second, Command: time.Second, Idle: time.Second}
				}
				routers[i] = device.New(*peer, o)
			}
			all.a, all.b = routers[0], routers[1]
			return all, nil
		},
		Options: func(*capture.Plan) capture.Options {
			return capture.Options{Log: log, Tool: "test", Poll: 50 * time.Millisecond, Retry: 50 * time.Millisecond}
		},
		Report: func(_ context.Context, b *bundle.Bundle, err error) (*Report, error) {
			pathA, pathB := b.Captures()
			if err != nil && (pathA == "" || pathB == "") {
				return &Report{JSON: []byte(`{"outcome":"not run"}`), Outcome: "not-run", Headline: err.Error(), Exit: 4}, nil
			}
			r := &Report{JSON: []byte(`{"outcome":"established"}`), Outcome: "established", Headline: "it is up", Exit: 0,
				Findings: []Finding{{"IKE-OK", "info"}}}
			return r, b.WriteFile(bundle.ReportJSON, r.JSON)
		},
	}
}

// openStore opens a database as a command does.
func openStore(t testing.TB, url string) *Store {
	t.Helper()
	return openWith(t, url, calmLease)
}

// openShort opens one for a test in which somebody falls silent.
func openShort(t testing.TB, url string) *Store {
	t.Helper()
	return openWith(t, url, testLease)
}

func openWith(t testing.TB, url string, lease time.Duration) *Store {
	t.Helper()
	s, err := Open(t.Context(), Options{URL: url, Lease: lease})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// submit asks for runs and returns their ids.
func submit(t testing.TB, s *Store, reqs ...Request) []string {
	t.Helper()
	if err := s.Submit(t.Context(), reqs...); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, q := range reqs {
		ids = append(ids, q.Plan.RunID)
	}
	return ids
}

// await waits until runs are over.
func await(t *testing.T, s *Store, ids ...string) []Run {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), hang)
	defer cancel()
	runs, err := s.Wait(ctx, nil, ids...)
	if err != nil {
		t.Fatalf("%v: %v", err, summary(runs))
	}
	return runs
}

func summary(runs []Run) string {
	var b strings.Builder
	for _, r := range runs {
		fmt.Fprintf(&b, "%s %s %s exit %d %q %q; ", r.ID, r.Tunnel, r.State, r.Exit, r.Headline, r.Error)
	}
	return b.String()
}

// settled wants nothing held, and every journal closed.
func settled(t *testing.T, s *Store) {
	t.Helper()
	n := 0
	if _, err := s.row(t.Context(), s.db, []any{&n}, "SELECT count(*) FROM moncap_slot"); err != nil || n > 0 {
		t.Errorf("%d slots are held: %v", n, err)
	}
	runs, err := s.Runs(t.Context(), RunFilter{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range runs {
		entries, err := s.Journal(t.Context(), r.ID)
		if open := bundle.OpenChanges(entries); err != nil || len(open) > 0 {
			t.Errorf("run %s (%s): the journal has open %v: %v", r.ID, r.State, open, err)
		}
	}
}
