package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/device/simulator"
)

// oddRouter is a router that differs from the others, and what becomes of a run with it.
type oddRouter struct {
	name   string
	knobs  simulator.Knobs
	change func(*simulator.Config)
	faults []simulator.Fault
	enable string   // the enable secret, of the router and of the inventory
	args   []string // beside those of the matrix
	fails  string   // what the run says as it fails, with clean routers; "": it succeeds, with both captures whole
	logins int      // at most so many passwords go to the router; 0: any
}

// at is a fault at the commands that match, each time.
func always(match string, action simulator.Action, text string) simulator.Fault {
	return simulator.Fault{Match: regexp.MustCompile(match), Action: action, Text: text, Times: -1}
}

// denies has the authorization server refuse the commands that begin with one of prefixes.
func denies(prefixes ...string) func(*simulator.Config) {
	return func(c *simulator.Config) {
		c.Authorize = func(command string) bool {
			for _, p := range prefixes {
				if strings.HasPrefix(command, p) {
					return false
				}
			}
			return true
		}
	}
}

const (
	pause   = 40 * time.Millisecond
	queued  = "The request was handed to the platform."
	exports = `^monitor capture \S+ export`
	starts  = `^monitor capture \S+ start`
)

func oddRouters() []oddRouter {
	zero := []string{"--zero-config"}
	return []oddRouter{
		{name: "pauses", knobs: simulator.Knobs{EchoPause: pause, PromptPause: pause}},
		{name: "pauses, without configuration", knobs: simulator.Knobs{EchoPause: pause, PromptPause: pause}, args: zero},
		{name: "pieces", knobs: simulator.Knobs{Jitter: time.Millisecond}},
		{name: "pieces, without configuration", knobs: simulator.Knobs{Jitter: time.Millisecond}, args: zero},
		{name: "hub", knobs: simulator.Knobs{HubSAs: 9000}},
		{name: "huge listing of the buffer", knobs: simulator.Knobs{BriefRows: 95000}},
		{name: "shows hang", faults: []simulator.Fault{always(`^show crypto`, simulator.NeverAnswer, "")}},
		{name: "listing of the buffer hangs", faults: []simulator.Fault{always(`buffer brief$`, simulator.NeverAnswer, "")}},
		{name: "starts with other words", faults: []simulator.Fault{always(starts, simulator.OtherWords, queued)}},
		{name: "does not start, with other words", faults: []simulator.Fault{always(starts, simulator.ErrorText, queued)},
			fails: queued},
		{name: "says that it started",
			faults: []simulator.Fault{always(starts, simulator.ErrorText, "Started capture point : it")}, fails: "start"},
		{name: "exports with other words", faults: []simulator.Fault{always(exports, simulator.OtherWords, queued)}},
		{name: "does not export, with other words", faults: []simulator.Fault{always(exports, simulator.ErrorText, queued)}},
		{name: "says that it exported",
			faults: []simulator.Fault{always(exports, simulator.ErrorText, "Exported Successfully")}},
		{name: "files without dates", knobs: simulator.Knobs{NoDates: true}},
		{name: "a pager that stays", knobs: simulator.Knobs{KeepPager: true}},
		{name: "a pager that stays, without configuration", knobs: simulator.Knobs{KeepPager: true}, args: zero},
		{name: "a pager that stays, without SCP", knobs: simulator.Knobs{KeepPager: true, NoSCP: true}},
		{name: "no right to set the pager", change: denies("terminal length")},
		{name: "no shell", knobs: simulator.Knobs{AfterLogin: "% Authorization failed."}, fails: "% Authorization failed.",
			logins: 1},
		{name: "one line, said in text", knobs: simulator.Knobs{BusyText: "% All lines are busy, try again"},
			change: func(c *simulator.Config) { c.VTYs = 1 }},
		{name: "one line", change: func(c *simulator.Config) { c.VTYs = 1 }},
		{name: "one session", knobs: simulator.Knobs{OneSession: true}},
		{name: "level 7", change: func(c *simulator.Config) { c.Privilege = 7 }, fails: "level"},
		{name: "a prompt with a suffix", knobs: simulator.Knobs{Prompt: "%h-STP-1234%p"}},
		{name: "a prompt with brackets", knobs: simulator.Knobs{Prompt: "[prod] %h%p"}},
		{name: "a prompt behind a zero byte", knobs: simulator.Knobs{NULPrompt: true}},
		{name: "SCP refused behind an empty line", knobs: simulator.Knobs{SCPRefusal: "\r\nPrivilege denied.\r\n"}},
		{name: "SCP refused behind a byte 1", knobs: simulator.Knobs{SCPRefusal: "\x01Privilege denied.\n"}},
		{name: "SCP of the bare name", knobs: simulator.Knobs{SCPPath: "bare", SCPWrongPath: "Bad path"}},
		{name: "SD-WAN, without configuration", knobs: simulator.Knobs{Controller: true}, change: version17, args: zero},
		{name: "no right to end", change: denies("end")},
		{name: "SD-WAN", knobs: simulator.Knobs{Controller: true}, change: version17, fails: "--zero-config"},
		{name: "no right to delete", change: denies("delete"), fails: "delete"},
		{name: "no right to remove a capture", change: denies("no monitor capture"), fails: "no monitor capture"},
		{name: "no right to remove a list", change: denies("no ip access-list"), fails: "no ip access-list"},
		{name: "no right to end a debug", change: denies("no debug crypto ikev2"), args: []string{"--debug"},
			fails: "no debug crypto ikev2"},
		{name: "no right to take a debug's condition back", change: denies("no debug crypto condition"),
			args: []string{"--debug"}, fails: "no debug crypto condition"},
		{name: "no right to end anything of a debug", change: denies("no debug"), args: []string{"--debug"},
			fails: ", debug condition for peer "},
		{name: "no right to end a packet trace", change: denies("debug platform condition stop"),
			args: []string{"--packet-trace", "64"}, fails: "debug platform condition stop"},
		{name: "no right to free a packet trace", change: denies("no debug platform packet-trace"),
			args: []string{"--packet-trace", "64"}, fails: "no debug platform packet-trace"},
		{name: "no right to take a trace's condition back", change: denies("no debug platform condition"),
			args: []string{"--packet-trace", "64"}, fails: "no debug platform condition"},
		{name: "slow running configuration", knobs: simulator.Knobs{RunningDelay: patience * 900 * time.Millisecond}},
		{name: "configuration locked",
			faults: []simulator.Fault{always(`^configure terminal`, simulator.ErrorText,
				"Configuration mode is locked by user ops")}, fails: "locked by user ops"},
		{name: "level 7 and the enable secret", enable: "canary-of-enable",
			change: func(c *simulator.Config) { c.Privilege = 7 }},
		{name: "log messages, pieces and pauses", knobs: simulator.Knobs{TerminalMonitor: true, LoggingSynchronous: true,
			SyslogEvery: pause, Jitter: time.Millisecond,
			EchoPause: pause / 4, PromptPause: pause / 4}},
		{name: "log messages in the dump", knobs: simulator.Knobs{TerminalMonitor: true, SyslogEvery: pause,
			EchoPause: pause / 4, KeepPager: true}, args: zero},
		{name: "SCP trickles", faults: []simulator.Fault{always(`^scp`, simulator.SCPTrickles, "")}},
		{name: "slow AAA", knobs: simulator.Knobs{LoginDelay: patience * 600 * time.Millisecond}},
	}
}

