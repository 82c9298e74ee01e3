package capture

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moncap/moncap/capture/bundle"
)

// slowBooks take their time, one side more than the other.
type slowBooks struct{ intends, notes time.Duration }

func (b slowBooks) Intend(_ context.Context, e bundle.Entry) error {
	if e.Side == bundle.B {
		time.Sleep(b.intends)
	}
	return nil
}

func (b slowBooks) Noted(e bundle.Entry) {
	if e.Side == bundle.B {
		time.Sleep(b.notes)
	}
}

func (slowBooks) Saved([]byte) {}

// Neither what is written before a start nor what is written after it moves one start away from the
// other, or makes it seem so.
func TestSlowBooksDoNotWidenTheStartGap(t *testing.T) {
	for _, books := range []slowBooks{{intends: time.Second}, {notes: time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t, Settings{})
			l.opts.Ledger = books
			result, err := Run(t.Context(), l.plan, l.hosts(), l.bundle, l.opts)
			if err != nil {
				t.Fatal(err)
			}
			if sent := result.Run.B.StartSent.Sub(result.Run.A.StartSent).Abs(); sent != 0 || result.StartGap != 0 {
				t.Errorf("%+v: sent %s apart, start gap %s", books, sent, result.StartGap)
			}
		})
	}
}
