package device

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"golang.org/x/crypto/ssh"

	"github.com/moncap/moncap/device/iosxe"
	"github.com/moncap/moncap/device/simulator"
)

// The same file from the same router, by Fetch and by OpenSSH's scp.
func BenchmarkFetch(b *testing.B) {
	const size = 100 << 20
	public, private := newKey(b)
	l := newLab(b, simulator.Config{Flash: map[string][]byte{"x.pcap": bytes.Repeat([]byte("moncap\x00\xff"), size/8)},
		AuthorizedKeys: []ssh.PublicKey{public}})
	if err := l.sim.Listen(b.Context(), "127.0.0.1:0"); err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	l.reach(b, l.sim.Addr())
	l.peer.KeyFile = filepath.Join(dir, "id")
	if err := os.WriteFile(l.peer.KeyFile, marshalKey(b, private, ""), 0o600); err != nil {
		b.Fatal(err)
	}
	to := filepath.Join(dir, "fetched")

	b.Run("moncap", func(b *testing.B) {
		b.SetBytes(size)
		r, last := l.router(), int64(0)
		for b.Loop() {
			f, err := os.Create(to)
			if err != nil {
				b.Fatal(err)
			}
			if n, err := r.Fetch(b.Context(), "x.pcap", f, func(done, _ int64) { last = done }); err != nil || n != size ||
				last != size {
				b.Fatal(n, err)
			}
			if err := f.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("openssh", func(b *testing.B) {
		scp, err := exec.LookPath("scp")
		if err != nil {
			b.Skip("no scp on this machine")
		}
		b.SetBytes(size)
		for b.Loop() {
			cmd := exec.Command(scp, "-O", "-q", "-F", "/dev/null", "-i", l.peer.KeyFile, "-o",
				"UserKnownHostsFile="+l.peer.KnownHosts, "-o", "BatchMode=yes",
				"-P", strconv.Itoa(l.peer.Port), "moncap@"+l.peer.Host+":bootflash:/x.pcap", to)
			if out, err := cmd.CombinedOutput(); err != nil {
				b.Fatalf("%v: %s", err, out)
			}
		}
		if info, err := os.Stat(to); err != nil || info.Size() != size {
			b.Fatal(info, err)
		}
	})
}

// A large transfer takes no more memory than a small one, and says how far it is.
func TestReceiveTakesConstantMemory(t *testing.T) {
	const size = 256 << 20
	stream := io.MultiReader(strings.NewReader("C0644 "+strconv.Itoa(size)+" x.pcap\n"), io.LimitReader(endless{}, size),
		bytes.NewReader([]byte{0}))
	var before, after runtime.MemStats
	var progressed int64
	runtime.ReadMemStats(&before)
	from := newSource("x.pcap", stream, io.Discard)
	from.progress = func(done, total int64) {
		if total != size || done < progressed || done > total {
			t.Fatalf("progress %d of %d after %d", done, total, progressed)
		}
		progressed = done
	}
	n, err := from.receive(io.Discard)
	runtime.ReadMemStats(&after)
	if err != nil || n != size || progressed != size {
		t.Fatal(n, progressed, err)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 4<<20 {
		t.Errorf("%d bytes were allocated", used)
	}
}

// A router that talks all the time fills the connection's window, and not our memory.
func TestTalkBetweenCommandsIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shell{out: endless{}, queued: make(chan struct{}, 1), ended: make(chan struct{}), closed: make(chan struct{}),
			free: make(chan struct{}, 1)}
		taken := 0
		var reader sync.WaitGroup
		reader.Go(func() {
			for {
				b, err := s.Read(readSize)
				if err != nil {
					return
				}
				taken += len(b)
			}
		})
		synctest.Wait()
		if taken < maxAhead || taken > maxAhead+readSize {
			t.Errorf("%d bytes were read ahead", taken)
		}
		s.consumed()
		synctest.Wait()
		if taken < 2*maxAhead || taken > 2*(maxAhead+readSize) {
			t.Errorf("%d bytes after the queue was emptied", taken)
		}
		close(s.closed)
		reader.Wait()
		if !s.over() {
			t.Error("it did not end")
		}
	})
}

// endless always has something to say.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func BenchmarkExecInMemory(b *testing.B) {
	l := newLab(b, simulator.Config{})
	r := l.router()
	l.exec(r, iosxe.ShowClock())
	for b.Loop() {
		if _, err := r.Exec(b.Context(), iosxe.ShowClock()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLogin(b *testing.B) {
	l := newLab(b, simulator.Config{VTYs: 16})
	for b.Loop() {
		r := New(l.peer, l.o)
		if err := r.Open(b.Context()); err != nil {
			b.Fatal(err)
		}
		if err := r.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
