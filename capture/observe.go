package capture

import (
	"context"
	"strings"
	"time"

	"github.com/moncap/moncap/device/iosxe"
)

// checkCommands lists what check asks a router. With an account that can only capture and read, only what that may.
func (p *SidePlan) checkCommands(s Settings) []iosxe.Command {
	commands := []iosxe.Command{iosxe.ShowVersion(), iosxe.ShowClock(), iosxe.ShowCPU(), iosxe.ShowMemory(),
		iosxe.ShowInterfaces(), iosxe.ShowCaptures(), iosxe.ShowUsers(), iosxe.ShowLines()}
	if !p.ACL.IsZero() {
		commands = append(commands, iosxe.ShowPrivilege(), iosxe.ShowACL(p.ACL))
	}
	if !p.File.IsZero() {
		commands = append(commands, iosxe.Dir(), iosxe.ShowSCPServer())
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

// observe reads what the routers know about the capture and the tunnel into the bundle. What a router refuses is noted.
func (r *router) observe(ctx context.Context) error {
	var refused []string
	for _, cmd := range r.plan.observeCommands() {
		began := time.Now()
		out, err := r.repeat(ctx, cmd)
		if refusalOf(err) != nil {
			refused = append(refused, cmd.Name)
			continue
		}
		if err != nil {
			return err
		}
		r.learn(cmd, out, began)
		if err := r.u.b.SaveShow(r.side, cmd.Name, out); err != nil {
			return err
		}
	}
	if len(refused) > 0 {
		r.note(PhaseObserve, "the router does not show: %s", strings.Join(refused, ", "))
	}
	return nil
}

// learn keeps what the result says about the router.
func (r *router) learn(cmd iosxe.Command, out string, began time.Time) {
	ended := time.Now()
	switch cmd.Name {
	case "show-capture-buffer":
		if b, err := iosxe.ParseBuffer(out); err == nil {
			r.info.Packets, r.info.Dropped = b.Packets, b.Dropped
			if b.Dropped > 0 {
				r.note(PhaseObserve, "the router dropped %d packets of the capture: the buffer was full, or more came a second than pps allows", b.Dropped)
			}
		}
	case "show-clock":
		if c, err := iosxe.ParseClock(out); err == nil {
			r.keepClock(c, began, ended)
		}
	case "show-log":
		if err := r.u.b.SaveDebug(r.side, debugLines(out)); err != nil {
			r.note(PhaseObserve, "%v", err)
		}
	}
}

// debugLines picks what the IKEv2 debug wrote out of the router's log: its own lines, and those without a prefix that
// continue them.
func debugLines(log string) string {
	var b strings.Builder
	inside := false
	for line := range strings.Lines(strings.ReplaceAll(log, "\r", "")) {
		trimmed := strings.TrimSpace(line)
		switch {
		case strings.Contains(line, "IKEv2:") || strings.Contains(line, "IKEv2-"):
			inside = true
		case trimmed == "" || iosxe.SyslogLine(strings.TrimRight(line, "\n")):
			inside = false
		}
		if inside {
			b.WriteString(line)
		}
	}
	return b.String()
}
