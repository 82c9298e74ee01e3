package capture

import "fmt"

// The gateways of clouds that are a service have no packets to hand out. What they log is asked for
// instead, and moncap analyze says what our own capture proves alone.

func awsKit(p Partner) string {
	return fmt.Sprintf(
		`# AWS Site-to-Site VPN: there is no packet capture of the gateway %[1]s, and mirroring does not reach it. Its log says
# why it refused what it got; a tunnel's log has to be on already, since switching it on restarts that tunnel.
aws ec2 describe-vpn-connections --filters Name=options.tunnel-options.outside-ip-address,Values=%[1]s --query 'VpnConnections[].[VpnConnectionId,VgwTelemetry,Options.TunnelOptions[].LogOptions]'
# after the test
aws logs tail <log group of the tunnel> --since 15m > %[3]s.log
# A gateway of your own on EC2 is another matter: see strongswan or the vendor's. Check its security group: udp 500,
# udp 4500 and esp (50) from %[2]s.
# Send %[3]s.log to us. We read our own capture alone: moncap analyze OURS.pcap
`, p.Local, p.Remote, p.File)
}

func googleKit(p Partner) string {
	return fmt.Sprintf(
		`# Google Cloud VPN: there is no packet capture of the gateway %[1]s, and packet mirroring does not reach it. Its log has
# each IKE message that it took or refused. After the test:
gcloud logging read 'resource.type="vpn_gateway" AND ("%[2]s" OR "%[1]s")' --freshness 15m --format 'value(timestamp,textPayload)' > %[3]s.log
gcloud compute vpn-tunnels list --filter 'peerIp=%[2]s' --format 'table(name,status,detailedStatus)'
# Send %[3]s.log to us. We read our own capture alone: moncap analyze OURS.pcap
`, p.Local, p.Remote, p.File)
}

func azureKit(p Partner) string {
	return fmt.Sprintf(
		`# Azure VPN gateway (%[1]s): before the test. TracingFlags 11 is IKE, ESP and the rest; without MaxPacketBufferSize each
# packet is cut after 120 bytes, which leaves no IKE message whole.
az network vnet-gateway packet-capture start -g <resource group> -n <gateway> --filter '{"TracingFlags": 11, "MaxPacketBufferSize": 1600, "MaxFileSize": 200, "Filters": [{"SourceSubnets": ["%[2]s/%[4]d"], "DestinationSubnets": ["%[1]s/%[4]d"], "CaptureSingleDirectionTrafficOnly": false}]}'
# after the test; the URL is a shared access signature, with write permission, of a container for blobs
az network vnet-gateway packet-capture stop -g <resource group> -n <gateway> --sas-url '<URL of the container>'
# It comes as one file for each instance of the gateway. Send all of them; of an active-active gateway only one has our tunnel:
# mergecap -F pcap -w %[3]s FILE... makes one of them. If the filter left the file empty, start again without "Filters".
# then delete the files in the container, and revoke the signature
`, p.Local, p.Remote, p.File, bits(p))
}

func bits(p Partner) int {
	if p.Local.Is6() {
		return 128
	}
	return 32
}

func checkpointKit(p Partner) string {
	return fmt.Sprintf(`# Check Point: in expert mode, before the test; it stops by itself after 10 minutes
timeout 600 tcpdump -n -s 0 -i %[1]s -w /var/log/%[2]s '%[3]s'
# after the test: Ctrl-C ends it
# Not fw monitor: it has each packet up to four times, at i, I, o and O, and writes snoop (editcap -F pcap makes it a capture).
# ESP that SecureXL handles is not seen; IKE always is.
scp /var/log/%[2]s USER@HOST:
# then leave nothing behind
rm /var/log/%[2]s
`, p.iface("interface, e.g. eth0"), p.File, p.filter())
}

func junosKit(p Partner) string {
	return fmt.Sprintf(
		`# Juniper SRX: before the test. write-file is not offered by the help, and is taken all the same. Without size, each
# packet is cut after its headers.
monitor traffic interface %[1]s no-resolve size 1500 matching "%[3]s" write-file /var/tmp/%[2]s
# after the test: Ctrl-C ends it
# It has what the routing engine sends and gets: IKE, also in UDP 4500; ESP only where the routing engine handles it.
# On a cluster, take it on the node that is primary. The file's link type is Juniper's own, which moncap reads.
file copy /var/tmp/%[2]s scp://USER@HOST/
# then leave nothing behind
file delete /var/tmp/%[2]s
`, p.iface("logical interface, e.g. ge-0/0/0.0"), p.File, p.filter())
}

func mikrotikKit(p Partner) string {
	return fmt.Sprintf(`# MikroTik RouterOS: note what is set first, since it is overwritten
/tool sniffer print
# before the test
/tool sniffer set filter-interface=%[1]s filter-ip-address=%[2]s/%[5]d only-headers=no filter-stream=no streaming-enabled=no memory-limit=10000KiB file-limit=10000KiB file-name=%[4]s
/tool sniffer start
# after the test
/tool sniffer stop
# fetch %[4]s: scp ADMIN@GATEWAY:/%[4]s .
# Since RouterOS 7.20 it is pcapng whatever its name says; moncap reads both. What the switch chip forwards is not seen.
# The filter is our address alone, so that errors of devices in between (ICMP to %[3]s) are not in it.
# then leave nothing behind
/file remove %[4]s
/tool sniffer set filter-interface=all filter-ip-address="" file-name=""
`, p.iface("WAN interface, e.g. ether1"), p.Remote, p.Local, p.File, bits(p))
}

func opnsenseKit(p Partner) string {
	return fmt.Sprintf(
		`# OPNsense, pfSense: as root in the shell (option 8), before the test; it stops by itself after 10 minutes
timeout 600 tcpdump -n -s 0 -i %[1]s -w /tmp/%[2]s '%[3]s'
# after the test: Ctrl-C ends it
# On the WAN interface, not enc0: that has the packets inside the tunnel, decrypted (link type 109), and no IKE.
# Or in the web interface: OPNsense Interfaces > Diagnostics > Packet capture, pfSense Diagnostics > Packet Capture;
# WAN, hosts %[4]s and %[5]s, no port, no protocol, and no limit of packets or length.
scp /tmp/%[2]s USER@HOST:
# then leave nothing behind
rm /tmp/%[2]s
`, p.iface("WAN interface, e.g. em0"), p.File, p.filter(), p.Local, p.Remote)
}

func vyosKit(p Partner) string {
	return fmt.Sprintf(`# VyOS: before the test; it stops by itself after 10 minutes
sudo timeout 600 tcpdump -n -s 0 -i %[1]s -w /tmp/%[2]s '%[3]s'
# after the test: Ctrl-C ends it
# On the WAN interface, not vti or xfrm: those have the packets inside the tunnel, and no IKE.
scp /tmp/%[2]s USER@HOST:
# then leave nothing behind
sudo rm /tmp/%[2]s
`, p.iface("WAN interface, e.g. eth0"), p.File, p.filter())
}
