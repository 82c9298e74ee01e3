package capture

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// PartnerVendors lists the platforms that PartnerKit knows, by the names that it takes.
func PartnerVendors() []string { return []string{"asa", "fortigate", "iosxe", "panos", "strongswan"} }

// Partner is the other end of a tunnel when only one side is ours.
type Partner struct {
	Interface string     // on the partner's gateway, as that platform names it; empty: a placeholder that stands out
	Local     netip.Addr // the partner's VPN address
	Remote    netip.Addr // our VPN address as the partner sees it, so after any NAT
	File      string     // what the capture is to be called
}

// PartnerKit returns what the operator of the other gateway types to take the capture that moncap analyze joins with
// ours. The commands filter on the two addresses only, so that fragments, ESP and ICMP errors are in it.
func PartnerKit(vendor string, p Partner) (string, error) {
	i := slices.Index(PartnerVendors(), vendor)
	if i < 0 {
		return "", fmt.Errorf("partner kit: vendor %q: want one of %s", vendor, strings.Join(PartnerVendors(), ", "))
	}
	if !p.Local.IsValid() || !p.Remote.IsValid() {
		return "", fmt.Errorf("partner kit: both VPN addresses are needed")
	}
	if p.File == "" {
		p.File = "partner.pcap"
	}
	write := [...]func(Partner) string{asaKit, fortigateKit, iosxeKit, panosKit, strongswanKit}[i]
	return write(p), nil
}

func (p Partner) iface(example string) string {
	if p.Interface != "" {
		return p.Interface
	}
	return "<" + example + ">"
}

func iosxeKit(p Partner) string {
	acl := "ip access-list extended mcpartner"
	icmp, remove := "permit icmp any host %[1]s unreachable", "no ip access-list extended mcpartner"
	if p.Local.Is6() {
		acl, icmp, remove = "ipv6 access-list mcpartner", "permit icmp any host %[1]s", "no ipv6 access-list mcpartner"
	}
	return fmt.Sprintf(`! Cisco IOS XE: before the test
configure terminal
 `+acl+`
  permit udp host %[1]s host %[2]s
  permit udp host %[2]s host %[1]s
  permit esp host %[1]s host %[2]s
  permit esp host %[2]s host %[1]s
  `+icmp+`
 end
monitor capture mcpartner access-list mcpartner buffer size 10 interface %[3]s both
monitor capture mcpartner limit duration 600 packets 20000
monitor capture mcpartner start
! after the test
monitor capture mcpartner stop
monitor capture mcpartner export bootflash:%[4]s
! fetch bootflash:%[4]s by SCP, then leave nothing behind
delete /force bootflash:%[4]s
no monitor capture mcpartner
configure terminal
 `+remove+`
 end
`, p.Local, p.Remote, p.iface("WAN interface, e.g. GigabitEthernet1"), p.File)
}

func asaKit(p Partner) string {
	return fmt.Sprintf(`! Cisco ASA: before the test
capture mcpartner type raw-data buffer 10000000 interface %[3]s match ip host %[1]s host %[2]s
! after the test
no capture mcpartner interface %[3]s
copy /noconfirm /pcap capture:mcpartner disk0:%[4]s
! fetch disk0:%[4]s by SCP, then leave nothing behind
no capture mcpartner
delete /noconfirm disk0:%[4]s
`, p.Local, p.Remote, p.iface("nameif, e.g. outside"), p.File)
}

func fortigateKit(p Partner) string {
	return fmt.Sprintf(`# FortiGate: run for the time of the test, log the terminal to a file, end with Ctrl-C
diagnose sniffer packet %[3]s 'host %[1]s and host %[2]s' 6 0 a
# Level 6 prints every byte; Fortinet's fgt2eth turns the log into %[4]s.
# Or in the web interface: Network > Diagnostics > Packet Capture on %[3]s with hosts %[1]s and %[2]s, no port filter.
`, p.Local, p.Remote, p.iface("port, e.g. wan1"), p.File)
}

func panosKit(p Partner) string {
	return fmt.Sprintf(`# PAN-OS: before the test
debug dataplane packet-diag clear all
debug dataplane packet-diag set filter match source %[1]s destination %[2]s
debug dataplane packet-diag set filter match source %[2]s destination %[1]s
debug dataplane packet-diag set filter on
debug dataplane packet-diag set capture stage receive file mc-rx.pcap
debug dataplane packet-diag set capture stage transmit file mc-tx.pcap
debug dataplane packet-diag set capture on
# after the test
debug dataplane packet-diag set capture off
debug dataplane packet-diag set filter off
debug dataplane packet-diag clear all
scp export filter-pcap from mc-rx.pcap to <user@host:path>
scp export filter-pcap from mc-tx.pcap to <user@host:path>
# Received and sent packets come as two files: mergecap -w %[3]s mc-rx.pcap mc-tx.pcap
`, p.Local, p.Remote, p.File)
}

func strongswanKit(p Partner) string {
	return fmt.Sprintf(`# strongSwan, libreswan or any Linux gateway: as root, end with Ctrl-C after the test
timeout 600 tcpdump -n -s 0 -i %[3]s -w %[4]s 'host %[1]s and host %[2]s'
`, p.Local, p.Remote, p.iface("interface, e.g. eth0"), p.File)
}
