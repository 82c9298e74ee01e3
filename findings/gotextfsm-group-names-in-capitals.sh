#!/usr/bin/env bash
# gotextfsm forgets what a nested group matched if its name has a capital, a digit or an underscore.
#
# github.com/sirikothe/gotextfsm v1.2.0, "TextFSM in Go", which reads the templates of the Python
# library, and python3-textfsm 1.1.0-3 (Debian 12). A template for the counters of `show crypto
# ipsec sa`: a List of a value with two named groups, with four pairs of names for them.
# One would guess: what the Python library gives, a list of two dictionaries with both groups in
# each, or an error about the names; Go's regular expressions take all of them.
# Seen: with pkts_name, count2 or COUNT for a name, its key is not in the dictionaries, and with two
# such names they are empty; with letters a to z it is as in Python. No error.
set -u
T=$(mktemp -d) || exit 2
trap 'chmod -R u+w "$T"; rm -rf "$T"' EXIT
cannot() { echo "cannot be tried: $*"; exit 2; }

mkdir -p "$T/debs/partial"
apt-get install --download-only --reinstall --no-install-recommends -yqq -o Debug::NoLocking=1 \
	-o Dir::Cache::archives="$T/debs" python3-textfsm=1.1.0-3 >"$T/log" 2>&1 || cannot "$(tail -1 "$T/log")"
for deb in "$T"/debs/python3-textfsm_*.deb "$T"/debs/python3-six_*.deb; do
	[ ! -e "$deb" ] || dpkg -x "$deb" "$T/root" || cannot "$deb"
done
command -v go /usr/bin/python3 >/dev/null || cannot "no go, no python3"
cd "$T" || exit 2
export GOFLAGS=-mod=mod GOWORK=off PYTHONPATH=$T/root/usr/lib/python3/dist-packages PYTHONDONTWRITEBYTECODE=1
{ go mod init try && go get github.com/sirikothe/gotextfsm@v1.2.0; } >log 2>&1 ||
	cannot "$(tail -1 log)"
cat >main.go <<'END'
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/sirikothe/gotextfsm"
)

func read(name string) string {
	text, err := os.ReadFile(name)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func main() {
	var template gotextfsm.TextFSM
	var out gotextfsm.ParserOutput
	err := template.ParseString(read("template"))
	if err == nil {
		err = out.ParseTextString(read("show"), template, true)
	}
	if err != nil {
		fmt.Println("error:", err)
		return
	}
	line, err := json.Marshal(out.Dict)
	fmt.Println(string(line), err)
}
END
cat >try.py <<'END'
import json, textfsm

try:
    out = textfsm.TextFSM(open('template')).ParseTextToDicts(open('show').read())
    print(json.dumps(out, sort_keys=True, separators=(',', ':')))
except Exception as e:
    print('error:', e)
END
cat >show <<'END'
   current_peer 192.0.2.2 port 500
    #pkts encaps: 100, #pkts encrypt: 100, #pkts digest: 100
    #pkts decaps: 90, #pkts decrypt: 90, #pkts verify: 90
END
go build -o try . >log 2>&1 || cannot "$(tail -1 log)"
for names in "what count" "what COUNT" "pkts_name count2" "WHAT COUNT"; do
	cat >template <<END
Value PEER (\S+)
Value List PACKETS ((?P<${names% *}>\w+): (?P<${names#* }>\d+))

Start
  ^\s+current_peer \${PEER}
  ^\s+#pkts \${PACKETS},
END
	echo "$names: $(./try | sed 's/ <nil>$//')"
	echo "$names, Python: $(/usr/bin/python3 try.py 2>&1 | tail -1)"
done >out
cat out
[ "$(cat out)" = 'what count: [{"PACKETS":[{"count":"100","what":"encaps"},'\
'{"count":"90","what":"decaps"}],"PEER":"192.0.2.2"}]
what count, Python: [{"PACKETS":[{"count":"100","what":"encaps"},{"count":"90","what":"decaps"}],"PEER":"192.0.2.2"}]
what COUNT: [{"PACKETS":[{"what":"encaps"},{"what":"decaps"}],"PEER":"192.0.2.2"}]
what COUNT, Python: [{"PACKETS":[{"COUNT":"100","what":"encaps"},{"COUNT":"90","what":"decaps"}],"PEER":"192.0.2.2"}]
pkts_name count2: [{"PACKETS":[{},{}],"PEER":"192.0.2.2"}]
pkts_name count2, Python: [{"PACKETS":[{"count2":"100","pkts_name":"encaps"},'\
'{"count2":"90","pkts_name":"decaps"}],"PEER":"192.0.2.2"}]
WHAT COUNT: [{"PACKETS":[{},{}],"PEER":"192.0.2.2"}]
WHAT COUNT, Python: [{"PACKETS":[{"COUNT":"100","WHAT":"encaps"},{"COUNT":"90","WHAT":"decaps"}],"PEER":"192.0.2.2"}]' ]
