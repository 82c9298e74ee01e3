package ike

import "fmt"

// Names and numbers are those of the IANA registries "Internet Key Exchange Version 2 (IKEv2)
// Parameters", "Internet Key Exchange (IKE) Attributes" and "ISAKMP Registry", as of November 2026.

// names are those of the numbers from zero on, "" for one without. A list is part of the program as
// it is; a map would have to be filled at each start, and is slower to look into for every payload
// of every packet.
type names []string

func (n names) of(number int) string {
	if number < len(n) {
		return n[number]
	}
	return ""
}

// More payload types of IKEv2.
const (
	PayloadGSPM PayloadType = 49
	PayloadIDg  PayloadType = 50
	PayloadGSA  PayloadType = 51
	PayloadKD   PayloadType = 52
	PayloadPS   PayloadType = 54
)

var payloadNames = names{
	PayloadSA: "SA", PayloadKE: "KE", PayloadIDi: "IDi", PayloadIDr: "IDr", PayloadCERT: "CERT", PayloadCREQ: "CERTREQ",
	PayloadAUTH: "AUTH", PayloadNonce: "Nonce", PayloadN: "N", PayloadD: "D", PayloadV: "V", PayloadTSi: "TSi",
	PayloadTSr: "TSr",
	PayloadSK:  "SK", PayloadCP: "CP", PayloadEAP: "EAP", PayloadGSPM: "GSPM", PayloadIDg: "IDg", PayloadGSA: "GSA",
	PayloadKD: "KD", PayloadSKF: "SKF", PayloadPS: "PS", PayloadNone: "none",
}

var payloadNamesV1 = names{
	PayloadNone: "none", V1PayloadSA: "SA", V1PayloadP: "P", V1PayloadT: "T", V1PayloadKE: "KE", V1PayloadID: "ID",
	V1PayloadCERT: "CERT",
	V1PayloadCR:   "CR", V1PayloadHASH: "HASH", V1PayloadSIG: "SIG", V1PayloadNONCE: "NONCE", V1PayloadN: "N",
	V1PayloadD:   "D",
	V1PayloadVID: "VID", V1PayloadATTR: "ATTR", V1PayloadNATD: "NAT-D", V1PayloadNATOA: "NAT-OA",
	V1PayloadNATDOld:  "NAT-D",
	V1PayloadNATOAOld: "NAT-OA", V1PayloadFrag: "FRAG", 15: "SAK", 16: "SAT", 17: "KD", 18: "SEQ", 19: "POP", 22: "GAP",
}

// PayloadName returns the name of a payload type in the notation of RFC 7296 or RFC 2408. major is
// the major version.
func PayloadName(major int, t PayloadType) string {
	all := payloadNames
	if major == 1 {
		all = payloadNamesV1
	}
	if n := all.of(int(t)); n != "" {
		return n
	}
	return fmt.Sprintf("payload %d", uint8(t))
}

// String returns the name of an IKEv2 payload, or of an IKEv1 payload for the numbers that only
// IKEv1 has.
func (t PayloadType) String() string {
	if t < PayloadSA || t >= V1PayloadNATDOld {
		return PayloadName(1, t)
	}
	return PayloadName(2, t)
}

var exchangeNames = names{
	0: "None", 1: "Base", V1MainMode: "Identity Protection (Main Mode)", 3: "Authentication Only",
	V1Aggressive:    "Aggressive",
	V1Informational: "Informational", V1Transaction: "Transaction (Config Mode)", V1QuickMode: "Quick Mode",
	V1NewGroup: "New Group Mode",
	IKESAInit:  "IKE_SA_INIT", IKEAuth: "IKE_AUTH", CreateChildSA: "CREATE_CHILD_SA", Informational: "INFORMATIONAL",
	IKESessionResume: "IKE_SESSION_RESUME", 39: "GSA_AUTH", 40: "GSA_REGISTRATION", 41: "GSA_REKEY",
	42:              "GSA_INBAND_REKEY",
	IKEIntermediate: "IKE_INTERMEDIATE", IKEFollowupKE: "IKE_FOLLOWUP_KE",
}

// String returns the exchange's name: of RFC 7296 and its family, or the usual one of IKEv1.
func (x ExchangeType) String() string {
	if n := exchangeNames.of(int(x)); n != "" {
		return n
	}
	return fmt.Sprintf("exchange %d", uint8(x))
}

