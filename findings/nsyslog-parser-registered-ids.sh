#!/usr/bin/env bash
# nsyslog-parser takes structured data with an ID of IANA's for the message.
#
# npm: nsyslog-parser 0.10.1, lines of RFC 5424. Structured data has IDs of two kinds: `name@number`
# of one's own, and registered ones, timeQuality, origin and meta, which `logger` of util-linux,
# rsyslog and syslog-ng send. The RFC's own examples have both.
# One would guess: each element in structuredData, by its ID and with its parameters, and the
# message.
# Seen: a first element without @ is not one. Alone it is the begin of the message, less its ID;
# before another one, the message is what stands in it, `sequenceId="29"]`, the other one is found,
# and the text is gone. Behind another one it is as it should be.
set -u
T=$(mktemp -d) || exit 2
trap 'rm -rf "$T"' EXIT
cannot() { echo "cannot be tried: $*"; exit 2; }

command -v node npm >/dev/null || cannot "no node, no npm"
cd "$T" || exit 2
echo '{"private": true}' >package.json
npm install --no-audit --no-fund --ignore-scripts --cache "$T/cache" nsyslog-parser@0.10.1 >log 2>&1 ||
	cannot "$(tail -1 log)"
cat >try.js <<'END'
const parse = require('nsyslog-parser');

for (const data of [
  '-', '[vpn@32473 peer="192.0.2.2"]', '[timeQuality tzKnown="1" isSynced="1"]',
  '[meta sequenceId="29"][vpn@32473 peer="192.0.2.2"]',
  '[vpn@32473 peer="192.0.2.2"][meta sequenceId="29"]',
]) {
  const { structuredData, message } = parse(`<30>1 2026-12-01T04:00:01Z gw charon 77 - ${data} IKE_SA established`);
  console.log(data, JSON.stringify(structuredData), message);
}
END
node try.js >out 2>said || cannot "$(grep -m1 Error said)"
cat out
# shellcheck disable=SC2016
[ "$(cat out)" = '- [] IKE_SA established
[vpn@32473 peer="192.0.2.2"] [{"$id":"vpn@32473","peer":"192.0.2.2"}] IKE_SA established
[timeQuality tzKnown="1" isSynced="1"] [] tzKnown="1" isSynced="1"] IKE_SA established
[meta sequenceId="29"][vpn@32473 peer="192.0.2.2"] [{"$id":"vpn@32473","peer":"192.0.2.2"}] sequenceId="29"]
[vpn@32473 peer="192.0.2.2"][meta sequenceId="29"] [{"$id":"vpn@32473","peer":"192.0.2.2"},'\
'{"$id":"meta","sequenceId":"29"}] IKE_SA established' ]
