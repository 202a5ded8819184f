package checkpoint

import (
	"fmt"
	"slices"
	"strings"
)

// Verdict is what a change of a pipeline means for the state there is.
type Verdict uint8

// The verdicts. Asked needs a word of the person who starts it.
const (
	Accepted Verdict = iota
	Asked
	Refused
)

// Mark is the sign in front of a change.
type Mark byte

// The marks.
const (
	MarkSame    Mark = '='
	MarkChanged Mark = '~'
	MarkNew     Mark = '+'
	MarkGone    Mark = '-'
	MarkRefused Mark = '!'
)

// What --accept can name.
const (
	AcceptNewState     = "new-state"
	AcceptDroppedState = "dropped-state"
	AcceptRekeyed      = "rekeyed"
	AcceptRenamedJob   = "renamed-job"
)

// Change is what becomes of one node.
type Change struct {
	Mark    Mark
	UID     string // of the file, or of the checkpoint for what is gone
	Old     string // uid in the checkpoint, if it was moved
	Text    string
	Verdict Verdict
	Needs   string // Asked: what --accept must name; with commas, if it is more than one
	Hint    string
	Warning bool // results before and after differ
	// Convert says that the stored entries have to be written anew.
	Convert bool
	// Empty says that the node starts without state.
	Empty bool
}

// Intent is what a person has said about the changes.
type Intent struct {
	Reset    map[string]bool
	Moved    map[string]string // old uid -> new uid
	Accept   []string
	Restored bool // from a savepoint: max_parallelism may differ
}

// Compare says what becomes of the state of old under a plan: section 7 of the
// language. The changes are in the order of the uids, sources first, what is gone
// last.
func Compare(old, now Fingerprint, in Intent) []Change {
	c := comparison{in: in, old: map[string]NodePrint{}, now: map[string]NodePrint{}, taken: map[string]bool{}}
	for _, n := range old.Nodes {
		if _, twice := c.old[c.moved(n.UID)]; twice {
			c.taken[c.moved(n.UID)] = true
		}
		c.old[c.moved(n.UID)] = n
	}
	for _, n := range now.Nodes {
		c.now[n.UID] = n
	}
	var changes []Change
	if old.MaxParallelism != now.MaxParallelism {
		changes = append(changes, c.parallelism(old.MaxParallelism, now.MaxParallelism))
	}
	changes = append(changes, c.ends(old.Ends, now.Ends)...)
	for _, n := range now.Nodes {
		before, ok := c.old[n.UID]
		switch {
		case !ok:
			changes = append(changes, c.added(n))
		case c.taken[n.UID]:
			changes = append(changes, takenTwice(n.UID, "state"))
		case in.Reset[n.UID]:
			changes = append(changes, Change{Mark: MarkChanged, UID: n.UID, Old: before.UID, Text: "starts empty (--reset)", Empty: true})
		default:
			changes = append(changes, c.node(before, n))
		}
	}
	for _, n := range old.Nodes {
		if _, ok := c.now[c.moved(n.UID)]; !ok {
			changes = append(changes, c.gone(n, now.Nodes))
		}
	}
	for i := range changes {
		if ch := &changes[i]; ch.Verdict == Asked && in.accepts(ch.Needs) {
			ch.Verdict = Accepted
		}
	}
	return changes
}

// accepts says that all that is needed was accepted.
func (in *Intent) accepts(needs string) bool {
	for need := range strings.SplitSeq(needs, ",") {
		if !slices.Contains(in.Accept, need) {
			return false
		}
	}
	return true
}

type comparison struct {
	in       Intent
	old, now map[string]NodePrint // by the uid of the plan
	taken    map[string]bool      // by the uid of the plan: the checkpoint has state of more than one for it
}

// takenTwice refuses a move onto a uid that has something of its own.
func takenTwice(uid, what string) Change {
	return Change{Mark: MarkRefused, UID: uid, Text: "moved here, but the checkpoint has " + what + " of this id already", Verdict: Refused,
		Hint: "move it to an id that was never used"}
}

func (c *comparison) moved(uid string) string {
	if to, ok := c.in.Moved[uid]; ok {
		return to
	}
	return uid
}

