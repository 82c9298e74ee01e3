package capture

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/moncap/moncap/device/iosxe"
)

// Steps lists every command of s in the order in which it would be sent, when nothing goes wrong.
func (p *Plan) Steps(s Side) []Step {
	sp := p.Get(s)
	steps := sp.checkSteps(p.Settings)
	steps = append(steps, sp.changeSteps()...)
	if sp.Trigger != nil {
		steps = append(steps, Step{Phase: PhaseTrigger, Command: sp.Trigger.Command})
	}
	steps = append(steps, sp.waitSteps(p.Settings)...)
	steps = append(steps, Step{Phase: PhaseStop, Command: iosxe.StopCapture(sp.Name)},
		Step{Phase: PhaseStop, Command: iosxe.ShowBuffer(sp.Name)})
	steps = append(steps, sp.controlPlaneSteps(PhaseStop)...)
	if sp.tracing != nil {
		for _, c := range []iosxe.Command{iosxe.ShowConditions(), iosxe.StopConditions(), iosxe.ShowConditions()} {
			steps = append(steps, Step{Phase: PhaseStop, Command: c})
		}
	}
	steps = append(steps, sp.collectSteps()...)
	steps = append(steps, sp.controlPlaneSteps(PhaseObserve)...)
	for _, c := range sp.observeCommands() {
		steps = append(steps, Step{Phase: PhaseObserve, Command: c})
	}
	for _, c := range sp.countShows() {
		steps = append(steps, Step{Phase: PhaseObserve, Command: c, Note: "only when the router took it before the capture"})
	}
	if p.Settings.BinaryTrace {
		command := iosxe.BinaryTrace(p.Settings.Duration+traceMargin, sp.Remote)
		steps = append(steps, Step{Phase: PhaseObserve, Command: command,
			Note: "only from IOS XE 17 on, of the time since the start"})
	}
	return append(steps, sp.cleanSteps(p.Settings.Keep)...)
}

func (p *SidePlan) waitSteps(s Settings) []Step {
	var steps []Step
	looks := []iosxe.Command{iosxe.ShowBuffer(p.Name), iosxe.ShowCapture(p.Name)}
	if s.Armed != nil {
		for _, c := range append(looks, p.guardShows()...) {
			steps = append(steps, Step{Phase: PhaseWait, Command: c, Note: "every " + armedPoll.String() + " while it is armed"})
		}
		if slices.Contains(s.Armed.On, EventFailed) {
			steps = append(steps, Step{Phase: PhaseWait, Command: iosxe.ShowIKEv2Exchanges(),
				Note: "every " + armedPoll.String() + " while the tunnel is down"})
		}
		return append(steps, Step{Phase: PhaseWait, Command: iosxe.ShowCPU(), Note: "every " + armedLoad.String()})
	}
	every := "every second"
	if s.Until.Kind == UntilNothing {
		every = "after a second, then every five"
	}
	for _, c := range append(looks, p.waitShows()...) {
		steps = append(steps, Step{Phase: PhaseWait, Command: c, Note: every})
	}
	return append(steps, p.phaseTwoSteps()...)
}

// Opening lists what a session types by itself before anything else; the steps are typed in it.
func Opening() []Step {
	const note = "at the beginning of each session, behind enable when the account begins below level 15"
	return []Step{
		{Phase: PhaseCheck, Command: iosxe.TerminalLength(), Note: note},
		{Phase: PhaseCheck, Command: iosxe.TerminalWidth(), Note: note},
	}
}

func (p *SidePlan) checkSteps(s Settings) []Step {
	var steps []Step
	add := func(note string, commands ...iosxe.Command) {
		for _, c := range commands {
			steps = append(steps, Step{Phase: PhaseCheck, Command: c, Note: note})
		}
	}
	add("", p.checkShows(s)...)
	if !p.ACL.IsZero() {
		add("only of a release that does not tell its mode of operation with its version", iosxe.ShowSDWAN())
	}
	if len(p.debugOn) > 0 {
		add("once more, before the proofs", iosxe.ShowDebug())
	}
	if p.tracing != nil {
		add("once more, before the proofs", traceShows()...)
	}
	for _, t := range p.proofs() {
		when := "only when the name is free"
		if t.fleeting {
			when = "only when nobody has it on"
		}
		add(when+", as proof that the account may clean up", t.undo...)
	}
	add("", p.countShows()...)
	return steps
}

func (p *SidePlan) changeSteps() []Step {
	var steps []Step
	if !p.ACL.IsZero() {
		steps = append(steps, Step{Phase: PhaseACL, Command: p.defineACL, Undo: p.acl().undo})
	}
	for i, c := range p.define {
		step := Step{Phase: PhaseDefine, Command: c}
		if i == 0 {
			step.Undo = p.capturePoint().undo
		}
		steps = append(steps, step)
	}
	if len(p.debugOn) > 0 {
		steps = append(steps, Step{Phase: PhaseDefine, Command: iosxe.ShowDebug(),
			Note: "the run ends when somebody debugs by now"})
	}
	for i, c := range p.debugOn {
		step := Step{Phase: PhaseDefine, Command: c, Undo: p.debugOff[len(p.debugOff)-1-i:][:1]}
		steps = append(steps, step)
	}
	if len(p.debugOn) > 0 {
		steps = append(steps, Step{Phase: PhaseDefine, Command: iosxe.ShowDebug()})
	}
	steps = append(steps, p.traceSteps()...)
	steps = append(steps, p.controlPlaneSteps(PhaseDefine)...)
	return append(steps, Step{Phase: PhaseStart, Command: iosxe.StartCapture(p.Name), Undo: p.active().undo})
}

