//! Log Matching (Raft, figure 3 and §5.3): if two logs hold an entry with the same index and term, they
//! are identical up to it. Checked from the first index both have, up to what both have applied.

use raft::{EntryKind, Group, Index};
use storage::{Log, StoredEntry};

/// Entries of a log from `first` to `last`, payloads included.
pub fn entries(log: &Log, first: Index, last: Index) -> Vec<StoredEntry> {
    let mut entries = Vec::new();
    let mut next = first;
    while next <= last {
        let some = log.entries(next..last.next(), 1 << 20).unwrap();
        next = some.last().expect("the log has no holes").header.position.index.next();
        entries.extend(some);
    }
    entries
}

/// What of a payload its producer made: a batch's first bytes are the log's own, and stamped late.
fn unstamped(entry: &StoredEntry) -> &[u8] {
    let stamp = if entry.header.kind == EntryKind::Data { STAMP_BYTES } else { 0 };
    &entry.payload[stamp..]
}

/// Base offset, length and leader epoch.
const STAMP_BYTES: usize = 16;

/// The first index a log has.
pub fn first(log: &Log) -> Index {
    log.state().purged.map_or(Index::ZERO, |marker| marker.first_kept())
}

pub fn check(replicas: &[Group]) {
    for pair in replicas.windows(2) {
        let from = first(pair[0].log()).max(first(pair[1].log()));
        let applied = [pair[0].watermark().applied, pair[1].watermark().applied];
        let (Some(one), Some(other)) = (applied[0], applied[1]) else { continue };
        let upto = one.min(other);
        let ours = entries(pair[0].log(), from, upto);
        let theirs = entries(pair[1].log(), from, upto);
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_eq!(ours.header, theirs.header, "logs differ");
            assert_eq!(unstamped(ours), unstamped(theirs), "logs differ at {:?}", ours.header);
        }
        assert_eq!(ours.len(), theirs.len());
    }
}
