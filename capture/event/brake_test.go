package event

import (
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// A storm of 1,000 events a second for a minute starts one thing, and costs a count.
func TestAStormStartsOneRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b Brake
		starts := 0
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range 60 * 1000 {
			if ok, why := b.Take("t", time.Now()); ok {
				starts++
			} else if why == "" {
				t.Fatal("it is held back without a reason")
			}
			time.Sleep(time.Millisecond)
		}
		runtime.ReadMemStats(&after)
		if held := b.Held()["t"]; starts != 1 || held != 59_999 {
			t.Errorf("%d starts, %d held back", starts, held)
		}
		if left := b.Held(); len(left) > 0 {
			t.Errorf("counted twice: %v", left)
		}
		if len(b.tunnels["t"].starts) != 1 || len(b.fleet) != 1 {
			t.Errorf("it keeps %d and %d times", len(b.tunnels["t"].starts), len(b.fleet))
		}
	})
}

func TestBrakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b Brake
		starts := map[time.Duration]int{}
		begin := time.Now()
		for range 3 * 24 * 60 { // an event a minute for three days
			if ok, _ := b.Take("t", time.Now()); ok {
				starts[time.Since(begin)/(24*time.Hour)]++
			}
			time.Sleep(time.Minute)
		}
		for day := range time.Duration(3) {
			if starts[day] != TunnelPerDay {
				t.Errorf("day %d: %d starts, want %d", day, starts[day], TunnelPerDay)
			}
		}
		time.Sleep(25 * time.Hour)
		n := 0
		for i := range 200 {
			if ok, _ := b.Take(fmt.Sprint("tunnel", i), time.Now()); ok {
				n++
			}
		}
		if n != FleetPerHour {
			t.Errorf("%d starts of 200 tunnels at once, want %d", n, FleetPerHour)
		}
		time.Sleep(time.Hour + time.Second)
		if ok, why := b.Take("tunnel199", time.Now()); !ok {
			t.Errorf("an hour later: %s", why)
		}
	})
}

func TestAStartThatCameToNothingIsNoStart(t *testing.T) {
	var b Brake
	at := time.Now()
	if ok, _ := b.Take("t", at); !ok {
		t.Fatal("the first is held back")
	}
	b.Return("t", at.Add(time.Minute))
	if ok, _ := b.Take("t", at.Add(30*time.Second)); ok {
		t.Error("before its time it starts")
	}
	if ok, why := b.Take("t", at.Add(61*time.Second)); !ok {
		t.Errorf("after its time: %s", why)
	}
	b.Return("other", at)
}
