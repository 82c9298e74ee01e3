//go:build unix

package fleet

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moncap/moncap/capture"
	"github.com/moncap/moncap/capture/bundle"
)

func testPlan(t testing.TB, tunnel, id string) *capture.Plan {
	t.Helper()
	end := func(name, address string) capture.Endpoint {
		return capture.Endpoint{Name: name, Address: netip.MustParseAddr(address), Interface: "GigabitEthernet1",
			Platform: "cisco_iosxe"}
	}
	p, err := capture.NewPlan(tunnel, end("site-a", "192.0.2.1"), end("site-b", "192.0.2.2"),
		capture.Settings{Duration: time.Second}, id)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func runID(n int) string { return fmt.Sprintf("20261129-120000-%06d", n) }

// ask is a request for a run between two routers that nobody reaches.
func ask(t testing.TB, n int, a, b string) Request {
	t.Helper()
	return Request{Plan: testPlan(t, fmt.Sprint("t", n), runID(n)), A: Slot{a, 1}, B: Slot{b, 1}, Priority: Normal,
		By: "me", Cause: "manual"}
}

// idle is a worker that is in the list and takes nothing.
func idle(t *testing.T, s *Store, o WorkerOptions) *service {
	t.Helper()
	v, err := s.newService(o)
	if err == nil {
		err = v.beat(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// states are those of all runs, the first asked for first.
func states(t *testing.T, s *Store) string {
	t.Helper()
	runs, err := s.Runs(t.Context(), RunFilter{})
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(runs, func(x, y Run) int { return strings.Compare(x.ID, y.ID) })
	var all []string
	for _, r := range runs {
		all = append(all, string(r.State))
	}
	return strings.Join(all, " ")
}

func wantStates(t *testing.T, s *Store, want string) {
	t.Helper()
	if got := states(t, s); got != want {
		t.Errorf("states %s, want %s", got, want)
	}
}

func TestWhoGoesInFirst(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		s := openStore(t, url)
		idle(t, s, WorkerOptions{Workers: 3})
		idle(t, s, WorkerOptions{Workers: 1, Sites: []string{"emea"}})
		urgent, elsewhere, later, approved := ask(t, 3, "d", "e"), ask(t, 4, "f", "g"), ask(t, 5, "h", "i"),
			ask(t, 6, "j", "k")
		urgent.Priority, elsewhere.Site, later.NotBefore, approved.Approve = Urgent, "apac", time.Now().Add(time.Hour), true
		two := ask(t, 7, "hub", "x")
		two.A.Runs = 2
		submit(t, s, ask(t, 0, "hub", "a"), ask(t, 1, "hub", "b"), ask(t, 2, "a", "c"), urgent, elsewhere, later, approved,
			two)
		// 0 has the hub and a, 3 is urgent, 7 takes the hub's second place, which is the
		// third of three workers.
		wantStates(t, s, "granted waiting waiting granted waiting waiting waiting granted")
		jobs, err := s.Jobs(t.Context(), Waiting)
		if err != nil {
			t.Fatal(err)
		}
		var waits []string
		for _, j := range jobs {
			waits = append(waits, strings.Fields(j.ID)[0][len(j.ID)-1:]+" "+j.Waits)
		}
		got := strings.Join(waits, "; ")
		for _, want := range []string{"1 for site-a (2 before it)", "4 no worker for site apac", "5 until ", "6 approval"} {
			if !strings.Contains(got, want) {
				t.Errorf("waits %q, want %q", got, want)
			}
		}
		if err := s.Approve(t.Context(), runID(6), "me"); !errors.Is(err, ErrUsage) {
			t.Errorf("approved by who asked: %v", err)
		}
		if err := s.Approve(t.Context(), runID(6), "another"); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Cancel(t.Context(), "me", runID(0), runID(7)); err != nil {
			t.Fatal(err)
		}
		wantStates(t, s, "cancelled granted granted granted waiting waiting waiting cancelled")
		if _, err := s.Cancel(t.Context(), "me", runID(99)); !errors.Is(err, ErrNotFound) {
			t.Errorf("%v", err)
		}
	})
}

// A run that needs two routers is not kept out for ever by those that need one of them each.
func TestARunThatWaitedLongKeepsItsRouters(t *testing.T) {
	t.Parallel()
	old, now := time.Now().Add(-time.Hour), time.Now()
	h := &hall{now: ms(now), taken: map[string][]int{"b": {0}}, capacity: map[string]int{"": 9},
		workers: map[string]int{"": 1}, reserved: map[string]bool{}}
	first := Run{Routers: [2]string{"a", "b"}, runs: [2]int{1, 1}, Created: old}
	second := Run{Routers: [2]string{"a", "c"}, runs: [2]int{1, 1}, Created: now}
	if h.fits(first) || h.fits(second) {
		t.Error("a younger run took the router that an older one waits for")
	}
	first.Created, h.reserved = now, map[string]bool{}
	if h.fits(first) || !h.fits(second) {
		t.Error("a router is kept for a run that has not waited")
	}
}

func TestADrainedWorkerGetsNothing(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		s := openStore(t, url)
		v := idle(t, s, WorkerOptions{Workers: 3})
		if err := s.DrainWorker(t.Context(), "me", v.id); err != nil {
			t.Fatal(err)
		}
		submit(t, s, ask(t, 0, "a", "b"))
		wantStates(t, s, "waiting")
		if err := v.beat(t.Context()); err != nil {
			t.Fatal(err)
		}
		select {
		case <-v.ending:
		default:
			t.Error("the worker does not know that it is drained")
		}
		if err := s.DrainWorker(t.Context(), "me", "nobody"); !errors.Is(err, ErrNotFound) {
			t.Errorf("%v", err)
		}
	})
}

