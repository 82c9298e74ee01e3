package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/google/gopacket/pcapgo"

	"github.com/moncap/moncap/analysis/report"
)

// trouble is one thing that is wrong between two gateways, and what moncap has to say of it.
type trouble struct {
	name  string
	short bool     // it is one of the short set
	nat   bool     // A is behind a NAT
	six   bool     // over IPv6
	armed []string // moncap watches, with these flags, instead of a run

	// What the routers list is left out: moncap analyze judges the two captures.
	packetsAlone bool
	// So it is, of captures that hold all that passes, of other peers and addresses too.
	unfiltered bool

	change func(a, b *gateway)         // how the gateways are configured otherwise
	broken func(context.Context, *bed) // what is broken before anything runs
	before func(context.Context, *bed) // what happened before the capture
	act    func(context.Context, *bed) // what happens while both capture; default: A initiates
	clockB time.Duration               // what the clock of router B is ahead
	whole  time.Duration               // the capture lasts this long, instead of until it is decided
	want   []string                    // the finding that leads; any of these
	also   []string                    // findings that have to be there as well
	where  report.Direction            // of the lead
	ends   report.Outcome              // default: failed
}

const (
	comesUp = report.Established
	limps   = report.Degraded
	unclear = report.Inconclusive
)

// The packets of the firewall's rules: what comes from a side, IKE of one exchange in UDP 4500
// (behind the non-ESP marker), ESP in UDP.
const (
	fromA, fromB = `iifname "wa" `, `iifname "wb" `
	ike500       = `udp dport 500 `
	udp4500      = `udp dport 4500 `
	udp4500sport = `udp sport 4500 ` // where a NAT gave the other port
	ikeAuth      = `udp dport 4500 @th,240,8 35 `
	createChild  = `udp dport 4500 @th,240,8 36 `
	espInUDP     = `udp dport 4500 @th,64,32 != 0 `
)

func drops(rules ...string) func(context.Context, *bed) {
	return func(ctx context.Context, b *bed) {
		for _, r := range rules {
			b.rule(ctx, "way", r+"drop")
		}
	}
}

// up negotiates and sends something both ways.
func up(ctx context.Context, b *bed) {
	b.initiate(ctx, "a")
	b.traffic(ctx, 10, 64)
}

// manyProposals makes the first message longer than a packet can be.
func manyProposals() string {
	var all []string
	for _, cipher := range []string{"aes128", "aes192", "aes256"} {
		for _, hash := range []string{"sha256", "sha384", "sha512"} {
			for _, group := range []string{"modp2048", "modp3072", "modp4096", "ecp256", "ecp384"} {
				all = append(all, cipher+"-"+hash+"-"+group)
			}
		}
	}
	return strings.Join(all, ",")
}

// narrow makes the link to B narrower than the gateways know.
func narrow(ctx context.Context, b *bed) {
	b.inside(ctx, "m", "ip", "link", "set", "wb", "mtu", "1280")
}

// halfOpen leaves B with a negotiation that A has given up.
func halfOpen(ctx context.Context, b *bed) {
	b.rule(ctx, "way", fromA+udp4500+"drop")
	brief, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	b.initiate(brief, "a")
	_, _ = b.swanctl(ctx, "a", "--terminate", "--ike", "lab", "--force")
	b.nft(ctx, "m", "flush chain inet lab way")
}

