#!/usr/bin/env bash
# kevinburke/ssh_config and OpenSSH disagree in both directions about which name `Match host` means.
#
# github.com/kevinburke/ssh_config v1.6.0; OpenSSH 9.2p1 (Debian 12's ssh, or the one that is
# installed). `Host r1` sets HostName 192.0.2.1; a Match block sets the port.
# One would guess: a library that reads Match blocks reads them as ssh does; or refuses them, as
# earlier releases did.
# Seen: ssh compares `Match host` with the HostName that was set above it, the library with the name
# that was typed. So for `Match host 192.0.2.1` ssh has port 2222 and the library none, and for
# `Match host r1` it is the other way round.
set -u
T=$(mktemp -d) || exit 2
trap 'chmod -R u+w "$T"; rm -rf "$T"' EXIT
cannot() { echo "cannot be tried: $*"; exit 2; }

command -v go >/dev/null || cannot "no go"
command -v ssh >/dev/null || cannot "no ssh"
cd "$T" || exit 2
export GOFLAGS=-mod=mod GOWORK=off
go mod init try >log 2>&1 && go get github.com/kevinburke/ssh_config@v1.6.0 >log 2>&1 ||
	cannot "$(tail -1 log)"
cat >main.go <<'END'
package main

import (
	"fmt"
	"os"

	"github.com/kevinburke/ssh_config"
)

func main() {
	config, err := ssh_config.Decode(os.Stdin)
	if err != nil {
		panic(err)
	}
	port, err := config.Get("r1", "Port")
	if err != nil {
		panic(err)
	}
	if port == "" {
		port = "22"
	}
	fmt.Println(port)
}
END
go build -o try . >log 2>&1 ||
	cannot "$(tail -1 log)"
for name in 192.0.2.1 r1; do
	printf 'Host r1\n  HostName 192.0.2.1\nMatch host %s\n  Port 2222\n' "$name" >config
	theirs=$(ssh -G -F config r1 2>err | sed -n 's/^port //p')
	[ -n "$theirs" ] || cannot "$(cat err)"
	echo "Match host $name: ssh $theirs, ssh_config $(./try <config)"
done >out
cat out
[ "$(cut -d: -f2 out | paste -sd';')" = " ssh 2222, ssh_config 22; ssh 22, ssh_config 2222" ]
