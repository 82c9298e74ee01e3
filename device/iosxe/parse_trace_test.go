package iosxe

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestTraceSummariesOfRecordedOutputs(t *testing.T) {
	for _, tt := range []struct {
		file      string
		packets   int
		last      TracedPacket
		lastWords string
	}{
		{"genie-ShowPlatformPacketSumm-1.txt", 5, TracedPacket{Number: 4, Input: "Gi0/0/1", Output: "Gi0/0/0", State: "FWD",
			Code: -1}, "FWD"},
		{"genie-ShowPlatformPacketSumm-2.txt", 16, TracedPacket{Number: 15, Input: "Vl120", Output: "internal0/0/rp:0",
			State: "PUNT", Code: 129,
			Reason: "wls 802.11 Packets to LFTS"}, "PUNT 129 (wls 802.11 Packets to LFTS)"},
		{"genie-ShowPlatformPacketSumm-3.txt", 15, TracedPacket{Number: 14, Input: "INJ.9", Output: "Gi1", State: "FWD",
			Code: -1}, "FWD"},
	} {
		all := ParseTraceSummary(sample(t, tt.file))
		if len(all) != tt.packets {
			t.Fatalf("%s: %d packets, want %d", tt.file, len(all), tt.packets)
		}
		last := all[len(all)-1]
		if diff := cmp.Diff(tt.last, last, cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
			t.Errorf("%s: %s", tt.file, diff)
		}
		if last.Verdict() != tt.lastWords {
			t.Errorf("%s: %q, want %q", tt.file, last.Verdict(), tt.lastWords)
		}
	}
	if all := ParseTraceSummary(sample(t, "genie-ShowPlatformPacketSumm-3.txt")); all[0].State != "CONS" ||
		all[0].Reason != "Packet Consumed" {
		t.Errorf("%+v", all[0])
	}
}

func TestTracedPacketsOfRecordedOutputs(t *testing.T) {
	one := ParseTracedPackets(sample(t, "genie-ShowPlatformPacketTracePacket-1.txt"))
	want := []TracedPacket{{
		Number: 11, Input: "GigabitEthernet1", Output: "internal0/0/rp:0", State: "PUNT", Code: 11, Reason: "For-us data",
		At:   time.Date(2021, 7, 27, 9, 34, 28, 261898000, time.UTC),
		From: netip.MustParseAddrPort("172.20.2.55:43520"), To: netip.MustParseAddrPort("172.20.2.54:22"), Protocol: 6,
	}}
	if diff := cmp.Diff(want, one, cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
		t.Error(diff)
	}

	many := ParseTracedPackets(sample(t, "genie-ShowPlatformPacketTracePacket-2.txt"))
	states := map[string]int{}
	for i, p := range many {
		if p.Number != i || p.At.IsZero() != (p.State == "CONS" && p.At.IsZero()) {
			t.Errorf("packet %d: %+v", i, p)
		}
		states[p.Verdict()]++
	}
	if len(many) < 10 || states["PUNT 11 (For-us data)"] == 0 || states["PUNT 7 (ARP request or response)"] != 4 ||
		!many[0].Sent() {
		t.Errorf("%d packets: %v", len(many), states)
	}

	// Microseconds without leading zeros: start and stop are 200 µs apart by the data
	// plane's own clock.
	short := ParseTracedPackets(sample(t, "genie-ShowPlatformPacketTracePacket-6.txt"))
	if len(short) != 1 || !short[0].At.Equal(time.Date(2025, 4, 8, 12, 6, 57, 87318000, time.UTC)) ||
		short[0].Feature != "" {
		t.Errorf("%+v", short)
	}
}

// droppedPacket is a drop in the shape of the recorded packets; its state is Cisco's own example of
// one (Cisco 8100 Series Secure Routers, "Packet Trace"), its firewall's the recorded one with
// another action.
const droppedPacket = `Packet: 3           CBUG ID: 9
Summary
  Input     : GigabitEthernet1
  Output    : GigabitEthernet1
  State     : DROP 183 (FirewallPolicy)
  Timestamp
    Start   : 1819281992118 ns (05/17/2024 06:42:01.207240 UTC)
    Stop    : 1819282095121 ns (05/17/2024 06:42:01.207343 UTC)
Path Trace
  Feature: IPV4(Input)
    Input       : GigabitEthernet1
    Output      : <unknown>
    Source      : 192.168.1.1
    Destination : 192.168.2.1
    Protocol    : 17 (UDP)
      SrcPort   : 500
      DstPort   : 500
  Feature: ZBFW
    Action  : Drop
    Reason  : ICMP policy drop:classify result
    Zone-pair name         : outside-self
    Class-map name         : class-default
    Policy    name         : SELF
`

func TestTracedDropNamesItsFeature(t *testing.T) {
	all := ParseTracedPackets(droppedPacket)
	if len(all) != 1 || !all[0].Dropped() || all[0].Feature != "ZBFW" || all[0].Zone != "outside-self" ||
		all[0].Rule != "SELF" ||
		all[0].Class != "class-default" || all[0].Verdict() != "DROP 183 (FirewallPolicy)" {
		t.Fatalf("%+v", all)
	}
	for n := range len(droppedPacket) { // whatever a cut output leaves is no panic, and no other packet
		for _, p := range ParseTracedPackets(droppedPacket[:n]) {
			if p.Number != 3 {
				t.Fatalf("of %d bytes: %+v", n, p)
			}
		}
	}
}

