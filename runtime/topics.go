package runtime

import (
	"context"

	"kstream/record"
	"kstream/topology"
)

// createTopic makes an output topic as the file says, and looks at it.
func (l *life) createTopic(ctx context.Context, name string, c *topology.CreateSpec) (record.TopicInfo, error) {
	l.job.log.Info("creating topic", "topic", name, "partitions", c.Partitions)
	err := l.client.Topics.CreateTopic(ctx, record.NewTopic{Name: name, Partitions: int32(c.Partitions),
		Replication: c.Replication, Config: c.Config, Existing: true})
	if err != nil {
		return record.TopicInfo{}, err
	}
	made, err := l.client.Topics.Topics(ctx, []string{name})
	return made[name], err
}
