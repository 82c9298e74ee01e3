package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/moncap/moncap/device/inventory"
)

const defaultInventory = "inventory.yaml"

// inventoryPath is the file that -i, then $MONCAP_INVENTORY, then the current directory name.
func (a *app) inventoryPath() string {
	if a.inventory != "" {
		return a.inventory
	}
	if p := a.getenv("MONCAP_INVENTORY"); p != "" {
		return p
	}
	return defaultInventory
}

// readInventory reads the file, which is trusted less when nobody named it; - is stdin, which can
// be read once.
func (a *app) readInventory() (*inventory.Inventory, error) {
	if a.inventoryPath() == "-" {
		if a.piped == nil {
			a.piped = &pipedInventory{}
			a.piped.inv, a.piped.err = inventory.Parse("stdin", a.stdin)
		}
		return a.piped.inv, a.piped.err
	}
	if path := a.inventoryPath(); a.inventory != "" || path != defaultInventory {
		return inventory.Load(path)
	}
	return inventory.LoadFound(defaultInventory)
}

// pipedInventory is what was read from stdin.
type pipedInventory struct {
	inv *inventory.Inventory
	err error
}

func (a *app) loadInventory() (*inventory.Inventory, error) {
	path := a.inventoryPath()
	inv, err := a.readInventory()
	if err == nil {
		return inv, nil
	}
	if errors.Is(err, fs.ErrNotExist) && path == defaultInventory {
		return nil, usageError(&hinted{errors.New("there is no inventory.yaml here"),
			"name one with -i FILE or $MONCAP_INVENTORY; inventory.example.yaml of the project shows every key"})
	}
	return nil, usageError(err)
}

// hinted is an error with advice.
type hinted struct {
	error
	hint string
}

func (h *hinted) Hint() string  { return h.hint }
func (h *hinted) Unwrap() error { return h.error }

func (a *app) loadTunnel(name string) (*inventory.Tunnel, error) {
	inv, err := a.loadInventory()
	if err != nil {
		return nil, err
	}
	t, err := inv.Tunnel(name)
	if err != nil {
		return nil, usageError(fmt.Errorf("%w%s", err, didYouMean(name, inv.TunnelNames())))
	}
	return t, nil
}

// inventoryForCompletion leaves stdin alone, which is the shell's terminal then.
func (a *app) inventoryForCompletion() (*inventory.Inventory, error) {
	if a.inventoryPath() == "-" {
		return nil, errors.New("stdin is not read for a completion")
	}
	return a.readInventory()
}

func (a *app) completeTunnels(_ *cobra.Command, typed []string, _ string) ([]string, cobra.ShellCompDirective) {
	inv, err := a.inventoryForCompletion()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return slices.DeleteFunc(inv.TunnelNames(), func(n string) bool { return slices.Contains(typed, n) }),
		cobra.ShellCompDirectiveNoFileComp
}

// completeTunnel is completeTunnels for commands that take one.
func (a *app) completeTunnel(c *cobra.Command, typed []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(typed) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.completeTunnels(c, typed, word)
}

// completeRun offers tunnels, for their latest run, and the folders of runs.
func (a *app) completeRun(c *cobra.Command, typed []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(typed) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names, _ := a.completeTunnels(c, typed, word)
	return append(names, a.runFolders()...), cobra.ShellCompDirectiveKeepOrder
}

// completeRuns offers the folders of runs; reports in JSON are files, which the
// shell offers itself.
func (a *app) completeRuns(_ *cobra.Command, typed []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(typed) > 1 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return slices.DeleteFunc(a.runFolders(), func(n string) bool { return slices.Contains(typed, n) }),
		cobra.ShellCompDirectiveKeepOrder
}

// runFolders are the folders of runs, the latest first.
func (a *app) runFolders() []string {
	// the pattern is a good one unless the folder's name is not
	found, _ := filepath.Glob(filepath.Join(a.runsDir(), "*", "run.json"))
	written := map[string]time.Time{}
	for _, file := range found {
		if info, err := os.Stat(file); err == nil {
			written[file] = info.ModTime()
		}
	}
	slices.SortStableFunc(found, func(x, y string) int { return written[y].Compare(written[x]) })
	for i := range found {
		found[i] = filepath.Dir(found[i])
	}
	// A name that would drive the terminal is not offered: it can be typed by whoever means it.
	return slices.DeleteFunc(found, func(dir string) bool { return dir != printable(dir) })
}

