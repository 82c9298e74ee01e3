package analysis_test

import (
	"context"
	"testing"

	"github.com/moncap/moncap/analysis"
	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/analysis/scene"
)

// TestReportOfVeryManyTunnels: what is listed is bounded, what is counted is not, and what is left
// out is said.
func TestReportOfVeryManyTunnels(t *testing.T) {
	x := mixed(60_000, 600)
	r, err := analysis.Compare(context.Background(), analysis.Side{Open: scene.Opener(x.sides[0])},
		&analysis.Side{Open: scene.Opener(x.sides[1])}, analysis.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Omitted == nil {
		t.Fatal("nothing is left out of a report of 600 tunnels")
	}
	messages, omitted := 0, 0
	for _, c := range r.Conversations {
		messages += len(c.Messages)
		omitted += c.Omitted
	}
	if len(r.Conversations) != 600 || messages != analysis.MaxMessages && omitted > 0 || omitted != r.Omitted.Messages {
		t.Errorf("%d conversations, %d messages listed and %d not, which the report says are %d", len(r.Conversations),
			messages, omitted, r.Omitted.Messages)
	}
	of := map[string]int{}
	for _, f := range r.Findings {
		of[f.Code]++
	}
	for code, n := range r.Omitted.Findings {
		if of[code] != analysis.MaxOfCode || n < 1 {
			t.Errorf("%s: %d listed and %d not", code, of[code], n)
		}
	}
	if of["esp-loss"] != analysis.MaxOfCode || r.Omitted.Findings["esp-loss"] == 0 {
		t.Errorf("%d findings of esp-loss of 1200 SAs, %d left out", of["esp-loss"], r.Omitted.Findings["esp-loss"])
	}
	// Of what was under way when the captures began and ended nobody knows, and these are short.
	for i, got := range [2]int{r.Pairs.LostAtoB, r.Pairs.LostBtoA} {
		if got > x.lost[i] || got < x.lost[i]*95/100 {
			t.Errorf("side %d lost %d, made %d", i, got, x.lost[i])
		}
	}
}

// TestConversationsOfFindingsComeFirst: the messages that prove something are the
// last to be left out.
func TestConversationsOfFindingsComeFirst(t *testing.T) {
	x := mixed(80_000, 200)
	r, err := analysis.Compare(context.Background(), analysis.Side{Open: scene.Opener(x.sides[0])},
		&analysis.Side{Open: scene.Opener(x.sides[1])}, analysis.Options{})
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, c := range r.Conversations {
		listed[c.ID] = len(c.Messages) > 0
	}
	for _, f := range r.Findings {
		if f.Severity != report.Info && f.Conversation != "" && !listed[f.Conversation] {
			t.Errorf("%s: no message of its conversation %s is listed", f.Code, f.Conversation)
		}
	}
}
