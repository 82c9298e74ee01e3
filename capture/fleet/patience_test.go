//go:build !race

package fleet

// patience is by how much leases are longer with the race detector, which makes
// everything else slower.
const patience = 1
