#!/usr/bin/env bash
# `udp port 500` takes the first fragment of an IPv4 datagram, and no fragment of an IPv6 one.
#
# tcpdump 4.99.3-1, libpcap 1.10.3-1 (Debian 12). A large IKE message goes in two IP fragments; the
# first has the UDP header in both versions of IP.
# One would guess: the filter takes the first fragment and misses the second, with IPv4 and IPv6
# alike.
# Seen: IPv4 one of two, IPv6 none. It is the port that misses: plain `udp` takes both fragments
# with either version, for over IPv6 it looks into the Fragment header as well.
set -u
T=$(mktemp -d) || exit 2
trap 'rm -rf "$T"' EXIT
cannot() { echo "cannot be tried: $*"; exit 2; }

mkdir -p "$T/debs/partial"
apt-get install --download-only --reinstall --no-install-recommends -yqq -o Debug::NoLocking=1 \
	-o Dir::Cache::archives="$T/debs" tcpdump=4.99.3-1 libpcap0.8=1.10.3-1 >"$T/log" 2>&1 ||
	cannot "$(tail -1 "$T/log")"
for deb in "$T"/debs/*.deb; do dpkg -x "$deb" "$T/root" || cannot "$deb"; done
export LD_LIBRARY_PATH=$(echo "$T"/root/usr/lib/*-linux-gnu)

hex() { printf "$(sed 's/../\\x&/g' <<<"$1")"; }
fill() { printf "%0$((2 * $2))d" 0 | sed "s/00/$1/g"; }
datagram=01f401f400880000$(fill 11 16)2e20230800000001$(printf %08x 128)$(fill aa 104)
first=${datagram:0:192} second=${datagram:192} # 96 and 40 bytes
v4() { echo "4500$(printf %04x $((20 + ${#2} / 2)))0007${1}40110000c0000201c0000202$2"; }
address() { echo "20010db8$(fill 00 11)$1"; }
v6() {
	echo "60000000$(printf %04x $((8 + ${#2} / 2)))2c40$(address 01)$(address 02)1100${1}00000007$2"
}
file() {
	hex d4c3b2a1020004000000000000000000ffff000065000000
	for p in "$@"; do
		n=$(printf %02x000000 $((${#p} / 2)))
		hex "00f1536500000000$n$n$p"
	done
}
file "$(v4 2000 "$first")" "$(v4 000c "$second")" >"$T/4.pcap"
file "$(v6 0001 "$first")" "$(v6 0060 "$second")" >"$T/6.pcap"
seen=
for f in 4 6; do
	for filter in "udp port 500" udp; do
		n=$("$T"/root/usr/bin/tcpdump -nr "$T/$f.pcap" "$filter" 2>"$T/err" | wc -l)
		grep -q "reading from" "$T/err" || cannot "$(cat "$T/err")"
		echo "IPv$f, $filter: $n of 2 fragments"
		seen+=$n
	done
done
[ "$seen" = 1202 ]
