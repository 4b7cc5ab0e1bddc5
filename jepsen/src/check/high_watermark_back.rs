//! `high-watermark-back` (L3): a linearizable read tells no lower high watermark than any that was told before
//! it began, by any node; a local read none lower than its own node told in a local one.

use super::anomaly::{Found, Name, Proof};
use super::floors::Floors;
use crate::history::{Key, Outcome};
use crate::index::{Index, MarkKind};

/// Looks for them.
pub(super) fn check(index: &Index) -> Found {
    let mut found = Found::default();
    let mut floors = Floors::<(Key, Option<u32>)>::new();
    let marks = || {
        index.marks.iter().filter(|mark| {
            mark.kind == MarkKind::HighWatermark && index.op(mark.op).outcome == Outcome::Ok
        })
    };
    for mark in marks() {
        if let Some(event) = index.op(mark.op).completed {
            floors.tell((mark.key, None), event, mark.offset, mark.op);
            // An answer that a node fetched from the leader has taught that node nothing.
            if mark.node.is_some() && index.op(mark.op).local {
                floors.tell((mark.key, mark.node), event, mark.offset, mark.op);
            }
        }
    }
    let floors = floors.settle();
    for mark in marks() {
        let op = index.op(mark.op);
        let scope = if op.local { mark.node } else { None };
        if op.local && scope.is_none() {
            continue;
        }
        let before = floors.before(&(mark.key, scope), op.invoked);
        if let Some((floor, by)) = before.filter(|(floor, _)| *floor > mark.offset) {
            let ops = [by, mark.op];
            found.add(index, Name::HighWatermarkBack, Some(mark.key), &Proof::ops(&ops), || {
                let of = scope.map(|node| format!(" of {}", index.names.name(node)));
                let of = of.unwrap_or_default();
                format!("the high watermark{of} was {floor}, then {}", mark.offset)
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::history::ReadMode;
    use crate::model::tale::{Tale, X, poll};

    fn read(tale: Tale, node: &str, high_watermark: u64, mode: ReadMode) -> Tale {
        tale.op_with(1, poll(&[]), |detail| {
            detail.mode = mode;
            detail.node = Some(node.into());
            detail.high_watermarks.insert(X, high_watermark);
        })
    }

    #[test]
    fn it_may_not_go_back_on_any_node() {
        let tale = read(Tale::new(), "n1", 9, ReadMode::Linearizable);
        let tale = read(tale, "n2", 7, ReadMode::Linearizable);
        assert_eq!(tale.found(check), ["high-watermark-back 0: the high watermark was 9, then 7"]);
    }

    #[test]
    fn a_local_read_is_compared_with_its_own_node_only() {
        let tale = read(Tale::new(), "n1", 9, ReadMode::Local);
        let other = read(tale.clone(), "n2", 7, ReadMode::Local);
        assert!(other.found(check).is_empty());
        let same = read(tale, "n1", 7, ReadMode::Local);
        assert_eq!(
            same.found(check),
            ["high-watermark-back 0: the high watermark of n1 was 9, then 7"]
        );
    }

    #[test]
    fn it_may_stand_and_grow() {
        let tale = read(Tale::new(), "n1", 9, ReadMode::Linearizable);
        let tale = read(read(tale, "n2", 9, ReadMode::Linearizable), "n3", 10, ReadMode::Local);
        assert!(tale.found(check).is_empty());
    }
}
