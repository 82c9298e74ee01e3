// Package fleet lets many machines look at many tunnels: runs are submitted, wait for their
// routers, are carried out by whichever worker is free, and are remembered. A SQLite file serves
// one machine, PostgreSQL several.
//
// River distributes the jobs. It is not the truth about a run: that is moncap's own row, changed in
// the same transaction. A worker holds a run by a lease, which counts by the database's clock, and
// a fencing number. What a run changes on a router needs the lease and a row in the journal of the
// database, beside the bundle's own; what takes it back needs nothing. So the run of a worker that
// died is gone on with by another one from the database alone, and no two runs that a router does
// not bear are on it at once, whatever dies when.
package fleet