// A granted run that no worker takes is handed out anew, and its old job finds nothing to do.
func TestAGrantedRunIsNotForgotten(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		s := openStore(t, url)
		v := idle(t, s, WorkerOptions{Workers: 3})
		ids := submit(t, s, ask(t, 0, "a", "b"))
		before, err := s.Run(t.Context(), ids[0])
		if err != nil || before.State != Granted {
			t.Fatalf("%+v, %v", before, err)
		}
		if _, err := s.exec(t.Context(), s.db, "UPDATE moncap_run SET lease = 1"); err != nil {
			t.Fatal(err)
		}
		if err := v.sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		after, err := s.Run(t.Context(), ids[0])
		if err != nil || after.State != Granted || after.job == before.job {
			t.Fatalf("%+v, %v", after, err)
		}
		if _, ok, err := v.claim(t.Context(), ids[0], before.job); ok || err != nil {
			t.Errorf("an old job took the run: %v", err)
		}
		if r, ok, err := v.claim(t.Context(), ids[0], after.job); !ok || err != nil || r.State != Running || r.Fence != 1 {
			t.Errorf("%+v, %v", r, err)
		}
		if _, ok, err := v.claim(t.Context(), ids[0], after.job); ok || err != nil {
			t.Errorf("it was taken twice: %v", err)
		}
	})
}

