#!/usr/bin/env bash
# Tools that copy a capture of nanoseconds write microseconds, and say nothing.
#
# tcpdump 4.99.3-1, tcprewrite 4.4.3-1, scapy 2.5.0+dfsg-2 (Debian 12). A pcap file of nanoseconds
# (magic 0xa1b23c4d).
# One would guess: a program that only copies packets (tcpdump -r -w, a rewriting of addresses,
# wrpcap of what rdpcap read) keeps the file's precision, at least as its default.
# Seen: all three write a file of microseconds (magic 0xa1b2c3d4). 123,456,789 ns is 123,456 us by
# tcpdump and tcprewrite, which cut, and 123,457 by scapy, which rounds: two copies of one capture
# differ by a microsecond.
set -u
T=$(mktemp -d) || exit 2
trap 'rm -rf "$T"' EXIT
cannot() { echo "cannot be tried: $*"; exit 2; }

command -v python3 >/dev/null || cannot "no python3"
mkdir -p "$T/debs/partial"
apt-get install --download-only --reinstall --no-install-recommends -yqq -o Debug::NoLocking=1 \
	-o Dir::Cache::archives="$T/debs" tcpdump=4.99.3-1 libpcap0.8=1.10.3-1 tcpreplay=4.4.3-1 \
	python3-scapy=2.5.0+dfsg-2 >"$T/log" 2>&1 || cannot "$(tail -1 "$T/log")"
for deb in "$T"/debs/*.deb; do dpkg -x "$deb" "$T/root" || cannot "$deb"; done
lib=$(echo "$T"/root/usr/lib/*-linux-gnu)

hex() { printf "$(sed 's/../\\x&/g' <<<"$1")"; }
{
	hex "4d3cb2a1020004000000000000000000ffff000001000000"
	hex "00f1536515cd5b072b0000002b000000" # 123456789 ns
	hex "0200000000020200000000010800""4500001d0001000040110000c0000201c0000202""01f401f400090000ff"
} >"$T/in.pcap"
LD_LIBRARY_PATH=$lib "$T"/root/usr/bin/tcpdump -r "$T/in.pcap" -w "$T/tcpdump.pcap" 2>"$T/err" ||
	cannot "$(cat "$T/err")"
LD_LIBRARY_PATH=$lib "$T"/root/usr/bin/tcprewrite --pnat=192.0.2.1/32:198.51.100.1/32 -i "$T/in.pcap" \
	-o "$T/tcprewrite.pcap" 2>"$T/err" || cannot "$(cat "$T/err")"
PYTHONPATH=$T/root/usr/lib/python3/dist-packages HOME=$T python3 -W ignore -c '
import sys
from scapy.all import rdpcap, wrpcap
wrpcap(sys.argv[2], rdpcap(sys.argv[1]))' "$T/in.pcap" "$T/scapy.pcap" 2>"$T/err" || cannot "$(tail -1 "$T/err")"

changed=0
for name in tcpdump tcprewrite scapy; do
	magic=$(od -An -tx4 -N4 "$T/$name.pcap" | tr -d ' ')
	fraction=$(od -An -tu4 -j28 -N4 "$T/$name.pcap" | tr -d ' ')
	echo "$name: magic $magic, fraction $fraction"
	want=123456
	[ $name = scapy ] && want=123457
	[ "$magic $fraction" = "a1b2c3d4 $want" ] || changed=1
done
exit $changed
