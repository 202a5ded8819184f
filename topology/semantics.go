package topology

import (
	"fmt"
	"slices"
	"strings"
)

// semantics is step (3) as far as it needs no types: how the parts of a
// pipeline fit together.
func (l *loader) semantics() {
	l.running()
	l.security()
	g := &graph{l: l, spec: l.spec, read: map[string]bool{}, outputs: map[string][]output{}}
	g.names()
	for _, s := range l.spec.Streams {
		g.steps(s)
	}
	g.errorOutputs()
	g.references()
	g.cycles()
	g.unconsumed()
	g.uids()
	l.sourceRules()
	l.sinkRules()
	if len(l.diags.list) == 0 {
		l.ambiguousNames()
	}
}

// place of a setting, or of the setting it is weighed against.
func (l *loader) settingAt(names ...string) Span {
	for _, name := range names {
		v := l.spec.root
		for part := range strings.SplitSeq(name, "/") {
			if v = v.get(part); v == nil {
				break
			}
		}
		if v != nil && v.written {
			return v.at
		}
	}
	return l.spec.NameAt
}

func (l *loader) running() {
	s := l.spec
	if s.Parallelism > s.MaxParallelism {
		l.fail(l.settingAt("parallelism", "max_parallelism"), "bad-value", "/parallelism",
			fmt.Sprintf("parallelism %d is more than max_parallelism %d", s.Parallelism, s.MaxParallelism),
			"max_parallelism of a running job changes only through a savepoint")
	}
	if least := 3*s.Checkpoint.Interval + 10e9; s.Checkpoint.TransactionTimeout < least {
		l.fail(l.settingAt("checkpoint/transaction_timeout", "checkpoint/interval"), "transaction-timeout", "/checkpoint/transaction_timeout",
			fmt.Sprintf("transaction_timeout %s is less than 3 × interval + 10s = %s", formatDuration(s.Checkpoint.TransactionTimeout), formatDuration(least)),
			"raise checkpoint.transaction_timeout, or lower the interval")
	}
	for name := range s.InternalTopics.Config {
		if name == "cleanup.policy" || strings.HasPrefix(name, "retention.") {
			l.fail(l.internalConfigAt(name), "conflicting-fields", "/internal_topics/config/"+name,
				name+" of the internal topics is not yours to set", "the job's own topics are compacted and kept for ever")
		}
	}
}

func (l *loader) internalConfigAt(name string) Span {
	return l.spec.root.get("internal_topics").get("config").get(name).keyAt
}

func (l *loader) security() {
	k := l.spec.Kafka
	kafka := l.spec.root.get("kafka")
	if t := k.TLS; t != nil && (t.CertFile == "") != (t.KeyFile == "") {
		have, need := "cert_file", "key_file"
		if t.CertFile == "" {
			have, need = need, have
		}
		l.fail(kafka.get("tls").get(have).keyAt, "missing-field", "/kafka/tls", "`"+have+"` needs `"+need+"`", "a client certificate is two files")
	}
	l.controlAddress()
	s := k.SASL
	if s == nil {
		return
	}
	v := kafka.get("sasl")
	password, file := v.get("password"), v.get("password_file")
	switch {
	case password != nil && file != nil:
		l.fail(file.keyAt, "conflicting-fields", "/kafka/sasl", `kafka/sasl has both "password" and "password_file"`, "keep one of them")
	case password == nil && file == nil:
		l.fail(v.keyAt, "missing-field", "/kafka/sasl", "kafka/sasl needs one of: password, password_file", "for example password: ${KAFKA_PASSWORD}")
	}
}

// controlAddress demands a token where others than this machine can ask.
func (l *loader) controlAddress() {
	a := l.spec.API
	if a.Listen == "none" || a.TokenFile != "" || isLoopback(a.Listen) {
		return
	}
	l.fail(l.settingAt("api/listen"), "conflicting-fields", "/api/listen",
		"api.listen "+a.Listen+" is not a loopback address and there is no api.token_file", "")
}

func isLoopback(address string) bool {
	host := strings.Trim(address[:max(0, strings.LastIndexByte(address, ':'))], "[]")
	return host == "localhost" || host == "::1" || strings.HasPrefix(host, "127.")
}

// output is a side output of a stream.
type output struct {
	name string
	at   Span
	path string
	hint string // for an output that nobody reads
}

// graph checks how sources, streams and sinks are connected.
type graph struct {
	l       *loader
	spec    *Spec
	outputs map[string][]output // by stream
	read    map[string]bool     // stream.output that somebody reads
}

