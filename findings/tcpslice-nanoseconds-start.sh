#!/usr/bin/env bash
# Asked for a part near the begin of a pcap of nanoseconds, tcpslice gives all before it as well.
#
# tcpslice 1.5-1 with libpcap0.8 1.10.3-1 (Debian 12). Two captures of the same 600 ESP packets, one
# a second, each at .123456789 of it: one with microseconds, one with nanoseconds (magic a1b23c4d).
# Of each, 50 seconds from the 100th and from the 300th on.
# One would guess: 51 packets each time, since it reads by libpcap, which knows nanoseconds; or a
# refusal.
# Seen: of the file of nanoseconds, +100 gives 151 packets, from the very first on, and +300 gives
# 51; no word, exit status 0. It looks as if the first record's fraction were taken for 123 million
# microseconds: whatever begins before second 123 is before the file, and no packet is skipped.
set -u
T=$(mktemp -d) || exit 2
trap 'rm -rf "$T"' EXIT
cannot() { echo "cannot be tried: $*"; exit 2; }

mkdir -p "$T/debs/partial"
apt-get install --download-only --reinstall --no-install-recommends -yqq -o Debug::NoLocking=1 \
	-o Dir::Cache::archives="$T/debs" tcpslice=1.5-1 libpcap0.8=1.10.3-1 >"$T/log" 2>&1 || cannot "$(tail -1 "$T/log")"
for deb in "$T"/debs/*.deb; do dpkg -x "$deb" "$T/root" || cannot "$deb"; done
LD_LIBRARY_PATH=$(echo "$T"/root/usr/lib/*-linux-gnu)
export LD_LIBRARY_PATH
tcpslice=$(echo "$T"/root/usr/*bin/tcpslice)

# capture MAGIC FRACTION: raw IPv4 with ESP (SPI 0x1000)
capture() {
	# shellcheck disable=SC2059
	printf "$(awk -v magic="$1" -v fraction="$2" 'function le(n) {
			return sprintf("%02x%02x%02x%02x", n % 256, n / 256 % 256, n / 65536 % 256, n / 16777216)
		}
		BEGIN {
			text = magic "020004000000000000000000ffff000065000000"
			for (i = 0; i < 600; i++)
				text = text le(1700000000 + i) le(fraction) le(92) le(92) "4500005c0001000040320000" \
					"c0000201c000020200001000" sprintf("%08x%0128d", i, 0)
			gsub(/../, "\\x&", text)
			print text
		}')"
}
capture d4c3b2a1 123456 >"$T/microseconds"
capture 4d3cb2a1 123456789 >"$T/nanoseconds"
for f in microseconds nanoseconds; do
	for from in 100 300; do
		"$tcpslice" -w "$T/part" +$from +50 "$T/$f" >"$T/said" 2>&1
		status=$?
		[ -s "$T/part" ] || cannot "$(tail -1 "$T/said")"
		first=$(($(od -An -tu4 -j24 -N4 "$T/part") - 1700000000))
		echo "$f +$from: exit status $status, $((($(stat -c %s "$T/part") - 24) / (16 + 92))) packets," \
			"the first of second $first, $(wc -c <"$T/said") bytes of messages"
	done
done >"$T/out"
cat "$T/out"
[ "$(paste -sd';' "$T/out")" = "\
microseconds +100: exit status 0, 51 packets, the first of second 100, 0 bytes of messages;\
microseconds +300: exit status 0, 51 packets, the first of second 300, 0 bytes of messages;\
nanoseconds +100: exit status 0, 151 packets, the first of second 0, 0 bytes of messages;\
nanoseconds +300: exit status 0, 51 packets, the first of second 300, 0 bytes of messages" ]
