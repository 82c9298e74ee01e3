package device

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moncap/moncap/device/inventory"
	"github.com/moncap/moncap/device/iosxe"
	"github.com/moncap/moncap/device/simulator"
)

// Time passes at once in these tests: what takes a minute is waited for in a millisecond, and
// exactly a minute passes.

func TestCommandTimeouts(t *testing.T) {
	slow := iosxe.VerifyMD5(file(t, "x.pcap"))
	quiet := slow
	quiet.Quiet = time.Minute
	tests := []struct {
		name  string
		cmd   iosxe.Command
		fault simulator.Fault
		took  time.Duration // at least; and less than a second more
		want  error
	}{
		{"late, in time", iosxe.ShowClock(), simulator.Fault{Action: simulator.Delay, Delay: 19 * time.Second},
			19 * time.Second, nil},
		{"too late", iosxe.ShowClock(), simulator.Fault{Action: simulator.Delay, Delay: 21 * time.Second}, 20 * time.Second,
			errTimeout},
		{"never", iosxe.ShowClock(), simulator.Fault{Action: simulator.NeverAnswer}, 20 * time.Second, errTimeout},
		{"silence", iosxe.ShowClock(), simulator.Fault{Action: simulator.Silence}, 20 * time.Second, errTimeout},
		{"silence in the middle", iosxe.ShowVersion(), simulator.Fault{Action: simulator.Silence, When: simulator.During},
			20 * time.Second, errTimeout},
		{"slow, late", slow, simulator.Fault{Action: simulator.Delay, Delay: 19 * time.Second}, 19 * time.Second, nil},
		{"slow, too late", slow, simulator.Fault{Action: simulator.Delay, Delay: 21 * time.Second}, 20 * time.Second,
			errTimeout},
		{"slow, known to be quiet", quiet, simulator.Fault{Action: simulator.Delay, Delay: 59 * time.Second},
			59 * time.Second, nil},
		{"closed", iosxe.ShowClock(), simulator.Fault{Action: simulator.DropFIN}, 0, errClosed},
		{"closed in the middle", iosxe.ShowVersion(), simulator.Fault{Action: simulator.DropRST, When: simulator.During}, 0,
			errClosed},
		{"closed after", iosxe.ShowVersion(), simulator.Fault{Action: simulator.DropFIN, When: simulator.After}, 0,
			errClosed},
		{"storm", iosxe.ShowClock(), simulator.Fault{Action: simulator.SyslogStorm}, 0, nil},
		{"reload", iosxe.ShowClock(), simulator.Fault{Action: simulator.Restart}, 0, errClosed},
		{"unknown dialog", iosxe.ShowClock(),
			simulator.Fault{Action: simulator.UnknownDialog, Text: "Erase everything? [confirm]"}, settle, errDialog},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tt.fault.Match = matching(tt.cmd.Lines[0])
				l := newLab(t, simulator.Config{Knobs: simulator.Knobs{TerminalMonitor: true}, Faults: []simulator.Fault{tt.fault},
					Flash: map[string][]byte{"x.pcap": {1}}})
				r := l.router()
				l.exec(r, iosxe.ShowPrivilege())
				began := time.Now()
				out, err := r.Exec(t.Context(), tt.cmd)
				if strings.Contains(out, "%") {
					t.Errorf("messages in the output: %q", out)
				}
				if took := time.Since(began); took < tt.took || took > tt.took+time.Second {
					t.Errorf("it took %s", took)
				}
				if !errors.Is(err, tt.want) {
					t.Fatalf("error %v, want %v", err, tt.want)
				}
				e, _ := errors.AsType[*Error](err)
				if lost := tt.want != nil && tt.want != errDialog; e != nil && e.SessionLost() != lost {
					t.Errorf("session lost: %v", !lost)
				}
				time.Sleep(5 * time.Minute) // a router may have to boot
				if out := l.exec(r, iosxe.ShowClock()); tt.want != nil && !strings.Contains(out, "20") {
					t.Errorf("afterwards: %q", out)
				}
			})
		})
	}
}

func TestALoginEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, simulator.Config{})
		near, mute := simulator.Pipe()
		defer mute.Close()
		l.o.Dial = func(context.Context, string, string) (net.Conn, error) { return near, nil }
		began := time.Now()
		err := l.router().Open(t.Context())
		if err == nil || time.Since(began) != 20*time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		if e, ok := errors.AsType[*Error](err); !ok || e.Lasting() {
			t.Errorf("%v is for good", err)
		}
	})
}

