package simulator_test

import (
	"strings"
	"testing"

	"github.com/moncap/moncap/device/iosxe"
	"github.com/moncap/moncap/device/simulator"
)

// Conditions, trace and their start are EXEC state of the router: they are set and removed one by
// one, and a reload forgets them.
func TestPacketTraceState(t *testing.T) {
	r := newRouter(t, simulator.Config{})
	const condition = "debug platform condition interface GigabitEthernet1 ipv4 192.168.2.1/32 both"
	if out := r.Type("debug platform packet-trace packet 64"); !strings.Contains(out,
		"Please remember to turn on 'debug platform condition start'") {
		t.Errorf("printed %q", out)
	}
	r.Type(condition, "debug platform condition ipv4 10.0.0.1/32 ingress", "debug platform condition start")
	c, err := iosxe.ParseConditions(r.Type("show platform conditions"))
	if err != nil || !c.Started || len(c.Rows) != 2 {
		t.Fatalf("%+v, %v", c, err)
	}
	if lines := iosxe.ParseTraceConfiguration(r.Type("show platform packet-trace configuration")); len(lines) != 1 {
		t.Errorf("configuration %q", lines)
	}
	r.Type("no "+condition, "debug platform condition stop", "no debug platform packet-trace packet 64")
	if got := r.PlatformDebugs(); len(got) != 1 || !strings.Contains(got[0], "10.0.0.1/32 ingress") {
		t.Errorf("there is %q", got)
	}
	r.Reload()
	if got := r.PlatformDebugs(); len(got) != 0 {
		t.Errorf("after a reload there is %q", got)
	}
}
