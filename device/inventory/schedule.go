package inventory

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/moncap/moncap/capture/schedule"
	"github.com/moncap/moncap/internal/lazyregexp"
)

// Schedule says which tunnels a fleet looks at by itself, and when.
type Schedule struct {
	Name     string
	Plan     schedule.Plan
	Tunnels  []string // sorted, each once
	Attempts int      // in all, of a run that failed and left its routers clean
	Until    string   // what ends the wait, as --until of run says it
	Notify   []string // who is told
	capture  *yaml.Node
}

// CaptureOf is how the schedule captures a tunnel: as the tunnel's settings say, but for those that
// the schedule says itself, be it that they are off.
func (s *Schedule) CaptureOf(t *Tunnel) CaptureSettings {
	c := t.Capture
	if s.capture != nil {
		(&parser{}).capture("", s.capture, &c) // it was right when the file was read
	}
	return c
}

// The values of a schedule that says nothing else.
const (
	defaultZone     = "UTC"
	defaultGrace    = time.Hour
	defaultAttempts = 1
	defaultUntil    = "decided"
)

var untilPattern = lazyregexp.New(`^(none|decided|established|failed|packets=[1-9][0-9]{0,5})$`)

var missedPolicies = map[string]schedule.Missed{
	string(schedule.Once): schedule.Once, string(schedule.Skip): schedule.Skip,
}

func (p *parser) schedules(n *yaml.Node, inv *Inventory) {
	p.entries("schedules", n, func(key, value *yaml.Node) {
		where := join("schedules", key.Value)
		if !namePattern.Get().MatchString(key.Value) {
			p.fail(key, where, "want a name of letters, digits, '.', '_' and '-', at most 63")
			return
		}
		s := &Schedule{Name: key.Value, Attempts: defaultAttempts, Until: defaultUntil}
		s.Plan.Missed, s.Plan.Grace = schedule.Once, defaultGrace
		inv.Schedules[s.Name] = s
		p.schedule(where, key, value, s, inv)
	})
}

func (p *parser) schedule(where string, key, value *yaml.Node, s *Schedule, inv *Inventory) {
	zone := zoned{zone: defaultZone}
	var cron, tunnels, blackout *yaml.Node
	keep := func(into **yaml.Node) func(string, *yaml.Node) {
		return func(_ string, n *yaml.Node) { *into = n }
	}
	missed := string(s.Plan.Missed)
	p.mapping(where, value, keys{
		"cron":     keep(&cron),
		"timezone": func(where string, n *yaml.Node) { p.zone(where, n, &zone) },
		"tunnels":  keep(&tunnels),
		"spread":   func(where string, n *yaml.Node) { p.duration(where, n, &s.Plan.Spread, 0, 24*time.Hour) },
		"missed": func(where string, n *yaml.Node) {
			p.oneOf(where, n, &missed, map[string]string{"once": "once", "skip": "skip"}, "once or skip")
		},
		"grace":    func(where string, n *yaml.Node) { p.duration(where, n, &s.Plan.Grace, 0, 7*24*time.Hour) },
		"attempts": func(where string, n *yaml.Node) { p.number(where, n, &s.Attempts, 1, 5) },
		"until": func(where string, n *yaml.Node) {
			p.matching(where, n, &s.Until, untilPattern.Get(), "none, decided, established, failed or packets=N")
		},
		"capture": func(where string, n *yaml.Node) {
			s.capture = n
			p.capture(where, n, &CaptureSettings{})
		},
		"blackout": keep(&blackout),
		"notify":   func(where string, n *yaml.Node) { p.targets(where, n, &s.Notify, inv) },
	})
	s.Plan.Missed = missedPolicies[missed]
	switch {
	case cron == nil:
		p.fail(key, where, `cron is missing: when it takes place, such as "30 2 * * *"`)
	case !zone.unread:
		s.Plan.Times = p.times(join(where, "cron"), cron, zone.zone)
	}
	if blackout != nil && !zone.unread {
		p.blackouts(join(where, "blackout"), blackout, zone.zone, s)
	}
	if tunnels == nil {
		p.fail(key, where, "tunnels is missing: all, a list of names or patterns, or {tags: [...]}")
	} else {
		s.Tunnels = p.selection(join(where, "tunnels"), tunnels, inv)
	}
}

// zoned is a time zone, and whether it could not be read: then what is in it is not judged.
type zoned struct {
	zone   string
	unread bool
}

func (p *parser) zone(where string, n *yaml.Node, into *zoned) {
	s, ok := p.scalar(where, n, "a time zone by its IANA name, such as Europe/Berlin")
	if ok {
		_, err := schedule.Zone(s)
		if ok = err == nil; !ok {
			p.fail(n, where, "%v", err)
		}
	}
	into.zone, into.unread = s, !ok
}

