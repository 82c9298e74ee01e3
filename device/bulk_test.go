package device

import (
	"errors"
	"strings"
	"testing"

	"github.com/moncap/moncap/device/iosxe"
	"github.com/moncap/moncap/device/simulator"
)

// dumpWith is a dump of many lines with some that are exactly the router's prompt, as a hostile packet might have them.
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

func TestTooMuchOutput(t *testing.T) {
	l := newLab(t, simulator.Config{Show: map[string]string{"show clock detail": strings.Repeat("tick\n", maxOutput/4)}})
	r := l.router()
	_, err := r.Exec(t.Context(), iosxe.ShowClock())
	if e, ok := errors.AsType[*Error](err); !ok || !errors.Is(err, errTooMuch) || !e.SessionLost() {
		t.Errorf("%v", err)
	}
	l.exec(r, iosxe.ShowPrivilege())
}

func BenchmarkBulk(b *testing.B) {
	cmd := iosxe.ShowDump(name(b, "mc1"))
	l := newLab(b, simulator.Config{Show: map[string]string{cmd.Lines[0]: strings.ReplaceAll(dumpWith(200_000), "site-A#\n", "")}})
	r := l.router()
	var n int
	for b.Loop() {
		n = len(l.exec(r, cmd))
	}
	b.SetBytes(int64(n))
}
