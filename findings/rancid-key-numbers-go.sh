#!/usr/bin/env bash
# RANCID takes the number of a key for the key, and a description with "Time: " for a clock.
#
# rancid 3.13-2+b1 (Debian 12), FILTER_PWDS=YES, which is its default; `rancid -t cisco -f FILE`
# over a recorded session with `show running-config`: a key chain of two keys, and an interface.
# One would guess: key-string is removed, "key 1" and "key 2" stay, as do descriptions; what is kept
# is meant to be put back into a router, less its secrets.
# Seen: "! key <removed>" for the numbers, and lifetimes that belong to no key; the description
# "Backup Peer Time: 9-17" is gone, without a sign, so that no change of it is ever reported. Any
# line with "Time: " is, for NX-OS's sake.
set -u
T=$(mktemp -d) || exit 2
trap 'rm -rf "$T"' EXIT
cannot() { echo "cannot be tried: $*"; exit 2; }

mkdir -p "$T/debs/partial"
apt-get install --download-only --reinstall --no-install-recommends -yqq -o Debug::NoLocking=1 \
	-o Dir::Cache::archives="$T/debs" rancid=3.13-2+b1 \
	>"$T/log" 2>&1 || cannot "$(tail -1 "$T/log")"
for deb in "$T"/debs/*.deb; do dpkg -x "$deb" "$T/root" || cannot "$deb"; done
LD_LIBRARY_PATH=$(echo "$T"/root/usr/lib/*-linux-gnu)
export LD_LIBRARY_PATH
command -v perl >/dev/null || cannot "no perl"
# its paths are fixed
sed -i "s#\"/etc/rancid#\"$T/root/etc/rancid#g; s#\"/usr/share/perl5/rancid\"#\"$T/root/usr/share/perl5/rancid\"#" \
	"$T/root/usr/lib/rancid/bin/rancid" "$T/root/usr/share/perl5/rancid/rancid.pm"
export PATH=$T/root/usr/lib/rancid/bin:$PATH PERL5LIB=$T/root/usr/share/perl5
cd "$T" || exit 2
{
	printf 'r1#\nr1#show running-config\nBuilding configuration...\n\nCurrent configuration : 999 bytes\n!\n'
	cat <<'END'
key chain KC
 key 1
  key-string 7 0012AAAA
  send-lifetime 00:00:00 Jan 1 2026 00:00:00 Feb 1 2026
 key 2
  key-string 7 0012BBBB
interface Tunnel1
 description Backup Peer Time: 9-17
 ip address 10.0.0.1 255.255.255.252
end
END
	echo 'r1#exit'
} >r1
# -d keeps what it made although the other commands are not in the session
FILTER_PWDS=YES rancid -t cisco -d -f r1 >log 2>&1
grep -q '^end' r1.new || cannot "$(tail -1 log)"
sed -n '/^key chain/,/^end/s/ *$//p' r1.new | tee out
[ "$(cat out)" = "key chain KC
! key  <removed>
!  key-string 7 <removed>
  send-lifetime 00:00:00 Jan 1 2026 00:00:00 Feb 1 2026
! key  <removed>
!  key-string 7 <removed>
interface Tunnel1
 ip address 10.0.0.1 255.255.255.252
end" ]
