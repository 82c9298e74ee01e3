package analysis

import (
	"fmt"

	"github.com/moncap/moncap/analysis/facts"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

// beside tells what was given or asked for beside the captures: a reader has to know that it was
// read, also where no finding rests on it, and that it was of no use where it was not.
func beside(c *pair.Case, keys *ike.Keys, config [2]facts.Config, debug [2][]byte) []report.Note {
	var all []report.Note
	for _, s := range pair.Both {
		add := func(code, format string, args ...any) {
			all = append(all, report.Note{Side: side(s), Code: code, Text: fmt.Sprintf(format, args...)})
		}
		if p := config[s].ControlPlane(); p.Ran {
			add(report.NoteControlPlane, "control plane captured as well: %s", packetsOf(p))
		}
		if trace, read := config[s].BinaryTrace(); read {
			add(report.NoteBinaryTrace, "binary trace read: %s", traceOf(trace))
		}
		if len(debug[s]) > 0 {
			if log := facts.ReadDebug(debug[s]); log.Lines == 0 && len(log.Packets) == 0 {
				add(report.NoteDebugUnused, "the debug output that was given has no line of IKEv2: nothing of it was used")
			}
		}
	}
	if keys.Len() > 0 && !fits(c, keys) {
		all = append(all, report.Note{Code: report.NoteKeysUnused,
			Text: "the keys that were given are of no IKE SA in the captures: nothing was decrypted"})
	}
	return all
}

func packetsOf(p facts.ControlPlane) string {
	text := fmt.Sprintf("%d packets", p.Packets)
	if p.Packets == 1 {
		text = "1 packet"
	}
	if !p.Whole {
		text += ", and it may lack some"
	}
	return text
}

func traceOf(lines []facts.TracedEvent) string {
	errors := 0
	for _, e := range lines {
		if e.IsError() {
			errors++
		}
	}
	const about = "about IKE, IPsec, certificates or this peer"
	switch n := len(lines); {
	case n == 0:
		return "no line " + about
	case n == 1 && errors == 1:
		return "one line " + about + ", an error"
	case errors == 0:
		return fmt.Sprintf("lines %s: %d, none of them an error", about, n)
	default:
		return fmt.Sprintf("lines %s: %d, of them errors: %d", about, n, errors)
	}
}

// fits says whether keys has any of an IKE SA in the captures.
func fits(c *pair.Case, keys *ike.Keys) bool {
	for m := range c.Messages() {
		if keys.Has(m.SPIi, m.SPIr) {
			return true
		}
	}
	return false
}
