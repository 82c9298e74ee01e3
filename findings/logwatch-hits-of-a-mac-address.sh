#!/usr/bin/env bash
# logwatch counts the packets of an ACL with `log-input` by the MAC address they came from, and none
# of ESP.
#
# logwatch 7.7-1 (Debian 12), its service "cisco" by itself, as logwatch runs it, over what IOS
# sends for an ACL: 5 packets of IKE with `log`, the same with `log-input` from three neighbours, 9
# packets of ESP.
# One would guess: 5 hits for each of the four lists of IKE, 9 for that of ESP; or "unmatched" for a
# form that it does not know.
# Seen: 5; then 5254, 0.5 and 4500000000000, which is how "5254.00ab.cdef", "0000.5e00.5301" and
# "0004.5e12.3456" begin if they are read as numbers, the last as 4.5 times ten to the twelfth; and
# 0. These are in the totals, and no line is "unmatched".
set -u
T=$(mktemp -d) || exit 2
trap 'rm -rf "$T"' EXIT
cannot() { echo "cannot be tried: $*"; exit 2; }

mkdir -p "$T/debs/partial"
apt-get install --download-only --reinstall --no-install-recommends -yqq -o Debug::NoLocking=1 \
	-o Dir::Cache::archives="$T/debs" logwatch=7.7-1 \
	>"$T/log" 2>&1 || cannot "$(tail -1 "$T/log")"
for deb in "$T"/debs/*.deb; do dpkg -x "$deb" "$T/root" || cannot "$deb"; done
LD_LIBRARY_PATH=$(echo "$T"/root/usr/lib/*-linux-gnu)
export LD_LIBRARY_PATH
command -v perl >/dev/null || cannot "no perl"
cat >"$T/log.txt" <<'END'
Nov 30 19:46:03 r1 237: *Nov 30 19:46:03.295: %SEC-6-IPACCESSLOGP: list LOG denied udp 192.0.2.1(500) -> 192.0.2.2(500), 5 packets
Nov 30 19:46:03 r1 238: *Nov 30 19:46:03.295: %SEC-6-IPACCESSLOGP: list IN1 denied udp 192.0.2.1(500) (Gi1 5254.00ab.cdef) -> 192.0.2.2(500), 5 packets
Nov 30 19:46:03 r1 239: *Nov 30 19:46:03.295: %SEC-6-IPACCESSLOGP: list IN2 denied udp 192.0.2.1(500) (Gi1 0000.5e00.5301) -> 192.0.2.2(500), 5 packets
Nov 30 19:46:03 r1 240: *Nov 30 19:46:03.295: %SEC-6-IPACCESSLOGP: list IN3 denied udp 192.0.2.1(500) (Gi1 0004.5e12.3456) -> 192.0.2.2(500), 5 packets
Nov 30 19:46:03 r1 241: *Nov 30 19:46:03.295: %SEC-6-IPACCESSLOGNP: list ESP denied 50 192.0.2.1 -> 192.0.2.2, 9 packets
END
perl -I "$T/root/usr/share/logwatch/lib" "$T/root/usr/share/logwatch/scripts/services/cisco" \
	<"$T/log.txt" >"$T/said" 2>&1
sed -n '/^Access Control Lists/,/^Actions/s/^ *\([A-Z0-9]* : .* Hit(s)\)/\1/p' "$T/said" | sort >"$T/out"
[ -s "$T/out" ] || cannot "$(tail -1 "$T/said")"
grep -c Unmatched "$T/said" | sed 's/^/unmatched: /' >>"$T/out"
cat "$T/out"
[ "$(cat "$T/out")" = "ESP : 0 Hit(s)
IN1 : 5254 Hit(s)
IN2 : 0.5 Hit(s)
IN3 : 4500000000000 Hit(s)
LOG : 5 Hit(s)
unmatched: 0" ]
