// Command load drives one system with one cell of the table, and says on standard output, one JSON
// object a line, when its window begins and ends and what it saw. The runner starts it, watches the
// brokers between those lines, and kills a leader when it is told who leads.
//
//	{"event":"mark","at":"begin","acknowledged":0}        the window begins
//	{"event":"mark","at":"end","acknowledged":48211}      and ends
//	{"event":"mark","at":"tail","acknowledged":52210}     the tail after it ends: for a slow counter
//	{"event":"result",…}                                  what the window saw
//	{"event":"leader","node":2}  ← "killed"               failover only: kill this one, then say so
//	{"event":"gap","milliseconds":1432.1}  ← "again"      or the end of standard input
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"
)

// Creating logs, and counting what they hold.
const adminPatience = 60 * time.Second

func main() {
	system := flag.String("system", "", "ottla, kafka, nats, rabbitmq or etcd")
	addresses := flag.String("addresses", "", "host:port of each node, in the nodes' order")
	tier := flag.String("tier", string(MajorityFsync), "leader-cache, majority-cache or majority-fsync")
	cell := flag.String("cell", "single", "single, batched or failover")
	name := flag.String("name", "peers", "what the logs are called")
	logs := flag.Int("logs", 6, "partitions, streams or queues")
	warm := flag.Duration("warm", 3*time.Second, "before the window")
	window := flag.Duration("window", 20*time.Second, "what counts")
	tail := flag.Duration("tail", 0, "after the window")
	flag.Parse()

	plan := Plan{
		Nodes: strings.Split(*addresses, ","), Tier: Tier(*tier), Cell: Cell(*cell), Name: *name, Logs: *logs,
	}
	if err := run(*system, plan, Spans{*warm, *window, *tail}); err != nil {
		fmt.Fprintf(os.Stderr, "load %s %s: %v\n", *system, *cell, err)
		os.Exit(1)
	}
}

func run(name string, plan Plan, spans Spans) error {
	ctx, cancel := context.WithTimeout(context.Background(), adminPatience)
	defer cancel()
	system, err := Open(ctx, name, plan)
	if err != nil {
		return fmt.Errorf("opening: %w", err)
	}
	defer system.Close()
	if plan.Cell == Failover {
		return failover(system)
	}
	var result Result
	switch plan.Cell {
	case Single:
		result = single(system, plan.Logs, spans)
	case Batched:
		result = batched(system, plan.Logs, spans)
	default:
		return fmt.Errorf("no cell %q", plan.Cell)
	}
	ctx, cancel = context.WithTimeout(context.Background(), adminPatience)
	defer cancel()
	if result.Stored, err = system.Stored(ctx); err != nil {
		return fmt.Errorf("counting what is stored: %w", err)
	}
	say(result)
	return nil
}

func say(event any) {
	line, err := json.Marshal(event)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(line))
}
