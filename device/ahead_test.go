package device

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moncap/moncap/device/inventory"
	"github.com/moncap/moncap/device/iosxe"
	"github.com/moncap/moncap/device/simulator"
)

// readers are commands that only read, more than are typed ahead at once.
func readers(t testing.TB) []iosxe.Command {
	t.Helper()
	sa, err := iosxe.ShowIKEv2SA(netip.MustParseAddr("192.168.2.1"))
	if err != nil {
		t.Fatal(err)
	}
	return []iosxe.Command{iosxe.ShowPrivilege(), iosxe.ShowVersion(), iosxe.ShowCaptures(), iosxe.ShowInterfaces(), sa,
		iosxe.ShowIKEv2Proposal(), iosxe.DirFile(file(t, "none.pcap")), iosxe.ShowIKEv2Policy(), iosxe.ShowIKEv2Profile(),
		iosxe.ShowCryptoMap(), iosxe.ShowTransformSet(), iosxe.ShowMemory(), iosxe.ShowDebug()}
}

// all runs commands together, and tells what became of each.
func all(t *testing.T, r *Router, cmds []iosxe.Command) (outs []string, errs []error) {
	t.Helper()
	r.ExecAll(t.Context(), cmds, func(i int, out string, err error) {
		if i != len(outs) {
			t.Errorf("told of %d where %d is due", i, len(outs))
		}
		outs, errs = append(outs, out), append(errs, err)
	})
	if len(outs) != len(cmds) {
		t.Fatalf("told of %d commands, of %d", len(outs), len(cmds))
	}
	return outs, errs
}

func refused(err error) bool {
	_, ok := errors.AsType[*iosxe.Refusal](err)
	return ok
}

// What is typed ahead is answered as what is asked one by one, in less time, and in one session.
func TestTypedAhead(t *testing.T) {
	tests := map[string]simulator.Knobs{
		"a quiet router": {},
		"a slow router":  {Latency: 15 * time.Millisecond},
		"pauses":         {EchoPause: 40 * time.Millisecond, PromptPause: 300 * time.Millisecond},
		"messages":       {TerminalMonitor: true, SyslogEvery: 7 * time.Millisecond, Latency: 15 * time.Millisecond},
		"messages, and again": {TerminalMonitor: true, LoggingSynchronous: true, SyslogEvery: 7 * time.Millisecond,
			Latency: 15 * time.Millisecond},
		"prompt timestamps":   {ExecPromptTimestamp: true},
		"a prompt of its own": {Prompt: "%h-STP-1234%p"},
	}
	for what, knobs := range tests {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, simulator.Config{Knobs: knobs})
				r, cmds := l.router(), readers(t)
				outs, errs := all(t, r, cmds)
				for i, cmd := range cmds {
					want, err := r.Exec(t.Context(), cmd)
					if steady := cmd.Name != "show-memory" && cmd.Name != "show-version"; steady && outs[i] != want ||
						(errs[i] == nil) != (err == nil) || refused(errs[i]) != refused(err) {
						t.Errorf("%s: %q, %v; alone %q, %v", cmd.Name, outs[i], errs[i], want, err)
					}
				}
				if l.dialled() != 1 || r.oneByOne {
					t.Errorf("%d sessions, one by one %v", l.dialled(), r.oneByOne)
				}
			})
		})
	}
}

// A command that hangs is its own fault alone.
func TestOneHangsOfMany(t *testing.T) {
	for _, action := range []simulator.Action{simulator.NeverAnswer, simulator.Silence, simulator.DropFIN} {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t, simulator.Config{Faults: []simulator.Fault{{Match: matching("show crypto ikev2 sa"), Action: action,
				Times: -1}}})
			r, cmds := l.router(), readers(t)
			began := time.Now()
			_, errs := all(t, r, cmds)
			for i, err := range errs {
				if ok := err == nil || refused(err) && cmds[i].Name == "dir-file"; ok == (cmds[i].Name == "show-ikev2-sa") {
					t.Errorf("action %d: %s: %v", action, cmds[i].Name, err)
				}
			}
			if took := time.Since(began); took > 90*time.Second {
				t.Errorf("action %d: it took %s", action, took)
			}
		})
	}
}

func TestOneSaysTooMuchOfMany(t *testing.T) {
	long := strings.Repeat(strings.Repeat("x", 99)+"\n", 2*maxOutput/100)
	l := newLab(t, simulator.Config{Show: map[string]string{"show crypto map": long}})
	r, cmds := l.router(), readers(t)
	outs, errs := all(t, r, cmds)
	for i, err := range errs {
		if errors.Is(err, errTooMuch) != (cmds[i].Name == "show-crypto-map") {
			t.Errorf("%s: %v", cmds[i].Name, err)
		}
	}
	if level, err := iosxe.ParsePrivilege(outs[0]); err != nil || level != 15 {
		t.Errorf("%q", outs[0])
	}
}

