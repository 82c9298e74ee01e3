package iosxe

import (
	"fmt"
	"net/netip"

	"github.com/moncap/moncap/internal/lazyregexp"
)

func exec(name, line string) Command { return Command{Name: name, Mode: Exec, Lines: []string{line}} }

func answer(prompt *lazyregexp.Regexp) Answer { return Answer{Prompt: prompt.Get()} }

func withAnswers(c Command, a ...Answer) Command {
	c.Answers = a
	return c
}

// TerminalLength turns the pager of the session off.
func TerminalLength() Command { return exec("terminal-length", "terminal length 0") }

// TerminalWidth keeps the router from scrolling long lines sideways.
func TerminalWidth() Command { return exec("terminal-width", "terminal width 512") }

// ShowCaptures lists every capture point of the router.
func ShowCaptures() Command { return exec("show-captures", "show monitor capture") }

// ShowCapture shows one capture point: state, filter, buffer, limits.
func ShowCapture(n Name) Command { return exec("show-capture", "show monitor capture "+n.s) }

// ShowCaptureParameter has the router replay the commands that made a capture point.
func ShowCaptureParameter(n Name) Command {
	return exec("show-capture-parameter", "show monitor capture "+n.s+" parameter")
}

// ShowBuffer shows how full the buffer is and what was dropped.
func ShowBuffer(n Name) Command {
	return exec("show-capture-buffer", "show monitor capture "+n.s+" buffer")
}

// ShowBrief lists the packets of the buffer, a line each: nine megabytes for as many packets as a
// buffer may have.
func ShowBrief(n Name) Command {
	c := exec("show-capture-brief", "show monitor capture "+n.s+" buffer brief")
	c.Slow, c.Bulk = true, true
	return c
}

// ShowDump prints the bytes of every packet of the buffer.
func ShowDump(n Name) Command {
	c := exec("show-capture-dump", "show monitor capture "+n.s+" buffer dump")
	c.Slow, c.Bulk = true, true
	return c
}

// Dir lists bootflash: and its free space.
func Dir() Command { return exec("dir", "dir bootflash:") }

// DirFile lists one file, or is refused with Missing.
func DirFile(f File) Command { return exec("dir-file", "dir "+f.String()) }

// VerifyMD5 has the router compute the MD5 of a file.
func VerifyMD5(f File) Command {
	c := exec("verify-md5", "verify /md5 "+f.String())
	c.Slow = true
	return c
}

// DeleteFile deletes a file without asking.
func DeleteFile(f File) Command { return exec("delete-file", "delete /force "+f.String()) }

// ShowVersion shows platform, software and uptime.
func ShowVersion() Command { return exec("show-version", "show version") }

// ShowRedundancy shows since when the router is up, and since when the processor that answers is
// the active one.
func ShowRedundancy() Command { return exec("show-redundancy", "show redundancy") }

// ShowSDWAN shows the version of the SD-WAN software, of a router that a controller configures.
// Others refuse it.
func ShowSDWAN() Command { return exec("show-sdwan-version", "show sdwan version") }

// ShowClock shows the time of day and where it comes from.
func ShowClock() Command { return exec("show-clock", "show clock detail") }

// ShowNTP shows whether the clock is synchronised.
func ShowNTP() Command { return exec("show-ntp", "show ntp status") }

// ShowPrivilege shows the privilege level of the session.
func ShowPrivilege() Command { return exec("show-privilege", "show privilege") }

// ShowInterfaces lists the interfaces with their IPv4 addresses and states.
func ShowInterfaces() Command { return exec("show-interfaces", "show ip interface brief") }

// ShowACL shows one access list, of IPv4 or IPv6. It prints nothing when there is
// none of that name.
func ShowACL(n Name) Command { return exec("show-acl", "show access-lists "+n.s) }

// ShowACLs shows all access lists.
func ShowACLs() Command { return exec("show-acls", "show access-lists") }

// ShowCPU shows the load of the control plane, in one line.
func ShowCPU() Command {
	return exec("show-cpu", "show processes cpu | include CPU utilization")
}

// ShowMemory shows the memory pools.
func ShowMemory() Command { return exec("show-memory", "show memory statistics") }

// ShowUsers shows who is logged in, and on which lines.
func ShowUsers() Command { return exec("show-users", "show users") }

// ShowLines shows the terminal lines.
func ShowLines() Command { return exec("show-lines", "show line") }

// ShowLog shows the router's log buffer, where debug output goes.
func ShowLog() Command {
	c := exec("show-log", "show logging")
	c.Slow, c.Log = true, true
	return c
}

// ShowDebug shows which debugs are on.
func ShowDebug() Command { return exec("show-debug", "show debugging") }

// ShowIKEv2SA shows the IKEv2 SAs with one peer: state, SPIs, NAT, DPD. Those of a whole
// hub are megabytes.
func ShowIKEv2SA(peer netip.Addr) (Command, error) {
	return about("show-ikev2-sa", "show crypto ikev2 sa remote %s detailed", peer)
}

