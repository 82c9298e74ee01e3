#!/bin/sh
# Stopped only when it goes away, not when it is replaced: rpm says how many stay behind, dpkg says what it does.
set -e
case "$1" in
0 | remove)
    if [ -d /run/systemd/system ]; then
        systemctl --no-reload disable --now moncap.service || true
        systemctl stop 'moncap@*.timer' || true
    fi
    ;;
esac