// Of all that fire a schedule at once, one does; what is missed, paused or changed is kept.
func TestAScheduleFiresOnce(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		s := openStore(t, url)
		due := time.UnixMilli(1_790_000_000_000)
		put := func(spec string, due time.Time) {
			t.Helper()
			if err := s.PutSchedules(t.Context(), "digest", []Schedule{{Name: "nightly", Spec: spec, Due: due}}); err != nil {
				t.Fatal(err)
			}
		}
		put("a", due)
		var fired atomic.Int64
		var wg sync.WaitGroup
		for i := range 8 {
			q := ask(t, i, "a", "b")
			wg.Go(func() {
				ok, err := s.Fire(t.Context(), "nightly", due, due.Add(time.Hour), 2, q)
				if err != nil {
					t.Error(err)
				}
				if ok {
					fired.Add(1)
				}
			})
		}
		wg.Wait()
		row := func() Schedule {
			t.Helper()
			rows, err := s.ScheduleRows(t.Context())
			if err != nil || len(rows) != 1 {
				t.Fatal(rows, err)
			}
			return rows[0]
		}
		if c := row(); fired.Load() != 1 || !c.Due.Equal(due.Add(time.Hour)) || c.Missed != 2 || c.Last.IsZero() ||
			states(t, s) != "waiting" {
			t.Errorf("fired %d times, %+v, runs %s", fired.Load(), c, states(t, s))
		}
		put("a", due) // read again, it stays where it is
		if c := row(); !c.Due.Equal(due.Add(time.Hour)) {
			t.Errorf("%+v", c)
		}
		if err := s.PauseSchedule(t.Context(), "me", "nightly", true); err != nil {
			t.Fatal(err)
		}
		if ok, err := s.Fire(t.Context(), "nightly", due.Add(time.Hour), due.Add(2*time.Hour), 0); ok || err != nil {
			t.Errorf("a paused schedule fired: %v", err)
		}
		put("b", due.Add(5*time.Hour))
		if c := row(); !c.Due.Equal(due.Add(5*time.Hour)) || !c.Paused {
			t.Errorf("%+v", c)
		}
		if err := s.PauseSchedule(t.Context(), "me", "weekly", true); !errors.Is(err, ErrNotFound) {
			t.Errorf("%v", err)
		}
	})
}

// Who does not hold a run any more announces nothing, and changes nothing of it.
func TestALostRunIsNotWritten(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		s := openStore(t, url)
		v := idle(t, s, WorkerOptions{Workers: 3})
		ids := submit(t, s, ask(t, 0, "a", "b"))
		granted, err := s.Run(t.Context(), ids[0])
		if err != nil {
			t.Fatal(err)
		}
		r, ok, err := v.claim(t.Context(), ids[0], granted.job)
		if err != nil || !ok {
			t.Fatal(err)
		}
		l := newLedger(t.Context(), s, r.ID, r.Fence, 0)
		entry := func(kind string, state bundle.State) bundle.Entry {
			return bundle.Entry{Time: time.Now(), Side: bundle.A, Peer: "site-a", Kind: kind, Name: "x", State: state}
		}
		l.Saved([]byte(`{"id":"one"}`))
		if err := l.Intend(t.Context(), entry("acl", bundle.Intent)); err != nil {
			t.Fatal(err)
		}
		l.Noted(entry("acl", bundle.Made))
		// The lease is over, and nobody else has it yet: nothing new, and what became of the old is kept.
		if _, err := s.exec(t.Context(), s.db, "UPDATE moncap_run SET lease = 1"); err != nil {
			t.Fatal(err)
		}
		if err := l.Intend(t.Context(), entry("capture", bundle.Intent)); !errors.Is(err, errLost) {
			t.Errorf("a change was announced without a lease: %v", err)
		}
		l.Noted(entry("acl", bundle.Gone))
		l.close(nil, 0)
		entries, err := s.Journal(t.Context(), r.ID)
		if err != nil || len(bundle.OpenChanges(entries)) != 0 || len(entries) < 3 {
			t.Errorf("%v, %v", entries, err)
		}
		// Somebody else has it.
		if err := v.sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantStates(t, s, "recovering")
		before := len(entries)
		l = newLedger(t.Context(), s, r.ID, r.Fence, 100)
		l.Noted(entry("capture", bundle.Made))
		l.close(nil, 0)
		if entries, err := s.Journal(t.Context(), r.ID); err != nil || len(entries) != before {
			t.Errorf("written without the fence: %v, %v", entries, err)
		}
		if err := v.settleOnce(t.Context(), &held{Run: r}, ending{state: Done}); err != nil {
			t.Fatal(err)
		}
		wantStates(t, s, "recovering")
		if _, doc, err := s.plan(t.Context(), r.ID); err != nil || doc != `{"id":"one"}` {
			t.Errorf("%q, %v", doc, err)
		}
	})
}

