package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moncap/moncap/analysis/report"
)

// spis are the SPIs of the ESP that each side sends.
type spis map[string]uint32

// agreed is what libreswan logs of a child SA that it has made.
var agreed = regexp.MustCompile(`\{ESP(?:/ESN)?(?:inUDP)?=>0x([0-9a-f]+) <0x([0-9a-f]+)`)

// agreed returns the SPIs of the last child SA that A's daemon, one of libreswan, has made.
func (b *bed) agreed() (spis, bool) {
	log, err := os.ReadFile(filepath.Join(b.dir, "a", "log"))
	if err != nil {
		return nil, false
	}
	all := agreed.FindAllSubmatch(log, -1)
	if len(all) == 0 {
		return nil, false
	}
	sides := spis{}
	for i, x := range []string{"a", "b"} {
		n, err := strconv.ParseUint(string(all[len(all)-1][1+i]), 16, 32)
		if err != nil {
			return nil, false
		}
		sides[x] = uint32(n)
	}
	return sides, true
}

// talks has A begin, and returns what it agreed on with B.
func (b *bed) talks(ctx context.Context) spis {
	b.initiate(ctx, "a")
	for ctx.Err() == nil {
		if sides, ok := b.agreed(); ok {
			return sides
		}
		linger(ctx, 50*time.Millisecond)
	}
	return spis{"a": 1 << 20, "b": 1 << 21}
}

// packets is ESP as a kernel sends it that has ESP: with the SPIs on which the daemons agreed and
// numbers that ascend. What is encrypted nobody can read, so that it is random here.
type packets struct {
	sides spis
	size  int               // octets behind the number
	udp   map[string]bool   // the side encapsulates in UDP 4500
	quiet map[string]bool   // the side sends nothing
	next  map[string]uint32 // numbers
}

func (b *bed) packets(sides spis) *packets {
	return &packets{sides: sides, size: 104, udp: map[string]bool{}, quiet: map[string]bool{},
		next: map[string]uint32{"a": 1, "b": 1}}
}

// exchanged sends n packets from each side in turn, one every 20 ms.
func (p *packets) exchanged(ctx context.Context, b *bed, n int) {
	for range n {
		for _, x := range []string{"a", "b"} {
			if ctx.Err() != nil {
				return
			}
			if !p.quiet[x] {
				p.send(b, x)
			}
			linger(ctx, 10*time.Millisecond)
		}
	}
}

func (p *packets) send(b *bed, x string) {
	b.t.Helper()
	body := make([]byte, 8+p.size)
	if _, err := rand.Read(body); err != nil {
		b.t.Fatal(err)
	}
	binary.BigEndian.PutUint32(body, p.sides[x])
	binary.BigEndian.PutUint32(body[4:], p.next[x])
	p.next[x]++
	protocol := unix.IPPROTO_ESP
	if p.udp[x] {
		const port, header = 4500, 8
		be := binary.BigEndian
		protocol = unix.IPPROTO_UDP
		body = append(be.AppendUint16(be.AppendUint16(be.AppendUint16(be.AppendUint16(nil, port), port),
			uint16(header+len(body))), 0), body...)
	}
	other := map[string]string{"a": "b", "b": "a"}[x]
	if err := b.raw(x, protocol, b.address[other].Addr(), body); err != nil {
		b.t.Errorf("ESP of side %s: %v", x, err)
	}
}

// raw sends what an IP packet carries from a side.
func (b *bed) raw(x string, protocol int, to netip.Addr, body []byte) error {
	return b.within(x, func() error {
		family, where := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Addr: to.As16()})
		if to.Is4() {
			family, where = unix.AF_INET, &unix.SockaddrInet4{Addr: to.As4()}
		}
		s, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
		if err != nil {
			return err
		}
		defer unix.Close(s)
		return unix.Sendto(s, body, 0, where)
	})
}

// noAnswers has the kernels, which know nothing of these SAs, refuse nothing of them.
func noAnswers(ctx context.Context, b *bed) {
	for _, x := range []string{"a", "b"} {
		for _, rule := range []string{"icmp type destination-unreachable drop",
			"icmpv6 type { destination-unreachable, parameter-problem } drop"} {
			b.nft(ctx, x, "add rule inet lab out "+rule)
		}
	}
}

