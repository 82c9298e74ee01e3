package device

import (
	"bytes"
	"context"
	"errors"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/moncap/moncap/device/iosxe"
	"github.com/moncap/moncap/device/simulator"
)

// transfers are the SCP requests that reached the router.
func (l *lab) transfers() []string {
	return slices.DeleteFunc(l.sim.Commands(), func(c string) bool { return !strings.HasPrefix(c, "scp ") })
}

func TestProbeFile(t *testing.T) {
	says := func(text string) simulator.Config {
		return simulator.Config{Faults: []simulator.Fault{{Match: matching("scp"), Action: simulator.SCPError, Text: text,
			Times: -1}}}
	}
	tests := []struct {
		name   string
		config simulator.Config
		kind   iosxe.RefusalKind // of the refusal, with text
		text   string            // empty: it succeeds
		logins int
	}{
		{name: "ready", logins: 1},
		{name: "server off", config: simulator.Config{Knobs: simulator.Knobs{NoSCP: true}}, kind: iosxe.Disabled,
			text: "Administratively disabled.", logins: 1},
		{name: "level 1", config: simulator.Config{Privilege: 1}, kind: iosxe.Unprivileged, text: "Privilege denied.",
			logins: 1},
		{name: "not authorized", config: says("Command authorization failed."), kind: iosxe.Unauthorized,
			text: "Command authorization failed.", logins: 1},
		{name: "no form is known", config: says("Bad path"), kind: iosxe.Unclassified, text: "Bad path",
			logins: len(scpPaths)},
		{name: "the file is there", config: simulator.Config{Flash: map[string][]byte{"x.pcap": {1}}},
			kind: iosxe.AlreadyThere, text: errFileThere.Error(), logins: 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.config.VTYs = 16
			l := newLab(t, tt.config)
			err := l.router().ProbeFile(t.Context(), "bootflash:x.pcap", false)
			no, refused := errors.AsType[*iosxe.Refusal](err)
			if refused != (tt.text != "") || refused && (no.Kind != tt.kind || no.Text != tt.text) || !refused && err != nil {
				t.Errorf("%v", err)
			}
			if l.dialled() != tt.logins {
				t.Errorf("%d logins", l.dialled())
			}
		})
	}
}

// A router without a second line tells so as soon as it is asked; then the session gives up its
// own, and the next transfer does not try again in vain.
func TestATransferOnARouterWithOneLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, simulator.Config{VTYs: 1, Flash: map[string][]byte{"y.pcap": {1}}})
		r := l.router()
		l.exec(r, iosxe.ShowClock())
		if err := r.ProbeFile(t.Context(), "x.pcap", false); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // the line is free again
		l.exec(r, iosxe.ShowClock())
		dials := l.dialled()
		if err := r.Prepare(t.Context()); err == nil || l.dialled() != dials {
			t.Errorf("prepared: %v", err)
		} else if e, ok := errors.AsType[*Error](err); !ok || !e.NoLine() {
			t.Errorf("%v has not to do with lines", err)
		}
		if _, err := r.Fetch(t.Context(), "y.pcap", &bytes.Buffer{}, nil); err != nil || l.dialled() != dials+1 {
			t.Errorf("%v, %d connections", err, l.dialled()-dials)
		}
		synctest.Wait()
		l.exec(r, iosxe.ShowClock())
	})
}

