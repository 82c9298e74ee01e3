package simulator

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// addShows adds the show commands, and those that the configuration has an output for.
func addShows(exec *node, shows map[string]string) {
	show := func(syntax, help string, level int, f func(*session, *call)) {
		exec.add("show "+syntax, help, level, func(s *session, c *call) {
			if text, ok := s.router.config.Show[c.String()]; ok {
				s.put("%s\n", strings.TrimSuffix(text, "\n"))
				return
			}
			f(s, c)
		})
	}
	for _, tail := range []string{"", " WORD", " WORD parameter", " WORD buffer", " WORD buffer brief",
		" WORD buffer detailed", " WORD buffer dump"} {
		show("monitor capture"+tail, "Packet Capture information", 1, (*session).showCapture)
	}
	show("version", "System hardware and software status", 1, (*session).showVersion)
	show("sdwan version", "Show SDWAN version", 1, (*session).showSDWAN)
	show("redundancy", "Redundancy Facility (RF) information", 1, (*session).showRedundancy)
	show("clock", "Display the system clock", 1, (*session).showClock)
	show("clock detail", "Display detailed information", 1, (*session).showClock)
	show("ntp status", "Network time protocol", 1, (*session).showNTP)
	show("ntp associations", "Network time protocol", 1, (*session).showNTPPeers)
	show("privilege", "Show current privilege level", 1, func(s *session, _ *call) {
		if len(s.commands) > 0 {
			s.put("Currently in View Context with view 'MONCAP'\n")
		}
		s.put("Current privilege level is %d\n", s.privilege)
	})
	show("ip interface brief", "IP interface status and configuration", 1, (*session).showInterfaces)
	show("ipv6 interface brief", "IPv6 interface status and configuration", 1, (*session).showInterfaces6)
	show("access-lists", "List access lists", privileged, (*session).showLists)
	show("access-lists WORD", "List access lists", privileged, (*session).showLists)
	show("ip access-lists", "List IP access lists", privileged, (*session).showLists)
	show("ip access-lists WORD", "List IP access lists", privileged, (*session).showLists)
	show("ipv6 access-list", "Summary of access lists", privileged, (*session).showLists)
	show("ipv6 access-list WORD", "Summary of access lists", privileged, (*session).showLists)
	show("running-config", "Current operating configuration", privileged, (*session).showRunning)
	show("startup-config", "Contents of startup configuration", privileged, (*session).showStartup)
	show("processes cpu", "Show CPU use per process", 1, (*session).showCPU)
	show("memory statistics", "Memory statistics", 1, (*session).showMemory)
	show("users", "Display information about terminal lines", 1, (*session).showUsers)
	show("line", "TTY line information", 1, (*session).showLine)
	show("logging", "Show the contents of logging buffers", privileged, (*session).showLogging)
	show("debugging", "State of each debugging option", privileged, (*session).showDebugging)
	show("ip ssh", "Information on SSH", 1, (*session).showSSH)
	addCryptoShows(exec, show)
	addDropShows(show)
	addIKECounters(exec, show)
	for full := range shows {
		if rest, ok := strings.CutPrefix(full, "show "); ok {
			show(rest, "Configured output", 1, func(*session, *call) {})
		}
	}
}

