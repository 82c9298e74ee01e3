package simulator

import (
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
)

var debugBlock = regexp.MustCompile(
	`IKEv2:\(SESSION ID = \d+,SA ID = \d+\):(?:Sending Packet \[To \S+/From|Received Packet \[From \S+/To) \S+/VRF i0:f0\] \n` +
		`Initiator SPI : [0-9A-F]{16} - Responder SPI : [0-9A-F]{16} Message id: \d+\nIKEv2 IKE_\S+ Exchange (?:REQUEST|RESPONSE) \nPayload contents: \n [A-Z][^\n]* \n`)

func TestDebugIsAsRecorded(t *testing.T) {
	if got := debugBlock.FindAllString(sample(t, "debug-crypto-ikev2-plain-xe16.7.txt"), -1); len(got) < 2 {
		t.Errorf("recorded %d times", len(got))
	}
}

// The debug speaks of the packets that pass, and of those of the peer alone when a
// condition names one.
func TestDebugFollowsPackets(t *testing.T) {
	for condition, want := range map[string][]string{
		"": {"Sending Packet [To 192.168.2.1:500/From 192.168.1.1:500",
			"Received Packet [From 192.168.2.1:500/To 192.168.1.1:500",
			"Sending Packet [To 192.168.2.1:4500/From 192.168.1.1:4500",
			"Received Packet [From 192.168.2.1:4500/To 192.168.1.1:4500"},
		"192.168.2.9": nil,
	} {
		synctest.Test(t, func(t *testing.T) {
			a, b := incident(t, "nat")
			pair, err := NewPair(a, b, 1)
			if err != nil {
				t.Fatal(err)
			}
			r := start(t, Config{Packets: pair.A()})
			if condition != "" {
				r.Type("debug crypto condition peer ipv4 " + condition)
			}
			r.Type("debug crypto ikev2")
			for _, router := range []*Router{r, start(t, Config{Hostname: "site-B", Packets: pair.B()})} {
				router.Type("monitor capture x match any interface gi1 both buffer size 10", "monitor capture x start")
			}
			<-pair.Replayed()
			blocks := debugBlock.FindAllString(strings.ReplaceAll(r.Type("show logging"), "\r\n", "\n"), -1)
			if len(blocks) != len(want) {
				t.Fatalf("condition %q: %d blocks: %q", condition, len(blocks), blocks)
			}
			for i, w := range want {
				if !strings.Contains(blocks[i], w) || strings.Contains(blocks[i], "ENCR") != (i >= 2) {
					t.Errorf("block %d: %s", i+1, blocks[i])
				}
			}
		})
	}
}