func TestCancel(t *testing.T) {
	commands := map[string]iosxe.Command{"exec": iosxe.ShowClock(), "config": acl(t, "mc1"),
		"slow": iosxe.VerifyMD5(file(t, "x.pcap"))}
	for kind, cmd := range commands {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, simulator.Config{Faults: []simulator.Fault{{Match: matching(cmd.Lines[0]),
					Action: simulator.NeverAnswer}}})
				r := l.router()
				l.exec(r, iosxe.ShowPrivilege())
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
				defer cancel()
				began := time.Now()
				_, err := r.Exec(ctx, cmd)
				if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 3*time.Second {
					t.Errorf("%v after %s", err, time.Since(began))
				}
				l.exec(r, iosxe.ShowPrivilege())
			})
		})
	}
}

// A message of the router and the prompt that it draws again must not pass for the answer to the
// next command.
func TestSyslogBetweenCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, simulator.Config{Knobs: simulator.Knobs{TerminalMonitor: true, LoggingSynchronous: true,
			SyslogEvery:         40 * time.Millisecond,
			ExecPromptTimestamp: true, SecurityWarnings: true, Latency: 15 * time.Millisecond}})
		r := l.router()
		for i := range 200 {
			time.Sleep(time.Duration(i) * time.Millisecond)
			if level, err := iosxe.ParsePrivilege(l.exec(r, iosxe.ShowPrivilege())); err != nil || level != 15 {
				t.Fatalf("round %d: level %d, %v", i, level, err)
			}
			if _, err := iosxe.ParseClock(l.exec(r, iosxe.ShowClock())); err != nil {
				t.Fatalf("round %d: %v", i, err)
			}
		}
		if l.dialled() != 1 {
			t.Errorf("%d sessions", l.dialled())
		}
	})
}

// Of lines that are pasted, a refused one is told, and costs no other; one that asks something was
// answered by the next, so the session is given up, and the error says that nobody knows what
// became of it.
func TestARefusedLineOfAPaste(t *testing.T) {
	for _, tt := range []struct {
		fault    simulator.Fault
		sessions int
	}{
		{simulator.Fault{Action: simulator.ErrorText, Text: "% Invalid input detected at '^' marker."}, 1},
		{simulator.Fault{Action: simulator.UnknownDialog, Text: "Are you sure? [yes/no]: "}, 2},
		{simulator.Fault{Action: simulator.NeverAnswer}, 2},
		{simulator.Fault{Action: simulator.DropRST}, 2},
	} {
		synctest.Test(t, func(t *testing.T) {
			cmd := acl(t, "mc1")
			tt.fault.Match = matching(cmd.Lines[1])
			l := newLab(t, simulator.Config{Faults: []simulator.Fault{tt.fault}})
			r := l.router()
			_, err := r.Exec(t.Context(), cmd)
			if lost, ok := errors.AsType[*Error](err); !ok || lost.SessionLost() != (tt.sessions == 2) ||
				refused(err) == lost.SessionLost() {
				t.Errorf("%v", err)
			}
			if level, err := iosxe.ParsePrivilege(l.exec(r, iosxe.ShowPrivilege())); err != nil || level != 15 ||
				l.dialled() != tt.sessions {
				t.Errorf("level %d, %v, %d sessions", level, err, l.dialled())
			}
			if sent := l.sim.Commands(); tt.sessions == 1 && !slices.Contains(sent, cmd.Lines[len(cmd.Lines)-1]) {
				t.Errorf("sent %q", sent)
			}
		})
	}
}

// A line that is refused, typed one by one, must not leave the session in configuration mode, and
// what was accepted stands.
func TestConfigurationModeIsLeft(t *testing.T) {
	for _, fault := range []simulator.Fault{
		{Action: simulator.ErrorText, Text: "% Invalid input detected at '^' marker."},
		{Action: simulator.UnknownDialog, Text: "Are you sure? [yes/no]: "},
	} {
		synctest.Test(t, func(t *testing.T) {
			cmd := acl(t, "mc1")
			fault.Match = matching(cmd.Lines[1])
			l := newLab(t, simulator.Config{Faults: []simulator.Fault{fault}})
			r := l.router()
			r.oneByOne = true
			if _, err := r.Exec(t.Context(), cmd); err == nil {
				t.Fatal("no error")
			}
			l.exec(r, iosxe.ShowPrivilege())
			if l.dialled() != 1 {
				t.Error("the session was lost")
			}
			sent := l.sim.Commands()
			if last := sent[len(sent)-1]; last != "show privilege" ||
				strings.Contains(strings.Join(sent, "\n"), cmd.Lines[len(cmd.Lines)-1]) {
				t.Errorf("sent %q", sent)
			}
		})
	}
}

