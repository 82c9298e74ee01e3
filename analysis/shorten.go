package analysis

import (
	"github.com/moncap/moncap/analysis/diagnose"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

// Bounds of a report, far above what one tunnel needs: of thousands of tunnels nobody reads every
// one, and no program should have to read gigabytes. Whatever is counted is counted of all.
const (
	maxOfCode        = 100  // findings of one code
	maxMessages      = 5000 // messages that are listed, of all conversations
	maxTransmissions = 1000 // transmissions that are listed of one message
	maxFlows         = 2000 // ESP SAs, each in one direction
)

// shorten keeps the first findings of every code, and of their evidence what is enough to prove
// them; more counts the other findings.
func shorten(all []report.Finding) (kept []report.Finding, more map[string]int) {
	of := map[string]int{}
	for _, f := range all {
		if of[f.Code]++; of[f.Code] <= maxOfCode {
			f.Evidence = f.Evidence[:min(len(f.Evidence), diagnose.MaxEvidence)]
			kept = append(kept, f)
			continue
		}
		if more == nil {
			more = map[string]int{}
		}
		more[f.Code]++
	}
	return kept, more
}

// listed says of how many messages of every conversation the report tells: first of those that a
// finding is about, in the order of the findings, then of those in which the same happened, then of
// the others in the order of time, until there are enough.
func listed(c *pair.Case, findings []report.Finding) []int {
	counts := make([]int, len(c.Conversations))
	left := maxMessages
	spend := func(i int) {
		if counts[i] == 0 {
			counts[i] = min(left, len(c.Conversations[i].Messages))
			left -= counts[i]
		}
	}
	at := map[string]int{} // of those that findings are about
	for _, f := range findings {
		at[f.Conversation] = -1
		for _, id := range f.Further {
			at[id] = -1
		}
	}
	for i, v := range c.Conversations {
		if _, ok := at[v.ID]; ok {
			at[v.ID] = i
		}
	}
	for _, f := range findings {
		if i := at[f.Conversation]; i >= 0 {
			spend(i)
		}
	}
	for _, f := range findings {
		for _, id := range f.Further {
			if i := at[id]; i >= 0 {
				spend(i)
			}
		}
	}
	for i := range c.Conversations {
		spend(i)
	}
	return counts
}

// omitted sums up what r leaves out; nil when that is nothing.
func omitted(c *pair.Case, r *report.Report, findings map[string]int) *report.Omitted {
	o := report.Omitted{Findings: findings, Flows: max(0, ownFlows(c)-maxFlows)}
	for _, s := range pair.Both {
		if story := c.Story(s); story != nil {
			o.Packets += story.Forgotten
		}
	}
	for _, v := range r.Conversations {
		o.Messages += v.Omitted
	}
	if o.Findings == nil && o.Messages+o.Flows+o.Packets == 0 {
		return nil
	}
	return &o
}
