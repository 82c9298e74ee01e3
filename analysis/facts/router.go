package facts

import (
	"slices"
	"strings"

	"github.com/moncap/moncap/device/iosxe"
)

// What routers print is read in package iosxe; here it comes under the names that rules use.

// Debug is what the text of `debug crypto ikev2` says about packets, DebugPacket one of them.
type (
	Debug       = iosxe.IKEDebug
	DebugPacket = iosxe.IKEDebugPacket
)

// ReadDebug reads the text of `debug crypto ikev2`.
func ReadDebug(text []byte) Debug { return iosxe.ParseIKEDebug(string(text)) }

// PermitsOf are the permit lines of one access list, of either family, in `show access-lists`.
func PermitsOf(text, name string) []string {
	var permits []string
	for _, l := range iosxe.ParseAccessLists(text) {
		if l.Name != name {
			continue
		}
		for _, e := range l.Entries {
			if strings.HasPrefix(e, "permit ") && !slices.Contains(permits, e) {
				permits = append(permits, e)
			}
		}
	}
	return permits
}
