package diagnose_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/scene"
	"github.com/moncap/moncap/device/iosxe"
)

// counters are outputs of the shows that count drops, each of one counter with that
// number of packets.
func counters(show, name string, packets int) (command, out string) {
	switch show {
	case "show-control-plane-policy", "show-interface-policy":
		return show, fmt.Sprintf("  Service-policy %s\n    Class-map: %s (match-any)\n      police:\n        exceeded %d "+
			"packets, 9 bytes; actions:\n          drop\n",
			map[bool]string{true: "input: COPP", false: "output: WAN"}[show == "show-control-plane-policy"], name, packets)
	case "show-punt-policer":
		return show, fmt.Sprintf(" %s          40000    1000     0                0                %-16d 0                "+
			"40000    1000     Off      Off\n", name, packets)
	case "show-punt-causes":
		number := map[string]int{"For-us data": 11}[name]
		return show, fmt.Sprintf("  Per Punt Cause Statistics\n  %03d         %-42s%-22d%d\n", number, name, 900+packets, 900)
	case "show-ipsec-sa-detail":
		return show, fmt.Sprintf("    #pkts %s: %d\n", name, packets)
	case "show-ipsec-drops":
		return show, fmt.Sprintf("        1  %-40s %20d\n", name, packets)
	}
	return show, fmt.Sprintf("%-30s%19d%24d  \n", name, packets, packets*100)
}

// grew gives a side counters that stood at before when the run began, and at after when it ended.
func grew(side int, show, name string, before, after int, play func(*scene.Scene)) func(*scene.Scene) {
	return func(s *scene.Scene) {
		play(s)
		if s.Side[side].Config == nil {
			s.Side[side].Config = map[string]string{}
		}
		_, s.Side[side].Config[iosxe.Before(show)] = counters(show, name, before)
		_, s.Side[side].Config[show] = counters(show, name, after)
	}
}

// A silent peer whose counters stand still is silent itself, and only then.
func TestSilenceAndCounters(t *testing.T) {
	const sentence = "IKE itself does not answer"
	for _, after := range []int{7, 12} {
		s := scene.New(t)
		grew(1, "show-control-plane-policy", "COPP-VPN", 7, after, silentPeer)(s)
		found := scene.Flatten(t, s.Compare()).Of("peer-not-answering")
		if len(found) != 1 {
			t.Fatal(found)
		}
		if said := strings.Contains(found[0]["explanation"].(string), sentence); said != (after == 7) {
			t.Errorf("from 7 to %d: %s", after, found[0]["explanation"])
		}
	}
}

// traced gives a side a packet trace of what it receives, or of what it sent, with one verdict for
// all, at the times of the capture.
func traced(side int, sent bool, state, feature string, every int, play func(*scene.Scene)) func(*scene.Scene) {
	return func(s *scene.Scene) {
		play(s)
		if s.Side[side].Config == nil {
			s.Side[side].Config = map[string]string{}
		}
		s.Side[side].Config["show-traced-packets"] = s.Traced(side, sent, state, feature, every)
	}
}

// A trace that has every request handed to the control plane says that IKE is silent, whatever the
// counters say.
func TestTraceThatHandsOver(t *testing.T) {
	s := scene.New(t)
	traced(1, false, "PUNT 11  (For-us data)", "", 1,
		grew(1, "show-control-plane-policy", "COPP-VPN", 7, 12, silentPeer))(s)
	flat := scene.Flatten(t, s.Compare())
	found := flat.Of("peer-not-answering")
	if len(found) != 1 ||
		!strings.Contains(found[0]["explanation"].(string), "handed to the control plane (PUNT 11 (For-us data))") ||
		len(flat.Of("control-plane-drop")) != 0 {
		t.Errorf("%v", found)
	}
}

func silentPeer(s *scene.Scene) {
	s.Repeat(5, 0, 500, s.SA(0).Init(false, scene.Proposals(scene.GCM(19))), scene.Fate{})
	s.Wait(30 * time.Second)
	s.Noise(1)
}

var _ = add(insideCases)

