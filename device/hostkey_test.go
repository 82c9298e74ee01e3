package device

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/moncap/moncap/device/inventory"
	"github.com/moncap/moncap/device/simulator"
)

func TestHostKeys(t *testing.T) {
	router, other := newSigner(t), newSigner(t)
	line := func(address string, key ssh.PublicKey) string { return knownhosts.Line([]string{address}, key) }
	tests := []struct {
		name, file string
		policy     string
		want       error
	}{
		{"known", line("192.0.2.10:22", router.PublicKey()), inventory.HostKeyStrict, nil},
		{"hashed name", knownhosts.Line([]string{knownhosts.HashHostname("192.0.2.10")}, router.PublicKey()),
			inventory.HostKeyStrict, nil},
		{"unknown", line("192.0.2.11:22", router.PublicKey()), inventory.HostKeyStrict, errUnknownHost},
		{"empty file", "", inventory.HostKeyStrict, errUnknownHost},
		{"another port", line("192.0.2.10:2222", router.PublicKey()), inventory.HostKeyStrict, errUnknownHost},
		{"revoked", "@revoked " + line("*", router.PublicKey()) + "\n" + line("192.0.2.10:22", router.PublicKey()),
			inventory.HostKeyStrict, errRevokedKey},
		{"revoked, though new ones are accepted", "@revoked " + line("*", router.PublicKey()), inventory.HostKeyAcceptNew,
			errRevokedKey},
		{"known by a key of another kind", line("192.0.2.10:22", newECDSASigner(t).PublicKey()), inventory.HostKeyStrict,
			errChangedKey},
		{"changed", line("192.0.2.10:22", other.PublicKey()), inventory.HostKeyStrict, errChangedKey},
		{"changed, though new ones are accepted", line("192.0.2.10:22", other.PublicKey()), inventory.HostKeyAcceptNew,
			errChangedKey},
		{"new", "", inventory.HostKeyAcceptNew, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t, simulator.Config{HostKeys: []ssh.Signer{router}})
			if err := os.WriteFile(l.peer.KnownHosts, []byte(tt.file+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			l.peer.HostKey = tt.policy
			err := l.router().Open(t.Context())
			if !errors.Is(err, tt.want) {
				t.Fatalf("error %v, want %v", err, tt.want)
			}
			if tt.want != nil {
				e, ok := errors.AsType[*Error](err)
				if !ok || !strings.Contains(e.Hint(), "moncap trust site-a") && tt.want != errRevokedKey || e.Hint() == "" ||
					!e.Lasting() {
					t.Errorf("hint %q", e.Hint())
				}
			}
			if strings.Contains(l.record.String(), canary) || len(l.sim.Commands()) > 0 && tt.want != nil {
				t.Error("something was sent to a router that is not known")
			}
		})
	}
}

func TestNoKnownHostsFile(t *testing.T) {
	l := newLab(t, simulator.Config{})
	l.peer.KnownHosts += ".missing"
	if err := l.router().Open(t.Context()); !errors.Is(err, errUnknownHost) {
		t.Fatal(err)
	}
	l.peer.HostKey = inventory.HostKeyAcceptNew
	if err := l.router().Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.peer.HostKey = inventory.HostKeyStrict
	if err := l.router().Open(t.Context()); err != nil {
		t.Errorf("the key was not recorded: %v", err)
	}
}

// A router with two keys must be asked for the one that the file has.
func TestOnlyKnownKindsOfKeysAreOffered(t *testing.T) {
	ed, ec := newSigner(t), newECDSASigner(t)
	for _, known := range []ssh.Signer{ed, ec} {
		l := newLab(t, simulator.Config{HostKeys: []ssh.Signer{ed, ec}})
		l.peer.KnownHosts = knownHostsFile(t, "192.0.2.10:22", known.PublicKey())
		if err := l.router().Open(t.Context()); err != nil {
			t.Errorf("%s: %v", known.PublicKey().Type(), err)
		}
	}
}

