package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moncap/moncap/capture"
	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/device"
	"github.com/moncap/moncap/device/simulator"
)

// watched is a watch of two routers in memory.
type watched struct {
	*bubble
	t      *testing.T
	cancel context.CancelFunc
	signal chan os.Signal
	stderr lockedBuffer
	stdout lockedBuffer
	done   chan int
	poll   time.Duration // 0: as in earnest
}

// newWatch begins one in a bubble, and waits until it is armed.
func newWatch(t *testing.T, kind string, args ...string) *watched {
	t.Helper()
	return newWatchOn(t, newBubble(t, kind), args...)
}

func newWatchOn(t *testing.T, b *bubble, args ...string) *watched {
	t.Helper()
	return newWatchOf(t, b, 0, args...)
}

func newWatchOf(t *testing.T, b *bubble, poll time.Duration, args ...string) *watched {
	t.Helper()
	w := beginWatch(t, b, poll, args...)
	w.says("armed:", time.Minute)
	return w
}

func beginWatch(t *testing.T, b *bubble, poll time.Duration, args ...string) *watched {
	t.Helper()
	w := &watched{bubble: b, poll: poll, t: t, signal: make(chan os.Signal, 2), done: make(chan int, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	w.cancel = cancel
	t.Cleanup(cancel)
	go func() {
		w.done <- run(ctx, environment{
			args:   append([]string{"watch", "demo", "-i", w.inventory, "--color", "never"}, args...),
			stdin:  strings.NewReader(""),
			stdout: &w.stdout, stderr: &w.stderr, width: func() int { return 0 },
			signals: func() <-chan os.Signal { return w.signal },
			getenv: func(k string) string {
				return map[string]string{"XDG_STATE_HOME": w.dir, "MONCAP_RUNS": filepath.Join(w.dir, "runs")}[k]
			},
			tune: func(d *device.Options, c *capture.Options) {
				if d != nil {
					d.Dial = b.dial
				}
				if c != nil {
					c.Arm = &capture.Arm{Poll: w.poll}
				}
			},
		})
	}()
	return w
}

// die ends it as two impatient Ctrl-C do: what it made stays, with the folders locked no more.
func (w *watched) die() {
	w.t.Helper()
	w.cancel()
	select {
	case <-w.done:
	case <-time.After(5 * time.Minute):
		w.t.Fatalf("it does not end\n%s", w.stderr.String())
	}
}

// says waits until something was said, for so long at most.
func (w *watched) says(what string, within time.Duration) {
	w.t.Helper()
	re := regexp.MustCompile(what)
	for until := time.Now().Add(within); !re.MatchString(w.stderr.String()); time.Sleep(10 * time.Millisecond) {
		if !time.Now().Before(until) {
			w.t.Fatalf("%q is not said within %s:\n%s", what, within, w.stderr.String())
		}
	}
}

func (w *watched) ends(within time.Duration) int {
	w.t.Helper()
	select {
	case code := <-w.done:
		return code
	case <-time.After(within):
		w.t.Fatalf("it does not end within %s:\n%s", within, w.stderr.String())
	}
	return exitFailed
}

func (w *watched) loseSAs() {
	for _, r := range w.routers {
		r.LoseSAs()
	}
}

// bundles counts the folders of runs.
func (w *watched) bundles() []string {
	all, err := filepath.Glob(filepath.Join(w.dir, "runs", "*"))
	if err != nil {
		w.t.Error(err)
	}
	return all
}

// clean says that the routers are as they were.
func (w *watched) clean() {
	w.t.Helper()
	if dirty := w.dirty(); len(dirty) > 0 {
		w.t.Errorf("left on %v\n%s", dirty, w.stderr.String())
	}
}

// active counts the captures of a router that run.
func active(r *simulator.Router) int {
	return strings.Count(r.Type("show monitor capture"), "Status : Active")
}

// In three days with a change each day, both routers capture at every moment, sessions that the
// routers end for idleness are opened anew, and what came before the event is in the bundle: the
// last change was long before it.
func TestWatchForThreeDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const poll = 11 * time.Minute // so rarely that each session was ended for idleness
		w := newWatchOf(t, newBubble(t, isGone), poll, "--for", "72h", "--rotate", "24h", "--after", "20s")
		most := 0
		for began := time.Now(); time.Since(began) < 71*time.Hour; time.Sleep(4 * time.Minute) {
			for i, r := range w.routers {
				n := active(r)
				if n == 0 {
					t.Fatalf("router %d does not capture, %s after the beginning\n%s", i, time.Since(began), w.stderr.String())
				}
				most = max(most, n)
			}
		}
		if most != 2 {
			t.Errorf("%d captures at a time, want two while one takes over", most)
		}
		if n := strings.Count(w.stderr.String(), "takes over"); n < 2 {
			t.Errorf("it changed %d times\n%s", n, w.stderr.String())
		}
		if n := len(w.bundles()); n != 1 {
			t.Fatalf("%d folders, want that of the run under way", n)
		}
		// What is the same each time does not fill the transcript: a look an hour is in it.
		transcript, err := os.ReadFile(filepath.Join(w.bundles()[0], "a", "transcript.log"))
		if looks := strings.Count(string(transcript), "> show crypto session"); err != nil || looks < 10 || looks > 30 {
			t.Errorf("%d looks in %d bytes, %v", looks, len(transcript), err)
		}
		lost := time.Now()
		w.loseSAs()
		if code := w.ends(2 * poll); code != exitWarnings && code != exitInconclusive {
			t.Errorf("exit %d\n%s", code, w.stderr.String())
		}
		if took := time.Since(lost); took < 20*time.Second || took > poll+20*time.Second+5*time.Second {
			t.Errorf("it took %s", took)
		}
		if !strings.Contains(w.stdout.String(), "CAUGHT lost at ") {
			t.Errorf("%s\n%s", w.stdout.String(), w.stderr.String())
		}
		w.clean()
	})
}

