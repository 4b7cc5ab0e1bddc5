//! The comparison: what came back against what was published.

use crate::Outcome;
use crate::cluster::Consumed;
use crate::history::Event;
use std::collections::BTreeMap;

/// Nothing, if every key has exactly its events in their order, and offsets are dense.
pub(super) fn compare(published: &[Event], consumed: &[Consumed]) -> Outcome<()> {
    let mut ends: BTreeMap<u32, u64> = BTreeMap::new();
    for record in consumed {
        let end = ends.entry(record.partition).or_default();
        if record.offset != *end {
            let Consumed { partition, offset, .. } = record;
            return Err(format!("partition {partition}: offset {offset} follows {end}").into());
        }
        *end += 1;
    }
    let came: Vec<Event> = consumed.iter().map(Consumed::event).collect();
    let (expected, found) = (by_key(published), by_key(&came));
    for (key, expected) in &expected {
        let found = found.get(key).map_or(&[][..], Vec::as_slice);
        let same = expected.iter().zip(found).take_while(|(a, b)| a == b).count();
        if same != expected.len() || same != found.len() {
            return Err(format!(
                "key {key:?}: {} records were published, {} came back; they differ from record {same} \
                 on: {:?} became {:?}",
                expected.len(),
                found.len(),
                expected.get(same),
                found.get(same),
            )
            .into());
        }
    }
    match found.keys().find(|key| !expected.contains_key(*key)) {
        Some(key) => Err(format!("key {key:?} was never published").into()),
        None => Ok(()),
    }
}

fn by_key(events: &[Event]) -> BTreeMap<&str, Vec<&str>> {
    let mut keys: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for event in events {
        keys.entry(&event.key).or_default().push(&event.value);
    }
    keys
}
