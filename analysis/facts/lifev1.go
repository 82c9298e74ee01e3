package facts

import (
	"maps"
	"slices"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/pair"
)

// sizesV1 are the lengths that the encrypted Informational messages of an IKE SA have, by its hash
// and cipher: a HASH, and a Notify of liveness (RFC 3706, Section 5.3), a Delete of the ISAKMP SA
// or one of a single IPsec SA (RFC 2408, Section 3.15). 0: not known. A sender may pad by more than
// it must.
type sizesV1 struct{ probe, deleteIKE, deleteChild int }

func (t *Talk) findSizesV1() sizesV1 {
	hash, block := 0, 16
	for _, m := range t.Phase1() {
		sa := m.SAv1()
		if sa == nil || len(sa.Proposals) == 0 || len(sa.Proposals[0].Transforms) == 0 ||
			len(sa.Proposals[0].Transforms) > 1 && m.From == t.Initiator {
			continue
		}
		for _, a := range sa.Proposals[0].Transforms[0].Attributes {
			switch n, _ := a.Number(); a.Type {
			case ike.V1Hash:
				hash = map[uint64]int{1: 16, 2: 20, 4: 32, 5: 48, 6: 64}[n]
			case ike.V1Encryption:
				if block = 16; n <= 6 {
					block = 8
				}
			}
		}
	}
	if hash == 0 {
		return sizesV1{}
	}
	padded := func(n int) int { return (4 + hash + n + block - 1) / block * block }
	return sizesV1{padded(12 + 16 + 4), padded(12 + 16), padded(12 + 4)}
}

// informationalsV1 are the encrypted Informational messages behind a moment.
func (t *Talk) informationalsV1(after int64) []*pair.Message {
	var all []*pair.Message
	for _, m := range t.Messages {
		if m.Exchange == ike.V1Informational && m.Encrypted() && m.Transmissions()[0].Aligned >= after {
			all = append(all, m)
		}
	}
	return all
}

// Probes are the last liveness checks of s (RFC 3706), each a message of its own, that got no
// answer; those of the other side, and the answers to them, may lie between. Whether any before
// them was answered is said as well.
func (t *Talk) Probes(s pair.Side) (unanswered []*pair.Message, answeredBefore bool) {
	all := t.ofV1().encrypted
	size := t.probeSize(all)
	if size == 0 {
		return nil, false
	}
	checks := checksOf(all, size)
	for _, m := range slices.Backward(t.Messages) {
		switch answer, some := checks.answer[m]; {
		case some && m.From == s && answer == nil:
			unanswered = append(unanswered, m)
		case some && m.From != s, checks.answers[m] && m.From == s:
			continue // the other side's check, or the answer to it
		}
		if _, some := checks.answer[m]; m.From != s || some && checks.answer[m] != nil {
			break
		}
	}
	slices.Reverse(unanswered)
	for _, m := range all {
		answeredBefore = answeredBefore || m.From != s && m.SKLen == size
	}
	return unanswered, answeredBefore
}

// checksV1 are the liveness checks of both sides: the answer of each, nil without, and which
// messages are answers.
type checksV1 struct {
	answer  map[*pair.Message]*pair.Message
	answers map[*pair.Message]bool
}

// checksOf tells liveness checks from their answers, which are of the same size and come at once.
func checksOf(all []*pair.Message, size int) checksV1 {
	c := checksV1{map[*pair.Message]*pair.Message{}, map[*pair.Message]bool{}}
	var open [2]*pair.Message
	for _, m := range all {
		if m.SKLen != size {
			continue
		}
		if asked := open[m.From.Other()]; asked != nil &&
			m.Transmissions()[0].Aligned-asked.Transmissions()[0].Aligned < acknowledged {
			c.answer[asked], c.answers[m], open[asked.From] = m, true, nil
			continue
		}
		c.answer[m], open[m.From] = nil, m
	}
	return c
}

// acknowledged is how soon a liveness check is answered at most, to count as answered.
const acknowledged = 1e9

// probeSize is the size of liveness checks: that of equal messages with which the sides answer each
// other, twice at least or as the algorithms say; 0 when there are none.
func (t *Talk) probeSize(all []*pair.Message) int {
	sizes := t.ofV1().sizes
	pairs := map[int]int{}
	for i, m := range all[:max(0, len(all)-1)] {
		next := all[i+1]
		if next.From != m.From && next.SKLen == m.SKLen &&
			next.Transmissions()[0].Aligned-m.Transmissions()[0].Aligned < acknowledged {
			pairs[m.SKLen]++
		}
	}
	return sizes.checks(pairs)
}

// checks is the size of liveness checks among those that were seen in pairs so many times. Of two
// that were seen alike it is the larger: a Delete is smaller than a check (RFC 3706, Section 5.3).
func (sizes sizesV1) checks(pairs map[int]int) int {
	best := 0
	for _, size := range slices.Backward(slices.Sorted(maps.Keys(pairs))) {
		n := pairs[size]
		switch {
		case size == sizes.probe && sizes.probe != sizes.deleteIKE:
			return size
		case n >= 2 && n > pairs[best] && (sizes.probe == 0 || size >= sizes.probe):
			best = size
		case size == sizes.probe && best == 0:
			best = size // as large as a Delete of the ISAKMP SA, too
		}
	}
	return best
}

