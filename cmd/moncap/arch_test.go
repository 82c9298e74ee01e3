package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/moncap/moncap/"

// mayImport is the import table of the design: which of our packages each may use
// in production code.
var mayImport = map[string][]string{
	"cmd/moncap":       {"*"},
	"device":           {"device/inventory", "device/iosxe"},
	"device/inventory": {"capture/schedule"}, // arithmetic alone
	"device/iosxe":     {},
	"device/simulator": {"analysis/ike"},
	"capture":          {"device/iosxe", "capture/bundle"},
	"capture/bundle":   {},
	"capture/schedule": {},
	"capture/event":    {}, // what others say of a tunnel: no router, no database
	"capture/fleet":    {"capture", "capture/bundle"},
	// bundles are what it gives away
	"capture/fleet/page": {"capture/fleet", "capture/bundle", "analysis/report", "analysis/render"},
	// bodies and sending; what is to be told is kept by capture/fleet
	"capture/fleet/notify": {},
	"analysis/ike":         {},
	"analysis/packet":      {"analysis/ike"},
	"analysis/packet/*":    {"analysis/ike", "analysis/packet"},
	"analysis/exchange":    {"analysis/packet", "analysis/ike"},
	"analysis/pair":        {"analysis/exchange", "analysis/packet", "analysis/ike"},
	"analysis/facts":       {"analysis/pair", "analysis/exchange", "analysis/packet", "analysis/ike", "device/iosxe"},
	"analysis/diagnose": {"analysis/facts", "analysis/pair", "analysis/exchange", "analysis/packet", "analysis/ike",
		"analysis/report"},
	"analysis/dissect": {"analysis/packet", "analysis/ike"},
	"analysis/report":  {},
	"analysis/render":  {"analysis/report", "analysis/packet"},
	"analysis/redact":  {"analysis/packet", "analysis/ike"},
	"analysis/scene":   {"analysis", "analysis/diagnose", "analysis/report", "analysis/ike"}, // for tests alone
	"analysis":         {"analysis/*"},
	"testdata":         {},

	"device/inventory/exchange": {"device/inventory"},

	regexps: {},
	sorts:   {},
}

// regexps is as good as the standard library's regexp: every package may use it.
const regexps = "internal/lazyregexp"

// sorts is as good as the standard library's slices, too.
const sorts = "internal/nearly"

// onlyImporter says which of our packages may import a third-party module, so that replacing one is
// a small change.
var onlyImporter = map[string][]string{
	"golang.org/x/crypto/ssh":        {"device", "device/simulator"},
	"golang.org/x/sync":              {"capture"},
	"golang.org/x/sys/unix":          {"device/simulator", "cmd/moncap"}, // packet(7); poll(2)
	"golang.org/x/term":              {"cmd/moncap"},
	"github.com/scrapli/scrapligo":   {"device"},
	"github.com/skeema/knownhosts":   {"device"},
	"github.com/zalando/go-keyring":  {"device/inventory"},
	"github.com/google/gopacket":     {"analysis/packet", "analysis/packet/register", "device/simulator"},
	"gopkg.in/yaml.v3":               {"device/inventory", "device/inventory/exchange"},
	"github.com/netresearch/go-cron": {"capture/schedule"},
	"github.com/spf13/cobra":         {"cmd/moncap"},
	"github.com/spf13/pflag":         {"cmd/moncap"},
	"github.com/vbauerster/mpb":      {"cmd/moncap"},
	"github.com/mattn/go-runewidth":  {"analysis/render"},
	"github.com/riverqueue/river":    {"capture/fleet"},
	"github.com/jackc/pgx":           {"capture/fleet"},
	"modernc.org/sqlite":             {"capture/fleet"},
	"database/sql":                   {"capture/fleet"},

	"github.com/santhosh-tekuri/jsonschema": {"analysis/scene"}, // which is in no binary

	"github.com/modelcontextprotocol/go-sdk": {"cmd/moncap"},
}

// forbidden are packages that no production code of ours imports.
var forbidden = map[string]string{
	"log":     "log/slog with an explicit logger",
	"testing": "tests stay out of the binary",

	module + "analysis/scene": "tests alone build scenes",
	"io/ioutil":               "os and io",
}

type listedPackage struct {
	ImportPath string
	Imports    []string
}

func TestImportsFollowTheDesign(t *testing.T) {
	for _, p := range listPackages(t) {
		ours := strings.TrimPrefix(p.ImportPath, module)
		allowed, ok := allowedImports(ours)
		if !ok {
			t.Errorf("%s has no line in the import table", ours)
			continue
		}
		for _, imp := range p.Imports {
			checkImport(t, ours, imp, allowed)
		}
	}
}

