package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"
	"time"

	_ "embed"

	"github.com/spf13/cobra"

	"github.com/moncap/moncap/capture/schedule"
	"github.com/moncap/moncap/device/inventory"
)

func (a *app) scheduleCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "schedule",
		Short:   "Have tunnels looked at every night: by moncap serve, or by another scheduler",
		Example: "  moncap schedule next\n  moncap schedule print hq-branch --systemd --at 02:30 --timezone Europe/Berlin",
		Args:    wants(0, 0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(a.scheduleListCommand(), a.scheduleNextCommand(), a.scheduleRunCommand(), a.schedulePauseCommand(true),
		a.schedulePauseCommand(false), a.schedulePrintCommand())
	return c
}

// scheduleFlags say when and where a scheduled run takes place.
type scheduleFlags struct {
	chosen
	systemd, cron, k8s, nomad bool
	at, timezone, weekdays    string
	spread                    time.Duration
	user, program, image      string
}

func (a *app) schedulePrintCommand() *cobra.Command {
	var f scheduleFlags
	c := &cobra.Command{
		Use:   "print TUNNEL... [-- FLAGS OF RUN]",
		Short: "The unit, crontab or job that runs tunnels on a schedule; changes nothing",
		Long: `Print what a scheduler needs to run tunnels: time zone, a fixed offset a tunnel so that a fleet does not start at once, no
overlap, time enough to clean the routers when it is stopped, and which exit codes are verdicts rather than failures. A run ends
when the tunnel is decided (--until decided), waits for routers that other runs have, and prints nothing when all is well.

What stands behind -- is given to run as it is.`,
		Example: `  moncap schedule print hq-branch --systemd --at 02:30 --timezone Europe/Berlin
  moncap schedule print --all --cron --spread 30m >> crontab.txt
  moncap schedule print hq-branch --k8s -- --trigger "clear crypto session remote 192.168.2.1"`,
		Args:              wants(0, -1),
		ValidArgsFunction: a.completeTunnels,
		RunE: func(cmd *cobra.Command, args []string) error {
			at := cmd.ArgsLenAtDash()
			if at < 0 {
				at = len(args)
			}
			return a.schedulePrint(args[:at], args[at:], &f)
		},
	}
	fl := c.Flags()
	fl.BoolVar(&f.systemd, "systemd", false, "a service and a timer for each tunnel")
	fl.BoolVar(&f.cron, "cron", false, "a line of a crontab for each tunnel")
	fl.BoolVar(&f.k8s, "k8s", false, "a Kubernetes CronJob for each tunnel")
	fl.BoolVar(&f.nomad, "nomad", false, "a Nomad job for each tunnel")
	f.chosen.register(c)
	fl.StringVar(&f.at, "at", "02:30", "time of the day")
	fl.StringVar(&f.timezone, "timezone", "UTC", "time zone of that time, by its IANA name")
	fl.StringVar(&f.weekdays, "weekdays", "", "only on these days, such as mon,wed,fri (default: every day)")
	fl.DurationVar(&f.spread, "spread", 0, "start each tunnel up to this much later, always by the same amount")
	fl.StringVar(&f.user, "user", "moncap", "the account that runs it (systemd)")
	fl.StringVar(&f.program, "program", "", "path of moncap there (default: where this one is)")
	fl.StringVar(&f.image, "image", "moncap:latest", "container image (Kubernetes, Nomad)")
	return c
}

//go:embed schedule.tmpl
var scheduleTemplates string

