package main

import (
	"testing"
	"time"
)

func TestTheGapIsTheLongestThatEndsAfterTheKill(t *testing.T) {
	origin := time.Now()
	for name, row := range map[string]struct {
		// Milliseconds after the origin; the kill is at 100.
		acknowledged []int
		longest      int
	}{
		"none came":                         {nil, 0},
		"the first of all has none":         {[]int{150}, 0},
		"a gap before the kill is no gap":   {[]int{0, 90, 95, 105}, 10},
		"it begins before the kill":         {[]int{80, 90, 1090, 1100}, 1000},
		"one on its way at the kill":        {[]int{90, 101, 901, 905}, 800},
		"the longest of two, of one kill":   {[]int{95, 300, 305, 800, 801}, 495},
		"what was not interrupted is short": {[]int{95, 105, 115}, 10},
	} {
		seen := &acknowledgements{}
		for _, at := range row.acknowledged {
			seen.at = append(seen.at, origin.Add(time.Duration(at)*time.Millisecond))
		}
		longest, _ := seen.longest(origin.Add(100 * time.Millisecond))
		if longest != time.Duration(row.longest)*time.Millisecond {
			t.Errorf("%s: %v instead of %d ms", name, longest, row.longest)
		}
	}
}
