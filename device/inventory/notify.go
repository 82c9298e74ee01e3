package inventory

import (
	"maps"
	"net/mail"
	"net/url"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/moncap/moncap/capture/schedule"
	"github.com/moncap/moncap/internal/lazyregexp"
)

// Notify is somewhere that a fleet tells what it found.
type Notify struct {
	Name, Type         string
	Address            string    // the URL where it is no secret; empty: URL says where it is kept
	URL                SecretRef // the whole URL
	Key                SecretRef // of PagerDuty: the integration key of a service
	Secret             SecretRef // with which webhooks are signed
	Token              SecretRef // that is sent along as Authorization: Bearer
	CA                 string    // file of certificates that the server's is checked against; empty: the system's
	From, Username     string    // of mail
	To                 []string
	Password           SecretRef
	On                 []string // what is told: OnChanged and so on
	Details            bool     // the headline, peers and addresses may be told
	Digest             *schedule.Times
	digest, digestZone string
}

// The kinds of targets.
const (
	TypeWebhook      = "webhook"
	TypeSlack        = "slack"
	TypeTeams        = "teams"
	TypePagerDuty    = "pagerduty"
	TypeAlertmanager = "alertmanager"
	TypeNtfy         = "ntfy"
	TypeSMTP         = "smtp"
)

// What a target may be told of.
const (
	OnChanged   = "changed"   // the verdict of a tunnel is another one than before
	OnFailed    = "failed"    // every run that found a critical fault, or failed
	OnDirty     = "dirty"     // something was left on a router
	OnRecovered = "recovered" // a tunnel that something was told about is established again
	OnDigest    = "digest"    // once a day: all of it in one message
)

var onAll = []string{OnChanged, OnFailed, OnDirty, OnRecovered, OnDigest}

// notifyKeys are the keys of each type of target beside type, on, details and digest; those with an
// asterisk have to be there.
var notifyKeys = map[string][]string{
	TypeWebhook:      {"url*", "secret", "token", "ca"},
	TypeSlack:        {"url*"},
	TypeTeams:        {"url*"},
	TypePagerDuty:    {"key*", "url", "ca"},
	TypeAlertmanager: {"url*", "token", "ca"},
	TypeNtfy:         {"url*", "token", "ca"},
	TypeSMTP:         {"url*", "from*", "to*", "username", "password", "ca"},
}

// secretURL are the types whose URL lets everybody who has it post.
var secretURL = []string{TypeSlack, TypeTeams}

// pagerDutyURL is that of the Events API v2.
const pagerDutyURL = "https://events.pagerduty.com/v2/enqueue"

const defaultDigest = "0 7 * * *"

// NotifyNames returns the names of all targets, sorted.
func (inv *Inventory) NotifyNames() []string { return slices.Sorted(maps.Keys(inv.Notify)) }

func (p *parser) notify(n *yaml.Node, inv *Inventory) {
	p.entries("notify", n, func(key, value *yaml.Node) {
		where := join("notify", key.Value)
		if !namePattern.Get().MatchString(key.Value) {
			p.fail(key, where, "want a name of letters, digits, '.', '_' and '-', at most 63")
			return
		}
		t := &Notify{Name: key.Value, digest: defaultDigest, digestZone: defaultZone}
		inv.Notify[t.Name] = t
		p.notifyTarget(where, key, value, t)
	})
}

