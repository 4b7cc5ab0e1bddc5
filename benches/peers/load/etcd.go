package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	etcd "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// The most operations that an etcd transaction has by default.
const transactionOperations = 128

// etcd is one Raft group and a map, not a log: each record is a key that is written once. Its client
// gathers nothing; a batch is a transaction of as many puts as the default allows.
type etcdMap struct {
	client *etcd.Client
	nodes  []string
	name   string
	next   atomic.Int64
	// The batch that each log is filling.
	filling []transaction
}

type transaction struct {
	puts []etcd.Op
	done []func(error)
}

func openEtcd(_ context.Context, plan Plan) (System, error) {
	client, err := etcd.New(etcd.Config{
		Endpoints: plan.Nodes, DialTimeout: 10 * time.Second,
		// It tells of every retry, of which a failover has hundreds.
		Logger: zap.NewNop(),
	})
	if err != nil {
		return nil, err
	}
	return &etcdMap{
		client: client, nodes: plan.Nodes, name: plan.Name, filling: make([]transaction, plan.Logs),
	}, nil
}

func (e *etcdMap) key(log int) string {
	return fmt.Sprintf("%s/%d/%016d", e.name, log, e.next.Add(1))
}

func (e *etcdMap) Append(ctx context.Context, log int, record []byte) error {
	_, err := e.client.Put(ctx, e.key(log), string(record))
	return err
}

func (e *etcdMap) Submit(log int, record []byte, done func(error)) {
	filling := &e.filling[log]
	filling.puts = append(filling.puts, etcd.OpPut(e.key(log), string(record)))
	filling.done = append(filling.done, done)
	if len(filling.puts) == transactionOperations {
		e.Flush(log)
	}
}

func (e *etcdMap) Flush(log int) {
	full := e.filling[log]
	e.filling[log] = transaction{}
	if len(full.puts) == 0 {
		return
	}
	go func() {
		_, err := e.client.Txn(context.Background()).Then(full.puts...).Commit()
		for _, done := range full.done {
			done(err)
		}
	}()
}

func (e *etcdMap) Leader(ctx context.Context, _ int) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	leader := -1
	for at, node := range e.nodes {
		status, err := e.client.Status(ctx, node)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", node, err)
		}
		if status.Leader == status.Header.MemberId {
			leader = at
		}
	}
	if leader < 0 {
		return 0, fmt.Errorf("none of %v leads", e.nodes)
	}
	return leader, nil
}

func (e *etcdMap) Stored(ctx context.Context) (int64, error) {
	answer, err := e.client.Get(ctx, e.name+"/", etcd.WithPrefix(), etcd.WithCountOnly())
	if err != nil {
		return 0, err
	}
	return answer.Count, nil
}

func (e *etcdMap) Close() { e.client.Close() }
