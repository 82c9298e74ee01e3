package simulator

import (
	"strings"
	"time"
)

// ikeCount is what `show crypto ikev2 stats exchange` has of one exchange: sent and received,
// requests and responses.
type ikeCount struct{ sent, received [2]int }

// ikeExchanges are the exchanges of IKEv2 by their numbers (RFC 7296, Section 3.1), in
// the router's order.
var ikeExchanges = []struct {
	number byte
	name   string
}{{34, "IKE_SA_INIT"}, {35, "IKE_AUTH"}, {36, "CREATE_CHILD_SA"}, {37, "INFORMATIONAL"}}

// countIKE counts a message that IKE received or sent. The router's lock is held.
func (r *Router) countIKE(f frame, sent bool) {
	m, ok := f.ike()
	if !ok || m[17]>>4 != 2 {
		return
	}
	if r.ikeCounts == nil {
		r.ikeCounts = map[byte]*ikeCount{}
	}
	c := r.ikeCounts[m[18]]
	if c == nil {
		c = &ikeCount{}
		r.ikeCounts[m[18]] = c
	}
	response := 0
	if m[19]&flagResponse != 0 {
		response = 1
	}
	if sent {
		c.sent[response]++
	} else {
		c.received[response]++
	}
}

func addIKECounters(exec *node, show func(string, string, int, func(*session, *call))) {
	show("crypto ikev2 stats exchange", "Shows ikev2 exchange stats", 1, (*session).showExchanges)
	show("crypto ikev2 stats timeout", "Shows ikev2 timer stats", 1, (*session).showTimeouts)
	show("monitor event-trace crypto ikev2 error all", "Show all error trace", 1, (*session).showErrorTrace)
	exec.add("show logging process ios start last <1-4294967294> seconds", "Seconds", privileged,
		(*session).showBinaryTrace)
}

func (s *session) showExchanges(*call) {
	r := s.router
	r.mu.Lock()
	defer r.mu.Unlock()
	r.advance()
	s.put("EXCHANGE/NOTIFY                   TX(REQ)    TX(RES)    RX(REQ)    RX(RES)\n\nEXCHANGES\n\n")
	for _, x := range ikeExchanges {
		c := ikeCount{}
		if had := r.ikeCounts[x.number]; had != nil {
			c = *had
		}
		s.put("%-30s%11d%11d%11d%11d\n", x.name, 84+c.sent[0], 19343+c.sent[1], 20740+c.received[0], 83+c.received[1])
	}
	s.put("\nERROR NOTIFY\n\nNO_PROPOSAL_CHOSEN                      0         53          0          0\n")
}

func (s *session) showTimeouts(*call) {
	rule := strings.Repeat("-", 41) + "\n"
	s.put("%sIKEV2 TIMER                     TIMED OUT\n%s", rule, rule)
	all := s.drops(IKETimer)
	for _, name := range []string{"EXT SERVICE TIMER", "AUTH TIMER", "PACKET MAXIMUM RETRANS TIMER",
		"DPD MAX RETRANS TIMER"} {
		s.put("%-31s%10d\n", name, counted(all, name))
	}
}

// showErrorTrace has the form of the trace of events: no error of IKEv2 was published.
func (s *session) showErrorTrace(*call) {
	for _, e := range s.logged(IKEError) {
		s.put("*%s: %s\n", e.at.Format("Jan _2 15:04:05.000"), e.text)
	}
}

func (s *session) showBinaryTrace(c *call) {
	r := s.router
	if !r.config.series17() {
		s.putInvalid(32)
		return
	}
	now, seconds := r.clock(), number(c.after("last"))
	s.put("Logging display requested on %s (UTC) for Hostname: [%s], Model: [C8000V], Version: [%s], SN: [9AE0SR03L76], "+
		"MD_SN: [SSI130300YK]\n\n", now.Format("2006/01/02 15:04:05"), s.router.config.Hostname, r.config.Version)
	s.put("Displaying logs from the last %d days, %d hours, %d minutes, %d seconds\n", seconds/86400, seconds/3600%24,
		seconds/60%60, seconds%60)
	s.put("executing cmd on chassis: local; rp slot: 0;  location: local ...\nUnified Decoder Library Init .. " +
		"DONE\nFound 1 UTF Streams\n\n")
	all := s.logged(BinaryTrace)
	// The process writes much that is not IKE's.
	s.put("%s {iosrp_R0-0}{255}: [parser] [16352]: (note): CMD: terminal length 0\n",
		now.Format("2006/01/02 15:04:05.000000000"))
	for _, e := range all {
		if now.Sub(e.at) <= time.Duration(seconds)*time.Second {
			s.put("%s {iosrp_R0-0}{255}: [ikev2] [16352]: (ERR): %s\n", e.at.Format("2006/01/02 15:04:05.000000000"), e.text)
		}
	}
	rule := strings.Repeat("=", 59) + "\n"
	s.put("%s======= Unified Trace Decoder Information/Statistics ======\n%s UTM [Skipped / Rendered / Total] .. 41935 "+
		"/ %d / 41967\n%s", rule, rule, len(all)+1, rule)
}

// loggedLine is a line that the router wrote, and when.
type loggedLine struct {
	at   time.Time // by its clock
	text string
}

// logged are the lines of a trace, as often as their Drop counts: some before the first capture,
// the others since.
func (s *session) logged(w Where) []loggedLine {
	r := s.router
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []loggedLine
	for _, d := range r.config.Drops {
		if d.Where != w {
			continue
		}
		for range d.Before {
			all = append(all, loggedLine{r.own(r.booted), d.Name})
		}
		for n := range d.During {
			if r.captured {
				all = append(all, loggedLine{r.own(r.capturedAt.Add(time.Duration(n) * time.Millisecond)), d.Name})
			}
		}
	}
	return all
}
