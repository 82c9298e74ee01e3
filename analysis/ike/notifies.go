package ike

import (
	"fmt"
	"maps"
	"slices"
)

// NotifyType is a type of Notify payloads of IKEv2: an error below 16384, a status from there on.
type NotifyType uint16

// The notify types that others than a decoder look for.
const (
	UnsupportedCriticalPayload NotifyType = 1
	InvalidIKESPI              NotifyType = 4
	InvalidMajorVersion        NotifyType = 5
	InvalidSyntax              NotifyType = 7
	InvalidMessageID           NotifyType = 9
	InvalidSPI                 NotifyType = 11
	NoProposalChosen           NotifyType = 14
	InvalidKEPayload           NotifyType = 17
	AuthenticationFailed       NotifyType = 24
	SinglePairRequired         NotifyType = 34
	NoAdditionalSAs            NotifyType = 35
	InternalAddressFailure     NotifyType = 36
	FailedCPRequired           NotifyType = 37
	TSUnacceptable             NotifyType = 38
	InvalidSelectors           NotifyType = 39
	TemporaryFailure           NotifyType = 43
	ChildSANotFound            NotifyType = 44

	InitialContact            NotifyType = 16384
	SetWindowSize             NotifyType = 16385
	NATDetectionSourceIP      NotifyType = 16388
	NATDetectionDestinationIP NotifyType = 16389
	Cookie                    NotifyType = 16390
	UseTransportMode          NotifyType = 16391
	RekeySA                   NotifyType = 16393
	MOBIKESupported           NotifyType = 16396
	RedirectSupported         NotifyType = 16406
	Redirect                  NotifyType = 16407
	RedirectedFrom            NotifyType = 16408
	ChildlessIKEv2Supported   NotifyType = 16418
	FragmentationSupported    NotifyType = 16430
	SignatureHashAlgorithms   NotifyType = 16431
	IntermediateSupported     NotifyType = 16438
)

// IsError says whether n reports an error (RFC 7296, Section 3.10.1).
func (n NotifyType) IsError() bool { return n < firstStatus }

func (n NotifyType) String() string {
	if s := notifyName(n); s != "" {
		return s
	}
	switch {
	case n >= 8192 && n < firstStatus:
		return fmt.Sprintf("private error %d", uint16(n))
	case n >= 40960:
		return fmt.Sprintf("private status %d", uint16(n))
	}
	return fmt.Sprintf("notify %d", uint16(n))
}

func notifyName(n NotifyType) string {
	switch {
	case n.IsError() && int(n) < len(notifyErrors):
		return notifyErrors[n]
	case !n.IsError() && int(n-firstStatus) < len(notifyStatus):
		return notifyStatus[n-firstStatus]
	}
	return notifyPrivate[n]
}

var notifyErrors = names{
	1: "UNSUPPORTED_CRITICAL_PAYLOAD", 4: "INVALID_IKE_SPI", 5: "INVALID_MAJOR_VERSION", 7: "INVALID_SYNTAX",
	9:  "INVALID_MESSAGE_ID",
	11: "INVALID_SPI", 14: "NO_PROPOSAL_CHOSEN", 17: "INVALID_KE_PAYLOAD", 24: "AUTHENTICATION_FAILED",
	34: "SINGLE_PAIR_REQUIRED",
	35: "NO_ADDITIONAL_SAS", 36: "INTERNAL_ADDRESS_FAILURE", 37: "FAILED_CP_REQUIRED", 38: "TS_UNACCEPTABLE",
	39: "INVALID_SELECTORS",
	40: "UNACCEPTABLE_ADDRESSES", 41: "UNEXPECTED_NAT_DETECTED", 42: "USE_ASSIGNED_HoA", 43: "TEMPORARY_FAILURE",
	44: "CHILD_SA_NOT_FOUND",
	45: "INVALID_GROUP_ID", 46: "AUTHORIZATION_FAILED", 47: "STATE_NOT_FOUND", 48: "TS_MAX_QUEUE",
	49: "REGISTRATION_FAILED",
}

// firstStatus is the number from which on notifications report no errors.
const firstStatus = 16384

