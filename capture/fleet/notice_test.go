//go:build unix

package fleet

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// settle lets a run come to something, as its worker does.
func settle(t *testing.T, v *service, n int, e ending) {
	t.Helper()
	all, err := v.s.runs(t.Context(), v.s.db, "WHERE id = ?", runID(n))
	if err != nil || len(all) != 1 {
		t.Fatal(err, len(all))
	}
	r, ok, err := v.claim(t.Context(), runID(n), int64(all[0].job))
	if err != nil || !ok {
		t.Fatalf("run %d is not to be had: %v", n, err)
	}
	if err := v.settleOnce(t.Context(), &held{Run: r}, e); err != nil {
		t.Fatal(err)
	}
}

func TestAVerdictAndItsNoticesAreWrittenTogether(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		s := openStore(t, url)
		var told []Verdict
		fail := false
		v := idle(t, s, WorkerOptions{Workers: 8, Crew: Crew{Tell: func(r Verdict) []Notice {
			told = append(told, r)
			n := Notice{ID: "n" + r.Run.ID, Target: "noc", About: "moncap/t/x", Action: NoticeOpens, Tunnel: r.Run.Tunnel,
				Run: r.Run.ID, Message: `{"n":1}`}
			if r.Run.Outcome == "established" {
				n.Action = NoticeEnds
			}
			if fail {
				panic("the worker dies")
			}
			return []Notice{n}
		}}})
		for i := range 3 {
			q := ask(t, i, fmt.Sprint("a", i), fmt.Sprint("b", i))
			q.Plan = testPlan(t, "t", runID(i))
			submit(t, s, q)
		}
		bad := &Report{Outcome: "failed", Exit: 2, Headline: "h", JSON: []byte("{}"),
			Findings: []Finding{{"z-first", "critical"}, {"a-second", "warning"}}}
		settle(t, v, 0, ending{state: Done, clean: true, report: bad})
		fail = true
		func() {
			defer func() { _ = recover() }()
			settle(t, v, 1, ending{state: Done, clean: true, report: bad})
		}()
		if r, err := s.Run(t.Context(), runID(1)); err != nil || r.State != Running {
			t.Errorf("the verdict is there without its notice: %s, %v", r.State, err)
		}
		fail = false
		settle(t, v, 2, ending{state: Done, clean: true, report: &Report{Outcome: "established", JSON: []byte("{}")}})
		if len(told) != 3 || told[0].Before != nil || told[0].Run.Findings[0].Code != "z-first" ||
			told[0].Run.State != Done || len(told[0].Open) != 0 {
			t.Fatalf("told of %+v", told)
		}
		last := told[2]
		if last.Before == nil || last.Before.ID != runID(0) || len(last.Before.Findings) != 2 || len(last.Open) != 1 ||
			last.Open[0].About != "moncap/t/x" {
			t.Errorf("of the last: %+v", last)
		}
		if open, err := s.openNotices(t.Context(), s.db, "t"); err != nil || len(open) != 0 {
			t.Errorf("open: %v, %v", open, err)
		}
		// The resolving one does not overtake the one before it, and each is taken once.
		n, owner, ok, err := s.TakeNotice(t.Context(), time.Minute, "other", "noc")
		if err != nil || !ok || n.Run != runID(0) || n.Tries != 1 || n.Message != `{"n":1}` {
			t.Fatalf("%+v, %v, %v", n, ok, err)
		}
		if n, _, ok, err := s.TakeNotice(t.Context(), time.Minute, "noc"); ok || err != nil {
			t.Errorf("taken beside it: %+v, %v", n, err)
		}
		if err := s.NoticeSent(t.Context(), n.ID, "somebody else"); err != nil {
			t.Fatal(err)
		}
		if err := s.NoticeSent(t.Context(), n.ID, owner); err != nil {
			t.Fatal(err)
		}
		if n, _, ok, _ := s.TakeNotice(t.Context(), time.Minute, "noc"); !ok || n.Action != NoticeEnds {
			t.Errorf("the second is %+v", n)
		}
		last2, err := s.LastVerdicts(t.Context())
		if err != nil || last2["t"].ID != runID(2) {
			t.Errorf("last verdicts %+v, %v", last2, err)
		}
	})
}

