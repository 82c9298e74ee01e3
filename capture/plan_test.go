package capture

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moncap/moncap/device/iosxe"
)

func planText(t *testing.T, s Settings, change func(a, b *Endpoint)) string {
	t.Helper()
	a, b := endpoints()
	if change != nil {
		change(&a, &b)
	}
	p, err := NewPlan("hq-branch", a, b, s, "20260102-abc123")
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := p.Write(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestPlanIsTheGuidesWhenNamedCap(t *testing.T) {
	text := planText(t, Settings{Name: "cap"}, nil)
	for _, want := range []string{
		"ip access-list extended cap",
		"  permit udp host 192.168.1.1 host 192.168.2.1\n",
		"monitor capture cap access-list cap buffer size 10 interface GigabitEthernet1 both\n! undone by: no monitor " +
			"capture cap\n",
		"monitor capture cap start",
		"monitor capture cap stop\n",
		"monitor capture cap export bootflash:capture.pcap\n! undone by: delete /force bootflash:capture.pcap\n",
		"no ip access-list extended cap\nend\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
}

func TestPlanNamesTheTranslatedAddressOnTheOtherSideOnly(t *testing.T) {
	text := planText(t, Settings{}, func(a, b *Endpoint) { a.NATAddress = netip.MustParseAddr("198.51.100.1") })
	sideA, sideB, _ := strings.Cut(text, "===== side B")
	if strings.Contains(sideA, "host 198.51.100.1") ||
		!strings.Contains(sideA, "permit esp host 192.168.1.1 host 192.168.2.1") {
		t.Errorf("side A:\n%s", sideA)
	}
	if strings.Contains(sideB, "host 192.168.1.1") ||
		!strings.Contains(sideB, "permit esp host 198.51.100.1 host 192.168.2.1") {
		t.Errorf("side B:\n%s", sideB)
	}
}

// TestPlanIsWhatRunSends holds the plan to the truth: a run without faults sends those lines and no
// others, but for what the plan says is repeated or conditional, and the clock of the check.
func TestPlanIsWhatRunSends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, Settings{Debug: true, Trigger: "ping 192.168.2.1", Until: Until{Kind: UntilEstablished}})
		result, err := Run(t.Context(), l.plan, l.hosts(), l.bundle, l.opts)
		if err != nil {
			t.Fatal(err)
		}
		planned := map[string]bool{}
		sometimes := map[string]bool{}
		for _, s := range l.plan.Steps(A) {
			for _, line := range typed(s.Command) {
				planned[line] = true
				sometimes[line] = sometimes[line] || strings.HasPrefix(s.Note, "only")
			}
		}
		sent := map[string]bool{}
		for _, line := range result.Run.A.Commands {
			sent[line] = true
		}
		for line := range sent {
			if !planned[line] {
				t.Errorf("sent, not planned: %s", line)
			}
		}
		for line := range planned {
			if !sent[line] && !sometimes[line] {
				t.Errorf("planned, not sent: %s", line)
			}
		}
	})
}

func TestIKEOnlyLeavesOutWhatProtectsTraffic(t *testing.T) {
	if all := planText(t, Settings{}, nil); !strings.Contains(all, "permit esp host") ||
		!strings.Contains(all, "permit ahp host") {
		t.Errorf("ESP or AH is missing in\n%s", all)
	}
	for _, s := range []Settings{{IKEOnly: true}, {IKEOnly: true, ZeroConfig: true}} {
		text := planText(t, s, nil)
		if strings.Contains(text, "permit esp") || strings.Contains(text, "permit ahp") ||
			!strings.Contains(text, " udp host 192.168.1.1 host 192.168.2.1") {
			t.Errorf("not IKE alone:\n%s", text)
		}
	}
}

func TestEveryPlannedCommandIsAllowed(t *testing.T) {
	six := func(e *Endpoint, s string) { e.Address = netip.MustParseAddr(s) }
	for _, s := range []Settings{{}, {ZeroConfig: true}, {IKEOnly: true}, {IKEOnly: true, ZeroConfig: true},
		{PPS: 5, PacketLen: 100, Circular: true, ICMPFromAnyone: true}} {
		for _, v6 := range []bool{false, true} {
			a, b := endpoints()
			if v6 {
				six(&a, "2001:db8::1")
				six(&b, "2001:db8::2")
			}
			p, err := NewPlan("t", a, b, s, "abcdef")
			if err != nil {
				t.Fatal(err)
			}
			for _, step := range append(p.Steps(A), p.Steps(B)...) {
				if !iosxe.Allowed(step.Command) {
					t.Errorf("not allowed: %q", step.Command.Lines)
				}
			}
		}
	}
}

