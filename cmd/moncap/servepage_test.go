//go:build unix

package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/moncap/moncap/capture/fleet"
	"github.com/moncap/moncap/capture/fleet/page"
)

// certified makes a certificate that signs itself.
func certified(t *testing.T, dir string, names ...string) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: names[0]},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: names, IPAddresses: []net.IP{net.IPv4(203, 0, 113, 9)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "page.pem"), filepath.Join(dir, "page.key")
	for name, b := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der},
		key: {Type: "PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool = x509.NewCertPool()
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	pool.AddCert(c)
	return cert, key, pool
}

func parsed(t *testing.T, args ...string) (*pageFlags, error) {
	t.Helper()
	var f pageFlags
	fl := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	f.register(fl)
	if err := fl.Parse(args); err != nil {
		t.Fatal(err)
	}
	return &f, f.check()
}

// What is refused before anything begins, as wrong usage, and what is not.
func TestPageFlags(t *testing.T) {
	t.Parallel()
	cert, key, _ := certified(t, t.TempDir(), "moncap.example.net")
	for _, c := range []struct{ args, want string }{
		{"--listen 192.0.2.1:8480", "others on the way would read the tokens"},
		{"--listen :8480", "others on the way"},
		{"--listen gateway:8480", "others on the way"},
		{"--listen 127.0.0.1", "want HOST:PORT"},
		{"--listen 127.0.0.1:99999", "want a port"},
		{"--listen 127.0.0.1:", "want a port"},
		{"--listen unix:", "want a path"},
		{"--listen unix:/s --tls-cert " + cert + " --tls-key " + key, "no certificate"},
		{"--listen unix:/s --trusted-proxy 192.0.2.7", "--trusted-proxy unix"},
		{"--listen 127.0.0.1:0 --trusted-proxy unix", "goes with --listen unix:PATH"},
		{"--listen 0.0.0.0:0 --trusted-proxy unix", "goes with --listen unix:PATH"},
		{"--listen 0.0.0.0:0 --trusted-proxy 0.0.0.0/0", "all addresses there are"},
		{"--listen 0.0.0.0:0 --trusted-proxy ::/0", "all addresses there are"},
		{"--trusted-proxy gateway", "want a network"},
		{"--tls-cert " + cert, "go together"},
		{"--tls-key " + key, "go together"},
		{"--tls-cert /nonexistent --tls-key " + key, "no such file"},
		{"--tls-cert " + key + " --tls-key " + key, "--tls-cert"},
		{"--no-web --listen 127.0.0.1:0", "want --no-web, or --listen"},
		{"--no-web --tls-cert " + cert + " --tls-key " + key, "want --no-web, or --listen"},
		{"--no-web --host moncap.example.net", "want --no-web, or --listen"},
		{"--host https://moncap.example.net/", "want a name"},
		{"--host moncap.example.net:443", "want a name"},
		{"", ""},
		{"--no-web", ""},
		{"--listen localhost:0", ""},
		{"--listen [::1]:8480", ""},
		{"--listen unix:/run/moncap/page.sock --trusted-proxy unix --host moncap.example.net", ""},
		{"--listen unix:/run/moncap/page.sock --trusted-proxy unix --trusted-proxy 192.0.2.7", ""},
		{"--listen 0.0.0.0:8480 --trusted-proxy 192.0.2.7", ""},
		{"--listen 0.0.0.0:8480 --host 2001:db8::7 --tls-cert " + cert + " --tls-key " + key, ""},
	} {
		_, err := parsed(t, strings.Fields(c.args)...)
		exit, _ := errors.AsType[*exitError](err)
		if c.want == "" && err != nil ||
			c.want != "" && (exit == nil || exit.code != exitUsage || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("serve %s: %v, want %q", c.args, err, c.want)
		}
	}
}