// The tables' heads are those of Cisco document 213970 and of public tools that read them; the
// rows' spelling is not settled, so each that documents have is read.
const conditionsHead = "\nConditional Debug Global State: %s\n\n" +
	"Conditions                                                                                     Direction\n" +
	"----------------------------------------------------------------------------------------------|---------\n"

const conditionsTail = "\nFeature Condition       Type                    " +
	"Value\n-----------------------|-----------------------|--------------------------------\n\nFeature Type  Submode  " +
	"Level\n------------|-------------|---------------------------------------|----------\n\n"

func conditions(state string, rows ...string) string {
	return strings.Replace(conditionsHead, "%s", state, 1) + strings.Join(append(rows, ""), "\n") + conditionsTail
}

func testTrace(t *testing.T, peer string, interfaces ...string) PacketTrace {
	t.Helper()
	trace := PacketTrace{Peer: netip.MustParseAddr(peer), Packets: 64}
	for _, name := range interfaces {
		i, err := ParseInterface(name)
		if err != nil {
			t.Fatal(err)
		}
		trace.Interfaces = append(trace.Interfaces, i)
	}
	return trace
}

func TestConditionsTellOursFromOthers(t *testing.T) {
	trace := testTrace(t, "192.168.2.1", "GigabitEthernet1")
	for _, tt := range []struct {
		row  string
		ours bool
	}{
		{"GigabitEthernet1                                     & IPV4 [192.168.2.1/32]   both", true},
		{"GigabitEthernet1 & IPV4 Filter [192.168.2.1/255.255.255.255] both", true},
		{"Gi1 & IPV4 [192.168.2.1] both", true},
		{"GigabitEthernet10 & IPV4 [192.168.2.1/32] both", false},
		{"GigabitEthernet1 & IPV4 [192.168.2.0/24] both", false},
		{"GigabitEthernet1 & IPV4 [192.168.2.1/24] both", false},
		{"GigabitEthernet1 & IPV4 [192.168.2.11/32] both", false},
		{"GigabitEthernet1 & IPV4 ACL [cap] both", false},
		{"MAC Address 0000.0000.aaaa N/A", false},
		{"All Interfaces & IPV4 [192.168.2.1/32] both", false},
	} {
		c, err := ParseConditions(conditions("Start", tt.row))
		if err != nil || !c.Started || len(c.Rows) != 1 {
			t.Fatalf("%+v, %v", c, err)
		}
		if own, others := c.Own(trace); (own == 1) != tt.ours || own+others != 1 {
			t.Errorf("%s: %d ours, %d others'", tt.row, own, others)
		}
	}
	if c, err := ParseConditions(conditions("Stop")); err != nil || c.Started || len(c.Rows) != 0 {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := ParseConditions("% something else"); err == nil {
		t.Error("no state, and no error")
	}
	six := testTrace(t, "2001:db8::2", "GigabitEthernet1")
	if c, _ := ParseConditions(conditions("Start", "GigabitEthernet1 & IPV6 [2001:DB8::2/128] both")); len(c.Rows) == 1 {
		if own, _ := c.Own(six); own != 1 {
			t.Error("IPv6 is not ours")
		}
	}
}

func TestTraceConfiguration(t *testing.T) {
	trace := testTrace(t, "192.168.2.1", "GigabitEthernet1")
	for _, tt := range []struct {
		out  string
		ours bool
	}{
		{"", false},
		{"debug platform packet-trace packet 64", true},
		{"debug platform packet-trace enable\ndebug platform packet-trace packet 64 data-size 2048\n", true},
		{"debug platform packet-trace packet 128", false},
		{"debug platform packet-trace packet 64 fia-trace", false},
		{"debug platform packet-trace packet 64\ndebug platform packet-trace drop", false},
		{"debug platform packet-trace enable", false},
	} {
		if got := trace.Configured(ParseTraceConfiguration(tt.out)); got != tt.ours {
			t.Errorf("%q: %v", tt.out, got)
		}
	}
}

func TestPacketTraceCommands(t *testing.T) {
	for _, peer := range []string{"192.168.2.1", "2001:db8::2"} {
		trace := testTrace(t, peer, "GigabitEthernet1", "TenGigabitEthernet0/0/1.101")
		on, err := trace.Conditions()
		off, err2 := trace.NoConditions()
		if err != nil || err2 != nil || len(on) != 2 || len(off) != 2 {
			t.Fatal(on, off, err, err2)
		}
		for i := range on {
			if off[i].Lines[0] != "no "+on[i].Lines[0] || !Allowed(on[i]) || !Allowed(off[i]) {
				t.Errorf("%s, %s", on[i].Lines[0], off[i].Lines[0])
			}
		}
	}
	trace := testTrace(t, "192.168.2.1", "GigabitEthernet1")
	on, _ := trace.Conditions()
	if want := "debug platform condition interface GigabitEthernet1 ipv4 192.168.2.1/32 both"; on[0].Lines[0] != want {
		t.Errorf("%q, want %q", on[0].Lines[0], want)
	}
	for _, n := range []int{0, 15, 257} {
		trace.Packets = n
		if _, err := trace.Keep(); err == nil {
			t.Errorf("%d packets are taken", n)
		}
	}
	for _, peer := range []string{"224.0.0.1", "0.0.0.0"} {
		if _, err := (PacketTrace{Peer: netip.MustParseAddr(peer), Interfaces: trace.Interfaces}).Conditions(); err == nil {
			t.Errorf("%s is taken", peer)
		}
	}
	if _, err := (PacketTrace{Peer: trace.Peer}).Conditions(); err == nil {
		t.Error("no interface is taken")
	}
}
