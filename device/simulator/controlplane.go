package simulator

import "slices"

// What a capture point with the target control plane takes: what the data plane hands to the
// router's own processes, and what these send. That it is IKE and ICMP for the router, and no ESP,
// is what Cisco's guides say of punted packets; which link layer such packets have in the buffer is
// not published, so that they have the WAN's here. They are known from a capture at the WAN
// interface, and there are none without one.

// forControlPlane says whether a packet of the WAN is one of the control plane's.
func (r *Router) forControlPlane(f frame) bool {
	if !f.ip || !r.owns(f.src) && !r.owns(f.dst) {
		return false
	}
	switch f.protocol {
	case 1, 58:
		return true
	case 17:
		return f.later || f.ports && !espInUDP(f) && (isIKE(f.sport) || isIKE(f.dport))
	}
	return false
}

func isIKE(port uint16) bool { return port == 500 || port == 4500 }

// espInUDP says whether a datagram is one of ESP behind a NAT.
func espInUDP(f frame) bool {
	return f.protocol == 17 && (f.sport == 4500 || f.dport == 4500) && len(f.payload) >= 12 &&
		[4]byte(f.payload[8:12]) != [4]byte{}
}

// punt has the control plane's captures take a packet of the WAN, unless the router drops it on the
// way there. It is counted by IKE then. The router's lock is held.
func (r *Router) punt(p Packet, f frame) {
	if r.running.down[r.config.WAN] || !r.forControlPlane(f) {
		return
	}
	sent := r.owns(f.src)
	if !sent && r.loses() {
		return
	}
	r.countIKE(f, sent)
	for _, c := range r.captures {
		if c.active && c.takes(controlPlane, !sent) && r.permits(c, f) {
			r.keep(c, p)
		}
	}
}

// loses says whether the next packet for the control plane is dropped on the way to it: as many as
// the counters of what stands there are going to count.
func (r *Router) loses() bool {
	most := uint64(0)
	for _, d := range r.config.Drops {
		if d.During > 0 && d.beforeIKE() {
			most = max(most, d.During)
		}
	}
	if r.lostInside >= most {
		return false
	}
	r.lostInside++
	return true
}

// beforeIKE says whether the counter is one of what stands between the interface and IKE.
func (d Drop) beforeIKE() bool {
	switch d.Where {
	case ControlPlane, WANAccessList:
		return true
	case PuntPolicer, PuntCause:
		return d.Name == "For-us data" || d.Name == "For-us control"
	case DataPlane:
		return d.Name == "FirewallPolicy" || d.Name == "Ipv4Acl" || d.Name == "Ipv6Acl" ||
			d.Name == "PuntPerCausePolicerDrops"
	}
	return false
}

// takes says whether a capture point is on a target, in a direction.
func (c *capturePoint) takes(iface string, in bool) bool {
	return slices.ContainsFunc(c.targets, func(t target) bool {
		return t.iface == iface && (t.direction == "both" || (t.direction == "in") == in)
	})
}
