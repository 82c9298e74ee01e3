package exchange

import (
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"
)

// containerlabKinds are those that are IOS XE routers; the older names begin with vr-.
var containerlabKinds = map[string]bool{
	"cisco_c8000v": true, "cisco_csr1000v": true, "vr-c8000v": true, "vr-csr": true, "vr-cisco_csr1000v": true,
	"vr-cisco_c8000v": true,
}

// readContainerlab reads a topology file. Links between two routers name the interfaces to choose
// from, and make a tunnel.
func readContainerlab(s *source, d *Draft) error {
	b, err := s.read()
	if err != nil {
		return err
	}
	t, err := readTree(s.name, b)
	if err != nil {
		return err
	}
	nodes := t.at(t.root, "topology", "nodes")
	if nodes == nil || nodes.Kind != yaml.MappingNode {
		return fmt.Errorf("%s: want a topology of containerlab, with topology.nodes", s.name)
	}
	lab, prefix := t.text(t.root, "name"), "clab"
	if n := t.at(t.root, "prefix"); n != nil {
		prefix = scalar(n)
	}
	peers := map[string]*Peer{}
	t.each(nodes, func(name string, _, n *yaml.Node) {
		kind := t.text(n, "kind")
		if group := t.text(n, "group"); kind == "" && group != "" {
			kind = t.text(t.root, "topology", "groups", group, "kind")
		}
		if kind == "" {
			kind = t.text(t.root, "topology", "defaults", "kind")
		}
		if !containerlabKinds[kind] {
			d.note(dropped, name, "no IOS XE router: kind is %.40q", kind)
			return
		}
		p := &Peer{Name: name, Host: t.text(n, "mgmt-ipv4")}
		if p.Host == "" {
			p.Host = strings.TrimLeft(strings.Join([]string{prefix, lab, name}, "-"), "-")
			if prefix == "" {
				p.Host = name
			}
			d.note(guessed, name, "the management address is the name of its container")
		}
		peers[name] = p
		d.Peers = append(d.Peers, p)
	})
	pairs := map[string]bool{}
	for _, link := range contents(t.at(t.root, "topology", "links")) {
		d.containerlabLink(t, t.follow(link), peers, pairs)
	}
	return t.err()
}

func contents(n *yaml.Node) []*yaml.Node {
	if n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	return n.Content
}

// containerlabLink reads endpoints as "NODE:INTERFACE", or as node and interface.
func (d *Draft) containerlabLink(t *tree, link *yaml.Node, peers map[string]*Peer, pairs map[string]bool) {
	var ends []string
	for _, end := range contents(t.at(link, "endpoints")) {
		end = t.follow(end)
		node, port, _ := strings.Cut(scalar(end), ":")
		if end != nil && end.Kind == yaml.MappingNode {
			node, port = t.text(end, "node"), t.text(end, "interface")
		}
		if p := peers[node]; p != nil {
			p.candidate(port)
			ends = append(ends, node)
		}
	}
	if len(ends) != 2 || ends[0] == ends[1] || pairs[ends[0]+" "+ends[1]] || pairs[ends[1]+" "+ends[0]] {
		return
	}
	pairs[ends[0]+" "+ends[1]] = true
	name := goodName(ends[0] + "-" + ends[1])
	d.Tunnels = append(d.Tunnels, Tunnel{Name: name, A: goodName(ends[0]), B: goodName(ends[1])})
	d.note(guessed, name, "a tunnel, because a link joins the two")
}
