package diagnose

import (
	"fmt"

	"github.com/moncap/moncap/analysis/facts"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

func tunnelEstablished(j *judge) []report.Finding {
	var all []report.Finding
	for _, t := range j.talks {
		if !t.CameUp() || t.Rekeyed != nil || t.Foreign { // what others do decides nothing
			continue
		}
		if j.answerBlocked(t) {
			continue // it is the responder alone that takes it for up
		}
		f := report.Finding{
			Confidence: certainIf(t.Certain), Conversation: t.ID,
			Fields: map[string]any{"initiator": t.Initiator.String(), "version": t.Version, "spi_i": t.SPIi.String(),
				"spi_r": t.ResponderSPI().String(), "port": t.lastPort(), "setup_time_ms": nil},
		}
		if t.Older() {
			j.olderSA(t, &f)
		} else {
			j.newSA(t, &f)
		}
		all = append(all, f)
	}
	return all
}

// answerBlocked says whether the initiator shows nothing of having got the answer that made the
// tunnel, and nothing passes any more on the way that this one took.
func (j *judge) answerBlocked(t *talk) bool {
	if t.Taken || t.Version != 2 || len(t.Answer.Messages) == 0 || j.c.Story(t.Initiator) == nil {
		return false
	}
	m := t.Answer.Messages[0]
	if at, _ := facts.FirstArrival(j.c, m); at >= 0 {
		return false
	}
	st := j.path.Of(m.From, m.Transmissions()[0].Port())
	lost, certain, blocked := st.Blocked()
	return blocked && certain && st.Ended(lost)
}

// olderSA is for an IKE SA of which the captures hold no beginning: its Initiator flag tells who
// made it, which need not be who began the tunnel, since the side that rekeys an IKE SA is the
// initiator of the new one (RFC 7296, Section 2.8).
func (j *judge) olderSA(t *talk, f *report.Finding) {
	f.Confidence = report.Probable
	f.Fields["initiator"] = nil
	f.Explanation = fmt.Sprintf("The tunnel of %s and %s is up, with an SA older than the captures: "+
		"messages of its IKEv%d SA are answered, on %s.", j.name(pair.A), j.name(pair.B), t.Version, t.lastTransport())
	if t.Version == 2 {
		f.Explanation += fmt.Sprintf(" The Initiator flag says that %s made the present IKE SA; "+
			"who began the tunnel does not show, since each rekey may turn the roles.", j.name(t.Initiator))
	}
	f.Evidence = evidence("an exchange of the SA", t.Messages[len(t.Messages)-1])
}

func (j *judge) newSA(t *talk, f *report.Finding) {
	took := ""
	if t.Complete {
		if ms, ok := j.setupTime(t); ok {
			f.Fields["setup_time_ms"] = ms
			took = " It took " + duration(ms) + "."
		}
	}
	f.Explanation = fmt.Sprintf("%s began an IKEv%d negotiation with %s and it came up, on %s.%s%s",
		j.nameAtFirst(t, t.Initiator), t.Version, j.nameAtFirst(t, t.Responder()), t.lastTransport(), took, j.moves(t))
	if t.Listed {
		f.Explanation += fmt.Sprintf(" Its own router lists the IKE SA as READY, with the SPIs %s and %s.", t.SPIi,
			t.ResponderSPI())
	}
	switch {
	case t.Certain:
	case !t.Taken:
		f.Explanation += fmt.Sprintf(" That is what %s says: nothing in the captures shows yet that %s took the answer, "+
			"neither traffic nor an exchange of the new SA.", j.partyName(t.Responder()), j.partyName(t.Initiator))
		if t.MayLackChild() {
			f.Explanation += " Nor does the size of the answer, with a certificate in it, tell whether it makes a child SA."
		}
	default:
		f.Explanation += fmt.Sprintf(" The IKE_AUTH response has %s of plaintext, which is enough for a child SA; "+
			"a refusal with a long identity or a certificate could be as large.", room(t.Answer))
	}
	f.Evidence = evidence("the exchange that made the tunnel", t.Answer.Messages...)
	if m := t.lastOfNegotiation(); len(f.Evidence) == 0 && m != nil {
		f.Evidence = evidence("the last message of the negotiation", m)
	}
}

// lastOfNegotiation is the message with which the tunnel stood; without one in the captures, the
// last of all.
func (t *talk) lastOfNegotiation() *pair.Message {
	var last *pair.Message
	end := t.Completed()
	for _, m := range t.Messages {
		if at := m.Transmissions()[0].Aligned; facts.Negotiates(m) && at <= end {
			last = m
		}
	}
	if n := len(t.Messages); last == nil && n > 0 {
		last = t.Messages[n-1]
	}
	return last
}

// lastPort is the IKE port that the conversation ended on.
func (t *talk) lastPort() int {
	if len(t.Messages) == 0 {
		return 0
	}
	m := t.Messages[len(t.Messages)-1]
	return int(m.Transmissions()[len(m.Transmissions())-1].Port())
}

// lastTransport is the protocol and port that the conversation ended on, for people.
func (t *talk) lastTransport() string {
	if len(t.Messages) == 0 {
		return "UDP"
	}
	return fmt.Sprintf("%s %d", transport(t.Messages[len(t.Messages)-1]), t.lastPort())
}

// setupTime is from the first request to the answer that made the tunnel, in milliseconds: to its
// arrival, not to one that was lost on the way. An attempt that another group was asked for belongs
// to it.
func (j *judge) setupTime(t *talk) (float64, bool) {
	if c := j.c.Clock; c != nil && len(c.Steps) > 0 {
		return 0, false // near the moment a clock was set, the two sides' times are not comparable
	}
	if j.c.Untimed() {
		return 0, false
	}
	end := t.Completed()
	for _, m := range t.Answer.Messages {
		if at, n := facts.FirstArrival(j.c, m); n > 0 {
			end = max(end, at)
		}
	}
	start := t.Began()
	if end <= start {
		return 0, false
	}
	return millis(end - start), true
}