func TestTheFormOfThePathIsRemembered(t *testing.T) {
	l := newLab(t, simulator.Config{Flash: map[string][]byte{"x.pcap": {1}, "y.pcap": {1}},
		Knobs: simulator.Knobs{SCPPath: "bare"}})
	r := l.router()
	for _, f := range []string{"x.pcap", "y.pcap"} {
		if _, err := r.Fetch(t.Context(), f, &bytes.Buffer{}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if got := l.transfers(); got[len(got)-1] != "scp -f y.pcap" || len(got) != 4 {
		t.Errorf("asked for %q", got)
	}
}

// What an SCP server says that answered this form of the path before is not about the path, and not
// said of another one.
func TestARefusalAfterTheFormIsKnown(t *testing.T) {
	for text, more := range map[string]int{"Odd words": 0, "No such file or directory": len(scpPaths) - 1} {
		l := newLab(t, simulator.Config{VTYs: 16, Flash: map[string][]byte{"x.pcap": {1}}})
		r := l.router()
		if err := r.ProbeFile(t.Context(), "y.pcap", false); err != nil {
			t.Fatal(err)
		}
		l.sim.AddFault(simulator.Fault{Match: matching("scp"), Action: simulator.SCPError, Text: text, Times: -1})
		_, err := r.Fetch(t.Context(), "x.pcap", &bytes.Buffer{}, nil)
		if got := l.transfers(); err == nil || !strings.Contains(err.Error(), text) || len(got) != 2+more {
			t.Errorf("%v; asked for %q", err, got)
		}
	}
}

func TestEveryFormOfThePathIsAuthorizedForAll(t *testing.T) {
	f, err := iosxe.ParseFile("mcabc123.pcap")
	if err != nil {
		t.Fatal(err)
	}
	var syntax []string
	for _, d := range iosxe.AllCommands() {
		if d.Mode == iosxe.Transfer {
			syntax = append(syntax, d.Syntax...)
		}
	}
	list := regexp.QuoteMeta(strings.Join(syntax, "\n"))
	list = strings.NewReplacer(`\{`, `(?:`, `\}`, `)`, `\|`, `|`, `<name>`, `[a-z0-9]+`).Replace(list)
	for _, path := range scpPaths {
		if line := "scp -f " + path(f); !regexp.MustCompile(`^(?:` + list + `)$`).MatchString(line) {
			t.Errorf("%s is not in the list of commands: %q", line, syntax)
		}
	}
}

// forgetful is a connection that something on the way may forget.
type forgetful struct {
	net.Conn
	gone atomic.Bool
}

func (f *forgetful) Write(p []byte) (int, error) {
	if f.gone.Load() {
		return len(p), nil
	}
	return f.Conn.Write(p)
}

func TestPrepare(t *testing.T) {
	fetch := func(t *testing.T, r *Router) {
		t.Helper()
		if _, err := r.Fetch(t.Context(), "x.pcap", &bytes.Buffer{}, nil); err != nil {
			t.Error(err)
		}
	}
	tests := []struct {
		name  string
		do    func(t *testing.T, l *lab, r *Router)
		dials int
	}{
		{"used", func(t *testing.T, _ *lab, r *Router) { fetch(t, r) }, 1},
		{"used by one only", func(t *testing.T, _ *lab, r *Router) { fetch(t, r); fetch(t, r) }, 2},
		{"twice", func(t *testing.T, _ *lab, r *Router) {
			if err := r.Prepare(t.Context()); err != nil {
				t.Error(err)
			}
			fetch(t, r)
		}, 1},
		{"closed by the router", func(t *testing.T, l *lab, r *Router) { l.sim.Reload(); fetch(t, r) }, 2},
		{"forgotten by what is between", func(t *testing.T, l *lab, r *Router) {
			l.conns[0].(*forgetful).gone.Store(true)
			began := time.Now()
			fetch(t, r)
			if d := time.Since(began); d != standbyAnswers {
				t.Errorf("it took %s", d)
			}
		}, 2},
		{"not used in time", func(t *testing.T, l *lab, r *Router) {
			time.Sleep(2 * time.Minute)
			if n := l.sim.Sessions(); n != 0 {
				t.Errorf("%d lines are taken", n)
			}
			fetch(t, r)
		}, 2},
		{"closed", func(t *testing.T, l *lab, r *Router) {
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			synctest.Wait()
			if n := l.sim.Sessions(); n != 0 {
				t.Errorf("%d lines are taken", n)
			}
		}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, simulator.Config{Flash: map[string][]byte{"x.pcap": {1}}})
				l.o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
					conn, err := l.dial(ctx, network, address)
					f := &forgetful{Conn: conn}
					l.conns[len(l.conns)-1] = f
					return f, err
				}
				r := l.router()
				if err := r.Prepare(t.Context()); err != nil {
					t.Fatal(err)
				}
				tt.do(t, l, r)
				if l.dialled() != tt.dials {
					t.Errorf("%d connections", l.dialled())
				}
			})
		})
	}
}

// A server that refuses and stays is not waited for; one that trickles neither.
func TestATransferThatHardlyMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, simulator.Config{Flash: map[string][]byte{"x.pcap": make([]byte, 1<<20)},
			Faults: []simulator.Fault{{Match: regexp.MustCompile(`^scp`), Action: simulator.SCPTrickles}}})
		began := time.Now()
		_, err := l.router().Fetch(t.Context(), "x.pcap", &bytes.Buffer{}, nil)
		if !errors.Is(err, errStalled) || time.Since(began) > 2*time.Minute {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}

