package ike

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// distinguishedName reads a name in ASN.1, as identities and certificate requests carry it
// (RFC 7296, Section 3.5).
func distinguishedName(b []byte) (string, bool) {
	var name pkix.RDNSequence
	rest, err := asn1.Unmarshal(b, &name)
	return name.String(), err == nil && len(rest) == 0 && len(name) > 0
}

// algorithmNames are those of signatures (RFC 7427, Appendix A; RFC 8420; FIPS 204).
var algorithmNames = map[string]string{
	"1.2.840.113549.1.1.5": "sha1WithRSAEncryption", "1.2.840.113549.1.1.10": "RSASSA-PSS",
	"1.2.840.113549.1.1.11": "sha256WithRSAEncryption",
	"1.2.840.113549.1.1.12": "sha384WithRSAEncryption", "1.2.840.113549.1.1.13": "sha512WithRSAEncryption",
	"1.2.840.10040.4.3": "dsa-with-sha1", "2.16.840.1.101.3.4.3.2": "dsa-with-sha256",
	"1.2.840.10045.4.1": "ecdsa-with-SHA1", "1.2.840.10045.4.3.2": "ecdsa-with-SHA256",
	"1.2.840.10045.4.3.3": "ecdsa-with-SHA384",
	"1.2.840.10045.4.3.4": "ecdsa-with-SHA512", "1.3.101.112": "Ed25519", "1.3.101.113": "Ed448",
	"2.16.840.1.101.3.4.3.17": "ML-DSA-44", "2.16.840.1.101.3.4.3.18": "ML-DSA-65", "2.16.840.1.101.3.4.3.19": "ML-DSA-87",
}

// algorithmName names an AlgorithmIdentifier in ASN.1, by its number where its name is not known.
func algorithmName(b []byte) string {
	var a pkix.AlgorithmIdentifier
	if _, err := asn1.Unmarshal(b, &a); err != nil {
		return hex.EncodeToString(b)
	}
	oid := a.Algorithm.String()
	if n, ok := algorithmNames[oid]; ok {
		return n
	}
	return oid
}

// certificate says what a certificate is of, as far as it can be read; nil for other encodings.
func certificate(encoding uint8, b []byte) []string {
	switch encoding {
	case 4, 5, 10:
		return x509Lines(b)
	case 12, 13: // RFC 7296, Section 3.6
		if len(b) > 20 {
			return []string{fmt.Sprintf("SHA-1 %x", b[:20]), "URL " + string(b[20:])}
		}
	}
	return nil
}

// parseX509 spares those that cannot be one, as the hashes of authorities that a request holds.
func parseX509(b []byte) (*x509.Certificate, error) {
	const sequence = 0x30 // by which a certificate begins in DER
	if len(b) == 0 || b[0] != sequence {
		return nil, errNoCertificate
	}
	return x509.ParseCertificate(b)
}

var errNoCertificate = errors.New("no certificate")

func x509Lines(b []byte) []string {
	c, err := parseX509(b)
	if err != nil {
		return nil
	}
	return []string{
		"subject " + c.Subject.String(), "issuer " + c.Issuer.String(),
		"valid from " + c.NotBefore.UTC().Format(time.RFC3339) + " to " + c.NotAfter.UTC().Format(time.RFC3339),
		fmt.Sprintf("serial number %x", c.SerialNumber), "signed with " + c.SignatureAlgorithm.String(),
	}
}

// certFields are in alphabetical order, so that those of the payloads of both versions
// stand before them.
func certFields(o *Object, encoding uint8, b []byte) {
	o.Hex("data", b)
	o.Int("encoding", int(encoding))
	o.String("encoding_name", CertEncoding(encoding))
	if encoding != 4 && encoding != 5 && encoding != 10 {
		return
	}
	c, err := parseX509(b)
	if err != nil {
		return
	}
	o.String("issuer", c.Issuer.String())
	o.String("not_after", c.NotAfter.UTC().Format(time.RFC3339))
	o.String("not_before", c.NotBefore.UTC().Format(time.RFC3339))
	o.String("serial", c.SerialNumber.Text(16))
	o.String("signature_algorithm", c.SignatureAlgorithm.String())
	o.String("subject", c.Subject.String())
}
