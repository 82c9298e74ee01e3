//go:build unix

package fleet

import (
	"errors"
	"slices"
	"testing"
	"time"
)

// swept has a worker that lives look after the runs.
func swept(t *testing.T, v *service) {
	t.Helper()
	eventually(t, "the database answers",
		func() bool { return v.beat(t.Context()) == nil && v.sweep(t.Context()) == nil })
}

// A run that is no worker's has its routers as those of workers have theirs.
func TestARunOutsideTakesItsPlaces(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		s := openStore(t, url)
		v := idle(t, s, WorkerOptions{Host: "h"})
		a, b, c := Slot{"a:22", 1}, Slot{"b:22", 1}, Slot{"c:22", 2}
		release, err := s.Occupy(t.Context(), "outside-1", a, b)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Submit(t.Context(), ask(t, 1, "b:22", "d:22"), ask(t, 2, "e:22", "f:22")); err != nil {
			t.Fatal(err)
		}
		wantStates(t, s, "waiting granted")
		_, err = s.Occupy(t.Context(), "outside-2", Slot{"e:22", 1}, c)
		if busy, ok := errors.AsType[*BusyError](err); !ok || busy.Router != "e:22" ||
			!slices.Equal(busy.Runs, []string{runID(2)}) {
			t.Errorf("%v", err)
		}
		other, err := s.Occupy(t.Context(), "outside-3", c, c) // both ends on one router
		if err != nil {
			t.Fatal(err)
		}
		other()
		release()
		swept(t, v)
		wantStates(t, s, "granted granted")
		if problems, err := s.Check(t.Context()); err != nil || len(problems) != 0 {
			t.Errorf("%v, %v", problems, err)
		}
	})
}

// Whoever dies without giving its places back has them for a while.
func TestPlacesOfTheDeadLapse(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		s, dying := openStore(t, url), openShort(t, url)
		v := idle(t, s, WorkerOptions{Host: "h"})
		release, err := dying.Occupy(t.Context(), "outside", Slot{"a:22", 1}, Slot{"b:22", 1})
		if err != nil {
			t.Fatal(err)
		}
		defer release()
		var in int64
		left := func() time.Duration {
			_, err := s.row(t.Context(), s.db, []any{&in}, "SELECT min(until) - {now} FROM moncap_slot")
			if err != nil && !again(err) {
				t.Fatal(err)
			}
			return time.Duration(in) * time.Millisecond
		}
		if got := left(); got <= 0 || got > outsideLeases*testLease {
			t.Errorf("%s", got)
		}
		if err := s.Submit(t.Context(), ask(t, 1, "a:22", "c:22")); err != nil {
			t.Fatal(err)
		}
		if _, err := s.exec(t.Context(), s.db, "UPDATE moncap_slot SET until = {now} + 1000"); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it is said that the places are still taken", func() bool { return left() > 2*testLease })
		wantStates(t, s, "waiting")
		if err := dying.Close(); err != nil { // from here on it says nothing
			t.Fatal(err)
		}
		if _, err := s.exec(t.Context(), s.db, "UPDATE moncap_slot SET until = 1"); err != nil {
			t.Fatal(err)
		}
		swept(t, v)
		wantStates(t, s, "granted")
	})
}

// What is kept is bounded by its size, too: the oldest go first, and of each tunnel the last stay.
func TestPruneBySize(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		s := openStore(t, url)
		const size = 1 << 20
		for i := range 6 {
			for _, q := range []string{
				`INSERT INTO moncap_run (id, tunnel, a, b, router_a, router_b, runs_a, runs_b, site, state, priority, created, ended)
				 VALUES (?, 't', 'a', 'b', '', '', 1, 1, '', 'done', 1, {now}, {now} - ?)`,
			} {
				if _, err := s.exec(t.Context(), s.db, q, runID(i), 1000*(6-i)); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.putBundle(t.Context(), runID(i), 0, make([]byte, size)); err != nil {
				t.Fatal(err)
			}
		}
		left := func() (ids []string) {
			t.Helper()
			if err := s.query(t.Context(), s.db, func(scan func(...any) error) error {
				var id string
				err := scan(&id)
				ids = append(ids, id[len(id)-1:])
				return err
			}, "SELECT run FROM moncap_artifact ORDER BY run"); err != nil {
				t.Fatal(err)
			}
			return ids
		}
		gb := func(mb float64) float64 { return mb / 1024 }
		for _, c := range []struct {
			keep Retain
			want []string
			gone int
		}{
			{Retain{MaxGB: gb(6)}, []string{"0", "1", "2", "3", "4", "5"}, 0},
			{Retain{MaxGB: gb(4.5)}, []string{"2", "3", "4", "5"}, 2},
			{Retain{MaxGB: gb(1), KeepLast: 3}, []string{"3", "4", "5"}, 1},
			{Retain{MaxGB: gb(0.5)}, nil, 3},
		} {
			p, err := s.Prune(t.Context(), c.keep, false)
			if got := left(); err != nil || p.Bundles != c.gone || p.Bytes != int64(c.gone)*size || !slices.Equal(got, c.want) {
				t.Errorf("%+v: %+v, left %v, %v", c.keep, p, got, err)
			}
		}
		if n, err := s.Runs(t.Context(), RunFilter{}); err != nil || len(n) != 6 {
			t.Errorf("the runs went, too: %d, %v", len(n), err)
		}
	})
}

// A worker that was killed is listed for a day.
func TestRowsOfDeadWorkersGo(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		s := openStore(t, url)
		for _, host := range []string{"dead", "alive"} {
			idle(t, s, WorkerOptions{Host: host})
		}
		if _, err := s.exec(t.Context(), s.db, "UPDATE moncap_worker SET beat = {now} - ? WHERE host = 'dead'",
			25*3600*1000); err != nil {
			t.Fatal(err)
		}
		for _, dryRun := range []bool{true, false} {
			if _, err := s.Prune(t.Context(), Retain{}, dryRun); err != nil {
				t.Fatal(err)
			}
			all, err := s.Workers(t.Context())
			want := map[bool]int{true: 2, false: 1}[dryRun]
			if err != nil || len(all) != want || all[0].Host != "alive" {
				t.Errorf("%+v, %v", all, err)
			}
		}
	})
}
