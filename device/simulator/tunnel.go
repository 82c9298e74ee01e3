package simulator

import (
	"net/netip"
	"strings"
	"time"
)

// addCryptoShows adds what is asked about the tunnel. IKE SAs follow the packets that passed;
// Config.Show tells more.
func addCryptoShows(exec *node, show func(string, string, int, func(*session, *call))) {
	text := func(s string) func(*session, *call) {
		return func(session *session, _ *call) { session.put("%s", s) }
	}
	for _, tail := range []string{"", " detailed"} {
		show("crypto ikev2 sa"+tail, "Show IKEv2 SAs", 1, (*session).showIKEv2SA)
	}
	show("crypto ikev2 session", "Show IKEv2 active session information", 1, text(""))
	show("crypto ikev2 session detailed", "Show IKEv2 active session information", 1, text(""))
	show("crypto ikev2 proposal", "Show IKEv2 proposals", 1, text(proposalText))
	show("crypto ikev2 policy", "Show policies", 1, text(policyText))
	show("crypto ikev2 profile", "Shows ikev2 profile", 1, text(""))
	show("crypto ikev2 stats", "Shows ikev2 sa stats", 1, text(statsText))
	show("crypto ikev2 diagnose error", "Shows ikev2 diagnostic", 1,
		text("Exit Path Table - status: enable, current entry 0, deleted 0, max allow 50\n\n"))
	show("monitor event-trace crypto ikev2 event all", "Show all event trace", 1, text(""))
	for _, tail := range []string{"", " detail"} {
		show("crypto isakmp sa"+tail, "Show ISAKMP Security Associations", 1, (*session).showISAKMPSA)
	}
	show("crypto isakmp policy", "Show ISAKMP protection suite policy", 1, text("\nGlobal IKE policy\n"))
	show("crypto ipsec transform-set", "Crypto transform sets", 1, text(transformText))
	show("crypto ipsec profile", "Show ipsec profile information", 1, text(profileText))
	show("crypto map", "Crypto maps", 1, text("        Interfaces using crypto map NiStTeSt1:\n\n"))
	show("crypto ipsec sa", "IPSEC SA table", 1, text("\nNo SAs found\n"))
	ikeSA, session := (*session).showIKEv2SA, (*session).showSession
	show("crypto session", "Show crypto sessions", 1, session)
	show("crypto session detail", "Show crypto sessions", 1, session)
	for _, address := range []string{"A.B.C.D", "X:X:X:X::X"} {
		show("crypto ikev2 sa remote "+address, "Show IKEv2 SAs", 1, ikeSA)
		show("crypto ikev2 sa remote "+address+" detailed", "Show IKEv2 SAs", 1, ikeSA)
		show("crypto ipsec sa peer "+address, "IPSEC SA table", 1, text("\nNo SAs found\n"))
		show("crypto ipsec sa peer vrf WORD "+address, "IPSEC SA table", 1, inVRF(text("\nNo SAs found\n")))
		show("crypto session remote "+address, "Show crypto sessions", 1, session)
		show("crypto session remote "+address+" detail", "Show crypto sessions", 1, session)
	}
}

const proposalText = ` IKEv2 proposal: default
     Encryption : AES-CBC-256
     Integrity  : SHA512 SHA384
     PRF        : SHA512 SHA384
     DH Group   : DH_GROUP_256_ECP/Group 19 DH_GROUP_2048_MODP/Group 14 DH_GROUP_521_ECP/Group 21 DH_GROUP_1536_MODP/Group 5
`

const policyText = `
 IKEv2 policy : default
      Match fvrf : any
      Match address local : any
      Proposal    : default
`

const statsText = `--------------------------------------------------------------------------------
                          Crypto IKEv2 SA Statistics
--------------------------------------------------------------------------------
System Resource Limit:   0        Max IKEv2 SAs: 0        Max in nego(in/out): 40/400
Total incoming IKEv2 SA Count:    0        active:        0        negotiating: 0     
Total outgoing IKEv2 SA Count:    0        active:        0        negotiating: 0     
Incoming IKEv2 Requests: 0        accepted:      0        rejected:    0       
Outgoing IKEv2 Requests: 0        accepted:      0        rejected:    0       
Rejected IKEv2 Requests: 0        rsrc low:      0        SA limit:    0       
IKEv2 packets dropped at dispatch: 0       
Incoming Requests dropped as LOW Q limit reached : 0       
Incoming IKEV2 Cookie Challenged Requests: 0       
    accepted: 0        rejected: 0        rejected no cookie: 0       
`

const transformText = `Transform set default: { esp-aes esp-sha-hmac  } 
   will negotiate = { Transport,  }, 

`

const profileText = `IPSEC profile default
	Security association lifetime: 4608000 kilobytes/3600 seconds
	Responder-Only (Y/N): N
	PFS (Y/N): N
	Mixed-mode : Disabled
	Transform sets={ 
		default:  { esp-aes esp-sha-hmac  } , 
	}

`

