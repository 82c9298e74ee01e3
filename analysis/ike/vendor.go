package ike

import (
	"bytes"
	"crypto/md5" // #nosec G501 -- vendor IDs are MD5 sums of names
	"encoding/hex"
	"slices"
	"strings"
	"sync"
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
	sum := md5.Sum([]byte(text)) // #nosec G401 -- see the import
	return knownVendor{string(sum[:]), name, false}
}

// hashVendors are those of a text with several endings, and go by that.
func hashVendors(text string, endings ...string) []knownVendor {
	all := make([]knownVendor, len(endings))
	for i, e := range endings {
		all[i] = hashVendor(text+e, text+e)
	}
	return all
}

// vendors come from their RFCs and drafts, from what products send in public captures, and from the
// lists of Wireshark and libreswan as facts. The first that fits counts. They are hashed when one
// is looked for.
var vendors = sync.OnceValue(func() []knownVendor {
	return slices.Concat(ciscoVendors(), natVendors(), extensionVendors(), productVendors(),
		hashVendors("SSH Communications Security IPSEC Express version ", "1.1.2", "1.2.1", "1.2.2", "2.0.0", "2.1.0",
			"2.1.1", "2.1.2",
			"3.0.0", "3.0.1", "4.0.0", "4.0.1", "4.1.0", "4.1.1", "4.2.0", "5.0", "5.0.0", "5.1.0", "5.1.1"),
		hashVendors("SSH Communications Security QuickSec ", "0.9.0", "1.1.0", "1.1.1", "1.1.2", "1.1.3", "2.1.0", "2.1.3"),
		hashVendors("SSH Sentinel", "", " 1.1", " 1.2", " 1.3", " 1.4", " 1.4.1"),
	)
})

func ciscoVendors() []knownVendor {
	return []knownVendor{
		{"CISCO-DELETE-REASON", "Cisco Delete Reason Supported", true},
		{"CISCOVPN-REV-02", "Cisco VPN Revision 2", true},
		{"CISCO-DYNAMIC-ROUTE", "Cisco Dynamic Route Supported", true},
		{"FLEXVPN-SUPPORTED", "Cisco FlexVPN Supported", true},
		{"CISCO-GRE-MODE", "CISCO-GRE-MODE", true},
		{"CISCO-ANYCONNECT-EAP", "Cisco AnyConnect EAP", true},
		{"CISCO(COPYRIGHT)", "Cisco Copyright", true},
		{"CISCO-", "Cisco", true},
		// of the MD5 of CISCO-UNITY; then a version
		hexVendor("12f5f28c457168a9702d9fe274cc", "Cisco Unity", true),
		hexVendor("1f07f70eaa6514d3b0fa96542a50", "Cisco VPN Concentrator", true), // of ALTIGA GATEWAY
		hexVendor("4048b7d56ebce88525e7de7f00d6c2d380000000", "Cisco Fragmentation", true),
		hexVendor("4048b7d56ebce88525e7de7f00d6c2d3c0000000", "Cisco Fragmentation", true),
		hexVendor("800100018002000180030002", "Cisco Unity firewall type", false),
		hexVendor("3e984048", "Cisco IOS", true),
	}
}

func natVendors() []knownVendor {
	return slices.Concat([]knownVendor{
		hashVendor("RFC 3947", "RFC 3947 Negotiation of NAT-Traversal in the IKE"),
		hashVendor("draft-ietf-ipsec-nat-t-ike", "draft-ietf-ipsec-nat-t-ike"),
		hashVendor("draft-ietf-ipsec-nat-t-ike-02\n", "draft-ietf-ipsec-nat-t-ike-02\\n"),
		hashVendor("Testing NAT-T RFC", "Testing NAT-T RFC"),
		hashVendor("ESPThruNAT", "ESPThruNAT"),
		hashVendor("draft-huttunen-ipsec-esp-in-udp-00.txt", "draft-huttunen-ipsec-esp-in-udp-00"),
	},
		hashVendors("draft-ietf-ipsec-nat-t-ike-", "00", "01", "02", "03", "04", "05", "06", "07", "08", "09"),
		hashVendors("draft-stenberg-ipsec-nat-traversal-", "01", "02"),
	)
}

func extensionVendors() []knownVendor {
	return []knownVendor{
		hexVendor("afcad71368a1f1c96b8696fc7757", "RFC 3706 DPD (Dead Peer Detection)", true),
		hexVendor("09002689dfd6b712", "XAUTH", true),
		hashVendor("FRAGMENTATION", "Fragmentation"),
		hexVendor("325df29a2319f2dd", "draft-ietf-ipsec-antireplay-00", false),
		hexVendor("8db7a41811221660", "draft-ietf-ipsec-heartbeats-00", false),
		{"HeartBeat_Notify", "HeartBeat Notify", true},
		hexVendor("2d7922c6b301d9b0e1342739e9cfbbd5", "Delete with reason", false),
		hashVendor("IKE Challenge/Response for Authenticated Cryptographic Keys", "IKE Challenge/Response"),
		hexVendor("0d33611a5d521b5e3c9c03d2fc107e12", "IKE Challenge/Response", false),
		hashVendor("IKE Challenge/Response for Authenticated Cryptographic Keys (Revised)",
			"IKE Challenge/Response (revised)"),
		hexVendor("013f11823f966fa91900f024ba66a86b", "IKE Challenge/Response (revised)", false),
		hashVendor("GSSAPI", "GSSAPI"),
		hashVendor("A GSS-API Authentication Method for IKE", "GSS-API authentication"),
		hexVendor("b46d8914f3aaa3f2fedeb7c7db2943ca", "GSS-API authentication", false),
	}
}

