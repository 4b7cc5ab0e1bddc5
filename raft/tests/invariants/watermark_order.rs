//! `log start <= high watermark`, and neither goes back while a replica runs (its applied index is
//! Raft's `lastApplied`, figure 2: "increases monotonically").

use super::History;
use raft::Watermark;
use std::collections::BTreeMap;

pub fn check(history: &History) {
    let mut last: BTreeMap<u64, Watermark> = BTreeMap::new();
    for (group, node, run, now) in history.watermarks() {
        assert!(now.log_start <= now.high_watermark, "group {group} on node {node}: {now:?}");
        if let Some(before) = last.insert(run, now) {
            let forward = before.log_start <= now.log_start
                && before.high_watermark <= now.high_watermark
                && before.applied <= now.applied
                && before.term <= now.term;
            assert!(forward, "group {group} on node {node} went back: {before:?} to {now:?}");
        }
    }
}