func TestARunWithoutAVerdictIsTriedAgain(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		s := openStore(t, url)
		v := idle(t, s, WorkerOptions{Workers: 3, Crew: Crew{
			Credentials: func(*capture.Plan) []string { return []string{"moncap with env:X", "moncap with env:X at site-a"} },
			Refused:     func(*capture.Plan, error) []string { return []string{"moncap with env:X at site-a"} },
		}})
		q := ask(t, 0, "a", "b")
		q.Attempts = 2
		submit(t, s, q)
		take := func() *held {
			t.Helper()
			all, err := s.Runs(t.Context(), RunFilter{State: Granted})
			if err != nil || len(all) != 1 {
				t.Fatal(all, err)
			}
			r, ok, err := v.claim(t.Context(), all[0].ID, all[0].job)
			if err != nil || !ok {
				t.Fatal(err)
			}
			return &held{Run: r}
		}
		first := take()
		v.settle(t.Context(), first, ending{state: Failed, err: errors.New("not\nreached"), clean: true})
		second := take()
		if second.Attempt != 2 || second.RetryOf != first.ID || second.Tunnel != first.Tunnel || second.Cause != "manual" {
			t.Errorf("%+v", second.Run)
		}
		v.settle(t.Context(), second, ending{state: Failed, err: errors.New("not reached"), clean: true})
		runs, err := s.Runs(t.Context(), RunFilter{})
		if err != nil || len(runs) != 2 || runs[0].Exit != 4 || runs[1].Error != "not reached" {
			t.Errorf("%v, %v", summary(runs), err)
		}
		p := testPlan(t, "t", runID(9))
		if err := v.refusedBefore(t.Context(), p); err != nil {
			t.Error(err)
		}
		if !v.markRefused(t.Context(), first, p, errors.New("refused")) {
			t.Error("not marked")
		}
		if err := v.refusedBefore(t.Context(), p); err == nil ||
			!strings.Contains(err.Error(), "moncap with env:X at site-a was refused in run "+first.ID) {
			t.Errorf("%v", err)
		}
	})
}

func TestHistoryAndPrune(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		s := openStore(t, url)
		dir := t.TempDir()
		base := time.Now().Add(-time.Hour)
		for i, outcome := range []string{"established", "established", "failed", "failed", "not-run", "failed"} {
			b, err := bundle.Create(filepath.Join(dir, fmt.Sprint(i)))
			if err != nil {
				t.Fatal(err)
			}
			plan, err := testPlan(t, "t", runID(i)).Encode()
			if err != nil {
				t.Fatal(err)
			}
			run := &bundle.Run{ID: runID(i), Tunnel: "t", Plan: plan, Started: base.Add(time.Duration(i) * time.Minute),
				Ended: base.Add(time.Duration(i)*time.Minute + 30), Clean: true}
			if err := errors.Join(b.SaveRun(run),
				b.Record(bundle.Entry{Side: bundle.A, Kind: "acl", Name: "x", State: bundle.Gone})); err != nil {
				t.Fatal(err)
			}
			r, failed := &Report{JSON: []byte("{}"), Outcome: outcome, Headline: outcome,
				Findings: []Finding{{"X-" + outcome, "error"}}}, error(nil)
			if outcome == "failed" {
				r.Exit = 2
			}
			if outcome == "not-run" {
				r.Exit, failed = 4, errors.New("not reached")
			}
			for range 2 { // the second time it is replaced
				if err := s.Record(t.Context(), b, r, "me", failed); err != nil {
					t.Fatal(err)
				}
			}
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
		}
		list := func(f HistoryFilter) string {
			t.Helper()
			all, err := s.History(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			var ids []string
			for _, r := range all {
				ids = append(ids, r.ID[len(r.ID)-1:])
			}
			return strings.Join(ids, "")
		}
		if got := list(HistoryFilter{}) + " " + list(HistoryFilter{Changed: true}) + " " +
			list(HistoryFilter{Changed: true, Since: base.Add(150 * time.Second)}) +
			" " + list(HistoryFilter{Tunnel: "u"}) + " " + list(HistoryFilter{Limit: 2}); got != "543210 20   54" {
			t.Errorf("%q", got)
		}
		if last, err := s.Last(t.Context()); err != nil || last["t"].ID != runID(5) {
			t.Errorf("%v, %v", last, err)
		}
		keep := Retain{Runs: time.Nanosecond, Bundles: time.Nanosecond, KeepLast: 2}
		for _, dryRun := range []bool{true, false} {
			if p, err := s.Prune(t.Context(), keep, dryRun); err != nil || p.Runs != 4 || p.Bundles != 4 || p.Bytes == 0 {
				t.Errorf("%+v, %v", p, err)
			}
		}
		if got := list(HistoryFilter{}); got != "54" {
			t.Errorf("%q", got)
		}
		if problems, err := s.Check(t.Context()); err != nil || len(problems) != 1 || problems[0].Severity != "warning" {
			t.Errorf("%v, %v", problems, err)
		}
	})
}

