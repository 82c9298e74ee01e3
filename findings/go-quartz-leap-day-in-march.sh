#!/usr/bin/env bash
# go-quartz runs a job of 29 February on 1 March until the next leap year, and one of days `0,6` on
# two days of the first week only.
#
# github.com/reugn/go-quartz v0.15.2, NewCronTriggerWithLoc and NextFireTime, in UTC, asked in
# January 2026, each time from the time before. Its cron has seconds, `?`, and days of the week from
# 1, Sunday, to 7.
# One would guess: 29 February 2028, 2032, 2036; of the 31st (which is a line of its own) the months
# that have one. 0 for Sunday is none of 1 to 7, so an error, as `0#1` is.
# Seen: 1 March 2026, 1 March 2027, then 29 February 2028, 2032, 2036. 30 February is 2 March (in a
# leap year 1 March), every year; the 31st of every month is right. `0,6` is accepted, runs on the
# next Friday and the day after, and then says "trigger has expired".
set -u
T=$(mktemp -d) || exit 2
trap 'chmod -R u+w "$T"; rm -rf "$T"' EXIT
cannot() { echo "cannot be tried: $*"; exit 2; }

command -v go >/dev/null || cannot "no go"
cd "$T" || exit 2
export GOFLAGS=-mod=mod GOWORK=off
{ go mod init try && go get github.com/reugn/go-quartz@v0.15.2; } >log 2>&1 ||
	cannot "$(tail -1 log)"
cat >main.go <<'END'
package main

import (
	"fmt"
	"time"

	"github.com/reugn/go-quartz/quartz"
)

func main() {
	for _, line := range []string{
		"0 0 9 29 2 ?", "0 0 9 30 2 ?", "0 0 9 31 * ?", "0 0 9 ? * 1,6", "0 0 9 ? * 0,6",
	} {
		fmt.Print(line, ":")
		trigger, err := quartz.NewCronTriggerWithLoc(line, time.UTC)
		if err != nil {
			fmt.Println(" error:", err)
			continue
		}
		at := time.Date(2026, 1, 15, 0, 0, 0, 0, time.UTC).UnixNano()
		for range 5 {
			if at, err = trigger.NextFireTime(at); err != nil {
				fmt.Print(" error: ", err)
				break
			}
			fmt.Print(" ", time.Unix(0, at).UTC().Format("2006-01-02"))
		}
		fmt.Println()
	}
}
END
go build -o try . >log 2>&1 || cannot "$(tail -1 log)"
./try | tee out
[ "$(cat out)" = "0 0 9 29 2 ?: 2026-03-01 2027-03-01 2028-02-29 2032-02-29 2036-02-29
0 0 9 30 2 ?: 2026-03-02 2027-03-02 2028-03-01 2029-03-02 2030-03-02
0 0 9 31 * ?: 2026-01-31 2026-03-31 2026-05-31 2026-07-31 2026-08-31
0 0 9 ? * 1,6: 2026-01-16 2026-01-18 2026-01-23 2026-01-25 2026-01-30
0 0 9 ? * 0,6: 2026-01-16 2026-01-17 error: trigger has expired" ]