func TestPlanRefuses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		set    Settings
		change func(a, b *Endpoint)
		want   string
	}{
		{"interface", Settings{}, func(a, b *Endpoint) { a.Interface = "Gi1; reload" }, "interface"},
		{"same peer", Settings{}, func(a, b *Endpoint) { b.Name = a.Name }, "both sides"},
		{"same address", Settings{}, func(a, b *Endpoint) { b.Address = a.Address }, "both sides"},
		{"no address", Settings{}, func(a, b *Endpoint) { b.Address = netip.Addr{} }, "addresses are needed"},
		{"families", Settings{}, func(a, b *Endpoint) { b.Address = netip.MustParseAddr("2001:db8::1") }, "one list"},
		{"buffer", Settings{BufferMB: 101}, nil, "want 1 to 100"},
		{"duration", Settings{Duration: 1500 * time.Millisecond}, nil, "whole seconds"},
		{"name", Settings{Name: "all"}, nil, "keyword"},
		{"trigger of another tunnel", Settings{Trigger: "clear crypto session remote 203.0.113.7"}, nil, "knows its peer as"},
		{"trigger", Settings{Trigger: "reload"}, nil, "want one of"},
		{"debug IPv6", Settings{Debug: true}, func(a, b *Endpoint) {
			a.Address, b.Address = netip.MustParseAddr("2001:db8::2"), netip.MustParseAddr("2001:db8::1")
		}, "IPv4 peer only"},
	} {
		a, b := endpoints()
		if tt.change != nil {
			tt.change(&a, &b)
		}
		_, err := NewPlan("hq", a, b, tt.set, "abc123")
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v: want %q", tt.name, err, tt.want)
		}
	}
	a, b := endpoints()
	if _, err := NewPlan("hq", a, b, Settings{}, "x"); err == nil {
		t.Error("a run without an identity was accepted")
	}
}

func TestPlanComesBackFromTheBundle(t *testing.T) {
	l := newLab(t, Settings{Until: Until{UntilPackets, 7}, Trigger: "clear crypto session remote 192.168.1.1",
		Debug: true})
	run, err := newRun(l.plan, l.opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.bundle.SaveRun(run); err != nil {
		t.Fatal(err)
	}
	again, err := LoadPlan(l.bundle)
	if err != nil {
		t.Fatal(err)
	}
	var before, after strings.Builder
	if err := errors.Join(l.plan.Write(&before), again.Write(&after)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before.String(), after.String()); diff != "" {
		t.Error(diff)
	}
	if again.B.Trigger == nil || again.A.Trigger != nil {
		t.Error("the trigger is on the wrong side")
	}
}

func TestUntilReadsBack(t *testing.T) {
	for _, s := range []string{"none", "established", "failed", "decided", "packets=12"} {
		u, err := ParseUntil(s)
		if err != nil || u.String() != s {
			t.Errorf("%s: %v, %v", s, u, err)
		}
	}
	for _, s := range []string{"packets=0", "packets=x", "soon", "packets=100001"} {
		if _, err := ParseUntil(s); err == nil {
			t.Errorf("%s was accepted", s)
		}
	}
}

func TestQueueRespectsPeersAndParallelism(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		busy, most, all := map[string]int{}, 0, 0
		failure := errors.New("no")
		job := func(name string, peers ...string) Job {
			return Job{Name: name, Peers: peers, Run: func(ctx context.Context) error {
				mu.Lock()
				all++
				most = max(most, all)
				for _, p := range peers {
					if busy[p]++; busy[p] > 1 {
						t.Errorf("%s has %d runs", p, busy[p])
					}
				}
				mu.Unlock()
				_ = sleep(ctx, time.Second)
				mu.Lock()
				defer mu.Unlock()
				for _, p := range peers {
					busy[p]--
				}
				all--
				if name == "2" {
					return failure
				}
				return nil
			}}
		}
		jobs := []Job{job("1", "hub", "s1"), job("2", "hub", "s2"), job("3", "x", "y"), job("4", "z", "w"),
			job("5", "v", "u")}
		began := time.Now()
		errs := RunAll(t.Context(), jobs, 3, nil)
		if !errors.Is(errs[1], failure) || errors.Join(errs[0], errs[2], errs[3], errs[4]) != nil {
			t.Errorf("%v", errs)
		}
		if took := time.Since(began); most != 3 || took != 2*time.Second {
			t.Errorf("%d at a time, %s", most, took)
		}
	})
}

func TestQueueEndsWhenInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		stop := errors.New("interrupted")
		time.AfterFunc(time.Second, func() { cancel(stop) })
		wait := func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) }
		errs := RunAll(ctx, []Job{{Peers: []string{"hub"}, Run: wait}, {Peers: []string{"hub"}, Run: wait}}, 2, nil)
		for i, err := range errs {
			if !errors.Is(err, stop) {
				t.Errorf("%d: %v", i, err)
			}
		}
	})
}
