package main

import (
	"context"
	"time"

	"github.com/moncap/moncap/analysis/report"
)

func init() {
	for _, more := range [][]trouble{otherMakes, overSix, certificates, moving, armedFor, older, lives, protocol50,
		slow} {
		troubles = append(troubles, more...)
	}
}

// The packets of daemons that stay on UDP 500 where there is no NAT.
const ikeAuth500 = `udp dport 500 @th,208,8 35 `

var comes = []string{"tunnel-established"}

// made says who makes the daemons, and what else is different.
func made(a, b string, more ...func(a, b *gateway)) func(a, b *gateway) {
	return func(x, y *gateway) {
		x.maker, y.maker = a, b
		for _, g := range []*gateway{x, y} {
			if a == "openiked" || b == "openiked" {
				g.esp = "aes256-sha1" // the one integrity of its ESP that Debian's build can have
			}
		}
		for _, f := range more {
			f(x, y)
		}
	}
}

func anotherKey(_, b *gateway)      { b.key = "another-key-for-practice" }
func anotherProposal(_, b *gateway) { b.ike = "aes128-sha512-modp3072" }
func anotherESP(_, b *gateway)      { b.esp = "aes128-sha512" }
func anotherNetwork(_, b *gateway)  { b.local = "10.7.0.0/16" }
func ikev1(a, b *gateway)           { a.version, b.version = 1, 1 }

// otherMakes are causes between daemons of other makes.
var otherMakes = []trouble{
	{name: "libreswan answers, healthy", change: made("", "libreswan"), want: comes, ends: comesUp},
	{name: "libreswan begins, healthy", change: made("libreswan", ""), want: comes, ends: comesUp},
	{name: "libreswan, healthy", change: made("libreswan", "libreswan"), want: comes, ends: comesUp},
	{name: "libreswan, healthy, IKEv1", change: made("libreswan", "libreswan", ikev1),
		want: comes, ends: comesUp},
	{name: "libreswan, healthy behind a NAT", nat: true, change: made("libreswan", "libreswan"),
		want: comes, also: []string{"nat-detected"}, ends: comesUp},
	{name: "libreswan answers, keys differ", change: made("", "libreswan", anotherKey), want: []string{"auth-failed"}},
	{name: "libreswan begins, keys differ", change: made("libreswan", "", anotherKey), want: []string{"auth-failed"}},
	{name: "libreswan, keys differ, IKEv1", change: made("libreswan", "libreswan", ikev1, anotherKey),
		want: []string{"psk-mismatch-v1"}},
	{name: "libreswan answers, no common IKE proposal", change: made("", "libreswan", anotherProposal),
		want: []string{"ike-proposal-mismatch"}},
	{name: "libreswan begins, no common IKE proposal", change: made("libreswan", "", anotherProposal),
		want: []string{"ike-proposal-mismatch"}},
	{name: "libreswan answers, no common ESP proposal", change: made("", "libreswan", anotherESP),
		want: []string{"child-sa-refused"}},
	{name: "libreswan begins, traffic selectors differ", change: made("libreswan", "", anotherNetwork),
		want: []string{"child-sa-refused"}},
	{name: "libreswan, UDP 500 dropped B->A", change: made("libreswan", "libreswan"), broken: drops(fromB + ike500),
		want: []string{"path-blocked"}, where: report.BtoA},
	{name: "libreswan, IKE_AUTH dropped A->B", change: made("libreswan", "libreswan"),
		broken: drops(fromA + ikeAuth500), want: []string{"path-blocked"}, where: report.AtoB},
	{name: "libreswan, UDP 4500 dropped A->B, NAT", nat: true, change: made("libreswan", "libreswan"),
		broken: drops(fromA + udp4500), want: []string{"nat-t-blocked"}},

	{name: "openiked answers, healthy", change: made("", "openiked"), want: comes, ends: comesUp},
	{name: "openiked, healthy", change: made("openiked", "openiked"), want: comes, ends: comesUp},
	{name: "openiked and libreswan, healthy behind a NAT", nat: true, change: made("libreswan", "openiked"),
		want: comes, also: []string{"nat-detected"}, ends: comesUp},
	{name: "openiked answers, keys differ", change: made("", "openiked", anotherKey), want: []string{"auth-failed"}},
	{name: "openiked begins, keys differ", change: made("openiked", "", anotherKey), want: []string{"auth-failed"}},
	{name: "openiked answers, no common IKE proposal", change: made("", "openiked", anotherProposal),
		want: []string{"ike-proposal-mismatch"}},
	{name: "openiked, IKE_AUTH dropped B->A", change: made("openiked", "openiked"), broken: drops(fromB + ikeAuth500),
		want: []string{"path-blocked"}, where: report.BtoA},
}

