package diagnose

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/report"
)

// What findings.yaml says of relations names what exists.
func TestRelationsAreOfTheCatalogue(t *testing.T) {
	for _, e := range catalogue {
		if !slices.Contains(layers, e.Layer) {
			t.Errorf("%s is of layer %q", e.Code, e.Layer)
		}
		for _, u := range e.Under {
			if _, ok := Explain(u); !ok && u != silence {
				t.Errorf("%s is under %s, which is no code", e.Code, u)
			}
		}
		for _, s := range e.Same {
			if !slices.Contains(e.Fields, s) {
				t.Errorf("%s is folded by %s, which is no field of it", e.Code, s)
			}
		}
		if e.Explains != "" && e.Explains != silence || e.Frames != "" && e.Frames != "none" {
			t.Errorf("%s explains %q, frames %q", e.Code, e.Explains, e.Frames)
		}
		for _, n := range e.SpeaksFor {
			if !slices.ContainsFunc(allErrors(), func(x ike.NotifyType) bool { return x.String() == n }) {
				t.Errorf("%s speaks for %s, which is no error notification", e.Code, n)
			}
		}
	}
	for edge := range exceptions {
		if !slices.Contains(causes()[edge[1]], edge[0]) {
			t.Errorf("%s is an exception of %s, which it cannot cause", edge[0], edge[1])
		}
	}
}

func allErrors() []ike.NotifyType {
	var all []ike.NotifyType
	for n := range ike.NotifyType(firstStatus) {
		all = append(all, n)
	}
	return all
}

// Of several causes the one of the lower layer leads, whatever the order in which they are listed
// or found.
func TestCausesAreOrderedByLayer(t *testing.T) {
	got := causes()["path-blocked"]
	want := []string{"wrong-peer-address", "icmp-rejected", "packet-too-big", "mtu-black-hole", "capture-empty"}
	if !slices.Equal(got, want) {
		t.Errorf("path-blocked follows from %v, want %v", got, want)
	}
	if slices.Contains(causes()["sa-deleted"], "sa-deleted") || !slices.Contains(causes()["sa-deleted"], "path-loss") {
		t.Errorf("sa-deleted follows from %v", causes()["sa-deleted"])
	}
}

func TestRelated(t *testing.T) {
	finding := func(code, conversation string, fields ...any) report.Finding {
		f := report.Finding{Code: code, Conversation: conversation, Fields: map[string]any{}}
		for i := 0; i < len(fields); i += 2 {
			f.Fields[fields[i].(string)] = fields[i+1]
		}
		return f
	}
	for _, c := range []struct {
		name            string
		cause, follower report.Finding
		want            bool
	}{
		{"the same direction", finding("packet-too-big", "", "direction", "A->B"),
			finding("path-loss", "", "direction", "A->B"), true},
		{"the other direction", finding("packet-too-big", "", "direction", "A->B"),
			finding("path-loss", "", "direction", "B->A"), false},
		{"another conversation", finding("payload-altered", "1"), finding("auth-failed", "2"), false},
		{"one that names none", finding("icmp-rejected", ""), finding("dpd-timeout", "2"), true},
		{"of all conversations", finding("auth-failed", "1"), finding("sa-deleted", "2"), true},
		{"the empty capture of the receiver", finding("capture-empty", "", "side", "B"),
			finding("path-blocked", "", "direction", "A->B"), true},
		{"that of the sender", finding("capture-empty", "", "side", "A"),
			finding("path-blocked", "", "direction", "A->B"), false},
		{"the mapping that the NAT gave up", finding("nat-mapping-changed", "", "before", "198.51.100.1:4500"),
			finding("icmp-rejected", "", "rejected_by", "198.51.100.1"), true},
		{"in IPv6", finding("nat-mapping-changed", "", "before", netip.MustParseAddrPort("[2001:db8::1]:4500").String()),
			finding("icmp-rejected", "", "rejected_by", "2001:db8::1"), true},
		{"another device", finding("nat-mapping-changed", "", "before", "198.51.100.1:4500"),
			finding("icmp-rejected", "", "rejected_by", "198.51.100.11"), false},
		{"the side that knows another address", finding("wrong-peer-address", "1", "side", "A"),
			finding("peer-not-answering", "2", "silent_side", "A"), true},
		{"the other side", finding("wrong-peer-address", "1", "side", "A"),
			finding("peer-not-answering", "1", "silent_side", "B"), false},
	} {
		if got := related(c.cause, c.follower); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
