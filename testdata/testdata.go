// Package testdata carries the incidents: two-sided captures of real negotiations with the truth about each.
// The tests check against them, and moncap demo replays them, so they are part of the binary.
package testdata

import (
	"embed"
	"io/fs"
)

//go:embed incidents
var incidents embed.FS

// Incidents returns a file system with one folder an incident: a.pcap, b.pcap, truth.yaml, and the IKE keys in
// Wireshark's format where they are known.
func Incidents() fs.FS {
	f, err := fs.Sub(incidents, "incidents")
	if err != nil {
		panic(err) // the folder is embedded above
	}
	return f
}
