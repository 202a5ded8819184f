package operator

import (
	"fmt"

	"kstream/record"
	"kstream/topology"
)

// Build makes the operators of a chain. A reader finds every operator here: the
// set is closed.
func Build(chain *topology.Chain, env Env) (*Chain, error) {
	c := &Chain{
		Slots:     make([]record.Value, chain.Slots),
		Before:    make([]record.Value, chain.Slots),
		watermark: record.MinTimestamp,
	}
	var err error
	if c.roots, err = c.buildAll(chain.Roots, &env); err != nil {
		return nil, fmt.Errorf("build chain %s: %w", chain.Name, err)
	}
	if chain.Bad != nil {
		if c.bad, err = c.buildAll(chain.Bad.Next, &env); err != nil {
			return nil, fmt.Errorf("build chain %s: %w", chain.Name, err)
		}
	}
	return c, nil
}

// buildAll makes the operators of a list of nodes. A node that computes nothing
// leaves its children in its place.
func (c *Chain) buildAll(nodes []*topology.Node, env *Env) ([]step, error) {
	var steps []step
	for _, n := range nodes {
		if n.Kind == topology.NodeAssign && len(n.Assign) == 0 && n.Bad == nil {
			below, err := c.buildAll(n.Next, env)
			if err != nil {
				return nil, err
			}
			steps = append(steps, below...)
			continue
		}
		s, err := c.build(n, env)
		if err != nil {
			return nil, err
		}
		steps = append(steps, s)
	}
	return steps, nil
}

// build makes one operator and those behind it.
func (c *Chain) build(n *topology.Node, env *Env) (step, error) {
	b := &base{
		env:   env,
		expr:  env.Expr,
		node:  n,
		stats: NodeStats{UID: n.UID, Kind: n.Kind},
	}
	c.bases = append(c.bases, b)
	s, err := c.operator(n, b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", n.UID, err)
	}
	if b.next, err = c.buildAll(n.Next, env); err != nil {
		return nil, err
	}
	if len(b.next) == 1 {
		b.only = b.next[0]
	}
	if n.Bad != nil {
		if b.bad, err = c.buildAll(n.Bad.Next, env); err != nil {
			return nil, err
		}
	}
	return s, c.buildOutputs(n, s, env)
}

// buildOutputs makes what stands behind an operator beside its results.
func (c *Chain) buildOutputs(n *topology.Node, s step, env *Env) (err error) {
	switch s := s.(type) {
	case *windowed:
		s.late, err = c.buildAll(n.Late, env)
	case *sessions:
		s.late, err = c.buildAll(n.Late, env)
	case *split:
		for _, route := range n.Routes {
			out, err := c.buildAll(route, env)
			if err != nil {
				return err
			}
			s.outs = append(s.outs, out)
		}
	}
	return err
}

// operator is the switch over the closed set.
func (c *Chain) operator(n *topology.Node, b *base) (step, error) {
	switch n.Kind {
	case topology.NodeFilter:
		return newFilter(b)
	case topology.NodeAssign:
		return newAssign(b), nil
	case topology.NodeFlatMap:
		return newFlatMap(b), nil
	case topology.NodeKey:
		return newKey(b), nil
	case topology.NodeExchange:
		return newExchange(b)
	case topology.NodeLog:
		return newLog(b), nil
	case topology.NodeCheck:
		return newCheck(b), nil
	case topology.NodeUpsert:
		return c.newUpsert(b)
	case topology.NodeDedup:
		return c.newDedup(b)
	case topology.NodeTopN:
		return c.newTopN(b)
	case topology.NodeCoalesce:
		return c.newCoalesce(b)
	case topology.NodeRekey:
		return &rekey{base: b, slot: n.Rekey}, nil
	case topology.NodeTimes:
		return &times{base: b}, nil
	case topology.NodeSplit:
		return newSplit(b), nil
	case topology.NodeAggregate:
		acc, err := c.newAccumulators(b, false)
		if err != nil {
			return nil, err
		}
		return newAggregate(b, acc, c), nil
	case topology.NodeWindow:
		switch {
		case n.Window.Session != nil:
			return c.newSessions(b)
		case n.Window.Count:
			return c.newCounted(b)
		}
		return c.newWindowed(b)
	case topology.NodeSink:
		return newSink(b)
	}
	return nil, fmt.Errorf("unknown kind of operator %d", n.Kind)
}
