package device

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/moncap/moncap/device/iosxe"
)

// path is a TCP connection to a router, and the SSH connections to jump hosts that carry it.
type path struct {
	conn  net.Conn
	hops  []*ssh.Client
	first net.Conn // to the first hop; it carries all the others. nil: conn
}

// cut ends everything at once: what closes properly writes, and may wait for a host
// that takes nothing.
func (p *path) cut() {
	first := p.first
	if first == nil {
		first = p.conn
	}
	if first != nil {
		_ = first.Close()
	}
}

// goodbye is how long closing may take.
const goodbye = time.Second

// Close closes everything, the far end first.
func (p *path) Close() error {
	cut := time.AfterFunc(goodbye, p.cut)
	defer cut.Stop()
	var errs []error
	if p.conn != nil {
		errs = append(errs, p.conn.Close())
	}
	for _, c := range slices.Backward(p.hops) {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

const standardPort = 22

// hop is one host on the way, the router being the last.
type hop struct {
	user, host string
	port       int
	keyFiles   []string
}

func (h hop) address() string { return net.JoinHostPort(h.host, strconv.Itoa(h.port)) }

// route is the way to the router: the inventory's, filled up from ~/.ssh/config where the peer
// wants that.
func (r *Router) route() (jumps []hop, target hop, err error) {
	target = hop{r.peer.Username, r.peer.Host, r.peer.Port, nil}
	for _, j := range r.peer.Jump {
		jumps = append(jumps, hop{j.User, j.Host, j.Port, nil})
	}
	if r.peer.SSHConfig {
		c, err := userConfig()
		if err != nil {
			return nil, target, err
		}
		said, err := c.configure(&target)
		if err != nil {
			return nil, target, err
		}
		r.warnUnjudged(said)
		if len(jumps) == 0 {
			if jumps, err = said.jumps(); err != nil {
				return nil, target, err
			}
		}
		if jumps, err = c.configureJumps(jumps, 0); err != nil {
			return nil, target, err
		}
	}
	for i := range jumps {
		if jumps[i].user == "" {
			jumps[i].user = target.user
		}
	}
	return jumps, target, nil
}

// warnUnjudged says once which blocks of ssh_config were left out because nobody here can tell
// whether they apply.
func (r *Router) warnUnjudged(said sshHost) {
	if len(said.unjudged) > 0 {
		r.warnConfig.Do(func() {
			r.o.Log.Warn("ssh_config: blocks that cannot be judged are skipped", "where", strings.Join(said.unjudged, ", "))
		})
	}
}

// configureJumps fills the jump hosts from the user's ssh_config. The first of them may have jump
// hosts of its own there; the others are reached through the one before.
func (c *sshConfig) configureJumps(jumps []hop, nested int) ([]hop, error) {
	var all []hop
	for i, j := range jumps {
		alias := j.host
		said, err := c.configure(&j)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			before, err := said.jumps()
			if err != nil {
				return nil, fmt.Errorf("jump host %s: %w", alias, err)
			}
			if len(before) > 0 && nested == mostNested {
				return nil, fmt.Errorf("ssh_config: ProxyJump of %s leads round in a circle", alias)
			}
			if all, err = c.configureJumps(before, nested+1); err != nil {
				return nil, err
			}
		}
		all = append(all, j)
	}
	return all, nil
}

// mostNested bounds the jump hosts of jump hosts: ProxyJump lines may lead round in a circle.
const mostNested = 8

func proxyJumps(list string) ([]hop, error) {
	var all []hop
	for item := range strings.SplitSeq(list, ",") {
		item = strings.TrimPrefix(strings.TrimSpace(item), "ssh://")
		if item == "" || item == "none" {
			continue
		}
		h := hop{port: standardPort}
		if user, rest, ok := strings.Cut(item, "@"); ok {
			h.user, item = user, rest
		}
		h.host = item
		if host, port, err := net.SplitHostPort(item); err == nil {
			n, err := portNumber(port)
			if err != nil {
				return nil, fmt.Errorf("ssh_config: ProxyJump %q: port: %w", list, err)
			}
			h.host, h.port = host, n
		}
		all = append(all, h)
	}
	return all, nil
}

// reach opens a TCP connection to the router, through the jump hosts.
func (r *Router) reach(ctx context.Context) (*path, error) {
	jumps, target, err := r.route()
	if err != nil {
		return nil, err
	}
	p := &path{}
	dial := r.o.Dial
	for _, j := range jumps {
		conn, err := dial(ctx, "tcp", j.address())
		if err != nil {
			return nil, errors.Join(fmt.Errorf("jump host %s: %w", j.address(), err), p.Close())
		}
		p.conn = conn
		if p.first == nil {
			p.first = conn
		}
		client, err := r.jumpClient(ctx, p, j)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("jump host %s: %w", j.address(), err), ignoreClosed(p.Close()))
		}
		p.hops = append(p.hops, client)
		dial = client.DialContext
	}
	if p.conn, err = dial(ctx, "tcp", target.address()); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// jumpClient logs in to a jump host: with keys, or with what the operator types. The router's
