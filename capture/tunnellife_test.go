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
		return iosxe.IKESA{Version: 2, Remote: peer, Status: status, LocalSPI: spi, Life: 24 * time.Hour, Age: age, Session: session}
	}
	seen := func(session string, sas ...iosxe.IKESA) tunnelView {
		v := tunnelView{sas: sas}
		if session != "" {
			v.sessions = []string{session}
		}
		return v
	}
	old := sa("A", "READY", time.Hour, "")
	for _, tt := range []struct {
		name  string
		looks []tunnelView
		want  string // of the last look
	}{
		{"stays up", []tunnelView{seen("UP-ACTIVE", old), seen("UP-ACTIVE", old)}, ""},
		{"the session goes down", []tunnelView{seen("UP-ACTIVE", old), seen("DOWN-NEGOTIATING", sa("B", "IN-NEG", 0, ""))}, EventLost},
		{"nothing is shown any more", []tunnelView{seen("", old), seen("")}, EventLost},
		{"told once", []tunnelView{seen("", old), seen(""), seen("")}, ""},
		{"IKEv2 is gone, its children are not", []tunnelView{seen("UP-ACTIVE", old), seen("UP-NO-IKE")}, EventLost},
		{"IKEv1 goes as it may", []tunnelView{seen("UP-ACTIVE", iosxe.IKESA{Version: 1, Status: "QM_IDLE"}), seen("UP-NO-IKE")}, ""},
		{"IKEv1 is lost", []tunnelView{seen("", iosxe.IKESA{Version: 1, Status: "QM_IDLE"}), seen("")}, EventLost},
		{"a rekey in time", []tunnelView{seen("UP-ACTIVE", sa("A", "READY", 23*time.Hour, "")), seen("UP-ACTIVE", sa("B", "READY", 0, ""))}, EventRekey},
		{"a rekey of the same session", []tunnelView{seen("UP-ACTIVE", sa("A", "READY", time.Hour, "7")), seen("UP-ACTIVE", sa("B", "READY", 0, "7"))}, EventRekey},
		{"both keys for a moment", []tunnelView{seen("UP-ACTIVE", old), seen("UP-ACTIVE", old, sa("B", "READY", 0, ""))}, EventRekey},
		{"the old key goes", []tunnelView{seen("UP-ACTIVE", old, sa("B", "READY", 0, "")), seen("UP-ACTIVE", sa("B", "READY", 9, ""))}, ""},
		{"lost and back between two looks", []tunnelView{seen("UP-ACTIVE", old), seen("UP-ACTIVE", sa("B", "READY", 0, ""))}, EventLost},
		{"another session", []tunnelView{seen("UP-ACTIVE", sa("A", "READY", 23*time.Hour, "7")), seen("UP-ACTIVE", sa("B", "READY", 0, "8"))}, EventLost},
		{"down from the first", []tunnelView{seen("DOWN"), seen("DOWN")}, ""},
		{"it comes up", []tunnelView{seen("DOWN"), seen("UP-ACTIVE", old)}, EventUp},
		{"a negotiation fails", []tunnelView{seen("DOWN"), seen("DOWN-NEGOTIATING", sa("B", "IN-NEG", 0, "")), seen("DOWN")}, EventFailed},
		{"a negotiation goes on", []tunnelView{seen("DOWN-NEGOTIATING", sa("B", "IN-NEG", 0, "")), seen("DOWN-NEGOTIATING", sa("B", "IN-NEG", 0, ""))}, ""},
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
