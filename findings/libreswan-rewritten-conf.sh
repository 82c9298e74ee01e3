#!/usr/bin/env bash
# What libreswan's readwriteconf writes, readwriteconf does not read: minutes come back as
# milliseconds, and the conn loses both its ends.
#
# libreswan 4.10-2+deb12u1 (Debian 12). A conn with `salifetime=90m` and an `esp=` line, of which
# nothing is wrong; its rewritten form is read and rewritten once more.
# One would guess: the second output is the first; that is what a program is for that reads a
# configuration and writes it.
# Seen: the first output has salifetime=5400000, milliseconds without a unit, which the reader takes
# for seconds; the same under an older name; `esp=` a second time as `ah=`; two lines authby=. Read
# again, these are duplicate keys, and most of the conn is dropped: no left, no right, auto=ignore,
# salifetime=5400000000. Exit status 0 in both cases.
set -u
T=$(mktemp -d) || exit 2
trap 'rm -rf "$T"' EXIT
cannot() { echo "cannot be tried: $*"; exit 2; }

mkdir -p "$T/debs/partial"
apt-get install --download-only --reinstall --no-install-recommends -yqq -o Debug::NoLocking=1 \
	-o Dir::Cache::archives="$T/debs" libreswan=4.10-2+deb12u1 \
	>"$T/log" 2>&1 || cannot "$(tail -1 "$T/log")"
for deb in "$T"/debs/*.deb; do dpkg -x "$deb" "$T/root" || cannot "$deb"; done
LD_LIBRARY_PATH=$(echo "$T"/root/usr/lib/*-linux-gnu)
export LD_LIBRARY_PATH

printf '%s\n' "conn a" "	left=192.0.2.1" "	right=192.0.2.2" "	authby=secret" "	auto=add" \
	"	salifetime=90m" "	esp=aes256-sha2_512" >"$T/0"
for i in 0 1; do
	"$T"/root/usr/libexec/ipsec/readwriteconf --config "$T/$i" >"$T/$((i + 1))" 2>"$T/err"
	echo "round $((i + 1)): exit status $?, $(grep -E '^.(left|right|auto|salifetime|esp|ah)=.' "$T/$((i + 1))" |
		tr -d '\t' | sort | paste -sd,), $(grep -o "duplicate key '[a-z]*'" "$T/err" | sort -u | wc -l) duplicate keys"
done >"$T/out"
cat "$T/out"
grep -q "^conn a" "$T/2" || cannot "$(tail -1 "$T/err")"
[ "$(paste -sd';' "$T/out")" = "round 1: exit status 0, ah=aes256-sha2_512,auto=add,\
esp=aes256-sha2_512,left=192.0.2.1,right=192.0.2.2,salifetime=5400000, 0 duplicate keys;round 2: exit status 0, \
ah=aes256-sha2_512,auto=ignore,esp=aes256-sha2_512,salifetime=5400000000, 3 duplicate keys" ]
