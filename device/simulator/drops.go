package simulator

import (
	"slices"
	"strings"
)

// Drop is a counter of packets that the router does not let through. It grows as soon as a capture
// has been started, as it does when what is captured is what is dropped.
type Drop struct {
	Where Where
	// as the router calls it: Ipv4Acl, a class of a policy, a deny entry, a cause of the punt
	// policer ("For-us data")
	Name   string
	Before uint64 // packets before the first capture
	During uint64 // packets since
}

// Where says which show tells of a Drop.
type Where uint8

// The counters of a router, and the shows that print them.
const (
	DataPlane            Where = iota // show platform hardware qfp active statistics drop
	IPsecDataPlane                    // show platform hardware qfp active feature ipsec datapath drops all
	PuntPolicer                       // show platform software punt-policer
	PuntCause                         // show platform hardware qfp active infrastructure punt statistics type per-cause
	ControlPlane                      // show policy-map control-plane
	WANPolicy                         // show policy-map interface, of the WAN
	WANAccessList                     // show ip access-lists interface, of the WAN
	WANOutputQueue                    // show interfaces, of the WAN; without a name
	SecurityAssociations              // show crypto ipsec sa peer X detail
	IKETimer                          // show crypto ikev2 stats timeout: Name is the timer that ran out
	IKEError                          // show monitor event-trace crypto ikev2 error all: Name is a line
	BinaryTrace                       // show logging process ios: Name is a line of IKEv2
)

func addDropShows(show func(string, string, int, func(*session, *call))) {
	show("platform hardware qfp active statistics drop", "Drop stats", 1, (*session).showDataPlane)
	show("platform hardware qfp active feature ipsec datapath drops all", "All drop counters", 1,
		(*session).showIPsecDrops)
	show("platform software punt-policer", "Show punt policer", 1, (*session).showPuntPolicer)
	show("platform hardware qfp active infrastructure punt statistics type per-cause", "Per cause stats", 1,
		(*session).showPuntCauses)
	show("policy-map control-plane", "Show Control Plane policy", 1, (*session).showControlPlane)
	show("policy-map interface INTERFACE", "Show policy of the interface", 1, (*session).showWANPolicy)
	show("interfaces INTERFACE", "Interface status and configuration", 1, (*session).showInterface)
	show("ip access-lists interface INTERFACE in", "Inbound access list", privileged, (*session).showWANList)
	for _, address := range []string{"A.B.C.D", "X:X:X:X::X"} {
		show("crypto ipsec sa peer "+address+" detail", "show counter detail", 1, (*session).showSADrops)
		show("crypto ipsec sa peer vrf WORD "+address+" detail", "show counter detail", 1, inVRF((*session).showSADrops))
	}
}

// drops are the counters of one kind, as they stand.
func (s *session) drops(w Where) []Drop {
	r := s.router
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []Drop
	for _, d := range r.config.Drops {
		if d.Where != w {
			continue
		}
		if r.captured {
			d.Before += d.During
		}
		all = append(all, d)
	}
	return all
}

// counted is how many packets the counters of one name have counted.
func counted(all []Drop, name string) (n uint64) {
	for _, d := range all {
		if d.Name == name {
			n += d.Before
		}
	}
	return n
}

const qfpRule = "-------------------------------------------------------------------------\n"

func (s *session) showDataPlane(*call) {
	all := slices.DeleteFunc(s.drops(DataPlane), func(d Drop) bool { return d.Before == 0 })
	s.put("Last clearing of QFP drops statistics : never\n\n")
	if len(all) == 0 {
		s.put("The Global drop stats were all zero\n")
		return
	}
	s.put(qfpRule + "Global Drop Stats                         Packets                  Octets  \n" + qfpRule)
	for _, d := range all {
		s.put("%-30s%19d%24d  \n", d.Name, d.Before, d.Before*200)
	}
}

// ipsecDrops are some of the rows that the router prints in any case.
var ipsecDrops = []string{"IN_V4_PKT_HIT_INVALID_SA", "IN_US_V4_PKT_SA_NOT_FOUND_SPI", "IN_US_CL_V4_PKT_FAILED_POLICY",
	"IN_CD_SW_IPSEC_ANTI_REPLAY_FAIL",
	"OUT_V4_PKT_HIT_IKE_START_SP", "IN_CD_SW_IPSEC_MAC_EXCEPTION", "IN_CRYPTO_THRPUT_POLICY_DROP"}

func (s *session) showIPsecDrops(*call) {
	rule := strings.Repeat("-", 72) + "\n"
	s.put("%sDrop Type  Name                                     Packets\n%s", rule, rule)
	all := s.drops(IPsecDataPlane)
	for _, name := range ipsecDrops {
		if !slices.ContainsFunc(all, func(d Drop) bool { return d.Name == name }) {
			all = append(all, Drop{Name: name})
		}
	}
	for i, d := range all {
		s.put("%9d  %-40s %20d\n", i+1, d.Name, d.Before)
	}
	s.put("\n")
}

// puntCauses are some of the causes for which packets go to the control plane.
var puntCauses = []struct {
	number int
	name   string
}{{11, "For-us data"}, {55, "For-us control"}, {75, "EPC"}}

func (s *session) showPuntPolicer(*call) {
	s.put("%s", "\nPer Punt-Cause Policer Configuration and Packet Counters\n\n\n"+
		"Punt                                Config Rate(pps)     Conform Packets                   Dropped Packets        "+
		"       Config Burst(pkts)  Config Alert\nCause  Description                   Normal   High     Normal           "+
		"High             Normal           High             Normal   High     Normal   High\n"+
		strings.Repeat("-", 157)+"\n")
	all := s.drops(PuntPolicer)
	for _, cause := range puntCauses {
		dropped := counted(all, cause.name)
		s.put("%3d    %-29s %-8d %-8d %-16d %-16d %-16d %-16d %-8d %-8d Off      Off\n", cause.number, cause.name, 40000,
			5000, 14762, 2483788, dropped, 0, 40000, 5000)
	}
}