func (s *session) showVersion(*call) {
	r := s.router
	r.mu.Lock()
	defer r.mu.Unlock()
	v := r.config.Version
	parts := strings.Split(v, ".")
	train, model, built := "Gibraltar", "CSR1000V", "Sun 05-Sep-21 00:37"
	if r.config.series17() {
		train, model, built = "Cupertino", "C8000V", "Thu 14-Mar-24 06:05"
	}
	image := strings.ToLower(model)
	now := r.config.Now()
	s.put("Cisco IOS XE Software, Version %s.%02s.%s\n", parts[0], parts[1], twoDigits(parts[2]))
	s.put("Cisco IOS Software [%s], Virtual XE Software (X86_64_LINUX_IOSD-UNIVERSALK9-M), Version %s, RELEASE "+
		"SOFTWARE (fc3)\n", train, v)
	s.put("Technical Support: http://www.cisco.com/techsupport\nCopyright (c) 1986-2021 by Cisco Systems, "+
		"Inc.\nCompiled %s by mcpre\n\n\n", built)
	s.put("ROM: IOS-XE ROMMON\n\n%s uptime is %s\nUptime for this control processor is %s\n", r.hostname,
		span(now.Sub(r.booted)), span(now.Sub(r.booted)+time.Minute))
	s.put("System returned to ROM by reload\nSystem image file is \"bootflash:%s-universalk9.%s.SPA.bin\"\nLast reload "+
		"reason: reload\n\n", image, v)
	s.put("License Level: ax\nLicense Type: N/A(Smart License Enabled)\nNext reload license Level: ax\n\nSmart " +
		"Licensing Status: UNREGISTERED/No Licenses in Use\n\n")
	s.put("cisco %s (VXE) processor (revision VXE) with 2071864K/3075K bytes of memory.\nProcessor board ID %s\n", model,
		r.config.Serial)
	operating := "Autonomous"
	if r.config.Knobs.Controller {
		operating = "Controller-Managed"
	}
	s.put("Router operating mode: %s\n%d Gigabit Ethernet interfaces\n"+
		"32768K bytes of non-volatile configuration memory.\n", operating, len(r.config.Interfaces))
	s.put("3978420K bytes of physical memory.\n6188032K bytes of virtual hard disk at bootflash:.\n\nConfiguration " +
		"register is 0x2102\n\n")
}

// showRedundancy tells since when the router is up, and since when its processor is the active one:
// later after a switchover.
func (s *session) showRedundancy(*call) {
	r := s.router
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.config.Now()
	reason, count, mode := "none", 0, "Non-redundant"
	active := r.booted
	if !r.switched.IsZero() {
		active, reason, count, mode = r.switched, "active unit removed", 1, "sso"
	}
	s.put("Redundant System Information :\n------------------------------\n       Available system uptime = %s\n"+
		"Switchovers system experienced = %d\n              Standby failures = 0\n        Last switchover reason = %s\n\n"+
		"                 Hardware Mode = Simplex\n    Configured Redundancy Mode = %s\n"+
		"     Operating Redundancy Mode = %s\n"+
		"              Maintenance Mode = Disabled\n                Communications = Down      Reason: Failure\n\n"+
		"Current Processor Information :\n-------------------------------\n               Active Location = slot 6\n"+
		"        Current Software state = ACTIVE\n       Uptime in current state = %s\n\n", span(now.Sub(r.booted)), count,
		reason, mode, mode, span(now.Sub(active)))
}

// twoDigits pads the last number of a version: 6 is 06, 4a is 04a.
func twoDigits(s string) string {
	if digits := strings.TrimRight(s, "abcdefghijklmnopqrstuvwxyz"); len(digits) < 2 {
		return "0" + s
	}
	return s
}

// showSDWAN is there in controller mode only.
func (s *session) showSDWAN(*call) {
	if !s.router.config.Knobs.Controller {
		s.putInvalid(10)
		return
	}
	s.put("%s.0.0\n", s.router.config.Version)
}

func (s *session) showClock(c *call) {
	s.put("%s\n", s.router.clockText())
	if len(c.words) < 3 {
		return
	}
	if s.router.config.NoNTP {
		s.put("No time source\n")
		return
	}
	s.put("Time source is NTP\n")
}

func (s *session) showNTP(*call) {
	if s.router.config.NoNTP {
		s.put("%%NTP is not enabled.\n")
		return
	}
	state := "synchronized, stratum 3"
	if s.router.config.NTPLost {
		state = "unsynchronized, stratum 16"
	}
	s.put("Clock is "+state+", reference is 203.0.113.123  \nnominal freq is 250.0000 Hz, actual freq is 249.9990 Hz, "+
		"precision is 2**10\nntp uptime is 9360000 (1/100 of seconds), resolution is 4016\nreference time is "+
		"E5A2D3C1.76C8B5F0 (%s)\nclock offset is 0.5000 msec, root delay is 12.41 msec\nroot dispersion is 16.92 msec, "+
		"peer dispersion is 4.05 msec\nloopfilter state is 'CTRL' (Normal Controlled Loop), drift is 0.000004173 "+
		"s/s\nsystem poll interval is 128, last update was 97 sec ago.\n",
		s.router.clock().Add(-97*time.Second).Format("15:04:05.000 MST Mon Jan 2 2006"))
}

