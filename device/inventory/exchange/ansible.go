package exchange

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/moncap/moncap/internal/lazyregexp"
)

// vars are an Ansible host's variables, of those that matter here. One that is no scalar, or that a
// vault holds, has a mark for its value.
type vars map[string]string

// The marks hold a control character, which no scalar of a usable inventory does.
const (
	inVault  = "\x00vault"
	notPlain = "\x00structure"
)

// wanted says which variables are read; the others of a host can be many and are
// none of our business.
func wanted(name string) bool {
	return strings.HasPrefix(name, "ansible_") || strings.HasPrefix(name, "moncap_")
}

// readAnsible reads the JSON of ansible-inventory --list, where precedence, vaults and plugins are
// Ansible's own, or an inventory in YAML or INI with the group_vars and host_vars beside it.
func readAnsible(s *source, d *Draft) error {
	if s.isFolder() {
		return fmt.Errorf("%s is a folder: pipe `ansible-inventory -i %s --list` into `moncap inventory import --from "+
			"ansible -`", s.name, s.name)
	}
	b, err := s.read()
	if err != nil {
		return err
	}
	hosts := map[string]vars{}
	switch first := bytes.TrimLeft(b, " \t\r\n"); {
	case len(first) > 0 && first[0] == '{':
		err = ansibleJSON(s.name, b, hosts)
	case bytes.HasPrefix(first, []byte("#!")):
		return fmt.Errorf("%s is a program: pipe `ansible-inventory -i %s --list` into `moncap inventory import --from "+
			"ansible -`", s.name, s.name)
	default:
		var in *ansibleInventory
		if in, err = ansibleFile(s.name, b); err == nil {
			err = in.resolve(s, hosts)
		}
	}
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(hosts)) {
		d.ansibleHost(name, hosts[name])
	}
	return nil
}

func ansibleJSON(file string, b []byte, hosts map[string]vars) error {
	var list map[string]json.RawMessage
	if err := json.Unmarshal(b, &list); err != nil {
		return fmt.Errorf("%s: want the output of ansible-inventory --list: %w", file, err)
	}
	var meta struct {
		HostVars map[string]map[string]json.RawMessage `json:"hostvars"`
	}
	if err := json.Unmarshal(list["_meta"], &meta); err != nil {
		return fmt.Errorf("%s: want the output of ansible-inventory --list, with _meta.hostvars: %w", file, err)
	}
	for name, all := range meta.HostVars {
		v := vars{}
		for key, raw := range all {
			if wanted(key) {
				v[key] = ansibleJSONValue(raw)
			}
		}
		hosts[name] = v
	}
	return nil
}

func ansibleJSONValue(raw json.RawMessage) string {
	var v any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if d.Decode(&v) != nil {
		return notPlain
	}
	switch v := v.(type) {
	case string:
		return v
	case json.Number, bool:
		return fmt.Sprint(v)
	case nil:
		return ""
	case map[string]any:
		if _, ok := v["__ansible_vault"]; ok {
			return inVault
		}
	}
	return notPlain
}

// ansibleInventory is a file in YAML or INI.
type ansibleInventory struct {
	groups map[string]*ansibleGroup
	hosts  map[string]vars
}

type ansibleGroup struct {
	vars     vars
	hosts    []string
	children []string
	depth    int
}

func newAnsibleInventory() *ansibleInventory {
	in := &ansibleInventory{map[string]*ansibleGroup{}, map[string]vars{}}
	in.group("all")
	return in
}

func (in *ansibleInventory) group(name string) *ansibleGroup {
	g, ok := in.groups[name]
	if !ok {
		g = &ansibleGroup{vars: vars{}}
		in.groups[name] = g
	}
	return g
}

func (in *ansibleInventory) host(name string) vars {
	v, ok := in.hosts[name]
	if !ok {
		v = vars{}
		in.hosts[name] = v
	}
	return v
}

func ansibleFile(file string, b []byte) (*ansibleInventory, error) {
	if strings.HasSuffix(file, ".yml") || strings.HasSuffix(file, ".yaml") || bytes.HasPrefix(b, []byte("---")) {
		return ansibleYAML(file, b)
	}
	return ansibleINI(file, b)
}

