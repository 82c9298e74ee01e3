package main

import (
	"context"
	"time"

	"github.com/moncap/moncap/analysis/report"
)

// The packets of IKEv1: Main, Aggressive and Quick Mode by the exchange type of their header, in
// UDP 500 and behind the non-ESP marker of UDP 4500.
const (
	quick500  = `udp dport 500 @th,208,8 32 `
	quick4500 = `udp dport 4500 @th,240,8 32 `
)

// inUDP has libreswan encapsulate its ESP as the strongSwan of the lab always does, and ask for no
// key exchange of the child's own: with IKEv1 it refuses a proposal that differs there.
func inUDP(a, b *gateway) {
	for _, g := range []*gateway{a, b} {
		if g.maker == "libreswan" {
			g.connection = append(g.connection, "encapsulation=yes", "pfs=no")
		}
	}
}

// aggressively has IKEv1 in three messages instead of six.
func aggressively(a, b *gateway) {
	ikev1(a, b)
	for _, g := range []*gateway{a, b} {
		g.connection = append(g.connection, "aggressive = yes")
		if g.maker == "" {
			g.daemon = append(g.daemon, "i_dont_care_about_security_and_use_aggressive_mode_psk = yes")
		}
	}
}

// anotherGroup has B want another group for each child's own key exchange.
func anotherGroup(a, b *gateway) {
	a.esp, b.esp = "aes256-sha256-modp2048", "aes256-sha256-modp3072"
}

// extended has A name a user behind phase 1 (XAUTH), whom B knows or does not know.
func extended(known bool) func(a, b *gateway) {
	return func(a, b *gateway) {
		ikev1(a, b)
		a.connection = append(a.connection, "leftxauthclient=yes", "rightxauthserver=yes", "leftusername=practice")
		b.connection = append(b.connection, "leftxauthserver=yes", "rightxauthclient=yes", "xauthby=file")
		if known {
			b.connection[len(b.connection)-1] = "xauthby=alwaysok"
		}
		a.passwords = []string{`@practice : XAUTH "a-word-for-practice"`}
	}
}

// probes has a gateway of libreswan ask every second whether its peer is there.
func probes(a, _ *gateway) {
	a.connection = append(a.connection, "dpddelay=1", "dpdtimeout=4", "dpdaction=clear")
}

// quietly has B's own kernel say nothing of a port that nobody listens at.
func quietly(ctx context.Context, b *bed) {
	for _, family := range []string{"icmp", "icmpv6"} {
		b.nft(ctx, "b", "add rule inet lab out "+family+" type destination-unreachable drop")
	}
}

