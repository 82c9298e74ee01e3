//go:build unix

package main

import (
	"context"
	"database/sql"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moncap/moncap/capture/fleet"
	"github.com/moncap/moncap/capture/schedule"
	"github.com/moncap/moncap/device/inventory"
	"github.com/moncap/moncap/device/simulator"
)

// fleetLab is two simulated routers, and a fleet with a database of its own.
type fleetLab struct {
	*testLab
	state string
	env   map[string]string
}

func newFleetLab(t *testing.T) *fleetLab {
	t.Helper()
	l := newTestLab(t, "healthy")
	state := filepath.Join(l.dir, "state")
	return &fleetLab{l, state, map[string]string{
		"XDG_STATE_HOME": state, "MONCAP_RUNS": filepath.Join(l.dir, "runs"), "PATH": os.Getenv("PATH"),
	}}
}

// run is moncap as another process of the fleet's operators would call it.
func (l *fleetLab) run(t *testing.T, args ...string) result {
	t.Helper()
	return program{env: l.env}.run(t.Context(), append(args, "-i", l.inventory)...)
}

// must is run for what has to go well.
func (l *fleetLab) must(t *testing.T, args ...string) string {
	t.Helper()
	r := l.run(t, args...)
	if r.code != exitOK {
		t.Fatalf("%v: exit %d\n%s%s", args, r.code, r.stdout, r.stderr)
	}
	return r.stdout
}

// jobs are the runs that are not over, or those in a state.
func (l *fleetLab) jobs(t *testing.T, args ...string) []jsonJob {
	t.Helper()
	var jobs []jsonJob
	if err := json.Unmarshal([]byte(l.must(t, append([]string{"jobs", "-f", "json"}, args...)...)), &jobs); err != nil {
		t.Fatal(err)
	}
	return jobs
}

func (l *fleetLab) history(t *testing.T) []jsonJob {
	t.Helper()
	var runs []jsonJob
	if err := json.Unmarshal([]byte(l.must(t, "history", "-f", "json")), &runs); err != nil {
		t.Fatal(err)
	}
	return runs
}

// submitted submits, and returns the ids.
func (l *fleetLab) submitted(t *testing.T, args ...string) []string {
	t.Helper()
	var ids []string
	for line := range strings.Lines(l.must(t, append([]string{"submit"}, args...)...)) {
		ids = append(ids, strings.Fields(line)[0])
	}
	return ids
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(tooLong); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if so() {
			return
		}
	}
	t.Fatalf("it never came to this: %s", what)
}

// workerProcess is moncap serve as a process of its own.
type workerProcess struct {
	*exec.Cmd
	said lockedBuffer
	over chan struct{}
}

// serve starts a worker, and waits until it serves.
func (l *fleetLab) serve(t *testing.T, args ...string) *workerProcess {
	t.Helper()
	w := l.start(t, append([]string{"serve"}, args...)...)
	eventually(t, "the worker serves", func() bool {
		select {
		case <-w.over:
			t.Fatalf("it ended: %s", w.said.String())
		default:
		}
		return strings.Contains(w.said.String(), "serving ")
	})
	return w
}

// at is the address that a worker says behind some words. It is asked to take any that is free.
func (w *workerProcess) at(t *testing.T, words string) string {
	t.Helper()
	said := regexp.MustCompile(regexp.QuoteMeta(words) + `([\d.:]+)\b`)
	var found []string
	eventually(t, "it says where it listens", func() bool {
		found = said.FindStringSubmatch(w.said.String())
		return found != nil
	})
	return found[1]
}

func (l *fleetLab) start(t *testing.T, args ...string) *workerProcess {
	t.Helper()
	w := &workerProcess{Cmd: exec.Command(os.Args[0], append(args, "-i", l.inventory)...), over: make(chan struct{})}
	w.Env = append(os.Environ(), "MONCAP_TEST_AS_PROGRAM=1")
	for k, v := range l.env {
		w.Env = append(w.Env, k+"="+v)
	}
	w.Stdout, w.Stderr = &w.said, &w.said
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = w.Wait(); close(w.over) }()
	t.Cleanup(func() {
		_ = w.Process.Kill() // of one that is over already, nothing is ended
		<-w.over
	})
	return w
}

// stop has the worker drain, and returns how it ended.
func (w *workerProcess) stop(t *testing.T) int {
	t.Helper()
	if err := w.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-w.over:
	case <-time.After(tooLong):
		t.Fatalf("it does not end\n%s", w.said.String())
	}
	return w.ProcessState.ExitCode()
}

