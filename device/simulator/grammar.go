package simulator

// grammar is what can be typed, mode by mode.
type grammar struct {
	exec, config, extNACL, ipv6ACL, iface, line, view *node
}

func newGrammar(shows map[string]string) grammar {
	g := grammar{&node{}, &node{}, &node{}, &node{}, &node{}, &node{}, &node{}}
	addSession(g.exec)
	addCapture(g.exec)
	addFiles(g.exec)
	addShows(g.exec, shows)
	addTunnel(g.exec)
	addPacketTrace(g.exec)
	addConfig(g)
	addEntries(g)
	addAccounts(g)
	return g
}

// The level that commands which change something need.
const privileged = 15

func addSession(exec *node) {
	exec.add("enable", "Turn on privileged commands", 1, (*session).enable)
	exec.add("enable <0-16>", "Enable level", 1, (*session).enable)
	exec.add("disable", "Turn off privileged commands", 1, func(s *session, _ *call) { s.privilege = 1 })
	leave := func(s *session, _ *call) { s.leave = true }
	exec.add("exit", "Exit from the EXEC", 1, leave)
	exec.add("logout", "Exit from the EXEC", 1, leave)
	exec.add("quit", "Exit from the EXEC", 1, leave)
	exec.add("terminal length <0-512>", "Set number of lines on a screen", 1, func(s *session, c *call) {
		if !s.router.config.Knobs.KeepPager {
			s.term.window.length = number(c.words[2])
		}
	})
	exec.add("terminal width <0-512>", "Set width of the display terminal", 1, func(s *session, c *call) {
		s.term.window.width = number(c.words[2])
	})
	exec.add("terminal monitor", "Copy debug output to the current terminal line", privileged,
		func(s *session, _ *call) { s.monitor(true) })
	exec.add("terminal no monitor", "Negate a command or set its defaults", privileged,
		func(s *session, _ *call) { s.monitor(false) })
	exec.add("configure terminal", "Configure from the terminal", privileged, (*session).configure)
	exec.add("reload", "Halt and perform a cold restart", privileged, (*session).reload)
	exec.add("write", "Write running configuration to memory, network, or terminal", privileged, (*session).save)
	exec.add("write memory", "Write to NV memory", privileged, (*session).save)
	exec.add("copy running-config startup-config", "Copy from one file to another", privileged, (*session).save)
}

func (s *session) monitor(on bool) {
	s.router.mu.Lock()
	defer s.router.mu.Unlock()
	s.term.monitor = on
}

func (s *session) enable(*call) {
	secret := s.router.config.Enable
	switch {
	case s.privilege == 15:
		return
	case secret == "" && s.asked < 15:
		s.put("%% Error in authentication.\n\n")
		return
	case secret == "":
		s.privilege = 15
		return
	}
	for range 3 {
		given, ok := s.question("Password: ", true)
		if !ok {
			return
		}
		if given == secret {
			s.privilege = 15
			return
		}
	}
	s.put("%% Bad secrets\n\n")
}

func (s *session) reload(*call) {
	if s.confirm("Proceed with reload? ") {
		s.router.Reload()
		s.abandoned = errEnded
	}
}

func (s *session) save(c *call) {
	if c.words[0] == "copy" {
		if _, ok := s.question("Destination filename [startup-config]? ", false); !ok {
			return
		}
	}
	s.router.mu.Lock()
	s.router.startup = s.router.running.clone()
	s.router.mu.Unlock()
	s.put("Building configuration...\n[OK]\n")
}
