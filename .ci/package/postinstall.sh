#!/bin/sh
# The account of the units. Nothing is started or enabled: that is the administrator's.
set -e
if command -v systemd-sysusers >/dev/null 2>&1; then
    systemd-sysusers moncap.conf || true
fi
if ! getent passwd moncap >/dev/null 2>&1 && command -v useradd >/dev/null 2>&1; then
    useradd --system --user-group --home-dir /var/lib/moncap --no-create-home --shell /usr/sbin/nologin moncap
fi
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || true
fi
