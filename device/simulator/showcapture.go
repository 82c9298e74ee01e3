package simulator

import (
	"fmt"
	"strings"
)

// showCapture is `show monitor capture [NAME [parameter|buffer [brief|detailed|dump]]]`.
func (s *session) showCapture(c *call) {
	r := s.router
	r.mu.Lock()
	defer r.mu.Unlock()
	r.advance()
	if r.config.Knobs.NoEPC {
		s.put("Capture is not Supported\n\n")
		return
	}
	if len(c.words) == 3 {
		for _, p := range r.captures {
			s.put("%s", p.statusText())
		}
		return
	}
	p := r.capture(c.words[3])
	if p == nil {
		s.put("Capture %s does not exist\n", c.words[3])
		return
	}
	switch strings.Join(c.words[4:], " ") {
	case "":
		s.put("%s", p.statusText())
	case "parameter":
		s.put("%s", p.parameterText())
	case "buffer":
		s.put("%s", p.counterText(r))
	case "buffer brief":
		s.put("%s", p.listing(false, r.config.Knobs.BriefRows))
	case "buffer detailed":
		s.put("%s", p.listing(true, 0))
	case "buffer dump":
		for i, packet := range p.buffer.packets {
			s.put("%d\n%s\n", i, dumpText(packet.data))
		}
	}
}

func (c *capturePoint) statusText() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("\nStatus Information for Capture %s", c.name)
	line("  Target Type: ")
	if len(c.targets) == 0 {
		line("   Interface unattached ")
	}
	for _, t := range c.targets {
		if t.iface == controlPlane {
			line("   Interface: Control Plane, Direction : %s", t.direction)
			continue
		}
		line(" Interface: %s, Direction: %s", t.iface, strings.ToUpper(t.direction))
	}
	line("   Status : %s", map[bool]string{true: "Active", false: "Inactive"}[c.active])
	line("  Filter Details: ")
	c.filter.details(line)
	line("  Buffer Details: ")
	line("   Buffer Type: %s", map[bool]string{true: "CIRCULAR", false: "LINEAR (default)"}[c.circular])
	if c.bufferMB != 0 {
		line("   Buffer Size (in MB): %d", c.bufferMB)
	}
	line("  Limit Details: ")
	line("   Number of Packets to capture: %s", limitText(c.limits.packets, "no limit"))
	line("   Packet Capture duration: %s", limitText(c.limits.duration, "no limit"))
	line("   Packet Size to capture: %s", limitText(c.limits.packetLen, "no limit"))
	if len(c.targets) > 0 || c.limits.pps != 0 {
		line("   Maximum number of packets to capture per second: %d", or(c.limits.pps, defaultPPS))
	}
	line("   Packet sampling rate: %s", limitText(c.limits.every, "no sampling"))
	return b.String()
}

func limitText(n int, none string) string {
	if n == 0 {
		return "0 (" + none + ")"
	}
	return fmt.Sprint(n)
}

func (f filter) details(line func(string, ...any)) {
	switch {
	case f.list != "":
		line("   Access-list: %s", f.list)
	case f.any:
		line("    Capture all packets")
	case f.text != "":
		words := strings.Fields(f.text)
		protocol, ends := "any", words[1:]
		if ends[0] == "protocol" {
			protocol, ends = ends[1], ends[2:]
		}
		src, sport, ends := operandText(ends)
		dst, dport, _ := operandText(ends)
		line("   %s ", map[string]string{"ipv4": "IPv4", "ipv6": "IPv6"}[words[0]])
		line("    Source IP:  %s", src)
		line("    Destination IP:  %s", dst)
		line("   Protocol: %s", protocol)
		if sport != "" {
			line("   Source port(s): = %s", sport)
		}
		if dport != "" {
			line("   Destination port(s): = %s", dport)
		}
	}
}

// operandText is one end of an inline filter as the status shows it, its port, and
// the words after it.
func operandText(words []string) (text, port string, rest []string) {
	n := 1
	if words[0] == "host" || strings.Count(words[0], ".") == 3 && !strings.Contains(words[0], "/") {
		n = 2
	}
	text, rest = strings.Join(words[:n], " "), words[n:]
	if len(rest) > 1 && rest[0] == "eq" {
		port, rest = rest[1], rest[2:]
	}
	return text, port, rest
}

func (c *capturePoint) parameterText() string {
	var b strings.Builder
	line := func(format string, args ...any) {
		fmt.Fprintf(&b, "   monitor capture %s "+format+"\n", append([]any{c.name}, args...)...)
	}
	for _, t := range c.targets {
		if t.iface == controlPlane {
			line("control-plane %s", strings.ToUpper(t.direction))
			continue
		}
		line("interface %s %s", t.iface, strings.ToUpper(t.direction))
	}
	switch {
	case c.filter.list != "":
		line("access-list %s", c.filter.list)
	case c.filter.text != "":
		line("match %s", c.filter.text)
	}
	switch {
	case c.bufferMB != 0 && c.circular:
		line("buffer circular size %d", c.bufferMB)
	case c.bufferMB != 0:
		line("buffer size %d", c.bufferMB)
	}
	for _, name := range []string{"packets", "duration", "packet-len", "every"} {
		if v, _ := c.limits.field(name); *v != 0 {
			line("limit %s %d", name, *v)
		}
	}
	if len(c.targets) > 0 || c.limits.pps != 0 {
		line("limit pps %d", or(c.limits.pps, defaultPPS))
	}
	return b.String()
}

