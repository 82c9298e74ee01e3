package capture

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moncap/moncap/device/iosxe"
)

// A capture point that is gone was lost with a reload, with a switchover, or to somebody's hand:
// `show redundancy` tells.
func TestWhyACapturePointIsGone(t *testing.T) {
	shown := func(system, active string) string {
		return fmt.Sprintf("Redundant System Information :\n------------------------------\n       Available system "+
			"uptime = %s\nSwitchovers system experienced = 1\n        Last switchover reason = user forced\n\nCurrent "+
			"Processor Information :\n       Uptime in current state = %s\n\nPeer Processor Information :\n       Uptime in "+
			"current state = 0 minutes\n", system, active)
	}
	for _, tt := range []struct{ name, show, want string }{
		{"reload", shown("2 minutes", "2 minutes"), "the router was reloaded while it captured"},
		{"switchover", shown("3 weeks, 2 days", "1 minute"),
			"the standby processor took over while it captured, 1m0s ago (user forced)"},
		{"removed", shown("3 weeks, 2 days", "3 weeks, 2 days"), "somebody removed it"},
		{"not said", "\n", pointGone},
		{"refused", "% Invalid input detected at '^' marker.", pointGone},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, Settings{Duration: 10 * time.Minute})
				l.a.fault = func(_ int, c iosxe.Command) *fault {
					switch c.Name {
					case "stop-capture":
						delete(l.a.captures, "mcabc123")
					case "show-redundancy":
						if r := iosxe.Refused(c, tt.show); r != nil {
							return &fault{before: r}
						}
						return &fault{say: tt.show, idle: true}
					}
					return nil
				}
				_, err := Run(t.Context(), l.plan, l.hosts(), l.bundle, l.opts)
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("%v\nwant %s", err, tt.want)
				}
			})
		})
	}
}
