package diagnose

import (
	"fmt"

	"github.com/moncap/moncap/analysis/report"
)

// fold makes one finding of those that say the same of several conversations, as an initiator that
// tries again and again brings it: that is one thing to tell, with all the frames. Counts add up,
// ranges widen. By which fields two are the same, the catalogue says.
func fold(all []report.Finding) []report.Finding {
	first := map[string]int{}
	about := map[string]bool{} // a finding that others are folded into, and a conversation that it is about
	var out []report.Finding
	for _, f := range all {
		e, _ := Explain(f.Code)
		if len(e.Same) == 0 || f.Conversation == "" {
			out = append(out, f)
			continue
		}
		key := fmt.Sprint(f.Code, f.Confidence, f.CausedBy)
		for _, k := range e.Same {
			key += "|" + fmt.Sprint(field(f, e, k))
		}
		i, seen := first[key]
		if !seen {
			first[key] = len(out)
			out = append(out, f)
			continue
		}
		if c := key + "|" + f.Conversation; f.Conversation != out[i].Conversation && !about[c] {
			about[c] = true
			out[i].Further = append(out[i].Further, f.Conversation)
		}
		merge(&out[i], f)
	}
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
