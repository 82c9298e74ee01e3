package capture

import (
	"net/netip"
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
		if vendor != "panos" && !strings.Contains(got, "wan7") {
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
	if _, err := PartnerKit("vax", Partner{Local: a, Remote: a}); err == nil || !strings.Contains(err.Error(), "strongswan") {
		t.Errorf("unknown vendor: %v", err)
	}
	if _, err := PartnerKit("asa", Partner{Local: a}); err == nil {
		t.Error("a missing address was accepted")
	}
}