func (p *parser) times(where string, n *yaml.Node, zone string) *schedule.Times {
	s, ok := p.scalar(where, n, `five fields such as "30 2 * * *"`)
	if !ok {
		return nil
	}
	t, err := schedule.Parse(s, zone)
	if err != nil {
		p.fail(n, where, "%s: %v", quoted(s), err)
	}
	return t
}

func (p *parser) blackouts(where string, n *yaml.Node, zone string, s *Schedule) {
	if n.Kind != yaml.SequenceNode {
		p.fail(n, where, `want a list, such as [{cron: "0 0 24-26 12 *", for: 24h}]`)
		return
	}
	for _, item := range n.Content {
		var b schedule.Blackout
		before := len(p.problems)
		p.mapping(where, item, keys{
			"cron": func(where string, n *yaml.Node) { b.From = p.times(where, n, zone) },
			"for":  func(where string, n *yaml.Node) { p.duration(where, n, &b.For, time.Minute, 31*24*time.Hour) },
		})
		switch {
		case len(p.problems) > before:
		case b.From == nil || b.For == 0:
			p.fail(item, where, "want cron and for: when it begins, and how long it lasts")
		default:
			s.Plan.Blackouts = append(s.Plan.Blackouts, b)
		}
	}
	if s.Plan.Times != nil && s.Plan.Next(time.Unix(0, 0)).IsZero() {
		p.fail(n, where, "it leaves the schedule no time")
	}
}

// selection reads which tunnels are meant. Every name, pattern and tag has to mean one at least.
func (p *parser) selection(where string, n *yaml.Node, inv *Inventory) []string {
	var chosen []string
	add := func(where string, n *yaml.Node, what, there string, meant func(*Tunnel) bool) {
		found := false
		for _, name := range inv.TunnelNames() {
			if meant(inv.Tunnels[name]) {
				chosen, found = append(chosen, name), true
			}
		}
		if !found {
			p.fail(n, where, "no tunnel %s; %s", what, there)
		}
	}
	each := func(
		where string, n *yaml.Node, pattern *regexp.Regexp, want string, meant func(string) func(*Tunnel) bool,
		what, there string,
	) {
		if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
			p.fail(n, where, "want %s", want)
			return
		}
		for _, item := range n.Content {
			s := ""
			before := len(p.problems)
			if p.matching(where, item, &s, pattern, want); len(p.problems) == before {
				add(where, item, what+" "+quoted(s), there, meant(s))
			}
		}
	}
	tunnels := "there are " + listed(inv.TunnelNames())
	names := func(where string, n *yaml.Node) {
		const want = "a list of names of tunnels, or of patterns such as hq-*"
		each(where, n, tunnelPattern.Get(), want, calledLike, "is called", tunnels)
	}
	switch {
	case n.Kind == yaml.ScalarNode && n.Value == "all":
		add(where, n, "is there", tunnels, func(*Tunnel) bool { return true })
	case n.Kind == yaml.SequenceNode:
		names(where, n)
	case n.Kind == yaml.MappingNode && len(n.Content) > 0:
		p.mapping(where, n, keys{
			"names": names,
			"tags": func(where string, n *yaml.Node) {
				each(where, n, namePattern.Get(), "a list of tags", tagged, "has the tag", inv.tagsThere())
			},
		})
	default:
		p.fail(n, where, "want all, a list of names or patterns such as hq-*, or {names: [...], tags: [...]}")
	}
	slices.Sort(chosen)
	return slices.Compact(chosen)
}

// tunnelPattern is a name of a tunnel, or a pattern of names as path.Match has
// them, without its sets.
var tunnelPattern = lazyregexp.New(`^[A-Za-z0-9*?][A-Za-z0-9._*?-]{0,62}$`)

func calledLike(pattern string) func(*Tunnel) bool {
	return func(t *Tunnel) bool {
		ok, err := path.Match(pattern, t.Name)
		return ok && err == nil
	}
}

// tagsThere says which tags the tunnels have, for the error of another one.
func (inv *Inventory) tagsThere() string {
	var all []string
	for _, t := range inv.Tunnels {
		all = append(all, t.Tags...)
	}
	if len(all) == 0 {
		return "no tunnel has one"
	}
	slices.Sort(all)
	return "there are " + listed(slices.Compact(all))
}

func tagged(tag string) func(*Tunnel) bool {
	return func(t *Tunnel) bool { return slices.Contains(t.Tags, tag) }
}

// ScheduleNames returns the names of all schedules, sorted.
func (inv *Inventory) ScheduleNames() []string {
	names := make([]string, 0, len(inv.Schedules))
	for n := range inv.Schedules {
		names = append(names, n)
	}
	slices.SortFunc(names, strings.Compare)
	return names
}
