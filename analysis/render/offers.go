package render

import (
	"slices"

	"github.com/moncap/moncap/analysis/report"
)

// maxOffers bounds the columns of the table of proposals.
const maxOffers = 6

// newOffersView puts the proposals of all conversations side by side, each different one once. What no column of the other
// side has is marked.
func newOffersView(r *report.Report) offersView {
	var v offersView
	offers := distinctOffers(r)
	for _, o := range offers {
		v.Columns = append(v.Columns, sideName(r, o.Side)+" "+clean(o.Kind)+" (frame "+number(o.Frame)+")")
	}
	for _, kind := range transformTypes(offers) {
		row := offerRow{Type: kind}
		for _, o := range offers {
			var cells []offerCell
			for _, name := range namesOf(o, kind) {
				differ := !otherHas(offers, o.Side, kind, name)
				v.Differ = v.Differ || differ
				cells = append(cells, offerCell{name, differ})
			}
			row.Cells = append(row.Cells, cells)
		}
		v.Rows = append(v.Rows, row)
	}
	return v
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

func transformTypes(offers []report.Offer) []string {
	var out []string
	for _, o := range offers {
		for _, p := range o.Proposals {
			for _, t := range p.Transforms {
				if k := typeOf(p, t); !slices.Contains(out, k) {
					out = append(out, k)
				}
			}
		}
	}
	return out
}

func typeOf(p report.Proposal, t report.Transform) string { return clean(p.Protocol + " " + t.Type) }

func namesOf(o report.Offer, kind string) []string {
	var out []string
	for _, p := range o.Proposals {
		for _, t := range p.Transforms {
			if name := transformText(t); typeOf(p, t) == kind && !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	return out
}

// otherHas says whether the other side offers or selects name too; with nothing of the other side it says so as well,
// for then there is nothing to compare with.
func otherHas(offers []report.Offer, side report.Side, kind, name string) bool {
	compared := false
	for _, o := range offers {
		if o.Side == side {
			continue
		}
		compared = true
		if slices.Contains(namesOf(o, kind), name) {
			return true
		}
	}
	return !compared
}
