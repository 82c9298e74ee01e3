package exchange

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"gopkg.in/yaml.v3"

	"github.com/moncap/moncap/internal/lazyregexp"
)

// WriteYAML writes d as an inventory.
func (d *Draft) WriteYAML(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Made by `moncap inventory import --from %s`. What is %s only you know: the interface that the "+
		"tunnel leaves\n", d.From, Unknown)
	b.WriteString("# by, and the VPN address on it. `moncap inventory validate` names the lines.\nversion: 1\n")
	username, password := d.common()
	if username != "" || password != "" {
		b.WriteString("defaults: " + flow("username", username, "password", password) + "\n")
	}
	b.WriteString("peers:\n")
	for _, p := range d.Peers {
		p.write(&b, "  ", username, password)
	}
	if len(d.Tunnels) > 0 {
		b.WriteString("tunnels:\n")
	}
	for _, t := range d.Tunnels {
		t.write(&b, "  ")
	}
	_, err := w.Write(b.Bytes())
	return err
}

// common are the login's parts that all peers share.
func (d *Draft) common() (username, password string) {
	username, password = d.Peers[0].Username, d.Peers[0].Password
	for _, p := range d.Peers {
		if p.Username != username {
			username = ""
		}
		if p.Password != password {
			password = ""
		}
	}
	return username, password
}

func (p *Peer) write(b *bytes.Buffer, indent, username, password string) {
	fmt.Fprintf(b, "%s%s:\n", indent, plain(p.Name))
	key := func(name, value, unless string) {
		if value != "" && value != unless {
			fmt.Fprintf(b, "%s  %s: %s\n", indent, name, plain(value))
		}
	}
	key("host", p.Host, "")
	if p.Port != 0 && p.Port != 22 {
		fmt.Fprintf(b, "%s  port: %d\n", indent, p.Port)
	}
	key("username", p.Username, username)
	key("password", p.Password, password)
	key("enable", p.Enable, "")
	key("key_file", p.KeyFile, "")
	key("key_passphrase", p.Passphrase, "")
	if len(p.Jump) == 1 {
		key("jump", p.Jump[0], "")
	} else if len(p.Jump) > 1 {
		quoted := make([]string, len(p.Jump))
		for i, j := range p.Jump {
			quoted[i] = plain(j)
		}
		fmt.Fprintf(b, "%s  jump: [%s]\n", indent, strings.Join(quoted, ", "))
	}
	if p.SSHConfig {
		fmt.Fprintf(b, "%s  ssh_config: true\n", indent)
	}
	if p.LegacySSH {
		fmt.Fprintf(b, "%s  legacy_ssh: true\n", indent)
	}
	wan := flow("interface", orUnknown(p.Interface), "address", orUnknown(p.Address),
		"nat_address", p.NATAddress, "vrf", p.VRF)
	if len(p.Also) > 0 {
		quoted := make([]string, len(p.Also))
		for i, name := range p.Also {
			quoted[i] = plain(name)
		}
		wan = strings.TrimSuffix(wan, "}") + ", also: [" + strings.Join(quoted, ", ") + "]}"
	}
	fmt.Fprintf(b, "%s  wan: %s%s\n", indent, wan, p.hint())
}

// hint are the interfaces that the source names, for the operator to choose from.
func (p *Peer) hint() string {
	if p.Interface != "" || len(p.candidates) == 0 {
		return ""
	}
	return " # one of these? " + strings.Join(p.candidates, ", ")
}

var harmless = lazyregexp.New(`^[A-Za-z][A-Za-z0-9/:. -]{0,60}$`)

// candidate keeps an interface that may be the WAN's, if a comment may have its name.
func (p *Peer) candidate(name string) {
	if len(p.candidates) < 8 && harmless.Get().MatchString(name) && !slices.Contains(p.candidates, name) {
		p.candidates = append(p.candidates, name)
	}
}

func orUnknown(s string) string {
	if s == "" {
		return Unknown
	}
	return s
}

func (t Tunnel) write(b *bytes.Buffer, indent string) {
	line := strings.TrimSuffix(flow("a", t.A, "b", t.B), "}")
	if len(t.Tags) > 0 {
		quoted := make([]string, len(t.Tags))
		for i, tag := range t.Tags {
			quoted[i] = plain(tag)
		}
		line += ", tags: [" + strings.Join(quoted, ", ") + "]"
	}
	fmt.Fprintf(b, "%s%s: %s}\n", indent, plain(t.Name), line)
}

// flow writes pairs of keys and values in a line, without those that have no value.
func flow(pairs ...string) string {
	var parts []string
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			parts = append(parts, pairs[i]+": "+plain(pairs[i+1]))
		}
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

var (
	bare    = lazyregexp.New(`^[A-Za-z][A-Za-z0-9_/.-]*$|^[0-9]{1,3}(?:\.[0-9]{1,3}){3}$`)
	notText = lazyregexp.New(`^(?i:null|true|false|yes|no|on|off|y|n|~|\.nan|\.inf)$`)
)

