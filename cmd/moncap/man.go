package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func (a *app) manCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "man DIR",
		Short:   "Write the man pages into a folder",
		Example: "  moncap man ~/.local/share/man/man1",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return usageError(fmt.Errorf("man: %w", err))
			}
			root := cmd.Root()
			root.DisableAutoGenTag = true
			header := &doc.GenManHeader{Title: "MONCAP", Section: "1", Source: "moncap " + versionString(), Manual: "moncap"}
			if err := doc.GenManTree(root, header, args[0]); err != nil {
				return usageError(fmt.Errorf("man: %w", err))
			}
			return nil
		},
	}
}
