package diagnose_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/scene"
	"github.com/moncap/moncap/device/iosxe"
)

// silentAuth has B answer IKE_SA_INIT, and none of five IKE_AUTH requests.
func silentAuth(s *scene.Scene) {
	a := s.SA(0)
	a.Open()
	s.Repeat(5, 0, 500, a.Sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, scene.SizeAuth), scene.Fate{})
	s.Wait(30 * time.Second)
	s.Noise(1)
}

// atControlPlane gives B a capture at its control plane that has what it sent, and of what it
// received the packets that keep says.
func atControlPlane(keep func(n int) bool, play func(*scene.Scene)) func(*scene.Scene) {
	return func(s *scene.Scene) {
		play(s)
		s.AtControlPlane(1, keep)
	}
}

func all(int) bool     { return true }
func nothing(int) bool { return false }

// said gives B outputs of shows before the capture, and after it.
func said(show, before, after string, play func(*scene.Scene)) func(*scene.Scene) {
	return func(s *scene.Scene) {
		play(s)
		if s.Side[1].Config == nil {
			s.Side[1].Config = map[string]string{}
		}
		s.Side[1].Config[iosxe.Before(show)], s.Side[1].Config[show] = before, after
	}
}

// heard has IKE of B count requests of IKE_SA_INIT, heardAuth those of IKE_AUTH.
func heard(before, after int, play func(*scene.Scene)) func(*scene.Scene) {
	return heardOf("IKE_SA_INIT", before, after, play)
}

func heardAuth(before, after int, play func(*scene.Scene)) func(*scene.Scene) {
	return heardOf("IKE_AUTH", before, after, play)
}

func heardOf(exchange string, before, after int, play func(*scene.Scene)) func(*scene.Scene) {
	row := func(n int) string {
		return fmt.Sprintf("%-30s%11d%11d%11d%11d\n", exchange, 84, 19343, n, 83)
	}
	return said("show-ikev2-stats-exchange", row(before), row(after), play)
}

// waited has IKE of B wait for somebody else's answer too often.
func waited(before, after int, play func(*scene.Scene)) func(*scene.Scene) {
	row := func(n int) string { return fmt.Sprintf("%-31s%10d\n", "EXT SERVICE TIMER", n) }
	return said("show-ikev2-stats-timeout", row(before), row(after), play)
}

// erred has IKE of B write errors: some that were there before, and others.
func erred(before, after string) func(*scene.Scene) {
	return said("show-event-trace-error", before, before+after, silentAuth)
}

const (
	anError = "*Nov 14 22:13:21.484: SA ID:1 SESSION ID:5 Remote: 192.168.1.1/500 Local: 192.168.2.1/500 Negotiation " +
		"aborted\n"
	oldError = "*Nov 14 20:00:00.000: SA ID:1 SESSION ID:4 Remote: 192.168.1.1/500 Local: 192.168.2.1/500 Negotiation " +
		"aborted\n"
	otherError = "*Nov 14 22:13:21.484: SA ID:1 SESSION ID:5 Remote: 192.168.9.9/500 Local: 192.168.2.1/500 Negotiation " +
		"aborted\n"
	nobodys = "*Nov 14 22:13:21.484: Failed to allocate memory\n"
)

// remoteIs is an error about an end.
func remoteIs(a netip.Addr, port uint16) string {
	return strings.Replace(anError, "192.168.1.1/500", fmt.Sprintf("%s/%d", a, port), 1)
}

// behindNAT has A behind a NAT that gives it a port, 0: its own, and IKE of B write an error about
// an end.
func behindNAT(port uint16, about netip.Addr, aboutPort uint16) func(*scene.Scene) {
	return func(s *scene.Scene) {
		s.Seen[0], s.Ports[0] = scene.NAT, port
		erred("", remoteIs(about, aboutPort))(s)
	}
}

var _ = add(ikeSaysCases)

