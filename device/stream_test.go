package device

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moncap/moncap/device/iosxe"
	"github.com/moncap/moncap/device/simulator"
)

// dumpText is how a router prints packets of 64 bytes that look like its prompt.
func dumpText(w io.Writer, packets int) {
	for i := range packets {
		fmt.Fprintf(w, "  %d\r\n", i)
		for at := 0; at < 64; at += 16 {
			fmt.Fprintf(w, "  %04X:  52312300 00000000 %08X 0D0A5231   R1#.............R1\r\n", at, i)
		}
		fmt.Fprintf(w, "\r\n")
	}
}

// printer is a terminal whose router prints a dump of so many packets, made as it is read.
type printer struct {
	packets int
	typed   chan string
	text    *io.PipeReader
}

func newPrinter(packets int) *printer {
	out, in := io.Pipe()
	p := &printer{packets: packets, typed: make(chan string, 8), text: out}
	go func() {
		segments := bufio.NewWriterSize(in, 16<<10)
		fmt.Fprintf(segments, "%s\r\n", strings.TrimSpace(<-p.typed))
		dumpText(segments, packets)
		fmt.Fprint(segments, "R1#")
		_ = segments.Flush()
		<-p.typed
		fmt.Fprint(in, "\r\nR1#")
	}()
	return p
}

func (p *printer) Write(b []byte) (int, error) {
	p.typed <- string(b)
	return len(b), nil
}

func (p *printer) Read(b []byte) (int, error) { return p.text.Read(b) }

func (p *printer) Close() error { return p.text.Close() }

// A dump of 75 MB of text is read without being kept: what is alive meanwhile
// does not grow with it.
func TestADumpIsNotKept(t *testing.T) {
	const packets = 240_000
	terminal := newPrinter(packets)
	sh := &shell{session: terminal, in: terminal, out: terminal, queued: make(chan struct{}, 1),
		ended: make(chan struct{}), closed: make(chan struct{}), free: make(chan struct{}, 1)}
	term, err := newTerminal(sh)
	if err != nil {
		t.Fatal(err)
	}
	s := &session{router: New(newLab(t, simulator.Config{}).peer, Options{}), conn: terminal, term: term, hostname: "R1",
		prompt: iosxe.Prompt("R1")}
	defer s.abandon()
	cmd := iosxe.ShowDump(name(t, "mc1"))

	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	out, in := io.Pipe()
	go func() {
		looked, size := 0, 0
		err := s.stream(t.Context(), cmd, func(text string) error {
			if size += len(text); size > looked+16<<20 {
				looked = size
				runtime.GC()
				runtime.ReadMemStats(&now)
				if grown := int64(now.HeapAlloc) - int64(before.HeapAlloc); grown > 24<<20 {
					return fmt.Errorf("%d MB are alive after %d MB of text", grown>>20, size>>20)
				}
			}
			_, err := io.WriteString(in, text)
			return err
		})
		if err == nil && size < 60<<20 {
			err = fmt.Errorf("only %d bytes", size)
		}
		in.CloseWithError(err)
	}()
	n := 0
	for p, err := range iosxe.ParseDump(out) {
		if err != nil || p.Index != n || len(p.Data) != 64 {
			t.Fatalf("packet %d: %d bytes, %v", p.Index, len(p.Data), err)
		}
		n++
	}
	if n != packets {
		t.Errorf("%d packets, of %d", n, packets)
	}
}

// What is streamed is what Exec returns, whatever the router does to it: pauses, messages, a pager
// that stays.
func TestStreamIsExec(t *testing.T) {
	var text bytes.Buffer
	dumpText(&text, 6000)
	shown := strings.ReplaceAll(text.String(), "\r", "")
	for what, knobs := range map[string]simulator.Knobs{
		"plain": {}, "pauses": {EchoPause: 40 * time.Millisecond, PromptPause: time.Second}, "a pager": {KeepPager: true},
	} {
		synctest.Test(t, func(t *testing.T) {
			cmd := iosxe.ShowDump(name(t, "mc1"))
			l := newLab(t, simulator.Config{Knobs: knobs, Show: map[string]string{cmd.Lines[0]: shown}})
			r := l.router()
			var got bytes.Buffer
			if err := r.Stream(t.Context(), cmd, &got); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			var a, b strings.Builder
			for p, err := range iosxe.ParseDump(&got) {
				fmt.Fprintln(&a, p.Index, p.Data, err)
			}
			for p, err := range iosxe.ParseDump(strings.NewReader(shown)) {
				fmt.Fprintln(&b, p.Index, p.Data, err)
			}
			if a.String() != b.String() || a.Len() == 0 {
				t.Errorf("%s: %d bytes are read as %d", what, b.Len(), a.Len())
			}
			if level, err := iosxe.ParsePrivilege(l.exec(r, iosxe.ShowPrivilege())); err != nil || level != 15 ||
				l.dialled() != 1 {
				t.Errorf("%s: level %d, %v, %d sessions", what, level, err, l.dialled())
			}
		})
	}
}