// An event comes while the tunnel is armed first, while two captures run beside each other, and
// after the change: each time it is caught once, by the capture that has what came before.
func TestWatchCatchesInEveryPhase(t *testing.T) {
	for _, when := range []struct {
		name  string
		after time.Duration
	}{
		{"at once", 0}, {"before the change", 3 * time.Minute}, {"as the next begins", 4 * time.Minute},
		{"beside", 4*time.Minute + 30*time.Second},
		{"at the change", 5 * time.Minute}, {"after it", 6 * time.Minute},
	} {
		t.Run(when.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWatch(t, isGone, "--for", "1h", "--rotate", "4m", "--after", "5s")
				time.Sleep(20*time.Second + when.after) // the negotiation has been replayed
				w.loseSAs()
				w.ends(time.Minute)
				if n := strings.Count(w.stdout.String(), "CAUGHT lost"); n != 1 {
					t.Errorf("caught %d times\n%s\n%s", n, w.stdout.String(), w.stderr.String())
				}
				w.clean()
			})
		})
	}
}

// A negotiation that is refused within milliseconds, between two looks, is an event: both captures
// come home with it. One that comes up late is none, and neither is one that nobody waits for.
func TestWatchSeesWhatIsRefusedBetweenTwoLooks(t *testing.T) {
	const counters = `show crypto ikev2 stats exchange`
	for _, c := range []struct {
		incident, on string
		refuses      bool // both routers refuse their counters
		caught       bool
		says         string
	}{
		{incident: "psk-mismatch", on: "negotiation-failed", caught: true,
			says: "came up and was lost again, or came to nothing between two looks"},
		{incident: "ike-proposal-mismatch", on: "negotiation-failed", caught: true,
			says: "came to nothing between two looks"},
		{incident: "psk-mismatch", on: "negotiation-failed", refuses: true,
			says: "a negotiation that fails between two looks is not seen"},
		{incident: "psk-mismatch", on: "lost", says: "is not up"},
		{incident: "healthy", on: "negotiation-failed", says: "the tunnel with site-b came up"},
		{incident: "ke-group-retry", on: "negotiation-failed", says: "the tunnel with site-b came up"},
		{incident: "cookie", on: "negotiation-failed", says: "the tunnel with site-b came up"},
		{incident: "simultaneous-initiation", on: "negotiation-failed", says: "the tunnel with site-b came up"},
	} {
		t.Run(fmt.Sprint(c.incident, " ", c.on, " ", c.refuses), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWatchOn(t, newBubbleOf(t, isGone, c.incident, 40*time.Second), "--on", c.on, "--for", "4m", "--after", "5s")
				for _, r := range w.routers {
					if c.refuses {
						r.AddFault(simulator.Fault{Match: regexp.MustCompile(counters), Action: simulator.OtherWords, Times: -1,
							Text: "                                ^\n% Invalid input detected at '^' marker.\n\n"})
					}
				}
				began := time.Now()
				w.ends(5 * time.Minute)
				took := time.Since(began)
				if caught := strings.Contains(w.stdout.String(), "CAUGHT negotiation-failed"); caught != c.caught ||
					caught && took > 90*time.Second || !caught && took < 3*time.Minute {
					t.Errorf("caught %t, after %s\n%s\n%s", caught, took, w.stdout.String(), w.stderr.String())
				}
				if !strings.Contains(w.stderr.String(), c.says) {
					t.Errorf("%q is not said\n%s", c.says, w.stderr.String())
				}
				if c.caught {
					b, err := bundle.Open(w.bundles()[0])
					if err != nil {
						t.Fatal(err)
					}
					defer b.Close()
					if one, other := b.Captures(); one == "" || other == "" {
						t.Errorf("captures %q and %q: want both", one, other)
					}
				}
				w.clean()
			})
		})
	}
}

func TestWatchArmsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatch(t, isGone, "--for", "10h", "--after", "5s", "--again", "2", "--format", "line")
		for n := 1; n <= 3; n++ {
			time.Sleep(time.Minute)
			w.loseSAs()
			if n < 3 {
				w.says(fmt.Sprintf("(?s)(armed:.*){%d}", n+1), time.Minute)
			}
		}
		w.ends(time.Minute)
		if n := len(w.bundles()); n != 3 {
			t.Errorf("%d bundles\n%s", n, w.stderr.String())
		}
		if n := strings.Count(w.stdout.String(), "\n"); n != 3 {
			t.Errorf("%s", w.stdout.String())
		}
		w.clean()
	})
}

// A router that is away for longer than a run waits for one that is asked
// something is not given up.
func TestWatchOutlivesAnOutage(t *testing.T) {
	for _, kind := range []string{isGone, refuses, noBanner, hangs} {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWatch(t, kind, "--for", "3h", "--after", "5s")
				time.Sleep(time.Minute)
				s := w.silences[0]
				s.mu.Lock()
				s.since, s.until = time.Now(), time.Now().Add(20*time.Minute)
				s.mu.Unlock()
				w.says("site-a does not answer", 2*time.Minute)
				w.says("site-a answers again, after", 25*time.Minute)
				w.loseSAs()
				if code := w.ends(2 * time.Minute); code >= exitFailed {
					t.Errorf("exit %d\n%s", code, w.stderr.String())
				}
				w.clean()
			})
		})
	}
}

// A router ends each session that is idle for ten seconds: it is opened anew for each look, to the
// same router.
func TestWatchOpensIdleSessionsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatchOn(t, newBubble(t, isGone, func(c *simulator.Config) { c.Knobs.ExecTimeout = 10 * time.Second }),
			"--for", "30m", "--after", "5s")
		time.Sleep(10 * time.Minute)
		w.loseSAs()
		if code := w.ends(time.Minute); code >= exitFailed {
			t.Errorf("exit %d\n%s", code, w.stderr.String())
		}
		if n := w.routers[0].Logins(); n < 20 {
			t.Errorf("%d logins: the sessions were not closed", n)
		}
		w.clean()
	})
}

func TestWatchTellsAReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatch(t, isGone, "--for", "3h", "--after", "5s", "--on", "lost", "--again", "1")
		time.Sleep(time.Minute)
		w.routers[0].Reload()
		w.says("site-a: the capture point is gone: the router was reloaded", time.Minute)
		w.says("(?s)armed:.*armed:", 2*time.Minute)
		time.Sleep(time.Minute)
		w.cancelGently()
		if code := w.ends(time.Minute); code >= exitFailed {
			t.Errorf("exit %d\n%s", code, w.stderr.String())
		}
		w.clean()
	})
	synctest.Test(t, func(t *testing.T) { // as an event: the other router's packets are kept
		w := newWatch(t, isGone, "--for", "3h", "--after", "5s")
		time.Sleep(time.Minute)
		w.routers[0].Reload()
		w.ends(2 * time.Minute)
		dirs := w.bundles()
		if !strings.Contains(w.stdout.String(), "CAUGHT reload") || len(dirs) != 1 {
			t.Fatalf("%v %s\n%s", dirs, w.stdout.String(), w.stderr.String())
		}
		b, err := bundle.Open(dirs[0])
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		if a, other := b.Captures(); a != "" || other == "" {
			t.Errorf("captures %q and %q: want that of site-b", a, other)
		}
		w.clean()
	})
}