// ShowIKEv2Proposal shows the configured IKEv2 proposals.
func ShowIKEv2Proposal() Command { return exec("show-ikev2-proposal", "show crypto ikev2 proposal") }

// ShowIKEv2Policy shows the configured IKEv2 policies.
func ShowIKEv2Policy() Command { return exec("show-ikev2-policy", "show crypto ikev2 policy") }

// ShowIKEv2Profile shows the configured IKEv2 profiles.
func ShowIKEv2Profile() Command { return exec("show-ikev2-profile", "show crypto ikev2 profile") }

// ShowIKEv2Stats shows the counters of IKEv2: exchanges, retransmissions, failures.
func ShowIKEv2Stats() Command { return exec("show-ikev2-stats", "show crypto ikev2 stats") }

// ShowIKEv2Diagnose shows the router's own list of recent IKEv2 errors.
func ShowIKEv2Diagnose() Command {
	return exec("show-ikev2-diagnose", "show crypto ikev2 diagnose error")
}

// ShowEventTrace shows the always-on trace of IKEv2 events.
func ShowEventTrace() Command {
	return exec("show-event-trace", "show monitor event-trace crypto ikev2 event all")
}

// ShowISAKMPSA shows the IKEv1 SAs.
func ShowISAKMPSA() Command { return exec("show-isakmp-sa", "show crypto isakmp sa") }

// ShowISAKMPPolicy shows the configured IKEv1 policies.
func ShowISAKMPPolicy() Command { return exec("show-isakmp-policy", "show crypto isakmp policy") }

// ShowTransformSet shows the configured IPsec transform sets.
func ShowTransformSet() Command {
	return exec("show-transform-set", "show crypto ipsec transform-set")
}

// ShowIPsecProfile shows the configured IPsec profiles.
func ShowIPsecProfile() Command { return exec("show-ipsec-profile", "show crypto ipsec profile") }

// ShowCryptoMap shows the configured crypto maps.
func ShowCryptoMap() Command { return exec("show-crypto-map", "show crypto map") }

// ShowIPsecSA shows the child SAs with one peer: SPIs and counters. fvrf is the front-door VRF, in
// which the peer is reached: without it the router looks in the global table alone (Cisco IOS
// Security Command Reference, "show crypto ipsec sa").
func ShowIPsecSA(peer netip.Addr, fvrf VRF) (Command, error) {
	return about("show-ipsec-sa", "show crypto ipsec sa peer "+fvrf.before()+"%s", peer)
}

// ShowCryptoSession shows the crypto session with one peer.
func ShowCryptoSession(peer netip.Addr) (Command, error) {
	return about("show-crypto-session", "show crypto session remote %s detail", peer)
}

// ShowDrops are the shows that count what the router did not let through, the packets of everybody:
// the data plane's, those of IPsec, what was kept from the control plane, and on one interface its
// queues, its policy and the access list in front of it. A release, a platform or an account may
// have none of them.
func ShowDrops(i Interface) []Command {
	return []Command{
		exec("show-qfp-drops", "show platform hardware qfp active statistics drop"),
		exec("show-ipsec-drops", "show platform hardware qfp active feature ipsec datapath drops all"),
		exec("show-punt-policer", "show platform software punt-policer"),
		exec("show-punt-causes", "show platform hardware qfp active infrastructure punt statistics type per-cause"),
		exec("show-control-plane-policy", "show policy-map control-plane"),
		exec("show-interface", "show interfaces "+i.s),
		exec("show-interface-policy", "show policy-map interface "+i.s),
		exec("show-interface-acl", "show ip access-lists interface "+i.s+" in"),
	}
}

// ShowIKEv2Exchanges counts the messages of each exchange of IKEv2, with everybody:
// see ParseExchanges.
func ShowIKEv2Exchanges() Command {
	return exec("show-ikev2-stats-exchange", "show crypto ikev2 stats exchange")
}

// ShowIKECounters are the shows of IKEv2 about itself whose outputs are compared: how many
// messages of each exchange it counted, which of its timers ran out, and what it wrote of errors.
// They are everybody's.
func ShowIKECounters() []Command {
	return []Command{
		ShowIKEv2Exchanges(),
		exec("show-ikev2-stats-timeout", "show crypto ikev2 stats timeout"),
		exec("show-event-trace-error", "show monitor event-trace crypto ikev2 error all"),
	}
}

// ShowIPsecSADetail shows the child SAs with one peer, and what each did not pass: replays, failed
// checks, wrong identities.
func ShowIPsecSADetail(peer netip.Addr, fvrf VRF) (Command, error) {
	return about("show-ipsec-sa-detail", "show crypto ipsec sa peer "+fvrf.before()+"%s detail", peer)
}

func about(name, format string, peer netip.Addr) (Command, error) {
	a, err := hostAddr(peer)
	if err != nil {
		return Command{}, fmt.Errorf("%s: %w", name, err)
	}
	return exec(name, fmt.Sprintf(format, a)), nil
}
