package capture

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func TestPartnerKitNamesBothAddresses(t *testing.T) {
	p := Partner{Local: netip.MustParseAddr("203.0.113.9"), Remote: netip.MustParseAddr("198.51.100.1"), Interface: "wan7"}
	for _, vendor := range PartnerVendors() {
		got, err := PartnerKit(vendor, p)
		if err != nil {
			t.Fatalf("%s: %v", vendor, err)
		}
		for _, want := range []string{"203.0.113.9", "198.51.100.1"} {
			if !strings.Contains(got, want) {
				t.Errorf("%s: %s is missing in\n%s", vendor, want, got)
			}
		}
		if !slices.Contains([]string{"panos", "aws", "azure", "google"}, vendor) && !strings.Contains(got, "wan7") {
			t.Errorf("%s: the interface is missing in\n%s", vendor, got)
		}
		if strings.Contains(got, "%!") {
			t.Errorf("%s: broken format:\n%s", vendor, got)
		}
	}
}

func TestPartnerKitIPv6UsesAnIPv6List(t *testing.T) {
	p := Partner{Local: netip.MustParseAddr("2001:db8::9"), Remote: netip.MustParseAddr("2001:db8::1")}
	got, err := PartnerKit("iosxe", p)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(got, "ipv6 access-list mcpartner") || strings.Contains(got, "extended") {
		t.Errorf("not an IPv6 access list:\n%s", got)
	}
}

func TestPartnerKitRefuses(t *testing.T) {
	a := netip.MustParseAddr("203.0.113.9")
	if _, err := PartnerKit("vax", Partner{Local: a, Remote: a}); err == nil ||
		!strings.Contains(err.Error(), "strongswan") {
		t.Errorf("unknown vendor: %v", err)
	}
	if _, err := PartnerKit("asa", Partner{Local: a}); err == nil {
		t.Error("a missing address was accepted")
	}
}

// What a cloud runs as a service has no capture: nothing pretends so, and its log is asked for.
func TestPartnerKitOfAService(t *testing.T) {
	p := Partner{Tunnel: "hq-branch", Local: netip.MustParseAddr("203.0.113.9"),
		Remote: netip.MustParseAddr("198.51.100.1"), File: "x.pcap"}
	for vendor, want := range map[string]string{"aws": "aws logs tail", "google": "gcloud logging read"} {
		got, err := PartnerKit(vendor, p)
		if err != nil || !strings.Contains(got, want) || !strings.Contains(got, "there is no packet capture") ||
			strings.Contains(got, "Send x.pcap to us") {
			t.Errorf("%s: %v\n%s", vendor, err, got)
		}
	}
}

// Every kit starts, stops, exports and removes, and says what becomes of the file.
func TestPartnerKitIsWhole(t *testing.T) {
	p := Partner{Tunnel: "hq-branch", Local: netip.MustParseAddr("203.0.113.9"),
		Remote: netip.MustParseAddr("198.51.100.1"), Interface: "wan7", File: "x.pcap"}
	for vendor, wants := range map[string][]string{
		"iosxe": {"mcpartner start", "mcpartner stop", "export bootflash:x.pcap", "no monitor capture mcpartner",
			"no ip access-list", "delete /force"},
		"asa": {"match ip host 203.0.113.9 host 198.51.100.1", "match icmp any host 203.0.113.9",
			"no capture mcpartner interface wan7", "copy /noconfirm /pcap", "delete /noconfirm"},
		"fortigate": {"diagnose sniffer packet wan7 '(host 203.0.113.9 and host 198.51.100.1) or (icmp and host " +
			"203.0.113.9)' 6 0 a", "Ctrl-C", "fgt2eth"},
		"panos": {"set capture on", "set capture off", "scp export filter-pcap", "delete debug-filter file mc-tx.pcap",
			"mergecap"},
		"strongswan": {"timeout 600 tcpdump", "Ctrl-C", "rm x.pcap"},
		"azure": {"packet-capture start", `"MaxPacketBufferSize": 1600`, `"SourceSubnets": ["198.51.100.1/32"]`,
			"packet-capture stop", "revoke"},
		"checkpoint": {"timeout 600 tcpdump", "Not fw monitor", "rm /var/log/x.pcap"},
		"junos":      {"size 1500 matching", "write-file /var/tmp/x.pcap", "file delete /var/tmp/x.pcap"},
		"mikrotik": {"/tool sniffer print", "filter-ip-address=198.51.100.1/32", "sniffer start", "sniffer stop",
			"/file remove x.pcap"},
		"opnsense": {"timeout 600 tcpdump", "not enc0", "link type 109", "rm /tmp/x.pcap"},
		"vyos":     {"sudo timeout 600 tcpdump", "not vti", "rm /tmp/x.pcap"},
	} {
		got, err := PartnerKit(vendor, p)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range append(wants, "moncap analyze --tunnel hq-branch OURS.pcap x.pcap") {
			if !strings.Contains(got, want) {
				t.Errorf("%s: %q is missing in\n%s", vendor, want, got)
			}
		}
		for line := range strings.Lines(got) {
			if strings.HasPrefix(line, "# ") == strings.HasPrefix(line, "! ") && strings.Contains(line, "Send x.pcap") {
				t.Errorf("%s: a remark that the gateway takes for a command: %s", vendor, line)
			}
		}
	}
	p.SideA = true
	if got, err := PartnerKit("asa", p); err != nil || !strings.Contains(got, "x.pcap OURS.pcap") {
		t.Errorf("side A: %v\n%s", err, got)
	}
}
