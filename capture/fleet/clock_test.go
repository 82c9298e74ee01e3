//go:build unix

package fleet

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// putBack makes the database's clock seem to have been put back by an hour: what it said of a time
// before lies ahead.
func putBack(t *testing.T, s *Store) {
	t.Helper()
	const hour = 3600 * 1000
	for _, q := range []string{
		"UPDATE moncap_run SET lease = lease + ? WHERE lease > 0", "UPDATE moncap_look SET due = due + ?",
		"UPDATE moncap_worker SET beat = beat + ?", "UPDATE moncap_slot SET until = until + ? WHERE until > 0",
	} {
		if _, err := s.exec(t.Context(), s.db, q, hour); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAClockThatIsPutBackHidesNoDeadWorker(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		f, s := newField(t, 2), openShort(t, url)
		dead := f.abandoned(t, s, url, nil)
		f.worker(t, url, nil)
		settings := long
		settings.Duration = 4 * time.Second
		alive := submit(t, s, f.request(t, 2, 3, settings))[0]
		running(t, f, s, alive)
		putBack(t, s)
		began := time.Now()
		runs := await(t, s, dead, alive)
		t.Logf("over after %s", time.Since(began))
		for _, r := range runs {
			want := Done // who lives keeps its run
			if r.ID == dead {
				want = Collected
			}
			if r.State != want || !r.Clean {
				t.Errorf("%+v", r)
			}
		}
		if at, ok := lookDue(t, s, dead); !ok || at > 10*testLease {
			t.Errorf("the second look is %s away, %v", at, ok)
		}
		f.check(t)
		settled(t, s)
	})
}

// lookDue is how far ahead the second look at a run is.
func lookDue(t *testing.T, s *Store, id string) (time.Duration, bool) {
	t.Helper()
	var in int64
	ok, err := s.row(t.Context(), s.db, []any{&in}, "SELECT due - {now} FROM moncap_look WHERE run = ?", id)
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(in) * time.Millisecond, ok
}

// A clock that is put forward costs a run its packets at most, and no router its rest. Mostly
// another worker takes the run over; where who lost it ends it before that one begins, it is done.
func TestAClockThatIsPutForward(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		f, s := newField(t, 1), openShort(t, url)
		f.worker(t, url, nil)
		id := submit(t, s, f.request(t, 0, 1, long))[0]
		running(t, f, s, id)
		if _, err := s.exec(t.Context(), s.db, "UPDATE moncap_run SET lease = 1 WHERE id = ?", id); err != nil {
			t.Fatal(err)
		}
		over := []State{Done, Collected, Interrupted}
		if r := await(t, s, id)[0]; !slices.Contains(over, r.State) || !r.Clean {
			t.Errorf("%+v", r)
		}
		f.check(t)
		settled(t, s)
	})
}

func TestWorkersHaveOneLease(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		f, s := newField(t, 1), openStore(t, url)
		f.worker(t, url, calm)
		other, err := Open(t.Context(), Options{URL: url, Lease: 5 * calmLease})
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		err = other.Work(t.Context(), WorkerOptions{Host: "other"}, nil)
		if !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), "lease") {
			t.Errorf("%v", err)
		}
		if all, err := s.Workers(t.Context()); err != nil || len(all) != 1 {
			t.Errorf("%v, %v", all, err)
		}
	})
}

// A worker says when its clock is wrong.
func TestAClockThatIsOff(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		s := openStore(t, url)
		v := idle(t, s, WorkerOptions{Host: "wrong"})
		v.clockOff.Store(7000)
		if err := v.beat(t.Context()); err != nil {
			t.Fatal(err)
		}
		all, err := s.Workers(t.Context())
		if err != nil || len(all) != 1 || all[0].ClockOff != 7*time.Second {
			t.Fatalf("%+v, %v", all, err)
		}
		problems, err := s.Check(t.Context())
		if err != nil || len(problems) != 1 || problems[0].Severity != "warning" ||
			!strings.Contains(problems[0].Text, "clock is 7s off") {
			t.Errorf("%v, %v", problems, err)
		}
		// The next beat has measured it.
		if off := v.clockOff.Load(); off > 1000 || off < -1000 {
			t.Errorf("%d ms", off)
		}
	})
}

func TestAFileOnANetworkIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := Options{URL: "sqlite:" + filepath.Join(dir, "moncap.db"), fileSystem: func(asked string) string {
		if asked != dir {
			t.Errorf("asked for %s", asked)
		}
		return "NFS"
	}}
	if s, err := Open(t.Context(), o); !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), "NFS") ||
		!strings.Contains(err.Error(), "PostgreSQL") {
		t.Errorf("%v, %v", s, err)
	}
	if exists(filepath.Join(dir, "moncap.db")) {
		t.Error("it made the file")
	}
}
