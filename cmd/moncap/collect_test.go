package main

import (
	"runtime"
	"runtime/debug"
	runtimemetrics "runtime/metrics"
	"testing"

	"github.com/moncap/moncap/analysis"
)

// collectedAt is by how many percent the heap grows before it is collected.
func collectedAt() uint64 {
	s := []runtimemetrics.Sample{{Name: "/gc/gogc:percent"}}
	runtimemetrics.Read(s)
	return s[0].Value.Uint64()
}

// collections is how often the heap was collected so far.
func collections() uint32 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.NumGC
}

// The heap is collected seldom until the captures are read and linked, often from then on, less so
// where they are read again, and afterwards as before; whoever sets GOGC is obeyed.
func TestHeapIsCollectedByPhase(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(77))
	for gogc, want := range map[string][6]uint64{"": {400, 400, 400, 30, 40, 77}, "77": {77, 77, 77, 77, 77, 77}} {
		a := &app{environment: environment{getenv: func(string) string { return gogc }}}
		var told []string
		var got [6]uint64
		tell, undo := a.collectByPhase(func(p analysis.Progress) { told = append(told, p.Doing) })
		got[0] = collectedAt()
		for i, part := range []analysis.Part{analysis.Reading, analysis.Joining, analysis.Judging, analysis.Reading} {
			tell(analysis.Progress{Part: part, Doing: string(part)})
			got[i+1] = collectedAt()
		}
		before := collections()
		undo()
		if all := collections() - before; gogc == "" && all == 0 {
			t.Error("what was read is not collected in the end")
		}
		got[5] = collectedAt()
		if got != want || len(told) != 4 || told[1] != "joining" {
			t.Errorf("GOGC=%s: %v, want %v; told %v", gogc, got, want, told)
		}
	}
}

// Only a heap that has grown since is collected in between two steps.
func TestGrownHeapIsCollected(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // nobody else collects
	runtime.GC()
	before := collections()
	collectGrown()
	idle := collections() - before
	grown := make([]byte, 256<<20)
	collectGrown()
	if all := collections() - before; idle != 0 || all != 1 {
		t.Errorf("collected %d times without growth and %d in all, want 0 and 1 for %d bytes more", idle, all, len(grown))
	}
}
