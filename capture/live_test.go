package capture

import (
	"bytes"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moncap/moncap/device/iosxe"
)

// TestLiveShowsEachPacketOnce: what a capture has while it runs is handed out once, and neither a
// router that cannot show it nor one that has too much of it costs the run anything.
func TestLiveShowsEachPacketOnce(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*lab)
		want   int    // packets of side A
		note   string // of the run
	}{
		{"two packets", func(*lab) {}, 2, ""},
		{"one more later", func(l *lab) {
			time.AfterFunc(3*time.Second, func() {
				l.a.mu.Lock()
				defer l.a.mu.Unlock()
				l.a.frames = append(l.a.frames, []byte("a third one"))
			})
		}, 3, ""},
		{"refused", func(l *lab) {
			l.a.fault = func(_ int, c iosxe.Command) *fault {
				if c.Name == iosxe.ShowDump(l.plan.A.Name).Name {
					return &fault{say: "% Authorization failed\n", idle: true}
				}
				return nil
			}
		}, 0, "no more packets are shown"},
		{"too many", func(l *lab) { l.a.frames = slices.Repeat(l.a.frames, mostLive) }, 0, "no more packets are shown"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, Settings{Duration: 10 * time.Second})
				tt.change(l)
				before := l.state()
				var mu sync.Mutex
				seen := map[Side][][]byte{}
				l.opts.Live = func(p LivePackets) {
					mu.Lock()
					defer mu.Unlock()
					for _, one := range p.Packets {
						seen[p.Side] = append(seen[p.Side], one.Data)
						if d := time.Since(one.Time).Abs(); d > 5*time.Second { // the times are of this machine, and approximate
							t.Errorf("a packet came %s ago", d)
						}
					}
				}
				r, err := Run(t.Context(), l.plan, l.hosts(), l.bundle, l.opts)
				if err != nil {
					t.Fatal(err)
				}
				if len(seen[A]) != tt.want || len(seen[B]) != 2 {
					t.Errorf("%d and %d packets, want %d and 2", len(seen[A]), len(seen[B]), tt.want)
				}
				for i, data := range seen[A] {
					if !bytes.Equal(data, l.a.frames[i]) {
						t.Errorf("packet %d is %q, want %q", i, data, l.a.frames[i])
					}
				}
				if notes := strings.Join(r.Run.Notes, "\n"); strings.Contains(notes, "shown") != (tt.note != "") ||
					!strings.Contains(notes, tt.note) {
					t.Errorf("notes: %s", notes)
				}
				if l.state() != before {
					t.Errorf("left\n%s", l.state())
				}
			})
		})
	}
}
