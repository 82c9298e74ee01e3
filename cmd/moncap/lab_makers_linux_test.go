package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// maker is what the lab knows of the daemons of one make.
type maker interface {
	needs() []string      // programs, by their places
	kernel() []kernelPart // what it wants of the kernel
	release() string      // name and version
	// start has the daemon of a side run and know its connection. It begins nothing.
	start(ctx context.Context, b *bed, x string, g gateway)
	// initiate has a side begin. It may return before anything is decided.
	initiate(ctx context.Context, b *bed, x string)
	// terminate has a side end the tunnel and tell its peer.
	terminate(ctx context.Context, b *bed, x string)
}

var makers = map[string]maker{"": strongSwan{}, "libreswan": libreswan{}, "openiked": openiked{}}

// lacking says why a make cannot be had on this machine, or nothing.
func lacking(m maker) string {
	for _, path := range m.needs() {
		if _, there := unpacked(path); !there {
			return path + " is not installed"
		}
	}
	for _, part := range m.kernel() {
		if _, err := exec.LookPath("cc"); !part.there() && err != nil {
			return "this kernel has no " + part.name + ", and there is no C compiler for what answers instead of it"
		}
	}
	return ""
}

// releases are the makes that this machine has, and what of the kernel is answered for.
func releases() string {
	var all []string
	for _, m := range makers {
		if lacking(m) != "" {
			continue
		}
		said := m.release()
		for _, part := range m.kernel() {
			if !part.there() {
				said += " (no " + part.name + " in this kernel: IKE alone)"
				break
			}
		}
		all = append(all, said)
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// daemonProgram is a program that is installed, or one of packages that are unpacked (dpkg -x) in
// the folder MONCAP_LAB_ROOT: Debian installs no two makes side by side. Their usr is laid
// over /usr for those that run it.
type daemonProgram struct {
	path  string
	above []string // folders that are laid over others: FOLDER:OTHER
}

// unpacked returns a program, and whether there is one.
func unpacked(path string) (daemonProgram, bool) {
	if _, err := os.Stat(path); err == nil {
		return daemonProgram{path: path}, true
	}
	root := os.Getenv("MONCAP_LAB_ROOT")
	if _, err := os.Stat(filepath.Join(root, path)); root != "" && err == nil {
		return daemonProgram{path: path, above: []string{filepath.Join(root, "usr") + ":/usr"}}, true
	}
	return daemonProgram{path: path}, false
}

// over lays a folder over another for this program.
func (p daemonProgram) over(folder, other string) daemonProgram {
	p.above = append(slices.Clone(p.above), folder+":"+other)
	return p
}

// layers mounts what is to be laid over something, up to a lone "-", and becomes the program behind
// it. It runs in a mount namespace of its own.
const layers = `while [ "$1" != - ]; do mount -t overlay overlay -o "lowerdir=$1" "${1##*:}" || exit; shift; done
shift; exec "$@"`

// command is the program with arguments, to be run where mounting is private.
func (p daemonProgram) command(ctx context.Context, args ...string) *exec.Cmd {
	if len(p.above) == 0 {
		return exec.CommandContext(ctx, p.path, args...)
	}
	all := append([]string{"-c", layers, "sh"}, p.above...)
	return exec.CommandContext(ctx, "/bin/sh", append(append(all, "-", p.path), args...)...)
}

// try runs the program in a namespace, and returns what it says and whether it was content.
func (p daemonProgram) try(ctx context.Context, b *bed, x string, args ...string) (string, bool) {
	c := p.command(ctx, args...)
	b.enter(x, c)
	out, err := c.CombinedOutput()
	return string(out), err == nil
}

// says is what the program answers to arguments that ask for no network.
func (p daemonProgram) says(args ...string) string {
	c := p.command(context.Background(), args...)
	out, _ := exec.Command("unshare", append([]string{"--mount"}, c.Args...)...).CombinedOutput()
	return strings.TrimSpace(string(out))
}

// programAt is a program that there has to be.
func programAt(path string) daemonProgram {
	p, _ := unpacked(path)
	return p
}

// kernelPart is something that a kernel may be built without.
type kernelPart struct {
	name  string
	there func() bool
}

var (
	kernelESP   = kernelPart{"ESP", sync.OnceValue(hasESP)}
	kernelPFKEY = kernelPart{"PF_KEY", sync.OnceValue(hasPFKEY)}
)

// hasESP adds a security association in a namespace of its own.
func hasESP() bool {
	probe := bedName(0, "esp")
	if exec.Command("ip", "netns", "add", probe).Run() != nil {
		return false
	}
	defer removeNamespace(probe)
	return exec.Command("ip", "-n", probe, "xfrm", "state", "add", "src", "192.0.2.1", "dst", "192.0.2.2",
		"proto", "esp", "spi", "0x1001", "mode", "tunnel", "enc", "cbc(aes)", "0x"+strings.Repeat("5a", 16),
		"auth", "hmac(sha256)", "0x"+strings.Repeat("a5", 32)).Run() == nil
}

func hasPFKEY() bool {
	const version2 = 2 // PF_KEY_V2 of RFC 2367
	fd, err := unix.Socket(unix.AF_KEY, unix.SOCK_RAW|unix.SOCK_CLOEXEC, version2)
	if err == nil {
		_ = unix.Close(fd)
	}
	return err == nil
}

// answered has a daemon get answers for the parts that this kernel does not
// have: testdata/lab/noesp.c.
func (b *bed) answered(ctx context.Context, c *exec.Cmd, parts ...kernelPart) {
	b.t.Helper()
	if !slices.ContainsFunc(parts, func(p kernelPart) bool { return !p.there() }) {
		return
	}
	library := filepath.Join(b.dir, "noesp.so")
	if _, err := os.Stat(library); err != nil {
		b.must(ctx, "cc", "-O1", "-shared", "-fPIC", "-o", library, filepath.Join("testdata", "lab", "noesp.c"))
	}
	c.Env = append(os.Environ(), "LD_PRELOAD="+library)
}

// readyWhen waits for a daemon that does not say when it is ready.
func (b *bed) readyWhen(ctx context.Context, x string, asked func() (string, bool)) {
	b.t.Helper()
	said := ""
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end) && ctx.Err() == nil; {
		var ok bool
		if said, ok = asked(); ok {
			return
		}
		select {
		case <-b.daemons[x].done:
			b.fail("the daemon of side %s ends: %s\n%s", x, said, b.log(x))
		case <-time.After(100 * time.Millisecond):
		}
	}
	b.fail("the daemon of side %s does not start: %s\n%s", x, said, b.log(x))
}

// log is the end of what the daemon of a side wrote.
func (b *bed) log(x string) string {
	text, err := os.ReadFile(filepath.Join(b.dir, x, "log"))
	if err != nil {
		return fmt.Sprint("there is no log: ", err)
	}
	lines := strings.Split(string(text), "\n")
	return strings.Join(lines[max(len(lines)-20, 0):], "\n")
}

// folder makes a folder of a side.
func (b *bed) folder(x string, below ...string) string {
	b.t.Helper()
	dir := filepath.Join(append([]string{b.dir, x}, below...)...)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		b.fail("%v", err)
	}
	return dir
}