func (w *watched) cancelGently() { w.signal <- syscall.SIGINT }

func TestWatchDisarmsABusyRouter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatch(t, isGone, "--for", "2h")
		w.routers[1].AddFault(simulator.Fault{Match: regexp.MustCompile(`processes cpu`), Action: simulator.OtherWords,
			Times: 2,
			Text:  "CPU utilization for five seconds: 97%/1%; one minute: 96%; five minutes: 95%\n"})
		w.says("CPU 95% over five minutes", 11*time.Minute)
		time.Sleep(time.Minute)
		w.clean()
		w.says("(?s)armed:.*armed:", 30*time.Minute)
		w.cancelGently()
		w.ends(time.Minute)
		w.clean()
	})
}

// The first Ctrl-C fetches what there is, the second takes it back; without an event
// nothing is fetched.
func TestWatchEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatch(t, isGone, "--for", "1h")
		time.Sleep(time.Minute)
		w.cancelGently()
		if code := w.ends(time.Minute); code != exitOK || !strings.Contains(w.stdout.String(), "ESTABLISHED") {
			t.Errorf("exit %d %s\n%s", code, w.stdout.String(), w.stderr.String())
		}
		w.clean()
	})
	synctest.Test(t, func(t *testing.T) {
		w := newWatch(t, isGone, "--for", "30m")
		if code := w.ends(31 * time.Minute); code != exitOK || len(w.bundles()) != 0 ||
			!strings.Contains(w.stderr.String(), "no event in 30m") {
			t.Errorf("exit %d %v\n%s", code, w.bundles(), w.stderr.String())
		}
		w.clean()
	})
	synctest.Test(t, func(t *testing.T) {
		w := newWatch(t, isGone, "--for", "30m")
		w.cancel()
		if code := w.ends(time.Minute); code != exitFailed {
			t.Errorf("exit %d\n%s", code, w.stderr.String())
		}
		w.clean()
	})
	synctest.Test(t, func(t *testing.T) { // from elsewhere
		w := newWatch(t, isGone, "--for", "30m")
		time.Sleep(time.Minute)
		if err := bundle.AskStop(w.bundles()[0]); err != nil {
			t.Fatal(err)
		}
		if code := w.ends(time.Minute); code != exitOK || !strings.Contains(w.stdout.String(), "ESTABLISHED") {
			t.Errorf("exit %d %s\n%s", code, w.stdout.String(), w.stderr.String())
		}
		w.clean()
	})
}

// A log line that comes over real sockets ends both captures after --after, and does not wait for
// the next look at the routers.
func TestWatchEndsInTimeAfterALogLine(t *testing.T) {
	const after, poll = time.Second, 2 * time.Minute
	stopped := stoppedAfterALogLine(t, after, poll)
	t.Logf("stopped after %s and %s", stopped[0], stopped[1])
	if min(stopped[0], stopped[1]) < after-100*time.Millisecond {
		t.Error("that is too early")
	}
	if max(stopped[0], stopped[1]) > poll/2 {
		t.Error("that is too late")
	}
}

