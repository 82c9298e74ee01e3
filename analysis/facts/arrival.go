package facts

import (
	"slices"

	"github.com/moncap/moncap/analysis/pair"
)

// Sendings are the transmissions of m without duplicates; not to be changed.
func Sendings(m *pair.Message) []*pair.Transmission {
	if !slices.ContainsFunc(m.Transmissions(), func(t *pair.Transmission) bool { return t.Duplicate }) {
		return slices.Clip(m.Transmissions()) // as nearly always
	}
	var all []*pair.Transmission
	for _, t := range m.Transmissions() {
		if !t.Duplicate {
			all = append(all, t)
		}
	}
	return all
}

// RepeatedAfter counts how often a request was sent again after its answer had arrived. What was on
// its way to the wire when the answer came is no proof.
func RepeatedAfter(c *pair.Case, q *pair.Message) int {
	const grace = 100e6
	if q.AnsweredBy() == nil {
		return 0
	}
	at, _ := FirstArrival(c, q.AnsweredBy())
	if at < 0 {
		return 0
	}
	late := 0
	for _, x := range Sendings(q) {
		if x.Aligned > at+grace {
			late++
		}
	}
	return late
}

// FirstArrival is when m first reached the receiver's capture, aligned, and how often it did; -1
// when it never did. Without that capture, what was sent counts as arrived: the doubt is about the
// receiver then.
func FirstArrival(c *pair.Case, m *pair.Message) (at int64, count int) {
	at = -1
	to := m.From.Other()
	if c.Story(to) == nil {
		to = m.From
	}
	for _, x := range m.Transmissions() {
		if s := x.At[to]; s != nil {
			count++
			if n := c.Aligned(s.Nanos, to); at < 0 || n < at {
				at = n
			}
		}
	}
	return at, count
}

// AnswerArrived says whether the answer to m reached who asked. Without the capture of that side,
// one that goes on asking did not get it.
func AnswerArrived(c *pair.Case, m *pair.Message) bool {
	if m.AnsweredBy() == nil {
		return false
	}
	if c.Story(m.From) == nil {
		return RepeatedAfter(c, m) < 2
	}
	at, _ := FirstArrival(c, m.AnsweredBy())
	return at >= 0
}

// Patience is how long an answer is waited for.
const Patience = 2e9

// Outlasts says whether the capture that would show what s sends goes on for a while after a
// moment: else what s did then is not known.
func Outlasts(c *pair.Case, s pair.Side, at, while int64) bool {
	x := c.Observer(s)
	story := c.Story(x)
	return story != nil && c.Aligned(story.Last, x) >= at+while
}

// espStarts knows when the ESP of a case began.
type espStarts struct {
	starts [2][]int64 // aligned times of every flow's first packet in each capture, by sender, ascending
	last   [2]int64   // when each side's last packet was seen
}

func espStartsOf(c *pair.Case) *espStarts {
	var e espStarts
	for _, f := range c.Flows {
		for _, s := range pair.Both {
			if x := f.At[s]; x != nil && !f.Foreign {
				e.starts[f.From] = append(e.starts[f.From], c.Aligned(x.First.Nanos, s))
				e.last[f.From] = max(e.last[f.From], c.Aligned(x.Last.Nanos, s))
			}
		}
	}
	slices.Sort(e.starts[pair.A])
	slices.Sort(e.starts[pair.B])
	return &e
}

// during says whether ESP of both directions began after the conversation did and before the next
// one.
func (e *espStarts) during(t *Talk) bool { return e.from(t, pair.A) && e.from(t, pair.B) }

// from says whether ESP of s began after the conversation did and before the next negotiation,
// whose ESP it would be.
func (e *espStarts) from(t *Talk, s pair.Side) bool { return e.fromAfter(t, s, t.First) }

// fromAfter says so of ESP that began after a moment.
func (e *espStarts) fromAfter(t *Talk, s pair.Side, moment int64) bool {
	starts := e.starts[s]
	i, _ := slices.BinarySearch(starts, moment)
	if i == len(starts) {
		return false
	}
	at := t.First
	if len(t.Answer.Messages) > 0 {
		at = t.Answer.Messages[0].Transmissions()[0].Aligned
	}
	next := t.following(at)
	return next == nil || starts[i] < next.First
}

// goesOn says whether both sides send ESP after a moment.
func (e *espStarts) goesOn(at int64) bool { return e.last[pair.A] > at && e.last[pair.B] > at }
