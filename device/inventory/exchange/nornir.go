package exchange

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"

	"gopkg.in/yaml.v3"
)

// readNornir reads the SimpleInventory of Nornir: hosts.yaml, and groups.yaml and defaults.yaml
// beside it.
func readNornir(s *source, d *Draft) error {
	name := s.name
	if s.isFolder() {
		name = s.beside("hosts.yaml")
	}
	read := func(file string) (*tree, error) {
		b, err := s.file(file)
		if errors.Is(err, fs.ErrNotExist) && file != name {
			return &tree{file: file}, nil
		} else if err != nil {
			return nil, err
		}
		return readTree(file, b)
	}
	var hosts *tree
	var err error
	if s.text != nil {
		hosts, err = readTree(s.name, s.text)
	} else {
		hosts, err = read(name)
	}
	if err != nil {
		return err
	}
	groups, err1 := read(s.beside("groups.yaml"))
	defaults, err2 := read(s.beside("defaults.yaml"))
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if hosts.root.Kind != yaml.MappingNode {
		return fmt.Errorf("%s: want hosts by their names", name)
	}
	n := &nornir{hosts, groups, defaults}
	var errs error
	hosts.each(hosts.root, func(host string, k, v *yaml.Node) {
		p, platform, err := n.host(host, v)
		if err != nil {
			errs = errors.Join(errs, fmt.Errorf("%s:%d: %s: %w", hosts.file, k.Line, host, err))
			return
		}
		d.take(p, platform, "platform")
	})
	return errors.Join(errs, hosts.err(), groups.err(), defaults.err())
}

type nornir struct{ hosts, groups, defaults *tree }

func (n *nornir) host(name string, v *yaml.Node) (p *Peer, platform string, err error) {
	get := func(keys ...string) string {
		if s := n.hosts.text(v, keys...); s != "" {
			return s
		}
		s, e := n.inherited(n.hosts.list(n.hosts.at(v, "groups")), 0, keys)
		err = cmp.Or(err, e)
		if s == "" && n.defaults.root != nil {
			s = n.defaults.text(n.defaults.root, keys...)
		}
		return s
	}
	p = &Peer{Name: name, Host: get("hostname"), Port: port(get("port")), Username: get("username"),
		passwordClear: get("password"),
		Interface:     get("data", "moncap_interface"), Address: get("data", "moncap_address"),
		NATAddress: get("data", "moncap_nat_address"), VRF: get("data", "moncap_vrf"),
		Also: listOf(get("data", "moncap_also"))}
	if get("connection_options", "netmiko", "extras", "secret") != "" ||
		get("connection_options", "scrapli", "extras", "auth_secondary") != "" {
		p.Enable = "env:MONCAP_ENABLE"
	}
	return p, get("platform"), err
}

// inherited looks a value up in groups, in their order, each before those that it is in.
func (n *nornir) inherited(groups []string, deep int, keys []string) (string, error) {
	for _, g := range groups {
		var group *yaml.Node
		if n.groups.root != nil {
			group = n.groups.at(n.groups.root, g)
		}
		if n.groups.root == nil || !n.groups.has(g) {
			return "", fmt.Errorf("there is no group %.40q", g)
		}
		if s := n.groups.text(group, keys...); s != "" {
			return s, nil
		}
		if deep > 16 {
			return "", fmt.Errorf("groups in groups, 16 deep, at %.40q", g)
		}
		if s, err := n.inherited(n.groups.list(n.groups.at(group, "groups")), deep+1, keys); s != "" || err != nil {
			return s, err
		}
	}
	return "", nil
}

// has says whether the root has a key, also one without a value.
func (t *tree) has(key string) bool {
	found := false
	t.each(t.root, func(k string, _, _ *yaml.Node) { found = found || k == key })
	return found
}
