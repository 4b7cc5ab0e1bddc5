//! The verdict.
//!
//! | found | proved | verdict |
//! |---|---|---|
//! | something that a correct system never shows | whatever | invalid |
//! | nothing such | something was acknowledged, every injected and every required fault had an effect, every planned final read was made, the file is whole | valid |
//! | nothing such | anything less | unknown: with the reasons |

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use super::anomaly::{Anomaly, Found, Name};
use super::zombie_write::fenced;
use crate::history::{FaultStage, Header, Key, Outcome, Tail};
use crate::index::{Act, FINAL_PROCESS_FIRST, Index, Source};

/// What can be said of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It proved that the system did right.
    Valid,
    /// The system did wrong.
    Invalid,
    /// It proved nothing. Never a pass.
    Unknown,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Valid => "valid",
            Verdict::Invalid => "invalid",
            Verdict::Unknown => "unknown",
        })
    }
}

/// One kind of fault, over the whole run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FaultCoverage {
    /// How often it was injected.
    pub injected: u64,
    /// How many of those measured an effect.
    pub effective: u64,
    /// How often it was skipped.
    pub skipped: u64,
    /// The sum of its measured effects.
    pub effect: BTreeMap<String, u64>,
    /// Why it was skipped, each reason once.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub reasons: BTreeSet<String>,
}

/// How many operations of a kind ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Outcomes {
    /// Happened.
    pub ok: u64,
    /// Did not.
    pub fail: u64,
    /// Nobody knows.
    pub info: u64,
}

/// What came of a history.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The verdict.
    pub verdict: Verdict,
    /// Why it is unknown.
    pub reasons: Vec<String>,
    /// How many of each name, of those that make it invalid.
    pub anomalies: BTreeMap<Name, u64>,
    /// How many of each name, of those that a correct system may show.
    pub allowed: BTreeMap<Name, u64>,
    /// The first of each name.
    pub shown: Vec<Anomaly>,
    /// The run's seed.
    pub seed: u64,
    /// What was run.
    pub workload: String,
    /// Events in the history.
    pub events: u64,
    /// Length of the run.
    pub seconds: f64,
    /// How the operations of clients ended, by kind.
    pub operations: BTreeMap<&'static str, Outcomes>,
    /// Records that were acknowledged.
    pub acknowledged: u64,
    /// Of those, how many are not in the final log, or were never read.
    pub lost: u64,
    /// Writes of producers' older epochs that failed because a newer one had been acknowledged.
    pub fenced: u64,
    /// Records that compaction took away.
    pub compacted_away: u64,
    /// What was done to the cluster, and what that did.
    pub faults: BTreeMap<String, FaultCoverage>,
}

impl Summary {
    /// Judges what was found.
    pub(super) fn of(index: &Index, found: Found) -> Summary {
        let header = &index.header;
        let (allowed, anomalies): (BTreeMap<_, _>, BTreeMap<_, _>) =
            found.counts.into_iter().partition(|(name, _)| name.is_allowed(header));
        let faults = coverage(index);
        let acknowledged = acknowledged(index);
        let reasons = doubts(index, &faults, acknowledged);
        let verdict = match (anomalies.is_empty(), reasons.is_empty()) {
            (false, _) => Verdict::Invalid,
            (true, true) => Verdict::Valid,
            (true, false) => Verdict::Unknown,
        };
        let lost = [Name::LostWrite, Name::Unseen, Name::MissingAcked];
        let lost = lost.iter().filter_map(|name| anomalies.get(name)).max().copied();
        Summary {
            verdict,
            reasons,
            lost: lost.unwrap_or_default(),
            anomalies,
            allowed,
            shown: found.shown,
            seed: header.seed,
            workload: header.workload.clone(),
            events: index.events,
            seconds: std::time::Duration::from_nanos(index.ended).as_secs_f64(),
            operations: operations(index),
            acknowledged,
            fenced: fenced(index),
            compacted_away: compacted_away(index),
            faults,
        }
    }

    /// Whether an anomaly of this name was found, allowed or not.
    pub fn has(&self, name: Name) -> bool {
        self.anomalies.contains_key(&name) || self.allowed.contains_key(&name)
    }

