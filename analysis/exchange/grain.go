package exchange

// Grain is the unit of which all times of a capture are whole numbers, where that is coarser than a
// capture's times are: of those that a tool wrote in whole seconds, or in milliseconds. A packet of
// the time t was there at t or later, by less than Size. The zero value is that of fine times.
type Grain struct {
	Size int64 // nanoseconds, a power of ten; 0: fine
	Base int64 // what all times are by whole Sizes later or earlier than
}

// Floor is the time that the capture gives to what is from t.
func (g Grain) Floor(t int64) int64 {
	if g.Size == 0 {
		return t
	}
	past := (t - g.Base) % g.Size
	if past < 0 {
		past += g.Size
	}
	return t - past
}

// grains finds a grain out.
type grains struct {
	Grain
	several bool // there are two times at least
	n       int
}

const (
	coarsest = 1_000_000_000
	// finest is the finest that is looked for: what is finer is less than any path takes.
	finest = 1_000_000
	// fewestInGrain are so many packets that their times are no whole milliseconds by chance.
	fewestInGrain = 4
)

// take takes a packet's time in.
func (g *grains) take(t int64) {
	if g.n++; g.n == 1 {
		g.Grain = Grain{coarsest, t}
		return
	}
	g.several = g.several || t != g.Base
	for g.Size > 0 && (t-g.Base)%g.Size != 0 {
		if g.Size /= 10; g.Size < finest {
			g.Size = 0
		}
	}
}

// found is the grain of all that was taken in; a capture of one time has none, but no times.
func (g *grains) found() Grain {
	if !g.several || g.n < fewestInGrain {
		return Grain{}
	}
	return g.Grain
}
