#!/usr/bin/env bash
# tshark's "TCP Encapsulation of IPsec Packets" is not that of the RFC, and takes it for ESP.
#
# Wireshark 4.0.17-0+deb12u3 (Debian 12). A TCP connection to port 4500 as RFC 9329 (RFC 8229 of
# 2017 before it) has it: the stream begins with the six bytes IKETCP, then come length, non-ESP
# marker and an IKE_SA_INIT. Port 4500 is the registered one of ipsec-nat-t, also for TCP.
# One would guess: decoded as IKE; or not at all, and then by `-d tcp.port==4500,tcpencap`.
# Seen: by itself plain TCP; with tcpencap (which is Cisco's older encapsulation) ESP of SPI
# 0x494b4554, which is "IKET". No warning in either case.
set -u
T=$(mktemp -d) || exit 2
trap 'rm -rf "$T"' EXIT
cannot() { echo "cannot be tried: $*"; exit 2; }

w=4.0.17-0+deb12u3
mkdir -p "$T/debs/partial"
apt-get install --download-only --reinstall --no-install-recommends -yqq -o Debug::NoLocking=1 \
	-o Dir::Cache::archives="$T/debs" tshark=$w wireshark-common=$w libwireshark16=$w libwiretap13=$w libwsutil14=$w \
	>"$T/log" 2>&1 || cannot "$(tail -1 "$T/log")"
for deb in "$T"/debs/*.deb; do dpkg -x "$deb" "$T/root" || cannot "$deb"; done
export LD_LIBRARY_PATH=$(echo "$T"/root/usr/lib/*-linux-gnu) WIRESHARK_CONFIG_DIR=$T
tshark() { "$T"/root/usr/bin/tshark "$@" 2>"$T/err" || cannot "$(cat "$T/err")"; }

hex() { printf "$(sed 's/../\\x&/g' <<<"$1")"; }
fill() { printf "%0$((2 * $2))d" 0 | sed "s/00/$1/g"; }
# segment FROM TO SOURCE-PORT TARGET-PORT SEQUENCE FLAGS DATA
segment() {
	n=$((40 + ${#7} / 2))
	m=$(printf %02x000000 $n)
	hex "00f1536500000000$m$m""4500$(printf %04x $n)0001000040060000$1$2$3$4$5""00000002""50$6ffff00000000$7"
}
ike=$(fill 11 8)$(fill 00 8)28202208000000000000004000000024$(fill aa 32)
{
	hex d4c3b2a1020004000000000000000000ffff000065000000
	segment c0000201 c0000202 c350 1194 00000001 02 ""
	segment c0000202 c0000201 1194 c350 00000001 12 ""
	segment c0000201 c0000202 c350 1194 00000002 18 "494b45544350""0046""00000000$ike"
} >"$T/f.pcap"
plain=$(tshark -nr "$T/f.pcap" -T fields -e _ws.col.Protocol | tail -1)
forced=$(tshark -nr "$T/f.pcap" -d tcp.port==4500,tcpencap -T fields -e _ws.col.Protocol -e esp.spi | tail -1)
echo "by itself: $plain; as tcpencap: $forced"
[ "$plain" = TCP ] && [ "$forced" = "$(printf 'ESP\t0x494b4554')" ]
