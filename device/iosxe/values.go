package iosxe

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/moncap/moncap/internal/lazyregexp"
)

// Name is the name of a capture point or of an access list. Only ParseName makes one that is not
// empty, so a Name can be put into a command line as it is.
type Name struct{ s string }

// A letter first, as a named access list needs it; 15 characters, the longest that IOS XE is known
// to take for a capture point.
var namePattern = lazyregexp.New(`^[A-Za-z][A-Za-z0-9_-]{0,14}$`)

// Words that mean something else after `monitor capture` or `show monitor capture`, on routers or
// on switches.
var reservedNames = []string{
	"access-list", "all", "buffer", "class-map", "clear", "control-plane", "export", "file", "interface", "limit",
	"match", "point", "start", "stop",
}

// ParseName reads the name of a capture point or an access list.
func ParseName(s string) (Name, error) {
	switch {
	case !namePattern.Get().MatchString(s):
		return Name{}, fmt.Errorf("name %q: want a letter and at most 14 more letters, digits, '_' or '-'", s)
	case slices.Contains(reservedNames, strings.ToLower(s)):
		return Name{}, fmt.Errorf("name %q: it is a keyword of monitor capture", s)
	}
	return Name{s}, nil
}

// String returns the name as it is typed.
func (n Name) String() string { return n.s }

// IsZero says whether n names nothing.
func (n Name) IsZero() bool { return n.s == "" }

// MarshalText writes the name; an empty one is written empty.
func (n Name) MarshalText() ([]byte, error) { return []byte(n.s), nil }

// UnmarshalText reads what MarshalText writes and validates it.
func (n *Name) UnmarshalText(b []byte) (err error) {
	if len(b) == 0 {
		*n = Name{}
		return nil
	}
	*n, err = ParseName(string(b))
	return err
}

// Interface is the name of a router's interface. Only ParseInterface makes one that is not empty.
type Interface struct{ s string }

// GigabitEthernet1, TenGigabitEthernet0/0/1.101, Port-channel1, Tunnel10, Gi0/0/0,
// Serial0/1/0:0, Serial0/1/0.1/1/1:0.100.
const (
	interfaceType   = `[A-Za-z][A-Za-z-]{0,31}`
	interfaceNumber = `[0-9]{1,10}(?:/[0-9]{1,5}){0,3}(?:\.[0-9]{1,10}(?:/[0-9]{1,5}){1,3})?(?::[0-9]{1,5})?(?:\.[0-9]{1,10})?`
)

var interfacePattern = lazyregexp.New(`^(` + interfaceType + `) ?(` + interfaceNumber + `)$`)

// ParseInterface reads the name of an interface, with or without the blank that IOS allows before
// the number.
func ParseInterface(s string) (Interface, error) {
	m := interfacePattern.Get().FindStringSubmatch(s)
	if m == nil {
		return Interface{},
			fmt.Errorf("interface %q: want a type and a number, like GigabitEthernet1 or TenGigabitEthernet0/0/1.101", s)
	}
	return Interface{m[1] + m[2]}, nil
}

// String returns the name as it is typed.
func (i Interface) String() string { return i.s }

// IsZero says whether i names nothing.
func (i Interface) IsZero() bool { return i.s == "" }

// MarshalText writes the name; an empty one is written empty.
func (i Interface) MarshalText() ([]byte, error) { return []byte(i.s), nil }

// UnmarshalText reads what MarshalText writes and validates it.
func (i *Interface) UnmarshalText(b []byte) (err error) {
	if len(b) == 0 {
		*i = Interface{}
		return nil
	}
	*i, err = ParseInterface(string(b))
	return err
}

// Is says whether the router's spelling of an interface means i: case is ignored, and the type may
// be abbreviated as IOS itself does it in narrow columns (Te0/0/4, Gi1).
func (i Interface) Is(router string) bool {
	a := interfacePattern.Get().FindStringSubmatch(i.s)
	b := interfacePattern.Get().FindStringSubmatch(strings.TrimSpace(router))
	if a == nil || b == nil || a[2] != b[2] {
		return false
	}
	long, short := strings.ToLower(a[1]), strings.ToLower(b[1])
	if len(long) < len(short) {
		long, short = short, long
	}
	return long == short || len(short) >= 2 && strings.HasPrefix(long, short)
}

// File is a file in the root of a router's bootflash:. Only ParseFile makes one that is not empty.
type File struct{ s string }

var filePattern = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// ParseFile reads a file name, with or without `bootflash:` or `bootflash:/` before it.
func ParseFile(s string) (File, error) {
	name := strings.TrimPrefix(strings.TrimPrefix(s, "bootflash:"), "/")
	if !filePattern.Get().MatchString(name) {
		return File{}, fmt.Errorf("file %q: want a name in bootflash: of letters, digits, '.', '_' and '-', at most 63", s)
	}
	return File{name}, nil
}

// String returns the file with its file system, as it is typed: bootflash:capture.pcap.
func (f File) String() string {
	if f.s == "" {
		return ""
	}
	return "bootflash:" + f.s
}

// Base returns the name alone.
func (f File) Base() string { return f.s }

// IsZero says whether f names nothing.
func (f File) IsZero() bool { return f.s == "" }

// MarshalText writes the path; an empty one is written empty.
func (f File) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText reads what MarshalText writes and validates it.
func (f *File) UnmarshalText(b []byte) (err error) {
	if len(b) == 0 {
		*f = File{}
		return nil
	}
	*f, err = ParseFile(string(b))
	return err
}

// VRF is the name of a routing table. Only ParseVRF makes one that is not empty.
type VRF struct{ s string }

var vrfPattern = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9_.:-]{0,31}$`)

// ParseVRF reads the name of a VRF; an empty one is the global table.
func ParseVRF(s string) (VRF, error) {
	if s != "" && !vrfPattern.Get().MatchString(s) {
		return VRF{}, fmt.Errorf("vrf %q: want at most 32 letters, digits, '_', '.', ':' or '-'", s)
	}
	return VRF{s}, nil
}

// String returns the name as it is typed; empty for the global table.
func (v VRF) String() string { return v.s }

// IsZero says whether v is the global table.
func (v VRF) IsZero() bool { return v.s == "" }

// before is the keyword and the name, as they stand before an address; empty for the global table.
func (v VRF) before() string {
	if v.s == "" {
		return ""
	}
	return "vrf " + v.s + " "
}

// MarshalText writes the name.
func (v VRF) MarshalText() ([]byte, error) { return []byte(v.s), nil }

// UnmarshalText reads what MarshalText writes and validates it.
func (v *VRF) UnmarshalText(b []byte) (err error) {
	*v, err = ParseVRF(string(b))
	return err
}

// hostAddr checks that a is one host's address that can be typed: no zone, no group, not
// unspecified. IPv4 in IPv6 is taken as the IPv4 address that it means.
func hostAddr(a netip.Addr) (netip.Addr, error) {
	a = a.Unmap()
	if !a.IsValid() || a.IsUnspecified() || a.IsMulticast() || a.Zone() != "" {
		return a, fmt.Errorf("address %s: want the address of one host", a)
	}
	return a, nil
}
