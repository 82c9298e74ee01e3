package inventory

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// maxSize bounds the file: yaml.v3 expands aliases in memory.
const maxSize = 4 << 20

// Load reads and validates the file at path.
func Load(path string) (*Inventory, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("inventory: %w", err)
	}
	defer f.Close()
	return Parse(path, f)
}

// Parse reads and validates an inventory; file is its name in messages. All that is wrong is reported at once, a line
// each: FILE:LINE: WHERE: what was expected.
func Parse(file string, r io.Reader) (*Inventory, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxSize+1))
	if err != nil {
		return nil, fmt.Errorf("inventory: %w", err)
	}
	if len(b) > maxSize {
		return nil, fmt.Errorf("%s: larger than %d bytes", file, maxSize)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(b, &doc); err != nil {
		return nil, fmt.Errorf("%s: %s", file, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	p := &parser{file: file}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) == 0 {
		return nil, fmt.Errorf("%s: it is empty; want version, peers and tunnels", file)
	}
	inv := p.inventory(doc.Content[0])
	return inv, p.err()
}

type problem struct {
	line int
	text string
}

// parser walks the nodes and collects what is wrong, so that one reading reports all of it.
type parser struct {
	file     string
	problems []problem
}

func (p *parser) fail(n *yaml.Node, where, format string, args ...any) {
	if where != "" {
		where += ": "
	}
	p.problems = append(p.problems, problem{n.Line, where + fmt.Sprintf(format, args...)})
}

func (p *parser) err() error {
	slices.SortStableFunc(p.problems, func(a, b problem) int { return cmp.Compare(a.line, b.line) })
	var errs []error
	for _, pr := range p.problems {
		errs = append(errs, fmt.Errorf("%s:%d: %s", p.file, pr.line, pr.text))
	}
	return errors.Join(errs...)
}

// keys are the legal keys of a mapping and what reads their values.
type keys map[string]func(where string, n *yaml.Node)

// mapping reads a mapping with a closed set of keys.
func (p *parser) mapping(where string, n *yaml.Node, ks keys) {
	p.entries(where, n, func(key, value *yaml.Node) {
		at := join(where, key.Value)
		read, ok := ks[key.Value]
		if !ok {
			p.fail(key, at, "unknown key; want one of %s", listed(sortedKeys(ks)))
			return
		}
		read(at, value)
	})
}

// entries reads a mapping whose keys are names, and refuses a key that comes twice.
func (p *parser) entries(where string, n *yaml.Node, each func(key, value *yaml.Node)) {
	if n.Kind == yaml.AliasNode || n.Kind != yaml.MappingNode {
		p.fail(n, where, "want a mapping of keys and values")
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if first, dup := seen[key.Value]; dup {
			p.fail(key, join(where, key.Value), "it stands on line %d already", first)
			continue
		}
		seen[key.Value] = key.Line
		if key.Kind != yaml.ScalarNode || key.Tag == "!!merge" {
			p.fail(key, where, "want a plain key")
			continue
		}
		each(key, value)
	}
}

func join(where, key string) string {
	if where == "" {
		return key
	}
	return where + "." + key
}

func sortedKeys(ks keys) []string {
	var names []string
	for k := range ks {
		names = append(names, k)
	}
	slices.Sort(names)
	return names
}
