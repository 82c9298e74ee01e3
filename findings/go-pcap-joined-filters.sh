#!/usr/bin/env bash
# go-pcap's filter `udp port 500 and not host X` lets ESP and NAT-T through, `(udp port 500 or udp
# port 4500) and host X` lets nothing through, and `esp` is everything.
#
# github.com/packetcap/go-pcap v0.0.0-20240528124601-8c87ecf5dbc5, package filter, which compiles
# the filter language of libpcap without libpcap ("libpcap-style filters"); run with
# golang.org/x/net/bpf's machine over six Ethernet frames. Its `udp port 500`, `udp port 500 or
# 4500`, `not udp port 500` and `host A and udp port 500` find what libpcap finds.
# One would guess: what tcpdump finds (ike1; ike2 and natt2; esp1 and esp2), or an error.
# Seen: ike1, natt1, natt2, esp1, esp2, even of the host that is excluded; none; all six. No error:
# jumps of a joined filter land in the other one's code, and `esp` compiles to three instructions
# that accept.
set -u
T=$(mktemp -d) || exit 2
trap 'chmod -R u+w "$T"; rm -rf "$T"' EXIT
cannot() { echo "cannot be tried: $*"; exit 2; }

command -v go >/dev/null || cannot "no go"
cd "$T" || exit 2
export GOFLAGS=-mod=mod GOWORK=off
go mod init try >log 2>&1 && go get github.com/packetcap/go-pcap@v0.0.0-20240528124601-8c87ecf5dbc5 \
	golang.org/x/net@v0.53.0 >log 2>&1 ||
	cannot "$(tail -1 log)"
cat >main.go <<'END'
package main

import (
	"encoding/binary"
	"fmt"

	"github.com/packetcap/go-pcap/filter"
	"golang.org/x/net/bpf"
)

// frame is Ethernet, IPv4 without options and, of UDP, both ports alike.
func frame(to byte, protocol byte, port uint16) []byte {
	f := make([]byte, 14+20+60)
	f[12], f[14], f[17], f[22], f[23] = 8, 0x45, 80, 64, protocol
	copy(f[26:], []byte{192, 0, 2, 9, 192, 0, 2, to})
	if protocol == 17 {
		binary.BigEndian.PutUint16(f[34:], port)
		binary.BigEndian.PutUint16(f[36:], port)
		f[39] = 60
	} else {
		f[34] = 0xc1
	}
	return f
}

func main() {
	names := []string{"ike1", "ike2", "natt1", "natt2", "esp1", "esp2"}
	frames := [][]byte{frame(1, 17, 500), frame(2, 17, 500), frame(1, 17, 4500), frame(2, 17, 4500),
		frame(1, 50, 0), frame(2, 50, 0)}
	for _, text := range []string{"udp port 500", "udp port 500 and not host 192.0.2.2",
		"(udp port 500 or udp port 4500) and host 192.0.2.2", "esp"} {
		code, err := filter.NewExpression(text).Compile().Compile()
		if err != nil {
			panic(err)
		}
		vm, err := bpf.NewVM(code)
		if err != nil {
			panic(err)
		}
		fmt.Print(text, ":")
		for i, f := range frames {
			n, err := vm.Run(f)
			if err != nil {
				panic(err)
			}
			if n > 0 {
				fmt.Print(" ", names[i])
			}
		}
		fmt.Println()
	}
}
END
go build -o try . >log 2>&1 || cannot "$(tail -1 log)"
./try | tee out
[ "$(cat out)" = "udp port 500: ike1 ike2
udp port 500 and not host 192.0.2.2: ike1 natt1 natt2 esp1 esp2
(udp port 500 or udp port 4500) and host 192.0.2.2:
esp: ike1 ike2 natt1 natt2 esp1 esp2" ]
