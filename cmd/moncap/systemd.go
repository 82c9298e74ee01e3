package main

import (
	"net"
	"strings"
)

// notifySystemd tells the service manager how it goes (sd_notify(3)), where it asked for that.
func notifySystemd(getenv func(string) string, state string) {
	name := getenv("NOTIFY_SOCKET")
	if name == "" {
		return
	}
	if abstract, ok := strings.CutPrefix(name, "@"); ok {
		name = "\x00" + abstract
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return // it is not there, so nobody waits for it
	}
	_, _ = c.Write([]byte(state))
	_ = c.Close()
}
