package diagnose

import (
	"fmt"

	"github.com/moncap/moncap/analysis/report"
)

// repeated are the findings that every new attempt brings anew, and the fields by which two of them are the same. An initiator tries
// again and again: that is one thing to tell, with all the frames.
var repeated = map[string][]string{
	"auth-failed": {"refusing_side"}, "child-sa-refused": {"refusing_side", "reason"}, "responder-auth-rejected": {"rejecting_side"},
	"psk-mismatch-v1": {"refusing_side"}, "quick-mode-refused": {"refusing_side"}, "quick-mode-stalled": {"last_message"},
	"main-mode-stalled": {"last_message", "waiting_side"}, "peer-not-answering": {"silent_side", "phase"},
	"response-ignored": {"ignoring_side", "phase"}, "ke-group-mismatch": {"refusing_side", "offered_group", "wanted_group"},
	"retransmissions-exhausted": {"side", "phase", "transmissions"}, "error-notify": {"side", "notify"},
	"answer-from-other-address": {"side", "asked", "answered_from"}, "inconsistent-answers": {"side", "exchange"},
	"debug-captured-not-received": {"side", "message"}, "debug-sent-not-captured": {"side", "message"},
}

// fold makes one finding of those that say the same of several conversations. Counts add up, ranges widen.
func fold(all []report.Finding) []report.Finding {
	first := map[string]int{}
	about := map[string]bool{} // a finding that others are folded into, and a conversation that it is about
	var out []report.Finding
	for _, f := range all {
		same, ok := repeated[f.Code]
		if !ok || f.Conversation == "" {
			out = append(out, f)
			continue
		}
		key := fmt.Sprint(f.Code, f.Confidence, f.CausedBy)
		for _, k := range same {
			key += fmt.Sprint("|", f.Fields[k])
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
			out[i].Explanation += fmt.Sprintf(" The same happened in %s.", plural(n, "further negotiation", "further negotiations"))
		}
	}
	return out
}

func merge(into *report.Finding, f report.Finding) {
	into.Evidence = append(into.Evidence, f.Evidence...)
	for _, k := range []string{"requests", "responses"} {
		if n, ok := f.Fields[k].(int); ok {
			into.Fields[k] = into.Fields[k].(int) + n
		}
	}
	low, ok1 := f.Fields["plaintext_min"].(int)
	high, ok2 := f.Fields["plaintext_max"].(int)
	least, ok3 := into.Fields["plaintext_min"].(int)
	if ok1 && ok2 && ok3 {
		into.Fields["plaintext_min"], into.Fields["plaintext_max"] = min(least, low), max(into.Fields["plaintext_max"].(int), high)
	}
}
