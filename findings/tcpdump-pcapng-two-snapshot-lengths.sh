#!/usr/bin/env bash
# tcpdump does not read what mergecap makes of two captures that differ in their snapshot length
# only.
#
# Wireshark's mergecap 4.0.17-0+deb12u3, tcpdump 4.99.3-1, libpcap 1.10.3-1 (Debian 12). Two
# gateways' captures, both Ethernet, one with snapshot length 65535, the other with 262144: each a
# usual default.
# One would guess: the merged pcapng is read whole; libpcap is known to refuse interfaces of
# different link types only.
# Seen: not one packet is printed, but "an interface has a snapshot length 262144 different from the
# snapshot length of the first interface", exit status 1.
set -u
T=$(mktemp -d) || exit 2
trap 'rm -rf "$T"' EXIT
cannot() { echo "cannot be tried: $*"; exit 2; }

w=4.0.17-0+deb12u3
mkdir -p "$T/debs/partial"
apt-get install --download-only --reinstall --no-install-recommends -yqq -o Debug::NoLocking=1 \
	-o Dir::Cache::archives="$T/debs" tcpdump=4.99.3-1 libpcap0.8=1.10.3-1 wireshark-common=$w libwiretap13=$w \
	libwsutil14=$w >"$T/log" 2>&1 || cannot "$(tail -1 "$T/log")"
for deb in "$T"/debs/*.deb; do dpkg -x "$deb" "$T/root" || cannot "$deb"; done
export LD_LIBRARY_PATH=$(echo "$T"/root/usr/lib/*-linux-gnu)

hex() { printf "$(sed 's/../\\x&/g' <<<"$1")"; }
# capture SNAPLEN: one small datagram to UDP 500.
capture() {
	hex "d4c3b2a1020004000000000000000000$1""01000000"
	hex "00f15365000000002b0000002b000000"
	hex "0200000000020200000000010800""4500001d0001000040110000c0000201c0000202""01f401f400090000ff"
}
capture ffff0000 >"$T/a.pcap"
capture 00000400 >"$T/b.pcap"
"$T"/root/usr/bin/mergecap -w "$T/both.pcapng" "$T/a.pcap" "$T/b.pcap" 2>"$T/err" || cannot "$(cat "$T/err")"
"$T"/root/usr/bin/tcpdump -nr "$T/both.pcapng" >"$T/out" 2>&1
status=$?
cat "$T/out"
echo "exit status $status"
[ $status = 1 ] && grep -q "snapshot length 262144 different from the snapshot length of the first interface" "$T/out"
