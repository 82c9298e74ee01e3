package ike

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"strings"
)

// knownVendor is a vendor ID, or the beginning of one that goes on with a version.
type knownVendor struct {
	id     string // bytes
	name   string
	prefix bool
}

func hexVendor(digits, name string, prefix bool) knownVendor {
	b, err := hex.DecodeString(digits)
	if err != nil {
		panic(err) // the table below is constant
	}
	return knownVendor{string(b), name, prefix}
}

// hashVendor is a vendor ID that is the MD5 hash of a text, as RFC 2408, Section 3.16, suggests.
func hashVendor(text, name string) knownVendor {
	sum := md5.Sum([]byte(text))
	return knownVendor{string(sum[:]), name, false}
}

// vendors come from their RFCs and drafts, from what products send in public captures, and from strongSwan's and
// Wireshark's lists as facts.
var vendors = []knownVendor{
	{"CISCO-DELETE-REASON", "Cisco Delete Reason Supported", true},
	{"CISCOVPN-REV-02", "Cisco VPN Revision 2", true},
	{"CISCO-DYNAMIC-ROUTE", "Cisco Dynamic Route Supported", true},
	{"FLEXVPN-SUPPORTED", "Cisco FlexVPN Supported", true},
	{"CISCO-GRE-MODE", "CISCO-GRE-MODE", true},
	{"CISCO(COPYRIGHT)", "Cisco Copyright", true},
	{"CISCO-", "Cisco", true},
	{"OE-Libreswan-", "Libreswan", true},
	{"Opportunistic IPsec", "Opportunistic IPsec", false},
	{"Juniper", "Juniper", true},
	{"OpenIKED-", "OpenIKED", true},
	hashVendor("strongSwan", "strongSwan"),
	hashVendor("RFC 3947", "RFC 3947 Negotiation of NAT-Traversal in the IKE"),
	hashVendor("draft-ietf-ipsec-nat-t-ike-00", "draft-ietf-ipsec-nat-t-ike-00"),
	hashVendor("draft-ietf-ipsec-nat-t-ike-01", "draft-ietf-ipsec-nat-t-ike-01"),
	hashVendor("draft-ietf-ipsec-nat-t-ike-02", "draft-ietf-ipsec-nat-t-ike-02"),
	hashVendor("draft-ietf-ipsec-nat-t-ike-02\n", "draft-ietf-ipsec-nat-t-ike-02\\n"),
	hashVendor("draft-ietf-ipsec-nat-t-ike-03", "draft-ietf-ipsec-nat-t-ike-03"),
	hashVendor("draft-ietf-ipsec-nat-t-ike", "draft-ietf-ipsec-nat-t-ike"),
	hashVendor("GSSAPI", "GSSAPI"),
	hashVendor("Vid-Initial-Contact", "Microsoft Vid-Initial-Contact"),
	hashVendor("MS-Negotiation Discovery Capable", "Microsoft Negotiation Discovery Capable"),
	hashVendor("IKE CGA version 1", "Microsoft IKE CGA version 1"),
	hashVendor("MS-MamieExists", "Microsoft MS-MamieExists"),
	hexVendor("1e2b516905991c7d7c96fcbfb587e461", "MS NT5 ISAKMPOAKLEY", true),
	hexVendor("afcad71368a1f1c96b8696fc7757", "RFC 3706 DPD (Dead Peer Detection)", true),
	hexVendor("09002689dfd6b712", "XAUTH", false),
	hexVendor("12f5f28c457168a9702d9fe274cc", "Cisco Unity", true),
	hexVendor("1f07f70eaa6514d3b0fa96542a50", "Cisco VPN Concentrator", true),
	hexVendor("4048b7d56ebce88525e7de7f00d6c2d3", "Cisco Fragmentation", true),
	hexVendor("8299031757a36082c6a621de", "Fortinet FortiGate", true),
	hexVendor("4c53427b6d465d1b337bb755a37a7fef", "Fortinet FortiClient Connect", false),
	hexVendor("b4f01ca951e9da8d0bafbbd34ad3044e", "Fortinet Endpoint Control", false),
	hexVendor("69936922741c6d4ca094c93e242c9de19e7b7c60000000050000050000000000", "Juniper NetScreen", true),
	hexVendor("f4ed19e0c114eb516faaac0ee37daf2807b4381f", "Check Point", true),
}

// VendorName returns who or what a vendor ID stands for; false when it is not known.
func VendorName(id []byte) (string, bool) {
	for _, v := range vendors {
		if string(id) == v.id || v.prefix && bytes.HasPrefix(id, []byte(v.id)) {
			return v.name, true
		}
	}
	return "", false
}

// vendorText is the vendor's name, the text that the ID is, or its hex digits.
func vendorText(id []byte) string {
	if n, ok := VendorName(id); ok {
		return n
	}
	if isText(id) {
		return strings.TrimSpace(string(id))
	}
	return hex.EncodeToString(id)
}

// Name returns who or what the vendor ID stands for: its name, its own text, or hex digits.
func (v *VendorID) Name() string { return vendorText(v.Data) }

// Name returns who or what the vendor ID stands for: its name, its own text, or hex digits.
func (v *VendorIDv1) Name() string { return vendorText(v.Data) }
