#!/bin/sh
# A nightly look at every tunnel, from nothing: capture, history, change, alert, metrics, page, retention.
#
#   MONCAP_PASSWORD=... nightly.sh inventory.yaml /var/lib/node_exporter/textfile/moncap.prom
#
# Silent, and exit 0, when every tunnel is as it should be. What it prints is for a mail: a line for each tunnel that is not.
# `moncap schedule print --all --systemd` is the same without a script, a unit for each tunnel.
set -u
inventory=${1:?usage: nightly.sh INVENTORY [TEXTFILE]}
textfile=${2:-}
MONCAP_RUNS=${MONCAP_RUNS:-/var/lib/moncap/runs}
export MONCAP_RUNS

# What an interrupted night left on routers goes first; a run that goes on elsewhere is left alone.
moncap -i "$inventory" --no-input -q clean --all >/dev/null || echo "something is left on a router: moncap clean --all"

# --on-change is called for each tunnel whose verdict is another than its last; put your chat, pager or mail there.
moncap -i "$inventory" --no-input -q run --all --parallel "${PARALLEL:-4}" --until decided --wait-for-router 10m \
    --format line --quiet-ok --on-change "${ON_CHANGE:-cat >&2}"
verdict=$?

moncap runs -q --format html -o "$MONCAP_RUNS/index.html"
if [ -n "$textfile" ]; then
    moncap -i "$inventory" runs -q --format prometheus -o "$textfile"
fi
moncap runs prune -q --keep-daily 30 --keep-failed 12 >/dev/null
exit $verdict
