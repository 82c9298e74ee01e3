//go:build unix

package fleet

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/moncap/moncap/capture"
)

// TestSoak has schedules ask for MONCAP_FLEET_SOAK runs (`make fleet-soak` sets it) of three
// workers that are killed, frozen and terminated at random. Afterwards every router is as it was,
// none had two captures at once, and no time of a schedule fired twice. MONCAP_FLEET_SOAK_DB is
// sqlite or postgres, MONCAP_FLEET_SOAK_SEED repeats the order of the signals.
func TestSoak(t *testing.T) {
	want, err := strconv.Atoi(os.Getenv("MONCAP_FLEET_SOAK"))
	if err != nil {
		t.Skip("MONCAP_FLEET_SOAK names no number of runs")
	}
	seed, err := strconv.ParseUint(os.Getenv("MONCAP_FLEET_SOAK_SEED"), 10, 64)
	if err != nil {
		seed = rand.Uint64()
	}
	t.Logf("seed %d", seed)
	url := "sqlite:" + filepath.Join(t.TempDir(), "moncap.db")
	if os.Getenv("MONCAP_FLEET_SOAK_DB") == "postgres" {
		url = ownServer(t).database(t, nil)
	}
	k := &soak{t: t, rng: rand.New(rand.NewPCG(seed, 0)), url: url, f: newField(t, 8), s: openShort(t, url), want: want}
	k.schedules()
	for range 3 {
		k.workers = append(k.workers, k.worker())
	}
	k.disturb()
	k.finish()
}

type soak struct {
	t       *testing.T
	rng     *rand.Rand
	url     string
	f       *field
	s       *Store
	want    int
	workers []*process
	signals [3]int // kills, freezes, terminations
}

// soakEvery is how often a schedule of the soak is due.
const soakEvery = 4 * time.Second

func (k *soak) schedules() {
	var all []Schedule
	now, err := k.s.Now(k.t.Context())
	if err != nil {
		k.t.Fatal(err)
	}
	for i := range len(k.f.peers) {
		all = append(all, Schedule{Name: fmt.Sprintf("s%02d", i), Spec: strconv.Itoa(i),
			Due: now.Add(time.Duration(i) * 200 * time.Millisecond)})
	}
	if err := k.s.PutSchedules(k.t.Context(), "soak", all); err != nil {
		k.t.Fatal(err)
	}
}

// worker starts one, as often as a supervisor would: a process that is frozen while it writes to a
// SQLite file keeps all others from it.
func (k *soak) worker() *process {
	for n := 0; ; n++ {
		p, err := k.f.begin(k.t, k.url, func(c *workerConfig) { c.Schedules = true })
		if err == nil {
			return p
		}
		if n == 10 {
			k.t.Fatalf("worker: %v: %v\n%s", err, p.err, p.log)
		}
	}
}

// soakTick fires what is due: each schedule has a run between two routers.
func soakTick(s *Store, peers []peerConfig) func(context.Context) error {
	return func(ctx context.Context) error {
		now, err := s.Now(ctx)
		if err != nil {
			return err
		}
		rows, err := s.ScheduleRows(ctx)
		if err != nil {
			return err
		}
		waiting := 0 // a slow machine is not asked for more than it can do
		if _, err := s.row(ctx, s.db, []any{&waiting},
			"SELECT count(*) FROM moncap_run WHERE state = 'waiting'"); err != nil || waiting > 100 {
			return err
		}
		for _, c := range rows {
			if c.Due.After(now) {
				continue
			}
			i, err := strconv.Atoi(c.Spec)
			if err != nil {
				return err
			}
			next := c.Due.Add(soakEvery)
			for !next.After(now) {
				next = next.Add(soakEvery)
			}
			a, b := peers[i-i%2], peers[1+2*rand.IntN(len(peers)/2)]
			id := time.Now().UTC().Format("20060102-150405") + "-" + random(3)
			p, err := capture.NewPlan(c.Name, a.endpoint(), b.endpoint(),
				capture.Settings{Duration: time.Duration(1+rand.IntN(2)) * time.Second}, id)
			if err != nil {
				return err
			}
			_, err = s.Fire(ctx, c.Name, c.Due, next, 0, Request{Plan: p, A: Slot{a.router(), 1}, B: Slot{b.router(), 1},
				Priority: Normal, By: "soak",
				Cause: fmt.Sprintf("schedule %s@%d", c.Name, c.Due.UnixMilli())})
			if err != nil {
				return err
			}
		}
		return nil
	}
}

// disturb lets the workers work, and not in peace, until there are enough runs.
func (k *soak) disturb() {
	for {
		time.Sleep(time.Duration(500+k.rng.IntN(4000)) * time.Millisecond)
		n := 0
		if _, err := k.s.row(k.t.Context(), k.s.db, []any{&n}, "SELECT count(*) FROM moncap_run"); err != nil && !again(err) {
			k.t.Fatal(err)
		}
		if n >= k.want {
			return
		}
		if k.signals[0]%50 == 49 {
			k.t.Logf("%d runs so far", n)
		}
		i := k.rng.IntN(len(k.workers))
		w := k.workers[i]
		switch what := k.rng.IntN(3); what {
		case 0:
			w.signal(k.t, syscall.SIGKILL)
			k.signals[what]++
		case 1:
			w.signal(k.t, syscall.SIGSTOP)
			k.signals[what]++
			time.AfterFunc(testLease*time.Duration(5+k.rng.IntN(10))/10, func() {
				_ = w.cmd.Process.Signal(syscall.SIGCONT) // it may be gone
				_ = w.cmd.Process.Signal(syscall.SIGTERM)
			})
		case 2:
			w.signal(k.t, syscall.SIGTERM)
			k.signals[what]++
		}
		k.workers[i] = k.worker()
	}
}

func (k *soak) finish() {
	if err := k.s.PutSchedules(k.t.Context(), "over", nil); err != nil {
		k.t.Fatal(err)
	}
	eventually(k.t, "all runs are over", func() bool {
		open, err := k.s.Jobs(k.t.Context(), "")
		return err == nil && len(open) == 0
	})
	runs, err := k.s.Runs(k.t.Context(), RunFilter{})
	if err != nil {
		k.t.Fatal(err)
	}
	states, causes, doubles := map[State]int{}, map[string]int{}, 0
	for _, r := range runs {
		states[r.State]++
		if causes[r.Cause]++; causes[r.Cause] > 1 {
			doubles++
		}
		if r.State == Dirty || r.State == Failed {
			k.t.Logf("%s %s: %s %s", r.ID, r.State, r.Error, r.Remains)
		}
	}
	worst := 0
	for _, w := range k.f.watch {
		w.mu.Lock()
		worst = max(worst, w.worst)
		w.mu.Unlock()
	}
	k.t.Logf("%d runs %v, kills %d, freezes %d, terminations %d, double firings %d, most captures at once on a router %d",
		len(runs), states, k.signals[0], k.signals[1], k.signals[2], doubles, worst)
	if doubles > 0 {
		k.t.Errorf("%d times of schedules fired twice", doubles)
	}
	// What a frozen worker sent last is found when the routers are looked at again.
	eventually(k.t, "the routers are as they were", func() bool { return len(k.f.dirty()) == 0 })
	k.f.check(k.t)
	settled(k.t, k.s)
}
