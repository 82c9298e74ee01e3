package main

import (
	"context"
	"time"

	"github.com/moncap/moncap/analysis/report"
)

// wholeTry is how long one attempt of a daemon takes with all its retransmissions.
const wholeTry = 12 * time.Second

// tried has A begin, and waits until it has given up.
func tried(ctx context.Context, b *bed) {
	b.initiate(ctx, "a")
	linger(ctx, wholeTry)
}

// otherwise sets something in the connection of each gateway of a make.
func otherwise(make string, settings ...string) func(a, b *gateway) {
	return func(a, b *gateway) {
		for _, g := range []*gateway{a, b} {
			if g.maker == make {
				g.connection = append(g.connection, settings...)
			}
		}
	}
}

// forB has B's daemon set up otherwise.
func forB(settings ...string) func(a, b *gateway) {
	return func(_, b *gateway) { b.daemon = append(b.daemon, settings...) }
}

// wider has A ask for a network that B does not have.
func wider(a, _ *gateway) { a.remote = "10.99.0.0/24" }

// comesBack is what happens when B is killed while the tunnel is up, and starts anew.
func comesBack(begins string) func(ctx context.Context, b *bed) {
	return func(ctx context.Context, b *bed) {
		b.initiate(ctx, "a")
		linger(ctx, time.Second)
		b.daemons["b"].kill()
		b.again(ctx, "b")
		b.initiate(ctx, begins)
	}
}

// late has B's daemon start when A has already asked.
func late(ctx context.Context, b *bed) {
	go b.initiate(ctx, "a")
	linger(ctx, 1500*time.Millisecond)
	b.again(ctx, "b")
	linger(ctx, wholeTry)
}

func notYet(_, b *gateway) { b.later = true }

