package capture

import (
	"net/netip"
	"testing"
	"time"

	"github.com/moncap/moncap/device/iosxe"
)

func TestTunnelLife(t *testing.T) {
	peer := netip.MustParseAddrPort("192.0.2.1:500")
	sa := func(spi, status string, age time.Duration, session string) iosxe.IKESA {
		return iosxe.IKESA{Version: 2, Remote: peer, Status: status, LocalSPI: spi, Life: 24 * time.Hour, Age: age,
			Session: session}
	}
	seen := func(session string, sas ...iosxe.IKESA) tunnelView {
		v := tunnelView{sas: sas}
		if session != "" {
			v.sessions = []string{session}
		}
		return v
	}
	old := sa("A", "READY", time.Hour, "")
	one := iosxe.IKESA{Version: 1, Remote: peer, Status: "QM_IDLE"}
	for _, tt := range []struct {
		name  string
		looks []tunnelView
		want  string // of the last look
	}{
		{"stays up", []tunnelView{seen("UP-ACTIVE", old), seen("UP-ACTIVE", old)}, ""},
		{"the session goes down", []tunnelView{seen("UP-ACTIVE", old), seen("DOWN-NEGOTIATING", sa("B", "IN-NEG", 0, ""))},
			EventLost},
		{"nothing is shown any more", []tunnelView{seen("", old), seen("")}, EventLost},
		{"told once", []tunnelView{seen("", old), seen(""), seen("")}, ""},
		{"IKEv2 is gone, its children are not", []tunnelView{seen("UP-ACTIVE", old), seen("UP-NO-IKE")}, EventLost},
		{"IKEv1 goes as it may", []tunnelView{seen("UP-ACTIVE", iosxe.IKESA{Version: 1, Status: "QM_IDLE"}),
			seen("UP-NO-IKE")}, ""},
		{"IKEv1 is lost", []tunnelView{seen("", iosxe.IKESA{Version: 1, Status: "QM_IDLE"}), seen("")}, EventLost},
		{"a rekey in time", []tunnelView{seen("UP-ACTIVE", sa("A", "READY", 23*time.Hour, "")),
			seen("UP-ACTIVE", sa("B", "READY", 0, ""))}, EventRekey},
		{"a rekey of the same session", []tunnelView{seen("UP-ACTIVE", sa("A", "READY", time.Hour, "7")),
			seen("UP-ACTIVE", sa("B", "READY", 0, "7"))}, EventRekey},
		{"both keys for a moment", []tunnelView{seen("UP-ACTIVE", old), seen("UP-ACTIVE", old, sa("B", "READY", 0, ""))},
			EventRekey},
		{"the old key goes",
			[]tunnelView{seen("UP-ACTIVE", old, sa("B", "READY", 0, "")), seen("UP-ACTIVE", sa("B", "READY", 9, ""))}, ""},
		{"lost and back between two looks", []tunnelView{seen("UP-ACTIVE", old), seen("UP-ACTIVE", sa("B", "READY", 0, ""))},
			EventLost},
		{"another session", []tunnelView{seen("UP-ACTIVE", sa("A", "READY", 23*time.Hour, "7")),
			seen("UP-ACTIVE", sa("B", "READY", 0, "8"))}, EventLost},
		{"down from the first", []tunnelView{seen("DOWN"), seen("DOWN")}, ""},
		{"it comes up", []tunnelView{seen("DOWN"), seen("UP-ACTIVE", old)}, EventUp},
		{"a negotiation fails", []tunnelView{seen("DOWN"), seen("DOWN-NEGOTIATING", sa("B", "IN-NEG", 0, "")), seen("DOWN")},
			EventFailed},
		{"phase 1 of IKEv1 is done", []tunnelView{seen("DOWN"), seen("UP-IDLE", one)}, ""},
		{"phase 2 of it as well", []tunnelView{seen("DOWN"), seen("UP-IDLE", one), seen("UP-ACTIVE", one)}, EventUp},
		{"phase 2 of it at once", []tunnelView{seen("DOWN"), seen("UP-ACTIVE", one)}, EventUp},
		{"phase 2 of it fails", []tunnelView{seen("DOWN"), seen("UP-IDLE", one), seen("DOWN")}, EventFailed},
		{"its child SAs came to their end, as they may", []tunnelView{seen("UP-ACTIVE", one), seen("UP-IDLE", one)}, ""},
		{"and then it is lost", []tunnelView{seen("UP-ACTIVE", one), seen("UP-IDLE", one), seen("DOWN")}, EventLost},
		{"IKEv1 without sessions", []tunnelView{seen(""), seen("", one)}, EventUp},
		{"IKEv2 without children", []tunnelView{seen("DOWN"), seen("UP-IDLE", old)}, EventUp},
		{"a negotiation goes on", []tunnelView{seen("DOWN-NEGOTIATING", sa("B", "IN-NEG", 0, "")),
			seen("DOWN-NEGOTIATING", sa("B", "IN-NEG", 0, ""))}, ""},
	} {
		l := tunnelLife{peer: "site-b"}
		got := ""
		for _, v := range tt.looks {
			got, _ = l.see(v, 15*time.Second)
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// Phase 1 of IKEv1 that never gets its child SAs is told once it has taken too long.
func TestPhaseOneAloneFailsWhileArmed(t *testing.T) {
	l := tunnelLife{peer: "site-b", each: true}
	one := iosxe.IKESA{Version: 1, Status: "QM_IDLE"}
	l.see(tunnelView{sessions: []string{"DOWN"}}, 15*time.Second)
	v := tunnelView{sessions: []string{"UP-IDLE", "DOWN-NEGOTIATING"}, sas: []iosxe.IKESA{one}}
	for n := 0; ; n++ {
		kind, text := l.see(v, 15*time.Second)
		if took := time.Duration(n) * 15 * time.Second; kind != "" || took > givenUpAfter {
			if kind != EventFailed || took != givenUpAfter {
				t.Errorf("%q after %s: %s", kind, took, text)
			}
			return
		}
	}
}
