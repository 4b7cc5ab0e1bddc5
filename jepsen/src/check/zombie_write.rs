//! `zombie-write`: once a producer's epoch has a record in a log, no older epoch of it gets one behind that.
//!
//! The log's order decides, not the clients': an older epoch's batch may be under way for long, and may come in
//! as long as it comes in before. So an operation counts that was acknowledged, and one whose outcome nobody
//! knows, if somebody saw what it sent.

use std::collections::HashMap;

use super::anomaly::{Found, Name, Proof};
use super::floors::Floors;
use crate::history::{Key, Outcome};
use crate::index::{Index, OpId};

/// Where one operation of a producer put its records.
struct Written {
    key: Key,
    offset: u64,
    producer: u64,
    epoch: u32,
    op: OpId,
}

/// Looks for them.
pub(super) fn check(index: &Index) -> Found {
    let mut found = Found::default();
    let mut written = Vec::new();
    for (id, note) in index.send_notes() {
        let Some(stamp) = note.stamp else { continue };
        let op = index.op(*id);
        for sent in index.sends(op) {
            let told = sent.offset.filter(|_| op.outcome == Outcome::Ok);
            let seen = || index.log(sent.key)?.note(sent.value)?.at;
            if let Some(offset) = told.or_else(seen) {
                let (producer, epoch) = (stamp.id, stamp.epoch);
                written.push(Written { key: sent.key, offset, producer, epoch, op: *id });
            }
        }
    }
    written.sort_unstable_by_key(|one| (one.key, one.offset, one.op));
    let mut newest: HashMap<(Key, u64), &Written> = HashMap::new();
    let mut last = None;
    for one in &written {
        let newest = newest.entry((one.key, one.producer)).or_insert(one);
        if one.epoch >= newest.epoch {
            *newest = one;
        } else if last.replace(one.op) != Some(one.op) {
            // One batch is one write, however many its records.
            let ops = [newest.op, one.op];
            found.add(index, Name::ZombieWrite, Some(one.key), &Proof::ops(&ops), || {
                let Written { offset, producer, epoch, .. } = one;
                format!(
                    "epoch {epoch} of producer {producer} wrote at offset {offset}, after epoch {} at {}",
                    newest.epoch, newest.offset
                )
            });
        }
    }
    found
}

/// How many writes of older epochs failed that began when a newer one had been acknowledged: fencing at work.
pub(super) fn fenced(index: &Index) -> u64 {
    let mut acknowledged: Floors<(Key, u64)> = Floors::new();
    let mut failed = Vec::new();
    for (id, note) in index.send_notes() {
        let (op, Some(stamp)) = (index.op(*id), note.stamp) else { continue };
        let Some(key) = index.sends(op).first().map(|sent| sent.key) else { continue };
        let (of, epoch) = ((key, stamp.id), u64::from(stamp.epoch));
        match (op.outcome, op.completed) {
            (Outcome::Ok, Some(completed)) => acknowledged.tell(of, completed, epoch, *id),
            (Outcome::Fail, _) => failed.push((of, op.invoked, epoch)),
            (Outcome::Ok | Outcome::Info, _) => {}
        }
    }
    let acknowledged = acknowledged.settle();
    let is_fenced = |(of, invoked, epoch): &((Key, u64), u32, u64)| {
        acknowledged.before(of, *invoked).is_some_and(|(newest, _)| newest > *epoch)
    };
    let count = failed.iter().filter(|one| is_fenced(one)).count();
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{check, fenced};
    use crate::history::Kind::{Fail, Info, Ok};
    use crate::history::{Kind, ProducerStamp};
    use crate::model::tale::{Row, Tale, X, Y, none, send};

    fn stamped(tale: Tale, kind: Kind, epoch: u32, rows: &[Row]) -> Tale {
        tale.begin(epoch, send(rows)).end_with(epoch, kind, send(rows), |detail| {
            detail.producer = Some(ProducerStamp { id: 4, epoch, seq: 0 });
        })
    }

    #[test]
    fn an_older_epoch_that_is_acknowledged_behind_a_newer_one_is_a_zombie() {
        let tale = stamped(Tale::new(), Ok, 1, &[(X, 3, 1), (X, 4, 2)]);
        let tale = stamped(tale, Ok, 0, &[(X, 5, 3), (X, 6, 4)]);
        assert_eq!(
            tale.found(check),
            ["zombie-write 0: epoch 0 of producer 4 wrote at offset 5, after epoch 1 at 4"]
        );
    }

    #[test]
    fn so_is_one_that_nobody_knows_the_end_of_and_somebody_read() {
        let tale = stamped(Tale::new(), Ok, 1, &[(X, 3, 1)]);
        let tale = stamped(tale, Info, 0, &[(X, none(), 2)]);
        assert!(tale.clone().found(check).is_empty());
        assert_eq!(tale.poll(9, Ok, &[(X, 3, 1), (X, 4, 2)]).found(check).len(), 1);
    }

    #[test]
    fn one_that_was_under_way_may_come_in_before_the_newer_one() {
        let tale = Tale::new().begin(0, send(&[(X, none(), 1)]));
        let tale = stamped(tale, Ok, 1, &[(X, 4, 2)]);
        let tale = tale.end_with(0, Info, send(&[(X, none(), 1)]), |detail| {
            detail.producer = Some(ProducerStamp { id: 4, epoch: 0, seq: 0 });
        });
        assert!(tale.poll(9, Ok, &[(X, 3, 1), (X, 4, 2)]).found(check).is_empty());
    }

    #[test]
    fn one_that_is_refused_is_none() {
        let tale = stamped(Tale::new(), Ok, 1, &[(X, 3, 1)]);
        let tale = stamped(tale, Fail, 1, &[(X, none(), 3)]);
        assert_eq!(fenced(&tale.clone().index()), 0, "that was no older epoch");
        let tale = stamped(tale, Fail, 0, &[(X, none(), 2)]);
        assert_eq!(fenced(&tale.clone().index()), 1);
        assert!(tale.found(check).is_empty());
    }

    #[test]
    fn each_partition_hears_of_a_newer_epoch_by_itself() {
        let tale = stamped(Tale::new(), Ok, 1, &[(X, 3, 1)]);
        assert!(stamped(tale, Ok, 0, &[(Y, 5, 2)]).found(check).is_empty());
    }
}
