#!/usr/bin/env bash
# A known_hosts line with a capital letter is found by OpenSSH and unknown to Go.
#
# golang.org/x/crypto v0.58.0, ssh/knownhosts; ssh-keygen -F of OpenSSH 9.2p1 (Debian 12's, or the
# one that is installed). The line begins with R1.example.net, as an administrator types a router's
# name; asked is r1.example.net, then R1.
# One would guess: host names have no case, so both find the line under either name.
# Seen: ssh-keygen finds the line for both. Go compares bytes: "key is unknown" for r1.example.net,
# and fine for R1.example.net. And a line in small letters is unknown to Go when R1.example.net is
# asked for.
set -u
T=$(mktemp -d) || exit 2
trap 'chmod -R u+w "$T"; rm -rf "$T"' EXIT
cannot() { echo "cannot be tried: $*"; exit 2; }

command -v go >/dev/null || cannot "no go"
command -v ssh-keygen >/dev/null || cannot "no ssh-keygen"
cd "$T" || exit 2
export GOFLAGS=-mod=mod GOWORK=off
go mod init try >log 2>&1 && go get golang.org/x/crypto@v0.58.0 >log 2>&1 ||
	cannot "$(tail -1 log)"
cat >main.go <<'END'
package main

import (
	"fmt"
	"net"
	"os"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

func main() {
	line, err := os.ReadFile(os.Args[1])
	if err != nil {
		panic(err)
	}
	_, _, key, _, _, err := ssh.ParseKnownHosts(line)
	if err != nil {
		panic(err)
	}
	check, err := knownhosts.New(os.Args[1])
	if err != nil {
		panic(err)
	}
	address := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 22}
	if err := check(os.Args[2]+":22", address, key); err != nil {
		fmt.Println(strings.TrimPrefix(err.Error(), "knownhosts: "))
		return
	}
	fmt.Println("known")
}
END
go build -o try . >log 2>&1 ||
	cannot "$(tail -1 log)"
ssh-keygen -q -t ed25519 -N '' -f key >log 2>&1 ||
	cannot "$(tail -1 log)"
for name in R1.example.net r1.example.net; do
	echo "$name $(cut -d' ' -f1,2 key.pub)" >line
	for asked in R1.example.net r1.example.net; do
		theirs=unknown
		ssh-keygen -F "$asked" -f line >/dev/null 2>&1 && theirs=known
		echo "line $name, asked for $asked: OpenSSH: $theirs; Go: $(./try line "$asked")"
	done
done | tee out
[ "$(grep -c 'OpenSSH: known' out)" = 4 ] && [ "$(sed 's/.*Go: //' out | paste -sd,)" = \
	"known,key is unknown,key is unknown,known" ]
