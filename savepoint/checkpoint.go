package savepoint

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"kstream/checkpoint"
	"kstream/record"
)

// Checkpoint is what checkpoint.json holds: the checkpoint record of the epoch
// without what belongs to one cluster's changelog.
type Checkpoint struct {
	Pipeline       string    `json:"pipeline"`
	Epoch          uint64    `json:"checkpoint"`
	Committed      time.Time `json:"committed"`
	ClusterID      string    `json:"cluster_id"`
	MaxParallelism int       `json:"max_parallelism"`
	Origin         string    `json:"origin,omitempty"` // the savepoint its own state came from
	Sources        []Source  `json:"sources"`
	Chains         []Chain   `json:"chains"`
	Nodes          []Node    `json:"nodes"`
	Ends           []End     `json:"ends,omitempty"`
	Stores         []Store   `json:"stores"`
}

// Source is the position of one partition; times are milliseconds since 1970.
type Source struct {
	UID         string `json:"uid"`
	Topic       string `json:"topic"`
	TopicID     string `json:"topic_id,omitempty"` // hexadecimal
	Partition   int32  `json:"partition"`
	Offset      int64  `json:"offset"`
	LeaderEpoch int32  `json:"leader_epoch"`
	Watermark   int64  `json:"watermark"`
	Idle        bool   `json:"idle,omitempty"`
	Stop        int64  `json:"stop"`
	Ended       bool   `json:"ended,omitempty"`
	LastTime    int64  `json:"last_time"` // timestamp of the last record taken in
}

// Chain is the watermark of a chain behind an exchange.
type Chain struct {
	Chain     string `json:"chain"`
	Watermark int64  `json:"watermark"`
}

// Node is the fingerprint of a stateful step.
type Node struct {
	UID      string `json:"uid"`
	Operator string `json:"operator"`
	Layout   int    `json:"layout"`
	KeyType  string `json:"key_type"`
	Text     string `json:"text,omitempty"`
	Window   string `json:"window,omitempty"`
	Key      string `json:"key,omitempty"`
	Parts    []Part `json:"parts,omitempty"`
	TTL      string `json:"ttl,omitempty"`
	Before   string `json:"before,omitempty"`
}

// Part is one accumulator of a step.
type Part struct {
	Name   string `json:"name"`
	Text   string `json:"text"`
	Size   int    `json:"size"`
	Beside int    `json:"beside,omitempty"`
}

// End is a source or a sink.
type End struct {
	UID    string `json:"uid"`
	Text   string `json:"text"`
	Hash   string `json:"hash"`
	Source bool   `json:"source,omitempty"`
}

// Store gives a uid its number in the keys of the entries, and says how many
// there are and their size before compression.
type Store struct {
	UID     string `json:"uid"`
	ID      uint16 `json:"id"`
	Entries int64  `json:"entries"`
	Bytes   int64  `json:"bytes"`
}

// FromRecord is the checkpoint of a record. Stores that are retired are left
// out: their entries are not written. A record with handles that are not
// confirmed cannot be carried elsewhere.
func FromRecord(r *checkpoint.Record, cluster string) (*Checkpoint, error) {
	if len(r.Handles) > 0 {
		return nil, fmt.Errorf("checkpoint %d has %d prepared pieces of sinks that are not committed yet", r.Epoch, len(r.Handles))
	}
	c := &Checkpoint{
		Pipeline: r.Pipeline, Epoch: uint64(r.Epoch), Committed: time.UnixMilli(int64(r.Wall)).UTC(), ClusterID: cluster,
		MaxParallelism: r.Plan.MaxParallelism, Origin: r.Origin,
		Sources: []Source{}, Chains: []Chain{}, Nodes: []Node{}, Stores: []Store{},
	}
	for _, p := range r.Sources {
		s := Source{UID: p.UID, Topic: p.Topic, Partition: p.Partition, Offset: int64(p.Offset), LeaderEpoch: p.LeaderEpoch,
			Watermark: int64(p.Watermark), Idle: p.Idle, Stop: int64(p.Stop), Ended: p.Ended, LastTime: int64(p.LastTime)}
		if p.TopicID != (record.TopicID{}) {
			s.TopicID = hex.EncodeToString(p.TopicID[:])
		}
		c.Sources = append(c.Sources, s)
	}
	for _, w := range r.Chains {
		c.Chains = append(c.Chains, Chain{w.Chain, int64(w.Watermark)})
	}
	for _, n := range r.Plan.Nodes {
		node := Node{UID: n.UID, Operator: n.Operator, Layout: n.Layout, KeyType: n.KeyType, Text: n.Text, Window: n.Window, Key: n.Key, TTL: n.TTL, Before: n.Before}
		for _, p := range n.Parts {
			node.Parts = append(node.Parts, Part(p))
		}
		c.Nodes = append(c.Nodes, node)
	}
	for _, e := range r.Plan.Ends {
		c.Ends = append(c.Ends, End(e))
	}
	for _, s := range r.Stores {
		if !s.Retired {
			c.Stores = append(c.Stores, Store{UID: s.UID, ID: s.ID})
		}
	}
	return c, nil
}

