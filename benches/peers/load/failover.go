package main

import (
	"bufio"
	"context"
	"os"
	"sync"
	"time"
)

const (
	// Between two appends that are begun, whether those before were answered or not.
	every = 10 * time.Millisecond
	// An append is given up after this time; the next ones are under way by then.
	attemptPatience = 500 * time.Millisecond
	// Appends under way; clients that keep a record until a leader is there hold this many.
	attemptsMax = 256
	// Acknowledgements before each kill: a client that has only begun shows no gap.
	steady = 200
	// After the first acknowledgement that follows a kill: a second gap belongs to the same kill.
	settle = 3 * time.Second
	// Without an acknowledgement for so long there is no failover.
	gapMax = 90 * time.Second
)

type leads struct {
	Event string `json:"event"`
	Node  int    `json:"node"`
}

type gap struct {
	Event        string  `json:"event"`
	Milliseconds float64 `json:"milliseconds"`
}

// acknowledgements are the times at which appends were acknowledged.
type acknowledgements struct {
	sync.Mutex
	at []time.Time
}

func (a *acknowledgements) note() {
	a.Lock()
	a.at = append(a.at, time.Now())
	a.Unlock()
}

func (a *acknowledgements) wait(count int) {
	for {
		a.Lock()
		there := len(a.at)
		a.Unlock()
		if there >= count {
			return
		}
		time.Sleep(lookAgain)
	}
}

// longest is the longest time without an acknowledgement that ended after `since`, and the last
// acknowledgement of all.
func (a *acknowledgements) longest(since time.Time) (gap time.Duration, last time.Time) {
	a.Lock()
	defer a.Unlock()
	for at, time := range a.at {
		if at > 0 && time.After(since) {
			gap = max(gap, time.Sub(a.at[at-1]))
		}
		last = time
	}
	return gap, last
}

func failover(system System) error {
	told := bufio.NewScanner(os.Stdin)
	for {
		seen := &acknowledgements{}
		stop := make(chan struct{})
		var running sync.WaitGroup
		running.Go(func() { appendEvery(system, seen, stop) })
		seen.wait(steady)
		ctx, cancel := context.WithTimeout(context.Background(), adminPatience)
		node, err := untilLeads(ctx, system, 0)
		cancel()
		if err != nil {
			return err
		}
		since := time.Now()
		say(leads{"leader", node})
		if !told.Scan() {
			return told.Err()
		}
		found := waitForGap(seen, since)
		close(stop)
		say(gap{"gap", float64(found.Microseconds()) / 1e3})
		running.Wait()
		if !told.Scan() {
			return told.Err()
		}
	}
}

func appendEvery(system System, seen *acknowledgements, stop chan struct{}) {
	record := payloads(0)[0]
	room := make(chan struct{}, attemptsMax)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		select {
		case room <- struct{}{}:
		default:
			continue
		}
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), attemptPatience)
			defer cancel()
			if system.Append(ctx, 0, record) == nil {
				seen.note()
			}
			<-room
		}()
	}
}

// waitForGap returns the longest gap around a kill, once acknowledgements have come for a while.
func waitForGap(seen *acknowledgements, since time.Time) time.Duration {
	killed := time.Now()
	for {
		time.Sleep(lookAgain)
		longest, last := seen.longest(since)
		if last.Sub(killed) > settle+longest {
			return longest
		}
		if time.Since(killed) > gapMax {
			return max(longest, time.Since(last))
		}
	}
}