func TestSchemas(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		var wg sync.WaitGroup
		for range 4 { // several processes come at once to an empty database
			wg.Go(func() {
				s, err := Open(t.Context(), Options{URL: url})
				if err != nil {
					t.Error(err)
					return
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		s := openStore(t, url)
		if have, want, err := s.Schema(t.Context()); err != nil || have != want {
			t.Fatal(have, want, err)
		}
		if _, err := s.exec(t.Context(), s.db, "UPDATE moncap_meta SET version = 99"); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), Options{URL: url}); !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), "99") {
			t.Errorf("a later schema: %v", err)
		}
	})
}

func TestAddressesOfDatabases(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"", "sqlite:x.db", "sqlite:///tmp/x.db", "postgres://moncap@db.example/moncap",
		"postgresql:///moncap"} {
		if err := ParseURL(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{"x.db", "mysql://x", "sqlite:", "sqlite:x?mode=ro", "postgres://u:s3cret@h/d",
		"postgres://h/d?password=s3cret", "postgres://u:s3cret@h:x/d"} {
		err := ParseURL(bad)
		if !errors.Is(err, ErrUsage) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if _, err := Open(t.Context(), Options{State: t.TempDir(), Existing: true}); !errors.Is(err, ErrNotFound) {
		t.Errorf("%v", err)
	}
	if _, err := Open(t.Context(), Options{URL: "postgres://nobody@127.0.0.1:1/x?connect_timeout=2"}); err == nil ||
		errors.Is(err, ErrUsage) {
		t.Errorf("%v", err)
	}
}

func TestFilesArePrivate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := Open(t.Context(), Options{State: filepath.Join(dir, "state")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	submit(t, s, ask(t, 0, "a", "b"))
	copied := filepath.Join(dir, "state", "copy.db")
	if err := s.Backup(t.Context(), copied); err != nil {
		t.Fatal(err)
	}
	if err := s.Backup(t.Context(), copied); !errors.Is(err, ErrUsage) {
		t.Errorf("a file was written over: %v", err)
	}
	entries, err := os.ReadDir(filepath.Join(dir, "state"))
	if err != nil || len(entries) < 2 {
		t.Fatal(entries, err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", e.Name(), info.Mode(), err)
		}
	}
	c, err := Open(t.Context(), Options{URL: "sqlite:" + copied})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	wantStates(t, c, "waiting")
}

// What a database gives as a bundle stays in its folder.
func TestNothingIsUnpackedElsewhere(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]tar.Header{
		"up": {Name: "../evil", Typeflag: tar.TypeReg}, "root": {Name: "/tmp/evil-moncap", Typeflag: tar.TypeReg},
		"link": {Name: "x", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}, "pipe": {Name: "x", Typeflag: tar.TypeFifo},
	} {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		w := tar.NewWriter(z)
		if err := errors.Join(w.WriteHeader(&h), w.Close(), z.Close()); err != nil {
			t.Fatal(err)
		}
		if err := unpack(b.Bytes(), t.TempDir()); err == nil {
			t.Errorf("%s: it was unpacked", name)
		}
	}
	if err := unpack([]byte("no gzip"), t.TempDir()); err == nil {
		t.Error("no gzip: it was unpacked")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x"), bytes.Repeat([]byte("abc\x00"), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := pack(dir, 20); !errors.Is(err, errTooLarge) {
		t.Errorf("%v", err)
	}
}

func TestTheSameIsSaidSeldom(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	log := slog.New(newSeldom(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug})))
	for range 5 {
		log.Warn("away")
		log.With("x", 1).Warn("away")
		log.Info("started")
		log.Warn("jobexecutor: job cancelled remotely")
	}
	if got := strings.Count(b.String(), "\n"); got != 1 || !strings.Contains(b.String(), "level=DEBUG") {
		t.Errorf("%d lines:\n%s", got, b.String())
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s := openStore(t, "sqlite:"+filepath.Join(t.TempDir(), "m.db"))
	ids := submit(t, s, ask(t, 0, "a", "b"))
	ctx, cancel := context.WithCancel(t.Context())
	seen := 0
	runs, err := s.Wait(ctx, func(r Run) { seen++; cancel() }, ids...)
	if !errors.Is(err, context.Canceled) || len(runs) != 1 || seen != 1 {
		t.Errorf("%v, %v, %d", runs, err, seen)
	}
	wantStates(t, s, "waiting")
}

// heldRun is a run that a worker holds, as it is when its job begins.
func heldRun(t *testing.T, v *service, id string) (context.Context, *held) {
	t.Helper()
	granted, err := v.s.Run(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	r, ok, err := v.claim(t.Context(), id, granted.job)
	if err != nil || !ok {
		t.Fatalf("it could not be taken: %s, %v", granted.State, err)
	}
	ctx, h := v.hold(t.Context(), r, time.Now())
	t.Cleanup(func() { v.release(h) })
	return ctx, h
}

// What a router bears, and which router it is, is for the worker's inventory to say, whatever a run
// was submitted with.
func TestAWorkerCorrectsTheRoutersOfARun(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		s := openStore(t, url)
		v := idle(t, s, WorkerOptions{Workers: 3, Crew: Crew{
			Folder: t.TempDir(),
			Knows:  func(*capture.Plan) error { return nil },
			Slots:  func(*capture.Plan) (Slot, Slot, error) { return Slot{"a", 1}, Slot{"b", 4}, nil },
		}})
		greedy, alias := ask(t, 0, "a", "b"), ask(t, 1, "a.example.net", "b")
		greedy.A.Runs, greedy.B.Runs, alias.B.Runs = 3, 3, 3
		ids := submit(t, s, greedy, alias)
		wantStates(t, s, "granted granted")
		for _, id := range ids {
			v.do(heldRun(t, v, id))
		}
		wantStates(t, s, "granted waiting")
		for _, id := range ids {
			r, err := s.Run(t.Context(), id)
			if err != nil || r.Routers != [2]string{"a", "b"} || r.runs != [2]int{1, 3} {
				t.Errorf("%+v, %v", r, err)
			}
		}
	})
}

