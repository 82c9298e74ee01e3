//go:build unix

package fleet

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moncap/moncap/capture"
)

// running waits until a run captures on both routers.
func running(t *testing.T, f *field, s *Store, id string) {
	t.Helper()
	eventually(t, "the capture runs", func() bool {
		r, failed := s.Run(t.Context(), id)
		entries, err := s.Journal(t.Context(), id)
		made := 0
		for _, e := range entries {
			if e.Kind == capture.KindActive && e.State == "made" {
				made++
			}
		}
		if made < 2 && err == nil && failed == nil && r.State.Over() {
			t.Fatalf("it was over before: %s", summary([]Run{r}))
		}
		return err == nil && made == 2
	})
}

// abandoned is a run between the first two routers whose worker is killed while it captures.
func (f *field) abandoned(t *testing.T, s *Store, url string, change func(*workerConfig)) (id string) {
	t.Helper()
	dying := f.worker(t, url, change)
	id = submit(t, s, f.request(t, 0, 1, long))[0]
	running(t, f, s, id)
	if err := dying.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-dying.done
	return id
}

// lapse has the lease of a run whose worker is dead run out now.
func lapse(t *testing.T, s *Store, id string) {
	t.Helper()
	if _, err := s.exec(t.Context(), s.db, "UPDATE moncap_run SET lease = 1 WHERE id = ? AND lease > 0", id); err != nil {
		t.Fatal(err)
	}
}

func TestATerminatedWorkerCollects(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		f, s := newField(t, 1), openStore(t, url)
		w := f.worker(t, url, calm)
		ids := submit(t, s, f.request(t, 0, 1, long))
		running(t, f, s, ids[0])
		w.signal(t, syscall.SIGTERM)
		if code := w.code(t); code != 0 {
			t.Errorf("exit %d", code)
		}
		if r, err := s.Run(t.Context(), ids[0]); err != nil || r.State != Done || r.Exit != 0 {
			t.Errorf("%+v, %v", r, err)
		}
		if all, err := s.Workers(t.Context()); err != nil || len(all) != 0 {
			t.Errorf("%v, %v", all, err)
		}
		f.check(t)
		settled(t, s)
	})
}

func TestAWorkerTerminatedTwiceTakesBack(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		f, s := newField(t, 1), openStore(t, url)
		w := f.worker(t, url, calm)
		// The second signal has come while it collects.
		collects, goOn := f.watch[0].hold(exportLine)
		defer goOn()
		ids := submit(t, s, f.request(t, 0, 1, long))
		running(t, f, s, ids[0])
		w.signal(t, syscall.SIGTERM)
		w.comesTo(t, collects)
		w.signal(t, syscall.SIGTERM)
		w.comesTo(t, w.told)
		goOn()
		if code := w.code(t); code != 0 {
			t.Errorf("exit %d", code)
		}
		if r, err := s.Run(t.Context(), ids[0]); err != nil || r.State != Interrupted || !r.Clean {
			t.Errorf("%+v, %v", r, err)
		}
		f.check(t)
		settled(t, s)
	})
}

// freeze stops a worker, but not in the middle of a write to a SQLite file: that would keep
// everybody else from writing until it goes on, and nobody could take over.
func freeze(t *testing.T, url string, p *process) {
	t.Helper()
	path, isFile := strings.CutPrefix(url, "sqlite:")
	for range 100 {
		p.signal(t, syscall.SIGSTOP)
		stopped(t, p.cmd.Process.Pid)
		if !isFile || writable(t, path) {
			return
		}
		p.signal(t, syscall.SIGCONT)
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("the worker writes all the time")
}

// stopped waits until a process that was told to does nothing any more (proc(5), stat).
func stopped(t *testing.T, pid int) {
	t.Helper()
	eventually(t, "the worker is frozen", func() bool {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			time.Sleep(100 * time.Millisecond) // a system without it
			return true
		}
		_, state, _ := strings.Cut(string(b[strings.LastIndexByte(string(b), ')'):]), " ")
		return strings.HasPrefix(state, "T")
	})
}

// writable says whether nobody writes to a SQLite file at present.
func writable(t *testing.T, path string) bool {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(0)&_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		return false
	}
	return tx.Rollback() == nil
}

func TestAFrozenWorkersRunIsGoneOnWith(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		f, s := newField(t, 1), openShort(t, url)
		frozen := f.worker(t, url, nil)
		ids := submit(t, s, f.request(t, 0, 1, long))
		running(t, f, s, ids[0])
		freeze(t, url, frozen)
		began := time.Now()
		f.worker(t, url, nil)
		r := await(t, s, ids...)[0]
		t.Logf("%s after %s", r.State, time.Since(began))
		if r.State != Collected || !r.Clean {
			t.Errorf("%+v", r)
		}
		f.check(t)
		fence := r.Fence
		frozen.signal(t, syscall.SIGCONT)
		frozen.signal(t, syscall.SIGTERM)
		frozen.code(t)
		if r, err := s.Run(t.Context(), ids[0]); err != nil || r.State != Collected || r.Fence != fence {
			t.Errorf("a worker without the run changed it: %+v, %v", r, err)
		}
		f.check(t)
		settled(t, s)
	})
}