func (a *app) completePeers(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	inv, err := a.inventoryForCompletion()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return inv.PeerNames(), cobra.ShellCompDirectiveNoFileComp
}

func (a *app) inventoryCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "inventory",
		Short:   "List or check the inventory; import and export it",
		Example: "  moncap inventory validate -i inventory.yaml",
		Args:    wants(0, 0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	format := "text"
	list := &cobra.Command{
		Use:     "list",
		Short:   "The tunnels and their peers",
		Example: "  moncap inventory list --format json",
		Args:    wants(0, 0),
		RunE: func(*cobra.Command, []string) error {
			if err := oneOf("--format", format, "text", "json"); err != nil {
				return err
			}
			inv, err := a.loadInventory()
			if err != nil {
				return err
			}
			if format == "json" {
				return writeJSON(a.stdout, listing(inv))
			}
			return a.printInventory(inv)
		},
	}
	list.Flags().StringVarP(&format, "format", "f", format, "text or json")
	mustComplete(list, "format", []string{"text", "json"})
	validate := &cobra.Command{
		Use:     "validate",
		Short:   "Check the inventory; connects to nothing",
		Example: "  moncap inventory validate -i inventory.yaml",
		Args:    wants(0, 0),
		RunE: func(*cobra.Command, []string) error {
			inv, err := a.loadInventory()
			if err != nil {
				return err
			}
			a.fact("inventory", inv.File)
			a.fact("peers", inv.PeerNames())
			a.fact("tunnels", inv.TunnelNames())
			a.fact("schedules", inv.ScheduleNames())
			what := []string{counted(len(inv.Peers), "peer"), counted(len(inv.Tunnels), "tunnel")}
			if len(inv.Schedules) > 0 {
				what = append(what, counted(len(inv.Schedules), "schedule"))
			}
			_, err = fmt.Fprintf(a.stdout, "%s: %s, no errors\n", inv.File, strings.Join(what, ", "))
			return err
		},
	}
	c.AddCommand(list, a.withFormat(validate), a.importCommand(), a.exportCommand())
	return c
}

type listedPeer struct {
	Name       string `json:"name"`
	Host       string `json:"host"`
	Interface  string `json:"interface"`
	Address    string `json:"address"`
	NATAddress string `json:"nat_address,omitempty"`
	VRF        string `json:"vrf,omitempty"`
	Secret     string `json:"secret,omitempty"` // where it is kept
}

type listedTunnel struct {
	Name    string     `json:"name"`
	Site    string     `json:"site,omitempty"`
	Tags    []string   `json:"tags,omitempty"`
	Approve string     `json:"approve,omitempty"`
	A       listedPeer `json:"a"`
	B       listedPeer `json:"b"`
}

func listing(inv *inventory.Inventory) []listedTunnel {
	out := []listedTunnel{}
	for _, name := range inv.TunnelNames() {
		t := inv.Tunnels[name]
		out = append(out, listedTunnel{name, t.Site, t.Tags, t.Approve, describePeer(t.A), describePeer(t.B)})
	}
	return out
}

func describePeer(p *inventory.Peer) listedPeer {
	l := listedPeer{Name: p.Name, Host: p.Address(), Interface: p.WAN.Interface, Address: p.WAN.Address.String(),
		VRF: p.WAN.VRF, Secret: p.Password.String()}
	if p.WAN.NATAddress.IsValid() {
		l.NATAddress = p.WAN.NATAddress.String()
	}
	return l
}

func (a *app) printInventory(inv *inventory.Inventory) error {
	w := a.newTable(a.stdout)
	fmt.Fprintln(w, "TUNNEL\tSIDE\tPEER\tMANAGEMENT\tINTERFACE\tVPN ADDRESS\tSEEN AS")
	for _, t := range listing(inv) {
		for i, p := range []listedPeer{t.A, t.B} {
			fmt.Fprintf(w, "%s\t%c\t%s\t%s\t%s\t%s\t%s\n", t.Name, 'A'+i, p.Name, p.Host, p.Interface, p.Address, p.NATAddress)
		}
	}
	return w.Flush()
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// exists says whether path names something.
func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