// also breaks one thing after the other.
func also(all ...func(context.Context, *bed)) func(context.Context, *bed) {
	return func(ctx context.Context, b *bed) {
		for _, f := range all {
			f(ctx, b)
		}
	}
}

// carries negotiates, and then sends so many packets from each side.
func carries(n int, change func(*packets)) func(context.Context, *bed) {
	return func(ctx context.Context, b *bed) {
		p := b.packets(b.talks(ctx))
		if change != nil {
			change(p)
		}
		p.exchanged(ctx, b, n)
	}
}

const esp50 = `meta l4proto esp `

// protocol50 are causes of ESP that is not encapsulated in UDP.
var protocol50 = []trouble{
	{name: "ESP alone, healthy", change: made("libreswan", "libreswan"), broken: noAnswers, unfiltered: true,
		whole: 6 * time.Second, act: carries(40, nil), want: comes, ends: comesUp},
	{name: "ESP alone, IPv6, healthy", six: true, change: made("libreswan", "openiked"), broken: noAnswers,
		unfiltered: true, whole: 6 * time.Second, act: carries(40, nil), want: comes, ends: comesUp},
	{name: "ESP alone, dropped B->A", change: made("libreswan", "openiked"),
		broken: also(noAnswers, drops(fromB+esp50)), whole: 7 * time.Second, act: carries(40, nil),
		want: []string{"esp-blocked"}, where: report.BtoA},
	{name: "ESP alone, IPv6, dropped A->B", six: true, change: made("libreswan", "libreswan"),
		broken: also(noAnswers, drops(fromA+esp50)), whole: 7 * time.Second, act: carries(40, nil),
		want: []string{"esp-blocked"}, where: report.AtoB},
	{name: "ESP alone, IPv6, dropped both ways", six: true, change: made("libreswan", "libreswan"),
		broken: also(noAnswers, drops(esp50)), whole: 7 * time.Second, act: carries(40, nil),
		want: []string{"esp-blocked"}},
	{name: "ESP alone, IKEv1, dropped A->B", change: made("libreswan", "libreswan", ikev1),
		broken: also(noAnswers, drops(fromA+esp50)), whole: 7 * time.Second, act: carries(40, nil),
		want: []string{"esp-blocked"}, where: report.AtoB},
	{name: "ESP alone, dropped A->B, the SA is older", change: made("libreswan", "libreswan"),
		broken: also(noAnswers, drops(fromA+esp50)), before: func(ctx context.Context, b *bed) { b.talks(ctx) },
		whole: 7 * time.Second, act: olderTraffic(nil), want: []string{"esp-blocked"}, where: report.AtoB},
	{name: "ESP alone, IPv6, dropped B->A, the SA is older", six: true, change: made("libreswan", "libreswan"),
		broken: also(noAnswers, drops(fromB+esp50)), before: func(ctx context.Context, b *bed) { b.talks(ctx) },
		whole: 7 * time.Second, act: olderTraffic(nil), want: []string{"esp-blocked"}, where: report.BtoA},
	{name: "ESP alone, IPv6, the SA is older, healthy", six: true, change: made("libreswan", "libreswan"),
		broken: noAnswers, before: func(ctx context.Context, b *bed) { b.talks(ctx) },
		whole: 7 * time.Second, act: olderTraffic(nil), want: []string{"clock-offset"}, ends: comesUp},
	{name: "ESP alone, B does not send", change: made("libreswan", "openiked"), broken: noAnswers,
		whole: 7 * time.Second, act: carries(60, func(p *packets) { p.quiet["b"] = true }),
		want: []string{"esp-one-way"}, ends: limps},
	{name: "ESP alone, IPv6, A does not send", six: true, change: made("libreswan", "libreswan"), broken: noAnswers,
		whole: 7 * time.Second, act: carries(60, func(p *packets) { p.quiet["a"] = true }),
		want: []string{"esp-one-way"}, ends: limps},
	{name: "ESP alone, IPv6, B falls silent", six: true, change: made("libreswan", "libreswan"), broken: noAnswers,
		whole: 18 * time.Second, act: func(ctx context.Context, b *bed) {
			p := b.packets(b.talks(ctx))
			p.exchanged(ctx, b, 100)
			p.quiet["b"] = true
			p.exchanged(ctx, b, 600)
		}, want: []string{"esp-one-way"}, ends: limps},
	{name: "ESP alone, IPv6, a quarter lost A->B", six: true, change: made("libreswan", "libreswan"),
		broken: also(noAnswers, drops(fromA+esp50+"numgen inc mod 4 == 0 ")), whole: 8 * time.Second,
		act: carries(100, nil), want: []string{"esp-loss"}, ends: limps},
	{name: "ESP alone, its fragments dropped B->A", change: made("libreswan", "libreswan"),
		broken: also(noAnswers, func(ctx context.Context, b *bed) {
			b.rule(ctx, "early", fromB+"ip frag-off & 0x1fff != 0 drop")
		}), whole: 7 * time.Second, act: carries(40, func(p *packets) { p.size = 1604 }),
		want: []string{"ip-fragments-lost"}, ends: limps},
	{name: "ESP alone, IPv6, its fragments dropped A->B", six: true, change: made("libreswan", "libreswan"),
		broken: also(noAnswers, func(ctx context.Context, b *bed) {
			b.rule(ctx, "early", fromA+"frag frag-off != 0 drop")
		}), whole: 7 * time.Second, act: carries(40, func(p *packets) { p.size = 1604 }),
		want: []string{"ip-fragments-lost"}, ends: limps},
	{name: "ESP alone, in fragments, healthy", change: made("libreswan", "libreswan"), broken: noAnswers,
		whole: 7 * time.Second, act: carries(40, func(p *packets) { p.size = 1604 }), want: comes, ends: comesUp},
	{name: "ESP alone, IPv6, B encapsulates in UDP", six: true, change: made("libreswan", "libreswan"),
		broken: noAnswers, whole: 7 * time.Second, act: carries(60, func(p *packets) { p.udp["b"] = true }),
		want: []string{"esp-encapsulation-differs"}, ends: limps},
	{name: "ESP alone, B uses the old SPI after a rekey", change: made("libreswan", "libreswan"), broken: noAnswers,
		whole: 14 * time.Second, act: func(ctx context.Context, b *bed) {
			old := b.talks(ctx)
			p := b.packets(old)
			p.exchanged(ctx, b, 50)
			libreswan{}.whack(ctx, b, "a", "--rekey-ipsec")
			linger(ctx, time.Second)
			renewed, _ := b.agreed()
			p.sides = spis{"a": renewed["a"], "b": old["b"]}
			p.next["a"] = 1
			p.exchanged(ctx, b, 400)
		}, want: []string{"esp-stale-spi"}, ends: limps},
	{name: "ESP alone, IPv6, goes on after a rekey", six: true, change: made("libreswan", "libreswan"),
		broken: noAnswers, whole: 10 * time.Second, act: func(ctx context.Context, b *bed) {
			p := b.packets(b.talks(ctx))
			p.exchanged(ctx, b, 50)
			libreswan{}.whack(ctx, b, "a", "--rekey-ipsec")
			linger(ctx, time.Second)
			p.sides, _ = b.agreed()
			p.next = map[string]uint32{"a": 1, "b": 1}
			p.exchanged(ctx, b, 100)
		}, want: comes, also: []string{"rekey"}, ends: comesUp},
	{name: "ESP alone, IPv6, the numbers of B begin again", six: true, change: made("libreswan", "libreswan"),
		broken: noAnswers, whole: 12 * time.Second, act: func(ctx context.Context, b *bed) {
			p := b.packets(b.talks(ctx))
			p.exchanged(ctx, b, 150)
			p.next["b"] = 1
			p.exchanged(ctx, b, 150)
		}, want: []string{"esp-sequence-restart"}, ends: limps},
	{name: "ESP alone, B's kernel has none", change: made("libreswan", "libreswan"), whole: 7 * time.Second,
		act: carries(40, func(p *packets) { p.quiet["b"] = true }), want: []string{"icmp-rejected"}, ends: limps},
}

// olderTraffic is that of an SA which was made before the captures.
func olderTraffic(change func(*packets)) func(context.Context, *bed) {
	return func(ctx context.Context, b *bed) {
		sides, _ := b.agreed()
		p := b.packets(sides)
		p.next = map[string]uint32{"a": 7001, "b": 9001}
		if change != nil {
			change(p)
		}
		p.exchanged(ctx, b, 60)
	}
}
