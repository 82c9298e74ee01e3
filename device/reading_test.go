package device

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/moncap/moncap/device/iosxe"
)

// read feeds chunks to a reading, as a router that waits for no reply.
func read(w want, chunks ...string) (*reading, []string) {
	w.timeout = time.Hour
	rd := newReading(w, iosxe.Prompt("site-A"), true)
	var replies []string
	for _, c := range chunks {
		if rd.done || rd.newName != "" {
			break
		}
		rd.take([]byte(c))
		if reply, _ := rd.look(); reply != nil {
			replies = append(replies, string(reply))
		}
	}
	return rd, replies
}

func TestReading(t *testing.T) {
	yes := []iosxe.Answer{iosxe.Confirm()}
	tests := []struct {
		name   string
		want   want
		chunks []string
		done   bool
		body   string
		reply  []string
		asked  string
	}{
		{name: "plain", want: want{line: "show clock"}, chunks: []string{"show clock\n12:00\nsite-A#"}, done: true,
			body: "12:00\n"},
		{name: "byte by byte", want: want{line: "show clock"}, chunks: strings.Split("show clock\n12:00\nsite-A#", ""),
			done: true, body: "12:00\n"},
		{name: "blank behind the prompt", want: want{line: "x"}, chunks: []string{"x\nsite-A# "}, done: true},
		{name: "an old prompt first", want: want{line: "show clock"},
			chunks: []string{"\n*Nov 23 2026 10:00:00.000 UTC: %SYS-5-CONFIG_I: Configured\nsite-A#",
				"show clock\n12:00\nsite-A#"}, done: true, body: "12:00\n"},
		{name: "another router's prompt in the output", want: want{line: "show log"},
			chunks: []string{"show log\nsite-B#\n", "end\nsite-A#"}, done: true, body: "site-B#\nend\n"},
		{name: "a prompt within a line", want: want{line: "x"}, chunks: []string{"x\nnot a site-A#"}},
		{name: "configuration mode", want: want{line: "conf t"}, chunks: []string{"conf t\nEnter\nsite-A(config)#"},
			done: true, body: "Enter\n"},
		{name: "syslog behind the prompt", want: want{line: "x"},
			chunks: []string{"x\nout\nsite-A#\n*Nov 23 2026 10:00:00.000 UTC: %SYS-5-CONFIG_I: Configured\n"}, done: true,
			body: "out\n"},
		{name: "an expected dialog", want: want{line: "clear", answers: yes},
			chunks: []string{"clear\nSure? [confirm]", "\nsite-A#"}, done: true,
			body: "Sure? [confirm]\n", reply: []string{"\n"}},
		{name: "one dialog is answered once", want: want{line: "clear", answers: yes},
			chunks: []string{"clear\nSure? [confirm]", "\n", "\n"}, reply: []string{"\n"}},
		{name: "an unexpected dialog", want: want{line: "clear"}, chunks: []string{"clear\nSure? [confirm]"},
			asked: "Sure? [confirm]"},
		{name: "a password is asked for", want: want{line: "clear"}, chunks: []string{"clear\nPassword: "},
			asked: "Password: "},
		{name: "what looked like a dialog", want: want{line: "clear"},
			chunks: []string{"clear\n[no]?", " is an option\nsite-A#"}, done: true, body: "[no]? is an option\n"},
		{name: "the pager", want: want{line: "x"}, chunks: []string{"x\na\n --More-- ", "b\nsite-A#"}, done: true,
			reply: []string{" "}, body: "a\n --More-- b\n"},
		{name: "bulk", want: want{line: "x", twice: true}, chunks: []string{"x\n0000: 41\nsite-A#", "\nsite-A#"}, done: true,
			reply: []string{"\n"}, body: "0000: 41\n"},
		{name: "bulk with a prompt in it", want: want{line: "x", twice: true},
			chunks: []string{"x\na\nsite-A#", "\nb\nsite-A#", "\nsite-A#"}, done: true,
			reply: []string{"\n"}, body: "a\nsite-A#\nb\n"},
		{name: "bulk, the echo of the empty line comes alone", want: want{line: "x", twice: true},
			chunks: []string{"x\na\nsite-A#", "\n", "site-A#"}, done: true,
			reply: []string{"\n"}, body: "a\n"},
		{name: "bulk, a message at the prompt", want: want{line: "x", twice: true},
			chunks: []string{"x\na\nsite-A#", "\n%SYS-5-CONFIG_I: Configured\n", "\n", "site-A#"}, done: true,
			reply: []string{"\n"}, body: "a\n"},
		{name: "an echo torn by messages", want: want{line: "show clock"},
			chunks: []string{"sho\n%SYS-5-CONFIG_I: Configured\nw cl\n%SYS-5-CONFIG_I: Configured\nock\n12:00\nsite-A#"},
			done:   true, body: "12:00\n"},
		{name: "an echo torn, and drawn again", want: want{line: "show clock"},
			chunks: []string{"sho\n%SYS-5-CONFIG_I: Configured\nsite-A#show c", "lock\n12:00\nsite-A#"}, done: true,
			body: "12:00\n"},
		{name: "a whole echo, drawn again", want: want{line: "x"},
			chunks: []string{"x\n%SYS-5-CONFIG_I: Configured\nsite-A#x\n12:00\nsite-A#"}, done: true, body: "12:00\n"},
		{name: "a word of the line in a message", want: want{line: "end"},
			chunks: []string{"\nthe end of it\nsite-A(config)#end\nsite-A#"}, done: true},
		{name: "no echo", want: want{line: "show clock"}, chunks: []string{"sho%$&ock\n12:00\nsite-A#"},
			body: "sho%$&ock\n12:00\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rd, replies := read(tt.want, tt.chunks...)
			if rd.done != tt.done || rd.asked != tt.asked || strings.Join(replies, "|") != strings.Join(tt.reply, "|") {
				t.Errorf("done %v, asked %q, replies %q", rd.done, rd.asked, replies)
			}
			if got := rd.answer(rd.prompt).body; tt.body != "" && got != tt.body {
				t.Errorf("body %q, want %q", got, tt.body)
			}
		})
	}
}

