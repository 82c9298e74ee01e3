package simulator

import (
	"net"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// BenchmarkLive sends through the loopback interface, 64 packets a system call, and reports what
// was captured, each packet as it leaves and as it arrives, and what was told to be lost.
func BenchmarkLive(b *testing.B) {
	source, err := Live("lo")
	if err != nil {
		b.Skip("no live capture here:", err)
	}
	to, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 3)})
	if err != nil {
		b.Fatal(err)
	}
	defer to.Close()
	from, err := net.DialUDP("udp4", nil, to.LocalAddr().(*net.UDPAddr))
	if err != nil {
		b.Fatal(err)
	}
	defer from.Close()
	raw, err := from.SyscallConn()
	if err != nil {
		b.Fatal(err)
	}
	stream := source.Open(time.Now(), func() {})
	defer stream.Close()
	payload := make([]byte, 120)
	batch := make([]message, 64)
	for i := range batch {
		part := &unix.Iovec{Base: &payload[0]}
		part.SetLen(len(payload))
		batch[i].header = unix.Msghdr{Iov: part}
		batch[i].header.SetIovlen(1)
	}
	seen, lost, sent := 0, 0, 0
	for b.Loop() {
		if err := raw.Write(func(fd uintptr) bool {
			n, _, _ := unix.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&batch[0])), uintptr(len(batch)), 0, 0, 0)
			if int(n) > 0 {
				sent += int(n)
			}
			return int(n) > 0
		}); err != nil {
			b.Fatal(err)
		}
		if sent%4096 == 0 {
			seen += len(stream.Due(time.Now()))
		}
	}
	elapsed := b.Elapsed()
	for n := 1; n > 0; seen += n { // what the ring still holds
		time.Sleep(100 * time.Millisecond)
		n = len(stream.Due(time.Now()))
	}
	lost += stream.(dropping).Dropped()
	b.ReportMetric(float64(seen)/elapsed.Seconds(), "captured/s")
	b.ReportMetric(float64(lost), "lost")
	b.ReportMetric(float64(sent)*2-float64(seen)-float64(lost), "untold")
}

// message is the kernel's struct mmsghdr (sendmmsg(2)).
type message struct {
	header unix.Msghdr
	sent   uint32
}
