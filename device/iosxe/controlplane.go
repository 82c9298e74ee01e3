package iosxe

// What a capture point at the control plane keeps. IKE is handed to the router's own processes
// packet by packet and ESP is not, so that it holds few; of each, no more than what tells which
// message it is: the headers of a frame with two VLAN tags, of IPv6, UDP and IKE.
const (
	ControlPlanePackets = 1000
	ControlPlaneBytes   = 128
)

// AtControlPlane is what the output of the command called name is called when it is about the
// capture point at the control plane, and not about that of the interfaces.
func AtControlPlane(name string) string { return "control-plane-" + name }

// controlPlaneTarget is what `show monitor capture` calls the control plane, where an interface
// stands otherwise (seen of a router of 2016, its release not given).
const controlPlaneTarget = "Control Plane"

// OnlyControlPlane says whether the capture point is at the control plane, and on no interface.
func (c Capture) OnlyControlPlane() bool {
	for _, a := range c.Interfaces {
		if a.Interface != controlPlaneTarget {
			return false
		}
	}
	return len(c.Interfaces) > 0
}
