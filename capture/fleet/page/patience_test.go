//go:build !race

package page_test

// patience is by how much waits are longer with the race detector, which makes
// everything else slower.
const patience = 1
