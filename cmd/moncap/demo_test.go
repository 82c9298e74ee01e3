package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/device/iosxe"
	"github.com/moncap/moncap/device/simulator"
	"github.com/moncap/moncap/testdata"
)

// playedToo are, of the incidents that the analysis alone judges as well, those that ask most of
// routers and access lists: translated addresses that change, IP fragments of either version, ICMP
// of every kind, captures with holes. A run takes a second or two, so the rest is left to the tests
// of package analysis, which judge the same packets.
var playedToo = []string{"blocked-one-initiates", "nat-rebinding", "ikev1-nat", "icmp-port-unreachable",
	"ipv6-admin-prohibited", "ipv6-fragments-lost",
	"packet-too-big", "mtu-black-hole", "capture-without-fragments", "lossy-path"}

// played are the incidents that are played whole, besides.
var played = []string{"blocked-a-to-b", "blocked-b-to-a", "child-proposal-mismatch", "cookie", "esp-blocked-a-to-b",
	"healthy", "icmp-admin-prohibited",
	"ike-fragmentation", "ike-proposal-mismatch", "ikev1-main-mode", "ikev1-psk-mismatch", "ip-fragments-lost", "ipv6",
	"ke-group-retry", "nat", "nat-pat",
	"nat-t-blocked", "psk-mismatch", "rekey-and-delete", "responder-rejected", "simultaneous-initiation"}

// TestDemoTellsTheTruth plays incidents through simulated routers, SSH, SCP and both captures, to
// the report.
func TestDemoTellsTheTruth(t *testing.T) {
	for _, name := range slices.Concat(playedToo, played) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := moncap(t, "demo", name, "--speed", "1000", "--format", "json")
			if r.code > exitInconclusive {
				t.Fatalf("exit %d\n%s", r.code, r.stderr)
			}
			rep, err := report.Read(strings.NewReader(r.stdout))
			if err != nil {
				t.Fatal(err)
			}
			if rep.Verdict.ExitCode != r.code || rep.Run == nil || len(rep.Run.Phases) < 9 {
				t.Errorf("exit %d, verdict %+v, run %+v", r.code, rep.Verdict, rep.Run)
			}
			expectTruth(t, name, r.stdout)
		})
	}
}

