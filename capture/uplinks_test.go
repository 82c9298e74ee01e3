package capture

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/moncap/moncap/device/iosxe"
)

// With two uplinks a tunnel's packets may leave by one and come by the other: one capture point is
// on both.
func TestTwoUplinksAreOneCapturePoint(t *testing.T) {
	ea, eb := endpoints()
	ea.Also = []string{"GigabitEthernet2"}
	for _, s := range []Settings{{}, {ZeroConfig: true}, {PacketTrace: 64}} {
		p, err := NewPlan("hq", ea, eb, s, "20260102-abc123")
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range p.Steps(A) {
			if !iosxe.Allowed(step.Command) {
				t.Errorf("%q may not be sent", step.Command.Lines)
			}
		}
		if line := p.A.define[0].Lines[0]; !strings.Contains(line,
			" interface GigabitEthernet1 both interface GigabitEthernet2 both") {
			t.Errorf("%s", line)
		}
		if s.PacketTrace > 0 && len(p.A.tracing.conditions) != 2 {
			t.Errorf("conditions %v", p.A.tracing.conditions)
		}
		one := iosxe.Capture{ACL: p.A.ACL.String(), BufferMB: 10,
			Interfaces: []iosxe.Attachment{{Interface: "GigabitEthernet1"}}}
		both := one
		both.Interfaces = append(slices.Clone(one.Interfaces), iosxe.Attachment{Interface: "GigabitEthernet2"})
		if got := []presence{p.A.attached(&one), p.A.attached(&both), p.B.attached(&both)}; !slices.Equal(got,
			[]presence{partial, whole, foreign}) {
			t.Errorf("attached: %v", got)
		}
	}
	for _, also := range [][]string{{"GigabitEthernet1"}, {"Gi2", "GigabitEthernet2"}, {"Gi2", "Gi3", "Gi4", "Gi5"},
		{"GigabitEthernet"}} {
		ea.Also = also
		if _, err := NewPlan("hq", ea, eb, Settings{}, "20260102-abc123"); err == nil {
			t.Errorf("%q is taken", also)
		}
	}
}

// The second uplink has to exist; that it is down is no reason not to capture on the first.
func TestCheckLooksAtTheSecondUplink(t *testing.T) {
	for also, want := range map[string]string{"GigabitEthernet7": "GigabitEthernet7 does not exist"} {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t, Settings{})
			ea, eb := endpoints()
			ea.Also = []string{also}
			p, err := NewPlan("hq", ea, eb, Settings{}, "20260102-abc123")
			if err != nil {
				t.Fatal(err)
			}
			results, err := Check(t.Context(), p, l.hosts(), l.opts)
			if err != nil || !slices.ContainsFunc(results,
				func(r CheckResult) bool { return r.Level == Refuse && strings.Contains(r.Text, want) }) {
				t.Errorf("%v, %v", err, results)
			}
		})
	}
}