func (p *parser) notifyTarget(where string, key, value *yaml.Node, t *Notify) {
	before, given := len(p.problems), map[string]*yaml.Node{}
	p.mapping(where, value, p.notifyReaders(t, given))
	if len(p.problems) > before {
		return
	}
	if t.Type == "" {
		p.fail(key, where, "type is missing: one of %s", strings.Join(sortedTypes(), ", "))
		return
	}
	allowed := map[string]bool{}
	for _, k := range notifyKeys[t.Type] {
		name, wanted := strings.CutSuffix(k, "*")
		allowed[name] = true
		if wanted && given[name] == nil {
			p.fail(key, where, "%s is missing, which a target of type %s has", name, t.Type)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !allowed[name] {
			p.fail(given[name], join(where, name), "a target of type %s has no %s; want %s", t.Type, name,
				strings.ReplaceAll(strings.Join(notifyKeys[t.Type], ", "), "*", ""))
		}
	}
	p.notifyRest(where, key, given, t)
}

// notifyRest looks at what hangs together.
func (p *parser) notifyRest(where string, key *yaml.Node, given map[string]*yaml.Node, t *Notify) {
	if t.Type == TypePagerDuty && given["url"] == nil {
		t.Address = pagerDutyURL
	}
	if u := given["url"]; u != nil && t.Address != "" {
		p.notifyAddress(join(where, "url"), u, t)
	}
	if slices.Contains(t.On, OnDigest) && (t.Type == TypePagerDuty || t.Type == TypeAlertmanager) {
		p.fail(key, where, "a target of type %s keeps open what it is told until that is over, which a digest never is: "+
			"leave out digest", t.Type)
	}
	if u := given["username"]; (u == nil) != (given["password"] == nil) {
		at := u
		if at == nil {
			at = given["password"]
		}
		p.fail(at, where, "username and password go together")
	}
	if len(t.On) == 0 {
		t.On = []string{OnChanged, OnDirty, OnRecovered}
	}
	t.Digest, _ = schedule.Parse(t.digest, t.digestZone) // what is wrong with them was told
}

func sortedTypes() []string { return slices.Sorted(maps.Keys(notifyKeys)) }

func (p *parser) notifyReaders(t *Notify, given map[string]*yaml.Node) keys {
	// noted remembers which keys stand there, for whether the type has them.
	noted := func(name string, read func(string, *yaml.Node)) func(string, *yaml.Node) {
		return func(where string, n *yaml.Node) {
			given[name] = n
			read(where, n)
		}
	}
	secret := func(name string, into *SecretRef) func(string, *yaml.Node) {
		return noted(name, func(where string, n *yaml.Node) { p.unattended(where, n, into) })
	}
	types := map[string]string{}
	for _, k := range sortedTypes() {
		types[k] = k
	}
	return keys{
		"type": func(where string, n *yaml.Node) {
			p.oneOf(where, n, &t.Type, types, "one of "+strings.Join(sortedTypes(), ", "))
		},
		"url":      noted("url", func(where string, n *yaml.Node) { p.notifyURL(where, n, t) }),
		"key":      secret("key", &t.Key),
		"secret":   secret("secret", &t.Secret),
		"token":    secret("token", &t.Token),
		"password": secret("password", &t.Password),
		"ca":       noted("ca", func(where string, n *yaml.Node) { p.path(where, n, &t.CA) }),
		"from":     noted("from", func(where string, n *yaml.Node) { p.mailbox(where, n, &t.From) }),
		"to":       noted("to", func(where string, n *yaml.Node) { p.mailboxes(where, n, &t.To) }),
		"username": noted("username", func(where string, n *yaml.Node) {
			p.matching(where, n, &t.Username, mailUserPattern.Get(), "the name of an account")
		}),
		"on":      func(where string, n *yaml.Node) { p.occasions(where, n, &t.On) },
		"details": func(where string, n *yaml.Node) { p.flag(where, n, &t.Details) },
		"digest":  func(where string, n *yaml.Node) { p.digestOf(where, n, t) },
	}
}

var mailUserPattern = lazyregexp.New(`^[^\s\x00-\x1f\x7f]{1,128}$`)

// unattended reads where a secret is kept that a service needs: nobody is there to type one.
func (p *parser) unattended(where string, n *yaml.Node, into *SecretRef) {
	p.secret(where, n, into)
	if into.Asks() {
		p.fail(n, where, "nobody is there to type it when it is needed: want env:VAR, file:PATH, cmd:COMMAND or keyring:NAME")
		*into = SecretRef{}
	}
}

// notifyURL reads where to send: a URL, or where one is kept. What it reads is not repeated: it may
// be a secret.
func (p *parser) notifyURL(where string, n *yaml.Node, t *Notify) {
	const want = "a URL such as https://HOST/PATH, or where it is kept: env:VAR, file:PATH, cmd:COMMAND or keyring:NAME"
	s, ok := p.scalar(where, n, want)
	switch {
	case !ok:
	case strings.Contains(s, "://"):
		t.Address = s
	default:
		p.unattended(where, n, &t.URL)
	}
}

// notifyAddress checks a URL that stands in the file.
func (p *parser) notifyAddress(where string, n *yaml.Node, t *Notify) {
	schemes := []string{"https", "http"}
	switch {
	case slices.Contains(secretURL, t.Type):
		p.fail(n, where, "whoever has the URL can post: say where it is kept, "+
			"env:VAR, file:PATH, cmd:COMMAND or keyring:NAME")
		return
	case t.Type == TypeSMTP:
		schemes = []string{"smtp", "smtps"}
	}
	u, err := url.Parse(t.Address)
	switch {
	case err != nil || u.Hostname() == "" || u.Opaque != "" || u.Fragment != "":
		p.fail(n, where, "it is no URL such as %s://HOST/PATH", schemes[0])
	case !slices.Contains(schemes, u.Scheme):
		p.fail(n, where, "want %s://", strings.Join(schemes, ":// or "))
	case u.User != nil || u.RawQuery != "":
		p.fail(n, where, "it may hold a secret, in its user or its query: say where it is kept, env:VAR for one")
	}
}

func (p *parser) mailbox(where string, n *yaml.Node, into *string) {
	const want = "an address such as noc@example.net"
	s, ok := p.scalar(where, n, want)
	if !ok {
		return
	}
	a, err := mail.ParseAddress(s)
	if err != nil || a.Address != s || strings.ContainsAny(s, " \"\\") || len(s) > 254 {
		p.fail(n, where, "%s: want %s", quoted(s), want)
		return
	}
	*into = s
}

func (p *parser) mailboxes(where string, n *yaml.Node, into *[]string) {
	list := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		list = n.Content
	}
	if len(list) == 0 {
		p.fail(n, where, "want an address, or a list of them")
	}
	for _, item := range list {
		var s string
		if p.mailbox(where, item, &s); s != "" {
			*into = append(*into, s)
		}
	}
}