func (g *graph) names() {
	seen := map[string]int{}
	for _, s := range g.spec.Sources {
		seen[s.Name] = s.At.Line
	}
	for _, s := range g.spec.Streams {
		if line, twice := seen[s.Name]; twice {
			g.l.fail(s.At, "duplicate-name", "/streams/"+s.Name,
				fmt.Sprintf("%s is already the source at line %d", quote(s.Name), line), "sources, tables and streams share their names")
		}
	}
}

// steps checks the order of a stream's steps, and the names in it.
func (g *graph) steps(s *StreamSpec) {
	named := map[string]Span{}
	exchanged := false
	for i, st := range s.Steps {
		path := "/" + st.Path
		if st.Named {
			if first, twice := named[st.Name]; twice {
				g.l.fail(st.At, "duplicate-name", path, fmt.Sprintf("stream %s has two steps named %s", quote(s.Name), quote(st.Name)),
					fmt.Sprintf("the first is at line %d", first.Line))
			}
			named[st.Name] = st.At
		}
		if st.Parallelism > 0 && !exchanged {
			g.l.fail(st.At, "misplaced-step", path+"/parallelism", "parallelism of a step needs a key_by or partition before it",
				"without one, a step runs where its input is")
		}
		exchanged = exchanged || st.KeyBy != nil || st.Partition != nil
		g.parallel(st.Parallelism, st.At, path)
		g.emitEvery(s, st, i)
		switch {
		case st.Window != nil:
			g.window(s, st, i)
		case st.Split != nil:
			g.split(s, st, i)
		case st.TTLAt != (Span{}) && i > 0 && s.Steps[i-1].Window != nil:
			g.l.fail(st.TTLAt, "conflicting-fields", path+"/state_ttl", "`state_ttl` has no meaning for "+st.Op+" behind a window",
				"the state of a window ends with the window")
		case st.Times != nil && g.spec.Time == "processing":
			g.l.fail(st.At, "conflicting-fields", path+"/timestamps", "with time: processing there is no event time",
				"remove timestamps, or use time: event")
		case st.TopN != nil:
			g.topN(s, st)
		case st.aggregates() && st.Emit == "append" && (i == 0 || s.Steps[i-1].Window == nil):
			g.l.fail(st.EmitAt, "bad-value", path+"/emit", "without a window a result is never final",
				"use update, or put a window before the "+st.Op)
		}
	}
	g.parallel(s.Parallelism, s.At, "/streams/"+s.Name)
}

func (g *graph) parallel(n int, at Span, path string) {
	if n > g.spec.MaxParallelism {
		g.l.fail(at, "bad-value", path+"/parallelism",
			fmt.Sprintf("parallelism %d is more than max_parallelism %d", n, g.spec.MaxParallelism), "")
	}
}

func (g *graph) window(s *StreamSpec, st *StepSpec, i int) {
	path := "/" + st.Path
	switch {
	case i+1 == len(s.Steps):
		g.l.fail(st.At, "misplaced-step", path, "window must be followed by aggregate, reduce, fold or process; it is the last step",
			"put an aggregate behind the window")
	case s.Steps[i+1].Aggregate == nil && s.Steps[i+1].Reduce == nil:
		next := s.Steps[i+1].Op
		hint := "put the " + next + " before the window"
		if next == "window" {
			hint = "remove one of the two windows"
		}
		g.l.fail(st.At, "misplaced-step", path, "window must be followed by aggregate, reduce, fold or process; found "+next, hint)
	}
	g.windowValues(st)
	if st.Window.Late == "" {
		return
	}
	g.output(s, output{st.Window.Late, st.Window.LateAt, path + "/window/late", unreadLate})
}

// references checks every `from`.
func (g *graph) references() {
	for _, s := range g.spec.Streams {
		for i, r := range s.From {
			g.reference(r, fmt.Sprintf("/streams/%s/from", s.Name), s.From[:i])
		}
	}
	for _, s := range g.spec.Sinks {
		for i, r := range s.From {
			g.reference(r, fmt.Sprintf("/sinks/%s/from", s.Name), s.From[:i])
		}
	}
}