    /// What was found, allowed or not, as `jepsen.tests.kafka` calls it; without what it does not look for.
    pub fn original_names(&self) -> BTreeSet<&'static str> {
        let found = self.anomalies.keys().chain(self.allowed.keys());
        found.filter_map(|name| name.original()).collect()
    }
}

fn operations(index: &Index) -> BTreeMap<&'static str, Outcomes> {
    let mut operations: BTreeMap<&'static str, Outcomes> = BTreeMap::new();
    for op in index.ops.iter().filter(|op| op.process < FINAL_PROCESS_FIRST) {
        let name = match op.act {
            Act::Send => "send",
            Act::Poll => "poll",
            Act::Txn => "txn",
            Act::Assign => "assign",
            Act::Subscribe => "subscribe",
            Act::Latest => "latest",
            Act::Group => "group",
            Act::Metadata => "metadata",
            Act::Other => continue,
        };
        let outcomes = operations.entry(name).or_default();
        match op.outcome {
            Outcome::Ok => outcomes.ok += 1,
            Outcome::Fail => outcomes.fail += 1,
            Outcome::Info => outcomes.info += 1,
        }
    }
    operations
}

fn acknowledged(index: &Index) -> u64 {
    let ok = index.ops.iter().filter(|op| op.outcome == Outcome::Ok);
    let records: usize = ok.map(|op| index.sends(op).len()).sum();
    u64::try_from(records).unwrap_or(u64::MAX)
}

/// Records that stood in a compacted topic, and do not at the end.
fn compacted_away(index: &Index) -> u64 {
    if index.header.compacted.is_none() {
        return 0;
    }
    let gone = index.logs().filter_map(|(key, log)| {
        let last = index.final_copy(key)?;
        Some(log.slots().filter(|slot| last.value_at(log, slot.offset).is_none()).count())
    });
    u64::try_from(gone.sum::<usize>()).unwrap_or(u64::MAX)
}

fn coverage(index: &Index) -> BTreeMap<String, FaultCoverage> {
    let mut faults: BTreeMap<String, FaultCoverage> = BTreeMap::new();
    // An effect may be told when the fault is injected or when it heals: it counts once.
    let mut effective = BTreeSet::new();
    for (_, _, fault) in &index.faults {
        let coverage = faults.entry(fault.name.clone()).or_default();
        match fault.stage {
            FaultStage::Inject | FaultStage::Once => coverage.injected += 1,
            FaultStage::Skip => coverage.skipped += 1,
            FaultStage::Heal => {}
        }
        if !fault.why.is_empty() {
            coverage.reasons.insert(fault.why.clone());
        }
        let acts = fault.effect.values().any(|amount| *amount > 0);
        if acts && (fault.stage == FaultStage::Once || effective.insert((&fault.name, fault.id))) {
            coverage.effective += 1;
        }
        for (name, amount) in &fault.effect {
            *coverage.effect.entry(name.clone()).or_default() += amount;
        }
    }
    faults
}

/// Why the run proves nothing.
fn doubts(
    index: &Index,
    faults: &BTreeMap<String, FaultCoverage>,
    acknowledged: u64,
) -> Vec<String> {
    let mut doubts = Vec::new();
    if let Tail::Torn { bytes } = index.tail {
        doubts.push(format!("the history ends with {bytes} bytes of a torn line"));
    }
    if acknowledged == 0 {
        doubts.push("nothing was acknowledged".to_owned());
    }
    for (name, coverage) in faults {
        if coverage.injected > 0 && coverage.effective == 0 {
            let injected = coverage.injected;
            doubts.push(format!("{name} was injected {injected} times and never had an effect"));
        }
    }
    let header = &index.header;
    if header.compacted.is_some() && header.final_replicas > 0 && compacted_away(index) == 0 {
        doubts.push("nothing was compacted away".to_owned());
    }
    for name in &header.required_faults {
        if faults.get(name).is_none_or(|coverage| coverage.injected == 0) {
            doubts.push(format!("{name} was required and never injected"));
        }
    }
    doubts.extend(unread(index, header));
    doubts
}

