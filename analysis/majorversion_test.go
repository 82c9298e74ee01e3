package analysis_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/scene"
)

// ofVersion is an initial request with another major version in its header.
func ofVersion(a *scene.SA, version int) []byte {
	m := a.Init(false, scene.Proposals(scene.GCM(19)))
	m[17] = byte(version << 4)
	return m
}

// Anybody can send a message of a version that nobody speaks, in whoever's name: a tunnel that
// works is none the worse, whether it is answered with INVALID_MAJOR_VERSION (RFC 7296, Section
// 2.5) or not, and the document names the version that the header does.
func TestOtherMajorVersions(t *testing.T) {
	for _, version := range []int{0, 3, 4, 7, 15} {
		for n := range 16 {
			from, refused, spoofed, port := n&1, n>>1&1 == 1, n>>2&1 == 1, uint16(500)
			if n>>3&1 == 1 {
				port = 4500
			}
			name := fmt.Sprintf("%d/%d, refused %v, spoofed %v, UDP %d", version, from, refused, spoofed, port)
			t.Run(name, func(t *testing.T) {
				s := scene.New(t)
				if n%3 == 0 {
					s.Addr = scene.SixAddr
				}
				up := s.SA(0).Up()
				s.GoOn(1, 10, 100*time.Millisecond, scene.Passes)
				x := s.SA(from)
				fate := scene.Fate{Hidden: spoofed} // a scanner in the peer's name: the peer's capture has none of it
				s.IKE(from, port, ofVersion(x, version), fate)
				if refused {
					s.IKE(1-from, port, x.Refusal(ike.InvalidMajorVersion))
				}
				s.Wait(3 * time.Second)
				s.GoOn(11, 10, 100*time.Millisecond, scene.Passes)
				up.DPD(1)
				s.Alone = version == 4
				r := s.Compare()
				scene.Sound(t, r)
				if r.Verdict.ExitCode != 0 {
					t.Errorf("exit %d: %v", r.Verdict.ExitCode, codes(r))
				}
				if c := r.Conversations; !s.Alone && (c[0].Version != 2 || len(c) < 2 || c[1].Version != version) {
					t.Errorf("%d conversations, want one of version %d behind the tunnel's", len(c), version)
				}
			})
		}
	}
}

// Nor is it the cause where a tunnel fails: that such a message is refused is as it must be.
func TestOtherMajorVersionIsNoCause(t *testing.T) {
	for from := range 2 {
		s := scene.New(t)
		x := s.SA(1 - from)
		s.IKE(1-from, 500, ofVersion(x, 3))
		s.IKE(from, 500, x.Refusal(ike.InvalidMajorVersion))
		s.Wait(time.Second)
		a := s.SA(from)
		s.IKE(from, 500, a.Init(false, scene.Proposals(scene.GCM(19))))
		s.IKE(1-from, 500, a.Refusal(ike.NoProposalChosen))
		s.Wait(2 * time.Second)
		r := s.Compare()
		scene.Sound(t, r)
		if r.Verdict.ExitCode != 2 || r.Findings[0].Code != "ike-proposal-mismatch" {
			t.Errorf("from %d: exit %d: %v", from, r.Verdict.ExitCode, codes(r))
		}
	}
}