// lives are causes about the life of tunnels between daemons of other makes.
var lives = []trouble{
	{name: "libreswan, rekeys the child", change: made("libreswan", "libreswan"), whole: 8 * time.Second,
		act: func(ctx context.Context, b *bed) {
			b.initiate(ctx, "a")
			linger(ctx, time.Second)
			libreswan{}.whack(ctx, b, "a", "--rekey-ipsec")
		}, want: comes, also: []string{"rekey"}, ends: comesUp},
	{name: "libreswan, IPv6, rekeys IKE", six: true, change: made("libreswan", "libreswan"), whole: 8 * time.Second,
		act: func(ctx context.Context, b *bed) {
			b.initiate(ctx, "a")
			linger(ctx, time.Second)
			libreswan{}.whack(ctx, b, "b", "--rekey-ike")
		}, want: comes, also: []string{"rekey"}, ends: comesUp},
	{name: "libreswan, rekey dropped B->A", change: made("libreswan", "libreswan"),
		broken: drops(fromB + `udp dport 500 @th,208,8 36 `), whole: 14 * time.Second,
		act: func(ctx context.Context, b *bed) {
			b.initiate(ctx, "a")
			linger(ctx, time.Second)
			libreswan{}.whack(ctx, b, "a", "--rekey-ipsec")
		}, want: []string{"path-blocked"}, where: report.BtoA, ends: limps},
	{name: "libreswan, A deletes", change: made("libreswan", "libreswan"), whole: 6 * time.Second,
		act: func(ctx context.Context, b *bed) {
			b.initiate(ctx, "a")
			linger(ctx, time.Second)
			b.terminate(ctx, "a")
		}, want: []string{"sa-deleted"}, ends: limps},
	{name: "libreswan, B dies", change: made("libreswan", "libreswan", probes), whole: 16 * time.Second,
		broken: quietly,
		act: func(ctx context.Context, b *bed) {
			b.initiate(ctx, "a")
			linger(ctx, 3*time.Second)
			b.daemons["b"].kill()
		}, want: []string{"dpd-timeout"}, also: []string{"peer-not-answering"}},
	{name: "libreswan, IPv6, B dies", six: true, change: made("libreswan", "libreswan", probes),
		whole: 16 * time.Second, broken: quietly, act: func(ctx context.Context, b *bed) {
			b.initiate(ctx, "a")
			linger(ctx, 3*time.Second)
			b.daemons["b"].kill()
		}, want: []string{"dpd-timeout"}, also: []string{"peer-not-answering"}},
	{name: "libreswan, B dies and its kernel says so", change: made("libreswan", "libreswan", probes),
		whole: 16 * time.Second, act: func(ctx context.Context, b *bed) {
			b.initiate(ctx, "a")
			linger(ctx, 3*time.Second)
			b.daemons["b"].kill()
		}, want: []string{"icmp-rejected"}},
	{name: "libreswan and openiked, B starts anew and begins", change: made("libreswan", "openiked"),
		whole: 9 * time.Second, act: comesBack("b"), want: comes, ends: comesUp},
	{name: "openiked starts late", change: made("libreswan", "openiked", notYet), whole: 14 * time.Second, act: late,
		want: comes, ends: comesUp},
	{name: "IPv6, strongSwan starts late", six: true, change: made("libreswan", "", notYet), whole: 14 * time.Second,
		act: late, want: comes, ends: comesUp},
	{name: "libreswan, both begin", change: made("libreswan", "libreswan"), whole: 8 * time.Second,
		act: func(ctx context.Context, b *bed) {
			go b.initiate(ctx, "b")
			b.initiate(ctx, "a")
		}, want: comes, ends: comesUp},
	{name: "IPv6, libreswan and strongSwan, both begin", six: true, change: made("libreswan", ""),
		whole: 8 * time.Second, act: func(ctx context.Context, b *bed) {
			go b.initiate(ctx, "b")
			b.initiate(ctx, "a")
		}, want: comes, ends: comesUp},

	{name: "libreswan, IPv6, sends A elsewhere", six: true, change: made("libreswan", "libreswan",
		otherwise("libreswan", "accept-redirect=yes"), forB("global-redirect=yes", "global-redirect-to=2001:db8:c::99")),
		unfiltered: true, whole: wholeTry, want: []string{"redirected"}},
	{name: "libreswan sends A elsewhere in IKE_AUTH", change: made("libreswan", "libreswan", func(a, b *gateway) {
		a.connection = append(a.connection, "accept-redirect=yes")
		b.connection = append(b.connection, "send-redirect=yes", "redirect-to=203.0.113.99")
	}), unfiltered: true, whole: wholeTry, want: []string{"redirected"}},
	{name: "libreswan asks for a cookie and another group", change: made("", "libreswan", func(a, b *gateway) {
		a.ike, b.ike = "aes256-sha256-modp2048-modp3072", "aes256-sha256-modp3072"
		b.daemon = append(b.daemon, "ddos-mode=busy")
	}), want: comes, also: []string{"cookie-challenge", "ke-group-retry"}, ends: comesUp},
	{name: "openiked asks for another group", change: made("libreswan", "openiked", func(a, b *gateway) {
		a.ike, b.ike = "aes256-sha256-modp2048,aes256-sha256-modp3072", "aes256-sha256-modp3072"
	}), want: comes, also: []string{"ke-group-retry"}, ends: comesUp},
	{name: "IPv6, libreswan asks openiked for another group", six: true, whole: 8 * time.Second,
		change: made("openiked", "libreswan", func(a, b *gateway) {
			a.ike, b.ike = "aes256-sha256-modp2048-modp3072", "aes256-sha256-modp3072"
		}), want: comes, also: []string{"ke-group-retry"}, ends: comesUp},
	{name: "libreswan, IKE_INTERMEDIATE", change: made("libreswan", "libreswan",
		otherwise("libreswan", "intermediate=yes")), want: comes, ends: comesUp},
	{name: "libreswan, IPv6, IKE_INTERMEDIATE", six: true, change: made("libreswan", "libreswan",
		otherwise("libreswan", "intermediate=yes")), want: comes, ends: comesUp},
	{name: "libreswan, IKE_INTERMEDIATE dropped B->A", change: made("libreswan", "libreswan",
		otherwise("libreswan", "intermediate=yes")), broken: drops(fromB + `udp dport 500 @th,208,8 43 `),
		want: []string{"path-blocked"}, where: report.BtoA},
	{name: "libreswan, IPv6, UDP 500 dropped A->B", six: true, change: made("libreswan", "libreswan"),
		broken: drops(fromA + ike500), act: func(ctx context.Context, b *bed) { b.initiate(ctx, "b") },
		want: []string{"path-blocked"}, where: report.AtoB},
	{name: "libreswan, IPv6, keys differ", six: true, change: made("libreswan", "libreswan", anotherKey),
		want: []string{"auth-failed"}},
	{name: "openiked and libreswan, keys differ", change: made("openiked", "libreswan", anotherKey),
		want: []string{"auth-failed"}},
	{name: "libreswan and openiked, keys differ", change: made("libreswan", "openiked", anotherKey),
		want: []string{"auth-failed"}},
	{name: "openiked, IPv6, keys differ", six: true, change: made("openiked", "openiked", anotherKey),
		want: []string{"auth-failed"}},
	{name: "openiked begins, no common IKE proposal", change: made("openiked", "", anotherProposal),
		want: []string{"ike-proposal-mismatch"}},
	{name: "openiked, IPv6, no common IKE proposal", six: true, change: made("openiked", "openiked", anotherProposal),
		want: []string{"ike-proposal-mismatch"}},
	{name: "openiked answers, no common ESP proposal", change: made("", "openiked", anotherCipher),
		want: []string{"auth-failed"}},
	{name: "openiked begins, no common ESP proposal", change: made("openiked", "", anotherCipher),
		want: []string{"child-sa-refused"}},
	{name: "libreswan, no common ESP proposal", change: made("libreswan", "libreswan", anotherESP),
		want: []string{"child-sa-refused"}},
	{name: "libreswan, IPv6, no common ESP proposal", six: true, change: made("libreswan", "libreswan", anotherESP),
		want: []string{"child-sa-refused"}},
	{name: "openiked answers, A wants another network", change: made("", "openiked", wider), whole: 6 * time.Second,
		want: []string{"child-sa-refused"}},
	{name: "libreswan answers, A wants another network", change: made("", "libreswan", wider),
		want: []string{"child-sa-refused"}},
	{name: "openiked begins and wants another network", change: made("openiked", "", wider),
		want: []string{"child-sa-refused"}},
	{name: "libreswan begins with openiked and wants another network", change: made("libreswan", "openiked", wider),
		whole: 6 * time.Second, want: []string{"child-sa-refused"}},
	{name: "openiked behind a NAT, UDP 4500 dropped B->A", nat: true, change: made("openiked", "openiked"),
		broken: drops(fromB + udp4500sport), want: []string{"nat-t-blocked"}},
	{name: "libreswan, first fragments of the first message dropped", change: made("libreswan", "libreswan",
		func(a, b *gateway) { a.ike = manyProposals() }),
		broken: func(ctx context.Context, b *bed) { b.rule(ctx, "early", fromA+"ip frag-off & 0x1fff != 0 drop") },
		want:   []string{"ip-fragments-lost"}},
	{name: "libreswan, half of all lost", change: made("libreswan", ""), whole: wholeTry,
		broken: drops("numgen inc mod 5 < 2 "), want: []string{"path-loss"}, also: comes, ends: limps},
	{name: "IPv6, libreswan, half of all lost", six: true, change: made("libreswan", "libreswan"), whole: wholeTry,
		broken: drops("numgen inc mod 5 < 2 "), want: []string{"path-loss"}, also: comes, ends: limps},

	{name: "B answers from another address", change: made("", "libreswan"), broken: answersFrom("203.0.113.21"),
		unfiltered: true, whole: wholeTry, want: comes, ends: comesUp},
	{name: "openiked answers from another address", change: made("libreswan", "openiked"),
		broken: answersFrom("203.0.113.21"), unfiltered: true, whole: wholeTry,
		want: comes, ends: comesUp},
	{name: "openiked begins, B answers from another address", change: made("openiked", ""),
		broken: answersFrom("203.0.113.21"), unfiltered: true, whole: wholeTry,
		want: []string{"auth-failed"}},
	{name: "libreswan answers from another port", change: made("openiked", "libreswan"),
		broken: func(ctx context.Context, b *bed) {
			b.nft(ctx, "b", `add table inet port
add chain inet port out { type filter hook output priority -400; }
add rule inet port out udp sport 500 notrack udp sport set 5500`)
		}, unfiltered: true, whole: wholeTry,
		want: comes, ends: comesUp},
}

func anotherCipher(_, b *gateway) { b.esp = "aes128-sha1" }

// answersFrom has B's IKE leave with another of its addresses.
func answersFrom(address string) func(context.Context, *bed) {
	return func(ctx context.Context, b *bed) {
		b.must(ctx, "ip", "-n", b.ns["b"], "addr", "add", address+"/24", "dev", "wb")
		b.nft(ctx, "b", `add table inet source
add chain inet source out { type filter hook output priority -400; }
add rule inet source out udp sport 500 notrack ip saddr set `+address)
	}
}
