package main

import "github.com/spf13/cobra"

func (a *app) liveCommands() []*cobra.Command {
	return []*cobra.Command{
		a.runCommand(), a.planCommand(), a.checkCommand(), a.startCommand(), a.statusCommand(), a.stopCommand(), a.collectCommand(),
		a.cleanCommand(), a.trustCommand(), a.inventoryCommand(),
	}
}

func (a *app) fileCommands() []*cobra.Command {
	return []*cobra.Command{
		a.analyzeCommand(), a.decodeCommand(), a.runsCommand(), a.reportCommand(), a.diffCommand(), a.bundleCommand(), a.partnerKitCommand(),
	}
}

func (a *app) helpCommands() []*cobra.Command {
	return []*cobra.Command{
		a.demoCommand(), a.simulateCommand(), a.explainCommand(), a.accountCommand(), a.commandsCommand(), a.manCommand(), a.versionCommand(),
	}
}
