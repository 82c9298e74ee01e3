package main

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/device/simulator"
)

// started runs `moncap start` into a folder of its own.
func (l *testLab) started(t *testing.T, out string, more ...string) {
	t.Helper()
	args := append([]string{"start", "demo", "-i", l.inventory, "--out", out, "--duration", "10m"}, more...)
	if r := moncap(t, args...); r.code != exitOK {
		t.Fatalf("start: exit %d\n%s", r.code, r.stderr)
	}
}

// TestCleanAndItsDryRunAgree spoils the bundle of captures that run. What clean cannot know it
// finds out on the routers, and the dry run says so with the same exit code.
func TestCleanAndItsDryRunAgree(t *testing.T) {
	whole := func(string) error { return nil }
	for _, tt := range []struct {
		name  string
		spoil func(out string) error
		code  int
		clean bool // the routers are clean in the end
		says  string
	}{
		{"whole", whole, exitOK, true, "site-a: would remove access list mc"},
		{"NUL bytes", func(out string) error {
			return os.WriteFile(filepath.Join(out, "journal.jsonl"), make([]byte, 2000), 0o600)
		}, exitOK, true, "site-a: would look for access list mc"},
		{"a pipe for a journal", func(out string) error {
			j := filepath.Join(out, "journal.jsonl")
			return errors.Join(os.Remove(j), mkfifo(j))
		}, exitOK, true, "site-a: would look for access list mc"},
		{"a link for a journal", func(out string) error {
			j := filepath.Join(out, "journal.jsonl")
			return errors.Join(os.Rename(j, out+".elsewhere"), os.Symlink(out+".elsewhere", j))
		}, exitOK, true, "site-a: would look for access list mc"},
		{"no journal", func(out string) error { return os.Remove(filepath.Join(out, "journal.jsonl")) }, exitOK, true,
			"site-b: would look for capture point mc"},
		{"a journal of another plan", func(out string) error {
			line := `{"seq":1,"side":"A","peer":"site-a","kind":"acl","name":"mcaaaaaa","state":"made"}` + "\n"
			return os.WriteFile(filepath.Join(out, "journal.jsonl"), []byte(line), 0o600)
		}, exitDirty, true, `"mcaaaaaa" (the journal names it, and this plan does not make it`},
		{"a lost folder", func(out string) error { return os.RemoveAll(filepath.Join(out, "a")) }, exitOK, true,
			"site-a: would remove"},
		{"a pipe for a transcript", func(out string) error {
			f := filepath.Join(out, "a", "transcript.log")
			return errors.Join(os.Remove(f), mkfifo(f))
		}, exitOK, true, "site-a: would remove"},
		{"a pipe for run.json", func(out string) error {
			f := filepath.Join(out, "run.json")
			return errors.Join(os.Remove(f), mkfifo(f))
		}, exitDirty, false, "whether anything is left on a router is not known"},
		{"half of run.json", func(out string) error { return os.Truncate(filepath.Join(out, "run.json"), 300) }, exitDirty,
			false, "whether anything is left on a router is not known"},
		{"no run.json", func(out string) error { return os.Remove(filepath.Join(out, "run.json")) }, exitDirty, false,
			"it has a journal and no run.json"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := newTestLab(t, "healthy")
			out := filepath.Join(l.dir, "bundle")
			l.started(t, out)
			if err := tt.spoil(out); err != nil {
				t.Skip(err)
			}
			dry := moncap(t, "clean", out, "-i", l.inventory, "--dry-run")
			if dry.code != tt.code || !strings.Contains(dry.stdout+dry.stderr, tt.says) {
				t.Errorf("dry run: exit %d, want %d and %q\n%s%s", dry.code, tt.code, tt.says, dry.stdout, dry.stderr)
			}
			if len(l.dirty()) != 2 {
				t.Error("the dry run touched the routers")
			}
			r := moncap(t, "clean", out, "-i", l.inventory)
			if r.code != tt.code || len(l.dirty()) == 0 != tt.clean {
				t.Errorf("exit %d, want %d; dirty %v\n%s%s", r.code, tt.code, l.dirty(), r.stdout, r.stderr)
			}
			if tt.clean && !strings.Contains(r.stdout, "site-b: removed capture point mc") {
				t.Errorf("it is not said what was removed:\n%s", r.stdout)
			}
			if tt.code != exitOK {
				return
			}
			again := moncap(t, "clean", out, "-i", l.inventory)
			dry = moncap(t, "clean", out, "--dry-run")
			proven := !strings.Contains(tt.name, "for a journal") // of what cannot be read no proof is written down
			if again.code != exitOK || again.stdout != "nothing was left\n" || proven && dry.stdout != again.stdout {
				t.Errorf("again: exit %d, %q, and dry %q\n%s", again.code, again.stdout, dry.stdout, again.stderr)
			}
		})
	}
}

