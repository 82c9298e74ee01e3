package simulator

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// settings is the configuration that can change.
type settings struct {
	scp   bool
	lists []*accessList
	down  map[string]bool // interfaces that are shut down

	accounts map[string]account // beside the one of Config
	views    map[string]*parserView
}

func newSettings(c Config) (settings, error) {
	s := settings{scp: !c.Knobs.NoSCP, down: map[string]bool{}, accounts: map[string]account{},
		views: map[string]*parserView{}}
	for _, i := range c.Interfaces {
		s.down[i.Name] = i.Down
	}
	for _, a := range c.ACLs {
		list := &accessList{name: a.Name, six: a.IPv6}
		for _, text := range a.Entries {
			if err := list.addText(text); err != nil {
				return s, fmt.Errorf("simulator %s: access list %s: entry %q: %w", c.Hostname, a.Name, text, err)
			}
		}
		s.lists = append(s.lists, list)
	}
	return s, nil
}

func (s settings) clone() settings {
	c := s
	c.down, c.accounts, c.views = maps.Clone(s.down), maps.Clone(s.accounts), map[string]*parserView{}
	for name, v := range s.views {
		copied := parserView{v.secret, slices.Clone(v.include)}
		c.views[name] = &copied
	}
	c.lists = nil
	for _, l := range s.lists {
		copied := *l
		copied.entries = slices.Clone(l.entries)
		c.lists = append(c.lists, &copied)
	}
	return c
}

func (s *settings) list(name string) *accessList {
	if i := slices.IndexFunc(s.lists, func(l *accessList) bool { return l.name == name }); i >= 0 {
		return s.lists[i]
	}
	return nil
}

// runningText is the running configuration. The router's lock is held.
func (r *Router) runningText() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	short := strings.Join(strings.Split(r.config.Version, ".")[:2], ".")
	line("version %s\n%s", short, r.timestampText())
	line("platform console virtual\n!\nhostname %s\n!\nboot-start-marker\nboot-end-marker\n!", r.hostname)
	if r.config.Enable != "" {
		line("enable secret 9 $9$7cFqP4Xn1UZ0eE$hidden\n!")
	}
	line("aaa new-model\n!\naaa authentication login default local\naaa authorization exec default local \n!")
	for _, v := range r.config.VRFs {
		line("vrf definition %s\n !\n address-family ipv4\n exit-address-family\n!", v)
	}
	line("username %s privilege %d secret 9 $9$Yx0p1kD2hV3mQU$hidden\n!", r.config.Username, r.config.Privilege)
	r.running.accountText(line)
	for _, i := range r.config.Interfaces {
		r.interfaceText(line, i)
	}
	if r.running.scp {
		line("ip scp server enable")
	}
	line("!")
	for _, l := range r.running.lists {
		b.WriteString(l.configText(r.config.series17()))
	}
	line("!\nline con 0\n stopbits 1\nline vty 0 %d\n transport input ssh\n!\nend", r.config.VTYs-1)
	return b.String()
}

func (r *Router) interfaceText(line func(string, ...any), i Interface) {
	line("interface %s", i.Name)
	if i.VRF != "" {
		line(" vrf forwarding %s", i.VRF)
	}
	switch {
	case !i.Address.IsValid():
		line(" no ip address")
	case i.Address.Is4():
		line(" ip address %s %s", i.Address, mask(or(i.Bits, 24)))
	default:
		line(" no ip address")
		line(" ipv6 address %s/%d", showAddress(i.Address), or(i.Bits, 64))
	}
	if r.running.down[i.Name] {
		line(" shutdown")
	}
	line(" negotiation auto\n!")
}

func mask(bits int) string {
	m := ^uint32(0) << (32 - bits)
	if bits == 0 {
		m = 0
	}
	return fmt.Sprintf("%d.%d.%d.%d", m>>24, m>>16&255, m>>8&255, m&255)
}

func number(s string) int {
	n, _ := strconv.Atoi(s) // the grammar took digits only
	return n
}