func TestCancelFromAnywhere(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		f, s := newField(t, 1), openStore(t, url)
		f.worker(t, url, calm)
		ids := submit(t, s, f.request(t, 0, 1, long), f.request(t, 0, 1, long))
		running(t, f, s, ids[0])
		for _, w := range f.watch {
			w.mu.Lock()
			w.removed = time.Time{}
			w.mu.Unlock()
		}
		began := time.Now()
		after, err := s.Cancel(t.Context(), "somebody", ids[1], ids[0])
		if err != nil || after[0].State != Cancelled || after[1].State != Cancelling {
			t.Fatalf("%v, %v", err, summary(after))
		}
		r := await(t, s, ids[0])[0]
		if r.State != Interrupted || !strings.Contains(r.Headline, "somebody") || !r.Clean {
			t.Errorf("%+v", r)
		}
		for _, w := range f.watch {
			t.Logf("first undo after %s", w.removed.Sub(began))
		}
		f.check(t)
		settled(t, s)
	})
}

// harm is what is done to a PostgreSQL in the middle of a run, and what ends it.
type harm struct {
	name string
	do   func(*server) error
	end  func(*server) error
	long bool // longer than a lease
}

var harms = []harm{
	{"restarted", (*server).halt, (*server).start, false},
	{"stopped", (*server).halt, (*server).start, true},
	{"paused", func(s *server) error { s.signal(syscall.SIGSTOP); return nil },
		func(s *server) error { s.signal(syscall.SIGCONT); return nil }, true},
}

func TestADatabaseThatGoesAway(t *testing.T) {
	t.Parallel()
	for _, h := range harms {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			pg := ownServer(t)
			url := pg.database(t, nil)
			f, s := newField(t, 1), openShort(t, url)
			settings, change := long, func(*workerConfig) {}
			if !h.long { // however long a start takes here, it is shorter than the lease
				settings.Duration = 6 * time.Second
				change = calm
			}
			f.worker(t, url, change)
			ids := submit(t, s, f.request(t, 0, 1, settings))
			running(t, f, s, ids[0])
			if err := h.do(pg); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			if h.long {
				eventually(t, "what the run made is taken back without a database",
					func() bool { return len(f.dirty()) == 0 })
				t.Logf("clean after %s", time.Since(began))
			}
			if err := h.end(pg); err != nil {
				t.Fatal(err)
			}
			r := await(t, stillOpen(t, s, url), ids...)[0]
			want := Done
			if h.long {
				want = Interrupted
			}
			if r.State != want || !r.Clean {
				t.Errorf("%+v", r)
			}
			f.check(t)
		})
	}
}

// stillOpen is the store, or a new one when its connections did not survive.
func stillOpen(t *testing.T, s *Store, url string) *Store {
	t.Helper()
	if _, err := s.Now(t.Context()); err == nil {
		return s
	}
	return openShort(t, url)
}

// A SQLite file that somebody holds for longer than a lease is a database that is away.
func TestAFileThatIsHeld(t *testing.T) {
	t.Parallel()
	url := "sqlite:" + t.TempDir() + "/moncap.db"
	f, s := newField(t, 1), openShort(t, url)
	f.worker(t, url, nil)
	ids := submit(t, s, f.request(t, 0, 1, long))
	running(t, f, s, ids[0])
	tx := hold(t, s)
	eventually(t, "what the run made is taken back without a database",
		func() bool { return len(f.dirty()) == 0 })
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if r := await(t, s, ids...)[0]; r.State != Interrupted || !r.Clean {
		t.Errorf("%+v", r)
	}
	f.check(t)
}

func hold(t *testing.T, s *Store) *sql.Tx {
	t.Helper()
	for {
		tx, err := s.db.BeginTx(context.Background(), nil)
		if err == nil {
			return tx
		}
		if !again(err) {
			t.Fatal(err)
		}
	}
}

// Two routers in the middle of many tunnels, two workers, and one of them is killed.
func TestOneCaptureARouter(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		f, s := newField(t, 3), openShort(t, url)
		f.worker(t, url, func(c *workerConfig) { c.Die, c.DieAfter, c.Signal = capture.PhaseFetch, 0, syscall.SIGKILL })
		f.worker(t, url, nil)
		var reqs []Request
		settings := capture.Settings{Duration: time.Second}
		for i := range 9 {
			reqs = append(reqs, f.request(t, 2*(i%3), 1+2*(i/3), settings))
		}
		for _, r := range await(t, s, submit(t, s, reqs...)...) {
			if !r.Clean || r.State == Dirty {
				t.Errorf("%+v", r)
			}
		}
		f.check(t)
		settled(t, s)
	})
}

// A worker that is frozen in the middle of a transaction keeps what it has locked, and its server
// takes it for alive.
func TestAFrozenTransactionKeepsNobody(t *testing.T) {
	t.Parallel()
	url := postgresDatabase(t)
	f, s := newField(t, 1), openStore(t, url)
	f.worker(t, url, calm)
	ids := submit(t, s, f.request(t, 0, 1, long))
	running(t, f, s, ids[0])
	frozen := openShort(t, url)
	tx := hold(t, frozen)
	for _, q := range []string{fmt.Sprintf("SELECT pg_advisory_xact_lock(%d)", int64(books)),
		"UPDATE moncap_run SET reason = 'frozen'"} {
		if _, err := tx.ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	eventually(t, "others go on",
		func() bool { _, err := s.Cancel(t.Context(), "tester", ids[0]); return err == nil })
	t.Logf("others went on after %s", time.Since(began))
	if r := await(t, s, ids...)[0]; r.State != Interrupted || !r.Clean {
		t.Errorf("%+v", r)
	}
	_ = tx.Rollback() // its connection is gone
	f.check(t)
	settled(t, s)
}