func (s *session) showNTPPeers(*call) {
	s.put("\n  address         ref clock       st   when   poll reach  delay  offset   disp\n")
	if !s.router.config.NoNTP {
		s.put("*~203.0.113.123   198.51.100.7     2     31    128   377 12.410   0.500  4.050\n")
	}
	s.put(" * sys.peer, # selected, + candidate, - outlyer, x falseticker, ~ configured\n")
}

func (s *session) showInterfaces(*call) {
	r := s.router
	r.mu.Lock()
	defer r.mu.Unlock()
	s.put("Interface              IP-Address      OK? Method Status                Protocol\n")
	for _, i := range r.config.Interfaces {
		address, method := "unassigned", "unset"
		if i.Address.Is4() {
			address, method = i.Address.String(), "NVRAM"
		}
		status, protocol := "up", "up"
		if r.running.down[i.Name] {
			status, protocol = "administratively down", "down"
		}
		s.put("%-22s %-15s YES %-6s %-21s %-8s\n", i.Name, address, method, status, protocol)
	}
}

func (s *session) showInterfaces6(*call) {
	r := s.router
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, i := range r.config.Interfaces {
		state := map[bool]string{true: "administratively down/down", false: "up/up"}[r.running.down[i.Name]]
		s.put("%-22s [%s]\n", i.Name, state)
		if i.Address.Is6() {
			s.put("    FE80::5054:FF:FE00:1\n    %s\n", showAddress(i.Address))
			continue
		}
		s.put("    unassigned\n")
	}
}

func (s *session) showLists(c *call) {
	r := s.router
	r.mu.Lock()
	defer r.mu.Unlock()
	last := c.words[len(c.words)-1]
	all := last == "access-lists" || last == "access-list"
	for _, l := range r.running.lists {
		family := c.words[1] == "access-lists" || (c.words[1] == "ipv6") == l.six
		if family && (all || l.name == last) {
			s.put("%s", l.showText())
		}
	}
}

func (s *session) showRunning(*call) {
	if s.abandoned = s.rest(s.router.config.Knobs.RunningDelay); s.abandoned != nil {
		return
	}
	r := s.router
	r.mu.Lock()
	defer r.mu.Unlock()
	text := r.runningText()
	s.put("Building configuration...\n\nCurrent configuration : %d bytes\n!\n! Last configuration change at %s\n!\n%s\n",
		len(text), r.clockText(), text)
}

func (s *session) showStartup(*call) {
	r := s.router
	r.mu.Lock()
	defer r.mu.Unlock()
	current := r.running
	r.running = r.startup
	text := r.runningText()
	r.running = current
	s.put("Using %d out of 33554432 bytes\n!\n%s\n", len(text), text)
}

func (s *session) showCPU(*call) {
	cpu := s.router.cpu()
	s.put("CPU utilization for five seconds: %d%%/0%%; one minute: %d%%; five minutes: %d%%\n", cpu, cpu, cpu)
	s.put(" PID Runtime(ms)     Invoked      uSecs   5Sec   1Min   5Min TTY Process \n")
	s.put("   1           4          21        190  0.00%%  0.00%%  0.00%%   0 Chunk Manager    \n")
	s.put("   2        2371       18740        126  0.00%%  0.00%%  0.00%%   0 Load Meter       \n")
}

func (s *session) showMemory(*call) {
	const total = 2011466572
	free := total / 100 * s.router.config.Knobs.MemoryFree
	s.put("                Head    Total(b)     Used(b)     Free(b)   Lowest(b)  Largest(b)\n")
	s.put("Processor  7FA2A8A53048  %d   %d  %d  %d  %d\n", total, total-free, free, free-1024, free/2)
	s.put("reserve P  7FA2A8A530A0      102404          92      102312      102312      102312\n")
	s.put(" lsmpi_io  7FA2A83C81A8     3149400     3148576         824         824         412\n")
}

