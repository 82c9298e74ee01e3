package main

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/moncap/moncap/capture"
	"github.com/moncap/moncap/device"
	"github.com/moncap/moncap/device/simulator"
)

// failover has the address of site-a lead to another router once a fault has struck the first: one
// whose key is known, as that of a standby is.
func (l *testLab) failover(t *testing.T, other *testLab) func(*device.Options, *capture.Options) {
	t.Helper()
	return l.leadElsewhere(t, other.routers[0].HostKey(),
		func() (string, bool) { return other.routers[0].Addr(), l.routers[0].Fired() > 0 })
}

// leadElsewhere has the address of site-a lead to the one that where names, when it says so, to
// somebody whose key is known.
func (l *testLab) leadElsewhere(t *testing.T, key ssh.PublicKey,
	where func() (string, bool)) func(*device.Options, *capture.Options) {
	t.Helper()
	address := l.routers[0].Addr()
	l.know(t, address, key)
	dialer := &net.Dialer{}
	return func(d *device.Options, _ *capture.Options) {
		if d == nil {
			return
		}
		d.Dial = func(ctx context.Context, network, to string) (net.Conn, error) {
			if elsewhere, now := where(); now && to == address {
				to = elsewhere
			}
			return dialer.DialContext(ctx, network, to)
		}
	}
}

// TestARunKnowsItsRouter loses the session with site-a in every phase, before and after the router
// carried the command out. From then on another router answers, of another name or of the same.
func TestARunKnowsItsRouter(t *testing.T) {
	for _, phase := range capture.Phases() {
		for _, when := range []simulator.When{simulator.Before, simulator.After} {
			for _, name := range []string{"site-B", "site-A"} {
				t.Run(fmt.Sprintf("%s/%d/%s", phase, when, name), func(t *testing.T) {
					t.Parallel()
					l := newTestLab(t, "healthy")
					other := newLabWith(t, "healthy", func(c *simulator.Config) { c.Hostname, c.Serial = name, "9STANDBY" })
					l.routers[0].AddFault(simulator.Fault{Match: regexp.MustCompile(struck[phase]), Action: simulator.DropRST,
						When: when})
					out := filepath.Join(l.dir, "bundle")
					r := program{tune: l.failover(t, other)}.run(t.Context(), l.matrixRun(out)...)
					l.knewItsRouter(t, r, out, other)
				})
			}
		}
	}
}

func (l *testLab) knewItsRouter(t *testing.T, r result, out string, other *testLab) {
	t.Helper()
	if len(other.dirty()) > 0 {
		t.Errorf("the other router was changed\n%s", r.stderr)
	}
	switch dirty := l.dirty(); {
	case r.code != exitDirty && len(dirty) > 0:
		t.Errorf("exit %d, and %v is not as it was\n%s", r.code, dirty, r.stderr)
	case r.code == exitDirty:
		if !strings.Contains(r.stderr, "another router answers: expected is site-A (serial number ") ||
			!strings.Contains(r.stderr, "serial number 9STANDBY") {
			t.Errorf("the two routers are not named:\n%s", r.stderr)
		}
		if again := moncap(t, "clean", out, "-i", l.inventory); again.code != exitOK || len(l.dirty()) > 0 {
			t.Errorf("clean: exit %d, dirty %v\n%s", again.code, l.dirty(), again.stderr)
		}
	}
}