func productVendors() []knownVendor {
	return []knownVendor{
		{"OE-Libreswan-", "Libreswan", true},
		{"Opportunistic IPsec", "Opportunistic IPsec", false},
		{"OpenIKED-", "OpenIKED", true},
		hashVendor("strongSwan", "strongSwan"),
		hashVendor("KAME/racoon", "KAME racoon"),
		hexVendor("20a3622c1cea7ce37bee3ca484425276", "IPsec-Tools", false),
		hexVendor("f14b94b7bff1fef02773b8c49feded26", "Shrew Soft", true),
		hashVendor("Vid-Initial-Contact", "Microsoft Vid-Initial-Contact"),
		hashVendor("MS-Negotiation Discovery Capable", "Microsoft Negotiation Discovery Capable"),
		hashVendor("IKE CGA version 1", "Microsoft IKE CGA version 1"),
		hashVendor("MS-MamieExists", "Microsoft MS-MamieExists"),
		hexVendor("1e2b516905991c7d7c96fcbfb587e461", "MS NT5 ISAKMPOAKLEY", true),
		hexVendor("8299031757a36082c6a621de", "Fortinet FortiGate", true),
		hexVendor("4c53427b6d465d1b337bb755a37a7fef", "Fortinet FortiClient Connect", false),
		hexVendor("b4f01ca951e9da8d0bafbbd34ad3044e", "Fortinet Endpoint Control", false),
		{"Juniper", "Juniper", true},
		hexVendor("699369228741c6d4ca094c93e242c9de19e7b7c6", "Juniper NetScreen", true),
		hexVendor("299ee8289f40a8973bc78687e2e7226b532c3b76", "Juniper NetScreen", true),
		hexVendor("3a15e1f3cf2a63582e3ac82d1c64cbe3b6d779e7", "Juniper NetScreen", true),
		hexVendor("47d2b126bfcd83489760e2cf8c5d4d5a03497c15", "Juniper NetScreen", true),
		hexVendor("4a4340b543e02b84c88a8b96a8af9ebe77d9accc", "Juniper NetScreen", true),
		hexVendor("64405f46f03b7660a23be116a1975058e69e8387", "Juniper NetScreen", true),
		hexVendor("8c0dc6cf62a0ef1b5c6eabd1b67ba69866adf16a", "Juniper NetScreen", true),
		hexVendor("92d27a9ecb31d99246986d3453d0c3d57a222a61", "Juniper NetScreen", true),
		hexVendor("9b096d9ac3275a7d6fe8b91c583111b09efed1a0", "Juniper NetScreen", true),
		hexVendor("bf03746108d746c904f1f3547de24f78479fed12", "Juniper NetScreen", true),
		hexVendor("c2e80500f4cc5fbf5daaeed3bb59abaeee56c652", "Juniper NetScreen", true),
		hexVendor("c8660a62b03b1b6130bf781608d32a6a8d0fb89f", "Juniper NetScreen", true),
		hexVendor("f885da40b1e7a9abd17655ec5bbec0f21f0ed52e", "Juniper NetScreen", true),
		hexVendor("2a2bcac19b8e91b426107807e02e7249569d6fd3", "Juniper NetScreen", true),
		hexVendor("166f932d55eb64d8e4df4fd37e2313f0d0fd8451", "Juniper NetScreen", true),
		hexVendor("a35bfd05ca1ac0b3d2f24e9e82bfcbff9c9e52b5", "Juniper NetScreen", true),
		hexVendor("f4ed19e0c114eb516faaac0ee37daf2807b4381f", "Check Point", true),
		hexVendor("9aa1f3b43472a45d5f506aeb26c0f214", "CyberGuard", false),
		hexVendor("625027749d5ab97f5616c1602765cf480a3b7d0b", "ZyXEL ZyWALL", true),
		hexVendor("8404adf9cda05760b2ca292e4bff537b", "Sidewinder", true),
		hexVendor("404bf439522ca3f6", "SonicWALL", true),
		hexVendor("ca3e2b854ba8030017dc1023a4fde2041f9f7463", "Aruba Remote AP", true),
		hexVendor("3c8e70bdf9c7d74add53e4100915dc2e4bb51274", "Aruba Controller", true),
		hexVendor("88f0e3149b3fa48b05aa7f685f0b766be186ccb8", "Aruba VIA Client", true),
		{"VIA Auth Profile : ", "Aruba VIA Auth Profile", true},
		{"TIMESTEP", "TimeStep", true},
		{"Linux FreeS/WAN", "FreeS/WAN", true},
	}
}

// VendorName returns who or what a vendor ID stands for; false when it is not known.
func VendorName(id []byte) (string, bool) {
	for _, v := range vendors() {
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