func (p *SidePlan) collectSteps() []Step {
	if p.byDump() {
		return []Step{{Phase: PhaseFetch, Command: iosxe.ShowDump(p.Name)}}
	}
	if p.Upload != "" {
		return []Step{
			{Phase: PhaseExport, Command: p.export,
				Note: "the router asks for the server's password, which is no part of the command"},
			{Phase: PhaseFetch, Command: iosxe.ShowDump(p.Name), Note: "only when the server cannot be used"},
		}
	}
	return []Step{
		{Phase: PhaseExport, Command: iosxe.DirFile(p.File)},
		{Phase: PhaseExport, Command: iosxe.ExportCapture(p.Name, p.File), Undo: p.file().undo},
		{Phase: PhaseExport, Command: iosxe.DirFile(p.File)},
		{Phase: PhaseExport, Command: iosxe.VerifyMD5(p.File)},
		{Phase: PhaseFetch, Command: iosxe.ShowDump(p.Name), Note: "only when SCP is impossible"},
	}
}

func (p *SidePlan) cleanSteps(keep bool) []Step {
	var steps []Step
	for _, t := range slices.Backward(p.things()) {
		if t.kind == kindActive { // it goes with its capture point
			continue
		}
		note := ""
		if keep && !t.fleeting {
			note = "only when the run fails, because of --keep"
		}
		if t.shared {
			note = "looked at first, and left where somebody else depends on it"
		}
		if t.kind == kindTracing {
			note = "only when it could not be ended with the capture"
		}
		commands := slices.Concat(t.undo, t.shows)
		if t.shared {
			commands = slices.Concat(t.shows, commands)
		}
		for _, c := range commands {
			steps = append(steps, Step{Phase: PhaseClean, Command: c, Note: note})
		}
	}
	return steps
}

// Write prints, router by router, every line that would be sent, in order, and what takes it back.
func (p *Plan) Write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "! tunnel %s: capture %s at most, %d packets, %d MB buffer on each side", p.Tunnel,
		p.Settings.Duration, p.Settings.Packets, p.Settings.BufferMB)
	if p.Settings.Until.Kind != UntilNothing {
		fmt.Fprintf(&b, ", until %s", p.Settings.Until)
	}
	b.WriteString("\n")
	for _, side := range []Side{A, B} {
		p.writeSide(&b, side)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (p *Plan) writeSide(b *strings.Builder, side Side) {
	sp := p.Get(side)
	fmt.Fprintf(b, "\n! ===== side %s: %s, %s on %s", side, sp.Endpoint.Name, sp.Endpoint.Address, sp.Interface)
	if sp.Endpoint.NATAddress.IsValid() {
		fmt.Fprintf(b, ", seen by the other side as %s", sp.Endpoint.NATAddress)
	}
	b.WriteString("\n")
	var phase Phase
	for _, step := range slices.Concat(Opening(), p.Steps(side)) {
		if step.Phase != phase {
			phase = step.Phase
			fmt.Fprintf(b, "\n! --- %s%s\n", phase, p.phaseNote(sp, phase))
		}
		writeStep(b, step)
	}
}

func (p *Plan) phaseNote(sp *SidePlan, phase Phase) string {
	switch phase {
	case PhaseStart, PhaseStop:
		return " (both sides at the same moment)"
	case PhaseWait:
		if a := p.Settings.Armed; a != nil {
			return fmt.Sprintf(" (armed for %s: until an event, and %s more)", a.For, a.After)
		}
		return fmt.Sprintf(" (at most %s)", p.Settings.Duration)
	case PhaseFetch:
		if sp.Upload != "" {
			return " (" + sp.Upload + ", read from that server)"
		}
		if !sp.File.IsZero() {
			return " (" + sp.File.String() + " by SCP, over a connection of its own)"
		}
	}
	return ""
}

// writeStep keeps remarks on lines of their own, because IOS takes `!` for a comment only at the
// beginning of a line.
func writeStep(b *strings.Builder, s Step) {
	if s.Note != "" {
		b.WriteString("! " + s.Note + ":\n")
	}
	for i, line := range typed(s.Command) {
		if s.Command.Mode == iosxe.Config && line != "configure terminal" && line != "end" {
			line = strings.Repeat(" ", min(i, 2)) + line
		}
		b.WriteString(line + "\n")
	}
	if len(s.Undo) > 0 {
		b.WriteString("! undone by: " + strings.Join(linesOf(s.Undo), "; ") + "\n")
	}
}

func linesOf(commands []iosxe.Command) []string {
	var lines []string
	for _, c := range commands {
		lines = append(lines, c.Lines...)
	}
	return lines
}