// stoppedAfterALogLine is after how long each router captures no more.
func stoppedAfterALogLine(t *testing.T, after, poll time.Duration) (stopped [2]time.Duration) {
	t.Helper()
	l := newTestLab(t, "healthy")
	var stdout, stderr lockedBuffer
	done := make(chan int, 1)
	go func() {
		done <- run(t.Context(), environment{
			args: []string{"watch", "demo", "-i", l.inventory, "--for", "5m", "--after", after.String(), "--syslog",
				"udp:127.0.0.1:0", "--color", "never"},
			stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, width: func() int { return 0 },
			getenv: func(k string) string {
				return map[string]string{"XDG_STATE_HOME": l.dir, "MONCAP_RUNS": filepath.Join(l.dir, "runs")}[k]
			},
			tune: func(_ *device.Options, c *capture.Options) {
				if c != nil {
					c.Arm = &capture.Arm{Poll: poll}
				}
			},
		})
	}()
	eventually(t, "it is armed", func() bool { return strings.Contains(stderr.String(), "armed:") })
	at := regexp.MustCompile(`listening for the routers' log lines at udp:(\S+)`).FindStringSubmatch(stderr.String())
	if at == nil {
		t.Fatalf("it does not say where it listens\n%s", stderr.String())
	}
	c, err := net.Dial("udp", at[1])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	sent := time.Now()
	fmt.Fprint(c, "<189>41: Nov 29 12:00:00.000: %CRYPTO-5-IKEV2_SESSION_STATUS: Crypto tunnel v2 is DOWN.  Peer "+
		"192.168.2.1:500       Id: 192.168.2.1")
	for until := sent.Add(2 * poll); stopped[0]*stopped[1] == 0; time.Sleep(time.Millisecond) {
		for i, r := range l.routers {
			if stopped[i] == 0 && active(r) == 0 {
				stopped[i] = time.Since(sent)
			}
		}
		if time.Now().After(until) {
			t.Fatalf("they capture on\n%s", stderr.String())
		}
	}
	select {
	case <-done:
	case <-time.After(tooLong):
		t.Fatalf("it does not end\n%s", stderr.String())
	}
	if !strings.Contains(stdout.String(), "CAUGHT sa-down") {
		t.Errorf("%s\n%s", stdout.String(), stderr.String())
	}
	return stopped
}

// The process is killed as a command of each phase is sent, and while two captures run beside each
// other. What clean does then leaves the routers as they were.
func TestCleanAfterAWatchThatDied(t *testing.T) {
	for _, phase := range []capture.Phase{capture.PhaseACL, capture.PhaseDefine, capture.PhaseStart, capture.PhaseWait,
		capture.PhaseStop, capture.PhaseExport, capture.PhaseClean} {
		for _, beside := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%t", phase, beside), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					b := newBubble(t, isGone)
					// A router that never answers this command stands for a process that was killed while it
					// waited for the answer.
					hang := simulator.Fault{Match: regexp.MustCompile(struck[phase]), Action: simulator.Silence, Times: -1}
					if phase == capture.PhaseWait {
						hang.Match = regexp.MustCompile(`^show monitor capture mc[0-9a-f]{6}$`)
					}
					if beside {
						w := newWatchOn(t, b, "--for", "1h", "--rotate", "4m", "--after", "1s")
						time.Sleep(3 * time.Minute)
						b.routers[0].AddFault(hang)
						time.Sleep(2 * time.Minute)
						w.loseSAs()
						time.Sleep(20 * time.Second)
						w.die()
					} else {
						w := beginWatch(t, b, 0, "--for", "1h", "--rotate", "4m", "--after", "1s")
						b.routers[0].AddFault(hang)
						time.Sleep(20 * time.Second)
						w.loseSAs()
						time.Sleep(20 * time.Second)
						w.die()
					}
					b.routers[0].ClearFaults()
					for _, dir := range (&watched{bubble: b, t: t}).bundles() {
						if r := b.moncap(t.Context(), nil, "clean", dir, "-i", b.inventory); r.code != exitOK {
							t.Errorf("clean: exit %d\n%s", r.code, r.stderr)
						}
					}
					if dirty := b.dirty(); len(dirty) > 0 {
						t.Errorf("left on %v", dirty)
					}
				})
			})
		}
	}
}

// Two captures run beside each other, and both see the event: the first ends at once, and the
// second is not ended by it.
func TestWatchTakesAnEventOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatch(t, isGone, "--for", "1h", "--rotate", "4m", "--after", "0s", "--again", "1")
		time.Sleep(4*time.Minute + 30*time.Second)
		w.loseSAs()
		time.Sleep(2 * time.Minute)
		if n := strings.Count(w.stdout.String(), "CAUGHT lost"); n != 1 {
			t.Errorf("caught %d times\n%s", n, w.stderr.String())
		}
		w.cancelGently()
		w.ends(time.Minute)
		w.clean()
	})
}

