#!/usr/bin/env bash
# crontzconvert makes of a night job from June to August in Tokyo one from May to July in UTC, and
# of one on Mondays at 06:00 and 12:00 one on Sundays.
#
# npm: crontzconvert 1.1.1, which converts a cron line (with seconds) from one time zone to another;
# zones without summer time.
# One would guess: where one line cannot say it, an error; else the same instants. 02:00 in Tokyo is
# 17:00 UTC of the day before, so 31 May to 30 August, and nearest to that June to August.
# Seen: no error; each field is moved as a whole. June to August becomes May to July, 30 days wrong.
# Of Mondays at 06 and 12 (Sunday 21:00 and Monday 03:00 UTC) comes Sunday 03:00 and 21:00, so the
# noon job runs 24 hours early. 09:00 and 09:45 UTC (14:30 and 15:15 in India) become 14:15 and
# 14:30. Single times are right, as are quarters: `1 1,4,7,10` is `L 3-12/3`.
set -u
T=$(mktemp -d) || exit 2
trap 'rm -rf "$T"' EXIT
cannot() { echo "cannot be tried: $*"; exit 2; }

command -v node npm >/dev/null || cannot "no node, no npm"
cd "$T" || exit 2
echo '{"private": true}' >package.json
npm install --no-audit --no-fund --ignore-scripts --cache "$T/cache" crontzconvert@1.1.1 >log 2>&1 ||
	cannot "$(tail -1 log)"
cat >try.js <<'END'
const { convert } = require('crontzconvert');

for (const [line, from, to] of [
  ['0 0 2 1 1,4,7,10 *', 'Asia/Tokyo', 'UTC'],
  ['0 0 2 * 6-8 *', 'Asia/Tokyo', 'UTC'],
  ['0 0 6 * * 1', 'Asia/Tokyo', 'UTC'],
  ['0 0 12 * * 1', 'Asia/Tokyo', 'UTC'],
  ['0 0 6,12 * * 1', 'Asia/Tokyo', 'UTC'],
  ['0 0,45 9 * * *', 'UTC', 'Asia/Kolkata'],
]) {
  console.log(line, from, 'is', convert(line, from, to), to);
}
END
node try.js >out 2>said || cannot "$(grep -m1 Error said)"
cat out
[ "$(cat out)" = "0 0 2 1 1,4,7,10 * Asia/Tokyo is 0 0 17 L 3-12/3 * UTC
0 0 2 * 6-8 * Asia/Tokyo is 0 0 17 * 5-7 * UTC
0 0 6 * * 1 Asia/Tokyo is 0 0 21 * * 0 UTC
0 0 12 * * 1 Asia/Tokyo is 0 0 3 * * 1 UTC
0 0 6,12 * * 1 Asia/Tokyo is 0 0 3,21 * * 0 UTC
0 0,45 9 * * * UTC is 0 15,30 14 * * * Asia/Kolkata" ]
