#!/bin/sh
# /etc/moncap and /var/lib/moncap stay: captures, and journals of what may still be on routers, are nobody's to throw away.
set -e
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || true
fi
