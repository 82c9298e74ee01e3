package fleet

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/moncap/moncap/capture"
)

func testPlan(t *testing.T, tunnel, id string) *capture.Plan {
	t.Helper()
	end := func(name, address string) capture.Endpoint {
		return capture.Endpoint{Name: name, Address: netip.MustParseAddr(address), Interface: "GigabitEthernet1", Platform: "cisco_iosxe"}
	}
	p, err := capture.NewPlan(tunnel, end("site-a", "192.0.2.1"), end("site-b", "192.0.2.2"), capture.Settings{Duration: time.Second}, id)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func runID(n int) string { return fmt.Sprintf("20261129-120000-%06d", n) }

func TestSubmitIsSeenInJobs(t *testing.T) {
	s, err := Open(t.Context(), Options{State: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	began := time.Now()
	var reqs []Request
	for i := range 500 {
		reqs = append(reqs, Request{Plan: testPlan(t, fmt.Sprint("t", i), runID(i)), A: Slot{"a:22", 1}, B: Slot{fmt.Sprint(i, ":22"), 1}})
	}
	t.Log(time.Since(began))
	began = time.Now()
	if err := s.Submit(t.Context(), reqs...); err != nil {
		t.Fatal(err)
	}
	t.Log(time.Since(began))
	jobs, err := s.Jobs(t.Context(), "")
	if err != nil || len(jobs) != 500 || jobs[0].Waits != "no worker" {
		t.Fatal(err, len(jobs), jobs[0])
	}
	if _, err := s.Cancel(t.Context(), "me", jobs[0].ID); err != nil {
		t.Fatal(err)
	}
	if err := s.Backup(t.Context(), filepath.Join(t.TempDir(), "x.db")); err != nil {
		t.Fatal(err)
	}
	if p, err := s.Check(t.Context()); err != nil || len(p) != 1 {
		t.Fatal(p, err)
	}
	if p, err := s.Prune(t.Context(), Retain{Runs: time.Hour, Bundles: time.Hour, MaxGB: 1}, false); err != nil {
		t.Fatal(p, err)
	}
	if h, err := s.History(t.Context(), HistoryFilter{Changed: true, Since: time.Unix(1, 0)}); err != nil {
		t.Fatal(h, err)
	}
}
