#!/usr/bin/env bash
# In two pcapng files put end to end, Wireshark gives the second file's packets to the first
# file's interface.
#
# Wireshark 4.0.17-0+deb12u3 (Debian 12); github.com/google/gopacket/pcapgo v1.1.19 is right with
# the same file. `cat a.pcapng b.pcapng` is a file of two sections, which the format has on
# purpose; a's interface is "r1" with microseconds, b's "r2" with nanoseconds, one packet each.
# One would guess: "r1" and "r2"; tshark numbers the sections (frame.section_number 1 and 2), and
# numbers of interfaces begin anew in each. Or the second section is not read.
# Seen: section 1 and 2, but "r1" for both; the time of b's packet is read right, by its own
# interface. What editcap copies has one section, both packets on "r1", and 789 nanoseconds are
# gone.
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
le() { printf %08x "$1" | sed 's/\(..\)\(..\)\(..\)\(..\)/\4\3\2\1/'; }
block() { n=$(le $((12 + ${#2} / 2))) && hex "$(le "$1")$n$2$n"; }
# section NAME RESOLUTION TIME: one interface of raw IP, one NAT keepalive on it, TIME in its units
section() {
	block $((0x0a0d0d0a)) 4d3c2b1a01000000ffffffffffffffff
	block 1 "6500000000000400""02000200$1""0000""09000100$2""000000""00000000"
	packet=4500001d0001000040110000c0000201c00002021194119400090000ff000000
	block 6 "00000000$(le $(($3 >> 32)))$(le $(($3 & 0xffffffff)))$(le 29)$(le 29)$packet"
}
section 7231 06 1700000000123456 >"$T/a.pcapng"
section 7232 09 1700000000123456789 >"$T/b.pcapng"
cat "$T/a.pcapng" "$T/b.pcapng" >"$T/ab.pcapng"
fields="-T fields -e frame.section_number -e frame.interface_name -e frame.time_epoch"
# shellcheck disable=SC2086
read_() { tshark -nr "$1" $fields | tr '\t' ' ' | paste -sd,; }
"$T"/root/usr/bin/editcap "$T/ab.pcapng" "$T/copy.pcapng" || cannot "editcap"
alone=$(read_ "$T/b.pcapng") both=$(read_ "$T/ab.pcapng") copy=$(read_ "$T/copy.pcapng")
echo "b alone: $alone"
echo "a and b: $both"
echo "copy: $copy"
[ "$alone;$both;$copy" = "1 r2 1700000000.123456789;1 r1 1700000000.123456000,2 r1 1700000000.123456789;\
1 r1 1700000000.123456000,1 r1 1700000000.123456000" ]