func (g *graph) reference(r Ref, path string, before []Ref) {
	for _, b := range before {
		if b.Name == r.Name && b.Output == r.Output {
			g.l.fail(r.At, "duplicate-name", path, quote(r.text())+" is in this list twice", "a union reads each input once")
			return
		}
	}
	var names []string
	for _, s := range g.spec.Sources {
		names = append(names, s.Name)
	}
	names = append(names, g.sinksWithOutputs(r.Name)...)
	isStream, ends := false, []string(nil)
	for _, s := range g.spec.Streams {
		names = append(names, s.Name)
		if s.Name == r.Name {
			isStream, ends = true, endOutputs(s)
		}
	}
	if !slices.Contains(names, r.Name) {
		g.l.fail(r.At, "unknown-reference", path, "there is no source, table or stream "+quote(r.Name), suggestName(r.Name, names))
		return
	}
	if r.Output == "" {
		if ends != nil {
			g.endsInSplit(r, path, ends)
		}
		if !g.isSource(r.Name) && !isStream {
			g.l.fail(r.At, "unknown-reference", path, r.Name+" is a sink; only its output can be read",
				"write "+r.Name+"."+g.outputs[r.Name][0].name)
		}
		return
	}
	g.read[r.text()] = true
	var outputs []string
	for _, o := range g.outputs[r.Name] {
		if o.name == r.Output {
			return
		}
		outputs = append(outputs, o.name)
	}
	hint := ""
	switch meant := suggest(r.Output, outputs); {
	case meant != "":
		hint = "did you mean " + quote(r.Name+"."+meant) + "?"
	case !isStream:
		hint = r.Name + " has one with `on_error: {output: " + r.Output + "}`"
	case len(outputs) > 0:
		hint = "its outputs are: " + strings.Join(outputs, ", ")
	default:
		hint = "it has none; a window makes one with `late: " + r.Output + "`"
	}
	g.l.fail(r.At, "unknown-reference", path, fmt.Sprintf("%s has no output %s", r.Name, quote(r.Output)), hint)
}

// cycles reports each loop of streams once, at its first stream in the file.
func (g *graph) cycles() {
	byName := g.spec.readers()
	state := map[string]int{} // 1 open, 2 done
	var stack []string
	var visit func(s *StreamSpec)
	visit = func(s *StreamSpec) {
		state[s.Name] = 1
		stack = append(stack, s.Name)
		for _, name := range upstreams(s.From) {
			next := byName[name]
			if next == nil || g.isSource(name) {
				continue
			}
			switch state[name] {
			case 0:
				visit(next)
			case 1:
				loop := slices.Clone(stack[slices.Index(stack, name):])
				g.cycle(byName[loop[0]], append(loop, name))
			}
		}
		stack = stack[:len(stack)-1]
		state[s.Name] = 2
	}
	for _, s := range g.spec.Streams {
		if state[s.Name] == 0 {
			visit(s)
		}
	}
}

func (g *graph) isSource(name string) bool {
	return slices.ContainsFunc(g.spec.Sources, func(s *SourceSpec) bool { return s.Name == name })
}

func (g *graph) cycle(first *StreamSpec, loop []string) {
	at := first.At
	for _, r := range first.From {
		if r.Name == loop[1] {
			at = r.At
		}
	}
	g.l.fail(at, "cycle", "/streams/"+first.Name+"/from", "streams feed each other: "+strings.Join(loop, " -> "), "")
}

func (g *graph) unconsumed() {
	for _, name := range g.nodeNames() {
		for _, o := range g.outputs[name] {
			if !g.read[name+"."+o.name] {
				g.l.fail(o.at, "unconsumed-output", o.path, fmt.Sprintf("nothing reads %s.%s", name, o.name), o.hint)
			}
		}
	}
}

// uids: state is found again by its uid, so no two states may share one.
func (g *graph) uids() {
	type owner struct {
		line   int
		stream string
		what   string
	}
	seen := map[string]owner{}
	claim := func(uid string, at Span, path string, o owner) {
		first, twice := seen[uid]
		if !twice {
			seen[uid] = o
			return
		}
		if o.stream != "" && o.stream == first.stream {
			g.l.fail(at, "duplicate-uid", path,
				fmt.Sprintf("two stateful steps of stream %s would share the state id %s", quote(o.stream), quote(uid)),
				fmt.Sprintf("give one of them a name, for example `name: second` (the first is at line %d)", first.line))
			return
		}
		g.l.fail(at, "duplicate-uid", path, fmt.Sprintf("%s and %s share the id %s", first.what, o.what, quote(uid)),
			fmt.Sprintf("give one of them another uid (the first is at line %d)", first.line))
	}
	for _, s := range g.spec.Sources {
		claim(s.UID, s.At, "/sources/"+s.Name, owner{s.At.Line, "", "source " + quote(s.Name)})
	}
	for _, s := range g.spec.Streams {
		for _, st := range s.Steps {
			if st.stateful() {
				claim(st.UID, st.At, "/"+st.Path, owner{st.At.Line, s.Name, "a step of stream " + quote(s.Name)})
			}
		}
	}
	for _, s := range g.spec.Sinks {
		claim(s.UID, s.At, "/sinks/"+s.Name, owner{s.At.Line, "", "sink " + quote(s.Name)})
	}
}
