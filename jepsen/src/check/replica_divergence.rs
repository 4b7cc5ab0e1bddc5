//! `replica-divergence` (L9): after the faults are healed all replicas have the same records at the same offsets
//! with the same bytes, in the same terms, up to the final high watermark: as they serve them, as they lie on
//! their disks, and again after a restart of all.

use super::anomaly::{Found, Name, Proof};
use crate::history::TermStart;
use crate::index::{Copy, Index, Log, Reading, Source};

/// Looks for them.
pub(super) fn check(index: &Index) -> Found {
    let mut found = Found::default();
    for copy in &index.copies {
        if let Some(last) = index.final_copy(copy.key) {
            let what = difference(index, copy, last);
            let broken = copy.broken.first().map(|at| format!("other bytes at offset {at}"));
            if let Some(what) = what.or(broken) {
                let events = [Some(copy.event), Some(last.event)];
                let proof = Proof::events(&events);
                found.add(index, Name::ReplicaDivergence, Some(copy.key), &proof, || {
                    format!("{}: {what}", name(index, copy))
                });
            }
        }
    }
    found
}

fn name(index: &Index, copy: &Copy) -> String {
    let how = match copy.source {
        Source::Served => "serves",
        Source::OnDisk => "has on its disk",
    };
    let when = if copy.round == 0 { "before" } else { "after" };
    format!("what {} {how} {when} the restart", index.names.name(copy.node))
}

/// How a copy differs from the one that all are compared with, in words.
fn difference(index: &Index, copy: &Copy, last: &Copy) -> Option<String> {
    let floor = copy.log_start.max(last.log_start);
    let end = if copy.complete {
        // What was committed in an earlier round still is.
        if copy.round < last.round { copy.high_watermark } else { last.high_watermark }
    } else {
        copy.next().min(last.high_watermark)
    };
    let log = index.log(copy.key)?;
    let differ = if index.header.compacted.is_some() {
        first_not_superseded(index, log, (copy, last), end)
    } else {
        first_difference(&clipped(copy, floor, end), &clipped(last, floor, end))
    };
    if let Some(at) = differ {
        let word =
            |value: Option<u64>| value.map_or("nothing".to_owned(), |value| value.to_string());
        let (ours, theirs) = (copy.value_at(log, at), last.value_at(log, at));
        return Some(format!("offset {at} holds {}, elsewhere {}", word(ours), word(theirs)));
    }
    let terms = |copy: &Copy| -> Vec<TermStart> {
        let inside = copy.terms.iter().filter(|start| floor < start.offset && start.offset < end);
        inside.copied().collect()
    };
    let (ours, theirs) = (terms(copy), terms(last));
    let known = !copy.terms.is_empty() && !last.terms.is_empty();
    (known && ours != theirs)
        .then(|| format!("terms begin at {}, elsewhere {}", list(&ours), list(&theirs)))
}

fn list(terms: &[TermStart]) -> String {
    let words = terms.iter().map(|start| format!("{}@{}", start.term, start.offset));
    words.collect::<Vec<_>>().join(" ")
}

/// The first offset below `end` that differs in two copies of a compacted log. One may lack what the other still
/// has, if a later record of its key stands.
fn first_not_superseded(
    index: &Index,
    log: &Log,
    (copy, last): (&Copy, &Copy),
    end: u64,
) -> Option<u64> {
    let below = log.slots().take_while(|slot| slot.offset < end);
    below
        .filter(|slot| {
            let (ours, theirs) = (copy.value_at(log, slot.offset), last.value_at(log, slot.offset));
            let one_lacks_it = ours.is_none() || theirs.is_none();
            let superseded = || index.is_superseded(copy.key, slot.offset, slot.value);
            ours != theirs && !(one_lacks_it && superseded())
        })
        .map(|slot| slot.offset)
        .next()
}

/// The part of a copy between two offsets.
fn clipped(copy: &Copy, floor: u64, end: u64) -> Vec<Reading> {
    let inside =
        copy.readings.iter().filter(|reading| reading.last() >= floor && reading.first() < end);
    inside
        .filter_map(|reading| match *reading {
            Reading::Odd { .. } => Some(*reading),
            Reading::Run { key, .. } => {
                let base = reading.first().max(floor);
                let next = (reading.last() + 1).min(end);
                Some(Reading::Run {
                    key,
                    base,
                    count: u32::try_from(next.checked_sub(base)?).ok()?,
                })
            }
        })
        .collect()
}

