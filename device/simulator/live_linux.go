package simulator

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Live captures from a network interface: packet(7), with a ring of blocks that the kernel
// fills (TPACKET_V3). It needs CAP_NET_RAW. The error says what is wrong with the
// interface or the rights.
func Live(name string) (Source, error) {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("live capture: interface %s: %w", name, err)
	}
	s := live{*i}
	ring, err := s.open()
	if err != nil {
		return nil, err
	}
	return s, ring.close()
}

type live struct{ iface net.Interface }

// The ring: as many blocks as hold a tenth of a second of a full gigabit.
const (
	blockSize   = 1 << 18
	blocks      = 64
	blockWait   = 5 // ms after which the kernel hands over a block that is not full
	pollTimeout = 100
)

type ring struct {
	socket int
	memory []byte
}

func (l live) open() (_ *ring, err error) {
	r := &ring{socket: -1}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("live capture on %s: %w", l.iface.Name, err), r.close())
		}
	}()
	all := binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, unix.ETH_P_ALL))
	if r.socket, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if err = unix.SetsockoptInt(r.socket, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V3); err != nil {
		return nil, os.NewSyscallError("PACKET_VERSION", err)
	}
	request := unix.TpacketReq3{Block_size: blockSize, Block_nr: blocks, Frame_size: 2048,
		Frame_nr: blockSize / 2048 * blocks, Retire_blk_tov: blockWait}
	if err = unix.SetsockoptTpacketReq3(r.socket, unix.SOL_PACKET, unix.PACKET_RX_RING, &request); err != nil {
		return nil, os.NewSyscallError("PACKET_RX_RING", err)
	}
	if r.memory, err = unix.Mmap(r.socket, 0, blockSize*blocks, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_SHARED); err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	if err = unix.Bind(r.socket, &unix.SockaddrLinklayer{Protocol: all, Ifindex: l.iface.Index}); err != nil {
		return nil, os.NewSyscallError("bind", err)
	}
	return r, nil
}

func (r *ring) close() error {
	var errs []error
	if r.memory != nil {
		errs = append(errs, unix.Munmap(r.memory))
	}
	if r.socket >= 0 {
		errs = append(errs, unix.Close(r.socket))
	}
	return errors.Join(errs...)
}

func (l live) Open(_ time.Time, wake func()) Stream {
	s := &liveStream{wake: wake, quit: make(chan struct{})}
	if s.ring, s.err = l.open(); s.err != nil { // it worked when the source was made
		return s
	}
	s.wg.Go(s.receive)
	return s
}

type liveStream struct {
	inbox
	ring *ring
	err  error
	wake func()
	quit chan struct{}
	wg   sync.WaitGroup
	end  sync.Once
}

// receive takes blocks from the kernel until the stream is closed.
func (s *liveStream) receive() {
	fds := []unix.PollFd{{Fd: int32(s.ring.socket), Events: unix.POLLIN | unix.POLLERR}}
	for at := 0; ; {
		select {
		case <-s.quit:
			return
		default:
		}
		block := s.ring.memory[at*blockSize : (at+1)*blockSize]
		status := &(*unix.TpacketHdrV1)(
			unsafe.Pointer(&(*unix.TpacketBlockDesc)(
				unsafe.Pointer(&block[0])).Hdr)).Block_status // #nosec G103 the kernel's layout
		if atomic.LoadUint32(status)&unix.TP_STATUS_USER == 0 {
			if _, err := unix.Poll(fds, pollTimeout); err != nil && !errors.Is(err, unix.EINTR) {
				return
			}
			continue
		}
		s.put(readBlock(block))
		atomic.StoreUint32(status, unix.TP_STATUS_KERNEL)
		at = (at + 1) % blocks
		s.wake()
	}
}

// readBlock copies the packets out of a block, all into one piece of memory.
func readBlock(block []byte) []Packet {
	header := (*unix.TpacketHdrV1)(
		unsafe.Pointer(&(*unix.TpacketBlockDesc)(unsafe.Pointer(&block[0])).Hdr)) // #nosec G103 the kernel's layout
	packets := make([]Packet, 0, header.Num_pkts)
	total, at := 0, int(header.Offset_to_first_pkt)
	each := func(f func(h *unix.Tpacket3Hdr, frame []byte)) {
		at := at
		for range header.Num_pkts {
			h := (*unix.Tpacket3Hdr)(unsafe.Pointer(&block[at])) // #nosec G103 the kernel's layout
			f(h, block[at+int(h.Mac):at+int(h.Mac)+int(h.Snaplen)])
			at += int(h.Next_offset)
		}
	}
	each(func(_ *unix.Tpacket3Hdr, frame []byte) { total += len(frame) })
	memory := make([]byte, 0, total)
	each(func(h *unix.Tpacket3Hdr, frame []byte) {
		from := len(memory)
		memory = append(memory, frame...)
		stamp := time.Unix(int64(h.Sec), int64(h.Nsec))
		packets = append(packets, Packet{Arrives: stamp, Stamp: stamp, Frame: memory[from:len(memory):len(memory)],
			Length: int(h.Len)})
	})
	return packets
}

func (s *liveStream) Due(now time.Time) []Packet { return s.take(now) }

// Next is never known: the kernel wakes the stream, and the stream its router.
func (s *liveStream) Next() (time.Time, bool) { return time.Time{}, false }

// Dropped counts what the kernel had no block for, and what the inbox had no room for.
func (s *liveStream) Dropped() int {
	if s.ring == nil {
		return 0
	}
	stats, err := unix.GetsockoptTpacketStatsV3(s.ring.socket, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return s.lost(0)
	}
	return s.lost(int(stats.Drops))
}

func (s *liveStream) Close() {
	s.end.Do(func() {
		s.close()
		close(s.quit)
		s.wg.Wait()
		if s.ring != nil {
			_ = s.ring.close()
			s.ring = nil
		}
	})
}
