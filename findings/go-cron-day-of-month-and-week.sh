#!/usr/bin/env bash
# netresearch/go-cron, the maintained fork of robfig/cron, runs "0 2 1 * 1" on Mondays that are the
# first of a month.
#
# github.com/netresearch/go-cron v0.13.4 and github.com/robfig/cron/v3 v3.0.1, ParseStandard of
# both; asked on Sunday, 2026-03-01, 12:00 UTC.
# One would guess: both mean "the 1st, and every Monday", as cron(8) has it since Vixie: a fork for
# a drop-in keeps that.
# Seen: robfig/cron next on Monday 2026-03-02, go-cron on Monday 2026-06-01. The option DowOrDom
# brings the old meaning.
set -u
T=$(mktemp -d) || exit 2
trap 'chmod -R u+w "$T"; rm -rf "$T"' EXIT
cannot() { echo "cannot be tried: $*"; exit 2; }

command -v go >/dev/null || cannot "no go"
cd "$T" || exit 2
export GOFLAGS=-mod=mod GOWORK=off
go mod init try >log 2>&1 && go get github.com/netresearch/go-cron@v0.13.4 github.com/robfig/cron/v3@v3.0.1 >log 2>&1 ||
	cannot "$(tail -1 log)"
cat >main.go <<'END'
package main

import (
	"fmt"
	"time"

	netresearch "github.com/netresearch/go-cron"
	robfig "github.com/robfig/cron/v3"
)

func main() {
	from := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	old, err := robfig.ParseStandard("0 2 1 * 1")
	if err != nil {
		panic(err)
	}
	fork, err := netresearch.ParseStandard("0 2 1 * 1")
	if err != nil {
		panic(err)
	}
	fmt.Println("robfig/cron", old.Next(from).Format(time.DateOnly))
	fmt.Println("go-cron", fork.Next(from).Format(time.DateOnly))
}
END
go build -o try . >log 2>&1 ||
	cannot "$(tail -1 log)"
./try | tee out
[ "$(paste -sd, out)" = "robfig/cron 2026-03-02,go-cron 2026-06-01" ]