/// The first offset that two copies do not have in common.
fn first_difference(ours: &[Reading], theirs: &[Reading]) -> Option<u64> {
    let same = ours.iter().zip(theirs).take_while(|(one, other)| one == other).count();
    match (ours.get(same), theirs.get(same)) {
        (None, None) => None,
        (Some(only), None) | (None, Some(only)) => Some(only.first()),
        (Some(one), Some(other)) if one.first() != other.first() => {
            Some(one.first().min(other.first()))
        }
        // Both begin at the same offset: two runs end at different ones, or one of them is odd there.
        (Some(Reading::Run { .. }), Some(Reading::Run { .. })) => {
            let end = |reading: Option<&Reading>| reading.map_or(0, Reading::last);
            Some(end(ours.get(same)).min(end(theirs.get(same))) + 1)
        }
        (Some(one), Some(_)) => Some(one.first()),
    }
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::history::Kind::Ok;
    use crate::history::{Operation, Replica, TermStart};
    use crate::model::tale::{Tale, X, final_read};

    fn served(tale: Tale, node: &str, round: u32, rows: &[(u64, u64)]) -> Tale {
        tale.op(9, Ok, Operation::FinalRead(Replica { round, ..final_read(node, X, rows) }))
    }

    #[test]
    fn of_a_compacted_log_one_may_lack_what_a_later_record_replaced_and_nothing_else() {
        let beside = |rows: &[(u64, u64)]| {
            let mut tale = served(Tale::new(), "n1", 0, &[(0, 2), (1, 3), (2, 4)]);
            tale.header.compacted = Some(2);
            served(tale, "n2", 0, rows).found(check)
        };
        assert!(beside(&[(0, 2), (1, 3), (2, 4)]).is_empty());
        assert!(beside(&[(1, 3), (2, 4)]).is_empty());
        assert_eq!(beside(&[(0, 2), (2, 4)]).len(), 1, "the last record of its key");
        assert_eq!(beside(&[(0, 2), (1, 5), (2, 4)]).len(), 1, "another record");
    }

    #[test]
    fn replicas_with_different_records_diverge() {
        let tale = served(Tale::new(), "n1", 0, &[(0, 1), (1, 2), (2, 3)]);
        let tale = served(tale, "n2", 0, &[(0, 1), (1, 7), (2, 3)]);
        assert_eq!(
            tale.found(check),
            [
                "replica-divergence 0: what n1 serves before the restart: offset 1 holds 2, elsewhere 7"
            ]
        );
    }

    #[test]
    fn a_replica_that_ends_early_diverges() {
        let tale = served(Tale::new(), "n1", 0, &[(0, 1), (1, 2)]);
        let tale = served(tale, "n2", 0, &[(0, 1)]);
        assert_eq!(
            tale.found(check),
            [
                "replica-divergence 0: what n2 serves before the restart: offset 1 holds nothing, elsewhere 2"
            ]
        );
    }

    #[test]
    fn a_restart_may_not_lose_anything() {
        let tale = served(Tale::new(), "n1", 0, &[(0, 1), (1, 2)]);
        let tale = served(tale, "n1", 1, &[(0, 1), (1, 3)]);
        assert_eq!(tale.found(check).len(), 1);
        let tale = served(Tale::new(), "n1", 0, &[(0, 1)]);
        assert!(served(tale, "n1", 1, &[(0, 1), (1, 2)]).found(check).is_empty());
    }

    #[test]
    fn a_disk_is_compared_with_what_is_served_and_so_are_terms() {
        let terms = |offset| vec![TermStart { term: 1, offset: 0 }, TermStart { term: 2, offset }];
        let one = Replica { terms: terms(1), ..final_read("n1", X, &[(0, 1), (1, 2), (2, 3)]) };
        let other = Replica { terms: terms(2), node: "n2".into(), ..one.clone() };
        let tale = Tale::new().op(9, Ok, Operation::FinalRead(one.clone()));
        let same = tale.clone().op(9, Ok, Operation::ReplicaDump(one));
        assert!(same.found(check).is_empty());
        assert_eq!(
            tale.op(9, Ok, Operation::ReplicaDump(other)).found(check),
            [
                "replica-divergence 0: what n2 has on its disk before the restart: terms begin at 2@2, elsewhere 2@1"
            ]
        );
    }

    #[test]
    fn parts_and_trimmed_beginnings_do_not_matter() {
        let first = Replica { complete: false, ..final_read("n1", X, &[(0, 1), (1, 2)]) };
        let tale = Tale::new().op(9, Ok, Operation::FinalRead(first));
        let tale = served(tale, "n1", 0, &[(2, 3)]);
        let trimmed = Replica { log_start: 1, ..final_read("n2", X, &[(1, 2), (2, 3)]) };
        assert!(tale.op(9, Ok, Operation::FinalRead(trimmed)).found(check).is_empty());
    }
}
