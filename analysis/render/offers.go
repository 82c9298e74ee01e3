package render

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/moncap/moncap/analysis/report"
)

// maxOffers bounds the columns of the table of proposals.
const maxOffers = 6

// column is a set of proposals: what a side offered, selected, or by its
// configuration would accept.
type column struct {
	title string
	side  report.Side
	names map[string][]string // by kind of transform
	kinds []string            // in order
}

func (c *column) add(kind, name string) {
	if c.names == nil {
		c.names = map[string][]string{}
	}
	if _, ok := c.names[kind]; !ok {
		c.kinds = append(c.kinds, kind)
	}
	if !slices.Contains(c.names[kind], name) {
		c.names[kind] = append(c.names[kind], name)
	}
}

// newOffersView puts the proposals of all conversations side by side, each different one once, and
// what a side would accept by its configuration. What no column of the other side has is marked.
func newOffersView(r *report.Report) offersView {
	var v offersView
	columns := columnsOf(r)
	var kinds []string
	for _, c := range columns {
		v.Columns = append(v.Columns, c.title)
		for _, k := range c.kinds {
			if !slices.Contains(kinds, k) {
				kinds = append(kinds, k)
			}
		}
	}
	for _, kind := range kinds {
		row := offerRow{Type: kind}
		for _, c := range columns {
			var cells []offerCell
			for _, name := range c.names[kind] {
				differ := !otherHas(columns, c.side, kind, name)
				v.Differ = v.Differ || differ
				cells = append(cells, offerCell{name, differ})
			}
			row.Cells = append(row.Cells, cells)
		}
		v.Rows = append(v.Rows, row)
	}
	return v
}

func columnsOf(r *report.Report) []column {
	var out []column
	for _, o := range distinctOffers(r) {
		c := column{title: fmt.Sprintf("%s %s (frame %s)", sideName(r, o.Side), clean(o.Kind), number(o.Frame)), side: o.Side}
		for _, p := range o.Proposals {
			for _, t := range p.Transforms {
				c.add(typeOf(p, t), transformName(t))
			}
		}
		out = append(out, c)
	}
	for _, f := range r.Findings {
		if c, ok := accepted(r, f); ok {
			out = append(out, c)
		}
	}
	return out
}

// accepted is what the side that refused would take by its own configuration
// (ike-proposal-mismatch): kinds of transforms joined by " + ", the alternatives of a kind by "|".
func accepted(r *report.Report, f report.Finding) (column, bool) {
	side, _ := f.Fields["refusing_side"].(string)
	c := column{title: sideName(r, report.Side(side)) + " would accept", side: report.Side(side)}
	for _, set := range stringsOf(f.Fields["accepted_by_refuser"]) {
		for alternatives := range strings.SplitSeq(set, " + ") {
			for name := range strings.SplitSeq(alternatives, "|") {
				c.add("IKE "+kindOfName(name), clean(name))
			}
		}
	}
	return c, len(c.kinds) > 0 && (c.side == report.A || c.side == report.B)
}

func kindOfName(name string) string {
	for _, k := range [][2]string{{"ENCR_", "ENCR"}, {"AUTH_", "INTEG"}, {"PRF_", "PRF"}, {"group ", "KE"}} {
		if strings.HasPrefix(name, k[0]) {
			return k[1]
		}
	}
	return "other"
}

// stringsOf reads a finding's list of strings, fresh or from JSON.
func stringsOf(v any) []string {
	switch list := v.(type) {
	case []string:
		return list
	case []any:
		var out []string
		for _, x := range list {
			if s, ok := x.(string); ok {
				out = append(out, s)
			}
		}
		return out
	}
	return nil
}

// differenceView is something that the configurations of the sides have differently.
type differenceView struct {
	What string
	A, B []string
}

// differences are what findings say of the configurations of both sides.
func differences(r *report.Report) []differenceView {
	var out []differenceView
	for _, f := range r.Findings {
		all, _ := f.Fields["configuration_differs"].(map[string]any)
		for _, what := range slices.Sorted(maps.Keys(all)) {
			if both, ok := all[what].(map[string]any); ok {
				out = append(out, differenceView{clean(what), cleanAll(stringsOf(both["A"])), cleanAll(stringsOf(both["B"]))})
			}
		}
	}
	return out
}

func distinctOffers(r *report.Report) []report.Offer {
	var out []report.Offer
	seen := map[string]bool{}
	for _, c := range r.Conversations {
		for _, o := range c.Offers {
			key := string(o.Side) + o.Kind + offerText(o)
			if !seen[key] && len(out) < maxOffers {
				seen[key] = true
				out = append(out, o)
			}
		}
	}
	return out
}

func typeOf(p report.Proposal, t report.Transform) string { return clean(p.Protocol + " " + t.Type) }

// transformName is a transform's IANA name with its key length; a group by its number, as routers
// name it.
func transformName(t report.Transform) string {
	if t.Type == "KE" {
		return fmt.Sprintf("group %d", t.ID)
	}
	if t.Bits > 0 {
		return clean(fmt.Sprintf("%s_%d", t.Name, t.Bits))
	}
	return clean(t.Name)
}

// otherHas says whether the other side offers, selects or accepts name too; with nothing of the
// other side it says so as well, for then there is nothing to compare with.
func otherHas(columns []column, side report.Side, kind, name string) bool {
	compared := false
	for _, c := range columns {
		if c.side == side {
			continue
		}
		compared = true
		if slices.Contains(c.names[kind], name) {
			return true
		}
	}
	return !compared
}
