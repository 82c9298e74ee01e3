package capture

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// PartnerVendors lists the platforms that PartnerKit knows, by the names that it takes.
func PartnerVendors() []string {
	return []string{"asa", "aws", "azure", "checkpoint", "fortigate", "google", "iosxe", "junos", "mikrotik", "opnsense",
		"panos", "strongswan", "vyos"}
}

// Partner is the other end of a tunnel when only one side is ours.
type Partner struct {
	Tunnel    string     // its name in our inventory; empty where it has none
	Interface string     // on the partner's gateway, as that platform names it; empty: a placeholder that stands out
	Local     netip.Addr // the partner's VPN address, as its own WAN interface carries it
	Remote    netip.Addr // our VPN address as the partner sees it, so after any NAT
	File      string     // what the capture is to be called
	SideA     bool       // the partner's gateway is side A of the tunnel
}

// PartnerKit returns what the operator of the other gateway types to take the capture that moncap
// analyze joins with ours. The commands filter on the two addresses only, so that fragments, ESP
// and ICMP errors are in it.
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
	write := [...]func(Partner) string{asaKit, awsKit, azureKit, checkpointKit, fortigateKit, googleKit, iosxeKit,
		junosKit, mikrotikKit, opnsenseKit, panosKit, strongswanKit, vyosKit}[i]
	if vendor == "aws" || vendor == "google" { // there is no capture to take, nor to send
		return write(p), nil
	}
	return p.opening(vendor) + write(p) + p.closing(vendor), nil
}

// comment begins a line that the platform takes for a remark.
func comment(vendor string) string {
	if vendor == "iosxe" || vendor == "asa" {
		return "! "
	}
	return "# "
}

func (p Partner) opening(vendor string) string {
	return lines(comment(vendor),
		fmt.Sprintf("A capture of the IPsec negotiation between your gateway %s and ours, %s.", p.Local, p.Remote),
		"It holds what the two gateways send each other, and ICMP to yours, nothing else; ESP stays encrypted.",
		"No setting of the tunnel is changed.",
		"Ours runs at the same time: tell us when yours has started, then let the tunnel negotiate anew.")
}

// closing says what becomes of the file.
func (p Partner) closing(vendor string) string {
	files := "OURS.pcap " + p.File
	if p.SideA {
		files = p.File + " OURS.pcap"
	}
	tunnel := ""
	if p.Tunnel != "" {
		tunnel = "--tunnel " + p.Tunnel + " "
	}
	return lines(comment(vendor), "Send "+p.File+" to us, and say whether the gateway's clock is synchronized by NTP.",
		"We join it with ours: moncap analyze "+tunnel+files)
}

func lines(lead string, text ...string) string {
	return lead + strings.Join(text, "\n"+lead) + "\n"
}

func (p Partner) iface(example string) string {
	if p.Interface != "" {
		return p.Interface
	}
	return "<" + example + ">"
}

// filter is a libpcap filter expression for the tunnel: no ports, so that fragments are in it, and
// errors of devices in between.
func (p Partner) filter() string {
	icmp := "icmp"
	if p.Local.Is6() {
		icmp = "icmp6"
	}
	return fmt.Sprintf("(host %[1]s and host %[2]s) or (%[3]s and host %[1]s)", p.Local, p.Remote, icmp)
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
! after the test; it stops by itself after 10 minutes
monitor capture mcpartner stop
show monitor capture mcpartner buffer
monitor capture mcpartner export bootflash:%[4]s
! fetch bootflash:%[4]s, for instance: scp ADMIN@GATEWAY:bootflash:%[4]s . (needs: ip scp server enable)
! or, from the gateway: copy bootflash:%[4]s scp://USER@HOST/%[4]s
! then leave nothing behind
delete /force bootflash:%[4]s
no monitor capture mcpartner
configure terminal
 `+remove+`
 end
`, p.Local, p.Remote, p.iface("WAN interface, e.g. GigabitEthernet1"), p.File)
}

func asaKit(p Partner) string {
	icmp := "icmp"
	if p.Local.Is6() {
		icmp = "icmp6"
	}
	return fmt.Sprintf(`! Cisco ASA (and FTD: system support diagnostic-cli, enable): before the test
capture mcpartner type raw-data buffer 10000000 interface %[3]s match ip host %[1]s host %[2]s
capture mcpartner type raw-data interface %[3]s match %[5]s any host %[1]s
! after the test
no capture mcpartner interface %[3]s
show capture mcpartner
copy /noconfirm /pcap capture:mcpartner disk0:%[4]s
! fetch disk0:%[4]s, for instance: copy disk0:%[4]s scp://USER@HOST/%[4]s
! then leave nothing behind
no capture mcpartner
delete /noconfirm disk0:%[4]s
`, p.Local, p.Remote, p.iface("nameif, e.g. outside"), p.File, icmp)
}

func fortigateKit(p Partner) string {
	return fmt.Sprintf(`# FortiGate: switch the logging of your terminal program on, then, for the time of the test:
diagnose sniffer packet %[1]s '%[2]s' 6 0 a
# after the test: Ctrl-C ends it, and nothing is left on the gateway
# Level 6 prints every byte; Fortinet's fgt2eth turns the log into a capture:
#   perl fgt2eth.pl -in terminal.log -out %[3]s
# Or in the web interface: Network > Diagnostics > Packet Capture on %[1]s, hosts %[4]s and %[5]s, no port,
# no protocol; start, stop, save as pcap, delete it there.
# ESP that a network processor handles is not seen; IKE always is.
`, p.iface("port, e.g. wan1"), p.filter(), p.File, p.Local, p.Remote)
}

func panosKit(p Partner) string {
	return fmt.Sprintf(`# PAN-OS: look first whether somebody else's filter or capture is set; what follows clears them
debug dataplane packet-diag show setting
# before the test
debug dataplane packet-diag clear all
debug dataplane packet-diag set filter match source %[1]s destination %[2]s
debug dataplane packet-diag set filter match source %[2]s destination %[1]s
debug dataplane packet-diag set filter match destination %[1]s protocol %[4]d
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
# then leave nothing behind
delete debug-filter file mc-rx.pcap
delete debug-filter file mc-tx.pcap
# Received and sent packets come as two files; make one of them:
#   mergecap -F pcap -w %[3]s mc-rx.pcap mc-tx.pcap
# ESP of an offloaded session is not seen; IKE always is.
`, p.Local, p.Remote, p.File, map[bool]int{true: 58, false: 1}[p.Local.Is6()])
}

func strongswanKit(p Partner) string {
	return fmt.Sprintf(
		`# strongSwan, libreswan or any Linux gateway: as root, before the test; it stops by itself after 10 minutes
timeout 600 tcpdump -n -s 0 -i %[1]s -w %[2]s '%[3]s'
# after the test: Ctrl-C ends it; look whether it holds anything
tcpdump -n -r %[2]s | tail
# once you have sent it, leave nothing behind
rm %[2]s
`, p.iface("interface, e.g. eth0"), p.File, p.filter())
}