func (c *comparison) parallelism(old, now int) Change {
	ch := Change{Mark: MarkChanged, UID: "max_parallelism", Text: fmt.Sprintf("%d -> %d: the state is hashed anew", old, now), Convert: true}
	if !c.in.Restored {
		ch.Mark, ch.Verdict, ch.Convert = MarkRefused, Refused, false
		ch.Text = fmt.Sprintf("%d -> %d", old, now)
		ch.Hint = "take a savepoint and restore it, or set it back"
	}
	return ch
}

// ends compares sources and sinks. They have no state but positions, which are
// compared where they are read.
func (c *comparison) ends(old, now []EndPrint) []Change {
	before := map[string]EndPrint{}
	twice := map[string]bool{}
	for _, e := range old {
		was, ok := before[c.moved(e.UID)]
		twice[c.moved(e.UID)] = ok && (was.Source || e.Source)
		before[c.moved(e.UID)] = e
	}
	var changes []Change
	seen := map[string]bool{}
	for _, e := range now {
		seen[e.UID] = true
		was, ok := before[e.UID]
		switch {
		case !ok && len(old) == 0:
		case !ok:
			changes = append(changes, Change{Mark: MarkNew, UID: e.UID, Text: "new"})
		case twice[e.UID]:
			changes = append(changes, takenTwice(e.UID, "positions"))
		case e.Source && len(topicsLost(was.Text, e.Text)) > 0 && !c.in.Reset[e.UID]:
			lost := strings.Join(topicsLost(was.Text, e.Text), ", ")
			changes = append(changes, Change{Mark: MarkChanged, UID: e.UID, Text: was.Text + " -> " + e.Text + ": the positions of " + lost + " would be lost",
				Verdict: Asked, Needs: AcceptDroppedState})
		case was.Text != e.Text:
			changes = append(changes, Change{Mark: MarkChanged, UID: e.UID, Text: was.Text + " -> " + e.Text})
		case was.Hash != e.Hash:
			changes = append(changes, Change{Mark: MarkChanged, UID: e.UID, Text: e.Text + ", other settings"})
		default:
			changes = append(changes, Change{Mark: MarkSame, UID: e.UID, Text: e.Text})
		}
	}
	for _, e := range old {
		if seen[c.moved(e.UID)] {
			continue
		}
		ch := Change{Mark: MarkGone, UID: e.UID, Text: "removed"}
		if strings.HasPrefix(e.UID, "source:") || e.Source {
			ch.Text, ch.Verdict, ch.Needs = "removed with its positions", Asked, AcceptDroppedState
		}
		changes = append(changes, ch)
	}
	return changes
}

// topicsLost are the topics of a source that it does not read any more.
func topicsLost(old, now string) (lost []string) {
	before, ok := strings.CutPrefix(old, "topic ")
	if !ok {
		return nil
	}
	after := strings.Split(strings.TrimPrefix(now, "topic "), ", ")
	for topic := range strings.SplitSeq(before, ", ") {
		if !slices.Contains(after, topic) {
			lost = append(lost, topic)
		}
	}
	return lost
}

func (c *comparison) added(n NodePrint) Change {
	ch := Change{Mark: MarkNew, UID: n.UID, Text: "new, starts empty", Verdict: Asked, Needs: AcceptNewState, Empty: true}
	if c.in.Reset[n.UID] {
		ch.Verdict = Accepted
	}
	return ch
}

func (c *comparison) gone(n NodePrint, now []NodePrint) Change {
	ch := Change{Mark: MarkGone, UID: n.UID, Text: "its state would be lost", Verdict: Asked, Needs: AcceptDroppedState}
	if c.in.Reset[n.UID] {
		ch.Verdict, ch.Text = Accepted, "removed (--reset)"
		return ch
	}
	for _, m := range now {
		if _, known := c.old[m.UID]; !known && c.node(n, m).Verdict == Accepted {
			ch.Hint = fmt.Sprintf("if it was renamed, say so: moved: {%s: %s}", n.UID, m.UID)
			break
		}
	}
	return ch
}

