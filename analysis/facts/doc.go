// Package facts says what is true of a case before anyone judges it: how each conversation ended,
// who accepted whom, what was asked again, when traffic began. It holds no sentence for people and
// knows no finding; package diagnose draws the conclusions.
package facts
