package capture

import (
	"strings"
	"testing"
)

// Behind a front-door VRF the shows and the trigger look in that table; elsewhere in none by name.
func TestFrontDoorVRFReachesTheCommands(t *testing.T) {
	plan := func(vrf, trigger string) (*Plan, error) {
		ea, eb := endpoints()
		ea.VRF = vrf
		return NewPlan("hq", ea, eb, Settings{Trigger: trigger}, "20260102-abc123")
	}
	typed := func(p *Plan, s Side) string {
		var b strings.Builder
		for _, step := range p.Steps(s) {
			b.WriteString(strings.Join(step.Command.Lines, "\n") + "\n")
		}
		return b.String()
	}
	ea, eb := endpoints()
	clear, remote := "clear crypto session remote "+eb.seenAs().String(), eb.seenAs().String()
	p, err := plan("INTERNET", clear)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"show crypto ipsec sa peer vrf INTERNET " + remote + "\n", "show crypto ipsec sa peer vrf INTERNET " + remote +
			" detail\n",
		clear + " fvrf INTERNET\n",
	} {
		if !strings.Contains(typed(p, A), want) {
			t.Errorf("A is not sent %q", want)
		}
	}
	if b := typed(p, B); strings.Contains(b, "INTERNET") ||
		!strings.Contains(b, "show crypto ipsec sa peer "+ea.seenAs().String()+"\n") {
		t.Errorf("B is sent\n%s", b)
	}
	for _, tt := range []struct{ vrf, trigger, want string }{
		{"INTERNET", "clear crypto sa peer vrf INTERNET " + remote, ""},
		{"INTERNET", "clear crypto sa peer vrf OTHER " + remote, "reached in vrf INTERNET"},
		{"", clear + " fvrf OTHER", "reached in the global table"},
		{"INTERNET", "clear crypto ikev2 sa remote " + remote, "cannot be limited to vrf INTERNET"},
		{"INTERNET", "ping " + remote, ""},
		{"", clear, ""},
	} {
		_, err := plan(tt.vrf, tt.trigger)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("vrf %q, %s: %v, want %q", tt.vrf, tt.trigger, err, tt.want)
		}
	}
}