// plain writes a scalar so that every reader of YAML takes it for this text.
func plain(s string) string {
	if bare.Get().MatchString(s) && !notText.Get().MatchString(s) {
		return s
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case !unicode.IsPrint(r) && r <= 0xffff:
			fmt.Fprintf(&b, `\u%04x`, r)
		case !unicode.IsPrint(r):
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// Merge adds to the text of an inventory what d has and it has not. Nothing of it is changed,
// comments and layout included: new peers and tunnels are put at the head of their blocks. It
// returns the new text, and who was there already.
func (d *Draft) Merge(file string, text []byte) (merged []byte, kept []string, err error) {
	t, err := readTree(file, text)
	if err != nil {
		return nil, nil, err
	}
	had := map[string]map[string]bool{"peers": {}, "tunnels": {}}
	for block, names := range had {
		t.each(t.at(t.root, block), func(name string, _, _ *yaml.Node) { names[name] = true })
	}
	username, password := t.text(t.root, "defaults", "username"), t.text(t.root, "defaults", "password")
	add := map[string]*bytes.Buffer{"peers": {}, "tunnels": {}}
	indents := map[string]string{}
	for block := range add {
		if indents[block], err = t.indent(block); err != nil {
			return nil, nil, err
		}
	}
	for _, p := range d.Peers {
		if had["peers"][p.Name] {
			kept = append(kept, p.Name)
			continue
		}
		p.write(add["peers"], indents["peers"], username, password)
	}
	for _, tun := range d.Tunnels {
		if had["tunnels"][tun.Name] {
			kept = append(kept, tun.Name)
			continue
		}
		tun.write(add["tunnels"], indents["tunnels"])
	}
	merged, err = t.insert(text, add)
	if err == nil {
		err = d.proved(file, merged, had)
	}
	return merged, kept, err
}

// indent is how deep the entries of a block stand. A block in braces cannot be
// added to line by line.
func (t *tree) indent(block string) (string, error) {
	const usual = "  "
	if t.root.Kind != yaml.MappingNode || t.root.Style&yaml.FlowStyle != 0 {
		return "", fmt.Errorf("%s: --merge wants version, peers and tunnels each at the begin of a line", t.file)
	}
	for i := 0; i+1 < len(t.root.Content); i += 2 {
		k, v := t.root.Content[i], t.root.Content[i+1]
		switch {
		case k.Value != block || v.Tag == "!!null" && v.Value == "":
		case v.Kind != yaml.MappingNode || v.Style&yaml.FlowStyle != 0 || v.Line <= k.Line:
			return "", fmt.Errorf("%s:%d: --merge wants %s as a block: each name on a line of its own", t.file, k.Line, block)
		default:
			return strings.Repeat(" ", v.Column-1), nil
		}
	}
	return usual, nil
}

// insert puts new entries behind the lines of their keys.
func (t *tree) insert(text []byte, add map[string]*bytes.Buffer) ([]byte, error) {
	behind := map[int]string{}
	end := ""
	for _, block := range []string{"peers", "tunnels"} {
		if add[block].Len() == 0 {
			continue
		}
		line := 0
		for i := 0; i+1 < len(t.root.Content); i += 2 {
			if k := t.root.Content[i]; k.Value == block {
				line = k.Line
			}
		}
		if line == 0 {
			end += block + ":\n" + add[block].String()
			continue
		}
		behind[line] = add[block].String()
	}
	var out bytes.Buffer
	line := 0
	for l := range bytes.Lines(text) {
		line++
		out.Write(l)
		if more, ok := behind[line]; ok {
			if !bytes.HasSuffix(l, []byte("\n")) {
				out.WriteByte('\n')
			}
			out.WriteString(more)
		}
	}
	if end != "" && out.Len() > 0 && !bytes.HasSuffix(out.Bytes(), []byte("\n")) {
		out.WriteByte('\n')
	}
	out.WriteString(end)
	return out.Bytes(), nil
}

// proved reads the merged text again: it has all that there was, and all that is new.
func (d *Draft) proved(file string, merged []byte, had map[string]map[string]bool) error {
	t, err := readTree(file, merged)
	if err != nil {
		return fmt.Errorf("--merge: the result cannot be read: %w", err)
	}
	want := map[string]bool{}
	for block, names := range had {
		for name := range names {
			want[block+"."+name] = true
		}
	}
	for _, p := range d.Peers {
		want["peers."+p.Name] = true
	}
	for _, tun := range d.Tunnels {
		want["tunnels."+tun.Name] = true
	}
	for block := range had {
		t.each(t.at(t.root, block), func(name string, _, _ *yaml.Node) { delete(want, block+"."+name) })
	}
	if len(want) > 0 {
		return fmt.Errorf("%s: --merge: %s of its entries cannot be kept; add them by hand", file, strconv.Itoa(len(want)))
	}
	return nil
}