func addConfig(g grammar) {
	c := g.config
	c.add("hostname WORD", "Set system's network name", 15, (*session).rename)
	c.add("ip access-list extended WORD", "Extended Access List", 15,
		func(s *session, c *call) { s.editList(c.words[3], false) })
	c.add("ipv6 access-list WORD", "Configure access lists", 15,
		func(s *session, c *call) { s.editList(c.words[2], true) })
	c.add("no ip access-list extended WORD", "Extended Access List", 15,
		func(s *session, c *call) { s.dropList(c.words[4], false) })
	c.add("no ipv6 access-list WORD", "Configure access lists", 15,
		func(s *session, c *call) { s.dropList(c.words[3], true) })
	c.add("ip scp server enable", "Enable the SCP server", 15, func(s *session, _ *call) { s.setSCP(true) })
	c.add("no ip scp server enable", "Enable the SCP server", 15, func(s *session, _ *call) { s.setSCP(false) })
	c.add("interface INTERFACE", "Select an interface to configure", 15, func(s *session, c *call) {
		s.mode, s.iface = interfaceMode, c.words[1]
	})
	c.add("line vty <0-16>", "Configure a terminal line", 15, func(s *session, _ *call) { s.mode = lineMode })
	c.add("line vty <0-16> <0-16>", "Configure a terminal line", 15, func(s *session, _ *call) { s.mode = lineMode })
	c.add("do LINE", "To run exec commands in config mode", 15, (*session).do)
	c.add("exit", "Exit from configure mode", 1, (*session).exitConfig)
	c.add("end", "Exit from configure mode", 1, func(s *session, _ *call) { s.endConfig() })
	for _, sub := range []*node{g.extNACL, g.ipv6ACL, g.iface, g.line} {
		sub.add("exit", "Exit from this mode", 1, (*session).exitConfig)
	}
	g.iface.add("shutdown", "Shutdown the selected interface", 15, func(s *session, _ *call) { s.setDown(true) })
	g.iface.add("no shutdown", "Shutdown the selected interface", 15, func(s *session, _ *call) { s.setDown(false) })
	g.iface.add("description LINE", "Interface specific description", 15, func(*session, *call) {})
	g.line.add("exec-timeout <0-35791>", "Set the EXEC timeout", 15, func(*session, *call) {})
	g.line.add("exec-timeout <0-35791> <0-2147483>", "Set the EXEC timeout", 15, func(*session, *call) {})
	g.line.add("logging synchronous", "Synchronized message output", 15,
		func(s *session, _ *call) { s.term.redraw = true })
	g.line.add("transport input ssh", "Define which protocols to use", 15, func(*session, *call) {})
}

func (s *session) rename(c *call) {
	if !hostnameForm.Get().MatchString(c.words[1]) {
		s.put("%% Hostname contains one or more illegal characters.\n\n")
		return
	}
	s.router.SetHostname(c.words[1])
}

func (s *session) configure(c *call) {
	if s.router.config.Knobs.Controller {
		s.reject(c.typed, &rejection{invalid, 0})
		return
	}
	s.mode = configMode
	s.put("Enter configuration commands, one per line.  End with CNTL/Z.\n")
}

func (s *session) exitConfig(*call) {
	if s.mode == configMode {
		s.endConfig()
		return
	}
	s.mode = configMode
}

// endConfig returns to EXEC mode, and the log says who was in.
func (s *session) endConfig() {
	if s.mode == execMode {
		return
	}
	s.mode = execMode
	s.router.mu.Lock()
	defer s.router.mu.Unlock()
	s.router.log(fmt.Sprintf("%%SYS-5-CONFIG_I: Configured from console by %s on vty%d (%s)",
		s.vty.user, s.vty.number, s.vty.remote()))
}

func (s *session) do(c *call) {
	before := s.mode
	s.mode = execMode
	s.perform(c.words[1])
	s.mode = before
}

func (s *session) setSCP(on bool) {
	s.router.mu.Lock()
	defer s.router.mu.Unlock()
	s.router.running.scp = on
}

func (s *session) setDown(down bool) {
	r := s.router
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running.down[s.iface] == down {
		return
	}
	r.running.down[s.iface] = down
	state := map[bool]string{true: "administratively down", false: "up"}[down]
	r.log(fmt.Sprintf("%%LINK-5-CHANGED: Interface %s, changed state to %s", s.iface, state))
}

func (s *session) editList(name string, six bool) {
	r := s.router
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.running.list(name)
	if l != nil && l.six != six {
		s.put("%% Access list %s is of another type\n", name)
		return
	}
	if l == nil {
		l = &accessList{name: name, six: six}
		r.running.lists = append(r.running.lists, l)
	}
	s.acl = l
	s.mode = extNACLMode
	if six {
		s.mode = ipv6ACLMode
	}
}

func (s *session) dropList(name string, six bool) {
	r := s.router
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running.lists = slices.DeleteFunc(r.running.lists,
		func(l *accessList) bool { return l.name == name && l.six == six })
}
