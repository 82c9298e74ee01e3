package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/gopacket/pcapgo"

	"github.com/moncap/moncap/capture"
	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/device/simulator"
)

// struck is a command of each phase, as the router receives it.
var struck = func() map[capture.Phase]string {
	all := map[capture.Phase]string{}
	for moment, command := range simulator.Struck() {
		all[capture.Phase(moment)] = command
	}
	return all
}()

// matrixCase is one cell of the matrix: something that goes wrong in one phase, on side A or on
// this machine.
type matrixCase struct {
	phase capture.Phase
	name  string
	play  func(t *testing.T, phase capture.Phase) string // returns the outcome
}

// commonCases are what goes wrong in any phase.
func commonCases(phase capture.Phase) []matrixCase {
	var all []matrixCase
	for _, s := range simulator.Strikes(patience) {
		all = append(all, matrixCase{phase, s.Name, playStrike(s)})
	}
	return append(all,
		matrixCase{phase, "local disk full", fillDisk},
		matrixCase{phase, "SIGTERM", signalled(syscall.SIGTERM)},
		matrixCase{phase, "SIGKILL", signalled(syscall.SIGKILL)},
	)
}

func matrixCases() []matrixCase {
	var all []matrixCase
	for _, phase := range capture.Phases() {
		all = append(all, commonCases(phase)...)
		for _, s := range simulator.SpecialStrikes()[string(phase)] {
			all = append(all, matrixCase{phase, s.Name, playStrike(s)})
		}
	}
	return all
}

// TestEveryPhaseSurvivesEveryFault is the matrix: every phase times every fault, over real SSH and
// SCP. Whatever happens, the run succeeds, or it fails with a message and clean routers, or it says
// what is left and `moncap clean` removes it later. Flash, configuration and capture points of both
// routers are compared with what they were.
func TestEveryPhaseSurvivesEveryFault(t *testing.T) {
	var mu sync.Mutex
	outcomes := map[string]int{}
	t.Run("matrix", func(t *testing.T) {
		for _, c := range matrixCases() {
			t.Run(fmt.Sprintf("%s/%s", c.phase, c.name), func(t *testing.T) {
				t.Parallel()
				outcome := c.play(t, c.phase)
				mu.Lock()
				defer mu.Unlock()
				outcomes[outcome]++
			})
		}
	})
	t.Logf("%d cases, outcomes: %v", len(matrixCases()), outcomes)
	nothingRuns(t)
}

// The size of the matrix stands in the README.
func TestREADMEStatesTheMatrix(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	specials := 0
	for _, s := range simulator.SpecialStrikes() {
		specials += len(s)
	}
	want := fmt.Sprintf("%d phases times %d faults, and %d more that only one phase can meet: %d cases",
		len(capture.Phases()), len(commonCases(capture.PhaseCheck)), specials, len(matrixCases()))
	if text := strings.Join(strings.Fields(string(b)), " "); !strings.Contains(text, want) {
		t.Errorf("README.md does not say %q", want)
	}
}

