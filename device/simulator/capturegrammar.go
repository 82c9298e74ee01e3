package simulator

import (
	"slices"
	"strings"
)

// addCapture puts `monitor capture` into the grammar. All options but those that end the line lead
// back to the options.
func addCapture(exec *node) {
	run := (*session).monitorCapture
	value := func(word, help string, next ...*node) *node {
		return &node{word: word, help: help, level: privileged, value: values[word], next: next}
	}
	word := func(word, help string, next ...*node) *node {
		return &node{word: word, help: help, level: privileged, next: next}
	}
	var ends []*node // after which another option may come
	end := func(n *node) *node {
		n.run = run
		ends = append(ends, n)
		return n
	}
	directions := func() []*node {
		return []*node{end(word("in", "Inbound packets")), end(word("out", "Outbound packets")),
			end(word("both", "Inbound and outbound packets"))}
	}
	limit := func(name, help, number, what string) *node { return word(name, help, end(value(number, what))) }
	limitNodes := []*node{
		limit("duration", "Limit total duration of capture in seconds", "<1-1000000>", "Duration in seconds"),
		limit("every", "Limit capture to one in every nth packet", "<2-100000>", "Sampling rate"),
		limit("packet-len", "Limit the packet length to capture", "<64-9500>", "Packet length"),
		limit("packets", "Limit number of packets to capture", "<1-100000>", "Number of Packet  : Min 1 - Max 100000"),
		limit("pps", "Limit number of packets per second to capture", "<1-1000000>", "Maximum number of packets per second"),
	}
	afterLimit := slices.Clone(ends[len(ends)-len(limitNodes):])
	size := func() *node {
		return word("size", "Size of buffer in MB", end(value("<1-100>", "Total size of file(s) in MB")))
	}
	options := []*node{
		word("access-list", "access-list to be attached ", end(value("WORD", "access-list name"))),
		word("buffer", "Buffer options", word("circular", "circular buffer", size()), size()),
		word("class-map", "class name to attached ", end(value("WORD", "class-map name"))),
		{word: "clear", help: "Clear Buffer", level: privileged, run: run},
		word("control-plane", "Control Plane ", directions()...),
		word("export", "Export Buffer", &node{word: "FILE", help: "Location of the file", level: privileged,
			value: values["FILE"], run: run}),
		word("interface", "Interface", value("INTERFACE", "Interface", directions()...)),
		word("limit", "Limit Packets Captured", limitNodes...),
		word("match", "Describe filters inline", matchGrammar(end)...),
		{word: "start", help: "Enable Capture", level: privileged, run: run},
		{word: "stop", help: "Disable Capture ", level: privileged, run: run},
	}
	for _, e := range ends {
		e.next = append(e.next, options...)
	}
	for _, e := range afterLimit {
		e.next = append(e.next, limitNodes...)
	}
	capture := exec.add("monitor capture", "Packet Capture", privileged, nil)
	capture.next = append(capture.next, value("WORD", "Name of the Capture", options...))
	exec.add("no monitor capture WORD", "Packet Capture", privileged, (*session).noCapture)
}

// matchGrammar is what follows `match`.
func matchGrammar(end func(*node) *node) []*node {
	family := func(six bool) []*node {
		both := end(&node{word: "bidirectional", help: "Bidirectional filter", level: privileged})
		port := func(next []*node, last bool) []*node {
			n := &node{word: "<1-65535>", help: "Port number", level: privileged, value: values["<1-65535>"], next: next}
			if last {
				end(n)
			}
			return []*node{{word: "eq", help: "Match only packets on a given port number", level: privileged, next: []*node{n}}}
		}
		finish := func(n []*node) []*node {
			for _, x := range n {
				if x.word == "host" {
					end(x.next[0])
				} else if x.next == nil || x.word == "any" || strings.Contains(x.word, "/") {
					end(x)
				}
			}
			return n
		}
		second := finish(operandGrammar(six, append(port([]*node{both}, true), both), nil))
		if !six {
			end(second[3].next[0])
		}
		first := operandGrammar(six, append(port(second, false), second...), nil)
		var names []*node
		for _, p := range []string{"udp", "tcp", "icmp"} {
			names = append(names, &node{word: p, help: "Protocol", level: privileged, next: first})
		}
		names = append(names, &node{word: "<0-255>", help: "An IP protocol number", level: privileged,
			value: values["<0-255>"], next: first})
		protocol := &node{word: "protocol", help: "Protocol", level: privileged, next: names}
		nodes := append([]*node{protocol}, first...)
		for _, n := range nodes {
			n.level = 1
		}
		return nodes
	}
	return []*node{
		end(&node{word: "any", help: "all packets", level: privileged}),
		{word: "ipv4", help: "IPv4 packets only", level: privileged, next: family(false)},
		{word: "ipv6", help: "IPv6 packets only", level: privileged, next: family(true)},
		{word: "mac", help: "MAC filter configuration", level: privileged},
	}
}
