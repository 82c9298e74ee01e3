package facts

import (
	"slices"
	"strings"

	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/device/iosxe"
)

// What routers print is read in package iosxe; here it comes under the names that rules use.

// Debug is what the text of `debug crypto ikev2` says about packets, DebugPacket one of them.
type (
	Debug       = iosxe.IKEDebug
	DebugPacket = iosxe.IKEDebugPacket
)

// What two sides must agree about, as each has it configured.
type (
	IKEv2Proposal = iosxe.IKEv2Proposal
	IKEv2Profile  = iosxe.IKEv2Profile
	ISAKMPPolicy  = iosxe.ISAKMPPolicy
	CryptoEntry   = iosxe.CryptoEntry
	TransformSet  = iosxe.TransformSet
)

// OtherIdentity is a local identity of a profile that no packet shows.
const OtherIdentity = iosxe.OtherIdentity

// ReadDebug reads the text of `debug crypto ikev2`.
func ReadDebug(text []byte) Debug { return iosxe.ParseIKEDebug(string(text)) }

// Config is what was collected of a router's configuration: outputs of show commands by the names
// of the commands.
type Config map[string]string

// otherNames are the commands' own words, by which an output may be given as well.
var otherNames = map[string][]string{
	"show-ikev2-proposal": {"show-crypto-ikev2-proposal"}, "show-ikev2-policy": {"show-crypto-ikev2-policy"},
	"show-ikev2-profile": {"show-crypto-ikev2-profile"}, "show-isakmp-policy": {"show-crypto-isakmp-policy"},
	"show-transform-set": {"show-crypto-ipsec-transform-set"}, "show-ipsec-profile": {"show-crypto-ipsec-profile"},
	"show-acl": {"show-access-lists", "show-ip-access-lists"},
}

// Text is the output of a command; empty when it was not collected.
func (c Config) Text(command string) string {
	if s, ok := c[command]; ok {
		return s
	}
	for _, other := range otherNames[command] {
		if s, ok := c[other]; ok {
			return s
		}
	}
	return ""
}

// IKEv2Proposals are all proposals, used or not.
func (c Config) IKEv2Proposals() []IKEv2Proposal {
	return iosxe.ParseIKEv2Proposals(c.Text("show-ikev2-proposal"))
}

// IKEv2Uses are the proposals that the policies in force use, and the last of these that is not the
// default one. The default policy is in force only where there is no other.
func (c Config) IKEv2Uses() (proposals []string, own string) {
	var defaults []string
	for _, p := range iosxe.ParseIKEv2Policies(c.Text("show-ikev2-policy")) {
		if p.Name == "default" {
			defaults = append(defaults, p.Proposals...)
			continue
		}
		proposals, own = append(proposals, p.Proposals...), p.Name
	}
	if own == "" {
		proposals = defaults
	}
	return proposals, own
}

// IKEv2Profiles are all profiles.
func (c Config) IKEv2Profiles() []*IKEv2Profile {
	return iosxe.ParseIKEv2Profiles(c.Text("show-ikev2-profile"))
}

// ISAKMPPolicies are the policies in force: the default ones count only where there is no other.
func (c Config) ISAKMPPolicies() []ISAKMPPolicy {
	all := iosxe.ParseISAKMPPolicies(c.Text("show-isakmp-policy"))
	own := slices.DeleteFunc(slices.Clone(all), func(p ISAKMPPolicy) bool { return p.Default })
	if len(own) > 0 {
		return own
	}
	return all
}

// CryptoEntries are the entries of crypto maps, then the IPsec profiles.
func (c Config) CryptoEntries() []*CryptoEntry {
	return append(iosxe.ParseCryptoEntries(c.Text("show-crypto-map")),
		iosxe.ParseCryptoEntries(c.Text("show-ipsec-profile"))...)
}

// TransformSets are the transform sets by name.
func (c Config) TransformSets() map[string]TransformSet {
	return iosxe.ParseTransformSets(c.Text("show-transform-set"))
}

// Permits are the permit lines of one access list, of either family.
func (c Config) Permits(list string) []string {
	var permits []string
	for _, l := range iosxe.ParseAccessLists(c.Text("show-acl")) {
		if l.Name != list {
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

// ready are the IKEv2 SAs that each side's router lists as up, by its own SPI and the peer's.
type ready [2]map[[2]string]bool

func readyOf(shows [2]Config) (all ready) {
	for s, c := range shows {
		all[s] = map[[2]string]bool{}
		for _, sa := range iosxe.ParseIKEv2SA(c.Text("show-ikev2-sa")) {
			if sa.Established() && sa.LocalSPI != "" {
				all[s][[2]string{strings.ToLower(sa.LocalSPI), strings.ToLower(sa.RemoteSPI)}] = true
			}
		}
	}
	return all
}

// active says whether the router lists a session with one of the peer's addresses whose IPsec SAs
// are there.
func (c Config) active(peer *pair.Party) bool {
	return slices.ContainsFunc(iosxe.ParseCryptoSessions(c.Text("show-crypto-session")), func(s iosxe.CryptoSession) bool {
		return s.Status == "UP-ACTIVE" && peer.Is(s.Peer.Addr())
	})
}
