#!/usr/bin/env bash
# On Linux, what OpenIKED offers for a Child SA by default has SHA-1 and not HMAC-SHA2-256.
#
# openiked 7.2-1 (Debian 12), `iked -n -vv -f`, which reads a configuration and prints what it
# made of it: one policy without `childsa`, one with `childsa enc aes-256 auth hmac-sha2-256`.
# One would guess: the default of iked.conf(5), AES with hmac-sha2-256 first, as the IKE SA's is
# printed by the same command; if one hash were left out, then SHA-1.
# Seen: by default hmac-sha2-384, hmac-sha2-512 and hmac-sha1; asked for by name, hmac-sha2-256 is
# taken. A peer that wants what most have, AES and SHA2-256, gets no proposal chosen, or SHA-1.
set -u
T=$(mktemp -d) || exit 2
trap 'rm -rf "$T"' EXIT
cannot() { echo "cannot be tried: $*"; exit 2; }

mkdir -p "$T/debs/partial"
apt-get install --download-only --reinstall --no-install-recommends -yqq -o Debug::NoLocking=1 \
	-o Dir::Cache::archives="$T/debs" openiked=7.2-1 >"$T/log" 2>&1 || cannot "$(tail -1 "$T/log")"
for deb in "$T"/debs/*.deb; do dpkg -x "$deb" "$T/root" || cannot "$deb"; done

{ getent group >"$T/group" && getent passwd >"$T/passwd"; } || cannot "no getent"
echo _iked:x:64001: >>"$T/group"
echo _iked:x:64001:64001::/nonexistent:/bin/false >>"$T/passwd"
LD_LIBRARY_PATH=$(echo "$T"/root/usr/lib/*-linux-gnu)
export T LD_LIBRARY_PATH
# check LINE: the integrity that iked reads of a file with that line, a line for each ikesa that
# has one and for each childsa
check() {
	echo "$1" >"$T/iked.conf" && chmod 600 "$T/iked.conf"
	# It wants its user, which its package would make: it has one in a mount namespace of its own.
	# shellcheck disable=SC2016
	unshare -rmn sh -c 'mount --bind "$T/passwd" /etc/passwd && mount --bind "$T/group" /etc/group &&
		"$T/root/usr/sbin/iked" -nvvf "$T/iked.conf"' >"$T/said" 2>&1
	grep -q "^ikev2" "$T/said" || cannot "$(tail -1 "$T/said")"
	sed "s/ \(ikesa\|childsa\|lifetime\) /\n\1 /g" "$T/said" | grep "^[a-z]*sa .* auth" |
		awk '{s = $1; sub(/sa.*/, "", s); o = s ":"
			for (i = 1; i < NF; i++) if ($i == "auth") o = o " " $(i + 1); print o}'
}

policy='ikev2 "a" active esp from 10.0.0.0/24 to 10.1.0.0/24 peer 192.0.2.2'
{
	echo "-- default"
	check "$policy psk \"secret\""
	echo "-- childsa enc aes-256 auth hmac-sha2-256"
	check "$policy childsa enc aes-256 auth hmac-sha2-256 psk \"secret\""
} >"$T/out"
cat "$T/out"
ike="ike: hmac-sha2-256 hmac-sha2-384 hmac-sha2-512 hmac-sha1"
[ "$(paste -sd';' "$T/out")" = "-- default;$ike;child: hmac-sha2-384 hmac-sha2-512 hmac-sha1;\
-- childsa enc aes-256 auth hmac-sha2-256;$ike;child: hmac-sha2-256" ]