// A pager would take what is typed ahead for its keys.
func TestNothingIsTypedAheadToAPager(t *testing.T) {
	l := newLab(t, simulator.Config{Authorize: func(c string) bool { return !strings.HasPrefix(c, "terminal") }})
	r := l.router()
	all(t, r, readers(t))
	if s := l.sim.Commands(); !r.Paged() || !slices.Contains(s, "show privilege") ||
		strings.Contains(l.record.String(), "commands typed") {
		t.Errorf("paged %v, %q", r.Paged(), s)
	}
}

// A pager that only shows itself in an output costs what was typed ahead, and no answer.
func TestAPagerThatWasNotToBeThere(t *testing.T) {
	log := strings.Repeat("a line of the log\n", 1200)
	l := newLab(t, simulator.Config{Knobs: simulator.Knobs{KeepPager: true},
		Show: map[string]string{"show crypto map": log}})
	r, cmds := l.router(), readers(t)
	outs, errs := all(t, r, cmds)
	for i, cmd := range cmds {
		want, err := r.Exec(t.Context(), cmd)
		if (errs[i] == nil) != (err == nil) || cmd.Name != "show-memory" && cmd.Name != "show-version" && outs[i] != want {
			t.Errorf("%s: %d bytes, %v; alone %d bytes, %v", cmd.Name, len(outs[i]), errs[i], len(want), err)
		}
		if cmd.Name == "show-crypto-map" && strings.TrimSpace(outs[i]) != strings.TrimSpace(log) {
			t.Errorf("%d bytes of the log, of %d", len(outs[i]), len(log))
		}
	}
	if !r.Paged() {
		t.Error("nobody would know of the pager")
	}
}

// together plays a dialogue of commands that are typed ahead.
func together(t *testing.T, cmds ...iosxe.Command) func(context.Context, *session) string {
	return func(ctx context.Context, s *session) string {
		sure, err := s.runAhead(ctx, cmds)
		var b strings.Builder
		for _, o := range sure {
			fmt.Fprintf(&b, "%q, %v\n", o.out, o.err)
		}
		return fmt.Sprint(b.String(), err)
	}
}

// However the bytes are cut, no answer is attributed to another command: with messages anywhere,
// with the prompt of the router in an output, and with echoes torn apart.
func TestAnswersAreNotMixedUp(t *testing.T) {
	line := func(l string) iosxe.Command { return iosxe.Command{Name: "show-" + l, Lines: []string{l}} }
	a, b, c := line("aa"), line("bb"), line("cc")
	const pause = 1400 * time.Millisecond
	tests := []dialogue{
		{name: "plain", pause: pause, turns: []turn{{"aa\n", "aa\r\n1\r\nR1#"}, {"bb\n", "bb\r\n% Invalid\r\nR1#"},
			{"cc\n", "cc\r\n3\r\nR1#"}}},
		{name: "no output", pause: pause,
			turns: []turn{{"aa\n", "aa\r\nR1#"}, {"bb\n", "bb\r\nR1#"}, {"cc\n", "cc\r\n\r\nR1#"}}},
		{name: "prompts in outputs", pause: pause,
			turns: []turn{{"aa\n", "aa\r\nR1#\r\n1\r\nR1#"}, {"bb\n", "bb\r\nbb\r\nR1#x\r\ncc\r\nR1#"},
				{"cc\n", "cc\r\nR2#\r\nR1#"}}},
		{name: "messages", pause: pause, turns: []turn{{"aa\n", "aa\r\n1" + message + "R1#" + message + "R1#"},
			{"bb\n", "b" + message + "b\r\n2\r\nR1#"}, {"cc\n", "c" + message + "R1#cc\r\n3\r\nR1#"}}},
		{name: "blank behind the prompt", pause: pause,
			turns: []turn{{"aa\n", "aa\r\n1\r\nR1# "}, {"bb\n", "bb\r\n2\r\nR1# "}, {"cc\n", "cc\r\n3\r\nR1# "}}},
		{name: "an echo is lost", pause: pause, turns: []turn{{"aa\n", "aa\r\n1\r\nR1#"}, {"bb\n", "2\r\nR1#"},
			{"cc\n", "cc\r\n3\r\nR1#"}}},
		{name: "an echo twice", pause: pause, turns: []turn{{"aa\n", "aa\r\nR1#bb\r\nx\r\nR1#"}, {"bb\n", "bb\r\n2\r\nR1#"},
			{"cc\n", "cc\r\n3\r\nR1#"}}},
	}
	list := acl(t, "mc1")
	remove := iosxe.NoACL(name(t, "mc1"), false)
	config := func(l string, prompt string) turn { return turn{l + "\n", l + "\r\n" + prompt} }
	pasted := []turn{config("configure terminal", "R1(config)#"), config(list.Lines[0], "R1(config-ext-nacl)#")}
	for _, l := range list.Lines[1:] {
		pasted = append(pasted, config(l, "R1(config-ext-nacl)#"))
	}
	tests = append(tests,
		dialogue{name: "configuration", pause: pause, do: together(t, list, a),
			turns: append(pasted, turn{"end\n", "end" + message + "R1#"}, turn{"aa\n", "aa\r\n1\r\nR1#"})},
		dialogue{name: "configuration is locked", pause: pause, do: together(t, remove, a),
			turns: []turn{{"configure terminal\n", "configure terminal\r\nlocked by another\r\nR1#"},
				{"aa\n", "aa\r\n1\r\nR1#"}}})
	for _, d := range tests {
		if d.do == nil {
			d.do = together(t, a, b, c)
		}
		t.Run(d.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				typed, want := d.play(t, nil, nil)
				if doubt := strings.HasPrefix(d.name, "an echo"); doubt != strings.Contains(want, errOutOfStep.Error()) ||
					strings.Contains(want, "x") && doubt {
					t.Fatalf("read %s", want)
				}
				for i := range d.size() {
					for j := i; j < d.size(); j += 1 + d.size()/10 {
						if got, read := d.play(t, []int{i, j}, []time.Duration{d.pause / 2, d.pause / 2}); got != typed || read != want {
							t.Fatalf("cuts %d, %d:\ntyped %q\nread %s\nwant %s", i, j, got, read, want)
						}
					}
				}
			})
		})
	}
}