func ansibleYAML(file string, b []byte) (*ansibleInventory, error) {
	t, err := readTree(file, b)
	if err != nil {
		return nil, err
	}
	if t.root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s: want groups, such as the group all", file)
	}
	in := newAnsibleInventory()
	var walk func(name string, n *yaml.Node, deep int) error
	walk = func(name string, n *yaml.Node, deep int) error {
		if deep > 32 {
			return fmt.Errorf("%s:%d: groups in groups in groups, 32 deep", file, n.Line)
		}
		g := in.group(name)
		t.each(t.at(n, "vars"), func(key string, _, v *yaml.Node) { g.vars.setNode(key, v) })
		var errs error
		t.each(t.at(n, "hosts"), func(pattern string, k, v *yaml.Node) {
			names, err := hostRange(pattern)
			if err != nil {
				errs = errors.Join(errs, fmt.Errorf("%s:%d: %w", file, k.Line, err))
			}
			for _, host := range names {
				g.hosts = append(g.hosts, host)
				own := in.host(host)
				t.each(v, func(key string, _, v *yaml.Node) { own.setNode(key, v) })
			}
		})
		t.each(t.at(n, "children"), func(child string, _, v *yaml.Node) {
			g.children = append(g.children, child)
			if v != nil {
				errs = errors.Join(errs, walk(child, v, deep+1))
			} else {
				in.group(child)
			}
		})
		return errs
	}
	t.each(t.root, func(name string, _, v *yaml.Node) {
		if v != nil {
			err = errors.Join(err, walk(name, v, 0))
		}
	})
	return in, errors.Join(err, t.err())
}

// setNode sets a variable from YAML.
func (v vars) setNode(key string, n *yaml.Node) {
	if !wanted(key) || n == nil {
		return
	}
	switch {
	case n.Tag == "!vault" || strings.HasPrefix(n.Value, "$ANSIBLE_VAULT"):
		v[key] = inVault
	case n.Kind != yaml.ScalarNode:
		v[key] = notPlain
	default:
		v[key] = scalar(n)
	}
}

// resolve gives each host the variables that Ansible would: those of all, of its groups from the
// outermost in, by name where two are as deep, then its own; what files of group_vars and host_vars
// say goes over what the inventory says of the same.
func (in *ansibleInventory) resolve(s *source, hosts map[string]vars) error {
	if err := in.measure(); err != nil {
		return err
	}
	in.folders(s)
	names := slices.SortedFunc(maps.Keys(in.groups), func(a, b string) int {
		return cmp.Or(cmp.Compare(in.groups[a].depth, in.groups[b].depth), cmp.Compare(a, b))
	})
	for host := range in.hosts {
		v := vars{}
		maps.Copy(v, in.groups["all"].vars)
		hosts[host] = v
	}
	for _, name := range names {
		if name == "all" || len(in.groups[name].vars) == 0 {
			continue
		}
		for host := range in.members(name) {
			maps.Copy(hosts[host], in.groups[name].vars)
		}
	}
	for host, own := range in.hosts {
		maps.Copy(hosts[host], own)
	}
	return nil
}

// measure finds how deep each group is: one more than the deepest that it is in.
func (in *ansibleInventory) measure() error {
	for range 64 {
		deeper := false
		for name, g := range in.groups {
			for _, child := range g.children {
				if c := in.group(child); c.depth <= g.depth && child != name {
					c.depth, deeper = g.depth+1, true
				} else if child == name {
					return fmt.Errorf("group %.40q is in itself", name)
				}
			}
		}
		if !deeper {
			return nil
		}
	}
	return errors.New("groups are in each other, or 64 deep")
}

// members are the hosts of a group and of all that is in it.
func (in *ansibleInventory) members(name string) map[string]bool {
	all, seen := map[string]bool{}, map[string]bool{}
	for todo := []string{name}; len(todo) > 0; {
		g := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[g] {
			continue
		}
		seen[g] = true
		for _, h := range in.groups[g].hosts {
			all[h] = true
		}
		todo = append(todo, in.groups[g].children...)
	}
	return all
}

// folders reads group_vars and host_vars beside the inventory.
func (in *ansibleInventory) folders(s *source) {
	if s.text != nil {
		return
	}
	for name, g := range in.groups {
		s.varsOf("group_vars", name, g.vars)
	}
	for name, own := range in.hosts {
		s.varsOf("host_vars", name, own)
	}
}

