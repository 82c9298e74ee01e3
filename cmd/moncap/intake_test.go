package main

import (
	"fmt"
	"io"
	"testing"
)

// Addresses of UDP can be forged: a flood from a million of them is complained of a hundred times, and kept no more often.
func TestStrangersTakeNoMemory(t *testing.T) {
	in := &intake{app: &app{environment: environment{stderr: io.Discard}}, told: map[string]bool{}}
	for i := range 10_000 {
		in.once(fmt.Sprint("stranger ", i), "a stranger")
	}
	if len(in.told) > maxTold {
		t.Errorf("%d complaints are kept", len(in.told))
	}
}
