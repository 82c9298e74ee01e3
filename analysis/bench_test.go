package analysis_test

import (
	"context"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/moncap/moncap/analysis"
	"github.com/moncap/moncap/analysis/scene"
)

// traffic makes the two captures of a gateway pair with many tunnels: IKE exchanges, ESP and ESP in
// UDP both ways, with 2 % loss.
type traffic struct {
	rnd   *rand.Rand
	sides [2][]byte
	now   int64
	count [2]int
	lost  [2]int // by sender
	id    uint16
}

const benchOffset = 3_700_000_000

func newTraffic() *traffic {
	t := &traffic{rnd: rand.New(rand.NewPCG(1, 2)), now: 1_700_000_000_000_000_000}
	head := scene.PcapOf(nil, scene.LinkEthernet)
	t.sides = [2][]byte{append([]byte(nil), head...), append([]byte(nil), head...)}
	return t
}

// send puts one packet from side s into both captures, or only into the sender's when it is lost.
func (t *traffic) send(s int, proto byte, payload []byte) (arrived bool) {
	t.now += 4000
	t.id++
	frame := make([]byte, 34, 34+len(payload))
	frame[12] = 8
	ip := frame[14:]
	ip[0], ip[8], ip[9] = 0x45, 255, proto
	binary.BigEndian.PutUint16(ip[2:], uint16(20+len(payload)))
	binary.BigEndian.PutUint16(ip[4:], t.id)
	copy(ip[12:], []byte{192, 168, byte(1 + s), 1, 192, 168, byte(2 - s), 1})
	frame = append(frame, payload...)
	t.put(s, t.now, frame)
	if t.rnd.IntN(50) != 0 {
		frame[22] -= 3
		t.put(1-s, t.now+20_000_000, frame)
		return true
	}
	t.lost[s]++
	return false
}

func (t *traffic) put(s int, at int64, frame []byte) {
	at += int64(s) * benchOffset
	b := binary.LittleEndian.AppendUint32(t.sides[s], uint32(at/1e9))
	b = binary.LittleEndian.AppendUint32(b, uint32(at%1e9))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(frame)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(frame)))
	t.sides[s] = append(b, frame...)
	t.count[s]++
}

func udp(port uint16, b []byte) []byte {
	u := binary.BigEndian.AppendUint16(nil, port)
	u = binary.BigEndian.AppendUint16(u, port)
	u = binary.BigEndian.AppendUint16(u, uint16(8+len(b)))
	return append(append(u, 0, 0), b...)
}

func (t *traffic) esp(s int, spi, seq uint32, encapsulated bool) {
	b := make([]byte, 100)
	binary.BigEndian.PutUint32(b, spi)
	binary.BigEndian.PutUint32(b[4:], seq)
	if encapsulated {
		t.send(s, 17, udp(4500, b))
		return
	}
	t.send(s, 50, b)
}

// informational is an encrypted exchange with nothing inside, as a liveness check is.
func (t *traffic) informational(s int, spi uint64, id uint32) {
	for answer := range 2 {
		b := make([]byte, 4+28+4+48)
		m := b[4:]
		binary.BigEndian.PutUint64(m, spi)
		binary.BigEndian.PutUint64(m[8:], ^spi)
		m[16], m[17], m[18] = 46, 0x20, 37
		from := s
		if answer == 1 {
			m[19], from = 0x20, 1-s
		}
		if from == 0 {
			m[19] |= 8
		}
		binary.BigEndian.PutUint32(m[20:], id)
		binary.BigEndian.PutUint32(m[24:], uint32(len(m)))
		binary.BigEndian.PutUint16(m[30:], 52)
		for i := 32; i < len(m); i++ {
			m[i] = byte(t.rnd.Uint32())
		}
		if !t.send(from, 17, udp(4500, b)) && answer == 0 {
			return // nothing to answer
		}
	}
}

// mixed makes about n packets for each side, one in ten of them IKE, of as many tunnels.
func mixed(n, tunnels int) *traffic {
	t := newTraffic()
	for round := uint32(1); t.count[0] < n; round++ {
		for k := range tunnels {
			for s := range 2 {
				t.esp(s, uint32(0x1000+2*k+s), 2*round-1, k%2 == 0)
				t.esp(s, uint32(0x1000+2*k+s), 2*round, k%2 == 0)
			}
			if (int(round)+k)%5 == 0 {
				t.informational(k%2, uint64(k+1), round)
			}
		}
	}
	return t
}

func BenchmarkCompare(b *testing.B) {
	for _, n := range []int{50_000, 500_000} {
		b.Run(map[int]string{50_000: "50k", 500_000: "500k"}[n], func(b *testing.B) {
			t := mixed(n, 200)
			a := analysis.Side{Name: "a", Open: scene.Opener(t.sides[0])}
			o := analysis.Side{Name: "b", Open: scene.Opener(t.sides[1])}
			b.SetBytes(int64(len(t.sides[0]) + len(t.sides[1])))
			for b.Loop() {
				if _, err := analysis.Compare(context.Background(), a, &o, analysis.Options{}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(t.count[0]+t.count[1])*float64(b.N)/b.Elapsed().Seconds(), "packets/s")
		})
	}
}

// endless is an ESP capture of n packets that is made while it is read, so that only the comparison
// takes memory.
type endless struct {
	side, n, seq int
	head, rest   []byte
	record       []byte
}

func (e *endless) Read(p []byte) (int, error) {
	if len(e.rest) == 0 {
		if e.seq >= e.n {
			return 0, io.EOF
		}
		e.next()
	}
	if len(e.head) > 0 {
		n := copy(p, e.head)
		e.head = e.head[n:]
		return n, nil
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

// next makes the next record; every 50th packet is missing at side 1, the receiver.
func (e *endless) next() {
	e.seq++
	if e.side == 1 && e.seq%50 == 0 {
		e.seq++
	}
	if e.record == nil {
		t := newTraffic()
		t.send(0, 50, make([]byte, 100))
		e.record = t.sides[0][24:][:16+34+100]
		e.head = scene.PcapOf(nil, scene.LinkEthernet)
	}
	at := 1_700_000_000_000_000_000 + int64(e.seq)*20_000 + int64(e.side)*20_000_000
	binary.LittleEndian.PutUint32(e.record, uint32(at/1e9))
	binary.LittleEndian.PutUint32(e.record[4:], uint32(at%1e9))
	e.record[16+22] = byte(255 - 3*e.side)
	binary.BigEndian.PutUint32(e.record[16+34:], 0xabcd)
	binary.BigEndian.PutUint32(e.record[16+38:], uint32(e.seq))
	e.rest = e.record
}

func (e *endless) Close() error { return nil }

// TestMemoryDoesNotGrowWithPackets compares ESP captures of different length: ten times the packets
// may not take ten times the memory.
func TestMemoryDoesNotGrowWithPackets(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	grown := func(n int) uint64 {
		open := func(s int) func() (io.ReadCloser, error) {
			return func() (io.ReadCloser, error) { return &endless{side: s, n: n}, nil }
		}
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		r, err := analysis.Compare(context.Background(), analysis.Side{Open: open(0)}, &analysis.Side{Open: open(1)},
			analysis.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if want := n / 50; r.Pairs.LostAtoB != want {
			t.Errorf("%d packets: %d lost, want %d", n, r.Pairs.LostAtoB, want)
		}
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	small, large := grown(20_000), grown(200_000)
	if large > 5*small+8<<20 {
		t.Errorf("10 times the packets allocate %d bytes instead of %d", large, small)
	}
}
