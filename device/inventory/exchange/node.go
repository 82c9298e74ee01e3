package exchange

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"
)

// tree is a YAML document that is walked node by node. Aliases and merge keys are followed as they
// are met, never expanded; budget bounds how often, as few lines can name each other without end.
type tree struct {
	file   string
	root   *yaml.Node
	budget int
}

const walkBudget = 5_000_000

func readTree(file string, b []byte) (*tree, error) {
	var doc yaml.Node
	if err := yaml.NewDecoder(bytes.NewReader(b)).Decode(&doc); err != nil {
		return nil, fmt.Errorf("%s: want YAML: %s", file, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if len(doc.Content) == 0 {
		return nil, fmt.Errorf("%s: it is empty", file)
	}
	return &tree{file, doc.Content[0], walkBudget}, nil
}

var errTangled = errors.New("its aliases name each other too often")

// follow returns the node that an alias stands for.
func (t *tree) follow(n *yaml.Node) *yaml.Node {
	for n != nil && n.Kind == yaml.AliasNode {
		if t.budget--; t.budget < 0 {
			return nil
		}
		n = n.Alias
	}
	return n
}

// each walks a mapping: its own keys, and those that merge keys bring and it does not have.
func (t *tree) each(n *yaml.Node, f func(key string, k, v *yaml.Node)) {
	t.eachOf(n, map[string]bool{}, 0, f)
}

func (t *tree) eachOf(n *yaml.Node, seen map[string]bool, deep int, f func(key string, k, v *yaml.Node)) {
	n = t.follow(n)
	if n == nil || n.Kind != yaml.MappingNode || deep > 16 {
		return
	}
	var merged []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		if t.budget--; t.budget < 0 {
			return
		}
		k, v := n.Content[i], n.Content[i+1]
		switch {
		case k.Tag == "!!merge":
			merged = append(merged, v)
		case k.Kind == yaml.ScalarNode && !seen[k.Value]:
			seen[k.Value] = true
			f(k.Value, k, t.follow(v))
		}
	}
	for _, m := range merged {
		if m = t.follow(m); m != nil && m.Kind == yaml.SequenceNode {
			for _, item := range m.Content {
				t.eachOf(item, seen, deep+1, f)
			}
			continue
		}
		t.eachOf(m, seen, deep+1, f)
	}
}

// at returns the node behind keys, or nil.
func (t *tree) at(n *yaml.Node, keys ...string) *yaml.Node {
	for _, want := range keys {
		var found *yaml.Node
		t.each(n, func(key string, _, v *yaml.Node) {
			if key == want {
				found = v
			}
		})
		if n = found; n == nil {
			return nil
		}
	}
	return t.follow(n)
}

// text returns the scalar behind keys; what is no scalar is "".
func (t *tree) text(n *yaml.Node, keys ...string) string { return scalar(t.at(n, keys...)) }

// scalar is the text of a node.
func scalar(n *yaml.Node) string {
	if n == nil || n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		return ""
	}
	return n.Value
}

// list returns the scalars of a sequence.
func (t *tree) list(n *yaml.Node) []string {
	n = t.follow(n)
	if n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	var all []string
	for _, item := range n.Content {
		if s := scalar(t.follow(item)); s != "" {
			all = append(all, s)
		}
	}
	return all
}

// err says what a walk met.
func (t *tree) err() error {
	if t.budget < 0 {
		return fmt.Errorf("%s: %w", t.file, errTangled)
	}
	return nil
}