// nothingRuns fails when something that a run or a router began goes on.
func nothingRuns(t *testing.T) {
	t.Helper()
	var left []string
	for deadline := time.Now().Add(tooLong); ; { // a connection may still be closing
		left = nil
		stacks := make([]byte, 16<<20)
		for stack := range strings.SplitSeq(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
			if strings.Contains(stack, "github.com/moncap/") && !strings.Contains(stack, "testing.tRunner") {
				left = append(left, stack)
			}
		}
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("%d goroutines are left:\n%s", len(left), strings.Join(left, "\n\n"))
}

// matrixRun is what every case runs.
func (l *testLab) matrixRun(out string) []string {
	return []string{"run", "demo", "-i", l.inventory, "--out", out, "--until", "packets=4", "--duration", "5s", "--quiet",
		"--buffer", "1", "--trigger", "clear crypto session remote " + l.tunnel.B.WAN.Address.String()}
}

// zeroConfigRun is the same without configuration mode, which has no trigger.
func (l *testLab) zeroConfigRun(out string) []string {
	args := l.matrixRun(out)
	return append(args[:len(args)-2], "--zero-config")
}

// playStrike has a fault strike side A.
func playStrike(s simulator.Strike) func(*testing.T, capture.Phase) string {
	return func(t *testing.T, phase capture.Phase) string {
		l := newTestLab(t, "healthy")
		l.routers[0].AddFault(s.At(string(phase)))
		out := filepath.Join(l.dir, "bundle")
		ctx, cancel := context.WithTimeout(t.Context(), tooLong)
		defer cancel()
		r := program{tune: hasty}.run(ctx, l.matrixRun(out)...)
		if ctx.Err() != nil {
			t.Fatalf("the run did not end in time\n%s", r.stderr)
		}
		if l.routers[0].Fired() == 0 {
			t.Fatalf("the fault never struck\n%s", strings.Join(l.routers[0].Commands(), "\n"))
		}
		if s.Fault.Action == simulator.PromptChange {
			l.routers[0].SetHostname("site-A") // it was no change of ours, and shows in the configuration
		}
		return l.judge(t, r, out, true, "site-a")
	}
}

// judge holds the outcome against what is allowed. A message names one of who: the peer, or what
// failed here.
func (l *testLab) judge(t *testing.T, r result, out string, whole bool, who ...string) string {
	t.Helper()
	checkBundle(t, out, labPassword)
	if strings.Contains(r.stdout+r.stderr, labPassword) {
		t.Error("the password was printed")
	}
	checkCaptures(t, out, whole)
	dirty := l.dirty()
	switch {
	case r.code <= exitInconclusive:
		if len(dirty) > 0 {
			t.Errorf("exit %d, and %v is not as it was\n%s", r.code, dirty, r.stderr)
		}
		return "succeeded"
	case r.code == exitFailed:
		if len(dirty) > 0 {
			t.Errorf("exit 4 says clean, and %v is not as it was\n%s", dirty, r.stderr)
		}
		l.checkMessage(t, r, who)
		return "failed clean"
	case r.code == exitDirty:
		if !strings.Contains(r.stderr, "left on a router") || !strings.Contains(r.stderr, "remove with: ") ||
			!strings.Contains(r.stderr, " clean "+out) {
			t.Errorf("what is left, and how it is removed, is not said:\n%s", r.stderr)
		}
		l.cleanLater(t, out, r)
		return "left something, cleaned later"
	}
	t.Errorf("exit %d\n%s", r.code, r.stderr)
	return "wrong"
}

// namesPhase matches a message that says in which phase what failed.
var namesPhase = regexp.MustCompile(
	`(?m)^moncap: .*\b(check|acl|define|start|trigger|wait|stop|observe|export|fetch|clean|report|bundle [^:]+): \S.*\S`)

func (l *testLab) checkMessage(t *testing.T, r result, who []string) {
	t.Helper()
	if !namesPhase.MatchString(r.stderr) {
		t.Errorf("the message names no phase and no cause:\n%s", r.stderr)
	}
	if !slices.ContainsFunc(who, func(w string) bool { return strings.Contains(r.stderr, w) }) {
		t.Errorf("the message names none of %q:\n%s", who, r.stderr)
	}
}

// cleanLater finishes the job when what was wrong is over: the router can be reached again, the
// disk has room.
func (l *testLab) cleanLater(t *testing.T, out string, r result) {
	t.Helper()
	l.routers[0].ClearFaults()
	clean := func() result { return program{}.run(t.Context(), "clean", out, "-i", l.inventory, "--quiet") }
	again := clean()
	// A process that another test is about to start holds the lock until its exec.
	for deadline := time.Now().Add(tooLong); time.Now().Before(deadline) &&
		strings.Contains(again.stderr, "another moncap works on it"); {
		time.Sleep(20 * time.Millisecond)
		again = clean()
	}
	if dirty := l.dirty(); again.code != exitOK || len(dirty) > 0 {
		t.Errorf("moncap clean: exit %d, dirty %v\n%s\nthe run had said:\n%s", again.code, dirty, again.stderr, r.stderr)
	}
}

// checkCaptures holds every capture file of a bundle against what run.json says of it: a file that
// is there is the whole file. Phases are held to their limits.
func checkCaptures(t *testing.T, dir string, whole bool) {
	t.Helper()
	run := readTestRun(t, dir)
	for _, side := range bundle.Sides() {
		b, err := os.ReadFile(filepath.Join(dir, bundle.CaptureFile(side)))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		info := run.Router(side)
		killed := run.Ended.IsZero() && info.SHA256 == "" // between the file and run.json
		if sum := sha256.Sum256(b); err != nil ||
			!killed && (info.SHA256 != hex.EncodeToString(sum[:]) || info.Bytes != int64(len(b))) {
			t.Errorf("%s is not what run.json says (%v)", bundle.CaptureFile(side), err)
		}
		if n, err := countPackets(b); whole && (err != nil || info.Packets > 0 && n != info.Packets) {
			t.Errorf("%s: %d packets, the router had %d (%v)", bundle.CaptureFile(side), n, info.Packets, err)
		}
	}
	for _, p := range run.Phases {
		limit := capture.DefaultTimeouts()[capture.Phase(p.Name)]
		if took := time.Duration(max(p.AMS, p.BMS)) * time.Millisecond; limit > 0 && took > limit+5*time.Second {
			t.Errorf("%s took %s, its limit is %s", p.Name, took, limit)
		}
	}
}

func countPackets(b []byte) (n int, err error) {
	r, err := pcapgo.NewReader(bytes.NewReader(b))
	if err != nil {
		return 0, err
	}
	for ; ; n++ {
		if _, _, err := r.ReadPacketData(); errors.Is(err, io.EOF) {
			return n, nil
		} else if err != nil {
			return n, err
		}
	}
}

// signalled has moncap, as a process of its own, get a signal while the router lets it
// wait in the phase.
func signalled(sig syscall.Signal) func(*testing.T, capture.Phase) string {
	return func(t *testing.T, phase capture.Phase) string {
		l := newTestLab(t, "healthy")
		l.routers[0].AddFault(simulator.Fault{Match: regexp.MustCompile(struck[phase]), Action: simulator.Delay,
			Delay: 500 * time.Millisecond})
		out := filepath.Join(l.dir, "bundle")
		cmd := start(t, l.matrixRun(out)...)
		l.received(t, 0, struck[phase])
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // its exit code is looked at
		r := result{code: cmd.ProcessState.ExitCode(), stderr: fmt.Sprint(cmd.Stderr)}
		if sig != syscall.SIGKILL {
			return l.judge(t, r, out, true, "site-a", "interrupted (SIGTERM)")
		}
		checkCaptures(t, out, true)
		l.cleanLater(t, out, r)
		return "killed, cleaned later"
	}
}

// fillDisk has the file system of the bundle run full as the phase begins.
func fillDisk(t *testing.T, phase capture.Phase) string {
	l := newTestLab(t, "healthy")
	disk := filepath.Join(l.dir, "disk")
	if err := os.Mkdir(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=4m,mode=700", "moncap-test",
		disk).CombinedOutput(); err != nil {
		t.Skipf("no small file system can be had: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", disk).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	filler, out := filepath.Join(disk, "filler"), filepath.Join(disk, "bundle")
	var once sync.Once
	p := program{events: func(e capture.Event) {
		if e.Kind == capture.Began && e.Phase == phase {
			once.Do(func() { _ = os.WriteFile(filler, make([]byte, 5<<20), 0o600) }) // it fails when the disk is full
		}
	}}
	r := p.run(t.Context(), l.matrixRun(out)...)
	if info, err := os.Stat(filler); err != nil || info.Size() == 0 {
		t.Fatalf("the disk was not filled: %v", err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if r.code > exitInconclusive && !strings.Contains(r.stderr, "no space left on device") {
		t.Errorf("the cause is not said:\n%s", r.stderr)
	}
	return l.judge(t, r, out, true, "site-", "bundle")
}

func TestInterruptLeavesBothRoutersAsTheyWere(t *testing.T) {
	for _, phase := range capture.Phases() {
		if phase == capture.PhaseTrigger {
			continue
		}
		t.Run(string(phase), func(t *testing.T) {
			t.Parallel()
			l := newTestLab(t, "healthy")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			p := program{events: func(e capture.Event) {
				if e.Kind == capture.Began && e.Phase == phase {
					cancel()
				}
			}}
			r := p.run(ctx, "run", "demo", "-i", l.inventory, "--out", filepath.Join(l.dir, "bundle"), "--until", "packets=4",
				"--duration", "5s")
			if r.code != exitFailed && phase != capture.PhaseClean {
				t.Errorf("exit %d\n%s", r.code, r.stderr)
			}
			if dirty := l.dirty(); len(dirty) > 0 {
				t.Errorf("%v is not as it was\n%s", dirty, r.stderr)
			}
		})
	}
}

// start runs moncap as a process of its own.
func start(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, args...)
	cmd.Env = append(os.Environ(), "MONCAP_TEST_AS_PROGRAM=1")
	cmd.Stderr = &lockedBuffer{}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// received waits until a router has received a command.
func (l *testLab) received(t *testing.T, router int, pattern string) {
	t.Helper()
	re := regexp.MustCompile(pattern)
	for ctx := t.Context(); ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
		for _, c := range l.routers[router].Commands() {
			if re.MatchString(c) {
				return
			}
		}
	}
}

// survivesEveryFault is the matrix of faults at commands that not every run sends, and of signals
// while they are under way.
func survivesEveryFault(t *testing.T, commands map[string]string, run func(l *testLab, out string) []string,
	signals ...syscall.Signal) {
	for name, pattern := range commands {
		for _, s := range simulator.Strikes(patience) {
			t.Run(name+"/"+s.Name, func(t *testing.T) {
				t.Parallel()
				l := newTestLab(t, "healthy")
				s.Fault.Match = regexp.MustCompile(pattern)
				l.routers[0].AddFault(s.Fault)
				out := filepath.Join(l.dir, "bundle")
				ctx, cancel := context.WithTimeout(t.Context(), tooLong)
				defer cancel()
				r := program{tune: hasty}.run(ctx, run(l, out)...)
				if ctx.Err() != nil || l.routers[0].Fired() == 0 {
					t.Fatalf("%v, the fault struck %d times\n%s", ctx.Err(), l.routers[0].Fired(), r.stderr)
				}
				if s.Fault.Action == simulator.PromptChange {
					l.routers[0].SetHostname("site-A")
				}
				l.judge(t, r, out, true, "site-a")
			})
		}
		for _, sig := range signals {
			t.Run(name+"/"+sig.String(), func(t *testing.T) {
				t.Parallel()
				l := newTestLab(t, "healthy")
				l.routers[0].AddFault(simulator.Fault{Match: regexp.MustCompile(pattern), Action: simulator.Delay,
					Delay: 500 * time.Millisecond})
				out := filepath.Join(l.dir, "bundle")
				cmd := start(t, run(l, out)...)
				l.received(t, 0, pattern)
				if err := cmd.Process.Signal(sig); err != nil {
					t.Fatal(err)
				}
				_ = cmd.Wait() // its exit code is looked at
				r := result{code: cmd.ProcessState.ExitCode()}
				if sig != syscall.SIGKILL {
					r.stderr = cmd.Stderr.(*lockedBuffer).String()
					l.judge(t, r, out, true, "site-a", "interrupted (SIGTERM)")
					return
				}
				l.cleanLater(t, out, r)
			})
		}
	}
}

// newLabThatDrops has the data plane of the responder drop what arrives at it for its control
// plane, so many packets.
func newLabThatDrops(t *testing.T, during uint64) *testLab {
	t.Helper()
	return newLabWith(t, "peer-silent-after-init", func(c *simulator.Config) {
		if c.Hostname == "site-B" && during > 0 {
			c.Drops = []simulator.Drop{{Where: simulator.DataPlane, Name: "FirewallPolicy", During: during}}
		}
	})
}