func TestTrust(t *testing.T) {
	l := newLab(t, simulator.Config{})
	key := l.sim.HostKey()
	open := knownhosts.Line([]string{"192.0.2.99"}, newSigner(t).PublicKey()) // without a newline
	if err := os.WriteFile(l.peer.KnownHosts, []byte(open), 0o600); err != nil {
		t.Fatal(err)
	}
	info, err := ScanHostKey(t.Context(), l.peer, l.o)
	if err != nil {
		t.Fatal(err)
	}
	if info.Known || info.Changed || info.Fingerprint != ssh.FingerprintSHA256(key) || info.Algorithm != key.Type() {
		t.Errorf("%+v", info)
	}
	if err := AcceptHostKey(l.peer, info); err != nil {
		t.Fatal(err)
	}
	if err := l.router().Open(t.Context()); err != nil {
		t.Error(err)
	}
	if b, err := os.ReadFile(l.peer.KnownHosts); err != nil || !strings.HasPrefix(string(b), open+"\n") {
		t.Errorf("the file was damaged: %q, %v", b, err)
	}
	if info, err = ScanHostKey(t.Context(), l.peer, l.o); err != nil || !info.Known {
		t.Errorf("%+v, %v", info, err)
	}
	l.peer.KnownHosts = knownHostsFile(t, "192.0.2.10:22", newSigner(t).PublicKey())
	if info, err = ScanHostKey(t.Context(), l.peer, l.o); err != nil || !info.Changed {
		t.Errorf("%+v, %v", info, err)
	}
	if err := AcceptHostKey(l.peer, info); !errors.Is(err, errChangedKey) {
		t.Errorf("a changed key: %v", err)
	}
	l.peer.KnownHosts = knownHostsFile(t, "192.0.2.10:22", newECDSASigner(t).PublicKey())
	if info, err = ScanHostKey(t.Context(), l.peer, l.o); err != nil || !info.Changed {
		t.Errorf("a key of another kind: %+v, %v", info, err)
	}
	if err := os.WriteFile(l.peer.KnownHosts, []byte("@revoked "+knownhosts.Line([]string{"*"}, key)+"\n"),
		0o600); err != nil {
		t.Fatal(err)
	}
	if info, err = ScanHostKey(t.Context(), l.peer, l.o); err != nil || !info.Revoked || info.Known {
		t.Errorf("a revoked key: %+v, %v", info, err)
	}
	if err := AcceptHostKey(l.peer, info); !errors.Is(err, errRevokedKey) {
		t.Errorf("a revoked key: %v", err)
	}
	if err := AcceptHostKey(l.peer, HostKeyInfo{}); err == nil {
		t.Error("no key was accepted")
	}
}

// A host key that an authority signed needs only the authority's line.
func TestHostCertificate(t *testing.T) {
	authority, host := newSigner(t), newSigner(t)
	cert := &ssh.Certificate{Key: host.PublicKey(), CertType: ssh.HostCert, ValidPrincipals: []string{"192.0.2.10"},
		ValidBefore: ssh.CertTimeInfinity}
	if err := cert.SignCert(rand.Reader, authority); err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewCertSigner(cert, host)
	if err != nil {
		t.Fatal(err)
	}
	for _, known := range []bool{true, false} {
		ca := authority.PublicKey()
		if !known {
			ca = newSigner(t).PublicKey()
		}
		l := newLab(t, simulator.Config{HostKeys: []ssh.Signer{signer}})
		line := "@cert-authority " + knownhosts.Line([]string{"192.0.2.10"}, ca) + "\n"
		if err := os.WriteFile(l.peer.KnownHosts, []byte(line), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := l.router().Open(t.Context()); (err == nil) != known {
			t.Errorf("authority known: %v; error %v", known, err)
		}
	}
}

// Releases of old offer nothing else than what is refused by default.
func TestLegacyAlgorithms(t *testing.T) {
	old := ssh.Config{KeyExchanges: []string{ssh.InsecureKeyExchangeDH14SHA1},
		Ciphers: []string{ssh.InsecureCipherAES128CBC}, MACs: []string{ssh.HMACSHA1}}
	for _, legacy := range []bool{false, true} {
		l := newLab(t, simulator.Config{Knobs: simulator.Knobs{SSH: old}})
		l.peer.LegacySSH = legacy
		err := l.router().Open(t.Context())
		if (err == nil) != legacy {
			t.Fatalf("legacy_ssh %v: %v", legacy, err)
		}
		if e, ok := errors.AsType[*Error](err); ok && !strings.Contains(e.Hint(), "legacy_ssh: true") {
			t.Errorf("hint %q of %v", e.Hint(), err)
		}
	}
}

// An RSA key that is known is no other key because its owner can only sign with SHA-1.
func TestAKnownKeyWithAnOutdatedSignature(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	old, err := ssh.NewSignerWithAlgorithms(signer.(ssh.AlgorithmSigner), []string{ssh.KeyAlgoRSA})
	if err != nil {
		t.Fatal(err)
	}
	for _, legacy := range []bool{false, true} {
		l := newLab(t, simulator.Config{HostKeys: []ssh.Signer{old}})
		l.peer.LegacySSH = legacy
		err := l.router().Open(t.Context())
		if (err == nil) != legacy {
			t.Fatalf("legacy_ssh %v: %v", legacy, err)
		}
		if e, ok := errors.AsType[*Error](err); ok && (!strings.Contains(e.Hint(), "legacy_ssh: true") ||
			errors.Is(err, errChangedKey)) {
			t.Errorf("hint %q of %v", e.Hint(), err)
		}
	}
}

func TestScanEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, simulator.Config{})
		near, mute := simulator.Pipe()
		defer mute.Close()
		l.o.Dial = func(context.Context, string, string) (net.Conn, error) { return near, nil }
		began := time.Now()
		_, err := ScanHostKey(t.Context(), l.peer, l.o)
		if err == nil || !strings.Contains(err.Error(), "no host key in 20s") || time.Since(began) != 20*time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}