// overSix are causes between gateways with IPv6 addresses alone.
var overSix = []trouble{
	{name: "IPv6, healthy, with traffic", six: true, act: up, whole: 6 * time.Second,
		want: comes, ends: comesUp},
	{name: "IPv6, keys differ", six: true, change: anotherKey, want: []string{"auth-failed"}},
	{name: "IPv6, UDP 500 dropped B->A", short: true, six: true, broken: drops(fromB + ike500),
		want: []string{"path-blocked"}, where: report.BtoA},
	{name: "IPv6, UDP 4500 dropped", six: true, broken: drops(udp4500), want: []string{"nat-t-blocked"}},
	{name: "IPv6, firewall rejects", six: true, broken: func(ctx context.Context, b *bed) {
		b.rule(ctx, "way", fromA+ike500+"reject with icmpv6 admin-prohibited")
	}, want: []string{"icmp-rejected"}},
	{name: "IPv6, fragments dropped", six: true,
		change: func(a, b *gateway) { a.ike, b.ike = manyProposals(), manyProposals() },
		broken: func(ctx context.Context, b *bed) { b.rule(ctx, "early", "frag frag-off != 0 drop") },
		want:   []string{"ip-fragments-lost"}},
	{name: "IPv6, ESP dropped B->A", six: true, broken: drops(fromB + espInUDP), whole: 8 * time.Second,
		act: func(ctx context.Context, b *bed) {
			b.initiate(ctx, "a")
			b.traffic(ctx, 40, 64)
		}, want: []string{"esp-blocked"}, where: report.BtoA},
	{name: "IPv6, large packets too big", six: true, broken: narrow, whole: 8 * time.Second,
		act: largeAmongSmall, want: []string{"packet-too-big"}, ends: limps},
	{name: "IPv6, large packets vanish", six: true, broken: func(ctx context.Context, b *bed) {
		narrow(ctx, b)
		b.rule(ctx, "out", "icmpv6 type packet-too-big drop")
	}, whole: 8 * time.Second, act: largeAmongSmall, want: []string{"mtu-black-hole"}, ends: limps},
}

func largeAmongSmall(ctx context.Context, b *bed) {
	up(ctx, b)
	b.traffic(ctx, 20, 1300)
	b.traffic(ctx, 5, 64)
}

// certificates are causes of gateways that prove themselves by certificates or by EAP.
var certificates = []trouble{
	{name: "certificates, healthy", change: withCertificates(issued{}, issued{}), want: comes,
		ends: comesUp},
	{name: "certificate of A expired", change: withCertificates(issued{expired: true}, issued{}),
		want: []string{"auth-failed"}},
	// The simulated router of A cannot know that A refuses B, and lists the SA as up: what it says is
	// left out.
	{name: "certificate of B expired", short: true, change: withCertificates(issued{}, issued{expired: true}),
		whole: 5 * time.Second, packetsAlone: true, want: []string{"responder-auth-rejected"}},
	{name: "B does not know A's authority", change: strange("a"), want: []string{"auth-failed"}},
	{name: "A does not know B's authority", change: strange("b"), whole: 5 * time.Second,
		packetsAlone: true, want: []string{"responder-auth-rejected"}},
	{name: "large certificates, healthy", change: withCertificates(issued{large: true}, issued{large: true}),
		want: comes, ends: comesUp},
	{name: "large certificate of A, IP fragments dropped",
		change: inTurn(withCertificates(issued{large: true}, issued{}), byIP),
		broken: func(ctx context.Context, b *bed) { b.rule(ctx, "early", "ip frag-off & 0x1fff != 0 drop") },
		want:   []string{"ip-fragments-lost"}},
	// The second of the encrypted fragments (RFC 7383), each time.
	{name: "large certificate of A, an IKE fragment dropped", change: withCertificates(issued{large: true}, issued{}),
		broken: drops(fromA + "udp dport 4500 @th,224,8 53 @th,352,16 2 "), want: []string{"ike-fragments-lost"}},
	{name: "large certificate of B, an IKE fragment dropped", change: withCertificates(issued{}, issued{large: true}),
		broken: drops(fromB + "udp dport 4500 @th,224,8 53 @th,352,16 2 "), want: []string{"ike-fragments-lost"}},
	{name: "EAP-MD5, healthy", change: extensible("eap-md5", nil), want: comes, ends: comesUp},
	{name: "EAP-MD5, secrets differ", change: extensible("eap-md5", func(_, b *gateway) {
		b.secrets = []string{section("eap-a", "id = a.example", `secret = "another"`)}
	}), whole: 6 * time.Second, want: []string{"auth-failed"}},
	{name: "EAP-TLS, healthy", change: extensible("eap-tls", nil), want: comes, ends: comesUp},
	{name: "libreswan answers, and sends A elsewhere", change: made("", "libreswan", func(_, b *gateway) {
		b.daemon = []string{"global-redirect=yes", "global-redirect-to=203.0.113.99"}
	}), want: []string{"redirected"}, ends: unclear},
}

