//go:build unix

package fleet

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTokens(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		s := openStore(t, url)
		secret, err := s.AddToken(t.Context(), "me@here", "ann", Operator)
		if err != nil || len(secret) < 50 {
			t.Fatalf("%q, %v", secret, err)
		}
		for _, bad := range []string{"", "a b", "ann", "ANN", "me@here", "-x", strings.Repeat("x", 65)} {
			if _, err := s.AddToken(t.Context(), "me", bad, Viewer); !errors.Is(err, ErrUsage) {
				t.Errorf("a token %q: %v", bad, err)
			}
		}
		if _, err := s.AddToken(t.Context(), "me", "bob", "root"); !errors.Is(err, ErrUsage) {
			t.Errorf("role root: %v", err)
		}
		other, err := s.AddToken(t.Context(), "me", "wall", Viewer)
		if err != nil || other == secret {
			t.Fatal(other, err)
		}
		if got, err := s.Authenticate(t.Context(), secret); err != nil || got.Name != "ann" || got.Role != Operator ||
			got.MadeBy != "me@here" {
			t.Errorf("%+v, %v", got, err)
		}
		for _, wrong := range []string{"", secret[:len(secret)-1], secret + "x", hashOf(secret), strings.ToUpper(secret)} {
			if got, err := s.Authenticate(t.Context(), wrong); !errors.Is(err, ErrNoToken) {
				t.Errorf("a wrong secret: %+v, %v", got, err)
			}
		}
		login, err := s.LogIn(t.Context(), "ann", time.Hour)
		if err != nil || login == secret {
			t.Fatal(err)
		}
		if got, err := s.LoggedIn(t.Context(), login); err != nil || got.Name != "ann" || got.Role != Operator {
			t.Errorf("%+v, %v", got, err)
		}
		if _, err := s.LoggedIn(t.Context(), secret); !errors.Is(err, ErrNoToken) {
			t.Errorf("a token is no login: %v", err)
		}
		short, err := s.LogIn(t.Context(), "ann", -time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.LoggedIn(t.Context(), short); !errors.Is(err, ErrNoToken) {
			t.Errorf("a login that is over: %v", err)
		}
		gone, err := s.LogIn(t.Context(), "ann", time.Hour)
		if err == nil {
			err = s.LogOut(t.Context(), gone)
		}
		if _, out := s.LoggedIn(t.Context(), gone); err != nil || !errors.Is(out, ErrNoToken) {
			t.Errorf("after the log-out: %v, %v", err, out)
		}
		// Who removes a token ends what is logged in with it.
		if err := s.RemoveToken(t.Context(), "me", "ann"); err != nil {
			t.Fatal(err)
		}
		_, byToken := s.Authenticate(t.Context(), secret)
		_, byLogin := s.LoggedIn(t.Context(), login)
		_, again := s.LogIn(t.Context(), "ann", time.Hour)
		if !errors.Is(byToken, ErrNoToken) || !errors.Is(byLogin, ErrNoToken) || !errors.Is(again, ErrNoToken) {
			t.Errorf("after its removal: %v, %v, %v", byToken, byLogin, again)
		}
		if err := s.RemoveToken(t.Context(), "me", "ann"); !errors.Is(err, ErrNotFound) {
			t.Errorf("%v", err)
		}
		all, err := s.Tokens(t.Context())
		if err != nil || len(all) != 1 || all[0].Name != "wall" {
			t.Errorf("%+v, %v", all, err)
		}
		rows, err := s.AuditRows(t.Context(), time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		var what []string
		for _, r := range rows {
			what = append(what, r.What)
		}
		if got := strings.Join(what, ", "); got != "add token operator, add token viewer, log in, log in, log in, "+
			"remove token" {
			t.Errorf("written down: %s", got)
		}
		// What is in the file lets nobody in.
		files, err := filepath.Glob(s.file + "*")
		if s.file == "" {
			return
		}
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil || strings.Contains(string(b), other) || strings.Contains(string(b), login) {
				t.Errorf("%s holds a secret, or cannot be read: %v", f, err)
			}
		}
	})
}

func TestRoles(t *testing.T) {
	t.Parallel()
	if !Admin.May(Viewer) || !Operator.May(Operator) || Viewer.May(Operator) || Role("").May(Viewer) ||
		Role("x").May(Viewer) || Operator.May(Admin) {
		t.Error("who may do what is wrong")
	}
}

