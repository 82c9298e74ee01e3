package device

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"

	"github.com/moncap/moncap/device/inventory"
	"github.com/moncap/moncap/device/iosxe"
)

// hostKeys checks the keys of one hop against a known_hosts file: hashed names, ports,
// @cert-authority and @revoked lines.
type hostKeys struct {
	file    string
	db      *knownhosts.HostKeyDB // nil: the file is not there
	lines   []knownLine
	policy  string
	address string // in the form in which it is looked for
}

// loadHostKeys reads the peer's file for one hop.
func (r *Router) loadHostKeys(policy, address string) (*hostKeys, error) {
	h := &hostKeys{file: r.peer.KnownHosts, policy: policy, address: canonicalAddress(address)}
	known, err := readKnownHosts(h.file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return h, nil
	case err != nil:
		return nil, fmt.Errorf("known hosts: %w", err)
	case len(known.skipped) > 0:
		r.warnHosts.Do(func() {
			r.o.Log.Warn("known_hosts: lines that are not understood are skipped", "file", h.file, "lines",
				strings.Join(known.skipped, "; "))
		})
	}
	h.lines, h.db = known.lines, known.db
	return h, nil
}

// algorithms are those of the keys that are known for the host; none when it is not known. Offering
// others would let a host with two keys present the one that the file does not have.
func (h *hostKeys) algorithms() []string {
	if h.db == nil {
		return nil
	}
	return h.db.HostKeyAlgorithms(h.address)
}

// check is the ssh.HostKeyCallback.
func (h *hostKeys) check(_ string, remote net.Addr, key ssh.PublicKey) error {
	err := h.known(remote, key)
	switch {
	case err == nil:
		return nil
	case knownhosts.IsHostKeyChanged(err):
		return fmt.Errorf("%s: %w: it presents %s", h.address, errChangedKey, ssh.FingerprintSHA256(key))
	case knownhosts.IsHostUnknown(err) && h.policy == inventory.HostKeyAcceptNew:
		return appendKnownHost(h.file, h.address, remote, key)
	case knownhosts.IsHostUnknown(err):
		return fmt.Errorf("%s: %w in %s: it presents %s %s%s", h.address, errUnknownHost, h.file, key.Type(),
			ssh.FingerprintSHA256(key), elsewhere(h.lines, h.address, key))
	case revoked(err):
		return fmt.Errorf("%s: %w: %s", h.address, errRevokedKey, ssh.FingerprintSHA256(key))
	}
	return err
}

func revoked(err error) bool {
	_, ok := errors.AsType[*xknownhosts.RevokedError](err)
	return ok
}

// explain tells a host that has no key of a kind that is known from one that speaks only outdated
// algorithms: of an RSA key that is known, signatures with SHA-1 are outdated.
func (h *hostKeys) explain(err error) error {
	none, ok := errors.AsType[*ssh.AlgorithmNegotiationError](err)
	known := h.algorithms()
	outdated := ok && slices.ContainsFunc(none.RequestedAlgorithms,
		func(a string) bool { return slices.Contains(known, a) })
	if ok && strings.HasPrefix(none.What, "host key") && len(known) > 0 && !outdated {
		return fmt.Errorf("%s: %w: known are %s, it offers %s", h.address, errChangedKey, strings.Join(known, ", "),
			iosxe.Printable(strings.Join(none.RequestedAlgorithms, ", ")))
	}
	return err
}

func (h *hostKeys) known(remote net.Addr, key ssh.PublicKey) error {
	if h.db == nil {
		return unknownError()
	}
	return h.db.HostKeyCallback()(h.address, remote, key)
}

// unknownError is what the library returns for a host that no line names.
func unknownError() error { return &xknownhosts.KeyError{} }

func appendKnownHost(file, address string, remote net.Addr, key ssh.PublicKey) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("known hosts: %w", err)
	}
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("known hosts: %w", err)
	}
	var line bytes.Buffer
	if info, err := f.Stat(); err == nil && info.Size() > 0 {
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, info.Size()-1); err == nil && last[0] != '\n' {
			line.WriteByte('\n') // somebody's editor left the last line open
		}
	}
	err = knownhosts.WriteKnownHost(&line, address, remote, key)
	if err == nil {
		_, err = f.Write(line.Bytes())
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("known hosts: %s: %w", file, err)
	}
	return nil
}

// HostKeyInfo is the host key that a router presents.
type HostKeyInfo struct {
	Algorithm   string
	Fingerprint string // SHA256:..., as ssh-keygen and `show ip ssh` tools print it
	Known       bool   // the very key is in known_hosts
	Changed     bool   // another key of the host is
	Revoked     bool   // the key is marked @revoked
	key         ssh.PublicKey
	remote      net.Addr
	address     string // as known_hosts names it
}

// errSeen ends a handshake of which only the host key was wanted.
var errSeen = errors.New("the key was seen")

// ScanHostKey asks a router for its host key without logging in. Jump hosts on the way are checked
// and logged in to.
func ScanHostKey(ctx context.Context, peer inventory.Peer, o Options) (HostKeyInfo, error) {
	r := New(peer, o)
	info, err := r.scan(ctx)
	if err != nil {
		return info, r.fail("host key", err)
	}
	return info, nil
}

func (r *Router) scan(ctx context.Context) (info HostKeyInfo, err error) {
	_, target, err := r.route()
	if err != nil {
		return info, err
	}
	h, err := r.loadHostKeys(inventory.HostKeyStrict, target.address())
	if err != nil {
		return info, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, r.o.Timeouts.Dial, fmt.Errorf("no host key in %s", r.o.Timeouts.Dial))
	defer cancel()
	p, err := r.reach(ctx)
	if err != nil {
		return info, err
	}
	defer p.Close()
	config := r.clientConfig(target.user, nil, r.peer.LegacySSH)
	// Any key is worth seeing, but one that is known is preferred.
	known := h.algorithms()
	config.HostKeyAlgorithms = append(known,
		slices.DeleteFunc(slices.Clone(config.HostKeyAlgorithms),
			func(s string) bool { return slices.Contains(known, s) })...)
	config.HostKeyCallback = func(_ string, remote net.Addr, key ssh.PublicKey) error {
		err := h.known(remote, key)
		info = HostKeyInfo{Algorithm: key.Type(), Fingerprint: ssh.FingerprintSHA256(key), Known: err == nil,
			Changed: err != nil && knownhosts.IsHostKeyChanged(err), Revoked: revoked(err), key: key, remote: remote,
			address: h.address}
		return errSeen
	}
	_, err = r.handshake(ctx, p, target.address(), config, &authenticator{router: r})
	if info.key == nil {
		return info, err
	}
	return info, nil
}

// AcceptHostKey adds the key to the peer's known_hosts file. A key that changed or was revoked is
// not accepted.
func AcceptHostKey(peer inventory.Peer, info HostKeyInfo) error {
	switch {
	case info.key == nil:
		return &Error{Peer: peer.Name, Op: "host key", Err: errors.New("there is no key to accept")}
	case info.Changed:
		return &Error{Peer: peer.Name, Op: "host key", Err: errChangedKey}
	case info.Revoked:
		return &Error{Peer: peer.Name, Op: "host key", Err: errRevokedKey}
	case info.Known:
		return nil
	}
	if err := appendKnownHost(peer.KnownHosts, info.address, info.remote, info.key); err != nil {
		return &Error{Peer: peer.Name, Op: "host key", Err: err}
	}
	return nil
}