func checkImport(t *testing.T, ours, imp string, allowed []string) {
	t.Helper()
	if use, bad := forbidden[imp]; bad {
		t.Errorf("%s imports %s; use instead: %s", ours, imp, use)
	}
	if dep, isOurs := strings.CutPrefix(imp, module); isOurs {
		if dep != regexps && dep != sorts && !matchesAny(allowed, dep) {
			t.Errorf("%s imports %s, which the design does not allow", ours, dep)
		}
		return
	}
	first, _, _ := strings.Cut(imp, "/")
	if _, ruled := onlyImporter[imp]; !ruled && !strings.Contains(first, ".") ||
		strings.HasPrefix(imp, "golang.org/x/crypto/") && !strings.HasPrefix(imp, "golang.org/x/crypto/ssh") {
		return // the standard library, and its crypto supplement
	}
	for mod, importers := range onlyImporter {
		if imp == mod || strings.HasPrefix(imp, mod+"/") {
			if !slices.Contains(importers, ours) {
				t.Errorf("%s imports %s; only %v may", ours, imp, importers)
			}
			return
		}
	}
	t.Errorf("%s imports %s, which has no line in the table of third-party modules", ours, imp)
}

func allowedImports(pkg string) ([]string, bool) {
	if a, ok := mayImport[pkg]; ok {
		return a, true
	}
	for pattern, a := range mayImport {
		if matchesAny([]string{pattern}, pkg) && pattern != "*" {
			return a, true
		}
	}
	return nil, false
}

func matchesAny(patterns []string, pkg string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		prefix, wild := strings.CutSuffix(p, "*")
		return p == pkg || wild && strings.HasPrefix(pkg, prefix)
	})
}

func listPackages(t *testing.T) []listedPackage {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", module+"...",
		module+"testdata").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listedPackage
	d := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p listedPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// gopacket.NewPacket walks every layer that it knows; its sFlow layer allocates 256 MiB from one
// 154-byte frame.
func TestNobodyCallsNewPacket(t *testing.T) {
	seen := 0
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		seen++
		b, err := os.ReadFile(path)
		if strings.Contains(string(b), "gopacket.NewPacket"+"(") {
			t.Errorf("%s calls gopacket.NewPacket", path)
		}
		return err
	})
	if err != nil || seen == 0 {
		t.Fatalf("read %d files: %v", seen, err)
	}
}

// An expression that is compiled when it is first used, and is wrong, would end a run in the middle
// of what it does to a router. No checker looks into lazyregexp.New, so all of them are compiled
// here.
func TestEveryLazyExpressionCompiles(t *testing.T) {
	sources := map[string][]*ast.File{} // by folder
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		sources[filepath.Dir(path)] = append(sources[filepath.Dir(path)], f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for dir, files := range sources {
		constants := map[string]ast.Expr{}
		for _, f := range files {
			ast.Inspect(f, func(n ast.Node) bool {
				if spec, ok := n.(*ast.ValueSpec); ok {
					for i, value := range spec.Values {
						constants[spec.Names[i].Name] = value
					}
				}
				return true
			})
		}
		for _, f := range files {
			ast.Inspect(f, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok || len(call.Args) != 1 || !isLazyNew(call.Fun) {
					return true
				}
				seen++
				expr, err := textOf(call.Args[0], constants)
				if err == nil {
					_, err = regexp.Compile(expr)
				}
				if err != nil {
					t.Errorf("%s: %v", dir, err)
				}
				return true
			})
		}
	}
	if seen < 200 {
		t.Errorf("%d expressions were found, there are more", seen)
	}
}

func isLazyNew(called ast.Expr) bool {
	s, ok := called.(*ast.SelectorExpr)
	if !ok || s.Sel.Name != "New" {
		return false
	}
	of, ok := s.X.(*ast.Ident)
	return ok && of.Name == path.Base(regexps)
}

// textOf is the value of a string that is put together of literals and of constants of its package.
func textOf(e ast.Expr, constants map[string]ast.Expr) (string, error) {
	switch e := e.(type) {
	case *ast.BasicLit:
		return strconv.Unquote(e.Value)
	case *ast.Ident:
		if value := constants[e.Name]; value != nil {
			return textOf(value, constants)
		}
	case *ast.BinaryExpr: // of texts there are sums alone
		left, err := textOf(e.X, constants)
		if err != nil {
			return "", err
		}
		right, err := textOf(e.Y, constants)
		return left + right, err
	}
	return "", fmt.Errorf("an expression is put together of something else than texts: %T", e)
}
