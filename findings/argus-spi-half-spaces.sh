#!/usr/bin/env bash
# Argus' `ra` prints every ESP SPI with 0x2020 as its upper half: 0xdeadbeef is 0x2020beef.
#
# argus-server 2:3.0.8.2-2.2 and argus-client 1:3.0.8.2-6.1+b3 (Debian 12); `argus -r FILE -w -`
# into `ra -r -`. ESP packets of five SAs, whose SPIs have all kinds of upper halves.
# One would guess: ra's column Dport is the SPI, which it is meant to be for ESP; or empty, or a
# number cut to 16 bits, since a port has no more.
# Seen: 0x20201000, 0x20203344, 0x2020beef, ...: the lower half is right, the upper half is two
# spaces. No SPI can be looked up, and two SAs of one lower half are one to the reader.
set -u
T=$(mktemp -d) || exit 2
trap 'rm -rf "$T"' EXIT
cannot() { echo "cannot be tried: $*"; exit 2; }

mkdir -p "$T/debs/partial"
apt-get install --download-only --reinstall --no-install-recommends -yqq -o Debug::NoLocking=1 \
	-o Dir::Cache::archives="$T/debs" argus-server=2:3.0.8.2-2.2 argus-client=1:3.0.8.2-6.1+b3 \
	>"$T/log" 2>&1 || cannot "$(tail -1 "$T/log")"
for deb in "$T"/debs/*.deb; do dpkg -x "$deb" "$T/root" || cannot "$deb"; done
LD_LIBRARY_PATH=$(echo "$T"/root/usr/lib/*-linux-gnu)
export LD_LIBRARY_PATH

# shellcheck disable=SC2001,SC2059
hex() { printf "$(sed 's/../\\x&/g' <<<"$1")"; }
le() { printf %08x "$1" | sed 's/\(..\)\(..\)\(..\)\(..\)/\4\3\2\1/'; }
spis="00001000 11223344 deadbeef 7fffffff c0000001"
{
	hex d4c3b2a1020004000000000000000000ffff000001000000
	i=10
	for spi in $spis; do
		esp=$spi''00000001$(printf '%0128d' 0)
		n=$(le $((34 + ${#esp} / 2)))
		hex "$(le $((1700000000 + i)))00000000$n$n"020000000001020000000002"0800"
		hex "4500005c000100004032""0000c00002$(printf %02x $i)c0000202$esp"
		i=$((i + 1))
	done
} >"$T/f.pcap"
"$T/root/usr/sbin/argus" -X -r "$T/f.pcap" -w "$T/f.argus" >"$T/log" 2>&1 || cannot "$(tail -1 "$T/log")"
"$T/root/usr/bin/ra" -X -n -L -1 -c, -r "$T/f.argus" -s proto saddr dport >"$T/said" 2>"$T/log" ||
	cannot "$(tail -1 "$T/log")"
grep ^esp "$T/said" | cut -d, -f3 | paste -sd' ' >"$T/out"
echo "SPIs: $spis"
echo "ra:   $(cat "$T/out")"
[ "$(cat "$T/out")" = "0x20201000 0x20203344 0x2020beef 0x2020ffff 0x20200001" ]
