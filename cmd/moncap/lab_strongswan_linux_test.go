package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// gateway is how one side is configured: the connection in the words of swanctl.conf(5),
// which the other makes translate.
type gateway struct {
	maker         string // who made its daemon; empty: strongSwan
	absent        bool   // no daemon runs
	later         bool   // the daemon starts in the act
	version       int
	ike, esp      string
	key           string
	id, peerID    string
	peer          string // the address it talks to; empty: the peer's
	local, remote string // what it protects

	connection, child, daemon []string // further settings, in the words of its make
	passwords                 []string // further lines of libreswan's ipsec.secrets(5)

	// How the two prove who they are; empty: by the key. For strongSwan alone.
	localAuth, remoteAuth []string
	secrets               []string
	files                 map[string][]byte // of its folder: x509/..., x509ca/..., private/...
}

func (b *bed) gatewayOf(x string) gateway {
	g := gateway{version: 2, ike: "aes256-sha256-modp2048", esp: "aes256-sha256", key: "a-key-for-practice",
		id: "a.example", peerID: "b.example", local: b.protected["a"].String(), remote: b.protected["b"].String()}
	if x == "b" {
		g.id, g.peerID, g.local, g.remote = g.peerID, g.id, g.remote, g.local
	}
	return g
}

// strongSwan is charon-systemd of strongswan.org, told what to do by swanctl. Its own ESP
// (kernel-libipsec) works on kernels without; it always encapsulates in UDP.
type strongSwan struct{}

func (strongSwan) needs() []string { return []string{charon, swanctlProgram, "/dev/net/tun"} }

const charon, swanctlProgram = "/usr/sbin/charon-systemd", "/usr/sbin/swanctl"

func (strongSwan) kernel() []kernelPart { return nil }

func (strongSwan) release() string {
	return regexp.MustCompile(`strongSwan \S+`).FindString(programAt(swanctlProgram).says("--help"))
}

// section writes a section of strongSwan's configuration: a setting a line.
func section(name string, settings ...string) string {
	return name + " {\n" + strings.Join(settings, "\n") + "\n}"
}

// plugins are those of charon that the lab has a use for. One that is not installed is passed over.
const plugins = "random nonce openssl kdf sha1 sha2 md4 md5 aes hmac gmp pem x509 pkcs1 pkcs8 pubkey constraints " +
	"eap-identity eap-md5 eap-mschapv2 eap-tls kernel-libipsec kernel-netlink socket-default updown vici"

// daemonText is strongswan.conf(5).
func (g gateway) daemonText(dir string) string {
	settings := append([]string{
		"load = " + plugins,
		"retransmit_timeout = 1", "retransmit_base = 1.4", "retransmit_tries = 3", "retry_initiate_interval = 0",
		section("plugins", section("vici", "socket = unix://"+filepath.Join(dir, "vici")),
			section("kernel-libipsec", "allow_peer_ts = yes")),
		section("filelog", section("log", "path = "+filepath.Join(dir, "log"), "default = 1", "flush_line = yes")),
	}, g.daemon...)
	return section("charon-systemd", settings...) + "\n" +
		section("swanctl", "load = random openssl pem x509 pkcs1 pkcs8 pubkey") + "\n"
}

// connectionText is swanctl.conf(5).
func (g gateway) connectionText(own, peer string) string {
	child := append([]string{"local_ts = " + g.local, "remote_ts = " + g.remote,
		"esp_proposals = " + g.esp}, g.child...)
	local, remote := g.localAuth, g.remoteAuth
	if local == nil {
		local = []string{"auth = psk", "id = " + g.id}
	}
	if remote == nil {
		remote = []string{"auth = psk", "id = " + g.peerID}
	}
	settings := append([]string{"version = " + strconv.Itoa(g.version), "local_addrs = " + own,
		"remote_addrs = " + peer, "proposals = " + g.ike, section("local", local...), section("remote", remote...),
		section("children", section("lab", child...))}, g.connection...)
	secrets := append([]string{section("ike-1", `secret = "`+g.key+`"`)}, g.secrets...)
	return section("connections", section("lab", settings...)) + "\n" + section("secrets", secrets...) + "\n"
}

func (s strongSwan) start(ctx context.Context, b *bed, x string, g gateway) {
	b.t.Helper()
	dir := b.folder(x)
	own, peer := b.addresses(x, g)
	b.write(filepath.Join(dir, "strongswan.conf"), g.daemonText(dir))
	b.write(filepath.Join(dir, "swanctl.conf"), g.connectionText(own, peer))
	for name, content := range g.files {
		b.folder(x, filepath.Dir(name))
		b.write(filepath.Join(dir, name), string(content))
	}
	notify := filepath.Join(dir, "notify")
	ready, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: notify, Net: "unixgram"})
	if err != nil {
		b.fail("%v", err)
	}
	defer ready.Close()
	c := programAt(charon).command(context.WithoutCancel(ctx))
	c.Env = append(os.Environ(), "STRONGSWAN_CONF="+filepath.Join(dir, "strongswan.conf"), "NOTIFY_SOCKET="+notify)
	b.daemons[x] = b.spawn(x, c)
	// sd_notify(3): the daemon says when it is ready.
	_ = ready.SetReadDeadline(time.Now().Add(30 * time.Second))
	said := make([]byte, 512)
	for n := 0; !strings.Contains(string(said[:n]), "READY=1"); {
		if n, err = ready.Read(said); err != nil {
			b.fail("the daemon of side %s does not start: %v\n%s", x, err, b.log(x))
		}
	}
	out, err := b.swanctl(ctx, x, "--load-all", "--noprompt", "--file", filepath.Join(dir, "swanctl.conf"))
	if err != nil {
		b.fail("swanctl: %v: %s", err, out)
	}
}

// initiate returns when the tunnel is up or has failed.
func (strongSwan) initiate(ctx context.Context, b *bed, x string) {
	_, _ = b.swanctl(ctx, x, "--initiate", "--child", "lab") // that it fails is what most causes are about
}

func (strongSwan) terminate(ctx context.Context, b *bed, x string) {
	_, _ = b.swanctl(ctx, x, "--terminate", "--ike", "lab")
}

// swanctl tells the daemon of a side something.
func (b *bed) swanctl(ctx context.Context, x string, args ...string) (string, error) {
	dir := filepath.Join(b.dir, x)
	c := programAt(swanctlProgram).command(ctx, append(args, "--uri", "unix://"+filepath.Join(dir, "vici"))...)
	c.Env = append(os.Environ(), "STRONGSWAN_CONF="+filepath.Join(dir, "strongswan.conf"), "SWANCTL_DIR="+dir)
	b.enter(x, c)
	out, err := c.CombinedOutput()
	return string(out), err
}
