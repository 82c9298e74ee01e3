package exchange

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"

	"github.com/moncap/moncap/device/inventory"
)

// Targets are what Write writes.
var Targets = []string{"ansible", "csv", "prometheus-sd"}

// isReference says whether s is where a secret is kept, and not the secret.
func isReference(s string) bool {
	_, err := inventory.ParseSecretRef(s)
	return err == nil
}

// Write writes inv in a form of Targets. Secrets stay where they are kept: only
// references are written.
func Write(w io.Writer, target string, inv *inventory.Inventory) error {
	switch target {
	case "ansible":
		return writeAnsible(w, inv)
	case "csv":
		return writeCSV(w, inv)
	case "prometheus-sd":
		return writePrometheus(w, inv)
	}
	return fmt.Errorf("no such form: %s", target)
}

// writeAnsible writes an inventory in YAML: the routers in the group moncap, and a
// group for each tunnel.
func writeAnsible(w io.Writer, inv *inventory.Inventory) error {
	b := bufio.NewWriter(w)
	b.WriteString("# Made by `moncap inventory export --to ansible`.\nall:\n  children:\n    moncap:\n      vars:\n" +
		"        ansible_network_os: cisco.ios.ios\n" +
		"        ansible_connection: ansible.netcommon.network_cli\n      hosts:\n")
	for _, name := range inv.PeerNames() {
		p := inv.Peers[name]
		fmt.Fprintf(b, "        %s:\n", plain(name))
		key := func(name, value string) {
			if value != "" {
				fmt.Fprintf(b, "          %s: %s\n", name, plain(value))
			}
		}
		key("ansible_host", p.Host)
		if p.Port != 22 {
			fmt.Fprintf(b, "          ansible_port: %d\n", p.Port)
		}
		key("ansible_user", p.Username)
		if env, ok := strings.CutPrefix(p.Password.String(), "env:"); ok {
			key("ansible_password", "{{ lookup('env', '"+env+"') }}")
		}
		if env, ok := strings.CutPrefix(p.Enable.String(), "env:"); ok {
			key("ansible_become_password", "{{ lookup('env', '"+env+"') }}")
		}
		key("ansible_ssh_private_key_file", p.KeyFile)
		if len(p.Jump) > 0 {
			key("ansible_ssh_common_args", "-o ProxyJump="+strings.Join(jumps(p), ","))
		}
		key("moncap_interface", p.WAN.Interface)
		key("moncap_also", strings.Join(p.WAN.Also, ";"))
		key("moncap_address", addressOf(p.WAN.Address))
		key("moncap_nat_address", addressOf(p.WAN.NATAddress))
		key("moncap_vrf", p.WAN.VRF)
	}
	for _, name := range inv.TunnelNames() {
		t := inv.Tunnels[name]
		fmt.Fprintf(b, "    %s:\n      hosts: {%s: null, %s: null}\n", plain("tunnel_"+groupName(name)), plain(t.A.Name),
			plain(t.B.Name))
	}
	return b.Flush()
}

// groupName has the characters that Ansible wants in the name of a group.
func groupName(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || r == '.' {
			return '_'
		}
		return r
	}, s)
}

func jumps(p *inventory.Peer) []string {
	all := make([]string, len(p.Jump))
	for i, j := range p.Jump {
		all[i] = j.String()
	}
	return all
}

func addressOf(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// writeCSV writes a row for each side of a tunnel, and one for each router without.
func writeCSV(w io.Writer, inv *inventory.Inventory) error {
	out := csv.NewWriter(w)
	out.UseCRLF = true
	row := func(fields ...string) {
		for i, f := range fields {
			if isFormula(f) {
				fields[i] = "'" + f
			}
		}
		_ = out.Write(fields) // Error, below, returns it
	}
	row(csvColumns...)
	used := map[string]bool{}
	peer := func(p *inventory.Peer, tunnel, side string, tags []string) {
		used[p.Name] = true
		row(p.Name, p.Host, strconv.Itoa(p.Port), p.Username, p.Password.String(), p.Enable.String(), p.KeyFile,
			strings.Join(jumps(p), ";"),
			p.Platform, p.WAN.Interface, addressOf(p.WAN.Address), addressOf(p.WAN.NATAddress), p.WAN.VRF,
			strings.Join(p.WAN.Also, ";"), tunnel, side, strings.Join(tags, ";"))
	}
	for _, name := range inv.TunnelNames() {
		t := inv.Tunnels[name]
		peer(t.A, name, "a", t.Tags)
		peer(t.B, name, "b", t.Tags)
	}
	for _, name := range inv.PeerNames() {
		if !used[name] {
			peer(inv.Peers[name], "", "", nil)
		}
	}
	out.Flush()
	return out.Error()
}

// writePrometheus writes targets for file-based service discovery: each router's SSH server, as a
// blackbox exporter probes it.
func writePrometheus(w io.Writer, inv *inventory.Inventory) error {
	type group struct {
		Targets []string          `json:"targets"`
		Labels  map[string]string `json:"labels"`
	}
	tunnels := map[string][]string{}
	for _, name := range inv.TunnelNames() {
		t := inv.Tunnels[name]
		tunnels[t.A.Name] = append(tunnels[t.A.Name], name)
		tunnels[t.B.Name] = append(tunnels[t.B.Name], name)
	}
	groups := []group{}
	for _, name := range inv.PeerNames() {
		p := inv.Peers[name]
		labels := map[string]string{"peer": name, "wan_interface": p.WAN.Interface, "wan_address": addressOf(p.WAN.Address)}
		if len(p.WAN.Also) > 0 {
			labels["wan_also"] = "," + strings.Join(p.WAN.Also, ",") + ","
		}
		if len(tunnels[name]) > 0 {
			labels["tunnels"] = "," + strings.Join(tunnels[name], ",") + "," // as Prometheus writes lists in labels
		}
		groups = append(groups, group{[]string{p.Address()}, labels})
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(groups)
}
