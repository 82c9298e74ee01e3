package ike

// PayloadType is a payload's number: IKEv2 Payload Types, or ISAKMP Next Payload values for IKEv1.
type PayloadType uint8

// IKEv2 payload types (IANA, ikev2-parameters).
const (
	PayloadNone  PayloadType = 0
	PayloadSA    PayloadType = 33
	PayloadKE    PayloadType = 34
	PayloadIDi   PayloadType = 35
	PayloadIDr   PayloadType = 36
	PayloadCERT  PayloadType = 37
	PayloadCREQ  PayloadType = 38
	PayloadAUTH  PayloadType = 39
	PayloadNonce PayloadType = 40
	PayloadN     PayloadType = 41
	PayloadD     PayloadType = 42
	PayloadV     PayloadType = 43
	PayloadTSi   PayloadType = 44
	PayloadTSr   PayloadType = 45
	PayloadSK    PayloadType = 46
	PayloadCP    PayloadType = 47
	PayloadEAP   PayloadType = 48
	PayloadSKF   PayloadType = 53
)

// ExchangeType is the exchange of a message.
type ExchangeType uint8

// Exchange types of IKEv2 (IANA, ikev2-parameters) and IKEv1 (RFC 2408, Section 3.1; RFC 2409,
// Section 9).
const (
	V1MainMode       ExchangeType = 2 // Identity Protection
	V1Aggressive     ExchangeType = 4
	V1Informational  ExchangeType = 5
	V1Transaction    ExchangeType = 6
	V1QuickMode      ExchangeType = 32
	V1NewGroup       ExchangeType = 33
	IKESAInit        ExchangeType = 34
	IKEAuth          ExchangeType = 35
	CreateChildSA    ExchangeType = 36
	Informational    ExchangeType = 37
	IKESessionResume ExchangeType = 38
	IKEIntermediate  ExchangeType = 43
	IKEFollowupKE    ExchangeType = 44
)