// From one command on nothing but a file to a history that is read without the folder of runs.
func TestFleetFromNothing(t *testing.T) {
	t.Parallel()
	l := newFleetLab(t)
	if r := l.run(t, "jobs"); r.code != exitUsage || !strings.Contains(r.stderr, "there is no database yet") ||
		exists(filepath.Join(l.state, "moncap", "moncap.db")) {
		t.Fatalf("without a database: exit %d\n%s", r.code, r.stderr)
	}
	w := l.serve(t)
	waited := l.run(t, "submit", "demo", "--until", "decided", "--wait", "--reason", "=a reason", "--change", "CHG1")
	if waited.code != exitOK || !strings.Contains(waited.stdout, "demo: established: ") {
		t.Fatalf("exit %d\n%s%s\nworker: %s", waited.code, waited.stdout, waited.stderr, w.said.String())
	}
	id := strings.Fields(waited.stdout)[0]
	if jobs := l.jobs(t); len(jobs) != 0 {
		t.Errorf("jobs that are over: %+v", jobs)
	}
	if h := l.history(t); len(h) != 1 || h[0].ID != id || h[0].Outcome != "established" || h[0].State != "done" ||
		h[0].Reason != "=a reason" || h[0].Change != "CHG1" ||
		h[0].ExitCode == nil || *h[0].ExitCode != 0 || !strings.Contains(h[0].By, "@") {
		t.Errorf("history: %+v", h)
	}
	// What was captured is in the database.
	if err := os.Rename(filepath.Join(l.dir, "runs"), filepath.Join(l.dir, "elsewhere")); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"report", id}, {"report", "demo"},
		{"report", id, "-f", "pcapng", "-o", filepath.Join(l.dir, "x.pcapng")}, {"diff", id, id},
		{"bundle", id, "-o", filepath.Join(l.dir, "x.zip")}} {
		if r := l.run(t, args...); r.code != exitOK ||
			r.stdout == "" && args[len(args)-1] != filepath.Join(l.dir, "x.pcapng") {
			t.Errorf("%v: exit %d\n%s", args, r.code, r.stderr)
		}
	}
	if left, err := filepath.Glob(filepath.Join(os.TempDir(), "moncap-fetched-*", "bundle", "run.json")); err != nil ||
		len(left) > 0 {
		t.Errorf("fetched bundles stay: %q, %v", left, err)
	}
	if out := l.must(t, "runs"); !strings.Contains(out, id) || !strings.Contains(out, "established") {
		t.Errorf("runs of the database:\n%s", out)
	}
	l.otherForms(t, id)
	if code := w.stop(t); code != exitOK {
		t.Errorf("the worker ended with %d\n%s", code, w.said.String())
	}
	if dirty := l.dirty(); len(dirty) > 0 {
		t.Errorf("left on %v", dirty)
	}
	// The password went to the routers, and nowhere else.
	files, err := filepath.Glob(filepath.Join(l.state, "moncap", "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		if info.IsDir() {
			continue
		}
		b, err := os.ReadFile(f)
		if err != nil || strings.Contains(string(b), labPassword) || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: mode %v, or the password is in it, or %v", f, info.Mode(), err)
		}
	}
}

// otherForms are those that machines read.
func (l *fleetLab) otherForms(t *testing.T, id string) {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(l.must(t, "history", "-f", "csv"))).ReadAll()
	if err != nil || len(rows) != 2 || rows[1][0] != id || !strings.Contains(strings.Join(rows[1], "|"), "|'=a reason|") {
		t.Errorf("csv: %q, %v", rows, err)
	}
	if out := l.must(t, "history", "demo", "-f", "nagios", "--max-age", "25h"); !strings.HasPrefix(out,
		"MONCAP OK - demo established: ") || !strings.Contains(out, "lost_a_to_b=0") {
		t.Errorf("nagios: %s", out)
	}
	if r := l.run(t, "history", "demo", "-f", "nagios", "--max-age", "1ns"); r.code != pluginUnknown ||
		!strings.HasPrefix(r.stdout, "MONCAP UNKNOWN - demo: its latest run is ") {
		t.Errorf("nagios of what is old: exit %d, %s", r.code, r.stdout)
	}
	if out := l.must(t, "history", "-f", "prometheus"); !strings.Contains(out, `moncap_tunnel_up{tunnel="demo"} 1`) ||
		!strings.Contains(out, `moncap_lost_packets{tunnel="demo",direction="A->B"} 0`) {
		t.Errorf("prometheus:\n%s", out)
	}
}

// A run that waits is taken back at once, and one that runs as soon as its worker hears of it.
func TestCancel(t *testing.T) {
	t.Parallel()
	l := newFleetLab(t)
	w := l.serve(t)
	running := l.submitted(t, "demo", "--duration", "5m")[0]
	eventually(t, "the capture runs", func() bool { return len(l.routers[0].CapturePoints()) == 1 })
	waiting := l.submitted(t, "demo")[0]
	if jobs := l.jobs(t); len(jobs) != 2 || jobs[1].ID != waiting || !strings.Contains(jobs[1].Waits, "site-") {
		t.Errorf("jobs: %+v", jobs)
	}
	offered := program{env: l.env}.run(t.Context(), "__complete", "-i", l.inventory, "cancel", waiting, "").stdout
	if !strings.HasPrefix(offered, running+"\tdemo, running\n") || strings.Contains(offered, waiting) {
		t.Errorf("a shell offers %q", offered)
	}
	if out := l.must(t, "cancel", waiting, running); !strings.Contains(out, waiting+"  demo: cancelled") ||
		!strings.Contains(out, running+"  demo: being taken back") {
		t.Errorf("cancel: %s", out)
	}
	eventually(t, "both are over", func() bool { return len(l.jobs(t)) == 0 })
	if dirty := l.dirty(); len(dirty) > 0 {
		t.Errorf("left on %v\n%s", dirty, w.said.String())
	}
	if out := l.run(t, "report", running, "-f", "json").stdout; !strings.Contains(out, `"reason": "interrupted"`) {
		t.Errorf("its report: %s", out)
	}
	if r := l.run(t, "cancel", running); r.code != exitUsage ||
		!strings.Contains(r.stderr, "cannot be taken back any more") {
		t.Errorf("again: exit %d\n%s", r.code, r.stderr)
	}
	if r := l.run(t, "cancel", "nosuch"); r.code != exitUsage || !strings.Contains(r.stderr, "nosuch") {
		t.Errorf("of nobody: exit %d\n%s", r.code, r.stderr)
	}
}

var packetsInBuffer = regexp.MustCompile(`packets in buf +: (\d+)`)

// captured is how many packets a router's captures hold.
func captured(r *simulator.Router) (n int) {
	for _, name := range r.CapturePoints() {
		if m := packetsInBuffer.FindStringSubmatch(r.Type("show monitor capture " + name + " buffer")); m != nil {
			more, _ := strconv.Atoi(m[1]) // digits
			n += more
		}
	}
	return n
}

// SIGTERM in the middle of a capture: what it has is fetched and judged.
func TestServeDrains(t *testing.T) {
	t.Parallel()
	l := newFleetLab(t)
	w := l.serve(t)
	id := l.submitted(t, "demo", "--duration", "5m")[0]
	eventually(t, "both capture packets", func() bool { return captured(l.routers[0]) > 0 && captured(l.routers[1]) > 0 })
	if code := w.stop(t); code != exitOK {
		t.Errorf("exit %d\n%s", code, w.said.String())
	}
	if dirty := l.dirty(); len(dirty) > 0 {
		t.Errorf("left on %v", dirty)
	}
	if h := l.history(t); len(h) != 1 || h[0].ID != id || h[0].Outcome == "" || h[0].Outcome == "not-run" {
		t.Errorf("history: %+v\n%s", h, w.said.String())
	}
}

