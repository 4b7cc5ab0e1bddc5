//! Topics and partitions as requests about groups name them.

use crate::broker::PlaceView;
use crate::coordinator::limits::SUBSCRIBED_MAX;
use crate::coordinator::{Subscription, TopicPartition, TopicPattern};
use crate::error::{Error, ErrorKind};
use crate::topic::{PartitionId, TopicName};

/// What a member wants: topics, a pattern or partitions; `None` if nothing is said.
pub(in crate::http) fn subscription(
    topics: Option<&[String]>,
    pattern: Option<&str>,
    partitions: Option<&[PlaceView]>,
) -> Result<Option<Subscription>, Error> {
    match (topics, pattern, partitions) {
        (None, None, None) => Ok(None),
        (Some(topics), None, None) => {
            let names: Result<_, Error> = topics.iter().map(|name| TopicName::new(name)).collect();
            names.map(|names| Some(Subscription::Topics(names)))
        }
        (None, Some(pattern), None) => {
            TopicPattern::new(pattern).map(|pattern| Some(Subscription::Pattern(pattern)))
        }
        (None, None, Some(partitions)) => {
            Ok(Some(Subscription::Manual(places(partitions)?.into_iter().collect())))
        }
        _ => {
            let message = "of topics, topic_pattern and partitions one is taken";
            Err(Error::new(ErrorKind::InvalidRequest, message))
        }
    }
}

/// Refuses more topics or partitions than one request may name: each may be asked for at its leader.
pub(in crate::http) fn few(count: usize) -> Result<(), Error> {
    if count <= SUBSCRIBED_MAX {
        return Ok(());
    }
    let message = format!("{count} names; a request has at most {SUBSCRIBED_MAX}");
    Err(Error::new(ErrorKind::InvalidRequest, message))
}

/// Partitions as documents name them.
pub(in crate::http) fn places(named: &[PlaceView]) -> Result<Vec<TopicPartition>, Error> {
    few(named.len())?;
    named.iter().map(|place| at(&place.topic, place.partition)).collect()
}

/// One partition.
pub(in crate::http) fn at(topic: &str, partition: u32) -> Result<TopicPartition, Error> {
    Ok(TopicPartition::new(TopicName::new(topic)?, PartitionId(partition)))
}

/// Partitions as a query names them: `orders:0,orders:1`.
pub(in crate::http) fn query_places(text: &str) -> Result<Vec<TopicPartition>, Error> {
    let pairs = text.split(',').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let named = pair.rsplit_once(':');
            let named = named.and_then(|(topic, number)| Some((topic, number.parse().ok()?)));
            let (topic, partition) = named.ok_or_else(|| {
                let message = format!("partitions: {pair:?} is not topic:partition");
                Error::new(ErrorKind::InvalidRequest, message)
            })?;
            at(topic, partition)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_of_a_query_are_read() {
        let read = query_places("orders:0,a.b-c:17").unwrap();
        assert_eq!(read, [at("orders", 0).unwrap(), at("a.b-c", 17).unwrap()]);
        assert_eq!(query_places("").unwrap(), []);
        for wrong in ["orders", "orders:", "orders:x", ":1", "orders:-1"] {
            assert!(query_places(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_member_wants_one_kind_of_thing() {
        let topics = ["t".to_owned()];
        assert_eq!(subscription(None, None, None).unwrap(), None);
        assert!(subscription(Some(&topics), None, None).unwrap().is_some());
        assert!(subscription(None, Some("t.*"), None).unwrap().is_some());
        assert!(subscription(None, None, Some(&[])).unwrap().is_some());
        let both = subscription(Some(&topics), Some("t.*"), None).unwrap_err();
        assert_eq!(both.kind, ErrorKind::InvalidRequest);
    }
}
