package main

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
)

// libreswan is pluto of libreswan.org, told what to do by its own whack.
type libreswan struct{}

const (
	plutoPrograms = "/usr/libexec/ipsec/"
	certutil      = "/usr/bin/certutil" // of NSS, where pluto keeps its keys
)

func (libreswan) needs() []string {
	return []string{plutoPrograms + "pluto", plutoPrograms + "whack", plutoPrograms + "addconn", certutil}
}

func (libreswan) kernel() []kernelPart { return []kernelPart{kernelESP} }

func (libreswan) release() string {
	name, _, _ := strings.Cut(programAt(plutoPrograms+"pluto").says("--version"), " IKE")
	return name
}

// libreswanProposal writes a proposal of swanctl.conf(5) as ipsec.conf(5) has it.
func libreswanProposal(p string) string {
	return strings.NewReplacer("sha256", "sha2_256", "sha384", "sha2_384", "sha512", "sha2_512", "ecp256", "dh19",
		"ecp384", "dh20").Replace(p)
}

// libreswanText is ipsec.conf(5).
func (g gateway) libreswanText(dir, own, peer string) string {
	version := "insist"
	if g.version == 1 {
		version = "never"
	}
	lines := []string{
		"config setup", " logfile=" + filepath.Join(dir, "log"), " ipsecdir=" + dir,
		" nssdir=" + filepath.Join(dir, "nss"), " dnssec-enable=no", " ikev1-policy=accept",
		"conn lab", " authby=secret", " left=" + own, " right=" + peer, " leftid=@" + g.id, " rightid=@" + g.peerID,
		" leftsubnet=" + g.local, " rightsubnet=" + g.remote, " ikev2=" + version, " ike=" + libreswanProposal(g.ike),
		" esp=" + libreswanProposal(g.esp), " leftupdown=/bin/true", " retransmit-interval=1000",
		" retransmit-timeout=7s", " keyingtries=1", " auto=ignore",
	}
	for _, setting := range g.connection {
		lines = append(lines, " "+setting)
	}
	for _, setting := range g.daemon {
		lines = slices.Insert(lines, 1, " "+setting)
	}
	return strings.Join(lines, "\n") + "\n"
}

func (libreswan) start(ctx context.Context, b *bed, x string, g gateway) {
	b.t.Helper()
	dir := b.folder(x)
	own, peer := b.addresses(x, g)
	b.write(filepath.Join(dir, "ipsec.conf"), g.libreswanText(dir, own, peer))
	secrets := append([]string{`: PSK "` + g.key + `"`}, g.passwords...)
	b.write(filepath.Join(dir, "ipsec.secrets"), strings.Join(secrets, "\n")+"\n")
	b.folder(x, "nss")
	keys := "sql:" + filepath.Join(dir, "nss")
	if out, ok := programAt(certutil).try(ctx, b, x, "-N", "-d", keys, "--empty-password"); !ok {
		b.fail("certutil: %s", out)
	}
	c := programAt(plutoPrograms+"pluto").command(context.WithoutCancel(ctx),
		"--config", filepath.Join(dir, "ipsec.conf"), "--nofork",
		"--rundir", dir, "--secretsfile", filepath.Join(dir, "ipsec.secrets"), "--ipsecdir", dir,
		"--nssdir", filepath.Join(dir, "nss"), "--logfile", filepath.Join(dir, "log"))
	b.answered(ctx, c, kernelESP)
	b.daemons[x] = b.spawn(x, c)
	control := filepath.Join(dir, "pluto.ctl")
	b.readyWhen(ctx, x, func() (string, bool) {
		return programAt(plutoPrograms+"addconn").try(ctx, b, x, "--config", filepath.Join(dir, "ipsec.conf"),
			"--ctlsocket", control, "lab")
	})
}

func (l libreswan) initiate(ctx context.Context, b *bed, x string) { l.whack(ctx, b, x, "--initiate") }

func (l libreswan) terminate(ctx context.Context, b *bed, x string) {
	l.whack(ctx, b, x, "--terminate")
}

// whack tells the daemon of a side something about its connection.
func (libreswan) whack(ctx context.Context, b *bed, x string, args ...string) {
	_, _ = programAt(plutoPrograms+"whack").try(ctx, b, x,
		append([]string{"--rundir", filepath.Join(b.dir, x), "--name", "lab"}, args...)...)
}