func linger(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

var troubles = []trouble{
	{name: "healthy", short: true, want: []string{"tunnel-established"}, ends: comesUp},
	{name: "healthy, IKEv1", change: func(a, b *gateway) { a.version, b.version = 1, 1 },
		want: []string{"tunnel-established"}, ends: comesUp},
	{name: "healthy behind a NAT", nat: true, want: []string{"tunnel-established"}, also: []string{"nat-detected"},
		ends: comesUp},
	{name: "healthy, with traffic", act: up, whole: 6 * time.Second, want: []string{"tunnel-established"},
		ends: comesUp},

	{name: "keys differ", short: true, change: func(_, b *gateway) { b.key = "another" },
		want: []string{"auth-failed"}},
	{name: "keys differ, IKEv1", change: func(a, b *gateway) { a.version, b.version, b.key = 1, 1, "another" },
		want: []string{"psk-mismatch-v1"}},
	{name: "A says another identity", change: func(a, _ *gateway) { a.id = "stranger.example" },
		want: []string{"auth-failed"}},
	{name: "no common IKE proposal", short: true,
		change: func(_, b *gateway) { b.ike = "aes128-sha512-modp3072" }, want: []string{"ike-proposal-mismatch"}},
	{name: "no common IKE proposal, IKEv1",
		change: func(a, b *gateway) { a.version, b.version, b.ike = 1, 1, "aes128-sha512-modp3072" },
		want:   []string{"ike-proposal-mismatch"}},
	{name: "no common group", change: func(_, b *gateway) { b.ike = "aes256-sha256-modp3072" },
		want: []string{"ike-proposal-mismatch"}},
	{name: "B asks for another group",
		change: func(a, b *gateway) { a.ike, b.ike = "aes256-sha256-modp2048-modp3072", "aes256-sha256-modp3072" },
		want:   []string{"tunnel-established"}, also: []string{"ke-group-retry"}, ends: comesUp},
	{name: "no common ESP proposal", change: func(_, b *gateway) { b.esp = "aes128-sha512" },
		want: []string{"child-sa-refused"}},
	{name: "traffic selectors differ", change: func(_, b *gateway) { b.local = "10.7.0.0/16" },
		want: []string{"child-sa-refused"}},
	{name: "A speaks IKEv1 and B IKEv2", change: func(a, _ *gateway) { a.version = 1 },
		want: []string{"version-mismatch", "ike-proposal-mismatch"}},
	{name: "B expects A at another address", change: func(_, b *gateway) { b.peer = "198.51.100.77" },
		want: []string{"ike-proposal-mismatch"}},
	{name: "A asks at another address", change: func(a, _ *gateway) { a.peer = "203.0.113.77" },
		whole: 6 * time.Second,
		want:  []string{"no-ike-traffic"}, ends: unclear},

	// Nothing reaches B: that its capture works at all is not proven, and is what the
	// report begins with.
	{name: "UDP 500 dropped A->B", broken: drops(fromA + ike500), want: []string{"capture-empty"},
		also: []string{"path-blocked"}},
	{name: "UDP 500 dropped A->B, B began", broken: drops(fromA + ike500),
		act:  func(ctx context.Context, b *bed) { b.initiate(ctx, "b") },
		want: []string{"path-blocked"}, where: report.AtoB},
	{name: "UDP 500 dropped B->A", short: true, broken: drops(fromB + ike500), want: []string{"path-blocked"},
		where: report.BtoA},
	{name: "UDP 4500 dropped", broken: drops(udp4500), want: []string{"nat-t-blocked"}},
	{name: "UDP 4500 dropped A->B, NAT", nat: true, broken: drops(fromA + udp4500), want: []string{"nat-t-blocked"}},
	{name: "answers to IKE_AUTH dropped", broken: drops(fromB + ikeAuth),
		want: []string{"nat-t-blocked", "path-blocked"}, where: report.BtoA},
	{name: "first two requests lost", broken: drops(fromA + ike500 + "quota until 1100 bytes "),
		want: []string{"path-loss"}, also: []string{"tunnel-established"}, ends: limps},
	{name: "firewall rejects", broken: func(ctx context.Context, b *bed) {
		b.rule(ctx, "way", fromA+ike500+"reject with icmp admin-prohibited")
	}, want: []string{"icmp-rejected"}},
	{name: "nothing listens at B", change: func(_, b *gateway) { b.absent = true }, want: []string{"icmp-rejected"}},
	{name: "B is silent", change: func(_, b *gateway) { b.absent = true },
		broken: func(ctx context.Context, b *bed) {
			b.nft(ctx, "b", "add rule inet lab out icmp type destination-unreachable drop")
		}, want: []string{"peer-not-answering"}},
	{name: "fragments dropped", change: func(a, b *gateway) { a.ike, b.ike = manyProposals(), manyProposals() },
		broken: func(ctx context.Context, b *bed) { b.rule(ctx, "early", "ip frag-off & 0x1fff != 0 drop") },
		want:   []string{"ip-fragments-lost"}},
	{name: "cookie asked for", change: func(_, b *gateway) { b.daemon = []string{"cookie_threshold = 1"} },
		before: halfOpen,
		want:   []string{"tunnel-established"}, also: []string{"cookie-challenge"}, ends: comesUp},
	{name: "clocks 90 s apart", clockB: 90 * time.Second, want: []string{"clock-offset"},
		also: []string{"tunnel-established"}, ends: comesUp},

	{name: "ESP dropped B->A", short: true, broken: drops(fromB + espInUDP), whole: 8 * time.Second,
		act: func(ctx context.Context, b *bed) {
			b.initiate(ctx, "a")
			b.traffic(ctx, 40, 64)
		}, want: []string{"esp-blocked"}, where: report.BtoA},
	{name: "B does not send", whole: 8 * time.Second, act: func(ctx context.Context, b *bed) {
		b.initiate(ctx, "a")
		b.inside(ctx, "b", "ip", "route", "replace", "unreachable", b.protected["a"].String(), "table", "220")
		b.traffic(ctx, 40, 64)
	}, want: []string{"esp-one-way"}, ends: limps},
	{name: "some ESP lost", broken: drops(fromA + espInUDP + "numgen random mod 100 < 20 "), whole: 12 * time.Second,
		act: func(ctx context.Context, b *bed) {
			b.initiate(ctx, "a")
			b.traffic(ctx, 80, 64)
		}, want: []string{"esp-loss"}, ends: limps},
	{name: "large packets too big", broken: narrow, whole: 8 * time.Second, act: func(ctx context.Context, b *bed) {
		up(ctx, b)
		b.traffic(ctx, 20, 1300)
		b.traffic(ctx, 5, 64)
	}, want: []string{"packet-too-big"}, ends: limps},
	{name: "large packets vanish", broken: func(ctx context.Context, b *bed) {
		narrow(ctx, b)
		b.rule(ctx, "out", "icmp type destination-unreachable drop")
	}, whole: 8 * time.Second, act: func(ctx context.Context, b *bed) {
		up(ctx, b)
		b.traffic(ctx, 20, 1300)
		b.traffic(ctx, 5, 64)
	}, want: []string{"mtu-black-hole"}, ends: limps},

	{name: "B dies", change: func(a, _ *gateway) { a.connection = []string{"dpd_delay = 2s"} },
		whole: 16 * time.Second,
		broken: func(ctx context.Context, b *bed) {
			b.nft(ctx, "b", "add rule inet lab out icmp type destination-unreachable drop")
		},
		act: func(ctx context.Context, b *bed) {
			up(ctx, b)
			b.daemons["b"].kill()
		}, want: []string{"dpd-timeout"}},
	{name: "B deletes", whole: 6 * time.Second, act: func(ctx context.Context, b *bed) {
		up(ctx, b)
		_, _ = b.swanctl(ctx, "b", "--terminate", "--ike", "lab")
	}, want: []string{"sa-deleted"}, ends: limps},
	{name: "rekeys", whole: 8 * time.Second, act: func(ctx context.Context, b *bed) {
		up(ctx, b)
		_, _ = b.swanctl(ctx, "a", "--rekey", "--child", "lab")
		linger(ctx, time.Second)
		_, _ = b.swanctl(ctx, "b", "--rekey", "--ike", "lab")
		b.traffic(ctx, 20, 64)
	}, want: []string{"tunnel-established"}, also: []string{"rekey"}, ends: comesUp},
	{name: "groups of the rekey differ", whole: 8 * time.Second,
		change: func(a, b *gateway) { a.esp, b.esp = "aes256-sha256-modp2048", "aes256-sha256-modp3072" },
		act: func(ctx context.Context, b *bed) {
			up(ctx, b)
			_, _ = b.swanctl(ctx, "a", "--rekey", "--child", "lab")
			b.traffic(ctx, 20, 64)
		}, want: []string{"rekey-failed"}, ends: limps},
	{name: "rekey dropped A->B", broken: drops(fromA + createChild), whole: 14 * time.Second,
		act: func(ctx context.Context, b *bed) {
			up(ctx, b)
			_, _ = b.swanctl(ctx, "a", "--rekey", "--child", "lab")
			b.traffic(ctx, 20, 64)
		}, want: []string{"path-blocked", "nat-t-blocked"}, where: report.AtoB, ends: limps},
}

// judged is how a cause was judged.
type judged struct {
	cause   string
	verdict string
	lead    string
	after   string // seconds
	wrong   string // empty: it is right

	notPlayed string // why it was not played; empty: it was
	failed    bool   // notPlayed: the lab failed, which has all that it takes
}

// TestLab has strongSwan negotiate between network namespaces while moncap captures over SSH at
// two simulated routers, breaks one thing at a time, and compares the verdict with the cause.
// MONCAP_LAB=all is all of it, short a few, anything else those whose name has it, or one of
// several with | between them, in it; of what is judged wrong MONCAP_LAB_KEEP is given both
// captures and the report.
func TestLab(t *testing.T) {
	which := os.Getenv("MONCAP_LAB")
	if which == "" {
		t.Skip("MONCAP_LAB=all makes network namespaces with real gateways; it needs root and strongSwan")
	}
	if missing := needsForBed(); missing != "" {
		t.Skip("no live lab on this machine:", missing)
	}
	sweepBeds(t)
	ctx, stop := signal.NotifyContext(t.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var results sync.Map
	var beds atomic.Int64
	places := make(chan struct{}, 3)
	if !slices.ContainsFunc(troubles, func(c trouble) bool { return c.isOne(which) }) {
		t.Fatalf("no cause has %q in its name", which)
	}
	t.Run("causes", func(t *testing.T) {
		for i, c := range troubles {
			if !c.isOne(which) {
				continue
			}
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				places <- struct{}{}
				defer func() { <-places }()
				if ctx.Err() != nil {
					t.Skip("interrupted")
				}
				results.Store(i, judged{cause: c.name, wrong: "it did not come to a report"})
				j := c.play(ctx, t, beds.Add(1), func(why string) {
					results.Store(i, judged{cause: c.name, notPlayed: why, failed: true})
				})
				results.Store(i, j)
				switch {
				case j.notPlayed != "":
					t.Skip(j.notPlayed)
				case j.wrong != "":
					t.Error(j.wrong)
				}
			})
		}
	})
	t.Log(labTable(&results))
}

