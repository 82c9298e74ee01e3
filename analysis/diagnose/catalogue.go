// Code generated from findings.yaml by gen.go; DO NOT EDIT.

package diagnose

var catalogue = []Entry{
	{
		Code: "tunnel-established", Severity: "info",
		Title: "The tunnel came up",
		Certain: "after the responder accepted (IKE_AUTH response with room for SA+TSi+TSr, or keys; IKEv1: Quick Mode of " +
			"3 messages), the initiator is seen to accept too: ESP of the new SPIs from it, or an exchange of the SA " +
			"that it begins or answers",
		Probable: "the responder accepted and the capture ends before the initiator shows anything; response size admits " +
			"both an error and a CHILD_SA; an SA older than the captures that answers in both directions (then who " +
			"began it is not told)",
		WrongIf: "The initiator rejected the answer after all, and what it is seen to do afterwards is no use of the SA " +
			"but its end.",
		Meaning: "Both sides authenticated each other and agreed on a child SA, so traffic can be protected. It is a " +
			"claim about both sides: that the responder accepted is seen in its answer, that the initiator accepted " +
			"too only in what it does next.",
		Proof: "A complete IKE_AUTH exchange whose response begins with the responder's identity (or a vendor ID) and " +
			"is long enough for SA, TSi and TSr, and then something of the initiator's: its ESP with the new SPIs, or " +
			"an exchange that it begins or answers. In IKEv1, all three Quick Mode messages. Where the capture ends " +
			"before the initiator shows anything, or the SA is older than the captures, it is probable.",
		Todo: "Nothing for the negotiation itself. If traffic still does not flow, look at the ESP findings, the " +
			"routes and the crypto ACL; `show crypto ipsec sa` counts packets in each direction.",
		Fields: []string{"initiator", "version", "spi_i", "spi_r", "port", "setup_time_ms"},
		Layer:  "life",
	},
	{
		Code: "no-ike-traffic", Severity: "critical",
		Title:    "No IKE in either capture",
		Certain:  "neither side's capture holds an IKE packet though both were active",
		Probable: "nor do these, but one of them cut TCP segments short, which may have held it",
		WrongIf: "One of the captures could not have shown the tunnel: it is of another interface, or holds what is not " +
			"read.",
		Action: "show crypto session / interesting traffic / crypto map or tunnel protection applied / route to the " +
			"peer",
		Meaning: "Neither capture holds a single IKE message between the peers, and no ESP either. Nothing triggered the " +
			"tunnel, or IKE leaves by an interface that was not captured. Without traffic nothing is known of the " +
			"tunnel, so the verdict is inconclusive: exit status 3, not 2.",
		Proof: "Two captures and no IKE message in either. Whether a capture without any packet would have seen one is " +
			"said to be open. Where one cut TCP segments short, IKE in TCP may be among them: then it is probable.",
		Todo: "Send interesting traffic to force a start (or clear what is left of this tunnel alone: `clear crypto " +
			"session remote` and the peer's address), and check that the crypto map or tunnel protection is applied " +
			"to the captured interface and that the route to the peer leaves by it: `show crypto session`, `show " +
			"crypto map`, `show ip route`.",
		Layer:  "capture",
		Frames: "none",
	},
	{
		Code: "nat-t-blocked", Severity: "critical",
		Title:   "UDP 4500 is blocked although UDP 500 passes",
		Certain: "path-blocked for UDP 4500 while UDP 500 passed in the same direction",
		WrongIf: "UDP 500 is lost in that direction as well, or the receiver's capture hides UDP 4500.",
		Action:  "permit udp 4500 through the middle device",
		Meaning: "The negotiation starts on UDP 500, finds a NAT and moves to UDP 4500, and there it ends: a firewall " +
			"permits isakmp but not non500-isakmp.",
		Proof:    "Messages on UDP 500 arrive in a direction in which messages on UDP 4500 are all lost.",
		Todo:     "Permit UDP 4500 (non500-isakmp) in that direction on the device in the middle.",
		Fields:   []string{"direction", "lost", "sent"},
		Under:    []string{"icmp-rejected"},
		Layer:    "path",
		Explains: "silence",
	},
	{
		Code: "path-blocked", Severity: "critical",
		Title: "Packets vanish between the two sides",
		Certain: "at least two transmissions of one or more messages in one direction at the sender, none at the " +
			"receiver, and the receiver's capture is known to work",
		Probable: "one transmission only, or the receiver's capture is empty (nothing proves that it worked)",
		WrongIf: "The receiver's capture did not work at that time, is of another interface, or its filter hides the " +
			"packets.",
		Action: "name the side whose packets vanish, the direction, UDP port and the message that is lost; check " +
			"ACLs/firewalls/routing on the path; permit udp 500/4500 and protocol 50",
		Meaning: "One side sends and the other side's capture, which demonstrably works, never shows the packets. " +
			"Something between the two capture points drops everything of that kind in that direction.",
		Proof: "At least two transmissions in the sender's capture, none in the receiver's, and other packets in the " +
			"receiver's capture around the same moments. With one transmission only, or with an empty receiver's " +
			"capture, it is probable; where nothing is in both captures, though each holds packets of that direction, " +
			"possible.",
		Todo: "Ask whoever runs the path for the drop in that direction: ACLs, firewalls, NAT and routing. UDP 500, " +
			"UDP 4500 and IP protocol 50 must pass both ways. `traceroute` from the sender narrows it down.",
		Fields:   []string{"direction", "protocol", "port", "phase", "lost", "sent"},
		Under:    []string{"icmp-rejected", "packet-too-big", "wrong-peer-address", "mtu-black-hole", "capture-empty"},
		Layer:    "path",
		Explains: "silence",
	},
	{
		Code: "egress-drop", Severity: "warning",
		Title:   "The router drops packets behind its own capture",
		Certain: "a message that does not arrive is dropped behind the sender's capture by the sender's own packet trace",
		Probable: "messages that leave in one capture do not arrive in the other, and the sender's interface, its output " +
			"policy or its queues dropped as many packets or more in that time",
		WrongIf: "The traced packet is another one of the same ports and the same moment.",
		Action:  "the queue and the policy of the sender's interface",
		Meaning: "A capture takes outgoing packets before the interface's queue. What the queue or the output policy " +
			"drops is in the sender's capture and looks lost on the path.",
		Proof: "Lost messages of a direction, and counters of the sender's output drops that grew between the beginning " +
			"and the end of the run by at least as many packets. They count everybody's packets: only a packet trace " +
			"(run --packet-trace) makes it certain.",
		Todo:   "Give IKE a class with a guaranteed rate in the output policy; look at what fills the queue.",
		Fields: []string{"direction", "counters", "dropped", "lost", "trace"},
		Layer:  "path",
		Frames: "none",
	},
	{
		Code: "path-loss", Severity: "warning",
		Title:    "The path loses some of the packets",
		Certain:  "some transmissions in a direction lost, others delivered",
		Probable: "nothing is in both captures, each of which holds packets of that direction: possible",
		WrongIf:  "The receiver's capture left packets out, or had not begun or had ended when they came.",
		Meaning: "Part of what one side sends in a direction arrives and part does not. IKE repeats itself, so tunnels " +
			"usually still come up, but slowly.",
		Proof: "Lost and delivered transmissions in the same direction, both proven by the two captures. Where nothing " +
			"is in both, though each holds packets of that direction, it is possible: they may be of different times, " +
			"or each may miss packets.",
		Todo: "Look for errors, policers and full queues along that direction: `show interfaces`, `show policy-map " +
			"interface`.",
		Fields: []string{"direction", "protocol", "port", "lost", "sent", "loss_ratio"},
		Under: []string{"egress-drop", "icmp-rejected", "packet-too-big", "mtu-black-hole", "ip-fragments-lost",
			"ike-fragments-lost"},
		Layer:    "loss",
		Explains: "silence",
	},
	{
		Code: "icmp-rejected", Severity: "critical",
		Title:    "A device refuses the packets and says so",
		Certain:  "an ICMP/ICMPv6 unreachable or time-exceeded quoting one of the tunnel's IKE/ESP packets",
		Probable: "the capture cut the quote before its ports, and a packet of the tunnel had just gone the same way",
		WrongIf:  "The error is about packets of another tunnel, or somebody forged it: ICMP is not authenticated.",
		Action: "rejected_by is the address of the device that refused; by the code: admin-prohibited = filter, port = " +
			"IKE not listening on the peer, host/net = routing, frag-needed = MTU, protocol = ESP refused",
		Meaning: "A router, firewall or host answered packets of the tunnel with an ICMP error. Its source address is the " +
			"device that refused and its code is the reason. What was over when the tunnel came up is information. " +
			"What goes to another gateway than the two sides is a warning where nobody said which tunnel is meant, " +
			"and else no finding. A redirect and a source quench are none: what they are about was passed on.",
		Proof: "The ICMP error in one of the captures; it quotes the refused packet. Where the capture cut the quote " +
			"before its ports, as one of 96 bytes does with IPv6, the tunnel's packet that had just gone between the " +
			"same addresses tells.",
		Todo: "Go to the device named in rejected_by. Administratively prohibited: a filter there. Port unreachable: " +
			"nothing listens for IKE on that peer. Host or network unreachable: no route or no neighbour. Time " +
			"exceeded: a routing loop. Protocol unreachable: ESP is refused.",
		Fields:   []string{"icmp_type", "icmp_code", "meaning", "rejected_by", "direction"},
		Under:    []string{"wrong-peer-address", "nat-mapping-changed", "redirected"},
		Layer:    "route",
		Explains: "silence",
	},
	{
		Code: "ip-fragments-lost", Severity: "critical",
		Title: "IP fragments of the tunnel are dropped",
		Certain: "IP fragments of a datagram of the tunnel (IKE, ESP, AH, ESP in UDP; IPv4 and IPv6) at the sender, not " +
			"all of them at the receiver, while unfragmented packets of that direction arrive",
		Probable: "some of the fragments arrive and others do not, and nothing of that direction was sent unfragmented",
		WrongIf:  "A capture's filter hides further fragments, which carry no ports, and the path does not drop them.",
		Action:   "crypto ikev2 fragmentation mtu 1200 on both sides; permit fragments; path MTU",
		Meaning: "A packet of the tunnel was larger than the interface's MTU, so it left as IP fragments, and not all of " +
			"them arrived, while small packets pass. Firewalls and carriers often drop fragments. Where the only " +
			"capture holds no further fragment at all, it is a warning and possible: its filter may hide them.",
		Proof: "All fragments of the datagram in the sender's capture and fewer in the receiver's, with unfragmented " +
			"packets delivered in the same direction. The protocol says whether it is IKE, ESP or AH.",
		Todo: "For IKEv2, let it fragment by itself what comes after IKE_SA_INIT: `crypto ikev2 fragmentation mtu " +
			"1200` on both sides. It never splits IKE_SA_INIT itself: offer fewer proposals there, and a smaller key " +
			"exchange. In either version a shorter certificate chain helps. For traffic, find the path's MTU with " +
			"`ping` and `df-bit`, and keep packets below it with `ip mtu` and `ip tcp adjust-mss`. Or permit IP " +
			"fragments on the path.",
		Fields:   []string{"direction", "protocol", "datagram_size", "fragments_sent", "fragments_seen"},
		Under:    []string{"packet-too-big", "icmp-rejected"},
		Layer:    "size",
		Explains: "silence",
	},
	{
		Code: "ike-fragments-lost", Severity: "critical",
		Title:   "Some fragments of an IKE message are lost",
		Certain: "SKF fragments of one message at the sender, not all at the receiver",
		WrongIf: "The missing parts came with a later sending of the message.",
		Meaning: "The message was split by IKE itself (RFC 7383) and the receiver did not get every part, so it could not " +
			"put it together.",
		Proof: "The SKF fragments one to n at the sender, and fewer of them at the receiver.",
		Todo: "Lower the fragment size with `crypto ikev2 fragmentation mtu` on the sender, and look for loss or a " +
			"small MTU on the path.",
		Fields:   []string{"direction", "fragments_sent", "fragments_seen"},
		Under:    []string{"path-blocked", "mtu-black-hole"},
		Layer:    "size",
		Explains: "silence",
	},
	{
		Code: "packet-too-big", Severity: "critical",
		Title:   "Packets exceed the path's MTU",
		Certain: "ICMP frag-needed / ICMPv6 packet-too-big quoting the tunnel's packets, with the next-hop MTU",
		WrongIf: "The error has another reason than the size, or somebody forged it: ICMP is not authenticated.",
		Action:  "crypto ikev2 fragmentation, ip mtu / tcp adjust-mss, df-bit",
		Meaning: "A router on the path reported that a packet of the tunnel does not fit its next link and must not be " +
			"fragmented.",
		Proof: "An ICMP fragmentation-needed or ICMPv6 packet-too-big message that quotes a packet of the tunnel and " +
			"names the next link's MTU.",
		Todo: "Keep packets below the MTU named: for what comes after IKE_SA_INIT `crypto ikev2 fragmentation mtu`, " +
			"for IKE_SA_INIT itself, which is never split, fewer proposals and a smaller key exchange, for traffic " +
			"`ip mtu` and `ip tcp adjust-mss` on the tunnel. Or, over IPv4, clear the DF bit of ESP with `crypto " +
			"ipsec df-bit clear`.",
		Fields:   []string{"direction", "mtu", "reported_by"},
		Layer:    "route",
		Explains: "silence",
	},
	{
		Code: "mtu-black-hole", Severity: "critical",
		Title:    "Large packets vanish, small ones pass",
		Certain:  "never",
		Probable: "packets above a size are lost and below it arrive, at least 5 of each, without any ICMP",
		Meaning: "Everything above a certain size is lost and everything below arrives, and no device says why. A link on " +
			"the path has a smaller MTU and its ICMP messages are filtered.",
		Proof: "At least five lost packets, all larger than every one of at least five delivered ones, and no ICMP " +
			"error. It is an inference from sizes and never certain.",
		Todo: "Keep packets below the smallest size that was lost: `crypto ikev2 fragmentation`, `ip mtu`, `ip tcp " +
			"adjust-mss`; and let ICMP type 3 code 4 pass.",
		Fields:   []string{"direction", "largest_delivered", "smallest_lost"},
		Under:    []string{"packet-too-big"},
		Layer:    "size",
		Explains: "silence",
	},
	{
		Code: "esp-blocked", Severity: "critical",
		Title: "ESP is blocked although IKE passes",
		Certain: "ESP (protocol 50 or UDP 4500) of an SPI leaves the sender, none of it reaches the receiver, while IKE " +
			"passes in that direction",
		Probable: "the receiver's capture holds nothing from before or nothing from after it, and IKE passes in that " +
			"direction; or it holds nothing that came in; possible: neither capture does",
		WrongIf: "The receiver's capture cannot show ESP: its filter matches IKE alone.",
		Meaning: "The sender encrypts, and none of its ESP packets reaches the other side, or none any more from some " +
			"moment on. A filter permits IKE and not ESP, or a device on the path lost its state. Where IKE of that " +
			"direction arrives on the very UDP 4500 that carries the ESP, no filter of ports does that: a device " +
			"looks into the payload, or drops by size.",
		Proof: "Packets of one ESP SPI in the sender's capture, none of them in the receiver's to its end, although " +
			"that holds packets from before and after them. Where it does not, it may not have begun, or have ended: " +
			"then it is probable, and only while IKE messages arrive in the same direction. So it is where the " +
			"receiver's capture holds nothing at all that came in, since it may be of one direction only; where " +
			"neither capture does, it is no more than possible.",
		Todo: "Permit IP protocol 50 on the path (or UDP 4500 when ESP is encapsulated). Where that cannot be had, " +
			"force UDP encapsulation. Where IKE passes on UDP 4500, look for IPsec pass-through or an ALG, deep " +
			"inspection, a NAT, the MTU.",
		Fields: []string{"direction", "spi", "encapsulation", "sent"},
		Under:  []string{"nat-mapping-changed", "icmp-rejected", "nat-float-missing", "packet-too-big"},
		Layer:  "traffic",
		Stops:  true,
	},
	{
		Code: "ipsec-drop", Severity: "warning",
		Title:    "IPsec drops packets inside the router",
		Certain:  "a packet trace of the router has ESP or AH of the tunnel dropped",
		Probable: "always; protected traffic is in the capture, and counters of the SAs with this peer grew in that time",
		WrongIf:  "The traced packet belongs to another tunnel.",
		Action:   "what the counter names: the anti-replay window, the SA, the licensed throughput",
		Meaning: "IPsec received or was to send packets and dropped them. The counter's name says why: an SPI that it " +
			"does not know, a sequence number outside of the window, an integrity check that fails, a throughput that " +
			"is not licensed.",
		Proof: "Counters of IPsec that grew between the beginning and the end of the run. Those of the data plane count " +
			"everybody's packets: then it is only possible. A packet trace (run --packet-trace) that has the packet " +
			"dropped is proof.",
		Todo: "`show crypto ipsec sa peer ADDR detail` counts by SA. Replays want a larger window, unknown SPIs " +
			"`crypto isakmp invalid-spi-recovery` or a look at why the peers' SAs differ.",
		Fields: []string{"dropping_side", "counters", "dropped", "trace"},
		Under:  []string{"esp-stale-spi", "esp-replay-window-exceeded", "esp-sequence-restart", "payload-altered"},
		Layer:  "traffic",
		Frames: "none",
	},
	{
		Code: "esp-one-way", Severity: "critical",
		Title: "Only one side sends protected traffic",
		Certain: "ESP is sent in one direction only over a time in which replies are due, nothing lost on the path: the " +
			"silent side does not encrypt",
		Probable: "always",
		Action:   "show crypto ipsec sa (encaps/decaps), routing and crypto ACL/NAT exemption on the silent side",
		Meaning: "ESP of one side arrives, and the other side sends none back although replies are due. Nothing is lost " +
			"on the path: the silent side does not encrypt, or its replies take another way.",
		Proof: "ESP of one direction delivered over a span in which answers must come, and none of the other direction " +
			"in either capture, from the beginning or from a moment on. Traffic that wants no reply looks the same, " +
			"so this is never certain. Where the captures end a few seconds after a side that always answered falls " +
			"silent, it is possible, and a warning, unless it fell silent with new SAs.",
		Todo: "On the silent side compare encaps and decaps in `show crypto ipsec sa`. If decaps grow and encaps do " +
			"not: routing, crypto ACL or a missing NAT exemption. If decaps do not grow: `show platform hardware qfp " +
			"active feature ipsec datapath drops all`.",
		Fields: []string{"silent_side", "spi"},
		Under: []string{"quick-mode-stalled", "ipsec-drop", "esp-blocked", "icmp-rejected", "invalid-spi",
			"esp-stale-spi", "esp-sequence-restart", "traffic-in-clear"},
		Layer: "traffic",
	},
	{
		Code: "esp-loss", Severity: "warning",
		Title:   "Some ESP packets are lost on the path",
		Certain: "ESP sequence numbers of an SPI at the sender missing at the receiver",
		Probable: "the receiver's capture holds nothing that came in; it alone lacks numbers between others, and none of " +
			"what its own side sent; possible: nothing shows that it takes all packets, or more than half are " +
			"missing, or once; it lacks some that its own side sent",
		WrongIf: "The receiver's capture left packets out, or had not begun or had ended when they came.",
		Meaning: "Sequence numbers that left the sender are missing at the receiver.",
		Proof: "Sequence numbers of an SPI in the sender's capture and not in the receiver's, while it was capturing. " +
			"Where only the receiver's capture tells, numbers that it lacks between others: that is never certain, " +
			"for they may have come in by another interface, or the sender dropped them behind its IPsec. Neither a " +
			"capture that samples or has left out its own side's packets says so, nor what may have been overtaken.",
		Todo: "Look for policers, queues and interface errors in that direction: `show policy-map interface`, `show " +
			"interfaces`.",
		Fields: []string{"direction", "spi", "lost", "sent", "loss_ratio"},
		Under:  []string{"packet-too-big", "ip-fragments-lost", "mtu-black-hole", "icmp-rejected"},
		Layer:  "traffic",
	},
	{
		Code: "esp-replay-window-exceeded", Severity: "warning",
		Title:    "ESP arrives too far out of order",
		Certain:  "never",
		Probable: "packets arrive further out of order than the anti-replay window (64 unless configured)",
		Meaning: "Packets arrive later than the anti-replay window allows, so the receiver most likely drops them " +
			"although the path delivered them. Quality of service that reorders after encryption is the usual cause.",
		Proof: "The distance between a packet's sequence number and the highest one that arrived before it. The window " +
			"configured on the router is not in the capture, so this is never certain.",
		Todo: "Widen the window on the receiver with `crypto ipsec security-association replay window-size 1024`, or " +
			"keep one tunnel's traffic in one queue. `show crypto ipsec sa detail` counts replay failures.",
		Fields: []string{"direction", "spi", "displacement"},
		Layer:  "traffic",
	},
	{
		Code: "esp-stale-spi", Severity: "critical",
		Title:   "One side still uses an SA that the other has replaced",
		Certain: "never",
		Probable: "one side goes on sending with an SPI that it used before the newest SA of the pair was made (or whose " +
			"Delete was answered), while the other side has moved on: the receiver drops it " +
			"(%CRYPTO-4-RECVD_PKT_INV_SPI)",
		Action: "clear crypto sa peer, crypto isakmp invalid-spi-recovery on the named side",
		Meaning: "The two sides made a new child SA, and one of them goes on sending with an SPI from before it. The " +
			"other side no longer has that SA and drops the packets; its log says %CRYPTO-4-RECVD_PKT_INV_SPI. It " +
			"happens after a restart or a lost Delete.",
		Proof: "ESP with an SPI that was in use before the newest SA of the pair was made, or whose Delete was " +
			"answered, goes on in one direction while the other side sends with its new SPI. What the receiver still " +
			"accepts is in no capture, so this is never certain.",
		Todo: "Clear the SAs on the side that is named (`clear crypto sa peer`), and let the routers recover by " +
			"themselves: `crypto isakmp invalid-spi-recovery`, and DPD on both sides.",
		Fields: []string{"side", "spi", "newest_spi", "packets"},
		Under:  []string{"path-blocked", "nat-t-blocked", "rekey-failed"},
		Layer:  "traffic",
	},
	{
		Code: "esp-sequence-restart", Severity: "critical",
		Title: "The sequence number of an SA starts again",
		Certain: "the sequence number of an SPI begins again (other bytes, other IP ID, later time) although its SA was " +
			"not replaced (RFC 4303, 3.3.3): a peer with anti-replay drops all until the old number is passed",
		WrongIf: "The packets are copies of earlier ones, or of a new SA that happens to have the same SPI.",
		Meaning: "The sender began to count from the start on an SPI that was not replaced, which RFC 4303 forbids. A " +
			"receiver with anti-replay drops everything until the old number is passed. A failover to a second " +
			"router, or a sender that lost its state, does that.",
		Proof: "On one SPI, packets with low sequence numbers after high ones, and they are other packets: other bytes, " +
			"another IP ID, later times. Copies of old packets look different.",
		Todo: "Look for a failover, a reload or a crash on the sender at that moment, and make new SAs: `clear crypto " +
			"sa peer`.",
		Fields: []string{"direction", "spi", "highest_before", "restarted_at"},
		Layer:  "traffic",
	},
	{
		Code: "esp-encapsulation-differs", Severity: "critical",
		Title: "One side encapsulates ESP in UDP, the other does not",
		Certain: "after the same negotiation one side sends ESP as protocol 50 and the other in UDP 4500, and both " +
			"arrive",
		WrongIf: "Both sides changed the encapsulation, and only one after the other.",
		Action:  "one side believes in a NAT: nat-transparency, forced encapsulation",
		Meaning: "After one negotiation, one side sends plain ESP and the other ESP in UDP 4500. One of them believes in " +
			"a NAT and the other does not. Many receivers drop what they do not expect.",
		Proof: "ESP as protocol 50 in one direction and in UDP 4500 in the other, both arriving, under SAs of the same " +
			"negotiation.",
		Todo: "Compare NAT traversal on both sides: `show crypto ipsec sa` says which settings are in use (Tunnel " +
			"UDP-Encaps). `crypto ipsec nat-transparency udp-encapsulation` on both, and no forced encapsulation on " +
			"one side alone.",
		Fields: []string{"side_a", "side_b"},
		Layer:  "traffic",
	},
	{
		Code: "traffic-in-clear", Severity: "critical",
		Title: "Traffic between the gateways is not encrypted",
		Certain: "GRE, IP-in-IP or another protocol that the tunnel should carry passes between the gateways outside " +
			"IPsec",
		WrongIf: "It is traffic of the gateways themselves, which no tunnel is for, or it is with somebody else.",
		Action:  "tunnel protection or crypto map is missing on that side",
		Meaning: "GRE, IP-in-IP or another protocol that the tunnel should carry passes between the two gateways outside " +
			"IPsec, so it is readable by everybody on the way.",
		Proof: "Packets of that protocol between the gateways' VPN addresses, in clear, in one of the captures.",
		Todo: "On the side that is named, apply the protection: `tunnel protection ipsec profile` on the tunnel " +
			"interface, or the crypto map on the outgoing interface with an ACL that matches this traffic.",
		Fields: []string{"side", "protocol", "packets"},
		Layer:  "traffic",
	},
	{
		Code: "payload-altered", Severity: "critical",
		Title:   "A device on the path rewrites IKE messages",
		Certain: "the same message (SPIs, message ID, flags, exchange, ordinal) has different IKE bytes on the two sides",
		WrongIf: "A capture does not hold the whole message, so that bytes differ which were never recorded.",
		Meaning: "The same message has different bytes on the two sides. No router between the peers has any business " +
			"inside IKE; an application gateway for IPsec or a faulty device changes it, and the peers will reject " +
			"it.",
		Proof: "Both captures hold the message with the same SPIs, message ID, exchange and flags, and its bytes differ " +
			"from the offset given.",
		Todo: "Find the device that inspects IPsec between the sides and turn that inspection off, or route around " +
			"it.",
		Fields:   []string{"direction", "first_difference_offset"},
		Layer:    "message",
		Explains: "silence",
	},
	{
		Code: "duplicated-on-path", Severity: "warning",
		Title:   "The path delivers packets twice",
		Certain: "one transmission at the sender, more than one byte-identical arrival at the receiver",
		WrongIf: "The receiver's capture recorded one packet twice, at two points of the router.",
		Meaning: "One packet was sent and more than one identical copy arrived. IKE and ESP discard copies, but a loop or " +
			"a mirrored port may be behind it.",
		Proof: "One transmission at the sender, several byte-identical arrivals at the receiver that are not its own " +
			"capture's duplicates.",
		Todo:   "Look for a redundancy or mirroring feature, or a layer 2 loop, on the path.",
		Fields: []string{"direction", "count"},
		Layer:  "loss",
	},
	{
		Code: "reordered-on-path", Severity: "info",
		Title:   "The path changes the order of packets",
		Certain: "arrival order differs from sending order",
		WrongIf: "None overtakes another: they only take differently long.",
		Meaning: "Packets arrive in another order than they were sent in. IKE does not mind; ESP minds only beyond its " +
			"anti-replay window.",
		Proof:  "The order of paired packets differs between the two captures.",
		Todo:   "Nothing, unless the anti-replay finding is there as well.",
		Fields: []string{"direction", "count"},
		Layer:  "loss",
	},
	{
		Code: "dscp-rewritten", Severity: "info",
		Title:   "The path changes the DSCP marking",
		Certain: "DSCP differs between the sides for paired packets",
		WrongIf: "What is compared is not the same packet on both sides.",
		Meaning: "Packets arrive with another DSCP value than they left with. IOS marks IKE as CS6; a provider that " +
			"clears the mark may also deprioritise it.",
		Proof:  "Paired packets whose DSCP differs between the captures.",
		Todo:   "If IKE suffers under load, ask the provider to keep CS6, or mark again at the edge.",
		Fields: []string{"direction", "dscp_sent", "dscp_received"},
		Layer:  "loss",
	},
	{
		Code: "slow-path", Severity: "warning",
		Title:   "The path is slower than the retransmission timer",
		Certain: "one-way delay or round trip beyond the retransmission timer",
		WrongIf: "The peer takes the time to answer, not the path.",
		Meaning: "Answers take longer to come back than the sender waits, so it repeats requests that were never lost. " +
			"Where one packet alone was late, the finding says so: a device held it, most often the first one, whose " +
			"next hop it had to find.",
		Proof: "The round trip measured from paired packets, or retransmissions although request and response were both " +
			"delivered.",
		Todo: "Find the delay (satellite, congestion, an overloaded responder), or lengthen the timer with `crypto " +
			"ikev2 retransmit` on the initiator.",
		Fields: []string{"rtt_ms"},
		Layer:  "loss",
	},
	{
		Code: "nat-detected", Severity: "info",
		Title: "A NAT stands between the sides",
		Certain: "paired packets carry different addresses or ports on the two sides; and NAT_DETECTION (IKEv2) / NAT-D " +
			"(IKEv1) hashes recomputed over SPIs, address and port confirm which end is translated",
		Probable: "one side only: its NAT-D hashes match neither observed address nor any address of the inventory",
		WrongIf:  "A side makes its NAT detection hash wrong on purpose, to force UDP encapsulation.",
		Meaning: "One side's address or port is translated on the path. This is normal with NAT traversal: the " +
			"negotiation moves to UDP 4500 and ESP travels in UDP.",
		Proof: "The same packet carries different addresses or ports in the two captures; the NAT_DETECTION hashes, " +
			"computed again over the SPIs and addresses, tell which end is translated. From one capture alone the " +
			"hashes match no known address, which is probable.",
		Todo: "Nothing if the tunnel works. The other side must know the peer by the translated address or by an " +
			"identity, never by the private address.",
		Fields: []string{"translated_side", "original", "translated", "port_preserved", "hash_verified"},
		Layer:  "address",
	},
	{
		Code: "nat-float-missing", Severity: "critical",
		Title:   "There is a NAT, and the peers stay on UDP 500",
		Certain: "NAT is on the path and the negotiation went on over UDP 500 after IKE_SA_INIT / MM4",
		WrongIf: "The NAT is on the path of another tunnel.",
		Action:  "crypto ipsec nat-transparency udp-encapsulation (no `no crypto ipsec nat-transparency`)",
		Meaning: "The path translates addresses, but the negotiation did not move to UDP 4500. NAT traversal is off or " +
			"unsupported on one side, and plain ESP will not survive the translation.",
		Proof: "A translation proven by the captures, and IKE_AUTH (or Main Mode message 5) still on UDP 500.",
		Todo:  "Turn NAT traversal on again on both routers: `crypto ipsec nat-transparency udp-encapsulation`.",
		Layer: "address",
	},
	{
		Code: "nat-port-rewritten", Severity: "info",
		Title:   "The NAT changes the UDP source port",
		Certain: "the translator changed the UDP source port (PAT)",
		WrongIf: "The port is the one that the sender used.",
		Meaning: "Port address translation: the peer sees a source port other than 500 or 4500. It works as long as " +
			"nobody insists on the port.",
		Proof:  "Paired packets whose source port differs between the captures.",
		Todo:   "Make sure that no ACL pins the source port with `eq 500` or `eq 4500`.",
		Fields: []string{"original_port", "translated_port"},
		Layer:  "address",
	},
	{
		Code: "nat-mapping-changed", Severity: "warning",
		Title:   "The NAT changed its mapping during the SA",
		Certain: "the translated address or port of one side changes inside one IKE SA",
		Probable: "a side is heard from another address or port of an SA, by a capture that shows no translation, and the " +
			"other side's ESP goes on to the old one",
		WrongIf: "The two addresses belong to two IKE SAs, of which each kept its own.",
		Meaning: "The translated address or port of one side changed while an IKE SA was in use, because the mapping " +
			"timed out or the NAT was restarted; or that side moved. The other side keeps sending to the old one " +
			"until it learns the new, and nothing of that arrives.",
		Proof: "Two packets of one IKE SA from the same inside address, arriving from different outside addresses or " +
			"ports. From one capture alone: packets of one SA that come from another address or port than before, " +
			"while ESP goes on to where they came from first.",
		Todo: "Send NAT keepalives more often than the NAT's timeout: `crypto isakmp nat keepalive 20`; and turn on " +
			"periodic DPD.",
		Fields:   []string{"before", "after"},
		More:     []string{"direction"},
		Layer:    "address",
		Explains: "silence",
	},
	{
		Code: "nat-keepalive-missing", Severity: "warning",
		Title:   "No NAT keepalives in idle time",
		Certain: "NAT, an established SA, idle longer than 30 s with no 0xFF keepalive from the translated side",
		WrongIf: "Keepalives were sent, or the tunnel was not idle for so long.",
		Action:  "crypto isakmp nat keepalive 20 / crypto ikev2 nat keepalive 20",
		Meaning: "The side behind the NAT stays silent for longer than NAT mappings commonly live. Its mapping may " +
			"expire, and then the other side cannot reach it.",
		Proof: "A NAT, an established SA, and a silence of more than 30 seconds without a one-byte 0xFF packet from the " +
			"translated side.",
		Todo:  "On the side behind the NAT: `crypto isakmp nat keepalive 20` (it applies to IKEv2 as well).",
		Under: []string{"nat-mapping-changed"},
		Layer: "address",
	},
	{
		Code: "udp-encapsulation-forced", Severity: "info",
		Title:   "UDP encapsulation is forced without a NAT",
		Certain: "a NAT-D source hash matches no address though the paired packets were not translated",
		WrongIf: "A NAT translates the packets after all.",
		Meaning: "A side sends a NAT detection hash that belongs to no address, so that both peers believe in a NAT and " +
			"use UDP 4500. It is a deliberate setting, not a fault.",
		Proof: "The source hash matches no address, though the two captures show that nothing was translated.",
		Todo:  "Nothing. Remember that UDP 4500 must be permitted although there is no NAT.",
		Layer: "address",
	},
	{
		Code: "control-plane-drop", Severity: "critical",
		Title:   "The router drops the requests before IKE sees them",
		Certain: "a packet trace of the router has a request dropped that its capture shows to arrive",
		Probable: "requests arrive and are not answered, and in that time a counter of what stands between the interface " +
			"and IKE (access list, firewall, control-plane policy, punt policer) grew by as many packets or more, or " +
			"grew at all while IKE counted no such request; or a capture at the control plane holds other messages of " +
			"this tunnel, and none of the requests",
		WrongIf: "The traced packet is another one of the same ports and the same moment: that request reached IKE.",
		Action: "let IKE of this peer through: the class of the control-plane policy, the access list, the self zone's " +
			"policy",
		Meaning: "The requests reach the router's interface, and something in the router drops them on the way to IKE. " +
			"Its own counters say what.",
		Proof: "Requests in the router's own capture, no answer to them, and counters that grew between the beginning " +
			"and the end of the run by at least as many packets: by not many more, or of a class or entry that is " +
			"named after IKE. They count everybody's packets, so that only a packet trace (run --packet-trace) makes " +
			"it certain: it names the packet, the drop and the feature. Where the counters grew by far more, " +
			"peer-not-answering tells them. A capture at the control plane (run --control-plane) that holds none of " +
			"the requests shows that they were dropped, and not by what: probable where it holds other messages of " +
			"the tunnel, possible where it holds none, since nothing proves then that this release takes any there. " +
			"One request that came is one that IKE itself does not answer.",
		Todo: "Give IKE (UDP 500 and 4500) of the peers a class of its own in the control-plane policy, with a rate " +
			"that the whole hub needs after an outage, or permit it in the access list or the policy of the self zone " +
			"that the counter names.",
		Fields: []string{"dropping_side", "counters", "dropped", "requests", "trace"},
		More:   []string{"came", "heard"},
		Same:   []string{"dropping_side"},
		Layer:  "path",
	},
	{
		Code: "external-service-timeout", Severity: "critical",
		Title:   "IKE waits for the answer of another service",
		Certain: "never",
		Probable: "an IKE_AUTH request arrives and is not answered, and in that time IKEv2's timer for external services " +
			"ran out on that router; possible where it ran out far more often than there were requests, or where IKE " +
			"counted more requests than this tunnel's",
		Action: "whether AAA, the OCSP responder or the CRL's server that IKE asks answers",
		Meaning: "The router has the request for authentication and does not answer it, because what it asks itself, such " +
			"as a AAA server or an OCSP responder, does not answer in time.",
		Proof: "An IKE_AUTH request in the router's own capture without an answer, and a counter EXT SERVICE TIMER of " +
			"`show crypto ikev2 stats timeout` that grew meanwhile. It counts for all peers, so that it is never " +
			"certain; and it says nothing where the request is known not to have come to IKE: its counter of " +
			"exchanges, a capture at the control plane or a packet trace says so.",
		Todo: "See whether the AAA servers of the profile, the OCSP responder or the server of the CRL answer this " +
			"router: `show aaa servers`, `show crypto ikev2 profile`, `show crypto pki trustpoints status`.",
		Fields: []string{"waiting_side", "timeouts"},
		Same:   []string{"waiting_side"},
		Layer:  "authentication",
	},
	{
		Code: "peer-not-answering", Severity: "critical",
		Title:   "The responder receives the requests and stays silent",
		Certain: "requests arrive at the responder (its own capture shows them) and it sends nothing back for them",
		WrongIf: "It answers by another interface, or its capture ended before the answer.",
		Action: "the responder drops it: show crypto ikev2 profile/policy/keyring match, local ACL or CoPP, show crypto " +
			"ikev2 stats, wrong VRF, IKE disabled",
		Meaning: "The requests reach the responder's interface, so the path is good, and it sends no answer. It drops " +
			"them itself.",
		Proof: "The requests in the responder's own capture, and no response to them there.",
		Todo: "On the silent side: is there an IKEv2 profile and policy that match this peer, address and VRF, is IKE " +
			"enabled on the interface, and does a local ACL, zone or CoPP drop the packets? `show crypto ikev2 " +
			"diagnose error`, `show crypto ikev2 stats`, `show crypto ikev2 profile`, `show policy-map " +
			"control-plane`.",
		Fields: []string{"silent_side", "phase", "requests"},
		Under: []string{"control-plane-drop", "external-service-timeout", "ip-fragments-lost", "ike-fragments-lost",
			"version-mismatch", "icmp-rejected", "debug-captured-not-received", "psk-mismatch-v1",
			"payload-altered", "wrong-peer-address"},
		Same:     []string{"silent_side", "phase"},
		Layer:    "answer",
		Explains: "silence",
	},
	{
		Code: "response-ignored", Severity: "critical",
		Title: "The initiator receives the responses and ignores them",
		Certain: "responses arrive at the initiator (its own capture shows them) and it keeps retransmitting the request " +
			"they answer",
		Probable: "its own capture began later and shows that once, the other one that the request was answered and " +
			"repeated before",
		WrongIf: "The initiator takes an answer in the end: the repetitions were only under way.",
		Meaning: "Responses arrive at the initiator's interface, and it keeps repeating the request that they answer. It " +
			"cannot use or does not see them: with a wrong UDP checksum, or on UDP 4500 without the marker of IKE, " +
			"they never reach IKE.",
		Proof: "Responses in the initiator's own capture, followed by further copies of the same request. One copy is " +
			"enough for probable where that capture began later, and the other one shows answers and more copies from " +
			"before.",
		Todo: "On the ignoring side: a local ACL, zone or CoPP behind the capture point, an incomplete fragmented " +
			"response, or a response that fails its integrity check. `show crypto ikev2 diagnose error`, `show crypto " +
			"ikev2 stats`.",
		Fields:   []string{"ignoring_side", "phase", "responses"},
		Under:    []string{"payload-altered", "answer-from-other-address", "inconsistent-answers"},
		Same:     []string{"ignoring_side", "phase"},
		Layer:    "answer",
		Explains: "silence",
	},
	{
		Code: "answer-from-other-address", Severity: "critical",
		Title: "Answers come from another address than was asked",
		Certain: "answers come from another address of the peer than the one that was asked, and the request is repeated " +
			"(RFC 7296, 2.11)",
		WrongIf: "A NAT before the responder makes the other address, and the initiator sees the one that it asked.",
		Action:  "tunnel source, HSRP or secondary address of that side",
		Meaning: "A request goes to one address of the peer and the answer comes from another one, or another port. RFC " +
			"7296, section 2.11, wants the answer to come from where the request went; many initiators drop it and " +
			"repeat.",
		Proof: "A response to the initiator's SPI whose source is not the address or port that the request went to, and " +
			"the request is repeated.",
		Todo: "On the side that is named: which address does IKE answer from? A tunnel source, an HSRP or secondary " +
			"address, or a NAT on the way back. `show crypto ikev2 sa detailed`, `show ip interface brief`.",
		Fields:   []string{"side", "asked", "answered_from"},
		Same:     []string{"side", "asked", "answered_from"},
		Layer:    "answer",
		Explains: "silence",
	},
	{
		Code: "inconsistent-answers", Severity: "critical",
		Title: "Equal requests are answered differently",
		Certain: "equal requests are answered with different messages (another responder SPI, KE or nonce; another inner " +
			"payload), which RFC 7296, 2.1 forbids: the responder lost its state between them, or several boxes " +
			"answer",
		WrongIf: "It is one answer, which was sent again.",
		Meaning: "The same request was sent twice and the two answers differ. RFC 7296, section 2.1, wants the very same " +
			"bytes again. Either the responder lost its state between them, as with a reload or a half-open SA that " +
			"timed out, or several boxes answer behind one address. So it is where a responder answers two or more " +
			"requests that carry its cookie with another cookie (RFC 7296, section 2.6). Where the negotiation came " +
			"up all the same, it is a warning.",
		Proof: "Byte-identical requests, and responses to them that carry another responder SPI, key exchange value, " +
			"nonce or first payload; or COOKIE in answer to requests that carry the cookie which was asked for.",
		Todo: "Look for a reload or a crash of the responder between the answers, for half-open SAs that it drops too " +
			"soon, for two routers with one address, or for a load balancer or redundancy pair that does not keep a " +
			"peer at one member.",
		Fields:   []string{"side", "exchange", "answers"},
		Same:     []string{"side", "exchange"},
		Layer:    "answer",
		Explains: "silence",
	},
	{
		Code: "wrong-peer-address", Severity: "critical",
		Title: "Requests go to an address that is not the peer's",
		Certain: "IKE requests go to an address that is none of the other side's (before or after NAT), and none arrives " +
			"there",
		Probable: "no inventory is given",
		WrongIf:  "The address is the peer's after all, as that of a NAT before it.",
		Meaning: "A side sends its IKE requests to an address that belongs to none of the other side's interfaces or " +
			"translations. Nobody is there to answer.",
		Proof: "The destination of the requests, compared with the inventory and with the addresses in the other " +
			"capture; none of the requests arrives there. Without an inventory it is probable.",
		Todo: "Correct the peer address on that side: `set peer` of the crypto map, `tunnel destination`, or the " +
			"address in the IKEv2 keyring.",
		Fields:   []string{"side", "sent_to", "expected"},
		Layer:    "address",
		Explains: "silence",
	},
	{
		Code: "retransmissions-exhausted", Severity: "warning",
		Title:   "A request was repeated without an answer",
		Certain: "a request was sent again until the sender gave up (no further copy, or a new SPI begins)",
		Probable: "three or more requests of negotiations that come to the same end without an answer, each with another " +
			"SPI",
		WrongIf: "The last sending was answered.",
		Meaning: "A request was sent again and again without an answer that counted, until the sender stopped or began " +
			"anew with another SPI. Some begin anew each time and repeat nothing; that these attempts belong together " +
			"is probable. Where the other side began at the same time and its negotiation came up, one of the two is " +
			"enough, and it is information.",
		Proof: "The copies of one request with their growing intervals, and nothing more of it, or a new SPI, after the " +
			"last; or the like requests of negotiations that one side began one after the other.",
		Todo:       "Read the finding that explains why no answer came; this one tells how long the sender tried.",
		Fields:     []string{"side", "phase", "transmissions", "intervals_ms"},
		Under:      []string{"silence"},
		Same:       []string{"side", "phase", "transmissions"},
		Layer:      "life",
		Everywhere: true,
	},
	{
		Code: "simultaneous-initiation", Severity: "info",
		Title:   "Both sides initiated at the same time",
		Certain: "both sides send an IKE_SA_INIT request of their own before either SA is complete",
		WrongIf: "The second negotiation began when the first was over.",
		Meaning: "Both peers started a negotiation before either was complete. Two IKE SAs come up and one is deleted " +
			"later. It is harmless unless the two keep replacing each other.",
		Proof: "Initial requests of both sides, each sent before the other's SA was complete.",
		Todo:  "Nothing usually. If SAs flap, let only one side initiate.",
		Layer: "negotiation",
	},
	{
		Code: "ike-proposal-mismatch", Severity: "critical",
		Title: "The responder accepts none of the IKE proposals",
		Certain: "NO_PROPOSAL_CHOSEN in clear in IKE_SA_INIT (IKEv2) or phase 1 (IKEv1 NO-PROPOSAL-CHOSEN notify), not " +
			"followed by success. That B refused is certain; that the transforms differ is `proven` only when B's own " +
			"offer (its initiations in the captures) or configuration is known and has no overlap; `excluded` when " +
			"they do overlap (then: no matching profile, VRF, peer or IKE version), else `unproven`",
		WrongIf: "A later attempt with the same peer succeeds: what refused it is over.",
		Action: "list what was offered, what the refusing side offers or has configured (its own offers in the capture, " +
			"or `show crypto ikev2 proposal` when it was collected) and the transform that differs",
		Meaning: "The responder answered the initial request with NO_PROPOSAL_CHOSEN. Either its algorithms and the " +
			"initiator's have nothing in common, or no policy or profile of its matches this peer at all.",
		Proof: "The notification in clear, without a later success. Whether the algorithms are the reason is proven or " +
			"excluded only when the refusing side's own offer or configuration is known; otherwise it says unproven.",
		Todo: "Put one common set of encryption, integrity, PRF and group into the IKEv2 proposal (or isakmp policy) " +
			"of both sides. If they agree already, check the refusing side's policy, profile, VRF and local address: " +
			"`show crypto ikev2 proposal`, `show crypto ikev2 policy`, `show crypto ikev2 profile`.",
		Fields:    []string{"refusing_side", "mismatch", "offered", "accepted_by_refuser", "suggestion"},
		More:      []string{"differs", "configuration_differs"},
		Under:     []string{"wrong-peer-address", "payload-altered", "upgrade-refuses-weak"},
		SpeaksFor: []string{"NO_PROPOSAL_CHOSEN"},
		Layer:     "negotiation",
		Explains:  "silence",
	},
	{
		Code: "ke-group-mismatch", Severity: "critical",
		Title:   "The sides cannot agree on a key exchange group",
		Certain: "INVALID_KE_PAYLOAD answered by no successful retry, or more than one round of it",
		WrongIf: "The initiator comes again with the group that it was asked for.",
		Meaning: "The responder demands another group than the initiator used, and the initiator does not or cannot " +
			"follow. Where it demands the very group that was used, it cannot use that group itself: unusable_at " +
			"names it.",
		Proof:     "INVALID_KE_PAYLOAD in clear with no successful retry, or more than one round of it.",
		Todo:      "Put the wanted group into the initiator's IKEv2 proposal, or the offered one into the responder's.",
		Fields:    []string{"refusing_side", "offered_group", "wanted_group", "unusable_at"},
		Under:     []string{"path-blocked"},
		Same:      []string{"refusing_side", "offered_group", "wanted_group"},
		SpeaksFor: []string{"INVALID_KE_PAYLOAD"},
		Layer:     "negotiation",
	},
	{
		Code: "ke-group-retry", Severity: "info",
		Title:   "The initiator had to repeat with another group",
		Certain: "one INVALID_KE_PAYLOAD, then a retry with the wanted group that succeeds",
		WrongIf: "The second attempt is a negotiation of its own.",
		Meaning: "The initiator guessed a key exchange group that the responder does not prefer, was told which, and " +
			"succeeded with it. It costs one round trip.",
		Proof:  "One INVALID_KE_PAYLOAD, then a request with the wanted group, then success.",
		Todo:   "To save the round trip, put the wanted group first in the initiator's proposal.",
		Fields: []string{"offered_group", "wanted_group"},
		Layer:  "negotiation",
	},
	{
		Code: "cookie-challenge", Severity: "info",
		Title:   "The responder asked for a cookie",
		Certain: "N(COOKIE) answered and the retry carries it",
		WrongIf: "No request carries the cookie.",
		Meaning: "The responder had many half-open negotiations and wanted proof that the initiator really is at its " +
			"address. The initiator gave it.",
		Proof: "A COOKIE notification in clear, and a retry that carries it.",
		Todo: "Nothing by itself. If it appears at rest, look at `show crypto ikev2 stats` and `show crypto call " +
			"admission statistics` on the challenging side.",
		Fields: []string{"challenging_side"},
		Layer:  "negotiation",
	},
	{
		Code: "version-mismatch", Severity: "critical",
		Title:    "One side speaks IKEv1, the other IKEv2",
		Certain:  "INVALID_MAJOR_VERSION, or one side initiates IKEv1 and the other IKEv2",
		Probable: "an IKEv1 request is refused or unanswered by a side that only ever speaks IKEv2",
		WrongIf:  "Both sides speak the other version too, and that one comes up.",
		Meaning: "The two versions do not understand each other. One side is configured with isakmp policies and the " +
			"other with IKEv2 profiles.",
		Proof: "INVALID_MAJOR_VERSION in clear, or initiations of different versions from the two sides. If one side is " +
			"only refused or ignored by a side that speaks the other version, it is probable. A refusal of a request " +
			"that no capture holds is a warning, and possible.",
		Todo: "Choose one version for both: an IKEv2 profile set in the crypto map or the tunnel's IPsec profile, or " +
			"an isakmp policy and key.",
		Fields:     []string{"side_a_version", "side_b_version"},
		SpeaksFor:  []string{"INVALID_MAJOR_VERSION"},
		Layer:      "negotiation",
		Explains:   "silence",
		Everywhere: true,
	},
	{
		Code: "auth-failed", Severity: "critical",
		Title:   "Authentication was refused",
		Certain: "AUTHENTICATION_FAILED read with keys or in clear",
		Probable: "the IKE_AUTH response's SK next payload is Notify (in clear) and its plaintext is one bare 8-byte " +
			"Notify (0-15 with CBC): the responder refused before naming itself; several notifies have that shape " +
			"(openiked refuses an ESP proposal so): all that fit are named",
		WrongIf: "The keys by which the refusal was read are not those of this SA: from outside, it may be another " +
			"notification.",
		Action: "pre-shared keys, identity and certificate trust of both profiles",
		Meaning: "The refusing side rejected the other's pre-shared key, signature, certificate or identity, or has no " +
			"profile for it.",
		Proof: "AUTHENTICATION_FAILED read with keys. Without keys: the encrypted IKE_AUTH response begins with a " +
			"Notify and has room for nothing else, which is probable; possible_notifies are all that look so.",
		Todo: "Compare pre-shared keys, `match identity remote`, `identity local` and the trustpoints of both " +
			"profiles. `show crypto ikev2 diagnose error` on the refusing side tells which of them it was.",
		Fields:    []string{"refusing_side", "plaintext_min", "plaintext_max", "possible_notifies"},
		More:      []string{"configuration_differs"},
		Under:     []string{"payload-altered"},
		Same:      []string{"refusing_side"},
		SpeaksFor: []string{"AUTHENTICATION_FAILED"},
		Layer:     "authentication",
	},
	{
		Code: "child-sa-refused", Severity: "critical",
		Title:   "The child SA was refused",
		Certain: "NO_PROPOSAL_CHOSEN / TS_UNACCEPTABLE / … read with keys",
		Probable: "the IKE_AUTH response's SK next payload is IDr or VID and its plaintext has room for IDr+AUTH+Notify " +
			"but not for SA+TSi+TSr: phase 1 is good, no child SA was made; which notify is not tellable without " +
			"keys",
		WrongIf: "The keys by which the refusal was read are not those of this SA: from outside, only the sizes speak.",
		Action:  "compare transform sets, PFS groups and crypto ACLs / traffic selectors",
		Meaning: "Both sides authenticated, so keys and identities are right, but no IPsec SA was made: transform sets, " +
			"traffic selectors or address assignment do not fit; of a further child SA, the groups for PFS may not " +
			"either (the first one, of IKE_AUTH, has no key exchange of its own). Where the initiator follows a " +
			"REDIRECT (RFC 5685) and deletes the SA at once, it may as well have been sent to another gateway: then " +
			"it is a warning, and possible. So it is where a certificate makes the answer so large that its size does " +
			"not tell, and no traffic passes; and a warning where the initiator asked for another child SA later, and " +
			"got that.",
		Proof: "The error notification read with keys. Without keys: the IKE_AUTH response begins with an identity or a " +
			"vendor ID and has room for an AUTH and one Notify but not for SA, TSi and TSr, which is probable and " +
			"does not tell which error it was.",
		Todo: "Compare the transform sets and the crypto ACLs (they must mirror each other), of a further child SA " +
			"also `set pfs`: `show crypto ipsec transform-set`, `show crypto map`, `show crypto ipsec profile`, `show " +
			"crypto ikev2 diagnose error`.",
		Fields: []string{"refusing_side", "reason", "plaintext_min", "plaintext_max"},
		More:   []string{"configuration_differs"},
		Same:   []string{"refusing_side", "reason"},
		Layer:  "child",
	},
	{
		Code: "responder-auth-rejected", Severity: "critical",
		Title:   "The initiator rejected the responder's authentication",
		Certain: "read with keys",
		Probable: "a full IKE_AUTH pair, then an INFORMATIONAL request from the initiator whose SK next payload is Notify " +
			"of 8 bytes, or a new SPI at once: the initiator rejected the responder's AUTH or identity",
		WrongIf: "The keys by which the refusal was read are not those of this SA: from outside, it may be another " +
			"notification.",
		Meaning: "The responder accepted the initiator, but its own key, certificate or identity did not satisfy the " +
			"initiator, which tore the SA down at once.",
		Proof: "The error read with keys. Without keys: a full IKE_AUTH pair, and then an INFORMATIONAL request of the " +
			"initiator that holds one short Notify, a Delete or a new attempt at once; in IKEv1 something encrypted " +
			"of the initiator behind the sixth message of Main Mode, and no Quick Mode. Where nothing but the " +
			"initiator's silence speaks it is possible, and a warning: a healthy tunnel without traffic is silent, " +
			"too. So it is where the captures end with what may as well be IKEv1's INITIAL-CONTACT.",
		Todo: "On the initiator compare the keyring's remote key, `match identity remote` and the trustpoint with what " +
			"the responder sends.",
		Fields: []string{"rejecting_side"},
		More:   []string{"configuration_differs"},
		Same:   []string{"rejecting_side"},
		Layer:  "authentication",
	},
	{
		Code: "redirected", Severity: "warning",
		Title:   "The responder sends the initiator elsewhere",
		Certain: "N(REDIRECT) in clear",
		WrongIf: "The gateway only says that it can redirect, and names no other.",
		Meaning: "The responder answered with REDIRECT: the initiator is to negotiate with another gateway.",
		Proof:   "The REDIRECT notification in clear with the new gateway.",
		Todo: "If it is meant, see that the initiator can reach and trusts the new address; if not, look at the " +
			"cluster or load balancer configuration of the responder.",
		Fields: []string{"to"},
		Same:   []string{"to"},
		Layer:  "negotiation",
	},
	{
		Code: "rekey-collision", Severity: "info",
		Title:   "Both sides rekeyed at the same time",
		Certain: "CREATE_CHILD_SA requests of both sides overlap",
		WrongIf: "The second request was sent when the first was answered.",
		Meaning: "CREATE_CHILD_SA requests of both sides crossed. The protocol resolves this; one of the new SAs is " +
			"deleted.",
		Proof:  "Requests of both sides, each sent before the other's was answered.",
		Todo:   "Nothing, or give the sides different lifetimes.",
		Fields: []string{"outcome"},
		Layer:  "life",
	},
	{
		Code: "half-open-flood", Severity: "warning",
		Title:   "Many negotiations are begun and never finished",
		Certain: "many IKE_SA_INIT requests with ever new SPIs and no completion",
		WrongIf: "The negotiations complete: many peers come at once.",
		Meaning: "A side receives, or sends, initial requests with ever new SPIs and none of them completes: a flood, or " +
			"an initiator that starts anew without end.",
		Proof: "The number of initial requests with different SPIs and without completion.",
		Todo: "If the source is not your peer, filter it and limit half-open SAs: `crypto ikev2 limit " +
			"max-in-negotiation-sa`, `crypto ikev2 cookie-challenge`.",
		Fields: []string{"side", "half_open"},
		Under:  []string{"silence"},
		Layer:  "negotiation",
	},
	{
		Code: "selection-not-offered", Severity: "critical",
		Title:   "The responder chose what was not offered",
		Certain: "the responder selects a transform that the initiator did not offer",
		WrongIf: "Another of the initiator's proposals holds what was selected.",
		Meaning: "The responder's selected proposal contains a transform that the initiator did not offer. The initiator " +
			"will reject it.",
		Proof: "The offer and the selection, both in clear.",
		Todo: "A fault of the responder's software or a device that rewrites IKE. Align both proposals to one set of " +
			"algorithms and report it to the vendor.",
		Fields: []string{"refusing_side", "transform"},
		Layer:  "negotiation",
	},
	{
		Code: "additional-key-exchange", Severity: "info",
		Title:   "Additional key exchanges took place",
		Certain: "IKE_INTERMEDIATE rounds (RFC 9242/9370) with their methods, sizes and result",
		WrongIf: "The exchange carries no key exchange, but a PPK or nothing.",
		Meaning: "The peers ran IKE_INTERMEDIATE rounds, as post-quantum key exchanges do.",
		Proof:   "The IKE_INTERMEDIATE messages and the additional key exchange transforms in the selected proposal.",
		Todo:    "Nothing. These messages are large; if they are lost, look at the fragment findings.",
		Fields:  []string{"methods"},
		Layer:   "negotiation",
	},
	{
		Code: "sa-deleted", Severity: "warning",
		Title: "A side deleted the SA",
		Certain: "Delete read with keys or in clear; or an INFORMATIONAL right after which the SPI pair is never used " +
			"again",
		Probable: "by size and silence",
		WrongIf:  "The Delete is of one of several SAs, or of one that was replaced.",
		Meaning: "One side ended the IKE SA on purpose: by command, by idle timeout, after an error or because the other " +
			"SA of a collision won. Or it ended the last child SA, and the IKE SA stays without one.",
		Proof: "A Delete read with keys or in clear, or an INFORMATIONAL after which the SPI pair is never used again. " +
			"By size and silence alone it is probable; of the last child SA, where the captures end soon after, " +
			"possible.",
		Todo:   "On the deleting side look for the reason in `show logging` and in `show crypto ikev2 diagnose error`.",
		Fields: []string{"deleting_side", "after_ms"},
		Under: []string{"silence", "dpd-timeout", "rekey-failed", "child-sa-refused", "responder-auth-rejected",
			"auth-failed", "simultaneous-initiation"},
		Layer:      "life",
		Everywhere: true,
	},
	{
		Code: "sa-flapping", Severity: "critical",
		Title:   "The tunnel is made and deleted again and again",
		Certain: "three or more SAs of one pair made and deleted within minutes",
		Probable: "three or more child SAs of an IKE SA that stays are deleted within minutes, and made anew only later, " +
			"by sizes and by traffic that ends with each: a warning, for an idle timer does the same; or three or " +
			"more are given up with an error right after they are agreed on, by sizes",
		WrongIf: "Each SA that ends was replaced by a rekey before.",
		Action:  "the reason of the Delete: its log; lifetimes, DPD, duplicate peers",
		Meaning: "Three or more SAs of the pair were made and deleted within minutes. Each works for a moment, so a " +
			"single look finds the tunnel up. Where the IKE SA stays and its child SAs alone come and go, it is a " +
			"warning; where each new one is given up with an error as soon as it is agreed on, it is critical: the " +
			"tunnel does not hold.",
		Proof: "The negotiations and the Deletes of them, with the time that each lived.",
		Todo: "The reason of the Delete is in the log of the side that is named. Compare lifetimes, DPD and idle " +
			"timers, and look for a second peer that claims the same identity or selectors.",
		Fields: []string{"side", "count", "within_s", "shortest_ms"},
		Under: []string{"dpd-timeout", "rekey-failed", "child-sa-refused", "responder-auth-rejected", "auth-failed",
			"simultaneous-initiation"},
		Layer: "life",
	},
	{
		Code: "dpd-timeout", Severity: "critical",
		Title:    "The peer stopped answering liveness checks",
		Certain:  "INFORMATIONAL requests on an established SA unanswered until given up",
		Probable: "the last two checks of IKEv1 arrived and were not answered, others before them were",
		WrongIf:  "An answer came before the sender gave up.",
		Meaning: "Liveness checks on an established SA stay unanswered until the sender gives up and deletes the SA. " +
			"Where the other side's own capture shows that it answers, its answers are lost.",
		Proof: "Unanswered INFORMATIONAL requests of an established SA, repeated until given up. IKEv1 makes each check " +
			"a new message: three or more of one size, after others that were answered. Two that arrived make it " +
			"probable.",
		Todo: "See which direction loses them, or whether the other side lost the SA or reloaded: `show crypto ikev2 " +
			"sa`, `show version | include uptime`.",
		Fields: []string{"side", "requests"},
		Under:  []string{"silence"},
		Layer:  "life",
		Stops:  true,
	},
	{
		Code: "rekey", Severity: "info",
		Title:   "SAs were rekeyed",
		Certain: "CREATE_CHILD_SA exchange completed",
		WrongIf: "The answer refuses the new keys.",
		Meaning: "New keys were agreed in time, as they should be.",
		Proof:   "Completed CREATE_CHILD_SA exchanges.",
		Todo:    "Nothing.",
		Fields:  []string{"initiator", "count"},
		Layer:   "life",
	},
	{
		Code: "rekey-failed", Severity: "critical",
		Title:   "A rekey failed",
		Certain: "CREATE_CHILD_SA unanswered or refused",
		Probable: "it was answered, a bare Notify follows at once from either side, and no later one is made; or it was " +
			"refused so late that another attempt may not be in the captures, and nothing reads the refusal, or it is " +
			"one for the moment",
		WrongIf: "A later attempt succeeds: the tunnel goes on with the new keys.",
		Meaning: "A CREATE_CHILD_SA request stayed unanswered or was refused. The tunnel works until the old keys expire " +
			"and then goes down, typically hours after it came up, unless a later attempt succeeds: a refusal shortly " +
			"before the captures end may be for the moment. Where who asked, or the other side, gives the new SA up " +
			"at once with an error that only keys would show, it is a warning, and probable.",
		Proof: "A CREATE_CHILD_SA request without a response, or with an error notification (read with keys; by its " +
			"size without).",
		Todo: "If it was refused, compare `set pfs` and the transform sets on both sides: PFS is first used in a " +
			"rekey. If requests or answers are lost, follow the path finding.",
		Fields: []string{"side"},
		More:   []string{"configuration_differs"},
		Under:  []string{"silence"},
		Layer:  "life",
	},
	{
		Code: "invalid-spi", Severity: "critical",
		Title:   "A side received an SPI that it does not know",
		Certain: "INVALID_IKE_SPI / INVALID_SPI notify in clear",
		WrongIf: "The notification reports another error.",
		Action:  "one side lost its SA: crypto isakmp invalid-spi-recovery, clear crypto session",
		Meaning: "A side lost an SA (by reload, by clear, by expiry) that the other still uses, and says so.",
		Proof:   "INVALID_IKE_SPI or INVALID_SPI in clear.",
		Todo: "Clear the session on the other side, and let it recover by itself next time: `crypto isakmp " +
			"invalid-spi-recovery`, periodic DPD.",
		Fields:    []string{"side", "spi"},
		Under:     []string{"nat-mapping-changed", "simultaneous-initiation"},
		Same:      []string{"side", "spi"},
		SpeaksFor: []string{"INVALID_IKE_SPI", "INVALID_SPI"},
		Layer:     "life",
	},
	{
		Code: "error-notify", Severity: "critical",
		Title:   "A side reported an error",
		Certain: "any other error Notify in clear",
		WrongIf: "The error is one that another finding tells with its reason.",
		Meaning: "An error notification in clear that no other finding covers. Where the negotiation went on and came up " +
			"all the same, it is information.",
		Proof: "The notification in one of the captures. Notifications in clear are not authenticated: anyone on the " +
			"path could have sent them.",
		Todo:   "Look at the log of the side that sent it.",
		Fields: []string{"side", "notify"},
		Under:  []string{"version-mismatch", "psk-mismatch-v1", "ike-proposal-mismatch", "payload-altered"},
		Same:   []string{"side", "notify"},
		Layer:  "life",
	},
	{
		Code: "ike-fragmentation-not-negotiated", Severity: "info",
		Title:   "IKE fragmentation is off and a message is too large",
		Certain: "IKEV2_FRAGMENTATION_SUPPORTED is not announced by both and a message is larger than the path's MTU",
		WrongIf: "Both sides announce that they can fragment.",
		Meaning: "At least one side does not announce IKE fragmentation, and a message exceeds the path's MTU, so it has " +
			"to travel in IP fragments, which often are dropped.",
		Proof: "IKEV2_FRAGMENTATION_SUPPORTED is missing in the initial request or response, and a message left as IP " +
			"fragments or exceeds the MTU reported.",
		Todo:  "`crypto ikev2 fragmentation mtu 1200` on the sides that do not announce it.",
		More:  []string{"missing_sides"},
		Layer: "size",
	},
	{
		Code: "weak-crypto", Severity: "warning",
		Title: "Weak cryptography is in use",
		Certain: "the selected (or only offered) transforms are below RFC 8247 / IANA deprecated: DES, 3DES, MD5, DH " +
			"1/2/5/22, aggressive mode with PSK",
		WrongIf: "Better algorithms are offered beside, and chosen.",
		Meaning: "The selected or only offered algorithms are broken or deprecated (RFC 8247, IANA): DES, 3DES, MD5, DH " +
			"groups 1, 2, 5 or 22, or Aggressive Mode with a pre-shared key.",
		Proof:  "The transforms in clear.",
		Todo:   "Move both sides to AES-256, SHA-256 or better and group 14, 19 or better; use Main Mode or IKEv2.",
		Fields: []string{"transforms"},
		Layer:  "negotiation",
	},
	{
		Code: "main-mode-stalled", Severity: "critical",
		Title:   "IKEv1 phase 1 stopped halfway",
		Certain: "IKEv1 phase 1 stops after message N",
		WrongIf: "The captures end there, and the negotiation went on.",
		Action:  "MM1/2 proposal or reachability, MM3/4 key exchange, MM5/6 authentication",
		Meaning: "Main or Aggressive Mode went as far as the message given and no further.",
		Proof:   "The messages of phase 1 in the captures.",
		Todo: "After message 1 or 2: the isakmp policies or reachability. After 3 or 4: the key exchange, or no key " +
			"for that address. After 5 or 6: authentication. `show crypto isakmp sa`, `show crypto isakmp policy`.",
		Fields: []string{"last_message", "waiting_side"},
		Under:  []string{"silence"},
		Same:   []string{"last_message", "waiting_side"},
		Layer:  "life",
	},
	{
		Code: "psk-mismatch-v1", Severity: "critical",
		Title: "The pre-shared keys differ (IKEv1)",
		Certain: "PAYLOAD-MALFORMED / INVALID-… right after MM5 in clear, or encrypted Informational answers to a " +
			"repeated MM5",
		Probable: "MM5 repeated without an answer though it arrives",
		WrongIf:  "The message that cannot be read did not arrive as it was sent.",
		Meaning: "The responder cannot decrypt Main Mode message 5, because the keys derived from the pre-shared key " +
			"differ.",
		Proof: "PAYLOAD-MALFORMED or another error in clear right after message 5. Encrypted Informational answers are " +
			"probable, for they may also refuse an identity that could be read; so is message 5 that arrives, is " +
			"repeated and never answered.",
		Todo:     "Enter the same `crypto isakmp key` for each other's address on both sides.",
		Fields:   []string{"refusing_side"},
		Same:     []string{"refusing_side"},
		Layer:    "authentication",
		Explains: "silence",
	},
	{
		Code: "quick-mode-refused", Severity: "critical",
		Title:    "IKEv1 phase 2 was refused",
		Certain:  "phase 1 completes and Quick Mode message 1 is answered by an Informational exchange",
		Probable: "always",
		Meaning: "Phase 1 is good. The responder answered the first Quick Mode message with an Informational: transform " +
			"set, proxy identities or PFS do not fit.",
		Proof: "An encrypted Informational in answer to Quick Mode message 1. Its content is encrypted, so this is " +
			"never certain.",
		Todo: "Compare the transform sets, the crypto ACLs (they must mirror each other) and `set pfs`: `show crypto " +
			"ipsec transform-set`, `show crypto map`.",
		Fields: []string{"refusing_side"},
		More:   []string{"configuration_differs"},
		Same:   []string{"refusing_side"},
		Layer:  "child",
	},
	{
		Code: "quick-mode-stalled", Severity: "critical",
		Title:   "IKEv1 phase 2 did not complete",
		Certain: "phase 1 completes, Quick Mode does not",
		WrongIf: "An answer refuses it.",
		Meaning: "Phase 1 is good and Quick Mode began, but its three messages did not all come through.",
		Proof:   "The Quick Mode messages in the captures.",
		Todo: "See whether the missing message was lost or never sent; on the silent side check that a crypto map " +
			"entry matches the peer: `show crypto map`, `show crypto ipsec sa`.",
		Fields: []string{"last_message"},
		Under:  []string{"silence", "quick-mode-refused"},
		Same:   []string{"last_message"},
		Layer:  "life",
	},
	{
		Code: "user-authentication-failed", Severity: "critical",
		Title:    "The user or device credentials were refused",
		Certain:  "read with keys",
		Probable: "IKEv1: phase 1 complete, Transaction exchanges (XAUTH, Mode Config), then an Informational and silence",
		WrongIf:  "Quick Mode follows: the user was accepted.",
		Meaning: "Phase 1 completed, then the second authentication (XAUTH in IKEv1, EAP in IKEv2) was refused and the SA " +
			"went away.",
		Proof: "Phase 1 complete, Transaction exchanges, then an Informational exchange and silence. Without keys this " +
			"is an inference and never certain.",
		Todo: "On the refusing side look at AAA: `show aaa servers`, `debug aaa authentication`, and the log; on the " +
			"other side check user name, password and group.",
		Fields: []string{"refusing_side"},
		Layer:  "authentication",
	},
	{
		Code: "upgrade-refuses-weak", Severity: "critical",
		Title: "The software of one side refuses the algorithms of the other",
		Certain: "show version of one side is IOS XE 17.11.1 or later, and the other offers or has only DES, 3DES, MD5 or " +
			"groups 1, 2, 5, 24, which that release refuses by default (FN72510)",
		WrongIf: "The tunnel comes up with these algorithms: the release was told to accept them.",
		Action:  "stronger algorithms on both sides",
		Meaning: "IOS XE 17.11.1 and later refuse DES, 3DES, MD5 and the Diffie-Hellman groups 1, 2, 5 and 24 unless told " +
			"otherwise (field notice FN72510). A tunnel that used them does not come up after such an upgrade.",
		Proof: "`show version` of one side names such a release, and what the other side offers or has configured are " +
			"only algorithms that it refuses.",
		Todo: "Configure stronger algorithms on both sides: AES, SHA-256 or better, group 14 or better (19 or 20). Do " +
			"not turn the weak ones on again.",
		Fields: []string{"side", "version", "refused"},
		Layer:  "negotiation",
	},
	{
		Code: "capture-empty", Severity: "warning",
		Title:   "One capture is empty",
		Certain: "one side's capture holds no packet of the tunnel while the other side's does",
		WrongIf: "The capture holds packets of the tunnel in a form that is not read.",
		Action:  "interface, direction and ACL of that capture; asymmetric path; show monitor capture",
		Meaning: "One side's capture holds no packet of the tunnel while the other's does. It proves nothing about the " +
			"path: it may simply have looked at the wrong place.",
		Proof: "No tunnel packet in one file, some in the other.",
		Todo: "Check interface, direction and ACL of that capture, and whether the packets take another interface: " +
			"`show monitor capture`, `show ip route`.",
		Fields: []string{"side"},
		Layer:  "capture",
		Frames: "none",
	},
	{
		Code: "capture-one-sided", Severity: "info",
		Title:   "Only one capture was given",
		Certain: "only one capture was given",
		WrongIf: "A second capture was given, and holds nothing.",
		Meaning: "With one side only, a packet that gets no answer may have been lost on either way or been ignored. The " +
			"findings say what one capture can prove.",
		Proof:  "One file.",
		Todo:   "Capture on the other side at the same time.",
		Layer:  "capture",
		Frames: "none",
	},
	{
		Code: "capture-of-other-tunnel", Severity: "warning",
		Title:   "The two captures may be of different tunnels",
		Certain: "never",
		Probable: "no packet, SPI or pair of addresses is in both captures, no request without an answer names the other " +
			"side, and the inventory does not have their addresses",
		Meaning: "One of the files may be of another tunnel, or of another interface. What one of them lacks says nothing " +
			"about the other, so the outcome is inconclusive.",
		Proof: "Addresses and SPIs of both files. Two gateways that are both behind a NAT, and of whose packets none " +
			"arrives, look the same; an inventory with their addresses tells them apart.",
		Todo:  "Compare the files' addresses with the tunnel's, and analyze each of them alone.",
		Layer: "capture",
	},
	{
		Code: "capture-windows-disjoint", Severity: "warning",
		Title:   "The two captures do not overlap in time",
		Certain: "after the clock offset is removed the two captures do not overlap in time",
		WrongIf: "Only the routers' clocks differ: packets are in both captures.",
		Meaning: "The captures were taken at different times, so nothing can be compared between them.",
		Proof:   "The first and last packets of both files after the clock offset is removed.",
		Todo:    "Take both captures at the same moment, and check that both files are from the same run.",
		Layer:   "capture",
		Frames:  "none",
	},
	{
		Code: "capture-truncated-packets", Severity: "warning",
		Title:   "The capture cut packets short",
		Certain: "captured length below wire length for IKE packets",
		WrongIf: "What is cut is no IKE message.",
		Meaning: "The capture kept only the beginning of packets. What was cut cannot be read or compared.",
		Proof:   "Packets whose captured length is below their length on the wire.",
		Todo:    "Remove the packet length limit of that capture.",
		Fields:  []string{"side", "packets"},
		Layer:   "capture",
		Frames:  "none",
	},
	{
		Code: "capture-buffer-full", Severity: "warning",
		Title:   "The capture's buffer was full",
		Certain: "the collected `show monitor capture` says so, or a linear buffer's size was reached",
		WrongIf: "The buffer has room left.",
		Meaning: "A linear buffer ended the capture when it was full; later packets are not in the file, so their absence " +
			"means nothing.",
		Proof:  "The router's own counters, or a file as large as the buffer.",
		Todo:   "Use a larger or circular buffer, or a tighter ACL.",
		Fields: []string{"side"},
		Layer:  "capture",
		Frames: "none",
	},
	{
		Code: "capture-rate-limited", Severity: "warning",
		Title:   "The capture reached its packet rate limit",
		Certain: "packets per second reach the configured limit",
		WrongIf: "The capture point had no limit.",
		Meaning: "The capture point takes only a number of packets a second (1000 unless set); others were not captured, " +
			"though they were forwarded.",
		Proof:  "Packets in one second reach the configured limit.",
		Todo:   "Raise `limit pps`, or leave ESP out of the capture's ACL.",
		Fields: []string{"side", "pps"},
		Layer:  "capture",
		Frames: "none",
	},
	{
		Code: "capture-punt-policed", Severity: "warning",
		Title:   "The router kept packets out of the capture",
		Certain: "the punt policer's counter of captured packets grew while the capture ran",
		WrongIf: "The counter grew before the capture began.",
		Meaning: "Packets of a capture go to the control plane, and a policer bounds them whatever the capture point " +
			"says. What it drops was forwarded, and is not in the file.",
		Proof:  "The punt policer's row for embedded packet capture, before and after.",
		Todo:   "Capture less: --ike-only, a narrower filter, or a shorter time.",
		Fields: []string{"side", "dropped"},
		Layer:  "capture",
		Frames: "none",
	},
	{
		Code: "transfer-host-key-changed", Severity: "warning",
		Title: "The connection that fetches a capture had another host key",
		Certain: "the command line's connection had the known host key, and the transfer's, to the same address, another " +
			"or a revoked one",
		WrongIf: "The connections were to two different routers.",
		Meaning: "Two connections went to one address, and another host key was shown on one of them: a load balancer, a " +
			"failover between the two, or somebody who intercepts. The connection was refused and the packets were " +
			"read over the command line.",
		Proof: "The fingerprints of both connections, as the run saw them.",
		Todo: "Find out what answers at the router's address before the next run: compare with `show crypto key " +
			"mypubkey all` on its console. Accept another key only when you know why it is there: `moncap trust " +
			"PEER`.",
		Fields: []string{"side"},
		Layer:  "capture",
		Frames: "none",
	},
	{
		Code: "capture-filter-incomplete", Severity: "warning",
		Title: "The capture's filter hides packets",
		Certain: "the sender's own capture holds a first fragment without its others, or one direction only, or port 500 " +
			"without the 4500 that must exist: the capture's ACL hides packets, nothing is lost",
		Probable: "nothing is in both captures, each of which holds packets of that side: possible",
		WrongIf:  "The other capture had ended, or not begun, when the packets passed.",
		Meaning: "The sender's own capture lacks packets that it must have sent: later fragments, one direction, or UDP " +
			"4500. The ACL of the capture does not match them. Nothing is lost.",
		Proof: "The gap in the sender's own capture. Where nothing is in both captures, though each holds packets of " +
			"that side, it is possible: they may be of different times.",
		Todo: "Permit both directions without ports (fragments carry none), and protocol 50, between the addresses as " +
			"that side sees them.",
		Fields: []string{"side", "hidden"},
		Layer:  "capture",
	},
	{
		Code: "capture-duplicates", Severity: "info",
		Title:   "The capture holds packets twice",
		Certain: "the same packet appears twice within one capture (two interfaces or both directions)",
		WrongIf: "The path delivered the packet twice.",
		Meaning: "The same packet was captured twice, because two interfaces or both directions of one path were " +
			"attached. The copies were set aside and not counted as retransmissions.",
		Proof:  "Byte-identical packets within a few milliseconds in one file.",
		Todo:   "Attach one interface only.",
		Fields: []string{"side", "packets"},
		Layer:  "capture",
		Frames: "none",
	},
	{
		Code: "capture-damaged", Severity: "warning",
		Title:   "The capture file is damaged",
		Certain: "the file ends inside a record or holds an impossible length; everything before it was used",
		WrongIf: "The file ends where a packet ends.",
		Meaning: "The file ends inside a record or holds an impossible length. Everything before that point was used.",
		Proof:   "The offset in the file and the reason.",
		Todo:    "Fetch the file again and compare size and MD5 with the router's.",
		Fields:  []string{"side", "offset"},
		Layer:   "capture",
		Frames:  "none",
	},
	{
		Code: "capture-unreadable", Severity: "warning",
		Title: "The capture holds packets that are not read",
		Certain: "the file's link type, or what its packets are wrapped in, is not read: nothing can be said of what is " +
			"in it",
		WrongIf: "What is not read is of no tunnel.",
		Action:  "which interface was captured; editcap or another tool to convert",
		Meaning: "The file's link type, or what its packets are wrapped in (a GRE, ERSPAN, VXLAN or other tunnel of the " +
			"network), is none that is read here, so nothing can be said of what is inside.",
		Proof: "The link type, or the protocol that the packets are wrapped in, and how many packets that is.",
		Todo: "Capture on the interface that carries the VPN addresses themselves, or convert the file first with " +
			"`editcap` or another tool.",
		Fields: []string{"side", "link_type", "wrapping", "packets"},
		Layer:  "capture",
		Frames: "none",
	},
	{
		Code: "strangers", Severity: "info",
		Title:   "Others speak IKE to a gateway",
		Certain: "addresses that are neither side's sent IKE to a gateway",
		WrongIf: "The address is a side's own, as a NAT shows it.",
		Meaning: "Addresses that are neither side's sent IKE messages to a gateway: scanners, other peers, former ones. " +
			"They decide nothing about this tunnel. So are the keys of a group that a gateway gets of a key server or " +
			"gives out itself (GDOI, as of GET VPN, or G-IKEv2, on UDP 848), be that the tunnel's peer or another, " +
			"and in a hub's single capture the other tunnels' traffic: a line of its own each.",
		Proof: "The addresses and their packets in the capture of the side that is named.",
		Todo: "Nothing for this tunnel. An access list on the outside interface that permits IKE from known peers only " +
			"keeps scanners away.",
		Fields: []string{"side", "addresses", "packets"},
		Layer:  "capture",
	},
	{
		Code: "other-tunnel-fails", Severity: "warning",
		Title:   "Another tunnel of a gateway does not come up",
		Certain: "never",
		Probable: "with nobody having said which tunnel is meant, one capture alone holds negotiations with an address, " +
			"which its gateway began again and again or which were refused, and none of which came up; or a side gave " +
			"a tunnel up that fails, and came up with another address of its own or its peer's; possible: once, or by " +
			"the other end, or protected traffic that only leaves",
		Meaning: "Both captures hold a tunnel. One of them also holds the negotiation with somebody else, which does not " +
			"come up, and the other capture holds nothing of it: it is another peer's, or that of the same two " +
			"gateways by other addresses or an interface that was not captured; where nothing comes back, the path " +
			"may drop it. Without an inventory, or addresses, nobody knows which tunnel was meant. Or both captures " +
			"hold two tunnels that share an address, and a side left the one that fails for the other one: a backup " +
			"works, and what it stands in for does not.",
		Proof: "The negotiations with this address in the one capture, none of which came up there. What the other " +
			"capture lacks proves nothing, since it may be another gateway's. Of a tunnel that was given up: what " +
			"fails in it, judged by itself.",
		Todo: "Name the tunnel (an inventory, or the addresses of both sides): others are then no part of the " +
			"judgement. If this is the one that is meant, capture at its other end.",
		Fields: []string{"side", "addresses", "packets"},
		Layer:  "capture",
	},
	{
		Code: "clock-offset", Severity: "info",
		Title: "Offset between the routers' clocks",
		Certain: "offset between the two routers' clocks, with its bounds, from paired packets in both directions; " +
			"warning above 1 s",
		Probable: "one direction only: a bound, not an estimate",
		WrongIf:  "The packets by which the clocks are compared are not the same on both sides.",
		Meaning: "The offset between the two clocks, with its bounds. Times of both sides were aligned with it. Above one " +
			"second certificates and log comparison suffer.",
		Proof: "Paired packets in both directions bound the offset; in one direction only, it is a bound and not an " +
			"estimate.",
		Todo:   "Configure NTP on both routers: `show ntp status`, `show clock detail`.",
		Fields: []string{"offset_ms", "low_ms", "high_ms", "drift_ppm"},
		Layer:  "capture",
		Frames: "none",
	},
	{
		Code: "malformed-message", Severity: "warning",
		Title:   "An IKE message contradicts itself",
		Certain: "an IKE message whose lengths contradict each other",
		WrongIf: "The capture cut the message, which was whole when it was sent.",
		Meaning: "The lengths inside a message do not fit each other. It was damaged, cut or badly made; everything that " +
			"was readable was used.",
		Proof: "The frame and the byte at which the message stops making sense.",
		Todo: "Compare the frame with the other side's. If it left well-formed, the path damaged it; if not, the " +
			"sender's software did.",
		Fields: []string{"side", "frame"},
		More:   []string{"offset"},
		Under:  []string{"payload-altered"},
		Layer:  "message",
	},
	{
		Code: "debug-agrees", Severity: "info",
		Title:   "The debug log and the capture agree",
		Certain: "every IKEv2 debug send/receive line has its packet in that side's capture",
		WrongIf: "A packet of the capture is in no line of the debug.",
		Meaning: "Every packet that the IKEv2 debug reports as sent or received is in that side's capture.",
		Proof:   "Each line of the debug matched with a packet by SPIs, message ID, exchange and direction.",
		Todo:    "Nothing.",
		Fields:  []string{"side", "matched"},
		Layer:   "message",
		Frames:  "none",
	},
	{
		Code: "debug-sent-not-captured", Severity: "critical",
		Title:   "IKE sent a packet that never left the router",
		Certain: "`Sending Packet` in the debug, no such packet in the same side's capture: dropped inside the router",
		WrongIf: "The capture had not begun when the debug wrote the line.",
		Meaning: "The debug says that IKE sent the packet, and the capture on the outgoing interface does not have it. " +
			"The router itself dropped it, or sent it elsewhere.",
		Proof: "The debug line, and no such packet in the same side's capture while it was running.",
		Todo: "Check the route to the peer, output ACLs and the QFP drop counters: `show ip route`, `show platform " +
			"hardware qfp active statistics drop`.",
		Fields: []string{"side", "message"},
		More:   []string{"debug_line"},
		Same:   []string{"side", "message"},
		Layer:  "message",
		Frames: "none",
	},
	{
		Code: "debug-captured-not-received", Severity: "critical",
		Title: "A packet reached the router but not IKE",
		Certain: "a packet in the capture that IKE never reports as received: dropped between the interface and IKE " +
			"(CoPP, ACL, VRF)",
		WrongIf: "The debug's log lacks its end or its beginning.",
		Meaning: "The capture on the incoming interface has the packet, and the debug never reports it as received. The " +
			"router dropped it between the interface and IKE.",
		Proof: "The packet in the capture, and no line for it in the debug of the same side while it was on.",
		Todo: "Check input ACLs, zones, CoPP and the VRF: `show policy-map control-plane`, `show platform hardware qfp " +
			"active statistics drop`.",
		Fields: []string{"side", "message"},
		Same:   []string{"side", "message"},
		Layer:  "message",
	},
	{
		Code: "router-says-why", Severity: "info",
		Title: "What IKE on the router wrote of errors",
		Certain: "lines about the peer that the router's trace of IKEv2 errors got while the capture ran, or that its " +
			"binary trace has of errors, where a negotiation failed",
		Probable: "such lines that name the peer by nothing but the address of a NAT, behind which others may be; lines " +
			"that name no peer, which may be about another: possible",
		WrongIf: "The line is about another negotiation of the same peer than those that were captured.",
		Meaning: "A negotiation failed, and IKE on the router wrote about an error meanwhile. The line is the router's " +
			"own explanation.",
		Proof: "Lines of `show monitor event-trace crypto ikev2 error all` that were not there before the capture, or " +
			"errors in the binary trace (run --binary-trace), which is read from a minute before the capture on.",
		Todo:   "Read the lines beside the packets: they say what IKE thought, the packets what was said.",
		Fields: []string{"side", "errors", "count"},
		Layer:  "message",
		Frames: "none",
	},
}
