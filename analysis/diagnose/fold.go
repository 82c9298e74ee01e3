package diagnose

import (
	"fmt"

	"github.com/moncap/moncap/analysis/report"
)

// fold makes one finding of those that say the same of several conversations, as an initiator that
// tries again and again brings it: that is one thing to tell, with all the frames. Counts add up,
// ranges widen. By which fields two are the same, the catalogue says. What is left is the first part
// of all.
func fold(all []report.Finding) []report.Finding {
	type further struct { // a finding that others are folded into, and a conversation that it is about
		into         int
		conversation string
	}
	first, about := map[string]int{}, map[further]bool{}
	out := all[:0]
	var e Entry
	var key []byte
	for i := range all {
		f := all[i]
		if i == 0 || f.Code != e.Code {
			e, _ = Explain(f.Code)
		}
		if len(e.Same) == 0 || f.Conversation == "" {
			out = append(out, f)
			continue
		}
		key = fmt.Append(key[:0], f.Code, f.Confidence, f.CausedBy)
		for _, k := range e.Same {
			key = append(key, '|')
			key = fmt.Append(key, field(&f, &e, k))
		}
		at, seen := first[string(key)]
		if !seen {
			first[string(key)] = len(out)
			out = append(out, f)
			continue
		}
		if c := (further{at, f.Conversation}); f.Conversation != out[at].Conversation && !about[c] {
			about[c] = true
			out[at].Further = append(out[at].Further, f.Conversation)
		}
		merge(&out[at], f)
	}
	clear(all[len(out):])
	for i, f := range out {
		if n := len(f.Further); n > 0 {
			out[i].Explanation += fmt.Sprintf(" The same happened in %s.",
				plural(n, "further negotiation", "further negotiations"))
		}
	}
	return out
}

func merge(into *report.Finding, f report.Finding) {
	if len(into.Evidence) < MaxEvidence {
		into.Evidence = append(into.Evidence, f.Evidence...)
	}
	for _, k := range []string{"requests", "responses"} {
		if n, ok := f.Fields[k].(int); ok {
			into.Fields[k] = into.Fields[k].(int) + n
		}
	}
	low, ok1 := f.Fields["plaintext_min"].(int)
	high, ok2 := f.Fields["plaintext_max"].(int)
	least, ok3 := into.Fields["plaintext_min"].(int)
	if ok1 && ok2 && ok3 {
		into.Fields["plaintext_min"], into.Fields["plaintext_max"] = min(least, low),
			max(into.Fields["plaintext_max"].(int), high)
	}
}
