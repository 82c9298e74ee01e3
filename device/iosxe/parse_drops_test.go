package iosxe

import (
	"maps"
	"strings"
	"testing"
)

// counted are the counters of an output that are not zero.
func counted(all []DropCounter) map[string]uint64 {
	m := map[string]uint64{}
	for _, c := range all {
		if c.Packets > 0 {
			m[c.Name] += c.Packets
		}
	}
	return m
}

func TestDropsOfRecordedOutputs(t *testing.T) {
	tests := []struct {
		command, file string
		counters      int
		want          map[string]uint64
	}{
		{"show-qfp-drops", "genie-ShowPlatformHardwareQfpStatisticsDrop-output_active.txt", 5, map[string]uint64{
			"Ipv4NoAdj": 7, "Ipv4NoRoute": 181, "PuntPerCausePolicerDrops": 2003, "UidbNotCfgd": 466391,
			"UnconfiguredIpv4Fia": 6}},
		{"show-qfp-drops", "genie-ShowPlatformHardwareCppActiveStatisticsDrop-output.txt", 6, map[string]uint64{
			"BadUidbIdx": 59, "Ipv4AclLookupMiss": 1000, "Ipv4NoRoute": 41, "Ipv6NoRoute": 16, "UnconfiguredIpv4Fia": 2533,
			"UnconfiguredIpv6Fia": 3482}},
		{"show-ipsec-drops", "genie-ShowPlatformHardwareQfpActiveFeatureIpsecDatapathDropsAll-output.txt", 73,
			map[string]uint64{
				"IN_TUNNEL_US_V4_PKT_IPSEC_NO_KEEP": 1}},
		{"show-punt-policer", "genie-ShowPlatformSoftwarePuntPolicer-output.txt", 86, map[string]uint64{}},
		{"show-punt-causes", "genie-ShowPlatformHardwareQfpActiveInfraPuntStatTypePer-output.txt", 13,
			map[string]uint64{}},
		{"show-punt-causes",
			"genie-ShowPlatformHardwareQfpActiveInfrastructurePuntStatisticsTypePerCauseClear-output_1.txt", 4,
			map[string]uint64{}},
		{"show-control-plane-policy", "genie-ShowPolicyMapControlPlane-output1.txt", 13, nil},
		{"show-control-plane-policy", "genie-ShowPolicyMapControlPlane-output2.txt", 2,
			map[string]uint64{"input class TEST": 5}},
		{"show-control-plane-policy", "genie-ShowPolicyMapControlPlane-output3.txt", 2,
			map[string]uint64{"input class telnet-class": 9091}},
		{"show-interface", "genie-ShowInterfaces-output_3.txt", 5, map[string]uint64{}},
		{"show-ipsec-sa-detail", "genie-ShowCryptoIpsecSaPeerDetail-output.txt", 13, map[string]uint64{}},
		{"show-version", "genie-ShowVersion-output_c8000v.txt", 0, map[string]uint64{}},
	}
	for _, tt := range tests {
		all := ParseDrops(tt.command, sample(t, tt.file))
		if len(all) != tt.counters {
			t.Errorf("%s: %d counters, want %d: %v", tt.file, len(all), tt.counters, all)
		}
		if got := counted(all); tt.want != nil && !maps.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.file, got, tt.want)
		}
	}
}

// The shapes that no recorded output has in one place: an action on the line of the count, one
// below it, a class that drops all that it matches, one that lets pass what exceeds, a queue.
func TestPolicyDropsByAction(t *testing.T) {
	got := counted(ParsePolicyDrops(`
 GigabitEthernet1

  Service-policy output: WAN

    Class-map: IKE (match-any)
      9 packets, 900 bytes
      30 second offered rate 0000 bps, drop rate 0000 bps
      police:
          rate 10 pps, burst 2 packets
        conformed 2 packets, 200 bytes; actions:
          transmit
        exceeded 4 packets, 400 bytes; actions:
          drop
        violated 3 packets, 300 bytes; action:drop
    Class-map: SCAVENGER (match-any)
      6 packets, 600 bytes
      Match: dscp cs1 (8)
      drop
    Class-map: MARKED (match-any)
      5 packets, 500 bytes
      police:
          cir 8000 bps, bc 1500 bytes
        conformed 1 packets, 100 bytes; actions:
          transmit
        exceeded 4 packets, 400 bytes; actions:
          set-dscp-transmit af11
    Class-map: class-default (match-any)
      70 packets, 7000 bytes
      Queueing
      queue limit 64 packets
      (queue depth/total drops/no-buffer drops) 0/8/1
`))
	want := map[string]uint64{"output class IKE": 7, "output class SCAVENGER": 6, "output class class-default": 8}
	if !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// What was received of a cause and not handed on; what goes the other way does not count, nor what
// cannot be.
func TestPuntCausesThatWereNotHandedOn(t *testing.T) {
	got := counted(ParsePuntCauses(`Global Per Cause Statistics

  Per Punt Cause Statistics
  Counter ID  Punt Cause Name                           Received              Transmitted
  003         Layer2 control and legacy                 859                   859
  011         For-us data                               2482                  2475
  075         EPC                                       12                    20

  Per Inject Cause Statistics
  005         QFP <->RP keepalive                       303                   0
`))
	if want := map[string]uint64{"11 For-us data": 7}; !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestDeniedAndFaultsOfSAs(t *testing.T) {
	got := counted(ParseDenied("Extended IP access list WAN-IN in\n    10 permit udp any any eq isakmp (12 matches)\n" +
		"    20 deny udp any any eq non500-isakmp (4 matches)\n    30 deny   ip any any log (1 match)\n    40 deny esp " +
		"any any\n"))
	if want := map[string]uint64{"deny udp any any eq non500-isakmp": 4, "deny ip any any log": 1}; !maps.Equal(got,
		want) {
		t.Errorf("%v, want %v", got, want)
	}
	one := "    #pkts invalid identity (recv) 2, #pkts invalid len (rcv) 0\n    ##pkts replay failed (rcv): 3\n    " +
		"#pkts decaps: 9, #pkts verify failed: 1\n"
	got = counted(ParseSADrops(one + one))
	if want := map[string]uint64{"invalid identity (recv)": 4, "replay failed (rcv)": 6,
		"verify failed": 2}; !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// Nothing is made out of a refusal, an output that was cut anywhere, or a number
// that no counter has.
func TestDropsOfBadOutputs(t *testing.T) {
	for command := range dropReaders {
		for _, out := range []string{"", "% Invalid input detected at '^' marker.", strings.Repeat("9", 100),
			"Ipv4Acl    99999999999999999999999   1"} {
			if got := ParseDrops(command, out); len(got) != 0 {
				t.Errorf("%s of %q: %v", command, out, got)
			}
		}
	}
	whole := sample(t, "genie-ShowPlatformHardwareQfpStatisticsDrop-output_active.txt")
	for i := range whole {
		ParseDrops("show-qfp-drops", whole[:i])
	}
}
