package main

import "github.com/spf13/cobra"

func (a *app) liveCommands() []*cobra.Command {
	return []*cobra.Command{
		a.runCommand(), a.withFormat(a.planCommand()), a.checkCommand(), a.withFormat(a.startCommand()),
		a.withFormat(a.statusCommand()),
		a.withFormat(a.stopCommand()), a.watchCommand(), a.collectCommand(), a.withFormat(a.cleanCommand()),
		a.withFormat(a.trustCommand()), a.inventoryCommand(),
	}
}

func (a *app) fleetCommands() []*cobra.Command {
	return []*cobra.Command{
		a.serveCommand(), a.submitCommand(), a.armCommand(), a.disarmCommand(), a.jobsCommand(), a.cancelCommand(),
		a.approveCommand(), a.historyCommand(), a.scheduleCommand(),
		a.workerCommand(), a.dbCommand(), a.notifyCommand(), a.eventsCommand(), a.tokenCommand(),
	}
}

func (a *app) fileCommands() []*cobra.Command {
	return []*cobra.Command{
		a.analyzeCommand(), a.decodeCommand(), a.runsCommand(), a.reportCommand(), a.diffCommand(),
		a.withFormat(a.bundleCommand()), a.partnerKitCommand(), a.extcapCommand(), a.mcpCommand(),
	}
}

func (a *app) helpCommands() []*cobra.Command {
	return []*cobra.Command{
		a.demoCommand(), a.simulateCommand(), a.explainCommand(), a.accountCommand(), a.commandsCommand(), a.manCommand(),
		a.withFormat(a.versionCommand()),
	}
}