// Nobody approves of what they asked for themselves, by whatever way they come.
func TestFourEyesAreOfTwoPeople(t *testing.T) {
	t.Parallel()
	for _, two := range []struct {
		x, y string
		same bool
	}{
		{"ann", "ann", true},
		{"ann@gw1", "ann", true},
		{"Ann", "ann@gw1", true},
		{"ann@gw1", "ann@gw2", true},
		{"ann@gw1", "ann@gw1", true},
		{"ann", "bob", false},
		{"ann@gw1", "bob@gw1", false},
		{"ann@gw1", "an", false},
	} {
		if samePerson(two.x, two.y) != two.same || samePerson(two.y, two.x) != two.same {
			t.Errorf("%s and %s: want %v", two.x, two.y, two.same)
		}
	}
}

// over puts runs that have ended into a database.
func over(t testing.TB, s *Store, runs ...Run) {
	t.Helper()
	var rows []any
	for _, r := range runs {
		rows = append(rows, r.ID, r.Tunnel, "a", "b", "", "", 1, 1, "", string(r.State), 1, ms(r.Ended)-1000,
			ms(r.Ended)-1000, ms(r.Ended), r.Outcome, r.Exit, r.Headline)
	}
	if err := s.insertMany(t.Context(), s.db,
		"moncap_run (id, tunnel, a, b, router_a, router_b, runs_a, runs_b, site, state, priority, created, started, ended, "+
			"outcome, exit, headline)", 17, rows); err != nil {
		t.Fatal(err)
	}
}

func TestOverview(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		s := openStore(t, url)
		begin := time.UnixMilli(1_700_000_000_000)
		run := func(n int, tunnel, outcome string, exit int, state State) Run {
			return Run{ID: runID(n), Tunnel: tunnel, Outcome: outcome, Exit: exit, State: state,
				Ended: begin.Add(time.Duration(n) * time.Minute)}
		}
		over(t, s, run(1, "x", "established", 0, Done), run(2, "x", "failed", 2, Done), run(3, "x", "failed", 2, Done),
			run(4, "y", "", -1, Cancelled), run(5, "z", "not-run", 4, Failed), run(6, "z", "", 5, Dirty))
		strips, err := s.Strips(t.Context(), 2)
		if err != nil {
			t.Fatal(err)
		}
		if len(strips) != 2 || len(strips["x"]) != 2 || strips["x"][0].ID != runID(3) || strips["x"][1].ID != runID(2) ||
			strips["x"][0].Outcome != "failed" ||
			!strips["x"][0].Ended.Equal(begin.Add(3*time.Minute)) || len(strips["z"]) != 2 || strips["z"][0].State != Dirty {
			t.Errorf("strips: %+v", strips)
		}
		last, err := s.Run(t.Context(), runID(3))
		if err != nil {
			t.Fatal(err)
		}
		if other, ok, err := s.LastOther(t.Context(), last); err != nil || !ok || other.ID != runID(1) {
			t.Errorf("the last other verdict: %+v %v %v", other, ok, err)
		}
		second, err := s.Run(t.Context(), runID(2))
		if err != nil {
			t.Fatal(err)
		}
		second.Outcome = "established"
		if other, ok, err := s.LastOther(t.Context(), second); err != nil || !ok || other.ID != runID(1) {
			t.Errorf("where all say the same: %+v %v %v", other, ok, err)
		}
		first, err := s.Run(t.Context(), runID(1))
		if err != nil {
			t.Fatal(err)
		}
		if _, ok, err := s.LastOther(t.Context(), first); ok || err != nil {
			t.Errorf("before the first: %v %v", ok, err)
		}
		c, err := s.Counts(t.Context())
		if err != nil || c.Over[Done] != 3 || c.Over[Failed] != 1 || c.Open[Dirty] != 1 || c.Over[Dirty] != 0 {
			t.Errorf("%+v, %v", c, err)
		}
		// What is deleted stays counted.
		if p, err := s.Prune(t.Context(), Retain{Runs: time.Hour}, false); err != nil || p.Runs != 5 {
			t.Fatalf("%+v, %v", p, err)
		}
		if c, err := s.Counts(t.Context()); err != nil || c.Over[Done] != 3 || c.Over[Failed] != 1 || c.Open[Dirty] != 1 {
			t.Errorf("after pruning: %+v, %v", c, err)
		}
		pulse, err := s.Pulse(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		submit(t, s, ask(t, 9, "a", "b"))
		later, err := s.Pulse(t.Context())
		if err != nil || later[""] == pulse[""] || later[runID(9)] == "" {
			t.Errorf("%q, then %q: %v", pulse, later, err)
		}
		rows, err := s.AuditRows(t.Context(), time.Time{})
		if err != nil || !slices.ContainsFunc(rows,
			func(r AuditRow) bool { return r.What == "submit" && r.Who == "me" && r.Run == runID(9) }) {
			t.Errorf("%+v, %v", rows, err)
		}
	})
}
