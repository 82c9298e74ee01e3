package main

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/device/inventory"
)

// TestRoutersAreSharedWithinLimits holds locks as another process would: they are the system's, and
// of a file each.
func TestRoutersAreSharedWithinLimits(t *testing.T) {
	l := newTestLab(t, "healthy")
	dir := t.TempDir()
	p := program{env: map[string]string{"XDG_STATE_HOME": dir}}
	a := newApp(t.Context(), environment{getenv: func(k string) string { return p.env[k] }})
	release, err := a.takeRouters(t.Context(), l.tunnel, map[string]int{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(l.dir, "r.json")
	args := []string{"run", "demo", "-i", l.inventory, "--until", "packets=4", "--out", filepath.Join(l.dir, "bundle")}
	r := p.run(t.Context(), append(args, "-o", file)...)
	if r.code != exitFailed || !strings.Contains(r.stderr, ": other runs on this machine have it") ||
		!strings.Contains(r.stderr, "--wait-for-router") {
		t.Errorf("exit %d\n%s", r.code, r.stderr)
	}
	if d, err := a.loadReport(t.Context(), file); err != nil || d.Verdict.Reason != report.Busy {
		t.Errorf("%+v, %v", d, err)
	}
	time.AfterFunc(100*time.Millisecond, release)
	if r := p.run(t.Context(), append(args, "--wait-for-router", "1m")...); r.code != exitOK {
		t.Errorf("exit %d\n%s", r.code, r.stderr)
	}
	ctx, cancel := context.WithCancel(t.Context())
	release, err = a.takeRouters(ctx, l.tunnel, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	cancel()
	if _, err := a.takeRouters(ctx, l.tunnel, nil, time.Hour); err == nil || !strings.Contains(err.Error(), "canceled") {
		t.Errorf("a wait that was cancelled: %v", err)
	}
	two := map[string]int{l.tunnel.A.Address(): 2, l.tunnel.B.Address(): 2}
	second, err := a.takeRouters(t.Context(), &inventory.Tunnel{A: l.tunnel.B, B: l.tunnel.A}, two, 0)
	if err != nil {
		t.Fatalf("the second of two: %v", err)
	}
	defer second()
	if _, err := a.takeRouters(t.Context(), l.tunnel, two, 0); err == nil {
		t.Error("a third run got a router that takes two")
	}
}
