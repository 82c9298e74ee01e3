package capture

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/device/iosxe"
)

func TestWaitEnds(t *testing.T) {
	const established = `Tunnel-id Local                 Remote                fvrf/ivrf            Status
1         192.168.1.1/500       192.168.2.1/500       none/none            READY
      Local spi: 000D3669857A0F82       Remote spi: E0419B1DB02DE6AE
`
	swapped := strings.NewReplacer("192.168.1.1/500", "192.168.2.1/500", "192.168.2.1/500",
		"192.168.1.1/500").Replace(established)
	for _, tt := range []struct {
		until  string
		saA    string
		saB    string
		within time.Duration
	}{
		{"packets=2", "", "", 2 * time.Second},
		{"packets=3", "", "", time.Minute + grace},
		{"established", established, swapped, 2 * time.Second},
		{"established", established, "", time.Minute + grace},
		{"failed", "", "", 3 * time.Second},
		{"failed", established, "", 3 * time.Second},
		{"failed", established, swapped, time.Minute + grace},
		{"decided", established, swapped, 2 * time.Second},
		{"decided", "", "", 3 * time.Second},
		{"decided", "", swapped, 3 * time.Second},
		{"none", "", "", time.Minute + grace},
	} {
		t.Run(tt.until, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				until, err := ParseUntil(tt.until)
				if err != nil {
					t.Fatal(err)
				}
				l := newLab(t, Settings{Duration: time.Minute, Until: until})
				l.a.sa, l.b.sa = tt.saA, tt.saB
				result, err := Run(t.Context(), l.plan, l.hosts(), l.bundle, l.opts)
				if err != nil {
					t.Fatal(err)
				}
				i := slices.IndexFunc(result.Run.Phases, func(p bundle.Phase) bool { return p.Name == string(PhaseWait) })
				took := time.Duration(result.Run.Phases[i].AMS * float64(time.Millisecond))
				if took > tt.within || tt.within > time.Minute && took < 59*time.Second {
					t.Errorf("waited %s, want about %s", took, tt.within)
				}
			})
		})
	}
}

func TestWaitOutlastsADeadAndAHangingRouter(t *testing.T) {
	for name, f := range map[string]*fault{"dead": {before: lostError{}}, "hanging": {hang: true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, Settings{Duration: 20 * time.Second})
				l.a.fault = func(_ int, c iosxe.Command) *fault {
					if c.Name == "show-capture-buffer" && !slices.Contains(l.a.calls, "stop-capture") {
						return f
					}
					return nil
				}
				began := time.Now()
				if _, err := Run(t.Context(), l.plan, l.hosts(), l.bundle, l.opts); err != nil {
					t.Error(err)
				}
				if took := time.Since(began); took > 30*time.Second {
					t.Errorf("it took %s", took)
				}
			})
		})
	}
}

func TestStopEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, Settings{Duration: time.Hour})
		stop := make(chan struct{})
		l.opts.Stop = stop
		time.AfterFunc(3*time.Second, func() { close(stop) })
		began := time.Now()
		if _, err := Run(t.Context(), l.plan, l.hosts(), l.bundle, l.opts); err != nil || time.Since(began) > time.Minute {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}

func TestFailedIsNotSaidOfAnOldTunnelsTraffic(t *testing.T) {
	see := func(packets, fresh, pending, old int) [2]sighting {
		s := sighting{seen: true, active: true, packets: packets, fresh: fresh, pending: pending, old: old}
		return [2]sighting{s, s}
	}
	for _, tt := range []struct {
		name string
		see  [][2]sighting
		want bool
	}{
		{"nothing at all", [][2]sighting{see(0, 0, 0, 0), see(0, 0, 0, 0), see(0, 0, 0, 0)}, false},
		{"packets and no SA", [][2]sighting{see(2, 0, 0, 0), see(2, 0, 0, 0), see(2, 0, 0, 0)}, true},
		{"an old SA's packets", [][2]sighting{see(2, 0, 0, 1), see(4, 0, 0, 1), see(6, 0, 0, 1)}, false},
		{"an attempt beside an old SA", [][2]sighting{see(2, 0, 1, 1), see(4, 0, 0, 1), see(4, 0, 0, 1), see(4, 0, 0, 1)},
			true},
		{"tried, seen once", [][2]sighting{see(2, 0, 1, 0), see(4, 0, 0, 0)}, false},
		{"tried, seen twice", [][2]sighting{see(2, 0, 1, 0), see(4, 0, 0, 0), see(4, 0, 0, 0)}, true},
		{"the old SA was cleared", [][2]sighting{see(0, 0, 0, 1), see(1, 0, 0, 0), see(2, 0, 0, 0), see(2, 0, 0, 0),
			see(2, 0, 0, 0)}, false},
		{"it was, and a quick attempt followed", [][2]sighting{see(0, 0, 0, 1), see(2, 0, 0, 0), see(6, 0, 0, 0),
			see(6, 0, 0, 0), see(6, 0, 0, 0)}, true},
		{"one side has packets", [][2]sighting{{{seen: true, active: true, packets: 3}, {seen: true, active: true}},
			{{seen: true, active: true, packets: 3}, {seen: true, active: true}},
			{{seen: true, active: true, packets: 3}, {seen: true, active: true}}}, false},
		{"half up while the other still tries", slices.Repeat([][2]sighting{{{seen: true, active: true, packets: 4, fresh: 1},
			{seen: true, active: true, packets: 2, pending: 1}}}, 6), false},
		{"half up", slices.Repeat([][2]sighting{{{seen: true, active: true, packets: 4, fresh: 1},
			{seen: true, active: true, packets: 2}}}, 3), true},
		{"half up, seen twice",
			slices.Repeat([][2]sighting{{{seen: true, active: true, packets: 4, fresh: 1},
				{seen: true, active: true, packets: 2}}}, 2), false},
		{"it came up", [][2]sighting{see(2, 0, 1, 0), see(4, 1, 0, 0), see(4, 1, 0, 0), see(4, 1, 0, 0)}, false},
	} {
		var j judge
		got := false
		for _, s := range tt.see {
			got = j.over(Until{Kind: UntilFailed}, s)
		}
		if got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}
