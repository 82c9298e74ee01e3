package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"github.com/moncap/moncap/capture/fleet"
	"github.com/moncap/moncap/capture/fleet/page"
	"github.com/moncap/moncap/device/inventory"
)

// defaultListen is where the page is unless something else is said: for this machine alone.
const defaultListen = "127.0.0.1:8480"

// pageFlags say where the page is, and who may bring requests to it.
type pageFlags struct {
	listen        string
	noWeb         bool
	cert, key     string
	hosts         []string
	proxies       []string
	trusted       []netip.Prefix
	trustedSocket bool
	tls           *tls.Config
}

func (f *pageFlags) register(fl *pflag.FlagSet) {
	fl.StringVar(&f.listen, "listen", "",
		"where the page and the API are: HOST:PORT, or unix:PATH (default "+defaultListen+")")
	fl.BoolVar(&f.noWeb, "no-web", false, "serve no page")
	fl.StringVar(&f.cert, "tls-cert", "", "certificate chain of the page, PEM")
	fl.StringVar(&f.key, "tls-key", "", "its key, PEM")
	fl.StringSliceVar(&f.hosts, "host", nil, "a name under which browsers reach the page, beside those of the certificate")
	fl.StringSliceVar(&f.proxies, "trusted-proxy", nil,
		"`CIDR` of a proxy that encrypts, and says for whom it asks (X-Forwarded-For, -Proto); unix: whoever may open "+
			"the socket")
}

// check holds the flags against each other before anything begins. A page that others on the way
// could read, and whose tokens they would have, is not served.
func (f *pageFlags) check() error {
	if f.noWeb {
		if f.listen != "" || f.cert != "" || f.key != "" || len(f.hosts) > 0 || len(f.proxies) > 0 {
			return usageError(errors.New("serve: want --no-web, or --listen and what belongs to it"))
		}
		return nil
	}
	if err := f.checkProxies(); err != nil {
		return usageError(err)
	}
	for _, h := range f.hosts {
		if _, err := netip.ParseAddr(h); err != nil && strings.ContainsAny(h, ":/ *") || h == "" {
			return usageError(fmt.Errorf("--host %q: want a name such as moncap.example.net, without a port or https://", h))
		}
	}
	if err := f.loadTLS(); err != nil {
		return usageError(err)
	}
	path, socket := strings.CutPrefix(orDefault(f.listen, defaultListen), "unix:")
	if socket {
		return f.checkSocket(path)
	}
	host, port, err := net.SplitHostPort(orDefault(f.listen, defaultListen))
	if err != nil {
		return usageError(fmt.Errorf("--listen %s: want HOST:PORT or unix:PATH", f.listen))
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n > 65535 {
		return usageError(fmt.Errorf("--listen %s: want a port of 0 to 65535", f.listen))
	}
	if f.trustedSocket {
		return usageError(
			errors.New("--trusted-proxy unix: goes with --listen unix:PATH; over TCP it is the proxy's address"))
	}
	if f.tls == nil && len(f.trusted) == 0 && !isLoopback(host) {
		return usageError(&hinted{fmt.Errorf("--listen %s: others on the way would read the tokens", f.listen),
			"give --tls-cert and --tls-key, or name the proxy in front of it that encrypts: --trusted-proxy; docs/page.md " +
				"shows both"})
	}
	return nil
}

// checkSocket holds the other flags against a socket, over which a proxy asks that has no address.
func (f *pageFlags) checkSocket(path string) error {
	switch {
	case path == "" || f.tls != nil:
		return usageError(errors.New("--listen unix:PATH: want a path, and no certificate"))
	case len(f.trusted) > 0 && !f.trustedSocket:
		return usageError(errors.New("--trusted-proxy: who asks over a socket has no address: --trusted-proxy unix trusts " +
			"whoever may open it"))
	}
	return nil
}

// checkProxies reads whom the page trusts. Who trusts everybody has tokens in clear, and a limit of
// wrong ones that each request says is another's.
func (f *pageFlags) checkProxies() error {
	for _, p := range f.proxies {
		if p == "unix" {
			f.trustedSocket = true
			continue
		}
		prefix, err := netip.ParsePrefix(p)
		if err != nil {
			a, single := netip.ParseAddr(p)
			if single != nil {
				return fmt.Errorf("--trusted-proxy %s: want a network such as 192.0.2.0/24, an address, or unix", p)
			}
			prefix = netip.PrefixFrom(a, a.BitLen())
		}
		if prefix.Bits() == 0 {
			return fmt.Errorf("--trusted-proxy %s: these are all addresses there are: name the proxy's", p)
		}
		f.trusted = append(f.trusted, prefix.Masked())
	}
	return nil
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

// loadTLS reads the certificate, whose names are those of the page.
func (f *pageFlags) loadTLS() error {
	if f.cert == "" && f.key == "" {
		return nil
	}
	if f.cert == "" || f.key == "" {
		return errors.New("serve: --tls-cert and --tls-key go together")
	}
	load := func() (*tls.Certificate, error) {
		c, err := tls.LoadX509KeyPair(f.cert, f.key)
		return &c, err
	}
	c, err := load()
	if err != nil {
		return fmt.Errorf("--tls-cert %s: %w", f.cert, err)
	}
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		return fmt.Errorf("--tls-cert %s: %w", f.cert, err)
	}
	f.hosts = append(f.hosts, leaf.DNSNames...)
	for _, a := range leaf.IPAddresses { // also one that another machine translates
		f.hosts = append(f.hosts, a.String())
	}
	f.tls = &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { // one that was renewed is taken
			if now, err := load(); err == nil {
				return now, nil
			}
			return c, nil
		},
	}
	return nil
}

