package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/moncap/moncap/capture"
	"github.com/moncap/moncap/device/simulator"
)

// struck is a command of each phase, as the router receives it.
var struck = map[capture.Phase]string{
	capture.PhaseCheck:   `^show version`,
	capture.PhaseACL:     `^ip access-list extended`,
	capture.PhaseDefine:  `^monitor capture \S+ access-list`,
	capture.PhaseStart:   `^monitor capture \S+ start`,
	capture.PhaseWait:    `^show monitor capture \S+ buffer$`,
	capture.PhaseStop:    `^monitor capture \S+ stop`,
	capture.PhaseObserve: `^show crypto ikev2 proposal`,
	capture.PhaseExport:  `^monitor capture \S+ export`,
	capture.PhaseFetch:   `^scp -f`,
	capture.PhaseClean:   `^no monitor capture`,
}

type strike struct {
	name  string
	fault simulator.Fault
}

// strikes are the faults that strike any command.
func strikes() []strike {
	var all []strike
	for _, when := range []struct {
		name string
		when simulator.When
	}{{"before", simulator.Before}, {"during", simulator.During}, {"after", simulator.After}} {
		for _, a := range []struct {
			name   string
			action simulator.Action
		}{{"FIN", simulator.DropFIN}, {"RST", simulator.DropRST}, {"silence", simulator.Silence}, {"reload", simulator.Restart}} {
			all = append(all, strike{a.name + " " + when.name, simulator.Fault{Action: a.action, When: when.when}})
		}
	}
	return append(all,
		strike{"late answer", simulator.Fault{Action: simulator.Delay, Delay: 150 * time.Millisecond}},
		strike{"too late answer", simulator.Fault{Action: simulator.Delay, Delay: 900 * time.Millisecond}},
		strike{"no answer", simulator.Fault{Action: simulator.NeverAnswer}},
		strike{"error", simulator.Fault{Action: simulator.ErrorText, Text: "% Something is wrong with the frobnicator"}},
		strike{"errors for ever", simulator.Fault{Action: simulator.ErrorText, Text: "Command authorization failed.", Times: -1}},
		strike{"unknown dialog", simulator.Fault{Action: simulator.UnknownDialog, Text: "Launch the missiles? [confirm]"}},
		strike{"syslog storm", simulator.Fault{Action: simulator.SyslogStorm}},
		strike{"renamed", simulator.Fault{Action: simulator.PromptChange, Text: "other-name"}},
		strike{"dead for good", simulator.Fault{Action: simulator.DropRST, Times: -1}},
	)
}

// special are the faults that strike only one phase.
func special() map[capture.Phase][]strike {
	scp := func(name string, a simulator.Action) strike {
		return strike{name, simulator.Fault{Action: a, Text: "no such luck"}}
	}
	return map[capture.Phase][]strike{
		capture.PhaseWait:   {{"buffer full", simulator.Fault{Action: simulator.BufferFull}}},
		capture.PhaseExport: {{"flash full", simulator.Fault{Action: simulator.FlashFull}}, {"export cut", simulator.Fault{Action: simulator.ExportCut}}},
		capture.PhaseFetch: {
			scp("SCP never starts", simulator.SCPNeverStarts), scp("SCP stops", simulator.SCPStops), scp("SCP stalls", simulator.SCPStalls),
			scp("SCP too short", simulator.SCPShort), scp("SCP too long", simulator.SCPLong), scp("SCP corrupt", simulator.SCPCorrupt),
			scp("SCP evil name", simulator.SCPEvilName), scp("SCP endless", simulator.SCPEndless), scp("SCP no end", simulator.SCPNoEnd),
			scp("SCP error", simulator.SCPError),
			{"SCP corrupt for ever", simulator.Fault{Action: simulator.SCPCorrupt, Times: -1}},
		},
	}
}