func TestReadingHearsOfAnotherName(t *testing.T) {
	rd, _ := read(want{line: "x"}, "x\nout\nsite-Z#")
	if rd.strange != "site-Z" || rd.done {
		t.Fatalf("strange %q", rd.strange)
	}
	rd.probe, rd.probed = rd.out.Len(), rd.strange
	rd.take([]byte("\n"))
	if rd.look(); rd.strange != "" || rd.newName != "" {
		t.Errorf("at the echo of the empty line: strange %q, new name %q", rd.strange, rd.newName)
	}
	rd.take([]byte("site-Z#"))
	if rd.look(); rd.newName != "site-Z" {
		t.Errorf("new name %q", rd.newName)
	}
	if got := rd.answer(iosxe.Prompt("site-Z")).body; got != "out\n" {
		t.Errorf("body %q", got)
	}
}

// However the bytes are cut, and whatever they are: no panic, nothing invented, and a
// proper end is found.
func FuzzReading(f *testing.F) {
	f.Add("show clock\n12:00\n", 3, false)
	f.Add("%SYS-5-CONFIG_I: x\nsite-A#\nshow clock\n[confirm]\x00\xff--More--", 7, true)
	f.Add("site-B#site-A(config)#\nPassword: ", 1, true)
	f.Fuzz(func(t *testing.T, output string, cut int, twice bool) {
		cut = max(1, cut%4096, len(output)/64) // every piece is looked at with all of the tail before it
		if len(output) > 1<<12 || strings.ContainsAny(output, "\r") {
			t.Skip("too large, or what scrapligo never hands on")
		}
		w := want{line: "show clock", twice: twice, answers: []iosxe.Answer{iosxe.Confirm()}}
		var chunks []string
		all := "show clock\n" + output
		for rest := all; rest != ""; rest = rest[min(cut, len(rest)):] {
			chunks = append(chunks, rest[:min(cut, len(rest))])
		}
		rd, _ := read(w, chunks...)
		if rd.out.Len() > len(all) || !strings.HasPrefix(all, rd.out.String()) {
			t.Fatalf("read %q of %q", rd.out.String(), all)
		}
		if a := rd.answer(rd.prompt); !strings.Contains(a.raw, a.body) {
			t.Fatalf("body %q of %q", a.body, a.raw)
		}
		for i := 0; !rd.done && rd.newName == ""; i++ {
			if i == 3 {
				t.Fatalf("no end at the third prompt behind %q", all)
			}
			rd.take([]byte("\nsite-A#"))
			rd.look()
		}
	})
}

// script is a scripted sender; what is written to it is counted.
type script struct {
	io.Reader
	acks bytes.Buffer
}

func (s *script) Write(p []byte) (int, error) { return s.acks.Write(p) }

