#!/usr/bin/env bash
# ipcalc-ng takes the wildcard mask of an IOS ACL for as many ones of a prefix as it has: of 16
# addresses it makes 160.0.0.0/4. ipcalc, whose name it has in other distributions, reads it right.
#
# Debian 12: ipcalc-ng 1.0.2-1 and ipcalc 0.42-2. 172.16.0.0 0.0.0.15 and 172.16.0.0 0.15.255.255, as an
# ACL for a tunnel has them, written with a slash.
# One would guess: 172.16.0.0/28 and /12, as ipcalc has it; or a host; or that this is no mask.
# Seen: 0.0.0.15 has four ones, so 160.0.0.0/4; 0.15.255.255 has twenty, so 172.16.0.0/20. Exit status 0.
set -u
T=$(mktemp -d) || exit 2
trap 'rm -rf "$T"' EXIT
cannot() { echo "cannot be tried: $*"; exit 2; }

mkdir -p "$T/debs/partial"
apt-get install --download-only --reinstall --no-install-recommends -yqq -o Debug::NoLocking=1 \
	-o Dir::Cache::archives="$T/debs" ipcalc-ng=1.0.2-1 ipcalc=0.42-2 libmaxminddb0 >"$T/log" 2>&1 ||
	cannot "$(tail -1 "$T/log")"
for deb in "$T"/debs/{ipcalc,ipcalc-ng,libmaxminddb0}_*.deb; do dpkg -x "$deb" "$T/root" || cannot "$deb"; done
LD_LIBRARY_PATH=$(echo "$T"/root/usr/lib/*-linux-gnu)
export LD_LIBRARY_PATH
command -v perl >/dev/null || cannot "no perl"
bin=$T/root/usr/bin

for x in 172.16.0.0/0.0.0.15 172.16.0.0/0.15.255.255; do
	echo "$x"
	echo "ipcalc $("$bin/ipcalc" -n -b "$x" | sed -n 's/^Network: *\([^ ]*\).*/\1/p')"
	echo "ipcalc-ng $("$bin/ipcalc-ng" --no-decorate -n -p "$x" | paste -sd' ')"
done | tee "$T/out"
[ "$(cat "$T/out")" = "172.16.0.0/0.0.0.15
ipcalc 172.16.0.0/28
ipcalc-ng 4 160.0.0.0
172.16.0.0/0.15.255.255
ipcalc 172.16.0.0/12
ipcalc-ng 20 172.16.0.0" ]