// Many workers take each notice once. One whose worker was killed is taken again when its time is
// over, and told again.
func TestNoticesAreTakenByOne(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		s := openStore(t, url)
		var all []Notice
		for i := range 20 {
			all = append(all, Notice{ID: fmt.Sprint("n", i), Target: "noc", About: fmt.Sprint("about", i), Action: "test"})
		}
		all = append(all, Notice{ID: "of a stranger", Target: "stranger", About: "x"},
			Notice{ID: "n0", Target: "noc", About: "twice"})
		if err := s.PutNotices(t.Context(), all...); err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		taken, owners := map[string]int{}, map[string]string{}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for misses := 0; misses < 5; {
					n, owner, ok, err := s.TakeNotice(t.Context(), time.Hour, "noc")
					if err != nil {
						t.Error(err)
						return
					}
					if !ok { // another was quicker, or there is none
						misses++
						continue
					}
					mu.Lock()
					taken[n.ID]++
					owners[n.ID] = owner
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if len(taken) != 20 || taken["n0"] != 1 {
			t.Errorf("taken %v", taken)
		}
		for id, n := range taken {
			if n != 1 {
				t.Errorf("%s was taken %d times", id, n)
			}
		}
		if _, err := s.exec(t.Context(), s.db, "UPDATE moncap_notice SET until = {now} - 1 WHERE id = 'n3'"); err != nil {
			t.Fatal(err)
		}
		n, owner, ok, err := s.TakeNotice(t.Context(), time.Hour, "noc")
		if err != nil || !ok || n.ID != "n3" || n.Tries != 2 {
			t.Fatalf("after its worker died: %+v, %v, %v", n, ok, err)
		}
		if err := s.NoticeSent(t.Context(), "n3", owners["n3"]); err != nil { // of the one that was thought dead
			t.Fatal(err)
		}
		if err := s.NoticeLater(t.Context(), "n3", owner, "no\nanswer", time.Hour, false); err != nil {
			t.Fatal(err)
		}
		if n, _, ok, _ := s.TakeNotice(t.Context(), time.Hour, "noc"); ok {
			t.Errorf("before its time: %+v", n)
		}
		if err := s.NoticeLater(t.Context(), "n4", owners["n4"], "no", 0, true); err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		list, err := s.Notices(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range list {
			got[n.ID] = n.State + " " + n.Error
		}
		if len(list) != 21 || got["n3"] != "due no answer" || got["n4"] != "failed no" {
			t.Errorf("%v", got)
		}
		if err := s.PruneNotices(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
	})
}

func TestEventsStartRunsWithinTheirBrakes(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		s := openStore(t, url)
		idle(t, s, WorkerOptions{Workers: 200})
		limits := EventLimits{Pause: 10 * time.Minute, TunnelPerDay: 3, FleetPerHour: 5}
		n := 0
		start := func(tunnel, key string) (string, string) {
			t.Helper()
			n++
			q := ask(t, n, fmt.Sprint("a", n), fmt.Sprint("b", n))
			q.Plan, q.Cause = testPlan(t, tunnel, runID(n)), "event sa-down from syslog"
			held, until, err := s.StartByEvent(t.Context(), q,
				EventStart{Key: key, Tunnel: tunnel, Kind: "sa-down", Source: "syslog", Text: "a\nb"}, limits)
			if err != nil {
				t.Fatal(err)
			}
			if held != "" && until.IsZero() {
				t.Errorf("%s: held for ever", held)
			}
			return held, runID(n)
		}
		earlier := func(d time.Duration) {
			t.Helper()
			if _, err := s.exec(t.Context(), s.db, "UPDATE moncap_event SET at = at - ?", d.Milliseconds()); err != nil {
				t.Fatal(err)
			}
		}
		want := func(held, what string) {
			t.Helper()
			if (what == "") != (held == "") || !strings.Contains(held, what) {
				t.Errorf("held back because %q, want %q", held, what)
			}
		}
		held, id := start("t", "k1")
		want(held, "")
		wantStates(t, s, "granted")
		held, _ = start("t", "k2")
		want(held, "less than 10m0s ago")
		earlier(11 * time.Minute)
		held, _ = start("t", "k2")
		want(held, "which an event started, is not over")
		if _, err := s.Cancel(t.Context(), "me", id); err != nil {
			t.Fatal(err)
		}
		held, _ = start("t", "k1")
		want(held, "it started a run before")
		cancel := func() {
			t.Helper()
			if _, err := s.exec(t.Context(), s.db, "UPDATE moncap_run SET state = 'cancelled'"); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			held, _ = start("t", "")
			want(held, "")
			cancel()
			earlier(11 * time.Minute)
		}
		held, _ = start("t", "")
		want(held, "in 24 hours")
		for i := range 2 {
			held, _ = start(fmt.Sprint("o", i), "")
			want(held, "")
		}
		held, _ = start("o9", "")
		want(held, "in an hour")
		earlier(24 * time.Hour)
		held, _ = start("t", "k1")
		want(held, "it started a run before")
		held, _ = start("t", "k3")
		want(held, "")
		if err := s.AddHeld(t.Context(), map[string]int{"t": 59_999, "nobody": 3}); err != nil {
			t.Fatal(err)
		}
		rows, err := s.Events(t.Context(), time.Time{}, 2)
		if err != nil || len(rows) != 2 || rows[1].Outcome != "started" || rows[1].More != 59_999 ||
			rows[1].Run != runID(n) || rows[1].Text != "a b" {
			t.Errorf("%+v, %v", rows, err)
		}
		if rows, err := s.Events(t.Context(), time.Now().Add(time.Hour), 0); err != nil || len(rows) != 0 {
			t.Errorf("of the future: %+v, %v", rows, err)
		}
	})
}
