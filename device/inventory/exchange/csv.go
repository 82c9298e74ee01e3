package exchange

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// csvColumns are those of a table of routers. A row is a router, or one side of a tunnel when
// tunnel and side are set; of a router that stands in several rows, what a later one leaves empty
// is what an earlier one said; rows that disagree are refused.
var csvColumns = []string{
	"name", "host", "port", "username", "password", "enable", "key_file", "jump", "platform", "interface", "address",
	"nat_address", "vrf", "also",
	"tunnel", "side", "tags",
}

// pairColumns are those of a table of tunnels.
var pairColumns = []string{
	"tunnel", "a", "b", "tags", "a_interface", "a_address", "a_nat_address", "a_vrf", "a_also", "b_interface",
	"b_address", "b_nat_address", "b_vrf", "b_also",
}

// table reads CSV (RFC 4180) whose first row names the columns.
func table(file string, text []byte, columns []string, need ...string) ([]map[string]string, []int, error) {
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))))
	r.TrimLeadingSpace = true
	head, err := r.Read()
	if err != nil {
		return nil, nil, fmt.Errorf("%s: want a first row with the names of the columns: %w", file, err)
	}
	seen := map[string]bool{}
	for i, name := range head {
		head[i] = strings.ToLower(strings.TrimSpace(name))
		if !slices.Contains(columns, head[i]) || seen[head[i]] {
			return nil, nil, fmt.Errorf("%s:1: column %d, %.40q: want each of these once at most: %s", file, i+1, name,
				strings.Join(columns, ", "))
		}
		seen[head[i]] = true
	}
	for _, name := range need {
		if !seen[name] {
			return nil, nil, fmt.Errorf("%s:1: there is no column %s", file, name)
		}
	}
	var rows []map[string]string
	var lines []int
	for {
		fields, err := r.Read()
		if errors.Is(err, io.EOF) {
			return rows, lines, nil
		}
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", file, err)
		}
		row := map[string]string{}
		for i, f := range fields {
			f = strings.TrimSpace(f)
			// A spreadsheet's guard against formulas, which export writes.
			if rest, ok := strings.CutPrefix(f, "'"); ok && isFormula(rest) {
				f = rest
			}
			row[head[i]] = f
		}
		line, _ := r.FieldPos(0)
		rows, lines = append(rows, row), append(lines, line)
	}
}

// isFormula says whether a spreadsheet would compute s instead of showing it.
func isFormula(s string) bool { return s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) }

// said is what the rows of a table have said of each router. Of two rows that disagree, one would
// send the captures of a tunnel to a router, or an interface, that is not its own.
type said map[string]map[string]string

func (s said) agrees(name string, row map[string]string) error {
	if s[name] == nil {
		s[name] = map[string]string{}
	}
	for _, column := range csvColumns[1 : len(csvColumns)-3] { // those of a router
		before, v := s[name][column], row[column]
		if v == "" {
			continue
		}
		if before != "" && before != v {
			return fmt.Errorf("router %.40q: an earlier row has another %s", name, column) // no value: it may be a password
		}
		s[name][column] = v
	}
	return nil
}

func readCSV(s *source, d *Draft) error {
	b, err := s.read()
	if err != nil {
		return err
	}
	rows, lines, err := table(s.name, b, csvColumns, "name")
	if err != nil {
		return err
	}
	peers, skipped := map[string]*Peer{}, map[string]bool{}
	ends, have := map[string]*Tunnel{}, said{}
	var errs error
	for i, row := range rows {
		name := row["name"]
		bad := func(format string, args ...any) {
			errs = errors.Join(errs, fmt.Errorf("%s:%d: "+format, append([]any{s.name, lines[i]}, args...)...))
		}
		if name == "" {
			bad("name is empty")
			continue
		}
		p := peers[name]
		if p == nil && !skipped[name] {
			p = &Peer{Name: name}
			platform := row["platform"]
			if platform == "" {
				platform = "cisco_iosxe"
			}
			if skipped[name] = !d.take(p, platform, "platform"); !skipped[name] {
				peers[name] = p
			}
		}
		if skipped[name] {
			continue
		}
		if err := errors.Join(have.agrees(name, row), p.fromRow(row)); err != nil {
			bad("%w", err)
		}
		if row["tunnel"] == "" {
			continue
		}
		t := ends[row["tunnel"]]
		if t == nil {
			t = &Tunnel{Name: goodName(row["tunnel"])}
			ends[row["tunnel"]] = t
		}
		t.addTags(row["tags"])
		switch side := strings.ToLower(row["side"]); {
		case side == "a" && t.A == "":
			t.A = goodName(name)
		case side == "b" && t.B == "":
			t.B = goodName(name)
		default:
			bad("tunnel %.40q: want side a once and side b once", row["tunnel"])
		}
	}
	for name, t := range ends {
		if t.A == "" || t.B == "" {
			d.note(dropped, name, "a tunnel that has one side only")
			continue
		}
		d.Tunnels = append(d.Tunnels, *t)
	}
	return errs
}