func ikeSaysCases() []findingCase {
	const copp = "show-control-plane-policy"
	initAlone := func(n int) bool { return n == 0 }
	return []findingCase{
		{"control-plane-drop", hit, "the control plane has IKE_SA_INIT, and none of IKE_AUTH", atControlPlane(initAlone,
			silentAuth), map[string]any{"dropping_side": "B", "requests": 5, "came": 0, "confidence": "probable"}},
		{"control-plane-drop", near, "the control plane has some of them, which IKE does not answer",
			atControlPlane(func(n int) bool { return n < 3 }, silentAuth), nil},
		{"control-plane-drop", near, "some of them, in a capture there that was cut", func(s *scene.Scene) {
			atControlPlane(func(n int) bool { return n < 3 }, grew(1, copp, "COPP-VPN", 7, 12, silentAuth))(s)
			delete(s.Side[1].Config, "control-plane-show-capture-buffer")
		}, nil},
		{"control-plane-drop", near, "the capture there ended before that of the interfaces", func(s *scene.Scene) {
			atControlPlane(initAlone, silentAuth)(s)
			delete(s.Side[1].Config, "control-plane-show-capture-buffer")
		}, nil},
		{"control-plane-drop", hit, "the control plane has nothing of the tunnel", atControlPlane(nothing, silentPeer),
			map[string]any{"came": 0, "confidence": "possible"}},
		{"control-plane-drop", hit, "nothing there, and the policy dropped as many",
			atControlPlane(nothing, grew(1, copp, "COPP-VPN", 7, 12, silentPeer)),
			map[string]any{"came": 0, "dropped": 5, "confidence": "probable"}},
		{"control-plane-drop", near, "the control plane has them all", atControlPlane(all,
			grew(1, copp, "COPP-VPN", 7, 12, silentPeer)), nil},
		{"control-plane-drop", near, "the capture there lost packets itself", func(s *scene.Scene) {
			atControlPlane(initAlone, silentAuth)(s)
			s.Side[1].Config["control-plane-show-capture-buffer"] = scene.ControlPlaneBuffer(2, 1)
		}, nil},
		{"control-plane-drop", near, "the capture there was cut", func(s *scene.Scene) {
			atControlPlane(initAlone, silentAuth)(s)
			s.Side[1].Config["control-plane-show-capture-buffer"] = scene.ControlPlaneBuffer(3, 0)
		}, nil},
		{"control-plane-drop", near, "the capture there takes nothing, not even what the router sent", func(s *scene.Scene) {
			atControlPlane(nothing, silentAuth)(s)
			s.Side[1].Config["control-plane-show-capture-buffer"] = scene.ControlPlaneBuffer(0, 0)
			s.Side[1].Config["control-plane-show-capture-dump"] = ""
		}, nil},
		{"control-plane-drop", near, "the sender's control plane", func(s *scene.Scene) {
			silentPeer(s)
			s.AtControlPlane(0, nothing)
		}, nil},
		{"control-plane-drop", none, "the tunnel comes up, whatever came", atControlPlane(initAlone, scene.Healthy), nil},
		{"control-plane-drop", hit, "far more of everybody's, and IKE counted none",
			heard(20740, 20740, grew(1, copp, "class-default", 0, 9000, silentPeer)),
			map[string]any{"heard": 0, "confidence": "probable"}},
		{"control-plane-drop", near, "far more of everybody's, and IKE counted as many",
			heard(20740, 20745, grew(1, copp, "class-default", 0, 9000, silentPeer)), nil},
		{"control-plane-drop", near, "IKE counted none, and nothing was dropped", heard(20740, 20740, silentPeer), nil},
		{"control-plane-drop", near, "IKE's counters were cleared meanwhile",
			heard(20740, 0, grew(1, copp, "class-default", 0, 9000, silentPeer)), nil},
		{"control-plane-drop", hit, "as many were dropped, and IKE counted as many",
			heard(20740, 20745, grew(1, copp, "COPP-VPN", 7, 12, silentPeer)),
			map[string]any{"heard": 5, "confidence": "possible"}},
		{"control-plane-drop", hit, "the punt path did not hand them on",
			grew(1, "show-punt-causes", "For-us data", 3, 8, silentPeer),
			map[string]any{"dropped": 5, "counters": []any{"11 For-us data"}, "confidence": "probable"}},
		{"control-plane-drop", near, "the punt path did not hand on something else",
			grew(1, "show-punt-causes", "ARP request or response", 3, 8, silentPeer), nil},

		{"external-service-timeout", hit, "AAA does not answer", waited(7, 8, silentAuth),
			map[string]any{"waiting_side": "B", "timeouts": 1, "confidence": "probable"}},
		{"external-service-timeout", hit, "it often does not", waited(7, 900, silentAuth),
			map[string]any{"confidence": "possible"}},
		{"external-service-timeout", hit, "IKE counted others' requests as well",
			heardAuth(100, 140, waited(7, 8, silentAuth)), map[string]any{"confidence": "possible"}},
		{"external-service-timeout", hit, "IKE counted no others'",
			heardAuth(100, 105, waited(7, 8, silentAuth)), map[string]any{"confidence": "probable"}},
		{"external-service-timeout", near, "IKE counted no request: it waited for another's answer",
			heardAuth(100, 100, waited(7, 8, silentAuth)), nil},
		{"external-service-timeout", near, "the request never came to the control plane",
			atControlPlane(initAlone, waited(7, 8, silentAuth)), nil},
		{"external-service-timeout", hit, "the request came to the control plane",
			atControlPlane(all, waited(7, 8, silentAuth)), map[string]any{"confidence": "probable"}},
		{"external-service-timeout", near, "the timer ran out before", waited(7, 7, silentAuth), nil},
		{"external-service-timeout", near, "the counters were cleared", waited(7, 1, silentAuth), nil},
		{"external-service-timeout", near, "it is IKE_SA_INIT that is not answered", waited(7, 8, silentPeer), nil},
		{"external-service-timeout", none, "the tunnel comes up", waited(7, 8, scene.Healthy), nil},
		{"peer-not-answering", hit, "IKE waits for AAA", waited(7, 8, silentAuth),
			map[string]any{"caused_by": "external-service-timeout"}},

		{"router-says-why", hit, "about the peer", erred(oldError, anError), map[string]any{"side": "B", "count": 1,
			"confidence": "certain", "errors": []any{strings.TrimPrefix(strings.TrimSpace(
				strings.Replace(anError, "SA ID:1 SESSION ID:5 Remote: 192.168.1.1/500 Local: 192.168.2.1/500 ",
					"Remote: 192.168.1.1 ", 1)), "*")}}},
		{"router-says-why", hit, "it names nobody", erred("", nobodys), map[string]any{"confidence": "possible"}},
		{"router-says-why", hit, "the binary trace", func(s *scene.Scene) {
			silentAuth(s)
			s.Side[1].Config = map[string]string{"show-binary-trace": "2026/05/08 08:16:35.632007249 {iosrp_R0-0}{1}: [ikev2] " +
				"[6472]: (ERR): no profile for 192.168.1.1:500\n"}
		}, map[string]any{"confidence": "certain", "count": 1}},
		{"router-says-why", hit, "about the address of a NAT, behind which others may be", behindNAT(0, scene.NAT, 500),
			map[string]any{"confidence": "probable", "count": 1}},
		{"router-says-why", hit, "about the port that the NAT gave the peer", behindNAT(62034, scene.NAT, 62034),
			map[string]any{"confidence": "certain", "count": 1}},
		{"router-says-why", hit, "about another port of the NAT", behindNAT(62034, scene.NAT, 62035),
			map[string]any{"confidence": "probable", "count": 1}},
		{"router-says-why", hit, "about the address behind the NAT", behindNAT(0, scene.A, 500),
			map[string]any{"confidence": "certain", "count": 1}},
		{"router-says-why", hit, "about the address that a NAT gives by the inventory", func(s *scene.Scene) {
			s.Side[0].Address, s.Side[0].NATAddress = netip.MustParseAddr("10.1.1.1"), scene.A
			erred("", anError)(s)
		}, map[string]any{"confidence": "probable", "count": 1}},
		{"router-says-why", hit, "one line about the port of the peer, one about another", func(s *scene.Scene) {
			behindNAT(62034, scene.NAT, 62034)(s)
			s.Side[1].Config["show-event-trace-error"] += remoteIs(scene.NAT, 62035)
		}, map[string]any{"confidence": "probable", "count": 2}},
		{"router-says-why", near, "it was there before", erred(anError, ""), nil},
		{"router-says-why", near, "about another peer", erred("", otherError), nil},
		{"router-says-why", near, "about another peer, and its text names this one", erred("",
			strings.Replace(otherError, "aborted", "aborted, 192.168.1.1 has it", 1)), nil},
		{"router-says-why", near, "it was read once only", func(s *scene.Scene) {
			erred("", anError)(s)
			delete(s.Side[1].Config, iosxe.Before("show-event-trace-error"))
		}, nil},
		{"router-says-why", none, "the tunnel comes up", said("show-event-trace-error", "", anError, scene.Healthy), nil},
	}
}