func insideCases() []findingCase {
	silent := silentPeer
	const copp, sad = "show-control-plane-policy", "show-ipsec-sa-detail"
	return []findingCase{
		{"control-plane-drop", hit, "as many as arrived", grew(1, copp, "COPP-VPN", 7, 12, silent), map[string]any{
			"dropping_side": "B", "dropped": 5, "requests": 5, "confidence": "probable"}},
		{"control-plane-drop", hit, "the access list's data plane counter",
			grew(1, "show-qfp-drops", "Ipv4Acl", 0, 6, silent), map[string]any{
				"dropping_side": "B", "confidence": "probable"}},
		{"control-plane-drop", near, "far more of everybody's", grew(1, copp, "class-default", 0, 9000, silent), nil},
		{"control-plane-drop", hit, "far more, by a name of IKE", grew(1, copp, "COPP-ISAKMP", 0, 9000, silent),
			map[string]any{"confidence": "probable"}},
		{"control-plane-drop", near, "fewer than arrived: one passed, and was not answered",
			grew(1, copp, "COPP-VPN", 7, 11, silent), nil},
		{"control-plane-drop", near, "cleared meanwhile", grew(1, copp, "COPP-VPN", 900, 5, silent), nil},
		{"control-plane-drop", near, "the other router's", grew(0, copp, "COPP-VPN", 7, 12, silent), nil},
		{"control-plane-drop", near, "another cause of the punt policer",
			grew(1, "show-punt-policer", "7    ARP request or response", 7, 12, silent), nil},
		{"control-plane-drop", hit, "a packet trace, without any counter",
			traced(1, false, "DROP 183 (FirewallPolicy)", "ZBFW", 1, silent), map[string]any{
				"dropping_side": "B", "dropped": 5, "requests": 5, "confidence": "certain",
				"trace": []any{"DROP 183 (FirewallPolicy)"}}},
		{"control-plane-drop", hit, "a packet trace of some of them", traced(1, false, "DROP 8   (Ipv4Acl)", "", 2, silent),
			map[string]any{
				"dropped": 3, "confidence": "certain", "trace": []any{"DROP 8 (Ipv4Acl)"}}},
		{"control-plane-drop", near, "the trace has them all handed over",
			traced(1, false, "PUNT 11  (For-us data)", "", 1, grew(1, copp, "COPP-VPN", 7, 12, silent)), nil},
		{"control-plane-drop", near, "a trace of the sender, whose packets left", traced(0, true, "FWD", "", 1, silent), nil},
		{"control-plane-drop", near, "counted once only", func(s *scene.Scene) {
			grew(1, copp, "COPP-VPN", 7, 12, silent)(s)
			delete(s.Side[1].Config, iosxe.Before(copp))
		}, nil},
		{"control-plane-drop", none, "the tunnel comes up", grew(1, copp, "COPP-VPN", 7, 12, scene.Healthy), nil},

		{"egress-drop", hit, "output policy", grew(0, "show-interface-policy", "class-default", 3, 5, lossyStart),
			map[string]any{
				"direction": "A->B", "lost": 1, "dropped": 2, "confidence": "probable"}},
		{"egress-drop", hit, "a busy link", grew(0, "show-qfp-drops", "TailDrop", 3, 5000, lossyStart),
			map[string]any{"confidence": "possible"}},
		{"egress-drop", hit, "a packet trace of the sender", traced(0, true, "DROP 21  (TailDrop)", "QOS", 1, lossyStart),
			map[string]any{
				"direction": "A->B", "lost": 1, "confidence": "certain", "trace": []any{"DROP 21 (TailDrop)"}}},
		{"egress-drop", near, "the trace has it forwarded", traced(0, true, "FWD", "", 1, lossyStart), nil},
		{"egress-drop", near, "the receiver's queue", grew(1, "show-interface-policy", "class-default", 3, 5, lossyStart),
			nil},
		{"egress-drop", none, "nothing is lost", grew(0, "show-interface-policy", "class-default", 3, 5, scene.Healthy), nil},

		{"ipsec-drop", hit, "of the SAs with this peer", grew(1, sad, "replay failed (rcv)", 3, 9, oneWay(10, time.Second)),
			map[string]any{
				"dropping_side": "B", "dropped": 6, "confidence": "probable"}},
		{"ipsec-drop", hit, "of everybody's", grew(1, "show-ipsec-drops", "IN_CRYPTO_THRPUT_POLICY_DROP", 3, 9,
			oneWay(10, time.Second)), map[string]any{"confidence": "possible"}},
		{"esp-one-way", hit, "IPsec drops what arrives", grew(1, sad, "replay failed (rcv)", 3, 9, oneWay(10, time.Second)),
			map[string]any{"caused_by": "ipsec-drop"}},
		{"ipsec-drop", hit, "a packet trace", func(s *scene.Scene) {
			oneWay(10, time.Second)(s)
			s.Side[1].Config = map[string]string{"show-traced-packets": scene.TracedESP("192.168.1.1", "192.168.2.1",
				"DROP 51  (IpsecInput)")}
		}, map[string]any{"dropping_side": "B", "dropped": 1, "confidence": "certain",
			"trace": []any{"DROP 51 (IpsecInput)"}}},
		{"ipsec-drop", near, "the trace drops somebody else's", func(s *scene.Scene) {
			oneWay(10, time.Second)(s)
			s.Side[1].Config = map[string]string{"show-traced-packets": scene.TracedESP("192.168.1.99", "192.168.2.1",
				"DROP 51  (IpsecInput)")}
		}, nil},
		{"ipsec-drop", near, "a packet that starts IKE is dropped by design",
			grew(1, "show-ipsec-drops", "OUT_V4_PKT_HIT_IKE_START_SP", 3, 9, oneWay(10, time.Second)), nil},
		{"ipsec-drop", none, "no protected traffic", grew(1, sad, "replay failed (rcv)", 3, 9, silent), nil},

		{"capture-punt-policed", hit, "captured packets were dropped",
			grew(1, "show-punt-policer", "75    EPC", 0, 994, scene.Healthy), map[string]any{"side": "B", "dropped": 994}},
		{"capture-punt-policed", near, "before the run", grew(1, "show-punt-policer", "75    EPC", 994, 994, scene.Healthy),
			nil},
		{"capture-punt-policed", none, "nothing was counted", scene.Healthy, nil},
	}
}