// isOne says whether a cause is one of those that are asked for.
func (c trouble) isOne(which string) bool {
	switch which {
	case "short":
		return c.short
	case "all":
		return true
	}
	return slices.ContainsFunc(strings.Split(which, "|"), func(part string) bool { return strings.Contains(c.name, part) })
}

// labTable is the result: a line a cause.
func labTable(results *sync.Map) string {
	var b strings.Builder
	right, all, left, failed := 0, 0, 0, 0
	fmt.Fprintf(&b, "%s\n", releases())
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "cause\tverdict\tlead\tdecided after, s\t")
	for i := range troubles {
		v, played := results.Load(i)
		if !played {
			continue
		}
		j := v.(judged)
		if j.notPlayed != "" {
			fmt.Fprintf(w, "%s\t\t\t\tnot played: %s\n", j.cause, j.notPlayed)
			if left++; j.failed {
				all, failed = all+1, failed+1
			}
			continue
		}
		said := "right"
		if j.wrong != "" {
			said = "WRONG: " + j.wrong
		} else {
			right++
		}
		all++
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", j.cause, j.verdict, j.lead, j.after, said)
	}
	w.Flush()
	fmt.Fprintf(&b, "%d of %d right, %d not played", right, all, left)
	if failed > 0 {
		fmt.Fprintf(&b, ", %d of these because the lab failed", failed)
	}
	return b.String() + "\n"
}

