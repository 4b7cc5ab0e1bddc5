//! One page of records: batches decoded straight into an answer, up to its bounds.

use crate::broker::Fetched;
use crate::error::{Error, ErrorKind};
use bytes::BytesMut;
use storage::batch::RecordRef;

/// Where a page ends, whatever comes first.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_field_names, reason = "limits end in _max everywhere")]
pub(in crate::http) struct Bounds {
    /// So many records.
    pub(in crate::http) records_max: u64,
    /// So many bytes of the answer are passed.
    pub(in crate::http) page_bytes_max: usize,
    /// What a batch inflates to at most.
    pub(in crate::http) inflated_bytes_max: usize,
}

/// Where a page ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) struct End {
    /// The offset after its last record; where it began, if it has none.
    pub(in crate::http) next: u64,
    /// How many records it has.
    pub(in crate::http) records: u64,
}

/// Puts the records of a fetch into an answer.
pub(in crate::http) fn fill(
    to: &mut BytesMut,
    fetched: &Fetched,
    bounds: Bounds,
    mut put: impl FnMut(&mut BytesMut, &RecordRef<'_>, u64),
) -> Result<End, Error> {
    let mut end = End { next: fetched.from, records: 0 };
    let start = to.len();
    let from = i64::try_from(fetched.from).unwrap_or(i64::MAX);
    for batch in &fetched.batches {
        let unreadable = |error: storage::batch::BatchError| {
            let message = format!("the batch at offset {}: {error}", batch.base_offset());
            Error::new(ErrorKind::PartitionBroken, message)
        };
        let records = batch.decode(bounds.inflated_bytes_max).map_err(unreadable)?;
        for record in records.iter_from(from) {
            let full = end.records > 0 && to.len() - start >= bounds.page_bytes_max;
            if full || end.records >= bounds.records_max {
                return Ok(end);
            }
            let record = record.map_err(unreadable)?;
            put(to, &record, end.records);
            end.records += 1;
            end.next = u64::try_from(record.offset).map_or(end.next, |offset| offset + 1);
        }
        // Beyond its last record there may be offsets that were compacted away.
        end.next = u64::try_from(batch.next_offset()).map_or(end.next, |next| next.max(end.next));
    }
    Ok(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::Tail;
    use bytes::BufMut;
    use storage::batch::{BatchBuilder, Compression, RecordBatch, stamped_head};

    fn batch(base_offset: i64, values: &[&str]) -> RecordBatch {
        let mut builder = BatchBuilder::new();
        for value in values {
            builder.push(0, None, Some(value.as_bytes()), []);
        }
        let built = builder.finish(Compression::Lz4).into_bytes();
        let mut bytes = BytesMut::from(&built[..]);
        bytes[..16].copy_from_slice(&stamped_head(&built, base_offset, 1));
        RecordBatch::stored(bytes.freeze()).unwrap()
    }

    #[test]
    fn a_page_begins_at_its_offset_and_ends_at_its_bounds() {
        let tail =
            Tail { log_start: 0, high_watermark: 7, leader: raft::NodeId(1), leader_epoch: 1 };
        let batches = vec![batch(2, &["a", "b", "c"]), batch(5, &["d", "e"])];
        let whole = Bounds { records_max: 100, page_bytes_max: 100, inflated_bytes_max: 1000 };
        let rows = [
            (2, whole, "abcde", 7),
            (4, whole, "cde", 7),
            (4, Bounds { records_max: 2, ..whole }, "cd", 6),
            (4, Bounds { records_max: 0, ..whole }, "", 4),
            (2, Bounds { page_bytes_max: 3, ..whole }, "abc", 5),
            (2, Bounds { page_bytes_max: 0, ..whole }, "a", 3),
            (7, whole, "", 7),
        ];
        for (from, bounds, expected, next) in rows {
            let fetched = Fetched { from, batches: batches.clone(), tail };
            let mut to = BytesMut::new();
            let end = fill(&mut to, &fetched, bounds, |to, record, _| {
                to.put_slice(record.value.unwrap());
            })
            .unwrap();
            assert_eq!(to, expected.as_bytes(), "from {from} {bounds:?}");
            assert_eq!(end, End { next, records: u64::try_from(expected.len()).unwrap() });
        }
    }

    #[test]
    fn a_page_goes_on_after_what_was_compacted_away() {
        let tail =
            Tail { log_start: 0, high_watermark: 9, leader: raft::NodeId(1), leader_epoch: 1 };
        let holes = batch(2, &["a", "b", "c"]).retain(1000, |record| record.offset == 3);
        let empty = batch(5, &["d", "e"]).retain(1000, |_| false);
        let batches = vec![holes.unwrap().unwrap(), empty.unwrap().unwrap()];
        let bounds = Bounds { records_max: 9, page_bytes_max: 100, inflated_bytes_max: 1000 };
        for (from, records_max, expected, next) in
            [(2, 9, "b", 7), (4, 9, "", 7), (2, 1, "b", 7), (6, 9, "", 7), (2, 0, "", 2)]
        {
            let fetched = Fetched { from, batches: batches.clone(), tail };
            let mut to = BytesMut::new();
            let bounds = Bounds { records_max, ..bounds };
            let end = fill(&mut to, &fetched, bounds, |to, record, _| {
                to.put_slice(record.value.unwrap());
            });
            assert_eq!(to, expected.as_bytes(), "from {from}");
            assert_eq!(end.unwrap().next, next, "from {from}");
        }
    }

    #[test]
    fn a_batch_beyond_the_inflated_limit_is_named() {
        let tail =
            Tail { log_start: 0, high_watermark: 1, leader: raft::NodeId(1), leader_epoch: 1 };
        let long = "x".repeat(100);
        let fetched = Fetched { from: 9, batches: vec![batch(9, &[&long])], tail };
        let bounds = Bounds { records_max: 1, page_bytes_max: 1, inflated_bytes_max: 10 };
        let error = fill(&mut BytesMut::new(), &fetched, bounds, |_, _, _| {}).unwrap_err();
        assert_eq!(error.kind, ErrorKind::PartitionBroken);
        assert!(error.message.contains("offset 9"), "{error}");
    }
}
