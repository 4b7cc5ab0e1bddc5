//! When partitions took no records.

use std::collections::BTreeMap;

use crate::history::{FaultStage, Key, Outcome};
use crate::index::Index;

/// A shorter time without an acknowledgement is no gap.
const GAP_MIN: u64 = 100_000_000;
/// Nor is one that is not this much longer than the partition's median.
const GAP_MEDIANS: u64 = 20;

/// A time in which a partition acknowledged nothing though it was asked to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The partition.
    pub key: Key,
    /// When it was asked first after the last acknowledgement before.
    pub from: u64,
    /// The first one after.
    pub to: u64,
    /// The faults that were at work, or had been healed shortly before.
    pub causes: Vec<String>,
}

/// A fault from its injection to its healing.
pub(super) struct Span<'a> {
    pub(super) name: &'a str,
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) nodes: &'a [String],
    pub(super) keys: &'a [Key],
}

/// All faults; one that never healed lasts to the end.
pub(super) fn spans(index: &Index) -> Vec<Span<'_>> {
    let mut spans: Vec<Span<'_>> = Vec::new();
    let mut open: BTreeMap<(&str, u64), usize> = BTreeMap::new();
    for (_, time, fault) in &index.faults {
        let which = (fault.name.as_str(), fault.id);
        match fault.stage {
            FaultStage::Inject | FaultStage::Once => {
                let to = if fault.stage == FaultStage::Once { *time } else { index.ended };
                open.insert(which, spans.len());
                let (name, nodes, keys) = (fault.name.as_str(), &fault.nodes, &fault.keys);
                spans.push(Span { name, from: *time, to, nodes, keys });
            }
            FaultStage::Heal => {
                let span = open.remove(&which).and_then(|place| spans.get_mut(place));
                if let Some(span) = span {
                    span.to = *time;
                }
            }
            FaultStage::Skip => {}
        }
    }
    spans
}

/// Acknowledgements per partition, ascending: when sent, when acknowledged.
pub(super) fn acks(index: &Index) -> BTreeMap<Key, Vec<(u64, u64)>> {
    let mut acks: BTreeMap<Key, Vec<(u64, u64)>> = BTreeMap::new();
    for op in index.ops.iter().filter(|op| op.outcome == Outcome::Ok) {
        let mut last = None;
        for sent in index.sends(op) {
            if last.replace(sent.key) != Some(sent.key) {
                acks.entry(sent.key).or_default().push((op.began, op.ended));
            }
        }
    }
    acks
}

/// When something was sent to each partition, ascending, whatever came of it.
fn asked(index: &Index) -> BTreeMap<Key, Vec<u64>> {
    let mut asked: BTreeMap<Key, Vec<u64>> = BTreeMap::new();
    for op in &index.ops {
        let mut keys: Vec<Key> = index.sends(op).iter().map(|sent| sent.key).collect();
        keys.dedup();
        for key in keys {
            asked.entry(key).or_default().push(op.began);
        }
    }
    for times in asked.values_mut() {
        times.sort_unstable();
    }
    asked
}

/// All gaps, in the order in which they began.
pub fn gaps(index: &Index) -> Vec<Gap> {
    let spans = spans(index);
    let mut gaps = Vec::new();
    let asked = asked(index);
    for (key, acks) in acks(index) {
        let asked = asked.get(&key).map(Vec::as_slice).unwrap_or_default();
        // Nobody sends anything between the load and the finale, and nothing is lacking then.
        let first_asked = |after: u64| {
            asked.get(asked.partition_point(|began| *began < after)).copied().unwrap_or(after)
        };
        let pairs = || acks.iter().zip(acks.iter().skip(1));
        let mut between: Vec<u64> =
            pairs().map(|(one, next)| next.1.saturating_sub(one.1)).collect();
        between.sort_unstable();
        let median = between.get(between.len() / 2).copied().unwrap_or_default();
        let floor = GAP_MIN.max(median.saturating_mul(GAP_MEDIANS));
        let waits = pairs().map(|(one, next)| (one.1, first_asked(one.1).min(next.1), next.1));
        for (since, from, to) in waits.filter(|(_, from, to)| to - from >= floor) {
            // A fault's shadow: what it broke may take as long again as it lasted to come back.
            let near = spans.iter().filter(|span| {
                span.from <= to && span.to.saturating_add(span.to - span.from).max(span.to) >= since
            });
            let mut causes: Vec<String> = near.map(|span| span.name.to_owned()).collect();
            causes.sort_unstable();
            causes.dedup();
            gaps.push(Gap { key, from, to, causes });
        }
    }
    gaps.sort_unstable_by_key(|gap| (gap.from, gap.key));
    gaps
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::history::Kind::Ok;
    use crate::history::{Fault, Operation, Process};
    use crate::model::tale::{Tale, X};

    pub(in crate::report) fn tale() -> Tale {
        let fault = Fault {
            name: "kill-leader".into(),
            id: 1,
            stage: FaultStage::Once,
            nodes: vec!["n1".into()],
            keys: vec![X],
            effect: BTreeMap::new(),
            why: String::new(),
        };
        let mut tale =
            (0..20).fold(Tale::new(), |tale, value| tale.send(0, Ok, &[(X, value, value)]));
        tale = tale.told(Process::Nemesis, Operation::Fault(fault)).send(0, Ok, &[(X, 20, 20)]);
        let events = tale.events.len();
        for event in &mut tale.events[events - 1..] {
            event.time += 300_000_000;
        }
        tale
    }

    #[test]
    fn a_gap_names_the_fault_that_lies_in_it() {
        let gaps = gaps(&tale().index());
        assert_eq!(gaps.len(), 1);
        assert_eq!(gaps[0].causes, ["kill-leader"]);
        assert_eq!(gaps[0].to - gaps[0].from, 301_000_000);
    }

    #[test]
    fn a_time_in_which_nobody_asks_is_no_gap() {
        let mut tale =
            (0..20).fold(Tale::new(), |tale, value| tale.send(0, Ok, &[(X, value, value)]));
        tale = tale.send(0, Ok, &[(X, 20, 20)]);
        let events = tale.events.len();
        for event in &mut tale.events[events - 2..] {
            event.time += 300_000_000;
        }
        assert!(gaps(&tale.index()).is_empty());
    }
}
