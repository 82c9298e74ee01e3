package analysis

import (
	"net/netip"
	"strings"
	"testing"
)

// A side that goes on from another address of its own moved; what a NAT makes of an address is no move.
func TestAMoveIsTold(t *testing.T) {
	moved := netip.MustParseAddr("192.168.1.9")
	told := func(change func(*scene)) string {
		s := newScene(t)
		a := s.sa(0).up()
		s.traffic(3, false)
		change(s)
		a.dpd(0)
		for _, f := range s.compare().Findings {
			if f.Code == "tunnel-established" {
				return f.Explanation
			}
		}
		t.Fatal("no tunnel")
		return ""
	}
	if text := told(func(s *scene) { s.addr[0] = moved }); !strings.Contains(text, "Site-a moved from 192.168.1.1 to 192.168.1.9 at 22:13:2") {
		t.Errorf("moved: %s", text)
	}
	for name, change := range map[string]func(*scene){"stays": func(*scene) {}, "translated anew": func(s *scene) { s.seen[0] = sceneNAT }} {
		if text := told(change); strings.Contains(text, "moved") {
			t.Errorf("%s: %s", name, text)
		}
	}
}