func TestCleanKnowsWhereNothingWasBegun(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "killed")
	b, err := bundle.Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"clean", dir}, {"clean", dir, "--dry-run"}} {
		if r := moncap(t, args...); r.code != exitOK || r.stdout != "nothing was begun\n" {
			t.Errorf("%v: exit %d, %q\n%s", args, r.code, r.stdout, r.stderr)
		}
	}
	if r := moncap(t, "clean", t.TempDir()); r.code != exitUsage {
		t.Errorf("a folder that is no bundle: exit %d\n%s", r.code, r.stderr)
	}
}

func TestCleanTakesEveryOpenRun(t *testing.T) {
	l := newTestLab(t, "healthy")
	l.edit(t, "defaults: {", "defaults: {limits: {runs: 2}, ")
	p := program{env: map[string]string{"MONCAP_RUNS": filepath.Join(l.dir, "runs")}}
	do := func(code int, contains string, args ...string) result {
		t.Helper()
		r := p.run(t.Context(), append(args, "-i", l.inventory)...)
		if r.code != code || !strings.Contains(r.stdout+r.stderr, contains) {
			t.Errorf("%v: exit %d, want %d and %q\n%s%s", args, r.code, code, contains, r.stdout, r.stderr)
		}
		return r
	}
	for _, args := range [][]string{{"clean", "demo"}, {"clean", "--all"}} {
		for range 2 {
			do(exitOK, "capturing on both routers", "start", "demo", "--duration", "10m")
		}
		r := do(exitOK, "site-b: removed access list mc", args...)
		if n := strings.Count(r.stdout, "removed capture point mc"); n != 4 || len(l.dirty()) > 0 {
			t.Errorf("%v: %d capture points removed, dirty %v\n%s", args, n, l.dirty(), r.stdout)
		}
	}
	do(exitOK, "nothing is open in", "clean", "--all")
	do(exitOK, "nothing was left", "clean", "demo")
	do(exitUsage, "want one of", "clean", "demo", "--all")
	do(exitUsage, "want one of", "clean")
}

func TestCleanFindsOrphans(t *testing.T) {
	l := newTestLab(t, "healthy")
	runs := filepath.Join(l.dir, "runs")
	p := program{env: map[string]string{"MONCAP_RUNS": runs}}
	do := func(code int, contains string, args ...string) {
		t.Helper()
		r := p.run(t.Context(), append(args, "-i", l.inventory)...)
		if r.code != code || !strings.Contains(r.stdout+r.stderr, contains) {
			t.Errorf("%v: exit %d, want %d and %q\n%s%s", args, r.code, code, contains, r.stdout, r.stderr)
		}
	}
	do(exitOK, "capturing", "start", "demo", "--duration", "10m")
	do(exitOK, "site-a: nothing of a run that is not known here", "clean", "--orphans", "site-a")
	if err := os.RemoveAll(runs); err != nil {
		t.Fatal(err)
	}
	do(exitOK, "site-a: would ask whether to remove capture point mc", "clean", "--orphans", "site-a", "--dry-run")
	do(exitDirty, "there is no terminal to ask on", "clean", "--orphans", "site-a")
	do(exitDirty, "it runs: a run elsewhere may be waiting for it", "clean", "--orphans", "site-a", "--yes")
	if dirty := l.dirty(); len(dirty) != 2 {
		t.Errorf("dirty %v: a capture that runs was removed unasked", dirty)
	}
	for i, peer := range []string{"site-a", "site-b"} {
		for _, name := range l.routers[i].CapturePoints() {
			l.routers[i].Type("monitor capture " + name + " stop")
		}
		do(exitOK, peer+": removed access list mc", "clean", "--orphans", peer, "--yes")
	}
	if dirty := l.dirty(); len(dirty) > 0 {
		t.Errorf("%v is not as it was", dirty)
	}
}

// TestOrphansOfTheControlPlane finds the capture points of a run's control planes, and takes no
// list, no file and no capture of another target for one because its name has the letter behind.
func TestOrphansOfTheControlPlane(t *testing.T) {
	l := newTestLab(t, "healthy")
	runs := filepath.Join(l.dir, "runs")
	p := program{env: map[string]string{"MONCAP_RUNS": runs}}
	if r := p.run(t.Context(), "start", "demo", "--duration", "10m", "--control-plane", "-i",
		l.inventory); r.code != exitOK {
		t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}
	if err := os.RemoveAll(runs); err != nil {
		t.Fatal(err)
	}
	const foreign = "mcfffff1p"
	l.routers[0].Type("configure terminal", "ip access-list extended "+foreign,
		"permit udp host 192.0.2.1 host 192.0.2.2", "end", "monitor capture mcfffff2p interface GigabitEthernet1 both")
	for i, peer := range []string{"site-a", "site-b"} {
		for _, name := range l.routers[i].CapturePoints() {
			l.routers[i].Type("monitor capture " + name + " stop")
		}
		r := p.run(t.Context(), "clean", "--orphans", peer, "--yes", "-i", l.inventory)
		said := r.stdout + r.stderr
		if r.code != exitOK || !regexp.MustCompile(`removed capture point mc[a-z0-9]{6}p\b`).MatchString(said) ||
			strings.Contains(said, "mcfffff") {
			t.Errorf("exit %d\n%s", r.code, said)
		}
	}
	if points := l.routers[0].CapturePoints(); !slices.Equal(points, []string{"mcfffff2p"}) {
		t.Errorf("capture points %q", points)
	}
	if lists := l.routers[0].Type("show ip access-lists"); !strings.Contains(lists, foreign) {
		t.Errorf("another's is gone:\n%s", lists)
	}
}

