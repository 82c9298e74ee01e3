package diagnose

import (
	"net/netip"
	"slices"
	"strings"
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
		fields := slices.Concat(e.Fields, e.More)
		isSide := func(name string) bool { return name == "side" || strings.HasSuffix(name, "_side") }
		if i := slices.IndexFunc(fields, isSide); i >= 0 && slices.ContainsFunc(fields[i+1:], isSide) {
			t.Errorf("%s has several fields for the side that it is about: %v", e.Code, fields)
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
	finding := func(code, conversation string, about report.Subject) report.Finding {
		return report.Finding{Code: code, Conversation: conversation, Subject: about}
	}
	of := func(s report.Side) report.Subject { return report.Subject{Side: s} }
	device := func(a string) report.Subject { return report.Subject{Device: netip.MustParseAddr(a)} }
	aToB, bToA, none := report.Subject{Direction: report.AtoB}, report.Subject{Direction: report.BtoA}, report.Subject{}
	for _, c := range []struct {
		name            string
		cause, follower report.Finding
		want            bool
	}{
		{"the same direction", finding("packet-too-big", "", aToB), finding("path-loss", "", aToB), true},
		{"the other direction", finding("packet-too-big", "", aToB), finding("path-loss", "", bToA), false},
		{"another conversation", finding("payload-altered", "1", none), finding("auth-failed", "2", none), false},
		{"one that names none", finding("icmp-rejected", "", none), finding("dpd-timeout", "2", none), true},
		{"of all conversations", finding("auth-failed", "1", none), finding("sa-deleted", "2", none), true},
		{"the empty capture of the receiver", finding("capture-empty", "", of("B")),
			finding("path-blocked", "", aToB), true},
		{"that of the sender", finding("capture-empty", "", of("A")), finding("path-blocked", "", aToB), false},
		{"who refuses has no SA to send with", finding("icmp-rejected", "", aToB),
			finding("esp-one-way", "", of("B")), true},
		{"who is refused has", finding("icmp-rejected", "", aToB), finding("esp-one-way", "", of("A")), false},
		{"the mapping that the NAT gave up", finding("nat-mapping-changed", "", device("198.51.100.1")),
			finding("icmp-rejected", "", device("198.51.100.1")), true},
		{"in IPv6", finding("nat-mapping-changed", "", device("2001:db8::1")),
			finding("icmp-rejected", "", device("2001:db8:0::1")), true},
		{"another device", finding("nat-mapping-changed", "", device("198.51.100.1")),
			finding("icmp-rejected", "", device("198.51.100.11")), false},
		{"the side that knows another address", finding("wrong-peer-address", "1", of("A")),
			finding("peer-not-answering", "2", of("A")), true},
		{"the other side", finding("wrong-peer-address", "1", of("A")), finding("peer-not-answering", "1", of("B")), false},
	} {
		if got := related(c.cause, c.follower); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
