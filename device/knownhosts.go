package device

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"

	"github.com/moncap/moncap/device/inventory"
)

// knownLine is a line of a known_hosts file: [marker] names type key.
type knownLine struct {
	number              int
	marker, names, rest string
	key                 ssh.PublicKey
}

var errRevokedLine = errors.New("a @revoked line cannot be read, so that nobody can tell which key it means")

// knownHosts is what a file says.
type knownHosts struct {
	lines   []knownLine
	db      *knownhosts.HostKeyDB
	skipped []string // what is not understood
}

// parsedHosts keeps what the files said, by their names and bytes: a fleet's file is read for every
// login, and is the same.
var parsedHosts = struct {
	sync.Mutex
	by map[string]parsedFile
}{by: map[string]parsedFile{}}

type parsedFile struct {
	sum   [sha256.Size]byte
	hosts *knownHosts
}

// maxKnownHosts bounds a known_hosts file: a hundred thousand hosts have room in it.
const maxKnownHosts = 64 << 20

// readKnownHosts reads a known_hosts file as OpenSSH does: names without regard to case, addresses
// in whatever form they stand, and what it does not understand left out, but for @revoked lines.
func readKnownHosts(file string) (*knownHosts, error) {
	b, err := inventory.ReadRegular(file, maxKnownHosts, nil)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(b)
	parsedHosts.Lock()
	defer parsedHosts.Unlock()
	if known := parsedHosts.by[file]; known.hosts != nil && known.sum == sum {
		return known.hosts, nil
	}
	hosts, err := parseKnownHosts(file, string(b))
	if err != nil {
		return nil, err
	}
	parsedHosts.by[file] = parsedFile{sum, hosts}
	return hosts, nil
}

func parseKnownHosts(file, all string) (*knownHosts, error) {
	var h knownHosts
	var normal bytes.Buffer
	for i, text := range strings.Split(all, "\n") {
		text = strings.TrimSpace(text)
		l, why := readKnownLine(text)
		switch l.number = i + 1; {
		case text == "" || text[0] == '#':
		case why != nil && l.marker == markRevoked:
			return nil, fmt.Errorf("%s:%d: %w: %w", file, l.number, errRevokedLine, why)
		case why != nil:
			h.skipped = append(h.skipped, fmt.Sprintf("line %d: %v", l.number, why))
		default:
			h.lines = append(h.lines, l)
			fmt.Fprintf(&normal, "%s %s %s", l.marker, l.names, l.rest)
		}
		normal.WriteByte('\n') // the library's line numbers stay those of the file
	}
	var err error
	if h.db, err = knownDB(normal.Bytes()); err != nil {
		h.db, err = knownhosts.NewDB(file) // a disk without room must not keep anybody from cleaning up
	}
	return &h, err
}

// knownDB has the library read what is in memory. It reads files only.
func knownDB(text []byte) (*knownhosts.HostKeyDB, error) {
	f, err := os.CreateTemp("", "moncap-known-hosts-")
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return knownhosts.NewDB(f.Name())
}

const (
	markRevoked = "@revoked"
	markCA      = "@cert-authority"
)

func readKnownLine(text string) (l knownLine, err error) {
	words := strings.Fields(text)
	if len(words) > 0 && words[0][0] == '@' {
		l.marker, words = words[0], words[1:]
	}
	if l.marker != "" && l.marker != markCA && l.marker != markRevoked {
		return l, fmt.Errorf("the marker %s is unknown", l.marker)
	}
	if len(words) < 3 {
		return l, errors.New("want names, a key's type and the key")
	}
	blob, err := base64.StdEncoding.DecodeString(words[2])
	if err != nil {
		return l, fmt.Errorf("no key of the type %s", words[1])
	}
	if l.key, err = ssh.ParsePublicKey(blob); err != nil || l.key.Type() != words[1] {
		return l, fmt.Errorf("no key of a type that is known (%s)", words[1])
	}
	l.names, err = canonicalNames(words[0])
	l.rest = words[1] + " " + words[2]
	return l, err
}

// canonicalNames writes the names of a line as they are looked for. Hashed ones stay, if
// they are well-formed.
func canonicalNames(names string) (string, error) {
	if strings.HasPrefix(names, "|") {
		parts := strings.Split(names, "|")
		if len(parts) != 4 || parts[1] != "1" {
			return "", errors.New("a hash of an unknown kind")
		}
		for _, p := range parts[2:] {
			if _, err := base64.StdEncoding.DecodeString(p); err != nil {
				return "", errors.New("a damaged hash")
			}
		}
		return names, nil
	}
	var all []string
	for name := range strings.SplitSeq(names, ",") {
		name, not := strings.CutPrefix(name, "!")
		if name == "" {
			continue
		}
		if name[0] == '[' {
			host, port, err := net.SplitHostPort(name)
			if err != nil {
				return "", fmt.Errorf("the name %s is none", name)
			}
			name = "[" + canonicalHost(host) + "]:" + port
		} else {
			name = canonicalHost(name)
		}
		if not {
			name = "!" + name
		}
		all = append(all, name)
	}
	if len(all) == 0 {
		return "", errors.New("it names no host")
	}
	return strings.Join(all, ","), nil
}

// canonicalHost is a host as OpenSSH looks it up: a name in lower case, an address in
// its canonical form.
func canonicalHost(host string) string {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.String()
	}
	return strings.ToLower(host)
}

func canonicalAddress(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return net.JoinHostPort(canonicalHost(host), port)
}

// elsewhere names lines that have the very key, or any key of the host, for another port: a
// forwarded port, an address that was entered without its port.
func elsewhere(lines []knownLine, address string, key ssh.PublicKey) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return ""
	}
	for _, same := range []bool{true, false} {
		for _, l := range lines {
			if bytes.Equal(l.key.Marshal(), key.Marshal()) != same || l.marker != "" {
				continue
			}
			if at := l.otherPort(host, port); at != "" {
				return fmt.Sprintf("; line %d has %s for %s", l.number,
					map[bool]string{true: "the same key", false: "another key"}[same], at)
			}
		}
	}
	return ""
}

// otherPort is the name of host in the line, with another port; "" when the line does not have it.
func (l knownLine) otherPort(host, port string) string {
	for name := range strings.SplitSeq(l.names, ",") {
		h, p, err := net.SplitHostPort(name)
		if err != nil || name[0] != '[' {
			h, p = name, "22"
		}
		if h == host && p != port {
			return name
		}
	}
	return ""
}
