#!/usr/bin/env bash
# aggregate-ios turns "these networks" into "these, and what is in them down to /24", host routes
# into their network without hosts, and forgets what a list denies.
#
# aggregate 1.6-7+b1 (Debian 12), its aggregate-ios, which "optimises" the prefix lists of an IOS
# configuration. Four lists: two networks side by side, hosts of a network (`ge 32`), a network
# without one of its /24s, the default route.
# One would guess: lists that match the same routes in fewer lines; ge, le and deny stay as they
# are, or stop it with an error, since aggregate(1) knows only networks.
# Seen: the two /24s are `10.2.0.0/23 le 24`, which has the /23 as well, and `10.1.0.0/16 le 24` has
# 510 more routes than 10.1.0.0/16; `192.0.2.0/24 ge 32` becomes `192.0.2.0/24`, which matches no
# host route; the line with deny is gone, so that its network is permitted; the list of the default
# route is gone (aggregate says why on stderr). Exit status 0.
set -u
T=$(mktemp -d) || exit 2
trap 'rm -rf "$T"' EXIT
cannot() { echo "cannot be tried: $*"; exit 2; }

mkdir -p "$T/debs/partial"
apt-get install --download-only --reinstall --no-install-recommends -yqq -o Debug::NoLocking=1 \
	-o Dir::Cache::archives="$T/debs" aggregate=1.6-7+b1 >"$T/log" 2>&1 || cannot "$(tail -1 "$T/log")"
for deb in "$T"/debs/*.deb; do dpkg -x "$deb" "$T/root" || cannot "$deb"; done
command -v perl >/dev/null || cannot "no perl"
PATH=$T/root/usr/bin:$PATH

aggregate-ios >"$T/out" 2>"$T/said" <<'END'
ip prefix-list SITES seq 5 permit 10.1.0.0/16
ip prefix-list SITES seq 10 permit 10.2.0.0/24
ip prefix-list SITES seq 15 permit 10.2.1.0/24
ip prefix-list HOSTS seq 5 permit 192.0.2.0/24 ge 32
ip prefix-list HOLE seq 5 deny 10.3.5.0/24
ip prefix-list HOLE seq 10 permit 10.3.0.0/16 le 24
ip prefix-list DEFAULT seq 5 permit 0.0.0.0/0
END
status=$?
[ -s "$T/out" ] || cannot "$(tail -1 "$T/said")"
echo "exit status $status" >>"$T/out"
cat "$T/out"
[ "$(cat "$T/out")" = "ip prefix-list HOLE permit 10.3.0.0/16 le 24
ip prefix-list HOSTS permit 192.0.2.0/24
ip prefix-list SITES permit 10.1.0.0/16 le 24
ip prefix-list SITES permit 10.2.0.0/23 le 24
exit status 0" ]