func expectTruth(t *testing.T, name, asJSON string) {
	t.Helper()
	var truth struct {
		Expect  []map[string]any
		MustNot []string `yaml:"must_not"`
	}
	b, err := os.ReadFile(filepath.Join("..", "..", "testdata", "incidents", name, "truth.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(b, &truth); err != nil {
		t.Fatal(err)
	}
	var doc struct{ Findings []map[string]any }
	if err := json.Unmarshal([]byte(asJSON), &doc); err != nil {
		t.Fatal(err)
	}
	for _, want := range truth.Expect {
		if !slices.ContainsFunc(doc.Findings, func(f map[string]any) bool {
			for k, v := range want {
				if fmt.Sprint(f[k]) != fmt.Sprint(v) {
					return false
				}
			}
			return true
		}) {
			t.Errorf("no finding %v", want)
		}
	}
	for _, f := range doc.Findings {
		if code, _ := f["code"].(string); slices.Contains(truth.MustNot, code) {
			t.Errorf("%s must not be reported", code)
		}
	}
}

func TestDemoList(t *testing.T) {
	r := moncap(t, "demo", "--list")
	if r.code != exitOK || strings.Count(r.stdout, "\n") < 20 || !strings.Contains(r.stdout, "blocked-a-to-b") {
		t.Errorf("exit %d\n%s", r.code, r.stdout)
	}
	r = moncap(t, "demo", "heathy")
	if r.code != exitUsage || !strings.Contains(r.stderr, "did you mean healthy?") {
		t.Errorf("exit %d\n%s", r.code, r.stderr)
	}
}

func TestFormatsOfOneRun(t *testing.T) {
	l := newTestLab(t, "nat-t-blocked")
	out := filepath.Join(l.dir, "bundle")
	r := moncap(t, "run", "demo", "-i", l.inventory, "--out", out, "--until", "packets=4", "--duration", "5s")
	if r.code != exitCritical || !strings.Contains(r.stdout, "UDP 4500") {
		t.Fatalf("exit %d\n%s\n%s", r.code, r.stdout, r.stderr)
	}
	for format, want := range map[string]string{
		"text": "UDP 4500", "json": `"schema": "moncap.report/v1"`, "html": "<svg", "markdown": "#", "junit": "<testsuite",
		"mermaid": "sequenceDiagram",
	} {
		r := moncap(t, "report", out, "--format", format)
		if r.code != exitCritical || !strings.Contains(r.stdout, want) {
			t.Errorf("%s: exit %d, %d bytes\n%s", format, r.code, len(r.stdout), r.stderr)
		}
	}
	file := filepath.Join(l.dir, "both.pcapng")
	if r := moncap(t, "report", out, "--format", "pcapng", "-o", file); r.code != exitCritical {
		t.Errorf("pcapng: exit %d\n%s", r.code, r.stderr)
	}
	if r := moncap(t, "decode", file, "--format", "ndjson"); r.code != exitOK || strings.Count(r.stdout, "\n") < 8 {
		t.Errorf("the pcapng read back: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	zip := filepath.Join(l.dir, "case.zip")
	if r := moncap(t, "bundle", out, "--redact", "-o", zip); r.code != exitOK {
		t.Errorf("bundle: exit %d\n%s", r.code, r.stderr)
	}
	if r := moncap(t, "diff", out, out); r.code != exitOK {
		t.Errorf("diff: exit %d\n%s", r.code, r.stderr)
	}
	checkBundle(t, out, labPassword)
}

func TestStepByStep(t *testing.T) {
	l := newTestLab(t, "healthy")
	out := filepath.Join(l.dir, "bundle")
	steps := [][]string{
		{"check", "demo", "-i", l.inventory},
		{"start", "demo", "-i", l.inventory, "--out", out, "--duration", "60s"},
		{"status", out, "-i", l.inventory},
		{"stop", out, "-i", l.inventory},
		{"clean", out, "-i", l.inventory, "--dry-run"},
		{"collect", out, "-i", l.inventory},
		{"clean", out, "-i", l.inventory},
	}
	for _, args := range steps {
		r := moncap(t, args...)
		if r.code != exitOK {
			t.Fatalf("%v: exit %d\n%s%s", args, r.code, r.stdout, r.stderr)
		}
		t.Logf("%v: %s", args[0], strings.SplitN(r.stdout, "\n", 2)[0])
	}
	if dirty := l.dirty(); len(dirty) > 0 {
		t.Errorf("%v is not as it was", dirty)
	}
}

// A tunnel's name means the run that still has something on the routers, also when a
// later run was refused.
func TestTunnelNameFindsTheOpenRun(t *testing.T) {
	l := newTestLab(t, "healthy")
	runs := filepath.Join(l.dir, "runs")
	p := program{env: map[string]string{"MONCAP_RUNS": runs}}
	want := func(code int, contains string, args ...string) result {
		t.Helper()
		r := p.run(t.Context(), append(args, "-i", l.inventory)...)
		if r.code != code || !strings.Contains(r.stdout+r.stderr, contains) {
			t.Fatalf("%v: exit %d, want %d and %q\n%s%s", args, r.code, code, contains, r.stdout, r.stderr)
		}
		return r
	}
	want(exitOK, "capturing on both routers", "start", "demo", "--name", "cap", "--duration", "60s")
	want(exitFailed, "cap exists already", "run", "demo", "--name", "cap", "--duration", "1s")
	want(exitOK, "active", "status", "demo", "--name", "cap")
	said := want(exitOK, "stopped; fetch them", "stop", "demo", "--name", "cap").stdout
	if !strings.Contains(said, "moncap -i "+l.inventory+" collect ") || !strings.Contains(said, " --name cap") {
		t.Errorf("without the inventory or the name collect would touch nothing: %s", said)
	}
	want(exitOK, "ESTABLISHED", "collect", "demo", "--name", "cap")
	want(exitFailed, "no capture on its routers any more", "collect", "demo")
	if dirty := l.dirty(); len(dirty) > 0 {
		t.Errorf("%v is not as it was", dirty)
	}
	r := want(exitOK, "left as asked", "run", "demo", "--name", "kept", "--keep", "--until", "packets=4", "--duration",
		"5s")
	if !strings.Contains(r.stderr, "site-a: left on it as asked: access list kept, capture point kept") {
		t.Errorf("what was kept is not said:\n%s", r.stderr)
	}
	want(exitDirty, "nothing of that name is touched unasked", "clean", "demo")
	want(exitOK, "site-a: removed capture point kept", "clean", "demo", "--name", "kept")
	want(exitOK, "nothing was left", "clean", "demo")
	if dirty := l.dirty(); len(dirty) > 0 {
		t.Errorf("%v is not as it was", dirty)
	}
}

// TestSimulateAgain starts the practice routers twice in one folder: what knew
// them knows them still.
func TestSimulateAgain(t *testing.T) {
	i, err := testdata.Load("healthy")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var ports [2]int
	var known []byte
	for n := range 2 {
		l, err := startLab(context.Background(), i, labOptions{dir: dir, speed: 1000, ports: ports})
		if err != nil {
			t.Fatalf("start %d: %v", n, err)
		}
		ports = [2]int{l.tunnel.A.Port, l.tunnel.B.Port}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		now, err := os.ReadFile(l.tunnel.A.KnownHosts)
		if err != nil || n > 0 && string(now) != string(known) {
			t.Errorf("known hosts changed: %v\n%s\n%s", err, known, now)
		}
		known = now
	}
}

// TestNarrowAccount runs with the account that `moncap account --narrow` prints, as the router's
// own parser view.
func TestNarrowAccount(t *testing.T) {
	l := newLabWith(t, "healthy", func(c *simulator.Config) {
		c.View = iosxe.NarrowCommands()
		c.Privilege = 1
		c.Knobs.NoSCP = true
	})
	r := moncap(t, "run", "demo", "-i", l.inventory, "--out", filepath.Join(l.dir, "bundle"), "--zero-config", "--until",
		"packets=4", "--duration", "5s")
	if r.code != exitOK || !strings.Contains(r.stdout, "ESTABLISHED") {
		t.Errorf("zero-config: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	for _, router := range l.routers {
		for _, c := range router.Commands() {
			if strings.HasPrefix(c, "configure") || strings.Contains(c, "export") || strings.HasPrefix(c, "scp") {
				t.Errorf("sent with the narrow account: %s", c)
			}
		}
	}
	if r := moncap(t, "run", "demo", "-i", l.inventory, "--out", filepath.Join(l.dir, "full"), "--duration",
		"1s"); r.code != exitFailed {
		t.Errorf("the full playbook with the narrow account: exit %d\n%s", r.code, r.stderr)
	}
}

// TestTalkativeRouters runs the playbook while both routers log to the session all the time, in
// every form of log lines.
func TestTalkativeRouters(t *testing.T) {
	for _, form := range []string{"", "none", "zone"} {
		t.Run("timestamps "+form, func(t *testing.T) {
			t.Parallel()
			l := newLabWith(t, "healthy", func(c *simulator.Config) {
				c.Knobs = simulator.Knobs{TerminalMonitor: true, SyslogEvery: 3 * time.Millisecond, Timestamps: form,
					ExecPromptTimestamp: true, LoggingSynchronous: form == "none", SecurityWarnings: true,
					MOTD: "site-A#\n*** authorised > users # only ***\n"}
				c.NTPLost = form == "zone"
			})
			r := moncap(t, "run", "demo", "-i", l.inventory, "--out", filepath.Join(l.dir, "bundle"), "--until", "packets=4",
				"--duration", "10s", "--format", "json")
			if r.code != exitOK || strings.Contains(r.stdout, "rebuilt from") {
				t.Errorf("exit %d\n%s", r.code, r.stderr)
			}
			if dirty := l.dirty(); len(dirty) > 0 {
				t.Errorf("%v is not as it was", dirty)
			}
		})
	}
}

// TestUntil ends the wait by what the routers say of their IKE SAs, run after run.
func TestUntil(t *testing.T) {
	for _, tt := range []struct {
		incident, until string
		code            int
		early           bool
	}{
		{"healthy", "established", exitOK, true},
		{"ipv6", "established", exitWarnings, true},
		{"nat", "established", exitOK, true},
		{"ikev1-main-mode", "established", exitOK, true},
		{"psk-mismatch", "failed", exitCritical, true},
		{"psk-mismatch", "established", exitCritical, false},
		{"psk-mismatch", "decided", exitCritical, true},
		{"healthy", "decided", exitOK, true},
		{"healthy", "failed", exitOK, false},
	} {
		t.Run(tt.incident+" until "+tt.until, func(t *testing.T) {
			t.Parallel()
			l := newTestLab(t, tt.incident)
			duration := tooLong
			if !tt.early {
				duration = 2 * time.Second
			}
			for n := range 2 {
				out := filepath.Join(l.dir, fmt.Sprint("bundle", n))
				began := time.Now()
				r := moncap(t, "run", "demo", "-i", l.inventory, "--out", out, "--until", tt.until, "--duration", duration.String(),
					"--quiet")
				if r.code != tt.code {
					t.Fatalf("run %d: exit %d, want %d\n%s%s", n, r.code, tt.code, r.stdout, r.stderr)
				}
				if took := time.Since(began); tt.early == (took >= duration) {
					t.Errorf("run %d ended after %s of %s", n, took, duration)
				}
			}
		})
	}
}

func TestSeveralTunnels(t *testing.T) {
	l := newTestLab(t, "healthy")
	b, err := os.ReadFile(l.inventory)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b) + "  again: {a: site-a, b: site-b, capture: {duration: 1s}}\n"
	if err := os.WriteFile(l.inventory, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := program{}
	t.Chdir(l.dir)
	r := p.run(t.Context(), "run", "--all", "--parallel", "2", "-i", l.inventory, "--duration", "1s", "--until",
		"packets=4")
	lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
	if r.code != exitOK || len(lines) != 2 || !strings.Contains(r.stdout, "demo: established") {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if dirty := l.dirty(); len(dirty) > 0 {
		t.Errorf("%v is not as it was", dirty)
	}
}

// A later release can be practised on: its binary trace is read, and what it said is told.
func TestSimulateAnotherRelease(t *testing.T) {
	l := newLabOf(t, "peer-silent-after-init", labOptions{release: "17.9.4"})
	r := moncap(t, "run", "demo", "-i", l.inventory, "--out", filepath.Join(l.dir, "bundle"), "--duration", "3s",
		"--binary-trace")
	said := strings.Join(strings.Fields(r.stdout), " ")
	for _, want := range []string{"C8000V, 17.9.4", "note site-b: binary trace read: no line about IKE"} {
		if !strings.Contains(said, want) {
			t.Errorf("no %q: exit %d\n%s%s", want, r.code, r.stdout, r.stderr)
		}
	}
	if r := moncap(t, "simulate", "--release", "12.4"); r.code != exitUsage ||
		!strings.Contains(r.stderr, `--release: "12.4": want one as 16.12.6 or 17.9.4`) {
		t.Errorf("exit %d: %s", r.code, r.stderr)
	}
}

// TestSimulate reaches the practice routers with OpenSSH, as people would.
func TestSimulate(t *testing.T) {
	if _, err := exec.LookPath("ssh"); err != nil {
		t.Skip("ssh is not installed")
	}
	l := newTestLab(t, "healthy")
	host, port, err := net.SplitHostPort(l.routers[0].Addr())
	if err != nil {
		t.Fatal(err)
	}
	ask := filepath.Join(l.dir, "askpass")
	if err := os.WriteFile(ask, []byte("#!/bin/sh\necho "+labPassword+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "ssh", "-o", "UserKnownHostsFile="+filepath.Join(l.dir, "known_hosts"), "-p",
		port, labUser+"@"+host, "show clock")
	cmd.Env = append(os.Environ(), "SSH_ASKPASS="+ask, "SSH_ASKPASS_REQUIRE=force", "DISPLAY=none")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "UTC") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestDemoChecksDebugs has both routers trace IKEv2 while the packets pass: the debug and the
// captures must agree, and none may accuse the other.
func TestDemoChecksDebugs(t *testing.T) {
	for _, name := range []string{"nat", "blocked-a-to-b", "capture-without-fragments"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := moncap(t, "demo", name, "--debug", "--speed", "1000", "--format", "json")
			if r.code > exitInconclusive {
				t.Fatalf("exit %d\n%s", r.code, r.stderr)
			}
			expectTruth(t, name, r.stdout)
			agrees := strings.Count(r.stdout, `"code": "debug-agrees"`)
			if want := 2; name != "capture-without-fragments" && agrees != want {
				t.Errorf("%d sides agree with their debugs, want %d", agrees, want)
			}
			for _, code := range []string{"debug-sent-not-captured", "debug-captured-not-received"} {
				if strings.Contains(r.stdout, `"code": "`+code+`"`) {
					t.Errorf("%s\n%s", code, r.stdout)
				}
			}
		})
	}
}
