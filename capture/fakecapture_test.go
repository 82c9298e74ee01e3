package capture

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/moncap/moncap/capture/bundle"
)

func (f *fakeRouter) monitor(kind string, w []string) string {
	name := w[2]
	if kind == "define-capture" {
		f.captures[name] = &fakeCapture{filter: "Access-list: " + w[4], iface: w[len(w)-2], mb: 10}
		if w[len(w)-2] == "control-plane" {
			f.captures[name].iface, f.captures[name].mb = "Control Plane", 1
		} else if w[3] != "access-list" {
			f.captures[name] = &fakeCapture{filter: strings.Join(w[9:], " "), iface: w[7], mb: 10}
		}
		return ""
	}
	if kind == "remove-capture" {
		name = w[3]
	}
	c := f.captures[name]
	if c == nil {
		return "Capture does not exist\n"
	}
	f.tick(c)
	switch kind {
	case "limit-capture":
		fmt.Sscanf(strings.Join(w[3:], " "), "limit duration %d packets %d", &c.sec, &c.packets)
	case "start-capture":
		c.active, c.started = true, true
		c.until = time.Now().Add(time.Duration(c.sec) * time.Second)
		return "Started capture point : " + name + "\n"
	case "stop-capture":
		if !c.active {
			return "Capture " + name + " is not active\n\nUnable to deactivate Capture.\n"
		}
		c.active = false
		return "Stopped capture point : " + name + "\n"
	case "remove-capture":
		if c.active {
			return "Capture " + name + " is active\n"
		}
		delete(f.captures, name)
	case "export-capture":
		data := f.pcap()
		if f.wrote != nil {
			data = f.wrote(data)
		}
		f.files[strings.TrimPrefix(w[4], "bootflash:")] = data
		return "Exported Successfully\n"
	}
	return ""
}

func (f *fakeRouter) tick(c *fakeCapture) {
	if c.active && !time.Now().Before(c.until) {
		c.active = false
	}
}

func (f *fakeRouter) pcap() []byte {
	var b strings.Builder
	var packets []bundle.Packet
	for i, frame := range f.frames {
		packets = append(packets, bundle.Packet{Time: time.Unix(int64(1000+i), 0), Data: frame})
	}
	_ = bundle.WritePCAP(&b, packets)
	return []byte(b.String())
}

func (f *fakeRouter) showCapture(kind string, w []string) string {
	if kind == "show-captures" {
		var b strings.Builder
		for _, n := range slices.Sorted(maps.Keys(f.captures)) {
			b.WriteString(f.status(n))
		}
		return b.String()
	}
	name := w[3]
	c := f.captures[name]
	if c == nil {
		return "Capture does not exist\n"
	}
	f.tick(c)
	frames := f.frames
	if !c.started {
		frames = nil
	}
	switch kind {
	case "show-capture":
		return f.status(name)
	case "show-capture-buffer":
		return fmt.Sprintf(" buffer size (KB) : 10240\n buffer used (KB) : 128\n packets in buf   : %d\n packets dropped  "+
			": 0\n packets per sec  : 1\n", len(frames))
	case "show-capture-brief":
		return f.brief(frames)
	}
	return dumpText(frames)
}

func (f *fakeRouter) status(name string) string {
	c := f.captures[name]
	f.tick(c)
	status := "Inactive"
	if c.active {
		status = "Active"
	}
	return fmt.Sprintf(`
Status Information for Capture %s
  Target Type: 
 Interface: %s, Direction: BOTH
   Status : %s
  Filter Details: 
   %s
  Buffer Details: 
   Buffer Type: LINEAR (default)
   Buffer Size (in MB): %d
  Limit Details: 
   Number of Packets to capture: %d
   Packet Capture duration: %d
   Packet Size to capture: 0 (no limit)
`, name, c.iface, status, c.filter, c.mb, c.packets, c.sec)
}

func (f *fakeRouter) brief(frames [][]byte) string {
	var b strings.Builder
	for i, p := range frames {
		fmt.Fprintf(&b, "   %d %4d %4d.%06d   192.168.1.1      ->  192.168.2.1       48 CS6  UDP\n", i, len(p), i, 250000)
	}
	return b.String()
}

func dumpText(frames [][]byte) string {
	var b strings.Builder
	for i, p := range frames {
		fmt.Fprintf(&b, "%d\n", i)
		for at := 0; at < len(p); at += 16 {
			row := p[at:min(at+16, len(p))]
			var groups []string
			for g := range slices.Chunk(row, 4) {
				groups = append(groups, strings.ToUpper(hex.EncodeToString(g)))
			}
			fmt.Fprintf(&b, "  %04X:  %-35s   %s\n", at, strings.Join(groups, " "),
				strings.Map(func(r rune) rune { return 'R' }, string(row)))
		}
		b.WriteString("\n")
	}
	return b.String()
}

func (f *fakeRouter) showACL(name string) string {
	entries, ok := f.acls[name]
	if !ok {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Extended IP access list %s\n", name)
	for i, e := range entries {
		fmt.Fprintf(&b, "    %d %s\n", 10*(i+1), e)
	}
	return b.String()
}

func (f *fakeRouter) flash(kind, name string) string {
	data, ok := f.files[name]
	switch {
	case kind == "dir":
		var b strings.Builder
		b.WriteString("Directory of bootflash:/\n\n")
		for _, n := range slices.Sorted(maps.Keys(f.files)) {
			fmt.Fprintf(&b, "   11  -rw-  %d  Nov 25 2016 19:32:53 +00:00  %s\n", len(f.files[n]), n)
		}
		fmt.Fprintf(&b, "\n1940303872 bytes total (%d bytes free)\n", f.free)
		return b.String()
	case !ok && kind == "delete-file":
		return "%Error deleting bootflash:" + name + " (No such file or directory)\n"
	case !ok:
		return "%Error opening bootflash:/" + name + " (No such file or directory)\n"
	case kind == "delete-file":
		delete(f.files, name)
	case kind == "dir-file":
		return fmt.Sprintf("Directory of bootflash:/%s\n\n   12  -rw-  %d  Nov 25 2016 19:32:53 +00:00  %s\n\n1940303872 "+
			"bytes total (%d bytes free)\n", name, len(data), name, f.free)
	case kind == "verify-md5":
		sum := md5.Sum(data)
		return fmt.Sprintf("....Done!\nverify /md5 (bootflash:%s) = %x\n", name, sum)
	}
	return ""
}
