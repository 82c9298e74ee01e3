#!/usr/bin/env bash
# pcapfix "repairs" a whole capture in which a day passes without a packet: all that comes after is
# gone.
#
# pcapfix 1.1.7-2 (Debian 12). Two captures of the IKE messages of a tunnel that is set up now and
# then, four messages each time, five times; in one 23 hours lie between, in the other 25.
# One would guess: "looks proper" of both; the format has nothing to say about pauses, a rekey a
# day is what many tunnels have, and a backup line can be silent for weeks.
# Seen: 23 hours are proper; of the other 4 packets of 20 are written, "SUCCESS: 1 Corruption(s)
# fixed!", exit status 0. A header whose second is more than a day after the packet's before it is
# taken for damage, and so is every one after it.
set -u
T=$(mktemp -d) || exit 2
trap 'rm -rf "$T"' EXIT
cannot() { echo "cannot be tried: $*"; exit 2; }

mkdir -p "$T/debs/partial"
apt-get install --download-only --reinstall --no-install-recommends -yqq -o Debug::NoLocking=1 \
	-o Dir::Cache::archives="$T/debs" pcapfix=1.1.7-2 >"$T/log" 2>&1 || cannot "$(tail -1 "$T/log")"
for deb in "$T"/debs/*.deb; do dpkg -x "$deb" "$T/root" || cannot "$deb"; done
pcapfix=$T/root/usr/bin/pcapfix

# shellcheck disable=SC2001,SC2059
hex() { printf "$(sed 's/../\\x&/g' <<<"$1")"; }
le() { printf %08x "$1" | sed 's/\(..\)\(..\)\(..\)\(..\)/\4\3\2\1/'; }
packet=450000380001000040110000c0000201c0000202""01f401f400240000$(printf '11%.0s' 1 2 3 4 5 6 7 8)
packet+=0000000000000000""00202208000000000000001c
# capture HOURS: raw IPv4, of each time four packets with a second between
capture() {
	text=d4c3b2a1020004000000000000000000ffff000065000000
	for burst in 0 1 2 3 4; do
		for i in 0 1 2 3; do
			text+=$(le $((1700000000 + burst * $1 * 3600 + i)))$(le 123456)$(le 56)$(le 56)$packet
		done
	done
	hex "$text"
}
for hours in 23 25; do
	capture $hours >"$T/$hours.pcap"
	"$pcapfix" -o "$T/fixed" "$T/$hours.pcap" >"$T/said" 2>&1
	status=$?
	grep -q 'Analyzing packets' "$T/said" || cannot "$(tail -1 "$T/said")"
	written="no file"
	[ -e "$T/fixed" ] && written="$((($(stat -c %s "$T/fixed") - 24) / (16 + 56))) packets written"
	echo "$hours hours: exit status $status, $written, $(grep -o 'looks proper\|SUCCESS: .*' "$T/said")"
done >"$T/out"
cat "$T/out"
[ "$(paste -sd';' "$T/out")" = "23 hours: exit status 0, no file, looks proper;\
25 hours: exit status 0, 4 packets written, SUCCESS: 1 Corruption(s) fixed!" ]
