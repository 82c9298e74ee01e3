#!/usr/bin/env bash
# tcpdump's "parent_sa" and "child_sa" come from the message ID, not from the exchange.
#
# tcpdump 4.99.3-1 (Debian 12). Before an IKEv2 exchange's name tcpdump prints `parent_sa` or
# `child_sa`.
# One would guess: IKE_SA_INIT, IKE_AUTH and INFORMATIONAL concern the IKE (parent) SA,
# CREATE_CHILD_SA a child.
# Seen: whatever has message ID 0 is `parent_sa`, all else `child_sa`. IKE_AUTH (ID 1) is
# `child_sa`. A rekeying CREATE_CHILD_SA that the responder begins is `parent_sa`, since each end
# counts its own requests from 0 (RFC 7296, section 2.2); the same exchange begun by the initiator
# is `child_sa`.
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
# message EXCHANGE FLAGS ID: an IKEv2 message with an SK payload, in UDP 500, IPv4, a record of a pcap of raw IP.
message() {
	ike=$(fill 11 8)$(fill 22 8)2e20$1$2$300000060$(printf 00000044)$(fill aa 64)
	hex "00f15365000000007c0000007c000000"
	hex "4500007c0001000040110000c0000201c0000202""01f401f400680000""$ike"
}
{
	hex d4c3b2a1020004000000000000000000ffff000065000000
	message 23 08 00000001 # IKE_AUTH
	message 24 00 00000000 # CREATE_CHILD_SA, the responder's first request
	message 24 08 00000002 # CREATE_CHILD_SA, the initiator's
} >"$T/f.pcap"
"$T"/root/usr/bin/tcpdump -nr "$T/f.pcap" >"$T/out" 2>/dev/null || cannot "tcpdump does not run"
cat "$T/out"
[ "$(grep -o '[a-z]*_sa  *[a-z0-9_]*' "$T/out" | tr -s ' ' | paste -sd,)" = \
	"child_sa ikev2_auth,parent_sa child_sa,child_sa child_sa" ]
