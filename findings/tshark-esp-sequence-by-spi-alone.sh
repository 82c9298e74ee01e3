#!/usr/bin/env bash
# tshark's ESP sequence analysis knows an SA by its SPI alone, whatever the addresses.
#
# Wireshark 4.0.17-0+deb12u3 (Debian 12), the preference esp.do_sequence_analysis as it comes: on.
# Each receiver chooses the SPI of what it gets (RFC 4303, section 2.1), so two SAs, one each way,
# may well have the same. Here both are 0x1001, A to B sends 1, 2, 3, 4 and B to A 101, 102, 103,
# 104 in turn; nothing is lost.
# One would guess: no warning. The analysis of TCP, next to it, goes by addresses and ports.
# Seen: seven warnings "Wrong Sequence Number" for eight packets, four of them with "99 missing".
set -u
T=$(mktemp -d) || exit 2
trap 'rm -rf "$T"' EXIT
cannot() { echo "cannot be tried: $*"; exit 2; }

w=4.0.17-0+deb12u3
mkdir -p "$T/debs/partial"
apt-get install --download-only --reinstall --no-install-recommends -yqq -o Debug::NoLocking=1 \
	-o Dir::Cache::archives="$T/debs" tshark=$w wireshark-common=$w libwireshark16=$w libwiretap13=$w libwsutil14=$w \
	>"$T/log" 2>&1 || cannot "$(tail -1 "$T/log")"
for deb in "$T"/debs/*.deb; do dpkg -x "$deb" "$T/root" || cannot "$deb"; done
export LD_LIBRARY_PATH=$(echo "$T"/root/usr/lib/*-linux-gnu) WIRESHARK_CONFIG_DIR=$T
tshark() { "$T"/root/usr/bin/tshark "$@" 2>"$T/err" || cannot "$(cat "$T/err")"; }

hex() { printf "$(sed 's/../\\x&/g' <<<"$1")"; }
fill() { printf "%0$((2 * $2))d" 0 | sed "s/00/$1/g"; }
esp() { hex "00f15365000000006000000060000000""45000060000100004032b62a$1$2""00001001$3$(fill aa 68)"; }
{
	hex d4c3b2a1020004000000000000000000ffff000065000000
	for i in 1 2 3 4; do
		esp c0000201 c0000202 "$(printf %08x $i)"
		esp c0000202 c0000201 "$(printf %08x $((100 + i)))"
	done
} >"$T/f.pcap"
tshark -nr "$T/f.pcap" -q -z expert >"$T/out"
cat "$T/out"
[ "$(grep -c 'Wrong Sequence Number for SPI 00001001' "$T/out")" = 2 ] &&
	grep -q ' 4 .* - 99 missing' "$T/out" && grep -q ' 3 .* - 100 less than expected' "$T/out"
