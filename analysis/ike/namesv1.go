package ike

import (
	"encoding/hex"
	"fmt"
)

// Attribute types of the phase 1 transforms of IKEv1 (RFC 2409, Appendix A).
const (
	V1Encryption   = 1
	V1Hash         = 2
	V1AuthMethod   = 3
	V1Group        = 4
	V1GroupType    = 5
	V1LifeType     = 11
	V1LifeDuration = 12
	V1PRF          = 13
	V1KeyLength    = 14
)

var v1AttributeNames = names{
	1: "Encryption-Algorithm", 2: "Hash-Algorithm", 3: "Authentication-Method", 4: "Group-Description", 5: "Group-Type",
	6: "Group-Prime",
	7: "Group-Generator-One", 8: "Group-Generator-Two", 9: "Group-Curve-A", 10: "Group-Curve-B", 11: "Life-Type",
	12: "Life-Duration",
	13: "PRF", 14: "Key-Length", 15: "Field-Size", 16: "Group-Order", 17: "Block-Size",
	20: "Asymmetric-Cryptographic-Algorithm-Type",
}

// Attribute types of the phase 2 transforms (RFC 2407, Section 4.5).
var v1IPsecAttributeNames = names{
	1: "SA-Life-Type", 2: "SA-Life-Duration", 3: "Group-Description", 4: "Encapsulation-Mode",
	5: "Authentication-Algorithm", 6: "Key-Length",
	7: "Key-Rounds", 8: "Compress-Dictionary-Size", 9: "Compress-Private-Algorithm", 10: "ECN-Tunnel",
	11: "Extended-Sequence-Number",
	12: "Authentication-Key-Length", 13: "Signature-Encoding-Algorithm", 14: "Address-Preservation", 15: "SA-Direction",
}

var v1Values = map[uint16]map[uint64]string{
	V1Encryption: {1: "DES-CBC", 2: "IDEA-CBC", 3: "Blowfish-CBC", 4: "RC5-R16-B64-CBC", 5: "3DES-CBC", 6: "CAST-CBC",
		7: "AES-CBC", 8: "CAMELLIA-CBC"},
	V1Hash: {1: "MD5", 2: "SHA", 3: "Tiger", 4: "SHA2-256", 5: "SHA2-384", 6: "SHA2-512"},
	V1AuthMethod: {
		1: "pre-shared key", 2: "DSS signatures", 3: "RSA signatures", 4: "Encryption with RSA",
		5: "Revised encryption with RSA",
		6: "Encryption with El-Gamal", 7: "Revised encryption with El-Gamal", 8: "ECDSA signatures",
		9: "ECDSA with SHA-256 on P-256", 10: "ECDSA with SHA-384 on P-384", 11: "ECDSA with SHA-512 on P-521",
		64221: "HybridInitRSA", 64222: "HybridRespRSA", 64223: "HybridInitDSS", 64224: "HybridRespDSS",
		65001: "XAUTHInitPreShared", 65002: "XAUTHRespPreShared",
		65003: "XAUTHInitDSS", 65004: "XAUTHRespDSS", 65005: "XAUTHInitRSA", 65006: "XAUTHRespRSA",
		65007: "XAUTHInitRSAEncryption", 65008: "XAUTHRespRSAEncryption", 65009: "XAUTHInitRSARevisedEncryption",
		65010: "XAUTHRespRSARevisedEncryption",
	},
	V1GroupType: {1: "MODP", 2: "ECP", 3: "EC2N"},
	V1LifeType:  {1: "seconds", 2: "kilobytes"},
}

var v1IPsecValues = map[uint16]map[uint64]string{
	1: {1: "seconds", 2: "kilobytes"},
	4: {1: "Tunnel", 2: "Transport", 3: "UDP-Encapsulated-Tunnel", 4: "UDP-Encapsulated-Transport",
		61443: "UDP-Encapsulated-Tunnel (draft)", 61444: "UDP-Encapsulated-Transport (draft)"},
	5: {1: "HMAC-MD5", 2: "HMAC-SHA", 3: "DES-MAC", 4: "KPDK", 5: "HMAC-SHA2-256", 6: "HMAC-SHA2-384", 7: "HMAC-SHA2-512",
		8: "HMAC-RIPEMD", 9: "AES-XCBC-MAC", 11: "AES-128-GMAC", 12: "AES-192-GMAC", 13: "AES-256-GMAC"},
	10: {1: "allowed", 2: "forbidden"}, // RFC 3168, Section 9.2.1
	11: {1: "64-bit"},                  // RFC 4304, Section 3
}

func v1Attribute(p Protocol, a Attribute) string {
	name, value := V1AttributeText(p, a)
	return name + "=" + value
}

