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

// The heap is left alone as long as a comparison has room, and collected often and in between the
// steps from when it has not; afterwards as before. Whoever sets GOGC is obeyed.
func TestHeapIsCollectedWhereThereIsNoRoom(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(77))
	const room = 1 << 30
	steps := []analysis.Part{analysis.Reading, analysis.Joining, analysis.Judging, analysis.Reading}
	for _, tt := range []struct {
		name, gogc  string
		room        int64
		collected   bool // before the second step
		often, from int  // percent, and the step from which on; 0, 0: never
	}{
		{"room for all", "", room, false, 0, 0},
		{"little room", "", 1 << 20, false, 50, 1},
		{"it was collected", "", room, true, 50, 1},
		{"GOGC is set", "77", 1 << 20, true, 77, 0},
	} {
		a := &app{environment: environment{getenv: func(string) string { return tt.gogc }}}
		var told []string
		tell, undo := a.collectByPhase(tt.room, func(p analysis.Progress) { told = append(told, p.Doing) })
		seldom := collectedAt()
		alive := max(measureHeap().kept, 4<<20)
		if next := alive * int64(seldom) / 100; tt.gogc == "" && tt.room == room && (next < room/2 || next > 2*room) {
			t.Errorf("%s: %d%% at first of %d bytes", tt.name, seldom, alive)
		}
		for i, part := range steps {
			if tt.collected && i == 1 {
				runtime.GC()
			}
			tell(analysis.Progress{Part: part, Done: i, Doing: string(part)})
			want := seldom
			if tt.often > 0 && i >= tt.from {
				want = uint64(tt.often)
			}
			if got := collectedAt(); got != want {
				t.Errorf("%s: %d%% after step %d, want %d%%", tt.name, got, i, want)
			}
		}
		before := collections()
		undo()
		if all := collections() - before; tt.gogc == "" && all == 0 {
			t.Errorf("%s: what was read is not collected in the end", tt.name)
		}
		if got := collectedAt(); got != 77 || len(told) != len(steps) || told[1] != "joining" {
			t.Errorf("%s: %d%% in the end, told %v", tt.name, got, told)
		}
	}
}

// Only a heap that has grown since is collected in between two steps, also where the runtime
// collected it in the midst of a step, when what that needed was in use.
func TestGrownHeapIsCollected(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // nobody else collects
	kept := collectGrown(0)
	before := collections()
	same := collectGrown(kept)
	if idle := collections() - before; idle != 0 || same != kept {
		t.Errorf("collected %d times without growth, %d bytes alive after %d", idle, same, kept)
	}
	needed := make([]byte, 256<<20)
	runtime.GC()
	runtime.KeepAlive(needed)
	before = collections()
	after := collectGrown(kept)
	if all := collections() - before; all != 1 || after > kept+64<<20 {
		t.Errorf("collected %d times and %d bytes alive after a step, want once and the %d before it", all, after, kept)
	}
}
