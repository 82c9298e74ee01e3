package pair

// kind is what a capture's filter may let through or not: it knows addresses, protocols,
// ports and fragments.
type kind uint8

const (
	kind500  kind = iota
	kind4500      // IKE and ESP in UDP alike
	kindESP
	kindAH
	kindFragment
	kinds
)

// hiddenKinds are the kinds of packets that the filter of s's capture hides: s sent some, as the
// other capture shows, and its own holds none at all. What it lacks of those that the other side
// sent proves nothing.
func (j *joiner) hiddenKinds(s Side) [kinds]bool {
	var has, hides [kinds]bool
	type packet interface{ kind() kind }
	each := func(take func(p packet, own, other, mine bool)) {
		for m := range j.c.Messages() {
			if m.Conversation.Foreign {
				continue
			}
			for _, t := range m.Transmissions() {
				if !t.Duplicate {
					take(t, t.At[s] != nil, t.At[s.Other()] != nil, m.From == s)
				}
			}
		}
		for _, f := range j.c.Flows {
			if !f.Foreign {
				take(f, f.At[s] != nil, f.At[s.Other()] != nil, f.From == s)
			}
		}
	}
	each(func(p packet, own, other, mine bool) {
		if mine && !own && other {
			hides[p.kind()] = true
		}
	})
	for _, d := range j.c.Story(s).Datagrams {
		if j.c.Story(s).HidesRest(d) && j.compass.own[s][d.Src] {
			hides[kindFragment] = true
		}
	}
	if hides == [kinds]bool{} {
		return hides
	}
	each(func(p packet, own, _, _ bool) {
		if own {
			has[p.kind()] = true
		}
	})
	for k := range hides {
		hides[k] = hides[k] && !has[k]
	}
	return hides
}

// kind is what a filter sees of t.
func (t *Transmission) kind() kind {
	x := t.Any()
	for _, y := range t.At {
		if y != nil && len(y.Fragments) > 0 {
			return kindFragment
		}
	}
	if x != nil && x.Port() == 4500 {
		return kind4500
	}
	return kind500
}

func (f *Flow) kind() kind {
	for _, x := range f.At {
		switch {
		case x == nil:
		case x.UDP:
			return kind4500
		case x.AH:
			return kindAH
		}
	}
	return kindESP
}
