package inventory

import (
	"net/netip"
	"slices"

	"gopkg.in/yaml.v3"

	"github.com/moncap/moncap/internal/lazyregexp"
)

// EventSettings say which events start a run. What a kind of event is called, package
// capture/event knows.
type EventSettings struct {
	On     []string     // the kinds; none: those of trouble
	Relays []netip.Addr // log servers that pass on the lines of routers
}

// Hooks are the ways by which other programs tell of events over HTTP.
type Hooks struct {
	Alertmanager, Generic *Hook // nil: it is not there
}

// Hook is one of them. One of Token and HMAC at least is set.
type Hook struct {
	Token SecretRef // sent along as Authorization: Bearer
	HMAC  SecretRef // with which the body is signed
	Label string    // of Alertmanager: the label that names the tunnel
	// Of the generic one: where in the body the tunnel is, and what tells two events apart, as in
	// event.tags.tunnel or alerts.0.name.
	Tunnel, Key string
}

var (
	listenPattern = lazyregexp.New(`^(udp|tcp):(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]*):[0-9]{1,5}$`)
	kindPattern   = lazyregexp.New(`^[a-z]+(-[a-z]+)*$`)
	labelPattern  = lazyregexp.New(`^[a-zA-Z_][a-zA-Z0-9_]{0,62}$`)
	jsonPath      = lazyregexp.New(`^[A-Za-z0-9_@-]{1,64}(\.[A-Za-z0-9_@-]{1,64}){0,15}$`)
)

func (p *parser) listeners(where string, n *yaml.Node, into *[]string) {
	const want = "udp:HOST:PORT or tcp:HOST:PORT, or a list of them, such as [udp:0.0.0.0:5514]"
	p.each(where, n, into, func(item *yaml.Node, s *string) {
		p.matching(where, item, s, listenPattern.Get(), want)
	})
}

// each reads one value, or a list of values, each of which stands there once.
func (p *parser) each(where string, n *yaml.Node, into *[]string, read func(item *yaml.Node, s *string)) {
	list := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		list = n.Content
	}
	for _, item := range list {
		s := ""
		read(item, &s)
		switch {
		case s == "":
		case slices.Contains(*into, s):
			p.fail(item, where, "%s stands there twice", quoted(s))
		default:
			*into = append(*into, s)
		}
	}
}

func (p *parser) eventSettings(where string, n *yaml.Node, e *EventSettings) {
	p.mapping(where, n, keys{
		"on": func(where string, n *yaml.Node) {
			p.each(where, n, &e.On, func(item *yaml.Node, s *string) {
				p.matching(where, item, s, kindPattern.Get(), "a kind of event, such as sa-down; moncap events rules lists them")
			})
		},
		"relays": func(where string, n *yaml.Node) { p.logSources(where, n, &e.Relays) },
	})
}

func (p *parser) hooks(where string, n *yaml.Node, h *Hooks) {
	p.mapping(where, n, keys{
		"alertmanager": func(where string, n *yaml.Node) {
			h.Alertmanager = &Hook{Label: "tunnel"}
			p.hook(where, n, h.Alertmanager, keys{
				"label": func(where string, n *yaml.Node) {
					p.matching(where, n, &h.Alertmanager.Label, labelPattern.Get(), "the name of a label")
				},
			})
		},
		"generic": func(where string, n *yaml.Node) {
			h.Generic = &Hook{}
			path := func(into *string) func(string, *yaml.Node) {
				return func(where string, n *yaml.Node) {
					p.matching(where, n, into, jsonPath.Get(), "where it is in the body, such as event.tags.tunnel or alerts.0.name")
				}
			}
			before := len(p.problems)
			p.hook(where, n, h.Generic, keys{"tunnel": path(&h.Generic.Tunnel), "key": path(&h.Generic.Key)})
			if len(p.problems) == before && h.Generic.Tunnel == "" {
				p.fail(n, where, "tunnel is missing: where in the body the tunnel's name is, such as event.tags.tunnel")
			}
		},
	})
}

func (p *parser) hook(where string, n *yaml.Node, h *Hook, own keys) {
	own["token"] = func(where string, n *yaml.Node) { p.unattended(where, n, &h.Token) }
	own["hmac"] = func(where string, n *yaml.Node) { p.unattended(where, n, &h.HMAC) }
	before := len(p.problems)
	p.mapping(where, n, own)
	if len(p.problems) == before && h.Token.IsZero() && h.HMAC.IsZero() {
		p.fail(n, where, "nobody proves who tells: want token or hmac, and where it is kept")
	}
}
