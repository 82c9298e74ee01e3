#!/usr/bin/env bash
# tcprewrite changes nothing in a capture of raw IP, and says nothing.
#
# tcpreplay 4.4.3-1 (Debian 12). Two captures of the same packet, an IKE-sized UDP datagram from
# 192.0.2.1 to 192.0.2.2: one with Ethernet, one of raw IP (what a tunnel interface gives), which
# is among the link types that tcprewrite lists as supported.
# One would guess: --pnat and --ttl change addresses and TTL of both, as they are of the IP layer;
# or a refusal of the link type, as there is one for 228.
# Seen: Ethernet is rewritten, raw IP is copied byte for byte; no word, exit status 0 for both:
# addresses thought to be hidden are all there.
set -u
T=$(mktemp -d) || exit 2
trap 'rm -rf "$T"' EXIT
cannot() { echo "cannot be tried: $*"; exit 2; }

mkdir -p "$T/debs/partial"
apt-get install --download-only --reinstall --no-install-recommends -yqq -o Debug::NoLocking=1 \
	-o Dir::Cache::archives="$T/debs" tcpreplay=4.4.3-1 \
	>"$T/log" 2>&1 || cannot "$(tail -1 "$T/log")"
for deb in "$T"/debs/*.deb; do dpkg -x "$deb" "$T/root" || cannot "$deb"; done
LD_LIBRARY_PATH=$(echo "$T"/root/usr/lib/*-linux-gnu)
export LD_LIBRARY_PATH

# shellcheck disable=SC2001,SC2059
hex() { printf "$(sed 's/../\\x&/g' <<<"$1")"; }
le() { printf %08x "$1" | sed 's/\(..\)\(..\)\(..\)\(..\)/\4\3\2\1/'; }
packet=4500005c000100004011f68cc0000201c0000202""01f401f400480000$(printf '%0128d' 0)
# capture LINKTYPE HEADER
capture() {
	n=$(le $((${#2} / 2 + ${#packet} / 2)))
	hex "d4c3b2a1020004000000000000000000ffff0000$(le "$1")$(le 1700000000)00000000$n$n$2$packet"
}
capture 1 0200000000010200000000020800 >"$T/ethernet.pcap"
capture 101 "" >"$T/raw.pcap"
for f in ethernet raw; do
	"$T/root/usr/bin/tcprewrite" --pnat=192.0.2.0/24:198.51.100.0/24 --ttl=10 \
		-i "$T/$f.pcap" -o "$T/$f.new" >"$T/said" 2>&1
	status=$?
	[ -s "$T/$f.new" ] || cannot "$(tail -1 "$T/said")"
	cmp -s "$T/$f.pcap" "$T/$f.new" && same="the same file" || same="another file"
	echo "$f: exit status $status, $same, $(wc -c <"$T/said") bytes of messages"
done >"$T/out"
cat "$T/out"
[ "$(paste -sd';' "$T/out")" = "ethernet: exit status 0, another file, 0 bytes of messages;\
raw: exit status 0, the same file, 0 bytes of messages" ]
