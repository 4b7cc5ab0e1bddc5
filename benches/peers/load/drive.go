package main

import (
	"context"
	"math/rand/v2"
	"sort"
	"sync"
	"sync/atomic"
	"time"
)

const (
	recordBytes = 100
	// Callers of the cell single.
	callers = 64
	// Records of the cell batched that may be unacknowledged, of all logs together.
	outstandingMax = 8192
	// Different records that are sent in turn.
	variety = 64
	// An append of the cell single that takes longer has failed.
	appendPatience = 30 * time.Second
)

// Spans are the phases of a run.
type Spans struct{ warm, window, tail time.Duration }

// Result is what a window saw, and what is stored after everything.
type Result struct {
	Event        string  `json:"event"`
	Seconds      float64 `json:"seconds"`
	Records      int     `json:"records"`
	Failed       int64   `json:"failed"`
	FirstFailure string  `json:"first_failure,omitempty"`
	P50          float64 `json:"p50_ms"`
	P99          float64 `json:"p99_ms"`
	P999         float64 `json:"p999_ms"`
	Acknowledged int64   `json:"acknowledged_in_all"`
	Stored       int64   `json:"stored"`
}

type mark struct {
	Event        string `json:"event"`
	At           string `json:"at"`
	Acknowledged int64  `json:"acknowledged"`
}

// Watch collects acknowledgements. A latency counts if the record was acknowledged in the window.
type Watch struct {
	open         atomic.Bool
	acknowledged atomic.Int64
	failed       atomic.Int64
	firstFailure atomic.Pointer[string]
	shards       []shard
}

type shard struct {
	sync.Mutex
	micros []uint32
}

func newWatch(shards int) *Watch { return &Watch{shards: make([]shard, shards)} }

func (w *Watch) note(at int, began time.Time, err error) {
	if err != nil {
		w.failed.Add(1)
		text := err.Error()
		w.firstFailure.CompareAndSwap(nil, &text)
		return
	}
	w.acknowledged.Add(1)
	if w.open.Load() {
		took := uint32(time.Since(began).Microseconds())
		shard := &w.shards[at]
		shard.Lock()
		shard.micros = append(shard.micros, took)
		shard.Unlock()
	}
}

// spans waits through the phases and says when each ends.
func (w *Watch) spans(spans Spans) Result {
	time.Sleep(spans.warm)
	began := time.Now()
	w.open.Store(true)
	say(mark{"mark", "begin", w.acknowledged.Load()})
	time.Sleep(spans.window)
	w.open.Store(false)
	took := time.Since(began)
	say(mark{"mark", "end", w.acknowledged.Load()})
	if spans.tail > 0 {
		time.Sleep(spans.tail)
		say(mark{"mark", "tail", w.acknowledged.Load()})
	}
	return Result{Event: "result", Seconds: took.Seconds()}
}

// finish adds what is known once everything has been answered.
func (w *Watch) finish(result Result) Result {
	var all []uint32
	for at := range w.shards {
		all = append(all, w.shards[at].micros...)
	}
	sort.Slice(all, func(a, b int) bool { return all[a] < all[b] })
	part := func(of float64) float64 {
		if len(all) == 0 {
			return 0
		}
		return float64(all[int(float64(len(all)-1)*of)]) / 1e3
	}
	result.Records = len(all)
	result.P50, result.P99, result.P999 = part(0.5), part(0.99), part(0.999)
	result.Failed = w.failed.Load()
	result.Acknowledged = w.acknowledged.Load()
	if text := w.firstFailure.Load(); text != nil {
		result.FirstFailure = *text
	}
	return result
}

// payloads are letters, so that no system is helped or hindered by their content more than another.
func payloads(seed uint64) [][]byte {
	random := rand.New(rand.NewPCG(seed, 1))
	records := make([][]byte, variety)
	for at := range records {
		records[at] = make([]byte, recordBytes)
		for byteAt := range records[at] {
			records[at][byteAt] = byte('a' + random.IntN(26))
		}
	}
	return records
}

func single(system System, logs int, spans Spans) Result {
	watch := newWatch(callers)
	var stop atomic.Bool
	var running sync.WaitGroup
	for caller := range callers {
		running.Go(func() {
			records := payloads(uint64(caller))
			for turn := 0; !stop.Load(); turn++ {
				ctx, cancel := context.WithTimeout(context.Background(), appendPatience)
				began := time.Now()
				err := system.Append(ctx, caller%logs, records[turn%variety])
				cancel()
				watch.note(caller, began, err)
			}
		})
	}
	result := watch.spans(spans)
	stop.Store(true)
	running.Wait()
	return watch.finish(result)
}

func batched(system System, logs int, spans Spans) Result {
	watch := newWatch(logs)
	room := make(chan struct{}, outstandingMax)
	var stop atomic.Bool
	var running, unanswered sync.WaitGroup
	for log := range logs {
		running.Go(func() {
			records := payloads(uint64(log))
			for turn := 0; !stop.Load(); turn++ {
				room <- struct{}{}
				unanswered.Add(1)
				began := time.Now()
				system.Submit(log, records[turn%variety], func(err error) {
					watch.note(log, began, err)
					<-room
					unanswered.Done()
				})
			}
			system.Flush(log)
		})
	}
	result := watch.spans(spans)
	stop.Store(true)
	running.Wait()
	unanswered.Wait()
	return watch.finish(result)
}
