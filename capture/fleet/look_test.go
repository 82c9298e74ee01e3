//go:build unix

package fleet

import (
	"log/slog"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/moncap/moncap/capture"
	"github.com/moncap/moncap/device/simulator"
)

// lateCommand has a router of a run receive what a frozen worker was about to send.
func lateCommand(t *testing.T, f *field, s *Store, id string) {
	t.Helper()
	p, _, err := s.plan(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range p.Steps(capture.A) {
		if command.Phase == capture.PhaseACL {
			f.routers[0].Type(append(append([]string{"configure terminal"}, command.Command.Lines...), "end")...)
		}
	}
	if len(f.dirty()) != 1 {
		t.Fatal("the router did not take the late command")
	}
}

// lookNow has the next sweep hand out the second look at a run.
func lookNow(t *testing.T, s *Store, id string) {
	t.Helper()
	n, err := s.exec(t.Context(), s.db, "UPDATE moncap_look SET due = {now} - 1 WHERE run = ?", id)
	if err != nil || n != 1 {
		t.Fatalf("%d looks, %v", n, err)
	}
}

// lookRow is how far the second look at a run is; ok is false when there is none to come.
func lookRow(t *testing.T, s *Store, id string) (job int64, owner string, ok bool) {
	t.Helper()
	ok, err := s.row(t.Context(), s.db, []any{&job, &owner}, "SELECT job, owner FROM moncap_look WHERE run = ?", id)
	if err != nil && !again(err) {
		t.Fatal(err)
	}
	return job, owner, ok || err != nil
}

// rescued has the run of a worker that is killed gone on with by v.
func rescued(t *testing.T, f *field, s *Store, v *service, url string) string {
	t.Helper()
	id := f.abandoned(t, s, url, calm)
	lapse(t, s, id)
	eventually(t, "the run is taken over", func() bool {
		r, err := s.Run(t.Context(), id)
		return v.sweep(t.Context()) == nil && err == nil && r.State == Recovering
	})
	r, err := s.Run(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	rescuing := &rescueWorker{v: v}
	if err := rescuing.Work(t.Context(),
		&river.Job[rescueArgs]{JobRow: &rivertype.JobRow{ID: r.job}, Args: rescueArgs{id}}); err != nil {
		t.Fatal(err)
	}
	if r, err = s.Run(t.Context(), id); err != nil || r.State != Collected || !strings.Contains(r.Bundle, "-rescue-") {
		t.Fatalf("%+v, %v", r, err)
	}
	f.check(t)
	return id
}

// looker is a worker that looks when it is told to.
func looker(t *testing.T, f *field, s *Store, url string) (v *service, look func(id string)) {
	t.Helper()
	c := workerConfig{URL: url, Dir: f.dir, Runs: t.TempDir(), Peers: f.peers}
	v = idle(t, s, WorkerOptions{Crew: c.crew(slog.New(slog.DiscardHandler)), Host: "another"})
	return v, func(id string) {
		t.Helper()
		lookNow(t, s, id)
		swept(t, v)
		job, _, ok := lookRow(t, s, id)
		if !ok || job == 0 {
			t.Fatalf("the look was not handed out: %d, %v", job, ok)
		}
		looking := &againWorker{v: v}
		if err := looking.Work(t.Context(),
			&river.Job[againArgs]{JobRow: &rivertype.JobRow{ID: job}, Args: againArgs{id}}); err != nil {
			t.Fatal(err)
		}
	}
}

// A frozen worker may send the one command that it was about to, after others have cleaned up: the
// routers are looked at again.
func TestRoutersAreLookedAtAgain(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		f, s := newField(t, 1), openStore(t, url)
		v, look := looker(t, f, s, url)
		id := rescued(t, f, s, v, url)
		lateCommand(t, f, s, id)
		look(id)
		f.check(t)
		rows, err := s.AuditRows(t.Context(), time.Time{})
		if err != nil || !slices.ContainsFunc(rows,
			func(r AuditRow) bool { return r.Run == id && strings.HasPrefix(r.What, "removed 1 things") }) {
			t.Errorf("%v, %v", rows, err)
		}
		if left, err := filepath.Glob(filepath.Join(v.o.Crew.Folder, "*again*")); err != nil || len(left) > 0 {
			t.Errorf("%v, %v", left, err)
		}
		if _, _, ok := lookRow(t, s, id); ok {
			t.Error("it is to be looked at once more")
		}
	})
}

