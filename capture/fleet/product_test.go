//go:build unix

package fleet

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/moncap/moncap/capture"
	"github.com/moncap/moncap/device/simulator"
)

// mishap is one cell of the product: what happens to a worker as a phase begins, to the database at
// the same moment, and to side A in that phase.
type mishap struct {
	db, harm string
	phase    capture.Phase
	signal   string
	strike   simulator.Strike
}

func (m mishap) name() string {
	return fmt.Sprintf("%s/%s/%s/%s/%s", m.db, m.harm, m.phase, m.signal, m.strike.Name)
}

var mishapSignals = map[string]syscall.Signal{"nothing": 0, "SIGKILL": syscall.SIGKILL, "SIGSTOP": syscall.SIGSTOP,
	"SIGTERM": syscall.SIGTERM}

// mishaps is the whole product, in an order that a seed decides.
func mishaps(seed uint64) []mishap {
	var all []mishap
	for _, db := range []struct {
		name  string
		harms []string
	}{{"sqlite", []string{"well", "held", "held long"}},
		{"postgres", []string{"well", "restarted", "stopped", "paused"}}} {
		for _, harm := range db.harms {
			for _, phase := range capture.Phases() {
				strikes := append([]simulator.Strike{{Name: "well"}}, simulator.Strikes(1)...)
				for _, strike := range append(strikes, simulator.SpecialStrikes()[string(phase)]...) {
					for _, signal := range []string{"nothing", "SIGKILL", "SIGSTOP", "SIGTERM"} {
						all = append(all, mishap{db.name, harm, phase, signal, strike})
					}
				}
			}
		}
	}
	rand.New(rand.NewPCG(seed, 1)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// some are n of the product, in which every phase, signal and harm is.
func some(all []mishap, n int) []mishap {
	seen, taken := map[string]int{}, map[string]bool{}
	var chosen []mishap
	for most := 0; len(chosen) < n; most++ {
		for i := 0; i < len(all) && len(chosen) < n; i++ {
			m := all[i]
			keys := []string{string(m.phase), m.signal, m.db + m.harm, "strike " + m.strike.Name}
			if taken[m.name()] || seen[keys[0]] > most || seen[keys[1]] > 2*most || seen[keys[2]] > most ||
				seen[keys[3]] > most {
				continue
			}
			for _, k := range keys {
				seen[k]++
			}
			chosen, taken[m.name()] = append(chosen, m), true
		}
	}
	return chosen
}

// TestMishaps has two workers do two runs that want the same routers, and lets a worker, the
// database and a router come to harm at the same moment of the first. Afterwards the routers are
// byte for byte what they were, or the run says that they are not, and is cleaned when the
// router is well again; no router had two captures at once. MONCAP_FLEET_FAULTS is how many of
// the product are tried, or all (`make fleet-faults`); MONCAP_FLEET_FAULTS_SEED is their order.
// A name repeats one.
func TestMishaps(t *testing.T) {
	if patience > 1 {
		t.Skip("who takes over from whom, and when, is not for the race detector")
	}
	seed, err := strconv.ParseUint(os.Getenv("MONCAP_FLEET_FAULTS_SEED"), 10, 64)
	if err != nil {
		seed = 17
	}
	all := mishaps(seed)
	chosen := all
	if how := os.Getenv("MONCAP_FLEET_FAULTS"); how != "all" {
		n, err := strconv.Atoi(how)
		if err != nil {
			n = 11
		}
		chosen = some(all, min(n, len(all)))
	}
	servers := make(chan *server, 8) // each is harmed by one at a time
	t.Cleanup(func() {
		for range cap(servers) {
			if s := <-servers; s != nil {
				s.stop()
			}
		}
	})
	for range cap(servers) {
		servers <- nil
	}
	var mu sync.Mutex
	outcomes := map[State]int{}
	t.Run("product", func(t *testing.T) {
		for _, m := range chosen {
			t.Run(m.name(), func(t *testing.T) {
				t.Parallel()
				for _, state := range (&mishapTest{t: t, mishap: m}).play(servers) {
					mu.Lock()
					outcomes[state]++
					mu.Unlock()
				}
			})
		}
	})
	t.Logf("%d of %d, runs: %v", len(chosen), len(all), outcomes)
}

type mishapTest struct {
	mishap
	t       *testing.T
	f       *field
	url     string
	s       *Store
	server  *server
	workers []*process
}

func (m *mishapTest) play(servers chan *server) (states []State) {
	t := m.t
	if m.db == "postgres" {
		m.server = <-servers
		defer func() { servers <- m.server }()
		if m.server == nil {
			s, err := newServer()
			needed(t, err)
			m.server = s
		}
		m.url = m.server.database(t, nil)
	} else {
		m.url = "sqlite:" + filepath.Join(t.TempDir(), "moncap.db")
	}
	m.f, m.s = newField(t, 1), openShort(t, m.url)
	for range 2 {
		m.workers = append(m.workers, m.worker())
	}
	if m.strike.Name != "well" {
		m.f.routers[0].AddFault(m.strike.At(string(m.phase)))
	}
	settings := capture.Settings{Duration: 2 * time.Second, Trigger: "clear crypto session remote " + m.f.peers[1].Address}
	ids := submit(t, m.s, m.f.request(t, 0, 1, settings), m.f.request(t, 0, 1, settings))
	m.strikeAll(m.victim())
	for _, r := range m.over(ids) {
		states = append(states, r.State)
	}
	m.judge(ids)
	return states
}

// worker starts one, as often as a supervisor would.
func (m *mishapTest) worker() *process {
	for n := 0; ; n++ {
		p, err := m.f.begin(m.t, m.url, func(c *workerConfig) {
			c.Tell, c.Told, c.Hasty, c.Drain = m.phase, filepath.Join(m.f.dir, "told"), true, 6*time.Second
		})
		if err == nil {
			return p
		}
		if n == 5 {
			m.t.Fatalf("worker: %v: %v\n%s", err, p.err, p.log)
		}
	}
}

// victim is the worker that is in the phase.
func (m *mishapTest) victim() *process {
	select {
	case <-m.workers[0].told:
		return m.workers[0]
	case <-m.workers[1].told:
		return m.workers[1]
	case <-time.After(2 * time.Minute):
		m.t.Fatal("nobody came to the phase")
	}
	return nil
}

// strikeAll does what happens, and ends what the database suffers from.
func (m *mishapTest) strikeAll(victim *process) {
	t := m.t
	time.Sleep(rand.N(150 * time.Millisecond)) // where in the phase is different every time
	switch sig := mishapSignals[m.signal]; sig {
	case 0:
	case syscall.SIGSTOP:
		freeze(t, m.url, victim)
	default:
		victim.signal(t, sig)
	}
	longer := testLease * 13 / 10
	switch m.mishap.harm {
	case "held", "held long":
		s := openShort(t, m.url)
		tx := hold(t, s)
		time.Sleep(map[string]time.Duration{"held": testLease / 2, "held long": longer}[m.mishap.harm])
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
	case "restarted":
		m.must(m.server.halt(), m.server.start())
	case "stopped":
		m.must(m.server.halt())
		time.Sleep(longer)
		m.must(m.server.start())
	case "paused":
		m.server.signal(syscall.SIGSTOP)
		time.Sleep(longer)
		m.server.signal(syscall.SIGCONT)
	}
}

func (m *mishapTest) must(errs ...error) {
	m.t.Helper()
	for _, err := range errs {
		if err != nil {
			m.t.Fatal(err)
		}
	}
}

// over waits until runs are over. A router that is clean is not said to be dirty, nor
// a dirty one clean.
func (m *mishapTest) over(ids []string) (runs []Run) {
	t := m.t
	m.s = stillOpen(t, m.s, m.url)
	open := func() (n int) {
		runs = nil
		for _, id := range ids {
			r, err := m.s.Run(t.Context(), id)
			if err != nil || !r.State.Over() {
				n++
			}
			runs = append(runs, r)
		}
		return n
	}
	// One that left something keeps the other waiting.
	eventually(t, "the runs are over", func() bool {
		return open() == 0 || runs[0].State == Dirty ||
			runs[1].State == Dirty
	})
	dirty := false
	for _, r := range runs {
		dirty = dirty || r.State == Dirty
	}
	f := m.f.routers[0]
	f.SetHostname(m.f.peers[0].Name) // that another name is in the configuration was no change of ours
	if !dirty {
		if d := m.f.dirty(); len(d) > 0 {
			t.Errorf("%v are not as they were, and the runs do not say so: %s", d, summary(runs))
		}
	}
	f.ClearFaults()
	for _, r := range runs {
		if r.State == Dirty {
			if r.Remains == "" {
				t.Errorf("what is left is not said: %+v", r)
			}
			m.must(m.s.Clean(t.Context(), "tester", r.ID))
		}
	}
	eventually(t, "the runs are over and clean", func() bool { return open() == 0 })
	for _, r := range runs {
		if r.State == Dirty || !r.Clean {
			t.Errorf("it stays dirty: %+v", r)
		}
	}
	return runs
}

// judge looks at everything when the workers have ended, also one that was frozen.
func (m *mishapTest) judge(ids []string) {
	t := m.t
	for _, w := range m.workers {
		_ = w.cmd.Process.Signal(syscall.SIGCONT) // it may have ended
	}
	// Whatever a worker that was frozen has sent last is found when the routers are looked at again.
	eventually(t, "second looks", func() bool {
		_, _ = m.s.exec(t.Context(), m.s.db, "UPDATE moncap_look SET due = 0 WHERE job = 0")
		n := 1
		_, err := m.s.row(t.Context(), m.s.db, []any{&n}, "SELECT count(*) FROM moncap_look")
		return err == nil && n == 0 || m.noWorker()
	})
	for _, w := range m.workers {
		_ = w.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	}
	for _, w := range m.workers {
		if code := w.code(t); code != 0 && code != -1 && code != 5 {
			t.Errorf("a worker ended with %d", code)
		}
	}
	m.f.check(t)
	settled(t, m.s)
}

// noWorker says whether both have ended.
func (m *mishapTest) noWorker() bool {
	for _, w := range m.workers {
		select {
		case <-w.done:
		default:
			return false
		}
	}
	return true
}
