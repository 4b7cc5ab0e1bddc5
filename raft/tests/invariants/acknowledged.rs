//! What was said of a proposal is true (Leader Completeness, Raft §5.4: what was committed is in the
//! log of every later leader): `Appended` is there exactly once, `NotAppended` never.

use raft::Outcome;
use std::collections::BTreeMap;

/// `outcomes`: of each value proposed. `log`: the values that were committed in the end.
pub fn check(outcomes: &[(String, Outcome)], log: &[String]) {
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for value in log {
        *times.entry(value.as_str()).or_default() += 1;
    }
    for (value, outcome) in outcomes {
        let times = times.get(value.as_str()).copied().unwrap_or(0);
        match outcome {
            Outcome::Appended(_) => assert_eq!(times, 1, "{value} was acknowledged"),
            Outcome::NotAppended(why) => assert_eq!(times, 0, "{value} was refused: {why}"),
            Outcome::Unknown(_) => assert!(times <= 1, "{value} is there {times} times"),
        }
    }
}
