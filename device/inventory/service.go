package inventory

import (
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// Service is what the file of a worker says, serve.yaml: where the fleet's database is, and how
// much of what this worker does.
type Service struct {
	File       string
	DB         string    // address of the database, without a password; empty: the default
	DBPassword SecretRef // of PostgreSQL; none: PGPASSFILE, or ~/.pgpass
	Sites      []string  // whose tunnels it captures; none: those that name no site
	Workers    int       // runs at the same time
	Lease      time.Duration
	Drain      time.Duration // in which captures end and are fetched when it is told to stop
	MaxMB      int           // of a bundle that is kept in the database; 0: none is
	Retain     Retain
	Syslog     []string // where log lines of the routers are listened for: udp:HOST:PORT, tcp:HOST:PORT
	Events     EventSettings
	Hooks      Hooks
}

// Retain says how long the database keeps what it has.
type Retain struct {
	Runs, Bundles time.Duration
	KeepLast      int // runs of each tunnel that stay, however old
	MaxGB         int // of bundles, of which the oldest go first
}

const day = 24 * time.Hour

// DefaultService is what holds where no file says otherwise.
func DefaultService() *Service {
	return &Service{
		Workers: 8, Lease: 15 * time.Second, Drain: 2 * time.Minute, MaxMB: 8,
		Retain: Retain{Runs: 400 * day, Bundles: 30 * day, KeepLast: 5, MaxGB: 20},
	}
}

// LoadService reads and validates the file of a worker, as strictly as an inventory.
func LoadService(path string) (*Service, error) {
	s := DefaultService()
	s.File = path
	p := &parser{}
	doc, err := p.open(path, false, "want db, sites, workers")
	if err != nil {
		return nil, err
	}
	p.service(doc, s)
	return s, p.err()
}

func (p *parser) service(n *yaml.Node, s *Service) {
	p.mapping("", n, keys{
		"syslog":      func(where string, n *yaml.Node) { p.listeners(where, n, &s.Syslog) },
		"events":      func(where string, n *yaml.Node) { p.eventSettings(where, n, &s.Events) },
		"hooks":       func(where string, n *yaml.Node) { p.hooks(where, n, &s.Hooks) },
		"db":          func(where string, n *yaml.Node) { p.database(where, n, &s.DB) },
		"db_password": func(where string, n *yaml.Node) { p.secret(where, n, &s.DBPassword) },
		"sites":       func(where string, n *yaml.Node) { p.names(where, n, &s.Sites) },
		"workers":     func(where string, n *yaml.Node) { p.number(where, n, &s.Workers, 1, 256) },
		"lease": func(where string, n *yaml.Node) {
			p.duration(where, n, &s.Lease, 5*time.Second, 5*time.Minute)
		},
		"drain": func(where string, n *yaml.Node) { p.duration(where, n, &s.Drain, time.Second, time.Hour) },
		"artifacts": func(where string, n *yaml.Node) {
			p.mapping(where, n, keys{
				"max_mb": func(where string, n *yaml.Node) { p.number(where, n, &s.MaxMB, 0, 1024) },
			})
		},
		"retain": func(where string, n *yaml.Node) {
			p.mapping(where, n, keys{
				"runs":      func(where string, n *yaml.Node) { p.age(where, n, &s.Retain.Runs) },
				"bundles":   func(where string, n *yaml.Node) { p.age(where, n, &s.Retain.Bundles) },
				"keep_last": func(where string, n *yaml.Node) { p.number(where, n, &s.Retain.KeepLast, 1, 10000) },
				"max_gb":    func(where string, n *yaml.Node) { p.number(where, n, &s.Retain.MaxGB, 1, 100000) },
			})
		},
	})
}

// database reads an address of a database. The path of a file counts from the folder of this one.
func (p *parser) database(where string, n *yaml.Node, into *string) {
	s, ok := p.scalar(where, n, "sqlite:PATH or postgres://HOST/NAME")
	if !ok {
		return
	}
	if path, file := strings.CutPrefix(s, "sqlite:"); file && path != "" {
		path, err := localPath(path, p.folder)
		if err != nil {
			p.fail(n, where, "%v", err)
			return
		}
		s = "sqlite:" + path
	}
	*into = s
}

// age reads a time in days.
func (p *parser) age(where string, n *yaml.Node, into *time.Duration) {
	const want = "a number of days from 1d to 10000d, such as 30d"
	s, ok := p.scalar(where, n, want)
	if !ok {
		return
	}
	number, ofDays := strings.CutSuffix(s, "d")
	days, err := strconv.Atoi(number)
	if !ofDays || err != nil || days < 1 || days > 10000 {
		p.fail(n, where, "%s: want %s", quoted(s), want)
		return
	}
	*into = time.Duration(days) * day
}

// ServiceBeside is the file of a worker that lies beside an inventory, whether it is there or not.
func ServiceBeside(inventory string) string {
	return filepath.Join(filepath.Dir(inventory), "serve.yaml")
}
