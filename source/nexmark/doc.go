// Package nexmark makes the event stream of the Nexmark benchmark: an online
// auction with persons, auctions and bids, as lines of JSON.
//
// Every event is a function of the options and its number, so any number of
// readers can share the work, a position is one number, and a replay from any
// position gives the same bytes. All arithmetic is on integers: another program
// that follows the same rules gives the same bytes too.
//
//	g, err := nexmark.New(nexmark.Defaults())
//	line, at := g.Append(line[:0], position)
//
// Random numbers are SplitMix64. An event draws from a stream of its own, in the
// order in which this code asks for them; changing that order changes the data.
package nexmark