/// Partitions whose final copies were planned and not made.
fn unread(index: &Index, header: &Header) -> Vec<String> {
    if header.final_replicas == 0 {
        return Vec::new();
    }
    let mut copies: BTreeMap<Key, BTreeSet<u32>> = BTreeMap::new();
    for (key, _) in index.logs() {
        copies.entry(key).or_default();
    }
    for copy in index.copies.iter().filter(|copy| copy.complete && copy.source == Source::Served) {
        copies.entry(copy.key).or_default().insert(copy.node);
    }
    let planned = usize::try_from(header.final_replicas).unwrap_or(usize::MAX);
    let short = copies.into_iter().filter(|(_, nodes)| nodes.len() < planned);
    short
        .map(|(key, nodes)| {
            let name = header.name_of(key);
            format!("{name}: {} of {planned} replicas were read at the end", nodes.len())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Kind::{Info, Ok};
    use crate::history::{Fault, Operation, Process, Replica, Seen};
    use crate::model::tale::{Tale, X, none};

    fn clean() -> Tale {
        Tale::new().send(0, Ok, &[(X, 0, 1)]).poll(1, Ok, &[(X, 0, 1)])
    }

    fn fault(tale: Tale, stage: FaultStage, effect: u64) -> Tale {
        let effect = [("terms_advanced".to_owned(), effect)].into_iter().collect();
        let name = "kill-leader".to_owned();
        let fault =
            Fault { name, id: 1, stage, nodes: vec![], keys: vec![], effect, why: String::new() };
        tale.told(Process::Nemesis, Operation::Fault(fault))
    }

    #[test]
    fn a_run_without_anomalies_is_valid() {
        assert_eq!(clean().summary().verdict, Verdict::Valid);
        assert_eq!(clean().summary().acknowledged, 1);
    }

    #[test]
    fn a_run_that_acknowledged_nothing_is_unknown() {
        let summary =
            Tale::new().send(0, Info, &[(X, none(), 1)]).poll(1, Ok, &[(X, 0, 1)]).summary();
        assert_eq!(
            (summary.verdict, summary.reasons),
            (Verdict::Unknown, vec!["nothing was acknowledged".into()])
        );
    }

    #[test]
    fn a_fault_without_effect_makes_a_run_unknown() {
        let summary = fault(clean(), FaultStage::Once, 0).summary();
        assert_eq!(summary.reasons, ["kill-leader was injected 1 times and never had an effect"]);
        assert_eq!(summary.verdict, Verdict::Unknown);
        assert_eq!(fault(clean(), FaultStage::Once, 1).summary().verdict, Verdict::Valid);
    }

    #[test]
    fn an_effect_may_be_told_when_the_fault_heals() {
        let tale = fault(fault(clean(), FaultStage::Inject, 0), FaultStage::Heal, 3);
        let summary = tale.summary();
        assert_eq!(summary.verdict, Verdict::Valid);
        let coverage = summary.faults.get("kill-leader").unwrap();
        assert_eq!((coverage.injected, coverage.effective), (1, 1));
    }

    #[test]
    fn a_required_fault_that_never_came_makes_a_run_unknown() {
        let mut tale = clean();
        tale.header.required_faults.push("power-cut".into());
        assert_eq!(tale.summary().reasons, ["power-cut was required and never injected"]);
    }

    #[test]
    fn a_planned_final_read_that_is_missing_makes_a_run_unknown() {
        let mut tale = clean();
        tale.header.final_replicas = 1;
        assert_eq!(tale.summary().reasons, ["partition 0: 0 of 1 replicas were read at the end"]);
        let copy = Replica {
            node: "n1".into(),
            key: X,
            high_watermark: 1,
            records: vec![Seen { offset: 0, value: 1, crc: None }],
            complete: true,
            ..Replica::default()
        };
        assert_eq!(tale.op(9, Ok, Operation::FinalRead(copy)).summary().verdict, Verdict::Valid);
    }

    #[test]
    fn an_anomaly_makes_a_run_invalid_whatever_else() {
        let tale = fault(clean().send(2, Ok, &[(X, 0, 2)]), FaultStage::Once, 0);
        assert_eq!(tale.summary().verdict, Verdict::Invalid);
    }
}
