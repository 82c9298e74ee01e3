package device

import (
	"errors"

	"github.com/moncap/moncap/device/inventory"
	"github.com/moncap/moncap/device/iosxe"
)

// Reason sorts what can go wrong with a router, for those who decide by it whether to try again.
type Reason uint8

// The reasons.
const (
	Unreachable Reason = iota // no connection, or it was lost, or no answer came
	HostKey                   // the router's key is unknown, changed or revoked
	Credentials               // refused, locked out, or a secret is not to be had
	Refused                   // the router refused a command, or asked something unknown
)

// Reason says why the router could not be worked with.
func (e *Error) Reason() Reason {
	is := func(targets ...error) bool {
		for _, t := range targets {
			if errors.Is(e.Err, t) {
				return true
			}
		}
		return false
	}
	_, secret := errors.AsType[*inventory.SecretError](e.Err)
	_, refusal := errors.AsType[*iosxe.Refusal](e.Err)
	switch {
	case is(errUnknownHost, errChangedKey, errRevokedKey):
		return HostKey
	case secret || is(errRefused, errSecond, errLockedOut, errNoAuth, errUnanswered):
		return Credentials
	case refusal || is(errDialog, errTooMuch, errHostname):
		return Refused
	}
	return Unreachable
}