// probesAnswered says whether liveness checks go to and fro.
func (t *Talk) probesAnswered() bool { return t.ofV1().probe > 0 }

// deletionV1 is the first Delete of the last ones: an Informational that is no liveness check,
// after which the SPI pair is used for nothing but the other side's Deletes and for a Quick Mode
// that comes to nothing, and its ESP ends.
func (t *Talk) deletionV1() (*pair.Message, bool) {
	done := t.completedV1()
	if done == 0 {
		done = t.First
	}
	for i, m := range t.Messages {
		if m.Exchange != ike.V1Informational || m.Transmissions()[0].Aligned < done {
			continue
		}
		for _, p := range slices.Concat(m.InClear(), m.Inner()) {
			if d, ok := p.(*ike.DeleteV1); ok && d.Protocol == ike.ProtocolIKE {
				return m, true
			}
		}
		if len(m.Inner()) == 0 && m.Encrypted() && t.isDeleteV1(m) && t.endsV1(i) {
			return m, false
		}
	}
	return nil, false
}

// isDeleteV1 says whether the size of an Informational is that of a Delete and not
// of a liveness check.
func (t *Talk) isDeleteV1(m *pair.Message) bool {
	sizes := t.ofV1().sizes
	if m.SKLen == t.ofV1().probe {
		return false
	}
	if sizes.probe == 0 {
		return !t.saidBefore(m)
	}
	return m.SKLen == sizes.deleteIKE || m.SKLen == sizes.deleteChild
}

// saidBefore says whether the sender of an Informational sent another one of its size long before:
// then it is what this sender says from time to time, though nothing shows whether it is answered.
func (t *Talk) saidBefore(m *pair.Message) bool {
	const long = 2e9
	first, some := t.ofV1().said[sayingV1{m.From, m.SKLen}]
	return some && first < m.Transmissions()[0].Aligned-long
}

// tailsV1 is what a Delete is judged by: what comes behind it, and how many its sender sent. Of
// thousands of them, none walks through all messages.
type tailsV1 struct {
	last    int    // the place of the last Informational; -1: there is none
	again   int    // up to here, a Quick Mode with two messages or more follows
	quick   []int  // the places of Quick Modes' messages
	deletes [2]int // how many were sent, by size, since the ISAKMP SA stood
}

func (t *Talk) tails() *tailsV1 {
	one := t.ofV1()
	if one.tails != nil {
		return one.tails
	}
	x := &tailsV1{last: -1, again: -1}
	seen := map[uint32]bool{}
	for i, m := range slices.Backward(t.Messages) {
		switch m.Exchange {
		case ike.V1Informational:
			x.last = max(x.last, i)
		case ike.V1QuickMode:
			if x.quick = append(x.quick, i); seen[m.MessageID] {
				x.again = max(x.again, i)
			}
			seen[m.MessageID] = true
		}
	}
	slices.Reverse(x.quick)
	for _, o := range t.informationalsV1(one.completed) {
		if t.isDeleteV1(o) {
			x.deletes[o.From]++
		}
	}
	one.tails = x
	return x
}

// endsV1 says whether the conversation dies with its message i: within a moment all that follows is
// over, nothing of it makes new keys, and no ESP of both sides goes on.
func (t *Talk) endsV1(i int) bool {
	const tail = 2e9
	at := t.Messages[i].Transmissions()[0].Aligned
	x := t.tails()
	if x.last > i && t.Messages[x.last].Transmissions()[0].Aligned > at+tail || x.again > i {
		return false
	}
	if t.c.Last < at+tail && t.ofReplaced(t.Messages[i]) {
		return false // whether anything goes on is not seen
	}
	// New keys were made moments before: the Delete is of the old ones.
	if n, _ := slices.BinarySearch(x.quick, i); n > 0 && t.ofV1().quickModes > 1 &&
		t.Messages[x.quick[n-1]].Transmissions()[0].Aligned > at-tail {
		return false
	}
	return !t.esp.goesOn(at + tail)
}

// ofReplaced says whether m, a Delete, may be that of an IPsec SA which a later Quick Mode
// replaced: its sender has deleted no more than were replaced, and its size does not say that it is
// of the ISAKMP SA.
func (t *Talk) ofReplaced(m *pair.Message) bool {
	sizes := t.ofV1().sizes
	if m.SKLen == sizes.deleteIKE && sizes.deleteIKE != sizes.deleteChild {
		return false
	}
	return t.tails().deletes[m.From] < t.ofV1().quickModes
}

// answeredQuickModes counts the exchanges of Quick Mode that have an answer.
func answeredQuickModes(whole []*pair.Message) int {
	count := map[uint32]int{}
	n := 0
	for _, m := range whole {
		if m.Exchange != ike.V1QuickMode {
			continue
		}
		if count[m.MessageID]++; count[m.MessageID] == 2 {
			n++
		}
	}
	return n
}
