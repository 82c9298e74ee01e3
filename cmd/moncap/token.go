package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/moncap/moncap/capture/fleet"
)

func (a *app) tokenCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "token",
		Short: "Who may use the page and the API of moncap serve",
		Long: `Tokens are what people and programs log in with to the page and the API of moncap serve. They are in
the fleet's database as hashes: what a token is, is shown once, when it is made.`,
		Example: "  moncap token add ann --role operator",
		Args:    wants(0, 0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(a.tokenAddCommand(), a.tokenListCommand(), a.tokenRemoveCommand())
	return c
}

func roleNames() []string {
	var all []string
	for _, r := range fleet.Roles() {
		all = append(all, string(r))
	}
	return all
}

func (a *app) tokenAddCommand() *cobra.Command {
	var f databaseFlags
	role := ""
	c := &cobra.Command{
		Use:   "add NAME",
		Short: "Make a token, and show it this once",
		Long: `Make a token for somebody, or for a program. NAME is what the history says did something; nobody approves
of a run that their own name asked for, so that each person needs one of their own.

  viewer    sees verdicts and findings; no packets, no transcripts
  operator  starts, cancels, cleans and approves runs, and has their reports and captures
  admin     also pauses schedules, and sees who did what

The token alone is on stdout, for a file or a pipe.

EXIT STATUS
  0   made
  4   the database cannot be reached
  64  wrong usage, a name that is there already, or there is no database`,
		Example: `  moncap token add ann --role operator
  moncap token add prometheus --role viewer > /etc/prometheus/moncap.token`,
		Args: wants(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if role == "" {
				return usageError(errors.New("token add: say what it may do: --role viewer, operator or admin"))
			}
			if err := oneOf("--role", role, roleNames()...); err != nil {
				return err
			}
			return a.withStore(cmd.Context(), &f, func(s *fleet.Store) error {
				secret, err := s.AddToken(cmd.Context(), a.who(), args[0], fleet.Role(role))
				if err != nil {
					return err
				}
				a.done = &unsaid{exitFailed, "the token of " + printable(args[0]) + " was made, and nobody has it",
					"moncap token remove " + shellWord(args[0]) + " ends it"}
				a.progress("the token of %s, %s; it is not shown again", args[0], role)
				_, err = fmt.Fprintln(a.stdout, secret)
				return err
			})
		},
	}
	f.register(c)
	c.Flags().StringVar(&role, "role", "", "viewer, operator or admin")
	mustComplete(c, "role", roleNames())
	return c
}

// jsonToken is a token in the list, in JSON.
type jsonToken struct {
	Name   string    `json:"name"`
	Role   string    `json:"role"`
	Made   time.Time `json:"made"`
	MadeBy string    `json:"made_by"`
}

func (a *app) tokenListCommand() *cobra.Command {
	var f databaseFlags
	format := "text"
	c := &cobra.Command{
		Use:     "list",
		Short:   "The tokens: name, role, and who made each when",
		Example: "  moncap token list",
		Args:    wants(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneOf("--format", format, "text", "json"); err != nil {
				return err
			}
			return a.withStore(cmd.Context(), &f, func(s *fleet.Store) error {
				tokens, err := s.Tokens(cmd.Context())
				if err != nil {
					return err
				}
				return a.printTokens(tokens, format)
			})
		},
	}
	f.register(c)
	c.Flags().StringVarP(&format, "format", "f", format, "text or json")
	mustComplete(c, "format", []string{"text", "json"})
	return c
}

func (a *app) printTokens(tokens []fleet.Token, format string) error {
	if format == "json" {
		all := []jsonToken{}
		for _, t := range tokens {
			all = append(all, jsonToken{t.Name, string(t.Role), t.Made, t.MadeBy})
		}
		return writeJSON(a.stdout, all)
	}
	if len(tokens) == 0 {
		_, err := fmt.Fprintln(a.stdout, "there are no tokens: moncap token add makes one")
		return err
	}
	w := a.newTable(a.stdout)
	fmt.Fprintln(w, "NAME\tROLE\tMADE\tBY")
	for _, t := range tokens {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", printable(t.Name), t.Role, t.Made.Local().Format(withZone),
			printable(t.MadeBy))
	}
	return w.Flush()
}

func (a *app) tokenRemoveCommand() *cobra.Command {
	var f databaseFlags
	c := &cobra.Command{
		Use:     "remove NAME",
		Short:   "End a token, and whatever is logged in with it",
		Example: "  moncap token remove ann",
		Args:    wants(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withStore(cmd.Context(), &f, func(s *fleet.Store) error {
				if err := s.RemoveToken(cmd.Context(), a.who(), args[0]); err != nil {
					return err
				}
				a.fact("token", args[0])
				_, err := fmt.Fprintf(a.stdout, "%s: removed\n", printable(args[0]))
				return err
			})
		},
	}
	f.register(c)
	return a.withFormat(c)
}
