package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moncap/moncap/device/inventory"
)

// completionFile is where each shell looks for a user's own completions; zsh has to be told of it.
var completionFile = map[string]struct{ base, underHome, rest, hint string }{
	"bash": {"XDG_DATA_HOME", ".local/share", "bash-completion/completions/moncap",
		"it works from the next shell, where bash-completion is installed"},
	"zsh": {"XDG_DATA_HOME", ".local/share", "zsh/site-functions/_moncap",
		"it works from the next shell once ~/.zshrc has, before compinit: fpath=(~/.local/share/zsh/site-functions $fpath)"},
	"fish": {"XDG_CONFIG_HOME", ".config", "fish/completions/moncap.fish", "it works from the next shell"},
}

// installsCompletion lets the command that cobra makes put a script where the shell looks for it.
func (a *app) installsCompletion(root *cobra.Command) {
	c, _, err := root.Find([]string{"completion"})
	if err != nil || c == root {
		return
	}
	var install bool
	shell := ""
	c.Flags().BoolVar(&install, "install", false, "put the script where your shell looks for it")
	c.Flags().StringVar(&shell, "shell", "", "bash, zsh or fish (default: what $SHELL says)")
	c.Example = "  moncap completion --install\n  source <(moncap completion bash)"
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if !install {
			return cmd.Help()
		}
		return a.installCompletion(root, shell)
	}
}

func (a *app) installCompletion(root *cobra.Command, shell string) error {
	if shell == "" {
		shell = filepath.Base(a.getenv("SHELL"))
	}
	where, ok := completionFile[shell]
	if !ok {
		return usageError(fmt.Errorf("completion --install: want --shell bash, zsh or fish, got %q", shell))
	}
	base := a.getenv(where.base)
	if !filepath.IsAbs(base) {
		var err error
		if base, err = inventory.ExpandHome("~/" + where.underHome); err != nil {
			return usageError(err)
		}
	}
	file := filepath.Join(base, filepath.FromSlash(where.rest))
	write := map[string]func(io.Writer) error{
		"bash": func(w io.Writer) error { return root.GenBashCompletionV2(w, true) }, "zsh": root.GenZshCompletion,
		"fish": func(w io.Writer) error { return root.GenFishCompletion(w, true) },
	}[shell]
	var text strings.Builder
	err := errors.Join(write(&text), os.MkdirAll(filepath.Dir(file), 0o700))
	if err == nil {
		err = a.writeTo(file, func(w io.Writer) error { _, err := io.WriteString(w, text.String()); return err })
	}
	if err != nil {
		return &exitError{exitFailed, err}
	}
	_, err = fmt.Fprintf(a.stdout, "%s: %s\n", file, where.hint)
	return err
}
