package capture

import "github.com/moncap/moncap/device/iosxe"

// checkCommands lists what check asks a router. With an account that can only capture and read, only what that may.
func (p *SidePlan) checkCommands(s Settings) []iosxe.Command {
	commands := []iosxe.Command{iosxe.ShowVersion(), iosxe.ShowClock(), iosxe.ShowCPU(), iosxe.ShowMemory(),
		iosxe.ShowInterfaces(), iosxe.ShowCaptures(), iosxe.ShowUsers(), iosxe.ShowLines()}
	if !p.File.IsZero() {
		commands = append(commands, iosxe.ShowPrivilege(), iosxe.ShowACL(p.ACL), iosxe.Dir(),
			iosxe.ShowSCPServer())
	}
	if s.Debug {
		commands = append(commands, iosxe.ShowDebug())
	}
	return append(commands, waitShows(s.Until)...)
}

// waitShows lists what decides whether the wait is over, beside the buffer's counters.
func waitShows(u Until) []iosxe.Command {
	if u.Kind == UntilEstablished || u.Kind == UntilFailed {
		return []iosxe.Command{iosxe.ShowIKEv2SA(), iosxe.ShowISAKMPSA()}
	}
	return nil
}

// observeCommands lists what is asked after the capture was stopped. A router that refuses one of them is no failure.
func (p *SidePlan) observeCommands() []iosxe.Command {
	commands := []iosxe.Command{
		iosxe.ShowCapture(p.Name), iosxe.ShowBuffer(p.Name), iosxe.ShowBrief(p.Name), iosxe.ShowCaptureParameter(p.Name),
		iosxe.ShowClock(), iosxe.ShowNTP(), iosxe.ShowVersion(), iosxe.ShowInterfaces(),
		iosxe.ShowIKEv2SA(), iosxe.ShowIKEv2Proposal(), iosxe.ShowIKEv2Policy(), iosxe.ShowIKEv2Profile(),
		iosxe.ShowIKEv2Stats(), iosxe.ShowIKEv2Diagnose(), iosxe.ShowEventTrace(), iosxe.ShowISAKMPSA(),
		iosxe.ShowISAKMPPolicy(), iosxe.ShowTransformSet(), iosxe.ShowIPsecProfile(), iosxe.ShowCryptoMap(),
	}
	for _, about := range []func() (iosxe.Command, error){
		func() (iosxe.Command, error) { return iosxe.ShowIPsecSA(p.Remote) },
		func() (iosxe.Command, error) { return iosxe.ShowCryptoSession(p.Remote) },
	} {
		// The address was validated by the filter's constructor already.
		if c, err := about(); err == nil {
			commands = append(commands, c)
		}
	}
	if len(p.debugOn) > 0 {
		commands = append(commands, iosxe.ShowLog())
	}
	return commands
}
