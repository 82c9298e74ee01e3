// Package testdata carries the incidents: two-sided captures of real negotiations with the
// truth about each. The tests check against them, and moncap demo replays them, so they are
// part of the binary.
package testdata

import (
	"bufio"
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"net/netip"
	"strings"
)

//go:embed incidents
var incidents embed.FS

// Incidents returns a file system with one folder an incident: a.pcap, b.pcap, truth.yaml, and the
// IKE keys in Wireshark's format where they are known.
func Incidents() fs.FS {
	f, err := fs.Sub(incidents, "incidents")
	if err != nil {
		panic(err) // the folder is embedded above
	}
	return f
}

// The gateways' addresses in all incidents, and what a NAT between them made of A's.
var (
	A4  = netip.MustParseAddr("192.168.1.1")
	B4  = netip.MustParseAddr("192.168.2.1")
	A6  = netip.MustParseAddr("fd00:1::1")
	B6  = netip.MustParseAddr("fd00:2::1")
	NAT = netip.MustParseAddr("198.51.100.1")
)

// Incident is one pair of captures.
type Incident struct {
	Name string
	What string // what was done to the path or to the configurations
	A, B []byte // the captures, pcap files
}

// List returns all incidents by name.
func List() ([]Incident, error) {
	entries, err := fs.ReadDir(Incidents(), ".")
	if err != nil {
		return nil, err
	}
	var all []Incident
	for _, e := range entries {
		i, err := Load(e.Name())
		if err != nil {
			return nil, err
		}
		all = append(all, i)
	}
	return all, nil
}

// Load returns the incident called name.
func Load(name string) (Incident, error) {
	i := Incident{Name: name}
	dir, err := fs.Sub(Incidents(), name)
	if err != nil {
		return i, fmt.Errorf("incident %q: %w", name, err)
	}
	truth, err := fs.ReadFile(dir, "truth.yaml")
	if err != nil {
		return i, fmt.Errorf("incident %q: there is none of that name", name)
	}
	i.What = what(truth)
	if i.A, err = fs.ReadFile(dir, "a.pcap"); err != nil {
		return i, err
	}
	i.B, err = fs.ReadFile(dir, "b.pcap")
	return i, err
}

// what reads the first field of truth.yaml, which is one quoted line in all of them.
func what(truth []byte) string {
	lines := bufio.NewScanner(bytes.NewReader(truth))
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), "what:"); ok {
			return strings.Trim(strings.TrimSpace(rest), `"`)
		}
	}
	return ""
}

// IPv6 says whether the gateways spoke IPv6.
func (i Incident) IPv6() bool {
	a := A6.As16()
	return bytes.Contains(i.A, a[:])
}

// Translated says whether a NAT changed A's address on the way to B.
func (i Incident) Translated() bool {
	nat := NAT.As4()
	return bytes.Contains(i.B, nat[:])
}
