package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moncap/moncap/capture"
	"github.com/moncap/moncap/device/inventory"
)

func (a *app) partnerKitCommand() *cobra.Command {
	vendor, side := "iosxe", "b"
	iface := ""
	c := &cobra.Command{
		Use:   "partner-kit TUNNEL",
		Short: "What the other company types, when only one side is ours",
		Long: `What the operator of the other gateway types to take the capture that ` + "`moncap analyze A.pcap B.pcap`" +
			` joins with ours.
Known platforms: ` + strings.Join(capture.PartnerVendors(), ", ") + ".",
		Example: `  moncap partner-kit hq-branch --vendor fortigate
  moncap partner-kit hq-branch --side a --vendor strongswan --interface eth0`,
		Args:              wants(1, 1),
		ValidArgsFunction: a.completeTunnel,
		RunE: func(_ *cobra.Command, args []string) error {
			if vendor = strings.ToLower(vendor); vendor == "pfsense" {
				vendor = "opnsense" // the same commands
			}
			if err := oneOf("--vendor", vendor, capture.PartnerVendors()...); err != nil {
				return err
			}
			if err := oneOf("--side", strings.ToLower(side), "a", "b"); err != nil {
				return err
			}
			t, err := a.loadTunnel(args[0])
			if err != nil {
				return err
			}
			partner, ours := t.B, t.A
			if strings.EqualFold(side, "a") {
				partner, ours = t.A, t.B
			}
			kit, err := capture.PartnerKit(vendor, partnerOf(t, partner, ours, vendor, iface))
			if err != nil {
				return usageError(err)
			}
			_, err = fmt.Fprint(a.stdout, kit)
			return err
		},
	}
	c.Flags().StringVar(&vendor, "vendor", vendor,
		"platform of their gateway: "+strings.Join(capture.PartnerVendors(), ", "))
	c.Flags().StringVar(&side, "side", side, "which side of the tunnel is theirs: a or b")
	c.Flags().StringVar(&iface, "interface", "",
		"their WAN interface; without it the inventory's on IOS XE, else a placeholder")
	mustComplete(c, "vendor", capture.PartnerVendors())
	mustComplete(c, "side", []string{"a", "b"})
	return c
}

// partnerOf is the other end as its operator sees the tunnel: us behind our NAT, and itself in
// front of its own.
func partnerOf(t *inventory.Tunnel, partner, ours *inventory.Peer, vendor, iface string) capture.Partner {
	remote := ours.WAN.Address
	if ours.WAN.NATAddress.IsValid() {
		remote = ours.WAN.NATAddress
	}
	if iface == "" && vendor == "iosxe" {
		iface = partner.WAN.Interface
	}
	return capture.Partner{Tunnel: t.Name, Interface: iface, Local: partner.WAN.Address, Remote: remote,
		File: t.Name + "-" + partner.Name + ".pcap", SideA: partner == t.A}
}

// mustComplete offers values for a flag that the command has.
func mustComplete(c *cobra.Command, flag string, values []string) {
	err := c.RegisterFlagCompletionFunc(flag, func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return slices.Clone(values), cobra.ShellCompDirectiveNoFileComp
	})
	if err != nil {
		panic(err) // the flag was defined a few lines above
	}
}