// What is in doubt is asked again, one by one, in another session.
func TestDoubtIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, simulator.Config{Show: map[string]string{"show crypto ikev2 policy": "site-A#show crypto ikev2 " +
			"profile\nfake\n", "show crypto ikev2 profile": "real\n"}})
		r, cmds := l.router(), []iosxe.Command{iosxe.ShowPrivilege(), iosxe.ShowIKEv2Policy(), iosxe.ShowIKEv2Profile(),
			iosxe.ShowCryptoMap()}
		outs, errs := all(t, r, cmds)
		if err := errors.Join(errs...); err != nil || strings.TrimSpace(outs[2]) != "real" ||
			!strings.Contains(outs[1], "fake") || !r.oneByOne {
			t.Errorf("%q, %v", outs, err)
		}
	})
}

// What changes a router is never typed twice: of what a broken session leaves open, the error says
// so, and of all behind it.
func TestAChangeIsNotTypedAgain(t *testing.T) {
	for _, fault := range []simulator.Fault{{Action: simulator.DropRST},
		{Action: simulator.DropRST, When: simulator.After}, {Action: simulator.NeverAnswer},
		{Action: simulator.UnknownDialog, Text: "Sure? [confirm]"}} {
		synctest.Test(t, func(t *testing.T) {
			n := name(t, "mc1")
			fault.Match = matching("no monitor capture mc1")
			l := newLab(t, simulator.Config{Faults: []simulator.Fault{fault}})
			r := l.router()
			_, errs := all(t, r, []iosxe.Command{iosxe.ShowPrivilege(), iosxe.NoCapture(n), iosxe.ShowCapture(n),
				iosxe.NoACL(n, false), iosxe.ShowACL(n)})
			for i, err := range errs {
				if lost, ok := errors.AsType[*Error](err); (i == 0) != (err == nil) || ok && !lost.SessionLost() {
					t.Errorf("%d: %v", i, err)
				}
			}
			l.exec(r, iosxe.ShowPrivilege())
			if typed := slices.DeleteFunc(l.sim.Commands(),
				func(c string) bool { return c != "no monitor capture mc1" }); len(typed) != 1 || l.dialled() != 2 {
				t.Errorf("typed %q, %d sessions", l.sim.Commands(), l.dialled())
			}
		})
	}
}

func TestExecAllEndsWithItsContext(t *testing.T) {
	r := New(inventory.Peer{Name: "a", Host: "192.0.2.1"},
		Options{Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no") }})
	if _, errs := all(t, r, readers(t)); slices.Contains(errs, nil) {
		t.Errorf("%v", errs)
	}
}