// A stream ends where the buffer's own bound does, with the router's refusal, with the writer's
// error, and with its context.
func TestAStreamEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cmd := iosxe.ShowDump(name(t, "mc1"))
		var text strings.Builder
		dumpText(&text, 20_000)
		l := newLab(t, simulator.Config{Show: map[string]string{cmd.Lines[0]: text.String()}})
		r := l.router()
		bounded := cmd
		bounded.MaxOutput = 1 << 20
		if err := r.Stream(t.Context(), bounded, io.Discard); !errors.Is(err, errTooMuch) {
			t.Errorf("%v", err)
		}
		full := errors.New("full")
		if err := r.Stream(t.Context(), cmd, failing{full}); !errors.Is(err, full) {
			t.Errorf("%v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := r.Stream(ctx, cmd, io.Discard); err == nil {
			t.Error("no error")
		}
		other := iosxe.ShowDump(name(t, "none"))
		if err := r.Stream(t.Context(), other, io.Discard); !refused(err) {
			t.Errorf("%v", err)
		}
		if err := r.Stream(t.Context(), iosxe.StartCapture(name(t, "mc1")), io.Discard); err == nil || refused(err) {
			t.Errorf("%v", err)
		}
	})
}

// A transcript that does not have all of an excerpt says so, once.
func TestAnExcerptThatIsTooLongToBeRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cmd := iosxe.BinaryTrace(time.Minute, netip.MustParseAddr("192.0.2.2"))
		text := strings.ReplaceAll(tracedText(20_000), "[parser]", "[ikev2]")
		l := newLab(t, simulator.Config{Version: "17.9.4a", Show: map[string]string{cmd.Lines[0]: text}})
		if err := l.router().Stream(t.Context(), cmd, io.Discard); err != nil {
			t.Error(err)
		}
		said := l.record.String()
		n, told := strings.Count(said, "[ikev2]"), strings.Count(said, "is not recorded")
		if n < 10_000 || n == 20_000 || told != 1 {
			t.Errorf("%d lines of 20000, and %d times that there is more", n, told)
		}
	})
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// tracedText is a binary trace of so many lines, of which one in ten is IKE's.
func tracedText(lines int) string {
	var b strings.Builder
	for i := range lines {
		module := map[bool]string{true: "ikev2", false: "parser"}[i%10 == 0]
		fmt.Fprintf(&b, "2026/05/08 08:16:35.632007249 {iosrp_R0-0}{1}: [%s] [6472]: (note): event %d\n", module, i)
	}
	return b.String()
}

// Of what has an excerpt the transcript has that, however long it is, and what came before a bound
// is handed on.
func TestAStreamWithAnExcerpt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cmd := iosxe.BinaryTrace(time.Minute, netip.MustParseAddr("192.0.2.2"))
		const lines = 20_000
		text := tracedText(lines)
		l := newLab(t, simulator.Config{Version: "17.9.4a", Show: map[string]string{cmd.Lines[0]: text}})
		r := l.router()
		var got bytes.Buffer
		if err := r.Stream(t.Context(), cmd, &got); err != nil || len(iosxe.ParseBinaryTrace(got.String())) != lines {
			t.Errorf("%d lines, %v", len(iosxe.ParseBinaryTrace(got.String())), err)
		}
		said := l.record.String()
		if n := strings.Count(said, "[ikev2]"); n != lines/10 || strings.Contains(said, "[parser]") {
			t.Errorf("the transcript has %d lines of IKE, of %d, or others", n, lines/10)
		}
		for _, bound := range []int{100_000, 1_000_000} { // before and after something was passed on
			cmd.MaxOutput = bound
			got.Reset()
			if err := r.Stream(t.Context(), cmd, &got); !errors.Is(err, errTooMuch) {
				t.Errorf("%v", err)
			}
			if n := got.Len(); n < bound/2 || n > bound+maxAhead || !strings.HasPrefix(text, got.String()) {
				t.Errorf("%d bytes are handed on, of %d", n, bound)
			}
		}
	})
}