func (s *session) showUsers(*call) {
	r := s.router
	r.mu.Lock()
	defer r.mu.Unlock()
	s.put("    Line       User       Host(s)              Idle       Location\n")
	for n := range r.config.VTYs {
		l := r.lines[n]
		if l == nil {
			continue
		}
		mark := " "
		if l == s.vty {
			mark = "*"
		}
		idle := int(r.config.Now().Sub(l.idle).Seconds())
		s.put("%s%3d vty %-5d %-10s idle                 %02d:%02d:%02d   %s\n", mark, n+1, n, l.user, idle/3600, idle/60%60,
			idle%60, l.remote())
	}
	s.put("\n  Interface    User               Mode         Idle     Peer Address\n\n")
}

func (s *session) showLine(*call) {
	r := s.router
	r.mu.Lock()
	defer r.mu.Unlock()
	s.put("   Tty Typ     Tx/Rx    A Modem  Roty AccO AccI   Uses   Noise  Overruns   Int\n")
	s.put("      0 CTY              -    -      -    -    -      0       0     0/0       -\n")
	for n := range r.config.VTYs {
		mark := " "
		if r.lines[n] != nil {
			mark = "*"
		}
		s.put("%s %5d VTY              -    -      -    -    - %6d       0     0/0       -\n", mark, n+1, n)
	}
	s.put("\n")
}

func (s *session) showLogging(*call) {
	r := s.router
	r.mu.Lock()
	defer r.mu.Unlock()
	s.put("Syslog logging: enabled (0 messages dropped, 3 messages rate-limited, 0 flushes, 0 overruns, xml disabled, " +
		"filtering disabled)\n\n")
	s.put("    Console logging: disabled\n    Monitor logging: level debugging, 0 messages logged, xml disabled,\n      " +
		"               filtering disabled\n")
	s.put("    Buffer logging:  level debugging, %d messages logged, xml disabled,\n                    filtering "+
		"disabled\n\n", len(r.logging))
	s.put("Log Buffer (1000000 bytes):\n\n")
	for _, l := range r.logging {
		s.put("%s\n", l)
	}
}

func (s *session) showDebugging(*call) {
	r := s.router
	r.mu.Lock()
	defer r.mu.Unlock()
	s.put("IOSXE Conditional Debug Configs:\n\nConditional Debug Global State: Stop\n\n\nIOSXE Packet Tracing " +
		"Configs:\n\n\n")
	var on, conditions []string
	for d := range r.debugs {
		if strings.HasPrefix(d, "condition ") {
			conditions = append(conditions, strings.TrimPrefix(d, "condition "))
		} else {
			on = append(on, d)
		}
	}
	slices.Sort(on)
	if len(on) > 0 {
		s.put("\nIKEV2:\n")
	}
	for _, d := range on {
		s.put("  %s debugging is on\n", d)
	}
	for i, c := range conditions {
		s.put("\nCondition %d: %s (0 flags triggered)\n", i+1, c)
	}
}

func (s *session) showSSH(*call) {
	s.put("SSH Enabled - version 2.0\nAuthentication methods:publickey,keyboard-interactive,password\n")
	for _, list := range []struct {
		name  string
		items []string
	}{
		{"Encryption Algorithms", s.router.config.Knobs.SSH.Ciphers}, {"MAC Algorithms", s.router.config.Knobs.SSH.MACs},
		{"KEX Algorithms", s.router.config.Knobs.SSH.KeyExchanges},
	} {
		if len(list.items) > 0 {
			s.put("%s:%s\n", list.name, strings.Join(list.items, ","))
		}
	}
	s.put("%s\n", fmt.Sprintf("Authentication timeout: 120 secs; Authentication retries: %d",
		s.router.config.Knobs.AuthTries))
}
