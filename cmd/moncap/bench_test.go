package main

import (
	"context"
	"io"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/moncap/moncap/capture"
	"github.com/moncap/moncap/capture/bundle"
)

// BenchmarkPlaybook runs the playbook on two simulated routers over loopback, with real SSH and
// SCP, and reports how long each phase took on both sides together, and all of them without the
// wait: what moncap itself adds to a capture.
func BenchmarkPlaybook(b *testing.B) {
	l := newTestLab(b, "healthy")
	ended := make(chan struct{})
	close(ended)
	a := newApp(context.Background(), environment{stderr: io.Discard, getenv: func(string) string { return "" }})
	a.quiet, a.logFormat = true, "text"
	took := map[string]float64{}
	gap, runs := 0.0, 0
	for b.Loop() {
		runs++
		dir, err := a.playbook(context.Background(), a.newConnector(), l.tunnel,
			&runFlags{captureFlags: captureFlags{until: "none"},
				out: filepath.Join(l.dir, "bundle"+strconv.Itoa(runs))}, ended)
		if err != nil {
			b.Fatal(err)
		}
		run := readBench(b, dir)
		gap += run.StartGapMS
		for _, p := range run.Phases {
			took[p.Name] += p.AMS + p.BMS
		}
	}
	all := 0.0
	for _, p := range capture.Phases() {
		if p == capture.PhaseWait || p == capture.PhaseTrigger {
			continue
		}
		all += took[string(p)]
		b.ReportMetric(took[string(p)]/float64(runs), string(p)+"-ms")
	}
	b.ReportMetric(all/float64(runs), "both-sides-ms")
	b.ReportMetric(gap/float64(runs), "start-gap-ms")
	if dirty := l.dirty(); len(dirty) > 0 {
		b.Errorf("%v is not as it was", dirty)
	}
}

func readBench(b *testing.B, dir string) *bundle.Run {
	opened, err := bundle.Open(dir)
	if err != nil {
		b.Fatal(err)
	}
	defer opened.Close()
	run, err := opened.Run()
	if err != nil {
		b.Fatal(err)
	}
	return run
}
