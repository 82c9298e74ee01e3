package diagnose

import (
	"fmt"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/facts"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

// leastSendings is how often a request must be sent to count as repeated, be it with one SPI or
// with another each time.
const leastSendings = 3

// attempts are negotiations that one side began one after the other, each with an SPI of its own,
// and that end with the same request: too rarely sent to count as repeated by itself, and without
// an answer that is known to have arrived.
type attempts struct {
	requests []*pair.Message
	sendings int
}

// anew is what attempts of one side have in common.
type anew struct {
	version  int
	exchange ike.ExchangeType
}

// begunAnew are the runs of attempts that come to the same end. An implementation that tells its
// negotiations apart by their SPIs need not repeat a message: it may begin anew instead.
func (j *judge) begunAnew() (runs []attempts) {
	type going struct {
		anew
		run int // its place
	}
	open := map[betweenBy]going{}
	for _, t := range j.talks {
		if t.Foreign || !t.Complete {
			continue
		}
		by := betweenBy{t.Between(), t.Initiator}
		m := j.endsUnanswered(t)
		if m == nil {
			delete(open, by) // it came to another end: what follows is another run
			continue
		}
		x, goesOn := open[by]
		if end := (anew{t.Version, m.Exchange}); !goesOn || x.anew != end {
			x = going{end, len(runs)}
			open[by], runs = x, append(runs, attempts{})
		}
		runs[x.run].requests = append(runs[x.run].requests, m)
		runs[x.run].sendings += len(facts.Sendings(m))
	}
	return runs
}

// endsUnanswered is the request with which a negotiation ends, where no answer to it is known to
// have arrived and it was sent too rarely to be told by itself; nil without.
func (j *judge) endsUnanswered(t *talk) *pair.Message {
	if t.CameUp() || t.End != facts.Unanswered && t.End != facts.Broken {
		return nil
	}
	m := t.Messages[len(t.Messages)-1]
	if q := m.Answers(); q != nil && q == t.Messages[0] && j.c.Story(t.Initiator) == nil {
		m = q // the first answer of all, which nothing builds on
	}
	if m.Kind != exchange.Request || m.From != t.Initiator || m.Fragments > 0 || !facts.Negotiates(m) ||
		m.AnsweredBy() != nil && j.c.Story(t.Initiator) != nil || len(facts.Sendings(m)) >= leastSendings {
		return nil
	}
	return m
}

// triedAnew tells of each run of attempts with which a side asks the same again and again.
func (j *judge) triedAnew() []report.Finding {
	var all []report.Finding
	for _, run := range j.begunAnew() {
		if len(run.requests) < 2 || run.sendings < leastSendings {
			continue
		}
		all = append(all, j.attemptsInVain(run))
	}
	return all
}

// attemptsInVain says what is known of a run: that nobody takes an answer. One capture does not
// tell whether the requests, or the answers, are lost, or dropped where they arrive.
func (j *judge) attemptsInVain(run attempts) report.Finding {
	m := run.requests[0]
	t := j.of(m.Conversation)
	told, answered := run.requests[:min(len(run.requests), MaxEvidence)], 0
	var sent []*pair.Transmission
	for _, q := range told {
		sent = append(sent, facts.Sendings(q)...)
	}
	for _, q := range run.requests {
		if q.AnsweredBy() != nil {
			answered++
		}
	}
	where, peer := "neither capture holds an answer to any of them", m.From.Other()
	switch {
	case answered > 0:
		where = fmt.Sprintf("%s answered %d of them: the answers do not arrive, or are ignored", j.name(peer), answered)
	case j.c.Story(peer) == nil:
		where = fmt.Sprintf("the capture of %s holds no answer to any of them. They do not arrive, are not answered, or "+
			"the answers are lost: this capture alone does not tell which", j.partyName(m.From))
	case !j.c.TwoSided():
		where = fmt.Sprintf("the capture of %s, where they arrive, holds no answer to any of them", j.partyName(peer))
	}
	f := report.Finding{
		Title:      "Negotiations are begun again and again and come no further",
		Confidence: report.Probable, Conversation: t.ID,
		Explanation: fmt.Sprintf("%s began %d negotiations with %s, each with another SPI, and came no further than "+
			"%s request in any. It sent %d such requests, and %s.", j.name(m.From), len(run.requests), j.name(peer),
			one(m.Exchange), run.sendings, where),
		Evidence: evidence("asked anew, with another SPI", told...),
		Actions:  []report.Action{j.whereToAsk(t, m, false)},
		Subject:  onSide(m.From),
		Fields: map[string]any{"phase": m.Exchange.String(), "transmissions": run.sendings,
			"intervals_ms": j.gaps(sent)},
	}
	for _, q := range run.requests[1:] {
		f.Further = append(f.Further, q.Conversation.ID)
	}
	return f
}