func version17(c *simulator.Config) { c.Version = "17.9.4" }

// TestOddRouters runs into every oddity that routers were seen or read to have: the packets come
// home whole, or the run is refused with the router's own words before anything is made.
func TestOddRouters(t *testing.T) {
	for _, odd := range oddRouters() {
		t.Run(odd.name, func(t *testing.T) {
			t.Parallel()
			odd.play(t)
		})
	}
}

func (odd oddRouter) play(t *testing.T) {
	l := newLabWith(t, "healthy", func(c *simulator.Config) {
		if c.Hostname == "site-A" {
			c.Knobs, c.Faults, c.Enable = odd.knobs, odd.faults, odd.enable
			if odd.change != nil {
				odd.change(c)
			}
		}
	})
	odd.enabled(t, l)
	out := filepath.Join(l.dir, "bundle")
	ctx, cancel := context.WithTimeout(t.Context(), tooLong)
	defer cancel()
	p := program{}
	if slices.ContainsFunc(odd.faults, func(f simulator.Fault) bool {
		return f.Action == simulator.NeverAnswer || f.Action == simulator.SCPTrickles
	}) {
		p.tune = hasty
	}
	r := p.run(ctx,
		append([]string{"run", "demo", "-i", l.inventory, "--out", out, "--until", "packets=4", "--duration", "3s",
			"--quiet"}, odd.args...)...)
	if ctx.Err() != nil {
		t.Fatalf("the run did not end in time\n%s", r.stderr)
	}
	checkBundle(t, out, labPassword)
	if odd.enable != "" {
		checkBundle(t, out, odd.enable)
	}
	if n := l.routers[0].Logins(); odd.logins > 0 && n > odd.logins {
		t.Errorf("%d passwords went out", n)
	}
	if dirty := l.dirty(); len(dirty) > 0 {
		t.Errorf("exit %d, and %v is not as it was", r.code, dirty)
	}
	if odd.fails != "" {
		if r.code != exitFailed || !strings.Contains(r.stderr, odd.fails) {
			t.Errorf("exit %d, want 4 and %q\n%s", r.code, odd.fails, r.stderr)
		}
		return
	}
	if r.code > exitInconclusive {
		t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}
	checkCaptures(t, out, true)
	for _, side := range bundle.Sides() {
		if info, err := os.Stat(filepath.Join(out, bundle.CaptureFile(side))); err != nil || info.Size() < 100 {
			t.Errorf("side %s has no capture: %v\n%s", side, err, r.stderr)
		}
	}
	for _, line := range l.routers[0].Commands() {
		if line == "" {
			t.Error("an empty line was typed")
		}
	}
}

// enabled has the inventory refer to the enable secret.
func (odd oddRouter) enabled(t *testing.T, l *testLab) {
	t.Helper()
	if odd.enable == "" {
		return
	}
	secret := filepath.Join(l.dir, "enable")
	text, err := os.ReadFile(l.inventory)
	if err == nil {
		err = os.WriteFile(secret, []byte(odd.enable+"\n"), 0o600)
	}
	if err == nil {
		text = bytes.Replace(text, []byte("defaults: {"), []byte("defaults: {enable: \"file:"+secret+"\", "), 1)
		err = os.WriteFile(l.inventory, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