// play makes a bed, breaks what the cause is about, and has moncap look on. unready is told when
// the lab cannot do so, before the test ends.
func (c trouble) play(ctx context.Context, t *testing.T, n int64, unready func(why string)) judged {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	over := overIPv4
	if c.six {
		over = overIPv6
	}
	b := newBed(ctx, t, n, over, c.nat, unready)
	a, z := b.gatewayOf("a"), b.gatewayOf("b")
	if c.change != nil {
		c.change(&a, &z)
	}
	if c.broken != nil {
		c.broken(ctx, b)
	}
	for x, g := range map[string]gateway{"a": a, "b": z} {
		if g.absent {
			continue
		}
		if why := lacking(makers[g.maker]); why != "" {
			return judged{cause: c.name, notPlayed: why}
		}
		b.gateways[x] = g
		if !g.later {
			b.daemon(ctx, x, g)
		}
	}
	if c.before != nil {
		c.before(ctx, b)
	}
	args := []string{"--until", "decided", "--duration", "40s"}
	if c.whole > 0 {
		args = []string{"--duration", c.whole.String()}
	}
	var r *liveRun
	if c.unfiltered {
		r = b.watched(ctx, c.whole, c.acts)
	} else {
		r = c.run(ctx, b, args)
	}
	if c.packetsAlone {
		r.judgeAgain(b)
	}
	rep, err := r.report()
	if err != nil {
		t.Fatal(err)
	}
	j := c.judge(rep)
	if why := r.incomplete(); why != "" {
		j.wrong = strings.TrimPrefix(j.wrong+"; "+why, "; ")
	}
	if c.whole == 0 && c.armed == nil && len(rep.Findings) > 0 {
		j.after = c.after(r, rep.Findings[0])
	}
	if dir := os.Getenv("MONCAP_LAB_KEEP"); dir != "" && j.wrong != "" {
		kept := filepath.Join(dir, strings.ReplaceAll(c.name, " ", "-"))
		if err := os.CopyFS(kept, os.DirFS(r.folder())); err != nil {
			t.Error(err)
		}
	}
	return j
}