func (p *parser) occasions(where string, n *yaml.Node, into *[]string) {
	want := "a list of " + strings.Join(onAll, ", ")
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		p.fail(n, where, "want %s", want)
		return
	}
	for _, item := range n.Content {
		switch {
		case item.Kind != yaml.ScalarNode || !slices.Contains(onAll, item.Value):
			p.fail(item, where, "want %s", want)
		case slices.Contains(*into, item.Value):
			p.fail(item, where, "%s stands there twice", quoted(item.Value))
		default:
			*into = append(*into, item.Value)
		}
	}
}

func (p *parser) digestOf(where string, n *yaml.Node, t *Notify) {
	zone := zoned{zone: defaultZone}
	var cron *yaml.Node
	p.mapping(where, n, keys{
		"cron":     func(_ string, n *yaml.Node) { cron = n },
		"timezone": func(where string, n *yaml.Node) { p.zone(where, n, &zone) },
	})
	switch {
	case zone.unread:
	case cron == nil:
		p.fail(n, where, `cron is missing: when it is sent, such as "0 7 * * *"`)
	case p.times(join(where, "cron"), cron, zone.zone) != nil:
		t.digest, t.digestZone = cron.Value, zone.zone
	}
}

// targets reads a list of names of targets.
func (p *parser) targets(where string, n *yaml.Node, into *[]string, inv *Inventory) {
	var names []string
	p.names(where, n, &names)
	for _, name := range names {
		if inv.Notify[name] == nil {
			p.fail(n, where, "there is no target %s under notify; want %s", quoted(name), listed(inv.NotifyNames()))
		}
	}
	*into = names
}