// counterText is what a poll reads. Memory is counted in steps of 128 KB.
func (c *capturePoint) counterText(r *Router) string {
	used := (c.buffer.bytes + 128<<10 - 1) / (128 << 10) * 128
	size := or(c.bufferMB, defaultBufferMB) * 1024
	if c.buffer.full {
		used = size
	}
	end := c.stopped
	if c.active {
		end = r.config.Now()
	}
	rate := 0
	if seconds := int(end.Sub(c.started).Seconds()); seconds > 0 && !c.started.IsZero() {
		rate = (len(c.buffer.packets) + seconds - 1) / seconds
	}
	return fmt.Sprintf(" buffer size (KB) : %d\n buffer used (KB) : %d\n packets in buf   : %d\n packets dropped  : "+
		"%d\n packets per sec  : %d\n\n", size, min(used, size), len(c.buffer.packets), c.buffer.dropped, rate)
}

const listingHead = ` ----------------------------------------------------------------------------
 #   size   timestamp     source             destination      dscp    protocol
 ----------------------------------------------------------------------------
`

// listing is a line a packet, with its bytes below if wanted, and more lines of IPv6 packets.
func (c *capturePoint) listing(detailed bool, more int) string {
	var b strings.Builder
	b.WriteString(listingHead)
	for i, p := range c.buffer.packets {
		since := p.stamp.Sub(c.buffer.packets[0].stamp)
		f, ok := parseFrame(p.data)
		src, dst := "-", "-"
		if ok {
			src, dst = showAddress(f.src), showAddress(f.dst)
		}
		fmt.Fprintf(&b, "%4d %4d%5d.%06d   %-16s ->  %-16s %-2d %-4s %s\n", i, p.length, int(since.Seconds()),
			since.Microseconds()%1e6, src, dst, f.dscp, dscpName(f.dscp), protocolName(f, ok))
		if detailed {
			b.WriteString(dumpText(p.data) + "\n")
		}
	}
	for i := range more {
		fmt.Fprintf(&b, "%4d %4d%5d.%06d   %-16s ->  %-16s %-2d %-4s %s\n", len(c.buffer.packets)+i, 1294, i/1000,
			i%1000*1000, "2001:DB8:FFFF:1:5054:FF:FE00:1", "2001:DB8:FFFF:2:5054:FF:FE00:2", 48, "CS6", "UDP")
	}
	b.WriteString("\n")
	return b.String()
}

func dscpName(dscp byte) string {
	switch class, drop := dscp>>3, dscp>>1&3; {
	case dscp == 0:
		return "BE"
	case dscp == 46:
		return "EF"
	case dscp&7 == 0:
		return fmt.Sprintf("CS%d", class)
	case dscp&1 == 0 && class >= 1 && class <= 4:
		return fmt.Sprintf("AF%d%d", class, drop)
	}
	return "-"
}

func protocolName(f frame, ok bool) string {
	if !ok {
		return "-"
	}
	switch f.protocol {
	case 1:
		return "ICMP"
	case 6:
		return "TCP"
	case 17:
		return "UDP"
	case 47:
		return "GRE"
	case 50:
		return "ESP"
	case 51:
		return "AHP"
	case 58:
		return "ICMPV6"
	case 89:
		return "OSPF"
	}
	return fmt.Sprint(f.protocol)
}

// dumpText is a packet in hexadecimal, 16 bytes a line. Buffers hold tens of megabytes, so it takes
// no detour by fmt.
func dumpText(data []byte) string {
	const row, line, digits = 16, 64, "0123456789ABCDEF"
	b := make([]byte, 0, (len(data)/row+1)*line)
	for offset := 0; offset < len(data); offset += row {
		b = append(b, "  "...)
		for shift := 12; shift >= 0; shift -= 4 {
			b = append(b, digits[offset>>shift&15])
		}
		b = append(b, ":  "...)
		from := len(b)
		for i, c := range data[offset:min(offset+row, len(data))] {
			if i > 0 && i%4 == 0 {
				b = append(b, ' ')
			}
			b = append(b, digits[c>>4], digits[c&15])
		}
		const columns = 35 // of four groups of four bytes
		for len(b)-from < columns {
			b = append(b, ' ')
		}
		b = append(b, "   "...)
		for _, c := range data[offset:min(offset+row, len(data))] {
			if c < ' ' || c >= 0x7f {
				c = '.'
			}
			b = append(b, c)
		}
		b = append(b, '\n')
	}
	return string(b)
}
