package diagnose_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/scene"
)

// A side that goes on from another address of its own moved; what a NAT makes of an
// address is no move.
func TestAMoveIsTold(t *testing.T) {
	moved := netip.MustParseAddr("192.168.1.9")
	told := func(change func(*scene.Scene)) string {
		s := scene.New(t)
		a := s.SA(0).Up()
		s.Traffic(3, false)
		change(s)
		a.DPD(0)
		for _, f := range s.Compare().Findings {
			if f.Code == "tunnel-established" {
				return f.Explanation
			}
		}
		t.Fatal("no tunnel")
		return ""
	}
	if text := told(func(s *scene.Scene) { s.Addr[0] = moved }); !strings.Contains(text,
		"Site-a moved from 192.168.1.1 to 192.168.1.9 at 22:13:2") {
		t.Errorf("moved: %s", text)
	}
	for name, change := range map[string]func(*scene.Scene){"stays": func(*scene.Scene) {},
		"translated anew": func(s *scene.Scene) { s.Seen[0] = scene.NAT }} {
		if text := told(change); strings.Contains(text, "moved") {
			t.Errorf("%s: %s", name, text)
		}
	}
}

// A responder whose first answer comes from another address than was asked has not moved there and
// back.
func TestAnAnswerFromElsewhereIsNoMove(t *testing.T) {
	for _, addresses := range [][2]netip.Addr{{scene.A, scene.B}, scene.SixAddr} {
		s := scene.New(t)
		s.Addr = addresses
		other := addresses[1].Next()
		a := s.SA(0)
		s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))))
		s.Addr[1] = other
		s.IKEFrom(1, 500, a.Init(true, scene.Proposals(scene.GCM(19))))
		s.Addr[1] = addresses[1]
		a.Auth(ike.PayloadIDr, scene.SizeAnswer)
		a.DPD(0)
		want := "was asked at " + addresses[1].String() + " and answered an IKE_SA_INIT from " + other.String()
		found := false
		for _, f := range s.Compare().Findings {
			if f.Code == "tunnel-established" {
				found = true
				if !strings.Contains(f.Explanation, want) || strings.Contains(f.Explanation, "moved") {
					t.Errorf("%s, want %q", f.Explanation, want)
				}
			}
		}
		if !found {
			t.Error("no tunnel")
		}
	}
}