// Protocol is a protocol identifier of proposals, notifications and deletes.
type Protocol uint8

// The protocols (IANA, IKEv2 Security Protocol Identifiers; IPsec DOI).
const (
	ProtocolNone   Protocol = 0
	ProtocolIKE    Protocol = 1
	ProtocolAH     Protocol = 2
	ProtocolESP    Protocol = 3
	ProtocolIPComp Protocol = 4
)

func (p Protocol) String() string {
	names := [...]string{"none", "IKE", "AH", "ESP", "FC_ESP_HEADER", "FC_CT_AUTHENTICATION", "GIKE_UPDATE"}
	if int(p) < len(names) {
		return names[p]
	}
	return fmt.Sprintf("protocol %d", uint8(p))
}

// TransformType is the type of a transform.
type TransformType uint8

// The transform types (IANA, Transform Type Values; RFC 9370 for the additional key exchanges).
const (
	TransformENCR   TransformType = 1
	TransformPRF    TransformType = 2
	TransformINTEG  TransformType = 3
	TransformKE     TransformType = 4
	TransformESN    TransformType = 5
	TransformADDKE1 TransformType = 6
	TransformADDKE7 TransformType = 12
)

func (t TransformType) String() string {
	switch {
	case t >= TransformADDKE1 && t <= TransformADDKE7:
		return fmt.Sprintf("ADDKE%d", t-TransformADDKE1+1)
	case t == 13:
		return "KWA"
	case t == 14:
		return "GCAUTH"
	case t >= 1 && t <= 5:
		return [...]string{"ENCR", "PRF", "INTEG", "KE", "ESN"}[t-1]
	}
	return fmt.Sprintf("type %d", uint8(t))
}

var transformNames = [...]names{
	TransformENCR: encrNames, TransformPRF: prfNames, TransformINTEG: integNames, TransformKE: keNames,
	TransformESN: esnNames,
	13:           {1: "KW_5649_128", 2: "KW_5649_192", 3: "KW_5649_256", 4: "KW_ARX"},
	14:           {1: "Implicit", 2: "Digital Signature"},
}

// TransformName returns the IANA name of a transform.
func TransformName(t TransformType, id uint16) string {
	var all names
	switch {
	case t >= TransformADDKE1 && t <= TransformADDKE7:
		all = keNames
	case int(t) < len(transformNames):
		all = transformNames[t]
	}
	if n := all.of(int(id)); n != "" {
		return n
	}
	return fmt.Sprintf("%s_%d", t, id)
}

var encrNames = names{
	1: "ENCR_DES_IV64", 2: "ENCR_DES", 3: "ENCR_3DES", 4: "ENCR_RC5", 5: "ENCR_IDEA", 6: "ENCR_CAST", 7: "ENCR_BLOWFISH",
	8: "ENCR_3IDEA", 9: "ENCR_DES_IV32", 11: "ENCR_NULL", 12: "ENCR_AES_CBC", 13: "ENCR_AES_CTR", 14: "ENCR_AES_CCM_8",
	15: "ENCR_AES_CCM_12", 16: "ENCR_AES_CCM_16", 18: "ENCR_AES_GCM_8", 19: "ENCR_AES_GCM_12", 20: "ENCR_AES_GCM_16",
	21: "ENCR_NULL_AUTH_AES_GMAC", 23: "ENCR_CAMELLIA_CBC", 24: "ENCR_CAMELLIA_CTR", 25: "ENCR_CAMELLIA_CCM_8",
	26: "ENCR_CAMELLIA_CCM_12", 27: "ENCR_CAMELLIA_CCM_16", 28: "ENCR_CHACHA20_POLY1305", 29: "ENCR_AES_CCM_8_IIV",
	30: "ENCR_AES_GCM_16_IIV", 31: "ENCR_CHACHA20_POLY1305_IIV", 32: "ENCR_KUZNYECHIK_MGM_KTREE",
	33: "ENCR_MAGMA_MGM_KTREE",
	34: "ENCR_KUZNYECHIK_MGM_MAC_KTREE", 35: "ENCR_MAGMA_MGM_MAC_KTREE",
}

var prfNames = names{
	1: "PRF_HMAC_MD5", 2: "PRF_HMAC_SHA1", 3: "PRF_HMAC_TIGER", 4: "PRF_AES128_XCBC", 5: "PRF_HMAC_SHA2_256",
	6: "PRF_HMAC_SHA2_384",
	7: "PRF_HMAC_SHA2_512", 8: "PRF_AES128_CMAC", 9: "PRF_HMAC_STREEBOG_512",
}

