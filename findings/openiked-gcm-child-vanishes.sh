#!/usr/bin/env bash
# On Linux, OpenIKED reads `childsa enc aes-256-gcm`, says "configuration OK", and has no proposal
# for a Child SA.
#
# openiked 7.2-1 (Debian 12), `iked -n -vv -f`, which reads a configuration and prints what it
# made of it. iked.conf(5) of the package lists aes-256-gcm among the ciphers, and has a childsa
# of aes-128-gcm in an example.
# One would guess: the Child SA's proposal is AES-GCM with 256 bits; where a system cannot do it,
# the line is refused, as a misspelt cipher is.
# Seen: with `childsa enc aes-256 auth hmac-sha2-256` a proposal is printed; with `childsa enc
# aes-256-gcm` none, and exit status 0 in both cases. Its source says that PF_KEY on Linux has no
# AES-GCM; such a proposal is left out without a word.
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
# check LINE: what iked reads of a file with that line, each ikesa and childsa on a line of its own
check() {
	echo "$1" >"$T/iked.conf" && chmod 600 "$T/iked.conf"
	# It wants its user, which its package would make: it has one in a mount namespace of its own.
	# shellcheck disable=SC2016
	unshare -rmn sh -c 'mount --bind "$T/passwd" /etc/passwd && mount --bind "$T/group" /etc/group &&
		"$T/root/usr/sbin/iked" -nvvf "$T/iked.conf"' >"$T/said" 2>&1
	grep -q "^ikev2" "$T/said" || cannot "$(tail -1 "$T/said")"
	sed "s/ \(ikesa\|childsa\|lifetime\) /\n\1 /g" "$T/said" | grep "^childsa\|^config"
}

ends='esp from 10.0.0.0/24 to 10.1.0.0/24 peer 192.0.2.2'
for cipher in "aes-256 auth hmac-sha2-256" aes-256-gcm; do
	echo "-- childsa enc $cipher"
	check "ikev2 \"a\" active $ends childsa enc $cipher psk \"secret\""
done >"$T/out"
cat "$T/out"
[ "$(paste -sd';' "$T/out")" = "-- childsa enc aes-256 auth hmac-sha2-256;\
childsa enc aes-256 auth hmac-sha2-256 group none noesn;\
configuration OK;-- childsa enc aes-256-gcm;configuration OK" ]
