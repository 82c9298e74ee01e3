package simulator_test

import (
	"testing"
	"time"

	"github.com/moncap/moncap/device/iosxe"
	"github.com/moncap/moncap/device/simulator"
)

// A switchover loses what is EXEC state, and neither the configuration nor the time since which the
// router is up.
func TestSwitchover(t *testing.T) {
	r := newRouter(t, simulator.Config{})
	r.Type("conf t", "ip access-list extended kept", "permit ip any any", "end",
		"monitor capture gone interface gi1 both match any")
	config := r.RunningConfig()
	r.Switchover()
	up, err := iosxe.ParseRedundancy(r.Type("show redundancy"))
	if err != nil || up.System < time.Hour || up.Active > time.Minute || up.Reason == "none" {
		t.Errorf("%+v, %v", up, err)
	}
	if got := r.CapturePoints(); len(got) != 0 || r.RunningConfig() != config {
		t.Errorf("captures %v, configuration\n%s", got, r.RunningConfig())
	}
	r.Reload()
	if up, err := iosxe.ParseRedundancy(r.Type("show redundancy")); err != nil || up.System > time.Minute {
		t.Errorf("%+v, %v", up, err)
	}
}
