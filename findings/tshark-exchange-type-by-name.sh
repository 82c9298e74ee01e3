#!/usr/bin/env bash
# tshark's `isakmp.exchangetype == "INFORMATIONAL"` finds IKEv1's Informational exchanges and none
# of IKEv2's, which tshark itself prints as INFORMATIONAL.
#
# Wireshark 4.0.17-0+deb12u3 (Debian 12). Two IKEv2 INFORMATIONAL messages (exchange type 37, RFC
# 7296) and one IKEv1 Informational (5, RFC 2408).
# One would guess: the name as it stands in the packet list and in the details finds the two of
# IKEv2; or all three, since the comparison goes without regard to case.
# Seen: one, the IKEv1 message: two fields bear this name, and a value's name is looked
# up in the first table only, IKEv1's: the filter is valid and silently another. "IKE_AUTH" is not
# among the possible values at all, and `isakmp.exchangetype == 37` finds the two.
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
LD_LIBRARY_PATH=$(echo "$T"/root/usr/lib/*-linux-gnu)
export LD_LIBRARY_PATH WIRESHARK_CONFIG_DIR=$T
tshark() { "$T"/root/usr/bin/tshark "$@" 2>"$T/err" || cannot "$(cat "$T/err")"; }

# shellcheck disable=SC2001,SC2059
hex() { printf "$(sed 's/../\\x&/g' <<<"$1")"; }
fill() { printf "%0$((2 * $2))d" 0 | sed "s/00/$1/g"; }
# message SECOND IKE: a packet of raw IPv4 and UDP from 192.0.2.1 to 192.0.2.2, port 500
message() {
	n=$((28 + ${#2} / 2))
	m=$(printf %02x000000 $n)
	hex "0$1""000000""00000000$m$m""4500$(printf %04x $n)0001000040110000c0000201c0000202"
	hex "01f401f4$(printf %04x $((n - 20)))0000$2"
}
spis=$(fill 11 8)$(fill 22 8)
{
	hex d4c3b2a1020004000000000000000000ffff000065000000
	message 1 "${spis}2e20250800000002000000400000""0024$(fill cc 32)"
	message 2 "${spis}2e20250800000003000000400000""0024$(fill cc 32)"
	message 3 "${spis}0810050100000004""0000003c$(fill cc 32)"
} >"$T/f.pcap"
count() { tshark -nr "$T/f.pcap" -Y "$1" -T fields -e frame.number | paste -sd,; }
shown=$(tshark -nr "$T/f.pcap" -T fields -e _ws.col.Info | cut -d' ' -f1 | paste -sd,)
name=$(count 'isakmp.exchangetype == "INFORMATIONAL"')
number=$(count 'isakmp.exchangetype == 37')
other=$(
	"$T"/root/usr/bin/tshark -nr "$T/f.pcap" -Y 'isakmp.exchangetype == "IKE_AUTH"' 2>&1 | grep -o 'cannot be found'
)
echo "shown as: $shown"
echo "by name: frame $name; by number: frames $number; IKE_AUTH: $other"
[ "$shown; $name; $number; $other" = "INFORMATIONAL,INFORMATIONAL,Informational; 3; 1,2; cannot be found" ]