// addTunnel adds what makes the tunnel negotiate, or carries test traffic, or traces.
func addTunnel(exec *node) {
	cleared := (*session).clearSAs
	for _, address := range []string{"A.B.C.D", "X:X:X:X::X"} {
		exec.add("clear crypto session remote "+address, "Clear crypto sessions", privileged, cleared)
		exec.add("clear crypto session remote "+address+" fvrf WORD", "Clear crypto sessions of a front-door VRF", privileged,
			inVRF(cleared))
		exec.add("clear crypto sa peer "+address, "Clear all crypto SAs for a given crypto peer", privileged, cleared)
		exec.add("clear crypto sa peer vrf WORD "+address, "Clear all crypto SAs for a given crypto peer", privileged,
			inVRF(cleared))
		exec.add("clear crypto ikev2 sa remote "+address, "Clear IKEv2 SAs", privileged, cleared)
		exec.add("debug crypto condition peer ipv4|ipv6 "+address, "Set conditional debug filters", privileged,
			condition(true))
		exec.add("no debug crypto condition peer ipv4|ipv6 "+address, "Set conditional debug filters", privileged,
			condition(false))
		for _, vrf := range []string{"", "vrf WORD "} {
			exec.add("ping "+vrf+address, "Send echo messages", 1, (*session).ping)
			exec.add("ping "+vrf+"ip|ipv6 "+address, "Send echo messages", 1, (*session).ping)
			exec.add("ping "+vrf+address+" repeat <1-2147483647>", "specify repeat count", 1, (*session).ping)
			exec.add("ping "+vrf+address+" source INTERFACE", "specify source address or name", 1, (*session).ping)
			exec.add("ping "+vrf+address+" source "+address, "specify source address or name", 1, (*session).ping)
			exec.add("ping "+vrf+address+" source INTERFACE repeat <1-2147483647>", "specify repeat count", 1, (*session).ping)
		}
	}
	exec.add("clear crypto session", "Clear crypto sessions", privileged, cleared)
	exec.add("clear crypto ikev2 sa", "Clear IKEv2 SAs", privileged, cleared)
	exec.add("clear logging", "Clear logging buffer", privileged, (*session).clearLogging)
	exec.add("debug crypto ikev2", "IKEv2 debug", privileged, (*session).debugIKE)
	exec.add("no debug crypto ikev2", "IKEv2 debug", privileged, (*session).undebug)
	exec.add("undebug all", "Enable all debugging", privileged, (*session).undebug)
	exec.add("no debug all", "Enable all debugging", privileged, (*session).undebug)
}

// inVRF refuses a VRF that does not exist, in the router's own words: without a percent sign.
func inVRF(run func(*session, *call)) func(*session, *call) {
	return func(s *session, c *call) {
		if name := c.after("fvrf") + c.after("vrf"); !contains(s.router.config.VRFs, name) {
			s.put(" No VRF named %s exists\n", name)
			return
		}
		run(s, c)
	}
}

func (s *session) clearLogging(*call) {
	if s.confirm("Clear logging buffer ") {
		s.router.mu.Lock()
		s.router.logging = nil
		s.router.mu.Unlock()
	}
}

func condition(set bool) func(*session, *call) {
	return func(s *session, c *call) {
		s.router.mu.Lock()
		defer s.router.mu.Unlock()
		what := "condition peer ipv4 " + c.words[len(c.words)-1]
		delete(s.router.debugs, what)
		if set {
			s.router.debugs[what] = true
		}
	}
}

func (s *session) debugIKE(*call) {
	r := s.router
	r.mu.Lock()
	defer r.mu.Unlock()
	r.debugs["IKEv2 default"] = true
	s.put("IKEv2 default debugging is on\n")
	for _, l := range r.config.DebugLog {
		r.log(l)
	}
}

func (s *session) undebug(c *call) {
	r := s.router
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.words[len(c.words)-1] == "all" {
		clear(r.debugs)
		s.put("All possible debugging has been turned off\n")
		return
	}
	delete(r.debugs, "IKEv2 default")
	s.put("IKEv2 default debugging is off\n")
}

// ping sends echoes, which all come back unless the WAN interface is down or the
// VRF does not exist.
func (s *session) ping(c *call) {
	to, count := "", 5
	for _, w := range c.words {
		if a, err := netip.ParseAddr(w); err == nil && to == "" {
			to = showAddress(a)
		}
	}
	if n := c.after("repeat"); n != "" {
		count = number(n)
	}
	r := s.router
	if vrf := c.after("vrf"); vrf != "" && !contains(r.config.VRFs, vrf) {
		s.put("%% VRF %s does not exist\n", vrf)
		return
	}
	r.mu.Lock()
	down := r.running.down[r.config.WAN]
	r.mu.Unlock()
	s.put("Type escape sequence to abort.\nSending %d, 100-byte ICMP Echos to %s, timeout is 2 seconds:\n", count, to)
	if source := c.after("source"); source != "" {
		s.put("Packet sent with a source address of %s \n", s.router.sourceAddress(source))
	}
	s.term.print(s.takeOutput())
	mark, got := "!", count
	if down {
		mark, got = ".", 0
	}
	for i := range count {
		if i > 0 && i%70 == 0 {
			s.term.print("\r\n")
		}
		s.term.print(mark)
		if !down {
			continue
		}
		if err := s.term.pause(2*time.Second, r.quit); err != nil {
			s.abandoned = err
			return
		}
	}
	tail := ""
	if got > 0 {
		tail = ", round-trip min/avg/max = 1/1/2 ms"
	}
	s.put("\nSuccess rate is %d percent (%d/%d)%s\n", 100*got/count, got, count, tail)
}

func (r *Router) sourceAddress(source string) string {
	for _, i := range r.config.Interfaces {
		if i.Name == source {
			return showAddress(i.Address)
		}
	}
	return source
}

func contains(all []string, one string) bool {
	for _, x := range all {
		if strings.EqualFold(x, one) {
			return true
		}
	}
	return false
}