// Record is the checkpoint record this was made of, as far as it is carried:
// without changelog, owner and lineage.
func (c *Checkpoint) Record() *checkpoint.Record {
	r := &checkpoint.Record{
		Pipeline: c.Pipeline, Epoch: checkpoint.Epoch(c.Epoch), Wall: record.Timestamp(c.Committed.UnixMilli()),
		Plan: checkpoint.Fingerprint{MaxParallelism: c.MaxParallelism}, Origin: c.Origin,
	}
	for _, s := range c.Sources {
		p := checkpoint.SourcePosition{UID: s.UID, Topic: s.Topic, Partition: s.Partition, Offset: record.Offset(s.Offset),
			LeaderEpoch: s.LeaderEpoch, Watermark: record.Timestamp(s.Watermark), Idle: s.Idle, Stop: record.Offset(s.Stop),
			Ended: s.Ended, LastTime: record.Timestamp(s.LastTime)}
		if id, err := hex.DecodeString(s.TopicID); err == nil {
			copy(p.TopicID[:], id)
		}
		r.Sources = append(r.Sources, p)
	}
	for _, w := range c.Chains {
		r.Chains = append(r.Chains, checkpoint.ChainWatermark{Chain: w.Chain, Watermark: record.Timestamp(w.Watermark)})
	}
	for _, n := range c.Nodes {
		node := checkpoint.NodePrint{UID: n.UID, Operator: n.Operator, Layout: n.Layout, KeyType: n.KeyType, Text: n.Text,
			Window: n.Window, Key: n.Key, TTL: n.TTL, Before: n.Before}
		for _, p := range n.Parts {
			node.Parts = append(node.Parts, checkpoint.PartPrint(p))
		}
		r.Plan.Nodes = append(r.Plan.Nodes, node)
	}
	for _, e := range c.Ends {
		r.Plan.Ends = append(r.Plan.Ends, checkpoint.EndPrint(e))
	}
	for _, s := range c.Stores {
		r.Stores = append(r.Stores, checkpoint.StoreEntry{UID: s.UID, ID: s.ID})
	}
	return r
}

func (c *Checkpoint) encode() ([]byte, error) {
	b, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode checkpoint: %w", err)
	}
	return append(b, '\n'), nil
}

func decodeCheckpoint(b []byte) (*Checkpoint, error) {
	c := &Checkpoint{}
	if err := strictJSON(b, c); err != nil {
		return nil, err
	}
	stores := map[uint16]bool{}
	nodes := map[string]bool{}
	for _, n := range c.Nodes {
		nodes[n.UID] = true
	}
	for _, s := range c.Stores {
		if stores[s.ID] {
			return nil, fmt.Errorf("the store id %d is given twice", s.ID)
		}
		stores[s.ID] = true
		if !nodes[s.UID] {
			return nil, fmt.Errorf("the store of %q belongs to no step", s.UID)
		}
		delete(nodes, s.UID)
	}
	if len(nodes) > 0 {
		return nil, errors.New("a step has no store")
	}
	for _, s := range c.Sources {
		if id, err := hex.DecodeString(s.TopicID); err != nil || len(id) != 0 && len(id) != len(record.TopicID{}) {
			return nil, fmt.Errorf("the topic id of %s is malformed", s.UID)
		}
		if s.Offset < 0 || s.Partition < 0 {
			return nil, fmt.Errorf("the position of %s is negative", s.UID)
		}
	}
	return c, nil
}

// StoreOf is the store of a step, a zero one if it has none.
func (c *Checkpoint) StoreOf(uid string) Store {
	for _, s := range c.Stores {
		if s.UID == uid {
			return s
		}
	}
	return Store{}
}