// What a second look finds, and cannot take back, keeps its routers until somebody has looked.
func TestWhatASecondLookLeavesKeepsItsRouters(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		f, s := newField(t, 1), openStore(t, url)
		v, look := looker(t, f, s, url)
		id := rescued(t, f, s, v, url)
		lateCommand(t, f, s, id)
		f.routers[0].AddFault(simulator.Fault{Match: regexp.MustCompile(`^no ip access-list`), Action: simulator.ErrorText,
			Text: "Command authorization failed.", Times: -1})
		look(id)
		if r, err := s.Run(t.Context(), id); err != nil || r.State != Collected {
			t.Fatalf("once does not tell: %+v, %v", r, err)
		}
		if _, err := s.exec(t.Context(), s.db, "UPDATE moncap_look SET tries = ?", maxLooks-1); err != nil {
			t.Fatal(err)
		}
		look(id)
		r, err := s.Run(t.Context(), id)
		if err != nil || r.State != Dirty || r.Clean || !strings.Contains(r.Remains, "no ip access-list") {
			t.Fatalf("%+v, %v", r, err)
		}
		waiting := submit(t, s, f.request(t, 0, 1, short))[0]
		if w, err := s.Run(t.Context(), waiting); err != nil || w.State != Waiting {
			t.Errorf("a run got the routers of a dirty one: %+v, %v", w, err)
		}
		if problems, err := s.Check(t.Context()); err != nil || len(problems) == 0 ||
			!strings.Contains(problems[0].Text, "moncap clean "+id) {
			t.Errorf("%v, %v", problems, err)
		}
		// It is gone on with like every dirty run.
		f.routers[0].ClearFaults()
		if err := s.Clean(t.Context(), "tester", id); err != nil {
			t.Fatal(err)
		}
		f.worker(t, url, calm)
		if r := await(t, s, waiting)[0]; r.State != Done {
			t.Errorf("%+v", r)
		}
		f.check(t)
		settled(t, s)
	})
}

// A worker that dies while it looks again is found out, and another one looks.
func TestASecondLookThatIsCutOff(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		f, s := newField(t, 1), openStore(t, url)
		v, _ := looker(t, f, s, url)
		id := rescued(t, f, s, v, url)
		lateCommand(t, f, s, id)
		// It waits for an answer when it is killed.
		f.routers[0].AddFault(simulator.Fault{Match: regexp.MustCompile(`^show`), Action: simulator.NeverAnswer, Times: -1})
		dying := f.worker(t, url, calm)
		lookNow(t, s, id)
		eventually(t, "somebody looks",
			func() bool { _, owner, ok := lookRow(t, s, id); return ok && owner != "" })
		dying.signal(t, syscall.SIGKILL)
		<-dying.done
		if len(f.dirty()) == 0 {
			t.Fatal("it was killed too late")
		}
		f.routers[0].ClearFaults()
		lookNow(t, s, id) // what the dead one had of it has run out
		f.worker(t, url, calm)
		eventually(t, "another one looks", func() bool { _, _, ok := lookRow(t, s, id); return !ok })
		f.check(t)
		settled(t, s)
	})
}

// A worker that lost its lease took back what it made, though it could write that nowhere: what is
// said of the run is not that a router was reloaded.
func TestWhatALostWorkerTookBackItself(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		f, s := newField(t, 1), openStore(t, url)
		id := f.abandoned(t, s, url, calm)
		lapse(t, s, id)
		for _, r := range f.routers {
			for _, name := range r.CapturePoints() {
				r.Type("monitor capture "+name+" stop", "no monitor capture "+name)
			}
		}
		f.worker(t, url, calm)
		r := await(t, s, id)[0]
		if r.State != Interrupted || !r.Clean ||
			!strings.HasPrefix(r.Error, "its worker was lost, and what it had captured could not be fetched") {
			t.Errorf("%+v", r)
		}
		f.check(t)
		settled(t, s)
	})
}