// V1AttributeText returns the names of an IKEv1 transform attribute and of its value; p is the
// proposal's protocol.
func V1AttributeText(p Protocol, a Attribute) (name, value string) {
	all, values, group := v1AttributeNames, v1Values, uint16(V1Group)
	if p != ProtocolIKE {
		all, values, group = v1IPsecAttributeNames, v1IPsecValues, 3
	}
	name = nameOr(all.of(int(a.Type)), "attribute", a.Type)
	n, ok := a.Number()
	if !ok {
		return name, hex.EncodeToString(a.Data)
	}
	if a.Type == group {
		return name, TransformName(TransformKE, uint16(n))
	}
	if v := values[a.Type][n]; v != "" {
		return name, v
	}
	return name, fmt.Sprint(n)
}

var v1ESP = names{
	1: "ESP_DES_IV64", 2: "ESP_DES", 3: "ESP_3DES", 4: "ESP_RC5", 5: "ESP_IDEA", 6: "ESP_CAST", 7: "ESP_BLOWFISH",
	8: "ESP_3IDEA",
	9: "ESP_DES_IV32", 10: "ESP_RC4", 11: "ESP_NULL", 12: "ESP_AES-CBC", 13: "ESP_AES-CTR", 14: "ESP_AES-CCM_8",
	15: "ESP_AES-CCM_12",
	16: "ESP_AES-CCM_16", 18: "ESP_AES-GCM_8", 19: "ESP_AES-GCM_12", 20: "ESP_AES-GCM_16", 21: "ESP_SEED_CBC",
	22: "ESP_CAMELLIA",
	23: "ESP_NULL_AUTH_AES-GMAC",
}

var v1AH = names{
	2: "AH_MD5", 3: "AH_SHA", 4: "AH_DES", 5: "AH_SHA2-256", 6: "AH_SHA2-384", 7: "AH_SHA2-512", 8: "AH_RIPEMD",
	9:  "AH_AES-XCBC-MAC",
	11: "AH_AES-128-GMAC", 12: "AH_AES-192-GMAC", 13: "AH_AES-256-GMAC",
}

// v1TransformID returns the name of a transform's own number (RFC 2407, Section 4.4).
func v1TransformID(p Protocol, id uint8) string {
	switch p {
	case ProtocolIKE:
		return nameOr(map[uint8]string{1: "KEY_IKE"}[id], "transform", id)
	case ProtocolAH:
		return nameOr(v1AH.of(int(id)), "AH transform", id)
	case ProtocolESP:
		return nameOr(v1ESP.of(int(id)), "ESP transform", id)
	case ProtocolIPComp:
		return nameOr(map[uint8]string{1: "IPCOMP_OUI", 2: "IPCOMP_DEFLATE", 3: "IPCOMP_LZS"}[id], "IPCOMP transform", id)
	}
	return fmt.Sprintf("transform %d", id)
}

// modeConfigNames are the attributes of Mode Config, XAUTH and Unity (their drafts; Cisco).
var modeConfigNames = map[uint16]string{
	1: "INTERNAL_IP4_ADDRESS", 2: "INTERNAL_IP4_NETMASK", 3: "INTERNAL_IP4_DNS", 4: "INTERNAL_IP4_NBNS",
	5: "INTERNAL_ADDRESS_EXPIRY",
	6: "INTERNAL_IP4_DHCP", 7: "APPLICATION_VERSION", 8: "INTERNAL_IP6_ADDRESS", 9: "INTERNAL_IP6_NETMASK",
	10: "INTERNAL_IP6_DNS", 11: "INTERNAL_IP6_NBNS", 12: "INTERNAL_IP6_DHCP", 13: "INTERNAL_IP4_SUBNET",
	14:    "SUPPORTED_ATTRIBUTES",
	16520: "XAUTH-TYPE", 16521: "XAUTH-USER-NAME", 16522: "XAUTH-USER-PASSWORD", 16523: "XAUTH-PASSCODE",
	16524: "XAUTH-MESSAGE",
	16525: "XAUTH-CHALLENGE", 16526: "XAUTH-DOMAIN", 16527: "XAUTH-STATUS", 16528: "XAUTH-NEXT-PIN", 16529: "XAUTH-ANSWER",
	28672: "UNITY_BANNER", 28673: "UNITY_SAVE_PASSWD", 28674: "UNITY_DEF_DOMAIN", 28675: "UNITY_SPLITDNS_NAME",
	28676: "UNITY_SPLIT_INCLUDE",
	28677: "UNITY_NATT_PORT", 28678: "UNITY_LOCAL_LAN", 28679: "UNITY_PFS", 28680: "UNITY_FW_TYPE",
	28681: "UNITY_BACKUP_SERVERS", 28682: "UNITY_DDNS_HOSTNAME",
}
