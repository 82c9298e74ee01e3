package diagnose

import (
	"cmp"
	"slices"
	"sync"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/report"
)

// layers are the chain of things that must work, the first ones first: of several causes, the one
// of the lower layer leads. What a capture does not show explains only what nothing else does.
var layers = []string{"address", "route", "path", "size", "message", "negotiation", "authentication", "child", "answer",
	"life", "traffic", "loss", "capture"}

// silence stands for all findings that keep packets from arriving, or from being answered.
const silence = "silence"

// causes are, by code, the codes that a finding may follow from, in the order of their layers and
// of the catalogue. They are made when a case is judged: most commands judge none.
var causes = sync.OnceValue(func() map[string][]string { return causesOf(catalogue) })

func causesOf(all []Entry) map[string][]string {
	type place struct{ layer, at int }
	places := map[string]place{}
	for i, e := range all {
		places[e.Code] = place{slices.Index(layers, e.Layer), i}
	}
	m := map[string][]string{}
	for _, e := range all {
		of := map[string]bool{}
		for _, u := range e.Under {
			if u != silence {
				of[u] = true
				continue
			}
			for _, c := range all {
				of[c.Code] = of[c.Code] || c.Explains == silence
			}
		}
		for code, is := range of {
			if is && code != e.Code {
				m[e.Code] = append(m[e.Code], code)
			}
		}
		slices.SortFunc(m[e.Code], func(a, b string) int {
			pa, pb := places[a], places[b]
			return cmp.Or(cmp.Compare(pa.layer, pb.layer), cmp.Compare(pa.at, pb.at))
		})
	}
	return m
}

// link hangs what follows under its root.
func link(found []*report.Finding) {
	asked := map[string]bool{}
	codes := map[string]bool{}
	for _, f := range found {
		if code := f.Code; !codes[code] {
			codes[code] = true
			for _, cause := range causes()[code] {
				asked[cause] = true
			}
		}
	}
	of := newIndex(found, asked)
	for _, f := range found {
		for _, code := range causes()[f.Code] {
			if of.cause(code, f) >= 0 {
				f.CausedBy = code
				break
			}
		}
	}
}

// topic is a code that was found about a conversation, or at all when none is named.
type topic struct{ conversation, code string }

// index finds findings by their code and what they are about.
type index struct {
	found []*report.Finding
	of    map[topic][]int  // by code, and by code and conversation
	apart map[string][]int // by code: those that name no conversation
}

// newIndex makes an index of the findings that may be causes: of others no one asks.
func newIndex(found []*report.Finding, causes map[string]bool) index {
	x := index{found, map[topic][]int{}, map[string][]int{}}
	for i, f := range found {
		if !causes[f.Code] {
			continue
		}
		x.of[topic{code: f.Code}] = append(x.of[topic{code: f.Code}], i)
		if f.Conversation == "" {
			x.apart[f.Code] = append(x.apart[f.Code], i)
		}
		for _, id := range append([]string{f.Conversation}, f.Further...) {
			if id != "" {
				k := topic{conversation: id, code: f.Code}
				x.of[k] = append(x.of[k], i)
			}
		}
	}
	return x
}

// cause is the first finding of a code that f can follow from; -1 when there is none.
func (x index) cause(code string, f *report.Finding) int {
	if f.Conversation == "" || everywhere(code, f.Code) {
		return x.first(x.of[topic{code: code}], f)
	}
	best := x.first(x.apart[code], f)
	for _, id := range append([]string{f.Conversation}, f.Further...) {
		if k := x.first(x.of[topic{conversation: id, code: code}], f); k >= 0 && (best < 0 || k < best) {
			best = k
		}
	}
	return best
}

func (x index) first(of []int, f *report.Finding) int {
	for _, i := range of {
		if related(*x.found[i], *f) {
			return i
		}
	}
	return -1
}

// root follows a finding to what it hangs under: a warning may be the root of something critical.
func (x index) root(i int) int {
	for range len(x.found) {
		f := x.found[i]
		if f.CausedBy == "" {
			return i
		}
		k := x.cause(f.CausedBy, f)
		if k < 0 || k == i {
			return i
		}
		i = k
	}
	return i
}

// everywhere says whether a cause and its follower can be about different conversations.
func everywhere(cause, follower string) bool {
	c, _ := Explain(cause)
	f, _ := Explain(follower)
	return c.Everywhere || f.Everywhere || exceptions[[2]string{cause, follower}] != nil
}

// exceptions are the causes and followers whose subjects relate in another way than
// all the others' do.
var exceptions = map[[2]string]func(cause, follower report.Finding) bool{
	{"capture-empty", "path-blocked"}: func(c, f report.Finding) bool {
		return f.Subject.Direction != "" && f.Subject.Direction.To() == c.Subject.Side
	},
	// Who refuses what arrives has no SA to send with either.
	{"icmp-rejected", "esp-one-way"}: func(c, f report.Finding) bool {
		return c.Subject.Direction != "" && c.Subject.Direction.To() == f.Subject.Side
	},
	// Who has lost the SA has none to send with either.
	{"invalid-spi", "esp-one-way"}: sameSide,
	// The address that a NAT gave up says that nobody is there.
	{"nat-mapping-changed", "icmp-rejected"}: func(c, f report.Finding) bool {
		return c.Subject.Device.IsValid() && c.Subject.Device == f.Subject.Device
	},
	// What goes to an address that was left does not arrive.
	{"nat-mapping-changed", "esp-blocked"}: func(c, f report.Finding) bool {
		return c.Subject.Direction != "" && c.Subject.Direction == f.Subject.Direction
	},
	// An error about what went to a wrong address says nothing of the path to the peer.
	{"wrong-peer-address", "icmp-rejected"}: func(c, f report.Finding) bool { return c.Conversation == f.Conversation },
	// Who knows the peer by another address has neither profile nor policy for the true one.
	{"wrong-peer-address", "peer-not-answering"}: sameSide,
	{"wrong-peer-address", "ike-proposal-mismatch"}: func(c, f report.Finding) bool {
		return sameSide(c, f) && f.Fields["mismatch"] == excluded
	},
}

func sameSide(c, f report.Finding) bool {
	return c.Subject.Side != "" && c.Subject.Side == f.Subject.Side
}

// related says whether a finding can follow from a cause: they are about the same direction and
// conversation, where both name one.
func related(cause, follower report.Finding) bool {
	if cause.Subject.Apart {
		return false
	}
	if is := exceptions[[2]string{cause.Code, follower.Code}]; is != nil {
		return is(cause, follower)
	}
	if c, _ := Explain(cause.Code); c.Everywhere {
		return true
	}
	a, b := cause.Subject.Direction, follower.Subject.Direction
	if a != "" && b != "" && a != b {
		return false
	}
	f, _ := Explain(follower.Code)
	return f.Everywhere || report.SameTalk(cause, follower)
}

// spokenFor are the error notifications that findings of their own tell of.
var spokenFor = sync.OnceValue(func() map[uint16]bool { return notificationsOf(catalogue) })

func notificationsOf(all []Entry) map[uint16]bool {
	names := map[string]bool{}
	for _, e := range all {
		for _, name := range e.SpeaksFor {
			names[name] = true
		}
	}
	m := map[uint16]bool{}
	for n := range ike.NotifyType(firstStatus) {
		if names[n.String()] {
			m[uint16(n)] = true
		}
	}
	return m
}

// firstStatus is the first Notify type that is no error (RFC 7296, Section 3.10.1).
const firstStatus = 16384
