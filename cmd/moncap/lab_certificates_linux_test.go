package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"sync"
	"time"
)

// RSA is what charon knows without further packages. Its keys take their time, so that all beds
// share them.
var (
	leafKey    = sync.OnceValue(newRSAKey)
	oneKey     = sync.OnceValue(newRSAKey)
	anotherRSA = sync.OnceValue(newRSAKey)
)

func newRSAKey() *rsa.PrivateKey { return must1(rsa.GenerateKey(rand.Reader, 2048)) }

// authority issues certificates for the gateways of a bed.
type authority struct {
	key  *rsa.PrivateKey
	cert *x509.Certificate
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// must1 returns a value that cannot fail to be made from what the lab hands over.
func must1[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func newAuthority(name string, key *rsa.PrivateKey) authority {
	template := &x509.Certificate{SerialNumber: must1(rand.Int(rand.Reader, big.NewInt(1<<62))),
		Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-48 * time.Hour),
		NotAfter: time.Now().Add(48 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
	der := must1(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
	return authority{key: key, cert: must1(x509.ParseCertificate(der))}
}

// issued is what a certificate is like; the zero value is a small one that is valid for a day.
type issued struct {
	expired bool
	large   bool // by its other names
}

// issue returns a certificate and its key, as PEM.
func (a authority) issue(name string, how issued) (cert, key []byte) {
	own := leafKey()
	template := &x509.Certificate{SerialNumber: must1(rand.Int(rand.Reader, big.NewInt(1<<62))),
		Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotBefore: time.Now().Add(-24 * time.Hour),
		NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	if how.expired {
		template.NotAfter = time.Now().Add(-time.Hour)
	}
	if how.large {
		for i := range 60 {
			template.DNSNames = append(template.DNSNames, fmt.Sprintf("name-%03d.%s", i, name))
		}
	}
	der := must1(x509.CreateCertificate(rand.Reader, template, a.cert, own.Public(), a.key))
	return pemOf("CERTIFICATE", der), pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(own))
}

// shows gives a gateway a certificate of one authority, and trust in another.
func (g *gateway) shows(of, trusts authority, how issued) {
	cert, key := of.issue(g.id, how)
	g.files = map[string][]byte{"x509/own.pem": cert, "private/own.pem": key,
		"x509ca/authority.pem": pemOf("CERTIFICATE", trusts.cert.Raw)}
	g.localAuth = []string{"auth = pubkey", "certs = own.pem", "id = " + g.id}
	g.remoteAuth = []string{"auth = pubkey", "id = " + g.peerID}
}

// withCertificates has both sides prove themselves by certificates of one authority.
func withCertificates(a, b issued) func(*gateway, *gateway) {
	return func(x, y *gateway) {
		one := newAuthority("one authority", oneKey())
		x.shows(one, one, a)
		y.shows(one, one, b)
	}
}

// strange has one side show a certificate of an authority that the other does not know.
func strange(which string) func(*gateway, *gateway) {
	return func(x, y *gateway) {
		one, other := newAuthority("one authority", oneKey()), newAuthority("another authority", anotherRSA())
		x.shows(one, one, issued{})
		y.shows(one, one, issued{})
		if which == "a" {
			x.shows(other, one, issued{})
		} else {
			y.shows(other, one, issued{})
		}
	}
}

// extensible has A prove itself by a method of EAP, and B by a certificate.
func extensible(method string, change func(a, b *gateway)) func(*gateway, *gateway) {
	return func(x, y *gateway) {
		withCertificates(issued{}, issued{})(x, y)
		x.localAuth[0], y.remoteAuth[0] = "auth = "+method, "auth = "+method
		for _, g := range []*gateway{x, y} {
			g.secrets = []string{section("eap-a", "id = a.example", `secret = "a-secret-for-practice"`)}
		}
		if change != nil {
			change(x, y)
		}
	}
}

// byIP leaves it to IP to fragment what is large.
func byIP(a, b *gateway) {
	for _, g := range []*gateway{a, b} {
		g.connection = append(g.connection, "fragmentation = no")
	}
}

func inTurn(changes ...func(a, b *gateway)) func(a, b *gateway) {
	return func(a, b *gateway) {
		for _, f := range changes {
			f(a, b)
		}
	}
}
