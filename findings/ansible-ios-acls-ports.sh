#!/usr/bin/env bash
# Ansible's module for IOS ACLs reads `eq isakmp non500-isakmp` as `eq isakmp`, and of a range of
# named ports neither the range nor the destination.
#
# ansible 7.7.0+dfsg-3+deb12u1 (Debian 12), its collection cisco.ios, module ios_acls. The state
# `parsed` gets what `show access-lists` prints, which is what its documentation asks for, and
# `rendered` makes commands of the result. No device is asked in either.
# One would guess: the lines that were read. IOS takes several ports after eq, prints well-known
# ports by name, and these are what an ACL for a tunnel has; what cannot be read is an error.
# Seen: `permit udp any any eq isakmp`, so without NAT-T; and of "range isakmp 501 host 192.0.2.2"
# nothing, where `range 500 501` is right. No error and no warning: states like `replaced`, which
# compare with what was read, work with this.
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

cat >"$T/acl" <<'END'
Extended IP access list VPN
    10 permit udp any any eq isakmp non500-isakmp
    20 permit udp host 192.0.2.1 range isakmp 501 host 192.0.2.2
    30 permit udp host 192.0.2.1 range 500 501 host 192.0.2.2
    40 permit esp host 192.0.2.1 host 192.0.2.2 (900 matches)
END
cat >"$T/play.yaml" <<END
- hosts: r1
  gather_facts: false
  tasks:
    - cisco.ios.ios_acls:
        running_config: "{{ lookup('file', '$T/acl') }}"
        state: parsed
      register: read
    - cisco.ios.ios_acls:
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
rendered=$(sed -n 's/^ *"msg": "\(ip access.*\)"$/\1/p' "$T/said")
[ -n "$rendered" ] || cannot "$(grep -m1 'fatal\|ERROR' "$T/said" || tail -1 "$T/said")"
tr ';' '\n' <<<"$rendered"
[ "$rendered" = "ip access-list extended VPN;10 permit udp any any eq isakmp;\
20 permit udp host 192.0.2.1;30 permit udp host 192.0.2.1 range 500 501 host 192.0.2.2;\
40 permit esp host 192.0.2.1 host 192.0.2.2" ]
