#!/usr/bin/env bash
# nfpcapd counts a datagram in two fragments as one packet, and when the second fragment comes first
# as none.
#
# nfdump 1.7.1-2+deb12u1 (Debian 12): `nfpcapd -r FILE -l DIR`, then nfdump. Three captures: a
# datagram of 1872 bytes to UDP port 500 in two IPv4 fragments (1500 and 420 bytes), as a large IKE
# message travels; the same two frames the other way round; the two as ESP (protocol 50) instead.
# One would guess: 2 packets and 1920 bytes each time, as any exporter in a router has it, maybe in
# two flows, of which one has no ports.
# Seen: fragments are put together before they are counted: 1 packet of 1900 bytes. In the other
# order, in which some senders send them and networks deliver them, there is no flow, and "skipped:
# 0" among the totals. ESP is one packet as well, with the number of its IP ID for a source port.
set -u
T=$(mktemp -d) || exit 2
trap 'rm -rf "$T"' EXIT
cannot() { echo "cannot be tried: $*"; exit 2; }

mkdir -p "$T/debs/partial"
apt-get install --download-only --reinstall --no-install-recommends -yqq -o Debug::NoLocking=1 \
	-o Dir::Cache::archives="$T/debs" nfdump=1.7.1-2+deb12u1 >"$T/log" 2>&1 || cannot "$(tail -1 "$T/log")"
for deb in "$T"/debs/*.deb; do dpkg -x "$deb" "$T/root" || cannot "$deb"; done
LD_LIBRARY_PATH=$(echo "$T"/root/usr/lib/*-linux-gnu)
export LD_LIBRARY_PATH PATH=$T/root/usr/bin:$PATH

ethernet=0200000000020200000000010800
# fragment OFFSET LENGTH PROTOCOL CONTENT: a record of a pcap; LENGTH is that of the IPv4 packet
fragment() {
	local ip
	ip=$(printf '4500%04x0007%s40%02x0000c0000201c0000202' "$2" "$1" "$3")
	printf '00f15365000000%02x%02x%02x0000%02x%02x0000%s%s%0*d' 0 \
		$((($2 + 14) % 256)) $((($2 + 14) / 256)) $((($2 + 14) % 256)) $((($2 + 14) / 256)) \
		"$ethernet" "$ip$4" $((2 * ($2 - 20) - ${#4})) 0
}
# capture RECORD...: a pcap of Ethernet
capture() {
	# shellcheck disable=SC2059
	printf "$(printf d4c3b2a1020004000000000000000000ffff000001000000 | cat - <(printf %s "$@") | sed 's/../\\x&/g')"
}
first=$(fragment 2000 1500 17 01f401f407580000)
second=$(fragment 00b9 420 17 "")
capture "$first" "$second" >"$T/in-order"
capture "$second" "$first" >"$T/second-first"
capture "$(fragment 2000 1500 50 deadbeef00000001)" "$(fragment 00b9 420 50 "")" >"$T/esp"
for f in in-order second-first esp; do
	mkdir "$T/$f.flows"
	nfpcapd -r "$T/$f" -l "$T/$f.flows" >"$T/said" 2>&1
	grep -q '^Total: ' "$T/said" || cannot "$(tail -1 "$T/said")"
	echo "$f: $(sed -n 's/^Total: //p' "$T/said")"
	nfdump -R "$T/$f.flows" -q -o 'fmt:%pr %sap %dap %pkt packets %byt bytes' 2>&1 | sed '/^$/d; s/  */ /g; s/ $//'
done >"$T/out"
cat "$T/out"
[ "$(paste -sd';' "$T/out")" = "\
in-order: Processed: 2, skipped: 0, short caplen: 0, unknown: 0;\
UDP 192.0.2.1:500 192.0.2.2:500 1 packets 1900 bytes;\
second-first: Processed: 2, skipped: 0, short caplen: 0, unknown: 0;\
No matching flows;\
esp: Processed: 2, skipped: 0, short caplen: 0, unknown: 0;\
ESP 192.0.2.1:7 192.0.2.2:0 1 packets 1900 bytes" ]