// node compares a step with itself.
func (c *comparison) node(old, now NodePrint) Change {
	ch := Change{Mark: MarkSame, UID: now.UID, Text: now.Operator}
	if old.UID != now.UID {
		ch.Mark, ch.Old, ch.Text = MarkChanged, old.UID, "was "+old.UID
	}
	for _, d := range []struct{ what, before, after string }{
		{"operator", old.Operator, now.Operator}, {"window", old.Window, now.Window}, {"key type", old.KeyType, now.KeyType},
		{"state layout", fmt.Sprint(old.Layout), fmt.Sprint(now.Layout)}, {"", old.Text, now.Text},
	} {
		if d.before != d.after {
			return c.incompatible(ch, d.what, d.before, d.after)
		}
	}
	if ch = c.parts(ch, now.Window, old.Parts, now.Parts); ch.Verdict == Refused {
		return ch
	}
	if old.Key != now.Key {
		ch.note("key "+old.Key+" -> "+now.Key, Asked, AcceptRekeyed)
	}
	if old.TTL != now.TTL {
		ch.note(fmt.Sprintf("state_ttl %s -> %s, for what is written from now on", orNone(old.TTL), orNone(now.TTL)), Accepted, "")
	}
	if old.Before != now.Before {
		what := "what comes before it changed"
		if now.Operator != "aggregate" {
			what = "it or what comes before it changed"
		}
		ch.note(what+": results before and after differ", Accepted, "")
		ch.Warning = true
	}
	return ch
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

// note adds a change to those of a step; the strictest verdict counts, and one
// word is not taken for another.
func (ch *Change) note(text string, v Verdict, needs string) {
	if ch.Mark == MarkSame {
		ch.Text = text
	} else {
		ch.Text += "; " + text
	}
	ch.Mark = MarkChanged
	switch {
	case v > ch.Verdict:
		ch.Verdict, ch.Needs = v, needs
	case v == Asked && !slices.Contains(strings.Split(ch.Needs, ","), needs):
		ch.Needs += "," + needs
	}
}

func (c *comparison) incompatible(ch Change, what, old, now string) Change {
	text := fmt.Sprintf("%s -> %s", old, now)
	if what != "" {
		text = what + " " + text
	}
	return Change{Mark: MarkRefused, UID: ch.UID, Old: ch.Old, Text: text, Verdict: Refused,
		Hint: fmt.Sprintf("give the step a new name (state starts empty) or pass --reset %s", ch.UID)}
}

// parts compares the accumulators. One is known by its call; a renamed output
// with the same call is the same accumulator.
func (c *comparison) parts(ch Change, window string, old, now []PartPrint) Change {
	for _, p := range now {
		for _, q := range old {
			if p.Name == q.Name && p.Text != q.Text && !has(old, p.Text) && !has(now, q.Text) {
				return c.incompatible(ch, p.Name+":", q.Text, p.Text)
			}
		}
	}
	for _, p := range now {
		if !has(old, p.Text) {
			ch.note(fmt.Sprintf("+ %s: %s", p.Name, p.Text), Asked, AcceptNewState)
			ch.Convert = true
		}
	}
	for _, q := range old {
		if !has(now, q.Text) {
			ch.note(fmt.Sprintf("- %s: %s", q.Name, q.Text), Accepted, "")
			ch.Convert = true
		}
	}
	for i, p := range now {
		if i < len(old) && old[i].Text == p.Text && old[i].Name != p.Name {
			ch.note(fmt.Sprintf("%s is now %s", old[i].Name, p.Name), Accepted, "")
		}
	}
	if ch.Convert && window != "" && !strings.HasPrefix(window, "tumbling") && !strings.HasPrefix(window, "sliding") {
		return c.incompatible(ch, "accumulators", textsOf(old), textsOf(now))
	}
	if !ch.Convert && !sameOrder(old, now) {
		ch.note("its accumulators are in another order", Accepted, "")
		ch.Convert = true
	}
	return ch
}

func textsOf(parts []PartPrint) string {
	var all []string
	for _, p := range parts {
		all = append(all, p.Text)
	}
	return strings.Join(all, ", ")
}

func has(parts []PartPrint, text string) bool {
	return slices.ContainsFunc(parts, func(p PartPrint) bool { return p.Text == text })
}

func sameOrder(a, b []PartPrint) bool {
	return slices.EqualFunc(a, b, func(p, q PartPrint) bool { return p.Text == q.Text })
}

// Decide sums up: whether all is accepted, and a line for every change that is
// not.
func Decide(changes []Change) (ok bool, refused, asked int) {
	for _, c := range changes {
		switch c.Verdict {
		case Refused:
			refused++
		case Asked:
			asked++
		}
	}
	return refused+asked == 0, refused, asked
}