// open listens. Without a wish of somebody, a place that is taken is no error: another worker of
// this machine may have it.
func (f *pageFlags) open(ctx context.Context) (net.Listener, error) {
	at := orDefault(f.listen, defaultListen)
	if path, socket := strings.CutPrefix(at, "unix:"); socket {
		return openSocket(ctx, path)
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", at)
	if err != nil {
		return nil, fmt.Errorf("--listen %s: %w", at, err)
	}
	if f.tls != nil {
		l = tls.NewListener(l, f.tls)
	}
	return l, nil
}

// openSocket makes a socket for its owner and group. One that a worker left that is
// no more is replaced.
func openSocket(ctx context.Context, path string) (net.Listener, error) {
	if info, err := os.Lstat(path); err == nil {
		if info.Mode()&fs.ModeSocket == 0 {
			return nil, fmt.Errorf("--listen unix:%s: something else is there", path)
		}
		if c, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "unix", path); err == nil {
			return nil, errors.Join(fmt.Errorf("--listen unix:%s: another worker is there", path), c.Close())
		} else if errors.Is(err, syscall.ECONNREFUSED) {
			if err := os.Remove(path); err != nil {
				return nil, err
			}
		}
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("--listen unix:%s: %w", path, err)
	}
	err = os.Chmod(path, 0o660) // #nosec G302 -- for a proxy of its group
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// servePage serves the page beside the worker, until stop is called. What goes wrong with it later
// is told, and ends no run.
func (a *app) servePage(
	ctx context.Context, f *pageFlags, store *fleet.Store, crew *crew, hooks func(*http.ServeMux),
) (stop func(), err error) {
	if f.noWeb {
		if hooks != nil {
			return nil, usageError(errors.New("serve: hooks of serve.yaml are served where the page is: leave out --no-web"))
		}
		return func() {}, nil
	}
	l, err := f.open(ctx)
	if err != nil {
		if f.listen == "" && hooks == nil {
			a.warn("there is no page: %v: --listen puts it elsewhere", err)
			return func() {}, nil
		}
		return nil, &exitError{exitFailed, err}
	}
	o := a.pageOptions(f, store, crew)
	o.Also = hooks
	p := page.New(o)
	ctx, end := context.WithCancel(context.WithoutCancel(ctx))
	over := make(chan struct{})
	go func() {
		defer close(over)
		if err := p.Serve(ctx, l); err != nil {
			a.warn("the page is gone: %v", err)
		}
	}()
	a.sayPage(ctx, f, store, l)
	return func() { end(); <-over }, nil
}

func (a *app) sayPage(ctx context.Context, f *pageFlags, store *fleet.Store, l net.Listener) {
	at := "unix:" + l.Addr().String()
	if l.Addr().Network() != "unix" {
		at = "http://" + l.Addr().String() + "/"
		if f.tls != nil {
			at = "https://" + l.Addr().String() + "/"
		}
	}
	hint := ""
	if tokens, err := store.Tokens(ctx); err == nil && len(tokens) == 0 {
		hint = "; nobody may log in yet: " + a.asGiven("moncap token add") + " NAME --role operator"
	}
	a.progress("the page is at %s%s", at, hint)
}

func (a *app) pageOptions(f *pageFlags, store *fleet.Store, crew *crew) page.Options {
	folder, err := filepath.Abs(a.runsDir())
	if err != nil {
		folder = ""
	}
	return page.Options{
		Store: store, Version: versionString(), Log: a.logger(), Folder: folder, Hosts: f.hosts, Proxies: f.trusted,
		ProxySocket: f.trustedSocket,
		Tunnels:     func() []page.Tunnel { return pageTunnels(crew.inventory()) },
		Submit: func(ctx context.Context, q page.Start) (string, error) {
			return a.submitFor(ctx, store, crew.inventory(), q)
		},
		RunSchedule: func(ctx context.Context, name, by, reason string) ([]string, error) {
			return a.scheduleFor(ctx, store, crew.inventory(), name, by, reason)
		},
		Ready: func(ctx context.Context) error { return workerLives(ctx, store) },
	}
}

func pageTunnels(inv *inventory.Inventory) []page.Tunnel {
	var all []page.Tunnel
	for _, name := range inv.TunnelNames() {
		t := inv.Tunnels[name]
		all = append(all, page.Tunnel{
			Name: name, Peers: [2]string{t.A.Name, t.B.Name}, Site: t.Site, Tags: t.Tags,
			FourEyes: t.Approve == inventory.ApproveFourEyes,
		})
	}
	return all
}

// submitFor asks for a run as moncap submit does, with what the page lets somebody say.
func (a *app) submitFor(ctx context.Context, store *fleet.Store, inv *inventory.Inventory,
	q page.Start) (string, error) {
	t, err := inv.Tunnel(q.Tunnel)
	if err != nil {
		return "", err
	}
	r, err := requestOf(t, &captureFlags{duration: q.Duration, until: q.Until}, newRunID(time.Now()))
	if err != nil {
		return "", fmt.Errorf("%w: %w", fleet.ErrUsage, err)
	}
	r.Priority, r.Reason, r.Change, r.Cause, r.By = q.Priority, q.Reason, q.Change, "page", q.By
	return r.Plan.RunID, store.Submit(ctx, r)
}

func (a *app) scheduleFor(ctx context.Context, store *fleet.Store, inv *inventory.Inventory, name, by,
	reason string) ([]string, error) {
	s, ok := inv.Schedules[name]
	if !ok {
		return nil, fmt.Errorf("schedule %s: %w", name, fleet.ErrNotFound)
	}
	requests, err := a.scheduledRequests(inv, s, time.Now(), "page, as schedule "+s.Name)
	if err != nil {
		return nil, err
	}
	ids := []string{}
	for i := range requests {
		requests[i].By, requests[i].Reason = by, reason
		ids = append(ids, requests[i].Plan.RunID)
	}
	return ids, store.Submit(ctx, requests...)
}

// workerLives says whether the database has heard of this process within a lease.
func workerLives(ctx context.Context, store *fleet.Store) error {
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	workers, err := store.Workers(ctx)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(workers, func(w fleet.Worker) bool {
		return w.Alive && !w.Draining && w.Host == host && w.PID == os.Getpid()
	}) {
		return errors.New("this worker's lease is over, or it ends")
	}
	return nil
}
