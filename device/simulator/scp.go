package simulator

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// scp serves one transfer of the legacy protocol, as source (`scp -f PATH`). It
// returns the exit status.
func (r *Router) scp(l *vty, channel ssh.Channel, command string) uint32 {
	may := r.rights(l.user)
	r.mu.Lock()
	r.commands = append(r.commands, command)
	on := r.running.scp
	r.mu.Unlock()
	hit := r.faults.strike(command)
	flags, path := scpArguments(command)
	switch says := r.config.Knobs.SCPRefusal; {
	case says != "":
		_, _ = io.WriteString(channel, says)
		return 1
	case !on:
		_, _ = io.WriteString(channel, "Administratively disabled.\n")
		return 1
	case may.level < 15 || len(may.view) > 0 || r.config.Authorize != nil && !r.config.Authorize(command):
		_, _ = io.WriteString(channel, "\x01Privilege denied.\n")
		return 1
	case !strings.Contains(flags, "f") || strings.Contains(flags, "t"):
		_, _ = io.WriteString(channel, "\x01scp: this simulation sends files only\n")
		return 1
	}
	t := &transfer{router: r, line: l, channel: channel, in: bufio.NewReader(channel)}
	return t.serve(path, hit)
}

// scpArguments splits the request as IOS does: at blanks, with quotes as part of the path.
func scpArguments(command string) (flags, path string) {
	words := strings.Fields(command)[1:]
	for len(words) > 1 && strings.HasPrefix(words[0], "-") {
		flags += words[0][1:]
		words = words[1:]
	}
	return flags, strings.Join(words, " ")
}

type transfer struct {
	router  *Router
	line    *vty
	channel ssh.Channel
	in      *bufio.Reader
}

var errPeer = errors.New("the other side refused")

// ready waits for the receiver's zero byte.
func (t *transfer) ready() error {
	b, err := t.in.ReadByte()
	if err == nil && b != 0 {
		err = errPeer
	}
	return err
}

func (t *transfer) serve(path string, hit []Fault) uint32 {
	if done, status := t.strike(hit); done {
		return status
	}
	if t.ready() != nil {
		return 1
	}
	name, ok := t.router.scpName(path)
	t.router.mu.Lock()
	f, exists := t.router.flash[name]
	t.router.mu.Unlock()
	switch wrong := t.router.config.Knobs.SCPWrongPath; {
	case !ok && wrong != "":
		_, _ = io.WriteString(t.channel, "\x01"+wrong+"\n")
		return 1
	case !ok || !exists:
		_, _ = fmt.Fprintf(t.channel, "\x01%%Error opening %s (No such file or directory)\n", path)
		return 1
	}
	if t.send(name, f.data, hit) != nil {
		return 1
	}
	return 0
}

// scpName finds the file that a path means, if the router takes paths of this form.
func (r *Router) scpName(path string) (string, bool) {
	name, ok := fileName(path)
	lower := strings.ToLower(path)
	form := "bare"
	for _, fs := range []string{"bootflash:", "flash:"} {
		if strings.HasPrefix(lower, fs+"/") {
			form = "slash"
		} else if strings.HasPrefix(lower, fs) {
			form = "plain"
		}
	}
	want := r.config.Knobs.SCPPath
	return name, ok && (want == "" || want == form)
}

// strike lets the faults happen that come before a transfer begins.
func (t *transfer) strike(hit []Fault) (done bool, status uint32) {
	for _, f := range hit {
		switch f.Action {
		case DropFIN:
			t.line.conn.Close()
			return true, 1
		case DropRST:
			t.line.conn.reset()
			return true, 1
		case Silence, SCPNeverStarts, NeverAnswer:
			if f.Action == Silence {
				t.line.conn.mute()
			}
			t.hang()
			return true, 1
		case Delay:
			t.wait(f.Delay)
		case Restart:
			t.router.Reload()
			return true, 1
		case SCPError, ErrorText:
			_, _ = io.WriteString(t.channel, "\x01"+or(f.Text, "scp: internal error")+"\n")
			return true, 1
		}
	}
	return false, 0
}

// hang waits until the client or the router ends.
func (t *transfer) hang() {
	_, _ = io.Copy(io.Discard, t.in)
}

func (t *transfer) wait(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.router.quit:
	}
}

func (t *transfer) send(name string, data []byte, hit []Fault) error {
	has := func(a Action) bool { return slices.ContainsFunc(hit, func(f Fault) bool { return f.Action == a }) }
	size := int64(len(data))
	switch {
	case has(SCPEvilName):
		name = "../../../../tmp/evil"
		for _, f := range hit {
			name = or(f.Text, name)
		}
	case has(SCPShort):
		size += 100
	case has(SCPLong):
		size = max(size-100, 0)
	case has(SCPEndless):
		size = 1 << 62
	case has(SCPCorrupt) && len(data) > 0:
		data = slices.Clone(data)
		data[len(data)/2] ^= 0x55
	}
	if _, err := fmt.Fprintf(t.channel, "C0644 %d %s\n", size, name); err != nil {
		return err
	}
	if err := t.ready(); err != nil {
		return err
	}
	if has(SCPStops) || has(SCPStalls) || has(SCPTrickles) {
		if _, err := t.channel.Write(data[:len(data)/2]); err != nil {
			return err
		}
		if has(SCPTrickles) {
			return t.trickle(data[len(data)/2:])
		}
		if has(SCPStalls) {
			t.hang()
		}
		return errPeer
	}
	if err := t.body(data, has(SCPEndless)); err != nil || has(SCPNoEnd) || has(SCPShort) {
		return err
	}
	if _, err := t.channel.Write([]byte{0}); err != nil {
		return err
	}
	return t.ready()
}

// trickle sends a byte a second.
func (t *transfer) trickle(data []byte) error {
	for i := range data {
		t.wait(time.Second)
		if _, err := t.channel.Write(data[i : i+1]); err != nil {
			return err
		}
	}
	return nil
}

// body sends the bytes; of an endless file, for as long as they are taken.
func (t *transfer) body(data []byte, endless bool) error {
	for len(data) > 0 || endless {
		chunk := data[:min(len(data), 1<<18)]
		if len(data) == 0 {
			chunk = make([]byte, 1<<15)
		}
		if _, err := t.channel.Write(chunk); err != nil {
			return err
		}
		data = data[min(len(data), 1<<18):]
	}
	return nil
}
