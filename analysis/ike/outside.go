package ike

// Outside is what the encrypted messages of one IKEv2 SA tell to whoever has no keys: the
// algorithms, negotiated in clear, fix how long a message is beyond the payloads in it, and
// messages that hold nothing show how much padding a sender adds (RFC 7296, Section 3.14: as much
// as it likes, up to 255 bytes).
type Outside struct {
	suite   Suite
	padding [2]int // the most that a sender was seen to add; -1 while it was not
}

// NewOutside is for an IKE SA with the algorithms of s.
func NewOutside(s Suite) *Outside { return &Outside{s, [2]int{-1, -1}} }

// Learn takes in an encrypted message of a sender, 0 or 1: body is the length in bytes of what its
// SK payload carries (initialization vector, ciphertext, integrity check value), first names its
// first payload inside. Of those that hold something, nothing is learnt. Padding is the sender's
// choice anew in every message, so that the largest counts.
func (o *Outside) Learn(sender int, first PayloadType, body int) {
	if first != PayloadNone {
		return
	}
	if n, ok := o.suite.LearnPadding(body); ok {
		o.padding[sender] = max(o.padding[sender], n)
	}
}

// Room bounds the bytes of payloads inside such a message; ok is false for one whose size the
// algorithms do not make.
func (o *Outside) Room(sender int, first PayloadType, body int) Room {
	low, high, ok := o.suite.Plaintext(body, o.padding[sender])
	if ok && first == PayloadNone {
		low, high = 0, 0
	}
	return Room{ok, low, high}
}

// Room is how many bytes of payloads an encrypted message holds: at least Min, at most Max, when
// that is Known.
type Room struct {
	Known    bool
	Min, Max int
}

// Sealed is an encrypted IKEv2 message, or all fragments of one, as it shows from outside.
type Sealed struct {
	Exchange ExchangeType
	Response bool
	First    PayloadType // the first payload inside, which the SK payload names in clear
	Room     Room
	Body     int // bytes of initialization vector, ciphertext and integrity check value; 0: not known
}

// Sign is what the outside of a message says to a question about its inside.
type Sign uint8

// The signs. Maybe: the bounds of the message's size allow both.
const (
	No Sign = iota
	Maybe
	Yes
)

// Sizes of payloads in bytes, generic header included (RFC 7296, Section 3).
const (
	sizeNotify      = 8            // without SPI and data
	sizeShortNotify = 12           // with a group, or with an SPI
	leastRedirect   = 8 + 2 + 4    // a REDIRECT to an address (RFC 5685, Section 9)
	sizeNATNotify   = 28           // NAT_DETECTION_SOURCE_IP, which comes behind other Notifies
	sizeEAP         = 8            // EAP-Failure or EAP-Success (RFC 3748, Section 4.2)
	largestEAP      = sizeEAP + 15 // with the padding of one block
	sizeDelete      = 8            // of an IKE SA
	sizeDeleteChild = 12           // of one child SA
	leastID         = 12           // an address
	leastAuth       = 8 + 20       // a shared key with SHA-1
	leastSA         = 36           // one proposal of AES-GCM for ESP
	leastNonce      = 4 + 16       //
	leastKE         = 8 + 32       // a value of X25519
	leastTS         = 24           // one IPv4 range
	generousID      = 48           // a long name
	sizeVendorID    = 20           //
	moreNotifies    = 24           // that a refusal may carry beside the error
	fewNotifies     = 6 * sizeNotify
	leastSealing    = 8 + 1 + 8 // the shortest initialization vector, pad length and integrity check value
	leastChild      = leastSA + 2*leastTS
	leastNewChild   = leastSA + leastNonce + 2*leastTS
	// with the smallest certificate (RFC 7296, Section 3.6) and signature
	leastCertified = leastID + 5 + 250 + 8 + 64 + sizeNotify
)

// Empty says whether the message holds nothing, as liveness checks and most answers do.
func (s Sealed) Empty() Sign { return sure(s.First == PayloadNone) }

// Delete says whether the message deletes an SA.
func (s Sealed) Delete() Sign { return sure(s.First == PayloadD) }

