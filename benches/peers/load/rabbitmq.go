package main

import (
	"context"
	"errors"
	"strconv"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"
)

// RabbitMQ: a log is a quorum queue of three replicas which nobody consumes, with publisher confirms.
// A queue is declared through the node that is to lead it, and published to there.
type rabbit struct {
	nodes []string
	name  string
	doors []*door
}

// door is the channel of one queue; it is opened again, at the next node, when it is gone.
type door struct {
	mutex      sync.Mutex
	at         int
	connection *amqp.Connection
	channel    *amqp.Channel
	waiting    chan confirm
}

type confirm struct {
	deferred *amqp.DeferredConfirmation
	done     func(error)
}

var errNegative = errors.New("the broker did not take the record")

func openRabbit(_ context.Context, plan Plan) (System, error) {
	system := &rabbit{nodes: plan.Nodes, name: plan.Name}
	for log := range plan.Logs {
		door := &door{at: log % len(plan.Nodes), waiting: make(chan confirm, outstandingMax)}
		system.doors = append(system.doors, door)
		channel, err := door.open(plan.Nodes)
		if err != nil {
			return nil, err
		}
		_, err = channel.QueueDeclare(system.queue(log), true, false, false, false, amqp.Table{
			"x-queue-type": "quorum", "x-quorum-initial-group-size": len(plan.Nodes),
		})
		if err != nil {
			return nil, err
		}
		go func() {
			for next := range door.waiting {
				next.done(outcome(next.deferred.Wait()))
			}
		}()
	}
	return system, nil
}

func outcome(taken bool) error {
	if taken {
		return nil
	}
	return errNegative
}

// open returns the channel, a new one at the next node if the last is gone.
func (d *door) open(nodes []string) (*amqp.Channel, error) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.channel != nil && !d.channel.IsClosed() {
		return d.channel, nil
	}
	if d.channel != nil {
		d.leave(nodes)
	}
	var err error
	for range nodes {
		if d.connection, err = amqp.Dial("amqp://guest:guest@" + nodes[d.at] + "/"); err == nil {
			if d.channel, err = d.connection.Channel(); err == nil {
				return d.channel, d.channel.Confirm(false)
			}
		}
		d.at = (d.at + 1) % len(nodes)
	}
	return nil, err
}

// leave gives the connection up; the next one goes to the next node.
func (d *door) leave(nodes []string) {
	go d.connection.Close()
	d.channel = nil
	d.at = (d.at + 1) % len(nodes)
}

// silent gives up a channel that did not confirm in time, or refused: what it published while its
// queue had no leader is in its way for good.
func (d *door) silent(channel *amqp.Channel, nodes []string) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.channel == channel {
		d.leave(nodes)
	}
}

func (r *rabbit) queue(log int) string { return r.name + "-" + strconv.Itoa(log) }

func (r *rabbit) publish(log int, record []byte) (*amqp.Channel, *amqp.DeferredConfirmation, error) {
	channel, err := r.doors[log].open(r.nodes)
	if err != nil {
		return nil, nil, err
	}
	message := amqp.Publishing{DeliveryMode: amqp.Persistent, Body: record}
	deferred, err := channel.PublishWithDeferredConfirm("", r.queue(log), false, false, message)
	return channel, deferred, err
}

func (r *rabbit) Append(ctx context.Context, log int, record []byte) error {
	channel, deferred, err := r.publish(log, record)
	if err != nil {
		return err
	}
	taken, err := deferred.WaitContext(ctx)
	if err == nil {
		err = outcome(taken)
	}
	if err != nil {
		r.doors[log].silent(channel, r.nodes)
	}
	return err
}

func (r *rabbit) Submit(log int, record []byte, done func(error)) {
	_, deferred, err := r.publish(log, record)
	if err != nil {
		done(err)
		return
	}
	r.doors[log].waiting <- confirm{deferred, done}
}

func (r *rabbit) Flush(int) {}

// Leader is not told over AMQP: the runner asks the cluster.
func (r *rabbit) Leader(context.Context, int) (int, error) { return -1, nil }

func (r *rabbit) Stored(context.Context) (int64, error) {
	var stored int64
	for log := range r.doors {
		channel, err := r.doors[log].open(r.nodes)
		if err != nil {
			return 0, err
		}
		queue, err := channel.QueueDeclarePassive(r.queue(log), true, false, false, false, nil)
		if err != nil {
			return 0, err
		}
		stored += int64(queue.Messages)
	}
	return stored, nil
}

func (r *rabbit) Close() {
	for _, door := range r.doors {
		if door.channel != nil {
			door.connection.Close()
		}
	}
}