// served is a page at the place that flags say.
func served(t *testing.T, args ...string) (at net.Addr, operator string) {
	t.Helper()
	f, err := parsed(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	store, err := fleet.Open(t.Context(), fleet.Options{URL: "sqlite:" + filepath.Join(t.TempDir(), "moncap.db")})
	if err != nil {
		t.Fatal(err)
	}
	if operator, err = store.AddToken(t.Context(), "test", "ann", fleet.Operator); err != nil {
		t.Fatal(err)
	}
	l, err := f.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p := page.New(page.Options{Store: store, Hosts: f.hosts, Proxies: f.trusted, ProxySocket: f.trustedSocket})
	ctx, end := context.WithCancel(context.WithoutCancel(t.Context()))
	over := make(chan error, 1)
	go func() { over <- p.Serve(ctx, l) }()
	t.Cleanup(func() {
		end()
		if err := errors.Join(<-over, store.Close()); err != nil {
			t.Error(err)
		}
	})
	return l.Addr(), operator
}

func got(t *testing.T, c *http.Client, url, token string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	a, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return a, string(b)
}

// Over TLS the page has the names of its certificate, keeps browsers to https, and takes a
// certificate that was renewed. What is live comes over HTTP/2, too.
func TestPageOverTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key, pool := certified(t, dir, "moncap.example.net", "*.fleet.example.net")
	at, operator := served(t, "--listen", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key)
	client := func(pool *x509.CertPool) *http.Client {
		tr := &http.Transport{
			ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "tcp", at.String())
			},
		}
		t.Cleanup(tr.CloseIdleConnections)
		return &http.Client{Transport: tr}
	}
	c := client(pool)
	for _, name := range []string{"moncap.example.net", "gw1.fleet.example.net", "203.0.113.9"} {
		a, body := got(t, c, "https://"+name+"/api/v1/fleet", operator)
		if a.StatusCode != 200 || a.Proto != "HTTP/2.0" || a.Header.Get("Strict-Transport-Security") == "" ||
			!strings.Contains(body, "moncap.api/v1") {
			t.Errorf("%s: %s %s %v", name, a.Proto, a.Status, body)
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://moncap.example.net/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+operator)
	live, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer live.Body.Close()
	if line, err := bufio.NewReader(live.Body).ReadString('\n'); err != nil || line != "retry: 3000\n" {
		t.Errorf("live: %q, %v", line, err)
	}
	_, _, renewed := certified(t, dir, "moncap.example.net")
	if a, _ := got(t, client(renewed), "https://moncap.example.net/healthz", ""); a.StatusCode != 200 {
		t.Errorf("with the renewed certificate: %s", a.Status)
	}
}

// Over a socket only its owner and group come in, and the page has the name that its proxy says.
func TestPageOverASocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "page.sock")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false) // as a worker that was killed
	if err := stale.Close(); err != nil {
		t.Fatal(err)
	}
	_, operator := served(t, "--listen", "unix:"+path, "--trusted-proxy", "unix", "--host", "moncap.example.net")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("%v %v", info, err)
	}
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}
	t.Cleanup(tr.CloseIdleConnections)
	c := &http.Client{Transport: tr}
	for name, want := range map[string]int{"localhost": 200, "moncap.example.net": 200, "evil.example": 421} {
		if a, body := got(t, c, "http://"+name+"/api/v1/fleet", operator); a.StatusCode != want {
			t.Errorf("%s: %s %s", name, a.Status, body)
		}
	}
	if _, err := openSocket(t.Context(), path); err == nil || !strings.Contains(err.Error(), "another worker is there") {
		t.Errorf("two at one socket: %v", err)
	}
	file := filepath.Join(t.TempDir(), "notes.txt")
	if err := os.WriteFile(file, []byte("keep"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openSocket(t.Context(), file); err == nil || !strings.Contains(err.Error(), "something else is there") {
		t.Errorf("a file: %v", err)
	}
}

// Who comes past the proxy that encrypts would send a token that others read: such a
// request gets nothing.
func TestPageInClearPastItsProxy(t *testing.T) {
	t.Parallel()
	own := ""
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() && !p.Addr().IsLoopback() {
			own = p.Addr().String()
		}
	}
	if own == "" {
		t.Skip("this machine has no address but loopback ones")
	}
	at, operator := served(t, "--listen", own+":0", "--trusted-proxy", "192.0.2.7")
	for path, want := range map[string]int{"/healthz": 200, "/login": 403, "/api/v1/fleet": 403, "/metrics": 403} {
		if a, body := got(t, http.DefaultClient, "http://"+at.String()+path, operator); a.StatusCode != want {
			t.Errorf("%s: %s %s", path, a.Status, body)
		}
	}
	at, operator = served(t, "--listen", own+":0", "--trusted-proxy", own)
	if a, body := got(t, http.DefaultClient, "http://"+at.String()+"/api/v1/fleet", operator); a.StatusCode != 200 {
		t.Errorf("by the proxy: %s %s", a.Status, body)
	}
}