// Where the control plane has every request, it is IKE that is silent, whatever the counters say.
func TestControlPlaneThatHasThemAll(t *testing.T) {
	s := scene.New(t)
	atControlPlane(all, grew(1, "show-control-plane-policy", "COPP-VPN", 7, 12, silentPeer))(s)
	found := scene.Flatten(t, s.Compare()).Of("peer-not-answering")
	if len(found) != 1 || !strings.Contains(found[0]["explanation"].(string),
		"Its control plane was handed every one of them") {
		t.Errorf("%v", found)
	}
}

// What stands before IKE is not advised where every request, or every answer, is proven to have
// come to IKE, and is where nothing proves it.
func TestWhatReachedIKEIsNotLookedForBeforeIt(t *testing.T) {
	half := func(n int) bool { return n%2 == 0 }
	handed := func(play func(*scene.Scene)) func(*scene.Scene) {
		return traced(1, false, "PUNT 11  (For-us data)", "", 1, play)
	}
	ignored := func(s *scene.Scene) {
		a := s.SA(1)
		init, answer := a.Init(false, scene.Proposals(scene.GCM(19))), a.Init(true, scene.Proposals(scene.GCM(19)))
		for range 4 {
			s.IKE(1, 500, init)
			s.IKE(0, 500, answer)
			s.Wait(2 * time.Second)
		}
		s.Noise(1)
	}
	for name, c := range map[string]struct {
		code   string
		play   func(*scene.Scene)
		before bool
	}{
		"nobody looked":            {"peer-not-answering", silentPeer, true},
		"all came, by a capture":   {"peer-not-answering", atControlPlane(all, silentPeer), false},
		"all came, by a trace":     {"peer-not-answering", handed(silentPeer), false},
		"some came":                {"peer-not-answering", atControlPlane(half, silentPeer), true},
		"IKE_AUTH, nobody looked":  {"peer-not-answering", silentAuth, true},
		"IKE_AUTH came":            {"peer-not-answering", atControlPlane(all, silentAuth), false},
		"answers, nobody looked":   {"response-ignored", ignored, true},
		"answers came, a capture":  {"response-ignored", atControlPlane(all, ignored), false},
		"answers, some of them do": {"response-ignored", atControlPlane(half, ignored), true},
	} {
		t.Run(name, func(t *testing.T) {
			s := scene.New(t)
			c.play(s)
			r := s.Compare()
			scene.Sound(t, r)
			for _, f := range r.Findings {
				if f.Code != c.code {
					continue
				}
				said := fmt.Sprint(f.Actions)
				for _, word := range []string{"access-lists", "policing", "policy-map control-plane"} {
					if strings.Contains(said, word) != c.before {
						t.Errorf("%q: %t in %s", word, !c.before, said)
					}
				}
				return
			}
			t.Fatalf("no %s", c.code)
		})
	}
}