// weekdayNumbers are cron's.
var weekdayNumbers = map[string]int{"sun": 0, "mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6}

// scheduledRun is what the templates fill in.
type scheduledRun struct {
	Tunnel, Unit      string
	Inventory, Folder string
	Hour, Minute      int
	Offset            int // seconds that are left of the spread behind the minute
	Timezone          string
	Days              []string // Mon, Tue
	CronDays          string   // * or 1,2
	User, Image, Runs string
	Argv              []string
	Limit             int // seconds that a run may take
	ReadsHome         bool
}

// StopSeconds is the time in which a run that is stopped has cleaned its routers.
func (scheduledRun) StopSeconds() int { return 150 }

func (a *app) schedulePrint(names, runArgs []string, f *scheduleFlags) error {
	form, err := f.form()
	if err != nil {
		return usageError(err)
	}
	f.names = names
	tunnels, err := a.chosenTunnels(f.chosen)
	if err != nil {
		return err
	}
	if err := a.checkRunArgs(runArgs); err != nil {
		return usageError(err)
	}
	t, err := template.New("schedule").Funcs(template.FuncMap{
		"systemd": systemdLine, "shell": shellLine, "quoted": quotedList, "dns": dnsLabel, "join": strings.Join,
	}).Parse(scheduleTemplates)
	if err != nil {
		return err
	}
	for i, tunnel := range tunnels {
		job, err := a.scheduled(tunnel, runArgs, f)
		if err != nil {
			return usageError(err)
		}
		if err := printJob(a.stdout, t, form, job, i == 0); err != nil {
			return err
		}
	}
	return nil
}

// printJob fills in one job. What stands at the top of a file is said once.
func printJob(w io.Writer, t *template.Template, form string, job *scheduledRun, first bool) error {
	if first && t.Lookup(form+"-head") != nil {
		if err := t.ExecuteTemplate(w, form+"-head", job); err != nil {
			return err
		}
	}
	return t.ExecuteTemplate(w, form, job)
}

func (f *scheduleFlags) form() (string, error) {
	var chosen []string
	for name, on := range map[string]bool{"systemd": f.systemd, "cron": f.cron, "k8s": f.k8s, "nomad": f.nomad} {
		if on {
			chosen = append(chosen, name)
		}
	}
	if len(chosen) != 1 {
		return "", errors.New("schedule print: want one of --systemd, --cron, --k8s and --nomad")
	}
	return chosen[0], nil
}

// checkRunArgs has run's own flags judge what it will be given.
func (a *app) checkRunArgs(args []string) error {
	c := a.runCommand()
	if err := c.ParseFlags(args); err != nil {
		return fmt.Errorf("behind --: %w", err)
	}
	if rest := c.Flags().Args(); len(rest) > 0 {
		return fmt.Errorf("behind --: want flags of run, got %q", rest[0])
	}
	return nil
}

func (a *app) scheduled(t *inventory.Tunnel, runArgs []string, f *scheduleFlags) (*scheduledRun, error) {
	at, err := time.Parse("15:04", f.at)
	if err != nil {
		return nil, fmt.Errorf("--at: want a time such as 02:30, got %q", f.at)
	}
	if _, err := time.LoadLocation(f.timezone); err != nil || f.timezone == "Local" || f.timezone == "" {
		return nil, fmt.Errorf("--timezone: %q is no time zone by its IANA name, such as Europe/Berlin", f.timezone)
	}
	if f.spread < 0 || f.spread >= 24*time.Hour {
		return nil, errors.New("--spread: want a time below 24h")
	}
	path, program, err := f.paths(a.inventoryPath())
	if err != nil {
		return nil, err
	}
	j := &scheduledRun{
		Tunnel: t.Name, Unit: "moncap-" + t.Name, Inventory: path, Folder: filepath.Dir(path), Timezone: f.timezone,
		User: f.user, Image: f.image,
		Runs: "/var/lib/moncap/runs", CronDays: "*", ReadsHome: strings.HasPrefix(path, "/home/") ||
			strings.HasPrefix(path, "/root/"),
		Limit: int((t.Capture.Duration + 15*time.Minute).Seconds()),
	}
	start := time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute +
		schedule.Offset(t.Name, f.spread)
	if err := j.setDays(f.weekdays, int(start/(24*time.Hour))); err != nil {
		return nil, err
	}
	j.Hour, j.Minute, j.Offset = int(start/time.Hour)%24, int(start/time.Minute)%60, int(start/time.Second)%60
	j.Argv = append([]string{program, "-i", path, "--no-input", "run", t.Name, "--until", "decided", "--quiet-ok",
		"--wait-for-router", "10m"}, runArgs...)
	return j, nil
}

// setDays reads days of the week. What the spread moves past midnight is on the day after.
func (j *scheduledRun) setDays(list string, later int) error {
	if list == "" {
		return nil
	}
	var numbers []string
	for d := range strings.SplitSeq(strings.ToLower(list), ",") {
		n, ok := weekdayNumbers[strings.TrimSpace(d)]
		if !ok {
			return fmt.Errorf("--weekdays: want days such as mon,wed,fri, got %q", d)
		}
		n = (n + later) % 7
		numbers = append(numbers, fmt.Sprint(n))
		j.Days = append(j.Days, time.Weekday(n).String()[:3])
	}
	slices.Sort(numbers)
	j.CronDays = strings.Join(slices.Compact(numbers), ",")
	return nil
}

// paths are those of the inventory and of the program where the run takes place.
func (f *scheduleFlags) paths(inventoryPath string) (path, program string, err error) {
	if inventoryPath == "-" {
		return "", "", errors.New("schedule print: the inventory is read anew by each run: name a file with -i")
	}
	if path, err = filepath.Abs(inventoryPath); err != nil {
		return "", "", err
	}
	program = installedProgram()
	if f.k8s || f.nomad { // in a container
		path, program = "/etc/moncap/"+filepath.Base(path), "/moncap"
	}
	return path, orDefault(f.program, program), nil
}

// installedProgram is where moncap is, unless it was built for this one call, as go run does.
func installedProgram() string {
	p, err := os.Executable()
	if err != nil || strings.Contains(p, "go-build") || !strings.HasPrefix(filepath.Base(p), "moncap") {
		return "/usr/bin/moncap"
	}
	return p
}

// systemdLine writes a command line for a unit file (systemd.service(5), "Command lines").
func systemdLine(argv []string) string {
	words := make([]string, len(argv))
	for i, w := range argv {
		w = strings.NewReplacer(`%`, `%%`, `\`, `\\`, `"`, `\"`, `$`, `$$`).Replace(w)
		if strings.ContainsAny(w, " \t'\";") || w == "" {
			w = `"` + w + `"`
		}
		words[i] = w
	}
	return strings.Join(words, " ")
}

// shellLine writes a command line for a crontab, in which a percent sign ends the command.
func shellLine(argv []string) string {
	words := make([]string, len(argv))
	for i, w := range argv {
		words[i] = strings.ReplaceAll(shellWord(w), "%", `\%`)
	}
	return strings.Join(words, " ")
}

// dnsLabel makes a name fit for an object of Kubernetes (RFC 1123 label).
func dnsLabel(name string) string {
	return strings.Trim(strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(name)), "-")
}

// quotedList writes words as a list that is good JSON, YAML and HCL.
func quotedList(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = fmt.Sprintf("%q", w)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}
