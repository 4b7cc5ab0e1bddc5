//! Offsets are dense: an entry's base offset is the next offset of the entry before it, so the offsets
//! follow from the log alone (and State Machine Safety, §5.4.3, makes them the same everywhere).

use super::log_matching::{entries, first};
use raft::{EntryKind, Group};

pub fn check(replica: &Group) {
    let log = replica.log();
    let Some(last) = log.state().last else { return };
    let mut due = log.state().purged.map_or(raft::Offset::ZERO, |marker| marker.next_offset);
    let mut index = first(log);
    for entry in entries(log, index, last.index) {
        assert_eq!(entry.header.position.index, index, "indices are dense");
        assert_eq!(entry.header.base_offset, due, "entry {index}: offsets are dense");
        assert_eq!(entry.header.kind == EntryKind::Data, entry.header.record_count > 0);
        due = entry.header.next_offset();
        index = index.next();
    }
    assert_eq!(log.state().next_offset, due);
}
