package diagnose

import (
	"fmt"
	"slices"

	"github.com/moncap/moncap/analysis/report"
)

// fold makes one finding of those that say the same of several conversations, as an initiator that
// tries again and again brings it: that is one thing to tell, with all the frames. Counts add up,
// ranges widen. By which fields two are the same, the catalogue says. What is left is copied, so
// that the others take no more room; all is used up. prove adds what a rule left out of one of
// which the evidence is told; begun says of some conversations whether any is a negotiation that
// began.
func fold(all []*report.Finding, prove func(*report.Finding), begun func(ids []string) bool) []report.Finding {
	first := map[string]int{}
	out := all[:0]
	var own []int // how many further conversations a rule itself has each of them about
	proofs := map[int]*shares{}
	keep := func(f *report.Finding) {
		prove(f)
		out, own = append(out, f), append(own, len(f.Further))
	}
	var e Entry
	var key []byte
	for i, f := range all {
		if i == 0 || f.Code != e.Code {
			e, _ = Explain(f.Code)
		}
		if len(e.Same) == 0 || f.Conversation == "" {
			keep(f)
			continue
		}
		key = append(append(append(append(key[:0], f.Code...), f.Severity...), f.Confidence...), f.CausedBy...)
		for _, k := range e.Same {
			key = append(key, '|')
			key = fmt.Append(key, field(f, &e, k))
		}
		at, seen := first[string(key)]
		if !seen {
			first[string(key)] = len(out)
			keep(f)
			continue
		}
		out[at].Further = append(append(out[at].Further, f.Conversation), f.Further...)
		if proofs[at] == nil {
			proofs[at] = &shares{of: [][]report.Evidence{out[at].Evidence}, size: len(out[at].Evidence)}
		}
		if proofs[at].want() {
			prove(f)
			proofs[at].add(f.Evidence)
		}
		merge(out[at], f)
	}
	for at, p := range proofs {
		out[at].Evidence = p.all()
	}
	told := make([]report.Finding, len(out))
	for i, f := range out {
		if len(f.Further) > own[i] {
			f.Further = eachOnce(f.Conversation, f.Further)
		}
		if n := len(f.Further) - own[i]; n > 0 && !begun(f.Further[own[i]:]) {
			f.Explanation += fmt.Sprintf(" The same happened %s.", plural(n, "more time", "more times"))
		} else if n > 0 {
			f.Explanation += fmt.Sprintf(" The same happened in %s.",
				plural(n, "further negotiation", "further negotiations"))
		}
		told[i] = *f
	}
	return told
}

// shares are the evidence of findings that are folded into one, of each its own: of what there is
// room for, each has its first frames told, so that one with many leaves some to the others.
type shares struct {
	of   [][]report.Evidence
	size int // of all
}

// want says whether there is room for another share.
func (s *shares) want() bool { return len(s.of) < MaxEvidence }

func (s *shares) add(e []report.Evidence) {
	s.of = append(s.of, e)
	if s.size += len(e); s.size > 2*MaxEvidence {
		s.cut()
	}
}

// cut leaves as many frames as one finding may have: the shares that are larger than the others can
// leave them lose what is behind.
func (s *shares) cut() {
	sizes := make([]int, len(s.of))
	for i, e := range s.of {
		sizes[i] = len(e)
	}
	slices.Sort(sizes)
	left, most := MaxEvidence, 0
	for i, n := range sizes {
		if most = left / (len(sizes) - i); n > most {
			break
		}
		left -= n
	}
	s.size = 0
	for i, e := range s.of {
		s.of[i] = e[:min(len(e), max(most, 1))]
		s.size += len(s.of[i])
	}
}

func (s *shares) all() []report.Evidence {
	if s.size > MaxEvidence {
		s.cut()
	}
	return slices.Concat(s.of...)
}

// begun says whether any of some conversations began in the captures: messages by themselves are
// conversations of their own, and no negotiations.
func (j *judge) begun(ids []string) bool {
	return slices.ContainsFunc(ids, func(id string) bool {
		t := j.named(id)
		return t != nil && t.Complete
	})
}

// eachOnce are the further conversations of a finding without those that were told before.
func eachOnce(first string, further []string) []string {
	told := make(map[string]bool, len(further)+1)
	told[first] = true
	return slices.DeleteFunc(further, func(id string) bool {
		before := told[id]
		told[id] = true
		return before
	})
}

// merge adds up what two findings count.
func merge(into, f *report.Finding) {
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
