#!/usr/bin/env bash
# Perl's Net::IP takes 10.0.0.0/255.255.252.0 for the host 10.0.0.0/32.
#
# libnet-ip-perl 1.26-3 (Debian 12), Net::IP->new; libnetaddr-ip-perl 4.079+dfsg-2+b1 and
# libnet-netmask-perl 2.0002-2 for comparison. Networks with a prefix length, as a range, and with a
# netmask behind the slash, as routers and firewalls print them.
# One would guess: the network, as the other two have it; or undef and a text in Net::IP::Error, as
# for 10.0.0.5/24, whose bits of the host are not zero.
# Seen: of each network with a netmask, its first address, /32, size 1, no error: what is looked up
# in it, is not in it.
set -u
T=$(mktemp -d) || exit 2
trap 'rm -rf "$T"' EXIT
cannot() { echo "cannot be tried: $*"; exit 2; }

mkdir -p "$T/debs/partial"
apt-get install --download-only --reinstall --no-install-recommends -yqq -o Debug::NoLocking=1 \
	-o Dir::Cache::archives="$T/debs" libnet-ip-perl=1.26-3 libnetaddr-ip-perl=4.079+dfsg-2+b1 \
	libnet-netmask-perl=2.0002-2 >"$T/log" 2>&1 || cannot "$(tail -1 "$T/log")"
for deb in "$T"/debs/*.deb; do dpkg -x "$deb" "$T/root" || cannot "$deb"; done
PERL5LIB=$T/root/usr/share/perl5:$(echo "$T"/root/usr/lib/*/perl5/*)
export PERL5LIB
perl -MNet::IP -MNetAddr::IP -MNet::Netmask -e 1 2>"$T/said" || cannot "$(head -1 "$T/said")"

cat >"$T/try.pl" <<'END'
use Net::IP;
use Net::Netmask;
use NetAddr::IP;

my $host = Net::IP->new('10.0.1.9');
for my $text ('10.0.0.0/22', '10.0.0.0-10.0.3.255', '10.0.0.0/255.255.252.0', '192.0.2.64/255.255.255.240',
	'10.0.0.5/24') {
	my $ip = Net::IP->new($text);
	print "$text: Net::IP ", $ip ? sprintf('%s to %s, /%d, size %s%s', $ip->ip, $ip->last_ip, $ip->prefixlen,
		$ip->size, $ip->overlaps($host) == $IP_B_IN_A_OVERLAP ? ', has 10.0.1.9' : '') : Net::IP::Error();
	if ($text =~ m{/255}) {
		print '; NetAddr::IP ', NetAddr::IP->new($text)->network, '; Net::Netmask ', Net::Netmask->new($text)->desc;
	}
	print "\n";
}
END
perl "$T/try.pl" >"$T/out" 2>"$T/said" || cannot "$(head -1 "$T/said")"
cat "$T/out"
[ "$(cat "$T/out")" = "10.0.0.0/22: Net::IP 10.0.0.0 to 10.0.3.255, /22, size 1024, has 10.0.1.9
10.0.0.0-10.0.3.255: Net::IP 10.0.0.0 to 10.0.3.255, /22, size 1024, has 10.0.1.9
10.0.0.0/255.255.252.0: Net::IP 10.0.0.0 to 10.0.0.0, /32, size 1; NetAddr::IP 10.0.0.0/22; Net::Netmask 10.0.0.0/22
192.0.2.64/255.255.255.240: Net::IP 192.0.2.64 to 192.0.2.64, /32, size 1;\
 NetAddr::IP 192.0.2.64/28; Net::Netmask 192.0.2.64/28
10.0.0.5/24: Net::IP Invalid prefix 00001010000000000000000000000101/24" ]
