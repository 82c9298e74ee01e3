package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moncap/moncap/device/inventory"
	"github.com/moncap/moncap/device/inventory/exchange"
)

// importFlags say what is imported, and where to.
type importFlags struct {
	from, tunnels, output, token string
	filter                       []string
	limit                        int
	merge                        bool
}

func (a *app) importCommand() *cobra.Command {
	var f importFlags
	c := &cobra.Command{
		Use:   "import --from KIND SOURCE",
		Short: "Make an inventory of what another tool knows",
		Long: `Make an inventory of what another tool knows. SOURCE is a file, a folder, - for stdin, or the address of a NetBox.

  ansible        the output of ansible-inventory --list, or an inventory in YAML or INI with its group_vars and host_vars;
                 a host's moncap_interface, moncap_address, moncap_nat_address and moncap_vrf are its end of the tunnel
  pyats          a testbed
  nornir         hosts.yaml, with groups.yaml and defaults.yaml beside it
  containerlab   a topology
  netbox         its devices, and its VPN tunnels where it has them
  csv            a table as inventory export --to csv writes it

Tunnels come from --tunnels, a table with the columns tunnel, a, b and, if you like, tags, a_interface, a_address,
a_nat_address, a_vrf and the same for b; some sources name them, too. What was taken, guessed and dropped is told on stderr.
A WAN interface or address that the source does not name stands as CHANGE-ME, which inventory validate refuses with its
line. Passwords are never copied: where each may be kept is proposed.`,
		Example: `  ansible-inventory -i production --list |
    moncap inventory import --from ansible - -o inventory.yaml
  moncap inventory import --from csv routers.csv --tunnels pairs.csv -o inventory.yaml --merge
  moncap inventory import --from netbox https://netbox.example.net \
    --token env:NETBOX_TOKEN --filter tag=vpn`,
		Args: wants(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.importInventory(cmd.Context(), f, args[0]) },
	}
	c.Flags().StringVar(&f.from, "from", "", "kind of source: "+strings.Join(exchange.Sources, ", "))
	c.Flags().StringVar(&f.tunnels, "tunnels", "", "table (CSV) of the pairs of routers that have tunnels")
	c.Flags().StringVarP(&f.output, "output", "o", "",
		"write the inventory to this file instead of stdout; one that is there is kept without --merge")
	c.Flags().BoolVar(&f.merge, "merge", false,
		"add to the file of -o, else to the inventory, what it has not; nothing in it is changed")
	c.Flags().StringVar(&f.token, "token", "",
		"where the token of the NetBox is kept: env:VAR, file:PATH, cmd:COMMAND, keyring:NAME")
	c.Flags().StringArrayVar(&f.filter, "filter", nil,
		"choose devices of the NetBox: platform=iosxe, tag=vpn; as often as needed")
	c.Flags().IntVar(&f.limit, "limit", 10000, "devices of the NetBox at most")
	mustComplete(c, "from", exchange.Sources)
	return a.withFormat(c)
}

// maxImport bounds what is read from stdin and of a table of tunnels, in bytes.
const maxImport = 64 << 20

func (a *app) importInventory(ctx context.Context, f importFlags, from string) error {
	if err := oneOf("--from", f.from, exchange.Sources...); err != nil {
		return err
	}
	if _, err := a.destinationOf(f.output); err != nil {
		return usageError(err)
	}
	d, err := a.readForeign(ctx, f, from)
	if err != nil {
		return usageError(fmt.Errorf("import from %s: %w", f.from, err))
	}
	var text bytes.Buffer
	if f.merge {
		err = a.mergeInto(f, d, &text)
	} else {
		err = d.WriteYAML(&text)
	}
	if err != nil {
		return usageError(err)
	}
	a.fact("notes", d.Notes())
	for _, n := range d.Notes() {
		a.account(n)
	}
	old, err := inventory.ReadRegular(f.output, maxOld, nil)
	if there := err == nil && len(old) > 0 || errors.Is(err, inventory.ErrTooLarge); f.output != "" && there && !f.merge {
		if bytes.Equal(old, text.Bytes()) {
			return nil
		}
		return usageError(&hinted{fmt.Errorf("%s is there already, and is kept", f.output),
			"--merge adds to it what it has not"})
	}
	return a.writeTo(f.output, func(w io.Writer) error { _, err := w.Write(text.Bytes()); return err })
}

