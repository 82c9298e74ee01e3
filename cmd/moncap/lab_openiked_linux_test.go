package main

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// openiked is iked of openiked.org, with the account and the folders that its package would make
// laid over /etc.
type openiked struct{}

const (
	ikedProgram = "/usr/sbin/iked"
	ikectl      = "/usr/sbin/ikectl"
)

func (openiked) needs() []string { return []string{ikedProgram, ikectl} }

func (openiked) kernel() []kernelPart { return []kernelPart{kernelESP, kernelPFKEY} }

func (openiked) release() string {
	return programAt(ikedProgram).says("-V")
}

// ikedProposal writes a proposal of swanctl.conf(5) as iked.conf(5) has it.
func ikedProposal(p string, ike bool) string {
	var said []string
	for _, word := range strings.Split(p, "-") {
		switch {
		case strings.HasPrefix(word, "aes"):
			said = append(said, "enc aes-"+strings.TrimPrefix(word, "aes"))
		case strings.HasPrefix(word, "sha"):
			hash := map[string]string{"sha1": "hmac-sha1", "sha256": "hmac-sha2-256", "sha384": "hmac-sha2-384",
				"sha512": "hmac-sha2-512"}[word]
			if ike {
				said = append(said, "prf "+hash)
			}
			said = append(said, "auth "+hash)
		default:
			said = append(said, "group "+word)
		}
	}
	return strings.Join(said, " ")
}

// ikedText is iked.conf(5).
func (g gateway) ikedText(own, peer string, begins bool) string {
	how := "passive"
	if begins {
		how = "active"
	}
	if peer == "%any" {
		peer = "any"
	}
	return strings.Join(append([]string{`ikev2 "lab"`, how, "esp from", g.local, "to", g.remote, "local", own, "peer",
		peer, "ikesa", ikedProposal(g.ike, true), "childsa", ikedProposal(g.esp, false),
		"srcid", g.id, "dstid", g.peerID}, append(g.connection, `psk "`+g.key+`"`)...), " ") + "\n"
}

// ikedAccount is what iked gives up its rights for.
const ikedAccount = "_iked:x:64990:"

func (openiked) start(ctx context.Context, b *bed, x string, g gateway) {
	b.t.Helper()
	dir, empty := b.folder(x), b.folder(x, "empty")
	etc := b.folder(x, "etc")
	for _, sub := range []string{"private", "ca", "certs", "crls", "pubkeys"} {
		b.folder(x, "etc", "iked", sub)
	}
	for file, line := range map[string]string{
		"passwd": ikedAccount + "64990::" + empty + ":/usr/sbin/nologin\n", "group": ikedAccount + "\n"} {
		known, err := os.ReadFile(filepath.Join("/etc", file))
		if err != nil {
			b.fail("%v", err)
		}
		b.write(filepath.Join(etc, file), line+string(known)) // the first of a name is taken
	}
	b.ikedKey(filepath.Join(etc, "iked"))
	b.readable(etc, empty)
	own, peer := b.addresses(x, g)
	b.write(filepath.Join(dir, "iked.conf"), g.ikedText(own, peer, x == "a"))
	// Until it is told to, it begins nothing (-S); ikectl couples and activates it.
	c := programAt(ikedProgram).over(etc, "/etc").command(context.WithoutCancel(ctx),
		"-d", "-v", "-S", "-f", filepath.Join(dir, "iked.conf"), "-s", filepath.Join(dir, "control"))
	b.answered(ctx, c, kernelESP, kernelPFKEY)
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		b.fail("%v", err)
	}
	defer log.Close()
	c.Stdout, c.Stderr = log, log
	b.daemons[x] = b.spawn(x, c)
	b.readyWhen(ctx, x, func() (string, bool) { return openiked{}.ikectl(ctx, b, x, "show", "sa") })
	if x == "b" {
		openiked{}.initiate(ctx, b, x)
	}
}

// readable lets iked's other account read what a package would have made, but for the key.
func (b *bed) readable(dirs ...string) {
	b.t.Helper()
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.Name() == "private" {
				return cmp.Or(err, filepath.SkipDir)
			}
			mode := os.FileMode(0o644)
			if d.IsDir() {
				mode = 0o755
			}
			return os.Chmod(path, mode)
		})
		if err != nil {
			b.fail("%v", err)
		}
	}
}

// ikedKey makes the key that iked wants to have even where keys are shared.
func (b *bed) ikedKey(dir string) {
	b.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.fail("%v", err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		b.fail("%v", err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		b.fail("%v", err)
	}
	b.write(filepath.Join(dir, "private", "local.key"),
		string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private})))
	b.write(filepath.Join(dir, "local.pub"), string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})))
}

// initiate ends the passive state, in which iked neither begins nor answers.
func (o openiked) initiate(ctx context.Context, b *bed, x string) {
	_, _ = o.ikectl(ctx, b, x, "couple")
	_, _ = o.ikectl(ctx, b, x, "active")
}

func (o openiked) terminate(ctx context.Context, b *bed, x string) {
	_, _ = o.ikectl(ctx, b, x, "reset", "sa")
}

func (openiked) ikectl(ctx context.Context, b *bed, x string, args ...string) (string, bool) {
	return programAt(ikectl).try(ctx, b, x, append([]string{"-s", filepath.Join(b.dir, x, "control")}, args...)...)
}