var integNames = names{
	0: "NONE", 1: "AUTH_HMAC_MD5_96", 2: "AUTH_HMAC_SHA1_96", 3: "AUTH_DES_MAC", 4: "AUTH_KPDK_MD5", 5: "AUTH_AES_XCBC_96",
	6: "AUTH_HMAC_MD5_128", 7: "AUTH_HMAC_SHA1_160", 8: "AUTH_AES_CMAC_96", 9: "AUTH_AES_128_GMAC",
	10: "AUTH_AES_192_GMAC",
	11: "AUTH_AES_256_GMAC", 12: "AUTH_HMAC_SHA2_256_128", 13: "AUTH_HMAC_SHA2_384_192", 14: "AUTH_HMAC_SHA2_512_256",
}

var keNames = names{
	0: "NONE", 1: "768-bit MODP Group", 2: "1024-bit MODP Group", 5: "1536-bit MODP Group", 14: "2048-bit MODP Group",
	15: "3072-bit MODP Group", 16: "4096-bit MODP Group", 17: "6144-bit MODP Group", 18: "8192-bit MODP Group",
	19: "256-bit random ECP group", 20: "384-bit random ECP group", 21: "521-bit random ECP group",
	22: "1024-bit MODP Group with 160-bit Prime Order Subgroup",
	23: "2048-bit MODP Group with 224-bit Prime Order Subgroup",
	24: "2048-bit MODP Group with 256-bit Prime Order Subgroup", 25: "192-bit Random ECP Group",
	26: "224-bit Random ECP Group",
	27: "brainpoolP224r1", 28: "brainpoolP256r1", 29: "brainpoolP384r1", 30: "brainpoolP512r1", 31: "Curve25519",
	32: "Curve448",
	33: "GOST3410_2012_256", 34: "GOST3410_2012_512", 35: "ml-kem-512", 36: "ml-kem-768", 37: "ml-kem-1024",
}

// esnNames are those of RFC 9827; until then 0 was "No Extended Sequence Numbers", 1 "Extended
// Sequence Numbers".
var esnNames = names{0: "32-bit Sequential Numbers", 1: "Partially Transmitted 64-bit Sequential Numbers",
	2: "32-bit Unspecified Numbers"}

// SelectorType returns the name of a kind of traffic selectors.
func SelectorType(n uint8) string {
	return nameOr(selectorNames.of(int(n)), "TS type", n)
}

var selectorNames = names{7: "TS_IPV4_ADDR_RANGE", 8: "TS_IPV6_ADDR_RANGE", 9: "TS_FC_ADDR_RANGE", 10: "TS_SECLABEL"}

// AuthMethod returns the IANA name of an authentication method of IKEv2.
func AuthMethod(n uint8) string {
	return nameOr(methodNames.of(int(n)), "method", n)
}

var methodNames = names{
	1: "RSA Digital Signature", 2: "Shared Key Message Integrity Code", 3: "DSS Digital Signature",
	9: "ECDSA with SHA-256 on the P-256 curve", 10: "ECDSA with SHA-384 on the P-384 curve",
	11: "ECDSA with SHA-512 on the P-521 curve",
	12: "Generic Secure Password Authentication Method", 13: "NULL Authentication", 14: "Digital Signature",
}

// IDType returns the name of a kind of identity, of either version.
func IDType(n uint8) string {
	return nameOr(identityNames.of(int(n)), "ID type", n)
}

var identityNames = names{
	1: "ID_IPV4_ADDR", 2: "ID_FQDN", 3: "ID_RFC822_ADDR", 4: "ID_IPV4_ADDR_SUBNET", 5: "ID_IPV6_ADDR",
	6: "ID_IPV6_ADDR_SUBNET",
	7: "ID_IPV4_ADDR_RANGE", 8: "ID_IPV6_ADDR_RANGE", 9: "ID_DER_ASN1_DN", 10: "ID_DER_ASN1_GN", 11: "ID_KEY_ID",
	12: "ID_FC_NAME", 13: "ID_NULL",
}

// CertEncoding returns the name of a certificate encoding.
func CertEncoding(n uint8) string {
	return nameOr(encodingNames.of(int(n)), "encoding", n)
}

