package diagnose

import (
	"fmt"
	"slices"
	"strings"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/pair"
)

// set is one set of algorithms: for each kind of transform, the alternatives.
type set map[string][]string

// offersOf are the IKE proposals that s offered, in t or, where t is nil, in any conversation that it began.
func (j *judge) offersOf(s pair.Side, t *talk, version int) []set {
	var all []set
	seen := map[string]bool{}
	add := func(x *talk) {
		if x.Initiator != s || x.Version != version {
			return
		}
		for _, m := range x.Messages {
			if m.From != s || m.Kind != exchange.Request {
				continue
			}
			for _, o := range setsOf(m) {
				if key := o.String(); !seen[key] {
					seen[key] = true
					all = append(all, o)
				}
			}
		}
	}
	if t != nil {
		add(t)
		return all
	}
	for _, x := range j.talks {
		add(x)
	}
	return all
}

func setsOf(m *pair.Message) []set {
	var all []set
	if sa := m.SA(); sa != nil && m.Exchange == ike.IKESAInit {
		for _, p := range sa.Proposals {
			x := set{}
			for _, t := range p.Transforms {
				x[t.Type.String()] = append(x[t.Type.String()], transformName(t))
			}
			all = append(all, x)
		}
	}
	if sa := m.SAv1(); sa != nil && m.Exchange != ike.V1QuickMode {
		for _, p := range sa.Proposals {
			for _, t := range p.Transforms {
				all = append(all, v1Set(p.Protocol, t))
			}
		}
	}
	return all
}

func v1Set(p ike.Protocol, t ike.TransformV1) set {
	x := set{}
	for _, a := range t.Attributes {
		switch a.Type {
		case ike.V1Encryption, ike.V1Hash, ike.V1AuthMethod, ike.V1Group, ike.V1KeyLength:
			name, value := ike.V1AttributeText(p, a)
			if n, ok := a.Number(); ok && a.Type == ike.V1Group {
				value = fmt.Sprintf("group %d", n) // as it is configured
			}
			x[name] = append(x[name], value)
		}
	}
	return x
}

// transformName is a transform's name with its key length, and for groups the number, by which they are configured.
func transformName(t ike.Transform) string {
	if t.Type == ike.TransformKE {
		return fmt.Sprintf("group %d", t.ID)
	}
	return t.Name()
}

// kinds is the order in which transforms are named.
var kinds = []string{"ENCR", "INTEG", "PRF", "KE", "ESN", "ADDKE1", "ADDKE2", "ADDKE3", "ADDKE4", "ADDKE5", "ADDKE6", "ADDKE7",
	"Encryption-Algorithm", "Key-Length", "Hash-Algorithm", "Authentication-Method", "Group-Description"}

func (s set) String() string {
	var parts []string
	for _, k := range kinds {
		if len(s[k]) > 0 {
			parts = append(parts, strings.Join(s[k], "|"))
		}
	}
	return strings.Join(parts, " + ")
}

func names(sets []set) []string {
	all := make([]string, len(sets))
	for i, s := range sets {
		all[i] = s.String()
	}
	return all
}

// closest are the two sets of a and b that agree best, and the kinds of transforms in which they have nothing in common.
func closest(a, b []set) (x, y set, kindsThatDiffer []string) {
	for _, p := range a {
		for _, q := range b {
			if d := differing(p, q); x == nil || len(d) < len(kindsThatDiffer) {
				x, y, kindsThatDiffer = p, q, d
			}
		}
	}
	return x, y, kindsThatDiffer
}

func differing(x, y set) []string {
	d := []string{}
	for _, k := range kinds {
		if len(x[k]) == 0 && len(y[k]) == 0 || k == "INTEG" && (len(x[k]) == 0 || len(y[k]) == 0) {
			continue // with a combined cipher the integrity algorithm may be left out
		}
		if len(x[k]) == 0 || len(y[k]) == 0 {
			if strings.HasPrefix(k, "ADDKE") || k == "ESN" || k == "Key-Length" {
				continue
			}
		}
		if !slices.ContainsFunc(x[k], func(n string) bool { return slices.Contains(y[k], n) }) {
			d = append(d, k)
		}
	}
	return d
}
