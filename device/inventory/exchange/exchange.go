// Package exchange turns what other tools know about routers into an inventory of moncap's, and an
// inventory into what they read.
//
// It is offline, but for NetBox, and guesses nothing that a capture depends on: a WAN
// interface or address that the source does not name is written as CHANGE-ME, which the
// inventory's own validation refuses with its line. A password is never copied, only where it
// may be kept. What was taken, what was guessed and what was dropped is accounted for, and the
// same source gives the same bytes.
package exchange

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Unknown stands where only the operator knows what belongs there.
const Unknown = "CHANGE-ME"

// Sources are the kinds of source that Read takes.
var Sources = []string{"ansible", "pyats", "nornir", "containerlab", "netbox", "csv"}

// maxSource bounds one file of a source in bytes.
const maxSource = 64 << 20

// Peer is a router as a source describes it; what is empty is not known. Password, Enable and
// Passphrase are references to where a secret is kept, never a secret.
type Peer struct {
	Name, Host                    string
	Port                          int
	Username                      string
	Password, Enable, Passphrase  string
	KeyFile                       string
	Jump                          []string // [user@]host[:port]
	Interface, Address            string
	NATAddress, VRF               string
	Also                          []string // further interfaces of the WAN
	SSHConfig, LegacySSH          bool
	candidates                    []string // interfaces that may be the WAN's
	passwordClear, passwordHidden string   // while reading: what is never written, to tell one login from another
}

// Tunnel is a pair of peers.
type Tunnel struct {
	Name, A, B string
	Tags       []string
}

// Draft is what a source gave.
type Draft struct {
	From    string
	Peers   []*Peer
	Tunnels []Tunnel
	notes   map[note][]string
}

type note struct{ kind, text string }

// Note is a line of the account: of a kind (taken, guessed, missing or dropped), what it is about,
// and whom it concerns.
type Note struct {
	Kind string   `json:"kind"`
	Text string   `json:"text"`
	Who  []string `json:"who"`
}

const (
	taken   = "taken"
	guessed = "guessed"
	missing = "missing"
	dropped = "dropped"
)

func (d *Draft) note(kind, who, format string, args ...any) {
	if d.notes == nil {
		d.notes = map[note][]string{}
	}
	n := note{kind, fmt.Sprintf(format, args...)}
	if all := d.notes[n]; len(all) == 0 || all[len(all)-1] != who {
		d.notes[n] = append(all, who)
	}
}

// Notes is the account of what was taken, guessed, missing and dropped, in this order.
func (d *Draft) Notes() []Note {
	all := []Note{
		{taken, "routers", d.names()},
		{taken, "tunnels", d.tunnelNames()},
	}
	order := map[string]int{taken: 0, guessed: 1, missing: 2, dropped: 3}
	for _, n := range slices.SortedFunc(maps.Keys(d.notes), func(a, b note) int {
		return cmp.Or(cmp.Compare(order[a.kind], order[b.kind]), cmp.Compare(a.text, b.text))
	}) {
		who := slices.Sorted(slices.Values(d.notes[n]))
		all = append(all, Note{n.kind, n.text, slices.Compact(who)})
	}
	return all
}

func (d *Draft) names() []string {
	names := []string{}
	for _, p := range d.Peers {
		names = append(names, p.Name)
	}
	return names
}

func (d *Draft) tunnelNames() []string {
	names := []string{}
	for _, t := range d.Tunnels {
		names = append(names, t.Name)
	}
	return names
}

// String is the note in a line.
func (n Note) String() string {
	const most = 5
	who := n.Who
	more := ""
	if len(who) > most {
		who, more = who[:most], fmt.Sprintf(" and %d more", len(n.Who)-most)
	}
	names := ""
	if len(who) > 0 {
		names = ": " + strings.Join(who, ", ") + more
	}
	return fmt.Sprintf("%-8s %s (%d)%s", n.Kind, n.Text, len(n.Who), names)
}

// Read reads the source of a kind. name is a file, or a folder where the tool keeps several; - is
// text, which has been read. pairs is the text of a file of tunnels, or nil.
func Read(kind string, fsys fs.FS, name string, text, pairs []byte) (*Draft, error) {
	s := &source{fsys: fsys, name: name, text: text}
	d := &Draft{From: kind}
	var err error
	switch kind {
	case "ansible":
		err = readAnsible(s, d)
	case "pyats":
		err = readPyATS(s, d)
	case "nornir":
		err = readNornir(s, d)
	case "containerlab":
		err = readContainerlab(s, d)
	case "csv":
		err = readCSV(s, d)
	default:
		err = fmt.Errorf("no such kind of source: %s", kind)
	}
	if err != nil {
		return nil, err
	}
	return d, d.complete(pairs)
}