func TestPromptChanges(t *testing.T) {
	for _, when := range []simulator.When{simulator.Before, simulator.During, simulator.After} {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t, simulator.Config{Faults: []simulator.Fault{{Match: matching("show version"),
				Action: simulator.PromptChange, Text: "another-name", When: when}}})
			l.peer.ExpectHostname = "site-A"
			r := l.router()
			if _, err := iosxe.ParseVersion(l.exec(r, iosxe.ShowVersion())); err != nil {
				t.Error(err)
			}
			l.exec(r, acl(t, "mc1"))
			if r.Hostname() != "another-name" || l.dialled() != 1 {
				t.Errorf("hostname %q, %d sessions", r.Hostname(), l.dialled())
			}
		})
	}
}

func TestSecretsThatTheRouterEchoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, simulator.Config{Faults: []simulator.Fault{
			{Match: matching("show privilege"), Action: simulator.ErrorText, Text: "% password " + canary + " is wrong"},
			{Match: matching("show clock"), Action: simulator.UnknownDialog, Text: canary + " [confirm]"},
		}})
		r := l.router()
		_, refused := r.Exec(t.Context(), iosxe.ShowPrivilege())
		_, asked := r.Exec(t.Context(), iosxe.ShowClock())
		if refused == nil || asked == nil {
			t.Fatal(refused, asked)
		}
		noSecrets(t, refused, asked, l.record.String())
		if !strings.Contains(l.record.String(), "***") {
			t.Error("nothing was masked")
		}
	})
}

// A connection that is closed upon the password may be a refusal: it is tried once
// more and not for ever.
func TestClosedUponThePassword(t *testing.T) {
	lockout := NewLockout()
	a := &authenticator{router: New(inventory.Peer{}, Options{Lockout: lockout}), user: "u", address: "a"}
	for want := range 3 {
		if _, err := a.send(canary); (err != nil) != (want == 2) {
			t.Errorf("try %d: %v", want, err)
		}
		if err := a.judge(io.EOF); !errors.Is(err, io.EOF) {
			t.Error(err)
		}
		a.sent = a.sent[:0:0]
		lockout.doubt() // nothing was sent, nothing is doubted
	}
}

func TestFetchStalls(t *testing.T) {
	for _, action := range []simulator.Action{simulator.SCPStalls, simulator.SCPNeverStarts, simulator.Silence} {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t, simulator.Config{Flash: map[string][]byte{"x.pcap": make([]byte, 1<<20)},
				Faults: []simulator.Fault{{Match: matching("scp"), Action: action, Times: -1}}})
			began := time.Now()
			_, err := l.router().Fetch(t.Context(), "x.pcap", &bytes.Buffer{}, nil)
			if !errors.Is(err, errStalled) || time.Since(began) != 20*time.Second {
				t.Errorf("%v after %s", err, time.Since(began))
			}
		})
	}
}

func TestFetchIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, simulator.Config{Flash: map[string][]byte{"x.pcap": make([]byte, 1<<20)},
			Faults: []simulator.Fault{{Match: matching("scp"), Action: simulator.SCPStalls}}})
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		began := time.Now()
		_, err := l.router().Fetch(ctx, "x.pcap", &bytes.Buffer{}, nil)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 2*time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}

// full is a disk without room.
type full struct{}

func (full) Write(p []byte) (int, error) { return 0, errors.New("no space left on device") }

func TestFetchToAFullDisk(t *testing.T) {
	l := newLab(t, simulator.Config{Flash: map[string][]byte{"x.pcap": make([]byte, 1<<20)}})
	_, err := l.router().Fetch(t.Context(), "x.pcap", full{}, nil)
	if err == nil || !strings.Contains(err.Error(), "writing here: no space left") {
		t.Error(err)
	}
}

// Messages that keep coming are signs of life, but not for ever.
func TestChatterInsteadOfAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		rd := newReading(want{line: "verify", idle: true, timeout: time.Minute}, iosxe.AnyPrompt.Get(), false)
		rd.take([]byte("verify\n"))
		for time.Now().Before(rd.patience()) {
			time.Sleep(20 * time.Second)
			rd.take([]byte("%SYS-5-CONFIG_I: Configured\n"))
			rd.look()
		}
		if took := time.Since(began); took < 20*time.Minute || took > 30*time.Minute {
			t.Errorf("it is waited for %s", took)
		}
	})
}

func TestCloseWhileACommandRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, simulator.Config{Faults: []simulator.Fault{{Match: matching("show clock"),
			Action: simulator.NeverAnswer}}})
		r := l.router()
		l.exec(r, iosxe.ShowPrivilege())
		time.AfterFunc(time.Second, func() { _ = r.Close() })
		began := time.Now()
		if _, err := r.Exec(t.Context(), iosxe.ShowClock()); !errors.Is(err, errClosed) || time.Since(began) != time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		time.Sleep(time.Minute)
		if l.sim.Sessions() != 0 {
			t.Errorf("%d lines are taken", l.sim.Sessions())
		}
	})
}

func TestNoFreeLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, simulator.Config{VTYs: 1})
		first, second := l.router(), l.router()
		l.exec(first, iosxe.ShowClock())
		err := second.Open(t.Context())
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Lasting() || e.SessionLost() || !strings.Contains(e.Hint(), "terminal lines") {
			t.Fatalf("%v", err)
		}
		if err := first.Close(); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		l.exec(second, iosxe.ShowClock())
	})
}

// With a single terminal line, a transfer takes the one that the command line had.
func TestFetchOverTheOnlyLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, simulator.Config{VTYs: 1, Flash: flash})
		r := l.router()
		for range 2 {
			l.works(t, r)
			time.Sleep(time.Second) // the router frees the line
		}
		if l.dialled() < 4 {
			t.Errorf("%d connections", l.dialled())
		}
	})
}

func TestFetchFaults(t *testing.T) {
	body := bytes.Repeat([]byte("moncap\x00\xff"), 40000)
	tests := []struct {
		action simulator.Action
		times  int
		text   string
		want   error
	}{
		{simulator.SCPStops, -1, "", errShort},
		{simulator.SCPShort, -1, "", errShort},
		{simulator.SCPLong, -1, "", errSCP},
		{simulator.SCPEndless, -1, "", errSCP},
		{simulator.SCPNoEnd, -1, "", nil},
		{simulator.SCPEvilName, -1, "../../etc/passwd", nil},
		{simulator.DropFIN, -1, "", errNothing},
		{simulator.DropFIN, 1, "", nil},
		{simulator.DropRST, 1, "", nil},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t, simulator.Config{VTYs: 16, Flash: map[string][]byte{"x.pcap": body},
				Faults: []simulator.Fault{{Match: matching("scp"), Action: tt.action, Times: tt.times, Text: tt.text}}})
			var got bytes.Buffer
			n, err := l.router().Fetch(t.Context(), "x.pcap", &got, nil)
			if !errors.Is(err, tt.want) || n != int64(got.Len()) {
				t.Errorf("action %d: %d bytes, %v", tt.action, n, err)
			}
			if err == nil && !bytes.Equal(got.Bytes(), body) || got.Len() > len(body) {
				t.Errorf("action %d: %d bytes are not the file", tt.action, got.Len())
			}
			if e, ok := errors.AsType[*Error](err); ok && e.Lasting() {
				t.Errorf("action %d: %v is for good", tt.action, err)
			}
			noSecrets(t, err, l.record.String())
		})
	}
}

func TestFetchRefusals(t *testing.T) {
	tests := []struct {
		name   string
		config simulator.Config
		kind   iosxe.RefusalKind
		tries  int
	}{
		{"server off", simulator.Config{Knobs: simulator.Knobs{NoSCP: true}}, iosxe.Disabled, 1},
		{"level 1", simulator.Config{Privilege: 1}, iosxe.Unprivileged, 1},
		{"missing", simulator.Config{}, iosxe.Missing, len(scpPaths)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.config.VTYs = 16
			l := newLab(t, tt.config)
			_, err := l.router().Fetch(t.Context(), "x.pcap", &bytes.Buffer{}, nil)
			r, ok := errors.AsType[*iosxe.Refusal](err)
			if !ok || r.Kind != tt.kind || l.dialled() != tt.tries {
				t.Errorf("%v, %d connections", err, l.dialled())
			}
			if e, ok := errors.AsType[*Error](err); !ok || e.SessionLost() || e.Hint() == "" {
				t.Errorf("%v", err)
			}
		})
	}
}
