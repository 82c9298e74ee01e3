package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moncap/moncap/device/iosxe"
)

func (a *app) accountCommand() *cobra.Command {
	var full, narrow bool
	username := "moncap"
	c := &cobra.Command{
		Use:   "account --full|--narrow",
		Short: "Configuration lines for the account that moncap logs in with",
		Example: `  moncap account --full       # level 15, SCP
  moncap account --narrow     # no configuration mode, no file, no SCP: for run --zero-config`,
		Args: wants(0, 0),
		RunE: func(*cobra.Command, []string) error {
			if full == narrow {
				return usageError(errors.New("account: want either --full or --narrow"))
			}
			if !regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`).MatchString(username) {
				return usageError(fmt.Errorf("account: user name %q: want letters, digits, '.', '_' and '-'", username))
			}
			lines := iosxe.FullAccount(username)
			if narrow {
				lines = iosxe.NarrowAccount(username)
			}
			_, err := fmt.Fprintln(a.stdout, strings.Join(lines, "\n"))
			return err
		},
	}
	c.Flags().BoolVar(&full, "full", false, "level 15 with SCP: the whole playbook")
	c.Flags().BoolVar(&narrow, "narrow", false, "capture and read only")
	c.Flags().StringVar(&username, "username", username, "name of the account")
	return c
}

func (a *app) commandsCommand() *cobra.Command {
	format := "text"
	c := &cobra.Command{
		Use:   "commands",
		Short: "Every command that moncap can ever send to a router",
		Long: `Every command that moncap can ever send to a router, for TACACS+ command authorization. The session enforces
the same list: nothing else is sent. <name>, <ip>, <n> stand for validated values, [x] may be missing, {a|b} is a choice.`,
		Example: "  moncap commands --format json",
		Args:    wants(0, 0),
		RunE: func(*cobra.Command, []string) error {
			if err := oneOf("--format", format, "text", "json"); err != nil {
				return err
			}
			if format == "json" {
				return writeJSON(a.stdout, describedCommands())
			}
			w := a.newTable(a.stdout)
			w.headless = true
			for _, d := range describedCommands() {
				for i, s := range d.Syntax {
					effect := ""
					if i == 0 {
						effect = d.Effect + ": " + d.Purpose
					}
					fmt.Fprintf(w, "%s%s\t%s\n", strings.Repeat(" ", min(i, 1)), s, effect)
				}
			}
			return w.Flush()
		},
	}
	c.Flags().StringVarP(&format, "format", "f", format, "text or json")
	mustComplete(c, "format", []string{"text", "json"})
	return c
}

type describedCommand struct {
	Name    string   `json:"name"`
	Mode    string   `json:"mode"`
	Syntax  []string `json:"syntax"`
	Effect  string   `json:"effect"`
	Narrow  bool     `json:"narrow_account"`
	Purpose string   `json:"purpose"`
}

func describedCommands() []describedCommand {
	var out []describedCommand
	for _, d := range iosxe.AllCommands() {
		out = append(out, describedCommand{d.Name, modeName(d.Mode), d.Syntax, string(d.Effect), d.Narrow, d.Purpose})
	}
	return out
}

func modeName(m iosxe.Mode) string {
	return [...]string{iosxe.Exec: "exec", iosxe.Config: "config", iosxe.Transfer: "transfer"}[m]
}
