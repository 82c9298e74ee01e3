#!/usr/bin/env bash
# libtrace's traceends counts the bytes that an IPv4 address has sent with the bytes of each length
# swapped: two packets of 128 bytes are 65536.
#
# libtrace-tools 3.0.22-0.1 (Debian 12), `traceends -A v4` and `tracetopends -A v4`. A pcap of four
# Ethernet frames, between 192.0.2.1, which sends two IPv4 packets of 128 bytes, and 192.0.2.2,
# which sends one of 128 and one of 228.
# One would guess: 256 bytes sent by the one and 356 by the other, and the same numbers as received
# by the other side, which the table has too.
# Seen: 65536 and 91136 bytes sent (0x0080 is read as 0x8000, 0x00e4 as 0xe400), 356 and 256
# received. Whoever sends packets of 1 to 255 bytes, as keepalives and acknowledgements are, is far
# ahead in a list of top talkers, and who fills its packets (1500 is 56325, 1280 is 5) is in no
# order at all.
set -u
T=$(mktemp -d) || exit 2
trap 'rm -rf "$T"' EXIT
cannot() { echo "cannot be tried: $*"; exit 2; }

mkdir -p "$T/debs/partial"
apt-get install --download-only --reinstall --no-install-recommends -yqq -o Debug::NoLocking=1 \
	-o Dir::Cache::archives="$T/debs" libtrace-tools=3.0.22-0.1 libpcap0.8=1.10.3-1 >"$T/log" 2>&1 ||
	cannot "$(tail -1 "$T/log")"
for deb in "$T"/debs/*.deb; do dpkg -x "$deb" "$T/root" || cannot "$deb"; done
LD_LIBRARY_PATH=$(echo "$T"/root/usr/lib/*-linux-gnu)
export LD_LIBRARY_PATH PATH=$T/root/usr/bin:$PATH

# frame SECOND FROM TO LENGTH: a record with Ethernet, IPv4 of LENGTH bytes, UDP
frame() {
	printf '%02xf1536500000000%02x000000%02x0000000200000000020200000000010800' "$1" $(($4 + 14)) $(($4 + 14))
	printf '450000%02x0001000040110000c00002%02xc00002%02x' "$4" "$2" "$3"
	printf '01f401f4%04x0000%0*d' $(($4 - 20)) $((2 * ($4 - 28))) 0
}
# shellcheck disable=SC2059,SC2001
printf "$(sed 's/../\\x&/g' <<<"d4c3b2a1020004000000000000000000ffff000001000000$(
	frame 0 1 2 128; frame 1 2 1 128; frame 2 1 2 128; frame 3 2 1 228)")" >"$T/pcap"
for tool in traceends tracetopends; do
	TZ=UTC "$tool" -A v4 "pcapfile:$T/pcap" >"$T/table" 2>"$T/said"
	status=$?
	grep -q 192.0.2.1 "$T/table" || cannot "$(tail -1 "$T/said")"
	awk -v tool="$tool" -v status="$status" '/192.0.2/ {
		print tool ": " $1 " sent " $3 " packets, " $4 " bytes; received " $6 " packets, " $7 " bytes; exit status " status
	}' "$T/table" | sort
done >"$T/out"
cat "$T/out"
[ "$(cat "$T/out")" = "\
traceends: 192.0.2.1 sent 2 packets, 65536 bytes; received 2 packets, 356 bytes; exit status 0
traceends: 192.0.2.2 sent 2 packets, 91136 bytes; received 2 packets, 256 bytes; exit status 0
tracetopends: 192.0.2.1 sent 2 packets, 65536 bytes; received 2 packets, 356 bytes; exit status 0
tracetopends: 192.0.2.2 sent 2 packets, 91136 bytes; received 2 packets, 256 bytes; exit status 0" ]
