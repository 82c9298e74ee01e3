package exchange

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/moncap/moncap/internal/lazyregexp"
)

// readPyATS reads a testbed: devices with their connections and credentials, and the links of its
// topology, which name interfaces to choose from.
func readPyATS(s *source, d *Draft) error {
	b, err := s.read()
	if err != nil {
		return err
	}
	t, err := readTree(s.name, b)
	if err != nil {
		return err
	}
	devices := t.at(t.root, "devices")
	if devices == nil || devices.Kind != yaml.MappingNode {
		return fmt.Errorf("%s: want a testbed of pyATS, with devices", s.name)
	}
	if t.at(t.root, "extends") != nil {
		d.note(dropped, s.name, "extends: the files that the testbed extends are not read")
	}
	shared := t.at(t.root, "testbed", "credentials")
	hosts := map[string]string{}
	t.each(devices, func(name string, _, n *yaml.Node) { hosts[name] = t.connection(n, "ip", "host") })
	t.each(devices, func(name string, _, n *yaml.Node) {
		p := &Peer{Name: name, Host: pyatsText(d, name, "its address", hosts[name]), Port: port(t.connection(n, "port"))}
		if proxy := t.connection(n, "proxy"); proxy != "" {
			if at := hosts[proxy]; at != "" {
				proxy = at
			}
			p.Jump = []string{proxy}
		}
		own := t.at(n, "credentials")
		find := func(which, key string) string {
			if v := t.text(own, which, key); v != "" {
				return v
			}
			return t.text(shared, which, key)
		}
		p.Username = pyatsText(d, name, "its user name", find("default", "username"))
		p.Password, p.passwordClear, p.passwordHidden = pyatsSecret(find("default", "password"))
		if enable := find("enable", "password"); enable != "" {
			ref, _, _ := pyatsSecret(enable)
			if p.Enable = ref; ref == "" {
				p.Enable = "env:MONCAP_ENABLE"
				d.note(dropped, name, "the enable secret; put it where the reference says (env:MONCAP_ENABLE)")
			}
		}
		t.each(t.at(t.root, "topology", name, "interfaces"), func(ifname string, _, v *yaml.Node) {
			address, _, _ := strings.Cut(t.text(v, "ipv4"), "/")
			if _, err := netip.ParseAddr(address); err == nil {
				ifname += " " + address
			}
			p.candidate(ifname)
		})
		slices.Sort(p.candidates)
		d.take(p, t.text(n, "os"), "os")
	})
	return t.err()
}

// connection looks for a key in the connection that moncap can use as well: the default one, then
// any over SSH, then any.
func (t *tree) connection(device *yaml.Node, keys ...string) string {
	found, best := "", 0
	t.each(t.at(device, "connections"), func(name string, _, n *yaml.Node) {
		worth := 1
		switch {
		case t.text(n, "protocol") == "telnet":
			return
		case name == t.text(device, "connections", "defaults", "via"):
			worth = 3
		case t.text(n, "protocol") == "ssh":
			worth = 2
		}
		for _, key := range keys {
			if v := t.text(n, key); v != "" && worth > best {
				found, best = v, worth
			}
		}
	})
	return found
}

var pyatsMarkup = lazyregexp.New(`%([A-Z]+)\{([^}]*)\}`)

// pyatsSecret turns the markup of a testbed into a reference. What is no markup is a
// password in clear.
func pyatsSecret(s string) (ref, clear, hidden string) {
	m := pyatsMarkup.Get().FindStringSubmatch(s)
	switch {
	case s == "":
	case m == nil:
		clear = s
	case m[1] == "ENV" && m[0] == s:
		ref = "env:" + m[2]
	case m[1] == "ASK" && m[0] == s:
		ref = "ask"
	default:
		hidden = fmt.Sprintf("only pyATS can read (%%%.10s{})", m[1])
	}
	return ref, clear, hidden
}

// pyatsText is a value that has to stand in the file.
func pyatsText(d *Draft, name, what, s string) string {
	if m := pyatsMarkup.Get().FindStringSubmatch(s); m != nil {
		d.note(dropped, name, "%s: only pyATS can read it (%%%.10s{})", what, m[1])
		return ""
	}
	return s
}