// password is not for it.
func (r *Router) jumpClient(ctx context.Context, p *path, j hop) (*ssh.Client, error) {
	h, err := r.loadHostKeys(r.peer.HostKey, j.address())
	if err != nil {
		return nil, err
	}
	config := r.clientConfig(j.user, h.algorithms(), false) // the router's age says nothing of a jump host's
	config.HostKeyCallback = h.check
	a := &authenticator{router: r, user: j.user, address: j.address(), files: j.keyFiles, elsewhere: true,
		what: "jump host " + j.address()}
	defer a.done()
	if config.Auth, err = a.methods(ctx); err != nil {
		return nil, err
	}
	return r.handshake(ctx, p, j.address(), config, a)
}

// clientConfig has everything but the authentication and the check of the host key. known are the
// algorithms of the keys that are known for the host; legacy allows what only old releases need.
func (r *Router) clientConfig(user string, known []string, legacy bool) *ssh.ClientConfig {
	c := &ssh.ClientConfig{
		User:           user,
		ClientVersion:  "SSH-2.0-moncap",
		BannerCallback: func(text string) error { r.rec.banner(text); return nil },
	}
	algorithms(c, known, legacy)
	return c
}

// algorithms picks what is offered: what is known to be secure, and behind it what only old
// releases need when the peer's entry says so. Of host keys only the kinds that are known for the
// host are offered.
func algorithms(c *ssh.ClientConfig, known []string, legacy bool) {
	good, old := ssh.SupportedAlgorithms(), ssh.InsecureAlgorithms()
	c.KeyExchanges, c.Ciphers, c.HostKeyAlgorithms = good.KeyExchanges, good.Ciphers, good.HostKeys
	c.MACs = slices.DeleteFunc(slices.Clone(good.MACs), func(m string) bool { return m == ssh.HMACSHA1 })
	if legacy {
		tooOld := func(s string) bool { return strings.HasPrefix(s, "arcfour") || strings.HasPrefix(s, "ssh-dss") }
		c.KeyExchanges = append(c.KeyExchanges, old.KeyExchanges...)
		c.Ciphers = append(c.Ciphers, slices.DeleteFunc(old.Ciphers, tooOld)...)
		c.MACs = append(c.MACs, append([]string{ssh.HMACSHA1}, old.MACs...)...)
		c.HostKeyAlgorithms = append(c.HostKeyAlgorithms, slices.DeleteFunc(old.HostKeys, tooOld)...)
	}
	if len(known) == 0 {
		return
	}
	offered := c.HostKeyAlgorithms
	c.HostKeyAlgorithms = slices.DeleteFunc(slices.Clone(known),
		func(s string) bool { return !slices.Contains(offered, s) })
	if len(c.HostKeyAlgorithms) == 0 {
		c.HostKeyAlgorithms = offered
	}
}

// handshake makes the end of p an SSH connection. When ctx ends, everything is cut, which
// ends the handshake.
func (r *Router) handshake(ctx context.Context, p *path, address string, config *ssh.ClientConfig,
	a *authenticator) (*ssh.Client, error) {
	stop := context.AfterFunc(ctx, func() {
		p.cut()
		a.hangUp() // an agent may be what does not answer
	})
	defer stop()
	c, chans, reqs, err := ssh.NewClientConn(p.conn, address, config)
	if err != nil {
		if ctx.Err() != nil {
			return nil, a.unanswered(context.Cause(ctx))
		}
		return nil, a.judge(err)
	}
	r.o.Lockout.accept(append(a.sent, a.account())...)
	return ssh.NewClient(c, chans, reqs), nil
}