// A file of one capture point at the interface and the control plane holds every packet for the
// router twice. Copies within milliseconds are no retransmissions.
func TestCopiesOfTheControlPlaneAreNoRetransmissions(t *testing.T) {
	s := scene.New(t)
	s.Twins[1] = true
	scene.Healthy(s)
	flat := scene.Flatten(t, s.Compare())
	if len(flat.Of("capture-duplicates")) == 0 || len(flat.Of("tunnel-established")) == 0 {
		t.Errorf("%v", flat)
	}
	for _, code := range []string{"control-plane-drop", "response-ignored", "path-loss", "retransmissions-exhausted"} {
		if found := flat.Of(code); len(found) > 0 {
			t.Errorf("%s: %v", code, found)
		}
	}
}

// However much a router wrote of one error, a report quotes what can be read.
func TestEndlessErrorIsQuotedInPart(t *testing.T) {
	s := scene.New(t)
	erred("", strings.Replace(anError, "aborted", "aborted"+strings.Repeat(" again", 1000), 1))(s)
	found := scene.Flatten(t, s.Compare()).Of("router-says-why")
	if len(found) != 1 {
		t.Fatal(found)
	}
	errors := found[0]["errors"].([]any)
	if said := found[0]["explanation"].(string); len(said) > 1000 || len(errors) != 1 || len(errors[0].(string)) > 500 ||
		!strings.Contains(said, "Negotiation aborted again") {
		t.Errorf("%d characters: %.200s", len(said), said)
	}
}
