#!/usr/bin/env bash
# libtrace's traceconvert and tracefilter write a pcap that tcpdump does not know, tracemerge one
# that it does: the first two compress without being asked.
#
# libtrace-tools 3.0.22-0.1 (Debian 12). A pcap of two Ethernet frames of 60 bytes each.
# One would guess: three pcaps; tracesplit(1), of which traceconvert is a wrapper, says "default value
# is none unless a compression level is specified".
# Seen: two gzip files under the name that was given, which tcpdump calls "unknown file format" and
# Wireshark reads, and one pcap.
set -u
T=$(mktemp -d) || exit 2
trap 'rm -rf "$T"' EXIT
cannot() { echo "cannot be tried: $*"; exit 2; }

mkdir -p "$T/debs/partial"
apt-get install --download-only --reinstall --no-install-recommends -yqq -o Debug::NoLocking=1 \
	-o Dir::Cache::archives="$T/debs" libtrace-tools=3.0.22-0.1 libtrace3=3.0.22-0.1 \
	>"$T/log" 2>&1 || cannot "$(tail -1 "$T/log")"
for deb in "$T"/debs/*.deb; do
	case $deb in
	*/libc6_*) ;;
	*) dpkg -x "$deb" "$T/root" || cannot "$deb" ;;
	esac
done
LD_LIBRARY_PATH=$(echo "$T"/root/usr/lib/*-linux-gnu)
export LD_LIBRARY_PATH PATH=$T/root/usr/bin:$PATH
cd "$T" || exit 2

# shellcheck disable=SC2001,SC2059
hex() { printf "$(sed 's/../\\x&/g' <<<"$1")"; }
le() { printf %08x "$1" | sed 's/\(..\)\(..\)\(..\)\(..\)/\4\3\2\1/'; }
# IKE's port, an IP packet of 46 bytes: 20 of IP, 8 of UDP, 18 of zeros
packet=4500002e000140004011b6bac0000201c000020201f401f4001a0000$(printf '0%.0s' {1..36})
size=$(le $((14 + ${#packet} / 2)))
{
	hex "d4c3b2a1020004000000000000000000$(le 65535)$(le 1)"
	for second in 1 2; do
		hex "$(le $((1793000000 + second)))$(le 0)$size${size}5254000000015254000000020800$packet"
	done
} >ethernet.pcap

traceconvert pcapfile:ethernet.pcap pcapfile:converted.pcap >said 2>&1
tracefilter pcapfile:ethernet.pcap 'udp port 500' pcapfile:filtered.pcap >>said 2>&1
tracemerge pcapfile:merged.pcap pcapfile:ethernet.pcap pcapfile:ethernet.pcap >>said 2>&1
for file in ethernet converted filtered merged; do
	[ -s $file.pcap ] || cannot "$(tail -1 said)"
	echo "$file.pcap begins with $(head -c 4 $file.pcap | od -An -tx1)"
done >out
cat out
[ "$(cut -d' ' -f1-6 out)" = "ethernet.pcap begins with  d4 c3
converted.pcap begins with  1f 8b
filtered.pcap begins with  1f 8b
merged.pcap begins with  d4 c3" ]
