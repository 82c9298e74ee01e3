#!/usr/bin/env bash
# nDPI takes an idle tunnel behind a NAT for calls with the messenger IMO.
#
# libndpi-bin 4.2-2 (Debian 12), ndpiReader -i FILE. Two captures of a tunnel in UDP port 4500:
# IKE_AUTH's request and response, then in one ESP, in the other what a gateway behind a NAT sends
# while there is nothing to say, a keepalive of one byte 0xff every 20 seconds (RFC 3948).
# One would guess: IPsec both times; port 4500 is nothing else, the flow begins with IKE after its
# marker of four zero bytes, and these keepalives are this port's.
# Seen: with ESP "IPsec", with keepalives "IMO", of which ndpiReader says category VoIP and
# "Confidence: DPI", where IPsec was "Match by port".
set -u
T=$(mktemp -d) || exit 2
trap 'rm -rf "$T"' EXIT
cannot() { echo "cannot be tried: $*"; exit 2; }

mkdir -p "$T/debs/partial"
apt-get install --download-only --reinstall --no-install-recommends -yqq -o Debug::NoLocking=1 \
	-o Dir::Cache::archives="$T/debs" libndpi-bin=4.2-2 libndpi4.2=4.2-2 >"$T/log" 2>&1 || cannot "$(tail -1 "$T/log")"
for deb in "$T"/debs/*.deb; do dpkg -x "$deb" "$T/root" || cannot "$deb"; done
LD_LIBRARY_PATH=$(echo "$T"/root/usr/lib/*-linux-gnu)
export LD_LIBRARY_PATH

# shellcheck disable=SC2001,SC2059
hex() { printf "$(sed 's/../\\x&/g' <<<"$1")"; }
le() { printf %08x "$1" | sed 's/\(..\)\(..\)\(..\)\(..\)/\4\3\2\1/'; }
fill() { printf "%0$((2 * $2))d" 0 | sed "s/00/$1/g"; }
one=c0000201 two=c0000202
# packet SECOND SOURCE TARGET DATA: Ethernet, IPv4 and UDP, port 4500
packet() {
	n=$((${#4} / 2))
	m=$(le $((42 + n)))
	hex "$(le $((1700000000 + $1)))00000000$m$m""0200000000010200000000020800"
	hex "4500$(printf %04x $((28 + n)))0001000040110000$2$3""11941194$(printf %04x $((8 + n)))0000$4"
}
# setup: IKE_AUTH's request and response, 240 bytes each, after the non-ESP marker
setup() {
	hex d4c3b2a1020004000000000000000000ffff000001000000
	spis=$(fill 11 8)$(fill 22 8)
	body=000000f0230000d4$(fill c5 208)
	packet 0 $one $two "00000000${spis}2e202308""00000001$body"
	packet 1 $two $one "00000000${spis}2e202320""00000001$body"
}
{
	setup
	for i in 1 2 3 4 5 6 7 8; do
		packet $((20 * i)) $one $two "c1d2e3f4$(printf %08x $i)$(fill 9b 88)"
		packet $((20 * i)) $two $one "c4b3a291$(printf %08x $i)$(fill e6 88)"
	done
} >"$T/esp.pcap"
{
	setup
	for i in 1 2 3 4 5 6 7 8; do packet $((20 * i)) $one $two ff; done
} >"$T/keepalives.pcap"
for f in esp keepalives; do
	"$T"/root/usr/bin/ndpiReader -i "$T/$f.pcap" -v 2 >"$T/said" 2>&1
	found=$(sed -n '/^Detected protocols:/,/^$/s/^[[:space:]]\([^ ]*\) .*flows: \([0-9]*\).*/\1, flows: \2/p' "$T/said")
	[ -n "$found" ] || cannot "$(tail -1 "$T/said")"
	echo "$f: $found, $(grep -o 'Confidence: [^]]*' <(grep '^[[:space:]]*1[[:space:]]UDP' "$T/said"))"
done >"$T/out"
cat "$T/out"
[ "$(paste -sd';' "$T/out")" = "esp: IPsec, flows: 1, Confidence: Match by port;\
keepalives: IMO, flows: 1, Confidence: DPI" ]
