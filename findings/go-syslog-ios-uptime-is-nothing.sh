#!/usr/bin/env bash
# go-syslog with its options for Cisco IOS answers a line with an uptime with no message and no
# error, and takes the time zone of `show-timezone` for the name of the program.
#
# github.com/leodido/go-syslog/v4 v4.6.0, rfc3164.NewParser with WithYear and
# WithCiscoIOSComponents(ciscoios.All). Lines of one router with three settings of IOS's `service
# timestamps log`: datetime msec; datetime msec localtime show-timezone; uptime.
# One would guess: a message each time, 18:46:03 UTC of the second (CET is UTC+1); or an error for
# what it does not read, as there is one for `datetime year`.
# Seen: the second is 19:46:03 UTC, its Appname "CET", and "%CRYPTO-..." is in the text; Parse of
# the third returns nil and nil: whoever looks at the error alone has a nil message in hand.
set -u
T=$(mktemp -d) || exit 2
trap 'chmod -R u+w "$T"; rm -rf "$T"' EXIT
cannot() { echo "cannot be tried: $*"; exit 2; }

command -v go >/dev/null || cannot "no go"
cd "$T" || exit 2
export GOFLAGS=-mod=mod GOWORK=off
go mod init try >log 2>&1 && go get github.com/leodido/go-syslog/v4@v4.6.0 >log 2>&1 ||
	cannot "$(tail -1 log)"
cat >main.go <<'END'
package main

import (
	"fmt"
	"time"

	"github.com/leodido/go-syslog/v4/ciscoios"
	"github.com/leodido/go-syslog/v4/rfc3164"
)

func main() {
	p := rfc3164.NewParser(rfc3164.WithYear(rfc3164.Year{YYYY: 2026}), rfc3164.WithCiscoIOSComponents(ciscoios.All))
	for _, stamp := range []string{"Nov 30 19:46:03.295", "Nov 30 19:46:03.295 CET", "1w2d", "Nov 30 2026 19:46:03.295"} {
		m, err := p.Parse([]byte("<190>99: " + stamp + ": %CRYPTO-6-ISAKMP_ON_OFF: ISAKMP is ON"))
		fmt.Printf("%s: error: %t; message: %t", stamp, err != nil, m != nil)
		if m, ok := m.(*rfc3164.SyslogMessage); ok && m != nil {
			fmt.Printf("; %s; %q %q", m.Timestamp.UTC().Format(time.TimeOnly), *m.Appname, *m.Message)
		}
		fmt.Println()
	}
}
END
go build -o try . >log 2>&1 || cannot "$(tail -1 log)"
./try | tee out
[ "$(cat out)" = 'Nov 30 19:46:03.295: error: false; message: true; 19:46:03; "%CRYPTO-6-ISAKMP_ON_OFF" "ISAKMP is ON"
Nov 30 19:46:03.295 CET: error: false; message: true; 19:46:03; "CET" "%CRYPTO-6-ISAKMP_ON_OFF: ISAKMP is ON"
1w2d: error: false; message: false
Nov 30 2026 19:46:03.295: error: true; message: false' ]
