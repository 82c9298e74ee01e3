#!/usr/bin/env bash
# Netflix/go-expect matches after each rune, so a regular expression never takes its longest match;
# and an Expect that timed out has eaten what came meanwhile.
#
# github.com/Netflix/go-expect v0.0.0-20220104043353-73e0943537d2. A terminal that says "uptime
# 123456 s", then "first", "second".
# One would guess: as with Tcl's expect, `[0-9]+` gets the digits that are there, and what did not
# match stays in the buffer for the next Expect.
# Seen: `[0-9]+` gets "1". Expect("third") times out and hands both words back with its error; the
# Expect("second") after it times out as well, for nothing is kept.
set -u
T=$(mktemp -d) || exit 2
trap 'chmod -R u+w "$T"; rm -rf "$T"' EXIT
cannot() { echo "cannot be tried: $*"; exit 2; }

command -v go >/dev/null || cannot "no go"
cd "$T" || exit 2
export GOFLAGS=-mod=mod GOWORK=off
go mod init try >log 2>&1 && go get github.com/Netflix/go-expect@v0.0.0-20220104043353-73e0943537d2 >log 2>&1 ||
	cannot "$(tail -1 log)"
cat >main.go <<'END'
package main

import (
	"fmt"
	"time"

	expect "github.com/Netflix/go-expect"
)

func main() {
	console, err := expect.NewConsole()
	if err != nil {
		panic(err)
	}
	ask := func(what string, matcher expect.ExpectOpt) {
		got, err := console.Expect(matcher, expect.WithTimeout(500*time.Millisecond))
		fmt.Printf("%s: %q, failed %v\n", what, got, err != nil)
	}
	fmt.Fprintln(console.Tty(), "uptime 123456 s")
	time.Sleep(100 * time.Millisecond) // all of it is there before it is asked for
	ask("digits", expect.RegexpPattern("[0-9]+"))
	ask("unit", expect.String(" s\r\n"))
	fmt.Fprintln(console.Tty(), "first\nsecond")
	time.Sleep(100 * time.Millisecond)
	ask("third", expect.String("third"))
	ask("second", expect.String("second"))
}
END
go build -o try . >log 2>&1 ||
	cannot "$(tail -1 log)"
./try | tee out
[ "$(grep -c . out)" = 4 ] && grep -qxF 'digits: "uptime 1", failed false' out &&
	grep -qxF 'second: "", failed true' out
