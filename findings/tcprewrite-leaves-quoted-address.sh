#!/usr/bin/env bash
# tcprewrite gives an ICMP error a new address and leaves the old one in the packet that it quotes.
#
# tcpreplay 4.4.3-1 (Debian 12), tcprewrite --pnat. An ICMP "fragmentation needed" to 192.0.2.1
# about an ESP packet that 192.0.2.1 had sent; 192.0.2.1 is to become 198.51.100.1.
# One would guess: both, as a NAT does (RFC 3022, section 4.3), so that the flow still fits and
# nothing is disclosed.
# Seen: the error goes to 198.51.100.1, and the packet that it quotes still comes from 192.0.2.1.
set -u
T=$(mktemp -d) || exit 2
trap 'rm -rf "$T"' EXIT
cannot() { echo "cannot be tried: $*"; exit 2; }

mkdir -p "$T/debs/partial"
apt-get install --download-only --reinstall --no-install-recommends -yqq -o Debug::NoLocking=1 \
	-o Dir::Cache::archives="$T/debs" tcpreplay=4.4.3-1 >"$T/log" 2>&1 || cannot "$(tail -1 "$T/log")"
for deb in "$T"/debs/*.deb; do dpkg -x "$deb" "$T/root" || cannot "$deb"; done
export LD_LIBRARY_PATH=$(echo "$T"/root/usr/lib/*-linux-gnu)

hex() { printf "$(sed 's/../\\x&/g' <<<"$1")"; }
quoted="4500005c000100004032b62ec0000201c0000202""0000100100000001"
{
	hex "d4c3b2a1020004000000000000000000ffff000001000000"
	hex "00f15365000000004600000046000000"
	hex "0200000000010200000000020800""45000038000100004001b1c3cb007109c0000201""0304000000000578$quoted"
} >"$T/in.pcap"
"$T"/root/usr/bin/tcprewrite --pnat=192.0.2.1/32:198.51.100.1/32 -i "$T/in.pcap" -o "$T/out.pcap" 2>"$T/err" ||
	cannot "$(cat "$T/err")"
at() { od -An -tu1 -j"$1" -N4 "$T/out.pcap" | xargs | tr ' ' .; }
to=$(at $((40 + 14 + 16))) of=$(at $((40 + 14 + 20 + 8 + 12)))
echo "the error goes to $to, about a packet of $of"
[ "$to $of" = "198.51.100.1 192.0.2.1" ]
