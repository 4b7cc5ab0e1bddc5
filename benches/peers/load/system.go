package main

import (
	"context"
	"fmt"
	"time"
)

const lookAgain = 50 * time.Millisecond

// Tier is where a record is when it is acknowledged. Tiers are never compared with one another.
type Tier string

const (
	LeaderCache   Tier = "leader-cache"
	MajorityCache Tier = "majority-cache"
	MajorityFsync Tier = "majority-fsync"
)

// Cell is what is sent, and how.
type Cell string

const (
	// Single: a caller hands over one record and waits until it is acknowledged.
	Single Cell = "single"
	// Batched: records are handed over as fast as the client takes them; it gathers them as it does
	// when nobody configures it.
	Batched Cell = "batched"
	// Failover: a record every few milliseconds, while leaders are killed.
	Failover Cell = "failover"
)

// Plan is what a system is opened for.
type Plan struct {
	Nodes []string
	Tier  Tier
	Cell  Cell
	Name  string
	Logs  int
}

// System is a cluster seen through its native client. Opening it creates the logs of its plan, and
// waits until each has a leader.
type System interface {
	// Append returns once the record is acknowledged.
	Append(ctx context.Context, log int, record []byte) error
	// Submit hands a record to the client's own batching; done is called once, in any goroutine. It is
	// called for one log by one goroutine. It may wait for room.
	Submit(log int, record []byte, done func(error))
	// Flush sends what Submit still gathers of a log: nothing comes after it.
	Flush(log int)
	// Leader is the position of the node that leads the log; an error while a replica lags behind.
	Leader(ctx context.Context, log int) (int, error)
	// Stored counts the records of all logs.
	Stored(ctx context.Context) (int64, error)
	Close()
}

// Open connects to a system by its name.
func Open(ctx context.Context, name string, plan Plan) (System, error) {
	switch name {
	case "ottla":
		return openOttla(ctx, plan)
	case "kafka":
		return openKafka(ctx, plan)
	case "nats":
		return openNats(ctx, plan)
	case "rabbitmq":
		return openRabbit(ctx, plan)
	case "etcd":
		return openEtcd(ctx, plan)
	}
	return nil, fmt.Errorf("no system %q", name)
}

// until tries until it succeeds or time is up.
func until(ctx context.Context, try func() error) error {
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(lookAgain):
		}
	}
}

// untilLeads waits until a log has a leader and all its replicas.
func untilLeads(ctx context.Context, system System, log int) (leader int, err error) {
	err = until(ctx, func() (err error) {
		leader, err = system.Leader(ctx, log)
		return err
	})
	return leader, err
}

func untilLed(ctx context.Context, system System, logs int) error {
	for log := range logs {
		if _, err := untilLeads(ctx, system, log); err != nil {
			return err
		}
	}
	return nil
}
