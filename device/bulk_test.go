package device

import (
	"errors"
	"strings"
	"testing"

	"github.com/moncap/moncap/device/iosxe"
	"github.com/moncap/moncap/device/simulator"
)

// dumpWith is a dump of many lines with some that are exactly the router's prompt, as a hostile
// packet might have them.
func dumpWith(lines int) string {
	var b strings.Builder
	for i := range lines {
		if i%1000 == 500 {
			b.WriteString("site-A#\n")
		}
		b.WriteString("  0000: 45C001F4 00000000 FF112C9A C0A80101  E.........,.....\n")
	}
	return b.String()
}

func TestBulkOutputWithPromptsInIt(t *testing.T) {
	cmd := iosxe.ShowDump(name(t, "mc1"))
	dump := dumpWith(20_000)
	l := newLab(t, simulator.Config{Show: map[string]string{cmd.Lines[0]: dump}})
	r := l.router()
	if out := l.exec(r, cmd); strings.TrimSpace(out) != strings.TrimSpace(dump) {
		t.Errorf("%d bytes of %d", len(out), len(dump))
	}
	if level, err := iosxe.ParsePrivilege(l.exec(r, iosxe.ShowPrivilege())); err != nil || level != 15 {
		t.Errorf("the session is out of step: %d, %v", level, err)
	}
}

// The pager takes its line back with backspaces, and the line behind it is one of the dump's.
func TestBulkOutputThroughAPager(t *testing.T) {
	cmd := iosxe.ShowDump(name(t, "mc1"))
	dump := strings.ReplaceAll(dumpWith(2000), "site-A#\n", "")
	l := newLab(t, simulator.Config{Show: map[string]string{cmd.Lines[0]: dump}, Knobs: simulator.Knobs{KeepPager: true}})
	if out := l.exec(l.router(), cmd); strings.TrimSpace(out) != strings.TrimSpace(dump) {
		t.Errorf("%d bytes of %d", len(out), len(dump))
	}
}

// Who knows how large a dump can be has it end there.
func TestBulkOutputIsBounded(t *testing.T) {
	cmd := iosxe.ShowDump(name(t, "mc1"))
	cmd.MaxOutput = 100_000
	l := newLab(t, simulator.Config{Show: map[string]string{cmd.Lines[0]: dumpWith(20_000)}})
	if out, err := l.router().Exec(t.Context(), cmd); !errors.Is(err, errTooMuch) || len(out) > 2*cmd.MaxOutput+maxAhead {
		t.Errorf("%d bytes, %v", len(out), err)
	}
}

func TestTooMuchOutput(t *testing.T) {
	long := strings.Repeat(strings.Repeat("tick ", 20)+"\n", maxOutput/90)
	l := newLab(t, simulator.Config{Show: map[string]string{"show clock detail": long}})
	r := l.router()
	_, err := r.Exec(t.Context(), iosxe.ShowClock())
	if e, ok := errors.AsType[*Error](err); !ok || !errors.Is(err, errTooMuch) || !e.SessionLost() {
		t.Errorf("%v", err)
	}
	l.exec(r, iosxe.ShowPrivilege())
}

func BenchmarkBulk(b *testing.B) {
	cmd := iosxe.ShowDump(name(b, "mc1"))
	dump := strings.ReplaceAll(dumpWith(200_000), "site-A#\n", "")
	l := newLab(b, simulator.Config{Show: map[string]string{cmd.Lines[0]: dump}})
	r := l.router()
	var n int
	for b.Loop() {
		n = len(l.exec(r, cmd))
	}
	b.SetBytes(int64(n))
}

// An account that may not even turn the pager off gets its output page by page.
func TestPager(t *testing.T) {
	var want strings.Builder
	for i := range 1700 {
		want.WriteString("line " + strings.Repeat("x", i%60) + "\n")
	}
	l := newLab(t, simulator.Config{Show: map[string]string{"show logging": want.String()},
		Authorize: func(command string) bool { return !strings.HasPrefix(command, "terminal") }})
	r := l.router()
	out := l.exec(r, iosxe.ShowLog())
	if !strings.Contains(l.record.String(), "--More--") {
		t.Error("there was no pager")
	}
	if strings.TrimSpace(out) != strings.TrimSpace(want.String()) {
		got, lines := strings.Split(strings.TrimSpace(out), "\n"), strings.Split(strings.TrimSpace(want.String()), "\n")
		for i := range min(len(got), len(lines)) {
			if got[i] != lines[i] {
				t.Fatalf("line %d is %q, want %q", i, got[i], lines[i])
			}
		}
		t.Fatalf("%d lines, want %d", len(got), len(lines))
	}
}

// What the account may not do is said by the router, and the next command is tried all the same.
func TestCommandAuthorization(t *testing.T) {
	l := newLab(t, simulator.Config{Authorize: func(command string) bool {
		return !strings.Contains(command, "clock") && !strings.HasPrefix(command, "configure")
	}})
	r := l.router()
	for _, cmd := range []iosxe.Command{iosxe.ShowClock(), acl(t, "mc1")} {
		_, err := r.Exec(t.Context(), cmd)
		refusal, ok := errors.AsType[*iosxe.Refusal](err)
		if e, isError := errors.AsType[*Error](err); !ok || refusal.Kind != iosxe.Unauthorized || !isError ||
			!strings.Contains(e.Hint(), "moncap commands") || e.SessionLost() {
			t.Errorf("%s: %v", cmd.Name, err)
		}
	}
	l.exec(r, iosxe.ShowPrivilege())
	if l.dialled() != 1 {
		t.Errorf("%d sessions", l.dialled())
	}
}