// A capture that has an event is not relieved by the one beside it: what it brings home is told,
// however long it goes on after it.
func TestWatchTellsAnEventRightBeforeTheChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatch(t, isGone, "--for", "1h", "--rotate", "4m", "--after", "2m")
		time.Sleep(4*time.Minute + 30*time.Second)
		w.loseSAs()
		if code := w.ends(4 * time.Minute); code == exitOK {
			t.Errorf("exit %d", code)
		}
		if n := strings.Count(w.stdout.String(), "CAUGHT lost"); n != 1 {
			t.Errorf("caught %d times\n%s", n, w.stderr.String())
		}
		w.clean()
	})
}

// moncap stop finds the newest bundle of a tunnel, which is that of the capture beside the one that
// runs: both are fetched and told.
func TestWatchIsStoppedWhileTheCaptureIsChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatch(t, isGone, "--for", "1h", "--rotate", "4m")
		w.says("a new capture runs beside", 5*time.Minute)
		all := w.bundles()
		if len(all) != 2 {
			t.Fatalf("%d bundles", len(all))
		}
		if err := bundle.AskStop(all[1]); err != nil {
			t.Fatal(err)
		}
		w.ends(time.Minute)
		if n := strings.Count(w.stderr.String(), "bundle: "); n != 2 {
			t.Errorf("%d are told\n%s", n, w.stderr.String())
		}
		w.clean()
	})
}

// A tunnel that no router ever showed up, at a look, is no good one because nothing happened to it.
func TestWatchOfATunnelThatIsNeverUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatch(t, isGone, "--for", "30m")
		time.Sleep(5 * time.Second)
		w.loseSAs() // between two looks
		if code := w.ends(31 * time.Minute); code != exitInconclusive || !strings.Contains(w.stderr.String(), "not seen up") {
			t.Errorf("exit %d\n%s", code, w.stderr.String())
		}
		w.clean()
	})
}

// Routers whose AAA server stops allowing the shows that tell of the tunnel did not lose it: that
// is said, and is no event.
func TestWatchThatMaySeeNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var may atomic.Bool
		may.Store(true)
		w := newWatchOn(t, newBubble(t, isGone, func(c *simulator.Config) {
			c.Authorize = func(command string) bool { return may.Load() || !strings.Contains(command, "crypto") }
		}), "--for", "30m")
		time.Sleep(time.Minute) // it was up
		may.Store(false)
		w.says("refuses every show", time.Minute)
		if code := w.ends(31 * time.Minute); code != exitOK || strings.Contains(w.stderr.String(), "EVENT") {
			t.Errorf("exit %d\n%s", code, w.stderr.String())
		}
		w.clean()
	})
	synctest.Test(t, func(t *testing.T) {
		w := newWatchOn(t, newBubble(t, isGone, func(c *simulator.Config) {
			c.Authorize = func(command string) bool { return !strings.Contains(command, "crypto") }
		}), "--for", "30m")
		if code := w.ends(31 * time.Minute); code != exitInconclusive {
			t.Errorf("exit %d\n%s", code, w.stderr.String())
		}
		w.clean()
	})
}

// Nobody may be there to press Ctrl-C: a terminal that is closed, or a machine that is shut down,
// costs no packets either, least of all between an event and the end of the captures.
func TestWatchKeepsItsPacketsAtASignal(t *testing.T) {
	for _, s := range []os.Signal{syscall.SIGTERM, syscall.SIGHUP} {
		synctest.Test(t, func(t *testing.T) {
			w := newWatch(t, isGone, "--for", "1h", "--after", "5m")
			time.Sleep(time.Minute)
			w.loseSAs()
			w.says("EVENT lost", time.Minute)
			w.signal <- s
			if code := w.ends(time.Minute); code == exitOK || code >= exitFailed ||
				!strings.Contains(w.stdout.String(), "CAUGHT lost") {
				t.Errorf("%s: exit %d %s\n%s", s, code, w.stdout.String(), w.stderr.String())
			}
			w.clean()
		})
	}
}
