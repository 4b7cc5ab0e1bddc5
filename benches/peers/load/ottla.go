package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	octets  = "application/octet-stream"
	batches = "application/vnd.kafka.recordbatch.v2"
)

// Ottla over HTTP, at the partitions' leaders. A single record is a request of its own, so 64 callers
// are 64 connections and the client gathers nothing. Batched, each partition has one request under
// way; what comes meanwhile is the next one, a ready-made record batch.
type ottla struct {
	http    *http.Client
	nodes   []string
	topic   string
	query   string
	leaders []atomic.Int32
	lanes   []*lane
}

// lane gathers the records of a partition.
type lane struct {
	mutex    sync.Mutex
	gathered *sync.Cond
	records  [][]byte
	done     []func(error)
}

func openOttla(ctx context.Context, plan Plan) (System, error) {
	transport := &http.Transport{MaxIdleConnsPerHost: callers * 4, DisableCompression: true}
	system := &ottla{
		http: &http.Client{Transport: transport}, nodes: plan.Nodes, topic: plan.Name,
		leaders: make([]atomic.Int32, plan.Logs),
	}
	config := map[string]string{}
	if plan.Tier != MajorityFsync {
		config["flush.policy"] = "os"
	}
	if plan.Tier == LeaderCache {
		system.query = "?acks=leader"
	}
	body, err := json.Marshal(map[string]any{
		"partitions": plan.Logs, "replication_factor": 3, "config": config,
	})
	if err != nil {
		return nil, err
	}
	if err = system.call(ctx, http.MethodPut, plan.Nodes[0], "", "application/json", body, nil); err != nil {
		return nil, err
	}
	for log := range plan.Logs {
		leader, err := untilLeads(ctx, system, log)
		if err != nil {
			return nil, err
		}
		system.leaders[log].Store(int32(leader))
		lane := &lane{}
		lane.gathered = sync.NewCond(&lane.mutex)
		system.lanes = append(system.lanes, lane)
		go system.send(log, lane)
	}
	return system, nil
}

func (o *ottla) call(
	ctx context.Context, method, node, path, media string, body []byte, into any,
) error {
	target := "http://" + node + "/v1/topics/" + o.topic + path
	request, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if media != "" {
		request.Header.Set("Content-Type", media)
	}
	answer, err := o.http.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %s", method, path, answer.Status, text)
	}
	if into != nil {
		return json.Unmarshal(text, into)
	}
	return nil
}

func (o *ottla) append(ctx context.Context, log int, media string, body []byte) error {
	at := o.leaders[log].Load()
	path := "/partitions/" + strconv.Itoa(log) + "/records" + o.query
	err := o.call(ctx, http.MethodPost, o.nodes[at], path, media, body, nil)
	if err != nil {
		// Any node takes any request.
		o.leaders[log].CompareAndSwap(at, (at+1)%int32(len(o.nodes)))
	}
	return err
}

func (o *ottla) Append(ctx context.Context, log int, record []byte) error {
	return o.append(ctx, log, octets, record)
}

func (o *ottla) Submit(log int, record []byte, done func(error)) {
	lane := o.lanes[log]
	lane.mutex.Lock()
	lane.records = append(lane.records, record)
	lane.done = append(lane.done, done)
	lane.mutex.Unlock()
	lane.gathered.Signal()
}

func (o *ottla) Flush(int) {}

func (o *ottla) send(log int, lane *lane) {
	var body []byte
	for {
		lane.mutex.Lock()
		for len(lane.records) == 0 {
			lane.gathered.Wait()
		}
		// All outstanding records of 100 B together fit into one batch of the topic's default size.
		records, done := lane.records, lane.done
		lane.records, lane.done = nil, nil
		lane.mutex.Unlock()
		body = recordBatch(body[:0], records)
		err := o.append(context.Background(), log, batches, body)
		for _, done := range done {
			done(err)
		}
	}
}

// Nodes have the ids 1 to 3, in order.
func (o *ottla) Leader(ctx context.Context, log int) (int, error) {
	var view struct {
		Partitions []struct {
			Leader *int  `json:"leader"`
			InSync []int `json:"in_sync"`
		} `json:"partitions"`
	}
	if err := o.anywhere(ctx, "", &view); err != nil {
		return 0, err
	}
	if log >= len(view.Partitions) || view.Partitions[log].Leader == nil || len(view.Partitions[log].InSync) < 3 {
		return 0, fmt.Errorf("partition %d has no leader with all replicas in sync", log)
	}
	return *view.Partitions[log].Leader - 1, nil
}

func (o *ottla) Stored(ctx context.Context) (int64, error) {
	var view struct {
		Partitions []struct {
			HighWatermark int64 `json:"high_watermark"`
		} `json:"partitions"`
	}
	if err := o.anywhere(ctx, "", &view); err != nil {
		return 0, err
	}
	var stored int64
	for _, partition := range view.Partitions {
		stored += partition.HighWatermark
	}
	return stored, nil
}

func (o *ottla) anywhere(ctx context.Context, path string, into any) (err error) {
	for _, node := range o.nodes {
		if err = o.call(ctx, http.MethodGet, node, path, "", nil, into); err == nil {
			return nil
		}
	}
	return fmt.Errorf("no node of %s answers: %w", strings.Join(o.nodes, ","), err)
}

func (o *ottla) Close() { o.http.CloseIdleConnections() }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// recordBatch appends a Kafka RecordBatch v2 without keys, headers and compression.
func recordBatch(to []byte, values [][]byte) []byte {
	const head = 61
	now := uint64(time.Now().UnixMilli())
	to = append(to, make([]byte, head)...)
	for at, value := range values {
		var fields [16]byte
		fields[0], fields[1] = 0, 0 // attributes, timestamp delta
		used := 2 + binary.PutVarint(fields[2:], int64(at))
		used += binary.PutVarint(fields[used:], -1) // no key
		used += binary.PutVarint(fields[used:], int64(len(value)))
		to = binary.AppendVarint(to, int64(used+len(value)+1))
		to = append(to, fields[:used]...)
		to = append(to, value...)
		to = append(to, 0) // no headers
	}
	binary.BigEndian.PutUint32(to[8:], uint32(len(to)-12))
	binary.BigEndian.PutUint32(to[12:], ^uint32(0)) // leader epoch: the broker's
	to[16] = 2
	binary.BigEndian.PutUint32(to[23:], uint32(len(values)-1))
	binary.BigEndian.PutUint64(to[27:], now)
	binary.BigEndian.PutUint64(to[35:], now)
	binary.BigEndian.PutUint64(to[43:], ^uint64(0)) // no producer id
	binary.BigEndian.PutUint16(to[51:], ^uint16(0))
	binary.BigEndian.PutUint32(to[53:], ^uint32(0))
	binary.BigEndian.PutUint32(to[57:], uint32(len(values)))
	binary.BigEndian.PutUint32(to[17:], crc32.Checksum(to[21:], castagnoli))
	return to
}
