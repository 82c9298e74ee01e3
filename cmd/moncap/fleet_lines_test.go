package main

import (
	"strings"
	"testing"

	"github.com/moncap/moncap/capture/fleet"
)

// What was waited for is told whole; a run that still waits leaves room for others in a table.
func TestJobLineTellsTheWholeHeadline(t *testing.T) {
	long := strings.Repeat("word ", 40) + "end"
	r := fleet.Run{ID: "20261123-100000-abcdef", Tunnel: "hq", State: fleet.Done, Outcome: "failed", Headline: long}
	if got := jobLine(r); !strings.HasSuffix(got, "failed: "+long) {
		t.Errorf("%q", got)
	}
	if got := whatOf(r); len(got) > 90 || strings.HasSuffix(got, "end") {
		t.Errorf("%q", got)
	}
	r.State, r.Headline, r.Outcome = fleet.Waiting, "", ""
	if got := jobLine(r); !strings.HasSuffix(got, "waiting: is next") {
		t.Errorf("%q", got)
	}
}

// TestLinesOfWhatIsRecovered: only a run whose worker is gone is told as such.
func TestLinesOfWhatIsRecovered(t *testing.T) {
	r := fleet.Run{State: fleet.Recovering, Host: "ops-1"}
	if got := whatOf(r); got != "its worker on ops-1 is gone" {
		t.Error(got)
	}
	r.Remains = "site-b: capture point; remove with: no monitor capture x"
	if got := whatOf(r); got != "a worker removes what it left" {
		t.Error(got)
	}
}