// account tells a line of what was taken, guessed and dropped; --quiet leaves what was dropped.
func (a *app) account(n exchange.Note) {
	if a.quiet && n.Kind == "dropped" && a.logFormat != "json" {
		fmt.Fprintln(a.stderr, printable(n.String()))
		return
	}
	a.progress("%s", n)
}

func (a *app) readForeign(ctx context.Context, f importFlags, from string) (*exchange.Draft, error) {
	var pairs, text []byte
	var err error
	if f.tunnels != "" {
		file, err := os.Open(f.tunnels)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		if pairs, err = bounded(file); err != nil {
			return nil, err
		}
	}
	if f.from == "netbox" {
		return a.askNetBox(ctx, f, from, pairs)
	}
	folder, name := filepath.Dir(from), filepath.Base(from)
	if info, err := os.Stat(from); err == nil && info.IsDir() {
		folder, name = from, "."
	}
	if from == "-" {
		name = "stdin"
		if text, err = bounded(a.stdin); err != nil {
			return nil, err
		}
		if text == nil {
			text = []byte{}
		}
	}
	return exchange.Read(f.from, os.DirFS(folder), name, text, pairs)
}

func bounded(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxImport+1))
	if err == nil && len(b) > maxImport {
		err = fmt.Errorf("larger than %d MB", maxImport>>20)
	}
	return b, err
}

func (a *app) askNetBox(ctx context.Context, f importFlags, from string, pairs []byte) (*exchange.Draft, error) {
	nb := exchange.NetBox{URL: from, Limit: f.limit, Filter: url.Values{}}
	for _, pair := range f.filter {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || slices.Contains([]string{"limit", "offset"}, key) {
			return nil, fmt.Errorf("--filter %q: want NAME=VALUE of NetBox's list of devices", pair)
		}
		nb.Filter.Add(key, value)
	}
	if f.token != "" {
		ref, err := inventory.ParseSecretRef(f.token)
		if err != nil {
			return nil, fmt.Errorf("--token: %w", err)
		}
		token, err := ref.Resolve(ctx, "", nil)
		if err != nil {
			return nil, err
		}
		nb.Token = token.Reveal()
	}
	return exchange.ReadNetBox(ctx, nb, pairs)
}

// maxOld bounds an inventory that is there already.
const maxOld = 16 << 20

// mergeInto writes the inventory that is there, with what is new.
func (a *app) mergeInto(f importFlags, d *exchange.Draft, text *bytes.Buffer) error {
	path := f.output
	if path == "" {
		path = a.inventoryPath()
	}
	old, err := inventory.ReadRegular(path, maxOld, nil)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(bytes.TrimSpace(old)) == 0 {
		return d.WriteYAML(text)
	} else if err != nil {
		return err
	}
	merged, kept, err := d.Merge(path, old)
	if err != nil {
		return err
	}
	if len(kept) > 0 {
		a.progress("%s", exchange.Note{Kind: "kept", Text: "in " + path + " already, as they are", Who: kept})
	}
	text.Write(merged)
	return nil
}

func (a *app) exportCommand() *cobra.Command {
	target, output := "", ""
	c := &cobra.Command{
		Use:   "export --to FORM",
		Short: "Write the inventory for another tool",
		Long: `Write the inventory for another tool: ansible (an inventory in YAML), csv (a row for each side of a tunnel, formulas
quoted), or prometheus-sd (targets for file-based service discovery: each router's SSH server). Secrets are written as where
they are kept, and only where the other tool can look there.`,
		Example: "  moncap inventory export --to prometheus-sd -o /etc/prometheus/routers.json",
		Args:    wants(0, 0),
		RunE: func(*cobra.Command, []string) error {
			if err := oneOf("--to", target, exchange.Targets...); err != nil {
				return err
			}
			inv, err := a.loadInventory()
			if err != nil {
				return err
			}
			return a.writeTo(output, func(w io.Writer) error { return exchange.Write(w, target, inv) })
		},
	}
	c.Flags().StringVar(&target, "to", "", "form: "+strings.Join(exchange.Targets, ", "))
	c.Flags().StringVarP(&output, "output", "o", "", "write to this file instead of stdout")
	mustComplete(c, "to", exchange.Targets)
	return c
}
