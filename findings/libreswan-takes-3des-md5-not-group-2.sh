#!/usr/bin/env bash
# Libreswan does not support group 2 any more, and takes 3DES with MD5 for IKEv2.
#
# libreswan 4.10-2+deb12u1 (Debian 12), its parser of proposals by itself:
# /usr/libexec/ipsec/algparse -v2.
# One would guess: a parser that refuses MODP1024 refuses MD5 first. RFC 8247 has "SHOULD NOT" for
# that group and "MUST NOT" for MD5 as integrity and as PRF.
# Seen: `aes256-sha2-modp1024` "is not supported"; `3des-md5-modp1536` is accepted, without a
# warning.
set -u
T=$(mktemp -d) || exit 2
trap 'chmod -R u+w "$T"; rm -rf "$T"' EXIT
cannot() { echo "cannot be tried: $*"; exit 2; }

mkdir -p "$T/debs/partial"
apt-get install --download-only --reinstall --no-install-recommends -yqq -o Debug::NoLocking=1 \
	-o Dir::Cache::archives="$T/debs" libreswan=4.10-2+deb12u1 >"$T/log" 2>&1 || cannot "$(tail -1 "$T/log")"
for deb in "$T"/debs/*.deb; do dpkg -x "$deb" "$T/root" || cannot "$deb"; done
export LD_LIBRARY_PATH=$(echo "$T"/root/usr/lib/*-linux-gnu)
for proposal in ike=aes256-sha2-modp1024 ike=3des-md5-modp1536; do
	"$T"/root/usr/libexec/ipsec/algparse -v2 $proposal >"$T/said" 2>&1
	status=$?
	grep -q . "$T/said" || cannot "algparse says nothing"
	echo "$proposal:$(tail -1 "$T/said") (exit status $status)"
done >"$T/out"
cat "$T/out"
[ "$(sed 's/^[^:]*:\s*//' "$T/out" | paste -sd';')" = \
	"ERROR: IKE DH algorithm 'modp1024' is not supported (exit status 1);3DES_CBC-HMAC_MD5-MODP1536 (exit status 0)" ]
