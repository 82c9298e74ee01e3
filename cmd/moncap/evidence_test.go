package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/moncap/moncap/capture"
	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/device"
	"github.com/moncap/moncap/device/simulator"
)

// TestTheOnlyCopyStaysAndIsCollected lets one router give its packets away in no way. They stay
// there, the other side is reported, and collect fetches them when the router lets it.
func TestTheOnlyCopyStaysAndIsCollected(t *testing.T) {
	l := newTestLab(t, "healthy")
	refuse := func(pattern string, action simulator.Action) {
		l.routers[0].AddFault(simulator.Fault{Match: regexp.MustCompile(pattern), Action: action,
			Text: "Command authorization failed.", Times: -1})
	}
	refuse(`^scp -f`, simulator.SCPError)
	refuse(`buffer dump$`, simulator.ErrorText)
	out := filepath.Join(l.dir, "b")
	r := moncap(t, "run", "demo", "-i", l.inventory, "--out", out, "--until", "packets=4", "--duration", "5s")
	run := readTestRun(t, out)
	if r.code != exitDirty || !strings.Contains(r.stderr, "left on purpose") ||
		!strings.Contains(r.stderr, "collect "+out) || len(run.Left) == 0 || run.Left[0].Reason != capture.ReasonOnlyCopy {
		t.Fatalf("exit %d, left %+v\n%s", r.code, run.Left, r.stderr)
	}
	if !strings.Contains(r.stdout, "site-b") || !strings.Contains(r.stdout, "site-a (side A): fetch: ") {
		t.Errorf("side B is not reported, with what befell side A:\n%s", r.stdout)
	}
	if now := stateOf(l.routers[1]); !now.equal(l.before[1]) {
		t.Error("side B is not as it was")
	}
	l.routers[0].ClearFaults()
	if r = moncap(t, "collect", out, "-i", l.inventory); r.code > exitInconclusive {
		t.Errorf("collect: exit %d\n%s", r.code, r.stderr)
	}
	for _, side := range bundle.Sides() {
		if info, err := os.Stat(filepath.Join(out, bundle.CaptureFile(side))); err != nil || info.Size() < 100 {
			t.Errorf("side %s: %v", side, err)
		}
	}
	l.nothingLeft(t, r)
}

// TestAnotherHostKeyOfTheTransferIsAFinding has another router answer the connection that is to
// fetch A's capture.
func TestAnotherHostKeyOfTheTransferIsAFinding(t *testing.T) {
	l := newTestLab(t, "healthy")
	routers := 0
	p := program{tune: func(d *device.Options, _ *capture.Options) {
		if d == nil {
			return
		}
		if routers++; routers > 1 {
			return
		}
		dials := 0
		var mu sync.Mutex
		d.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			mu.Lock()
			defer mu.Unlock()
			if dials++; dials > 1 {
				address = l.routers[1].Addr()
			}
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}
	}}
	out := filepath.Join(l.dir, "b")
	r := p.run(t.Context(), "run", "demo", "-i", l.inventory, "--out", out, "--until", "packets=4", "--duration", "5s",
		"--format", "json")
	run := readTestRun(t, out)
	if r.code != exitWarnings || run.A.Source != bundle.SourceDump || run.A.TransferHostKeyChanged == "" ||
		!strings.Contains(r.stdout, `"transfer-host-key-changed"`) {
		t.Errorf("exit %d, source %q, %q\n%s", r.code, run.A.Source, run.A.TransferHostKeyChanged, r.stderr)
	}
	l.nothingLeft(t, r)
}
