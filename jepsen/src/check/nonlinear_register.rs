//! `nonlinear-register`: whether a topic exists, and what a setting is, are linearizable registers: a creation
//! exchanges absence for existence, a deletion the reverse, a description reads.

use std::collections::{BTreeMap, BTreeSet};

use super::anomaly::{Found, Name, Proof};
use super::register::{Access, Operated, Order, State, order};
use crate::history::Outcome;
use crate::index::{Index, MetadataAct, MetadataBody};

const PRESENT: State = Some(1);

/// Looks for them.
pub(super) fn check(index: &Index) -> Found {
    let mut found = Found::default();
    let mut registers: BTreeMap<u32, Vec<Operated>> = BTreeMap::new();
    for act in &index.metadata {
        if let Some((name, access)) = access(index, act) {
            registers.entry(name).or_default().push(Operated { op: act.op, access });
        }
    }
    for (name, operated) in registers {
        // Nobody tells what there was before the run.
        let mut initial: BTreeSet<State> = operated.iter().filter_map(expects).collect();
        initial.insert(None);
        let initial: Vec<State> = initial.into_iter().collect();
        if let Order::None { op, states } = order(index, &initial, operated) {
            found.add(index, Name::NonlinearRegister, None, &Proof::ops(&[op]), || {
                let name = index.names.name(name);
                format!(
                    "no order of what was done to {name} fits this; possible were {}",
                    super::words(&states)
                )
            });
        }
    }
    found
}

fn expects(operated: &Operated) -> Option<State> {
    match operated.access {
        Access::Read(state) | Access::Exchange(state, _) => Some(state),
        Access::Write(_) => None,
    }
}

fn access(index: &Index, act: &MetadataAct) -> Option<(u32, Access)> {
    Some(match act.body {
        MetadataBody::Exists { topic, exists: true } => (topic, Access::Exchange(None, PRESENT)),
        MetadataBody::Exists { topic, exists: false } => (topic, Access::Exchange(PRESENT, None)),
        MetadataBody::Described { topic, exists } => {
            let known = exists.filter(|_| index.op(act.op).outcome == Outcome::Ok)?;
            (topic, Access::Read(if known { PRESENT } else { None }))
        }
        MetadataBody::Set { setting, value } => (setting, Access::Write(value)),
        MetadataBody::Got { setting, value } => (setting, Access::Read(value)),
        MetadataBody::Trimmed { .. } => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::history::Kind::{Info, Ok};
    use crate::history::{Operation, Setting, Topic};
    use crate::model::tale::Tale;

    fn topic(exists: Option<bool>) -> Topic {
        Topic { topic: "t".into(), exists }
    }

    fn setting(value: u64) -> Setting {
        Setting { topic: "t".into(), name: "retention.ms".into(), value: Some(value) }
    }

    #[test]
    fn a_topic_cannot_be_created_twice() {
        let tale = Tale::new().op(0, Ok, Operation::CreateTopic(topic(None))).op(
            0,
            Ok,
            Operation::CreateTopic(topic(None)),
        );
        assert_eq!(
            tale.found(check),
            ["nonlinear-register: no order of what was done to t fits this; possible were 1"]
        );
    }

    #[test]
    fn a_created_topic_is_there_until_it_is_deleted() {
        let tale = Tale::new()
            .op(0, Ok, Operation::CreateTopic(topic(None)))
            .op(1, Ok, Operation::DescribeTopic(topic(Some(true))))
            .op(0, Info, Operation::DeleteTopic(topic(None)))
            .op(1, Ok, Operation::DescribeTopic(topic(Some(false))));
        assert!(tale.clone().found(check).is_empty());
        assert_eq!(
            tale.op(1, Ok, Operation::DescribeTopic(topic(Some(true)))).found(check).len(),
            1
        );
    }

    #[test]
    fn a_setting_reads_as_it_was_written_last() {
        let tale = Tale::new().op(0, Ok, Operation::SetConfig(setting(5))).op(
            1,
            Ok,
            Operation::GetConfig(setting(5)),
        );
        assert!(tale.clone().found(check).is_empty());
        assert_eq!(tale.op(1, Ok, Operation::GetConfig(setting(4))).found(check).len(), 1);
    }
}