// notifyStatus are those from firstStatus on, without a gap: 16384, 16385 and so on to 16447.
var notifyStatus = names{
	"INITIAL_CONTACT", "SET_WINDOW_SIZE", "ADDITIONAL_TS_POSSIBLE", "IPCOMP_SUPPORTED", // 16384
	"NAT_DETECTION_SOURCE_IP", "NAT_DETECTION_DESTINATION_IP", "COOKIE", "USE_TRANSPORT_MODE", // 16388
	"HTTP_CERT_LOOKUP_SUPPORTED", "REKEY_SA", "ESP_TFC_PADDING_NOT_SUPPORTED", "NON_FIRST_FRAGMENTS_ALSO", // 16392
	"MOBIKE_SUPPORTED", "ADDITIONAL_IP4_ADDRESS", "ADDITIONAL_IP6_ADDRESS", "NO_ADDITIONAL_ADDRESSES", // 16396
	"UPDATE_SA_ADDRESSES", "COOKIE2", "NO_NATS_ALLOWED", "AUTH_LIFETIME", // 16400
	"MULTIPLE_AUTH_SUPPORTED", "ANOTHER_AUTH_FOLLOWS", "REDIRECT_SUPPORTED", "REDIRECT", // 16404
	"REDIRECTED_FROM", "TICKET_LT_OPAQUE", "TICKET_REQUEST", "TICKET_ACK", // 16408
	"TICKET_NACK", "TICKET_OPAQUE", "LINK_ID", "USE_WESP_MODE", // 16412
	"ROHC_SUPPORTED", "EAP_ONLY_AUTHENTICATION", "CHILDLESS_IKEV2_SUPPORTED", "QUICK_CRASH_DETECTION", // 16416
	"IKEV2_MESSAGE_ID_SYNC_SUPPORTED", "IPSEC_REPLAY_COUNTER_SYNC_SUPPORTED", "IKEV2_MESSAGE_ID_SYNC",
	"IPSEC_REPLAY_COUNTER_SYNC",                                              // 16420
	"SECURE_PASSWORD_METHODS", "PSK_PERSIST", "PSK_CONFIRM", "ERX_SUPPORTED", // 16424
	"IFOM_CAPABILITY", "GROUP_SENDER", "IKEV2_FRAGMENTATION_SUPPORTED", "SIGNATURE_HASH_ALGORITHMS", // 16428
	"CLONE_IKE_SA_SUPPORTED", "CLONE_IKE_SA", "PUZZLE", "USE_PPK", // 16432
	"PPK_IDENTITY", "NO_PPK_AUTH", "INTERMEDIATE_EXCHANGE_SUPPORTED", "IP4_ALLOWED", // 16436
	"IP6_ALLOWED", "ADDITIONAL_KEY_EXCHANGE", "USE_AGGFRAG", "SUPPORTED_AUTH_METHODS", // 16440
	"SA_RESOURCE_INFO", "USE_PPK_INT", "PPK_IDENTITY_KEY", "IKE_SA_INIT_FULL_TRANSCRIPT_AUTH", // 16444
}

// notifyPrivate are of the ranges for private use, as strongSwan, libreswan and Windows have them.
var notifyPrivate = map[NotifyType]string{
	8192: "ME_CONNECT_FAILED", 12345: "MS_NOTIFY_STATUS", 40960: "NULL_AUTH", 40961: "USE_BEET_MODE",
	40962: "ME_MEDIATION",
	40963: "ME_ENDPOINT", 40964: "ME_CALLBACK", 40965: "ME_CONNECTID", 40966: "ME_CONNECTKEY", 40967: "ME_CONNECTAUTH",
	40968: "ME_RESPONSE", 40969: "RADIUS_ATTRIBUTE",
}

// NotifyNames returns the names of all notifications that have one, of IKEv2 and of IKEv1.
func NotifyNames() []string {
	return slices.DeleteFunc(slices.Concat(notifyErrors, notifyStatus, slices.Collect(maps.Values(notifyPrivate)),
		slices.Sorted(maps.Values(notifyNamesV1))), func(name string) bool { return name == "" })
}

// NotifyNameV1 returns the name of a notification of IKEv1 (RFC 2408, Section 3.14.1; RFC 2407,
// Section 4.6.3; RFC 3706).
func NotifyNameV1(n uint16) string {
	if s, ok := notifyNamesV1[n]; ok {
		return s
	}
	return fmt.Sprintf("notify %d", n)
}

var notifyNamesV1 = map[uint16]string{
	1: "INVALID-PAYLOAD-TYPE", 2: "DOI-NOT-SUPPORTED", 3: "SITUATION-NOT-SUPPORTED", 4: "INVALID-COOKIE",
	5: "INVALID-MAJOR-VERSION",
	6: "INVALID-MINOR-VERSION", 7: "INVALID-EXCHANGE-TYPE", 8: "INVALID-FLAGS", 9: "INVALID-MESSAGE-ID",
	10: "INVALID-PROTOCOL-ID",
	11: "INVALID-SPI", 12: "INVALID-TRANSFORM-ID", 13: "ATTRIBUTES-NOT-SUPPORTED", 14: "NO-PROPOSAL-CHOSEN",
	15: "BAD-PROPOSAL-SYNTAX",
	16: "PAYLOAD-MALFORMED", 17: "INVALID-KEY-INFORMATION", 18: "INVALID-ID-INFORMATION", 19: "INVALID-CERT-ENCODING",
	20: "INVALID-CERTIFICATE", 21: "CERT-TYPE-UNSUPPORTED", 22: "INVALID-CERT-AUTHORITY", 23: "INVALID-HASH-INFORMATION",
	24: "AUTHENTICATION-FAILED", 25: "INVALID-SIGNATURE", 26: "ADDRESS-NOTIFICATION", 27: "NOTIFY-SA-LIFETIME",
	28: "CERTIFICATE-UNAVAILABLE",
	29: "UNSUPPORTED-EXCHANGE-TYPE", 30: "UNEQUAL-PAYLOAD-LENGTHS",
	16384: "CONNECTED", 24576: "RESPONDER-LIFETIME", 24577: "REPLAY-STATUS", 24578: "INITIAL-CONTACT",
	36136: "R-U-THERE", 36137: "R-U-THERE-ACK", 40001: "NETSCREEN-NHTB-INFORM", 40501: "UNITY-LOAD-BALANCE",
	40502: "UNITY-UNKNOWN", 40503: "UNITY-GROUP-HASH",
}
