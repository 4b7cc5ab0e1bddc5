//! `invented-record` (L5): every record in a log was sent, to this key, with these bytes.

use std::collections::BTreeSet;

use super::anomaly::{Found, Name, Proof};
use crate::index::Index;

/// Looks for them.
pub(super) fn check(index: &Index) -> Found {
    let mut found = Found::default();
    for (op, alien) in &index.aliens {
        found.add(index, Name::InventedRecord, Some(alien.key), &Proof::ops(&[*op]), || {
            format!("offset {}: {}", alien.offset, alien.why)
        });
    }
    for (key, log) in index.logs() {
        let first = log.slots().map(|slot| (slot.offset, slot.value));
        let shown: BTreeSet<(u64, u64)> = log.odd_reads().collect();
        for (offset, value) in first.chain(shown) {
            if log.note(value).is_none_or(|note| note.writer.is_none()) {
                let proof = Proof { ops: &[], events: &[log.seen(offset, value)] };
                found.add(index, Name::InventedRecord, Some(key), &proof, || {
                    format!("offset {offset} shows the value {value}, which nobody sent")
                });
            }
        }
    }
    altered(index, &mut found);
    found
}

/// Records whose bytes are not those that were sent.
fn altered(index: &Index, found: &mut Found) {
    for (id, op) in index.numbered() {
        for sent in index.sends(op) {
            let Some(log) = index.log(sent.key) else { continue };
            let at = log.note(sent.value).and_then(|note| note.at);
            let at = at.filter(|at| log.value(*at) == Some(sent.value));
            let kept = at.and_then(|at| Some((at, log.crc(at)?, sent.crc?)));
            let Some((offset, kept, crc)) = kept.filter(|(_, kept, crc)| kept != crc) else {
                continue;
            };
            found.add(index, Name::InventedRecord, Some(sent.key), &Proof::ops(&[id]), || {
                let value = sent.value;
                format!("value {value} at offset {offset} has CRC {kept}, and was sent with {crc}")
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::history::Kind::{Info, Ok};
    use crate::history::{Alien, Micro, Operation, Seen, Sent};
    use crate::model::tale::{Tale, X, Y, none, poll};

    #[test]
    fn a_record_that_nobody_sent_is_invented() {
        let tale = Tale::new().send(0, Ok, &[(Y, 0, 1)]).poll(1, Ok, &[(X, 0, 1)]);
        assert_eq!(
            tale.found(check),
            ["invented-record 0: offset 0 shows the value 1, which nobody sent"]
        );
    }

    #[test]
    fn a_record_that_the_client_cannot_read_is_told_by_it() {
        let tale = Tale::new().op_with(1, poll(&[]), |detail| {
            detail.aliens.push(Alien { key: X, offset: 3, why: "written for key 7".into() });
        });
        assert_eq!(tale.found(check), ["invented-record 0: offset 3: written for key 7"]);
    }

    #[test]
    fn other_bytes_than_were_sent_are_invented() {
        let sent = Sent { offset: Some(0), value: 1, crc: Some(5) };
        let seen = Seen { offset: 0, value: 1, crc: Some(6) };
        let tale = Tale::new().op(0, Ok, Operation::Send(vec![Micro::Send(X, sent)])).op(
            1,
            Ok,
            Operation::Poll(vec![Micro::Poll(Some([(X, vec![seen])].into()))]),
        );
        assert_eq!(
            tale.found(check),
            ["invented-record 0: value 1 at offset 0 has CRC 6, and was sent with 5"]
        );
    }

    #[test]
    fn a_record_of_an_unknown_send_is_none() {
        let tale = Tale::new().send(0, Info, &[(X, none(), 1)]).poll(1, Ok, &[(X, 0, 1)]);
        assert!(tale.found(check).is_empty());
    }
}