// older are causes of IKEv1.
var older = []trouble{
	{name: "IKEv1, libreswan answers, healthy", change: made("", "libreswan", ikev1, inUDP), want: comes,
		ends: comesUp},
	{name: "IKEv1, libreswan begins, healthy", change: made("libreswan", "", ikev1, inUDP), want: comes,
		ends: comesUp},
	{name: "IKEv1, libreswan behind a NAT, healthy", nat: true, change: made("libreswan", "libreswan", ikev1),
		want: comes, also: []string{"nat-detected"}, ends: comesUp},
	{name: "IKEv1, libreswan, IPv6, healthy", six: true, change: made("libreswan", "libreswan", ikev1),
		want: comes, ends: comesUp},
	{name: "IKEv1, libreswan answers, keys differ", change: made("", "libreswan", ikev1, inUDP, anotherKey),
		want: []string{"psk-mismatch-v1"}},
	{name: "IKEv1, libreswan begins, keys differ", change: made("libreswan", "", ikev1, inUDP, anotherKey),
		want: []string{"psk-mismatch-v1"}},
	{name: "IKEv1, libreswan, IPv6, keys differ", six: true,
		change: made("libreswan", "libreswan", ikev1, anotherKey), want: []string{"psk-mismatch-v1"}},
	{name: "IKEv1, libreswan behind a NAT, keys differ", nat: true,
		change: made("libreswan", "libreswan", ikev1, anotherKey), want: []string{"psk-mismatch-v1"}},
	{name: "IKEv1, libreswan answers, no common IKE proposal",
		change: made("", "libreswan", ikev1, inUDP, anotherProposal), want: []string{"ike-proposal-mismatch"}},
	{name: "IKEv1, libreswan begins, no common IKE proposal",
		change: made("libreswan", "", ikev1, inUDP, anotherProposal), want: []string{"ike-proposal-mismatch"}},
	{name: "IKEv1, libreswan, no common IKE proposal",
		change: made("libreswan", "libreswan", ikev1, anotherProposal), want: []string{"ike-proposal-mismatch"}},
	{name: "IKEv1, no common ESP proposal", change: made("", "", ikev1, anotherESP),
		want: []string{"quick-mode-refused"}},
	{name: "IKEv1, libreswan answers, no common ESP proposal", change: made("", "libreswan", ikev1, inUDP, anotherESP),
		want: []string{"quick-mode-refused"}},
	{name: "IKEv1, libreswan begins, no common ESP proposal", change: made("libreswan", "", ikev1, inUDP, anotherESP),
		want: []string{"quick-mode-refused"}},
	{name: "IKEv1, libreswan, no common ESP proposal", change: made("libreswan", "libreswan", ikev1, anotherESP),
		want: []string{"quick-mode-refused"}},
	{name: "IKEv1, groups of the child differ", change: made("", "", ikev1, anotherGroup),
		want: []string{"quick-mode-refused"}},
	{name: "IKEv1, libreswan begins, networks differ", change: made("libreswan", "", ikev1, inUDP, anotherNetwork),
		want: []string{"quick-mode-refused"}},
	{name: "IKEv1, Quick Mode dropped A->B", change: made("", "", ikev1),
		broken: drops(fromA + quick4500), whole: wholeTry, act: tried,
		want: []string{"path-blocked"}, where: report.AtoB},
	{name: "IKEv1, Quick Mode dropped B->A", change: made("", "", ikev1),
		broken: drops(fromB + quick4500), whole: wholeTry, act: tried,
		want: []string{"path-blocked"}, where: report.BtoA},
	{name: "IKEv1, libreswan, Quick Mode dropped A->B", change: made("libreswan", "libreswan", ikev1),
		broken: drops(fromA + quick500), whole: wholeTry, act: tried,
		want: []string{"path-blocked"}, where: report.AtoB},
	{name: "IKEv1, libreswan, Quick Mode dropped B->A", change: made("libreswan", "libreswan", ikev1),
		broken: drops(fromB + quick500), whole: wholeTry, act: tried,
		want: []string{"path-blocked"}, where: report.BtoA},
	{name: "IKEv1, libreswan, UDP 500 dropped B->A", change: made("libreswan", "libreswan", ikev1),
		broken: drops(fromB + ike500), want: []string{"path-blocked"}, where: report.BtoA},
	{name: "IKEv1, libreswan, IPv6, UDP 500 dropped B->A", six: true, change: made("libreswan", "libreswan", ikev1),
		broken: drops(fromB + ike500), want: []string{"path-blocked"}, where: report.BtoA},
	{name: "IKEv1, libreswan behind a NAT, UDP 4500 dropped", nat: true,
		change: made("libreswan", "libreswan", ikev1), broken: drops(udp4500), want: []string{"nat-t-blocked"}},
	{name: "IKEv1 behind a NAT, UDP 4500 dropped B->A", nat: true, change: made("", "", ikev1),
		broken: drops(fromB + udp4500sport), want: []string{"nat-t-blocked"}},
	{name: "IKEv1, UDP 4500 dropped", change: made("", "", ikev1), broken: drops(udp4500),
		want: []string{"nat-t-blocked"}},
	// A hash of the key goes over the path in clear (RFC 2409, Section 5.4), so that is told first.
	{name: "IKEv1, Aggressive Mode, healthy", change: made("", "", aggressively),
		want: []string{"weak-crypto"}, also: comes, ends: limps},
	{name: "IKEv1, Aggressive Mode, libreswan answers, healthy", change: made("", "libreswan", aggressively, inUDP),
		want: []string{"weak-crypto"}, also: comes, ends: limps},
	{name: "IKEv1, Aggressive Mode, libreswan, IPv6, healthy", six: true,
		change: made("libreswan", "libreswan", aggressively), want: []string{"weak-crypto"}, also: comes, ends: limps},
	{name: "IKEv1, Aggressive Mode, keys differ", change: made("", "", aggressively, anotherKey),
		want: []string{"psk-mismatch-v1"}},
	{name: "IKEv1, Aggressive Mode, libreswan answers, keys differ",
		change: made("", "libreswan", aggressively, inUDP, anotherKey), want: []string{"psk-mismatch-v1"}},
	{name: "IKEv1, Aggressive Mode, libreswan begins, keys differ",
		change: made("libreswan", "", aggressively, inUDP, anotherKey), want: []string{"psk-mismatch-v1"}},
	{name: "IKEv1, Aggressive Mode, libreswan, IPv6, keys differ", six: true,
		change: made("libreswan", "libreswan", aggressively, anotherKey), want: []string{"psk-mismatch-v1"}},
	{name: "IKEv1, Aggressive Mode, libreswan, no common IKE proposal",
		change: made("libreswan", "libreswan", aggressively, anotherProposal), want: []string{"ike-proposal-mismatch"}},
	{name: "IKEv1, Aggressive Mode, libreswan, UDP 500 dropped B->A",
		change: made("libreswan", "libreswan", aggressively), broken: drops(fromB + ike500),
		want: []string{"path-blocked"}, where: report.BtoA},
	{name: "IKEv1, libreswan, a user is asked for, healthy", change: made("libreswan", "libreswan", extended(true)),
		want: comes, ends: comesUp},
	{name: "IKEv1, libreswan, the user is unknown", change: made("libreswan", "libreswan", extended(false)),
		want: []string{"user-authentication-failed"}},
	{name: "IKEv1, libreswan, IPv6, the user is unknown", six: true,
		change: made("libreswan", "libreswan", extended(false)), want: []string{"user-authentication-failed"}},
	{name: "IKEv1, libreswan, B dies", change: made("libreswan", "libreswan", ikev1, probes), broken: quietly,
		whole: 14 * time.Second, act: func(ctx context.Context, b *bed) {
			b.initiate(ctx, "a")
			linger(ctx, 3*time.Second)
			b.daemons["b"].kill()
		}, want: []string{"dpd-timeout"}, also: []string{"peer-not-answering"}},
	{name: "IKEv1, B dies", change: func(a, b *gateway) {
		ikev1(a, b)
		a.connection = []string{"dpd_delay = 2s", "dpd_timeout = 6s"}
	}, broken: quietly, whole: 16 * time.Second, act: func(ctx context.Context, b *bed) {
		up(ctx, b)
		linger(ctx, 3*time.Second)
		b.daemons["b"].kill()
	}, want: []string{"dpd-timeout"}},
	{name: "IKEv1, B deletes", change: made("", "", ikev1), whole: 6 * time.Second,
		act: func(ctx context.Context, b *bed) {
			up(ctx, b)
			b.terminate(ctx, "b")
		}, want: []string{"sa-deleted"}, ends: limps},
	{name: "IKEv1, libreswan, A deletes", change: made("libreswan", "libreswan", ikev1), whole: 7 * time.Second,
		act: func(ctx context.Context, b *bed) {
			b.initiate(ctx, "a")
			linger(ctx, time.Second)
			b.terminate(ctx, "a")
		}, want: []string{"sa-deleted"}, ends: limps},
}
