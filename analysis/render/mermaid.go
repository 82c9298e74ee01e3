package render

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/moncap/moncap/analysis/report"
)

// Mermaid writes the ladder of r as a Mermaid sequence diagram.
func Mermaid(w io.Writer, r *report.Report) error {
	out := bufio.NewWriter(w)
	put := func(format string, args ...any) { _, _ = fmt.Fprintf(out, format+"\n", args...) } // errors stay until Flush
	put("sequenceDiagram")
	put("    participant A as %s", mermaid(sideName(r, report.A)))
	put("    participant B as %s", mermaid(sideName(r, report.B)))
	if r.Verdict.Headline != "" {
		put("    Note over A,B: %s", mermaid(r.Verdict.Headline))
	}
	for _, row := range NewLadder(r).Grouped().Fold(mdLimit).Rows {
		mermaidRow(put, &row)
	}
	return out.Flush()
}

func mermaidRow(put func(string, ...any), row *Row) {
	switch row.Kind {
	case RowQuiet:
		put("    Note over A,B: %s quiet", duration(row.Span))
	case RowFold:
		put("    Note over A,B: %s", mermaid(foldText(row)))
	case RowICMP:
		put("    Note over %s: ICMP %d/%d from %s: %s", row.From, row.ICMP.Type, row.ICMP.Code, mermaid(row.ICMP.From),
			mermaid(row.ICMP.Meaning+againText(row)))
	default:
		label := rowTitle(row)
		if row.Message != nil {
			label += " " + payloadText(row.Message)
		}
		label += againText(row)
		at := ""
		if !row.Untimed {
			at = seconds(row.NS) + " s "
		}
		put("    %s%s%s: %s%s", row.From, mermaidArrow(row), row.From.Other(), at, mermaid(label))
	}
}

// mermaidArrow is solid for what is in clear and dotted for what is encrypted; a cross
// ends what is lost.
func mermaidArrow(row *Row) string {
	shaft := "-"
	if row.Flow != nil || row.Message != nil && row.Message.Encrypted {
		shaft = "--"
	}
	switch row.Fate {
	case report.Lost:
		return shaft + "x"
	case report.Delivered:
		return shaft + ">>"
	}
	return shaft + ")"
}

// mermaid writes what the diagram's grammar would read as its own by entity codes.
func mermaid(s string) string {
	return strings.NewReplacer("#", "#35;", ";", "#59;", "<", "#lt;", ">", "#gt;", `"`, "#quot;", "%%", "#37;#37;", "$$",
		"#36;#36;").Replace(clean(s))
}