// showPuntCauses has the received packets of a cause, and fewer that were handed on where a Drop
// says so.
func (s *session) showPuntCauses(*call) {
	rule := "  " + strings.Repeat("-", 96) + "\n"
	table := func(kind string, causes int, rows func()) {
		s.put("  Number of %s causes =   %d\n\n  Per %s Cause Statistics\n"+
			"                                                        Packets               Packets\n"+
			"  Counter ID  %-42sReceived              Transmitted\n%s", strings.ToLower(kind), causes, kind,
			kind+" Cause Name", rule)
		rows()
	}
	row := func(number int, name string, received, sent uint64) {
		s.put("  %03d         %-42s%-22d%d\n", number, name, received, sent)
	}
	all := s.drops(PuntCause)
	s.put("Global Per Cause Statistics\n\n")
	table("Punt", 160, func() {
		for _, cause := range puntCauses {
			row(cause.number, cause.name, 24882279+counted(all, cause.name), 24882279)
		}
	})
	s.put("\n\n")
	table("Inject", 56, func() { row(5, "QFP <->RP keepalive", 303, 0) })
}

func (s *session) showControlPlane(*call) {
	if all := s.drops(ControlPlane); len(all) > 0 {
		s.put("\nControl Plane\n    Service-policy input:COPP\n")
		s.putClasses(all)
	}
}

func (s *session) showWANPolicy(c *call) {
	all := s.drops(WANPolicy)
	if len(all) == 0 || c.words[len(c.words)-1] != s.router.config.WAN {
		return
	}
	s.put(" %s\n\n    Service-policy output:WAN\n", s.router.config.WAN)
	s.putClasses(all)
}

func (s *session) putClasses(all []Drop) {
	for _, d := range append(all, Drop{Name: "class-default"}) {
		s.put("        Class-map:%s (match-any)\n            %d packets, %d bytes\n            5 minute offered rate 0 "+
			"bps, drop rate 0 bps\n", d.Name, d.Before+15, (d.Before+15)*300)
		if d.Name == "class-default" {
			s.put("            Match:any\n")
			continue
		}
		s.put("            Match:access-group 101\n            police:\n                8000 bps, 1500 limit, 1500 "+
			"extended limit\n                conformed 15 packets, 4500 bytes; action:transmit\n                exceeded %d "+
			"packets, %d bytes; action:drop\n                violated 0 packets, 0 bytes; action:drop\n                "+
			"conformed 0 bps, exceed 0 bps, violate 0 bps\n", d.Before, d.Before*300)
	}
}

func (s *session) showInterface(c *call) {
	name := c.words[len(c.words)-1]
	var queue uint64
	if name == s.router.config.WAN {
		for _, d := range s.drops(WANOutputQueue) {
			queue += d.Before
		}
	}
	s.put("%s is up, line protocol is up \n  Hardware is CSR vNIC, address is 0050.56a1.2b3c (bia 0050.56a1.2b3c)\n"+
		"  MTU 1500 bytes, BW 1000000 Kbit/sec, DLY 10 usec, \n     reliability 255/255, txload 1/255, rxload 1/255\n"+
		"  Encapsulation ARPA, loopback not set\n  Keepalive set (10 sec)\n  Last input 00:00:00, output 00:00:00, output "+
		"hang never\n  Last clearing of \"show interface\" counters never\n  Input queue: 0/375/0/0 "+
		"(size/max/drops/flushes); Total output drops: %d\n  Queueing strategy: fifo\n  Output queue: 0/40 (size/max)\n  5 "+
		"minute input rate 0 bits/sec, 0 packets/sec\n  5 minute output rate 0 bits/sec, 0 packets/sec\n     12127 packets "+
		"input, 2297417 bytes, 0 no buffer\n     Received 0 broadcasts (0 IP multicasts)\n     0 runts, 0 giants, 0 "+
		"throttles \n     0 input errors, 0 CRC, 0 frame, 0 overrun, 0 ignored\n     12229 packets output, 2321107 bytes, "+
		"0 underruns\n     0 output errors, 0 collisions, 2 interface resets\n", name, queue)
}

func (s *session) showWANList(c *call) {
	all := s.drops(WANAccessList)
	if len(all) == 0 || c.words[len(c.words)-2] != s.router.config.WAN {
		return
	}
	s.put("Extended IP access list WAN-IN in\n")
	for i, d := range all {
		s.put("    %d %s (%d matches)\n", 10*(i+1), d.Name, d.Before)
	}
}

// showSADrops prints the counters of one SA, if any of them counts.
func (s *session) showSADrops(c *call) {
	all := s.drops(SecurityAssociations)
	if len(all) == 0 || !strings.EqualFold(c.after("vrf"), s.router.wanVRF()) {
		s.put("\nNo SAs found\n")
		return
	}
	s.put("\ninterface: %s\n    Crypto map tag: VPN, local addr 192.0.2.1\n\n    #pkts decaps: 761, #pkts decrypt: 761, "+
		"#pkts verify: 761\n    #pkts no sa (send) 0, #pkts invalid sa (rcv) %d\n    #pkts invalid prot (recv) 0, #pkts "+
		"verify failed: %d\n    #pkts invalid identity (recv) %d, #pkts invalid len (rcv) 0\n    ##pkts replay failed "+
		"(rcv): %d\n", s.router.config.WAN,
		counted(all, "invalid sa (rcv)"), counted(all, "verify failed"), counted(all, "invalid identity (recv)"),
		counted(all, "replay failed (rcv)"))
}
