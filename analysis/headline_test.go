package analysis_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/moncap/moncap/analysis/scene"
)

// What an operator reads first, and perhaps alone: a whole sentence that names the sides, without
// the reasoning behind it.
func TestHeadlines(t *testing.T) {
	const a, b = "site-a (192.168.1.1)", "site-b (192.168.2.1)"
	for name, want := range map[string]string{
		"psk-mismatch":            b + " refused the authentication of " + a + ", as the size of its answer tells.",
		"child-proposal-mismatch": "The IKE SA came up, and " + b + " refused the child SA, as the size of its answer tells.",
		"ike-fragment-lost":       "Of the 2 IKE fragments of an IKE_AUTH of " + a + ", 1 never arrives at " + b + ".",
		"late-answer": a + " began an IKEv2 negotiation with " + b +
			" and it came up, on UDP 500. But: the path held the IKE_SA_INIT response of " + b +
			" for 1.2 s, so that site-a asked again.",
		"ipv6": "site-a (fd00:1::1) began an IKEv2 negotiation with site-b (fd00:2::1) and it came up, on UDP 500. But: " +
			"the path held the IKE_SA_INIT request of site-a (fd00:1::1) for 1.0 s, so that site-a asked again.",
	} {
		if got := variants()[0].compare(t, name).Verdict.Headline; got != want {
			t.Errorf("%s:\n%s\nwant:\n%s", name, got, want)
		}
	}
	for _, name := range incidents(t) {
		if h := variants()[0].compare(t, name).Verdict.Headline; len(h) > 240 || !strings.HasSuffix(h, ".") ||
			strings.Contains(h, "plaintext") {
			t.Errorf("%s: %d letters: %s", name, len(h), h)
		}
	}
}

// A negotiation that a NAT moved to a port which no capture holds is not told as one that stopped.
func TestHeadlineOfAnUnseenPort(t *testing.T) {
	s := scene.New(t)
	s.Seen[0] = scene.NAT
	s.SA(0).Open()
	v := s.Compare().Verdict
	if v.Outcome != "inconclusive" || !strings.Contains(v.Headline, "UDP 4500") {
		t.Errorf("%s: %s", v.Outcome, v.Headline)
	}
}

// IKEv1 has messages of a mode and its own commands.
func TestRepeatedMessagesOfIKEv1(t *testing.T) {
	for _, f := range variants()[0].compare(t, "ikev1-psk-mismatch").Findings {
		if f.Code != "retransmissions-exhausted" {
			continue
		}
		if want := "site-a (192.168.1.1) sent a Main Mode message 4 times until the capture ended."; f.Explanation != want {
			t.Errorf("%s; want %s", f.Explanation, want)
		}
		if c := strings.Join(f.Actions[0].Commands, "; "); strings.Contains(c, "ikev2") ||
			!strings.Contains(c, "show crypto isakmp sa") {
			t.Errorf("to do: %s", c)
		}
		return
	}
	t.Error("nothing was repeated")
}

// RFC 9329 carries IKE and ESP in TCP, and whoever reads the verdict looks for the port there.
func TestHeadlineOfTCP(t *testing.T) {
	r := compareField(t, "lsw-lsw-tcp-rfc9329", "")
	if !strings.Contains(r.Verdict.Headline, "on TCP 4500.") {
		t.Error(r.Verdict.Headline)
	}
	if len(r.Flows) == 0 {
		t.Error("no ESP")
	}
	for _, f := range r.Flows {
		if f.Encapsulation != "tcp" {
			t.Errorf("%s is in %s", f.SPI, f.Encapsulation)
		}
	}
}

// Of captures without times nobody knows how long anything took.
func TestNoTimesAreInvented(t *testing.T) {
	for _, v := range variants() {
		if !strings.HasSuffix(v.name, "without times") {
			continue
		}
		for _, name := range []string{"healthy", "blocked-b-to-a"} {
			for _, f := range v.compare(t, name).Findings {
				if ms := f.Fields["setup_time_ms"]; ms != nil || strings.Contains(f.Explanation, "It took") {
					t.Errorf("%s, %s: %s: %v ms: %s", name, v.name, f.Code, ms, f.Explanation)
				}
				if gaps, ok := f.Fields["intervals_ms"]; ok && fmt.Sprint(gaps) != "[]" {
					t.Errorf("%s, %s: intervals of %v ms", name, v.name, gaps)
				}
			}
		}
	}
}
