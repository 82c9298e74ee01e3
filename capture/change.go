package capture

import (
	"fmt"

	"github.com/moncap/moncap/device/iosxe"
)

// The kinds of things that a run makes on a router, as the journal names them.
const (
	kindACL       = "acl"
	kindCapture   = "capture"
	kindCondition = "debug-condition"
	kindDebug     = "debug"
	kindActive    = "active"
	kindFile      = "file"
)

// kinds lists what the run makes on this side, in the order in which it does.
func (p *SidePlan) kinds() []string {
	var kinds []string
	if !p.ACL.IsZero() {
		kinds = append(kinds, kindACL)
	}
	kinds = append(kinds, kindCapture)
	if len(p.debugOn) > 0 {
		kinds = append(kinds, kindCondition, kindDebug)
	}
	kinds = append(kinds, kindActive)
	if !p.File.IsZero() {
		kinds = append(kinds, kindFile)
	}
	return kinds
}

// nameOf is the name of the thing, for the journal.
func (p *SidePlan) nameOf(kind string) string {
	switch kind {
	case kindACL:
		return p.ACL.String()
	case kindFile:
		return p.File.String()
	case kindCondition, kindDebug:
		return p.Remote.String()
	}
	return p.Name.String()
}

// undo makes the commands that take a thing back.
func (p *SidePlan) undo(kind string) []iosxe.Command {
	switch kind {
	case kindACL:
		return []iosxe.Command{iosxe.NoACL(p.ACL, p.Remote.Is6())}
	case kindCapture:
		return []iosxe.Command{iosxe.NoCapture(p.Name)}
	case kindActive:
		return []iosxe.Command{iosxe.StopCapture(p.Name)}
	case kindFile:
		return []iosxe.Command{iosxe.DeleteFile(p.File)}
	case kindDebug:
		return p.debugOff[:1]
	case kindCondition:
		return p.debugOff[1:]
	}
	return nil
}

func describe(kind, name string) string {
	switch kind {
	case kindACL:
		return "access list " + name
	case kindCapture:
		return "capture point " + name
	case kindActive:
		return "running capture " + name
	case kindFile:
		return "file " + name
	case kindDebug:
		return "debug crypto ikev2"
	case kindCondition:
		return "debug condition for peer " + name
	}
	return fmt.Sprintf("%s %s", kind, name)
}
