package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// NATS JetStream: a log is a stream of one subject, three replicas, files. One connection a server;
// the client does not know leaders, so the server that it asks may hand on.
type natsStreams struct {
	connections []*nats.Conn
	doors       []jetstream.JetStream
	name        string
	logs        int
	// Acknowledgements of a stream come in the order of its records.
	waiting []chan waiting
}

type waiting struct {
	future jetstream.PubAckFuture
	done   func(error)
}

func openNats(ctx context.Context, plan Plan) (System, error) {
	system := &natsStreams{name: plan.Name, logs: plan.Logs}
	for at := range plan.Nodes {
		urls := append(append([]string{}, plan.Nodes[at:]...), plan.Nodes[:at]...)
		connection, err := nats.Connect("nats://"+strings.Join(urls, ",nats://"),
			nats.DontRandomize(), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
		if err != nil {
			return nil, err
		}
		door, err := jetstream.New(connection, jetstream.WithPublishAsyncMaxPending(outstandingMax))
		if err != nil {
			return nil, err
		}
		system.connections = append(system.connections, connection)
		system.doors = append(system.doors, door)
	}
	for log := range plan.Logs {
		config := jetstream.StreamConfig{
			Name: system.stream(log), Subjects: []string{system.stream(log)},
			Storage: jetstream.FileStorage, Replicas: len(plan.Nodes),
		}
		err := until(ctx, func() error {
			_, err := system.doors[0].CreateOrUpdateStream(ctx, config)
			return err
		})
		if err != nil {
			return nil, err
		}
		queue := make(chan waiting, outstandingMax)
		system.waiting = append(system.waiting, queue)
		go answer(queue)
	}
	return system, untilLed(ctx, system, plan.Logs)
}

func answer(queue chan waiting) {
	for next := range queue {
		select {
		case <-next.future.Ok():
			next.done(nil)
		case err := <-next.future.Err():
			next.done(err)
		}
	}
}

func (n *natsStreams) stream(log int) string { return n.name + "-" + strconv.Itoa(log) }

func (n *natsStreams) Append(ctx context.Context, log int, record []byte) error {
	_, err := n.doors[log%len(n.doors)].Publish(ctx, n.stream(log), record)
	return err
}

func (n *natsStreams) Submit(log int, record []byte, done func(error)) {
	future, err := n.doors[log%len(n.doors)].PublishAsync(n.stream(log), record)
	if err != nil {
		done(err)
		return
	}
	n.waiting[log] <- waiting{future, done}
}

func (n *natsStreams) Flush(int) {}

// Servers are called node-1 to node-3, in order.
func (n *natsStreams) Leader(ctx context.Context, log int) (int, error) {
	stream, err := n.doors[0].Stream(ctx, n.stream(log))
	if err != nil {
		return 0, err
	}
	cluster := stream.CachedInfo().Cluster
	if cluster == nil || cluster.Leader == "" {
		return 0, fmt.Errorf("stream %s has no leader", n.stream(log))
	}
	for _, replica := range cluster.Replicas {
		if !replica.Current {
			return 0, fmt.Errorf("stream %s: %s is not current", n.stream(log), replica.Name)
		}
	}
	number, err := strconv.Atoi(strings.TrimPrefix(cluster.Leader, "node-"))
	return number - 1, err
}

func (n *natsStreams) Stored(ctx context.Context) (int64, error) {
	var stored int64
	for log := range n.logs {
		stream, err := n.doors[0].Stream(ctx, n.stream(log))
		if err != nil {
			return 0, err
		}
		stored += int64(stream.CachedInfo().State.Msgs)
	}
	return stored, nil
}

func (n *natsStreams) Close() {
	for _, connection := range n.connections {
		connection.Close()
	}
}
