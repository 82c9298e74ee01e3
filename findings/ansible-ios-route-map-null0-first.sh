#!/usr/bin/env bash
# Ansible's module for IOS route maps turns "the tunnel, else drop" into "drop, else the tunnel",
# and two next hops into the second one, recursive.
#
# ansible 7.7.0+dfsg-3+deb12u1 (Debian 12), its collection cisco.ios, module ios_route_maps. The
# state `parsed` gets a running-config, and `rendered` makes commands of the result; no device is
# asked in either. Policy routing into a tunnel: IOS takes the first interface of `set interface`
# that is up, and Null0 is always up.
# One would guess: the lines that were read, in their order; lines it cannot read are an error.
# Seen: `set interface Null0 Tunnel1`, sorted by name: what should take the tunnel is dropped. Of
# `set ip next-hop 192.0.2.3 192.0.2.4` comes `set ip next-hop recursive 192.0.2.4`; one address by
# itself is right. The list of interfaces is read in the right order, and sorted when it is written,
# so it is the same with a list in a playbook. No error and no warning.
set -u
T=$(mktemp -d) || exit 2
trap 'rm -rf "$T"' EXIT
cannot() { echo "cannot be tried: $*"; exit 2; }

mkdir -p "$T/debs/partial"
apt-get install --download-only --reinstall --no-install-recommends -yqq -o Debug::NoLocking=1 \
	-o Dir::Cache::archives="$T/debs" ansible=7.7.0+dfsg-3+deb12u1 ansible-core python3-paramiko \
	>"$T/log" 2>&1 || cannot "$(tail -1 "$T/log")"
mkdir "$T/root"
for deb in "$T"/debs/*.deb; do
	case $deb in
	*/ansible_*) # the few collections of a hundred
		dpkg --fsys-tarfile "$deb" |
			tar -xC "$T/root" --wildcards '*/cisco/ios' '*/ansible/netcommon' '*/ansible/utils' ;;
	*) dpkg -x "$deb" "$T/root" ;;
	esac || cannot "$deb"
done
export PYTHONPATH="$T/root/usr/lib/python3/dist-packages" PYTHONDONTWRITEBYTECODE=1 HOME="$T"
export ANSIBLE_COLLECTIONS_PATH="$PYTHONPATH"

cat >"$T/maps" <<'END'
route-map ONE permit 10
 set ip next-hop 192.0.2.3
route-map TUNNEL permit 10
 set interface Tunnel1 Null0
route-map TWO permit 10
 set ip next-hop 192.0.2.3 192.0.2.4
END
cat >"$T/play.yaml" <<END
- hosts: r1
  gather_facts: false
  tasks:
    - cisco.ios.ios_route_maps:
        running_config: "{{ lookup('file', '$T/maps') }}"
        state: parsed
      register: read
    - cisco.ios.ios_route_maps:
        config: "{{ read.parsed }}"
        state: rendered
      register: made
    - debug:
        msg: "{{ made.rendered | join(';') }}"
END
connection="ansible_connection=ansible.netcommon.network_cli ansible_network_os=cisco.ios.ios"
echo "r1 $connection ansible_host=127.0.0.1" >"$T/hosts"
cd "$T" || exit 2
/usr/bin/python3 "$T/root/usr/bin/ansible-playbook" -i "$T/hosts" "$T/play.yaml" >"$T/said" 2>&1
rendered=$(sed -n 's/^ *"msg": "\(route-map.*\)"$/\1/p' "$T/said")
[ -n "$rendered" ] || cannot "$(grep -m1 'fatal\|ERROR' "$T/said" || tail -1 "$T/said")"
tr ';' '\n' <<<"$rendered"
[ "$rendered" = "route-map ONE permit 10;set ip next-hop 192.0.2.3;\
route-map TUNNEL permit 10;set interface Null0 Tunnel1;route-map TWO permit 10;set ip next-hop recursive 192.0.2.4" ]
