package main

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	linktype "github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
	"golang.org/x/sys/unix"
)

// within calls f on a thread that is in a namespace for so long: sockets and devices that f opens
// stay there.
func (b *bed) within(x string, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		done <- inNamespace(filepath.Join("/run/netns", b.ns[x]), f)
	}()
	return <-done
}

func inNamespace(file string, f func() error) error {
	own, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	defer own.Close()
	other, err := os.Open(file)
	if err != nil {
		return err
	}
	defer other.Close()
	if err := unix.Setns(int(other.Fd()), unix.CLONE_NEWNET); err != nil {
		return err
	}
	err = f()
	// What is in a namespace is ended with it: this process must not be.
	if back := unix.Setns(int(own.Fd()), unix.CLONE_NEWNET); back != nil {
		panic(back)
	}
	return err
}

// tap is a capture of all that passes an interface of the middle, as tcpdump would take it: of
// other peers and other addresses as well, which a router's capture for the tunnel leaves out.
type tap struct {
	handle *pcapgo.EthernetHandle
	stop   atomic.Bool
	done   chan struct{}
	err    error
}

func (b *bed) tap(side, file string) *tap {
	b.t.Helper()
	p := &tap{done: make(chan struct{})}
	err := b.within("m", func() (err error) {
		p.handle, err = pcapgo.NewEthernetHandle("w" + side)
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	go p.follow(file)
	return p
}

func (p *tap) follow(file string) {
	defer close(p.done)
	f, err := os.Create(file)
	if err != nil {
		p.err = err
		return
	}
	defer f.Close()
	const all = 65535
	w := pcapgo.NewWriterNanos(f)
	p.err = w.WriteFileHeader(all, linktype.LinkTypeEthernet)
	for p.err == nil {
		frame, about, err := p.handle.ReadPacketData()
		if p.stop.Load() || err != nil {
			return
		}
		about.CaptureLength, about.Length = len(frame), len(frame)
		p.err = w.WritePacket(about, frame)
	}
}

// watched has something happen while all that passes is captured, until the time is over, and
// returns a run that is judged by these captures.
func (b *bed) watched(ctx context.Context, whole time.Duration, act func(context.Context, *bed)) *liveRun {
	b.t.Helper()
	r := &liveRun{bundle: b.folder("bundle"), file: filepath.Join(b.dir, "report.json"), over: make(chan struct{})}
	close(r.over)
	var taps []*tap
	for _, side := range []string{"a", "b"} {
		taps = append(taps, b.tap(side, filepath.Join(r.bundle, side+".pcap")))
	}
	acting, done := context.WithTimeout(ctx, whole)
	defer done()
	var wg sync.WaitGroup
	wg.Go(func() { act(acting, b) })
	<-acting.Done()
	for _, p := range taps {
		p.stop.Store(true)
	}
	// What ends a read is a packet.
	for p, end := 0, time.Now().Add(5*time.Second); p < len(taps) && time.Now().Before(end); {
		b.trafficFrom(context.WithoutCancel(ctx), "m", 1, 64)
		select {
		case <-taps[p].done:
			if taps[p].err != nil {
				b.t.Error(taps[p].err)
			}
			p++
		case <-time.After(10 * time.Millisecond):
		}
	}
	wg.Wait()
	r.judgeAgain(b)
	return r
}