// A bundle that a row names is gone on with only when it is the run's: one of another run would
// prove that nothing is left.
func TestTheBundleOfAnotherRunIsNotGoneOnWith(t *testing.T) {
	t.Parallel()
	s := openStore(t, "sqlite:"+filepath.Join(t.TempDir(), "moncap.db"))
	v := idle(t, s, WorkerOptions{Crew: Crew{Folder: t.TempDir()}})
	other, err := remake(filepath.Join(t.TempDir(), "other"), testPlan(t, "t1", runID(1)), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	for id, same := range map[string]bool{runID(0): false, runID(1): true} {
		h := &held{Run: Run{ID: id, Host: v.host, Bundle: other.Dir()}}
		b, err := v.recall(h, testPlan(t, "t1", id), "", nil)
		if err != nil {
			t.Fatal(err)
		}
		run, err := b.Run()
		if err != nil || run.ID != id || (b.Dir() == other.Dir()) != same {
			t.Errorf("run %s: %s holds %+v, %v", id, b.Dir(), run, err)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A run that was deleted while somebody waits for it did not go well.
func TestWaitMissesARun(t *testing.T) {
	t.Parallel()
	s := openStore(t, "sqlite:"+filepath.Join(t.TempDir(), "moncap.db"))
	if runs, err := s.Wait(t.Context(), nil, runID(0)); !errors.Is(err, ErrNotFound) {
		t.Errorf("%v, %v", runs, err)
	}
}

// A dirty run that is cleaned up at last ended long ago, and is not over.
func TestPruneSparesWhatIsNotOver(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		s := openStore(t, url)
		ids := submit(t, s, ask(t, 0, "a", "b"))
		if _, err := s.exec(t.Context(), s.db, "UPDATE moncap_run SET state = 'dirty', ended = 1"); err != nil {
			t.Fatal(err)
		}
		if err := s.Clean(t.Context(), "me", ids[0]); err != nil {
			t.Fatal(err)
		}
		if p, err := s.Prune(t.Context(), Retain{Runs: time.Hour}, false); err != nil || p.Runs != 0 {
			t.Errorf("%+v, %v", p, err)
		}
		wantStates(t, s, "recovering")
	})
}

// A database that does not answer keeps no worker from ending, not even with a run that
// it had just taken.
func TestARunWaitsForAnAnswerNoLongerThanItsLease(t *testing.T) {
	t.Parallel()
	s := openStore(t, postgresDatabase(t))
	v := idle(t, s, WorkerOptions{Workers: 1, Crew: Crew{Folder: t.TempDir()}})
	ids := submit(t, s, ask(t, 0, "a", "b"))
	ctx, h := heldRun(t, v, ids[0])
	tx, err := s.db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), "LOCK TABLE moncap_plan IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	go v.endAll(errStopped)
	v.do(ctx, h) // it returns, though nobody gives the table back
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	wantStates(t, s, "interrupted")
}

// A run that was done before its lease was over is done, though its worker could write that only
// after others took it.
func TestWhatWasDoneIsDone(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		s := openStore(t, url)
		v := idle(t, s, WorkerOptions{Workers: 3, Crew: Crew{Folder: t.TempDir()}})
		ids := submit(t, s, ask(t, 0, "a", "b"), ask(t, 1, "c", "d"))
		for i, want := range []State{Done, Recovering} {
			ctx, h := heldRun(t, v, ids[i])
			if _, err := s.exec(t.Context(), s.db, "UPDATE moncap_run SET lease = 1 WHERE id = ?", h.ID); err != nil {
				t.Fatal(err)
			}
			if err := v.sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			b, err := remake(filepath.Join(t.TempDir(), "bundle"), testPlan(t, h.Tunnel, h.ID), "", nil)
			if err != nil {
				t.Fatal(err)
			}
			e := ending{state: Done, clean: true, b: b, report: &Report{JSON: []byte("{}"), Outcome: "established"}}
			if want != Done { // what failed is not: the routers are looked at
				e.state = Failed
			}
			v.settle(ctx, h, e)
			r, err := s.Run(t.Context(), h.ID)
			if err != nil || r.State != want || r.Clean != (want == Done) || r.Fence <= h.Fence {
				t.Errorf("%+v, %v", r, err)
			}
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