var encodingNames = names{
	1: "PKCS #7 wrapped X.509 certificate", 2: "PGP Certificate", 3: "DNS Signed Key", 4: "X.509 Certificate - Signature",
	5: "X.509 Certificate - Key Exchange", 6: "Kerberos Tokens", 7: "Certificate Revocation List (CRL)",
	8: "Authority Revocation List (ARL)", 9: "SPKI Certificate", 10: "X.509 Certificate - Attribute", 11: "Raw RSA Key",
	12: "Hash and URL of X.509 certificate", 13: "Hash and URL of X.509 bundle", 14: "OCSP Content", 15: "Raw Public Key",
}

// ConfigType returns the name of a Configuration payload's type.
func ConfigType(n uint8) string {
	return nameOr(configTypeNames.of(int(n)), "CFG type", n)
}

var configTypeNames = names{1: "CFG_REQUEST", 2: "CFG_REPLY", 3: "CFG_SET", 4: "CFG_ACK"}

// ConfigAttributeName returns the name of a configuration attribute.
func ConfigAttributeName(n uint16) string {
	return nameOr(configNames.of(int(n&0x7fff)), "attribute", n&0x7fff)
}

var configNames = names{
	1: "INTERNAL_IP4_ADDRESS", 2: "INTERNAL_IP4_NETMASK", 3: "INTERNAL_IP4_DNS", 4: "INTERNAL_IP4_NBNS",
	5: "INTERNAL_ADDRESS_EXPIRY", 6: "INTERNAL_IP4_DHCP",
	7: "APPLICATION_VERSION", 8: "INTERNAL_IP6_ADDRESS", 10: "INTERNAL_IP6_DNS", 11: "INTERNAL_IP6_NBNS",
	12: "INTERNAL_IP6_DHCP", 13: "INTERNAL_IP4_SUBNET",
	14: "SUPPORTED_ATTRIBUTES", 15: "INTERNAL_IP6_SUBNET", 16: "MIP6_HOME_PREFIX", 17: "INTERNAL_IP6_LINK",
	18: "INTERNAL_IP6_PREFIX",
	19: "HOME_AGENT_ADDRESS", 20: "P_CSCF_IP4_ADDRESS", 21: "P_CSCF_IP6_ADDRESS", 22: "FTT_KAT",
	23: "EXTERNAL_SOURCE_IP4_NAT_INFO",
	24: "TIMEOUT_PERIOD_FOR_LIVENESS_CHECK", 25: "INTERNAL_DNS_DOMAIN", 26: "INTERNAL_DNSSEC_TA", 27: "ENCDNS_IP4",
	28: "ENCDNS_IP6",
	29: "ENCDNS_DIGEST_INFO",
}

// EAPCode returns the name of an EAP code (RFC 3748, Section 4).
func EAPCode(n uint8) string {
	return nameOr(eapCodeNames.of(int(n)), "code", n)
}

var eapCodeNames = names{1: "Request", 2: "Response", 3: "Success", 4: "Failure", 5: "Initiate", 6: "Finish"}

// EAPType returns the name of an EAP method.
func EAPType(n uint8) string {
	return nameOr(eapTypeNames.of(int(n)), "type", n)
}

var eapTypeNames = names{
	1: "Identity", 2: "Notification", 3: "Legacy Nak", 4: "MD5-Challenge", 5: "One-Time Password", 6: "Generic Token Card",
	13: "EAP-TLS",
	17: "LEAP", 18: "EAP-SIM", 21: "EAP-TTLS", 23: "EAP-AKA", 25: "PEAP", 26: "MS-EAP-Authentication", 29: "EAP-MSCHAPv2",
	43: "EAP-FAST", 47: "EAP-PSK", 50: "EAP-AKA'", 52: "EAP-pwd", 55: "TEAP", 254: "Expanded",
}

// HashAlgorithm returns the name of a hash algorithm of RFC 7427.
func HashAlgorithm(n uint16) string {
	return nameOr(hashNames.of(int(n)), "hash", n)
}

var hashNames = names{1: "SHA1", 2: "SHA2-256", 3: "SHA2-384", 4: "SHA2-512", 5: "Identity", 6: "STREEBOG_256",
	7: "STREEBOG_512"}

func nameOr[N uint8 | uint16](name, what string, n N) string {
	if name != "" {
		return name
	}
	return fmt.Sprintf("%s %d", what, n)
}
