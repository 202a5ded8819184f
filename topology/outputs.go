package topology

// OutputTopic is a topic that the job writes for its users.
type OutputTopic struct {
	Topic  string
	Create *CreateSpec // nil: it must be there
	Owner  string      // who writes it, for messages
	At     Span
}

// Outputs are the topics the job writes whose names are known before it runs:
// those of its sinks, and that of its dead letters.
func (p *Plan) Outputs() []OutputTopic {
	var out []OutputTopic
	for _, s := range p.Sinks {
		if s.Spec.Topic != "" {
			out = append(out, OutputTopic{s.Spec.Topic, s.Spec.Create, "sink " + s.Spec.Name, s.Spec.At})
		}
	}
	if d := p.Spec.DeadLetter; d != nil {
		out = append(out, OutputTopic{d.Topic, d.Create, "dead_letter", d.At})
	}
	return out
}