func TestReceive(t *testing.T) {
	tests := []struct {
		name, stream string
		body         string
		want         error
		refusal      string
	}{
		{name: "a file", stream: "C0644 5 x.pcap\nhello\x00", body: "hello"},
		{name: "times before", stream: "T1 0 1 0\nC0644 5 x.pcap\nhello\x00", body: "hello"},
		{name: "an empty file", stream: "C0644 0 x.pcap\n\x00"},
		{name: "closed instead of the last byte", stream: "C0644 5 x.pcap\nhello", body: "hello"},
		{name: "an evil name", stream: "C0644 5 ../../etc/\x1b[2Jpasswd\nhello\x00", body: "hello"},
		{name: "an error", stream: "\x01scp: no such file\n", refusal: "scp: no such file"},
		{name: "a fatal error", stream: "\x02gone\n", refusal: "gone"},
		{name: "plain text", stream: "Privilege denied.\n", refusal: "Privilege denied."},
		{name: "terminal escapes", stream: "\x01\x1b[2Jhidden\n", refusal: "[2Jhidden"},
		{name: "text as IOS prints it", stream: "\r\n% Authorization failed.\r\n\r\n", refusal: "% Authorization failed."},
		{name: "text that begins like a record", stream: "Command authorization failed.\r\n",
			refusal: "Command authorization failed."},
		{name: "an error that begins with an empty line", stream: "\x01\r\nPrivilege denied.\r\n",
			refusal: "Privilege denied."},
		{name: "an error behind an empty line", stream: "\r\n\x01%Error opening x (No such file or directory)\n",
			refusal: "%Error opening x (No such file or directory)"},
		{name: "what matters comes last", stream: "\nWelcome\nto R1\nand more\nAdministratively disabled.\n",
			refusal: "Administratively disabled."},
		{name: "empty lines for ever", stream: strings.Repeat("\r\n", 1000), want: errNothing},
		{name: "nothing", want: errNothing},
		{name: "half a file", stream: "C0644 9 x.pcap\nhello", body: "hello", want: errShort},
		{name: "more than was said", stream: "C0644 4 x.pcap\nhello\x00", body: "hell", want: errSCP},
		{name: "more than was said, with a zero", stream: "C0644 4 x.pcap\nhell\x00o\x00", body: "hell", want: errSCP},
		{name: "an error behind the file", stream: "C0644 5 x.pcap\nhello\x01read error\n", body: "hello", want: errSCP},
		{name: "no size", stream: "C0644 x.pcap\n", want: errProtocol},
		{name: "a negative size", stream: "C0644 -1 x.pcap\n", want: errProtocol},
		{name: "a size beyond numbers", stream: "C0644 99999999999999999999 x\n", want: errProtocol},
		{name: "an endless file", stream: "C0644 4611686018427387904 x\n", want: errSCP},
		{name: "times for ever", stream: strings.Repeat("T1 0 1 0\n", 1000), want: errProtocol},
		{name: "a directory", stream: "D0755 0 dir\n", refusal: "D0755 0 dir"},
		{name: "a line without end", stream: "\x01" + strings.Repeat("x", 1<<20), refusal: strings.Repeat("x", 300)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got bytes.Buffer
			s := &script{Reader: strings.NewReader(tt.stream)}
			n, err := newSource("x.pcap", s, s).receive(&got)
			if got.String() != tt.body || n != int64(got.Len()) {
				t.Errorf("%d bytes, %q", n, got.String())
			}
			refusal, _ := errors.AsType[*scpRefusal](err)
			switch {
			case tt.refusal != "":
				if refusal == nil || refusal.Text != tt.refusal {
					t.Errorf("error %v", err)
				}
			case !errors.Is(err, tt.want) || refusal != nil:
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
}

// Whatever comes: no panic, no more bytes than were announced, and no success
// with other than those.
func FuzzReceive(f *testing.F) {
	f.Add([]byte("C0644 5 x.pcap\nhello\x00"))
	f.Add([]byte("T1 0 1 0\nC0644 5 x\nhell"))
	f.Add([]byte("\x01no\n"))
	f.Add([]byte("C0644 4611686018427387904 x\n\x00"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		var got bytes.Buffer
		var announced int64
		s := &script{Reader: bytes.NewReader(stream)}
		from := newSource("x.pcap", s, s)
		from.progress = func(_, total int64) { announced = total }
		n, err := from.receive(&got)
		if n != int64(got.Len()) || n > announced || err == nil && n != announced {
			t.Fatalf("%d bytes of %d, %d written, %v", n, announced, got.Len(), err)
		}
		if !bytes.Contains(stream, got.Bytes()) {
			t.Fatal("other bytes than were sent")
		}
		if err != nil && iosxe.Printable(err.Error()) != err.Error() {
			t.Fatalf("the error is not fit to be shown: %q", err)
		}
	})
}
