#!/usr/bin/env bash
# netresearch/go-cron runs a job whose time the clocks skip an hour later, at a time that nobody
# wrote down; where they skip half an hour, it does not run that day.
#
# github.com/netresearch/go-cron v0.13.4, ParseStandard; asked in the evening before the clocks go
# forward: "30 2 * * *" in Berlin (02:00 becomes 03:00), "15 2 * * *" on Lord Howe (02:00 becomes 02:30).
# One would guess: right after the jump, as cron(8) does (03:00 and 02:30), or neither that day.
# Seen: Berlin at 03:30 of the same day, Lord Howe at 02:15 of the next.
set -u
T=$(mktemp -d) || exit 2
trap 'chmod -R u+w "$T"; rm -rf "$T"' EXIT
cannot() { echo "cannot be tried: $*"; exit 2; }

command -v go >/dev/null || cannot "no go"
cd "$T" || exit 2
export GOFLAGS=-mod=mod GOWORK=off
go mod init try >log 2>&1 && go get github.com/netresearch/go-cron@v0.13.4 >log 2>&1 || cannot "$(tail -1 log)"
cat >main.go <<'END'
package main

import (
	"fmt"
	"time"
	_ "time/tzdata"

	"github.com/netresearch/go-cron"
)

func main() {
	for _, c := range []struct {
		zone, spec string
		evening    [3]int
	}{
		{"Europe/Berlin", "30 2 * * *", [3]int{2026, 3, 28}},
		{"Australia/Lord_Howe", "15 2 * * *", [3]int{2026, 10, 3}},
	} {
		zone, err := time.LoadLocation(c.zone)
		if err != nil {
			panic(err)
		}
		s, err := cron.ParseStandard(c.spec)
		if err != nil {
			panic(err)
		}
		from := time.Date(c.evening[0], time.Month(c.evening[1]), c.evening[2], 23, 0, 0, 0, zone)
		fmt.Println(c.zone, s.Next(from).Format("2006-01-02 15:04"))
	}
}
END
go build -o try . >log 2>&1 || cannot "$(tail -1 log)"
./try | tee out
[ "$(paste -sd, out)" = "Europe/Berlin 2026-03-29 03:30,Australia/Lord_Howe 2026-10-05 02:15" ]
