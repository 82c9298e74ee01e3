package diagnose

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/pair"
)

// set is one set of algorithms: for each kind of transform, the alternatives.
type set map[string][]string

// offersOf are the IKE proposals that s offered, in t or, where t is nil, in any conversation that
// it began.
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

// setsOf are the sets of algorithms in m; none where the capture holds only a part of its SA
// payload, which may have offered more.
func setsOf(m *pair.Message) []set {
	var all []set
	if !wholeSA(m) {
		return nil
	}
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

// transformName is a transform's name with its key length, and for groups the number, by which they
// are configured.
func transformName(t ike.Transform) string {
	if t.Type == ike.TransformKE {
		return fmt.Sprintf("group %d", t.ID)
	}
	return t.Name()
}

// kinds is the order in which transforms are named.
var kinds = []string{"ENCR", "INTEG", "PRF", "KE", "ESN", "ADDKE1", "ADDKE2", "ADDKE3", "ADDKE4", "ADDKE5", "ADDKE6",
	"ADDKE7", "Encryption-Algorithm", "Key-Length", "Hash-Algorithm", "Authentication-Method", "Group-Description"}

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

// closest are the two sets of a and b that agree best, and the kinds of transforms in which they
// have nothing in common.
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

// differing are the kinds of transforms in which two sets have nothing in common. A kind
// that one side lacks it has as NONE alone (RFC 7296, Section 3.3.6; RFC 9370,
// Section 2.2.2); of an integrity algorithm beside a combined cipher, and of extended
// sequence numbers, that says nothing.
func differing(x, y set) []string {
	d := []string{}
	for _, k := range kinds {
		a, b := x[k], y[k]
		if len(a) == 0 && len(b) == 0 || (len(a) == 0 || len(b) == 0) && (k == "INTEG" || k == "ESN" || k == "Key-Length") {
			continue
		}
		if strings.HasPrefix(k, additional) {
			a, b = orNone(a), orNone(b)
		}
		if len(common(a, b)) == 0 {
			d = append(d, k)
		}
	}
	if round := clashing(x, y); len(d) == 0 && round != "" {
		d = append(d, round)
	}
	return d
}

// additional is how the kinds of transforms of additional key exchanges begin.
const additional = "ADDKE"

// noTransform is the name of a transform that stands for none of its kind.
const noTransform = "NONE"

func orNone(alternatives []string) []string {
	if len(alternatives) == 0 {
		return []string{noTransform}
	}
	return alternatives
}

func common(a, b []string) []string {
	var both []string
	for _, n := range a {
		if slices.Contains(b, n) {
			both = append(both, n)
		}
	}
	return both
}

// clashing is the first round of additional key exchange for which no method is left, since one
// method cannot serve two rounds (RFC 9370, Section 2.2.1); empty when all can be agreed on.
func clashing(x, y set) string {
	var rounds []string
	for _, k := range kinds {
		if strings.HasPrefix(k, additional) && len(common(x[k], y[k])) > 0 {
			rounds = append(rounds, k)
		}
	}
	furthest := 0
	var agree func(i int, used []string) bool
	agree = func(i int, used []string) bool {
		if furthest = max(furthest, i); i == len(rounds) {
			return true
		}
		return slices.ContainsFunc(common(x[rounds[i]], y[rounds[i]]), func(n string) bool {
			if n == noTransform {
				return agree(i+1, used)
			}
			return !slices.Contains(used, n) && agree(i+1, append(used[:len(used):len(used)], n))
		})
	}
	if agree(0, nil) {
		return ""
	}
	return rounds[furthest]
}

// weakNames are the names of algorithms that no suggestion may hold.
var weakNames = sync.OnceValue(func() map[string]bool {
	weak := map[string]bool{"DES-CBC": true, "3DES-CBC": true, "IDEA-CBC": true, "Blowfish-CBC": true,
		"RC5-R16-B64-CBC": true, "CAST-CBC": true, "MD5": true, "Tiger": true}
	for _, k := range []ike.TransformType{ike.TransformENCR, ike.TransformPRF, ike.TransformINTEG, ike.TransformKE} {
		for id := range uint16(32) {
			if t := (ike.Transform{Type: k, ID: id}); weakTransform(t) {
				weak[transformName(t)] = true
			}
		}
	}
	return weak
})

// weakOf are the names of a set's weak algorithms, of kinds of which every alternative is weak.
func (s set) weakOf() []string {
	var all []string
	for _, k := range kinds {
		if len(s[k]) > 0 && !slices.ContainsFunc(s[k], func(n string) bool { return !isWeak(n) }) {
			all = append(all, s[k]...)
		}
	}
	return all
}

// isWeak looks a name up without its key length.
func isWeak(name string) bool {
	if weakNames()[name] {
		return true
	}
	i := strings.LastIndexByte(name, '_')
	return i > 0 && strings.HasPrefix(name, "ENCR_") && weakNames()[name[:i]]
}

// strong is the set without its weak alternatives; of kinds that have only those, nothing is left.
func (s set) strong() set {
	x := set{}
	for k, names := range s {
		if rest := slices.DeleteFunc(slices.Clone(names), isWeak); len(rest) > 0 {
			x[k] = rest
		}
	}
	return x
}

// postQuantum says whether the set asks for an additional key exchange and does without none.
func (s set) postQuantum() bool {
	for k, names := range s {
		if strings.HasPrefix(k, additional) && !slices.Contains(names, noTransform) {
			return true
		}
	}
	return false
}

// hybrid says whether the set names additional key exchanges at all.
func (s set) hybrid() bool {
	return slices.ContainsFunc(kinds, func(k string) bool { return strings.HasPrefix(k, additional) && len(s[k]) > 0 })
}

// classic is the set without additional key exchanges.
func (s set) classic() set {
	x := maps.Clone(s)
	maps.DeleteFunc(x, func(k string, _ []string) bool { return strings.HasPrefix(k, additional) })
	return x
}