// varsOf reads NAME, NAME.yml, NAME.yaml or the files of NAME/ in a folder. A file that a vault
// holds whole is passed over.
func (s *source) varsOf(folder, name string, into vars) {
	base := path.Join(s.beside(folder), name)
	if !fs.ValidPath(base) {
		return
	}
	files := []string{base, base + ".yml", base + ".yaml"}
	if entries, err := fs.ReadDir(s.fsys, base); err == nil {
		files = files[1:]
		for _, e := range entries {
			files = append(files, path.Join(base, e.Name()))
		}
	}
	for _, file := range files {
		b, err := s.file(file)
		if err != nil || bytes.HasPrefix(b, []byte("$ANSIBLE_VAULT")) {
			continue
		}
		if t, err := readTree(file, b); err == nil {
			t.each(t.root, func(key string, _, v *yaml.Node) { into.setNode(key, v) })
		}
	}
}

// first is the value of the first variable that is set.
func (v vars) first(names ...string) string {
	for _, n := range names {
		if v[n] != "" {
			return v[n]
		}
	}
	return ""
}

func (d *Draft) ansibleHost(name string, v vars) {
	p := &Peer{Name: name}
	usable := true
	get := func(names ...string) string {
		s := v.first(names...)
		switch {
		case s == inVault:
			d.note(dropped, name, "%s: a vault holds it, which is not opened", names[0])
			return ""
		case s == notPlain:
			d.note(dropped, name, "%s: it is no text", names[0])
			return ""
		case strings.Contains(s, "{{"):
			d.note(dropped, name, "%s needs Ansible: pipe `ansible-inventory --list` of resolved values, or set it", names[0])
			usable = usable && names[0] != "ansible_host"
			return ""
		}
		return s
	}
	platform := get("ansible_network_os")
	p.Host = get("ansible_host", "ansible_ssh_host")
	if p.Host == "" {
		p.Host = name
	}
	if s := get("ansible_port", "ansible_ssh_port"); s != "" {
		if p.Port = port(s); p.Port == 0 {
			d.note(dropped, name, "ansible_port %.20q", s)
		}
	}
	p.Username = get("ansible_user", "ansible_ssh_user")
	p.KeyFile = get("ansible_ssh_private_key_file", "ansible_private_key_file")
	p.Interface, p.Address = get("moncap_interface"), get("moncap_address")
	p.NATAddress, p.VRF = get("moncap_nat_address"), get("moncap_vrf")
	p.Also = listOf(get("moncap_also"))
	p.Jump = jumpsOf(get("ansible_ssh_common_args") + " " + get("ansible_ssh_extra_args"))
	d.ansibleSecrets(p, v)
	if usable {
		d.take(p, platform, "ansible_network_os")
	}
}

var envLookup = lazyregexp.New(
	`^\s*{{\s*lookup\(\s*['"](?:ansible\.builtin\.)?env['"]\s*,\s*['"]([A-Za-z_][A-Za-z0-9_]*)['"]\s*\)\s*}}\s*$`)

func (d *Draft) ansibleSecrets(p *Peer, v vars) {
	switch s := v.first("ansible_password", "ansible_ssh_pass", "ansible_ssh_password"); {
	case s == "":
	case s == inVault:
		p.passwordHidden = "a vault holds, which is not opened"
	case envLookup.Get().MatchString(s):
		p.Password = "env:" + envLookup.Get().FindStringSubmatch(s)[1]
	case strings.Contains(s, "{{"):
		p.passwordHidden = "only Ansible can look up"
	default:
		p.passwordClear = s
	}
	if s := v.first("ansible_become_password", "ansible_become_pass"); s != "" {
		if m := envLookup.Get().FindStringSubmatch(s); m != nil {
			p.Enable = "env:" + m[1]
			return
		}
		p.Enable = "env:MONCAP_ENABLE"
		d.note(dropped, p.Name, "the enable secret; put it where the reference says (env:MONCAP_ENABLE)")
	}
}

var (
	proxyJump    = lazyregexp.New(`(?i)(?:-J\s*|ProxyJump[= ]\s*)["']?([A-Za-z0-9@:._,\[\]-]+)`)
	proxyCommand = lazyregexp.New(`(?i)ProxyCommand[= ].*?\bssh\b.*?-W\s+\S+.*?\s([A-Za-z0-9._-]+@[A-Za-z0-9._-]+)`)
)

// jumpsOf finds the jump hosts in arguments of ssh.
func jumpsOf(args string) []string {
	if m := proxyJump.Get().FindStringSubmatch(args); m != nil {
		return strings.FieldsFunc(m[1], func(r rune) bool { return r == ',' })
	}
	if m := proxyCommand.Get().FindStringSubmatch(args); m != nil {
		return []string{m[1]}
	}
	return nil
}
