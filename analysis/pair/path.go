package pair

import "github.com/moncap/moncap/analysis/exchange"

// Path is two addresses between which one of the captures shows packets, whoever sends them.
type Path struct {
	In   Side // whose capture
	ends endpoints
}

// Paths gives each the paths of v's messages; the same one may come again.
func (v *Conversation) Paths(each func(Path)) {
	v.ways(func(in, _ Side, w *exchange.Way) {
		e, _ := endpointsOf(w.Src.Addr(), w.Dst.Addr())
		each(Path{in, e})
	})
}

// Paths gives each the paths of f's packets; the same one may come again.
func (f *Flow) Paths(each func(Path)) {
	f.parts(func(in Side, x *exchange.Flow) {
		e, _ := endpointsOf(x.Src.Addr(), x.Dst.Addr())
		each(Path{in, e})
	})
}
