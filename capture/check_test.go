package capture

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moncap/moncap/device/iosxe"
)

func TestCheckRefusesWithAReason(t *testing.T) {
	for _, tt := range []struct {
		name  string
		set   Settings
		spoil func(l *lab)
		want  string
	}{
		{"capture point", Settings{}, func(l *lab) { l.a.captures["mcabc123"] = &fakeCapture{} }, "mcabc123 exists already"},
		{"access list", Settings{}, func(l *lab) { l.a.acls["mcabc123"] = []string{"permit ip any any"} },
			"mcabc123 exists already"},
		{"file", Settings{}, func(l *lab) { l.a.files["mcabc123.pcap"] = nil }, "not overwritten"},
		{"flash", Settings{}, func(l *lab) { l.a.free = 12 << 20 }, "12 MB free, 20 MB needed"},
		{"cpu", Settings{}, func(l *lab) { l.a.cpu = 97 }, "97% over five minutes"},
		{"interface down", Settings{}, func(l *lab) { l.a.ifState = "administratively down down" }, "administratively down"},
		{"no interface", Settings{}, func(l *lab) { l.plan.A.Interface, _ = iosxe.ParseInterface("Tunnel7") },
			"Tunnel7 does not exist; there are: GigabitEthernet1"},
		{"privilege", Settings{}, func(l *lab) { l.a.privilege = 1 }, "level 1"},
		{"hostname", Settings{}, func(l *lab) { l.plan.A.Endpoint.ExpectHostname = "R9" },
			`"R1", the inventory expects "R9"`},
		{"clocks", Settings{}, func(l *lab) { l.a.offset = 5 * time.Hour }, "5h0m0s apart"},
		{"own clock", Settings{}, func(l *lab) { l.a.offset = time.Minute; l.plan.A.Endpoint.Limits.MaxSkew = time.Second },
			"60005 ms from ours, the limit is 1s"},
		{"dump too long", Settings{BufferMB: 100}, func(l *lab) { l.a.scpOff = true }, "buffer of 100 MB"},
		{"debug", Settings{Debug: true}, func(l *lab) {
			l.a.fault = on("show-debug", &fault{before: &iosxe.Refusal{Text: "no"}})
		}, "debug: "},
		{"authorization", Settings{}, func(l *lab) {
			l.a.fault = on("show-captures", refuse(iosxe.Unauthorized, "Command authorization failed."))
		}, "Command authorization failed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, tt.set)
				tt.spoil(l)
				before := l.state()
				results, err := Check(t.Context(), l.plan, l.hosts(), l.opts)
				if err != nil {
					t.Fatal(err)
				}
				refused := false
				for _, c := range results {
					refused = refused || c.Level == Refuse
				}
				_, err = Run(t.Context(), l.plan, l.hosts(), l.bundle, l.opts)
				var phase *PhaseError
				if !refused || !errors.As(err, &phase) || phase.Phase != PhaseCheck || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("refused %v, error %v: want %q", refused, err, tt.want)
				}
				if l.state() != before {
					t.Error("something was changed")
				}
				if entries, _ := l.bundle.Journal(); len(entries) > 0 {
					t.Errorf("journal: %v", entries)
				}
			})
		})
	}
}

func TestCheckOfAGoodPairIsAllOK(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, Settings{Debug: true})
		results, err := Check(t.Context(), l.plan, l.hosts(), l.opts)
		if err != nil || len(results) < 20 {
			t.Fatalf("%v, %d results", err, len(results))
		}
		for _, c := range results {
			if c.Level != OK {
				t.Errorf("%+v", c)
			}
		}
	})
}