// A worker that is killed in the middle of a capture: another one fetches its packets.
func TestServeRescues(t *testing.T) {
	t.Parallel()
	l := newFleetLab(t)
	first := l.serve(t)
	id := l.submitted(t, "demo", "--duration", "5m")[0]
	eventually(t, "the capture runs", func() bool {
		return len(l.routers[0].CapturePoints()) == 1 && len(l.routers[1].CapturePoints()) == 1
	})
	second := l.serve(t)
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the other worker has it", func() bool { return len(l.jobs(t)) == 0 })
	h := l.history(t)
	if len(h) != 1 || h[0].ID != id || h[0].State != "collected" && h[0].State != "interrupted" {
		t.Errorf("history: %+v\n%s", h, second.said.String())
	}
	if dirty := l.dirty(); len(dirty) > 0 {
		t.Errorf("left on %v", dirty)
	}
	if code := second.stop(t); code != exitOK {
		t.Errorf("exit %d\n%s", code, second.said.String())
	}
}

// What a run of the fleet left on a router is a worker's to remove, when somebody says so by the
// run's id.
func TestCleanOfTheFleet(t *testing.T) {
	t.Parallel()
	l := newFleetLab(t)
	l.serve(t)
	id := l.submitted(t, "demo", "--until", "packets=4", "--wait")[0]
	db, err := sql.Open("sqlite", "file:"+filepath.Join(l.state, "moncap", "moncap.db")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("UPDATE moncap_run SET state = 'dirty', clean = 0 WHERE id = ?", id); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if jobs := l.jobs(t); len(jobs) != 1 || jobs[0].State != "dirty" {
		t.Errorf("jobs: %+v", jobs)
	}
	if out := l.must(t, "clean", id); !strings.Contains(out, id+": a worker looks at its routers") {
		t.Errorf("clean: %s", out)
	}
	eventually(t, "it is clean", func() bool { return len(l.jobs(t)) == 0 })
	if out := l.must(t, "clean", id); !strings.Contains(out, "nothing was left") {
		t.Errorf("again: %s", out)
	}
}

// What a run left is in the worker's log, thing by thing, with the command that removes it. That
// command may be given again: by who has no bundle of the run, too, and is told that it is clean.
func TestServeLogsWhatIsLeft(t *testing.T) {
	t.Parallel()
	l := newFleetLab(t)
	l.takesNoMore(0, "^no ip access-list", 1)
	w := l.serve(t)
	if r := l.run(t, "submit", "demo", "--until", "packets=4", "--wait"); r.code != exitDirty {
		t.Fatalf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	jobs := l.jobs(t)
	if len(jobs) != 1 || jobs[0].State != "dirty" {
		t.Fatalf("jobs: %+v", jobs)
	}
	id := jobs[0].ID
	logged := regexp.MustCompile(`(?m)level=WARN msg="left on a router" run=` + id + ` peer=site-a what="access list mc\w+" ` +
		`reason=refused why="[^"]*authorization failed[^"]*" clean="moncap clean ` + id + `"$`)
	if said := w.said.String(); len(logged.FindAllString(said, -1)) != 1 || strings.Contains(said, "peer=site-b") {
		t.Errorf("the log:\n%s", said)
	}
	l.routers[0].ClearFaults()
	l.must(t, "clean", id)
	eventually(t, "it is clean", func() bool { return len(l.jobs(t)) == 0 && len(l.dirty()) == 0 })
	l.env["MONCAP_RUNS"] = filepath.Join(l.dir, "elsewhere")
	for range 2 {
		if out := l.must(t, "clean", id); out != id+": it is clean already: nothing of it was left\n" {
			t.Errorf("again: %s", out)
		}
	}
	if h := l.history(t); len(h) != 1 || h[0].Outcome != "established" || h[0].State != "collected" {
		t.Errorf("what the run had come to: %+v", h)
	}
}

// The database away at the start: one line, 4.
func TestDatabaseUnreachable(t *testing.T) {
	l := newFleetLab(t)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"serve"}, {"submit", "demo"}, {"jobs"}, {"history"}, {"worker", "list"},
		{"db", "check"}} {
		r := l.run(t, append(args, "--db", "postgres://moncap@"+closed.Addr().String()+"/moncap?connect_timeout=5")...)
		if r.code != exitFailed || strings.Count(r.stderr, "\n") != 1 || !strings.Contains(r.stderr, "database") ||
			r.stdout != "" {
			t.Errorf("%v: exit %d\n%s%s", args, r.code, r.stdout, r.stderr)
		}
	}
	if r := l.run(t, "history", "demo", "-f", "nagios", "--db", "postgres://moncap@"+closed.Addr().String()+
		"/moncap"); r.code != pluginUnknown ||
		!strings.HasPrefix(r.stdout, "MONCAP UNKNOWN - demo: ") || strings.Count(r.stdout, "\n") != 1 {
		t.Errorf("nagios: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	// A run does not fail for want of a history.
	r := l.run(t, "run", "demo", "--until", "packets=4", "--db", "postgres://moncap@"+closed.Addr().String()+"/moncap")
	if r.code != exitOK || !strings.Contains(r.stderr, "the run is not in the fleet's history: ") {
		t.Errorf("run: exit %d\n%s", r.code, r.stderr)
	}
	if r := l.run(t, "runs", "--db", "postgres://moncap@"+closed.Addr().String()+"/moncap"); r.code != exitOK ||
		!strings.Contains(r.stdout, "established") ||
		!strings.Contains(r.stderr, "only the runs of this disk: ") {
		t.Errorf("runs: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

// The password of the database is nowhere on a command line, nor in what is said.
func TestPasswordOfTheDatabaseIsRefused(t *testing.T) {
	l := newFleetLab(t)
	const canary = "c4nary-of-the-database"
	for _, args := range [][]string{
		{"serve", "--db", "postgres://moncap:" + canary + "@127.0.0.1:1/moncap"},
		{"jobs", "--db", "postgresql://127.0.0.1:1/moncap?password=" + canary},
		{"db", "init", "--db-password", canary, "--db", "postgres://127.0.0.1:1/moncap"},
		{"submit", "demo", "--db", "host=127.0.0.1 password=" + canary},
		{"jobs", "--db", "mysql://moncap:" + canary + "@127.0.0.1/moncap"},
		{"jobs", "--db", "postgres://moncap:" + canary + "%zz@127.0.0.1/moncap"},
	} {
		r := l.run(t, args...)
		if r.code != exitUsage || strings.Contains(r.stdout+r.stderr, canary) {
			t.Errorf("%v: exit %d\n%s%s", args[:2], r.code, r.stdout, r.stderr)
		}
	}
	l.env["MONCAP_DB"] = "postgres://moncap:" + canary + "@127.0.0.1:1/moncap"
	if r := l.run(t, "jobs"); r.code != exitUsage || strings.Contains(r.stderr, canary) {
		t.Errorf("MONCAP_DB: exit %d\n%s", r.code, r.stderr)
	}
}

// A database of a newer moncap is left alone, and both versions are named.
func TestNewerSchemaIsRefused(t *testing.T) {
	l := newFleetLab(t)
	l.must(t, "db", "init")
	db, err := sql.Open("sqlite", "file:"+filepath.Join(l.state, "moncap", "moncap.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("UPDATE moncap_meta SET version = 999"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"serve"}, {"submit", "demo"}, {"jobs"}, {"db", "init"}} {
		if r := l.run(t, args...); r.code != exitUsage ||
			!regexp.MustCompile(`\b999\b.*\b\d\b|\b\d\b.*\b999\b`).MatchString(r.stderr) {
			t.Errorf("%v: exit %d\n%s", args, r.code, r.stderr)
		}
	}
	if r := l.run(t, "run", "demo", "--until", "packets=4"); r.code != exitOK ||
		!strings.Contains(r.stderr, "not in the fleet's history") {
		t.Errorf("run: exit %d\n%s", r.code, r.stderr)
	}
}

// Runs of a site without a worker wait, and it is said what for.
func TestNoWorkerForASite(t *testing.T) {
	t.Parallel()
	l := newFleetLab(t)
	l.edit(t, "tunnels:\n", "tunnels:\n  far: {a: site-a, b: site-b, site: apac}\n")
	l.serve(t)
	r := l.run(t, "submit", "far", "--until", "packets=4")
	if r.code != exitOK || !strings.Contains(r.stderr, "no worker for site apac is there now") {
		t.Errorf("submit: exit %d\n%s", r.code, r.stderr)
	}
	if jobs := l.jobs(t); len(jobs) != 1 || jobs[0].State != "waiting" || jobs[0].Waits != "no worker for site apac" ||
		jobs[0].Site != "apac" {
		t.Errorf("jobs: %+v", jobs)
	}
	if r := l.run(t, "serve", "--site", "apa"); r.code != exitUsage ||
		!strings.Contains(r.stderr, "(did you mean apac?)") {
		t.Errorf("a site that no tunnel has: exit %d\n%s", r.code, r.stderr)
	}
	w := l.serve(t, "--site", "apac")
	eventually(t, "its worker does it", func() bool { return len(l.jobs(t)) == 0 })
	if h := l.history(t); len(h) != 1 || !strings.HasPrefix(h[0].Bundle, l.dir) {
		t.Errorf("%+v\n%s", h, w.said.String())
	}
}

// Workers with different inventories are told apart, and one that does not know a tunnel leaves its
// runs alone.
func TestTwoInventories(t *testing.T) {
	t.Parallel()
	l := newFleetLab(t)
	old := *l
	old.testLab = &testLab{l.lab, l.dir, filepath.Join(l.dir, "old.yaml"), l.before}
	b, err := os.ReadFile(l.inventory)
	if err == nil {
		err = os.WriteFile(old.inventory, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	l.edit(t, "tunnels:\n", "tunnels:\n  new: {a: site-a, b: site-b}\n")
	ignorant := old.serve(t)
	id := l.submitted(t, "new", "--until", "packets=4")[0]
	time.Sleep(3 * time.Second) // it has every occasion
	if jobs := l.jobs(t); len(jobs) != 1 || jobs[0].ID != id || !jobs[0].Started.IsZero() ||
		len(l.routers[0].CapturePoints()) > 0 {
		t.Errorf("jobs: %+v\n%s", jobs, ignorant.said.String())
	}
	l.serve(t)
	eventually(t, "the other one does it", func() bool { return len(l.jobs(t)) == 0 })
	r := l.run(t, "worker", "list")
	if r.code != exitOK || strings.Count(r.stderr, "another worker has another inventory") != 2 {
		t.Errorf("worker list: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if code := ignorant.stop(t); code != exitOK {
		t.Errorf("exit %d\n%s", code, ignorant.said.String())
	}
}

// A refused login is sent once in the whole fleet, and no attempt is made again.
func TestRefusedLoginIsMarked(t *testing.T) {
	t.Parallel()
	l := newFleetLab(t)
	if err := os.WriteFile(filepath.Join(l.dir, "wrong"), []byte("wrong\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l.edit(t, "file:"+filepath.Join(l.dir, "password"), "file:"+filepath.Join(l.dir, "wrong"))
	for range 2 { // two workers, one after the other, have no memory in common but the database
		w := l.serve(t)
		r := l.run(t, "submit", "demo", "--attempts", "3", "--wait")
		if r.code != exitFailed || !strings.Contains(r.stdout, "refused") {
			t.Errorf("exit %d\n%s%s\n%s", r.code, r.stdout, r.stderr, w.said.String())
		}
		if code := w.stop(t); code != exitOK {
			t.Errorf("exit %d", code)
		}
	}
	h := l.history(t)
	if len(h) != 2 {
		t.Fatalf("%d runs: %+v", len(h), h)
	}
	if text := h[0].Headline + h[0].Error; !strings.Contains(text, "file:"+filepath.Join(l.dir, "wrong")) ||
		strings.Contains(text, labPassword) {
		t.Errorf("the second is told: %s", text)
	}
}

// Only a run that failed and left its routers clean is tried again.
func TestAttempts(t *testing.T) {
	t.Parallel()
	l := newFleetLab(t)
	l.edit(t, "tunnels:\n", "  gone: {host: 127.0.0.1, port: 1, wan: {interface: GigabitEthernet1, address: "+
		"192.168.3.1}}\ntunnels:\n  away: {a: site-a, b: gone}\n")
	l.serve(t)
	if r := l.run(t, "submit", "away", "--attempts", "2", "--wait"); r.code != exitFailed {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	eventually(t, "the second attempt is over", func() bool { return len(l.history(t)) == 2 && len(l.jobs(t)) == 0 })
	h := l.history(t)
	if h[0].RetryOf != h[1].ID || h[0].Attempt != 2 || h[1].Attempt != 1 {
		t.Errorf("%+v", h)
	}
	l.must(t, "submit", "demo", "--attempts", "3", "--until", "packets=4", "--wait")
	if h := l.history(t); len(h) != 3 {
		t.Errorf("a run with a verdict was tried again: %+v", h)
	}
}

// A tunnel that needs two people is not captured by one.
func TestFourEyes(t *testing.T) {
	t.Parallel()
	l := newFleetLab(t)
	l.edit(t, "b: site-b, capture", "b: site-b, approve: four-eyes, capture")
	l.serve(t)
	out := l.must(t, "submit", "demo", "--until", "packets=4")
	id := strings.Fields(out)[0]
	if !strings.Contains(out, "waits for somebody else's moncap approve") {
		t.Errorf("submit: %s", out)
	}
	if r := l.run(t, "approve", id); r.code != exitUsage {
		t.Errorf("by the same person: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if jobs := l.jobs(t); len(jobs) != 1 || jobs[0].State != "waiting" || !strings.Contains(jobs[0].Waits, "approv") {
		t.Errorf("jobs: %+v", jobs)
	}
	other := program{env: l.env, operator: "second@elsewhere"}.run(t.Context(), "approve", id, "-i", l.inventory)
	if other.code != exitOK {
		t.Fatalf("by another: exit %d\n%s", other.code, other.stderr)
	}
	eventually(t, "it is done", func() bool { return len(l.history(t)) == 1 && len(l.jobs(t)) == 0 })
	if h := l.history(t); h[0].Approval != "second@elsewhere" || h[0].Outcome == "" {
		t.Errorf("%+v", h)
	}
}

// A plain run is in the same history, and stays what it is.
func TestPlainRunIsRemembered(t *testing.T) {
	l := newFleetLab(t)
	if r := l.run(t, "run", "demo", "--until", "packets=4"); r.code != exitOK ||
		exists(filepath.Join(l.state, "moncap", "moncap.db")) {
		t.Fatalf("without a database: exit %d\n%s", r.code, r.stderr)
	}
	l.must(t, "db", "init")
	if r := l.run(t, "run", "demo", "--until", "packets=4"); r.code != exitOK || strings.Contains(r.stderr, "history") {
		t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}
	h := l.history(t)
	if len(h) != 1 || h[0].Outcome != "established" || !strings.Contains(h[0].By, "@") {
		t.Errorf("%+v", h)
	}
	if out := l.must(t, "runs"); strings.Count(out, "\n") != 3 { // both bundles, each once
		t.Errorf("runs:\n%s", out)
	}
	if err := os.WriteFile(filepath.Join(l.state, "moncap", "moncap.db"),
		[]byte("no database at all, and long enough to be none"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := l.run(t, "run", "demo", "--until", "packets=4")
	if r.code != exitOK || !strings.Contains(r.stderr, "not in the fleet's history") {
		t.Errorf("with a broken one: exit %d\n%s", r.code, r.stderr)
	}
}

// dispatcherOf is the part of a worker that looks at schedules, without the worker.
func (l *fleetLab) dispatcherOf(t *testing.T) (*dispatcher, *fleet.Store) {
	t.Helper()
	inv, err := inventory.Load(l.inventory)
	if err != nil {
		t.Fatal(err)
	}
	s, err := fleet.Open(t.Context(), fleet.Options{URL: "sqlite:" + filepath.Join(l.dir, "fleet.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	a := newApp(t.Context(),
		environment{stdout: &lockedBuffer{}, stderr: &lockedBuffer{}, getenv: func(string) string { return "" }})
	a.inventory = l.inventory
	return &dispatcher{app: a, store: s, crew: newCrew(a, s, inv), schedules: true, file: stampOfFile(inv.File)}, s
}

const nightlyOf = `schedules:
  nightly: {cron: "30 2 * * *", timezone: Europe/Berlin, tunnels: all, spread: 10m, grace: 1h, attempts: 2, capture: {duration: 2m}}
  never-late: {cron: "30 2 * * *", timezone: Europe/Berlin, tunnels: all, missed: skip}
`

// Whoever looks, and however often, a time makes its runs once; what was missed makes
// them once at most.
func TestScheduleFiresOnce(t *testing.T) {
	l := newFleetLab(t)
	// Nights are equally long, whenever this runs.
	l.edit(t, "tunnels:\n", strings.ReplaceAll(nightlyOf, "Europe/Berlin", "UTC")+"tunnels:\n")
	d, s := l.dispatcherOf(t)
	if err := d.begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	inv := d.crew.inventory()
	rows := func() map[string]fleet.Schedule {
		all, err := s.ScheduleRows(t.Context())
		if err != nil || len(all) != 2 {
			t.Fatalf("%d schedules, %v", len(all), err)
		}
		return map[string]fleet.Schedule{all[0].Name: all[0], all[1].Name: all[1]}
	}
	runs := func(name string) []fleet.Run {
		all, err := s.Runs(t.Context(), fleet.RunFilter{})
		if err != nil {
			t.Fatal(err)
		}
		var of []fleet.Run
		for _, r := range all {
			if strings.HasPrefix(r.Cause, "schedule "+name+"@") {
				of = append(of, r)
			}
		}
		return of
	}
	look := func(name string, r fleet.Schedule, now time.Time) {
		t.Helper()
		if err := d.fireOne(t.Context(), inv, inv.Schedules[name], r, now); err != nil {
			t.Fatal(err)
		}
	}
	first := rows()["nightly"]
	look("nightly", first, first.Due.Add(2*time.Second))
	look("nightly", first, first.Due.Add(3*time.Second)) // as another worker saw it
	made := runs("nightly")
	if len(made) != 1 || made[0].Attempts != 2 || made[0].NotBefore.Before(first.Due) ||
		made[0].NotBefore.After(first.Due.Add(10*time.Minute)) {
		t.Fatalf("runs: %+v", made)
	}
	if due := dueOf(made[0].Cause); !due.Equal(first.Due) {
		t.Errorf("for %s, not %s", due, first.Due)
	}
	second := rows()["nightly"]
	if !second.Due.After(first.Due) || !second.Due.Before(first.Due.Add(26*time.Hour)) {
		t.Errorf("due again at %s", second.Due)
	}
	// Nobody was there for four nights and half an hour.
	look("nightly", second, second.Due.Add(4*24*time.Hour+30*time.Minute))
	if made := runs("nightly"); len(made) != 2 {
		t.Errorf("%d runs after an outage", len(made))
	}
	if r := rows()["nightly"]; r.Missed != 4 {
		t.Errorf("missed %d", r.Missed)
	}
	late := rows()["never-late"]
	look("never-late", late, late.Due.Add(30*time.Minute))
	if made := runs("never-late"); len(made) != 0 {
		t.Errorf("a run that nobody wants late: %+v", made)
	}
	if r := rows()["never-late"]; r.Missed != 1 || !r.Due.After(late.Due) {
		t.Errorf("never-late: %+v", r)
	}
	// What is the same keeps its place, and what changes is counted anew.
	before := rows()["nightly"].Due
	l.edit(t, "missed: skip", "missed: once")
	if changed := d.reread(); !changed {
		t.Fatal("the inventory changed, and nobody saw")
	}
	if err := d.putSchedules(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := rows()["nightly"]; !r.Due.Equal(before) || r.Missed != 4 || r.Digest == inv.Digest {
		t.Errorf("nightly: %+v", r)
	}
}

// halfADayOn is a minute and an hour of schedules that are not due while a test runs.
func halfADayOn(t *testing.T) string {
	t.Helper()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(12 * time.Hour).In(berlin)
	return fmt.Sprint(at.Minute(), " ", at.Hour())
}

// A paused schedule stays paused, also for workers that start anew.
func TestSchedulesAreListedPausedAndRun(t *testing.T) {
	t.Parallel()
	l := newFleetLab(t)
	l.edit(t, "tunnels:\n", strings.ReplaceAll(nightlyOf, "30 2", halfADayOn(t))+"tunnels:\n")
	if out := l.must(t, "schedule", "list"); !strings.Contains(out, "not served yet") ||
		!strings.Contains(out, "Europe/Berlin") {
		t.Errorf("list:\n%s", out)
	}
	if out := l.must(t, "schedule", "next", "3", "--schedule", "nightly"); strings.Count(out, "nightly  ") != 3 ||
		strings.Count(out, "  demo") != 3 {
		t.Errorf("next:\n%s", out)
	}
	l.serve(t)
	if r := l.run(t, "schedule", "pause", "nigthly"); r.code != exitUsage {
		t.Errorf("of nobody: exit %d\n%s", r.code, r.stderr)
	}
	l.must(t, "schedule", "pause", "nightly")
	l.serve(t)
	listed := func() map[string]listedSchedule {
		var all []listedSchedule
		if err := json.Unmarshal([]byte(l.must(t, "schedule", "list", "-f", "json")), &all); err != nil || len(all) != 2 {
			t.Fatalf("%d, %v", len(all), err)
		}
		return map[string]listedSchedule{all[0].Name: all[0], all[1].Name: all[1]}
	}
	if s := listed(); !s["nightly"].Paused || s["nightly"].Next != nil || !s["nightly"].Served ||
		s["never-late"].Next == nil {
		t.Errorf("%+v", s)
	}
	next := listed()["never-late"].Next
	l.must(t, "schedule", "run", "never-late", "--wait")
	l.must(t, "schedule", "resume", "nightly")
	if s := listed(); s["nightly"].Paused || s["nightly"].Next == nil || !s["never-late"].Next.Equal(*next) {
		t.Errorf("%+v", s)
	}
	if h := l.history(t); len(h) != 1 || h[0].Cause != "manual, as schedule never-late" {
		t.Errorf("%+v", h)
	}
}

// The runs of a night that failed are submitted again, and no others.
func TestFailedOf(t *testing.T) {
	t.Parallel()
	l := newFleetLab(t)
	l.edit(t, "tunnels:\n", "  gone: {host: 127.0.0.1, port: 1, wan: {interface: GigabitEthernet1, address: "+
		"192.168.3.1}}\nschedules:\n  often: {cron: \"@hourly\", tunnels: all, until: packets=4}\ntunnels:\n  away: {a: "+
		"site-a, b: gone}\n")
	l.env["MONCAP_DB"] = "sqlite:" + filepath.Join(l.dir, "fleet.db")
	d, _ := l.dispatcherOf(t)
	if err := d.begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	inv := d.crew.inventory()
	row := fleet.Schedule{Name: "often", Due: time.Now().Truncate(time.Hour)}
	requests, err := d.app.scheduledRequests(inv, inv.Schedules["often"], row.Due,
		causeOf("often", row.Due.UTC().Format(time.RFC3339)))
	if err == nil {
		err = d.store.Submit(t.Context(), requests...)
	}
	if err != nil {
		t.Fatal(err)
	}
	if r := l.run(t, "submit", "--failed-of", "nightly"); r.code != exitUsage ||
		!strings.Contains(r.stderr, "no such runs") {
		t.Errorf("of a schedule that made none: exit %d\n%s", r.code, r.stderr)
	}
	l.serve(t, "--no-schedules")
	eventually(t, "both are over", func() bool { return len(l.history(t)) == 2 && len(l.jobs(t)) == 0 })
	for _, of := range []string{"often", "often@" + row.Due.UTC().Format("2006-01-02T15:04")} {
		if out := l.must(t, "submit", "--failed-of", of); strings.Count(out, "\n") != 1 || !strings.Contains(out, "  away") {
			t.Errorf("%s: %s", of, out)
		}
	}
	if r := l.run(t, "submit", "demo", "--failed-of", "often"); r.code != exitUsage {
		t.Errorf("with names: exit %d", r.code)
	}
}

// The service manager is told when a worker works, and when it ends.
func TestServeNotifies(t *testing.T) {
	t.Parallel()
	l := newFleetLab(t)
	dir, err := os.MkdirTemp("", "notify") // the name of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unixgram"})
	if err != nil {
		t.Skip(err)
	}
	defer c.Close()
	l.env["NOTIFY_SOCKET"] = filepath.Join(dir, "s")
	w := l.serve(t)
	heard := func() string {
		b := make([]byte, 1000)
		if err := c.SetReadDeadline(time.Now().Add(tooLong)); err != nil {
			t.Fatal(err)
		}
		n, err := c.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	if s := heard(); !strings.HasPrefix(s, "READY=1\nSTATUS=serving 1 tunnel") {
		t.Errorf("%q", s)
	}
	if code := w.stop(t); code != exitOK {
		t.Errorf("exit %d", code)
	}
	if s := heard(); !strings.HasPrefix(s, "STOPPING=1") {
		t.Errorf("%q", s)
	}
}

// What is mistyped is found before a database is asked.
func TestWrongUsageOfTheFleet(t *testing.T) {
	l := newFleetLab(t)
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"submit"}, "want the names of tunnels"},
		{[]string{"submit", "demp"}, "(did you mean demo?)"},
		{[]string{"submit", "demo", "--priority", "high"}, "--priority"},
		{[]string{"submit", "demo", "--attempts", "9"}, "--attempts 9: want 1 to 5"},
		{[]string{"submit", "demo", "--reason", "two\nlines"}, "--reason: want a line"},
		{[]string{"serve", "--workers", "1000"}, "--workers 1000: want 1 to 256"},
		{[]string{"serve", "--db", "nonsense"}, "database: want sqlite:PATH or postgres://"},
		{[]string{"jobs", "--state", "sleeping"}, "--state"},
		{[]string{"history", "--since", "yesterday"}, "--since"},
		{[]string{"history", "--max-age", "1h"}, "--max-age goes with"},
		{[]string{"schedule", "next", "many"}, "want a number from 1 to 1000"},
		{[]string{"schedule", "run", "x"}, `no schedule "x"`},
		{[]string{"cancel"}, "want RUN..."},
	} {
		if r := l.run(t, tt.args...); r.code != exitUsage || !strings.Contains(r.stderr, tt.want) {
			t.Errorf("%v: exit %d, want %q\n%s", tt.args, r.code, tt.want, r.stderr)
		}
	}
	// To a monitoring system, which knows no 64, it is UNKNOWN.
	if r := l.run(t, "history", "-f", "nagios"); r.code != pluginUnknown || !strings.Contains(r.stdout, "name it") {
		t.Errorf("exit %d\n%s", r.code, r.stdout)
	}
	if err := os.WriteFile(filepath.Join(l.dir, "serve.yaml"), []byte("workers: 2\nlaese: 5s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := l.run(t, "serve"); r.code != exitUsage || !strings.Contains(r.stderr, "serve.yaml:2: laese: unknown key") {
		t.Errorf("serve.yaml: exit %d\n%s", r.code, r.stderr)
	}
	l.edit(t, "tunnels:\n", "schedules:\n  n: {cron: \"30 2 30 2 *\", tunnels: all}\ntunnels:\n")
	if r := l.run(t, "serve"); r.code != exitUsage || !strings.Contains(r.stderr, "it never comes") {
		t.Errorf("a cron that never comes: exit %d\n%s", r.code, r.stderr)
	}
}

// A run of a schedule that has waited into a blackout waits on; others do not.
func TestWhatHoldsRuns(t *testing.T) {
	l := newFleetLab(t)
	l.edit(t, "tunnels:\n", nightlyOf+"tunnels:\n")
	d, _ := l.dispatcherOf(t)
	inv := d.crew.inventory()
	always, err := schedule.Parse("@every 1m", "UTC")
	if err != nil {
		t.Fatal(err)
	}
	request, err := requestOf(inv.Tunnels["demo"], &captureFlags{until: "none"}, "20261129-101500-ab12cd")
	if err == nil {
		request.By = "first@here"
		err = d.store.Submit(t.Context(), request)
	}
	if err != nil {
		t.Fatal(err)
	}
	plan := request.Plan
	s := inv.Schedules["nightly"]
	s.Plan.Blackouts = []schedule.Blackout{{From: always, For: 90 * time.Second}}
	if until, why := d.crew.hold(plan, causeOf("nightly", "2026-11-29T01:30:00Z")); !until.After(time.Now()) ||
		!strings.Contains(why, "nightly") {
		t.Errorf("until %s: %q", until, why)
	}
	for _, cause := range []string{"manual", "manual, as schedule nightly", causeOf("never-late", "2026-11-29T01:30:00Z"),
		causeOf("gone", "x")} {
		if until, why := d.crew.hold(plan, cause); !until.IsZero() || why != "" {
			t.Errorf("%s: until %s: %q", cause, until, why)
		}
	}
	if requests, err := d.app.scheduledRequests(inv, s, time.Now(), "x"); err != nil || len(requests) != 0 {
		t.Errorf("%d runs begin in a blackout, %v", len(requests), err)
	}
	// Whoever submitted it without asking for approval does not get round this inventory.
	inv.Tunnels["demo"].Approve = inventory.ApproveFourEyes
	if until, why := d.crew.hold(plan, "manual"); !until.After(time.Now()) || !strings.Contains(why, "approval") {
		t.Errorf("until %s: %q", until, why)
	}
}

// A run is left alone by a worker whose inventory has other routers for it, or whose logins
// somebody has to type.
func TestWhatAWorkerKnows(t *testing.T) {
	l := newFleetLab(t)
	d, _ := l.dispatcherOf(t)
	inv := d.crew.inventory()
	request, err := requestOf(inv.Tunnels["demo"], &captureFlags{until: "none"}, "20261129-101500-ab12cd")
	if err != nil {
		t.Fatal(err)
	}
	if err := d.crew.knows(request.Plan); err != nil {
		t.Errorf("its own: %v", err)
	}
	for _, tt := range []struct{ old, new, want string }{
		{"interface: GigabitEthernet1, address: \"192.168.1.1\"", "interface: GigabitEthernet2, address: \"192.168.1.1\"",
			"another site-a"},
		{"address: \"192.168.2.1\"", "address: \"192.168.2.9\"", "another site-b"},
		{"  demo:", "  other:", "does not have the tunnel demo"},
		{"\"file:" + filepath.Join(l.dir, "password") + "\"", "ask", "a worker asks nobody"},
	} {
		b, err := os.ReadFile(l.inventory)
		if err != nil || !strings.Contains(string(b), tt.old) {
			t.Fatalf("%q is not in the inventory, %v", tt.old, err)
		}
		changed, err := inventory.Parse("changed.yaml", strings.NewReader(strings.Replace(string(b), tt.old, tt.new, 1)))
		if err != nil {
			t.Fatal(err)
		}
		d.crew.use(changed)
		if err := d.crew.knows(request.Plan); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.new, err)
		}
	}
}

// A worker whose clock is wrong, whose inventory is another one or whose program is, is pointed
// out; one that is gone is not.
func TestWorkersThatDisagree(t *testing.T) {
	own := versionString()
	listed := listWorkers([]fleet.Worker{
		{ID: "good", Alive: true, Inventory: "a", Version: own, ClockOff: -2 * time.Second},
		{ID: "wrong", Alive: true, Inventory: "a", Version: own, ClockOff: -7 * time.Second},
		{ID: "gone", Inventory: "b", Version: own},
	})
	if len(listed[0].Warnings) != 0 || len(listed[2].Warnings) != 0 || len(listed[1].Warnings) != 1 ||
		!strings.Contains(listed[1].Warnings[0], "-7s off") {
		t.Errorf("%+v", listed)
	}
	listed = listWorkers([]fleet.Worker{{Alive: true, Inventory: "a", Version: "v0.1"},
		{Alive: true, Inventory: "b", Version: own}})
	if len(listed[0].Warnings) != 2 || len(listed[1].Warnings) != 1 {
		t.Errorf("%+v", listed)
	}
}

// A database that is away is told of once, and schedules go on when it is back.
func TestSchedulesOutliveTheDatabase(t *testing.T) {
	l := newFleetLab(t)
	l.edit(t, "tunnels:\n", nightlyOf+"tunnels:\n")
	d, _ := l.dispatcherOf(t)
	if err := d.begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	told := 0
	for range 5 {
		if err := d.tick(gone); err != nil {
			told++
		}
		d.look = time.Time{} // the next look is due
	}
	if told != 1 {
		t.Errorf("told %d times", told)
	}
	if err := d.tick(t.Context()); err != nil || d.away || !d.look.After(time.Now()) {
		t.Errorf("back again: %v, away %t, next look %s", err, d.away, d.look)
	}
}

// A schedule that makes no run, for whatever reason, keeps none of the others.
func TestOneScheduleKeepsNoOther(t *testing.T) {
	l := newFleetLab(t)
	l.edit(t, "tunnels:\n", strings.ReplaceAll(nightlyOf, "never-late", "broken")+"tunnels:\n")
	d, s := l.dispatcherOf(t)
	if err := d.begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	rows, err := s.ScheduleRows(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	now, err := s.Now(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range rows {
		rows[i].Spec, rows[i].Due = rows[i].Spec+" ", now.Add(-time.Second)
	}
	inv := d.crew.inventory()
	if err := s.PutSchedules(t.Context(), inv.Digest, rows); err != nil {
		t.Fatal(err)
	}
	inv.Schedules["broken"].Until = "packets=none" // as no file can have it
	if err := d.fire(t.Context()); err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("error %v", err)
	}
	runs, err := s.Runs(t.Context(), fleet.RunFilter{})
	if err != nil || len(runs) != 1 || !strings.HasPrefix(runs[0].Cause, "schedule nightly@") {
		t.Errorf("%v, runs %+v", err, runs)
	}
}

// A token is shown once, to stdout alone.
func TestTokenCommand(t *testing.T) {
	t.Parallel()
	l := newFleetLab(t)
	l.must(t, "db", "init")
	added := l.run(t, "token", "add", "ann", "--role", "operator")
	secret := strings.TrimSpace(added.stdout)
	if added.code != exitOK || !strings.HasPrefix(secret, "moncap_") || strings.Contains(added.stderr, secret) {
		t.Fatalf("exit %d\n%q\n%s", added.code, added.stdout, added.stderr)
	}
	for _, args := range [][]string{{"add", "bob"}, {"add", "bob", "--role", "root"}, {"add", "ann", "--role", "viewer"},
		{"remove", "bob"}} {
		if r := l.run(t, append([]string{"token"}, args...)...); r.code != exitUsage || r.stdout != "" {
			t.Errorf("%v: exit %d\n%s%s", args, r.code, r.stdout, r.stderr)
		}
	}
	if out := l.must(t, "token", "list"); !strings.Contains(out, "ann") || strings.Contains(out, secret[7:]) {
		t.Errorf("list: %s", out)
	}
	var listed []jsonToken
	if err := json.Unmarshal([]byte(l.must(t, "token", "list", "-f", "json")), &listed); err != nil || len(listed) != 1 ||
		listed[0].Role != "operator" {
		t.Errorf("%+v, %v", listed, err)
	}
	l.must(t, "token", "remove", "ann")
	if out := l.must(t, "token", "list"); !strings.Contains(out, "there are no tokens") {
		t.Errorf("after its removal: %s", out)
	}
}
