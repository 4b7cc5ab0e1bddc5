package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Kafka through franz-go: one client, which knows the leaders and gathers what concurrent callers
// hand over for a partition. Replication 3, at least 2 in sync; acks=all waits for all in sync.
type kafka struct {
	client *kgo.Client
	admin  *kadm.Client
	topic  string
}

func openKafka(ctx context.Context, plan Plan) (System, error) {
	options := []kgo.Opt{
		kgo.SeedBrokers(plan.Nodes...),
		kgo.DefaultProduceTopic(plan.Name),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		// The default is snappy, and our records come again: every system gets the same bytes.
		kgo.ProducerBatchCompression(kgo.NoCompression()),
	}
	if plan.Cell != Batched {
		// A caller that waits for its record gains nothing from lingering.
		options = append(options, kgo.ProducerLinger(0))
	}
	if plan.Cell == Failover {
		// The default waits 5 s between two looks for a new leader.
		options = append(options, kgo.MetadataMinAge(100*time.Millisecond))
	}
	if plan.Tier == LeaderCache {
		options = append(options, kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return nil, err
	}
	system := &kafka{client: client, admin: kadm.NewClient(client), topic: plan.Name}
	two := "2"
	config := map[string]*string{"min.insync.replicas": &two}
	if plan.Tier == MajorityFsync {
		one := "1"
		config["flush.messages"] = &one
	}
	// A broker listens before all are registered.
	err = until(ctx, func() error {
		_, err := system.admin.CreateTopic(ctx, int32(plan.Logs), 3, config, plan.Name)
		if errors.Is(err, kerr.TopicAlreadyExists) {
			return nil
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return system, untilLed(ctx, system, plan.Logs)
}

// Without idempotence being given up a record cannot be: one attempt lasts until it is answered.
func (k *kafka) Append(_ context.Context, log int, record []byte) error {
	one := kgo.Record{Partition: int32(log), Value: record}
	return k.client.ProduceSync(context.Background(), &one).FirstErr()
}

func (k *kafka) Submit(log int, record []byte, done func(error)) {
	one := kgo.Record{Partition: int32(log), Value: record}
	k.client.Produce(context.Background(), &one, func(_ *kgo.Record, err error) { done(err) })
}

func (k *kafka) Flush(int) {}

// Nodes have the ids 1 to 3, in order.
func (k *kafka) Leader(ctx context.Context, log int) (int, error) {
	topics, err := k.admin.ListTopics(ctx, k.topic)
	if err != nil {
		return 0, err
	}
	partition, there := topics[k.topic].Partitions[int32(log)]
	if !there || partition.Leader < 1 || len(partition.ISR) < 3 {
		return 0, fmt.Errorf("partition %d has no leader with all replicas in sync", log)
	}
	return int(partition.Leader) - 1, nil
}

func (k *kafka) Stored(ctx context.Context) (int64, error) {
	ends, err := k.admin.ListEndOffsets(ctx, k.topic)
	if err != nil {
		return 0, err
	}
	var stored int64
	ends.Each(func(end kadm.ListedOffset) { stored += end.Offset })
	return stored, ends.Error()
}

func (k *kafka) Close() { k.client.Close() }
