#!/usr/bin/env bash
# softflowd makes of a capture of three days ago a flow that begins in 46 days, and with IPFIX one
# that ends before it begins.
#
# softflowd 1.1.0-1+b1 and nfdump 1.7.1-2+deb12u1 (Debian 12): `softflowd -r FILE -n HOST:PORT -v
# VERSION` to nfcapd on the loopback interface, with NetFlow 5, NetFlow 9 and IPFIX. Four UDP
# packets of a tunnel within 3 s, three days before the script runs.
# One would guess: a flow of three days ago, of 3 s, each time; or of now, for softflowd is a probe.
# Seen: so with NetFlow 5. With the other two 49.7 days later, which is 46.7 days from now:
# softflowd "started" when it was called, the packets come before that, the negative difference is
# sent as 32 bits without a sign, in milliseconds, and nfcapd adds it. With IPFIX begin and end have
# changed places: the flow is of -3 s. No error, no warning of either.
set -u
T=$(mktemp -d) || exit 2
trap 'rm -rf "$T"' EXIT
cannot() { echo "cannot be tried: $*"; exit 2; }

mkdir -p "$T/debs/partial"
apt-get install --download-only --reinstall --no-install-recommends -yqq -o Debug::NoLocking=1 \
	-o Dir::Cache::archives="$T/debs" softflowd=1.1.0-1+b1 nfdump=1.7.1-2+deb12u1 libpcap0.8 \
	>"$T/log" 2>&1 || cannot "$(tail -1 "$T/log")"
for deb in "$T"/debs/*.deb; do
	case $deb in
	*/libc6_*) ;;
	*) dpkg -x "$deb" "$T/root" || cannot "$deb" ;;
	esac
done
LD_LIBRARY_PATH=$(echo "$T"/root/usr/lib/*-linux-gnu)
export LD_LIBRARY_PATH TZ=UTC
cd "$T" || exit 2

# shellcheck disable=SC2001,SC2059
hex() { printf "$(sed 's/../\\x&/g' <<<"$1")"; }
le() { printf %08x "$1" | sed 's/\(..\)\(..\)\(..\)\(..\)/\4\3\2\1/'; }
packet=4500002e000140004011b6bac0000201c000020201f401f4001a0000$(printf '0%.0s' {1..36})
began=$(($(date +%s) - 3 * 86400))
{
	hex "d4c3b2a1020004000000000000000000$(le 65535)$(le 1)"
	for second in 0 1 2 3; do
		hex "$(le $((began + second)))$(le 0)$(le 60)$(le 60)5254000000015254000000020800$packet"
	done
} >tunnel.pcap

cat >try <<'END'
ip link set lo up || exit 2
for version in 5 9 10; do
	mkdir flows
	root/usr/bin/nfcapd -l flows -p 9995 -t 60 -b 127.0.0.1 >nfcapd.log 2>&1 &
	collector=$!
	sleep 1
	root/usr/sbin/softflowd -r tunnel.pcap -n 127.0.0.1:9995 -v $version >softflowd.log 2>&1
	sleep 1
	kill $collector
	wait $collector
	for file in flows/nfcapd.2*; do
		root/usr/bin/nfdump -q -r "$file" -o 'fmt:%ts %te %pkt %sp' | sed "s/^/$version /"
	done
	rm -r flows
done
END
unshare -rn bash ./try >flows.txt 2>said || cannot "$(tail -1 said)"
while read -r version day time day2 time2 packets port; do
	at=$(($(date -d "$day $time" +%s) - began)) end=$(($(date -d "$day2 $time2" +%s) - began))
	days=$(((at + 43200) / 86400))
	echo "version $version: port $port, $packets packets, about $days days after they were captured, $((end - at)) s"
done <flows.txt >out
cat out
[ "$(wc -l <out)" = 3 ] || cannot "$(tail -1 softflowd.log nfcapd.log)"
[ "$(cat out)" = "version 5: port 500, 4 packets, about 0 days after they were captured, 3 s
version 9: port 500, 4 packets, about 50 days after they were captured, 3 s
version 10: port 500, 4 packets, about 50 days after they were captured, -3 s" ]
