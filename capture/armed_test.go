package capture

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/device/iosxe"
)

// From what others say of the tunnel until both captures are stopped it takes --after, whenever the
// routers were to be looked at next.
func TestAnEventOfOthersEndsBothCapturesInTime(t *testing.T) {
	for _, after := range []time.Duration{0, time.Second, 20 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			s := Settings{Armed: &Arming{On: []string{"sa-down"}, For: time.Hour, After: after}}
			s.Duration = s.Armed.Duration()
			l := newLab(t, s)
			events := make(chan bundle.Catch, 1)
			var said time.Time
			l.opts.Arm = &Arm{Events: events, Ready: func() {
				time.AfterFunc(7*time.Second, func() {
					said = time.Now()
					events <- bundle.Catch{Kind: "sa-down", Side: bundle.A, At: said}
				})
			}}
			var stopped [2]time.Duration
			routers := [2]*fakeRouter{l.a, l.b}
			for i, r := range routers {
				stopped[i] = -1
				r.fault = func(_ int, cmd iosxe.Command) *fault {
					if cmd.Name == "stop-capture" && stopped[i] < 0 && !said.IsZero() {
						stopped[i] = time.Since(said)
					}
					return nil
				}
			}
			result, err := Run(t.Context(), l.plan, l.hosts(), l.bundle, l.opts)
			if err != nil || result.Ended != EndEvent {
				t.Fatalf("%v, ended by %q", err, result.Ended)
			}
			for i, r := range routers {
				if stopped[i] < after || stopped[i] > after+latency {
					t.Errorf("%s is stopped %s after the event, not %s", r.host, stopped[i], after)
				}
			}
		})
	}
}