// forgetful has the NAT keep what it translates for two seconds, and take another port each time.
func forgetful(ctx context.Context, b *bed) {
	b.inside(ctx, "m", "sysctl", "-qw", "net.netfilter.nf_conntrack_udp_timeout=2",
		"net.netfilter.nf_conntrack_udp_timeout_stream=2")
	b.nft(ctx, "m", "flush chain ip translate way")
	b.nft(ctx, "m", `add rule ip translate way oifname "wb" masquerade random`)
}

func silentA(a, _ *gateway) { a.daemon = append(a.daemon, "keep_alive = 0") }

// moving are causes about addresses and ports that change while the tunnel is up.
var moving = []trouble{
	{name: "the NAT forgets, A goes on", nat: true, change: silentA, broken: forgetful, whole: 14 * time.Second,
		act: func(ctx context.Context, b *bed) {
			up(ctx, b)
			linger(ctx, 5*time.Second)
			b.traffic(ctx, 20, 64)
		}, want: []string{"nat-mapping-changed"}, ends: limps},
	{name: "the NAT forgets, B goes on", nat: true, change: silentA, broken: forgetful, whole: 14 * time.Second,
		act: func(ctx context.Context, b *bed) {
			up(ctx, b)
			linger(ctx, 5*time.Second)
			b.trafficFrom(ctx, "b", 20, 64)
		}, want: []string{"icmp-rejected"}, ends: limps},
	{name: "A moves to another address (MOBIKE)", whole: 12 * time.Second,
		act: func(ctx context.Context, b *bed) {
			up(ctx, b)
			b.inside(ctx, "a", "sysctl", "-qw", "net.ipv4.conf.all.promote_secondaries=1")
			b.must(ctx, "ip", "-n", b.ns["a"], "addr", "add", "198.51.100.11/24", "dev", "wa")
			b.must(ctx, "ip", "-n", b.ns["a"], "addr", "del", b.address["a"].String(), "dev", "wa")
			b.must(ctx, "ip", "-n", b.ns["a"], "route", "replace", "default", "via", b.gate["a"].Addr().String())
			linger(ctx, time.Second)
			b.traffic(ctx, 20, 64)
		}, want: comes, ends: comesUp},
	{name: "clocks 3 s apart", clockB: 3 * time.Second, want: []string{"clock-offset"}, also: comes, ends: comesUp},
	{name: "clocks 5 s apart, UDP 500 dropped B->A", clockB: 5 * time.Second, broken: drops(fromB + ike500),
		want: []string{"path-blocked"}, where: report.BtoA},
}

// armedFor are causes that moncap is armed for (moncap watch): it captures, and then
// something happens.
var armedFor = []trouble{
	{name: "armed, then UDP 500 dropped B->A", armed: []string{"--on", "negotiation-failed", "--after", "1s"},
		broken: drops(fromB + ike500), act: func(ctx context.Context, b *bed) {
			linger(ctx, 8*time.Second)
			b.initiate(ctx, "a")
		}, want: []string{"path-blocked"}, where: report.BtoA},
	{name: "armed, then UDP 500 dropped B->A, tried on and on",
		armed:  []string{"--on", "negotiation-failed", "--after", "1s"},
		broken: drops(fromB + ike500), act: func(ctx context.Context, b *bed) {
			for ctx.Err() == nil {
				b.initiate(ctx, "a")
			}
		}, want: []string{"path-blocked"}, where: report.BtoA},
	// The attempt begins and ends between two looks.
	{name: "armed, then keys differ", armed: []string{"--on", "negotiation-failed", "--after", "1s"},
		change: func(_, b *gateway) { b.key = "another" }, act: func(ctx context.Context, b *bed) {
			linger(ctx, 4*time.Second)
			b.initiate(ctx, "a")
		}, want: []string{"auth-failed"}},
	{name: "armed, then it comes up", armed: []string{"--on", "sa-up", "--after", "1s"},
		want: comes, ends: comesUp},
	{name: "armed, then B dies", armed: []string{"--on", "lost", "--after", "1s"},
		change: func(a, _ *gateway) { a.connection = []string{"dpd_delay = 2s"} },
		broken: func(ctx context.Context, b *bed) {
			b.nft(ctx, "b", "add rule inet lab out icmp type destination-unreachable drop")
		},
		act: func(ctx context.Context, b *bed) {
			b.initiate(ctx, "a")
			linger(ctx, 17*time.Second) // it has been seen up
			b.daemons["b"].kill()
		}, want: []string{"dpd-timeout"}},
}
