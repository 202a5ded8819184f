package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kstream/record"
)

const (
	keyAddPartitionsToTxn = 24
	keyAddOffsetsToTxn    = 25
	// txnOffsetCommitTV2 adds the group to the transaction by itself.
	txnOffsetCommitTV2 = 5
)

// CommitOffsets makes the positions part of the transaction (E9), with one
// request. It is written by hand because the client does it only for members of
// a group, and because it looks at the first partition's error alone (G13,
// G14).
//
// The request carries neither member nor generation: it fences nobody, it is
// information for lag tools.
func (s *Session) CommitOffsets(ctx context.Context, group string, positions []record.Position, metadata string) error {
	if len(positions) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, orDefault(s.cfg.RetryTimeout, retryDefault))
	defer cancel()
	topics, err := s.commitTopics(ctx, positions, metadata)
	if err != nil {
		return asError(Classify(OpOffsets, group, err))
	}
	if !s.cfg.TV2 {
		if err := s.repeat(ctx, func() error { return s.addOffsets(ctx, group) }); err != nil {
			return asError(Classify(OpOffsets, group, err))
		}
	}
	err = s.repeat(ctx, func() error { return s.commitOnce(ctx, group, topics) })
	return asError(Classify(OpOffsets, group, err))
}

// repeat tries again while the coordinator moves or the transaction before is
// still being finished. Sending the same offsets twice changes nothing.
func (s *Session) repeat(ctx context.Context, try func() error) error {
	tries := newBackoff()
	for {
		err := try()
		if err == nil {
			return nil
		}
		again := passes(err) || errors.Is(err, kerr.ConcurrentTransactions)
		if !again || !tries.wait(ctx) {
			return err
		}
	}
}

// commitTopics groups the positions by topic, with the name and the id: newer
// versions of the request send the id only, older ones the name (G12).
func (s *Session) commitTopics(ctx context.Context, positions []record.Position, metadata string) ([]kmsg.TxnOffsetCommitRequestTopic, error) {
	if err := s.learnTopicIDs(ctx, positions); err != nil {
		return nil, err
	}
	byTopic := map[string]int{}
	var topics []kmsg.TxnOffsetCommitRequestTopic
	for _, pos := range positions {
		i, ok := byTopic[pos.Topic]
		if !ok {
			t := kmsg.NewTxnOffsetCommitRequestTopic()
			t.Topic, t.TopicID = pos.Topic, pos.TopicID
			if pos.TopicID == (record.TopicID{}) {
				t.TopicID = s.topicIDs[pos.Topic]
			}
			i = len(topics)
			byTopic[pos.Topic] = i
			topics = append(topics, t)
		}
		p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset, p.LeaderEpoch, p.Metadata = pos.Partition, int64(pos.Offset), pos.LeaderEpoch, &metadata
		topics[i].Partitions = append(topics[i].Partitions, p)
	}
	slices.SortFunc(topics, func(a, b kmsg.TxnOffsetCommitRequestTopic) int { return strings.Compare(a.Topic, b.Topic) })
	return topics, nil
}

// learnTopicIDs asks once per session for the ids of topics whose positions
// come without.
func (s *Session) learnTopicIDs(ctx context.Context, positions []record.Position) error {
	var unknown []string
	for _, pos := range positions {
		_, known := s.topicIDs[pos.Topic]
		if pos.TopicID == (record.TopicID{}) && !known && !slices.Contains(unknown, pos.Topic) {
			unknown = append(unknown, pos.Topic)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	details, err := s.admin.ListTopics(ctx, unknown...)
	if err != nil {
		return err
	}
	for _, name := range unknown {
		d := details[name]
		if d.Err != nil {
			return fmt.Errorf("id of topic %s: %w", name, d.Err)
		}
		s.topicIDs[name] = record.TopicID(d.ID)
	}
	return nil
}

func (s *Session) addOffsets(ctx context.Context, group string) error {
	id, epoch, err := s.client.ProducerID(ctx)
	if err != nil {
		return err
	}
	req := kmsg.NewPtrAddOffsetsToTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = s.cfg.TransactionalID, id, epoch, group
	resp, err := req.RequestWith(ctx, s.client)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(resp.ErrorCode)
}

// commitOnce sends the request and looks at every partition. Id and epoch are
// read for each try: under TV2 they change with every transaction (G10).
func (s *Session) commitOnce(ctx context.Context, group string, topics []kmsg.TxnOffsetCommitRequestTopic) error {
	id, epoch, err := s.client.ProducerID(ctx)
	if err != nil {
		return err
	}
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.Group, req.ProducerID, req.ProducerEpoch = s.cfg.TransactionalID, group, id, epoch
	req.Topics = slices.Clone(topics)
	resp, err := req.RequestWith(ctx, s.client)
	if err != nil {
		return err
	}
	if s.cfg.TV2 && resp.Version < txnOffsetCommitTV2 {
		return fmt.Errorf("the broker speaks version %d, which needs transactions of version 1: the cluster was changed", resp.Version)
	}
	var passing error
	answered := 0
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			answered++
			err := kerr.ErrorForCode(p.ErrorCode)
			if err != nil && !passes(err) && !errors.Is(err, kerr.ConcurrentTransactions) {
				return fmt.Errorf("%s partition %d: %w", t.Topic, p.Partition, err)
			}
			passing = errors.Join(passing, err)
		}
	}
	if passing == nil && answered == 0 {
		return errors.New("the broker answered for no partition")
	}
	return passing
}