// An account that may have one session answers a second login as it answers a wrong password. The
// session makes room, and the router is not locked out: it has to be cleaned up.
func TestATransferOfAnAccountWithOneSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, simulator.Config{Flash: map[string][]byte{"x.pcap": {1}}, Knobs: simulator.Knobs{OneSession: true}})
		r := l.router()
		l.exec(r, iosxe.ShowClock())
		if err := r.Prepare(t.Context()); err == nil {
			t.Error("a second session is open")
		} else if e, ok := errors.AsType[*Error](err); !ok || !e.NoLine() || e.Lasting() || e.Hint() == "" {
			t.Errorf("%v, lasting", err)
		}
		l.exec(r, iosxe.ShowClock())
		if _, err := r.Fetch(t.Context(), "x.pcap", &bytes.Buffer{}, nil); err != nil {
			t.Error(err)
		}
		if l.dialled() != 3 { // a refused login counts, and is not repeated
			t.Errorf("%d logins", l.dialled())
		}
		synctest.Wait()
		for range 5 {
			l.exec(r, iosxe.ShowClock())
		}
		noSecrets(t, l.record.String())
	})
}

// A transfer that broke in the middle of the file is not begun again behind what was written, and
// wants no line.
func TestATransferThatBreaksIsNotRepeatedIntoTheSameFile(t *testing.T) {
	for _, action := range []simulator.Action{simulator.SCPStops, simulator.SCPShort} {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t, simulator.Config{Flash: map[string][]byte{"x.pcap": make([]byte, 1000)},
				Faults: []simulator.Fault{{Match: matching("scp"), Action: action}}})
			r := l.router()
			l.exec(r, iosxe.ShowClock())
			var b bytes.Buffer
			n, err := r.Fetch(t.Context(), "x.pcap", &b, nil)
			if !errors.Is(err, errShort) || int64(b.Len()) != n || n > 1000 {
				t.Errorf("%d bytes, %d written: %v", n, b.Len(), err)
			}
			l.exec(r, iosxe.ShowClock())
			if l.dialled() != 2 {
				t.Errorf("%d logins", l.dialled())
			}
		})
	}
}

// That the second session is refused is learnt by one refused login, even when the transfer that
// makes room breaks.
func TestABrokenTransferOfAnAccountWithOneSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, simulator.Config{Flash: map[string][]byte{"x.pcap": {1}}, Knobs: simulator.Knobs{OneSession: true},
			Faults: []simulator.Fault{{Match: matching("scp"), Action: simulator.DropRST}}})
		r := l.router()
		var errs []error
		for range 2 {
			l.exec(r, iosxe.ShowClock())
			_, err := r.Fetch(t.Context(), "x.pcap", &bytes.Buffer{}, nil)
			errs = append(errs, err)
			synctest.Wait()
		}
		// Two sessions, three transfers, of which the first broke, and the one login that was refused.
		if errs[0] != nil || errs[1] != nil || l.dialled() != 6 {
			t.Errorf("%v; %d logins", errs, l.dialled())
		}
	})
}

// Another user of the account has the only session: nothing is tried for ever, nothing is locked
// for good.
func TestAnAccountWhoseSessionIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, simulator.Config{Knobs: simulator.Knobs{OneSession: true}})
		r, other := l.router(), l.router()
		l.exec(r, iosxe.ShowClock())
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		l.exec(other, iosxe.ShowClock())
		for n := range 2 * mostSpared {
			err := r.Open(t.Context())
			if e, ok := errors.AsType[*Error](err); !ok || e.Lasting() != (n >= mostSpared) || errors.Is(err, errLockedOut) {
				t.Errorf("try %d: %v", n, err)
			}
		}
		if err := other.Close(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		l.exec(r, iosxe.ShowClock())
	})
}

// Another router, or somebody in between, that answers the second connection is told from a
// transfer that failed.
func TestAnotherHostKeyAtTheTransfer(t *testing.T) {
	for _, known := range []string{"", "@revoked"} {
		l, other := newLab(t, simulator.Config{}), newLab(t, simulator.Config{Flash: map[string][]byte{"x.pcap": {1}}})
		if known != "" {
			l.known(knownhosts.Line([]string{"192.0.2.10"}, l.sim.HostKey()) + "\n@revoked " + knownhosts.Line([]string{"*"},
				other.sim.HostKey()))
		}
		r := l.router()
		l.exec(r, iosxe.ShowClock())
		r.o.Dial = other.dial
		for what, err := range map[string]error{"fetch": second(r.Fetch(t.Context(), "x.pcap", &bytes.Buffer{}, nil)),
			"probe": r.ProbeFile(t.Context(), "y.pcap", false), "prepare": r.Prepare(t.Context())} {
			e, ok := errors.AsType[*Error](err)
			if !ok || !e.HostKeyChanged() || e.NoLine() || !e.Lasting() ||
				!strings.Contains(err.Error(), ssh.FingerprintSHA256(other.sim.HostKey())) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if n := other.sim.Logins(); n > 0 {
			t.Errorf("%d passwords went to it", n)
		}
		l.exec(r, iosxe.ShowClock()) // the session goes on
	}
}

func second(_ int64, err error) error { return err }
