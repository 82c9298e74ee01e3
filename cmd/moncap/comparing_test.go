package main

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moncap/moncap/analysis"
)

// An analysis that is done at once says nothing; one that takes long says how far
// it is, now and then.
func TestComparingSpeaksSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		a := &app{environment: environment{stderr: &out}}
		say := a.comparing()
		say(analysis.Progress{Doing: "reading a.pcap", Done: 65536})
		if out.Len() > 0 {
			t.Fatalf("at once: %q", out.String())
		}
		time.Sleep(4 * time.Second)
		say(analysis.Progress{Doing: "reading a.pcap", Done: 131072})
		say(analysis.Progress{Doing: "joining", Done: 0, Of: 13})
		time.Sleep(4 * time.Second)
		say(analysis.Progress{Doing: "joining", Done: 3, Of: 13})
		if want := "analyze: reading a.pcap, 131072 packets\nanalyze: joining, 3 of 13\n"; out.String() != want {
			t.Errorf("said %q, want %q", out.String(), want)
		}
	})
}