// acts is what happens while both capture.
func (c trouble) acts(ctx context.Context, b *bed) {
	if c.act == nil {
		b.initiate(ctx, "a")
		return
	}
	c.act(ctx, b)
}

// run has moncap capture at the simulated routers while the cause acts.
func (c trouble) run(ctx context.Context, b *bed, args []string) *liveRun {
	r := b.capture(b.simulate(c.clockB), c.armed, args...)
	acting, done := context.WithCancel(ctx)
	defer done()
	go func() { <-r.over; done() }()
	<-r.waiting
	c.acts(acting, b)
	select {
	case <-r.over:
	case <-ctx.Done():
		b.t.Fatal("the run does not end: ", context.Cause(ctx))
	}
	return r
}

// judge holds the report against the cause.
func (c trouble) judge(rep *report.Report) judged {
	j := judged{cause: c.name, verdict: string(rep.Verdict.Outcome), lead: "-", after: "-"}
	var wrong []string
	if end := cmp.Or(c.ends, report.Failed); rep.Verdict.Outcome != end {
		wrong = append(wrong, fmt.Sprintf("the outcome is %s, want %s", rep.Verdict.Outcome, end))
	}
	said := map[string]bool{}
	for i, f := range rep.Findings {
		said[f.Code] = true
		if i == 0 {
			j.lead = f.Code
			if c.where != "" && f.Fields["direction"] != string(c.where) {
				wrong = append(wrong, fmt.Sprintf("%s is %v, want %s", f.Code, f.Fields["direction"], c.where))
			}
		}
		accused := i > 0 && f.Severity == report.Critical && f.CausedBy == "" && !slices.Contains(c.also, f.Code)
		if (i == 0 || accused) && !slices.Contains(c.want, f.Code) {
			wrong = append(wrong, fmt.Sprintf("%s, want %s", f.Code, strings.Join(c.want, " or ")))
		}
	}
	for _, code := range c.also {
		if !said[code] {
			wrong = append(wrong, "no "+code)
		}
	}
	if len(rep.Findings) == 0 {
		wrong = append(wrong, "there are no findings")
	}
	j.wrong = strings.Join(wrong, "; ")
	return j
}

// after is how long after the deciding packet, the last one that proves the lead,
// the wait was over.
func (c trouble) after(r *liveRun, lead report.Finding) string {
	var last time.Time
	for _, e := range lead.Evidence {
		at, err := timeOf(filepath.Join(r.folder(), strings.ToLower(string(e.Side))+".pcap"), e.Frame)
		if err != nil {
			continue
		}
		if e.Side == report.B {
			at = at.Add(-c.clockB)
		}
		if at.After(last) {
			last = at
		}
	}
	stopped, ok := r.phases["stop"]
	if !ok || last.IsZero() {
		return "-"
	}
	return fmt.Sprintf("%.1f", stopped.Sub(last).Seconds())
}

// timeOf is when a frame was captured.
func timeOf(file string, frame int) (time.Time, error) {
	f, err := os.Open(file)
	if err != nil {
		return time.Time{}, err
	}
	defer f.Close()
	r, err := pcapgo.NewReader(f)
	if err != nil {
		return time.Time{}, err
	}
	for i := 1; ; i++ {
		_, ci, err := r.ReadPacketData()
		if err != nil || i == frame {
			return ci.Timestamp, err
		}
	}
}
