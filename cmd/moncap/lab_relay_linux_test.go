package main

import (
	"context"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// detour has what comes from a side of the middle pass through this program: onward says after how
// long the nth packet goes on, once for each copy. Kernels have that as netem, if they have it.
func (b *bed) detour(ctx context.Context, side string, onward func(n int) []time.Duration) {
	b.t.Helper()
	name, table := "by"+side, map[string]string{"a": "101", "b": "102"}[side]
	var device *os.File
	err := b.within("m", func() error {
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err != nil {
			return err
		}
		request, err := unix.NewIfreq(name)
		if err != nil {
			return err
		}
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
			return err
		}
		device = os.NewFile(uintptr(fd), name)
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { device.Close() })
	b.must(ctx, "ip", "-n", b.ns["m"], "link", "set", name, "up")
	b.inside(ctx, "m", "sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf."+name+".rp_filter=0",
		"net.ipv4.conf.w"+side+".rp_filter=0")
	family := "-4"
	if b.address["a"].Addr().Is6() {
		family = "-6"
	}
	other := map[string]string{"a": "b", "b": "a"}[side]
	b.must(ctx, "ip", "-n", b.ns["m"], family, "rule", "add", "iif", "w"+side, "to",
		b.address[other].Masked().String(), "lookup", table)
	b.must(ctx, "ip", "-n", b.ns["m"], family, "route", "add", "default", "dev", name, "table", table)
	go func() {
		packet := make([]byte, 1<<16)
		for n := 0; ; n++ {
			length, err := device.Read(packet)
			if err != nil {
				return
			}
			copied := append([]byte(nil), packet[:length]...)
			for _, after := range onward(n) {
				time.AfterFunc(after, func() { _, _ = device.Write(copied) })
			}
		}
	}()
}

// both makes a detour of both directions.
func both(onward func(n int) []time.Duration) func(context.Context, *bed) {
	return func(ctx context.Context, b *bed) {
		b.detour(ctx, "a", onward)
		b.detour(ctx, "b", onward)
	}
}

func late350(int) []time.Duration { return []time.Duration{350 * time.Millisecond} }

func twice(int) []time.Duration { return []time.Duration{0, 3 * time.Millisecond} }

// overtaken holds every second packet for longer than the next one takes to come.
func overtaken(n int) []time.Duration {
	return []time.Duration{time.Duration(n%2) * 35 * time.Millisecond}
}

// slow are causes of paths that hold, double and reorder packets.
var slow = []trouble{
	{name: "350 ms each way, libreswan", change: made("libreswan", "libreswan"), broken: both(late350),
		whole: wholeTry, want: comes, ends: comesUp},
	{name: "350 ms each way, IPv6, libreswan and openiked", six: true, change: made("libreswan", "openiked"),
		broken: both(late350), whole: wholeTry, want: comes, ends: comesUp},
	{name: "1.2 s A->B, libreswan", change: made("libreswan", ""), broken: func(ctx context.Context, b *bed) {
		b.detour(ctx, "a", func(int) []time.Duration { return []time.Duration{1200 * time.Millisecond} })
	}, whole: wholeTry, want: []string{"slow-path"}, also: comes, ends: limps},
	{name: "all arrives twice, libreswan", change: made("libreswan", "libreswan"), broken: both(twice),
		whole: wholeTry, want: []string{"duplicated-on-path"}, also: comes, ends: limps},
	{name: "all arrives twice, IPv6, IKEv1", six: true, change: made("libreswan", "libreswan", ikev1),
		broken: both(twice), whole: wholeTry, want: []string{"duplicated-on-path"}, also: comes, ends: limps},
	{name: "ESP arrives twice and overtakes", change: made("libreswan", "libreswan"),
		broken: also(noAnswers, both(func(n int) []time.Duration { return append(overtaken(n), 50*time.Millisecond) })),
		whole:  wholeTry, act: carries(100, nil), want: []string{"duplicated-on-path"}, also: comes, ends: limps},
	{name: "ESP overtakes, IPv6", six: true, change: made("libreswan", "libreswan"),
		broken: also(noAnswers, both(overtaken)), whole: wholeTry, act: carries(100, nil),
		want: comes, also: []string{"reordered-on-path"}, ends: comesUp},
}