// complete checks and sorts what was read, joins the tunnels, and settles how to log in.
func (d *Draft) complete(pairs []byte) error {
	d.rename()
	if pairs != nil {
		if err := d.readPairs("tunnels", pairs); err != nil {
			return err
		}
	}
	slices.SortFunc(d.Peers, func(a, b *Peer) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(d.Tunnels, func(a, b Tunnel) int { return cmp.Compare(a.Name, b.Name) })
	if len(d.Peers) == 0 {
		var why []string
		for _, n := range d.Notes()[2:] {
			why = append(why, n.String())
		}
		return errors.Join(errors.New("no router that moncap can drive is in it"), errors.New(strings.Join(why, "\n")))
	}
	for _, p := range d.Peers {
		if p.Host == "" {
			p.Host = p.Name
			d.note(guessed, p.Name, "the management address is its name")
		}
		if p.Interface == "" || p.Address == "" {
			d.note(missing, p.Name, "the WAN interface or the VPN address; %s stands there", Unknown)
		}
	}
	d.references()
	return nil
}

// rename makes names that an inventory may have. Names that become the same are dropped, as nothing
// tells which is meant.
func (d *Draft) rename() {
	seen := map[string]bool{}
	d.Peers = slices.DeleteFunc(d.Peers, func(p *Peer) bool {
		name := goodName(p.Name)
		if name != p.Name {
			d.note(guessed, p.Name, "a name without the characters that names may not have")
		}
		if name == "" || seen[name] {
			d.note(dropped, p.Name, "no name is left, or another has it already")
			return true
		}
		seen[name], p.Name = true, name
		return false
	})
}

func goodName(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '_', r == '-':
			return r
		}
		return '-'
	}, s)
	s = strings.TrimLeft(s, "._-")
	return s[:min(63, len(s))]
}

// references settles where passwords are kept. One that stood in the source is not repeated.
// Routers whose source says the same get one reference, others each their own: a password must not
// reach a router that it is not for.
func (d *Draft) references() {
	logins := map[string]bool{}
	for _, p := range d.Peers {
		if p.Password == "" {
			logins[p.passwordClear+"\x00"+p.passwordHidden] = true
		}
	}
	for _, p := range d.Peers {
		own := "env:MONCAP_PASSWORD"
		if (p.passwordClear != "" || p.passwordHidden != "") && len(logins) > 1 {
			own += "_" + variable(p.Name)
		}
		const advice = "put it where the reference says (env:MONCAP_PASSWORD...)"
		switch {
		case p.Password != "" || p.KeyFile != "" && p.passwordClear == "" && p.passwordHidden == "":
		case p.passwordClear != "":
			p.Password = own
			d.note(dropped, p.Name, "a password that stands in the source in clear; "+advice)
		case p.passwordHidden != "":
			p.Password = own
			d.note(dropped, p.Name, "a password that %s; "+advice, p.passwordHidden)
		default:
			p.Password = own
			d.note(guessed, p.Name, "where its password is kept: env:MONCAP_PASSWORD")
		}
		p.passwordClear, p.passwordHidden = "", ""
		if p.Username == "" && !p.SSHConfig {
			d.note(missing, p.Name, "the user name; set username in defaults")
		}
	}
}

// variable is the name of an environment variable for a router.
func variable(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToUpper(name))
}

// source is where the text of a tool's inventory is.
type source struct {
	fsys fs.FS
	name string
	text []byte // of stdin
}

// read returns the main file.
func (s *source) read() ([]byte, error) {
	if s.text != nil {
		return s.text, nil
	}
	return s.file(s.name)
}

// file reads one file of the source.
func (s *source) file(name string) ([]byte, error) {
	if s.fsys == nil {
		return nil, fs.ErrNotExist
	}
	f, err := s.fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSource+1))
	if err == nil && len(b) > maxSource {
		err = fmt.Errorf("%s: larger than %d MB", name, maxSource>>20)
	}
	return b, err
}

// isFolder says whether the source is one.
func (s *source) isFolder() bool {
	if s.text != nil {
		return false
	}
	info, err := fs.Stat(s.fsys, s.name)
	return err == nil && info.IsDir()
}

// beside names a file in the folder of the source, or in the source that is a folder.
func (s *source) beside(name string) string {
	if s.isFolder() {
		return path.Join(s.name, name)
	}
	return path.Join(path.Dir(s.name), name)
}

// port reads a TCP port; 0 is none.
func port(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > 65535 {
		return 0
	}
	return n
}

// ios says whether a platform is one that moncap drives, in the words of other tools, and whether
// that has to be believed: most of them call IOS XE plain IOS.
func ios(platform string) (ok, guess bool) {
	switch strings.ToLower(platform) {
	case "iosxe", "ios-xe", "cisco_xe", "cisco_iosxe", "cisco-ios-xe", "csr1000v", "c8000v", "cisco.iosxe.iosxe":
		return true, false
	case "ios", "cisco.ios.ios", "cisco_ios", "cisco-ios":
		return true, true
	}
	return false, false
}

// take adds a router of a platform, or drops it.
func (d *Draft) take(p *Peer, platform, key string) bool {
	ok, guess := ios(platform)
	switch {
	case platform == "":
		d.note(dropped, p.Name, "no %s says that it runs IOS XE", key)
	case !ok:
		d.note(dropped, p.Name, "not IOS XE: %s is %.40q", key, platform)
	case guess:
		d.note(guessed, p.Name, "IOS XE: %s is %.40q", key, platform)
	}
	if ok {
		d.Peers = append(d.Peers, p)
	}
	return ok
}