// TestCleanDoesNotTouchAnotherRouter has the inventory lead to the routers of another pair, or to
// each other.
func TestCleanDoesNotTouchAnotherRouter(t *testing.T) {
	for _, swapped := range []bool{false, true} {
		l, other := newTestLab(t, "healthy"), newTestLab(t, "healthy")
		out := filepath.Join(l.dir, "bundle")
		l.started(t, out)
		inventory := other.inventory
		if swapped {
			inventory = filepath.Join(l.dir, "swapped.yaml")
			tunnel := *l.tunnel
			a, b := *l.tunnel.A, *l.tunnel.B
			a.Port, b.Port = b.Port, a.Port
			tunnel.A, tunnel.B = &a, &b
			if err := os.WriteFile(inventory, []byte(inventoryText(&tunnel)), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for _, step := range []string{"stop", "collect", "clean"} {
			r := moncap(t, step, out, "-i", inventory)
			if r.code != exitDirty || !strings.Contains(r.stderr, "another router answers: expected is site-A (serial number ") {
				t.Errorf("%s: exit %d\n%s", step, r.code, r.stderr)
			}
		}
		if len(other.dirty()) > 0 || len(l.dirty()) != 2 {
			t.Errorf("dirty: %v, and of the others %v", l.dirty(), other.dirty())
		}
		if r := moncap(t, "clean", out, "-i", l.inventory); r.code != exitOK || len(l.dirty()) > 0 {
			t.Errorf("clean with the right inventory: exit %d, dirty %v\n%s", r.code, l.dirty(), r.stderr)
		}
	}
}

// Against another router than the one that was captured on nothing is called left that the journal
// has seen gone, and nothing is called clean: neither what the journal has open, nor a side of
// which it has nothing, but that could not be looked at.
func TestCleanOfAnotherRouterKeepsWhatIsKnown(t *testing.T) {
	t.Parallel()
	l := newTestLab(t, "healthy")
	other := newLabWith(t, "healthy", func(c *simulator.Config) { c.Serial = "9STANDBY" }) // of the same name
	runs := filepath.Join(l.dir, "runs")
	l.takesNoMore(0, "^no ip access-list", 1)
	if r := l.inRuns(t, "run", "demo", "--until", "packets=4"); r.code != exitDirty {
		t.Fatalf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	l.routers[0].ClearFaults()
	cleanOther := func() result {
		t.Helper()
		p := program{env: map[string]string{"MONCAP_RUNS": runs}}
		r := p.run(t.Context(), "clean", "--all", "-i", other.inventory)
		if r.code != exitDirty || !strings.Contains(r.stderr, "this is not the router that was captured on") ||
			strings.Contains(r.stderr, "file bootflash:") || strings.Contains(r.stderr, "capture point mc") ||
			!strings.Contains(r.stderr, "site-b (side B): nothing, by the journal, and the router could not be looked at") {
			t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
		}
		if len(other.dirty()) > 0 {
			t.Error("the other router was touched")
		}
		return r
	}
	for range 2 { // what the first writes down is what the second reads
		if r := cleanOther(); strings.Count(r.stderr, "remove with: ") != 1 ||
			!strings.Contains(r.stderr, "site-a (side A): access list mc") {
			t.Errorf("what is left is not told:\n%s", r.stderr)
		}
	}
	l.routers[0].Type("configure terminal", "no ip access-list extended "+nameOfTheRun(t, runs), "end")
	if r := l.inRuns(t, "clean", "--all"); r.code != exitOK {
		t.Fatalf("clean: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}

	// A run that was killed when all was gone has not said so.
	dir := soleRun(t, runs)
	b, err := bundle.Resume(dir)
	if err != nil {
		t.Fatal(err)
	}
	run, err := b.Run()
	if err != nil {
		t.Fatal(err)
	}
	run.Clean, run.Proof = false, ""
	if err := errors.Join(b.SaveRun(run), b.Close()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if r := cleanOther(); strings.Contains(r.stderr, "remove with: ") {
			t.Errorf("something is left:\n%s", r.stderr)
		}
	}
	if r := l.inRuns(t, "clean", "--all"); r.code != exitOK || !strings.Contains(r.stdout, "nothing was left") {
		t.Errorf("the right router: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

// soleRun is the one run in a folder of runs.
func soleRun(t *testing.T, runs string) string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(runs, "demo-*"))
	if err != nil || len(all) != 1 {
		t.Fatalf("runs %q, %v", all, err)
	}
	return all[0]
}

// nameOfTheRun is what it called its things.
func nameOfTheRun(t *testing.T, runs string) string {
	t.Helper()
	b, err := bundle.Open(soleRun(t, runs))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	run, err := b.Run()
	if err != nil {
		t.Fatal(err)
	}
	return run.A.Capture
}