// DeletesIKE says whether the message deletes the IKE SA, whose Delete names no SPI (RFC 7296,
// Section 3.11), and not a child.
func (s Sealed) DeletesIKE() Sign {
	if s.First != PayloadD {
		return No
	}
	return s.between(sizeDelete, sizeDelete, sizeDeleteChild)
}

// LoneNotify says whether one short Notify is all that is inside.
func (s Sealed) LoneNotify() Sign {
	if s.First != PayloadN {
		return No
	}
	return s.between(sizeNotify, sizeShortNotify, sizeNotify+sizeNATNotify)
}

// Refused says whether the response refuses what was asked: it begins with a Notify and has no room
// for what an acceptance holds, identity and authentication in IKE_AUTH, a new SA in
// CREATE_CHILD_SA, a key exchange value in IKE_FOLLOWUP_KE.
func (s Sealed) Refused() Sign {
	if !s.Response || s.First != PayloadN {
		return No
	}
	accepted := sizeNotify + leastID + leastAuth
	switch s.Exchange {
	case IKEAuth:
	case CreateChildSA:
		accepted = sizeNotify + leastNewChild
	case IKEFollowupKE: // a key exchange value (RFC 9370, Section 2.2.4)
		accepted = sizeNotify + leastKE
	default:
		return No
	}
	if s.Room.Known && s.Room.Max < accepted || !s.Room.Known && s.Body > 0 && s.Body-leastSealing < accepted {
		return Yes
	}
	return s.between(sizeNotify, sizeShortNotify, accepted)
}

// LoneEAP says whether all inside is an EAP packet without a type: Success or Failure.
func (s Sealed) LoneEAP() Sign {
	if s.First != PayloadEAP {
		return No
	}
	return s.between(sizeEAP, sizeEAP, largestEAP+1)
}

// RoomForChild says whether an IKE_AUTH response has room for a child SA beside identity and an
// authentication of auth bytes of data (with a shared key the PRF's length; 0: not known). Yes also
// excludes a refusal with a long name and much else, but not one with certificates.
func (s Sealed) RoomForChild(auth int) Sign {
	if auth = 8 + auth; auth == 8 {
		auth = leastAuth
	}
	switch {
	case !s.Room.Known && s.Body > 0 && s.Body-leastSealing < leastID+leastAuth+leastChild:
		return No
	case !s.Room.Known:
		return Maybe
	case s.Room.Max < leastID+auth+leastChild:
		return No
	case s.Room.Min > generousID+auth+sizeVendorID+moreNotifies && s.First != PayloadN:
		return Yes
	}
	return Maybe
}

// AsksForChild says whether an IKE_AUTH request holds more than one that asks for no child SA does
// (RFC 6023, Section 3): two long names, an authentication of auth bytes of data with a shared key,
// and a few Notifies.
func (s Sealed) AsksForChild(auth int) bool {
	return s.Room.Known && s.Room.Min > 2*generousID+8+auth+fewNotifies
}

// RoomForRedirect says whether an IKE_AUTH response has room for a REDIRECT to another gateway
// beside identity and an authentication of auth bytes of data, or an INFORMATIONAL request for one
// alone (RFC 5685, Sections 5 and 6).
func (s Sealed) RoomForRedirect(auth int) bool {
	least := leastRedirect
	if s.Exchange == IKEAuth {
		if least += leastID + 8 + auth; auth == 0 {
			least += leastAuth - 8
		}
	}
	return !s.Room.Known || s.Room.Max >= least
}

// RoomForCertificate says whether an IKE_AUTH response has room for a certificate and the signature
// with its key, beside a refusal.
func (s Sealed) RoomForCertificate() bool { return !s.Room.Known || s.Room.Max >= leastCertified }

// between says whether the message holds from least to most bytes, and Maybe when it may as well
// hold the other, larger content.
func (s Sealed) between(least, most, other int) Sign {
	switch r := s.Room; {
	case !r.Known:
		return Maybe
	case r.Max < least || r.Min > most:
		return No
	case r.Max < other:
		return Yes
	}
	return Maybe
}

func sure(b bool) Sign {
	if b {
		return Yes
	}
	return No
}
