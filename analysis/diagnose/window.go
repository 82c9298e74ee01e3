package diagnose

import (
	"fmt"

	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

// behind says of a request that is not answered whether its message ID tells why: what is behind
// the window its receiver drops, so that no answer is lost; empty when it does not.
func (j *judge) behind(t *talk, m *pair.Message) string {
	answered, behind := t.Behind(m)
	if !behind || m.AnsweredBy() != nil { // what is answered was not dropped
		return ""
	}
	return fmt.Sprintf(" The request has the message ID %d, and %s had %d answered before: %s drops what is behind its "+
		"window (RFC 7296, Section 2.3), so that no answer need be lost. A gateway asks so that took over from another "+
		"one with an older state, and did not synchronise message IDs (RFC 6311).",
		m.MessageID, j.partyName(m.From), answered, j.partyName(m.From.Other()))
}

// whyBehind is where to look for why a side asks with message IDs that were used before.
func (j *judge) whyBehind(s pair.Side) report.Action {
	return j.exec(s, "whether another gateway took over from it, and with which state", "show redundancy states",
		"show standby brief", "show version | include uptime")
}