// connection is an SSH connection to the router with everything below it.
type connection struct {
	*ssh.Client
	path    *path
	hostKey string       // the fingerprint of the key that the other end proved to have
	known   bool         // this login was not the first to be accepted there
	until   time.Time    // when the login must be through
	silence *time.Timer  // closes a connection that waited for its use, and may be dead; nil: it is fresh
	channel *ssh.Session // the one channel, when it is open ahead of its use
}

// openChannel opens the connection's one channel, if it is not open yet.
func (c *connection) openChannel() (err error) {
	if c.channel == nil {
		c.channel, err = c.NewSession()
	}
	return err
}

func (c *connection) close() error {
	cut := time.AfterFunc(goodbye, c.path.cut)
	defer cut.Stop()
	err := c.Client.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	_ = c.path.Close() // closed with the client, in most cases
	return err
}

// connect opens an SSH connection to the router and logs in. The password goes out when hold
// returns; nil holds nothing.
func (r *Router) connect(ctx context.Context, hold func() error) (*connection, error) {
	if r.peer.LegacySSH {
		r.warnLegacy.Do(func() {
			r.o.Log.WarnContext(ctx, "outdated SSH algorithms are allowed, because of legacy_ssh")
		})
	}
	_, target, err := r.route()
	if err != nil {
		return nil, err
	}
	a := &authenticator{router: r, user: target.user, address: target.address(), files: target.keyFiles,
		password: r.peer.Password, what: r.peer.Name, hold: hold}
	return r.logInTo(ctx, a, r.peer.LegacySSH, r.reach)
}

// connectServer logs in to a server that routers push captures to.
func (r *Router) connectServer(ctx context.Context, u iosxe.Upload) (*connection, error) {
	a := &authenticator{router: r, user: u.User, address: u.Address(), password: r.o.UploadPassword, elsewhere: true,
		what: u.Address()}
	return r.logInTo(ctx, a, false, func(ctx context.Context) (*path, error) {
		conn, err := r.o.Dial(ctx, "tcp", u.Address())
		return &path{conn: conn}, err
	})
}

// logInTo opens an SSH connection by the way that reach opens.
func (r *Router) logInTo(ctx context.Context, a *authenticator, legacy bool,
	reach func(context.Context) (*path, error)) (*connection, error) {
	h, err := r.loadHostKeys(r.peer.HostKey, a.address)
	if err != nil {
		return nil, err
	}
	config := r.clientConfig(a.user, h.algorithms(), legacy)
	var hostKey string
	config.HostKeyCallback = func(name string, remote net.Addr, key ssh.PublicKey) error {
		hostKey = ssh.FingerprintSHA256(key)
		return h.check(name, remote, key)
	}
	defer a.done()
	if config.Auth, err = a.methods(ctx); err != nil {
		return nil, err
	}
	// What is asked of the operator above takes the time it takes; the network does not.
	until := time.Now().Add(r.o.Timeouts.Dial)
	p, err := r.reachUntil(ctx, until, reach)
	if err != nil {
		return nil, err
	}
	if until, err = a.turn(ctx, p, until); err != nil {
		return nil, errors.Join(err, ignoreClosed(p.Close()))
	}
	ctx, cancel := context.WithDeadlineCause(ctx, until, r.noLogin())
	defer cancel()
	client, err := r.handshake(ctx, p, a.address, config, a)
	if err != nil {
		return nil, errors.Join(h.explain(err), ignoreClosed(p.Close()))
	}
	r.o.Log.DebugContext(ctx, "connected", "server", string(client.ServerVersion()), "at", time.Now())
	return &connection{Client: client, path: p, hostKey: hostKey, known: a.known, until: until}, nil
}

// reachUntil opens the connection that the login is made on.
func (r *Router) reachUntil(ctx context.Context, until time.Time,
	reach func(context.Context) (*path, error)) (*path, error) {
	ctx, cancel := context.WithDeadlineCause(ctx, until, r.noLogin())
	defer cancel()
	p, err := reach(ctx)
	switch {
	case err == nil:
		return p, nil
	case errors.Is(ctx.Err(), context.Canceled):
		return nil, context.Cause(ctx)
	case ctx.Err() != nil:
		return nil, errors.Join(context.Cause(ctx), err)
	}
	return nil, err
}

func (r *Router) noLogin() error { return fmt.Errorf("no login in %s", r.o.Timeouts.Dial) }

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
