package inventory

import (
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/moncap/moncap/internal/lazyregexp"
)

// What may stand in the file where it will reach a router's command line. device/iosxe checks again
// what it types; here the operator learns the line of the file.
var (
	namePattern      = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)
	interfacePattern = lazyregexp.New(
		`^[A-Za-z][A-Za-z-]{0,31} ?[0-9]{1,10}(?:/[0-9]{1,5}){0,3}(?:\.[0-9]{1,10}(?:/[0-9]{1,5}){1,3})?(?::[0-9]{1,5})?(?:\.[0-9]{1,10})?$`)
	tunnelInterfacePattern = lazyregexp.New(`^Tunnel[0-9]{1,10}$`)
	captureNamePattern     = lazyregexp.New(`^[A-Za-z][A-Za-z0-9_-]{0,14}$`)
	vrfPattern             = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9_.:-]{0,31}$`)
	hostPattern            = lazyregexp.New(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,252}[A-Za-z0-9])?$`)
	userPattern            = lazyregexp.New(`^[^\s"'$;|&<>\x00-\x1f\x7f@:]{1,64}$`)
)

var limitedBroadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// quoted shows a value in an error, as much of it as helps.
func quoted(s string) string { return strconv.Quote(shortened(s)) }

func shortened(s string) string {
	const most = 80
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "..."
	}
	return s
}

func (p *parser) scalar(where string, n *yaml.Node, want string) (string, bool) {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		p.fail(n, where, "want %s", want)
		return "", false
	}
	return n.Value, true
}

func (p *parser) matching(where string, n *yaml.Node, into *string, re *regexp.Regexp, want string) {
	s, ok := p.scalar(where, n, want)
	if !ok {
		return
	}
	if !re.MatchString(s) {
		p.fail(n, where, "%s: want %s", quoted(s), want)
		return
	}
	*into = s
}

func (p *parser) name(where string, n *yaml.Node, into *string, what string) {
	p.matching(where, n, into, namePattern.Get(), what+" of letters, digits, '.', '_' and '-', at most 63")
}

func (p *parser) oneOf(where string, n *yaml.Node, into *string, accepted map[string]string, want string) {
	s, ok := p.scalar(where, n, want)
	if !ok {
		return
	}
	v, ok := accepted[s]
	if !ok {
		p.fail(n, where, "%s: want %s", quoted(s), want)
		return
	}
	*into = v
}

func (p *parser) path(where string, n *yaml.Node, into *string) {
	s, ok := p.scalar(where, n, "a path")
	if !ok {
		return
	}
	path, err := localPath(s, p.folder)
	if err != nil {
		p.fail(n, where, "%v", err)
		return
	}
	*into = path
}

func (p *parser) number(where string, n *yaml.Node, into *int, low, high int) {
	s, ok := p.scalar(where, n, "a number")
	if !ok {
		return
	}
	v, err := strconv.Atoi(s)
	if err != nil || v < low || v > high {
		p.fail(n, where, "%s: want a number from %d to %d", quoted(s), low, high)
		return
	}
	*into = v
}

func (p *parser) flag(where string, n *yaml.Node, into *bool) {
	s, ok := p.scalar(where, n, "true or false")
	if !ok {
		return
	}
	if s != "true" && s != "false" {
		p.fail(n, where, "%s: want true or false", quoted(s))
		return
	}
	*into = s == "true"
}

func (p *parser) duration(where string, n *yaml.Node, into *time.Duration, low, high time.Duration) {
	s, ok := p.scalar(where, n, "a duration like 60s or 10m")
	if !ok {
		return
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < low || d > high || d%time.Second != 0 {
		p.fail(n, where, "%s: want a duration from %s to %s in whole seconds, like 60s or 10m", quoted(s), low, high)
		return
	}
	*into = d
}

func (p *parser) address(where string, n *yaml.Node, into *netip.Addr) {
	const want = "the IPv4 or IPv6 address of one host, without a prefix length"
	s, ok := p.scalar(where, n, want)
	if !ok {
		return
	}
	a, err := netip.ParseAddr(s)
	a = a.Unmap()
	if err != nil || a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() || a == limitedBroadcast || a.Zone() != "" {
		p.fail(n, where, "%s: want %s", quoted(s), want)
		return
	}
	*into = a
}

// secret never repeats the value: it may be a secret after all.
func (p *parser) secret(where string, n *yaml.Node, into *SecretRef) {
	s, ok := p.scalar(where, n, "where the secret is kept: env:VAR, file:PATH, cmd:COMMAND, keyring:NAME or ask")
	if !ok {
		return
	}
	r, err := ParseSecretRef(s)
	if err != nil {
		p.fail(n, where, "%v", err)
		return
	}
	if r.Runs() && p.distrust != "" {
		p.fail(n, where, "cmd: runs a program, and %s", p.distrust)
		return
	}
	r.folder = p.folder
	*into = r
}

func (p *parser) host(where string, n *yaml.Node, into *string) {
	const want = "a host name or an address"
	s, ok := p.scalar(where, n, want)
	if !ok {
		return
	}
	if !validHost(s) {
		p.fail(n, where, "%s: want %s", quoted(s), want)
		return
	}
	*into = s
}

func validHost(s string) bool {
	if a, err := netip.ParseAddr(s); err == nil {
		return !a.IsUnspecified()
	}
	return hostPattern.Get().MatchString(s) && !strings.Contains(s, "..")
}

func (p *parser) jumps(where string, n *yaml.Node, into *[]Jump) {
	list := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		list = n.Content
	}
	var jumps []Jump
	for _, item := range list {
		s, ok := p.scalar(where, item, "user@host:port")
		if !ok {
			continue
		}
		j, ok := parseJump(s)
		if !ok {
			p.fail(item, where, "%s: want [user@]host[:port]", quoted(s))
			continue
		}
		jumps = append(jumps, j)
	}
	*into = jumps
}

func parseJump(s string) (Jump, bool) {
	j := Jump{Port: 22}
	if user, rest, ok := strings.Cut(s, "@"); ok {
		if !userPattern.Get().MatchString(user) {
			return j, false
		}
		j.User, s = user, rest
	}
	if host, port, err := net.SplitHostPort(s); err == nil {
		n, err := strconv.Atoi(port)
		if err != nil || n < 1 || n > 65535 {
			return j, false
		}
		s, j.Port = host, n
	}
	j.Host = strings.Trim(s, "[]")
	return j, validHost(j.Host)
}
