//go:build race

package main

// patience is by how much the waits of the tests are longer with the race detector, which makes
// everything else slower.
const patience = 10