func (t *Tunnel) addTags(list string) {
	for _, tag := range strings.FieldsFunc(list, func(r rune) bool { return r == ';' || r == ' ' }) {
		if tag = goodName(tag); tag != "" && !slices.Contains(t.Tags, tag) {
			t.Tags = append(t.Tags, tag)
		}
	}
}

// listOf is a list in a cell or in a variable: its items stand between
// semicolons, commas or blanks.
func listOf(v string) []string {
	return strings.FieldsFunc(v, func(r rune) bool { return r == ';' || r == ',' || r == ' ' })
}

func (p *Peer) fromRow(row map[string]string) error {
	set := func(into *string, key string) {
		if v := row[key]; v != "" {
			*into = v
		}
	}
	set(&p.Host, "host")
	set(&p.Username, "username")
	set(&p.KeyFile, "key_file")
	set(&p.Interface, "interface")
	set(&p.Address, "address")
	set(&p.NATAddress, "nat_address")
	set(&p.VRF, "vrf")
	if v := row["also"]; v != "" {
		p.Also = listOf(v)
	}
	if v := row["jump"]; v != "" {
		p.Jump = strings.FieldsFunc(v, func(r rune) bool { return r == ';' || r == ' ' })
	}
	if v := row["port"]; v != "" {
		if p.Port = port(v); p.Port == 0 {
			return fmt.Errorf("port %.20q: want a number from 1 to 65535", v)
		}
	}
	if v := row["password"]; v != "" {
		if isReference(v) {
			p.Password = v
		} else {
			p.passwordClear = v
		}
	}
	if v := row["enable"]; v != "" {
		if p.Enable = v; !isReference(v) {
			p.Enable = "env:MONCAP_ENABLE"
		}
	}
	return nil
}

// readPairs adds the tunnels of a table, and what it says of their ends.
func (d *Draft) readPairs(file string, text []byte) error {
	rows, lines, err := table(file, text, pairColumns, "tunnel", "a", "b")
	if err != nil {
		return err
	}
	peers := map[string]*Peer{}
	for _, p := range d.Peers {
		peers[p.Name] = p
	}
	have, ends := map[string]bool{}, said{}
	var errs error
	for i, row := range rows {
		t := Tunnel{Name: goodName(row["tunnel"]), A: goodName(row["a"]), B: goodName(row["b"])}
		t.addTags(row["tags"])
		if t.Name == "" || have[t.Name] || t.A == t.B {
			errs = errors.Join(errs, fmt.Errorf("%s:%d: want a tunnel with a name of its own and two routers", file, lines[i]))
			continue
		}
		have[t.Name] = true
		if peers[t.A] == nil || peers[t.B] == nil {
			d.note(dropped, t.Name, "a tunnel with a router that is not in the source")
			continue
		}
		for side, p := range map[string]*Peer{"a_": peers[t.A], "b_": peers[t.B]} {
			own := map[string]string{}
			for _, key := range []string{"interface", "address", "nat_address", "vrf", "also"} {
				own[key] = row[side+key]
			}
			if err := errors.Join(ends.agrees(p.Name, own), p.fromRow(own)); err != nil {
				errs = errors.Join(errs, fmt.Errorf("%s:%d: %w", file, lines[i], err))
			}
		}
		d.Tunnels = slices.DeleteFunc(d.Tunnels, func(o Tunnel) bool {
			return o.Name == t.Name || o.A == t.A && o.B == t.B || o.A == t.B && o.B == t.A
		})
		d.Tunnels = append(d.Tunnels, t)
	}
	return errs
}
