#!/usr/bin/env bash
# systemd-cron runs "Friday to Sunday" every day, and "the 15th, and Fridays" on Fridays that are
# the 15th.
#
# systemd-cron 1.15.19-5 (Debian 12), its generator, which makes systemd timers of crontabs, with
# its fixed paths changed to a temporary folder. Lines of /etc/crontab, which Debian's cron runs.
# One would guess: OnCalendar=Fri,Sat,Sun, two lines of OnCalendar for "day of month or day of
# week", as crontab(5) has it; what it cannot read is left out.
# Seen: of `5-7` it says "garbled time" in the log, and makes a timer for every day; `15 * fri` is
# `Fri *-*-15`, which is both at once: about twice a year, where cron runs it five times a month.
# `22-2` is garbled, too, and has no timer. `5,6,7` and `mon-fri` are right.
set -u
T=$(mktemp -d) || exit 2
trap 'rm -rf "$T"' EXIT
cannot() { echo "cannot be tried: $*"; exit 2; }

mkdir -p "$T/debs/partial"
apt-get install --download-only --reinstall --no-install-recommends -yqq -o Debug::NoLocking=1 \
	-o Dir::Cache::archives="$T/debs" systemd-cron=1.15.19-5 >"$T/log" 2>&1 || cannot "$(tail -1 "$T/log")"
dpkg -x "$T"/debs/systemd-cron_*.deb "$T/root" || cannot "systemd-cron"
command -v /usr/bin/python3 >/dev/null || cannot "no python3"
mkdir -p "$T/etc/cron.d" "$T/timers"
sed "s#/etc/cron#$T/etc/cron#g; s#/var/spool/cron#$T/spool#g; s#/etc/anacrontab#$T/etc/anacrontab#g" \
	"$T/root/lib/systemd/system-generators/systemd-crontab-generator" >"$T/generator"

for line in "0 9 * * mon-fri" "0 9 * * 5,6,7" "0 9 * * 5-7" "0 9 15 * fri" "0 22-2 * * *"; do
	echo "$line root /usr/bin/true" >"$T/etc/crontab"
	rm -rf "$T/timers"
	mkdir "$T/timers"
	/usr/bin/python3 "$T/generator" "$T/timers" >"$T/said" 2>&1
	status=$?
	timers=$(cat "$T"/timers/*.timer 2>/dev/null | sed -n 's/^OnCalendar= */OnCalendar=/p')
	echo "$line: exit status $status, ${timers:-no timer}$(grep -o 'garbled time' "$T/said" | sed 's/^/, /')"
done >"$T/out"
grep -q OnCalendar "$T/out" || cannot "$(tail -1 "$T/said")"
cat "$T/out"
[ "$(cat "$T/out")" = "0 9 * * mon-fri: exit status 0, OnCalendar=Mon,Tue,Wed,Thu,Fri *-*-* 9:0:00
0 9 * * 5,6,7: exit status 0, OnCalendar=Sun,Fri,Sat *-*-* 9:0:00
0 9 * * 5-7: exit status 0, OnCalendar=*-*-* 9:0:00, garbled time
0 9 15 * fri: exit status 0, OnCalendar=Fri *-*-15 9:0:00
0 22-2 * * *: exit status 0, no timer, garbled time" ]
