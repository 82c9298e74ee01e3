#!/usr/bin/env bash
# lnav takes what a host with a name of two letters logs for a part of what another host logged
# before.
#
# lnav 0.11.1-3 (Debian 12), without a terminal (-n), asked by its SQL what messages a syslog file
# has: two lines of "gateway" and, behind each, one of "r1", then the same with "rt1" for r1.
# One would guess: four messages, two of each host.
# Seen: with r1 two messages, both of gateway; the text of each goes on with the whole line of r1. A
# search or filter for the host, the level or the program does not find r1's, and a time range takes
# them with gateway's. With rt1 there are four. A file of r1 alone is no syslog for lnav.
set -u
T=$(mktemp -d) || exit 2
trap 'rm -rf "$T"' EXIT
cannot() { echo "cannot be tried: $*"; exit 2; }

mkdir -p "$T/debs/partial" "$T/home"
apt-get install --download-only --reinstall --no-install-recommends -yqq -o Debug::NoLocking=1 \
	-o Dir::Cache::archives="$T/debs" lnav=0.11.1-3 >"$T/log" 2>&1 || cannot "$(tail -1 "$T/log")"
for deb in "$T"/debs/*.deb; do dpkg -x "$deb" "$T/root" || cannot "$deb"; done
LD_LIBRARY_PATH=$(echo "$T"/root/usr/lib/*-linux-gnu)
export LD_LIBRARY_PATH HOME=$T/home TZ=UTC

for host in r1 rt1; do
	cat >"$T/$host.log" <<END
Dec  1 04:00:01 gateway charon[77]: 06[IKE] IKE_SA to 192.0.2.2 established
Dec  1 04:00:02 $host %CRYPTO-4-IKMP_NO_SA: IKE message from 192.0.2.9 has no SA
Dec  1 04:00:03 gateway charon[77]: 06[IKE] sending DELETE
Dec  1 04:00:04 $host %LINK-3-UPDOWN: Interface Tunnel1, changed state to down
END
	timeout 30 "$T/root/usr/bin/lnav" -n -c ';SELECT log_hostname, log_procname,
		length(log_body) - length(replace(log_body, char(10), "")) + 1 AS lines FROM syslog_log' \
		-c ':write-csv-to -' "$T/$host.log" >"$T/table" 2>&1
	status=$?
	grep -q gateway "$T/table" || cannot "$(head -1 "$T/table")"
	echo "$host, exit status $status: $(paste -sd' ' "$T/table")"
done >"$T/out"
cat "$T/out"
[ "$(cat "$T/out")" = "\
r1, exit status 0: log_hostname,log_procname,lines gateway,charon,2 gateway,charon,2
rt1, exit status 0: log_hostname,log_procname,lines gateway,charon,1 rt1,%CRYPTO-4-IKMP_NO_SA,1\
 gateway,charon,1 rt1,%LINK-3-UPDOWN,1" ]