// TestEveryPhaseSurvivesEveryFault is the matrix: every phase times every fault, on side A, over real SSH and SCP. Whatever
// happens, the run succeeds, or it fails with a message and clean routers, or it says what is left and `moncap clean`
// removes it later.
func TestEveryPhaseSurvivesEveryFault(t *testing.T) {
	var mu sync.Mutex
	outcomes := map[string]int{}
	t.Run("matrix", func(t *testing.T) {
		for _, phase := range capture.Phases() {
			if struck[phase] == "" {
				continue // the trigger is a command like any other
			}
			for _, s := range append(strikes(), special()[phase]...) {
				t.Run(fmt.Sprintf("%s/%s", phase, s.name), func(t *testing.T) {
					t.Parallel()
					outcome := strikeOnce(t, phase, s)
					mu.Lock()
					defer mu.Unlock()
					outcomes[outcome]++
				})
			}
		}
	})
	t.Logf("outcomes: %v", outcomes)
}

func strikeOnce(t *testing.T, phase capture.Phase, s strike) string {
	l := newTestLab(t, "healthy")
	s.fault.Match = regexp.MustCompile(struck[phase])
	l.routers[0].AddFault(s.fault)
	out := filepath.Join(l.dir, "bundle")
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	r := program{}.run(ctx, "run", "demo", "-i", l.inventory, "--out", out, "--until", "packets=4", "--duration", "5s", "--quiet")
	if ctx.Err() != nil {
		t.Fatalf("the run did not end in time\n%s", r.stderr)
	}
	if l.routers[0].Fired() == 0 {
		t.Fatalf("the fault never struck\n%s", strings.Join(l.routers[0].Commands(), "\n"))
	}
	checkBundle(t, out, labPassword)
	for _, text := range []string{r.stdout, r.stderr} {
		if strings.Contains(text, labPassword) {
			t.Error("the password was printed")
		}
	}
	return l.judge(t, s, r, out)
}

// judge holds the outcome against what is allowed.
func (l *testLab) judge(t *testing.T, s strike, r result, out string) string {
	t.Helper()
	if s.fault.Action == simulator.PromptChange {
		l.routers[0].SetHostname("site-A") // it was no change of ours, and shows in the configuration
	}
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
		if !strings.Contains(r.stderr, "site-a") {
			t.Errorf("the message names no peer:\n%s", r.stderr)
		}
		return "failed clean"
	case r.code == exitDirty:
		l.heal(t, s)
		again := program{}.run(t.Context(), "clean", out, "-i", l.inventory, "--quiet")
		if dirty := l.dirty(); again.code != exitOK || len(dirty) > 0 {
			t.Errorf("moncap clean: exit %d, dirty %v\n%s\nthe run had said:\n%s", again.code, dirty, again.stderr, r.stderr)
		}
		return "left something, cleaned later"
	}
	t.Errorf("exit %d\n%s", r.code, r.stderr)
	return "wrong"
}

// heal takes the faults that last for ever away: the router comes back with what it had, as after a network outage.
func (l *testLab) heal(t *testing.T, s strike) {
	t.Helper()
	l.routers[0].ClearFaults()
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
			r := p.run(ctx, "run", "demo", "-i", l.inventory, "--out", filepath.Join(l.dir, "bundle"), "--until", "packets=4", "--duration", "5s")
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

func TestSignals(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGKILL} {
		for _, phase := range []capture.Phase{capture.PhaseACL, capture.PhaseWait} {
			t.Run(fmt.Sprintf("%s/%s", sig, phase), func(t *testing.T) {
				t.Parallel()
				l := newTestLab(t, "healthy")
				out := filepath.Join(l.dir, "bundle")
				cmd := start(t, "run", "demo", "-i", l.inventory, "--out", out, "--duration", "60s")
				l.received(t, 0, struck[phase])
				if err := cmd.Process.Signal(sig); err != nil {
					t.Fatal(err)
				}
				err := cmd.Wait()
				if sig == syscall.SIGKILL {
					r := moncap(t, "clean", out, "-i", l.inventory, "--quiet")
					if r.code != exitOK {
						t.Errorf("clean after SIGKILL: exit %d\n%s", r.code, r.stderr)
					}
				} else if code := cmd.ProcessState.ExitCode(); code != exitFailed {
					t.Errorf("exit %d, %v\n%s", code, err, cmd.Stderr)
				}
				if dirty := l.dirty(); len(dirty) > 0 {
					t.Errorf("%v is not as it was\n%s", dirty, cmd.Stderr)
				}
			})
		}
	}
}
